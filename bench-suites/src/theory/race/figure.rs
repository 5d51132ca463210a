//! The figures of one race, and of all races of one kind.

use super::config::Config;
use super::measure::{Race, Setting, follow};
use super::reductions::{Kept, Ticket};
use crate::plot::Axes;
use crate::plot::bars::{Bars, bars};
use crate::plot::heat::{Colours, Heat, heat_maps};
use crate::plot::lines::{Line, Stroke, lines};
use crate::statistics::Interval;
use crate::theory::StudyError;
use secateur_theory::race::ticket::Choice;
use secateur_theory::race::{Assumption, Clusters, Moment, Neurons, Window};
use std::ops::ControlFlow::Continue;

/// Neurons whose amplitudes are drawn.
const DRAWN: usize = 5;
/// Points of a curve.
const POINTS: usize = 150;
/// Amplitudes are drawn for so many times the time in which the loss halves: afterwards they hardly change on a logarithmic scale.
const SPAN: f64 = 2.5;
/// The colour of closed forms.
const DARK: usize = 9;

/// A race that is run once more to be drawn; none where nothing can be drawn.
pub struct Shown {
    /// Cosines at the start, at half of the loss, and at the end; neurons cluster by cluster.
    pub cosines: Option<String>,
    /// Amplitudes with closed forms.
    pub amplitudes: Option<String>,
}

/// Curves; none if no point has a place.
fn curves(title: &str, axes: &Axes<'_>, curves: &[Line]) -> Result<Option<String>, StudyError> {
    let fits = |v: f64, log: bool| v.is_finite() && (!log || v > 0.0);
    let any = curves.iter().flat_map(|line| &line.points).any(|p| fits(p.x, axes.log_x) && fits(p.y, axes.log_y));
    Ok(if any { Some(lines(title, axes, curves)?) } else { None })
}

/// Runs a race once more and draws what is not in its record.
pub fn show(setting: &Setting<'_>, race: &Race) -> Result<Shown, StudyError> {
    let Setting { config, task, kind, seed } = *setting;
    let start = Neurons::start(task, config.width, kind.start, kind.norm, seed)?;
    let last = race.end.half.map_or(config.end(), |half| (SPAN * half).min(config.end()));
    let every = ((last / config.rate) as usize / POINTS).max(1);
    let mut windows: Vec<Option<Window>> = vec![None; config.overlays.len()];
    let mut predicted: Vec<Vec<Vec<(f64, f64)>>> = vec![vec![Vec::new(); config.width]; config.overlays.len()];
    let mut observed: Vec<(f64, Vec<f64>)> = Vec::new();
    let (mut step, mut middle) = (0_usize, None);
    let mut watch = |moment: &Moment<'_>| {
        for ((window, from), curves) in windows.iter_mut().zip(&config.overlays).zip(&mut predicted) {
            match window {
                Some(window) => window.update(moment),
                None if moment.time >= from - 0.5 * config.rate => {
                    *window = Some(Window::open(moment, Assumption { turn: config.turn }));
                }
                None => continue,
            }
            let Some(window) = window.as_ref().filter(|_| step.is_multiple_of(every) && moment.time <= last) else {
                continue;
            };
            for (alpha, curve) in curves.iter_mut().enumerate().filter(|(alpha, _)| window.holds(*alpha)) {
                let form = window.form(alpha);
                curve.extend(form.map(|form| (moment.time, form.amplitude_after(window.tau(alpha)))));
            }
        }
        if step.is_multiple_of(every) && moment.time <= last {
            observed.push((moment.time, moment.neurons.amplitudes()));
        }
        if middle.is_none() && race.end.half.is_some_and(|half| moment.time >= half - 0.5 * config.rate) {
            middle = Some(moment.neurons.cosines());
        }
        step += 1;
        Continue(())
    };
    let end = follow(setting, &start, &mut watch)?.neurons;
    let clusters = Clusters::new(&end, &end.cosines(), config.threshold)?;
    let order = clusters.order(&end.amplitudes());
    let sorted = |cosines: &[f64]| -> Vec<f64> {
        order.iter().flat_map(|a| order.iter().map(move |b| a * config.width + b)).map(|k| cosines[k]).collect()
    };
    let matrices = [("start", Some(start.cosines())), ("half of the loss", middle), ("end", Some(end.cosines()))];
    let mut maps = Vec::new();
    // Neurons so small that their products are 0 have no cosines.
    for (title, cosines) in matrices.into_iter().filter_map(|(title, cosines)| Some((title, cosines?))) {
        if cosines.iter().all(|cosine| cosine.is_finite()) {
            maps.push(Heat::new(title, config.width, config.width, &sorted(&cosines))?);
        }
    }
    let cosines = match maps.is_empty() {
        true => None,
        false => Some(heat_maps(&format!("Cosines of (w1, w2), {kind}"), Colours { low: -1.0, high: 1.0 }, &maps)?),
    };

    // From the winner to the last of the largest cluster, evenly.
    let cluster = &order[..clusters.largest().len()];
    let places = DRAWN.min(cluster.len());
    let mut paths = Vec::new();
    for place in 0..places {
        let rank = place * (cluster.len() - 1) / (places - 1).max(1);
        let alpha = cluster[rank];
        let path = observed.iter().map(|(time, amplitudes)| (*time, amplitudes[alpha]));
        paths.push(Line::new(format!("rank {}", rank + 1), path, Stroke::Solid).coloured(place));
        for (curves_of, from) in predicted.iter().zip(&config.overlays) {
            let mut line = Line::new(format!("closed form from {from}"), curves_of[alpha].clone(), Stroke::Dashed);
            line.colour = Some(DARK);
            // The key says it once.
            if place > 0 || *from != config.overlays[0] {
                line.label = String::new();
            }
            paths.push(line);
        }
    }
    paths.iter_mut().filter(|line| line.label.starts_with("closed")).for_each(|l| l.label = "closed form".to_owned());
    paths.retain(|line| !line.points.is_empty());
    let axes = Axes { x: "time", y: "amplitude", log_x: false, log_y: true };
    let amplitudes = curves(&format!("Amplitudes in the largest cluster, {kind}"), &axes, &paths)?;
    Ok(Shown { cosines, amplitudes })
}

/// Clusters, and flips between looks, against time.
pub fn clusters(race: &Race) -> Result<Option<String>, StudyError> {
    let looks = &race.looks;
    let flips = looks.windows(2).map(|pair| (pair[1].time, (pair[1].flips - pair[0].flips) as f64));
    let paths = [
        Line::new("clusters", looks.iter().map(|look| (look.time, look.clusters as f64)), Stroke::Solid),
        Line::new("largest", looks.iter().map(|look| (look.time, look.largest as f64)), Stroke::Solid),
        Line::new("flips", flips, Stroke::Points),
    ];
    let axes = Axes { x: "time", y: "number", log_x: true, log_y: true };
    curves(&format!("Clusters, and lasting flips between looks, {}", race.kind), &axes, &paths)
}

/// Rank correlations against time, a curve for every kind: the mean over seeds within the largest cluster.
pub fn ranks(config: &Config, races: &[Race]) -> Result<Option<String>, StudyError> {
    let mut paths = Vec::new();
    for (colour, kind) in config.kinds().iter().enumerate() {
        let mine: Vec<&Race> = races.iter().filter(|race| race.kind == *kind).collect();
        let mean = |look: usize| {
            let values: Vec<f64> = mine.iter().filter_map(|race| race.looks.get(look)?.within).collect();
            let time = mine.iter().find_map(|race| race.looks.get(look)).map(|look| look.time)?;
            Some((time, Interval::of(&values)?.mean))
        };
        let path: Vec<(f64, f64)> = (0..=config.looks).filter_map(mean).collect();
        if !path.is_empty() {
            paths.push(Line::new(kind.to_string(), path, Stroke::Solid).coloured(colour));
        }
    }
    let axes = Axes { x: "time", y: "rank correlation", log_x: true, log_y: false };
    curves("Alignment now with amplitude in the end, within the largest cluster", &axes, &paths)
}

/// Drives and loss against time.
pub fn drives(race: &Race) -> Result<Option<String>, StudyError> {
    let path = |value: fn(&super::Look) -> f64| race.looks.iter().map(move |look| (look.time, value(look)));
    let paths = [
        Line::new("|D|, winners", path(|look| look.winners), Stroke::Solid),
        Line::new("|D|, all", path(|look| look.strength), Stroke::Solid),
        Line::new("loss", path(|look| look.loss), Stroke::Dashed),
    ];
    let axes = Axes { x: "time", y: "mean", log_x: true, log_y: true };
    curves(&format!("Winners fit the residual, and drives shrink, {}", race.kind), &axes, &paths)
}

/// Loss against neurons that are kept, of one race: which clusters there are differs from race to race.
pub fn pruning(race: &Race) -> Result<Option<String>, StudyError> {
    let mut paths = Vec::new();
    for (index, kept) in Kept::ALL.iter().enumerate() {
        let path = race.pruned.iter().filter(|p| p.kept == *kept).map(|p| (p.neurons as f64, p.loss));
        let merged = index >= 3;
        let stroke = if merged { Stroke::Dashed } else { Stroke::Dotted };
        paths.push(Line::new(kept.to_string(), path, stroke).coloured(index % 3));
    }
    let axes = Axes { x: "neurons that are kept", y: "loss", log_x: true, log_y: false };
    curves(&format!("Pruning by amplitude, {}", race.kind), &axes, &paths)
}

/// Neurons that race alone, with 95 % intervals over seeds; none without tickets.
pub fn tickets(
    config: &Config,
    races: &[&Race],
    what: &str,
    value: fn(&Ticket) -> Option<f64>,
) -> Result<Option<String>, StudyError> {
    let Some(kind) = races.first().filter(|race| !race.tickets.is_empty()).map(|race| race.kind) else {
        return Ok(None);
    };
    let height = |choice: Choice, count: usize| {
        let mine = races.iter().flat_map(|race| &race.tickets).filter(|t| t.choice == choice && t.neurons == count);
        let interval = Interval::of(&mine.filter_map(value).collect::<Vec<f64>>())?;
        Some((interval.mean, interval.half.unwrap_or(0.0)))
    };
    let series = Choice::ALL.map(|choice| Bars {
        label: choice.to_string(),
        heights: config.tickets.iter().map(|count| height(choice, *count)).collect(),
    });
    if series.iter().all(|bars| bars.heights.iter().all(Option::is_none)) {
        return Ok(None);
    }
    let groups: Vec<String> = config.tickets.iter().map(|count| format!("{count} neurons")).collect();
    Ok(Some(bars(&format!("Chosen neurons that race alone, {kind}"), what, &groups, &series)?))
}
