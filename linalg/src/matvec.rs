//! Products of row-major matrices with one vector, in single precision: $y = W x$, and sums of rows $\sum_t p_t v_t$.
//!
//! Lanes are summed side by side, and the sums of lanes are put together in a function that is not inlined: the compiler
//! then keeps lanes in vector registers, which it does not when it sees both loops at once (measured: seven times slower).
//! That takes its highest level of optimisation, which `Cargo.toml` asks of this crate in every profile.

/// Lanes that are summed side by side.
const LANES: usize = 16;
/// Rows that share what is loaded of the vector.
const ROWS: usize = 4;

type Lanes = [f32; LANES];

/// $a b + c$, in one instruction where the processor has one.
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_feature = "fma") { a.mul_add(b, c) } else { a * b + c }
}

/// $s_l \leftarrow s_l + a_l b_l$.
#[inline(always)]
fn step<const N: usize>(sums: &mut [f32; N], a: &[f32; N], b: &[f32; N]) {
    (0..N).for_each(|lane| sums[lane] = fused(a[lane], b[lane], sums[lane]));
}

/// The sum of lanes.
#[inline(always)]
fn tree(lanes: &Lanes) -> f32 {
    let (mut eight, mut four) = ([0.0; 8], [0.0; 4]);
    (0..8).for_each(|lane| eight[lane] = lanes[lane] + lanes[lane + 8]);
    (0..4).for_each(|lane| four[lane] = eight[lane] + eight[lane + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

#[inline(never)]
fn folded(lanes: &Lanes) -> f32 {
    tree(lanes)
}

#[inline(never)]
fn four_folded(lanes: &[Lanes; ROWS]) -> [f32; ROWS] {
    [tree(&lanes[0]), tree(&lanes[1]), tree(&lanes[2]), tree(&lanes[3])]
}

/// $y = W x$.
///
/// # Shapes
/// `weights` holds a row of as many entries as `x` for every entry of `y`.
#[track_caller]
pub fn matvec(y: &mut [f32], weights: &[f32], x: &[f32]) {
    let cols = x.len();
    assert_eq!(weights.len(), y.len() * cols, "a row of weights for each result");
    if cols == 0 {
        y.fill(0.0);
        return;
    }
    let whole = y.len() / ROWS * ROWS;
    let (blocks, rest) = y.split_at_mut(whole);
    for (y, rows) in blocks.chunks_exact_mut(ROWS).zip(weights.chunks_exact(ROWS * cols)) {
        let (a, others) = rows.split_at(cols);
        let (b, others) = others.split_at(cols);
        let (c, d) = others.split_at(cols);
        y.copy_from_slice(&four([a, b, c, d], x));
    }
    for (y, row) in rest.iter_mut().zip(weights[whole * cols..].chunks_exact(cols)) {
        *y = dot(row, x);
    }
}

/// $y_t = \langle k_t, x \rangle$ for rows $k_t$ that begin `stride` entries apart.
///
/// # Shapes
/// `rows` holds $(n - 1) \cdot$ `stride` entries and a row, for $n$ entries of `y`.
#[track_caller]
pub fn strided_dots(y: &mut [f32], rows: &[f32], stride: usize, x: &[f32]) {
    let row = |number: usize| &rows[number * stride..][..x.len()];
    let whole = y.len() / ROWS * ROWS;
    let (blocks, rest) = y.split_at_mut(whole);
    for (block, y) in blocks.chunks_exact_mut(ROWS).enumerate() {
        let first = block * ROWS;
        y.copy_from_slice(&four([row(first), row(first + 1), row(first + 2), row(first + 3)], x));
    }
    rest.iter_mut().zip(whole..).for_each(|(y, number)| *y = dot(row(number), x));
}

/// $\langle a, b \rangle$.
///
/// # Shapes
/// Both have the same length.
#[track_caller]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "lengths differ");
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    a.iter().zip(b).for_each(|(a, b)| step(&mut sums, a, b));
    end(&mut sums, a_rest, b_rest);
    folded(&sums)
}

/// Dot products of four rows with one vector.
#[inline(always)]
fn four(rows: [&[f32]; ROWS], x: &[f32]) -> [f32; ROWS] {
    let (x, rest) = x.as_chunks::<LANES>();
    let [a, b, c, d] = rows.map(|row| &row.as_chunks::<LANES>().0[..x.len()]);
    let (mut p, mut q, mut r, mut s) = ([0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES]);
    for at in 0..x.len() {
        step(&mut p, &a[at], &x[at]);
        step(&mut q, &b[at], &x[at]);
        step(&mut r, &c[at], &x[at]);
        step(&mut s, &d[at], &x[at]);
    }
    if !rest.is_empty() {
        let [a, b, c, d] = rows.map(|row| &row[x.len() * LANES..]);
        end(&mut p, a, rest);
        end(&mut q, b, rest);
        end(&mut r, c, rest);
        end(&mut s, d, rest);
    }
    four_folded(&[p, q, r, s])
}

/// Adds the products of what is left behind whole lanes: eight, four, and one by one.
#[inline(always)]
fn end(sums: &mut Lanes, a: &[f32], b: &[f32]) {
    let (a, b) = part::<8>(sums, a, b);
    let (a, b) = part::<4>(sums, a, b);
    sums[0] += a.iter().zip(b).fold(0.0, |sum, (a, b)| fused(*a, *b, sum));
}

/// Adds the first `N` products where there are as many; returns what is left.
#[inline(always)]
fn part<'a, const N: usize>(sums: &mut Lanes, a: &'a [f32], b: &'a [f32]) -> (&'a [f32], &'a [f32]) {
    match (a.split_first_chunk::<N>(), b.split_first_chunk::<N>()) {
        (Some((first, a)), Some((second, b))) => {
            (0..N).for_each(|lane| sums[lane] = fused(first[lane], second[lane], sums[lane]));
            (a, b)
        }
        _ => (a, b),
    }
}

/// $y = \sum_t p_t v_t$ for rows $v_t$ that begin `stride` entries apart.
///
/// # Shapes
/// `rows` holds $(n - 1) \cdot$ `stride` entries and a row as long as `y`, for $n$ entries of `shares`.
#[track_caller]
pub fn blend(y: &mut [f32], shares: &[f32], rows: &[f32], stride: usize) {
    let (chunks, rest) = y.as_chunks_mut::<LANES>();
    let mut at = 0;
    for y in chunks {
        *y = sums(shares, &rows[at..], stride);
        at += LANES;
    }
    let (halves, rest) = rest.as_chunks_mut::<8>();
    for y in halves {
        *y = sums(shares, &rows[at..], stride);
        at += 8;
    }
    for (y, at) in rest.iter_mut().zip(at..) {
        *y = sums::<1>(shares, &rows[at..], stride)[0];
    }
}

#[inline(always)]
fn sums<const N: usize>(shares: &[f32], rows: &[f32], stride: usize) -> [f32; N] {
    let mut sums = [0.0; N];
    for (number, share) in shares.iter().enumerate() {
        if let Some(row) = rows.get(number * stride..).and_then(<[f32]>::first_chunk::<N>) {
            (0..N).for_each(|lane| sums[lane] = fused(*share, row[lane], sums[lane]));
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn normal(count: usize, seed: u64) -> Vec<f32> {
        let mut entries = vec![0.0; count];
        Random::new(seed).fill_normal(&mut entries, 1.0);
        entries
    }

    fn exact(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    /// Sums of at most a hundred products of normal numbers, each rounded to 24 bits.
    const TOLERANCE: f64 = 1e-4;

    #[test]
    fn products_of_every_length_are_those_of_definitions() {
        for cols in (0..40).chain([63, 64, 65, 100]) {
            let x = normal(cols, 1);
            for rows in [0, 1, 3, 4, 9] {
                let w = normal(rows * cols, 2);
                let mut y = vec![7.0; rows];
                matvec(&mut y, &w, &x);
                for (row, y) in y.iter().enumerate() {
                    assert!((f64::from(*y) - exact(&w[row * cols..(row + 1) * cols], &x)).abs() < TOLERANCE);
                }
            }
        }
    }

    #[test]
    fn rows_may_lie_apart() {
        for (count, dim, stride) in [(1, 8, 8), (6, 8, 20), (9, 29, 31), (5, 48, 96), (4, 3, 3)] {
            let rows = normal((count - 1) * stride + dim, 3);
            let (x, shares) = (normal(dim, 4), normal(count, 5));
            let mut dots = vec![0.0; count];
            strided_dots(&mut dots, &rows, stride, &x);
            for (number, found) in dots.iter().enumerate() {
                assert!((f64::from(*found) - exact(&rows[number * stride..][..dim], &x)).abs() < TOLERANCE);
            }
            let mut mean = vec![9.0; dim];
            blend(&mut mean, &shares, &rows, stride);
            for (entry, found) in mean.iter().enumerate() {
                let column: Vec<f32> = (0..count).map(|number| rows[number * stride + entry]).collect();
                assert!((f64::from(*found) - exact(&shares, &column)).abs() < TOLERANCE);
            }
        }
    }
}
