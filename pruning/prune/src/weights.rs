//! The prunable tensors of a network: stored weights of `MatMul`, `Gemm`, `Conv` and `ConvTranspose`.
//!
//! Every one is a matrix $W$ of outputs by inputs; a convolution's inputs are the entries of a patch.

use crate::error::PruneError;
use secateur_linalg::Tensor;
use secateur_linalg::tensor::strides;
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::op::{Op, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An operator that multiplies with a stored weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The operator.
    pub node: NodeId,
    /// Which of its arguments the weight is.
    pub position: usize,
}

/// A stored weight and the operators that multiply with it.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Name of the constant.
    pub name: String,
    /// The constant.
    pub id: NodeId,
    /// Its numbers.
    pub value: Arc<Tensor<f32>>,
    /// Who multiplies with it, in the order of the network; at least one.
    pub uses: Vec<Use>,
}

/// How the entries of a stored weight lie in the matrix of outputs by inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Outputs: neurons or channels.
    pub rows: usize,
    /// Inputs of one output.
    pub cols: usize,
    /// Entry `r * cols + c` is the position in the stored tensor of row `r`, column `c`.
    pub index: Vec<usize>,
    /// Groups of a convolution: consecutive rows in equal parts, each with inputs of its own.
    pub groups: usize,
    /// Extents of a convolution's kernel; none for products.
    pub kernel: Vec<usize>,
}

impl Layout {
    /// Kernel taps: column `c` is tap `c % taps` of input channel `c / taps`. 1 for products.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// The layout of a tensor that is stored outputs first, then inputs, then the kernel, as PyTorch does.
    ///
    /// # Shapes
    /// `shape` has two axes or more.
    #[track_caller]
    pub fn outputs_first(shape: &[usize]) -> Self {
        let cols = shape[1..].iter().product();
        Self { rows: shape[0], cols, index: (0..shape[0] * cols).collect(), groups: 1, kernel: shape[2..].to_vec() }
    }
}

impl Weight {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.value.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.value.is_empty()
    }

    /// The entries as `f64`.
    pub fn numbers(&self) -> Tensor<f64> {
        self.value.map(|w| f64::from(*w))
    }

    /// Where the matrix entries lie.
    ///
    /// # Errors
    /// [`PruneError::Shared`] where two operators read the tensor as different matrices.
    pub fn layout(&self, graph: &Graph, what: &'static str) -> Result<Layout, PruneError> {
        let layout = layout(graph, self.uses[0], self.value.shape());
        for other in &self.uses[1..] {
            if crate::weights::layout(graph, *other, self.value.shape()) != layout {
                return Err(PruneError::Shared {
                    tensor: self.name.clone(),
                    first: graph.node(self.uses[0].node).name.clone(),
                    second: graph.node(other.node).name.clone(),
                    what,
                });
            }
        }
        Ok(layout)
    }
}

/// The prunable tensors, in the order in which the network reaches them.
///
/// # Errors
/// There is none, or an entry is not finite.
pub fn weights(graph: &Graph) -> Result<Vec<Weight>, PruneError> {
    let mut found: Vec<Weight> = Vec::new();
    for (node, operator) in graph.nodes() {
        if !matches!(operator.op, Op::MatMul | Op::Gemm { .. } | Op::Conv { .. } | Op::ConvTranspose { .. }) {
            continue;
        }
        let arguments = graph.arguments(node);
        let candidates = match operator.op {
            Op::MatMul | Op::Gemm { .. } => 0..2,
            _ => 1..2,
        };
        for position in candidates {
            let id = arguments[position];
            let Op::Constant(Value::F32(value)) = &graph.node(id).op else { continue };
            // A vector is no matrix of weights, and a product of two constants is none of the network's layers.
            if value.rank() < 2 || value.is_empty() || is_constant(graph, arguments[1 - position]) {
                continue;
            }
            if let Some(index) = value.data().iter().position(|w| !w.is_finite()) {
                return Err(PruneError::Weight { tensor: graph.node(id).name.clone(), index });
            }
            let this = Use { node, position };
            match found.iter_mut().find(|weight| weight.id == id) {
                Some(weight) => weight.uses.push(this),
                None => {
                    let (name, value) = (graph.node(id).name.clone(), Arc::clone(value));
                    found.push(Weight { name, id, value, uses: vec![this] });
                }
            }
        }
    }
    if found.is_empty() { Err(PruneError::NothingToPrune) } else { Ok(found) }
}

fn is_constant(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op, Op::Constant(_))
}

/// The constants of a network that are stored in `f32`, by name.
pub fn constants(graph: &Graph) -> BTreeMap<String, Arc<Tensor<f32>>> {
    let stored = graph.nodes().filter_map(|(_, node)| match &node.op {
        Op::Constant(Value::F32(value)) => Some((node.name.clone(), Arc::clone(value))),
        _ => None,
    });
    stored.collect()
}

/// Axes of outputs and of inputs, outermost first, and the groups.
fn axes(graph: &Graph, this: Use, rank: usize) -> (Vec<usize>, Vec<usize>, usize) {
    match &graph.node(this.node).op {
        Op::Conv { groups, .. } => (vec![0], (1..rank).collect(), *groups),
        // Channels come in as `group × C/groups`, go out as `group × M/groups`.
        Op::ConvTranspose { groups, .. } => (vec![1], [0].into_iter().chain(2..rank).collect(), *groups),
        Op::Gemm { trans_a, trans_b, .. } => {
            let outputs_first = if this.position == 0 { !*trans_a } else { *trans_b };
            if outputs_first { (vec![0], vec![1], 1) } else { (vec![1], vec![0], 1) }
        }
        _ => {
            let leading = 0..rank - 2;
            let (output, input) = if this.position == 0 { (rank - 2, rank - 1) } else { (rank - 1, rank - 2) };
            (leading.chain([output]).collect(), vec![input], 1)
        }
    }
}

fn layout(graph: &Graph, this: Use, shape: &[usize]) -> Layout {
    let (outputs, inputs, groups) = axes(graph, this, shape.len());
    let stride = strides(shape);
    let offsets = |axes: &[usize], first: usize| {
        let mut all = vec![0];
        for axis in axes {
            let extent = if *axis == first { shape[*axis] / groups } else { shape[*axis] };
            let step = stride[*axis];
            all = all.iter().flat_map(|o| (0..extent).map(move |i| o + i * step)).collect();
        }
        all
    };
    let transposed = matches!(graph.node(this.node).op, Op::ConvTranspose { .. });
    let (mut index, mut rows) = (Vec::new(), 0);
    // Only transposed convolutions keep their groups along the axis of inputs.
    let parts = if transposed { groups } else { 1 };
    let columns = offsets(&inputs, if transposed { 0 } else { usize::MAX });
    for part in 0..parts {
        let base = part * (shape[0] / parts) * stride[0] * usize::from(transposed);
        for row in offsets(&outputs, usize::MAX) {
            index.extend(columns.iter().map(|c| base + row + c));
            rows += 1;
        }
    }
    let kernel = match &graph.node(this.node).op {
        Op::Conv { window, .. } | Op::ConvTranspose { window, .. } => window.kernel.clone(),
        _ => Vec::new(),
    };
    Layout { rows, cols: columns.len(), index, groups, kernel }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{constant, window};
    use secateur_nn::graph::GraphBuilder;
    use secateur_nn::op::ElementType;

    #[test]
    fn matrices_of_all_operators() {
        let mut b = GraphBuilder::new("x", vec![1, 4, 3, 3], ElementType::F32);
        let w = constant(&mut b, "w", &[2, 2, 1, 1], 1);
        let c = b.add("c", Op::Conv { window: window(1, 1, 0), groups: 2 }, &[b.input(), w]).unwrap();
        let v = constant(&mut b, "v", &[2, 3, 1, 1], 2);
        let op = Op::ConvTranspose { window: window(1, 1, 0), groups: 2, output_padding: vec![0; 2] };
        let t = b.add("t", op, &[c, v]).unwrap();
        let flat = b.add("flat", Op::Reshape { shape: vec![1, 54] }, &[t]).unwrap();
        let m = constant(&mut b, "m", &[54, 2], 3);
        let y = b.add("y", Op::MatMul, &[flat, m]).unwrap();
        let graph = b.finish(y).unwrap();
        let found = weights(&graph).unwrap();
        let names: Vec<&str> = found.iter().map(|w| w.name.as_str()).collect();
        assert_eq!(names, ["w", "v", "m"]);
        let layout = |i: usize| found[i].layout(&graph, "test").unwrap();
        assert_eq!(layout(0), Layout { rows: 2, cols: 2, index: vec![0, 1, 2, 3], groups: 2, kernel: vec![1, 1] });
        // Group g holds input channel g and outputs 3g..3g+3.
        assert_eq!(
            layout(1),
            Layout { rows: 6, cols: 1, index: vec![0, 1, 2, 3, 4, 5], groups: 2, kernel: vec![1, 1] }
        );
        assert_eq!((layout(2).rows, layout(2).cols, layout(2).index[1]), (2, 54, 2));
    }

    #[test]
    fn a_weight_that_is_no_number_is_refused() {
        let mut b = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
        let w = Tensor::new(vec![2, 1], vec![1.0, f32::NAN]);
        let w = b.constant("w", Value::F32(Arc::new(w))).unwrap();
        let y = b.add("y", Op::MatMul, &[b.input(), w]).unwrap();
        let graph = b.finish(y).unwrap();
        assert!(matches!(weights(&graph), Err(PruneError::Weight { index: 1, .. })));
    }

    #[test]
    fn a_network_without_weights_is_refused() {
        let mut b = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
        let y = b.add("y", Op::Relu, &[b.input()]).unwrap();
        assert!(matches!(weights(&b.finish(y).unwrap()), Err(PruneError::NothingToPrune)));
    }
}
