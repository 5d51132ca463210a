//! Descent over activation patterns.
//!
//! With the sign of every open ReLU fixed the network is affine, and the least margin of the pattern is a
//! linear program: the columns of the other parts are fixed at 0. A stationary point of the program with
//! complementarity constraints that has no ReLU at the kink, $I^0 = \emptyset$, solves the program of its pattern
//! (Proposition 5.1 of the source); so solving that program checks the claim, and a better value shows that
//! the solver stopped early. Where ReLUs are at the kink, the adjacent patterns, at most
//! $2^{\min(|I^0|, 6)}$ of them, are tried too. This is repeated while the margin falls.
//!
//! # Source
//! *E-Globe*, arXiv 2602.05068, Proposition 5.1.

use crate::encoding::{Encoding, margin};
use crate::error::GlobalError;
use secateur_opt::{LpOutcome, LpSettings, Session};
use secateur_verify::network::Network;
use secateur_verify::node::Node;
use secateur_verify::specification::Objective;

/// ReLUs at the kink of which all combinations are tried.
const KINKS: usize = 6;

/// Below this both parts of a pair count as 0.
const AT_KINK: f64 = 1e-6;

/// A fall of the margin that counts.
const PROGRESS: f64 = 1e-9;

/// The linear programs of an encoding's patterns.
pub struct Patterns {
    session: Session,
}

/// Where a descent ended.
#[derive(Clone, Debug)]
pub struct Descent {
    /// The input.
    pub input: Vec<f64>,
    /// Its margin in floating point.
    pub margin: f64,
    /// Linear programs solved.
    pub programs: usize,
    /// What the program of the first pattern took off the margin; `None` where it was not solved.
    pub first_gain: Option<f64>,
}

impl Patterns {
    /// The programs of an encoding.
    ///
    /// # Errors
    /// The solver refuses the program.
    pub fn new(encoding: &Encoding) -> Result<Self, GlobalError> {
        let session = Session::new(encoding.program.clone(), &LpSettings::default())?;
        Ok(Self { session })
    }

    /// Open pairs at the kink at a point of the program.
    pub fn kinks(&self, encoding: &Encoding, point: &[f64]) -> usize {
        let at_kink = |p: &&crate::encoding::Pair| point[p.positive].max(point[p.negative]) <= AT_KINK;
        encoding.pairs.iter().filter(at_kink).count()
    }

    /// Descends from an input of the node's box. The signs that were chosen in the node do not hold it: any
    /// point of the region will do.
    ///
    /// # Errors
    /// The solver fails.
    pub fn descend(
        &mut self,
        network: &Network<f64>,
        encoding: &Encoding,
        objectives: &[Objective<f64>],
        node: &Node,
        start: &[f64],
        most: usize,
    ) -> Result<Descent, GlobalError> {
        let value = |x: &[f64]| margin(objectives, x, &network.evaluate(x, 1)[network.output()]);
        let mut descent = Descent { input: start.to_vec(), margin: value(start), programs: 0, first_gain: None };
        let (mut lower, mut upper) = (encoding.program.lower.clone(), encoding.program.upper.clone());
        lower[..node.lower.len()].copy_from_slice(&node.lower);
        upper[..node.upper.len()].copy_from_slice(&node.upper);
        'rounds: while descent.programs < most {
            let point = encoding.point(network, &descent.input, objectives);
            let active: Vec<bool> = encoding.pairs.iter().map(|p| point[p.positive] > point[p.negative]).collect();
            let kinks: Vec<usize> = (0..active.len())
                .filter(|i| point[encoding.pairs[*i].positive].max(point[encoding.pairs[*i].negative]) <= AT_KINK)
                .take(KINKS)
                .collect();
            for flips in by_size(kinks.len()) {
                if descent.programs >= most {
                    break 'rounds;
                }
                let mut pattern = active.clone();
                kinks
                    .iter()
                    .enumerate()
                    .filter(|(bit, _)| flips >> bit & 1 == 1)
                    .for_each(|(_, i)| pattern[*i] ^= true);
                let found = self.solve(encoding, &pattern, &lower, &upper)?;
                descent.programs += 1;
                let Some(point) = found else { continue };
                let input = encoding.input(&point, &node.lower, &node.upper);
                let reached = value(&input);
                let gain = descent.margin - reached;
                if descent.programs == 1 {
                    descent.first_gain = Some(gain.max(0.0));
                }
                if gain > PROGRESS {
                    (descent.input, descent.margin) = (input, reached);
                    continue 'rounds;
                }
            }
            break;
        }
        Ok(descent)
    }

    /// The minimiser of a pattern's program; `None` where it has none or the solver gives up.
    fn solve(
        &mut self,
        encoding: &Encoding,
        active: &[bool],
        lower: &[f64],
        upper: &[f64],
    ) -> Result<Option<Vec<f64>>, GlobalError> {
        let mut upper = upper.to_vec();
        for (pair, active) in encoding.pairs.iter().zip(active) {
            upper[if *active { pair.negative } else { pair.positive }] = 0.0;
        }
        let bounds = lower.iter().zip(&upper).enumerate();
        let bounds: Vec<(usize, f64, f64)> = bounds.map(|(column, (l, u))| (column, *l, *u)).collect();
        self.session.set_many_bounds(&bounds)?;
        Ok(match self.session.solve()? {
            LpOutcome::Optimal { point, .. } => Some(point),
            _ => None,
        })
    }
}

/// The subsets of so many bits: none first, then single ones, then the others.
fn by_size(bits: usize) -> Vec<usize> {
    let mut subsets: Vec<usize> = (0..1 << bits).collect();
    subsets.sort_by_key(|subset| subset.count_ones());
    subsets
}
