//! The page of a study.

use super::concepts::Concept;
use super::methods::{Choice, Method};
use super::pairs::Pairs;
use super::{Quality, Record};
use crate::plot::bars::{Bars, bars};
use crate::plot::heat::{Colours, Heat, heat_maps};
use crate::plot::lines::{Line, Stroke, lines};
use crate::plot::{Axes, Series, scatter};
use crate::statistics::Interval;
use crate::theory::StudyError;
use crate::theory::report::Report;
use secateur_prune::layer_game::masks;

pub(super) fn report(record: &Record) -> Result<Report, StudyError> {
    let mut page = Report::new(&record.config.title);
    page.text(&setting(record));
    removals(&mut page, record)?;
    values(&mut page, record)?;
    if let Some(pairs) = &record.pairs {
        interactions(&mut page, record, pairs)?;
    }
    surrogate(&mut page, record)?;
    evaluations(&mut page, record);
    Ok(page)
}

fn short(value: f64) -> String {
    format!("{value:.4}")
}

/// Perplexities reach from 1 to astronomy.
fn perplexity(value: f64) -> String {
    if value < 1e4 { format!("{value:.2}") } else { format!("{value:.1e}") }
}

fn or_none(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), short)
}

fn list(numbers: &[usize]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn setting(record: &Record) -> String {
    let Record { config, players, blocks, parameters, targets, whole, .. } = record;
    let may =
        if players.len() == *blocks { "any of them may go".to_owned() } else { format!("{} may go", list(players)) };
    format!(
        "{}: {blocks} blocks, {parameters} numbers; {may}. Masks are measured on {} sequences of {} tokens ({} predictions), and what methods leave on \
         {} held-out sequences ({} predictions). The whole model has perplexity {} there and {} here. A set of kept blocks is worth \
         $s = \\operatorname{{PPL}}(\\text{{all}}) / \\operatorname{{PPL}}(m)$; without any block that may go the perplexity is {}. Fingerprint of weights \
         and sequences: `{}`.",
        config.model.display(),
        config.sequences,
        config.length,
        targets[0],
        config.held_out_sequences,
        targets[1],
        perplexity(whole[0]),
        perplexity(whole[1]),
        record.bare.map_or_else(|| "not finite".to_owned(), perplexity),
        record.fingerprint,
    )
}

/// What is left by number of removed blocks, with intervals over seeds.
fn cell(method: &Method, place: usize, of: fn(&Choice) -> Option<f64>) -> String {
    let choices: Vec<&Choice> = method.choices.iter().filter_map(|draw| draw[place].as_ref()).collect();
    let finite: Vec<f64> = choices.iter().filter_map(|choice| of(choice)).collect();
    match Interval::of(&finite) {
        _ if choices.is_empty() => "".to_owned(),
        _ if finite.len() < choices.len() => "not finite".to_owned(),
        Some(Interval { mean, half: Some(half) }) => format!("{} ± {}", perplexity(mean), perplexity(half)),
        Some(Interval { mean, half: None }) => perplexity(mean),
        None => "".to_owned(),
    }
}

fn removals(page: &mut Report, record: &Record) -> Result<(), StudyError> {
    let config = &record.config;
    let heads: Vec<String> = config.removed.iter().map(|count| format!("{count} removed")).collect();
    let mut header = vec!["method", "masks"];
    header.extend(heads.iter().map(String::as_str));
    let rows = |of: fn(&Choice) -> Option<f64>| -> Vec<Vec<String>> {
        let row = |method: &Method| {
            let cells = (0..config.removed.len()).map(|place| cell(method, place, of));
            [method.name.clone(), method.masks.to_string()].into_iter().chain(cells).collect()
        };
        record.methods.iter().map(row).collect()
    };
    page.text(
        "## What is left\n\nPerplexity on held-out text, and how many masks a method measures before it chooses. Where a method depends on seeds, the mean over \
         them with its 95 % interval.",
    );
    page.table(&header, &rows(|choice| choice.held_out));
    page.text("The same on the measured sequences, which the methods saw:");
    page.table(&header, &rows(|choice| choice.measured));
    let mean = |method: &Method, place: usize| {
        let found: Vec<f64> = method.choices.iter().filter_map(|draw| draw[place].as_ref()?.held_out).collect();
        Interval::of(&found).map(|interval| (config.removed[place] as f64, interval.mean))
    };
    let line = |method: &Method| {
        let points = (0..config.removed.len()).filter_map(|place| mean(method, place));
        Line::new(&method.name, points, Stroke::Dotted)
    };
    // Variants of the same values would hide the others.
    let variant =
        |method: &&Method| ["surrogate", "stratified", "kernel"].iter().any(|what| method.name.contains(what));
    let curves: Vec<Line> = record.methods.iter().filter(|method| !variant(method)).map(line).collect();
    let heights = || record.methods.iter().flat_map(|m| (0..config.removed.len()).filter_map(|at| mean(m, at)));
    let (low, high) = heights().fold((f64::INFINITY, 0.0), |(low, high), (_, y)| (y.min(low), y.max(high)));
    let axes = Axes { x: "removed blocks", y: "held-out perplexity", log_x: false, log_y: high > 10.0 * low };
    page.figure(
        "removals",
        lines("Perplexity", &axes, &curves)?,
        "What methods leave, by the number of removed blocks.",
    );
    page.text("The removed blocks, of the first seed, and how many sets of as many blocks leave less where all were measured:");
    let row = |method: &Method| {
        let cells = method.choices[0].iter().map(|choice| match choice {
            None => String::new(),
            Some(Choice { removed, better: None, .. }) => list(removed),
            Some(Choice { removed, better: Some(better), .. }) => format!("{} ({better})", list(removed)),
        });
        [method.name.clone(), String::new()].into_iter().chain(cells).collect()
    };
    header[1] = "";
    page.table(&header, &record.methods.iter().map(row).collect::<Vec<Vec<String>>>());
    Ok(())
}

fn values(page: &mut Report, record: &Record) -> Result<(), StudyError> {
    page.text(
        "## What blocks are worth\n\nThe paper's estimate averages what a block adds to base masks of the strata alone: a restricted semivalue, and not the \
         Shapley value, of which the exact one or samples stand beside it. Intervals of 95 % are of the bootstrap: over base masks for the paper's, which \
         says nothing of its surrogate's error, and over units for sampled Shapley values.",
    );
    let mut header = vec!["block"];
    header.extend(record.concepts.iter().map(|concept| concept.name.as_str()));
    let entry = |concept: &Concept, player: usize| {
        let interval = concept.intervals.as_ref().map(|ends| ends[player]);
        let ends = interval.map_or_else(String::new, |[low, high]| format!(" [{}, {}]", short(low), short(high)));
        short(concept.values[player]) + &ends
    };
    let row = |(player, block): (usize, &usize)| {
        let cells = record.concepts.iter().map(|concept| entry(concept, player));
        [block.to_string()].into_iter().chain(cells).collect()
    };
    page.table(&header, &record.players.iter().enumerate().map(row).collect::<Vec<Vec<String>>>());
    if let Some(reference) = &record.reference {
        page.text(&format!("Agreement of orders with {reference}, by Spearman's $\\rho$:"));
        let compared = record.concepts.iter().filter(|concept| concept.name != *reference);
        let rows: Vec<Vec<String>> =
            compared.map(|concept| vec![concept.name.clone(), or_none(concept.agreement)]).collect();
        page.table(&["concept", "agreement"], &rows);
    }
    let games = record.concepts.iter().filter(|c| c.name.starts_with("paper") || c.name.starts_with("Shapley"));
    let series: Vec<Bars> = games
        .map(|concept| {
            let half = |player: usize| concept.intervals.as_ref().map_or(0.0, |i| 0.5 * (i[player][1] - i[player][0]));
            let heights = concept.values.iter().enumerate().map(|(player, value)| Some((*value, half(player))));
            Bars { label: concept.name.clone(), heights: heights.collect() }
        })
        .collect();
    let groups: Vec<String> = record.players.iter().map(ToString::to_string).collect();
    page.figure(
        "values",
        bars("What blocks add", "share of 1 / perplexity", &groups, &series)?,
        "What each block adds, by concept.",
    );
    Ok(())
}

fn interactions(page: &mut Report, record: &Record, pairs: &Pairs) -> Result<(), StudyError> {
    let n = record.players.len();
    let beyond = |place: usize| {
        let (a, b) = (place / n, place % n);
        if a == b { 0.0 } else { pairs.together[place] - pairs.alone[a] - pairs.alone[b] }
    };
    let beyond: Vec<f64> = (0..n * n).map(beyond).collect();
    let named = |([a, b], loss): ([usize; 2], f64)| format!("{a} and {b} ($1 - s$ = {})", short(loss));
    page.text(&format!(
        "## Pairs\n\nThe two blocks that lose least alone are {}; the two that lose least together are {}. Colours show what two blocks lose together beyond \
         what each loses alone: above 0 one stands in for the other.",
        named(pairs.least_alone),
        named(pairs.least_together),
    ));
    let (low, high) = beyond.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    if high > low {
        let map = Heat::new("together − alone", n, n, &beyond)?;
        page.figure(
            "pairs",
            heat_maps("Losses of pairs", Colours { low, high }, &[map])?,
            "Rows and columns are blocks.",
        );
    }
    Ok(())
}

fn surrogate(page: &mut Report, record: &Record) -> Result<(), StudyError> {
    let n = record.players.len();
    let strata = masks::equal(n, &record.strata, record.config.masks.samples);
    let counts: Vec<String> = strata.iter().map(|stratum| format!("{} ({})", stratum.kept, stratum.count)).collect();
    page.text(&format!(
        "## The surrogate\n\nFitted to masks that keep (how many of them) {} of {n} blocks; a share of {} is held out. {} epochs of steps over {} masks.",
        counts.join(", "),
        record.config.surrogate.held_out,
        record.config.surrogate.epochs,
        record.config.surrogate.batch,
    ));
    let cells = |name: String, quality: &Quality| {
        let Quality { masks, r_squared, spearman, error } = quality;
        vec![name, masks.to_string(), or_none(*r_squared), or_none(*spearman), or_none(*error)]
    };
    let fits = record.surrogates.iter().flat_map(|fit| {
        let named = |what: &str| format!("seed {}, {what}", fit.seed);
        [cells(named("fitted"), &fit.fitted), cells(named("held out"), &fit.held_out)]
    });
    let header = ["masks", "number", "R²", "Spearman", "root mean square error"];
    page.table(&header, &fits.collect::<Vec<_>>());
    if !record.truths.is_empty() {
        page.text("Its true error, on masks of which all were measured (first seed):");
        let rows = record.truths.iter().map(|truth| cells(truth.masks.clone(), &truth.quality));
        page.table(&header, &rows.collect::<Vec<_>>());
    }
    if !record.held_out.is_empty() {
        let axes = Axes { x: "measured (%)", y: "predicted (%)", log_x: false, log_y: false };
        let points = record.held_out.iter().map(|(value, said)| (100.0 * value, 100.0 * said)).collect();
        let ends = record.held_out.iter().map(|(value, _)| 100.0 * value);
        let diagonal = ends.map(|value| (value, value)).collect();
        let series =
            [Series { label: "masks".to_owned(), points }, Series { label: "exact".to_owned(), points: diagonal }];
        page.figure(
            "surrogate",
            scatter("Held-out masks", &axes, &series)?,
            "What held-out masks are worth, and what the surrogate says.",
        );
    }
    Ok(())
}

fn evaluations(page: &mut Report, record: &Record) {
    let (done, saved) = (record.work.done, record.work.saved);
    let all = done + saved;
    page.text(&format!(
        "## Evaluations\n\n{} masks were measured, {} of them dropped because their perplexity is not finite. From nothing they would take {all} evaluations of \
         blocks over all sequences; streams of neighbours saved {saved} of them ({:.1} %).",
        record.masks,
        record.dropped,
        100.0 * saved as f64 / all.max(1) as f64,
    ));
}
