//! Channels of a wide block: which ones to keep, and how those make up for the others.
//!
//! With $\psi$ the activations of a token, $C = \mathrm E[\psi\psi^\top]$, and $S$ the selection of kept channels,
//!
//! $$ W_D' = S^\top W_D + (S^\top C S + \lambda I)^{-1} S^\top C (I - S S^\top) W_D
//!    = \operatorname*{argmin}_W \ \mathrm E \lVert \psi^\top W_D - \psi^\top S W \rVert^2 + \lambda \lVert W - S^\top W_D \rVert^2 . $$

use super::gram::Gram;
use super::progress::Progress;
use super::streams::Streams;
use crate::error::PruneError;
use rayon::prelude::*;
use secateur_linalg::definite::Definite;
use secateur_linalg::gemm::{View, gemm};
use secateur_nn::lm::{Block, Matrix, add};

/// Rows of $S^\top C (I - S S^\top) W_D$ that a thread computes at a time.
const BAND: usize = 128;

/// $\lambda$: so many times the mean singular value of $C$, which is $\operatorname{tr} C / n$. Where $C$ is 0 it is 1:
/// nothing is predicted then.
pub fn ridge(moments: &[f64], n: usize, factor: f64) -> f64 {
    let mean = (0..n).map(|j| moments[j * n + j]).sum::<f64>() / n.max(1) as f64;
    if mean > 0.0 { factor * mean } else { 1.0 }
}

/// Ridge leverage scores $s_i = [C (C + \lambda I)^{-1}]_{ii} = 1 - \lambda [(C + \lambda I)^{-1}]_{ii}$, in no more memory
/// than $C$'s own; `None` where $C + \lambda I$ is not definite.
///
/// # Shapes
/// `moments` is $n \times n$; it is $C$ again afterwards, and undefined after `None`.
///
/// # Source
/// FlattenGPT, step E.
#[track_caller]
pub fn leverage(moments: &mut Vec<f64>, n: usize, lambda: f64) -> Option<Vec<f64>> {
    let own: Vec<f64> = (0..n).map(|j| moments[j * n + j]).collect();
    (0..n).for_each(|j| moments[j * n + j] += lambda);
    let factor = Definite::factor(std::mem::take(moments), n)?;
    let inverse = factor.inverse_diagonal();
    *moments = factor.restore(&own);
    Some(inverse.into_iter().map(|entry| 1.0 - lambda * entry).collect())
}

/// $W_D'$ for the kept channels; `None` where $S^\top C S + \lambda I$ is not definite. Where all are kept, $W_D$.
///
/// # Shapes
/// `moments` is $n \times n$, `kept` ascending; `weights` holds $W_D^\top$, outputs × $n$, and the result outputs ×
/// kept.
///
/// # Source
/// FlattenGPT, step E.
#[track_caller]
pub fn compensated(moments: &[f64], kept: &[usize], weights: &Matrix, lambda: f64) -> Option<Matrix> {
    let (n, outputs, k) = (weights.cols(), weights.rows(), kept.len());
    assert_eq!(moments.len(), n * n, "a moment per pair of channels");
    let mut gone = vec![true; n];
    kept.iter().for_each(|at| gone[*at] = false);
    let gone: Vec<usize> = (0..n).filter(|at| gone[*at]).collect();
    let mut small = weights.select_cols(kept);
    if gone.is_empty() {
        return Some(small);
    }
    let lost: Vec<f64> = weights.select_cols(&gone).data().iter().map(|w| f64::from(*w)).collect();
    let mut share = vec![0.0; k * outputs];
    share.par_chunks_mut(BAND * outputs).zip(kept.par_chunks(BAND)).for_each(|(share, kept)| {
        let moments: Vec<f64> = kept.iter().flat_map(|i| gone.iter().map(move |j| moments[i * n + j])).collect();
        let moments = View::new(&moments, kept.len(), gone.len());
        gemm(share, moments, View::new(&lost, outputs, gone.len()).t(), false);
    });
    let mut damped: Vec<f64> = kept.iter().flat_map(|i| kept.iter().map(move |j| moments[i * n + j])).collect();
    (0..k).for_each(|j| damped[j * k + j] += lambda);
    Definite::factor(damped, k)?.solve(&mut share, outputs);
    for (output, row) in small.data_mut().chunks_exact_mut(k.max(1)).enumerate() {
        row.iter_mut().enumerate().for_each(|(j, w)| *w = (f64::from(*w) + share[j * outputs + output]) as f32);
    }
    Some(small)
}

/// $C$ of a block's MLP on calibration tokens, behind the block's own attention; `None` where an entry is not finite.
///
/// # Errors
/// The caller stopped.
pub fn moments(block: &Block, streams: &Streams, progress: &dyn Progress) -> Result<Option<Vec<f64>>, PruneError> {
    let mut gram = Gram::new(block.inner());
    for stream in streams.all() {
        progress.go_on()?;
        let mut stream = stream.clone();
        let attended = block.attention(&streams.normed(&stream), &streams.positions(&stream), None);
        add(&mut stream, &attended);
        gram.add(&block.activations(&streams.normed(&stream)));
    }
    Ok(gram.mean())
}

/// The block with these channels only, and another down projection.
///
/// # Shapes
/// `down` is width × kept.
pub fn keep_channels(block: &Block, kept: &[usize], down: Matrix) -> Block {
    let picked = |bias: &Option<Vec<f32>>| bias.as_ref().map(|b| kept.iter().map(|at| b[*at]).collect());
    Block {
        gate: block.gate.select_rows(kept),
        up: block.up.select_rows(kept),
        down,
        gate_bias: picked(&block.gate_bias),
        up_bias: picked(&block.up_bias),
        ..block.clone()
    }
}

/// $\mathrm E \lVert \psi^\top W_D - \psi^\top S W \rVert^2$, and the same with $W = 0$.
///
/// # Shapes
/// As of [`compensated`]; `small` is outputs × kept.
#[track_caller]
pub fn error(moments: &[f64], kept: &[usize], weights: &Matrix, small: &Matrix) -> [f64; 2] {
    let n = weights.cols();
    let energy = |weights: &(dyn Fn(usize) -> Vec<f64> + Sync)| -> f64 {
        let band = |from: usize| {
            let rows: Vec<f64> = (from..small.rows().min(from + BAND)).flat_map(weights).collect();
            let mut images = vec![0.0; rows.len()];
            gemm(&mut images, View::new(&rows, rows.len() / n.max(1), n), View::new(moments, n, n), false);
            images.iter().zip(&rows).map(|(a, b)| a * b).sum::<f64>()
        };
        let bands: Vec<usize> = (0..small.rows()).step_by(BAND).collect();
        bands.into_par_iter().map(band).collect::<Vec<f64>>().iter().sum()
    };
    let whole = |row: usize| weights.row(row).iter().map(|w| f64::from(*w)).collect::<Vec<f64>>();
    let rest = |row: usize| {
        let mut rest = whole(row);
        kept.iter().zip(small.row(row)).for_each(|(at, w)| rest[*at] -= f64::from(*w));
        rest
    };
    [energy(&rest), energy(&whole)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::keep_largest;
    use crate::depth::testing::matrix;
    use proptest::prelude::*;
    use secateur_linalg::random::Random;

    #[test]
    fn the_published_formula_by_hand() {
        let moments = [4.0, 1.0, 2.0, 1.0, 3.0, 1.0, 2.0, 1.0, 2.0];
        let weights = Matrix::new(1, 3, vec![1.0, 2.0, 3.0]);
        let found = compensated(&moments, &[0, 1], &weights, 0.5).expect("definite");
        // Rounded to 24 bits at the end, and given with 8 digits.
        assert!((found.row(0)[0] - 2.220_339).abs() < 3e-7 && (found.row(0)[1] - 2.508_474_6).abs() < 3e-7);
        assert_eq!(ridge(&moments, 3, 10.0), 30.0);
        // (C + λI)⁻¹ by cofactors: the determinant is 4.5 · (3.5 · 2.5 − 1) − (2.5 − 2) + 2 · (1 − 7) = 22.375.
        let cofactors = [3.5 * 2.5 - 1.0, 4.5 * 2.5 - 4.0, 4.5 * 3.5 - 1.0];
        let mut same = moments.to_vec();
        let scores = leverage(&mut same, 3, 0.5).expect("definite");
        assert_eq!(same, moments);
        for (score, cofactor) in scores.iter().zip(cofactors) {
            assert!((score - (1.0 - 0.5 * cofactor / 22.375)).abs() < 1e-14);
        }
    }

    fn sample(n: usize, tokens: usize, seed: u64) -> (Vec<f64>, Matrix) {
        let mut random = Random::new(seed);
        let mut gram = Gram::new(n);
        gram.add(matrix(&mut random, tokens, n, 1.0).data());
        (gram.mean().expect("finite"), matrix(&mut random, 4, n, 1.0))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn making_up_is_no_worse_than_leaving_out(
            n in 2..20usize, tokens in 1..30usize, share in 0.0..1.0f64, small in any::<bool>(), seed in 0..999u64,
        ) {
            let (mut moments, weights) = sample(n, tokens, seed);
            // Towards 0, where it is a regression; and large, where it is nearly a selection.
            let lambda = ridge(&moments, n, if small { 1e-7 } else { 10.0 });
            let scores = leverage(&mut moments, n, lambda).expect("definite");
            prop_assert!(scores.iter().all(|s| (-1e-7..=1.0 + 1e-7).contains(s)), "{:?}", scores);
            let kept = keep_largest(&scores, 1 + ((n - 1) as f64 * share) as usize);
            let kept: Vec<usize> = (0..n).filter(|at| kept[*at]).collect();
            let found = compensated(&moments, &kept, &weights, lambda).expect("definite");
            let [with, whole] = error(&moments, &kept, &weights, &found);
            let [without, _] = error(&moments, &kept, &weights, &weights.select_cols(&kept));
            // Weights are rounded to 24 bits; with fewer tokens than channels the ridge 1e-7 is nearly singular.
            prop_assert!(with <= without + 1e-5 * whole, "{} {} {}", with, without, whole);
        }

        #[test]
        fn all_channels_leave_the_weights(n in 1..20usize, tokens in 1..30usize, seed in 0..999u64) {
            let (moments, weights) = sample(n, tokens, seed);
            let all: Vec<usize> = (0..n).collect();
            prop_assert_eq!(&compensated(&moments, &all, &weights, 0.1).expect("definite"), &weights);
            prop_assert_eq!(error(&moments, &all, &weights, &weights)[0], 0.0);
        }
    }

    #[test]
    fn many_channels_go_band_by_band() {
        let (n, k) = (300, 200);
        let (moments, weights) = sample(n, 700, 4);
        let kept: Vec<usize> = (0..n).filter(|at| at % 3 != 1).collect();
        let lambda = ridge(&moments, n, 0.1);
        let found = compensated(&moments, &kept, &weights, lambda).expect("definite");
        assert_eq!((kept.len(), found.cols()), (k, k));
        for output in 0..4 {
            // The condition (SᵀCS + λI)(W' − SᵀW) = SᵀC(I − SSᵀ)W.
            for i in &kept {
                let moved = |j: usize| f64::from(found.row(output)[j]) - f64::from(weights.row(output)[kept[j]]);
                let left: f64 = (0..k).map(|j| moments[i * n + kept[j]] * moved(j)).sum();
                let own = lambda * moved(kept.iter().position(|at| at == i).expect("kept"));
                let gone = (0..n).filter(|at| at % 3 == 1);
                let right: f64 = gone.map(|j| moments[i * n + j] * f64::from(weights.row(output)[j])).sum();
                // Weights are rounded to 24 bits.
                assert!((left + own - right).abs() < 1e-5, "{output} {i}");
            }
        }
    }
}
