//! Both networks as one graph, node beside node.

use super::{Differences, PairError, Related};
use crate::float;
use secateur_nn::NnError;
use secateur_nn::graph::{Graph, GraphBuilder, Node, NodeId};
use secateur_nn::op::{ElementType, Op, Tensor, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A value of $A$, its counterpart in $B$, and their difference; no difference where both are one node.
#[derive(Clone, Copy)]
struct Joint {
    a: NodeId,
    b: NodeId,
    d: Option<NodeId>,
}

/// The longest way from the outputs to an input that is joined.
const DEEPEST: usize = 2000;

/// Whose node.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    A,
    B,
}

pub(super) struct Joiner<'g> {
    graphs: [&'g Graph; 2],
    builder: GraphBuilder,
    /// Nodes that were copied from one network.
    copies: HashMap<(Side, NodeId), NodeId>,
    joints: HashMap<(NodeId, NodeId), Joint>,
    related: &'g Related,
    /// Pairs of ReLUs so far: both values, and the difference of what they read.
    relus: Vec<[NodeId; 3]>,
    names: usize,
    /// Nodes that depend on the input.
    varies: HashSet<NodeId>,
    /// How deep the present node is below the outputs.
    depth: usize,
}

impl<'g> Joiner<'g> {
    pub(super) fn new(a: &'g Graph, b: &'g Graph, related: &'g Related) -> Result<Self, NnError> {
        let input = a.node(a.input());
        let builder = GraphBuilder::new("input", input.shape.clone(), input.element);
        let mut joiner = Self {
            graphs: [a, b],
            builder,
            copies: HashMap::new(),
            joints: HashMap::new(),
            related,
            relus: Vec::new(),
            names: 0,
            varies: HashSet::new(),
            depth: 0,
        };
        let x = joiner.builder.input();
        joiner.varies.insert(x);
        let shape = &b.node(b.input()).shape;
        let y = if *shape == input.shape { x } else { joiner.reshape(x, shape)? };
        joiner.copies.insert((Side::A, a.input()), x);
        joiner.copies.insert((Side::B, b.input()), y);
        Ok(joiner)
    }

    /// The outputs side by side, and whether they are the same nodes.
    pub(super) fn finish(mut self, outputs: usize, classes: bool) -> Result<(Graph, bool), PairError> {
        let [a, b] = self.graphs.map(Graph::output);
        let joint = self.join(a, b)?;
        let flat = vec![1, outputs];
        let a = self.reshape(joint.a, &flat)?;
        let d = match joint.d {
            Some(d) if self.varies.contains(&d) => self.reshape(d, &flat)?,
            // The difference is constant, or nothing.
            d => {
                let zero = self.zero(outputs)?;
                match d {
                    Some(d) => {
                        let d = self.reshape(d, &flat)?;
                        self.add(Op::Add, &[zero, d])?
                    }
                    None => zero,
                }
            }
        };
        let output = if classes { self.add(Op::Concat { axis: 1 }, &[a, d])? } else { d };
        if self.related.0.len() > self.relus.len() {
            return Err(PairError::Related);
        }
        Ok((self.builder.finish(output)?, joint.d.is_none()))
    }

    /// The differences in front of all pairs of ReLUs as outputs, and the values of the last pair; for each pair the names of both ReLUs and the number of
    /// entries. `None` where there are no such pairs.
    pub(super) fn probe(mut self) -> Result<Option<Differences>, PairError> {
        let [a, b] = self.graphs.map(Graph::output);
        self.join(a, b)?;
        let (mut parts, mut relus) = (Vec::new(), Vec::new());
        for [h, g, d] in self.relus.clone() {
            let entries = self.builder.node(d).shape.iter().product();
            parts.push(self.reshape(d, &[1, entries])?);
            relus.push(([h, g].map(|id| self.builder.node(id).name.clone()), entries));
        }
        let Some([h, g, _]) = self.relus.last().copied() else { return Ok(None) };
        // Nothing else reads the last pair.
        for id in [h, g] {
            let entries = self.builder.node(id).shape.iter().product();
            parts.push(self.reshape(id, &[1, entries])?);
        }
        let output = self.add(Op::Concat { axis: 1 }, &parts)?;
        Ok(Some(Differences { graph: self.builder.finish(output)?, relus }))
    }

    fn add(&mut self, op: Op, arguments: &[NodeId]) -> Result<NodeId, NnError> {
        self.names += 1;
        let id = self.builder.add(format!("{}.{}", op.name(), self.names), op, arguments)?;
        if arguments.iter().any(|argument| self.varies.contains(argument)) {
            self.varies.insert(id);
        }
        Ok(id)
    }

    fn constant(&mut self, tensor: Tensor<f32>) -> Result<NodeId, NnError> {
        self.add(Op::Constant(Value::F32(Arc::new(tensor))), &[])
    }

    /// Zeros, as a function of the input.
    fn zero(&mut self, outputs: usize) -> Result<NodeId, NnError> {
        let input = self.builder.input();
        let inputs = self.builder.node(input).shape.iter().product();
        let flat = self.reshape(input, &[1, inputs])?;
        let first = self.entries(flat, inputs, &[0])?;
        let zeros = match self.builder.node(input).element {
            ElementType::F64 => Value::F64(Arc::new(Tensor::full(vec![1, outputs], 0.0))),
            _ => Value::F32(Arc::new(Tensor::full(vec![1, outputs], 0.0))),
        };
        let zeros = self.add(Op::Constant(zeros), &[])?;
        self.add(Op::MatMul, &[first, zeros])
    }

    fn reshape(&mut self, id: NodeId, shape: &[usize]) -> Result<NodeId, NnError> {
        if self.builder.node(id).shape == shape {
            return Ok(id);
        }
        self.add(Op::Reshape { shape: shape.to_vec() }, &[id])
    }

    fn graph(&self, side: Side) -> &'g Graph {
        self.graphs[usize::from(side == Side::B)]
    }

    /// A node of one network, with what it needs.
    fn copy(&mut self, side: Side, id: NodeId) -> Result<NodeId, PairError> {
        if let Some(copied) = self.copies.get(&(side, id)) {
            return Ok(*copied);
        }
        // Everything that it needs comes before it.
        let graph = self.graph(side);
        let mut needed = vec![id];
        while let Some(next) = needed.last().copied() {
            let missing =
                graph.arguments(next).into_iter().find(|argument| !self.copies.contains_key(&(side, *argument)));
            if let Some(missing) = missing {
                needed.push(missing);
                continue;
            }
            needed.pop();
            let arguments: Vec<NodeId> = graph.arguments(next).iter().map(|a| self.copies[&(side, *a)]).collect();
            let copied = self.add(graph.node(next).op.clone(), &arguments)?;
            self.copies.insert((side, next), copied);
        }
        Ok(self.copies[&(side, id)])
    }

    /// A node of $A$ beside one of $B$ with as many entries.
    fn join(&mut self, a: NodeId, b: NodeId) -> Result<Joint, PairError> {
        if let Some(joint) = self.joints.get(&(a, b)) {
            return Ok(*joint);
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(PairError::Deep);
        }
        let joint = self.joined(a, b)?;
        self.depth -= 1;
        self.joints.insert((a, b), joint);
        self.copies.entry((Side::A, a)).or_insert(joint.a);
        self.copies.entry((Side::B, b)).or_insert(joint.b);
        Ok(joint)
    }

    fn joined(&mut self, a: NodeId, b: NodeId) -> Result<Joint, PairError> {
        let [first, second] = [(Side::A, a), (Side::B, b)].map(|(side, id)| self.graph(side).node(id));
        let [xs, ys] = [(Side::A, a), (Side::B, b)].map(|(side, id)| self.graph(side).arguments(id));
        let shape = |side: Side, id: NodeId| &self.graph(side).node(id).shape;
        let entries = |side: Side, id: NodeId| shape(side, id).iter().product::<usize>();
        match (&first.op, &second.op) {
            (Op::Input, Op::Input) => {
                let (x, y) = (self.copies[&(Side::A, a)], self.copies[&(Side::B, b)]);
                return Ok(Joint { a: x, b: y, d: None });
            }
            // Shapes may differ in what comes before the first product.
            (Op::Reshape { .. }, _) if entries(Side::A, xs[0]) == entries(Side::B, b) => {
                let inner = self.join(xs[0], b)?;
                let d = inner.d.map(|d| self.reshape(d, &first.shape)).transpose()?;
                return Ok(Joint { a: self.reshape(inner.a, &first.shape)?, b: inner.b, d });
            }
            (_, Op::Reshape { .. }) if entries(Side::A, a) == entries(Side::B, ys[0]) => {
                let inner = self.join(a, ys[0])?;
                return Ok(Joint { b: self.reshape(inner.b, &second.shape)?, ..inner });
            }
            (Op::Constant(x), Op::Constant(y)) if first.shape == second.shape => {
                return self.constants((a, x), (b, y));
            }
            (x, y) if x == y && first.shape == second.shape && !xs.is_empty() && xs.len() == ys.len() => {}
            _ => return self.apart(a, b),
        }
        let pairs = || xs.iter().zip(&ys).map(|(x, y)| (self.graph(Side::A).node(*x), self.graph(Side::B).node(*y)));
        let differ = |(u, v): (&Node, &Node)| {
            let float = matches!(u.element, ElementType::F32 | ElementType::F64);
            let same = matches!((&u.op, &v.op), (Op::Constant(x), Op::Constant(y)) if same_bits(x, y));
            u.shape != v.shape || u.element != v.element || !(float || same)
        };
        if pairs().any(differ) {
            return self.apart(a, b);
        }
        let joints: Result<Vec<Joint>, PairError> = xs.iter().zip(&ys).map(|(x, y)| self.join(*x, *y)).collect();
        let joints = joints?;
        let u = match self.copies.get(&(Side::A, a)) {
            Some(u) => *u,
            None => self.copy_of(first, &joints, |joint| joint.a)?,
        };
        if joints.iter().all(|joint| joint.d.is_none()) {
            return Ok(Joint { a: u, b: u, d: None });
        }
        let v = match self.copies.get(&(Side::B, b)) {
            Some(v) => *v,
            None => self.copy_of(second, &joints, |joint| joint.b)?,
        };
        let d = match self.difference(first, &joints, (u, v))? {
            Some(d) => d,
            None => self.add(Op::Sub, &[u, v])?,
        };
        Ok(Joint { a: u, b: v, d: Some(d) })
    }

    fn copy_of(&mut self, node: &Node, joints: &[Joint], side: fn(&Joint) -> NodeId) -> Result<NodeId, NnError> {
        let arguments: Vec<NodeId> = joints.iter().map(side).collect();
        self.add(node.op.clone(), &arguments)
    }

    /// Nodes that do not correspond: subtracted as they are.
    fn apart(&mut self, a: NodeId, b: NodeId) -> Result<Joint, PairError> {
        let (u, v) = (self.copy(Side::A, a)?, self.copy(Side::B, b)?);
        let shape = self.builder.node(u).shape.clone();
        let w = self.reshape(v, &shape)?;
        let d = self.add(Op::Sub, &[u, w])?;
        Ok(Joint { a: u, b: v, d: Some(d) })
    }

    fn constants(&mut self, (a, x): (NodeId, &Value), (b, y): (NodeId, &Value)) -> Result<Joint, PairError> {
        let u = self.copy(Side::A, a)?;
        if same_bits(x, y) {
            return Ok(Joint { a: u, b: u, d: None });
        }
        let v = self.copy(Side::B, b)?;
        let exact = match (x, y) {
            (Value::F32(x), Value::F32(y)) => {
                let entries = x.data().iter().zip(y.data()).map(|(x, y)| float::difference(*x, *y));
                entries.collect::<Option<Vec<f32>>>().map(|data| Tensor::new(x.shape().to_vec(), data))
            }
            _ => None,
        };
        let d = match exact {
            Some(tensor) => self.constant(tensor)?,
            // No float is the difference: it is computed, from zeros that depend on the input.
            None => {
                let shape = x.shape().to_vec();
                let zero = self.zero(shape.iter().product())?;
                let zero = self.reshape(zero, &shape)?;
                let first = self.add(Op::Add, &[zero, u])?;
                self.add(Op::Sub, &[first, v])?
            }
        };
        Ok(Joint { a: u, b: v, d: Some(d) })
    }

    fn is_constant(&self, joint: &Joint) -> bool {
        let constant = |id: NodeId| matches!(self.builder.node(id).op, Op::Constant(_));
        constant(joint.a) && constant(joint.b)
    }

    /// $f(a) - f(b)$ from the differences of the arguments, some of which differ; `None` where it has no form of its own.
    fn difference(
        &mut self,
        node: &Node,
        joints: &[Joint],
        (u, v): (NodeId, NodeId),
    ) -> Result<Option<NodeId>, PairError> {
        let first = joints[0];
        Ok(match &node.op {
            Op::Relu => match first.d {
                Some(d) => Some(self.relu(d, u, v)?),
                None => None,
            },
            Op::Neg
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Gather { .. }
            | Op::Expand { .. }
            | Op::Upsample { .. }
            | Op::ReduceSum { .. }
            | Op::ReduceMean { .. }
            | Op::AveragePool { .. } => match first.d {
                Some(d) => Some(self.add(node.op.clone(), &[d])?),
                None => None,
            },
            Op::Pad { begin, end, .. } => match first.d {
                Some(d) => {
                    let op = Op::Pad { begin: begin.clone(), end: end.clone(), value: 0.0 };
                    Some(self.add(op, &[d])?)
                }
                None => None,
            },
            Op::Add => self.sum(joints[0].d, joints[1].d, &node.shape, false)?,
            Op::Sub => self.sum(joints[0].d, joints[1].d, &node.shape, true)?,
            Op::Concat { .. } => {
                let mut parts = Vec::new();
                for joint in joints {
                    parts.push(match joint.d {
                        Some(d) => d,
                        None if self.builder.node(joint.a).element == ElementType::F32 => {
                            let shape = self.builder.node(joint.a).shape.clone();
                            self.constant(Tensor::full(shape, 0.0))?
                        }
                        None => return Ok(None),
                    });
                }
                Some(self.add(node.op.clone(), &parts)?)
            }
            Op::MatMul | Op::Mul if joints.iter().any(|joint| self.is_constant(joint)) => {
                let op = node.op.clone();
                self.product(&joints[..2], |this, arguments| this.add(op.clone(), arguments))?
            }
            Op::Div if joints[1].d.is_none() && self.is_constant(&joints[1]) => match first.d {
                Some(d) => Some(self.add(Op::Div, &[d, joints[1].a])?),
                None => None,
            },
            Op::Conv { .. } | Op::ConvTranspose { .. } => {
                let op = node.op.clone();
                let linear = self.product(&joints[..2], |this, arguments| this.add(op.clone(), arguments))?;
                match joints.get(2).and_then(|bias| bias.d) {
                    None => linear,
                    Some(bias) => {
                        let mut shape = vec![1; node.shape.len()];
                        shape[1] = node.shape[1];
                        let bias = self.reshape(bias, &shape)?;
                        self.sum(linear, Some(bias), &node.shape, false)?
                    }
                }
            }
            Op::BatchNormalization { epsilon }
                if node.element == ElementType::F32 && joints[1..].iter().all(|joint| joint.d.is_none()) =>
            {
                match first.d {
                    Some(d) => {
                        let channels = self.builder.node(joints[1].a).shape.clone();
                        let zero = self.constant(Tensor::full(channels, 0.0))?;
                        let arguments = [d, joints[1].a, zero, zero, joints[4].a];
                        Some(self.add(Op::BatchNormalization { epsilon: *epsilon }, &arguments)?)
                    }
                    None => None,
                }
            }
            _ => None,
        })
    }

    /// $x \pm y$ where a difference that is not there is 0.
    fn sum(
        &mut self,
        x: Option<NodeId>,
        y: Option<NodeId>,
        shape: &[usize],
        negative: bool,
    ) -> Result<Option<NodeId>, NnError> {
        let sum = match (x, y) {
            (Some(x), Some(y)) => self.add(if negative { Op::Sub } else { Op::Add }, &[x, y])?,
            (Some(x), None) => x,
            (None, Some(y)) if negative => self.add(Op::Neg, &[y])?,
            (None, Some(y)) => y,
            (None, None) => return Ok(None),
        };
        if self.builder.node(sum).shape == shape {
            return Ok(Some(sum));
        }
        self.add(Op::Expand { shape: shape.to_vec() }, &[sum]).map(Some)
    }

    /// $f(x, w) - f(x', w')$ for a bilinear $f$: $f(x - x', w) + f(x', w - w')$.
    fn product(
        &mut self,
        joints: &[Joint],
        mut apply: impl FnMut(&mut Self, &[NodeId]) -> Result<NodeId, NnError>,
    ) -> Result<Option<NodeId>, NnError> {
        let [x, w] = [joints[0], joints[1]];
        // A stored difference, one that is computed between variables, or one that is neither.
        let simple = |this: &Self, joint: &Joint| match joint.d {
            Some(d) => !this.is_constant(joint) || matches!(this.builder.node(d).op, Op::Constant(_)),
            None => true,
        };
        let mut terms = Vec::new();
        match x.d {
            Some(d) if simple(self, &x) => terms.push(apply(self, &[d, w.a])?),
            Some(_) => {
                let (first, second) = (apply(self, &[x.a, w.a])?, apply(self, &[x.b, w.a])?);
                terms.push(self.add(Op::Sub, &[first, second])?);
            }
            None => {}
        }
        match w.d {
            Some(d) if simple(self, &w) => terms.push(apply(self, &[x.b, d])?),
            Some(_) => {
                let (first, second) = (apply(self, &[x.b, w.a])?, apply(self, &[x.b, w.b])?);
                terms.push(self.add(Op::Sub, &[first, second])?);
            }
            None => {}
        }
        match terms[..] {
            [] => Ok(None),
            [only] => Ok(Some(only)),
            [first, second, ..] => self.add(Op::Add, &[first, second]).map(Some),
        }
    }

    /// $\max(u, 0) - \max(v, 0)$ from $d = u - v$ and both values `h`, `g`: related at the chosen entries, subtracted elsewhere.
    fn relu(&mut self, d: NodeId, h: NodeId, g: NodeId) -> Result<NodeId, PairError> {
        let chosen = self.related.0.get(self.relus.len()).map_or(&[][..], |chosen| chosen);
        self.relus.push([h, g, d]);
        let shape = self.builder.node(h).shape.clone();
        let entries: usize = shape.iter().product();
        if chosen.windows(2).any(|pair| pair[0] >= pair[1]) || chosen.last().is_some_and(|i| *i as usize >= entries) {
            return Err(PairError::Related);
        }
        if chosen.is_empty() {
            return Ok(self.add(Op::Sub, &[h, g])?);
        }
        if chosen.len() == entries {
            return Ok(self.relate(d, h, g)?);
        }
        let mut place = vec![None; entries];
        chosen.iter().enumerate().for_each(|(at, i)| place[*i as usize] = Some(at));
        let others: Vec<usize> = (0..entries).filter(|i| place[*i].is_none()).collect();
        let chosen: Vec<usize> = chosen.iter().map(|i| *i as usize).collect();
        let [d_chosen, h_chosen, g_chosen] = [d, h, g].map(|id| self.entries(id, entries, &chosen));
        let related = self.relate(d_chosen?, h_chosen?, g_chosen?)?;
        let apart = self.add(Op::Sub, &[h, g])?;
        let apart = self.entries(apart, entries, &others)?;
        let both = self.add(Op::Concat { axis: 1 }, &[related, apart])?;
        let mut rest = chosen.len()..;
        let back: Vec<usize> = place.iter().map(|at| at.unwrap_or_else(|| rest.next().unwrap_or(0))).collect();
        let ordered = self.entries(both, entries, &back)?;
        Ok(self.reshape(ordered, &shape)?)
    }

    /// Some entries of a value, as a row.
    fn entries(&mut self, id: NodeId, size: usize, index: &[usize]) -> Result<NodeId, NnError> {
        let flat = self.reshape(id, &[1, size])?;
        self.add(Op::Gather { axis: 1, indices: Tensor::vector(index.to_vec()) }, &[flat])
    }

    /// $d - \max(d - h, 0) + \max(-d - g, 0)$.
    fn relate(&mut self, d: NodeId, h: NodeId, g: NodeId) -> Result<NodeId, NnError> {
        let above = self.add(Op::Sub, &[d, h])?;
        let above = self.add(Op::Relu, &[above])?;
        let sum = self.add(Op::Add, &[d, g])?;
        let below = self.add(Op::Neg, &[sum])?;
        let below = self.add(Op::Relu, &[below])?;
        let rest = self.add(Op::Sub, &[d, above])?;
        self.add(Op::Add, &[rest, below])
    }
}

/// Whether two stored tensors are the same numbers; NaN is none.
fn same_bits(x: &Value, y: &Value) -> bool {
    match (x, y) {
        (Value::F32(x), Value::F32(y)) => {
            x.data().iter().zip(y.data()).all(|(x, y)| x.to_bits() == y.to_bits() && x.is_finite())
        }
        (x, y) => x == y,
    }
}
