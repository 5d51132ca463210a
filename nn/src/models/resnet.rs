//! Residual networks for images of 32 × 32.

use super::layers::{Initialisation, Layers, Square};
use crate::error::NnError;
use crate::graph::{Graph, NodeId};
use crate::op::Op;

/// What goes around a block that changes the shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shortcut {
    /// Every second row and column, new channels zero: option A, without weights.
    Subsample,
    /// A convolution of 1 × 1 with batch normalisation: option B.
    #[default]
    Project,
}

/// A residual network with three stages of `blocks` blocks of two convolutions: $6\,\text{blocks} + 2$ layers with weights.
///
/// # Source
/// He, Zhang, Ren and Sun 2016, section 4.2 (there `width` is 16 and the shortcut is [`Shortcut::Subsample`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResNet {
    /// Shape of an image: channels, rows, columns.
    pub image: [usize; 3],
    /// Blocks of a stage; 3 for ResNet-20.
    pub blocks: usize,
    /// Channels of the first stage; the others have twice and four times as many.
    pub width: usize,
    /// What goes around a block that changes the shape.
    pub shortcut: Shortcut,
    /// Classes.
    pub classes: usize,
}

impl ResNet {
    /// ResNet-20 for CIFAR-10 with `width` channels in its first stage.
    pub fn cifar_20(width: usize) -> Self {
        Self { image: [3, 32, 32], blocks: 3, width, shortcut: Shortcut::Project, classes: 10 }
    }

    /// The network.
    ///
    /// # Errors
    /// A layer is too large, or the image too small.
    pub fn build(&self, how: Initialisation, seed: u64) -> Result<Graph, NnError> {
        let [channels, rows, columns] = self.image;
        let mut layers = Layers::new(&[1, channels, rows, columns], how, seed);
        let mut x = layers.input();
        x = normalised(&mut layers, "stem", x, self.width, 3, 1)?;
        x = layers.add("stem.relu", Op::Relu, &[x])?;
        for stage in 0..3 {
            for block in 0..self.blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("stage{}.block{}", stage + 1, block + 1);
                x = self.block(&mut layers, &name, x, self.width << stage, stride)?;
            }
        }
        x = layers.add("mean", Op::ReduceMean { axes: vec![2, 3], keep: false }, &[x])?;
        x = layers.dense("fc", x, self.classes)?;
        layers.finish(x)
    }

    fn block(
        &self,
        layers: &mut Layers,
        name: &str,
        x: NodeId,
        channels: usize,
        stride: usize,
    ) -> Result<NodeId, NnError> {
        let y = normalised(layers, &format!("{name}.first"), x, channels, 3, stride)?;
        let y = layers.add(&format!("{name}.relu"), Op::Relu, &[y])?;
        let y = normalised(layers, &format!("{name}.second"), y, channels, 3, 1)?;
        let around = match (stride, self.shortcut) {
            (1, _) => x,
            (_, Shortcut::Project) => normalised(layers, &format!("{name}.shortcut"), x, channels, 1, stride)?,
            (_, Shortcut::Subsample) => subsampled(layers, &format!("{name}.shortcut"), x, channels, stride)?,
        };
        let sum = layers.add(&format!("{name}.sum"), Op::Add, &[y, around])?;
        layers.add(name, Op::Relu, &[sum])
    }
}

/// A convolution without bias, normalised.
fn normalised(
    layers: &mut Layers,
    name: &str,
    x: NodeId,
    channels: usize,
    kernel: usize,
    stride: usize,
) -> Result<NodeId, NnError> {
    let size = Square { kernel, stride, pad: kernel / 2 };
    let y = layers.conv(&format!("{name}.conv"), x, channels, size, false)?;
    layers.batch_norm(&format!("{name}.norm"), y)
}

fn subsampled(layers: &mut Layers, name: &str, x: NodeId, channels: usize, stride: usize) -> Result<NodeId, NnError> {
    let shape = layers.shape(x).to_vec();
    let step = stride as isize;
    let lengths = vec![1, shape[1], shape[2].div_ceil(stride), shape[3].div_ceil(stride)];
    let slice = Op::Slice { starts: vec![0; 4], steps: vec![1, 1, step, step], lengths };
    let y = layers.add(&format!("{name}.slice"), slice, &[x])?;
    let missing = channels - shape[1];
    let (before, after) = (missing / 2, missing - missing / 2);
    let pad = Op::Pad { begin: vec![0, before, 0, 0], end: vec![0, after, 0, 0], value: 0.0 };
    layers.add(name, pad, &[y])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::parameters;

    #[test]
    fn resnet_20_has_the_published_parameters() {
        let count = |shortcut| {
            let graph = ResNet { shortcut, ..ResNet::cifar_20(16) }.build(Initialisation::He, 0).unwrap();
            assert_eq!(graph.with_batch(3).unwrap().node(graph.output()).shape, [3, 10]);
            parameters(&graph).iter().map(|id| graph.node(*id).shape.iter().product::<usize>()).sum::<usize>()
        };
        // 0.27 million in the paper; option B adds 16·32 + 32·64 weights and 2·(32 + 64) for their normalisations.
        assert_eq!(count(Shortcut::Subsample), 269_722);
        assert_eq!(count(Shortcut::Project), 269_722 + 16 * 32 + 32 * 64 + 2 * (32 + 64));
    }
}
