//! Homogeneous or heterogeneous: how near a graphon is to a constant one.

use super::cut::{CutNorm, Params, cut_distance};
use super::step::StepGraphon;
use crate::error::TheoryError;

/// The distance to the best constant.
#[derive(Clone, Debug)]
pub struct ToConstant {
    /// The edge density, which serves as the constant.
    pub constant: f64,
    /// No constant is nearer.
    pub lower: f64,
    /// The density is not further away.
    pub upper: f64,
}

/// $\min_c d_\square(W, c)$, as a bracket.
///
/// The upper bound is that of $c = \int W$. For the lower one, every product set $S \times T$ of measure $\alpha$ with
/// $\int_{S \times T} (W - \bar W) = A$ gives $d_\square(W, \bar W + \delta) \ge |A - \delta \alpha|$; the sets are those of the cut, their
/// complements, and the whole square.
///
/// # Errors
/// None in practice.
pub fn to_constant(w: &StepGraphon, params: &Params) -> Result<ToConstant, TheoryError> {
    let constant = w.edge_density();
    let level = StepGraphon::constant(constant.clamp(0.0, 1.0))?.refine(w.rows(), w.cols())?;
    let found = cut_distance(w, &level, params)?;
    let rectangles = rectangles(w, constant, &found);
    let at = |delta: f64| rectangles.iter().map(|(sum, area)| (sum - delta * area).abs()).fold(0.0, f64::max);
    // A convex function of one number, least between ± its value at 0 over the smallest slope that matters, that of the square.
    let (mut low, mut high) = (-at(0.0), at(0.0));
    for _ in 0..200 {
        let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if at(a) < at(b) { high = b } else { low = a }
    }
    let lower = (at(0.5 * (low + high)) - 1e-12).clamp(0.0, found.upper);
    Ok(ToConstant { constant, lower, upper: found.upper })
}

/// Integrals of $W - c$ over product sets, with their measures.
fn rectangles(w: &StepGraphon, c: f64, cut: &CutNorm) -> Vec<(f64, f64)> {
    let (heights, widths) = (w.rows().widths(), w.cols().widths());
    let sides = |inside: &[bool]| -> [Vec<bool>; 3] {
        [inside.to_vec(), inside.iter().map(|v| !v).collect(), vec![true; inside.len()]]
    };
    let mut found = Vec::new();
    for t in sides(&cut.cols) {
        let integral =
            |row: &[f64]| (row.iter().zip(&widths).zip(&t)).filter(|(_, t)| **t).map(|((v, b), _)| (v - c) * b).sum();
        let rows: Vec<f64> = w.values().chunks_exact(widths.len()).map(integral).collect();
        let width: f64 = widths.iter().zip(&t).filter(|(_, t)| **t).map(|(b, _)| b).sum();
        for s in sides(&cut.rows) {
            let kept = || rows.iter().zip(&heights).zip(&s).filter(|(_, s)| **s).map(|(pair, _)| pair);
            let height: f64 = kept().map(|(_, a)| a).sum();
            found.push((kept().map(|(v, a)| v * a).sum(), height * width));
        }
    }
    found
}

/// The distance that a $d \times n$ mask with independent entries exceeds with probability $\delta$ at most:
///
/// $$ P(d_\square \ge t) \le 2^{d + n + 1} e^{-2 t^2 d n} = \delta. $$
///
/// # Errors
/// $\delta$ outside of $(0, 1)$.
pub fn concentration(d: usize, n: usize, delta: f64) -> Result<f64, TheoryError> {
    if !(delta > 0.0 && delta < 1.0) {
        return Err(TheoryError::Range { name: "probability", expected: "above 0 and below 1", found: delta });
    }
    let sets = (d + n + 1) as f64 * std::f64::consts::LN_2;
    Ok(((sets - delta.ln()) / (2.0 * d as f64 * n as f64)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphon::sampling::{Vertices, bipartite};

    #[test]
    fn constants_are_near_and_blocks_are_not() {
        let params = Params::default();
        let flat = StepGraphon::constant(0.3).unwrap();
        let found = to_constant(&flat, &params).unwrap();
        assert!(found.upper < 1e-12 && found.constant == 0.3);
        let blocks = StepGraphon::from_matrix(2, 2, vec![0.8, 0.2, 0.2, 0.8]).unwrap();
        let found = to_constant(&blocks, &params).unwrap();
        // The best constant is 1/2, and a block is 0.3 off on a quarter.
        assert!((found.lower - 0.075).abs() < 1e-9 && (found.upper - 0.075).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn a_single_dense_block_is_nearer_to_another_constant_than_its_mean() {
        let corner = StepGraphon::from_matrix(2, 2, vec![1.0, 0.0, 0.0, 0.0]).unwrap();
        let found = to_constant(&corner, &Params::default()).unwrap();
        // c = δ + 1/4: the block gives (1 - c)/4, the square |1/4 - c|, two thin blocks c/2.
        let best = (0..1000)
            .map(|k| k as f64 / 1000.0)
            .map(|c| f64::max((1.0 - c) / 4.0, f64::max(0.75 * c, (0.25 - c).abs())));
        let best = best.fold(1.0, f64::min);
        assert!(found.lower <= best + 1e-3 && found.upper >= best - 1e-3 && found.lower > 0.14, "{found:?} {best}");
    }

    #[test]
    fn random_masks_stay_within_the_concentration() {
        let flat = StepGraphon::constant(0.4).unwrap();
        let edges = bipartite(&flat, (60, 80), Vertices::Grid, 5).unwrap();
        let mask = StepGraphon::from_mask(60, 80, &edges).unwrap();
        let found = cut_distance(&mask, &flat.refine(mask.rows(), mask.cols()).unwrap(), &Params::default()).unwrap();
        assert!(found.upper < concentration(60, 80, 1e-6).unwrap(), "{found}");
        assert!(concentration(60, 80, 0.0).is_err());
    }
}
