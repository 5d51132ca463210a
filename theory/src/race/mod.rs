//! The neuron race: how the neurons of one hidden layer align, change their data, and overtake each other.
//!
//! $$ f(x) = \sum_\alpha w_{2,\alpha} [w_{1,\alpha} \cdot x]_+, \qquad
//! \dot w_{1,\alpha} = w_{2,\alpha} D_\alpha, \quad \dot w_{2,\alpha} = w_{1,\alpha} \cdot D_\alpha, \quad
//! D_\alpha = \tfrac1N \sum_s g_\alpha(s)\, \rho_s x_s. $$
//!
//! | step | file |
//! |---|---|
//! | the samples, centred and scaled, in coordinates of their span | [`Task`] in `task.rs` |
//! | the loss and its residuals $\rho_s = -\partial \ell / \partial f(x_s)$ | [`Loss`] in `loss.rs` |
//! | the neurons and how they start | [`Neurons`], [`Start`] in `neurons.rs` |
//! | the drives $D_\alpha$ | [`Drive`] in `drive.rs` |
//! | gradient descent | [`descend`] in `descent.rs` |
//! | gradient flow, with events at gate flips | [`flow()`] in `flow.rs`, gates that stay at their edge in `gates.rs` |
//! | gate flips: who gains or loses which sample, and how $D_\alpha$ turns | [`Flip`], [`FlipLog`] in `flips.rs` |
//! | closed forms while $D_\alpha$ keeps its direction | [`ClosedForm`] in `closed_form.rs` |
//! | clusters of directions | [`Clusters`] in `clusters.rs` |
//! | whether changes of clusters follow flips | [`unlocking`] |
//! | rank correlations | [`rank`] |
//! | merging and pruning | [`reduce`] |
//! | who is chosen to race alone | [`ticket`] |
//!
//! # Source
//! arXiv 2602.04832 for the phenomena. Labels, losses, starts and the step size are choices of this project; the notes in
//! `proofs-notes/race` say which.

mod closed_form;
mod clusters;
mod descent;
mod drive;
mod flips;
mod flow;
mod gates;
mod loss;
mod neurons;
pub mod rank;
pub mod reduce;
mod task;
#[cfg(test)]
mod testing;
pub mod ticket;
pub mod unlocking;

pub use closed_form::{Assumption, ClosedForm, Window};
pub use clusters::Clusters;
pub use descent::{Descent, descend};
pub use drive::Drive;
pub use flips::{Flip, FlipLog, Gate};
pub use flow::{Flow, FlowReport, flow};
pub use loss::Loss;
pub use neurons::{Neurons, Start};
pub use task::Task;

/// What an integrator shows whoever watches it.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The time: step number times step size for descent.
    pub time: f64,
    /// The neurons.
    pub neurons: &'a Neurons,
    /// What drives them.
    pub drive: &'a Drive,
}

/// Whether an integrator goes on.
pub type Verdict = std::ops::ControlFlow<()>;
