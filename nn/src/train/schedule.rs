//! Step sizes over time.
//!
//! A run of $T$ steps begins with $w$ steps of linear warm-up, $\eta_t = \eta\,(t + 1)/w$; the decay takes the others,
//! $s = t - w$ of $S = T - w$:
//!
//! $$ \text{cosine: } \eta_t = \eta_{\min} + (\eta - \eta_{\min})\,\tfrac12\big(1 + \cos(\pi s / S)\big), \qquad
//! \text{step: } \eta_t = \eta\,\gamma^{\lfloor s / k \rfloor}. $$

use super::fault::TrainFault;

/// The step size of every step.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// $\eta$, the largest step size.
    pub rate: f64,
    /// Steps of linear warm-up.
    pub warmup: usize,
    /// What follows.
    pub decay: Decay,
}

/// How the step size falls.
#[derive(Clone, Debug, PartialEq)]
pub enum Decay {
    /// It does not.
    Constant,
    /// Along half a cosine to `least`.
    Cosine {
        /// $\eta_{\min}$.
        least: f64,
    },
    /// By `factor` every `epochs` epochs.
    Step {
        /// Epochs between two drops.
        epochs: usize,
        /// $\gamma$.
        factor: f64,
    },
    /// One cycle: along a cosine from $\eta/25$ up to $\eta$ in 30 % of the steps, and along another down to
    /// $\eta / 250\,000$.
    ///
    /// # Source
    /// Smith and Topin 2018, with the numbers of PyTorch's `OneCycleLR`; momentum is not cycled.
    OneCycle,
}

impl Schedule {
    /// Always the same.
    pub fn constant(rate: f64) -> Self {
        Self { rate, warmup: 0, decay: Decay::Constant }
    }

    /// Half a cosine down to zero.
    pub fn cosine(rate: f64) -> Self {
        Self { rate, warmup: 0, decay: Decay::Cosine { least: 0.0 } }
    }

    /// The step size of step `step`, from 0, of `steps`, with `per_epoch` steps in an epoch.
    pub fn at(&self, step: usize, steps: usize, per_epoch: usize) -> f64 {
        if step < self.warmup {
            return self.rate * (step + 1) as f64 / self.warmup as f64;
        }
        let (at, length) = (step - self.warmup, steps.saturating_sub(self.warmup).max(1));
        match self.decay {
            Decay::Constant => self.rate,
            Decay::Cosine { least } => cosine(self.rate, least, at as f64 / length as f64),
            Decay::Step { epochs, factor } => {
                let drops = at / (epochs * per_epoch).max(1);
                self.rate * factor.powi(i32::try_from(drops).unwrap_or(i32::MAX))
            }
            Decay::OneCycle => {
                let (first, last) = (self.rate / 25.0, self.rate / 25.0 / 1e4);
                let (top, end) = (0.3 * length as f64 - 1.0, length as f64 - 1.0);
                let at = at as f64;
                if at <= top {
                    cosine(first, self.rate, at / top)
                } else {
                    cosine(self.rate, last, (at - top) / (end - top))
                }
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), TrainFault> {
        let refuse =
            |setting, expected, found: f64| TrainFault::Setting { setting, expected, found: found.to_string() };
        if !(self.rate > 0.0 && self.rate.is_finite()) {
            return Err(refuse("rate", "a positive step size", self.rate));
        }
        match self.decay {
            Decay::Cosine { least } if !(0.0..=self.rate).contains(&least) => {
                Err(refuse("cosine", "a least step size from 0 to the largest", least))
            }
            Decay::Step { epochs, factor } if epochs == 0 || !(factor > 0.0 && factor.is_finite()) => {
                Err(refuse("step", "a positive factor every so many epochs", factor))
            }
            _ => Ok(()),
        }
    }
}

/// From `a` to `b` along half a cosine, at a share of the way.
fn cosine(a: f64, b: f64, share: f64) -> f64 {
    b + (a - b) * 0.5 * (1.0 + (std::f64::consts::PI * share.clamp(0.0, 1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_pass_through_their_corners() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        let cosine = Schedule { rate: 0.4, warmup: 4, decay: Decay::Cosine { least: 0.1 } };
        assert!(close(cosine.at(0, 14, 7), 0.1) && close(cosine.at(3, 14, 7), 0.4));
        assert!(close(cosine.at(4, 14, 7), 0.4) && close(cosine.at(9, 14, 7), 0.25));
        let step = Schedule { rate: 1.0, warmup: 0, decay: Decay::Step { epochs: 2, factor: 0.1 } };
        assert!(close(step.at(5, 100, 3), 1.0) && close(step.at(6, 100, 3), 0.1) && close(step.at(12, 100, 3), 0.01));
        let cycle = Schedule { rate: 1.0, warmup: 0, decay: Decay::OneCycle };
        assert!(close(cycle.at(0, 10, 1), 0.04) && close(cycle.at(2, 10, 1), 1.0) && close(cycle.at(9, 10, 1), 4e-6));
        assert!(close(Schedule::constant(0.3).at(7, 3, 1), 0.3));
    }
}
