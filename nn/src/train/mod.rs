//! Training: the constants of a [`Graph`](crate::graph::Graph) are fitted to a [`Dataset`](crate::data::Dataset).
//!
//! $$ \theta^* \approx \arg\min_\theta \frac1n \sum_i \ell\big(f_\theta(x_i), t_i\big). $$
//!
//! | step | file |
//! |---|---|
//! | the loop: shuffle, batch, gradient, clip, step, masks, evaluate, stop, checkpoint | `trainer.rs` |
//! | what the user chooses | [`Settings`] in `settings.rs` |
//! | which constants are trained | [`parameters()`] |
//! | the gradient of a batch, in lanes | `program.rs`, `lane.rs` |
//! | batch normalisation by the batch's own moments | `batch_norm.rs` |
//! | memory that is used again | `spare.rs` |
//! | losses | [`Loss`] in `loss.rs` |
//! | SGD, Adam, AdamW | [`Optimiser`] in `optimiser.rs` |
//! | step sizes | [`Schedule`] in `schedule.rs` |
//! | loss and accuracy of a network | [`evaluate()`] |
//! | interrupted runs go on where they stopped | `checkpoint.rs` |
//!
//! # Determinism
//! The result depends on the seed and not on the number of threads. A batch is cut into lanes of a fixed number of
//! samples. Each lane is one thread's at a time, and what lanes have in common (gradients, moments of batch
//! normalisation, losses) is summed in the order of lanes. Shuffling and augmentation of an epoch come from streams of
//! their own, numbered by epoch and sample.

mod batch_norm;
mod checkpoint;
mod evaluate;
mod fault;
mod lane;
mod loss;
mod optimiser;
mod parameters;
mod program;
mod schedule;
mod settings;
mod spare;
mod trainer;

pub use evaluate::{Evaluation, check_fit, evaluate, evaluate_with};
pub use fault::TrainFault;
pub use loss::Loss;
pub use optimiser::Optimiser;
pub use parameters::parameters;
pub use schedule::{Decay, Schedule};
pub use settings::Settings;
pub use trainer::{Epoch, Observer, Progress, Report, Silent, StopReason, train, train_within};
