//! Where samples come from: flows of a network, or pictures of digits.

use crate::digits;
use crate::theory::StudyError;
use secateur_linalg::random::Random;
use secateur_nn::data::{Dataset, Inputs, Targets};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::flows;

/// A data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Flows of NSL-KDD by family of attack: `KDDTrain+_20Percent.txt` to train on, `KDDTest+.txt` to test on.
    NslKdd,
    /// The shipped digits, 8 × 8 numbers; the samples of the test are taken out of them first.
    Digits,
}

impl Source {
    /// The names of its classes.
    pub fn classes(self) -> Vec<String> {
        match self {
            Source::NslKdd => flows::FAMILIES.map(str::to_owned).to_vec(),
            Source::Digits => (0..10).map(|digit| digit.to_string()).collect(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::NslKdd => "NSL-KDD",
            Source::Digits => "UCI digits (8 × 8)",
        })
    }
}

/// Rows of numbers with their classes.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub values: Vec<f32>,
    pub labels: Vec<usize>,
}

/// Samples to train and to test on.
#[derive(Clone, Debug)]
pub struct Samples {
    /// All samples that players may get.
    pub train: Dataset,
    /// The test.
    pub test: Dataset,
    /// The numbers of training samples of each class, in random order.
    pub pools: Vec<Vec<usize>>,
    /// The columns by name, each with its entries of an input.
    pub columns: Vec<(String, Range<usize>)>,
}

impl Samples {
    /// Loads a data set and draws the test.
    ///
    /// # Errors
    /// There is no directory of data, a file is missing or damaged, or there are too few samples to test on.
    pub fn load(
        source: Source,
        classes: &[String],
        test: usize,
        seed: u64,
        data: Option<&Path>,
    ) -> Result<Self, StudyError> {
        let (train, rest, columns) = match source {
            Source::NslKdd => {
                let directory = data.ok_or_else(|| StudyError::NoData { what: source.to_string() })?;
                flows::load(directory, classes)?
            }
            Source::Digits => {
                let rows = pictures(classes);
                let columns = (0..digits::PIXELS).map(|pixel| (format!("p{pixel}"), pixel..pixel + 1)).collect();
                (rows.clone(), rows, columns)
            }
        };
        let found = rest.labels.len();
        // Digits that are not in the test are trained on: at least one.
        let most = if source == Source::Digits { found.saturating_sub(1) } else { found };
        if most < test {
            return Err(StudyError::TooFewSamples { key: "test", asked: test, found: most });
        }
        let mut random = Random::stream(seed, 0);
        let order = random.permutation(found);
        let (taken, left) = order.split_at(test);
        let free: Vec<usize> = match source {
            Source::NslKdd => random.permutation(train.labels.len()),
            Source::Digits => left.to_vec(),
        };
        let pool = |class| free.iter().copied().filter(|sample| train.labels[*sample] == class).collect();
        let pools = (0..classes.len()).map(pool).collect();
        let origin = source.to_string();
        let (train, rest) = (dataset(&origin, train, classes.len())?, dataset(&origin, rest, classes.len())?);
        Ok(Self { train, test: rest.subset(taken), pools, columns })
    }
}

fn dataset(origin: &str, rows: Rows, classes: usize) -> Result<Dataset, StudyError> {
    let width = rows.values.len() / rows.labels.len().max(1);
    let inputs = Inputs::Dense { shape: vec![width], values: Arc::new(rows.values) };
    Ok(Dataset::new(origin, inputs, Targets::Classes { classes, labels: Arc::new(rows.labels) })?)
}

/// Pictures of some digits, from 0 to 1.
fn pictures(classes: &[String]) -> Rows {
    let mut rows = Rows::default();
    for (digit, pixels) in digits::digits() {
        if let Some(label) = classes.iter().position(|class| *class == digit.to_string()) {
            rows.labels.push(label);
            rows.values.extend(pixels.iter().map(|pixel| f32::from(*pixel) / 16.0));
        }
    }
    rows
}
