//! The cut norm, as a bracket that holds in real arithmetic.
//!
//! $$ \lVert A \rVert_\square = \max_{S, T} \Big| \sum_{i \in S,\, j \in T} a_{ij} \Big|. $$
//!
//! | step | file |
//! |---|---|
//! | a short side: all of its subsets | `exact.rs` |
//! | one more row and column, so that all sums are 0: signs instead of sets | `balanced.rs` |
//! | unit vectors for signs (Grothendieck's relaxation) | `alternating.rs` |
//! | signs, from random ones and from the vectors: the lower bound and its sets | `alternating.rs` |
//! | scalings from the vectors, and a proof that they bound every pair of signs: the upper bound | `dual.rs` |

mod alternating;
mod balanced;
mod dual;
mod exact;
mod rounding;

use super::step::StepGraphon;
use crate::error::TheoryError;
use alternating::{alternate, random_signs, random_vectors, rounded};
use balanced::Balanced;
use rounding::{down, up};
use std::fmt;

/// Bounds on a cut norm.
#[derive(Clone, Debug, PartialEq)]
pub struct CutNorm {
    /// The cut of [`CutNorm::rows`] and [`CutNorm::cols`], rounded down.
    pub lower: f64,
    /// No cut is larger.
    pub upper: f64,
    /// $S$ of the lower bound.
    pub rows: Vec<bool>,
    /// $T$ of the lower bound.
    pub cols: Vec<bool>,
    /// Whether the sum over $S \times T$ is positive.
    pub positive: bool,
    /// $\lVert A \rVert_2 \sqrt{dn}$, the bound by the largest singular value, as computed: for comparison only.
    pub spectral: f64,
    /// How the upper bound is known.
    pub proof: Proof,
}

/// How an upper bound is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// All subsets of one side were looked at.
    Enumeration,
    /// Scalings that bound every pair of signs.
    Dual,
}

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    /// Look at all subsets of a side of at most this length.
    pub exact: usize,
    /// Starts of the alternation from random signs; as many start from the vectors.
    pub restarts: usize,
    /// Length of the unit vectors, at most; $\sqrt{2(d + n)}$ is enough for Grothendieck's relaxation.
    pub rank: usize,
    /// Steps of an alternation, at most.
    pub steps: usize,
    /// Seed of the starts.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self { exact: 16, restarts: 24, rank: 48, steps: 60, seed: 0 }
    }
}

/// The cut norm of a matrix.
///
/// Sets become signs: with one more row and column that make all sums zero, $\lVert A \rVert_\square = \tfrac14 \max z^\top A' w$
/// over signs $z, w$. Signs relaxed to unit vectors give scalings $s, t$, and
///
/// $$ z^\top A' w \le \lVert \operatorname{diag}(s)\, A' \operatorname{diag}(t) \rVert_2
///    \sqrt{\textstyle\sum_i s_i^{-2} \sum_j t_j^{-2}}, $$
///
/// which is Grothendieck's bound for the best of them: at most 1.783 times the cut norm.
///
/// # Shapes
/// `values` is `rows × cols`, row-major.
///
/// # Soundness
/// Both bounds hold in real arithmetic for the numbers in `values`, whatever the rounding errors of the search.
///
/// # Errors
/// Not as many values as entries, none, or one that is not finite.
///
/// # Source
/// Alon, Naor 2006, section 3; the proof of the spectral norm in floating point is ours (`dual.rs`).
pub fn cut_norm(rows: usize, cols: usize, values: &[f64], params: &Params) -> Result<CutNorm, TheoryError> {
    check(rows, cols, values)?;
    let spectral = balanced::spectral_norm(rows, cols, values, params.seed) * ((rows * cols) as f64).sqrt();
    if rows.min(cols) <= params.exact {
        return Ok(exact::enumerate(rows, cols, values, spectral));
    }
    let matrix = Balanced::new(rows, cols, values);
    let rank = params.rank.min((2.0 * (matrix.rows + matrix.cols) as f64).sqrt().ceil() as usize + 1);

    let start = random_vectors(matrix.cols, rank, params.seed);
    let vectors = alternate(&matrix, start, rank, alternating::Kind::Vectors, params.steps);

    let mut signs = random_signs(matrix.cols, params.restarts, params.seed);
    rounded(&vectors, &mut signs, params.restarts, params.seed);
    let signs = alternate(&matrix, signs, 2 * params.restarts, alternating::Kind::Signs, params.steps);

    let (s, t) = matrix.cut(&signs);
    let (sum, error) = exact::sum(cols, values, &s, &t);
    let upper = dual::bound(&matrix, &vectors);
    let (lower, positive) = (down(sum.abs() - error), sum > 0.0);
    Ok(CutNorm { lower, upper, rows: s, cols: t, positive, spectral, proof: Proof::Dual })
}

/// $d_\square(U, W) = \sup_{S, T} \big| \int_{S \times T} (U - W) \big|$ with the labels as they are.
///
/// The supremum over measurable sets is attained at unions of cells, since the integral is linear in the share of each
/// cell's interval that $S$ or $T$ holds.
///
/// # Soundness
/// As [`cut_norm`], for the differences of the stored values and, on cells of different sizes, their products with the sizes, each
/// rounded once.
///
/// # Errors
/// None in practice.
pub fn cut_distance(u: &StepGraphon, w: &StepGraphon, params: &Params) -> Result<CutNorm, TheoryError> {
    if u.rows() != w.rows() || u.cols() != w.cols() {
        let (u, w) = u.common_refinement(w)?;
        return cut_distance(&u, &w, params);
    }
    let (rows, cols) = (u.rows().len(), u.cols().len());
    let mut values: Vec<f64> = u.values().iter().zip(w.values()).map(|(u, w)| u - w).collect();
    if u.rows().is_equal() && u.cols().is_equal() {
        return Ok(cut_norm(rows, cols, &values, params)?.divided((rows * cols) as f64));
    }
    let widths = u.cols().widths();
    for (row, a) in values.chunks_exact_mut(cols).zip(u.rows().widths()) {
        row.iter_mut().zip(&widths).for_each(|(v, b)| *v *= a * b);
    }
    cut_norm(rows, cols, &values, params)
}

impl CutNorm {
    /// The bounds for the matrix divided by a positive number, rounded outward.
    fn divided(self, by: f64) -> Self {
        Self { lower: down(self.lower / by), upper: up(self.upper / by), spectral: self.spectral / by, ..self }
    }

    /// The middle of the bracket.
    pub fn middle(&self) -> f64 {
        0.5 * (self.lower + self.upper)
    }
}

impl fmt::Display for CutNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:.5}, {:.5}]", self.lower, self.upper)
    }
}

fn check(rows: usize, cols: usize, values: &[f64]) -> Result<(), TheoryError> {
    if values.len() != rows * cols || values.is_empty() {
        return Err(TheoryError::Shape { name: "matrix", expected: vec![rows, cols], found: vec![values.len()] });
    }
    match values.iter().find(|v| !v.is_finite()) {
        Some(&found) => Err(TheoryError::Range { name: "entry of a matrix", expected: "a finite number", found }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secateur_linalg::random::Random;

    fn normal(rows: usize, cols: usize, seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; rows * cols];
        Random::new(seed).fill_normal(&mut values, 1.0);
        values
    }

    #[test]
    fn matrices_with_known_norms() {
        let ones = cut_norm(30, 40, &vec![0.25; 1200], &Params::default()).unwrap();
        // All rows and columns; the certificate costs 1e-6 of its value at most.
        assert!(ones.lower <= 300.0 && ones.lower > 299.999 && ones.upper >= 300.0 && ones.upper < 300.01, "{ones}");
        assert!(ones.rows.iter().chain(&ones.cols).all(|v| *v) && ones.positive);
        // ±1 in a checkerboard of two blocks: the best cut is one block.
        let checked: Vec<f64> = (0..900).map(|k| if (k / 30 < 15) == (k % 30 < 15) { 1.0 } else { -1.0 }).collect();
        let found = cut_norm(30, 30, &checked, &Params::default()).unwrap();
        assert!(found.lower > 224.999 && found.upper < 225.01 && found.upper >= 225.0, "{found}");
        assert_eq!(found.rows.iter().filter(|v| **v).count(), 15);
        let nothing = cut_norm(30, 30, &[0.0; 900], &Params::default()).unwrap();
        assert_eq!((nothing.lower, nothing.upper), (0.0, 0.0));
    }

    #[test]
    fn the_same_from_any_number_of_threads() {
        let values = normal(300, 280, 4);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| cut_norm(300, 280, &values, &Params::default()).unwrap())
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn cells_of_different_sizes_count_by_their_area() {
        let w = StepGraphon::at_midpoints(4, 4, |u, v| if u < 0.5 && v < 0.25 { 0.9 } else { 0.3 }).unwrap();
        let found = cut_distance(&w, &StepGraphon::constant(0.3).unwrap(), &Params::default()).unwrap();
        // 0.6 on an eighth of the square.
        assert!((found.lower - 0.075).abs() < 1e-12 && (found.upper - 0.075).abs() < 1e-12, "{found}");
        let rows = super::super::step::Partition::new(vec![0.3, 1.0]).unwrap();
        let uneven = StepGraphon::new(rows.clone(), rows, vec![0.8, 0.5, 0.5, 0.5]).unwrap();
        let found = cut_distance(&uneven, &StepGraphon::constant(0.5).unwrap(), &Params::default()).unwrap();
        assert!((found.lower - 0.027).abs() < 1e-12 && (found.upper - 0.027).abs() < 1e-12, "{found}");
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        let params = Params::default();
        assert!(matches!(cut_norm(2, 2, &[1.0; 3], &params), Err(TheoryError::Shape { .. })));
        assert!(matches!(cut_norm(0, 0, &[], &params), Err(TheoryError::Shape { .. })));
        assert!(matches!(cut_norm(1, 1, &[f64::NAN], &params), Err(TheoryError::Range { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_bracket_holds_the_exact_norm(rows in 2usize..13, cols in 2usize..40, seed in 0u64..999, shift in -1.0..1.0) {
            let values: Vec<f64> = normal(rows, cols, seed).iter().map(|v| v + shift).collect();
            let exact = cut_norm(rows, cols, &values, &Params::default()).unwrap();
            let bracket = cut_norm(rows, cols, &values, &Params { exact: 0, ..Params::default() }).unwrap();
            prop_assert_eq!((exact.proof, bracket.proof), (Proof::Enumeration, Proof::Dual));
            prop_assert!(exact.upper - exact.lower < 1e-9);
            prop_assert!(bracket.lower <= exact.upper && exact.lower <= bracket.upper, "{} {}", exact, bracket);
            // 48 starts on a side of at most 12 find the best cut; Grothendieck's constant is below 1.783.
            prop_assert!(bracket.lower >= exact.lower - 1e-9 && bracket.upper <= 1.783 * exact.upper, "{exact} {bracket}");
            prop_assert!(bracket.upper <= bracket.spectral * (1.0 + 1e-3), "{} {}", bracket, bracket.spectral);
        }
    }
}
