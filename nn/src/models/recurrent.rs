//! A recurrent network, unrolled over the length of its sequences.

use super::layers::{Initialisation, Layers};
use crate::error::NnError;
use crate::graph::{Graph, NodeId};
use crate::op::Op;

/// A gated recurrent unit whose last state is turned into scores:
///
/// $$ r = \sigma(W_r x + U_r h), \quad z = \sigma(W_z x + U_z h), \quad n = \tanh(W_n x + r \odot U_n h), \quad
/// h \leftarrow n + z \odot (h - n), $$
///
/// each product with its bias; $h$ begins at zero.
///
/// # Shapes
/// Takes `1 × length × features`. `input.weight` is $W$ as `3·hidden × features` in the order $r, z, n$, `state.weight` is $U$.
///
/// # Source
/// Cho et al. 2014, with the reset gate after the product, as in cuDNN and PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gru {
    /// Steps.
    pub length: usize,
    /// Numbers of a step's input.
    pub features: usize,
    /// Numbers of the state.
    pub hidden: usize,
    /// Classes.
    pub classes: usize,
}

impl Gru {
    /// The network.
    ///
    /// # Errors
    /// A layer is too large.
    ///
    /// # Panics
    /// There are no steps.
    #[track_caller]
    pub fn build(&self, how: Initialisation, seed: u64) -> Result<Graph, NnError> {
        let Self { length, features, hidden, classes } = *self;
        assert!(length > 0, "a sequence has steps");
        let mut layers = Layers::new(&[1, length, features], how, seed);
        // PyTorch takes the state's size for the bound of all four.
        let w = layers.weight("input.weight", &[3 * hidden, features], hidden, hidden)?;
        let u = layers.weight("state.weight", &[3 * hidden, hidden], hidden, hidden)?;
        let b = layers.bias("input.bias", &[1, 3 * hidden], hidden)?;
        let c = layers.bias("state.bias", &[1, 3 * hidden], hidden)?;
        let mut state = None;
        for t in 0..length {
            let part = |part: &str| format!("step{}.{part}", t + 1);
            let slice = Op::Slice { starts: vec![0, t, 0], steps: vec![1; 3], lengths: vec![1, 1, features] };
            let x = layers.add(&part("slice"), slice, &[layers.input()])?;
            let x = layers.add(&part("x"), Op::Reshape { shape: vec![1, features] }, &[x])?;
            let affine = Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
            let from_input = layers.add(&part("input"), affine.clone(), &[x, w, b])?;
            let from_state = match state {
                Some(h) => layers.add(&part("state"), affine, &[h, u, c])?,
                None => c,
            };
            let gate = |layers: &mut Layers, name: &str, from: NodeId, k: usize| {
                let slice = Op::Slice { starts: vec![0, k * hidden], steps: vec![1; 2], lengths: vec![1, hidden] };
                layers.add(&part(name), slice, &[from])
            };
            let [r, z, n] = [("r", 0), ("z", 1), ("n", 2)].map(|(name, k)| {
                Ok::<_, NnError>([
                    gate(&mut layers, &format!("input.{name}"), from_input, k)?,
                    gate(&mut layers, &format!("state.{name}"), from_state, k)?,
                ])
            });
            let (r, z, n) = (r?, z?, n?);
            let r = layers.add(&part("r.sum"), Op::Add, &r)?;
            let r = layers.add(&part("r"), Op::Sigmoid, &[r])?;
            let z = layers.add(&part("z.sum"), Op::Add, &z)?;
            let z = layers.add(&part("z"), Op::Sigmoid, &[z])?;
            let reset = layers.add(&part("n.reset"), Op::Mul, &[r, n[1]])?;
            let sum = layers.add(&part("n.sum"), Op::Add, &[n[0], reset])?;
            let n = layers.add(&part("n"), Op::Tanh, &[sum])?;
            // From a state of zero: n − z n.
            let kept = match state {
                Some(h) => {
                    let difference = layers.add(&part("difference"), Op::Sub, &[h, n])?;
                    layers.add(&part("kept"), Op::Mul, &[z, difference])?
                }
                None => {
                    let product = layers.add(&part("product"), Op::Mul, &[z, n])?;
                    layers.add(&part("kept"), Op::Neg, &[product])?
                }
            };
            state = Some(layers.add(&part("h"), Op::Add, &[n, kept])?);
        }
        let state = state.unwrap_or(layers.input());
        let scores = layers.dense("fc", state, classes)?;
        layers.finish(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_batches() {
        let graph = Gru { length: 4, features: 3, hidden: 5, classes: 2 }.build(Initialisation::default(), 0).unwrap();
        assert_eq!(graph.with_batch(6).unwrap().node(graph.output()).shape, [6, 2]);
    }
}
