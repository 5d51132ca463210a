//! Layer pruning as a cooperative game: the blocks of a language model are players, and a set of them is worth how well the
//! model predicts with these alone,
//!
//! $$ s(m) = \frac{\operatorname{PPL}(\text{all blocks})}{\operatorname{PPL}(m)}, $$
//!
//! where a block that is not kept is the identity on the residual stream.
//!
//! | step | file |
//! |---|---|
//! | sets of kept blocks, drawn by their size | [`masks`] |
//! | $s(m)$, with streams that neighbours share | [`utility`] |
//! | a network that predicts $s$ from $m$ | [`surrogate`] |
//! | what a block adds on average, with intervals | [`estimator`] |
//! | which blocks go | [`decide`] |
//! | the same by other methods | [`baselines`] |
//! | how far numbers agree | [`agreement`] |
//!
//! # Source
//! arXiv 2602.07804. Hold-out, intervals, searches and enumeration are additions.

pub mod agreement;
pub mod baselines;
pub mod decide;
pub mod estimator;
pub mod masks;
pub mod surrogate;
pub mod utility;

pub use masks::{Mask, Stratum};
pub use surrogate::Surrogate;
pub use utility::Utility;
