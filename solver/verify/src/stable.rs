//! ReLUs whose sign does not change on a set of inputs.
//!
//! $z_j < 0$ everywhere makes a ReLU 0 (*dead*), $z_j > 0$ makes it the identity (*active*). [`signs`] finds them by bounds; [`claims`]
//! says the same as a property of a network whose outputs are these $z_j$, to be verified with a certificate.

use crate::alpha;
use crate::ball::Ball;
use crate::bounds::{self, Boxes, Method};
use crate::error::VerifyError;
use crate::lower::lower;
use crate::network::Function;
use crate::specification::Specification;
use dashu_ratio::RBig;
use secateur_linalg::Tensor;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::Op;
use secateur_nn::property::{Case, Conjunction, LinearConstraint, Property};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of a ReLU's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Below 0: the ReLU is 0.
    Dead,
    /// Above 0: the ReLU changes nothing.
    Active,
    /// Neither was shown.
    Open,
}

/// Inputs that vary, at most, for boxes to be cut; and the parts that they are cut into.
const FEW_INPUTS: usize = 8;
const PARTS: usize = 1024;

/// Parts bounded at once.
const BATCH: usize = 32;

/// The signs of the entries of every `Relu` node on all boxes of a property, by the node's name.
///
/// Boxes of few inputs are cut into parts, halved where they are widest beside the whole; others are bounded as one, with slopes
/// optimised for every entry.
///
/// # Soundness
/// The bounds hold in real arithmetic of the stored weights ([`crate::rounding`]).
///
/// # Errors
/// An operator has no bounds.
pub fn signs(graph: &Graph, inputs: &Property) -> Result<BTreeMap<String, Vec<Sign>>, VerifyError> {
    inputs.check_inputs(graph)?;
    let network = lower(graph)?;
    let relus: Vec<(String, usize)> = graph
        .nodes()
        .filter(|(_, node)| node.op == Op::Relu)
        .filter_map(|(_, node)| {
            let named = |(k, _, function): &(usize, usize, Function)| {
                *function == Function::Relu && network.layers[*k].name == node.name
            };
            network.activations().find(named).map(|(_, source, _)| (node.name.clone(), source))
        })
        .collect();
    let mut signs: BTreeMap<String, Vec<Option<Sign>>> =
        relus.iter().map(|(name, source)| (name.clone(), vec![None; network.layers[*source].size])).collect();
    for region in &Specification::<f64>::new(inputs).regions {
        let varying = region.lower.iter().zip(&region.upper).filter(|(l, u)| l < u).count();
        let (parts, method) = if varying <= FEW_INPUTS {
            (cut((&region.lower, &region.upper)), Method::Crown)
        } else {
            let params = alpha::Params { steps: 20, alpha_rate: 0.25, beta_rate: 0.0, decay: 0.96 };
            (vec![(region.lower.clone(), region.upper.clone())], Method::AlphaCrown(params))
        };
        for chunk in parts.chunks(BATCH) {
            let boxes = together(chunk, region.ball.as_ref());
            let (found, _) = bounds::bound(&network, &boxes, method, &[], &|| false);
            for (name, source) in &relus {
                let Some(known) = signs.get_mut(name) else { continue };
                let size = known.len().max(1);
                let ends = found.lower[*source].chunks_exact(size).zip(found.upper[*source].chunks_exact(size));
                for (lower, upper) in ends {
                    for ((known, l), u) in known.iter_mut().zip(lower).zip(upper) {
                        let here = if *u < 0.0 {
                            Sign::Dead
                        } else if *l > 0.0 {
                            Sign::Active
                        } else {
                            Sign::Open
                        };
                        *known = Some(known.filter(|known| *known != here).map_or(here, |_| Sign::Open));
                    }
                }
            }
        }
    }
    let settled = |signs: Vec<Option<Sign>>| signs.into_iter().map(|s| s.unwrap_or(Sign::Open)).collect();
    Ok(signs.into_iter().map(|(name, signs)| (name, settled(signs))).collect())
}

/// That entries of `Relu` nodes have a sign on the boxes of `inputs`: a network with $z_j$ of the dead and $-z_j$ of the active ones as
/// its outputs, and the property that one of them may be 0 or more there, which has to fail. `None` without entries.
///
/// # Errors
/// The network cannot be built again.
pub fn claims(
    graph: &Graph,
    inputs: &Property,
    wanted: &BTreeMap<String, Vec<Sign>>,
) -> Result<Option<(Graph, Property)>, VerifyError> {
    let input = graph.node(graph.input());
    let mut builder = GraphBuilder::new(input.name.clone(), input.shape.clone(), input.element);
    let mut copies = vec![builder.input()];
    let mut parts = Vec::new();
    for (id, node) in graph.nodes().filter(|(id, _)| *id != graph.input()) {
        let arguments: Vec<NodeId> = graph.arguments(id).iter().map(|a| copies[a.index()]).collect();
        for (sign, negative) in [(Sign::Dead, false), (Sign::Active, true)] {
            let of = wanted.get(&node.name).filter(|_| node.op == Op::Relu);
            let entries: Vec<usize> =
                of.map_or_else(Vec::new, |all| (0..all.len()).filter(|i| all[*i] == sign).collect());
            if entries.is_empty() {
                continue;
            }
            let size = node.shape.iter().product();
            let mut add = |what: &str, op: Op, argument: NodeId| {
                builder.add(format!("{}/{sign:?} {what}", node.name), op, &[argument])
            };
            let flat = add("flat", Op::Reshape { shape: vec![1, size] }, arguments[0])?;
            let picked = add("entries", Op::Gather { axis: 1, indices: Tensor::vector(entries) }, flat)?;
            parts.push(if negative { add("negative", Op::Neg, picked)? } else { picked });
        }
        copies.push(builder.add(node.name.clone(), node.op.clone(), &arguments)?);
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let output = builder.add("signs", Op::Concat { axis: 1 }, &parts)?;
    let claims = builder.finish(output)?;
    let outputs = claims.node(claims.output()).shape.iter().product();
    let not_negative = |i| {
        let (inputs, bound) = (Vec::new(), RBig::ZERO);
        vec![LinearConstraint { inputs, outputs: vec![(i, -RBig::ONE)], bound, strict: false }]
    };
    let unsafe_set: Vec<Conjunction> = (0..outputs).map(not_negative).collect();
    let cases = inputs.cases.iter().map(|case| Case { unsafe_set: unsafe_set.clone(), ..case.clone() }).collect();
    Ok(Some((claims, Property { inputs: inputs.inputs, outputs, cases, declared: None })))
}

type Corners = (Vec<f64>, Vec<f64>);

/// A box in parts.
fn cut((lower, upper): (&[f64], &[f64])) -> Vec<Corners> {
    let whole: Vec<f64> = lower.iter().zip(upper).map(|(l, u)| u - l).collect();
    let mut parts = std::collections::VecDeque::from([(lower.to_vec(), upper.to_vec())]);
    while parts.len() < PARTS {
        let Some((l, u)) = parts.pop_front() else { break };
        let share = |i: &usize| (u[*i] - l[*i]) / whole[*i];
        let axes = (0..whole.len()).filter(|i| whole[*i] > 0.0);
        let widest = axes.max_by(|i, j| share(i).total_cmp(&share(j)).then(j.cmp(i)));
        let Some(axis) = widest.filter(|i| l[*i] < 0.5 * (l[*i] + u[*i]) && 0.5 * (l[*i] + u[*i]) < u[*i]) else {
            parts.push_front((l, u));
            break;
        };
        let middle = 0.5 * (l[axis] + u[axis]);
        let (mut below, mut above) = (u.clone(), l.clone());
        (below[axis], above[axis]) = (middle, middle);
        parts.push_back((l, below));
        parts.push_back((above, u));
    }
    parts.into()
}

fn together(parts: &[Corners], ball: Option<&Arc<Ball>>) -> Boxes<f64> {
    Boxes {
        batch: parts.len(),
        lower: parts.iter().flat_map(|(l, _)| l.iter().copied()).collect(),
        upper: parts.iter().flat_map(|(_, u)| u.iter().copied()).collect(),
        balls: vec![ball.cloned(); parts.len()],
    }
}
