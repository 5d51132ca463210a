//! Strided walks: the one loop behind broadcasting, transposition, slicing, expansion and reduction.

use super::number::Number;
use secateur_linalg::tensor::strides;

/// Calls `row(starts, steps, length)` for every innermost row of a walk over `shape` in row-major
/// order, where operand `k` moves `strides[k][axis]` entries per step along `axis` from `offsets[k]`.
///
/// Neighbouring axes that every operand crosses evenly are merged, so rows are as long as possible.
pub(crate) fn walk<const K: usize>(
    shape: &[usize],
    offsets: [isize; K],
    strides: [&[isize]; K],
    mut row: impl FnMut([isize; K], [isize; K], usize),
) {
    if shape.contains(&0) {
        return;
    }
    let mut axes: Vec<(usize, [isize; K])> = Vec::with_capacity(shape.len());
    for (axis, &extent) in shape.iter().enumerate() {
        if extent == 1 {
            continue;
        }
        let steps = strides.map(|s| s[axis]);
        match axes.last_mut() {
            Some((length, outer)) if (0..K).all(|k| outer[k] == steps[k] * extent as isize) => {
                *length *= extent;
                *outer = steps;
            }
            _ => axes.push((extent, steps)),
        }
    }
    let (length, steps) = axes.pop().unwrap_or((1, [1; K]));
    let (mut index, mut starts) = (vec![0; axes.len()], offsets);
    loop {
        row(starts, steps, length);
        let mut axis = axes.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            let (extent, step) = axes[axis];
            index[axis] += 1;
            (0..K).for_each(|k| starts[k] += step[k]);
            if index[axis] < extent {
                break;
            }
            index[axis] = 0;
            (0..K).for_each(|k| starts[k] -= step[k] * extent as isize);
        }
    }
}

/// Strides of a row-major operand inside a result that it broadcasts to: 0 along repeated axes.
pub(crate) fn broadcast_strides(shape: &[usize], result: &[usize]) -> Vec<isize> {
    let mut out = vec![0; result.len() - shape.len()];
    out.extend(strides(shape).into_iter().zip(shape).map(|(s, d)| if *d == 1 { 0 } else { s as isize }));
    out
}

/// A linear selection of a row-major tensor's entries: output entry $i$ is input entry
/// `offset + Σ strides[axis] · i[axis]`.
#[derive(Clone, Debug)]
pub(crate) struct Strided {
    shape: Vec<usize>,
    offset: isize,
    strides: Vec<isize>,
}

impl Strided {
    /// Output axis `i` is input axis `axes[i]`.
    pub(crate) fn transpose(input: &[usize], axes: &[usize]) -> Self {
        let steps = strides(input);
        Self {
            shape: axes.iter().map(|a| input[*a]).collect(),
            offset: 0,
            strides: axes.iter().map(|a| steps[*a] as isize).collect(),
        }
    }

    /// `lengths[axis]` entries from `starts[axis]` in steps of `steps[axis]`.
    pub(crate) fn slice(input: &[usize], starts: &[usize], steps: &[isize], lengths: &[usize]) -> Self {
        let whole = strides(input);
        Self {
            shape: lengths.to_vec(),
            offset: starts.iter().zip(&whole).map(|(start, s)| (start * s) as isize).sum(),
            strides: steps.iter().zip(&whole).map(|(step, s)| step * *s as isize).collect(),
        }
    }

    /// The block of `lengths` that begins at `starts`.
    pub(crate) fn block(input: &[usize], starts: &[usize], lengths: &[usize]) -> Self {
        Self::slice(input, starts, &vec![1; input.len()], lengths)
    }

    /// Repetition along broadcast axes.
    pub(crate) fn expand(input: &[usize], shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), offset: 0, strides: broadcast_strides(input, shape) }
    }

    /// Every entry repeated `factors[axis]` times along each axis.
    pub(crate) fn upsample(input: &[usize], factors: &[usize]) -> Self {
        let steps = strides(input);
        Self {
            shape: input.iter().zip(factors).flat_map(|(d, f)| [*d, *f]).collect(),
            offset: 0,
            strides: steps.iter().flat_map(|s| [*s as isize, 0]).collect(),
        }
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The selected entries, in order.
    pub(crate) fn read<E: Copy>(&self, input: &[E]) -> Vec<E> {
        let mut out = Vec::with_capacity(self.len());
        walk(&self.shape, [self.offset], [&self.strides], |[start], [step], length| match step {
            1 => out.extend_from_slice(&input[start as usize..start as usize + length]),
            0 => out.extend(std::iter::repeat_n(input[start as usize], length)),
            _ => out.extend((0..length as isize).map(|i| input[(start + step * i) as usize])),
        });
        out
    }

    /// Overwrites the selected entries by `values`.
    pub(crate) fn write<E: Copy>(&self, values: &[E], into: &mut [E]) {
        let mut next = 0;
        walk(&self.shape, [self.offset], [&self.strides], |[start], [step], length| {
            let row = &values[next..next + length];
            next += length;
            if step == 1 {
                into[start as usize..start as usize + length].copy_from_slice(row);
            } else {
                row.iter().zip(0..).for_each(|(v, i)| into[(start + step * i) as usize] = *v);
            }
        });
    }

    /// The adjoint of [`Strided::read`]: adds each value to the entry that it was read from.
    pub(crate) fn add_back<N: Number>(&self, values: &[N], into: &mut [N]) {
        let mut next = 0;
        walk(&self.shape, [self.offset], [&self.strides], |[start], [step], length| {
            let row = &values[next..next + length];
            next += length;
            match step {
                1 => {
                    let target = &mut into[start as usize..start as usize + length];
                    target.iter_mut().zip(row).for_each(|(t, v)| *t += *v);
                }
                0 => {
                    let sum = row.iter().fold(N::default(), |sum, v| sum + *v);
                    into[start as usize] += sum;
                }
                _ => row.iter().zip(0..).for_each(|(v, i)| into[(start + step * i) as usize] += *v),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_a_matrix() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(Strided::transpose(&[2, 3], &[1, 0]).read(&a), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(Strided::slice(&[2, 3], &[1, 2], &[-1, -2], &[2, 2]).read(&a), [6.0, 4.0, 3.0, 1.0]);
        assert_eq!(Strided::expand(&[2, 1], &[2, 2, 2]).read(&a), [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(Strided::upsample(&[1, 2], &[2, 2]).read(&a), [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn adding_back_is_the_adjoint_of_reading() {
        let views = [
            Strided::transpose(&[2, 3], &[1, 0]),
            Strided::slice(&[2, 3], &[1, 2], &[-1, -2], &[2, 2]),
            Strided::expand(&[2, 1, 3], &[2, 2, 3]),
            Strided::upsample(&[2, 3], &[3, 1]),
        ];
        let x: Vec<f64> = (0..6).map(|i| f64::from(i) + 1.0).collect();
        for view in views {
            let y: Vec<f64> = (0..view.len()).map(|i| (i * i) as f64 - 2.0).collect();
            let mut back = vec![0.0; 6];
            view.add_back(&y, &mut back);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            assert_eq!(dot(&view.read(&x), &y), dot(&x, &back), "small integers are summed exactly");
        }
    }

    #[test]
    fn empty_shapes_have_no_rows() {
        assert!(Strided::expand(&[1, 0], &[3, 0]).read(&[0.0; 0]).is_empty());
    }
}
