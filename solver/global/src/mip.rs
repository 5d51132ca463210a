//! The mixed-integer baseline.
//!
//! Every pair of [`crate::encoding`] gets a binary $d$ with
//! $$ z \le u\,d, \qquad s \le -l\,(1 - d), $$
//! the big-M form with the bounds of $\hat z$ as its constants.
//!
//! # Soundness
//! The bound is what a floating-point solver says. It is compared with, and never decides anything.

use crate::encoding::Encoding;
use crate::error::GlobalError;
use secateur_opt::Row;
use secateur_opt::mixed::{HighsMip, MipOutcome, MipSettings, MipSolver, MixedIntegerProgram};
use secateur_verify::network::Network;
use secateur_verify::node::RootBox;
use secateur_verify::specification::Objective;
use std::time::Instant;

/// What the solver says of one region and conjunction.
#[derive(Clone, Debug)]
pub struct Minimum {
    /// A point of the box, and its margin in floating point.
    pub point: Option<(Vec<f64>, f64)>,
    /// The solver's lower bound.
    pub bound: f64,
    /// Whether the solver closed the gap.
    pub optimal: bool,
    /// Binaries.
    pub binaries: usize,
    /// Nodes of the solver's search tree.
    pub nodes: u64,
    /// Wall-clock time, bounds included.
    pub seconds: f64,
}

/// The least margin of a conjunction on a root box.
///
/// # Errors
/// The network is not piecewise linear, or the solver refuses the program.
pub fn minimum(
    network: &Network<f64>,
    root: &RootBox,
    objectives: &[Objective<f64>],
    settings: &MipSettings,
) -> Result<Minimum, GlobalError> {
    let begin = Instant::now();
    let encoding = Encoding::new(network, root, objectives)?;
    let mut program = encoding.program.clone();
    let mut integers = Vec::with_capacity(encoding.pairs.len());
    for pair in &encoding.pairs {
        let d = program.columns();
        program.objective.push(0.0);
        program.lower.push(0.0);
        program.upper.push(1.0);
        integers.push(d);
        let (u, l) = (program.upper[pair.positive], -program.upper[pair.negative]);
        program.rows.push(Row::at_most(vec![(pair.positive, 1.0), (d, -u)], 0.0));
        program.rows.push(Row::at_most(vec![(pair.negative, 1.0), (d, -l)], -l));
    }
    let binaries = integers.len();
    let report = HighsMip.solve(&MixedIntegerProgram { linear: program, integer_columns: integers }, settings)?;
    let evaluated = |point: &[f64]| {
        let input = encoding.input(point, &root.lower, &root.upper);
        let values = network.evaluate(&input, 1);
        let margin = crate::encoding::margin(objectives, &input, &values[network.output()]);
        (input, margin)
    };
    let (incumbent, bound, optimal) = match report.outcome {
        MipOutcome::Optimal { incumbent, bound } => (Some(incumbent), bound, true),
        MipOutcome::Limit { incumbent, bound, .. } => (incumbent, bound, false),
        // A network on a box has a least margin.
        MipOutcome::Infeasible | MipOutcome::Unbounded | MipOutcome::Stalled(_) => return Err(GlobalError::Unsolved),
    };
    let point = incumbent.map(|incumbent| evaluated(&incumbent.point));
    let bound = bound.unwrap_or(f64::NEG_INFINITY);
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Minimum {
        point,
        bound: bound + encoding.constant,
        optimal,
        binaries,
        nodes: report.nodes.unwrap_or(0),
        seconds,
    })
}
