//! Networks to start from, with seeded weights.
//!
//! | network | file |
//! |---|---|
//! | multilayer perceptron, LeNet-300-100 | [`mlp`], [`lenet_300_100`] in `dense.rs` |
//! | LeNet-5 | [`lenet_5`] in `lenet.rs` |
//! | residual networks for small images | [`ResNet`] in `resnet.rs` |
//! | transformer encoder that classifies a sequence | [`Transformer`] in `transformer.rs` |
//! | gated recurrent unit, unrolled | [`Gru`] in `recurrent.rs` |
//! | the layers they are made of | [`Layers`] in `layers.rs` |
//!
//! Every network takes one sample (axis 0 has length 1) and gives scores, without a softmax.

mod dense;
mod layers;
mod lenet;
mod recurrent;
mod resnet;
mod transformer;

pub use dense::{lenet_300_100, mlp};
pub use layers::{Initialisation, Layers, Square};
pub use lenet::lenet_5;
pub use recurrent::Gru;
pub use resnet::{ResNet, Shortcut};
pub use transformer::Transformer;
