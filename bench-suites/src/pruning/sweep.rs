//! Accuracy against sparsity.
//!
//! ```text
//! for each seed
//!     train the network; measure it unpruned
//!     for each method and sparsity
//!         at initialisation:  prune the untrained network, train what is left in full
//!         after training:     prune the trained network, fine-tune what is left
//!         measure
//! ```

use super::config::Sweep;
use super::contender::{Contender, Moment};
use super::point::{self, Place};
use super::study::Study;
use super::{Bench, PruningError};
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::train::evaluate;
use secateur_prune::pipeline::{self, Call, Recovery, Schedule};
use secateur_prune::{Calibration, Needs, Pruned};
use std::time::Instant;

/// The curve of the networks as trained.
pub const UNPRUNED: &str = "unpruned";

/// One run: what its points start from.
struct Run<'a> {
    seed: u64,
    start: Graph,
    trained: Graph,
    calibration: Calibration,
    study: &'a Study<'a>,
}

/// Measures every point that is not known.
///
/// # Errors
/// Training, pruning or verification fails; the watcher stops.
pub fn measure(study: &Study<'_>, sweep: &Sweep, bench: &mut Bench<'_>) -> Result<(), PruningError> {
    for &seed in &study.config.seeds {
        let wanted = |bench: &Bench<'_>, contender: &Contender| {
            let name = contender.to_string();
            sweep.sparsities.iter().copied().filter(|s| !bench.has(seed, &name, *s)).collect::<Vec<f64>>()
        };
        let whole = bench.has(seed, UNPRUNED, 0.0);
        if whole && sweep.methods.iter().all(|contender| wanted(bench, contender).is_empty()) {
            continue;
        }
        bench.announce(seed, UNPRUNED, 0.0);
        let begin = Instant::now();
        let start = study.start(seed)?;
        let training = &study.config.training;
        let trained = study.fit(&start, &Masks::default(), training, training.epochs, seed, bench.watcher)?;
        if !whole {
            let place = Place { seed, series: UNPRUNED, sparsity: 0.0, before: None, begin };
            let verification = sweep.verification.as_ref();
            let none = Masks::default();
            bench.add(point::measure(study, &trained, &none, place, verification, bench.watcher)?)?;
        }
        let run = Run { seed, start, trained, calibration: study.calibration(sweep.calibration, seed)?, study };
        for contender in &sweep.methods {
            for sparsity in wanted(bench, contender) {
                bench.announce(seed, &contender.to_string(), sparsity);
                run.point(sweep, contender, sparsity, bench)?;
            }
        }
    }
    Ok(())
}

impl Run<'_> {
    fn point(
        &self,
        sweep: &Sweep,
        contender: &Contender,
        sparsity: f64,
        bench: &mut Bench<'_>,
    ) -> Result<(), PruningError> {
        let begin = Instant::now();
        let (study, watcher) = (self.study, bench.watcher);
        let (graph, recovery, fit) = match contender.moment {
            // The weights are those of initialisation: training in full is the training that was put off.
            Moment::Initialisation => (&self.start, Recovery::RewindRate, &study.config.training),
            Moment::Trained => (&self.trained, Recovery::FineTune, &sweep.fine_tuning),
        };
        let mut before = None;
        let mut train = |graph: Graph, masks: &Masks, _: Call| {
            before = evaluate(&graph, study.test())?.accuracy;
            Ok(study.fit(&graph, masks, fit, fit.epochs, self.seed, watcher)?)
        };
        let settings = contender.settings(sparsity, self.seed);
        let calibration = (settings.method.needs() > Needs::Nothing).then_some(&self.calibration);
        let found = pipeline::run(graph, calibration, &settings, Schedule::OneShot, &recovery, &mut train)?;
        let name = contender.to_string();
        let place = Place { seed: self.seed, series: &name, sparsity, before, begin };
        let verification = sweep.verification.as_ref();
        let Pruned { graph, masks, .. } = &found.pruned;
        bench.add(point::measure(study, graph, masks, place, verification, watcher)?)
    }
}
