//! What the user of a training run chooses.

use super::fault::TrainFault;
use super::loss::Loss;
use super::optimiser::Optimiser;
use super::schedule::Schedule;
use crate::data::Augmentation;
use crate::error::NnError;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// How a network is trained.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Passes over the data.
    pub epochs: usize,
    /// Samples per step; the last batch of an epoch may have fewer.
    pub batch: usize,
    /// The rule by which gradients change weights.
    pub optimiser: Optimiser,
    /// The step size over time.
    pub schedule: Schedule,
    /// What is minimised.
    pub loss: Loss,
    /// The gradient is scaled down to this Euclidean norm where it is longer.
    pub clip: Option<f64>,
    /// Random changes of the inputs.
    pub augmentation: Augmentation,
    /// Stop after so many epochs without a smaller validation loss, and go back to the weights that had the smallest.
    pub patience: Option<usize>,
    /// Seed of shuffling and augmentation.
    pub seed: u64,
    /// Worker threads; 0 takes every core. The result does not depend on it.
    pub threads: usize,
    /// Constants that stay as they are, by name. A batch normalisation whose mean or variance is among them normalises by these
    /// statistics in training too.
    pub frozen: BTreeSet<String>,
    /// Written after every epoch.
    pub checkpoint: Option<PathBuf>,
    /// Go on from the checkpoint where there is one.
    pub resume: bool,
}

impl Default for Settings {
    /// Ten epochs of Adam with steps of $10^{-3}$ on cross-entropy, 128 samples each.
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 128,
            optimiser: Optimiser::adam(),
            schedule: Schedule::constant(1e-3),
            loss: Loss::CrossEntropy { smoothing: 0.0 },
            clip: None,
            augmentation: Augmentation::default(),
            patience: None,
            seed: 0,
            threads: 0,
            frozen: BTreeSet::new(),
            checkpoint: None,
            resume: false,
        }
    }
}

impl Settings {
    /// Whether every number is in its range.
    ///
    /// # Errors
    /// [`TrainFault::Setting`] names the first that is not.
    pub fn check(&self) -> Result<(), NnError> {
        let rule = |holds: bool, setting, expected, found: String| match holds {
            true => Ok(()),
            false => Err(TrainFault::Setting { setting, expected, found }),
        };
        rule(self.batch > 0, "batch", "at least one sample", self.batch.to_string())?;
        let clip = self.clip.unwrap_or(1.0);
        rule(clip > 0.0 && clip.is_finite(), "clip", "a positive norm", clip.to_string())?;
        let resumes = !self.resume || self.checkpoint.is_some();
        rule(resumes, "resume", "a checkpoint to go on from", "none".to_owned())?;
        self.optimiser.check()?;
        self.schedule.check()?;
        Ok(self.loss.check()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_outside_of_their_range_are_refused() {
        let good = Settings::default();
        assert!(good.check().is_ok());
        let bad = [
            Settings { batch: 0, ..good.clone() },
            Settings { clip: Some(0.0), ..good.clone() },
            Settings { clip: Some(f64::NAN), ..good.clone() },
            Settings { resume: true, ..good.clone() },
            Settings { schedule: Schedule::constant(-1.0), ..good.clone() },
            Settings { optimiser: Optimiser::sgd(1.0, true), ..good.clone() },
            Settings { optimiser: Optimiser::sgd(0.0, true), ..good.clone() },
            Settings { loss: Loss::CrossEntropy { smoothing: 1.5 }, ..good.clone() },
            Settings { loss: Loss::Huber { delta: 0.0 }, ..good },
        ];
        for settings in bad {
            assert!(matches!(settings.check(), Err(NnError::Train(TrainFault::Setting { .. }))), "{settings:?}");
        }
    }
}
