//! The trusted base: exact arithmetic replay of counterexamples.
//!
//! Stored weights are binary floating-point numbers, so they are dyadic: $m\,2^e$ with integers $m, e$. Sums and
//! products of dyadic numbers are dyadic, so affine layers and piecewise linear activations are evaluated
//! without any error; everything else is enclosed between two dyadic numbers. There is no floating-point
//! arithmetic in this crate and no `unsafe`: the floats of a network are read as bits.
//!
//! | step | file |
//! |---|---|
//! | bits of a float → $\pm m\,2^e$ | [`float`] |
//! | dyadic numbers, intervals between them, rounding outward | [`interval`] |
//! | enclosures of $e^x$, the logistic function, $\tanh$, $\sin$, $\cos$ by integers | [`transcendental`] |
//! | tensors of enclosures with one exponent | [`tensor`] |
//! | products with stored weights in wide two's complement sums | [`accumulate`], [`linear`] |
//! | entry by entry; windows and axes; moves of entries | [`pointwise`], [`windows`], [`reduction`], [`layout`] |
//! | a network at a point | [`evaluate()`] |
//! | is a point a counterexample? | [`replay()`] |
//! | real numbers or executions in `f32`; one such execution | [`semantics`], [`single`] |
//! | two networks as one, for questions about their difference | [`pair`] |
//! | does a certificate prove that there is none? | [`proof`] |
//! | does one prove the least core of a game? | [`shares`] |

#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic)]

pub mod accumulate;
pub mod error;
pub mod evaluate;
pub mod float;
pub mod interval;
pub mod layout;
pub mod linear;
pub mod pair;
pub mod pointwise;
pub mod proof;
pub mod reduction;
pub mod replay;
pub mod semantics;
pub mod shares;
pub mod single;
pub mod tensor;
pub mod transcendental;
pub mod windows;

pub use error::CheckError;
pub use evaluate::{Enclosure, Precision, enclose, evaluate};
pub use float::dyadic;
pub use pair::{Pair, PairError, Question, Related, check_pair};
pub use replay::{Executed, Replay, replay, replay_executed, replay_with};
pub use semantics::Semantics;
