//! Row profiles and column factors of each pruning method, from data and the law of the initial weights alone.
//!
//! For $f(x) = n^{-1/2} \sum_j a_j\, \sigma(w_j^\top x / \sqrt d)$ with ReLU, standard normal $w$, squared loss, residuals
//! $e_s = f_0(x_s) - y_s$ and the kernel $K$ of the network:
//!
//! | method | row factor $r_u$ | column factor $c_j$ | noise |
//! |---|---|---|---|
//! | random, magnitude | 1 | 1 | $\lvert\xi\rvert$ |
//! | SNIP | $\tfrac12 \lvert \operatorname{mean}_s e_s x_{s,u} \rvert$ | $\lvert a_j \rvert$ | $\lvert\xi\rvert$ |
//! | GraSP, absolute | $\lvert \operatorname{mean}_s (K e)_s\, x_{s,u} \rvert$ | $\lvert a_j \rvert$ | $\lvert\xi\rvert$ |
//! | GraSP, signed | the same | $\lvert a_j \rvert$ | $\xi$ |
//! | SynFlow, one round | 1 | $\lvert a_j \rvert$ | $\lvert\xi\rvert$ |
//!
//! A factor common to all rows or columns moves the threshold and nothing else. GraSP's row is that of its limit, which its published temperature
//! of 200 hides up to very large widths: [`grasp_at_temperature`].

use super::law::Law;
use super::saliency::FactorisedSaliency;
use crate::error::TheoryError;
use rayon::prelude::*;
use secateur_linalg::gemm::{View, gemm};
use std::f64::consts::PI;

/// A method with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Random scores.
    Random,
    /// $|w|$.
    Magnitude,
    /// $|w\, \partial_w L|$.
    Snip,
    /// $|w\, (H g)|$.
    GraspAbs,
    /// $w\, (H g)$.
    Grasp,
    /// $|w|\, \partial_{|w|} R$, in one round.
    Synflow,
}

/// What data-dependent methods look at.
///
/// # Shapes
/// `inputs` has one row of $d$ numbers for each residual.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// $x_s$, one after the other.
    pub inputs: &'a [f32],
    /// $e_s = f_0(x_s) - y_s$.
    pub residuals: &'a [f64],
}

/// The model of a method on $d$ inputs.
///
/// `outer` holds $|a_j|$: of a network, or quantiles of their law.
///
/// # Errors
/// A method that looks at data has none; data that do not fit.
///
/// # Source
/// arXiv 2602.06675, table of limits; the signed variant of GraSP is ours, by the symmetry of $w$.
pub fn model(
    method: Method,
    d: usize,
    outer: &[f64],
    data: Option<Data<'_>>,
) -> Result<FactorisedSaliency, TheoryError> {
    let asked = || match data {
        None => Err(TheoryError::Shape { name: "data", expected: vec![1, d], found: vec![0] }),
        Some(data) => check(d, data),
    };
    let absolute: Vec<f64> = outer.iter().map(|a| a.abs()).collect();
    let (rows, cols, law) = match method {
        Method::Random | Method::Magnitude => (vec![1.0; d], vec![1.0; outer.len()], Law::absolute_normal()),
        Method::Synflow => (vec![1.0; d], absolute, Law::absolute_normal()),
        Method::Snip => (halved(correlations(d, asked()?)), absolute, Law::absolute_normal()),
        Method::GraspAbs | Method::Grasp => {
            let Data { inputs, residuals } = asked()?;
            let smoothed = kernel_times(d, inputs, residuals);
            let law = if method == Method::Grasp { Law::normal() } else { Law::absolute_normal() };
            (correlations(d, Data { inputs, residuals: &smoothed }), absolute, law)
        }
    };
    FactorisedSaliency::new(rows, cols, law)
}

/// What makes GraSP's column factors at a temperature $T$.
#[derive(Clone, Copy, Debug)]
pub struct Curvature<'a> {
    /// $T$: the loss is that of $f / T$, and residuals are $f_0 / T - y$.
    pub temperature: f64,
    /// $b_j = \operatorname{mean}_s e_s\, \sigma(h_{js})$, of a network.
    pub responses: &'a [f64],
}

/// The model of GraSP where the curvature of the network counts beside that of the loss.
///
/// For squared loss $H = \tfrac{2}{T^2} J^\top J + \tfrac{2}{T} \sum_s e_s \nabla^2 f(x_s)$, and the second part joins $w_{ij}$ with $a_j$ only:
///
/// $$ (H g)_{ij} \propto a_j\, p_i + T n^{-1/2}\, b_j\, q_i, \qquad p_i = \operatorname{mean}_s (K e)_s x_{s,i}, \quad
///    q_i = \operatorname{mean}_s e_s x_{s,i}. $$
///
/// Where $p \approx \kappa q$ the score is factorised with $r_i = |q_i|$ and $c_j = |\kappa a_j + T n^{-1/2} b_j|$; $\kappa$ is the
/// least-squares one. At $T = 200$ the second part is the larger one up to widths of $T^2$.
///
/// # Errors
/// Data or responses that do not fit, a temperature that is not positive, profiles that vanish.
///
/// # Source
/// Ours.
pub fn grasp_at_temperature(
    d: usize,
    outer: &[f64],
    data: Data<'_>,
    curvature: Curvature<'_>,
    law: Law,
) -> Result<FactorisedSaliency, TheoryError> {
    let Curvature { temperature, responses } = curvature;
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(TheoryError::Range { name: "temperature", expected: "a positive number", found: temperature });
    }
    if responses.len() != outer.len() {
        let (expected, found) = (vec![outer.len()], vec![responses.len()]);
        return Err(TheoryError::Shape { name: "responses of hidden units", expected, found });
    }
    check(d, data)?;
    let smoothed = kernel_times(d, data.inputs, data.residuals);
    let (p, q) = (moments(d, Data { residuals: &smoothed, ..data }), moments(d, data));
    let square: f64 = q.iter().map(|q| q * q).sum();
    let kappa = p.iter().zip(&q).map(|(p, q)| p * q).sum::<f64>() / square;
    let scale = temperature / (outer.len() as f64).sqrt();
    let cols = outer.iter().zip(responses).map(|(a, b)| (kappa * a + scale * b).abs()).collect();
    FactorisedSaliency::new(q.into_iter().map(f64::abs).collect(), cols, law)
}

/// Midpoint quantiles of $|a|$ for standard normal $a$: the columns in rising order, for the limit of infinite width.
///
/// # Errors
/// None in practice.
pub fn outer_quantiles(n: usize) -> Result<Vec<f64>, TheoryError> {
    let law = Law::absolute_normal();
    (0..n).map(|j| law.quantile((j as f64 + 0.5) / n as f64)).collect()
}

fn halved(factors: Vec<f64>) -> Vec<f64> {
    factors.into_iter().map(|f| 0.5 * f).collect()
}

fn check(d: usize, data: Data<'_>) -> Result<Data<'_>, TheoryError> {
    if data.residuals.is_empty() || data.inputs.len() != d * data.residuals.len() {
        let (expected, found) = (vec![data.residuals.len(), d], vec![data.inputs.len()]);
        return Err(TheoryError::Shape { name: "data", expected, found });
    }
    Ok(data)
}

/// $|\operatorname{mean}_s e_s x_{s,u}|$.
fn correlations(d: usize, data: Data<'_>) -> Vec<f64> {
    moments(d, data).into_iter().map(f64::abs).collect()
}

/// $\operatorname{mean}_s e_s x_{s,u}$.
fn moments(d: usize, data: Data<'_>) -> Vec<f64> {
    let mut sums = vec![0.0; d];
    for (x, e) in data.inputs.chunks_exact(d).zip(data.residuals) {
        sums.iter_mut().zip(x).for_each(|(s, x)| *s += e * f64::from(*x));
    }
    sums.into_iter().map(|s| s / data.residuals.len() as f64).collect()
}

/// $\operatorname{mean}_t K(x_s, x_t)\, e_t$ for each $s$, with the kernel of the dense network of infinite width,
///
/// $$ K(x, x') = \mathbb E\, \sigma\sigma' + \mathbb E\, \dot\sigma\dot\sigma'\; \Sigma, \qquad \Sigma = x^\top x' / d, $$
///
/// block by block, so that it is never stored.
fn kernel_times(d: usize, inputs: &[f32], residuals: &[f64]) -> Vec<f64> {
    const BLOCK: usize = 256;
    let count = residuals.len();
    let norms: Vec<f64> =
        inputs.chunks_exact(d).map(|x| x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / d as f64).collect();
    let block = |begin: usize| {
        let rows = BLOCK.min(count - begin);
        let mut sigma = vec![0.0_f32; rows * count];
        let (left, right) = (View::new(&inputs[begin * d..], rows, d), View::new(inputs, count, d));
        gemm(&mut sigma, left, right.t(), false);
        let row = |(s, sigma): (usize, &[f32])| {
            let pairs = sigma.iter().zip(&norms).zip(residuals);
            let sum: f64 =
                pairs.map(|((c, q), e)| e * relu_kernel(norms[begin + s], *q, f64::from(*c) / d as f64)).sum();
            sum / count as f64
        };
        sigma.chunks_exact(count).enumerate().map(row).collect::<Vec<f64>>()
    };
    let begins: Vec<usize> = (0..count).step_by(BLOCK).collect();
    begins.into_par_iter().map(block).collect::<Vec<_>>().concat()
}

/// $K$ by the covariances $\Sigma(x, x)$, $\Sigma(x', x')$ and $\Sigma(x, x')$.
///
/// # Source
/// Cho, Saul 2009, degrees 0 and 1.
fn relu_kernel(p: f64, q: f64, c: f64) -> f64 {
    let root = (p * q).sqrt();
    if root == 0.0 {
        return 0.0;
    }
    let cosine = (c / root).clamp(-1.0, 1.0);
    let angle = cosine.acos();
    let derivatives = (PI - angle) / (2.0 * PI);
    root * (angle.sin() + (PI - angle) * cosine) / (2.0 * PI) + derivatives * c
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_linalg::random::Random;

    #[test]
    fn the_kernel_by_hand() {
        // Equal unit inputs: E σσ = 1/2 and 1/2 · Σ; opposite ones: nothing in common.
        assert!((relu_kernel(1.0, 1.0, 1.0) - 1.0).abs() < 1e-12);
        assert!(relu_kernel(1.0, 1.0, -1.0).abs() < 1e-12);
        assert!((relu_kernel(1.0, 4.0, 0.0) - 1.0 / PI).abs() < 1e-12);
        assert_eq!(relu_kernel(0.0, 1.0, 0.0), 0.0);
    }

    #[test]
    fn the_kernel_is_that_of_wide_networks() {
        let (d, n) = (3, 40_000);
        let inputs = [0.5_f32, -1.0, 2.0, 1.0, 0.3, -0.2];
        let residuals = [0.7, -0.4];
        let mut random = Random::new(5);
        let (mut sums, x) = ([0.0; 4], |s: usize, i: usize| f64::from(inputs[s * d + i]));
        let sigma = |s: usize, t: usize| (0..d).map(|i| x(s, i) * x(t, i)).sum::<f64>() / d as f64;
        for _ in 0..n {
            let w: Vec<f64> = (0..d).map(|_| random.normal()).collect();
            let h = [0, 1].map(|s| (0..d).map(|i| w[i] * x(s, i)).sum::<f64>() / (d as f64).sqrt());
            for (k, sum) in sums.iter_mut().enumerate() {
                let (s, t) = (k / 2, k % 2);
                let both = f64::from(u8::from(h[s] > 0.0 && h[t] > 0.0));
                *sum += (both * h[s] * h[t] + both * sigma(s, t)) / n as f64;
            }
        }
        let found = kernel_times(d, &inputs, &residuals);
        for s in 0..2 {
            let expected = (sums[2 * s] * residuals[0] + sums[2 * s + 1] * residuals[1]) / 2.0;
            // Four standard errors of 40 000 terms of deviation below 2, halved by the mean over samples.
            assert!((found[s] - expected).abs() < 0.03, "{s}: {} {expected}", found[s]);
        }
    }

    #[test]
    fn profiles_follow_the_data() {
        let data = Data { inputs: &[1.0, 0.0, 1.0, 2.0], residuals: &[1.0, -3.0] };
        let snip = model(Method::Snip, 2, &[1.0, -2.0], Some(data)).unwrap();
        assert_eq!((snip.rows(), snip.cols()), (&[0.5, 1.5][..], &[1.0, 2.0][..]));
        assert_eq!(model(Method::Synflow, 2, &[-3.0], None).unwrap().cols(), [3.0]);
        assert_eq!(model(Method::Magnitude, 2, &[-3.0], None).unwrap().cols(), [1.0]);
        assert!(model(Method::Snip, 2, &[1.0], None).is_err());
        assert!(model(Method::Grasp, 3, &[1.0], Some(data)).is_err());
    }

    #[test]
    fn temperature_moves_the_columns_of_grasp() {
        let data = Data { inputs: &[1.0, 0.5, -1.0, -0.5], residuals: &[1.0, -1.0] };
        let at = |temperature| {
            let curvature = Curvature { temperature, responses: &[0.0, 3.0] };
            grasp_at_temperature(2, &[1.0, 0.0], data, curvature, Law::normal())
        };
        let (cold, hot) = (at(1.0).unwrap(), at(10.0).unwrap());
        assert_eq!(cold.rows(), [1.0, 0.5]);
        // The second unit has no outgoing weight, so its factor is T b / √2.
        assert!(
            (cold.cols()[1] - 3.0 / 2.0_f64.sqrt()).abs() < 1e-12
                && (hot.cols()[1] / cold.cols()[1] - 10.0).abs() < 1e-12
        );
        assert_eq!(cold.cols()[0], hot.cols()[0]);
        assert!(at(0.0).is_err());
        let short = Curvature { temperature: 1.0, responses: &[0.0] };
        assert!(grasp_at_temperature(2, &[1.0, 0.0], data, short, Law::normal()).is_err());
    }

    #[test]
    fn quantiles_are_those_of_the_half_normal() {
        let found = outer_quantiles(3).unwrap();
        // Φ(0.6745) = 0.75.
        assert!((found[1] - 0.67449).abs() < 1e-5 && found[0] < found[1] && found[1] < found[2]);
    }
}
