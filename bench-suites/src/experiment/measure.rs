//! One case by one method.

use super::cases::Case;
use super::config::{Config, Method};
use super::{ExperimentError, Watcher};
use secateur_global::{NlpCc, Params, mip};
use secateur_linalg::random::Random;
use secateur_nn::graph::Graph;
use secateur_opt::mixed::MipSettings;
use secateur_verify::alpha::{self, Slopes};
use secateur_verify::attack;
use secateur_verify::bounds::{self, Boxes};
use secateur_verify::lower::lower;
use secateur_verify::network::Network;
use secateur_verify::node::{self, Node};
use secateur_verify::specification::{self, Region, Specification};
use secateur_verify::{Certainty, Explorer, Observer, Progress, Settings, Until, interval_with, portfolio};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// The case's number.
    pub case: usize,
    /// The method.
    pub method: String,
    /// A lower bound of the margin, where the method gives one.
    pub lower: Option<f64>,
    /// An upper bound.
    pub upper: Option<f64>,
    /// How it ended.
    pub outcome: String,
    /// Wall-clock seconds, bounds of the root included.
    pub seconds: f64,
    /// Subproblems of branch and bound.
    pub domains: u64,
    /// ReLUs with an open sign at the root: binaries of the mixed-integer program.
    pub binaries: usize,
    /// Iterations of the nonlinear solver.
    pub iterations: usize,
    /// Entries into its restoration phase.
    pub restorations: usize,
    /// Solves of nonlinear programs.
    pub solves: usize,
    /// Solves that did not end in a stationary point.
    pub failures: usize,
    /// ReLUs at the kink at the end of the first solve.
    pub kinks: Option<usize>,
    /// Where a pattern's linear program was solved at a solution without kinks: what it took off.
    pub pattern_gap: Option<f64>,
    /// For a comparison of starts, the solve's partner.
    pub partner: Option<Partner>,
}

/// The two starts of one subproblem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Partner {
    /// Signs fixed in the subproblem.
    pub depth: usize,
    /// Whether the ancestor's point satisfies the subproblem's bounds.
    pub feasible: bool,
    /// Whether the warm start failed, so that a cold one followed.
    pub fell_back: bool,
    /// Iterations from the ancestor's solution, those after a fallback included.
    pub warm_iterations: usize,
    /// Iterations from the best point.
    pub cold_iterations: usize,
    /// Seconds from the ancestor's solution.
    pub warm_seconds: f64,
    /// Seconds from the best point.
    pub cold_seconds: f64,
    /// Margin that the warm solve ended with.
    pub warm_margin: f64,
    /// Margin that the cold solve ended with.
    pub cold_margin: f64,
}

impl Measurement {
    /// Nothing measured yet.
    pub fn new(case: &Case, method: &Method) -> Self {
        Self {
            case: case.index,
            method: method.to_string(),
            lower: None,
            upper: None,
            outcome: "bound".to_owned(),
            seconds: 0.0,
            domains: 0,
            binaries: 0,
            iterations: 0,
            restorations: 0,
            solves: 0,
            failures: 0,
            kinks: None,
            pattern_gap: None,
            partner: None,
        }
    }

    /// Enters what an explorer did.
    fn enter(&mut self, explorer: &NlpCc) {
        let solves = &explorer.solves;
        self.iterations = solves.iter().map(|s| s.iterations).sum();
        self.restorations = solves.iter().map(|s| s.restorations).sum();
        self.solves = solves.len();
        self.failures = solves.iter().filter(|s| !s.status.is_solved()).count();
        self.kinks = solves.first().map(|s| s.kinks);
        self.pattern_gap = solves.first().filter(|s| s.kinks == 0).and_then(|s| s.pattern_gap);
    }
}

/// Stops a search when the watcher does.
pub struct Stopping<'a>(pub &'a dyn Watcher);

impl Observer for Stopping<'_> {
    fn progress(&self, _: &Progress) {}

    fn stop(&self) -> bool {
        self.0.stop()
    }
}

/// Measures one case by one method.
///
/// # Errors
/// See [`ExperimentError`].
pub fn measure(
    config: &Config,
    graph: &Graph,
    case: &Case,
    method: &Method,
    watcher: &dyn Watcher,
) -> Result<Measurement, ExperimentError> {
    let network = lower(graph)?;
    let specification = Specification::<f64>::new(&case.property);
    let region = &specification.regions[0];
    let begin = Instant::now();
    let mut found = Measurement::new(case, method);
    let root = |method| Some(root_lower(&network, region, method));
    match method {
        Method::Interval => found.lower = root(bounds::Method::Interval),
        Method::CrownInterval => {
            found.lower = Some(objective_lower(&network, region, bounds::Method::Interval, 0));
        }
        Method::Crown => found.lower = Some(objective_lower(&network, region, bounds::Method::Crown, 0)),
        Method::AlphaCrown => found.lower = root(bounds::Method::AlphaCrown(portfolio::root_ascent())),
        Method::Pgd => found.upper = Some(attacked(&network, region, config.seed)),
        Method::NlpCc | Method::NlpCcAlone | Method::PgdNlpCc => {
            let start = match method {
                Method::PgdNlpCc => Some(attack(&network, region, config.seed)),
                _ => None,
            };
            let (node, binaries) = root_node(&network, region);
            found.binaries = binaries;
            let patterns = if *method == Method::NlpCcAlone { 0 } else { Params::default().patterns };
            let mut explorer = NlpCc::new(graph, Params { patterns, ..Params::default() })?;
            let end = explorer.minimise(&node, start.as_ref().map(|s| s.input.as_slice()))?;
            found.upper = end.map(|(_, margin)| margin);
            if *method == Method::NlpCcAlone {
                found.upper = explorer.solves.first().map(|s| s.nlp_margin);
            }
            found.enter(&explorer);
        }
        Method::Mip { gap } => {
            let root = node::root_box(&network, region);
            let settings = MipSettings {
                time_limit: Some(Duration::from_secs_f64(config.timeout)),
                absolute_gap: *gap,
                threads: config.threads,
                ..MipSettings::default()
            };
            let minimum = mip::minimum(&network, &root, &region.disjuncts[0], &settings)?;
            found.lower = Some(minimum.bound).filter(|b| b.is_finite());
            found.upper = minimum.point.map(|(_, margin)| margin);
            found.binaries = minimum.binaries;
            found.outcome = if minimum.optimal { "optimal" } else { "timeout" }.to_owned();
        }
        Method::Bab { epsilon, branching, alignment, nlp } => {
            let settings = Settings {
                timeout: Some(Duration::from_secs_f64(config.timeout)),
                threads: config.threads,
                seed: config.seed,
                branching: *branching,
                alignment: *alignment,
                ..Settings::default()
            };
            let mut explorer = NlpCc::new(graph, Params::default())?;
            let observer = Stopping(watcher);
            let exploring = nlp.then_some(&mut explorer as &mut dyn Explorer);
            let end = interval_with(graph, &case.property, *epsilon, Until::Narrow, &settings, &observer, exploring)?;
            found.lower = Some(end.lower).filter(|v| v.is_finite());
            found.upper = Some(end.upper).filter(|v| v.is_finite());
            found.domains = end.statistics.domains;
            found.outcome = match end.certainty {
                _ if end.upper - end.lower <= *epsilon => "narrow",
                Certainty::Unknown(secateur_verify::Reason::Timeout) => "timeout",
                Certainty::Safe | Certainty::Unsafe(_) => "timeout",
                _ => "unknown",
            }
            .to_owned();
            found.enter(&explorer);
        }
        Method::Starts { .. } => unreachable!("compared elsewhere"),
    }
    found.seconds = begin.elapsed().as_secs_f64();
    Ok(found)
}

/// The lower bound of the margin from the root alone: slopes of the objective optimised where those of the
/// pre-activations are; intervals all the way where the method is that.
pub fn root_lower(network: &Network<f64>, region: &Region<f64>, method: bounds::Method) -> f64 {
    match method {
        bounds::Method::Interval => {
            let (found, _) = bounds::bound(network, &boxes(region), method, &[], &|| false);
            let (l, u) = (&found.lower[network.output()], &found.upper[network.output()]);
            let end = |(j, c): &(usize, f64)| c * if *c > 0.0 { l[*j] } else { u[*j] };
            region.disjuncts[0]
                .iter()
                .map(|o| o.constant + o.outputs.iter().map(end).sum::<f64>())
                .fold(f64::NEG_INFINITY, f64::max)
        }
        _ => objective_lower(network, region, method, 100),
    }
}

fn boxes(region: &Region<f64>) -> Boxes<f64> {
    region.boxes()
}

/// The objective's bound by back-substitution, after so many steps on its slopes.
fn objective_lower(network: &Network<f64>, region: &Region<f64>, method: bounds::Method, steps: usize) -> f64 {
    let boxes = boxes(region);
    let (bounds, magnitudes) = bounds::bound(network, &boxes, method, &[], &|| false);
    let pairs: Vec<_> = region.disjuncts[0].iter().map(|o| (0, o)).collect();
    let rows = specification::rows(network, &magnitudes, &pairs);
    let slopes = Slopes::initial(network, &bounds.lines, &rows.domain, &[]);
    let params = alpha::Params { steps, alpha_rate: 0.25, beta_rate: 0.0, decay: 0.96 };
    let found = alpha::optimise(network, &magnitudes, &bounds, &boxes, &rows, &[], slopes, params, |_, _| false);
    found.minimum.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Projected gradient descent to the end.
fn attack(network: &Network<f64>, region: &Region<f64>, seed: u64) -> attack::Found<f64> {
    let params = attack::Params { restarts: 32, steps: 100, rate: 0.25, rounds: 2, enough: f64::NEG_INFINITY };
    attack::attack(network, region, params, &mut Random::new(seed))
}

/// The least margin that projected gradient descent finds.
pub fn attacked(network: &Network<f64>, region: &Region<f64>, seed: u64) -> f64 {
    attack(network, region, seed).margin
}

/// The whole problem as a subproblem, with its number of open ReLUs.
fn root_node(network: &Network<f64>, region: &Region<f64>) -> (Node, usize) {
    let root = Arc::new(node::root_box(network, region));
    let bounds = root.bounds.clone();
    let open = bounds.lower.iter().flatten().zip(bounds.upper.iter().flatten());
    let binaries = open.filter(|(l, u)| **l < 0.0 && **u > 0.0).count();
    let (lower, upper) = (root.lower.clone(), root.upper.clone());
    let node =
        Node { region: 0, objectives: region.disjuncts[0].clone(), root, lower, upper, bounds, splits: Vec::new() };
    (node, binaries)
}
