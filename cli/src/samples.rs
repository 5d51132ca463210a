//! Labelled samples for calibration and for accuracy. The one place of this program that knows where they are read from.

use crate::error::CliError;
use secateur_nn::data::images::{self, DataSet, Image};
use secateur_nn::data::{Dataset, Inputs, Targets};
use std::path::Path;
use std::sync::Arc;

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
    /// For training, where that was asked for; evaluation sees none of it.
    pub training: Option<Dataset>,
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

/// Reads a data set by its name, or a CSV file of label and pixels; `count` samples are for calibration. With the shape of a
/// sample, training data come too.
///
/// MNIST calibrates on its training images and measures on its test images; so does CIFAR-10 where there is training. Other data
/// are cut in two: the first `count` for calibration, or the first four fifths for training and calibration.
///
/// # Errors
/// The data are missing or damaged.
pub fn load(
    name: &str,
    directory: Option<&Path>,
    count: usize,
    normalisation: Normalisation<'_>,
    training: Option<&[usize]>,
) -> Result<Samples, CliError> {
    let need = |set| directory.ok_or(CliError::NoDataDirectory { set });
    let sample = |image: Image| {
        let mut features: Vec<f32> = image.pixels.iter().map(|p| f32::from(*p) / 255.0).collect();
        normalisation.apply(&mut features);
        Sample { features, label: image.label }
    };
    let samples = |images: Vec<Image>| -> Vec<Sample> { images.into_iter().map(sample).collect() };
    let (train, mut evaluation) = match name.parse::<DataSet>() {
        Ok(set) if set == DataSet::Mnist || training.is_some() => {
            (samples(images::load_training(set, need(set)?)?), samples(images::load(set, need(set)?)?))
        }
        Ok(set) => (Vec::new(), samples(images::load(set, need(set)?)?)),
        Err(unknown) if Path::new(name).extension().is_none() => return Err(unknown.into()),
        Err(_) => {
            let mut first = samples(images::csv(Path::new(name))?);
            let rest =
                first.split_off(if training.is_some() { first.len().div_ceil(5) * 4 } else { 0 }.min(first.len()));
            (first, rest)
        }
    };
    let copy = |s: &Sample| Sample { features: s.features.clone(), label: s.label };
    let dataset = training.map(|shape| dataset(name, &train, shape)).transpose()?;
    let (calibration, apart) = if train.is_empty() {
        let rest = evaluation.split_off(count.min(evaluation.len()));
        let calibration = std::mem::replace(&mut evaluation, rest);
        let apart = !evaluation.is_empty();
        if !apart {
            evaluation = calibration.iter().map(copy).collect();
        }
        (calibration, apart)
    } else {
        (train.iter().take(count).map(copy).collect(), true)
    };
    Ok(Samples { calibration, evaluation, training: dataset, apart })
}

/// The first samples of some classes (all of them if none are named), to fit and to test on: training and test images of a data set, or
/// lines of a CSV file and those behind. Labels are places in the list of classes, where there is one.
///
/// # Errors
/// The data are missing or damaged, there are fewer samples than asked for, or none were asked for.
pub fn of_classes(
    name: &str,
    directory: Option<&Path>,
    classes: &[usize],
    [fit, test]: [usize; 2],
    normalisation: Normalisation<'_>,
) -> Result<(Vec<Sample>, Vec<Sample>), CliError> {
    let label = |label: usize| if classes.is_empty() { Some(label) } else { classes.iter().position(|c| *c == label) };
    let first = |images: Vec<Image>, count: usize| -> Result<Vec<Sample>, CliError> {
        let sample = |image: Image| {
            let mut features: Vec<f32> = image.pixels.iter().map(|p| f32::from(*p) / 255.0).collect();
            normalisation.apply(&mut features);
            label(image.label).map(|label| Sample { features, label })
        };
        let samples: Vec<Sample> = images.into_iter().filter_map(sample).take(count).collect();
        match samples.len() {
            found if found < count || count == 0 => Err(CliError::SampleCount { asked: count, found }),
            _ => Ok(samples),
        }
    };
    match name.parse::<DataSet>() {
        Ok(set) => {
            let directory = directory.ok_or(CliError::NoDataDirectory { set })?;
            let known = first(images::load_training(set, directory)?, fit)?;
            let unknown = if test == 0 { Vec::new() } else { first(images::load(set, directory)?, test)? };
            Ok((known, unknown))
        }
        Err(unknown) if Path::new(name).extension().is_none() => Err(unknown.into()),
        Err(_) => {
            if fit == 0 {
                return Err(CliError::SampleCount { asked: fit, found: 0 });
            }
            let mut known = first(images::csv(Path::new(name))?, fit + test)?;
            let unknown = known.split_off(fit);
            Ok((known, unknown))
        }
    }
}

/// Samples to train on, in the shape that a network takes them.
fn dataset(name: &str, samples: &[Sample], shape: &[usize]) -> Result<Dataset, CliError> {
    let classes = samples.iter().map(|s| s.label + 1).max().unwrap_or(0);
    let size: usize = shape.iter().product();
    if let Some(other) = samples.iter().find(|s| s.features.len() != size) {
        return Err(CliError::ImageSize { expected: size, found: other.features.len() });
    }
    let values = samples.iter().flat_map(|s| s.features.iter().copied()).collect();
    let labels = samples.iter().map(|s| s.label).collect();
    let inputs = Inputs::Dense { shape: shape.to_vec(), values: Arc::new(values) };
    Ok(Dataset::new(name, inputs, Targets::Classes { classes, labels: Arc::new(labels) })?)
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
