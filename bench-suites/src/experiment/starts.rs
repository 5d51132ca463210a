//! Warm starts against cold ones, on the same subproblems.
//!
//! A search runs as usual; in every subproblem that it explores, the nonlinear program is solved twice: from
//! the solution of the nearest ancestor and from the best point known. The cold solve goes through all
//! relaxations, the warm one only through the last.

use super::cases::Case;
use super::config::{Config, Method};
use super::measure::{Measurement, Partner, Stopping};
use super::{ExperimentError, Watcher};
use secateur_global::{NlpCc, Params, Start};
use secateur_nn::graph::Graph;
use secateur_verify::node::Node;
use secateur_verify::{Explorer, Settings, Until, interval_with};
use std::time::Duration;

/// Explores with both starts.
struct Both {
    warm: NlpCc,
    cold: NlpCc,
    pairs: Vec<Partner>,
    most: usize,
}

impl Explorer for Both {
    fn explore(&mut self, node: &Node, incumbent: Option<&[f64]>) -> Option<(Vec<f64>, f64)> {
        if self.pairs.len() >= self.most {
            return None;
        }
        let warm = self.warm.explore(node, incumbent);
        let cold = self.cold.explore(node, incumbent);
        if let (Some(_), Some(_), Some(w), Some(c)) = (&warm, &cold, self.warm.solves.last(), self.cold.solves.last())
            && let Some(feasible) = w.parent_feasible
        {
            self.pairs.push(Partner {
                depth: node.splits.len(),
                feasible,
                fell_back: w.fell_back,
                warm_iterations: w.iterations,
                cold_iterations: c.iterations,
                warm_seconds: w.nlp_seconds,
                cold_seconds: c.nlp_seconds,
                warm_margin: w.nlp_margin,
                cold_margin: c.nlp_margin,
            });
        }
        match (warm, cold) {
            (Some(w), Some(c)) => Some(if w.1 <= c.1 { w } else { c }),
            (one, other) => one.or(other),
        }
    }

    fn every_round(&self) -> bool {
        true
    }
}

/// One measurement for every subproblem that was solved twice.
///
/// # Errors
/// See [`ExperimentError`].
pub fn compare(
    config: &Config,
    graph: &Graph,
    case: &Case,
    method: &Method,
    watcher: &dyn Watcher,
) -> Result<Vec<Measurement>, ExperimentError> {
    let Method::Starts { most } = *method else { unreachable!("called for comparisons of starts only") };
    let cold = Params { start: Start::Cold, patterns: 0, ..Params::default() };
    let warm = Params { patterns: 0, ..Params::default() };
    let mut both = Both { warm: NlpCc::new(graph, warm)?, cold: NlpCc::new(graph, cold)?, pairs: Vec::new(), most };
    let settings = Settings {
        timeout: Some(Duration::from_secs_f64(config.timeout)),
        threads: config.threads,
        seed: config.seed,
        ..Settings::default()
    };
    let observer = Stopping(watcher);
    interval_with(graph, &case.property, 1e-3, Until::Narrow, &settings, &observer, Some(&mut both))?;
    for explorer in [&mut both.warm, &mut both.cold] {
        if let Some(failure) = explorer.failure.take() {
            return Err(failure.into());
        }
    }
    // A case without subproblems leaves one line, so that it is not tried again.
    let nothing = both.pairs.is_empty().then(|| Measurement::new(case, method));
    let line = |partner| Measurement { partner: Some(partner), ..Measurement::new(case, method) };
    Ok(both.pairs.into_iter().map(line).chain(nothing).collect())
}
