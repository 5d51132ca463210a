//! Samples with their targets.

use super::augment::Augmentation;
use super::fault::DataFault;
use crate::error::NnError;
use secateur_linalg::random::Random;
use std::sync::Arc;

/// The inputs of all samples, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// Numbers.
    Dense {
        /// Shape of one sample, without an axis for the batch.
        shape: Vec<usize>,
        /// Entries of every sample in row-major order.
        values: Arc<Vec<f32>>,
    },
    /// Sequences of symbols, which become rows of zeros with a single 1 when a batch is made.
    OneHot {
        /// Symbols of one sample.
        length: usize,
        /// How many symbols there are.
        symbols: usize,
        /// The symbols of every sample.
        tokens: Arc<Vec<u32>>,
    },
}

/// What is to be predicted.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Classes: one or, for a sequence, several per sample.
    Classes {
        /// How many classes there are.
        classes: usize,
        /// The classes of every sample.
        labels: Arc<Vec<usize>>,
    },
    /// Numbers.
    Values {
        /// Numbers per sample.
        width: usize,
        /// The numbers of every sample.
        values: Arc<Vec<f32>>,
    },
}

/// Targets of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchTargets {
    /// One class per row of scores.
    Classes(Vec<usize>),
    /// One number per output entry.
    Values(Vec<f32>),
}

impl BatchTargets {
    /// Rows or entries.
    pub fn len(&self) -> usize {
        match self {
            BatchTargets::Classes(labels) => labels.len(),
            BatchTargets::Values(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The targets of some rows or entries.
    #[track_caller]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        match self {
            BatchTargets::Classes(labels) => BatchTargets::Classes(labels[range].to_vec()),
            BatchTargets::Values(values) => BatchTargets::Values(values[range].to_vec()),
        }
    }
}

/// Samples with their targets: $(x_i, t_i)$ for $i < n$.
///
/// Subsets share the numbers of the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    inputs: Inputs,
    targets: Targets,
    /// Which samples of the shared numbers belong to it, in order.
    rows: Arc<Vec<usize>>,
}

impl Dataset {
    /// Inputs with as many targets.
    ///
    /// # Errors
    /// [`NnError::Data`] under the name `origin` where there are no samples, counts differ, a class does not exist, or a
    /// number is not finite.
    pub fn new(origin: &str, inputs: Inputs, targets: Targets) -> Result<Self, NnError> {
        let refuse = |fault| NnError::Data { origin: origin.to_owned(), fault: Box::new(fault) };
        let (size, entries) = match &inputs {
            Inputs::Dense { shape, values } => (shape.iter().product::<usize>(), values.len()),
            Inputs::OneHot { length, tokens, .. } => (*length, tokens.len()),
        };
        if size == 0 || entries == 0 {
            return Err(refuse(DataFault::Empty));
        }
        let (samples, found) = (entries / size, targets.len());
        if entries % size != 0 || found % samples != 0 || found == 0 {
            return Err(refuse(DataFault::Count { samples, targets: found }));
        }
        if let Inputs::OneHot { symbols, tokens, .. } = &inputs
            && let Some(place) = tokens.iter().position(|t| *t as usize >= *symbols)
        {
            let (sample, label) = (place / size, tokens[place] as usize);
            return Err(refuse(DataFault::Class { sample, label, classes: *symbols }));
        }
        if let Inputs::Dense { values, .. } = &inputs
            && let Some(place) = values.iter().position(|v| !v.is_finite())
        {
            return Err(refuse(DataFault::NotFinite { sample: place / size }));
        }
        let per_sample = found / samples;
        match &targets {
            Targets::Classes { classes, labels } => {
                if let Some(place) = labels.iter().position(|l| l >= classes) {
                    let (sample, label) = (place / per_sample, labels[place]);
                    return Err(refuse(DataFault::Class { sample, label, classes: *classes }));
                }
            }
            Targets::Values { width, values } => {
                if *width != per_sample {
                    return Err(refuse(DataFault::Count { samples, targets: found }));
                }
                if let Some(place) = values.iter().position(|v| !v.is_finite()) {
                    return Err(refuse(DataFault::NotFinite { sample: place / per_sample }));
                }
            }
        }
        Ok(Self { inputs, targets, rows: Arc::new((0..samples).collect()) })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Shape of one sample, without an axis for the batch.
    pub fn shape(&self) -> Vec<usize> {
        match &self.inputs {
            Inputs::Dense { shape, .. } => shape.clone(),
            Inputs::OneHot { length, symbols, .. } => vec![*length, *symbols],
        }
    }

    /// Entries of one sample.
    pub fn input_size(&self) -> usize {
        self.shape().iter().product()
    }

    /// The targets of the whole from which this is a subset.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Targets per sample.
    pub fn targets_per_sample(&self) -> usize {
        match &self.targets {
            Targets::Classes { labels, .. } => labels.len() / self.samples_in_store(),
            Targets::Values { width, .. } => *width,
        }
    }

    /// Entries of a network's output that go with one sample.
    pub fn output_size(&self) -> usize {
        match &self.targets {
            Targets::Classes { classes, .. } => classes * self.targets_per_sample(),
            Targets::Values { width, .. } => *width,
        }
    }

    fn samples_in_store(&self) -> usize {
        match &self.inputs {
            Inputs::Dense { shape, values } => values.len() / shape.iter().product::<usize>(),
            Inputs::OneHot { length, tokens, .. } => tokens.len() / length,
        }
    }

    /// The samples with these numbers, in this order.
    #[track_caller]
    pub fn subset(&self, samples: &[usize]) -> Self {
        let rows = samples.iter().map(|i| self.rows[*i]).collect();
        Self { inputs: self.inputs.clone(), targets: self.targets.clone(), rows: Arc::new(rows) }
    }

    /// A random `share` of the samples and the others, by seed: at least one sample on each side.
    ///
    /// # Errors
    /// Fewer than two samples.
    pub fn split(&self, share: f64, seed: u64) -> Result<(Self, Self), NnError> {
        assert!((0.0..=1.0).contains(&share), "a share of the whole");
        if self.len() < 2 {
            return Err(NnError::Data { origin: "split".to_owned(), fault: Box::new(DataFault::Empty) });
        }
        let order = Random::new(seed).permutation(self.len());
        let first = ((self.len() as f64 * share).round() as usize).clamp(1, self.len() - 1);
        Ok((self.subset(&order[..first]), self.subset(&order[first..])))
    }

    /// The same samples in a random order.
    pub fn shuffled(&self, seed: u64) -> Self {
        self.subset(&Random::new(seed).permutation(self.len()))
    }

    /// Replaces the numbers of the inputs: `f(entry of a sample, number)`.
    ///
    /// # Panics
    /// The inputs are symbols.
    #[track_caller]
    pub fn map_inputs(&self, f: impl Fn(usize, f32) -> f32) -> Self {
        let Inputs::Dense { shape, values } = &self.inputs else { panic!("symbols are not numbers") };
        let size: usize = shape.iter().product();
        let mapped = values.iter().enumerate().map(|(i, v)| f(i % size, *v)).collect();
        let inputs = Inputs::Dense { shape: shape.clone(), values: Arc::new(mapped) };
        Self { inputs, targets: self.targets.clone(), rows: Arc::clone(&self.rows) }
    }

    /// Appends the input of a sample to a batch.
    #[track_caller]
    pub fn push_input(&self, sample: usize, batch: &mut Vec<f32>) {
        let row = self.rows[sample];
        match &self.inputs {
            Inputs::Dense { shape, values } => {
                let size: usize = shape.iter().product();
                batch.extend_from_slice(&values[row * size..(row + 1) * size]);
            }
            Inputs::OneHot { length, symbols, tokens } => {
                let start = batch.len();
                batch.resize(start + length * symbols, 0.0);
                for (place, token) in tokens[row * length..(row + 1) * length].iter().enumerate() {
                    batch[start + place * symbols + *token as usize] = 1.0;
                }
            }
        }
    }

    /// The inputs of some samples one after the other, each changed at random by `augmentation` with its own stream.
    pub fn gather(&self, samples: &[usize], augmentation: &Augmentation, random: impl Fn(usize) -> Random) -> Vec<f32> {
        let mut batch = Vec::with_capacity(samples.len() * self.input_size());
        let shape = self.shape();
        for sample in samples {
            let start = batch.len();
            self.push_input(*sample, &mut batch);
            if augmentation.changes() {
                augmentation.apply(&mut batch[start..], &shape, &mut random(*sample));
            }
        }
        batch
    }

    /// The targets of some samples.
    #[track_caller]
    pub fn gather_targets(&self, samples: &[usize]) -> BatchTargets {
        fn pick<T: Copy>(rows: &[usize], samples: &[usize], values: &[T], width: usize) -> Vec<T> {
            samples.iter().flat_map(|i| &values[rows[*i] * width..(rows[*i] + 1) * width]).copied().collect()
        }
        let width = self.targets_per_sample();
        match &self.targets {
            Targets::Classes { labels, .. } => BatchTargets::Classes(pick(&self.rows, samples, labels, width)),
            Targets::Values { values, .. } => BatchTargets::Values(pick(&self.rows, samples, values, width)),
        }
    }
}

impl Targets {
    /// Targets of all samples together.
    fn len(&self) -> usize {
        match self {
            Targets::Classes { labels, .. } => labels.len(),
            Targets::Values { values, .. } => values.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(count: usize) -> Dataset {
        let inputs = Inputs::Dense { shape: vec![2], values: Arc::new((0..2 * count).map(|i| i as f32).collect()) };
        let targets = Targets::Classes { classes: count, labels: Arc::new((0..count).collect()) };
        Dataset::new("test", inputs, targets).unwrap()
    }

    #[test]
    fn batches_keep_inputs_with_their_targets() {
        let data = numbers(5).subset(&[4, 1, 3]);
        let none = Augmentation::default();
        assert_eq!(data.gather(&[2, 0], &none, |_| Random::new(0)), [6.0, 7.0, 8.0, 9.0]);
        assert_eq!(data.gather_targets(&[2, 0]), BatchTargets::Classes(vec![3, 4]));
    }

    #[test]
    fn symbols_become_rows_with_one_one() {
        let inputs = Inputs::OneHot { length: 2, symbols: 3, tokens: Arc::new(vec![2, 0]) };
        let targets = Targets::Classes { classes: 3, labels: Arc::new(vec![0, 1]) };
        let data = Dataset::new("test", inputs, targets).unwrap();
        assert_eq!((data.shape(), data.output_size()), (vec![2, 3], 6));
        assert_eq!(data.gather(&[0], &Augmentation::default(), |_| Random::new(0)), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let dense = |values: Vec<f32>| Inputs::Dense { shape: vec![2], values: Arc::new(values) };
        let labels = |labels: Vec<usize>| Targets::Classes { classes: 2, labels: Arc::new(labels) };
        let fault = |inputs, targets| match Dataset::new("test", inputs, targets) {
            Err(NnError::Data { fault, .. }) => *fault,
            other => panic!("{other:?}"),
        };
        assert!(matches!(fault(dense(vec![]), labels(vec![])), DataFault::Empty));
        assert!(matches!(fault(dense(vec![0.0; 3]), labels(vec![0])), DataFault::Count { .. }));
        assert!(matches!(fault(dense(vec![0.0; 4]), labels(vec![0, 1, 1])), DataFault::Count { .. }));
        assert!(matches!(fault(dense(vec![0.0; 4]), labels(vec![0, 2])), DataFault::Class { sample: 1, label: 2, .. }));
        assert!(matches!(fault(dense(vec![0.0, f32::NAN]), labels(vec![0])), DataFault::NotFinite { sample: 0 }));
        let values = Targets::Values { width: 1, values: Arc::new(vec![f32::INFINITY]) };
        assert!(matches!(fault(dense(vec![0.0; 2]), values), DataFault::NotFinite { sample: 0 }));
        assert!(numbers(1).split(0.5, 0).is_err());
    }

    proptest! {
        #[test]
        fn a_split_is_a_partition(count in 2_usize..40, share in 0.0..1.0, seed in 0_u64..9) {
            let (a, b) = numbers(count).split(share, seed).unwrap();
            let mut all: Vec<usize> = a.rows.iter().chain(b.rows.iter()).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
            prop_assert!(!a.is_empty() && !b.is_empty());
        }
    }
}
