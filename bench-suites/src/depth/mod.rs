//! Methods that make language models smaller, compared: perplexity, parameters, bytes, speed.
//!
//! | step | file |
//! |---|---|
//! | what is to be compared: a TOML file | [`Config`] in `config.rs` |
//! | the model, its texts, one measurement | `measure.rs` |
//! | rows of the table: means over seeds | [`Row`] in `rows.rs` |
//! | the page and its figures | `page.rs` |

mod config;
mod measure;
mod page;
mod rows;

pub use config::{Config, Variant};
pub use measure::Measured;
pub use rows::{Row, rows};
pub use secateur_prune::depth::Speed;

use crate::journal::{self, Journal, JournalError};
use crate::theory::StudyError;
use crate::watcher::Watcher;
use measure::Subject;
use secateur_prune::PruneError;
use secateur_prune::depth::{Progress, Settings, Similarity, compress};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A comparison: its configuration, its measurements, and what the original is like.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The program's version.
    pub version: String,
    /// What was asked.
    pub config: Config,
    /// A number of the model, of its texts and of the program's version, equal only where these are.
    pub fingerprint: String,
    /// Threads that speed was measured with.
    pub threads: usize,
    /// Blocks of the original.
    pub blocks: usize,
    /// Its tokens.
    pub vocab: usize,
    /// The token before every window and sequence.
    pub bos: Option<u32>,
    /// Cosines between its streams on the calibration tokens of the first seed: (blocks + 1)², row by row.
    pub cosines: Vec<f64>,
    /// The original first, then every method, size and seed.
    pub measured: Vec<Measured>,
}

/// What measurements belong to.
#[derive(Serialize)]
struct Origin<'a> {
    config: &'a Config,
    fingerprint: &'a str,
}

/// Steps within a measurement, as a watcher of measurements hears of them.
struct Within<'a> {
    watcher: &'a dyn Watcher,
    number: usize,
    all: usize,
    what: String,
}

impl Progress for Within<'_> {
    fn step(&self, number: usize, all: usize, what: &str) {
        let what = format!("{}: {what}, {number} of {all}", self.what);
        self.watcher.measuring(self.number, self.all, &what);
    }

    fn stop(&self) -> bool {
        self.watcher.stop()
    }
}

/// Runs the comparison of a configuration file into a directory; its page in Markdown.
///
/// # Errors
/// See [`StudyError`].
pub fn study(path: &Path, directory: &Path, watcher: &dyn Watcher) -> Result<String, StudyError> {
    let base = path.parent().unwrap_or(Path::new(""));
    run(&Config::read(path)?, base, directory, watcher)?;
    let page = directory.join("report.md");
    std::fs::read_to_string(&page).map_err(|source| StudyError::Io { path: page, source })
}

/// Runs a comparison; writes `measurements.jsonl`, `record.json`, and the page with its figures into a directory.
/// Measurements that are there already are not made again; they must be of the same configuration, model and texts.
/// Paths of the configuration begin at `base`.
///
/// # Errors
/// See [`StudyError`].
pub fn run(config: &Config, base: &Path, directory: &Path, watcher: &dyn Watcher) -> Result<Record, StudyError> {
    let subject = Subject::load(config, base)?;
    let fingerprint = subject.fingerprint();
    let (mut journal, mut measured) =
        Journal::open::<Measured>(directory, &Origin { config, fingerprint: &fingerprint })?;
    let jobs = jobs(config);
    let all = jobs.len() + 1;
    let within = |number, what: &str| Within { watcher, number, all, what: what.to_owned() };
    if measured.is_empty() {
        watcher.measuring(0, all, "original");
        let progress = within(0, "original");
        let original = subject.measure(&subject.model, "original", config.seeds[0], directory, &progress);
        let original = original.map_err(|error| stopped(error, 0, all))?;
        if !original.perplexity.is_finite() {
            return Err(PruneError::Perplexity { removed: Vec::new() }.into());
        }
        journal.append(&original)?;
        measured.push(original);
    }
    for (variant, blocks, seed) in jobs {
        let same = |m: &&Measured| (m.label.as_str(), m.asked, m.seed) == (variant.label(), blocks, seed);
        if measured.iter().skip(1).any(|m| same(&m)) {
            continue;
        }
        let done = measured.len();
        if watcher.stop() {
            return Err(StudyError::Stopped { done, all });
        }
        let what = format!("{} to {blocks} blocks, seed {seed}", variant.label());
        watcher.measuring(done, all, &what);
        let found = one(&subject, config, (variant, blocks, seed), directory, &within(done, &what));
        let found = found.map_err(|error| stopped(error, done, all))?;
        journal.append(&found)?;
        measured.push(found);
    }
    let progress = within(all, "original");
    let similarity = Similarity::measure(&subject.model, &subject.sequences(config, config.seeds[0])?, &progress);
    let similarity = similarity.map_err(|error| stopped(error.into(), all, all))?;
    let blocks = similarity.blocks();
    let cosines = (0..(blocks + 1).pow(2)).map(|at| similarity.at(at / (blocks + 1), at % (blocks + 1))).collect();
    let (version, threads) = (env!("CARGO_PKG_VERSION").to_owned(), measure::threads());
    let (vocab, bos) = (subject.model.config.vocab, subject.bos);
    let record =
        Record { version, config: config.clone(), fingerprint, threads, blocks, vocab, bos, cosines, measured };
    let text = serde_json::to_string(&record).map_err(JournalError::Json)?;
    journal::write(&directory.join("record.json"), &text)?;
    page::report(&record)?.write(directory)?;
    Ok(record)
}

/// One method at one size with one seed.
fn one(
    subject: &Subject,
    config: &Config,
    (variant, blocks, seed): (&Variant, usize, u64),
    directory: &Path,
    progress: &dyn Progress,
) -> Result<Measured, StudyError> {
    let settings = Settings { method: variant.name, blocks, params: variant.params(), seed, recover: variant.recover };
    let sequences = subject.sequences(config, seed)?;
    let begin = std::time::Instant::now();
    let small = compress(&subject.model, &sequences, &settings, progress)?;
    let seconds = begin.elapsed().as_secs_f64();
    let found = subject.measure(&small.model, variant.label(), seed, directory, progress)?;
    Ok(Measured { asked: blocks, seconds, ..found })
}

/// A run that was stopped within a measurement keeps those before it.
fn stopped(error: StudyError, done: usize, all: usize) -> StudyError {
    if matches!(error, StudyError::Prune(PruneError::Stopped)) { StudyError::Stopped { done, all } } else { error }
}

/// Every method with every size and seed; what looks at neither text nor chance, with one seed.
fn jobs(config: &Config) -> Vec<(&Variant, usize, u64)> {
    use secateur_prune::depth::Method::Magnitude;
    let mut jobs = Vec::new();
    for (variant, blocks) in config.methods.iter().flat_map(|v| config.blocks.iter().map(move |blocks| (v, *blocks))) {
        let seeds = if variant.name == Magnitude { &config.seeds[..1] } else { &config.seeds };
        jobs.extend(seeds.iter().map(|seed| (variant, blocks, *seed)));
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::tests::model;
    use crate::watcher::Silent;
    use secateur_nn::lm::{Config as Sizes, Model};
    use secateur_nn::safetensors::Dtype;
    use secateur_prune::depth::Method;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A small model and a text in files; a configuration with these lines in front of its methods.
    fn example(place: &Path, lines: &str, methods: &[Method]) -> PathBuf {
        model(4).save(&place.join("model"), Dtype::F32).expect("written");
        std::fs::write(place.join("text.txt"), "What is smaller, and says the same? ".repeat(40)).expect("written");
        let methods: Vec<String> = methods.iter().map(|m| format!("[[method]]\nname = \"{m}\"\n")).collect();
        let text = format!(
            "title = \"Test\"\nmodel = \"model\"\ntext = \"text.txt\"\ntokenizer = \"bytes\"\n{lines}\n{}",
            methods.concat()
        );
        let path = place.join("study.toml");
        std::fs::write(&path, text).expect("written");
        path
    }

    /// Usual lines.
    const LINES: &str = "context = 32\nsequences = 3\nlength = 24\nblocks = [3, 2]\nseeds = [1, 2]";

    #[test]
    fn a_study_runs_once_and_goes_on() {
        let place = tempfile::tempdir().expect("a directory");
        let path = example(place.path(), LINES, &Method::ALL);
        let out = place.path().join("out");
        let page = study(&path, &out, &Silent).expect("a study");
        let record: Record =
            serde_json::from_slice(&std::fs::read(out.join("record.json")).expect("a record")).expect("JSON");
        // Magnitude looks at no text.
        assert_eq!(record.measured.len(), 1 + 7 * 2 * 2 + 2);
        assert_eq!((record.blocks, record.cosines.len()), (4, 25));
        let original = &record.measured[0];
        let depth = |m: &&Measured| m.label == "flatten" && m.asked == 3;
        for found in record.measured.iter().filter(depth) {
            assert!(found.parameters < original.parameters && found.bytes < original.bytes && found.blocks == 3);
            assert!(found.perplexity.is_finite() && found.speed.decode > 0.0 && found.speed.prefill > 0.0);
        }
        let table = rows(&record);
        assert_eq!(table.len(), 1 + 8 * 2);
        assert!(page.contains("| flatten |") && page.contains("| original |"), "{page}");
        let again = study(&path, &out, &Silent).expect("nothing left to do");
        assert_eq!(again, page);
    }

    #[test]
    fn another_model_or_text_is_another_study() {
        let place = tempfile::tempdir().expect("a directory");
        let lines = LINES.replace("[3, 2]", "[3]").replace("[1, 2]", "[1]");
        let path = example(place.path(), &lines, &[Method::Random]);
        let out = place.path().join("out");
        study(&path, &out, &Silent).expect("a study");
        let refused = |what: &str| {
            let found = study(&path, &out, &Silent).expect_err(what).to_string();
            assert!(found.contains("another configuration"), "{what}: {found}");
        };
        let text = std::fs::read_to_string(place.path().join("text.txt")).expect("a text");
        std::fs::write(place.path().join("text.txt"), text.replacen("smaller", "shorter", 1)).expect("written");
        refused("calibration");
        std::fs::write(place.path().join("text.txt"), &text).expect("written");
        study(&path, &out, &Silent).expect("the same again");
        std::fs::remove_dir_all(place.path().join("model")).expect("removed");
        model(5).save(&place.path().join("model"), Dtype::F32).expect("written");
        refused("weights");
        let other = Model { config: Sizes { epsilon: 1e-6, ..model(4).config }, ..model(4) };
        std::fs::remove_dir_all(place.path().join("model")).expect("removed");
        other.save(&place.path().join("model"), Dtype::F32).expect("written");
        refused("epsilon");
    }

    #[test]
    fn what_is_longer_than_the_context_is_refused() {
        let place = tempfile::tempdir().expect("a directory");
        for (from, to) in [("length = 24", "length = 65"), ("context = 32", "context = 65")] {
            let path = example(place.path(), &LINES.replace(from, to), &[Method::Random]);
            let found = study(&path, &place.path().join("out"), &Silent).expect_err("refused").to_string();
            assert_eq!(found, "65 tokens: the model takes 64");
            std::fs::remove_dir_all(place.path().join("model")).expect("removed");
        }
        assert!(!place.path().join("out").exists());
    }

    #[test]
    fn originals_that_do_not_predict_are_refused() {
        let place = tempfile::tempdir().expect("a directory");
        let path = example(place.path(), LINES, &[Method::Sleb]);
        let mut broken = model(4);
        broken.blocks[2].down.data_mut().fill(f32::MAX);
        std::fs::remove_dir_all(place.path().join("model")).expect("removed");
        broken.save(&place.path().join("model"), Dtype::F32).expect("written");
        let found = study(&path, &place.path().join("out"), &Silent).expect_err("refused").to_string();
        assert!(found.contains("perplexity of the whole model"), "{found}");
    }

    /// Stops when it hears a step.
    struct Impatient(&'static str, AtomicBool);

    impl Watcher for Impatient {
        fn measuring(&self, _: usize, _: usize, what: &str) {
            if what.contains(self.0) {
                self.1.store(true, Ordering::Relaxed);
            }
        }

        fn stop(&self) -> bool {
            self.1.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn measurements_stop_within() {
        let place = tempfile::tempdir().expect("a directory");
        let path = example(place.path(), LINES, &[Method::Sleb]);
        let out = place.path().join("out");
        for (step, done) in [("original: windows, 0", 0), ("original: runs", 0), ("seed 1: blocks, one by one", 1)] {
            let found = study(&path, &out, &Impatient(step, AtomicBool::new(false))).expect_err("stopped");
            assert!(matches!(found, StudyError::Stopped { done: kept, all: 5 } if kept == done), "{step}: {found}");
        }
        let left = std::fs::read_dir(&out).expect("a directory").flatten().map(|entry| entry.file_name());
        assert!(left.into_iter().all(|name| name == "config.json" || name == "measurements.jsonl"));
    }
}
