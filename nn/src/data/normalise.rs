//! Normalisation: $x' = (x - \mu_c) / \sigma_c$ for the channel $c$ of an entry.

use super::dataset::Dataset;

/// Mean and deviation of each channel, which is a sample's first axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    /// $\mu$.
    pub mean: Vec<f32>,
    /// $\sigma$; 1 for a channel that does not vary.
    pub deviation: Vec<f32>,
}

impl Normalisation {
    /// The moments of a data set (with $\sigma^2$ the mean square around $\mu$).
    pub fn of(data: &Dataset) -> Self {
        let (size, channels) = (data.input_size(), data.shape()[0]);
        let (inner, count) = (size / channels, (data.len() * size / channels) as f64);
        let mut sample = Vec::with_capacity(size);
        let mut moments = vec![(0.0_f64, 0.0_f64); channels];
        let mut accumulate = |f: &dyn Fn(usize, f64) -> (f64, f64)| {
            moments.fill((0.0, 0.0));
            for i in 0..data.len() {
                sample.clear();
                data.push_input(i, &mut sample);
                for (place, v) in sample.iter().enumerate() {
                    let (first, second) = f(place / inner, f64::from(*v));
                    moments[place / inner].0 += first;
                    moments[place / inner].1 += second;
                }
            }
            moments.clone()
        };
        let mean: Vec<f64> = accumulate(&|_, v| (v, 0.0)).iter().map(|m| m.0 / count).collect();
        let spread = accumulate(&|c, v| (0.0, (v - mean[c]).powi(2)));
        let deviation = spread.iter().map(|m| (m.1 / count).sqrt()).map(|d| if d > 0.0 { d as f32 } else { 1.0 });
        Self { mean: mean.iter().map(|m| *m as f32).collect(), deviation: deviation.collect() }
    }

    /// The data set with every channel shifted and scaled.
    #[track_caller]
    pub fn apply(&self, data: &Dataset) -> Dataset {
        assert_eq!(data.shape()[0], self.mean.len(), "one mean per channel");
        let inner = data.input_size() / self.mean.len();
        data.map_inputs(|place, v| (v - self.mean[place / inner]) / self.deviation[place / inner])
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::{Inputs, Targets};
    use super::*;
    use std::sync::Arc;

    #[test]
    fn normalised_data_have_mean_zero_and_deviation_one() {
        let values = vec![1.0, 2.0, 5.0, 5.0, 3.0, 6.0, 5.0, 5.0];
        let inputs = Inputs::Dense { shape: vec![2, 2], values: Arc::new(values) };
        let targets = Targets::Classes { classes: 1, labels: Arc::new(vec![0, 0]) };
        let data = Dataset::new("test", inputs, targets).unwrap();
        let found = Normalisation::of(&data);
        assert_eq!(found.mean, [3.0, 5.0]);
        assert_eq!(found.deviation[1], 1.0, "a channel that does not vary is only shifted");
        let again = Normalisation::of(&found.apply(&data));
        // A few roundings of numbers near 1.
        assert!(again.mean.iter().all(|m| m.abs() < 1e-6) && (again.deviation[0] - 1.0).abs() < 1e-6, "{again:?}");
    }
}
