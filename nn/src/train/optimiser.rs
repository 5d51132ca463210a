//! Rules by which gradients change weights, as PyTorch defines them.
//!
//! With the gradient $g$, the step size $\eta$ and weight decay $\lambda$, in step $t$ from 1:
//!
//! | | decay | state | change |
//! |---|---|---|---|
//! | SGD | $g \leftarrow g + \lambda\theta$ | $b \leftarrow \mu b + g$ (at first $b = g$) | $\theta \leftarrow \theta - \eta\,b$, by Nesterov $\theta - \eta\,(g + \mu b)$ |
//! | Adam | $g \leftarrow g + \lambda\theta$ | $m \leftarrow \beta_1 m + (1 - \beta_1) g$, $v \leftarrow \beta_2 v + (1 - \beta_2) g^2$ | $\theta \leftarrow \theta - \frac{\eta}{1 - \beta_1^t}\, m / \big(\sqrt{v / (1 - \beta_2^t)} + \epsilon\big)$ |
//! | AdamW | $\theta \leftarrow (1 - \eta\lambda)\,\theta$ | as Adam | as Adam |

use super::fault::TrainFault;

/// A rule with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Optimiser {
    /// Stochastic gradient descent.
    Sgd {
        /// $\mu$, 0 for none.
        momentum: f64,
        /// Look ahead along the momentum.
        nesterov: bool,
        /// $\lambda$.
        weight_decay: f64,
    },
    /// Adam.
    Adam {
        /// $\beta_1, \beta_2$.
        betas: (f64, f64),
        /// $\epsilon$.
        epsilon: f64,
        /// $\lambda$.
        weight_decay: f64,
        /// Shrink the weights and not by way of the gradient: AdamW.
        decoupled: bool,
    },
}

impl Optimiser {
    /// SGD without weight decay.
    pub fn sgd(momentum: f64, nesterov: bool) -> Self {
        Self::Sgd { momentum, nesterov, weight_decay: 0.0 }
    }

    /// Adam with $\beta = (0.9, 0.999)$, $\epsilon = 10^{-8}$ and no weight decay.
    pub fn adam() -> Self {
        Self::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0, decoupled: false }
    }

    /// AdamW: the same with decoupled weight decay.
    pub fn adamw(weight_decay: f64) -> Self {
        Self::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay, decoupled: true }
    }

    /// How many numbers it remembers for every weight.
    pub(super) fn moments(&self) -> usize {
        match self {
            Optimiser::Sgd { momentum: 0.0, .. } => 0,
            Optimiser::Sgd { .. } => 1,
            Optimiser::Adam { .. } => 2,
        }
    }

    pub(super) fn check(&self) -> Result<(), TrainFault> {
        let refuse =
            |setting, expected, found: f64| Err(TrainFault::Setting { setting, expected, found: found.to_string() });
        let share = |v: f64| (0.0..1.0).contains(&v);
        let (Optimiser::Sgd { weight_decay, .. } | Optimiser::Adam { weight_decay, .. }) = *self;
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return refuse("weight-decay", "a number from 0", weight_decay);
        }
        match *self {
            Optimiser::Sgd { momentum, .. } if !share(momentum) => {
                refuse("momentum", "a number from 0 to below 1", momentum)
            }
            Optimiser::Sgd { momentum, nesterov: true, .. } if momentum == 0.0 => {
                refuse("nesterov", "a positive momentum", momentum)
            }
            Optimiser::Adam { betas, .. } if !share(betas.0) => refuse("beta1", "a number from 0 to below 1", betas.0),
            Optimiser::Adam { betas, .. } if !share(betas.1) => refuse("beta2", "a number from 0 to below 1", betas.1),
            Optimiser::Adam { epsilon, .. } if !(epsilon > 0.0 && epsilon.is_finite()) => {
                refuse("epsilon", "a positive number", epsilon)
            }
            _ => Ok(()),
        }
    }

    /// Changes the weights of one tensor by their gradient in step `count`, from 1.
    #[track_caller]
    pub(super) fn step(&self, weights: &mut [f32], gradient: &[f32], moments: &mut [Vec<f32>], rate: f64, count: u64) {
        assert_eq!(weights.len(), gradient.len(), "one slope per weight");
        match (self, moments) {
            (Optimiser::Sgd { weight_decay, .. }, []) => {
                let (eta, decay) = (rate as f32, *weight_decay as f32);
                weights.iter_mut().zip(gradient).for_each(|(w, g)| *w -= eta * (g + decay * *w));
            }
            (Optimiser::Sgd { momentum, nesterov, weight_decay }, [buffer]) => {
                let (eta, decay, mu) = (rate as f32, *weight_decay as f32, *momentum as f32);
                // The first step takes the gradient itself, which is what a buffer of zeros gives.
                let (own, along) = if *nesterov { (1.0, mu) } else { (0.0, 1.0) };
                for ((w, g), b) in weights.iter_mut().zip(gradient).zip(buffer) {
                    let g = g + decay * *w;
                    *b = mu * *b + g;
                    *w -= eta * (own * g + along * *b);
                }
            }
            (Optimiser::Adam { betas, epsilon, weight_decay, decoupled }, [first, second]) => {
                let (b1, b2) = (betas.0 as f32, betas.1 as f32);
                let (c1, c2) = ((1.0 - betas.0) as f32, (1.0 - betas.1) as f32);
                let size = (rate / (1.0 - betas.0.powf(count as f64))) as f32;
                let root = (1.0 / (1.0 - betas.1.powf(count as f64)).sqrt()) as f32;
                let epsilon = *epsilon as f32;
                let shrink = if *decoupled { (1.0 - rate * weight_decay) as f32 } else { 1.0 };
                let decay = if *decoupled { 0.0 } else { *weight_decay as f32 };
                let state = first.iter_mut().zip(second);
                for ((w, g), (m, v)) in weights.iter_mut().zip(gradient).zip(state) {
                    let g = g + decay * *w;
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * g * g;
                    *w = *w * shrink - size * *m / (v.sqrt() * root + epsilon);
                }
            }
            _ => panic!("the rule remembers another count of numbers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_steps_by_hand() {
        let run = |optimiser: Optimiser, steps: u64| {
            let mut moments = vec![vec![0.0]; optimiser.moments()];
            let mut weight = [1.0_f32];
            (1..=steps).for_each(|count| optimiser.step(&mut weight, &[0.5], &mut moments, 0.1, count));
            weight[0]
        };
        // Roundings of f32 near 1.
        let close = |found: f32, expected: f32| assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        close(run(Optimiser::sgd(0.0, false), 2), 0.9);
        close(run(Optimiser::sgd(0.9, false), 2), 1.0 - 0.05 - 0.095);
        close(run(Optimiser::sgd(0.9, true), 1), 1.0 - 0.1 * (0.5 + 0.45));
        close(run(Optimiser::adam(), 1), 0.9);
        close(run(Optimiser::adamw(0.1), 1), 0.99 - 0.1);
        close(run(Optimiser::Sgd { momentum: 0.0, nesterov: false, weight_decay: 1.0 }, 1), 1.0 - 0.15);
    }
}
