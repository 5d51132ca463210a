//! A small network that predicts what a mask is worth.
//!
//! $$ f(m) = \sigma\big(w^\top \operatorname{celu}(W m + b) + c\big), \qquad
//! \operatorname{celu}(x) = \max(0, x) + \min(0, e^x - 1), $$
//!
//! with $2L$ hidden units for $L$ blocks, fitted to the squared error by gradient steps with momentum. Its values lie in $(0, 1)$:
//! a mask that is worth more than the whole model cannot be fitted.

use super::agreement::{r_squared, root_mean_square, spearman};
use super::masks::Mask;
use secateur_linalg::random::Random;
use serde::{Deserialize, Serialize};

/// A surrogate.
#[derive(Clone, Debug, PartialEq)]
pub struct Surrogate {
    layers: usize,
    hidden: usize,
    /// The column of $W$ of each layer, one after the other; $b$; $w$; $c$.
    weights: Vec<f64>,
}

/// How a surrogate is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Params {
    /// The size of steps at first.
    pub rate: f64,
    /// The share of the last step in the next.
    pub momentum: f64,
    /// Passes over the masks.
    pub epochs: usize,
    /// Epochs after which steps become a tenth, again and again.
    pub decay: usize,
    /// Masks of a step.
    pub batch: usize,
    /// The share of masks that is held out.
    pub held_out: f64,
}

impl Default for Params {
    /// Those of the paper, which holds out nothing.
    fn default() -> Self {
        Self { rate: 0.008, momentum: 0.9, epochs: 300, decay: 100, batch: 300, held_out: 0.2 }
    }
}

/// How well a surrogate predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Masks.
    pub masks: usize,
    /// $R^2$; none where all are worth the same.
    pub r_squared: Option<f64>,
    /// Spearman's $\rho$; none where all are worth the same.
    pub spearman: Option<f64>,
    /// The root of the mean squared error; none without masks.
    pub error: Option<f64>,
}

/// A fitted surrogate.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The surrogate.
    pub surrogate: Surrogate,
    /// On the masks that it was fitted to.
    pub fitted: Quality,
    /// On those that were held out.
    pub held_out: Quality,
    /// Held-out masks, what they are worth, and what the surrogate says.
    pub pairs: Vec<(Mask, f64, f64)>,
}

impl Surrogate {
    /// Uniform weights within one over the root of the number of inputs of a unit, as PyTorch begins.
    fn begin(layers: usize, random: &mut Random) -> Self {
        let hidden = 2 * layers;
        let bounds = [(layers * hidden + hidden, layers), (hidden + 1, hidden)];
        let part = |(count, inputs): (usize, usize)| vec![1.0 / (inputs as f64).sqrt(); count];
        let bounds = bounds.into_iter().flat_map(part);
        Self { layers, hidden, weights: bounds.map(|bound| random.uniform(-bound, bound)).collect() }
    }

    /// Fits to masks and what they are worth. A share is held out, drawn by the seed, which also gives the first weights and the order.
    ///
    /// # Panics
    /// No mask stays to be fitted to, or a batch of none.
    #[track_caller]
    pub fn fit(layers: usize, valued: &[(Mask, f64)], params: &Params, seed: u64) -> Fitted {
        let order = Random::stream(seed, 0).permutation(valued.len());
        let held = (params.held_out * valued.len() as f64).round() as usize;
        let pick = |places: &[usize]| -> Vec<(Mask, f64)> { places.iter().map(|place| valued[*place]).collect() };
        let (held, fitted) = (pick(&order[..held]), pick(&order[held..]));
        assert!(!fitted.is_empty() && params.batch > 0, "nothing to fit to");
        let mut surrogate = Self::begin(layers, &mut Random::stream(seed, 1));
        let (mut random, mut rate) = (Random::stream(seed, 2), params.rate);
        let mut step = vec![0.0; surrogate.weights.len()];
        for epoch in 0..params.epochs {
            if epoch > 0 && epoch.is_multiple_of(params.decay.max(1)) {
                rate *= 0.1;
            }
            for batch in random.permutation(fitted.len()).chunks(params.batch) {
                let gradient = surrogate.gradient(&pick_from(&fitted, batch));
                for ((weight, step), gradient) in surrogate.weights.iter_mut().zip(&mut step).zip(gradient) {
                    *step = params.momentum * *step + gradient;
                    *weight -= rate * *step;
                }
            }
        }
        let pairs: Vec<(Mask, f64, f64)> = held.iter().map(|(mask, y)| (*mask, *y, surrogate.value(*mask))).collect();
        let quality = (surrogate.quality(&fitted), surrogate.quality(&held));
        Fitted { surrogate, fitted: quality.0, held_out: quality.1, pairs }
    }

    /// How many layers masks have.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// $f(m)$.
    pub fn value(&self, mask: Mask) -> f64 {
        sigmoid(self.output(&self.hidden_inputs(mask)))
    }

    /// How well it predicts what masks are worth.
    pub fn quality(&self, valued: &[(Mask, f64)]) -> Quality {
        let truth: Vec<f64> = valued.iter().map(|(_, value)| *value).collect();
        let said: Vec<f64> = valued.iter().map(|(mask, _)| self.value(*mask)).collect();
        let (r_squared, spearman) = (r_squared(&truth, &said), spearman(&truth, &said));
        Quality { masks: valued.len(), r_squared, spearman, error: root_mean_square(&truth, &said) }
    }

    /// $W m + b$.
    fn hidden_inputs(&self, mask: Mask) -> Vec<f64> {
        let (columns, rest) = self.weights.split_at(self.layers * self.hidden);
        let mut inputs = rest[..self.hidden].to_vec();
        for (layer, column) in columns.chunks_exact(self.hidden).enumerate() {
            if mask.keeps(layer) {
                inputs.iter_mut().zip(column).for_each(|(input, weight)| *input += weight);
            }
        }
        inputs
    }

    /// $w^\top \operatorname{celu}(z) + c$.
    fn output(&self, inputs: &[f64]) -> f64 {
        let last = &self.weights[(self.layers + 1) * self.hidden..];
        let sum: f64 = inputs.iter().zip(last).map(|(input, weight)| celu(*input) * weight).sum();
        sum + last[self.hidden]
    }

    /// Derivatives of the mean squared error by every weight.
    fn gradient(&self, batch: &[(Mask, f64)]) -> Vec<f64> {
        let (hidden, bias) = (self.hidden, self.layers * self.hidden);
        let mut gradient = vec![0.0; self.weights.len()];
        for (mask, value) in batch {
            let inputs = self.hidden_inputs(*mask);
            let said = sigmoid(self.output(&inputs));
            let by_output = 2.0 * (said - value) * said * (1.0 - said) / batch.len() as f64;
            let last = bias + hidden;
            gradient[last + hidden] += by_output;
            let mut by_inputs = vec![0.0; hidden];
            for (unit, input) in inputs.iter().enumerate() {
                gradient[last + unit] += by_output * celu(*input);
                by_inputs[unit] = by_output * self.weights[last + unit] * if *input > 0.0 { 1.0 } else { input.exp() };
                gradient[bias + unit] += by_inputs[unit];
            }
            for (layer, column) in gradient[..bias].chunks_exact_mut(hidden).enumerate() {
                if mask.keeps(layer) {
                    column.iter_mut().zip(&by_inputs).for_each(|(sum, by_input)| *sum += by_input);
                }
            }
        }
        gradient
    }
}

fn pick_from(valued: &[(Mask, f64)], places: &[usize]) -> Vec<(Mask, f64)> {
    places.iter().map(|place| valued[*place]).collect()
}

fn celu(x: f64) -> f64 {
    if x > 0.0 { x } else { x.exp_m1() }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::super::masks::{Stratum, sample};
    use super::*;
    use proptest::prelude::*;

    fn loss(surrogate: &Surrogate, batch: &[(Mask, f64)]) -> f64 {
        batch.iter().map(|(mask, y)| (surrogate.value(*mask) - y).powi(2)).sum::<f64>() / batch.len() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn gradients_are_differences(seed in 0u64..1000, masks in prop::collection::vec((0u128..16, 0.0f64..1.0), 1..6)) {
            let surrogate = Surrogate::begin(4, &mut Random::new(seed));
            let batch: Vec<(Mask, f64)> = masks.into_iter().map(|(mask, y)| (Mask(mask), y)).collect();
            let gradient = surrogate.gradient(&batch);
            for (place, found) in gradient.into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut other = surrogate.clone();
                    other.weights[place] += by;
                    loss(&other, &batch)
                };
                // Central differences of step h err by h² and 1e-16 / h.
                let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                prop_assert!((found - difference).abs() < 1e-8, "{place}: {found} {difference}");
            }
        }
    }

    /// A product of factors per removed block is smooth, and near to one of the surrogate's functions.
    #[test]
    fn a_smooth_game_is_learned() {
        let worth = |mask: Mask| mask.removed(12).iter().map(|layer| 0.97 - 0.02 * *layer as f64).product::<f64>();
        let strata: Vec<Stratum> = [11, 10, 9, 8, 7].map(|kept| Stratum { kept, count: 400 }).to_vec();
        let valued: Vec<(Mask, f64)> = sample(12, &strata, 1).into_iter().map(|mask| (mask, worth(mask))).collect();
        let params = Params { rate: 0.08, batch: 20, ..Params::default() };
        let fitted = Surrogate::fit(12, &valued, &params, 3);
        let Quality { masks, r_squared, spearman, .. } = fitted.held_out;
        assert_eq!(masks, valued.len().div_ceil(5));
        assert!(r_squared > Some(0.95) && spearman > Some(0.99), "{:?}", fitted.held_out);
        assert_eq!(fitted, Surrogate::fit(12, &valued, &params, 3));
        assert_ne!(fitted.surrogate, Surrogate::fit(12, &valued, &params, 4).surrogate);
    }
}
