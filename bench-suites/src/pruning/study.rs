//! The network under study, its data and its training.

use super::PruningError;
use super::config::{Config, Decay, Fit, Question};
use crate::watcher::Watcher;
use secateur_linalg::random::Random;
use secateur_nn::data::dataset::BatchTargets;
use secateur_nn::data::{Augmentation, DataSet, Dataset, Image, images};
use secateur_nn::graph::Graph;
use secateur_nn::mask::Masks;
use secateur_nn::models::{self, Initialisation, ResNet};
use secateur_nn::train::{self, Observer, Optimiser, Schedule, Settings};
use secateur_prune::{Calibration, PruneError, Targets};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A network to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `mlp:A-B-…`: a perceptron with these widths.
    Mlp(Vec<usize>),
    /// `lenet300`: the perceptron 784-300-100-10.
    Lenet300,
    /// `resnet:BLOCKS:WIDTH`: three stages of so many blocks; so many channels in the first.
    Resnet {
        /// Blocks of a stage.
        blocks: usize,
        /// Channels of the first stage.
        width: usize,
    },
}

/// Text that names no network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{0}` is no network of these experiments: expected mlp:A-B-…, lenet300 or resnet:BLOCKS:WIDTH")]
pub struct NoArchitecture(String);

impl FromStr for Architecture {
    type Err = NoArchitecture;

    fn from_str(text: &str) -> Result<Self, NoArchitecture> {
        let positive = |text: &str| text.parse::<usize>().ok().filter(|n| *n > 0);
        let numbers = |text: &str, mark| text.split(mark).map(positive).collect::<Option<Vec<usize>>>();
        let found = match text.split_once(':') {
            None if text == "lenet300" => Some(Architecture::Lenet300),
            Some(("mlp", widths)) => numbers(widths, '-').filter(|w| w.len() >= 2).map(Architecture::Mlp),
            Some(("resnet", sizes)) => match numbers(sizes, ':').as_deref() {
                Some(&[blocks, width]) => Some(Architecture::Resnet { blocks, width }),
                _ => None,
            },
            _ => None,
        };
        found.ok_or_else(|| NoArchitecture(text.to_owned()))
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Architecture::Lenet300 => f.write_str("lenet300"),
            Architecture::Resnet { blocks, width } => write!(f, "resnet:{blocks}:{width}"),
            Architecture::Mlp(widths) => {
                let widths: Vec<String> = widths.iter().map(ToString::to_string).collect();
                write!(f, "mlp:{}", widths.join("-"))
            }
        }
    }
}

impl Serialize for Architecture {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Architecture {
    /// The network with seeded weights: PyTorch's default, for residual networks those of He et al.
    fn build(&self, data: DataSet, seed: u64) -> Result<Graph, PruningError> {
        Ok(match *self {
            Architecture::Mlp(ref widths) => models::mlp(widths, Initialisation::Uniform, seed)?,
            Architecture::Lenet300 => models::lenet_300_100(Initialisation::Uniform, seed)?,
            Architecture::Resnet { blocks, width } => {
                let network = ResNet { image: data.shape(), blocks, ..ResNet::cifar_20(width) };
                network.build(Initialisation::He, seed)?
            }
        })
    }
}

/// What was trained and measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRecord {
    /// Training images that were used.
    pub training: usize,
    /// Training images that were there.
    pub available: usize,
    /// Test images.
    pub test: usize,
    /// What they are.
    pub origin: String,
}

/// A network, its data and its training.
pub struct Study<'a> {
    /// What is asked.
    pub config: &'a Config,
    training: Dataset,
    available: usize,
    test: Dataset,
    images: Vec<Image>,
}

/// The stream of the run's seed that calibration images are drawn from; the trainer's shuffles have low numbers.
const CALIBRATION: u64 = 1 << 40;

impl<'a> Study<'a> {
    /// Reads the data.
    ///
    /// # Errors
    /// They are missing, damaged or too few, or the network does not fit them.
    pub fn load(config: &'a Config, directory: &Path) -> Result<Self, PruningError> {
        let set = config.data;
        let dataset =
            |part: &str, found: &[Image]| images::dataset(&format!("{set} ({part})"), found, &set.shape(), 10);
        let images = images::load(set, directory)?;
        let test = dataset("test", &images)?;
        let all = dataset("training", &images::load_training(set, directory)?)?;
        let (available, wanted) = (all.len(), config.training_images.unwrap_or(all.len()));
        let calibration = match &config.question {
            Question::Sparsity(sweep) => sweep.calibration,
            Question::Tickets(_) => 0,
        };
        for (key, expected, found) in [("training-images", wanted, available), ("calibration", calibration, wanted)] {
            if expected > found {
                return Err(PruningError::TooFewImages { key, expected, found });
            }
        }
        let training = match config.training_images {
            None => all,
            Some(count) => all.subset(&Random::new(0).permutation(available)[..count]),
        };
        let study = Self { config, training, available, test, images };
        let loss = Settings::default().loss;
        for data in [&study.training, &study.test] {
            train::check_fit(&study.start(0)?, data, &loss)?;
        }
        Ok(study)
    }

    /// What was trained and measured on.
    pub fn record(&self) -> DataRecord {
        let origin = match self.config.data {
            DataSet::Mnist => "MNIST: training images drawn with seed 0 where not all are used; all test images",
            DataSet::Cifar => {
                "CIFAR-10: where the five binary files are missing, training images are JPEG files (1000 a class, lossy); \
                 test images are the exact ones of the subset"
            }
        };
        let (training, test) = (self.training.len(), self.test.len());
        DataRecord { training, available: self.available, test, origin: origin.to_owned() }
    }

    /// The test data.
    pub fn test(&self) -> &Dataset {
        &self.test
    }

    /// The test data as images.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The network before training.
    ///
    /// # Errors
    /// It is too large.
    pub fn start(&self, seed: u64) -> Result<Graph, PruningError> {
        self.config.network.build(self.config.data, seed)
    }

    /// The network after so many epochs of a training, under masks.
    ///
    /// # Errors
    /// Training fails, or the watcher stops it.
    pub fn fit(
        &self,
        graph: &Graph,
        masks: &Masks,
        fit: &Fit,
        epochs: usize,
        seed: u64,
        watcher: &dyn Watcher,
    ) -> Result<Graph, Halted> {
        let schedule = match fit.decay {
            Decay::Cosine => Schedule::cosine(fit.rate),
            Decay::Constant => Schedule::constant(fit.rate),
        };
        let settings = Settings {
            epochs,
            batch: fit.batch,
            optimiser: Optimiser::adam(),
            schedule,
            augmentation: Augmentation { flip: fit.flip, crop: fit.crop },
            seed,
            threads: self.config.threads,
            ..Settings::default()
        };
        let report = train::train(graph, &self.training, None, masks, &settings, &Ears(watcher))?;
        match report.stop {
            train::StopReason::Interrupted => Err(Halted::Stopped),
            _ => Ok(report.graph),
        }
    }

    /// So many training images for criteria to look at.
    ///
    /// # Errors
    /// The count is 0.
    pub fn calibration(&self, count: usize, seed: u64) -> Result<Calibration, PruneError> {
        let order = Random::stream(seed, CALIBRATION).permutation(self.training.len());
        let chosen = &order[..count.min(order.len())];
        let inputs = chosen.iter().map(|sample| {
            let mut input = Vec::new();
            self.training.push_input(*sample, &mut input);
            input
        });
        let targets = match self.training.gather_targets(chosen) {
            BatchTargets::Classes(labels) => Targets::Labels(labels),
            BatchTargets::Values(_) => Targets::None,
        };
        Calibration::new(inputs.collect(), targets)
    }
}

/// Why a training has no result.
#[derive(Debug, thiserror::Error)]
pub enum Halted {
    /// It failed.
    #[error(transparent)]
    Network(#[from] secateur_nn::NnError),
    /// The watcher asked for it.
    #[error("stopped")]
    Stopped,
}

impl From<Halted> for PruningError {
    fn from(halted: Halted) -> Self {
        match halted {
            Halted::Network(error) => PruningError::Network(error),
            Halted::Stopped => PruningError::Stopped { done: 0, all: 0 },
        }
    }
}

/// Hears of a training or a verification on behalf of a watcher.
pub struct Ears<'a>(pub &'a dyn Watcher);

impl secateur_verify::Observer for Ears<'_> {
    fn stop(&self) -> bool {
        self.0.stop()
    }
}

impl Observer for Ears<'_> {
    fn stop(&self) -> bool {
        self.0.stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for text in ["mlp:784-50-10", "lenet300", "resnet:1:8"] {
            assert_eq!(text.parse::<Architecture>().expect("a network").to_string(), text);
        }
        for text in ["mlp", "mlp:4", "mlp:4-0", "resnet:1", "resnet:0:8", "lenet", "lenet300:2"] {
            assert!(text.parse::<Architecture>().is_err(), "{text}");
        }
    }
}
