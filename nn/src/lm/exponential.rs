//! $e^x$ over whole rows, and what is made of it: softmax and SiLU.
//!
//! Without calls and branches, so that rows vectorise: $e^x = 2^n e^r$ with $n$ the whole number nearest to $x / \ln 2$ and
//! the Taylor polynomial of degree 7 for $e^r$, whose remainder is below $6 \cdot 10^{-9}$ on $|r| \le \ln 2 / 2$.

/// $a b + c$, in one instruction where the processor has one.
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_feature = "fma") { a.mul_add(b, c) } else { a * b + c }
}

/// Adding it rounds to whole numbers, which are then the last bits.
const SHIFT: f32 = 12_582_912.0;
/// $\ln 2$ in two parts, the first with zeros at the end, so that whole multiples are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// $e^x$, to within two units in the last place for $-87 \le x \le 88$; beyond, the value at the nearer end.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = fused(x, std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = fused(-n, LN_2[1], fused(-n, LN_2[0], x));
    let coefficients = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let sum = coefficients.into_iter().fold(1.0 / 5040.0, |sum, coefficient| fused(sum, r, coefficient));
    let exponent = shifted.to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_add(127);
    sum * f32::from_bits(exponent << 23)
}

/// $p_i = e^{x_i} / \sum_j e^{x_j}$ in place.
pub(super) fn softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|x| *x = exp(*x - most));
    let sum = sum(row);
    row.iter_mut().for_each(|x| *x /= sum);
}

/// The sum of a row, lanes side by side, so that it vectorises.
fn sum(row: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    let chunks = row.chunks_exact(16);
    let rest = chunks.remainder();
    chunks.for_each(|chunk| (0..16).for_each(|lane| sums[lane] += chunk[lane]));
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// $g_i \leftarrow \frac{g_i}{1 + e^{-g_i}} u_i$: the gate of an MLP in place.
pub(super) fn gated(gate: &mut [f32], up: &[f32]) {
    gate.iter_mut().zip(up).for_each(|(gate, up)| *gate = *gate / (1.0 + exp(-*gate)) * up);
}

/// $-\ln p_t$ of the softmax of `logits`, summed in 64 bits.
///
/// # Panics
/// There is no such entry.
#[track_caller]
pub fn surprise(logits: &[f32], target: usize) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for chunk in logits.chunks(256) {
        sum += f64::from(chunk.iter().map(|x| exp(*x - most)).sum::<f32>());
    }
    sum.ln() - f64::from(logits[target] - most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_within_two_units() {
        for step in -870_000..=880_000 {
            let x = step as f32 * 1e-4;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) / expected - 1.0).abs();
            assert!(error < 2.0 * f64::from(f32::EPSILON), "{x}: {error}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn rows_sum_to_one_and_surprises_are_logarithms() {
        let logits: Vec<f32> = (0..777).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        let mut row = logits.clone();
        softmax(&mut row);
        let exact: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
        for (i, p) in row.iter().enumerate() {
            let expected = f64::from(logits[i]).exp() / exact;
            // A sum of 777 rounded terms.
            assert!((f64::from(*p) / expected - 1.0).abs() < 1e-5);
            assert!((surprise(&logits, i) + expected.ln()).abs() < 1e-5);
        }
    }

    #[test]
    fn gates_are_those_of_definitions() {
        let mut gate = vec![-100.0, -3.0, 0.0, 0.5, 100.0];
        gated(&mut gate, &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let expected = [0.0, -6.0 / (1.0 + 3f64.exp()), 0.0, 2.0 / (1.0 + (-0.5f64).exp()), 500.0];
        for (found, expected) in gate.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() <= 1e-6 * expected.abs() + 1e-30);
        }
    }
}
