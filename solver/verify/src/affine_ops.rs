//! Lowering of the operators that are affine in their one variable argument, or in several.

use crate::convolution::{Convolution, Geometry};
use crate::error::VerifyError;
use crate::linear::{Linear, NOTHING};
use crate::lower::{Lowered, Lowering, Stored, diagonal, unsupported};
use crate::network::{Affine, Kind};
use secateur_linalg::Csr;
use secateur_linalg::tensor::strides;
use secateur_nn::graph::Node;
use secateur_nn::op::{ElementType, Op, Window};
use std::sync::Arc;

/// Lowers an affine operator.
pub(crate) fn lower(
    to: &mut Lowering<'_>,
    node: &Node,
    arguments: &[Lowered],
    shapes: &[Vec<usize>],
) -> Result<Lowered, VerifyError> {
    if let Some(index) = movement(node, shapes) {
        let fill = if let Op::Pad { value, .. } = node.op { value } else { 0.0 };
        return Ok(moved(to, node, arguments, index, fill));
    }
    match &node.op {
        Op::Add => sum(to, node, arguments, shapes, 1.0),
        Op::Sub => sum(to, node, arguments, shapes, -1.0),
        Op::Neg => Ok(scaled(to, node, &arguments[0], &vec![-1.0; size(node)], 0)),
        Op::Mul => match arguments {
            [Lowered::Layer(_), Lowered::Constant(c)] => {
                Ok(product(to, node, &arguments[0], &shapes[0], c, &shapes[1]))
            }
            [Lowered::Constant(c), Lowered::Layer(_)] => {
                Ok(product(to, node, &arguments[1], &shapes[1], c, &shapes[0]))
            }
            _ => Err(unsupported(node, " of two variables or two constants")),
        },
        Op::Div => match arguments {
            [Lowered::Layer(_), Lowered::Constant(c)] if c.iter().all(|v| v != 0.0) => {
                let factors: Vec<f64> =
                    broadcast_index(&shapes[1], &node.shape).iter().map(|i| 1.0 / c.get(*i as usize)).collect();
                let spread = spread(to, node, &arguments[0], &shapes[0]);
                Ok(scaled(to, node, &spread, &factors, 1))
            }
            _ => Err(unsupported(node, " unless the divisor is a constant without zeros")),
        },
        Op::MatMul => matmul(to, node, arguments, shapes),
        Op::Gemm { alpha, beta, trans_a, trans_b } => {
            let factors = (f64::from(*alpha), f64::from(*beta));
            gemm(to, node, arguments, shapes, factors, (*trans_a, *trans_b))
        }
        Op::Conv { window, groups } => convolution(to, node, arguments, shapes, window, *groups, false),
        Op::ConvTranspose { window, groups, .. } => convolution(to, node, arguments, shapes, window, *groups, true),
        Op::Where => chosen(to, node, arguments, shapes),
        Op::BatchNormalization { epsilon } => batch_normalization(to, node, arguments, shapes, f64::from(*epsilon)),
        Op::AveragePool { window, count_include_pad, .. } => {
            let entries = windows(node, &shapes[0], window)?;
            let counted = match count_include_pad {
                true => {
                    // Taps beyond the padding, which rounding extents up brings in, never count.
                    let pads = window.pads_begin.iter().zip(&window.pads_end);
                    let padded = shapes[0][2..].iter().zip(pads).map(|(extent, (a, b))| extent + a + b);
                    let shape: Vec<usize> = shapes[0][..2].iter().copied().chain(padded).collect();
                    windows(node, &shape, &Window { pads_begin: vec![0; shape.len() - 2], ..window.clone() })?
                }
                false => entries.clone(),
            };
            if counted.iter().any(Vec::is_empty) {
                return Err(unsupported(node, " with a window that holds nothing"));
            }
            let groups = entries.into_iter().zip(counted).map(|(entries, counted)| (entries, counted.len()));
            Ok(mean(to, node, &arguments[0], groups.collect()))
        }
        Op::ReduceSum { axes, .. } => Ok(mean(to, node, &arguments[0], reduced(&shapes[0], axes, false))),
        Op::ReduceMean { axes, .. } => Ok(mean(to, node, &arguments[0], reduced(&shapes[0], axes, true))),
        Op::Cast(ElementType::F32) if matches!(arguments[0], Lowered::Layer(_)) => {
            Err(unsupported(node, " from a wider type, which rounds"))
        }
        Op::Cast(_) if matches!(arguments[0], Lowered::Layer(_)) => Err(unsupported(node, " of a variable")),
        _ => Err(unsupported(node, "")),
    }
}

fn size(node: &Node) -> usize {
    node.shape.iter().product()
}

/// A selection, or the identity when it is one.
pub(crate) fn select(inputs: usize, index: Vec<u32>) -> Linear<f64> {
    if index.len() == inputs && index.iter().enumerate().all(|(j, i)| j == *i as usize) {
        return Linear::Identity { size: inputs };
    }
    Linear::Select { inputs, index }
}

/// For each entry of `to`, the entry of `from` that broadcasting puts there.
pub(crate) fn broadcast_index(from: &[usize], to: &[usize]) -> Vec<u32> {
    let steps = strides(from);
    let missing = to.len() - from.len();
    each_index(to, |index| {
        let offset = |axis: usize| if from[axis] == 1 { 0 } else { index[axis + missing] * steps[axis] };
        (0..from.len()).map(offset).sum::<usize>() as u32
    })
}

/// Calls `f` with every multi-index of `shape`, row-major, and collects.
fn each_index<R>(shape: &[usize], mut f: impl FnMut(&[usize]) -> R) -> Vec<R> {
    let count: usize = shape.iter().product();
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        out.push(f(&index));
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// For operators that move entries: which argument and entry each output entry is, or nothing.
fn movement(node: &Node, shapes: &[Vec<usize>]) -> Option<Vec<(u32, u32)>> {
    let single = |index: Vec<u32>| index.into_iter().map(|i| (0, i)).collect();
    let at = |shape: &[usize], index: &mut dyn Iterator<Item = usize>| -> u32 {
        strides(shape).iter().zip(index).map(|(s, i)| s * i).sum::<usize>() as u32
    };
    let from = shapes.first().cloned().unwrap_or_default();
    Some(match &node.op {
        Op::Reshape { .. } => single((0..size(node) as u32).collect()),
        Op::Expand { .. } => single(broadcast_index(&from, &node.shape)),
        Op::Transpose { axes } => single(each_index(&node.shape, |index| {
            let steps = strides(&from);
            axes.iter().zip(index).map(|(axis, i)| steps[*axis] * i).sum::<usize>() as u32
        })),
        Op::Slice { starts, steps, .. } => single(each_index(&node.shape, |index| {
            let position = |axis: usize| (starts[axis] as isize + steps[axis] * index[axis] as isize) as usize;
            at(&from, &mut (0..index.len()).map(position))
        })),
        Op::Gather { axis, indices } => single(each_index(&node.shape, |index| {
            let rank = indices.rank();
            let within = &index[*axis..*axis + rank];
            let picked = strides(indices.shape()).iter().zip(within).map(|(s, i)| s * i).sum::<usize>();
            let before = index[..*axis].iter().copied();
            let after = index[*axis + rank..].iter().copied();
            at(&from, &mut before.chain([indices.data()[picked]]).chain(after))
        })),
        Op::Upsample { factors } => {
            single(each_index(&node.shape, |index| at(&from, &mut index.iter().zip(factors).map(|(i, f)| i / f))))
        }
        Op::Pad { begin, .. } => single(each_index(&node.shape, |index| {
            let inside = |axis: usize| index[axis] >= begin[axis] && index[axis] - begin[axis] < from[axis];
            if !(0..index.len()).all(inside) {
                return NOTHING;
            }
            at(&from, &mut (0..index.len()).map(|axis| index[axis] - begin[axis]))
        })),
        Op::Concat { axis } => each_index(&node.shape, |index| {
            let (mut position, mut argument) = (index[*axis], 0);
            while position >= shapes[argument][*axis] {
                position -= shapes[argument][*axis];
                argument += 1;
            }
            let inner = |(a, i): (usize, &usize)| if a == *axis { position } else { *i };
            (argument as u32, at(&shapes[argument], &mut index.iter().enumerate().map(inner)))
        }),
        _ => return None,
    })
}

/// The entries that an index names, and `fill` where it names nothing.
fn moved(to: &mut Lowering<'_>, node: &Node, arguments: &[Lowered], index: Vec<(u32, u32)>, fill: f64) -> Lowered {
    if arguments.iter().all(|a| matches!(a, Lowered::Constant(_))) {
        let entry = |(a, i): &(u32, u32)| match &arguments[*a as usize] {
            Lowered::Constant(c) if *i != NOTHING => c.get(*i as usize),
            _ => fill,
        };
        return Lowered::Constant(Stored::Moved(Arc::new(index.iter().map(entry).collect())));
    }
    let mut bias: Vec<f64> = index.iter().map(|(_, i)| if *i == NOTHING { fill } else { 0.0 }).collect();
    let mut terms = Vec::new();
    for (a, argument) in arguments.iter().enumerate() {
        let mine = |(b, i): &(u32, u32)| if *b as usize == a { *i } else { NOTHING };
        match argument {
            Lowered::Layer(k) => terms.push((*k, select(to.layers[*k].size, index.iter().map(mine).collect()))),
            Lowered::Constant(c) => {
                for (b, i) in bias.iter_mut().zip(index.iter().map(mine)).filter(|(_, i)| *i != NOTHING) {
                    *b = c.get(i as usize);
                }
            }
        }
    }
    match terms.as_slice() {
        [(k, Linear::Identity { .. })] => Lowered::Layer(*k),
        _ => Lowered::Layer(to.exact(&node.name, terms, bias)),
    }
}

/// Entries of the one value or of the other, as a constant says.
fn chosen(
    to: &mut Lowering<'_>,
    node: &Node,
    arguments: &[Lowered],
    shapes: &[Vec<usize>],
) -> Result<Lowered, VerifyError> {
    let Lowered::Constant(condition) = &arguments[0] else {
        return Err(unsupported(node, " unless its condition is a constant"));
    };
    let [c, a, b] = [0, 1, 2].map(|k| broadcast_index(&shapes[k], &node.shape));
    let entry = |j: usize| if condition.get(c[j] as usize) != 0.0 { (0, a[j]) } else { (1, b[j]) };
    let index = (0..size(node)).map(entry).collect();
    Ok(moved(to, node, &arguments[1..], index, 0.0))
}

/// A value broadcast to the node's shape.
fn spread(to: &mut Lowering<'_>, node: &Node, value: &Lowered, shape: &[usize]) -> Lowered {
    let index = broadcast_index(shape, &node.shape);
    moved(to, node, std::slice::from_ref(value), index.into_iter().map(|i| (0, i)).collect(), 0.0)
}

/// $a \pm b$. A constant summand goes into the bias of the layer that made the variable, if nothing
/// else reads that layer.
fn sum(
    to: &mut Lowering<'_>,
    node: &Node,
    arguments: &[Lowered],
    shapes: &[Vec<usize>],
    sign: f64,
) -> Result<Lowered, VerifyError> {
    let index: Vec<Vec<u32>> = shapes.iter().map(|s| broadcast_index(s, &node.shape)).collect();
    let mut bias = vec![0.0; size(node)];
    let mut terms: Vec<(usize, Linear<f64>)> = Vec::new();
    let mut constant = true;
    for ((argument, index), sign) in arguments.iter().zip(index).zip([1.0, sign]) {
        match argument {
            Lowered::Constant(c) => bias.iter_mut().zip(&index).for_each(|(b, i)| *b += sign * c.get(*i as usize)),
            Lowered::Layer(k) => {
                constant = false;
                let inputs = to.layers[*k].size;
                let map = match sign {
                    1.0 => select(inputs, index),
                    _ => Linear::sparse(Csr::from_rows(inputs, index.iter().map(|i| vec![(*i as usize, -1.0)]))),
                };
                terms.push((*k, map));
            }
        }
    }
    if constant {
        return Err(unsupported(node, " of two constants"));
    }
    if let [(k, Linear::Identity { .. })] = terms.as_slice() {
        if bias.iter().all(|b| *b == 0.0) {
            return Ok(Lowered::Layer(*k));
        }
        let fresh = *k + 1 == to.layers.len() && sole_user(to, node, arguments);
        if let (true, Kind::Affine(Affine { bias: old, bias_magnitude, .. })) = (fresh, &mut to.layers[*k].kind)
            && old.iter().all(|b| *b == 0.0)
        {
            *bias_magnitude = bias.iter().map(|b| b.abs()).collect();
            *old = bias;
            return Ok(Lowered::Layer(*k));
        }
    }
    Ok(Lowered::Layer(to.affine(node, terms, bias)))
}

/// Whether the variable argument of `node` is read by `node` alone, and was made by an operator that always makes a
/// layer of its own. (Operators that may move nothing, such as slices, share their argument's layer.)
fn sole_user(to: &Lowering<'_>, node: &Node, arguments: &[Lowered]) -> bool {
    let Some(id) = to.graph.nodes().find(|(_, n)| n.name == node.name).map(|(id, _)| id) else { return false };
    let variable = arguments.iter().position(|a| matches!(a, Lowered::Layer(_)));
    let Some(position) = variable else { return false };
    let mut source = to.graph.arguments(id)[position];
    // Reshapes share their argument's layer: follow them back.
    loop {
        if to.graph.users(source).len() != 1 || source == to.graph.output() {
            return false;
        }
        match &to.graph.node(source).op {
            Op::Reshape { .. } => source = to.graph.arguments(source)[0],
            Op::MatMul | Op::Gemm { .. } | Op::Conv { .. } => return true,
            _ => return false,
        }
    }
}

fn scaled(to: &mut Lowering<'_>, node: &Node, value: &Lowered, factors: &[f64], roundings: usize) -> Lowered {
    let zero = vec![0.0; factors.len()];
    let source = to.as_layer(value.clone(), &node.name);
    let terms = vec![(source, diagonal(factors))];
    Lowered::Layer(to.affine_rounded(node, terms, zero.clone(), zero, roundings))
}

fn product(
    to: &mut Lowering<'_>,
    node: &Node,
    value: &Lowered,
    shape: &[usize],
    c: &Stored,
    c_shape: &[usize],
) -> Lowered {
    let factors: Vec<f64> = broadcast_index(c_shape, &node.shape).iter().map(|i| c.get(*i as usize)).collect();
    let value = spread(to, node, value, shape);
    scaled(to, node, &value, &factors, 0)
}

/// NumPy's matrix product with one constant side.
fn matmul(
    to: &mut Lowering<'_>,
    node: &Node,
    arguments: &[Lowered],
    shapes: &[Vec<usize>],
) -> Result<Lowered, VerifyError> {
    // Vectors count as a row on the left and a column on the right.
    let as_matrix = |shape: &[usize], left: bool| match (shape, left) {
        ([n], true) => vec![1, *n],
        ([n], false) => vec![*n, 1],
        _ => shape.to_vec(),
    };
    let (a, b) = (as_matrix(&shapes[0], true), as_matrix(&shapes[1], false));
    let (m, k, n) = (a[a.len() - 2], a[a.len() - 1], b[b.len() - 1]);
    let batches = size(node) / (m * n).max(1);
    let (batch_a, batch_b) = (a[..a.len() - 2].to_vec(), b[..b.len() - 2].to_vec());
    let batch_shape: Vec<usize> = {
        let rank = batch_a.len().max(batch_b.len());
        let pad = |s: &[usize]| [vec![1; rank - s.len()], s.to_vec()].concat();
        pad(&batch_a).iter().zip(pad(&batch_b)).map(|(x, y)| (*x).max(y)).collect()
    };
    let (index_a, index_b) = (broadcast_index(&batch_a, &batch_shape), broadcast_index(&batch_b, &batch_shape));
    let map = match arguments {
        [Lowered::Layer(source), Lowered::Constant(w)] if batches * m == 1 => {
            (*source, Linear::from_entries(n, k, |j, l| w.get(l * n + j)))
        }
        [Lowered::Layer(source), Lowered::Constant(w)] => {
            let row = |e: usize| {
                let (batch, i, j) = (e / (m * n), e / n % m, e % n);
                let (x, y) = (index_a[batch] as usize * m * k, index_b[batch] as usize * k * n);
                (0..k).map(|l| (x + i * k + l, w.get(y + l * n + j))).collect()
            };
            (*source, Linear::sparse(Csr::from_rows(to.layers[*source].size, (0..size(node)).map(row))))
        }
        [Lowered::Constant(w), Lowered::Layer(source)] if batches * n == 1 => {
            (*source, Linear::from_entries(m, k, |i, l| w.get(i * k + l)))
        }
        [Lowered::Constant(w), Lowered::Layer(source)] => {
            let row = |e: usize| {
                let (batch, i, j) = (e / (m * n), e / n % m, e % n);
                let (x, y) = (index_a[batch] as usize * m * k, index_b[batch] as usize * k * n);
                (0..k).map(|l| (y + l * n + j, w.get(x + i * k + l))).collect()
            };
            (*source, Linear::sparse(Csr::from_rows(to.layers[*source].size, (0..size(node)).map(row))))
        }
        _ => return Err(unsupported(node, " of two variables or two constants")),
    };
    Ok(Lowered::Layer(to.affine(node, vec![map], vec![0.0; size(node)])))
}

/// $\alpha A B + \beta C$ with a constant $B$ and a single row $A$.
fn gemm(
    to: &mut Lowering<'_>,
    node: &Node,
    arguments: &[Lowered],
    shapes: &[Vec<usize>],
    (alpha, beta): (f64, f64),
    (trans_a, trans_b): (bool, bool),
) -> Result<Lowered, VerifyError> {
    let (m, n) = (node.shape[0], node.shape[1]);
    let [Lowered::Layer(source), Lowered::Constant(w), rest @ ..] = arguments else {
        return Err(unsupported(node, " unless its second argument is a constant"));
    };
    let k = if trans_a { shapes[0][0] } else { shapes[0][1] };
    let entry = |j: usize, l: usize| alpha * w.get(if trans_b { j * k + l } else { l * n + j });
    let map = if m == 1 {
        Linear::from_entries(n, k, entry)
    } else {
        let at = |i: usize, l: usize| if trans_a { l * m + i } else { i * k + l };
        let row = |e: usize| (0..k).map(|l| (at(e / n, l), entry(e % n, l))).collect();
        Linear::sparse(Csr::from_rows(m * k, (0..m * n).map(row)))
    };
    let mut terms = vec![(*source, map)];
    let mut bias = vec![0.0; m * n];
    match rest {
        [] => {}
        [Lowered::Constant(c)] => {
            let index = broadcast_index(&shapes[2], &node.shape);
            bias.iter_mut().zip(index).for_each(|(b, i)| *b = beta * c.get(i as usize));
        }
        [Lowered::Layer(c), ..] => {
            let index = broadcast_index(&shapes[2], &node.shape);
            let inputs = to.layers[*c].size;
            terms.push((*c, Linear::sparse(Csr::from_rows(inputs, index.iter().map(|i| vec![(*i as usize, beta)])))));
        }
        [Lowered::Constant(_), ..] => return Err(unsupported(node, " with more than three arguments")),
    }
    // Products of two numbers stored in f32 are exact in f64; other factors round once.
    let exact = |f: f64| f64::from(f as f32) == f;
    let stored = w.iter().chain(rest.iter().flat_map(|c| match c {
        Lowered::Constant(c) => c.iter().collect(),
        Lowered::Layer(_) => Vec::new(),
    }));
    let single = exact(alpha) && exact(beta) && stored.into_iter().all(exact);
    let roundings = usize::from(!single && (alpha, beta) != (1.0, 1.0));
    let magnitude = bias.iter().map(|b: &f64| b.abs()).collect();
    Ok(Lowered::Layer(to.affine_rounded(node, terms, bias, magnitude, roundings)))
}

fn convolution(
    to: &mut Lowering<'_>,
    node: &Node,
    arguments: &[Lowered],
    shapes: &[Vec<usize>],
    window: &Window,
    groups: usize,
    transposed: bool,
) -> Result<Lowered, VerifyError> {
    let [Lowered::Layer(source), Lowered::Constant(w), rest @ ..] = arguments else {
        return Err(unsupported(node, " unless its kernel is a constant"));
    };
    let (mut input, mut output) = (planes(node, &shapes[0])?, planes(node, &node.shape)?);
    let positions = output[1] * output[2];
    if transposed {
        // The convolution whose transpose it is goes the other way.
        std::mem::swap(&mut input, &mut output);
    }
    let pair = |v: &[usize], fill: usize| match v {
        [x] => [fill, *x],
        [y, x] => [*y, *x],
        _ => [fill, fill],
    };
    let geometry = Geometry {
        groups,
        input,
        output,
        kernel: pair(&window.kernel, 1),
        strides: pair(&window.strides, 1),
        pads: pair(&window.pads_begin, 0),
        dilations: pair(&window.dilations, 1),
    };
    let bias = match rest {
        [] => vec![0.0; size(node)],
        [Lowered::Constant(b)] => b.iter().flat_map(|b| std::iter::repeat_n(b, positions)).collect(),
        _ => return Err(unsupported(node, " unless its bias is a constant")),
    };
    let map = Convolution::new(geometry, w.iter().collect());
    let map = if transposed { Linear::Transposed(map) } else { Linear::Convolution(map) };
    Ok(Lowered::Layer(to.affine(node, vec![(*source, map)], bias)))
}

/// Channels, height and width of a `1 × C × (H ×) W` shape.
fn planes(node: &Node, shape: &[usize]) -> Result<[usize; 3], VerifyError> {
    match shape {
        [1, c, w] => Ok([*c, 1, *w]),
        [1, c, h, w] => Ok([*c, *h, *w]),
        _ => Err(unsupported(node, " unless it has one or two spatial axes and batch size 1")),
    }
}

/// For each output of a pooling window, the input entries that it covers (padding left out).
pub(crate) fn windows(node: &Node, shape: &[usize], window: &Window) -> Result<Vec<Vec<usize>>, VerifyError> {
    let ([channels, height, width], [_, rows, cols]) = (planes(node, shape)?, planes(node, &node.shape)?);
    let flat = window.kernel.len() == 1;
    let get = |v: &[usize], axis: usize, fill: usize| match (flat, axis) {
        (true, 0) => fill,
        (true, _) => v[0],
        (false, axis) => v[axis],
    };
    let along = |axis: usize, o: usize, extent: usize| {
        let (kernel, stride) = (get(&window.kernel, axis, 1), get(&window.strides, axis, 1));
        let (pad, dilation) = (get(&window.pads_begin, axis, 0), get(&window.dilations, axis, 1));
        let positions = (0..kernel).map(move |t| o * stride + t * dilation);
        positions.filter(move |p| *p >= pad && p - pad < extent).map(move |p| p - pad).collect::<Vec<usize>>()
    };
    let mut out = Vec::with_capacity(channels * rows * cols);
    for c in 0..channels {
        for (oy, ox) in (0..rows).flat_map(|y| (0..cols).map(move |x| (y, x))) {
            let (ys, xs) = (along(0, oy, height), along(1, ox, width));
            let entry = |y: &usize, x: &usize| (c * height + y) * width + x;
            out.push(ys.iter().flat_map(|y| xs.iter().map(move |x| entry(y, x))).collect());
        }
    }
    Ok(out)
}

/// For each output of a reduction, its entries and divisor.
fn reduced(shape: &[usize], axes: &[usize], mean: bool) -> Vec<(Vec<usize>, usize)> {
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    let outer: Vec<usize> = kept.iter().map(|a| shape[*a]).collect();
    let inner: Vec<usize> = axes.iter().map(|a| shape[*a]).collect();
    let steps = strides(shape);
    let divisor = if mean { inner.iter().product() } else { 1 };
    each_index(&outer, |index| {
        let base: usize = kept.iter().zip(index).map(|(a, i)| steps[*a] * i).sum();
        let offsets = each_index(&inner, |index| axes.iter().zip(index).map(|(a, i)| steps[*a] * i).sum::<usize>());
        (offsets.into_iter().map(|o| base + o).collect(), divisor)
    })
}

/// Sums over entries, divided.
fn mean(to: &mut Lowering<'_>, node: &Node, value: &Lowered, groups: Vec<(Vec<usize>, usize)>) -> Lowered {
    let source = to.as_layer(value.clone(), &node.name);
    let roundings = usize::from(groups.iter().any(|(_, d)| !d.is_power_of_two()));
    let rows = groups.into_iter().map(|(entries, divisor)| {
        let weight = 1.0 / divisor as f64;
        entries.into_iter().map(|e| (e, weight)).collect()
    });
    let map = Linear::sparse(Csr::from_rows(to.layers[source].size, rows));
    let zero = vec![0.0; size(node)];
    Lowered::Layer(to.affine_rounded(node, vec![(source, map)], zero.clone(), zero, roundings))
}

/// $y = \gamma (x - \mu) / \sqrt{v + \epsilon} + \beta$, computed in `f64` and never more than eight
/// roundings from it.
fn batch_normalization(
    to: &mut Lowering<'_>,
    node: &Node,
    arguments: &[Lowered],
    shapes: &[Vec<usize>],
    epsilon: f64,
) -> Result<Lowered, VerifyError> {
    let [
        Lowered::Layer(source),
        Lowered::Constant(scale),
        Lowered::Constant(shift),
        Lowered::Constant(mean),
        Lowered::Constant(variance),
    ] = arguments
    else {
        return Err(unsupported(node, " unless its parameters are constants"));
    };
    if variance.iter().any(|v| v + epsilon <= 0.0) {
        return Err(unsupported(node, " with a variance that is not positive"));
    }
    let channels = scale.len();
    let positions = size(node) / (shapes[0][0] * channels).max(1);
    let channel = |e: usize| e / positions % channels;
    let slope: Vec<f64> = scale.iter().zip(variance.iter()).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
    let factors: Vec<f64> = (0..size(node)).map(|e| slope[channel(e)]).collect();
    let bias = (0..size(node)).map(|e| shift.get(channel(e)) - mean.get(channel(e)) * slope[channel(e)]).collect();
    let magnitude =
        (0..size(node)).map(|e| shift.get(channel(e)).abs() + (mean.get(channel(e)) * slope[channel(e)]).abs());
    let terms = vec![(*source, diagonal(&factors))];
    Ok(Lowered::Layer(to.affine_rounded(node, terms, bias, magnitude.collect(), 8)))
}
