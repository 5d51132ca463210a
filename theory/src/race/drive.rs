//! What drives the neurons: $D_\alpha = \frac1N \sum_s g_\alpha(s) \rho_s x_s$.

use super::loss::Loss;
use super::neurons::Neurons;
use super::task::Task;
use secateur_linalg::gemm::{View, gemm};

/// Pre-activations, outputs, residuals and drives of all neurons, in memory that is used again.
#[derive(Clone, Debug)]
pub struct Drive {
    samples: usize,
    dimension: usize,
    /// $w_{1,\alpha} \cdot x_s$, $n \times N$.
    pub(super) pre: Vec<f64>,
    /// $g_\alpha(s)$ as 0 or 1, then $g_\alpha(s) \rho_s / N$; $n \times N$.
    weights: Vec<f64>,
    pub(super) outputs: Vec<f64>,
    pub(super) residuals: Vec<f64>,
    pub(super) drives: Vec<f64>,
    loss: f64,
}

impl Drive {
    /// Room for so many neurons.
    pub fn new(task: &Task, width: usize) -> Self {
        let (samples, dimension) = (task.samples(), task.dimension());
        Self {
            samples,
            dimension,
            pre: vec![0.0; width * samples],
            weights: vec![0.0; width * samples],
            outputs: vec![0.0; samples],
            residuals: vec![0.0; samples],
            drives: vec![0.0; width * dimension],
            loss: f64::INFINITY,
        }
    }

    /// Of these neurons, with $g_\alpha(s) = 1$ where $w_{1,\alpha} \cdot x_s > 0$.
    pub fn evaluate(&mut self, task: &Task, loss: Loss, neurons: &Neurons) {
        self.evaluate_gated(task, loss, &neurons.w1, &neurons.w2, |_, pre| pre > 0.0);
    }

    /// Of weights, with gates as given: `open(place, pre)` says whether the gate at `place` in $n \times N$ is open.
    pub(super) fn evaluate_gated(
        &mut self,
        task: &Task,
        loss: Loss,
        w1: &[f64],
        w2: &[f64],
        open: impl Fn(usize, f64) -> bool,
    ) {
        let (samples, width) = (self.samples, w2.len());
        let x = View::new(task.inputs(), samples, self.dimension);
        gemm(&mut self.pre, View::new(w1, width, self.dimension), x.t(), false);
        self.outputs.fill(0.0);
        for (alpha, (pre, weights)) in
            self.pre.chunks_exact(samples).zip(self.weights.chunks_exact_mut(samples)).enumerate()
        {
            for (s, (z, g)) in pre.iter().zip(weights).enumerate() {
                *g = f64::from(u8::from(open(alpha * samples + s, *z)));
                self.outputs[s] += w2[alpha] * *g * z;
            }
        }
        let mut total = 0.0;
        for (s, (f, y)) in self.outputs.iter().zip(task.labels()).enumerate() {
            self.residuals[s] = loss.residual(*f, *y);
            total += loss.value(*f, *y);
        }
        self.loss = total / samples as f64;
        for weights in self.weights.chunks_exact_mut(samples) {
            weights.iter_mut().zip(&self.residuals).for_each(|(g, rho)| *g *= rho / samples as f64);
        }
        gemm(&mut self.drives, View::new(&self.weights, width, samples), x, false);
    }

    /// The mean loss.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// $f(x_s)$.
    pub fn outputs(&self) -> &[f64] {
        &self.outputs
    }

    /// $\rho_s$.
    pub fn residuals(&self) -> &[f64] {
        &self.residuals
    }

    /// $w_{1,\alpha} \cdot x_s$ for all samples.
    pub fn pre(&self, alpha: usize) -> &[f64] {
        &self.pre[alpha * self.samples..(alpha + 1) * self.samples]
    }

    /// $D_\alpha$.
    pub fn of(&self, alpha: usize) -> &[f64] {
        &self.drives[alpha * self.dimension..(alpha + 1) * self.dimension]
    }

    /// $|D_\alpha|$.
    pub fn strength(&self, alpha: usize) -> f64 {
        self.of(alpha).iter().map(|d| d * d).sum::<f64>().sqrt()
    }

    /// $\cos \delta_\alpha$ with $\delta_\alpha$ the angle between $w_{1,\alpha}$ and $\mathrm{sgn}(w_{2,\alpha}) D_\alpha$; 0 without a
    /// drive.
    pub fn alignment(&self, neurons: &Neurons, alpha: usize) -> f64 {
        let product: f64 = neurons.w1(alpha).iter().zip(self.of(alpha)).map(|(w, d)| w * d).sum();
        let scale = neurons.norm(alpha) * self.strength(alpha);
        if scale > 0.0 { (product / scale).clamp(-1.0, 1.0) * neurons.w2()[alpha].signum() } else { 0.0 }
    }

    /// All $\cos \delta_\alpha$.
    pub fn alignments(&self, neurons: &Neurons) -> Vec<f64> {
        (0..neurons.width()).map(|alpha| self.alignment(neurons, alpha)).collect()
    }

    /// The share of samples on the right side of 0.
    pub fn accuracy(&self, task: &Task) -> f64 {
        let right = self.outputs.iter().zip(task.labels()).filter(|(f, y)| *f * *y > 0.0).count();
        right as f64 / task.samples() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::Start;
    use crate::race::testing;

    #[test]
    fn drives_are_slopes_of_the_loss() {
        let task = testing::mixture(12, 5, 4);
        let step = 1e-6;
        for loss in [Loss::Mse, Loss::Logistic] {
            let neurons = Neurons::start(&task, 6, Start::Gaussian, 1.0, 9).expect("neurons");
            let mut drive = Drive::new(&task, 6);
            drive.evaluate(&task, loss, &neurons);
            let at = |neurons: &Neurons| {
                let mut drive = Drive::new(&task, 6);
                drive.evaluate(&task, loss, neurons);
                drive.loss()
            };
            for alpha in 0..6 {
                for j in 0..task.dimension() {
                    let mut moved = [neurons.clone(), neurons.clone()];
                    moved[0].w1[alpha * task.dimension() + j] += step;
                    moved[1].w1[alpha * task.dimension() + j] -= step;
                    let slope = (at(&moved[0]) - at(&moved[1])) / (2.0 * step);
                    // No gate is within 1e-6 of its edge here; central differences of a smooth loss.
                    assert!((slope + neurons.w2()[alpha] * drive.of(alpha)[j]).abs() < 1e-8, "{loss} {alpha} {j}");
                }
                let mut moved = [neurons.clone(), neurons.clone()];
                moved[0].w2[alpha] += step;
                moved[1].w2[alpha] -= step;
                let slope = (at(&moved[0]) - at(&moved[1])) / (2.0 * step);
                let product: f64 = neurons.w1(alpha).iter().zip(drive.of(alpha)).map(|(w, d)| w * d).sum();
                assert!((slope + product).abs() < 1e-8, "{loss} {alpha}");
            }
        }
    }
}
