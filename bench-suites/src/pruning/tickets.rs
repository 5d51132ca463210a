//! Lottery tickets and their controls.
//!
//! ```text
//! for each seed
//!     early = the network after k epochs;  trained = the network after all n
//!     for each round
//!         remove the smallest weights of the trained network
//!         ticket          early weights under the mask, trained for n − k epochs; the next round prunes this one
//!         reinitialised   other initial weights under the mask, trained for n epochs
//!         random mask     early weights under a random mask with as many in each layer, trained for n − k epochs
//! ```
//!
//! # Source
//! Frankle, Carbin 2019, "The lottery ticket hypothesis"; Frankle, Dziugaite, Roy, Carbin 2020, "Linear mode connectivity and
//! the lottery ticket hypothesis" for $k > 0$.

use super::config::Tickets;
use super::contender::{Contender, Moment};
use super::point::{self, Place};
use super::study::Study;
use super::sweep::UNPRUNED;
use super::{Bench, PruningError};
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_prune::pipeline::{self, Call, Recovery, Schedule, rewound, shuffled};
use secateur_prune::{Method, Scope};
use std::time::Instant;

/// The curves.
pub const SERIES: [&str; 4] = [UNPRUNED, TICKET, REINITIALISED, RANDOM];

const TICKET: &str = "ticket";
const REINITIALISED: &str = "reinitialised";
const RANDOM: &str = "random mask";

/// What is added to a run's seed for other initial weights and other masks.
const OTHER: u64 = 1 << 32;

/// One run: what its points start from.
struct Run<'a, 'b> {
    seed: u64,
    early: &'b Graph,
    study: &'b Study<'a>,
    rest: usize,
}

/// Measures every point that is not known. The tickets of a run follow from each other and are trained again.
///
/// # Errors
/// Training or pruning fails; the watcher stops.
pub fn measure(study: &Study<'_>, tickets: &Tickets, bench: &mut Bench<'_>) -> Result<(), PruningError> {
    let schedule = Schedule::Iterative { steps: tickets.rounds };
    let sparsities = schedule.sparsities(tickets.sparsity)?;
    let magnitude = Contender { method: Method::Magnitude, scope: Scope::Weight, moment: Moment::Trained };
    for &seed in &study.config.seeds {
        let known = |sparsity: &f64| SERIES[1..].iter().all(|series| bench.has(seed, series, *sparsity));
        if bench.has(seed, UNPRUNED, 0.0) && sparsities.iter().all(known) {
            continue;
        }
        bench.announce(seed, UNPRUNED, 0.0);
        let begin = Instant::now();
        let (fit, none) = (&study.config.training, Masks::default());
        let start = study.start(seed)?;
        let early = match tickets.rewind_epochs {
            0 => start.clone(),
            epochs => study.fit(&start, &none, fit, epochs, seed, bench.watcher)?,
        };
        let rest = fit.epochs - tickets.rewind_epochs;
        let run = Run { seed, early: &early, study, rest };
        let trained = study.fit(&early, &none, fit, rest, seed, bench.watcher)?;
        if !bench.has(seed, UNPRUNED, 0.0) {
            let place = Place { seed, series: UNPRUNED, sparsity: 0.0, before: None, begin };
            bench.add(point::measure(study, &trained, &none, place, None, bench.watcher)?)?;
        }
        let settings = magnitude.settings(tickets.sparsity, seed);
        let recovery = Recovery::RewindWeights { early: Box::new(early.clone()) };
        let mut round = |ticket: Graph, masks: &Masks, call: Call| {
            let found = run.round(&ticket, masks, sparsities[call.step - 1], bench);
            found.map_err(|error| -> Box<dyn std::error::Error + Send + Sync> { Box::new(error) })
        };
        pipeline::run(&trained, None, &settings, schedule, &recovery, &mut round)?;
    }
    Ok(())
}

impl Run<'_, '_> {
    /// Measures a round; the ticket, trained.
    fn round(
        &self,
        ticket: &Graph,
        masks: &Masks,
        sparsity: f64,
        bench: &mut Bench<'_>,
    ) -> Result<Graph, PruningError> {
        let fresh = rewound(ticket, &self.study.start(self.seed + OTHER)?, masks)?;
        let random = shuffled(masks, self.seed + OTHER);
        let scattered = rewound(ticket, self.early, &random)?;
        let all = self.study.config.training.epochs;
        let trained = self.train(TICKET, ticket, masks, self.rest, sparsity, bench)?;
        for (series, graph, masks, epochs) in
            [(REINITIALISED, &fresh, masks, all), (RANDOM, &scattered, &random, self.rest)]
        {
            if !bench.has(self.seed, series, sparsity) {
                self.train(series, graph, masks, epochs, sparsity, bench)?;
            }
        }
        Ok(trained)
    }

    fn train(
        &self,
        series: &str,
        graph: &Graph,
        masks: &Masks,
        epochs: usize,
        sparsity: f64,
        bench: &mut Bench<'_>,
    ) -> Result<Graph, PruningError> {
        bench.announce(self.seed, series, sparsity);
        let (study, begin) = (self.study, Instant::now());
        let trained = study.fit(graph, masks, &study.config.training, epochs, self.seed, bench.watcher)?;
        if !bench.has(self.seed, series, sparsity) {
            let place = Place { seed: self.seed, series, sparsity, before: None, begin };
            bench.add(point::measure(study, &trained, masks, place, None, bench.watcher)?)?;
        }
        Ok(trained)
    }
}
