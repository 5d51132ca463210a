//! The two classes: shipped digits, MNIST, CIFAR-10, Gaussian clouds.

use crate::digits as shipped;
use crate::theory::StudyError;
use secateur_linalg::random::Random;
use secateur_nn::data::{DataSet, images};
use secateur_theory::race::Task;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Numbers of a sample of the mixture.
const MIXTURE_DIMENSION: usize = 40;
/// Samples of a class of the mixture.
const MIXTURE_SAMPLES: usize = 1000;

/// Where samples come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The shipped digits.
    Digits,
    /// The training images of MNIST.
    Mnist,
    /// The training images of CIFAR-10 (JPEG files where the binary ones are missing).
    Cifar,
    /// Two Gaussian clouds with deviations that fall with the coordinate; no data are needed.
    Mixture,
}

impl Source {
    /// The classes that there are.
    pub fn classes(self) -> &'static [usize] {
        match self {
            Source::Digits | Source::Mnist | Source::Cifar => &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
            Source::Mixture => &[0, 1],
        }
    }

    /// All samples of two classes.
    ///
    /// # Errors
    /// There is no directory of data, a file is missing or damaged, or a class is empty.
    pub fn load(self, classes: &[usize; 2], data: Option<&Path>) -> Result<Pool, StudyError> {
        let samples = match self {
            Source::Digits => digits(classes),
            Source::Mixture => mixture(),
            Source::Mnist => pixels(DataSet::Mnist, classes, data)?,
            Source::Cifar => pixels(DataSet::Cifar, classes, data)?,
        };
        Ok(Pool { samples })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::Digits => "UCI digits (8 × 8)",
            Source::Mnist => "MNIST",
            Source::Cifar => "CIFAR-10",
            Source::Mixture => "two Gaussian clouds",
        })
    }
}

/// The samples of two classes.
#[derive(Clone, Debug)]
pub struct Pool {
    samples: [Vec<Vec<f64>>; 2],
}

/// The stream of a seed that chooses samples; that of weights is 0.
const CHOICE: u64 = 1;

impl Pool {
    /// Half of `count` samples from each class, drawn by a seed.
    ///
    /// # Errors
    /// There are not so many.
    pub fn task(&self, count: usize, seed: u64) -> Result<Task, StudyError> {
        let mut random = Random::stream(seed, CHOICE);
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        let [first, second] = self.samples.each_ref().map(Vec::len);
        let found = 2 * first.min(second);
        if found < count {
            return Err(StudyError::TooFewSamples { key: "samples", asked: count, found });
        }
        for (class, label) in self.samples.iter().zip([1.0, -1.0]) {
            for place in random.permutation(class.len()).into_iter().take(count / 2) {
                inputs.extend_from_slice(&class[place]);
                labels.push(label);
            }
        }
        Ok(Task::new(&inputs, &labels)?)
    }
}

fn digits(classes: &[usize; 2]) -> [Vec<Vec<f64>>; 2] {
    let pictures = |class: usize| {
        let mine = shipped::digits().filter(move |(digit, _)| *digit == class);
        mine.map(|(_, pixels)| pixels.into_iter().map(f64::from).collect()).collect()
    };
    classes.map(pictures)
}

fn mixture() -> [Vec<Vec<f64>>; 2] {
    let class = |number: u64, sign: f64| {
        let mut random = Random::stream(0x6d69_7874, number);
        let sample = |_| {
            let coordinate = |k: usize| {
                let deviation = 1.0 / (1.0 + 0.2 * k as f64);
                // The means differ along the first three coordinates.
                deviation * (random.normal() + if k < 3 { sign } else { 0.0 })
            };
            (0..MIXTURE_DIMENSION).map(coordinate).collect()
        };
        (0..MIXTURE_SAMPLES).map(sample).collect()
    };
    [class(0, 1.0), class(1, -1.0)]
}

fn pixels(set: DataSet, classes: &[usize; 2], data: Option<&Path>) -> Result<[Vec<Vec<f64>>; 2], StudyError> {
    let directory = data.ok_or_else(|| StudyError::NoData { what: format!("races on {set}") })?;
    let images = images::load_training(set, directory)?;
    Ok(classes.map(|class| {
        let mine = images.iter().filter(|image| image.label == class);
        mine.map(|image| image.pixels.iter().map(|p| f64::from(*p) / 255.0).collect()).collect()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_digits_are_whole() {
        let pool = Source::Digits.load(&[3, 8], None).expect("digits");
        assert_eq!(pool.samples.each_ref().map(Vec::len), [183, 174]);
        assert!(pool.samples.iter().flatten().all(|x| x.len() == 64 && x.iter().all(|p| (0.0..=16.0).contains(p))));
    }

    #[test]
    fn samples_are_drawn_by_the_seed() {
        for source in [Source::Digits, Source::Mixture] {
            let pool = source.load(&[0, 1], None).expect("samples");
            let inputs = |seed| pool.task(60, seed).expect("a task").inputs().to_vec();
            assert_eq!(inputs(4), inputs(4));
            assert_ne!(inputs(4), inputs(5));
            let few = pool.task(4000, 1);
            assert!(matches!(few, Err(StudyError::TooFewSamples { key: "samples", asked: 4000, .. })), "{few:?}");
        }
        assert!(matches!(Source::Mnist.load(&[3, 8], None), Err(StudyError::NoData { .. })));
    }
}
