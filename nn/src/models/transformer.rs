//! A transformer encoder that classifies a sequence, in the operators of the graph.

use super::layers::{Initialisation, Layers};
use crate::error::NnError;
use crate::graph::{Graph, NodeId};
use crate::op::Op;

/// Tokens, embedded and with learnt positions, through blocks
///
/// $$ x \leftarrow x + \mathrm{Attention}(\mathrm{LN}(x)), \qquad x \leftarrow x + W_2\,\mathrm{ReLU}(W_1\,\mathrm{LN}(x)), $$
///
/// then their mean, normalised, to scores.
///
/// # Shapes
/// Takes `1 × length × features`: for symbols rows with a single 1, so that the embedding is a product.
///
/// # Source
/// Vaswani et al. 2017, normalised before each part as in Xiong et al. 2020, with ReLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transformer {
    /// Tokens of a sequence.
    pub length: usize,
    /// Numbers that describe a token.
    pub features: usize,
    /// Width of the residual stream; a multiple of `heads`.
    pub width: usize,
    /// Heads of an attention.
    pub heads: usize,
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Blocks.
    pub blocks: usize,
    /// Classes.
    pub classes: usize,
}

impl Transformer {
    /// The network.
    ///
    /// # Errors
    /// A layer is too large.
    ///
    /// # Panics
    /// The width is no multiple of the heads.
    #[track_caller]
    pub fn build(&self, how: Initialisation, seed: u64) -> Result<Graph, NnError> {
        assert!(self.heads > 0 && self.width.is_multiple_of(self.heads), "heads divide the width");
        let mut layers = Layers::new(&[1, self.length, self.features], how, seed);
        let embedding = layers.weight("embedding", &[self.features, self.width], self.features, self.width)?;
        let positions = layers.weight("positions", &[1, self.length, self.width], self.width, self.width)?;
        let embedded = layers.add("embedded", Op::MatMul, &[layers.input(), embedding])?;
        let mut x = layers.add("placed", Op::Add, &[embedded, positions])?;
        for block in 1..=self.blocks {
            x = self.block(&mut layers, &format!("block{block}"), x)?;
        }
        x = layers.layer_norm("norm", x)?;
        x = layers.add("mean", Op::ReduceMean { axes: vec![1], keep: false }, &[x])?;
        x = layers.dense("fc", x, self.classes)?;
        layers.finish(x)
    }

    fn block(&self, layers: &mut Layers, name: &str, x: NodeId) -> Result<NodeId, NnError> {
        let normal = layers.layer_norm(&format!("{name}.norm1"), x)?;
        let attended = self.attention(layers, &format!("{name}.attention"), normal)?;
        let x = layers.add(&format!("{name}.residual"), Op::Add, &[x, attended])?;
        let normal = layers.layer_norm(&format!("{name}.norm2"), x)?;
        let hidden = layers.project(&format!("{name}.up"), normal, self.hidden)?;
        let hidden = layers.add(&format!("{name}.relu"), Op::Relu, &[hidden])?;
        let hidden = layers.project(&format!("{name}.down"), hidden, self.width)?;
        layers.add(name, Op::Add, &[x, hidden])
    }

    /// $\mathrm{softmax}(Q K^\top / \sqrt d)\, V$ for every head.
    fn attention(&self, layers: &mut Layers, name: &str, x: NodeId) -> Result<NodeId, NnError> {
        let Self { length, width, heads, .. } = *self;
        let size = width / heads;
        let part = |part: &str| format!("{name}.{part}");
        let split = |layers: &mut Layers, role: &str, axes: [usize; 4]| {
            let y = layers.project(&part(role), x, width)?;
            let y = layers.add(
                &part(&format!("{role}.heads")),
                Op::Reshape { shape: vec![1, length, heads, size] },
                &[y],
            )?;
            layers.add(&part(&format!("{role}.turned")), Op::Transpose { axes: axes.to_vec() }, &[y])
        };
        let query = split(layers, "query", [0, 2, 1, 3])?;
        let key = split(layers, "key", [0, 2, 3, 1])?;
        let value = split(layers, "value", [0, 2, 1, 3])?;
        let scale = layers.filled(&part("scale"), &[], 1.0 / (size as f32).sqrt())?;
        let scores = layers.add(&part("product"), Op::MatMul, &[query, key])?;
        let scores = layers.add(&part("scores"), Op::Mul, &[scores, scale])?;
        let weights = layers.add(&part("weights"), Op::Softmax { axis: 3 }, &[scores])?;
        let mixed = layers.add(&part("mixed"), Op::MatMul, &[weights, value])?;
        let mixed = layers.add(&part("back"), Op::Transpose { axes: vec![0, 2, 1, 3] }, &[mixed])?;
        let joined = layers.add(&part("joined"), Op::Reshape { shape: vec![1, length, width] }, &[mixed])?;
        layers.project(&part("out"), joined, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_batches() {
        let net = Transformer { length: 5, features: 7, width: 8, heads: 2, hidden: 12, blocks: 2, classes: 3 };
        let graph = net.build(Initialisation::default(), 0).unwrap();
        assert_eq!(graph.with_batch(4).unwrap().node(graph.output()).shape, [4, 3]);
    }
}
