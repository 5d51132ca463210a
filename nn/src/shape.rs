//! Shape inference: the shape and element type of an operator's output, or why there is none.

mod windows;

use crate::error::NnError;
use crate::op::{ElementType, Op};

/// The most entries that one tensor may have.
pub const MAX_ENTRIES: usize = 1 << 31;

/// Shape and element type of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorType {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Element type.
    pub element: ElementType,
}

/// Number of entries of a shape, `None` above [`MAX_ENTRIES`] (where empty axes count as 1, so that
/// every partial product of extents is small too).
pub fn entries(shape: &[usize]) -> Option<usize> {
    let bound = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d.max(1)).filter(|n| *n <= MAX_ENTRIES))?;
    Some(if shape.contains(&0) { 0 } else { bound })
}

/// NumPy's common shape of two operands, `None` where they do not broadcast.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |s: &[usize], axis: usize| (axis + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// The output's type of `op` applied to `arguments`, for the node `name`.
///
/// # Errors
/// [`NnError::ArgumentCount`], [`NnError::Element`], [`NnError::Shape`] or [`NnError::TooLarge`],
/// each naming the node.
pub fn infer(name: &str, op: &Op, arguments: &[TensorType]) -> Result<TensorType, NnError> {
    let call = Call { name, op, arguments };
    call.check_count()?;
    let element = call.element()?;
    let shape = call.shape().map_err(|rule| NnError::Shape {
        node: name.to_owned(),
        op: op.name(),
        shapes: arguments.iter().map(|a| a.shape.clone()).collect(),
        rule,
    })?;
    if entries(&shape).is_none() {
        return Err(NnError::TooLarge { node: name.to_owned(), shape });
    }
    Ok(TensorType { shape, element })
}

type Shape = Result<Vec<usize>, &'static str>;

/// `Err(rule)` unless the rule holds.
fn ensure(holds: bool, rule: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(rule) }
}

struct Call<'a> {
    name: &'a str,
    op: &'a Op,
    arguments: &'a [TensorType],
}

impl Call<'_> {
    fn check_count(&self) -> Result<(), NnError> {
        let (range, expected) = match self.op {
            Op::Input | Op::Constant(_) => (0..=0, "0"),
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Min | Op::Max | Op::Pow | Op::Equal | Op::MatMul => {
                (2..=2, "2")
            }
            Op::Where => (3..=3, "3"),
            Op::Gemm { .. } | Op::Conv { .. } | Op::ConvTranspose { .. } => (2..=3, "2 or 3"),
            Op::BatchNormalization { .. } => (5..=5, "5"),
            Op::Concat { .. } => (1..=usize::MAX, "1 or more"),
            _ => (1..=1, "1"),
        };
        if range.contains(&self.arguments.len()) {
            return Ok(());
        }
        let (node, op, found) = (self.name.to_owned(), self.op.name(), self.arguments.len());
        Err(NnError::ArgumentCount { node, op, expected, found })
    }

    fn element(&self) -> Result<ElementType, NnError> {
        use ElementType::{Bool, F32, F64, I64};
        let found: Vec<_> = self.arguments.iter().map(|a| a.element).collect();
        let same = found.windows(2).all(|w| w[0] == w[1]);
        let float = found.iter().all(|e| matches!(e, F32 | F64));
        let number = found.iter().all(|e| matches!(e, F32 | F64 | I64));
        let (holds, expected, result) = match self.op {
            Op::Input => return Ok(F32),
            Op::Constant(value) => return Ok(value.element_type()),
            Op::Cast(element) => return Ok(*element),
            Op::Equal => (same, "one element type", Bool),
            Op::Where => (found[0] == Bool && found[1] == found[2], "a condition and two values of one type", found[1]),
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Min | Op::Max | Op::Pow => {
                (same && number, "numbers of one element type", found[0])
            }
            Op::Neg | Op::Relu | Op::Sign | Op::Clip { .. } | Op::ReduceSum { .. } | Op::Pad { .. } => {
                (number, "numbers", found[0])
            }
            Op::Concat { .. } => (same, "one element type", found[0]),
            Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Gather { .. }
            | Op::Expand { .. }
            | Op::Upsample { .. } => (true, "", found[0]),
            Op::LeakyRelu { .. }
            | Op::Sigmoid
            | Op::Tanh
            | Op::Sin
            | Op::Cos
            | Op::Floor
            | Op::Exp
            | Op::Sqrt
            | Op::MatMul
            | Op::Gemm { .. }
            | Op::Conv { .. }
            | Op::ConvTranspose { .. }
            | Op::BatchNormalization { .. }
            | Op::MaxPool { .. }
            | Op::AveragePool { .. }
            | Op::Softmax { .. }
            | Op::ReduceMean { .. } => (same && float, "floats of one element type", found[0]),
        };
        if holds {
            return Ok(result);
        }
        Err(NnError::Element { node: self.name.to_owned(), op: self.op.name(), expected, found })
    }

    fn at(&self, position: usize) -> &[usize] {
        &self.arguments[position].shape
    }

    fn shape(&self) -> Shape {
        match self.op {
            Op::Input => Ok(Vec::new()),
            Op::Constant(value) => Ok(value.shape().to_vec()),
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Min | Op::Max | Op::Pow | Op::Equal => {
                broadcast(self.at(0), self.at(1)).ok_or("the shapes must broadcast")
            }
            Op::Where => broadcast(self.at(0), self.at(1))
                .and_then(|s| broadcast(&s, self.at(2)))
                .ok_or("the shapes must broadcast"),
            Op::Neg
            | Op::Relu
            | Op::LeakyRelu { .. }
            | Op::Sigmoid
            | Op::Tanh
            | Op::Sign
            | Op::Sin
            | Op::Cos
            | Op::Floor
            | Op::Exp
            | Op::Sqrt
            | Op::Clip { .. }
            | Op::Cast(_) => Ok(self.at(0).to_vec()),
            Op::MatMul => matmul(self.at(0), self.at(1)),
            Op::Gemm { trans_a, trans_b, .. } => self.gemm(*trans_a, *trans_b),
            Op::Conv { window, groups } => self.conv(window, *groups),
            Op::ConvTranspose { window, groups, output_padding } => {
                self.conv_transpose(window, *groups, output_padding)
            }
            Op::BatchNormalization { .. } => self.batch_normalization(),
            Op::MaxPool { window, ceil_mode } | Op::AveragePool { window, ceil_mode, .. } => {
                self.pool(window, *ceil_mode)
            }
            Op::Softmax { axis } => {
                ensure(*axis < self.at(0).len(), "the axis must exist")?;
                Ok(self.at(0).to_vec())
            }
            Op::ReduceSum { axes, keep } => reduce(self.at(0), axes, *keep),
            Op::ReduceMean { axes, keep } => {
                ensure(axes.iter().all(|a| self.at(0).get(*a) != Some(&0)), "a mean needs entries")?;
                reduce(self.at(0), axes, *keep)
            }
            Op::Reshape { shape } => {
                let kept = entries(shape).is_some_and(|n| entries(self.at(0)) == Some(n));
                ensure(kept, "the target shape must have as many entries")?;
                Ok(shape.clone())
            }
            Op::Transpose { axes } => {
                let mut sorted = axes.clone();
                sorted.sort_unstable();
                ensure(sorted.into_iter().eq(0..self.at(0).len()), "the axes must be a permutation")?;
                Ok(axes.iter().map(|a| self.at(0)[*a]).collect())
            }
            Op::Concat { axis } => self.concat(*axis),
            Op::Slice { starts, steps, lengths } => slice(self.at(0), starts, steps, lengths),
            Op::Gather { axis, indices } => {
                let shape = self.at(0);
                ensure(*axis < shape.len(), "the axis must exist")?;
                ensure(indices.data().iter().all(|i| *i < shape[*axis]), "every index must lie inside the axis")?;
                Ok([&shape[..*axis], indices.shape(), &shape[*axis + 1..]].concat())
            }
            Op::Pad { begin, end, .. } => {
                let shape = self.at(0);
                ensure(begin.len() == shape.len() && end.len() == shape.len(), "one padding per axis")?;
                let padded = |i: usize| shape[i].checked_add(begin[i])?.checked_add(end[i]);
                (0..shape.len()).map(padded).collect::<Option<_>>().ok_or("the padded extent must fit a word")
            }
            Op::Expand { shape } => {
                let fits = broadcast(self.at(0), shape).is_some_and(|s| s == *shape);
                ensure(fits, "the argument must broadcast to the target shape")?;
                Ok(shape.clone())
            }
            Op::Upsample { factors } => {
                ensure(factors.len() == self.at(0).len(), "one factor per axis")?;
                let product = |(d, f): (&usize, &usize)| d.checked_mul(*f);
                self.at(0).iter().zip(factors).map(product).collect::<Option<_>>().ok_or("the extent must fit a word")
            }
        }
    }

    fn gemm(&self, trans_a: bool, trans_b: bool) -> Shape {
        let (a, b) = (self.at(0), self.at(1));
        ensure(a.len() == 2 && b.len() == 2, "the factors must be matrices")?;
        let (m, k) = if trans_a { (a[1], a[0]) } else { (a[0], a[1]) };
        let (l, n) = if trans_b { (b[1], b[0]) } else { (b[0], b[1]) };
        ensure(k == l, "the inner extents must be equal")?;
        if let Some(c) = self.arguments.get(2) {
            let fits = broadcast(&c.shape, &[m, n]).is_some_and(|s| s == [m, n]);
            ensure(fits, "the summand must broadcast to the product")?;
        }
        Ok(vec![m, n])
    }

    fn batch_normalization(&self) -> Shape {
        let input = self.at(0);
        ensure(input.len() >= 2, "the input needs a channel axis")?;
        let fits = self.arguments[1..].iter().all(|a| a.shape == [input[1]]);
        ensure(fits, "scale, shift, mean and variance need one entry per channel")?;
        Ok(input.to_vec())
    }

    fn concat(&self, axis: usize) -> Shape {
        let mut shape = self.at(0).to_vec();
        ensure(axis < shape.len(), "the axis must exist")?;
        for argument in &self.arguments[1..] {
            let other = &argument.shape;
            ensure(other.len() == shape.len(), "all arguments must have the same rank")?;
            let agree = (0..shape.len()).all(|i| i == axis || shape[i] == other[i]);
            ensure(agree, "the other axes must be equal")?;
            shape[axis] = shape[axis].checked_add(other[axis]).ok_or("the extent must fit a word")?;
        }
        Ok(shape)
    }
}

fn matmul(a: &[usize], b: &[usize]) -> Shape {
    ensure(!a.is_empty() && !b.is_empty(), "the factors must not be scalars")?;
    let left = if a.len() == 1 { vec![1, a[0]] } else { a.to_vec() };
    let right = if b.len() == 1 { vec![b[0], 1] } else { b.to_vec() };
    let (batch_a, matrix_a) = left.split_at(left.len() - 2);
    let (batch_b, matrix_b) = right.split_at(right.len() - 2);
    ensure(matrix_a[1] == matrix_b[0], "the inner extents must be equal")?;
    let mut shape = broadcast(batch_a, batch_b).ok_or("the leading axes must broadcast")?;
    if a.len() > 1 {
        shape.push(matrix_a[0]);
    }
    if b.len() > 1 {
        shape.push(matrix_b[1]);
    }
    Ok(shape)
}

fn reduce(shape: &[usize], axes: &[usize], keep: bool) -> Shape {
    ensure(axes.windows(2).all(|w| w[0] < w[1]), "the axes must ascend")?;
    ensure(axes.iter().all(|a| *a < shape.len()), "the axes must exist")?;
    let reduced = |(axis, extent): (usize, &usize)| match (axes.contains(&axis), keep) {
        (false, _) => Some(*extent),
        (true, true) => Some(1),
        (true, false) => None,
    };
    Ok(shape.iter().enumerate().filter_map(reduced).collect())
}

fn slice(shape: &[usize], starts: &[usize], steps: &[isize], lengths: &[usize]) -> Shape {
    let rank = shape.len();
    ensure(starts.len() == rank && steps.len() == rank && lengths.len() == rank, "one slice per axis")?;
    for axis in 0..rank {
        ensure(steps[axis] != 0, "steps must not be zero")?;
        if let Some(moves) = lengths[axis].checked_sub(1) {
            let last = isize::try_from(moves)
                .ok()
                .and_then(|m| m.checked_mul(steps[axis]))
                .and_then(|m| starts[axis].checked_add_signed(m));
            let inside = starts[axis] < shape[axis] && last.is_some_and(|l| l < shape[axis]);
            ensure(inside, "the slice must lie inside the argument")?;
        }
    }
    Ok(lengths.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Window;

    fn of(op: &Op, shapes: &[&[usize]]) -> Result<Vec<usize>, NnError> {
        let typed = |s: &&[usize]| TensorType { shape: s.to_vec(), element: ElementType::F32 };
        infer("n", op, &shapes.iter().map(typed).collect::<Vec<_>>()).map(|t| t.shape)
    }

    fn window(kernel: usize, stride: usize, pad: usize) -> Window {
        Window {
            kernel: vec![kernel; 2],
            strides: vec![stride; 2],
            pads_begin: vec![pad; 2],
            pads_end: vec![pad; 2],
            dilations: vec![1; 2],
        }
    }

    #[test]
    fn shapes_follow_the_onnx_definitions() {
        let gemm = Op::Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
        let conv = Op::Conv { window: window(3, 2, 1), groups: 1 };
        let adjoint = Op::ConvTranspose { window: window(3, 2, 1), groups: 1, output_padding: vec![1; 2] };
        let pool = |ceil_mode| Op::MaxPool { window: window(2, 2, 0), ceil_mode };
        let slice = Op::Slice { starts: vec![0, 4], steps: vec![1, -2], lengths: vec![2, 3] };
        type Row<'a> = (Op, Vec<&'a [usize]>, &'a [usize]);
        let table: [Row; 14] = [
            (Op::Add, vec![&[3, 1], &[2, 1, 4]], &[2, 3, 4]),
            (Op::MatMul, vec![&[5, 1, 2, 3], &[4, 3, 6]], &[5, 4, 2, 6]),
            (Op::MatMul, vec![&[3], &[2, 3, 4]], &[2, 4]),
            (Op::MatMul, vec![&[3], &[3]], &[]),
            (gemm, vec![&[2, 3], &[4, 3], &[4]], &[2, 4]),
            (conv, vec![&[1, 3, 8, 7], &[5, 3, 3, 3], &[5]], &[1, 5, 4, 4]),
            (adjoint, vec![&[1, 5, 4, 4], &[5, 3, 3, 3]], &[1, 3, 8, 8]),
            (pool(false), vec![&[1, 1, 5, 5]], &[1, 1, 2, 2]),
            (pool(true), vec![&[1, 1, 5, 5]], &[1, 1, 3, 3]),
            (Op::ReduceSum { axes: vec![0, 2], keep: false }, vec![&[2, 3, 4]], &[3]),
            (Op::Concat { axis: 1 }, vec![&[1, 2], &[1, 3]], &[1, 5]),
            (slice, vec![&[2, 5]], &[2, 3]),
            (Op::Pad { begin: vec![0, 1], end: vec![2, 0], value: 0.0 }, vec![&[1, 1]], &[3, 2]),
            (Op::Upsample { factors: vec![1, 3] }, vec![&[1, 2]], &[1, 6]),
        ];
        for (op, shapes, expected) in table {
            assert_eq!(of(&op, &shapes).unwrap(), expected, "{op:?}");
        }
    }

    #[test]
    fn a_ceiled_window_never_starts_in_the_trailing_padding() {
        let pool = Op::MaxPool { window: window(2, 2, 1), ceil_mode: true };
        assert_eq!(of(&pool, &[&[1, 1, 3, 3]]).unwrap(), [1, 1, 2, 2]);
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused() {
        let table: Vec<(Op, Vec<&[usize]>)> = vec![
            (Op::Add, vec![&[2], &[3]]),
            (Op::MatMul, vec![&[2, 3], &[2, 3]]),
            (Op::Conv { window: window(3, 1, 0), groups: 1 }, vec![&[1, 3, 2, 2], &[5, 3, 3, 3]]),
            (Op::Conv { window: window(3, 0, 0), groups: 1 }, vec![&[1, 3, 8, 8], &[5, 3, 3, 3]]),
            (Op::Reshape { shape: vec![4] }, vec![&[5]]),
            (Op::Transpose { axes: vec![0, 0] }, vec![&[1, 2]]),
            (Op::Slice { starts: vec![1], steps: vec![-1], lengths: vec![3] }, vec![&[4]]),
            (Op::Expand { shape: vec![1] }, vec![&[2]]),
            (Op::Upsample { factors: vec![usize::MAX] }, vec![&[3]]),
        ];
        for (op, shapes) in table {
            assert!(matches!(of(&op, &shapes), Err(NnError::Shape { .. })), "{op:?}");
        }
        assert!(matches!(of(&Op::Relu, &[&[1 << 20, 1 << 20]]), Err(NnError::TooLarge { .. })));
        assert!(matches!(of(&Op::Relu, &[]), Err(NnError::ArgumentCount { .. })));
        let word = TensorType { shape: vec![2], element: ElementType::I64 };
        assert!(matches!(infer("n", &Op::Tanh, &[word]), Err(NnError::Element { .. })));
    }
}
