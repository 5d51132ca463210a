//! Upper bounds by nonlinear programs with complementarity constraints.
//!
//! On a subproblem, in this order:
//!
//! 1. start from the solution of the nearest ancestor if it lies in the subproblem, else from the best point known;
//! 2. solve the program of [`crate::encoding`] with $z_j s_j \le t$ for a falling $t$ (Scholtes);
//! 3. clip the input to the box and evaluate the network: that is the margin, whatever the solver says;
//! 4. descend over activation patterns from there ([`crate::pattern`]);
//! 5. keep the solution for the children.
//!
//! # Soundness
//! Nothing here closes a subproblem: the result is a point, and its margin is measured exactly by who
//! asked.
//!
//! # Source
//! *E-Globe*, arXiv 2602.05068, sections 4 and 5. Deviation: the objective of the solver is never reported,
//! and the descent over patterns goes on past the pattern that the solver stopped in.

use crate::encoding::{Encoding, margin};
use crate::error::GlobalError;
use crate::pattern::{Descent, Patterns};
use secateur_nn::graph::Graph;
use secateur_opt::complementarity::{Complementarity, Scholtes};
use secateur_opt::nonlinear::{NlpReport, NlpSettings, NlpSolver, NlpStatus, NonlinearProgram, Warm};
use secateur_opt::pounce::Pounce;
use secateur_verify::alpha::Split;
use secateur_verify::network::Network;
use secateur_verify::node::{Node, RootBox};
use secateur_verify::specification::Objective;
use secateur_verify::{Explorer, VerifyError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a subproblem's solve starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// From the solution of the nearest ancestor, where it lies in the subproblem; else, and where that fails, from
    /// the best point.
    #[default]
    Parent,
    /// From the best point known.
    Cold,
}

/// Parameters.
#[derive(Clone, Debug)]
pub struct Params {
    /// Values of $t$, falling.
    pub relaxations: Vec<f64>,
    /// The solver's tolerance.
    pub tolerance: f64,
    /// Iterations per solve.
    pub max_iterations: usize,
    /// Time per solve.
    pub time_limit: Duration,
    /// Where to start.
    pub start: Start,
    /// Linear programs of one descent over patterns, at most.
    pub patterns: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            relaxations: vec![1e-2, 1e-4, 1e-6],
            tolerance: 1e-6,
            max_iterations: 300,
            time_limit: Duration::from_secs(20),
            start: Start::Parent,
            patterns: 64,
        }
    }
}

/// What one exploration did.
#[derive(Clone, Debug)]
pub struct Solve {
    /// Region of the specification.
    pub region: usize,
    /// Signs fixed in the subproblem.
    pub depth: usize,
    /// Complementarity pairs that are still open in it.
    pub pairs: usize,
    /// Whether it started from an ancestor's solution.
    pub warm: bool,
    /// Whether the warm start failed and a cold one followed.
    pub fell_back: bool,
    /// Whether the ancestor's point satisfies the subproblem's bounds (to 1e-6), where there is one.
    pub parent_feasible: Option<bool>,
    /// Margin at the start.
    pub start_margin: f64,
    /// Margin at the input that the nonlinear solver ended with.
    pub nlp_margin: f64,
    /// Least margin after the descent over patterns.
    pub margin: f64,
    /// Pairs at the kink, $|I^0|$, where the nonlinear solver ended.
    pub kinks: usize,
    /// What the linear program of that pattern takes off the margin; 0 where Proposition 5.1 holds and $I^0 = \emptyset$.
    pub pattern_gap: Option<f64>,
    /// Linear programs solved.
    pub patterns: usize,
    /// Iterations of all solves.
    pub iterations: usize,
    /// Entries into the restoration phase.
    pub restorations: usize,
    /// Status of the last solve.
    pub status: NlpStatus,
    /// Wall-clock time of the nonlinear solves.
    pub nlp_seconds: f64,
    /// Wall-clock time of everything.
    pub seconds: f64,
}

/// The explorer.
pub struct NlpCc {
    network: Network<f64>,
    params: Params,
    tree: Option<Tree>,
    /// What every exploration did.
    pub solves: Vec<Solve>,
    /// The first failure that ended an exploration without a point.
    pub failure: Option<GlobalError>,
}

/// One root box and conjunction, with what its subproblems share.
struct Tree {
    root: Arc<RootBox>,
    objectives: Vec<Objective<f64>>,
    encoding: Encoding,
    patterns: Patterns,
    solutions: Vec<Solution>,
}

/// A subproblem's solution, for its descendants.
struct Solution {
    splits: Vec<Split>,
    warm: Warm,
}

impl NlpCc {
    /// An explorer for a network.
    ///
    /// # Errors
    /// The network has an operator without bounds.
    pub fn new(graph: &Graph, params: Params) -> Result<Self, VerifyError> {
        let network = secateur_verify::lower::lower(graph)?;
        Ok(Self { network, params, tree: None, solves: Vec::new(), failure: None })
    }

    /// Looks for a point of low margin in a subproblem, from `start`.
    ///
    /// # Errors
    /// The subproblem cannot be put as a program, or a solver refuses it.
    pub fn minimise(&mut self, node: &Node, start: Option<&[f64]>) -> Result<Option<(Vec<f64>, f64)>, GlobalError> {
        let begin = Instant::now();
        let mut tree = self.tree_of(node)?;
        let found = self.minimise_in(&mut tree, node, start, begin);
        self.tree = Some(tree);
        found
    }

    fn minimise_in(
        &mut self,
        tree: &mut Tree,
        node: &Node,
        start: Option<&[f64]>,
        begin: Instant,
    ) -> Result<Option<(Vec<f64>, f64)>, GlobalError> {
        let Some((lower, upper)) = tree.encoding.column_bounds(node) else { return Ok(None) };
        let inside = |x: &[f64]| tree.encoding.input(x, &node.lower, &node.upper);
        let first = match start {
            Some(x) => inside(x),
            None => node.lower.iter().zip(&node.upper).map(|(l, u)| 0.5 * (l + u)).collect(),
        };
        let start_margin = self.margin(node, &first);
        let cold_start = tree.encoding.point(&self.network, &first, &tree.objectives);
        let ancestor = match self.params.start {
            Start::Parent => tree.ancestor(&node.splits).map(|solution| solution.warm.clone()),
            Start::Cold => None,
        };
        let within = |warm: &Warm| outside(&warm.point, &lower, &upper) <= 1e-6;
        let parent_feasible = ancestor.as_ref().map(within);
        // A point that the subproblem cuts off is a bad start: the solver takes longer from it than from scratch.
        let ancestor = ancestor.filter(|_| parent_feasible == Some(true));

        let open = tree.encoding.pairs.iter().filter(|p| upper[p.positive] > 0.0 && upper[p.negative] > 0.0);
        let open: Vec<(usize, usize)> = open.map(|p| (p.positive, p.negative)).collect();
        let all: Vec<(usize, usize)> = tree.encoding.pairs.iter().map(|p| (p.positive, p.negative)).collect();
        let program = SubproblemProgram { encoding: &tree.encoding, lower: &lower, upper: &upper, start: cold_start };
        let program = Complementarity { program, pairs: all };
        let warm = ancestor.is_some();
        let mut work = Work::default();
        let mut report = match ancestor {
            Some(ancestor) => self.solve_warm(&program, ancestor, &mut work)?,
            None => self.solve_cold(&program, &mut work)?,
        };
        let fell_back = warm && !report.status.is_solved();
        if fell_back {
            report = self.solve_cold(&program, &mut work)?;
        }
        let nlp_seconds = begin.elapsed().as_secs_f64();

        let mut best = inside(&report.point);
        let nlp_margin = self.margin(node, &best);
        let kinks = tree.patterns.kinks(&tree.encoding, &report.point);
        let from_nlp = nlp_margin < start_margin;
        let from = if from_nlp { &best } else { &first };
        let Descent { input, margin, programs, first_gain } =
            tree.patterns.descend(&self.network, &tree.encoding, &tree.objectives, node, from, self.params.patterns)?;
        let least = margin.min(nlp_margin).min(start_margin);
        if margin <= least {
            best = input;
        } else if !from_nlp {
            best = first;
        }
        if report.status.is_solved() {
            tree.remember(&node.splits, &report);
        }
        self.solves.push(Solve {
            region: node.region,
            depth: node.splits.len(),
            pairs: open.len(),
            warm,
            fell_back,
            parent_feasible,
            start_margin,
            nlp_margin,
            margin: least,
            kinks,
            pattern_gap: if from_nlp { first_gain } else { None },
            patterns: programs,
            iterations: work.iterations,
            restorations: work.restorations,
            status: report.status,
            nlp_seconds,
            seconds: begin.elapsed().as_secs_f64(),
        });
        Ok(Some((best, least)))
    }

    /// One solve for each $t$, each from the solution before.
    fn solve_cold<P: NonlinearProgram>(
        &self,
        program: &Complementarity<P>,
        work: &mut Work,
    ) -> Result<NlpReport, GlobalError> {
        let mut last: Option<NlpReport> = None;
        for t in &self.params.relaxations {
            let warm = last.as_ref().map(Warm::from_report);
            let report = self.solve(program, *t, warm)?;
            work.count(&report);
            let failed = !report.status.is_solved();
            if !failed || last.is_none() {
                last = Some(report);
            }
            if failed {
                break;
            }
        }
        Ok(last.expect("there is at least one relaxation"))
    }

    /// One solve with the last $t$, from an ancestor's solution.
    fn solve_warm<P: NonlinearProgram>(
        &self,
        program: &Complementarity<P>,
        ancestor: Warm,
        work: &mut Work,
    ) -> Result<NlpReport, GlobalError> {
        let t = *self.params.relaxations.last().expect("there is at least one relaxation");
        let report = self.solve(program, t, Some(ancestor))?;
        work.count(&report);
        Ok(report)
    }

    fn solve<P: NonlinearProgram>(
        &self,
        program: &Complementarity<P>,
        t: f64,
        warm: Option<Warm>,
    ) -> Result<NlpReport, GlobalError> {
        let settings = NlpSettings {
            tolerance: self.params.tolerance,
            max_iterations: self.params.max_iterations,
            time_limit: Some(self.params.time_limit),
            warm,
            ..NlpSettings::default()
        };
        Ok(Pounce.solve(&Scholtes { of: program, t }, &settings)?)
    }

    fn margin(&self, node: &Node, input: &[f64]) -> f64 {
        let values = self.network.evaluate(input, 1);
        margin(&node.objectives, input, &values[self.network.output()])
    }

    /// The tree that the node belongs to.
    fn tree_of(&mut self, node: &Node) -> Result<Tree, GlobalError> {
        if let Some(tree) = self.tree.take()
            && Arc::ptr_eq(&tree.root, &node.root)
            && tree.objectives == node.objectives
        {
            return Ok(tree);
        }
        let encoding = Encoding::new(&self.network, &node.root, &node.objectives)?;
        let patterns = Patterns::new(&encoding)?;
        let (root, objectives) = (node.root.clone(), node.objectives.clone());
        Ok(Tree { root, objectives, encoding, patterns, solutions: Vec::new() })
    }
}

impl Explorer for NlpCc {
    fn explore(&mut self, node: &Node, incumbent: Option<&[f64]>) -> Option<(Vec<f64>, f64)> {
        self.minimise(node, incumbent).unwrap_or_else(|failure| {
            self.failure.get_or_insert(failure);
            None
        })
    }
}

/// The largest violation of bounds.
fn outside(point: &[f64], lower: &[f64], upper: &[f64]) -> f64 {
    let ends = lower.iter().zip(upper);
    point.iter().zip(ends).map(|(x, (l, u))| (l - x).max(x - u)).fold(0.0, f64::max)
}

#[derive(Default)]
struct Work {
    iterations: usize,
    restorations: usize,
}

impl Work {
    fn count(&mut self, report: &NlpReport) {
        self.iterations += report.iterations;
        self.restorations += report.restorations;
    }
}

/// Solutions kept for descendants, at most.
const REMEMBERED: usize = 4096;

impl Tree {
    /// The solution of the subproblem that shares the most signs, and has no others.
    fn ancestor(&self, splits: &[Split]) -> Option<&Solution> {
        let above = |solution: &&Solution| solution.splits.iter().all(|split| splits.contains(split));
        self.solutions.iter().filter(above).max_by_key(|solution| solution.splits.len())
    }

    fn remember(&mut self, splits: &[Split], report: &NlpReport) {
        if self.solutions.len() >= REMEMBERED {
            // The root's solution stays: it is everybody's ancestor.
            self.solutions.swap_remove(1);
        }
        self.solutions.push(Solution { splits: splits.to_vec(), warm: Warm::from_report(report) });
    }
}

/// The rows of an encoding with the bounds of a subproblem.
struct SubproblemProgram<'a> {
    encoding: &'a Encoding,
    lower: &'a [f64],
    upper: &'a [f64],
    start: Vec<f64>,
}

impl NonlinearProgram for SubproblemProgram<'_> {
    fn variables(&self) -> usize {
        self.encoding.columns()
    }

    fn constraints(&self) -> usize {
        self.encoding.program.rows.len()
    }

    fn variable_bounds(&self) -> (Vec<f64>, Vec<f64>) {
        (self.lower.to_vec(), self.upper.to_vec())
    }

    fn constraint_bounds(&self) -> (Vec<f64>, Vec<f64>) {
        self.encoding.program.rows.iter().map(|row| (row.lower, row.upper)).unzip()
    }

    fn objective(&self, x: &[f64]) -> f64 {
        self.encoding.program.value(x)
    }

    fn gradient(&self, _: &[f64], into: &mut [f64]) {
        into.copy_from_slice(&self.encoding.program.objective);
    }

    fn evaluate(&self, x: &[f64], into: &mut [f64]) {
        into.iter_mut().zip(&self.encoding.program.rows).for_each(|(g, row)| *g = row.activity(x));
    }

    fn jacobian_pattern(&self) -> Vec<(usize, usize)> {
        let rows = self.encoding.program.rows.iter().enumerate();
        rows.flat_map(|(i, row)| row.entries.iter().map(move |(column, _)| (i, *column))).collect()
    }

    fn jacobian(&self, _: &[f64], into: &mut [f64]) {
        let entries = self.encoding.program.rows.iter().flat_map(|row| &row.entries);
        into.iter_mut().zip(entries).for_each(|(value, (_, coefficient))| *value = *coefficient);
    }

    fn hessian_pattern(&self) -> Vec<(usize, usize)> {
        Vec::new()
    }

    fn hessian(&self, _: &[f64], _: f64, _: &[f64], _: &mut [f64]) {}

    fn start(&self) -> Vec<f64> {
        self.start.clone()
    }
}
