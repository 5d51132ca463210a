//! Methods that adjust the weights that stay to make up for those that go.
//!
//! | method | what stays is adjusted so that | file |
//! |---|---|---|
//! | `sparsegpt` | each layer's outputs on its calibration inputs change least | `sparsegpt.rs` |
//! | `nystrom` | removed neurons are predicted from those that stay | `nystrom.rs` |

mod nystrom;
mod sparsegpt;

pub use nystrom::{Landmarks, NystromParams, nystrom};
pub use sparsegpt::{SparsegptParams, layer_errors, sparsegpt};

use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;

/// Masks with the network whose other weights were adjusted to them.
#[derive(Clone, Debug)]
pub struct Reconstruction {
    /// The masks, of every prunable tensor.
    pub masks: Masks,
    /// The network with adjusted weights, zero where masked.
    pub graph: Graph,
}
