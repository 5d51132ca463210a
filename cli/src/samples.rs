//! Labelled samples for calibration and for accuracy. The one place of this program that knows where they are read from.

use crate::error::CliError;
use secateur_nn::data::images::{self, DataSet, Image};
use std::path::Path;

/// Features and their class.
pub struct Sample {
    /// The network's input: pixels divided by 255, normalised where that was asked for.
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

/// $(x - m_c) / s_c$ for the features of channel $c$; channels are equal parts of a sample, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Normalisation<'a> {
    /// $m$: one number per channel, or one for all; 0 where empty.
    pub mean: &'a [f32],
    /// $s$, likewise; 1 where empty.
    pub deviation: &'a [f32],
}

impl Normalisation<'_> {
    fn apply(&self, features: &mut [f32]) {
        let size = features.len();
        let of = |all: &[f32], i: usize, other: f32| if all.is_empty() { other } else { all[i * all.len() / size] };
        for (i, x) in features.iter_mut().enumerate() {
            *x = (*x - of(self.mean, i, 0.0)) / of(self.deviation, i, 1.0);
        }
    }
}

/// Reads a data set by its name, or a CSV file of label and pixels; `count` samples are for calibration.
///
/// MNIST calibrates on its training images and measures on its test images; other data are cut in two.
///
/// # Errors
/// The data are missing or damaged.
pub fn load(
    name: &str,
    directory: Option<&Path>,
    count: usize,
    normalisation: Normalisation<'_>,
) -> Result<Samples, CliError> {
    let need = |set| directory.ok_or(CliError::NoDataDirectory { set });
    let sample = |image: Image| {
        let mut features: Vec<f32> = image.pixels.iter().map(|p| f32::from(*p) / 255.0).collect();
        normalisation.apply(&mut features);
        Sample { features, label: image.label }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_equal_parts() {
        let mut x = [1.0, 2.0, 3.0, 4.0];
        Normalisation { mean: &[1.0, 2.0], deviation: &[2.0] }.apply(&mut x);
        assert_eq!(x, [0.0, 0.5, 0.5, 1.0]);
        Normalisation { mean: &[], deviation: &[] }.apply(&mut x);
        assert_eq!(x, [0.0, 0.5, 0.5, 1.0]);
    }
}
