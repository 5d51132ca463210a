//! The page of a study.

use super::Record;
use super::config::{Config, Integrator, Kind};
use super::data::{Pool, Source};
use super::figure;
use super::measure::{Race, Setting, median};
use crate::statistics::Interval;
use crate::theory::StudyError;
use crate::theory::report::Report;
use secateur_theory::race::ticket::Choice;
use secateur_theory::race::unlocking::{Test, tail};
use secateur_theory::race::{Loss, Start};

/// The page, with figures of the first race of every kind of descent where there are few kinds, else of the first kind.
///
/// # Errors
/// A figure that cannot be drawn.
pub fn report(record: &Record, pool: &Pool) -> Result<Report, StudyError> {
    let config = &record.config;
    let mut page = Report::new(config.title.clone());
    page.text(&format!(
        "{} neurons with one ReLU layer and no biases, {} samples of {} (classes {} and {}), centred and of mean norm 1, labels ±1, \
         full batch. Descent: {} steps of {}; flow: Tsitouras 5(4), relative tolerance {}, gates act at most {} late. Clusters: \
         cosines above {}. Seeds: {:?}; a seed draws the samples and the start.",
        config.width,
        config.samples,
        config.data,
        config.classes[0],
        config.classes[1],
        config.steps,
        config.rate,
        config.tolerance,
        config.window,
        config.threshold,
        config.seeds,
    ));
    page.text(
        "The paper (arXiv 2602.04832) has the phenomena, 300 neurons, 200 samples, the threshold .99 and the amplitude. Labels, losses, \
         starts, step size, duration and the definition of unlocking are this project's.",
    );
    endings(&mut page, record);
    independent(&mut page, record);
    races(&mut page, record);
    let mut kinds = config.kinds();
    kinds.retain(|kind| of(record, kind).next().is_some());
    if kinds.len() > 4 {
        kinds.truncate(2);
    }
    for (index, kind) in kinds.iter().enumerate() {
        let Some(race) = of(record, kind).next() else { continue };
        page.text(&format!("## {kind}, seed {}", race.seed));
        let task = pool.task(config.samples, race.seed)?;
        let shown = figure::show(&Setting { config, task: &task, kind: *kind, seed: race.seed }, race)?;
        let name = |what: &str| format!("{what}-{}", index + 1);
        let forms = format!(
            "From the winner to the last of the largest cluster. Closed forms are drawn while the drive has turned by less than {} rad \
             since they began.",
            config.turn
        );
        // A figure without a point is left out.
        for (what, svg, caption) in [
            ("cosines", shown.cosines, "Neurons cluster by cluster, in each from the winner down."),
            ("amplitudes", shown.amplitudes, forms.as_str()),
            ("clusters", figure::clusters(race)?, "Clusters count single neurons. A flip lasts if the gate stays."),
            ("drives", figure::drives(race)?, "Winners are the tenth with the greatest amplitudes."),
            ("pruning", figure::pruning(race)?, "Random: means over ten draws."),
        ] {
            if let Some(svg) = svg {
                page.figure(&name(what), svg, caption);
            }
        }
        let mine: Vec<&Race> = of(record, kind).collect();
        let caption = format!("Half of the neurons have each sign. Early alignment is read at time {}.", config.early);
        if let Some(svg) = figure::tickets(config, &mine, "loss", |ticket| Some(ticket.loss))? {
            page.figure(&name("tickets-loss"), svg, &caption);
        }
        if let Some(svg) = figure::tickets(config, &mine, "time of half of the loss", |ticket| ticket.half)? {
            page.figure(&name("tickets-half"), svg, &caption);
        }
    }
    if let Some(svg) = figure::ranks(config, &record.races)? {
        page.figure("ranks", svg, "Means over seeds.");
    }
    Ok(page)
}

fn of<'a>(record: &'a Record, kind: &Kind) -> impl Iterator<Item = &'a Race> {
    record.races.iter().filter(move |race| race.kind == *kind)
}

/// The mean over seeds with its interval, of the numbers that are finite.
fn mean(values: impl Iterator<Item = Option<f64>>, digits: usize) -> String {
    match Interval::of(&values.flatten().filter(|value| value.is_finite()).collect::<Vec<f64>>()) {
        None => "–".to_owned(),
        Some(Interval { mean, half: None }) => format!("{mean:.digits$}"),
        Some(Interval { mean, half: Some(half) }) => format!("{mean:.digits$} ± {half:.digits$}"),
    }
}

/// The middle value over seeds, and the ends.
fn range(values: impl Iterator<Item = f64>, scientific: bool) -> String {
    let mut sorted: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let show = |v: f64| if scientific { format!("{v:.1e}") } else { format!("{v}") };
    match (median(&sorted), sorted.first(), sorted.last()) {
        (Some(middle), Some(low), Some(high)) if low < high => {
            format!("{} ({} to {})", show(middle), show(*low), show(*high))
        }
        (Some(middle), ..) => show(middle),
        _ => "–".to_owned(),
    }
}

fn endings(page: &mut Report, record: &Record) {
    page.text("## How races end\n\nMeans ± half of the 95 % interval (Student's t), or medians with the least and the greatest.");
    let rows: Vec<Vec<String>> = record
        .config
        .kinds()
        .iter()
        .map(|kind| {
            let races = || of(record, kind);
            vec![
                kind.to_string(),
                mean(races().map(|race| Some(race.end.loss)), 4),
                mean(races().map(|race| Some(race.end.accuracy)), 3),
                range(races().map(|race| race.end.sizes.len() as f64), false),
                range(races().map(|race| race.end.sizes.first().copied().unwrap_or(0) as f64), false),
                range(races().map(|race| race.end.merging), true),
                range(races().map(|race| race.end.drift), true),
                range(races().map(|race| race.end.raw as f64), false),
                range(races().map(|race| race.end.flips as f64), false),
                range(races().map(|race| race.end.edges as f64), false),
                range(races().map(|race| race.end.lead as f64), false),
            ]
        })
        .collect();
    page.table(
        &[
            "race",
            "loss",
            "accuracy",
            "clusters",
            "largest",
            "merging, relative error",
            "drift of the conserved quantity",
            "flips",
            "lasting",
            "at an edge",
            "top of one sign",
        ],
        &rows,
    );
    page.text(
        "Drift: the greatest change of $\\|w_1\\|^2 - w_2^2$ over the greatest $\\|w_1\\|^2$. At an edge: gates that flow holds at \
         zero, or that descent flips again and again. Top of one sign: how many of the greatest amplitudes come before the first of the other sign.",
    );
}

/// A value for the digits that came from another program.
struct Independent {
    what: &'static str,
    loss: Loss,
    start: Start,
    norm: f64,
    value: f64,
    of: Value,
}

/// A number of a race.
type Value = fn(&Race) -> Option<f64>;

fn independent_values() -> Vec<Independent> {
    let row = |what, loss, start, norm, value, of| Independent { what, loss, start, norm, value, of };
    let count: Value = |race| Some(race.end.sizes.len() as f64);
    let largest: Value = |race| race.end.sizes.first().map(|size| *size as f64);
    let mut rows = Vec::new();
    for (loss, values) in
        [(Loss::Mse, [9.0, 149.0, 0.947, 0.991, 0.0019]), (Loss::Logistic, [3.0, 149.0, 0.948, 0.992, 1e-5])]
    {
        let of: [(&'static str, Value); 5] = [
            ("clusters", count),
            ("largest", largest),
            ("alignment at 0 with final a, largest cluster", |race| race.racing.start_within),
            ("its peak before half of the loss, largest cluster", |race| race.racing.peak_within),
            ("merging, relative error", |race| Some(race.end.merging)),
        ];
        rows.extend(
            of.into_iter().zip(values).map(|((what, of), value)| row(what, loss, Start::Equal, 1e-3, value, of)),
        );
    }
    rows.push(row("clusters", Loss::Mse, Start::Equal, 0.1, 300.0, count));
    let gaussian = |what, value, of| row(what, Loss::Mse, Start::Gaussian, 1e-3, value, of);
    rows.push(gaussian("a(0) with final a, largest cluster", 0.955, |race| race.racing.amplitude_within));
    rows.push(gaussian("alignment at 0 with final a, largest cluster", 0.171, |race| race.racing.start_within));
    rows
}

/// Independent values for threes against eights of the digits, beside what the seeds gave.
fn independent(page: &mut Report, record: &Record) {
    let Config { data, width, samples, threshold, .. } = record.config;
    if data != Source::Digits || (width, samples, threshold) != (300, 200, 0.99) {
        return;
    }
    let mut rows = Vec::new();
    for Independent { what, loss, start, norm, value, of } in independent_values() {
        let mine = record.races.iter().filter(|race| {
            let Kind { loss: l, start: s, norm: n, integrator } = race.kind;
            (l, s, n, integrator) == (loss, start, norm, Integrator::Descent)
        });
        let mut found: Vec<f64> = mine.filter_map(of).collect();
        found.sort_by(f64::total_cmp);
        let (Some(low), Some(middle), Some(high)) = (found.first(), median(&found), found.last()) else { continue };
        let inside = if (*low..=*high).contains(&value) { "within" } else { "outside" };
        let show = |v: f64| match v {
            _ if v != 0.0 && v.abs() < 0.01 => format!("{v:.1e}"),
            _ => format!("{v:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        };
        let kind = format!("{loss}, {start} start, σ {norm}");
        rows.push(vec![kind, what.to_owned(), show(value), show(*low), show(middle), show(*high), inside.to_owned()]);
    }
    if rows.is_empty() {
        return;
    }
    page.text(
        "## Independent values\n\nFrom another program, with samples, start and duration that are not known; beside them what the seeds gave here.",
    );
    page.table(&["race", "what", "value", "least", "median", "greatest", ""], &rows);
}

fn races(page: &mut Report, record: &Record) {
    page.text("## Racing: rank correlations with the amplitude in the end");
    let rows: Vec<Vec<String>> = record
        .config
        .kinds()
        .iter()
        .map(|kind| {
            let value = |value: fn(&Race) -> Option<f64>| mean(of(record, kind).map(value), 3);
            vec![
                kind.to_string(),
                value(|race| race.racing.start_all),
                value(|race| race.racing.peak_all),
                value(|race| race.racing.start_within),
                value(|race| race.racing.peak_within),
                value(|race| race.racing.amplitude_all),
                value(|race| race.racing.amplitude_within),
                value(|race| race.racing.partial_all),
                value(|race| race.racing.partial_within),
                value(|race| Some(race.end.winners)),
            ]
        })
        .collect();
    page.table(
        &[
            "race",
            "alignment at 0",
            "its peak before half of the loss",
            "at 0, largest cluster",
            "peak, largest cluster",
            "a(0)",
            "a(0), largest cluster",
            "alignment at 0 given a(0)",
            "the same, largest cluster",
            "amplitude of a tenth",
        ],
        &rows,
    );
    page.text("## Closed forms\n\nFrom the given time, while the drive of a neuron keeps its direction.");
    let mut rows = Vec::new();
    for kind in record.config.kinds() {
        for from in &record.config.overlays {
            let mine = || of(record, &kind).flat_map(|race| &race.overlays).filter(|overlay| overlay.from == *from);
            rows.push(vec![
                kind.to_string(),
                from.to_string(),
                mean(mine().map(|o| o.until), 1),
                mean(mine().map(|o| Some(o.holding)), 2),
                range(mine().filter_map(|o| o.worst), true),
                mean(mine().map(|o| o.amplitude), 4),
                mean(mine().map(|o| o.spread), 3),
                mean(mine().map(|o| o.late), 3),
                mean(mine().map(|o| o.rank), 3),
            ]);
        }
    }
    page.table(
        &[
            "race",
            "from",
            "median end",
            "holding at half of the loss",
            "worst deviation / bound",
            "deviation of ln a at the end",
            "spread of ln a",
            "left after the late ratio",
            "rank correlation",
        ],
        &rows,
    );
    page.text(
        "The last three columns are about the largest cluster when the loss has halved: the deviation of $\\ln a$ around its mean, the \
         same after $\\ln a_0 + 4 \\ln \\cos(\\delta_0 / 2)$ is taken off, and the rank correlation of the two. The bound \
         $\\varepsilon (e^\\tau - 1)$ on angles is one of gradient flow; descent adds the error of its steps.",
    );
    page.text(
        "## Unlocking: do clusters split along flips?\n\nOf every cluster that splits after the loss has halved: by how much the samples differ that \
         those that leave and those that stay have gained or lost, $T = \\sum_s |p_s - p'_s|$, in the time before. Two nulls: the same neurons before other \
         times, and other ways to divide the same cluster. p: of so many splits above the median, and of so many in the highest twentieth.",
    );
    let mut rows = Vec::new();
    for kind in record.config.kinds() {
        let tests: Vec<Test> = of(record, &kind).filter_map(|race| race.unlocking).collect();
        let sum = |value: fn(&Test) -> usize| tests.iter().map(value).sum::<usize>();
        let (splits, above, apart) = (sum(|t| t.splits), sum(|t| t.above), sum(|t| t.apart));
        let weighted = |value: fn(&Test) -> f64| {
            tests.iter().map(|test| test.splits as f64 * value(test)).sum::<f64>() / splits as f64
        };
        if splits > 0 {
            rows.push(vec![
                kind.to_string(),
                splits.to_string(),
                format!("{:.2}", weighted(|t| t.observed)),
                format!("{:.2}", weighted(|t| t.other_times)),
                format!("{above} above, p = {:.1e}", tail(above, splits, 0.5)),
                format!("{:.2}", weighted(|t| t.other_parts)),
                format!("{apart} highest, p = {:.1e}", tail(apart, splits, 0.05)),
            ]);
        }
    }
    page.table(&["race", "splits", "T", "before other times", "", "other parts", ""], &rows);
    if record.config.integrators.contains(&Integrator::Descent) {
        page.text("## Tickets\n\nNeurons put back to their start that race alone, half of each sign.");
        let mut rows = Vec::new();
        for kind in record.config.kinds().iter().filter(|kind| kind.integrator == Integrator::Descent) {
            for count in &record.config.tickets {
                for choice in Choice::ALL {
                    let mine = || {
                        let all = of(record, kind).flat_map(|race| &race.tickets);
                        all.filter(|ticket| ticket.choice == choice && ticket.neurons == *count)
                    };
                    rows.push(vec![
                        kind.to_string(),
                        count.to_string(),
                        choice.to_string(),
                        mean(mine().map(|t| Some(t.loss)), 4),
                        mean(mine().map(|t| Some(t.accuracy)), 3),
                        mean(mine().map(|t| t.half), 1),
                    ]);
                }
            }
        }
        page.table(&["race", "neurons", "chosen by", "loss", "accuracy", "half of the loss at"], &rows);
    }
}
