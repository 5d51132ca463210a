//! What is left after merging and pruning, and who wins alone.

use super::config::Integrator;
use super::measure::{Setting, follow};
use crate::theory::StudyError;
use crate::watcher::Watcher;
use secateur_linalg::random::Random;
use secateur_theory::race::reduce::{Order, keep, merge};
use secateur_theory::race::ticket::{Choice, choose};
use secateur_theory::race::{Clusters, Drive, Loss, Moment, Neurons, Task};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::ControlFlow::{Break, Continue};

/// Draws of a random order.
const DRAWS: u64 = 10;
/// The streams of a seed that draw, apart from those of weights and samples.
const PRUNING: u64 = 1 << 20;
const TICKETS: u64 = 1 << 21;

/// Which neurons are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// Those of greatest amplitude.
    Top,
    /// Any: means over ten draws.
    Random,
    /// Those of least amplitude.
    Bottom,
    /// After merging, those of greatest amplitude.
    MergedTop,
    /// After merging, any.
    MergedRandom,
    /// After merging, those of least amplitude.
    MergedBottom,
}

impl Kept {
    /// All, in the order of tables.
    pub const ALL: [Kept; 6] =
        [Kept::Top, Kept::Random, Kept::Bottom, Kept::MergedTop, Kept::MergedRandom, Kept::MergedBottom];
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kept::Top => "top",
            Kept::Random => "random",
            Kept::Bottom => "bottom",
            Kept::MergedTop => "merged, top",
            Kept::MergedRandom => "merged, random",
            Kept::MergedBottom => "merged, bottom",
        })
    }
}

/// A pruned network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pruned {
    /// Which neurons are kept.
    pub kept: Kept,
    /// How many.
    pub neurons: usize,
    /// The mean loss.
    pub loss: f64,
    /// The share of samples on the right side of 0.
    pub accuracy: f64,
}

/// A race of some neurons alone, from their start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// By what they were chosen.
    pub choice: Choice,
    /// How many.
    pub neurons: usize,
    /// The loss in the end.
    pub loss: f64,
    /// The share of samples on the right side of 0 in the end.
    pub accuracy: f64,
    /// When the loss had halved.
    pub half: Option<f64>,
}

/// $\|f' - f\| / \|f\|$ on the samples, with $f'$ after merging; 0 where both are 0.
pub fn merging_error(task: &Task, loss: Loss, neurons: &Neurons, clusters: &Clusters) -> f64 {
    let (before, after) = (evaluate(task, loss, neurons), evaluate(task, loss, &merge(neurons, clusters)));
    let pairs = || before.outputs().iter().zip(after.outputs());
    let difference: f64 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
    if pairs().all(|(a, b)| *a == 0.0 && *b == 0.0) {
        return 0.0;
    }
    (difference / pairs().map(|(a, _)| a * a).sum::<f64>()).sqrt()
}

fn evaluate(task: &Task, loss: Loss, neurons: &Neurons) -> Drive {
    let mut drive = Drive::new(task, neurons.width());
    drive.evaluate(task, loss, neurons);
    drive
}

/// Loss and accuracy with fewer and fewer neurons, merged and not.
pub fn pruned(task: &Task, loss: Loss, neurons: &Neurons, clusters: &Clusters, seed: u64) -> Vec<Pruned> {
    let merged = merge(neurons, clusters);
    let mut points = Vec::new();
    for kept in Kept::ALL {
        let network = match kept {
            Kept::Top | Kept::Random | Kept::Bottom => neurons,
            Kept::MergedTop | Kept::MergedRandom | Kept::MergedBottom => &merged,
        };
        for count in counts(network.width()) {
            let orders: Vec<Order> = match kept {
                Kept::Top | Kept::MergedTop => vec![Order::Top],
                Kept::Bottom | Kept::MergedBottom => vec![Order::Bottom],
                Kept::Random | Kept::MergedRandom => {
                    (0..DRAWS).map(|draw| Order::Random(Random::stream(seed, PRUNING + draw).bits())).collect()
                }
            };
            let drives: Vec<Drive> = orders
                .iter()
                .map(|order| evaluate(task, loss, &network.subset(&keep(network, count, *order))))
                .collect();
            let mean = |value: &dyn Fn(&Drive) -> f64| drives.iter().map(value).sum::<f64>() / drives.len() as f64;
            let (loss, accuracy) = (mean(&Drive::loss), mean(&|drive| drive.accuracy(task)));
            points.push(Pruned { kept, neurons: count, loss, accuracy });
        }
    }
    points
}

/// All numbers up to 10, then steps of about a quarter, and all.
fn counts(width: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = (1..=width.min(10)).collect();
    while let Some(last) = counts.last().copied().filter(|last| *last < width) {
        counts.push((last + last.div_ceil(4)).min(width));
    }
    counts
}

/// Races of chosen neurons alone, by gradient descent: with flow there are none.
pub fn tickets(
    setting: &Setting<'_>,
    start: &Neurons,
    early: &[f64],
    end: &[f64],
    watcher: &dyn Watcher,
) -> Result<Vec<Ticket>, StudyError> {
    let Setting { config, task, kind, seed } = *setting;
    if kind.integrator == Integrator::Flow {
        return Ok(Vec::new());
    }
    let norms: Vec<f64> = (0..start.width()).map(|a| start.norm(a).hypot(start.w2()[a])).collect();
    let mut tickets = Vec::new();
    for count in &config.tickets {
        for choice in Choice::ALL {
            let scores = match choice {
                Choice::Alignment => early.to_vec(),
                // Equal norms differ by roundings, which would not be a random choice.
                Choice::Magnitude => norms.iter().map(|norm| (norm / kind.norm * 1e9).round()).collect(),
                Choice::Random => vec![0.0; start.width()],
                Choice::Oracle => end.to_vec(),
            };
            let stream = TICKETS + choice as u64;
            let chosen = choose(&scores, start.w2(), *count, Random::stream(seed, stream).bits());
            let (mut first, mut half) = (None, None);
            let mut watch = |moment: &Moment<'_>| {
                let loss = moment.drive.loss();
                let first = *first.get_or_insert(loss);
                if half.is_none() && loss <= 0.5 * first {
                    half = Some(moment.time);
                }
                if watcher.stop() { Break(()) } else { Continue(()) }
            };
            let alone = follow(setting, &start.subset(&chosen), &mut watch)?.neurons;
            let drive = evaluate(task, kind.loss, &alone);
            let (loss, accuracy) = (drive.loss(), drive.accuracy(task));
            tickets.push(Ticket { choice, neurons: *count, loss, accuracy, half });
        }
    }
    Ok(tickets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_end_with_all() {
        assert_eq!(counts(3), [1, 2, 3]);
        let many = counts(300);
        assert!(many.starts_with(&[1, 2, 3]) && many.last() == Some(&300) && many.len() < 30);
    }
}
