//! The factorised saliency model: a threshold, and the graphon that masks approach.
//!
//! $$ S_{ij} = r_i\, c_j\, |\xi_{ij}|, \qquad M_{ij} = \mathbf 1\{S_{ij} \ge \tau\}, \qquad
//! W_{ij} = P\big(|\xi| \ge \tau / (r_i c_j)\big), \qquad H(\tau) = \overline{W} = \rho. $$

use super::law::Law;
use super::step::StepGraphon;
use crate::error::TheoryError;
use rayon::prelude::*;

/// Saliencies that are a row's factor times a column's factor times independent noise.
///
/// Factors are those of a finite network, or a profile $r(u)$ and a quantile function $q_c(v)$ at midpoints.
#[derive(Clone, Debug)]
pub struct FactorisedSaliency {
    rows: Vec<f64>,
    cols: Vec<f64>,
    law: Law,
}

/// What masks of one density approach.
#[derive(Clone, Debug)]
pub struct Limit {
    /// $\tau$, in units of the factors.
    pub threshold: f64,
    /// $W$, one cell for each pair of a row and a column.
    pub graphon: StepGraphon,
}

impl FactorisedSaliency {
    /// A model by its factors.
    ///
    /// # Errors
    /// A side without factors, or a factor that is negative or not finite.
    pub fn new(rows: Vec<f64>, cols: Vec<f64>, law: Law) -> Result<Self, TheoryError> {
        for (name, factors) in [("factor of a row", &rows), ("factor of a column", &cols)] {
            if factors.is_empty() {
                return Err(TheoryError::Shape { name, expected: vec![1], found: vec![0] });
            }
            if let Some(&found) = factors.iter().find(|f| !(**f >= 0.0 && f.is_finite())) {
                return Err(TheoryError::Range { name, expected: "a finite number from 0", found });
            }
        }
        Ok(Self { rows, cols, law })
    }

    /// A model by its profile $r(u)$ and the quantile function $q_c(v)$ of the columns' factors, at the midpoints of `rows × cols`
    /// cells.
    ///
    /// # Errors
    /// As [`FactorisedSaliency::new`].
    pub fn from_profiles(
        (rows, cols): (usize, usize),
        r: impl Fn(f64) -> f64,
        q: impl Fn(f64) -> f64,
        law: Law,
    ) -> Result<Self, TheoryError> {
        let place = |i: usize, n: usize| (i as f64 + 0.5) / n as f64;
        let rows = (0..rows).map(|i| r(place(i, rows))).collect();
        Self::new(rows, (0..cols).map(|j| q(place(j, cols))).collect(), law)
    }

    /// $r$.
    pub fn rows(&self) -> &[f64] {
        &self.rows
    }

    /// $c$.
    pub fn cols(&self) -> &[f64] {
        &self.cols
    }

    /// $H(t)$: the mean of $P(|\xi| \ge t / (r_i c_j))$.
    pub fn density(&self, t: f64) -> f64 {
        mean_survival(&self.law, &counted(&self.rows), &counted(&self.cols), t)
    }

    /// The root $\tau$ of $H(\tau) = \rho$.
    ///
    /// $H$ falls continuously from the share of pairs with positive factors to 0 where the law is continuous, and strictly
    /// where its density is positive, so there is one root. It is enclosed first, with factors thinned out to a few hundred, and then
    /// found by the Illinois rule.
    ///
    /// # Errors
    /// $\rho$ outside of $(0, 1)$, or not below the share of pairs whose saliency is positive.
    pub fn threshold(&self, density: f64) -> Result<f64, TheoryError> {
        let refuse = |expected| Err(TheoryError::Range { name: "density", expected, found: density });
        if !(density > 0.0 && density < 1.0) {
            return refuse("above 0 and below 1");
        }
        let share = |factors: &[f64]| factors.iter().filter(|f| **f > 0.0).count() as f64 / factors.len() as f64;
        let positive = share(&self.rows) * share(&self.cols);
        if density >= positive && !(self.law.is_signed() && positive == 1.0) {
            return refuse("below the share of pairs with positive factors");
        }
        let (rows, cols) = (counted(&self.rows), counted(&self.cols));
        let largest = rows.iter().chain(&cols).map(|(f, _)| *f).fold(0.0, f64::max);
        let thin = |t: f64| mean_survival(&self.law, &thinned(&rows), &thinned(&cols), t) - density;
        let (low, high) = enclosed(&thin, 0.0, largest * largest);
        let near = illinois(&thin, low, high);
        let whole = |t: f64| mean_survival(&self.law, &rows, &cols, t) - density;
        let (low, high) = enclosed(&whole, near, 1e-3 * near.abs().max(1e-3 * largest * largest));
        Ok(illinois(&whole, low, high))
    }

    /// $W_{ij}$ at density $\rho$.
    ///
    /// # Errors
    /// As [`FactorisedSaliency::threshold`].
    pub fn limit(&self, density: f64) -> Result<Limit, TheoryError> {
        let threshold = self.threshold(density)?;
        let mut values = vec![0.0; self.rows.len() * self.cols.len()];
        values.par_chunks_mut(self.cols.len()).zip(&self.rows).for_each(|(values, r)| {
            values.iter_mut().zip(&self.cols).for_each(|(w, c)| *w = kept(&self.law, threshold, r * c));
        });
        let graphon = StepGraphon::from_matrix(self.rows.len(), self.cols.len(), values)?;
        Ok(Limit { threshold, graphon })
    }
}

/// $P(m \xi \ge t)$.
fn kept(law: &Law, t: f64, m: f64) -> f64 {
    match m > 0.0 {
        true => law.survival(t / m),
        false => f64::from(u8::from(t < 0.0)),
    }
}

/// The mean of $P(r c\, \xi \ge t)$ over factors that are counted.
fn mean_survival(law: &Law, rows: &[(f64, f64)], cols: &[(f64, f64)], t: f64) -> f64 {
    let row = |(r, share): &(f64, f64)| share * cols.iter().map(|(c, share)| share * kept(law, t, r * c)).sum::<f64>();
    // Summed in order, so that threads change nothing.
    rows.par_iter().map(row).collect::<Vec<f64>>().iter().sum()
}

/// Different factors in rising order, each with its share.
fn counted(factors: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted = factors.to_vec();
    sorted.sort_by(f64::total_cmp);
    let share = 1.0 / factors.len() as f64;
    let mut counted: Vec<(f64, f64)> = Vec::new();
    for factor in sorted {
        match counted.last_mut() {
            Some((last, count)) if *last == factor => *count += share,
            _ => counted.push((factor, share)),
        }
    }
    counted
}

/// Every so many of the factors, for all of them.
fn thinned(counted: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const KEPT: usize = 256;
    let every = counted.len().div_ceil(KEPT).max(1);
    let share = |part: &[(f64, f64)]| part.iter().map(|(_, share)| share).sum();
    counted.chunks(every).map(|part| (part[part.len() / 2].0, share(part))).collect()
}

/// An interval around `start` over which a falling function changes its sign; it grows from steps of the given size.
fn enclosed(f: &impl Fn(f64) -> f64, start: f64, step: f64) -> (f64, f64) {
    let (mut low, mut high, mut step) = (start, start, step);
    while f(low) < 0.0 && step.is_finite() {
        low -= step;
        step *= 2.0;
    }
    let mut step = step.max(f64::MIN_POSITIVE);
    while f(high) > 0.0 && step.is_finite() {
        high += step;
        step *= 2.0;
    }
    (low, high)
}

/// The root of a falling continuous function between two places where its signs differ.
///
/// # Source
/// Dowell, Jarratt 1971.
fn illinois(f: &impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let (mut above, mut below) = (f(low), f(high));
    let mut side = 0;
    for _ in 0..100 {
        if above <= 0.0 {
            return low;
        }
        if below >= 0.0 || high - low <= 4.0 * f64::EPSILON * low.abs().max(high.abs()) {
            return high;
        }
        let t = (low * below - high * above) / (below - above);
        let t = if t > low && t < high { t } else { 0.5 * (low + high) };
        let value = f(t);
        if value.abs() < 1e-14 {
            return t;
        }
        if value > 0.0 {
            (low, above) = (t, value);
            below *= if side == 1 { 0.5 } else { 1.0 };
            side = 1;
        } else {
            (high, below) = (t, value);
            above *= if side == -1 { 0.5 } else { 1.0 };
            side = -1;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_factors_give_a_constant() {
        for density in [0.05, 0.2, 0.9] {
            let model = FactorisedSaliency::new(vec![2.0; 3], vec![0.5; 4], Law::absolute_normal()).unwrap();
            let limit = model.limit(density).unwrap();
            let expected = Law::absolute_normal().quantile(1.0 - density).unwrap();
            assert!((limit.threshold - expected).abs() < 1e-10, "{} {expected}", limit.threshold);
            assert!(limit.graphon.values().iter().all(|w| (w - density).abs() < 1e-12));
        }
    }

    #[test]
    fn a_signed_law_has_a_threshold_of_either_sign() {
        let model = FactorisedSaliency::new(vec![1.0, 2.0], vec![1.0, 3.0], Law::normal()).unwrap();
        let (low, high) = (model.limit(0.2).unwrap(), model.limit(0.8).unwrap());
        assert!(low.threshold > 0.0 && (low.threshold + high.threshold).abs() < 1e-10);
        for (a, b) in low.graphon.values().iter().zip(high.graphon.values()) {
            assert!((a + b - 1.0).abs() < 1e-12, "{a} {b}");
        }
        assert!(model.threshold(0.5).unwrap().abs() < 1e-10);
    }

    #[test]
    fn what_cannot_be_reached_is_refused() {
        let half = FactorisedSaliency::new(vec![0.0, 1.0], vec![1.0], Law::absolute_normal()).unwrap();
        assert!(half.threshold(0.4).is_ok());
        for density in [0.5, 0.7, 0.0, 1.0, f64::NAN] {
            assert!(matches!(half.threshold(density), Err(TheoryError::Range { .. })), "{density}");
        }
        for factors in [vec![], vec![-1.0], vec![f64::INFINITY], vec![f64::NAN]] {
            assert!(FactorisedSaliency::new(factors, vec![1.0], Law::normal()).is_err());
        }
        let zero = FactorisedSaliency::new(vec![1.0], vec![0.0], Law::normal()).unwrap();
        assert!(zero.threshold(0.3).is_err());
    }

    #[test]
    fn profiles_are_taken_at_midpoints() {
        let model = FactorisedSaliency::from_profiles((2, 4), |u| u, |v| v * v, Law::uniform()).unwrap();
        assert_eq!((model.rows(), model.cols()), (&[0.25, 0.75][..], &[0.015625, 0.140625, 0.390625, 0.765625][..]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_limit_has_the_density_asked_for(
            rows in prop::collection::vec(0.01f64..5.0, 1..40),
            cols in prop::collection::vec(0.01f64..5.0, 1..40),
            density in 0.01f64..0.99,
            which in 0usize..4,
        ) {
            let law = [Law::absolute_normal(), Law::normal(), Law::uniform(), Law::exponential()][which].clone();
            let model = FactorisedSaliency::new(rows, cols, law).unwrap();
            let limit = model.limit(density).unwrap();
            // The root is found to 1e-14 in H or to neighbouring numbers; the mean adds 1600 terms.
            prop_assert!((limit.graphon.edge_density() - density).abs() < 1e-9);
            prop_assert!((model.density(limit.threshold) - density).abs() < 1e-9);
            prop_assert!(model.density(limit.threshold * 0.5) != model.density(limit.threshold * 1.5));
        }
    }
}
