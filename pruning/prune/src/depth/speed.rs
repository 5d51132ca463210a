//! How fast a model is: tokens a second, read together and added one by one.

use super::progress::Progress;
use crate::error::PruneError;
use secateur_linalg::random::Random;
use secateur_nn::lm::Model;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Tokens that are read together, and that are added one by one, unless the model's context is shorter.
const TOKENS: [usize; 2] = [128, 64];
/// Speed is that of the fastest of so many runs: others on the machine only slow it down.
const RUNS: usize = 3;

/// Tokens a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Read together.
    pub prefill: f64,
    /// Added one by one.
    pub decode: f64,
}

impl Speed {
    /// Measures a model on tokens that are drawn: which ones they are makes no difference to the work.
    ///
    /// # Errors
    /// The caller stopped.
    pub fn measure(model: &Model, progress: &dyn Progress) -> Result<Self, PruneError> {
        let half = (model.config.context / 2).max(1);
        let [prompt, steps] = TOKENS.map(|tokens| tokens.min(half));
        let mut random = Random::new(1);
        let tokens: Vec<u32> = (0..prompt + steps).map(|_| random.index(model.embedding.rows()) as u32).collect();
        let (read, added) = tokens.split_at(prompt);
        let mut speed = Self { prefill: 0.0, decode: 0.0 };
        for run in 0..RUNS {
            progress.begin(run, RUNS, "runs for speed")?;
            let mut cache = model.cache();
            let begin = Instant::now();
            model.next(read, &mut cache);
            speed.prefill = speed.prefill.max(prompt as f64 / begin.elapsed().as_secs_f64());
            let begin = Instant::now();
            for token in added {
                model.next(&[*token], &mut cache);
                progress.go_on()?;
            }
            speed.decode = speed.decode.max(steps as f64 / begin.elapsed().as_secs_f64());
        }
        Ok(speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::progress::Silent;
    use crate::depth::testing::Shape;

    #[test]
    fn more_blocks_take_longer() {
        let speed = |blocks| Speed::measure(&Shape::small(blocks).model(1), &Silent).expect("not stopped");
        let (few, many) = (speed(1), speed(40));
        // Forty times the work of blocks; others on the machine cost less than half of that.
        assert!(many.decode < few.decode / 2.0 && many.prefill < few.prefill / 2.0, "{few:?} {many:?}");
        assert!(many.decode > 0.0 && many.prefill.is_finite());
    }
}
