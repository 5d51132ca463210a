//! Graphons: limits of masks, distances between them, and what the factorised saliency model predicts.
//!
//! | step | file |
//! |---|---|
//! | step functions on the unit square | [`step`] |
//! | degrees, densities of small graphs | [`densities`] |
//! | eigenvalues, singular values, energy | [`spectrum`] |
//! | random graphs of a graphon | [`sampling`] |
//! | the cut norm, as a bracket | [`cut`] |
//! | laws of the noise on edges | [`law`] |
//! | the factorised saliency model, its threshold and its limit | [`saliency`] |
//! | row profiles and column factors of each method | [`methods`] |
//! | how near a mask is to a constant | [`taxonomy`] |
//! | the histogram after sorting, and its bias | [`histogram`] |
//! | how wide a masked network has to be to approximate | [`approximation`] |
//!
//! The distance is the labelled one throughout: rows are inputs and columns are hidden units, and a prediction says which
//! is which.

pub mod approximation;
pub mod cut;
pub mod densities;
pub mod histogram;
pub mod law;
pub mod methods;
pub mod saliency;
pub mod sampling;
pub mod spectrum;
pub mod step;
pub mod taxonomy;

pub use cut::{CutNorm, cut_distance, cut_norm};
pub use saliency::{FactorisedSaliency, Limit};
pub use step::StepGraphon;
