//! Inputs with labels $\pm1$: two classes of images, or two normal classes.

use super::super::StudyError;
use secateur_linalg::random::Random;
use secateur_nn::data::{DataSet, Image, images};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where inputs come from. All are scaled to the length $\sqrt d$.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Source {
    /// $x = y\,\mu + z$ with $y = \pm1$, $z$ standard normal and $\mu_i = s\,(\tfrac14 + \tfrac32 \tfrac id)$: the classes differ
    /// the more, the later the coordinate.
    Normal {
        /// $s$.
        signal: f64,
    },
    /// Images of MNIST.
    Mnist {
        /// The classes with labels $-1$ and $1$.
        classes: [usize; 2],
    },
    /// Images of CIFAR-10.
    Cifar {
        /// The classes with labels $-1$ and $1$.
        classes: [usize; 2],
    },
}

/// Inputs with labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// The inputs.
    pub inputs: Vec<Vec<f32>>,
    /// $\pm1$ each.
    pub labels: Vec<f64>,
}

/// How many samples of which kind.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Of normal inputs: dimensions.
    pub dimensions: usize,
    /// Samples that criteria look at.
    pub calibration: usize,
    /// Samples that a kernel fits, or is compared on.
    pub training: usize,
    /// Samples that it predicts.
    pub test: usize,
}

/// Samples for criteria, for fitting and for tests; no sample is in two of them, except that criteria and fits share
/// images where a class has too few.
#[derive(Clone, Debug)]
pub struct Problem {
    /// For criteria.
    pub calibration: Samples,
    /// For fitting.
    pub training: Samples,
    /// For tests.
    pub test: Samples,
    /// $|\mu|$, where it is known.
    pub profile: Option<Vec<f64>>,
}

/// Where samples are drawn from.
#[derive(Clone, Debug)]
pub enum Pool {
    /// Two normal classes with this signal.
    Normal(f64),
    /// Images of two classes.
    Images {
        /// The classes with labels $-1$ and $1$.
        classes: [usize; 2],
        /// For criteria and for fitting.
        training: Vec<Image>,
        /// For tests; none where there are few, and tests take training images that nothing else sees.
        test: Option<Vec<Image>>,
    },
}

impl Source {
    /// Reads what samples are drawn from.
    ///
    /// # Errors
    /// Images are missing or damaged, or there is no directory of them.
    pub fn load(&self, data: Option<&Path>) -> Result<Pool, StudyError> {
        let (set, classes) = match self {
            Source::Normal { signal } => return Ok(Pool::Normal(*signal)),
            Source::Mnist { classes } => (DataSet::Mnist, *classes),
            Source::Cifar { classes } => (DataSet::Cifar, *classes),
        };
        let data = data.ok_or_else(|| StudyError::NoData { what: set.to_string() })?;
        let of = |images: Vec<Image>| -> Vec<Image> {
            images.into_iter().filter(|image| classes.contains(&image.label)).collect()
        };
        let training = of(images::load_training(set, data)?);
        // Of CIFAR-10 there are 300 exact test images in all classes.
        let test = if set == DataSet::Mnist { Some(of(images::load(set, data)?)) } else { None };
        Ok(Pool::Images { classes, training, test })
    }

    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Source::Normal { signal } => format!("two normal classes, signal {signal}"),
            Source::Mnist { classes: [a, b] } => format!("MNIST, {a} against {b}"),
            Source::Cifar { classes: [a, b] } => format!("CIFAR-10, classes {a} and {b}"),
        }
    }
}

impl Pool {
    /// Draws samples by seed.
    ///
    /// # Errors
    /// There are fewer images than asked for.
    pub fn draw(&self, counts: Counts, seed: u64) -> Result<Problem, StudyError> {
        match self {
            Pool::Normal(signal) => Ok(normal(*signal, counts, seed)),
            Pool::Images { classes, training, test } => pictures(*classes, training, test.as_deref(), counts, seed),
        }
    }

    /// Numbers of an image; none for normal inputs, which have any.
    pub fn dimensions(&self) -> Option<usize> {
        match self {
            Pool::Normal(_) => None,
            Pool::Images { training, .. } => training.first().map(|image| image.pixels.len()),
        }
    }
}

fn normal(signal: f64, counts: Counts, seed: u64) -> Problem {
    let Counts { dimensions, calibration, training, test } = counts;
    let profile: Vec<f64> =
        (0..dimensions).map(|i| signal * (0.25 + 1.5 * (i as f64 + 0.5) / dimensions as f64)).collect();
    let draw = |count: usize, stream: u64| {
        let mut random = Random::stream(seed, stream);
        let mut samples = Samples::default();
        for _ in 0..count {
            let label = if random.unit() < 0.5 { -1.0 } else { 1.0 };
            let input = profile.iter().map(|m| (label * m + random.normal()) as f32).collect();
            samples.push(input, label);
        }
        samples
    };
    let [calibration, training, test] = [(calibration, 1), (training, 2), (test, 3)].map(|(n, s)| draw(n, s));
    Problem { calibration, training, test, profile: Some(profile) }
}

fn pictures(
    classes: [usize; 2],
    training: &[Image],
    test: Option<&[Image]>,
    counts: Counts,
    seed: u64,
) -> Result<Problem, StudyError> {
    let shuffled = |images: &'_ [Image]| Random::new(seed).permutation(images.len());
    let known: Vec<&Image> = shuffled(training).into_iter().map(|i| &training[i]).collect();
    let first = counts.calibration.min(known.len().saturating_sub(counts.training));
    let seen = counts.calibration.max(first + counts.training);
    let unknown: Vec<&Image> = match test {
        Some(test) => shuffled(test).into_iter().map(|i| &test[i]).collect(),
        None => known.get(seen..).unwrap_or_default().to_vec(),
    };
    let take = |key, images: &[&Image], from: usize, count: usize| match images.get(from..from + count) {
        Some(images) => Ok(labelled(images, classes)),
        None => Err(StudyError::TooFewSamples { key, asked: count, found: images.len().saturating_sub(from) }),
    };
    Ok(Problem {
        calibration: take("calibration", &known, 0, counts.calibration)?,
        training: take("training", &known, first, counts.training)?,
        test: take("test", &unknown, 0, counts.test)?,
        profile: None,
    })
}

fn labelled(images: &[&Image], classes: [usize; 2]) -> Samples {
    let mut samples = Samples::default();
    for image in images {
        let label = if image.label == classes[1] { 1.0 } else { -1.0 };
        samples.push(image.pixels.iter().map(|p| f32::from(*p) / 255.0).collect(), label);
    }
    samples
}

impl Samples {
    fn push(&mut self, mut input: Vec<f32>, label: f64) {
        let square: f64 = input.iter().map(|v| f64::from(*v).powi(2)).sum();
        // A black image has no direction.
        let factor = if square > 0.0 { (input.len() as f64 / square).sqrt() } else { 0.0 };
        input.iter_mut().for_each(|v| *v = (f64::from(*v) * factor) as f32);
        self.inputs.push(input);
        self.labels.push(label);
    }

    /// $|\tfrac1N \sum_s y_s x_s|$ by coordinate.
    pub fn correlations(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.inputs.first().map_or(0, Vec::len)];
        for (input, label) in self.inputs.iter().zip(&self.labels) {
            sums.iter_mut().zip(input).for_each(|(sum, x)| *sum += label * f64::from(*x));
        }
        sums.into_iter().map(|sum| sum.abs() / self.inputs.len() as f64).collect()
    }

    /// The inputs in double precision.
    pub fn numbers(&self) -> Vec<Vec<f64>> {
        self.inputs.iter().map(|x| x.iter().map(|v| f64::from(*v)).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_classes_differ_as_said() {
        let counts = Counts { dimensions: 8, calibration: 20_000, training: 3, test: 2 };
        let problem = Pool::Normal(0.5).draw(counts, 1).expect("samples");
        let profile = problem.profile.expect("a profile");
        let found = problem.calibration.correlations();
        let length = problem.training.inputs[0].iter().map(|v| v * v).sum::<f32>();
        // Single precision.
        assert!((length - 8.0).abs() < 1e-5, "{length}");
        // Scaling to one length changes all coordinates alike.
        let ratio = found[7] / profile[7];
        for (a, b) in found.iter().zip(&profile) {
            // Five standard errors of 20 000 numbers of deviation 1.
            assert!((a - ratio * b).abs() < 5.0 / 20_000f64.sqrt() * 1.5, "{found:?} {profile:?}");
        }
        assert!(matches!(Source::Mnist { classes: [0, 1] }.load(None), Err(StudyError::NoData { .. })));
    }

    #[test]
    fn images_are_in_one_part_each() {
        let image = |i: usize| Image { label: i % 2, pixels: vec![1, i as u8] };
        let pool = Pool::Images { classes: [0, 1], training: (0..12).map(image).collect(), test: None };
        let counts = Counts { dimensions: 2, calibration: 4, training: 5, test: 3 };
        let Problem { calibration, training, test, .. } = pool.draw(counts, 3).expect("samples");
        let all: Vec<u32> = [calibration, training, test]
            .iter()
            .flat_map(|s| s.inputs.iter().map(|x| (x[1] / x[0]).round() as u32))
            .collect();
        let distinct: std::collections::BTreeSet<u32> = all.iter().copied().collect();
        assert_eq!((all.len(), distinct.len()), (12, 12), "{all:?}");
        let more = Counts { test: 4, ..counts };
        assert!(matches!(pool.draw(more, 3), Err(StudyError::TooFewSamples { key: "test", asked: 4, found: 3 })));
    }
}
