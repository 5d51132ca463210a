//! What is measured: racing, clusters, unlocking, the confound, pruning, tickets.

use super::{Config, descent, digits, mean, races};
use crate::theory::StudyError;
use crate::theory::race::measure::{Race, median};
use crate::theory::race::reductions::{Kept, Pruned};
use crate::theory::statement::{Comparison, Context, Finding, Tolerance, greatest};
use secateur_theory::race::ticket::Choice;
use secateur_theory::race::unlocking::{Test, tail};
use secateur_theory::race::{Loss, Start};
use std::cmp::Ordering;

/// Steps after which correlations within clusters have settled.
const STEPS: usize = 2000;

/// Early alignment predicts the final amplitude within a cluster; winners fit the residual, and drives shrink.
pub fn racing(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = Vec::new();
    // Independent values, and tolerances of three deviations over seeds (`bench-suites/results/theory/race_digits`).
    for (loss, seeds, start, peak) in [(Loss::Mse, 3, 0.947, 0.991), (Loss::Logistic, 5, 0.948, 0.992)] {
        let races = races(&digits(2 * STEPS), descent(loss, Start::Equal, 1e-3), seeds, context)?;
        // Medians: a cluster that is about to split in two is an outlier.
        let of = |value: fn(&Race) -> Option<f64>| {
            races.iter().map(value).collect::<Option<Vec<f64>>>().and_then(|all| median(&all)).unwrap_or(f64::NAN)
        };
        rows.push(Comparison::new(
            format!("{loss}: alignment at 0 with final amplitude, largest cluster"),
            start,
            of(|race| race.racing.start_within),
            Tolerance::Absolute(0.02),
        ));
        rows.push(Comparison::new(
            format!("{loss}: its peak before half of the loss"),
            peak,
            of(|race| race.racing.peak_within),
            Tolerance::Absolute(0.01),
        ));
        let shrunk = |race: &Race| {
            let most = greatest(race.looks.iter().map(|look| look.strength));
            Some(race.looks.last()?.strength / most)
        };
        rows.push(Comparison::new(
            format!("{loss}: |D| in the end over its greatest"),
            0.25,
            of(shrunk),
            Tolerance::AtMost,
        ));
    }
    Ok(Finding::Compared(rows))
}

/// Small starts end in few clusters, large ones in none.
pub fn clusters(context: &Context<'_>) -> Result<Finding, StudyError> {
    let small = races(&digits(STEPS), descent(Loss::Mse, Start::Equal, 1e-3), 3, context)?;
    let large = races(&digits(STEPS), descent(Loss::Mse, Start::Equal, 1e-1), 1, context)?;
    let sizes = |races: &[Race], value: fn(&Race) -> f64| median(&races.iter().map(value).collect::<Vec<f64>>());
    let count = |race: &Race| race.end.sizes.len() as f64;
    let largest = |race: &Race| race.end.sizes.first().copied().unwrap_or(0) as f64;
    let missing = f64::NAN;
    Ok(Finding::Compared(vec![
        Comparison::new("σ = .001: clusters, median", 30.0, sizes(&small, count).unwrap_or(missing), Tolerance::AtMost),
        Comparison::new(
            "σ = .001: largest, median",
            149.0,
            sizes(&small, largest).unwrap_or(missing),
            Tolerance::Absolute(10.0),
        ),
        Comparison::new(
            "σ = .001: relative error of merging, greatest",
            0.05,
            greatest(small.iter().map(|race| race.end.merging)),
            Tolerance::AtMost,
        ),
        Comparison::new(
            "σ = .1: clusters of 300 neurons",
            300.0,
            sizes(&large, count).unwrap_or(missing),
            Tolerance::Absolute(0.0),
        ),
    ]))
}

/// Once clusters stand, they split along flips: the neurons that leave flipped other samples than those that stay.
pub fn unlocking(context: &Context<'_>) -> Result<Finding, StudyError> {
    // The time before a split was chosen with seeds from 1 on, so it is tried on others. A race has two splits in the mean,
    // and some have none: ten races.
    let others = Context { seed: context.seed.wrapping_add(100), ..*context };
    let races = races(&digits(STEPS), descent(Loss::Mse, Start::Equal, 1e-3), 10, &others)?;
    let tests: Vec<Test> = races.iter().filter_map(|race| race.unlocking).collect();
    let sum = |value: fn(&Test) -> usize| tests.iter().map(value).sum::<usize>();
    let (splits, apart) = (sum(|t| t.splits), sum(|t| t.apart));
    let total = |value: fn(&Test) -> f64| tests.iter().map(|t| t.splits as f64 * value(t)).sum::<f64>();
    let ratio = total(|t| t.observed) / total(|t| t.other_times);
    Ok(Finding::Compared(vec![
        Comparison::new("splits after half of the loss", 10.0, splits as f64, Tolerance::AtLeast),
        Comparison::new("T over that of the same neurons before other times", 1.1, ratio, Tolerance::AtLeast),
        Comparison::new("p, other parts of the same clusters", 0.01, tail(apart, splits, 0.05), Tolerance::AtMost),
    ]))
}

/// With Gaussian starts the norm at the start says most, and alignment little.
pub fn confound(context: &Context<'_>) -> Result<Finding, StudyError> {
    let gaussian = races(&digits(STEPS), descent(Loss::Mse, Start::Gaussian, 1e-3), 3, context)?;
    let equal = races(&digits(STEPS), descent(Loss::Mse, Start::Equal, 1e-3), 2, context)?;
    let of = |races: &[Race], value: fn(&Race) -> Option<f64>| mean(races.iter().map(value));
    Ok(Finding::Compared(vec![
        Comparison::new(
            "gaussian: a(0) with final a, largest cluster",
            0.955,
            of(&gaussian, |race| race.racing.amplitude_within),
            Tolerance::Absolute(0.05),
        ),
        Comparison::new(
            "gaussian: alignment at 0 with final a, largest cluster",
            0.171,
            of(&gaussian, |race| race.racing.start_within),
            Tolerance::Absolute(0.2),
        ),
        Comparison::new(
            "gaussian: the same with a(0) held fixed",
            0.5,
            of(&gaussian, |race| race.racing.partial_within),
            Tolerance::AtLeast,
        ),
        Comparison::new(
            "equal: alignment at 0 with final a, largest cluster",
            0.9,
            of(&equal, |race| race.racing.start_within),
            Tolerance::AtLeast,
        ),
    ]))
}

/// The greatest amplitudes are of one sign, so few of them say nothing; merged first, two or three neurons do.
pub fn pruning(context: &Context<'_>) -> Result<Finding, StudyError> {
    let races = races(&digits(STEPS), descent(Loss::Mse, Start::Equal, 1e-3), 4, context)?;
    let needed = |race: &Race, kept: Kept| {
        let fits = |p: &&Pruned| p.kept == kept && p.accuracy >= 0.9;
        // A race that never gets there needs more neurons than there are.
        race.pruned.iter().find(fits).map_or(f64::INFINITY, |p| p.neurons as f64)
    };
    let values = |kept| -> Vec<f64> { races.iter().map(|race| needed(race, kept)).collect() };
    let (top, merged) = (values(Kept::Top), values(Kept::MergedTop));
    let lead: Vec<f64> = races.iter().map(|race| race.end.lead as f64).collect();
    let rises = |race: &Race| {
        let losses: Vec<f64> = race.pruned.iter().filter(|p| p.kept == Kept::MergedTop).map(|p| p.loss).collect();
        losses.windows(2).filter(|pair| pair[1].partial_cmp(&pair[0]).is_none_or(Ordering::is_gt)).count()
    };
    let rises: usize = races.iter().map(rises).sum();
    Ok(Finding::Compared(vec![
        Comparison::new(
            "greatest amplitudes of one sign, median",
            4.0,
            median(&lead).unwrap_or(f64::NAN),
            Tolerance::AtLeast,
        ),
        Comparison::new(
            "top neurons for 90 % accuracy, median",
            5.0,
            median(&top).unwrap_or(f64::NAN),
            Tolerance::AtLeast,
        ),
        Comparison::new("merged neurons for 90 % accuracy, most", 3.0, greatest(merged), Tolerance::AtMost),
        Comparison::new("rises of the loss with more merged neurons", 0.0, rises as f64, Tolerance::Absolute(0.0)),
    ]))
}

/// Neurons chosen by early alignment win alone, too.
pub fn tickets(context: &Context<'_>) -> Result<Finding, StudyError> {
    let config = Config { tickets: vec![10], ..digits(STEPS) };
    let races = races(&config, descent(Loss::Mse, Start::Equal, 1e-3), 4, context)?;
    let half = |choice: Choice| {
        // A race that never halves its loss takes forever.
        let of = |race: &Race| race.tickets.iter().find(|ticket| ticket.choice == choice)?.half;
        mean(races.iter().map(|race| Some(of(race).unwrap_or(f64::INFINITY))))
    };
    let (early, random, oracle) = (half(Choice::Alignment), half(Choice::Random), half(Choice::Oracle));
    Ok(Finding::Compared(vec![
        Comparison::new(
            "half of the loss: chosen by early alignment over random",
            1.0,
            early / random,
            Tolerance::AtMost,
        ),
        Comparison::new("the same over the oracle's", 1.0, early / oracle, Tolerance::Relative(0.1)),
    ]))
}
