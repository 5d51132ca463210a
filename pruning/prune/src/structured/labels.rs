//! Labels of indices: which index of which axis is removed together with which.
//!
//! Every index of every axis of every tensor has a label. An operator ties labels: a sum ties index $i$ of both summands,
//! a product $Y = X W$ ties the columns of $X$ to the rows of $W$ and those of $Y$ to the columns of $W$, a reshape of
//! $C \times H \times W$ to one axis ties all features of a channel. Labels that cannot be removed are fixed: of
//! inputs and outputs, of axes that are summed, normalised or slid over, and of sums over products of two activations.
//!
//! A reshape that splits an axis can carry its labels on one of the new axes only (heads, or entries of a head). The first
//! is taken, unless another leaves more heads, or as many heads and more labels, removable in the end.

use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::op::{Op, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Labels of every axis of every node, in classes.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    parent: Vec<u32>,
    /// Per root: the node that fixes it.
    fixed: Vec<Option<NodeId>>,
    /// Per root: it carries values that vary though none of its stored rows does.
    driven: Vec<bool>,
    /// Per root: it is a leading axis of a product of two activations, as heads are.
    head: Vec<bool>,
    /// Labels by node, axis and index.
    pub(super) axes: Vec<Vec<Vec<u32>>>,
    /// Reshapes that split an axis, with the number of axes that could carry the labels.
    splits: Vec<(NodeId, usize)>,
}

/// The labels of a network.
pub(super) fn labels(graph: &Graph) -> Labels {
    let mut choices = BTreeMap::new();
    let mut best = Labels::new(graph, &choices);
    let mut most = best.removable(graph);
    for (split, candidates) in best.splits.clone() {
        for candidate in 1..candidates {
            let mut other = choices.clone();
            other.insert(split, candidate);
            let labels = Labels::new(graph, &other);
            let removable = labels.removable(graph);
            if removable > most {
                (best, most, choices) = (labels, removable, other);
            }
        }
    }
    best
}

impl Labels {
    fn new(graph: &Graph, choices: &BTreeMap<NodeId, usize>) -> Self {
        let mut labels = Self {
            parent: Vec::new(),
            fixed: Vec::new(),
            driven: Vec::new(),
            head: Vec::new(),
            axes: Vec::new(),
            splits: Vec::new(),
        };
        for (id, _) in graph.nodes() {
            let axes = labels.of_node(graph, id, choices);
            labels.axes.push(axes);
        }
        let output = labels.axes[graph.output().index()].clone();
        labels.fix(&output, graph.output());
        labels
    }

    /// The class of a label.
    pub(super) fn root(&self, label: u32) -> u32 {
        let mut label = label;
        while self.parent[label as usize] != label {
            label = self.parent[label as usize];
        }
        label
    }

    /// The node that keeps a class from being removed.
    pub(super) fn fixed_by(&self, root: u32) -> Option<NodeId> {
        self.fixed[root as usize]
    }

    pub(super) fn is_driven(&self, root: u32) -> bool {
        self.driven[root as usize]
    }

    pub(super) fn is_head(&self, root: u32) -> bool {
        self.head[root as usize]
    }

    /// Numbers of removable heads and of removable classes, of those that a stored tensor of rank two or more takes part in.
    fn removable(&self, graph: &Graph) -> (usize, usize) {
        let stored = graph.nodes().filter(|(_, node)| matches!(node.op, Op::Constant(Value::F32(_))));
        let stored = stored.filter(|(_, node)| node.shape.len() > 1);
        let roots = stored.flat_map(|(id, _)| self.axes[id.index()].iter().flatten()).map(|label| self.root(*label));
        let free: BTreeSet<u32> = roots.filter(|root| self.fixed_by(*root).is_none()).collect();
        (free.iter().filter(|root| self.is_head(**root)).count(), free.len())
    }

    fn fresh(&mut self, count: usize) -> Vec<u32> {
        let first = self.parent.len() as u32;
        self.parent.extend(first..first + count as u32);
        self.fixed.resize(self.parent.len(), None);
        self.driven.resize(self.parent.len(), false);
        self.head.resize(self.parent.len(), false);
        (first..first + count as u32).collect()
    }

    fn fixed_axis(&mut self, count: usize, by: NodeId) -> Vec<u32> {
        let axis = self.fresh(count);
        axis.iter().for_each(|label| self.fixed[*label as usize] = Some(by));
        axis
    }

    fn fix<'a>(&mut self, axes: impl IntoIterator<Item = &'a Vec<u32>>, by: NodeId) {
        for label in axes.into_iter().flatten() {
            let root = self.root(*label) as usize;
            self.fixed[root].get_or_insert(by);
        }
    }

    fn drive(&mut self, axis: &[u32]) {
        for label in axis {
            let root = self.root(*label) as usize;
            self.driven[root] = true;
        }
    }

    fn tie(&mut self, a: &[u32], b: &[u32]) {
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (self.root(*a), self.root(*b));
            if a != b {
                let (low, high) = (a.min(b) as usize, a.max(b) as usize);
                self.parent[high] = low as u32;
                self.fixed[low] = self.fixed[low].or(self.fixed[high]);
                self.driven[low] |= self.driven[high];
                self.head[low] |= self.head[high];
            }
        }
        // Short chains: every label seen points to its class.
        for label in a.iter().chain(b) {
            self.parent[*label as usize] = self.root(*label);
        }
    }

    /// The labels of a node's value.
    fn of_node(&mut self, graph: &Graph, id: NodeId, choices: &BTreeMap<NodeId, usize>) -> Vec<Vec<u32>> {
        let node = graph.node(id);
        let ids = graph.arguments(id);
        let arguments: Vec<Vec<Vec<u32>>> = ids.iter().map(|a| self.axes[a.index()].clone()).collect();
        let varies: Vec<bool> = ids.iter().map(|a| !matches!(graph.node(*a).op, Op::Constant(_))).collect();
        let shape = &node.shape;
        match &node.op {
            Op::Input => shape.iter().map(|extent| self.fixed_axis(*extent, id)).collect(),
            Op::Constant(_) => shape.iter().map(|extent| self.free_axis(*extent, id)).collect(),
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Min | Op::Max | Op::Pow | Op::Equal | Op::Where => {
                self.broadcast(shape, &arguments, &varies, id)
            }
            Op::Neg
            | Op::Relu
            | Op::LeakyRelu { .. }
            | Op::Sigmoid
            | Op::Tanh
            | Op::Sign
            | Op::Sin
            | Op::Cos
            | Op::Floor
            | Op::Exp
            | Op::Sqrt
            | Op::Clip { .. }
            | Op::Cast(_) => arguments[0].clone(),
            Op::MatMul => self.product(shape, &arguments, &varies, id),
            Op::Gemm { trans_a, trans_b, .. } => {
                let turned = |axes: &Vec<Vec<u32>>, turn: bool| {
                    if turn { vec![axes[1].clone(), axes[0].clone()] } else { axes.clone() }
                };
                let factors = [turned(&arguments[0], *trans_a), turned(&arguments[1], *trans_b)];
                let product = self.product(shape, &factors, &varies, id);
                match arguments.get(2) {
                    Some(summand) => self.broadcast(shape, &[product, summand.clone()], &[true, varies[2]], id),
                    None => product,
                }
            }
            Op::Conv { groups, .. } | Op::ConvTranspose { groups, .. } => {
                let adjoint = matches!(node.op, Op::ConvTranspose { .. });
                self.convolution(shape, &arguments, &varies, *groups, adjoint, id)
            }
            Op::BatchNormalization { .. } => {
                arguments[1..].iter().for_each(|a| self.tie(&arguments[0][1], &a[0]));
                arguments[0].clone()
            }
            Op::MaxPool { .. } | Op::AveragePool { .. } => {
                self.fix(&arguments[0][2..], id);
                let mut axes = arguments[0][..2].to_vec();
                axes.extend(shape[2..].iter().map(|extent| self.fixed_axis(*extent, id)));
                axes
            }
            Op::Softmax { axis } => {
                self.fix([&arguments[0][*axis]], id);
                arguments[0].clone()
            }
            Op::ReduceSum { axes, keep } | Op::ReduceMean { axes, keep } => {
                self.fix(axes.iter().map(|axis| &arguments[0][*axis]), id);
                let mut kept = Vec::new();
                for (axis, labels) in arguments[0].iter().enumerate() {
                    match axes.contains(&axis) {
                        false => kept.push(labels.clone()),
                        true if *keep => kept.push(self.fixed_axis(1, id)),
                        true => {}
                    }
                }
                kept
            }
            Op::Reshape { .. } => {
                let source = &graph.node(ids[0]).shape;
                self.reshape(source, shape, &arguments[0], choices.get(&id).copied().unwrap_or(0), id)
            }
            Op::Transpose { axes } => axes.iter().map(|axis| arguments[0][*axis].clone()).collect(),
            Op::Concat { axis } => {
                let mut axes = arguments[0].clone();
                for other in &arguments[1..] {
                    for (place, labels) in axes.iter_mut().enumerate() {
                        if place == *axis {
                            labels.extend(&other[place]);
                        } else {
                            self.tie(labels, &other[place]);
                        }
                    }
                }
                axes
            }
            Op::Slice { starts, steps, lengths } => (0..shape.len())
                .map(|axis| {
                    let at = |i: usize| starts[axis].wrapping_add_signed(steps[axis] * i as isize);
                    (0..lengths[axis]).map(|i| arguments[0][axis][at(i)]).collect()
                })
                .collect(),
            Op::Gather { axis, indices } => {
                let source = &arguments[0][*axis];
                let chosen: Vec<u32> = indices.data().iter().map(|i| source[*i]).collect();
                let mut axes = arguments[0].clone();
                if indices.rank() == 1 {
                    axes[*axis] = chosen;
                } else {
                    self.fix([&chosen], id);
                    let places: Vec<_> = indices.shape().iter().map(|extent| self.fixed_axis(*extent, id)).collect();
                    axes.splice(*axis..=*axis, places);
                }
                axes
            }
            Op::Pad { begin, end, .. } => {
                let mut axes = Vec::new();
                for (axis, labels) in arguments[0].iter().enumerate() {
                    let (before, after) = (self.fresh(begin[axis]), self.fresh(end[axis]));
                    axes.push([before, labels.clone(), after].concat());
                }
                axes
            }
            Op::Expand { .. } => self.broadcast(shape, &arguments, &varies, id),
            Op::Upsample { factors } => {
                let mut axes = Vec::new();
                for (axis, labels) in arguments[0].iter().enumerate() {
                    if factors[axis] == 1 {
                        axes.push(labels.clone());
                    } else {
                        self.fix([labels], id);
                        axes.push(self.fixed_axis(shape[axis], id));
                    }
                }
                axes
            }
        }
    }

    /// New labels; an axis of one index stays, since nothing can be left out of it.
    fn free_axis(&mut self, extent: usize, id: NodeId) -> Vec<u32> {
        if extent == 1 { self.fixed_axis(1, id) } else { self.fresh(extent) }
    }

    fn broadcast(
        &mut self,
        shape: &[usize],
        arguments: &[Vec<Vec<u32>>],
        varies: &[bool],
        id: NodeId,
    ) -> Vec<Vec<u32>> {
        let rank = shape.len();
        let mut axes = Vec::new();
        for (axis, &extent) in shape.iter().enumerate() {
            let parts: Vec<Option<&Vec<u32>>> =
                arguments.iter().map(|a| (axis + a.len()).checked_sub(rank).map(|i| &a[i])).collect();
            let whole: Vec<&Vec<u32>> = parts.iter().flatten().copied().filter(|a| a.len() == extent).collect();
            let Some(first) = whole.first().copied().cloned() else {
                axes.push(self.fixed_axis(extent, id));
                continue;
            };
            whole[1..].iter().for_each(|other| self.tie(&first, other));
            let spread = parts.iter().zip(varies).any(|(part, v)| *v && part.is_none_or(|p| p.len() != extent));
            if spread && extent > 1 {
                self.drive(&first);
            }
            axes.push(first);
        }
        axes
    }

    fn product(&mut self, shape: &[usize], factors: &[Vec<Vec<u32>>], varies: &[bool], id: NodeId) -> Vec<Vec<u32>> {
        let (a, b) = (&factors[0], &factors[1]);
        let inner_a = &a[a.len() - 1];
        let inner_b = if b.len() == 1 { &b[0] } else { &b[b.len() - 2] };
        self.tie(inner_a, inner_b);
        let both = varies[0] && varies[1];
        if both || !(varies[0] || varies[1]) {
            self.fix([inner_a], id);
        }
        let leading = shape.len() - usize::from(a.len() > 1) - usize::from(b.len() > 1);
        let batch = |f: &Vec<Vec<u32>>| f[..f.len().saturating_sub(2)].to_vec();
        let mut axes = self.broadcast(&shape[..leading], &[batch(a), batch(b)], &varies[..2], id);
        if both {
            for label in axes.iter().flatten() {
                let root = self.root(*label) as usize;
                self.head[root] = true;
            }
        }
        let outer = [
            (a.len() > 1).then(|| a[a.len().saturating_sub(2)].clone()),
            (b.len() > 1).then(|| b[b.len() - 1].clone()),
        ];
        for axis in outer.into_iter().flatten() {
            if both {
                self.drive(&axis);
            }
            axes.push(axis);
        }
        axes
    }

    fn convolution(
        &mut self,
        shape: &[usize],
        arguments: &[Vec<Vec<u32>>],
        varies: &[bool],
        groups: usize,
        adjoint: bool,
        id: NodeId,
    ) -> Vec<Vec<u32>> {
        let (input, weight) = (&arguments[0], &arguments[1]);
        self.fix(&input[2..], id);
        self.fix(&weight[2..], id);
        let channels = &input[1];
        let output: Vec<u32> = if groups == 1 {
            let (outer, inner) = if adjoint { (&weight[1], &weight[0]) } else { (&weight[0], &weight[1]) };
            self.tie(channels, inner);
            outer.clone()
        } else {
            // A group stands or falls as a whole: its inputs, its weights, its outputs.
            self.fix([&weight[1]], id);
            let count = shape[1];
            let output = if adjoint { self.fresh(count) } else { weight[0].clone() };
            for group in 0..groups {
                let part = |axis: &Vec<u32>| axis[group * axis.len() / groups..][..axis.len() / groups].to_vec();
                let members = [part(channels), part(&output), if adjoint { part(&weight[0]) } else { Vec::new() }];
                let members = members.concat();
                let first = vec![members[0]; members.len()];
                self.tie(&first, &members);
            }
            output
        };
        if varies[1] {
            self.fix([channels, &output], id);
        }
        if let Some(bias) = arguments.get(2) {
            self.tie(&output, &bias[0]);
        }
        let mut axes = vec![input[0].clone(), output];
        axes.extend(shape[2..].iter().map(|extent| self.fixed_axis(*extent, id)));
        axes
    }

    /// Blocks of axes with equal products correspond; within a block one axis on either side carries the labels.
    fn reshape(
        &mut self,
        source: &[usize],
        target: &[usize],
        axes: &[Vec<u32>],
        choice: usize,
        id: NodeId,
    ) -> Vec<Vec<u32>> {
        let mut out: Vec<Vec<u32>> = Vec::new();
        let (mut s, mut t) = (0, 0);
        if source.contains(&0) {
            self.fix(axes, id);
            return target.iter().map(|extent| self.fixed_axis(*extent, id)).collect();
        }
        while s < source.len() || t < target.len() {
            if s < source.len() && source[s] == 1 {
                s += 1;
                continue;
            }
            if t < target.len() && target[t] == 1 {
                out.push(self.fixed_axis(1, id));
                t += 1;
                continue;
            }
            let (s0, t0) = (s, t);
            let (mut from, mut to) = (source[s], target[t]);
            (s, t) = (s + 1, t + 1);
            while from != to {
                if from < to {
                    from *= source[s];
                    s += 1;
                } else {
                    to *= target[t];
                    t += 1;
                }
            }
            let flat = self.merge(&source[s0..s], &axes[s0..s], id);
            out.extend(self.split(&target[t0..t], flat, choice, id));
        }
        out
    }

    /// One axis in place of several: the first that can be removed carries its labels, the others stay.
    fn merge(&mut self, extents: &[usize], axes: &[Vec<u32>], id: NodeId) -> Vec<u32> {
        if axes.len() == 1 {
            return axes[0].clone();
        }
        let removable = |labels: &Self, axis: &Vec<u32>| {
            axis.len() > 1 && axis.iter().any(|label| labels.fixed_by(labels.root(*label)).is_none())
        };
        let carrier = (0..axes.len()).find(|i| removable(self, &axes[*i])).unwrap_or(0);
        self.fix(axes.iter().enumerate().filter(|(i, _)| *i != carrier).map(|(_, axis)| axis), id);
        let inner: usize = extents[carrier + 1..].iter().product();
        let count: usize = extents.iter().product();
        (0..count).map(|flat| axes[carrier][flat / inner % extents[carrier]]).collect()
    }

    /// Several axes in place of one: one of them carries the labels.
    fn split(&mut self, extents: &[usize], flat: Vec<u32>, choice: usize, id: NodeId) -> Vec<Vec<u32>> {
        let wide: Vec<usize> = (0..extents.len()).filter(|i| extents[*i] > 1).collect();
        if wide.len() < 2 {
            let one = |i: usize| if wide.first() == Some(&i) { None } else { Some(()) };
            return (0..extents.len()).map(|i| one(i).map_or(flat.clone(), |()| self.fixed_axis(1, id))).collect();
        }
        self.splits.push((id, wide.len()));
        // Where the axis was merged before, the axis that it came from fits without tying anything anew.
        let place = |i: usize, at: usize| at / extents[i + 1..].iter().product::<usize>() % extents[i];
        let fits = |labels: &Self, i: usize| {
            let mut seen: Vec<Option<u32>> = vec![None; extents[i]];
            flat.iter().enumerate().all(|(at, label)| {
                let root = labels.root(*label);
                *seen[place(i, at)].get_or_insert(root) == root
            })
        };
        let fitting = wide.iter().copied().find(|i| fits(self, *i));
        let carrier = if choice == 0 { fitting.unwrap_or(wide[0]) } else { wide[choice.min(wide.len() - 1)] };
        let mut firsts: Vec<Option<u32>> = vec![None; extents[carrier]];
        for (at, label) in flat.iter().enumerate() {
            let first = *firsts[place(carrier, at)].get_or_insert(*label);
            self.tie(&[first], &[*label]);
        }
        let carried: Vec<u32> = firsts.into_iter().flatten().collect();
        let axis = |labels: &mut Self, i: usize| {
            if i == carrier { carried.clone() } else { labels.fixed_axis(extents[i], id) }
        };
        (0..extents.len()).map(|i| axis(self, i)).collect()
    }
}
