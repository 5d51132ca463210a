//! Labelled samples for calibration and for accuracy. The one place of this program that knows where they are read from.

use crate::error::CliError;
use secateur_bench_suites::images::{self, DataSet, Image};
use std::path::Path;

/// Features and their class.
pub struct Sample {
    /// The network's input: pixels divided by 255.
    pub features: Vec<f32>,
    /// The class.
    pub label: usize,
}

/// Samples to calibrate on and samples to measure accuracy on, which are others wherever there are enough.
pub struct Samples {
    /// For calibration.
    pub calibration: Vec<Sample>,
    /// For accuracy.
    pub evaluation: Vec<Sample>,
    /// Whether no sample is in both.
    pub apart: bool,
}

/// Reads a data set by its name, or a CSV file of label and pixels; `count` samples are for calibration.
///
/// MNIST calibrates on its training images and measures on its test images; other data are cut in two.
///
/// # Errors
/// The data are missing or damaged.
pub fn load(name: &str, directory: Option<&Path>, count: usize) -> Result<Samples, CliError> {
    let need = |set| directory.ok_or(CliError::NoDataDirectory { set });
    let sample = |image: Image| Sample {
        features: image.pixels.iter().map(|p| f32::from(*p) / 255.0).collect(),
        label: image.label,
    };
    let all: Vec<Sample> = match name.parse::<DataSet>() {
        Ok(DataSet::Mnist) => {
            let directory = need(DataSet::Mnist)?;
            let train = images::mnist(&directory.join("mnist"), "train")?;
            let calibration = train.into_iter().take(count).map(sample).collect();
            let evaluation = images::load(DataSet::Mnist, directory)?.into_iter().map(sample).collect();
            return Ok(Samples { calibration, evaluation, apart: true });
        }
        Ok(set) => images::load(set, need(set)?)?.into_iter().map(sample).collect(),
        Err(unknown) if Path::new(name).extension().is_none() => return Err(unknown.into()),
        Err(_) => images::csv(Path::new(name))?.into_iter().map(sample).collect(),
    };
    let mut calibration = all;
    let evaluation = calibration.split_off(count.min(calibration.len()));
    if evaluation.is_empty() {
        let copy = |s: &Sample| Sample { features: s.features.clone(), label: s.label };
        let evaluation = calibration.iter().map(copy).collect();
        return Ok(Samples { calibration, evaluation, apart: false });
    }
    Ok(Samples { calibration, evaluation, apart: true })
}
