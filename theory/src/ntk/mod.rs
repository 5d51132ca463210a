//! Neural tangent kernels: of infinitely wide networks with sparse layers, and of the networks at hand.
//!
//! | step | file |
//! |---|---|
//! | what an activation makes of a covariance: arc-cosine and arc-sine forms | [`activation`] |
//! | how many of a layer's weights are there, and how large they are | [`density`] |
//! | layers and what they are made of, as a file says it | [`architecture`] |
//! | layers against their shapes, once | [`plan`] |
//! | covariances of one pair of inputs, layer by layer | [`recursion`] |
//! | the same for all pairs: [`plan::Plan::gram`] | [`pairs`] |
//! | a finite network of the same layers, drawn | [`mod@finite`] |
//! | the kernel of a limit graphon as its theorem states it; path density | [`graphon`] |
//! | the kernel $J J^\top$ of a network, masked or not | [`mod@empirical`], `parts.rs` |
//! | eigenvalues of a kernel and what they say | [`spectrum`] |
//! | predictions by a kernel | [`regression`] |
//! | what its predictions are bound to reach | [`bound`] |

pub mod activation;
pub mod architecture;
pub mod bound;
pub mod density;
pub mod empirical;
pub mod finite;
pub mod graphon;
pub mod pairs;
mod parts;
pub mod plan;
pub mod recursion;
pub mod regression;
pub mod spectrum;

pub use activation::{Activation, Dual};
pub use architecture::{Architecture, Conv, Gradient, Layer, Pool, Values, Weights};
pub use density::{Density, DensityGrid};
pub use empirical::{Empirical, Outputs, Settings, Zeros, empirical};
pub use finite::finite;
pub use graphon::{GraphonNtk, path_density};
pub use pairs::Kernels;
pub use plan::Plan;
pub use regression::Ridge;
pub use spectrum::Spectrum;
