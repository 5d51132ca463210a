//! Sampled payoffs: their intervals, how these have settled, and which ranks they leave open.

use super::record::{Record, Settled};
use secateur_bench_suites::statistics::student;
use secateur_theory::game::sampled::{Estimate, Method, Stage};

/// Enters an estimate, with 95 % intervals.
pub fn record(record: &mut Record, found: Estimate, method: Method, seed: u64) {
    let settled = |Stage { units, payoffs, errors }: Stage| {
        let quantile = student(units - 1);
        Settled { units, payoffs, half_widths: errors.iter().map(|error| quantile * error).collect() }
    };
    record.trace = found.trace.into_iter().map(settled).collect();
    let half_widths = record.trace.last().map_or_else(Vec::new, |last| last.half_widths.clone());
    record.notes.extend(unsettled(&found.payoffs, &half_widths));
    (record.payoffs, record.half_widths) = (found.payoffs, Some(half_widths));
    (record.evaluations, record.method, record.seed) = (Some(found.evaluations), Some(method), Some(seed));
}

/// Ranks, the greatest payoff being first, whose intervals overlap with those of a neighbour.
fn unsettled(payoffs: &[f64], half_widths: &[f64]) -> Option<String> {
    let mut order: Vec<usize> = (0..payoffs.len()).collect();
    order.sort_by(|i, j| payoffs[*j].total_cmp(&payoffs[*i]));
    let apart = |a: usize, b: usize| payoffs[a] - payoffs[b] > half_widths[a] + half_widths[b];
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for place in (1..order.len()).filter(|place| !apart(order[place - 1], order[*place])) {
        match runs.last_mut() {
            Some((_, end)) if *end == place => *end = place + 1,
            _ => runs.push((place, place + 1)),
        }
    }
    if runs.is_empty() {
        return None;
    }
    let players = |first: usize, last: usize| order[first - 1..last].iter().map(usize::to_string).collect::<Vec<_>>();
    let named = |(first, last): &(usize, usize)| format!("{first} to {last} ({})", players(*first, *last).join(", "));
    let runs: Vec<String> = runs.iter().map(named).collect();
    Some(format!("which player has which of these ranks is not settled, their intervals overlap: {}", runs.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_whose_intervals_overlap_are_named() {
        let payoffs = [1.0, 5.0, 4.5, 9.0, 1.2, 1.1];
        assert_eq!(unsettled(&payoffs, &[0.01; 6]), None);
        let note = unsettled(&payoffs, &[0.1, 0.3, 0.3, 0.3, 0.1, 0.1]).expect("a note");
        assert!(note.ends_with(": 2 to 3 (1, 2); 4 to 6 (4, 5, 0)"), "{note}");
    }
}
