//! Reductions that change nothing on a set of inputs.
//!
//! | what | why nothing changes |
//! |---|---|
//! | a ReLU that is 0 everywhere on the set loses its weights, and [`compact`] removes it | it adds 0 |
//! | of two neurons with $(w_j, b_j) = c\,(w_i, b_i)$, $c > 0$, the second goes, its outgoing weights times $c$ go to the first | $\max(c z, 0) = c \max(z, 0)$ |
//! | a ReLU whose input is nowhere negative on the set is left out | it is the identity |
//!
//! Which ReLUs these are is somebody else's to show. Weights are zeroed, moved, or added where the sum is a float again; no number is
//! rounded, apart from what [`compact`] folds into biases.

use crate::error::PruneError;
use crate::structured::compact;
use secateur_linalg::Tensor;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::mask::Masks;
use secateur_nn::op::{Op, Value};
use std::collections::BTreeMap;

/// Entries of `Relu` nodes, by the node's name.
pub type Entries = BTreeMap<String, Vec<usize>>;

/// A layer in front of a ReLU whose weights belong to it alone.
struct Layer<'g> {
    relu: NodeId,
    weight: (String, &'g Tensor<f32>),
    /// The axis of the weight that counts outputs.
    axis: usize,
    bias: Option<(String, &'g Tensor<f32>)>,
    /// Entries of the ReLU per output: the positions of a channel.
    positions: usize,
}

impl Layer<'_> {
    fn outputs(&self) -> usize {
        self.weight.1.shape()[self.axis]
    }

    /// Places of an output's weights.
    fn row(&self, output: usize) -> impl Iterator<Item = usize> + use<> {
        let shape = self.weight.1.shape();
        let inner: usize = shape[self.axis + 1..].iter().product();
        let (extent, outer) = (shape[self.axis], shape[..self.axis].iter().product::<usize>());
        (0..outer).flat_map(move |o| (0..inner).map(move |i| (o * extent + output) * inner + i))
    }
}

/// A constant that one node reads.
fn own(graph: &Graph, id: NodeId) -> Option<(String, &Tensor<f32>)> {
    let node = graph.node(id);
    match &node.op {
        Op::Constant(Value::F32(tensor)) if graph.users(id).len() == 1 => Some((node.name.clone(), tensor)),
        _ => None,
    }
}

/// The layers in front of ReLUs: a product or convolution, perhaps with a bias.
fn layers(graph: &Graph) -> Vec<Layer<'_>> {
    let layer = |(relu, node): (NodeId, &secateur_nn::graph::Node)| {
        let mut source = *graph.arguments(relu).first()?;
        if graph.users(source).len() > 1 {
            return None;
        }
        let mut bias = None;
        if graph.node(source).op == Op::Add {
            let arguments = graph.arguments(source);
            let at = arguments.iter().position(|a| matches!(graph.node(*a).op, Op::Constant(_)))?;
            bias = Some(own(graph, arguments[at])?);
            source = arguments[1 - at];
            if graph.users(source).len() > 1 {
                return None;
            }
        }
        let arguments = graph.arguments(source);
        let weight = own(graph, *arguments.get(1)?)?;
        let axis = match &graph.node(source).op {
            Op::MatMul if weight.1.rank() == 2 => 1,
            Op::Gemm { trans_b, .. } => usize::from(!trans_b),
            Op::Conv { .. } => 0,
            _ => return None,
        };
        if let Some(added) = arguments.get(2) {
            if bias.is_some() {
                return None;
            }
            bias = Some(own(graph, *added)?);
        }
        let outputs = weight.1.shape()[axis];
        if bias.as_ref().is_some_and(|(_, b)| b.len() != outputs) {
            return None;
        }
        let entries: usize = node.shape.iter().product();
        entries.is_multiple_of(outputs.max(1)).then(|| Layer { relu, weight, axis, bias, positions: entries / outputs })
    };
    graph.nodes().filter(|(_, node)| node.op == Op::Relu).filter_map(layer).collect()
}

/// A network in which less is left, and how many neurons or channels it has less.
#[derive(Clone, Debug)]
pub struct Reduced {
    /// The network.
    pub graph: Graph,
    /// Neurons and channels that went.
    pub units: usize,
}

/// The network without neurons and channels that are 0 on the set.
///
/// # Errors
/// See [`compact`]: nothing may be left that depends on the input.
pub fn without_dead(graph: &Graph, dead: &Entries) -> Result<Reduced, PruneError> {
    let mut values: BTreeMap<String, Tensor<f32>> = BTreeMap::new();
    for layer in layers(graph) {
        let Some(entries) = dead.get(&graph.node(layer.relu).name) else { continue };
        let mut count = vec![0; layer.outputs()];
        entries.iter().for_each(|i| count[i / layer.positions] += 1);
        let gone: Vec<usize> = (0..count.len()).filter(|o| count[*o] == layer.positions).collect();
        if gone.is_empty() {
            continue;
        }
        let weight = values.entry(layer.weight.0.clone()).or_insert_with(|| layer.weight.1.clone());
        for place in gone.iter().flat_map(|output| layer.row(*output)) {
            weight.data_mut()[place] = 0.0;
        }
        if let Some((name, bias)) = &layer.bias {
            let bias = values.entry(name.clone()).or_insert_with(|| (*bias).clone());
            gone.iter().for_each(|output| bias.data_mut()[*output] = 0.0);
        }
    }
    compacted(&graph.with_constants(&values)?)
}

fn compacted(graph: &Graph) -> Result<Reduced, PruneError> {
    let found = compact(graph, &Masks::default())?;
    Ok(Reduced { units: found.removed, graph: found.graph })
}

/// The network with neurons of one direction merged, where their outgoing weights stay floats.
///
/// # Errors
/// See [`compact`].
pub fn merged(graph: &Graph) -> Result<Reduced, PruneError> {
    let mut values: BTreeMap<String, Tensor<f32>> = BTreeMap::new();
    for layer in layers(graph).into_iter().filter(|layer| layer.positions == 1) {
        let users = graph.users(layer.relu);
        let [user] = users[..] else { continue };
        let arguments = graph.arguments(user);
        if arguments.first() != Some(&layer.relu) || arguments.len() < 2 {
            continue;
        }
        let Some((next, weight)) = own(graph, arguments[1]) else { continue };
        // Where an outgoing weight of input i to output k stands.
        let (inputs, outputs) = (layer.outputs(), weight.len() / layer.outputs().max(1));
        let across = match graph.node(user).op {
            Op::MatMul if weight.shape() == [inputs, outputs] => false,
            Op::Gemm { trans_a: false, trans_b, .. } => trans_b,
            _ => continue,
        };
        let place = |i: usize, k: usize| if across { k * inputs + i } else { i * outputs + k };
        // Earlier layers may have changed what is read here.
        let of =
            |(name, tensor): &(String, &Tensor<f32>)| values.get(name).map_or_else(|| (*tensor).clone(), Tensor::clone);
        let (mut own_weight, mut bias) = (of(&layer.weight), layer.bias.as_ref().map(of));
        let mut outgoing = of(&(next.clone(), weight));
        let row = |weight: &Tensor<f32>, bias: &Option<Tensor<f32>>, output: usize| -> Vec<f32> {
            let entries = layer.row(output).map(|place| weight.data()[place]);
            entries.chain(bias.iter().map(|bias| bias.data()[output])).collect()
        };
        let mut changed = false;
        for j in 1..inputs {
            let second = row(&own_weight, &bias, j);
            let Some((i, factor)) = (0..j).find_map(|i| Some((i, multiple(&row(&own_weight, &bias, i), &second)?)))
            else {
                continue;
            };
            let moved = |k: usize| {
                exact(
                    f64::from(outgoing.data()[place(i, k)])
                        + f64::from(factor) * f64::from(outgoing.data()[place(j, k)]),
                    [outgoing.data()[place(i, k)], outgoing.data()[place(j, k)]],
                    factor,
                )
            };
            let Some(sums) = (0..outputs).map(moved).collect::<Option<Vec<f32>>>() else { continue };
            for (k, sum) in sums.into_iter().enumerate() {
                outgoing.data_mut()[place(i, k)] = sum;
                outgoing.data_mut()[place(j, k)] = 0.0;
            }
            layer.row(j).for_each(|place| own_weight.data_mut()[place] = 0.0);
            bias.iter_mut().for_each(|bias| bias.data_mut()[j] = 0.0);
            changed = true;
        }
        if changed {
            values.insert(layer.weight.0.clone(), own_weight);
            values.insert(next, outgoing);
            if let (Some((name, _)), Some(bias)) = (&layer.bias, bias) {
                values.insert(name.clone(), bias);
            }
        }
    }
    compacted(&graph.with_constants(&values)?)
}

/// $c > 0$ with `second` $= c \cdot$ `first`, exactly; none for zeros.
fn multiple(first: &[f32], second: &[f32]) -> Option<f32> {
    let at = first.iter().position(|v| *v != 0.0)?;
    let factor = second[at] / first[at];
    // A product of two floats of 32 bits is one of 64.
    let same = |(a, b): (&f32, &f32)| f64::from(*a) * f64::from(factor) == f64::from(*b);
    (factor > 0.0 && factor.is_finite() && first.iter().zip(second).all(same)).then_some(factor)
}

/// A sum $a + c b$ in `f64` as a float of 32 bits, where nothing was rounded.
fn exact(sum: f64, [a, b]: [f32; 2], factor: f32) -> Option<f32> {
    let product = f64::from(factor) * f64::from(b);
    // Both differences are exact where the sum is.
    let whole = sum - product == f64::from(a) && sum - f64::from(a) == product;
    (whole && f64::from(sum as f32) == sum).then_some(sum as f32)
}

/// The network without ReLUs on the entries that are nowhere negative.
///
/// # Errors
/// The network cannot be built again.
pub fn without_idle(graph: &Graph, active: &Entries) -> Result<Graph, PruneError> {
    let input = graph.node(graph.input());
    let mut builder = GraphBuilder::new(input.name.clone(), input.shape.clone(), input.element);
    let mut copies = vec![builder.input()];
    for (id, node) in graph.nodes().filter(|(id, _)| *id != graph.input()) {
        let arguments: Vec<NodeId> = graph.arguments(id).iter().map(|a| copies[a.index()]).collect();
        let entries: usize = node.shape.iter().product();
        let idle = active.get(&node.name).filter(|idle| node.op == Op::Relu && !idle.is_empty());
        let copied = match idle {
            None => builder.add(node.name.clone(), node.op.clone(), &arguments)?,
            Some(idle) if idle.len() == entries => arguments[0],
            Some(idle) => {
                let mut is_idle = vec![false; entries];
                idle.iter().for_each(|i| is_idle[*i] = true);
                let open: Vec<usize> = (0..entries).filter(|i| !is_idle[*i]).collect();
                let mut add = |what: &str, op: Op, arguments: &[NodeId]| {
                    builder.add(format!("{}/{what}", node.name), op, arguments)
                };
                let pick = |index: &[usize]| Op::Gather { axis: 1, indices: Tensor::vector(index.to_vec()) };
                let flat = add("flat", Op::Reshape { shape: vec![1, entries] }, &arguments)?;
                let curved = add("open", pick(&open), &[flat])?;
                let curved = add("relu", Op::Relu, &[curved])?;
                let straight = add("idle", pick(idle), &[flat])?;
                let both = add("both", Op::Concat { axis: 1 }, &[curved, straight])?;
                let (mut first, mut second) = (0..open.len(), open.len()..entries);
                let from = |idle: &bool| if *idle { second.next() } else { first.next() };
                let back: Vec<usize> = is_idle.iter().filter_map(from).collect();
                let ordered = add("ordered", pick(&back), &[both])?;
                builder.add(node.name.clone(), Op::Reshape { shape: node.shape.clone() }, &[ordered])?
            }
        };
        copies.push(copied);
    }
    Ok(builder.finish(copies[graph.output().index()])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_nn::eval::Evaluator;
    use secateur_nn::op::ElementType;
    use std::sync::Arc;

    /// Hidden neurons $x$, $2x$, $-x - 5$, $x + 5$; the output is their sum with weights 1, 3, 7, 1.
    fn network() -> Graph {
        let mut b = GraphBuilder::new("x", vec![1, 1], ElementType::F32);
        let mut constant = |name: &str, shape: &[usize], data: &[f32]| {
            b.constant(name, Value::F32(Arc::new(Tensor::new(shape.to_vec(), data.to_vec())))).unwrap()
        };
        let w1 = constant("w1", &[1, 4], &[1.0, 2.0, -1.0, 1.0]);
        let b1 = constant("b1", &[4], &[0.0, 0.0, -5.0, 5.0]);
        let w2 = constant("w2", &[4, 1], &[1.0, 3.0, 7.0, 1.0]);
        let z = b.add("z", Op::MatMul, &[b.input(), w1]).unwrap();
        let z = b.add("zb", Op::Add, &[z, b1]).unwrap();
        let h = b.add("h", Op::Relu, &[z]).unwrap();
        let y = b.add("y", Op::MatMul, &[h, w2]).unwrap();
        b.finish(y).unwrap()
    }

    fn values(graph: &Graph) -> Vec<f32> {
        let evaluator = Evaluator::<f32>::new(graph).unwrap();
        let at = |x: f32| evaluator.forward(&Tensor::new(vec![1, 1], vec![x])).unwrap().data()[0];
        (-16..=16).map(|i| at(i as f32 / 16.0)).collect()
    }

    #[test]
    fn what_goes_changes_nothing_between_minus_one_and_one() {
        let graph = network();
        let entries = |list: &[usize]| Entries::from([("h".to_owned(), list.to_vec())]);
        let dead = without_dead(&graph, &entries(&[2])).unwrap();
        assert_eq!((dead.units, values(&dead.graph)), (1, values(&graph)));
        let merged = merged(&dead.graph).unwrap();
        assert_eq!((merged.units, values(&merged.graph)), (1, values(&graph)));
        let idle = without_idle(&merged.graph, &entries(&[1])).unwrap();
        assert_eq!(values(&idle), values(&graph));
        let relus: usize =
            idle.nodes().filter(|(_, n)| n.op == Op::Relu).map(|(_, n)| n.shape.iter().product::<usize>()).sum();
        assert_eq!(relus, 1);
        let none = without_idle(&merged.graph, &entries(&[0, 1])).unwrap();
        assert!(none.nodes().all(|(_, node)| node.op != Op::Relu));
    }

    #[test]
    fn multiples_are_exact() {
        assert_eq!(multiple(&[0.0, 0.3, -1.0], &[0.0, 0.6, -2.0]), Some(2.0));
        assert_eq!(multiple(&[0.3, 1.0], &[-0.3, -1.0]), None);
        assert_eq!(multiple(&[0.3, 1.0], &[0.1, 1.0 / 3.0]), None);
        assert_eq!(multiple(&[0.0], &[0.0]), None);
        assert_eq!(exact(1.5, [1.0, 0.25], 2.0), Some(1.5));
        assert_eq!(exact(1.0 + 2e-20, [1.0, 1e-20], 2.0), None);
    }
}
