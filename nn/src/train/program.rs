//! A network prepared for training: the gradient of a batch.
//!
//! A batch is cut into lanes of at most [`LANE`] samples, each evaluated by one thread. Batch normalisations are where
//! lanes wait for each other, since their moments are those of the whole batch:
//!
//! ```text
//! lanes:  feed → nodes … → Σ x, Σ x² ─┐           ┌→ normalise → nodes … → loss
//! batch:                              └→ moments ─┘
//! ```
//!
//! and the same way back. A network that cannot take several samples at once gets them one by one within a lane.

use super::batch_norm::{Moments, Sums};
use super::fault::TrainFault;
use super::lane::{Lane, add};
use super::loss::{Loss, Sum};
use super::parameters::parameters;
use super::spare::Spare;
use crate::data::dataset::BatchTargets;
use crate::error::NnError;
use crate::eval::Array;
use crate::graph::{Graph, Node, NodeId};
use crate::op::{Op, Value};
use rayon::prelude::*;
use secateur_linalg::Tensor;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Samples of a lane at most.
const LANE: usize = 64;

/// A batch normalisation whose statistics are constants.
pub(super) struct Norm {
    pub(super) node: usize,
    pub(super) x: usize,
    pub(super) scale: usize,
    pub(super) shift: usize,
    mean: usize,
    variance: usize,
    pub(super) channels: usize,
    pub(super) positions: usize,
    epsilon: f32,
}

/// A network with its constants ready to be changed in place.
pub(super) struct Program {
    graph: Graph,
    /// Names of the nodes.
    names: Vec<String>,
    /// Whether several samples go through at once.
    batched: bool,
    /// Nodes by the number of samples that go through at once.
    nodes: BTreeMap<usize, Arc<Vec<Node>>>,
    pub(super) arguments: Vec<Vec<usize>>,
    pub(super) constants: Vec<Option<Array<f32>>>,
    /// Nodes of the parameters, and the parameter of each node.
    parameters: Vec<usize>,
    pub(super) slots: Vec<Option<usize>>,
    /// Which nodes' cotangents are carried.
    pub(super) wanted: Vec<bool>,
    /// Which nodes take the place of their first argument's value.
    pub(super) in_place: Vec<bool>,
    norms: Vec<Norm>,
    /// Memory for every lane.
    spares: Vec<Spare>,
    pub(super) input: usize,
    pub(super) output: usize,
}

/// The gradient of a batch.
pub(super) struct Gradient {
    pub(super) sum: Sum,
    /// By number of the parameter.
    pub(super) slopes: Vec<Vec<f32>>,
}

impl Program {
    /// Prepares a network; `frozen` names constants that stay.
    ///
    /// # Errors
    /// There is nothing to train, or batch normalisations are in a network that cannot take several samples at once.
    pub(super) fn new(graph: &Graph, frozen: &BTreeSet<String>) -> Result<Self, NnError> {
        let normalises = |(_, node): (_, &Node)| matches!(node.op, Op::BatchNormalization { .. });
        let (batched, example) = match graph.with_batch(2) {
            Ok(example) => (true, example),
            Err(NnError::NotBatched { .. }) if !graph.nodes().any(normalises) => (false, graph.clone()),
            Err(error) => return Err(error),
        };
        let arguments: Vec<Vec<usize>> =
            example.nodes().map(|(id, _)| example.arguments(id).iter().map(|a| a.index()).collect()).collect();
        let constant = |node: &Node| match &node.op {
            Op::Constant(value) => Some(Array::constant(value)),
            _ => None,
        };
        let chosen = parameters(&example).into_iter().filter(|id| !frozen.contains(&example.node(*id).name));
        let parameters: Vec<usize> = chosen.map(|id| id.index()).collect();
        if parameters.is_empty() {
            return Err(TrainFault::NoParameters.into());
        }
        let mut slots = vec![None; example.len()];
        parameters.iter().enumerate().for_each(|(slot, index)| slots[*index] = Some(slot));
        let mut wanted = vec![false; example.len()];
        for (id, node) in example.nodes() {
            let i = id.index();
            let real = matches!(node.element, crate::op::ElementType::F32 | crate::op::ElementType::F64);
            wanted[i] = slots[i].is_some() || (real && arguments[i].iter().any(|a| wanted[*a]));
        }
        let is_constant = |index: usize| matches!(example.node(NodeId::new(index)).op, Op::Constant(Value::F32(_)));
        let norms = example.nodes().filter_map(|(id, node)| {
            let Op::BatchNormalization { epsilon } = node.op else { return None };
            let [x, scale, shift, mean, variance] = *arguments[id.index()].as_slice() else { return None };
            let (channels, positions) = (node.shape[1], node.shape[2..].iter().product());
            let norm = Norm { node: id.index(), x, scale, shift, mean, variance, channels, positions, epsilon };
            let trained = [mean, variance].iter().all(|i| !frozen.contains(&example.node(NodeId::new(*i)).name));
            (trained && [scale, shift, mean, variance].iter().all(|i| is_constant(*i))).then_some(norm)
        });
        Ok(Self {
            names: example.nodes().map(|(_, node)| node.name.clone()).collect(),
            batched,
            nodes: BTreeMap::new(),
            constants: example.nodes().map(|(_, node)| constant(node)).collect(),
            parameters,
            slots,
            wanted,
            in_place: example.nodes().map(|(id, _)| is_in_place(&example, id)).collect(),
            norms: norms.collect(),
            spares: Vec::new(),
            input: example.input().index(),
            output: example.output().index(),
            arguments,
            graph: graph.clone(),
        })
    }

    /// Number of parameters.
    pub(super) fn parameters(&self) -> usize {
        self.parameters.len()
    }

    /// The first batch normalisation that takes one value per channel and sample.
    pub(super) fn flat_norm(&self) -> Option<&str> {
        let flat = self.norms.iter().find(|norm| norm.positions == 1)?;
        Some(&self.names[flat.node])
    }

    /// The nodes for so many samples at once.
    fn nodes(&mut self, samples: usize) -> Result<Arc<Vec<Node>>, NnError> {
        if let Some(nodes) = self.nodes.get(&samples) {
            return Ok(Arc::clone(nodes));
        }
        let graph = if self.batched { self.graph.with_batch(samples)? } else { self.graph.clone() };
        let nodes = Arc::new(graph.nodes().map(|(_, node)| node.clone()).collect::<Vec<_>>());
        self.nodes.insert(samples, Arc::clone(&nodes));
        Ok(nodes)
    }

    /// Loss and gradient of a batch, the mean over its rows or entries. Running statistics take their step.
    ///
    /// # Errors
    /// A value or a derivative is not finite.
    pub(super) fn gradient(
        &mut self,
        loss: &Loss,
        samples: usize,
        load: impl Fn(std::ops::Range<usize>) -> (Vec<f32>, BatchTargets) + Sync,
    ) -> Result<Gradient, NnError> {
        let ranges: Vec<_> = (0..samples).step_by(LANE).map(|n| n..(n + LANE).min(samples)).collect();
        let at_once = |range: &std::ops::Range<usize>| if self.batched { range.len() } else { 1 };
        let sizes: BTreeSet<usize> = ranges.iter().map(at_once).collect();
        let nodes = sizes.into_iter().map(|n| Ok((n, self.nodes(n)?))).collect::<Result<BTreeMap<_, _>, NnError>>()?;
        let batched = self.batched;
        let mut spares = std::mem::take(&mut self.spares);
        spares.resize_with(spares.len().max(ranges.len()), Spare::default);
        let mut lanes: Vec<Lane> = ranges
            .into_par_iter()
            .zip(spares)
            .map(|(range, spare)| {
                let nodes = Arc::clone(&nodes[&if batched { range.len() } else { 1 }]);
                let (inputs, targets) = load(range);
                Lane::new(nodes, inputs, targets, self.parameters.len(), spare)
            })
            .collect();
        let total = lanes.iter().map(|lane| lane.targets.len()).sum();
        let moments =
            if batched { self.together(&mut lanes, loss, total)? } else { self.one_by_one(&mut lanes, loss, total)? };
        let gradient = self.collect(&mut lanes)?;
        self.spares = lanes.into_iter().map(|lane| lane.spare.kept()).collect();
        for (norm, moments) in self.norms.iter().zip(&moments) {
            let mut mean = numbers(&mut self.constants[norm.mean]).to_vec();
            moments.update(&mut mean, numbers(&mut self.constants[norm.variance]));
            numbers(&mut self.constants[norm.mean]).copy_from_slice(&mean);
        }
        Ok(gradient)
    }

    /// All lanes through the network and back, waiting for each other at batch normalisations.
    fn together(&self, lanes: &mut [Lane], loss: &Loss, total: usize) -> Result<Vec<Moments>, NnError> {
        let mut moments: Vec<Moments> = Vec::with_capacity(self.norms.len());
        let mut start = 0;
        lanes.par_iter_mut().for_each(|lane| lane.feed(self, 0..lane.inputs.len()));
        for norm in &self.norms {
            let sums: Result<Vec<Sums>, NnError> = lanes
                .par_iter_mut()
                .map(|lane| {
                    lane.forward(self, start..norm.node)?;
                    Ok(lane.norm_sums(self, norm))
                })
                .collect();
            let samples: usize = lanes.iter().map(|lane| lane.nodes[norm.node].shape[0]).sum();
            let found = Moments::new(&total_of(sums?), samples * norm.positions, norm.epsilon);
            lanes.par_iter_mut().for_each(|lane| lane.normalise(self, norm, &found));
            moments.push(found);
            start = norm.node + 1;
        }
        lanes.par_iter_mut().try_for_each(|lane| {
            lane.forward(self, start..self.arguments.len())?;
            let targets = std::mem::replace(&mut lane.targets, BatchTargets::Classes(Vec::new()));
            lane.lose(self, loss, &targets, total);
            lane.check(self)
        })?;
        let mut end = self.arguments.len();
        for (norm, moments) in self.norms.iter().zip(&moments).rev() {
            let sums: Vec<Sums> = lanes
                .par_iter_mut()
                .map(|lane| {
                    lane.backward(self, norm.node + 1..end);
                    lane.norm_backward_sums(self, norm, moments)
                })
                .collect();
            let sums = total_of(sums);
            // Scale and shift get the whole batch's sums at once, by way of the first lane.
            for (place, index) in [(1, norm.scale), (0, norm.shift)] {
                if let (true, Some(lane)) = (self.wanted[index], lanes.first_mut()) {
                    add(&mut lane.cotangents[index], sums.iter().map(|s| s[place] as f32).collect());
                }
            }
            lanes.par_iter_mut().for_each(|lane| lane.norm_backward(self, norm, moments, &sums));
            end = norm.node;
        }
        lanes.par_iter_mut().for_each(|lane| lane.backward(self, 0..end));
        Ok(moments)
    }

    /// Every sample through the network and back on its own.
    fn one_by_one(&self, lanes: &mut [Lane], loss: &Loss, total: usize) -> Result<Vec<Moments>, NnError> {
        let size: usize = self.graph.node(self.graph.input()).shape.iter().product();
        lanes.par_iter_mut().try_for_each(|lane| {
            let samples = lane.inputs.len() / size;
            let targets = lane.targets.clone();
            for sample in 0..samples {
                lane.feed(self, sample * size..(sample + 1) * size);
                lane.forward(self, 0..self.arguments.len())?;
                let per_sample = targets.len() / samples;
                lane.lose(self, loss, &targets.slice(sample * per_sample..(sample + 1) * per_sample), total);
                lane.check(self)?;
                lane.backward(self, 0..self.arguments.len());
            }
            Ok::<(), NnError>(())
        })?;
        Ok(Vec::new())
    }

    /// The lanes' gradients and losses, summed in the order of lanes.
    fn collect(&self, lanes: &mut [Lane]) -> Result<Gradient, NnError> {
        let mut sum = Sum::default();
        lanes.iter().for_each(|lane| sum.add(lane.sum));
        let per_lane: Vec<Vec<Option<Vec<f32>>>> = lanes.iter_mut().map(|l| std::mem::take(&mut l.gradients)).collect();
        let mut columns: Vec<Vec<Option<Vec<f32>>>> = (0..self.parameters.len()).map(|_| Vec::new()).collect();
        for lane in per_lane {
            columns.iter_mut().zip(lane).for_each(|(column, part)| column.push(part));
        }
        let join = |(slot, column): (usize, Vec<Option<Vec<f32>>>)| {
            let mut whole = None;
            column.into_iter().flatten().for_each(|part| add(&mut whole, part));
            whole.unwrap_or_else(|| vec![0.0; self.constant(slot).len()])
        };
        let slopes: Vec<Vec<f32>> = columns.into_par_iter().enumerate().map(join).collect();
        let finite = |slope: &Vec<f32>| slope.iter().fold(true, |all, v| all & v.is_finite());
        match slopes.iter().position(|slope| !finite(slope)) {
            None => Ok(Gradient { sum, slopes }),
            Some(slot) => Err(NnError::NonFiniteDerivative { node: self.name(slot).to_owned(), op: "Constant" }),
        }
    }

    fn constant(&self, slot: usize) -> &[f32] {
        self.constants[self.parameters[slot]].as_ref().expect("a parameter is a constant").real().data()
    }

    /// The name of a parameter.
    pub(super) fn name(&self, slot: usize) -> &str {
        &self.names[self.parameters[slot]]
    }

    /// The parameters' numbers, to be changed.
    pub(super) fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        let slots = &self.slots;
        let chosen = self.constants.iter_mut().enumerate().filter(|(i, _)| slots[*i].is_some());
        chosen.map(|(_, constant)| numbers(constant)).collect()
    }

    /// Everything that training changes, by name: parameters, and running statistics.
    pub(super) fn state(&self) -> BTreeMap<String, Tensor<f32>> {
        let statistics = self.norms.iter().flat_map(|norm| [norm.mean, norm.variance]);
        let indices = self.parameters.iter().copied().chain(statistics);
        let tensor = |index: usize| self.constants[index].as_ref().expect("a constant").real().clone();
        indices.map(|index| (self.names[index].clone(), tensor(index))).collect()
    }

    /// Puts numbers in place of what [`Program::state`] gave.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub(super) fn restore(&mut self, state: &BTreeMap<String, Tensor<f32>>) -> Result<(), NnError> {
        for (name, held) in self.state() {
            let new = state.get(&name).filter(|new| new.shape() == held.shape());
            let new = new.ok_or_else(|| TrainFault::Incomplete { what: format!("`{name}` {:?}", held.shape()) })?;
            let index = self.names.iter().position(|other| *other == name);
            if let Some(index) = index {
                self.constants[index] = Some(Array::Real(Arc::new(new.clone())));
            }
        }
        Ok(())
    }

    /// The network with the numbers of now.
    pub(super) fn graph(&self) -> Result<Graph, NnError> {
        self.graph.with_constants(&self.state())
    }
}

/// Whether a node may be computed in place of its first argument: nobody else reads that argument, going back through the node
/// takes the argument's shape alone, and going back through what made the argument does not take its value.
fn is_in_place(graph: &Graph, id: NodeId) -> bool {
    let Some(first) = graph.arguments(id).first().copied() else { return false };
    let (node, argument) = (graph.node(id), graph.node(first));
    matches!(node.op, Op::Relu | Op::Add)
        && node.shape == argument.shape
        && graph.users(first) == [id]
        && first != graph.output()
        && matches!(
            argument.op,
            Op::Gemm { .. } | Op::MatMul | Op::Conv { .. } | Op::BatchNormalization { .. } | Op::Add | Op::Sub
        )
}

/// A constant's numbers; copied first where somebody else still holds them.
#[track_caller]
fn numbers(constant: &mut Option<Array<f32>>) -> &mut [f32] {
    match constant {
        Some(Array::Real(tensor)) => Arc::make_mut(tensor).data_mut(),
        _ => panic!("a parameter is a constant of type f32"),
    }
}

/// The sums over all lanes, in their order.
fn total_of(lanes: Vec<Sums>) -> Sums {
    let mut lanes = lanes.into_iter();
    let mut total = lanes.next().unwrap_or_default();
    for lane in lanes {
        total.iter_mut().zip(lane).for_each(|(t, s)| *t = [t[0] + s[0], t[1] + s[1]]);
    }
    total
}
