//! Which method for which network, and with what effort: the one default for every family.

use crate::alpha;
use crate::attack;
use crate::bounds::Method;
use crate::halfspace::Exact;
use crate::input_split;
use crate::network::{Kind, Network};
use crate::reduce::{self, Reduction};
use crate::refine;
use crate::relu_split::{self, Root};
use crate::rounding;
use crate::settings::{Branching, Settings};
use crate::technique::Technique;
use secateur_linalg::Scalar;
use secateur_nn::property::{Case, Property};

/// Inputs that vary, at most, for input splitting to be the automatic choice.
const VERY_FEW_INPUTS: usize = 6;

/// Inputs that vary, at most, for input splitting to be tried before ReLU splitting, and the boxes that
/// the trial may bound, for a network of so many multiplications in all.
const FEW_INPUTS: usize = 15;
const TRIAL_BUDGET: f64 = 2e8;

/// Input splitting, perhaps with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputTrial {
    /// Boxes to bound before giving up; `None` for no limit.
    pub limit: Option<u64>,
}

/// Multiplications that the root may spend on optimising intermediate bounds.
const ROOT_BUDGET: f64 = 2e12;

/// Multiplications that the root may spend on refining intermediate bounds.
const REFINE_BUDGET: f64 = 5e12;

/// Multiplications of the attack before any bound, of the attack on what a cheap root leaves open, and of
/// the attack on what a short search leaves open.
const ATTACK_BUDGETS: (f64, f64, f64) = (2e8, 5e9, 6e10);

/// Rounds of the last attack.
const ROUNDS: usize = 4;

/// The network in `f32`, where its weights are and its sums are short enough for useful error terms.
pub fn single_precision(network: &Network<f64>) -> Option<Network<f32>> {
    let single = network.cast::<f32>();
    (network.single_precision && rounding::fits(&single)).then_some(single)
}

/// Whether to split inputs rather than ReLUs, and for how long.
///
/// The inputs are counted on the exact box: rounding outward makes every inexact constant an interval.
/// Splitting ReLUs cannot finish where activations are smooth, so there a trial has no limit.
pub fn splits_inputs(network: &Network<f64>, property: &Property, branching: Branching) -> Option<InputTrial> {
    let varying = |c: &Case| c.lower.iter().zip(&c.upper).filter(|(l, u)| l < u).count();
    let inputs = property.cases.iter().map(varying).max().unwrap_or(0);
    let limit = if inputs <= VERY_FEW_INPUTS || !network.is_piecewise_linear() {
        None
    } else {
        Some((TRIAL_BUDGET / products(network)).clamp(32.0, 20_000.0) as u64)
    };
    match branching {
        Branching::Input => Some(InputTrial { limit: None }),
        Branching::Auto if network.relus() == 0 => Some(InputTrial { limit: None }),
        Branching::Auto if inputs <= FEW_INPUTS => Some(InputTrial { limit }),
        Branching::Auto | Branching::Babsr | Branching::Fsb | Branching::Kfsb | Branching::Aligned => None,
    }
}

/// Parameters of input splitting.
pub fn input_splitting(settings: &Settings) -> input_split::Params {
    let steps = if settings.uses(Technique::Alpha) { 4 } else { 0 };
    let ascent = alpha::Params { steps, alpha_rate: 0.4, beta_rate: 0.0, decay: 0.8 };
    input_split::Params { clip: settings.uses(Technique::Clip), method: Method::Crown, ascent, chunk: 32 }
}

/// The reduced network and its root, where it is cheaper to search on: a multiplication in a dense matrix costs a fraction of
/// one in a convolution.
pub fn reduced<T: Scalar>(
    settings: &Settings,
    network: &Network<T>,
    precise: &Network<f64>,
    root: &Root<T>,
) -> Option<(Network<T>, Root<T>)> {
    if !settings.uses(Technique::Reduce) {
        return None;
    }
    let Reduction { network: small, bounds, magnitudes, origin } = reduce::reduce(precise, &root.bounds)?;
    let root = Root::reduced(&small, bounds, magnitudes, origin, (network, &root.bounds));
    Some((small, root))
}

/// Parameters of ReLU splitting.
pub fn relu_splitting(settings: &Settings) -> relu_split::Params {
    let branching = settings.branching;
    let if_used = |technique, rate: f64| if settings.uses(technique) { rate } else { 0.0 };
    let rates = |alpha, beta| (if_used(Technique::Alpha, alpha), if_used(Technique::Beta, beta));
    let ascent = |steps: usize, (alpha_rate, beta_rate): (f64, f64), decay| {
        let steps = if (alpha_rate, beta_rate) == (0.0, 0.0) { 0 } else { steps };
        alpha::Params { steps, alpha_rate, beta_rate, decay }
    };
    relu_split::Params {
        root: ascent(40, rates(0.25, 0.25), 0.96),
        node: ascent(15, rates(0.05, 0.2), 0.95),
        chunk: 64,
        branching: if branching == Branching::Input { Branching::Auto } else { branching },
        candidates: if branching == Branching::Auto { 5 } else { 3 },
        alignment: settings.alignment,
        learns: settings.uses(Technique::Lemmas),
    }
}

/// The layers whose intervals ReLU splitting narrows in every subproblem: those that read few inputs.
pub fn exact_layers<T: Scalar>(settings: &Settings, network: &Network<T>) -> Vec<Exact> {
    if settings.uses(Technique::Narrow) && network.inputs() <= NARROW_INPUTS {
        Exact::layers(network)
    } else {
        Vec::new()
    }
}

/// Inputs, at most, for narrowing first-layer intervals.
const NARROW_INPUTS: usize = 64;

/// An attack, a root, and the search below it.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// The attack on what is open.
    pub attack: Option<attack::Params>,
    /// How to tighten the root's intermediate bounds then.
    pub tighten: Option<Method>,
    /// Subproblems to bound, of all disjuncts together, before the next stage; `None` for no limit.
    pub limit: Option<u64>,
}

/// The ascent that tightens the root's intermediate bounds.
pub fn root_ascent() -> alpha::Params {
    alpha::Params { steps: 30, alpha_rate: 0.25, beta_rate: 0.0, decay: 0.96 }
}

/// Splits per pre-activation in the stages that refine, and subproblems before the next.
const REFINEMENTS: [(usize, Option<u64>); 3] = [(32, Some(1000)), (128, Some(8000)), (512, None)];

/// Subproblems before refining.
const BEFORE_REFINING: u64 = 256;

/// The stages of ReLU splitting for so many open disjuncts: each spends more on the root than the one
/// before, and only what its search leaves open is taken to the next.
pub fn stages<T: Scalar>(settings: &Settings, network: &Network<T>, root: &Root<T>, disjuncts: usize) -> Vec<Stage> {
    let mut stages = all_stages(network, root, disjuncts);
    if !settings.uses(Technique::Attack) {
        stages.iter_mut().for_each(|stage| stage.attack = None);
    }
    if !settings.uses(Technique::Refine) {
        stages.retain(|stage| !matches!(stage.tighten, Some(Method::Refined(..))));
    }
    if !settings.uses(Technique::Tighten) {
        stages.retain(|stage| !matches!(stage.tighten, Some(Method::AlphaCrown(_))));
    }
    match stages.last_mut() {
        Some(last) => last.limit = None,
        None => stages.push(Stage { attack: None, tighten: None, limit: None }),
    }
    stages
}

fn all_stages<T: Scalar>(network: &Network<T>, root: &Root<T>, disjuncts: usize) -> Vec<Stage> {
    let ascent = root_ascent();
    let once = intermediate_products(network, root);
    let share = |budget: f64| budget / disjuncts.max(1) as f64;
    let short = Some(effort(network, share(ATTACK_BUDGETS.1), 50, 1));
    let long = Some(effort(network, share(ATTACK_BUDGETS.2), 100, ROUNDS));
    // Each step goes back and forth once.
    if 2.0 * ascent.steps as f64 * once > ROOT_BUDGET {
        return vec![Stage { attack: long, tighten: None, limit: None }];
    }
    let tighten = Some(Method::AlphaCrown(ascent));
    if !network.is_piecewise_linear() {
        // Refining splits ReLUs only, and slopes for every input of a softmax take longer than a short search.
        return vec![
            Stage { attack: short, tighten: None, limit: Some(BEFORE_REFINING) },
            Stage { attack: None, tighten, limit: Some(BEFORE_REFINING) },
            Stage { attack: long, tighten: None, limit: None },
        ];
    }
    let mut stages = vec![Stage { attack: short, tighten, limit: Some(BEFORE_REFINING) }];
    let leaf = alpha::Params { steps: 3, alpha_rate: 0.1, beta_rate: 0.1, decay: 0.9 };
    for (index, (splits, limit)) in REFINEMENTS.into_iter().enumerate() {
        let affordable = REFINE_BUDGET / (4.0 * leaf.steps as f64 * once);
        let params = refine::Params { splits: splits.min(affordable as usize), ascent: leaf };
        let attack = if index == 1 { long } else { None };
        stages.push(Stage { attack, tighten: Some(Method::Refined(ascent, params)), limit });
    }
    stages
}

/// Whether refining the root took so little off the gaps of its chords that more of it is not worth its time.
pub fn is_settled(method: Method, before: f64, after: f64) -> bool {
    matches!(method, Method::Refined(..)) && after > LEAST_GAIN * before
}

/// What is left of the gaps after refining that is worth doing again, at most.
const LEAST_GAIN: f64 = 0.95;

/// Multiplications that one back-substitution of every open pre-activation takes.
fn intermediate_products<T: Scalar>(network: &Network<T>, root: &Root<T>) -> f64 {
    let mut open = vec![0usize; network.layers.len()];
    let sources = network.sources();
    root.open.iter().for_each(|(k, _)| open[sources[*k as usize]] += 1);
    let (mut below, mut total) = (0.0, 0.0);
    for (k, layer) in network.layers.iter().enumerate() {
        total += 2.0 * open[k] as f64 * below;
        if let Kind::Affine(affine) = &layer.kind {
            below += affine.terms.iter().map(|(_, map)| map.products() as f64).sum::<f64>();
        }
    }
    total
}

/// Multiplications of one evaluation.
pub(crate) fn products<T: Scalar>(network: &Network<T>) -> f64 {
    let layers = network.layers.iter();
    let of = |kind: &Kind<T>| match kind {
        Kind::Affine(a) => a.terms.iter().map(|(_, map)| map.products()).sum(),
        _ => 0usize,
    };
    layers.map(|layer| of(&layer.kind)).sum::<usize>().max(1) as f64
}

/// The attack before any bound.
pub fn quick_attack<T: Scalar>(network: &Network<T>) -> attack::Params {
    effort(network, ATTACK_BUDGETS.0, 30, 1)
}

fn effort<T: Scalar>(network: &Network<T>, budget: f64, steps: usize, rounds: usize) -> attack::Params {
    let affordable = budget / (2.0 * steps as f64 * products(network));
    attack::Params { restarts: (affordable as usize).clamp(2, 128), steps, rate: 0.25, rounds, enough: 0.0 }
}
