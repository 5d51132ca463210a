//! The network with one hidden layer, its samples, and its masks by the real pruning code.
//!
//! $$ f(x) = n^{-1/2} \sum_{j=1}^n a_j\, \sigma\big(d^{-1/2}\, w_j^\top x\big), \qquad w_{ij}, a_j \sim \mathcal N(0, 1). $$

use crate::theory::StudyError;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::eval::Evaluator;
use secateur_nn::graph::{Graph, GraphBuilder};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_prune::saliency::Grasp;
use secateur_prune::{Allocation, Budget, Calibration, Method, Scope, Settings, Targets, prune};
use std::sync::Arc;

/// Streams of a network's seed.
const INNER: u64 = 1;
const OUTER: u64 = 2;

/// The network, at its initial weights.
#[derive(Clone, Debug)]
pub struct Shallow {
    /// Inputs.
    pub d: usize,
    /// Hidden units.
    pub n: usize,
    /// $a$.
    pub outer: Vec<f64>,
    weights: [Value; 2],
}

/// How a mask is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct How {
    /// The method.
    pub method: Method,
    /// Rounds of scoring.
    pub rounds: usize,
    /// $T$: GraSP's loss is that of $f / T$. Others have 1.
    pub temperature: f64,
}

impl How {
    /// One round, at temperature 1.
    pub fn once(method: Method) -> Self {
        Self { method, rounds: 1, temperature: 1.0 }
    }
}

/// Samples of a task.
///
/// # Shapes
/// `inputs` holds rows of $d$ numbers, one for each target.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// $x_s$, one after the other.
    pub inputs: Vec<f32>,
    /// $y_s$.
    pub targets: Vec<f64>,
}

impl Shallow {
    /// A network with weights of a seed.
    ///
    /// # Errors
    /// It is too large.
    pub fn new(d: usize, n: usize, seed: u64) -> Result<Self, StudyError> {
        let normal = |stream: u64, shape: Vec<usize>| {
            let mut data = vec![0.0_f32; shape.iter().product()];
            Random::stream(seed, stream).fill_normal(&mut data, 1.0);
            Tensor::new(shape, data)
        };
        let (inner, outer) = (normal(INNER, vec![d, n]), normal(OUTER, vec![n, 1]));
        let numbers = outer.data().iter().map(|a| f64::from(*a)).collect();
        let weights = [inner, outer].map(|w| Value::F32(Arc::new(w)));
        Ok(Self { d, n, outer: numbers, weights })
    }

    /// The network times a factor, as a graph; its hidden layer is the constant `w`, inputs by hidden units.
    ///
    /// # Errors
    /// It is too large.
    pub fn graph(&self, factor: f64) -> Result<Graph, StudyError> {
        let product = |alpha: f64| Op::Gemm { alpha: alpha as f32, beta: 1.0, trans_a: false, trans_b: false };
        let [inner, outer] = self.weights.clone();
        let mut builder = GraphBuilder::new("x", vec![1, self.d], ElementType::F32);
        let w = builder.constant("w", inner)?;
        let a = builder.constant("a", outer)?;
        let hidden = builder.add("h", product(1.0 / (self.d as f64).sqrt()), &[builder.input(), w])?;
        let active = builder.add("relu", Op::Relu, &[hidden])?;
        let output = builder.add("f", product(factor / (self.n as f64).sqrt()), &[active, a])?;
        Ok(builder.finish(output)?)
    }

    /// $f_0(x_s)$ for all samples.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn outputs(&self, samples: &Samples) -> Result<Vec<f64>, StudyError> {
        let mut outputs = Vec::with_capacity(samples.targets.len());
        self.batches(samples, |_, _, output| outputs.extend(output.iter().map(|v| f64::from(*v))))?;
        Ok(outputs)
    }

    /// $\operatorname{mean}_s e_s\, \sigma(h_{js})$ for each hidden unit.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn responses(&self, samples: &Samples, residuals: &[f64]) -> Result<Vec<f64>, StudyError> {
        let mut sums = vec![0.0; self.n];
        self.batches(samples, |begin, active, _| {
            for (row, e) in active.chunks_exact(self.n).zip(&residuals[begin..]) {
                sums.iter_mut().zip(row).for_each(|(s, v)| *s += e * f64::from(*v) / residuals.len() as f64);
            }
        })?;
        Ok(sums)
    }

    /// Evaluates samples in batches: the number of the first, the hidden units, the outputs.
    fn batches(&self, samples: &Samples, mut each: impl FnMut(usize, &[f32], &[f32])) -> Result<(), StudyError> {
        const BATCH: usize = 512;
        let graph = self.graph(1.0)?;
        let mut held: Option<(usize, Evaluator<f32>)> = None;
        for (number, inputs) in samples.inputs.chunks(BATCH * self.d).enumerate() {
            let count = inputs.len() / self.d;
            let (_, evaluator) = match held.take().filter(|(of, _)| *of == count) {
                Some(kept) => held.insert(kept),
                None => held.insert((count, Evaluator::<f32>::new(&graph.with_batch(count)?)?)),
            };
            let trace = evaluator.trace(&Tensor::new(vec![count, self.d], inputs.to_vec()))?;
            // Batching keeps the order of nodes: the hidden units come before the output.
            let active = graph.arguments(graph.output())[0];
            let active = trace.real(active).expect("activations are numbers");
            each(number * BATCH, active.data(), trace.output().data());
        }
        Ok(())
    }

    /// The mask of the hidden layer by a method; both layers are pruned to the density, each by itself.
    ///
    /// `targets` are those that the loss sees, which need not be the task's. GraSP divides the output by its own temperature; it
    /// is given the network times that over the temperature asked for, so that its loss is that of $f / T$.
    ///
    /// # Errors
    /// As [`prune`].
    pub fn mask(
        &self,
        how: How,
        density: f64,
        samples: Option<(&Samples, &[f64])>,
        seed: u64,
    ) -> Result<Vec<bool>, StudyError> {
        let How { method, rounds, temperature } = how;
        let calibration = samples.map(|(samples, targets)| {
            let inputs = samples.inputs.chunks_exact(self.d).map(<[f32]>::to_vec).collect();
            Calibration::new(inputs, Targets::Values(targets.iter().map(|y| vec![*y]).collect()))
        });
        let budget = Budget {
            scope: Scope::Weight,
            allocation: Allocation::Uniform,
            sparsity: 1.0 - density,
            keep_layers: false,
        };
        let tempered = matches!(method, Method::Grasp | Method::GraspAbs);
        let graph = self.graph(if tempered { Grasp::TEMPERATURE / temperature } else { 1.0 })?;
        let pruned = prune(&graph, calibration.transpose()?.as_ref(), &Settings { method, budget, rounds, seed })?;
        let found = pruned.masks.get("w").map(|mask| mask.data().to_vec());
        Ok(found.unwrap_or_else(|| vec![true; self.d * self.n]))
    }
}

/// $E[y\, x_u] = 4 u^2$: the profile of the mixture.
///
/// Any profile that is bounded and of order 1 will do; this one spans what is pruned away and what is kept.
pub fn profile(u: f64) -> f64 {
    4.0 * u * u
}

/// $x = y\, \mu + z$ with $y = \pm 1$, $\mu_i$ the profile at the midpoint of row $i$ and $z \sim \mathcal N(0, I)$.
pub fn mixture(d: usize, count: usize, seed: u64) -> Samples {
    let mean: Vec<f64> = (0..d).map(|i| profile((i as f64 + 0.5) / d as f64)).collect();
    let mut samples = Samples { inputs: Vec::with_capacity(count * d), targets: Vec::with_capacity(count) };
    for s in 0..count {
        let mut random = Random::stream(seed, s as u64);
        let y = if random.unit() < 0.5 { -1.0 } else { 1.0 };
        samples.inputs.extend(mean.iter().map(|m| (y * m + random.normal()) as f32));
        samples.targets.push(y);
    }
    samples
}

/// $x \sim \mathcal N(0, I)$ and $y = d^{-1/2} \sum_i \mu_i x_i$: no single input says much about $y$.
pub fn isotropic(d: usize, count: usize, seed: u64) -> Samples {
    let mean: Vec<f64> = (0..d).map(|i| profile((i as f64 + 0.5) / d as f64)).collect();
    let mut samples = Samples { inputs: Vec::with_capacity(count * d), targets: Vec::with_capacity(count) };
    for s in 0..count {
        let mut random = Random::stream(seed, s as u64);
        let x: Vec<f64> = (0..d).map(|_| random.normal()).collect();
        samples.targets.push(x.iter().zip(&mean).map(|(x, m)| x * m).sum::<f64>() / (d as f64).sqrt());
        samples.inputs.extend(x.iter().map(|x| *x as f32));
    }
    samples
}

impl Samples {
    /// Checks that there is one row of `d` numbers for each target.
    ///
    /// # Errors
    /// As named.
    pub fn check(&self, d: usize) -> Result<(), StudyError> {
        let (expected, found) = (vec![self.targets.len(), d], self.inputs.len());
        if self.targets.is_empty() || found != self.targets.len() * d {
            return Err(secateur_theory::TheoryError::Shape { name: "samples", expected, found: vec![found] }.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_those_of_the_formula() {
        let network = Shallow::new(3, 5, 7).expect("small");
        let samples = mixture(3, 600, 1);
        let found = network.outputs(&samples).expect("finite");
        let (w, x) = (drawn(7, INNER, 15), &samples.inputs[3 * 555..3 * 556]);
        let hidden = |j: usize| (0..3).map(|i| f64::from(x[i]) * w[i * 5 + j]).sum::<f64>() / 3.0_f64.sqrt();
        let expected: f64 = (0..5).map(|j| network.outer[j] * hidden(j).max(0.0)).sum::<f64>() / 5.0_f64.sqrt();
        // Single precision.
        assert!((found[555] - expected).abs() < 1e-5, "{} {expected}", found[555]);
    }

    fn drawn(seed: u64, stream: u64, count: usize) -> Vec<f64> {
        let mut data = vec![0.0_f32; count];
        Random::stream(seed, stream).fill_normal(&mut data, 1.0);
        data.into_iter().map(f64::from).collect()
    }

    #[test]
    fn masks_keep_what_is_asked_for() {
        let network = Shallow::new(20, 30, 7).expect("small");
        let samples = mixture(20, 50, 1);
        for method in [Method::Random, Method::Magnitude, Method::Snip, Method::Grasp, Method::Synflow] {
            let mask = network.mask(How::once(method), 0.2, Some((&samples, &samples.targets)), 3).expect("a mask");
            assert_eq!(mask.iter().filter(|keep| **keep).count(), 120, "{method}");
        }
    }

    #[test]
    fn tasks_have_their_moments() {
        let (mixed, flat) = (mixture(4, 20_000, 3), isotropic(4, 20_000, 3));
        let moment = |s: &Samples, i: usize| {
            s.targets.iter().enumerate().map(|(k, y)| y * f64::from(s.inputs[4 * k + i])).sum::<f64>() / 20_000.0
        };
        for i in 0..4 {
            let u = (i as f64 + 0.5) / 4.0;
            // Four standard errors: deviations of a product are below 6.
            assert!((moment(&mixed, i) - profile(u)).abs() < 0.17);
            assert!((moment(&flat, i) - profile(u) / 2.0).abs() < 0.17);
        }
        assert!(mixed.check(4).is_ok() && mixed.check(5).is_err());
    }
}
