//! Experiments on pruning: the shipped records, and a small run that is stopped and goes on.
//!
//! `SECATEUR_BLESS=1` writes summaries, tables and plots anew.

use secateur_bench_suites::pruning::config::{Config, Question};
use secateur_bench_suites::pruning::contender::Contender;
use secateur_bench_suites::pruning::point::Point;
use secateur_bench_suites::pruning::study::Architecture;
use secateur_bench_suites::pruning::summary::{summarise, table};
use secateur_bench_suites::pruning::{PruningError, Record, figure, run};
use secateur_bench_suites::watcher::{Silent, Watcher};
use secateur_prune::Scope;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn config(name: &str) -> Config {
    Config::read(&root().join("experiments/pruning").join(format!("{name}.toml"))).expect("a configuration")
}

fn record(name: &str) -> Record {
    let file = root().join("results/pruning").join(name).join("record.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The experiments with results.
fn names() -> Vec<String> {
    let files = std::fs::read_dir(root().join("experiments/pruning")).expect("experiments");
    let stem = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut names: Vec<String> = files.map(|entry| stem(entry.expect("an entry").path())).collect();
    names.sort();
    names
}

fn agrees(file: &Path, text: &str) {
    if std::env::var_os("SECATEUR_BLESS").is_some() {
        std::fs::write(file, text).expect("written");
    }
    let found = std::fs::read_to_string(file).expect("a file");
    assert!(found == text, "{} does not follow from the record beside it", file.display());
}

#[test]
fn tables_and_plots_follow_from_the_records() {
    for name in names() {
        let mut record = record(&name);
        assert_eq!(record.config, config(&name), "{name}");
        let directory = root().join("results/pruning").join(&name);
        record.summary = summarise(&record.config, &record.points);
        let json = serde_json::to_string_pretty(&record).expect("JSON") + "\n";
        agrees(&directory.join("record.json"), &json);
        agrees(&directory.join("table.md"), &table(&record));
        agrees(&directory.join("plot.svg"), &figure::plot(&record).expect("a plot"));
    }
}

/// What is discrete about a point: counts that the sparsity determines, and what follows from them.
fn check(config: &Config, point: &Point) {
    let name = format!("{} at {}, seed {}", point.series, point.sparsity, point.seed);
    let (kept, all) = point.kept();
    let scope = point.series.parse::<Contender>().map_or(Scope::Weight, |contender| contender.scope);
    let asked = ((1.0 - point.sparsity) * all as f64).round() as usize;
    match scope {
        // Rounds of a schedule restate the density as a power.
        Scope::Weight => assert!(kept.abs_diff(asked) <= 1, "{name}: {kept} for {asked}"),
        // A neuron takes its row and the column that reads it.
        _ => assert!(kept < all, "{name}"),
    }
    assert!(point.layers.iter().all(|layer| layer.kept <= layer.all), "{name}");
    if point.empty().next().is_some() && !matches!(config.network, Architecture::Resnet { .. }) {
        // The others are chains: an empty layer cuts every path.
        assert!(point.severed, "{name}");
    }
    if point.severed {
        // The same scores for every image; no class has more than 1135 of the 10 000 test images.
        assert!(point.accuracy <= 0.1135, "{name}: {}", point.accuracy);
    }
    if let (Some(verdicts), Question::Sparsity(sweep)) = (point.verdicts, &config.question) {
        assert_eq!(Some(verdicts.all()), sweep.verification.as_ref().map(|v| v.images), "{name}");
    }
}

#[test]
fn records_are_whole_and_their_counts_are_those_asked_for() {
    for name in names() {
        let record = record(&name);
        assert_eq!(record.points.len(), record.config.points(), "{name}");
        assert!(record.config.seeds.len() >= 3, "{name}");
        record.points.iter().for_each(|point| check(&record.config, point));
        for row in &record.summary.rows {
            assert_eq!(row.runs, record.config.seeds.len(), "{name}, {}", row.series);
        }
    }
}

/// Accuracy of a series at the sparsity nearest to one that is named.
fn mean(record: &Record, series: &str, sparsity: f64) -> f64 {
    let rows = record.summary.rows.iter().filter(|row| row.series == series);
    let near = rows.min_by(|a, b| (a.sparsity - sparsity).abs().total_cmp(&(b.sparsity - sparsity).abs()));
    near.unwrap_or_else(|| panic!("no {series}")).accuracy.mean
}

#[test]
fn what_is_said_of_the_results_holds() {
    let tickets = record("lenet300_tickets");
    for sparsity in [0.9, 0.95, 0.98, 0.99] {
        let [ticket, other, random] =
            ["ticket", "reinitialised", "random mask"].map(|series| mean(&tickets, series, sparsity));
        assert!(ticket > other && other > random, "{sparsity}: {ticket} {other} {random}");
    }

    let robust = record("mlp64_robustness");
    for seed in &robust.config.seeds {
        let verified = |series: &str, sparsity: f64| {
            let at = |p: &&Point| p.seed == *seed && p.series == series && p.sparsity == sparsity;
            robust.points.iter().find(at).and_then(|p| p.verdicts).expect("verdicts").robust
        };
        let whole = verified("unpruned", 0.0);
        assert!(verified("taylor", 0.8) > whole && verified("wanda", 0.8) > whole, "seed {seed}");
        assert!(verified("magnitude", 0.8) < whole && verified("nystrom neuron", 0.8) < whole, "seed {seed}");
    }
    assert!(record("lenet300_weights").points.iter().all(|p| !p.severed));
    let neurons = record("lenet300_neurons");
    let last = |series: &str| neurons.summary.rows.iter().rfind(|row| row.series == series);
    for (series, severed) in
        [("l1 neuron", 3), ("l2 neuron", 3), ("taylor neuron", 3), ("wanda neuron", 3), ("nystrom neuron", 0)]
    {
        assert_eq!(last(series).expect("rows").severed, severed, "{series}");
    }

    let images = record("cifar_resnet");
    let at = |series: &str, sparsity: f64| mean(&images, series, sparsity);
    assert!((at("magnitude", 0.5) - at("unpruned", 0.0)).abs() < 0.01);
    assert!(["magnitude", "taylor"].iter().all(|series| at(series, 0.8) > at("random", 0.8) + 0.2));
    let early = ["synflow at-init", "snip at-init", "random at-init"];
    assert!(early.iter().all(|series| at(series, 0.95) > at("magnitude", 0.95)));
    assert!(images.points.iter().all(|p| !p.severed));

    let cut: Vec<(&str, f64)> =
        robust.points.iter().filter(|p| p.severed).map(|p| (p.series.as_str(), p.sparsity)).collect();
    assert_eq!(cut, [("l1 neuron", 0.98); 2]);
}

/// Twenty images of 28 × 28 that a line tells apart, as idx files (which may be packed, and are not here).
fn data(directory: &Path) {
    let mnist = directory.join("mnist");
    std::fs::create_dir_all(&mnist).expect("a directory");
    for (part, count) in [("train", 20_u8), ("t10k", 10)] {
        let mut images = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 28, 0, 0, 0, 28];
        let mut labels = vec![0, 0, 8, 1, 0, 0, 0, count];
        for image in 0..count {
            let label = image % 2;
            labels.push(label);
            images.extend((0..784_usize).map(|pixel| if (pixel < 392) == (label == 0) { 200 + image } else { image }));
        }
        std::fs::write(mnist.join(format!("{part}-images-idx3-ubyte.gz")), images).expect("written");
        std::fs::write(mnist.join(format!("{part}-labels-idx1-ubyte.gz")), labels).expect("written");
    }
}

const SWEEP: &str = r#"
title = "small"
network = "mlp:784-6-10"
data = "mnist"
training-images = 16
seeds = [1, 2]
threads = 1
[training]
epochs = 3
batch = 4
rate = 0.01
[question.sparsity]
methods = ["synflow at-init", "magnitude", "nystrom neuron"]
sparsities = [0.5, 0.9]
calibration = 8
[question.sparsity.fine-tuning]
epochs = 1
batch = 4
rate = 0.01
[question.sparsity.verification]
radius = "0.01"
images = 2
timeout = 60.0
"#;

const TICKETS: &str = r#"
title = "small"
network = "mlp:784-6-10"
data = "mnist"
seeds = [1]
threads = 1
[training]
epochs = 2
batch = 4
rate = 0.01
decay = "constant"
[question.tickets]
sparsity = 0.8
rounds = 2
rewind-epochs = 1
"#;

/// Stops before a measurement.
struct Impatient {
    left: AtomicUsize,
}

impl Watcher for Impatient {
    fn measuring(&self, _: usize, _: usize, _: &str) {
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    }

    fn stop(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_record() {
    let place = tempfile::tempdir().expect("a directory");
    data(place.path());
    for (name, text) in [("sweep", SWEEP), ("tickets", TICKETS)] {
        let path = place.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).expect("written");
        let out = |run: &str| place.path().join(format!("{name}-{run}"));
        let begin = |run: &str, watcher: &dyn Watcher| crate::run(&path, place.path(), &out(run), watcher);
        let whole = begin("whole", &Silent).expect("a record");
        assert_eq!(whole.points.len(), whole.config.points());
        whole.points.iter().filter(|p| p.series != "nystrom neuron").for_each(|p| assert!(!p.layers.is_empty()));
        let halted = begin("halves", &Impatient { left: 5.into() });
        let Err(PruningError::Stopped { done, all }) = halted else { panic!("{halted:?}") };
        assert!(0 < done && done < all && all == whole.config.points(), "{done} of {all}");
        let halves = begin("halves", &Silent).expect("a record");
        let timeless = |points: &[Point]| -> Vec<Point> {
            points.iter().map(|point| Point { seconds: 0.0, ..point.clone() }).collect()
        };
        assert_eq!(timeless(&halves.points), timeless(&whole.points), "{name}");
        for file in ["record.json", "table.md", "plot.svg"] {
            assert!(out("halves").join(file).exists(), "{name}: {file}");
        }
        assert_eq!(halves.points.iter().filter(|p| p.verdicts.is_some()).count(), if name == "sweep" { 14 } else { 0 });
    }
}
