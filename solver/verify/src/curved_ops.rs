//! Lowering of the operators that multiply or divide variables, of powers and of softmax.

use crate::affine_ops::{broadcast_index, select};
use crate::error::VerifyError;
use crate::linear::Linear;
use crate::lower::{Lowered, Lowering, unsupported};
use crate::network::Function;
use secateur_linalg::Csr;
use secateur_linalg::tensor::strides;
use secateur_nn::graph::Node;
use secateur_nn::op::Op;

/// Lowers one of them.
pub(crate) fn lower(
    to: &mut Lowering<'_>,
    node: &Node,
    arguments: &[Lowered],
    shapes: &[Vec<usize>],
) -> Result<Lowered, VerifyError> {
    match (&node.op, arguments) {
        (Op::Mul, [Lowered::Layer(a), Lowered::Layer(b)]) => Ok(Lowered::Layer(entrywise(to, node, (*a, *b), shapes))),
        (Op::Div, [value, Lowered::Layer(divisor)]) => {
            let reciprocal = to.push_activation(&node.name, *divisor, Function::Reciprocal);
            let value = to.as_layer(value.clone(), &node.name);
            Ok(Lowered::Layer(entrywise(to, node, (value, reciprocal), shapes)))
        }
        (Op::MatMul | Op::Gemm { .. }, [Lowered::Layer(a), Lowered::Layer(b), rest @ ..]) => {
            let (terms, factors) = match &node.op {
                Op::Gemm { alpha, beta, trans_a, trans_b } => {
                    (gemm_terms(node, shapes, *trans_a, *trans_b), (f64::from(*alpha), f64::from(*beta)))
                }
                _ => (matmul_terms(node, shapes), (1.0, 1.0)),
            };
            bilinear(to, node, (*a, *b), terms, factors, rest, shapes)
        }
        (Op::Pow, [Lowered::Layer(a), Lowered::Constant(exponents)]) => {
            let exponent = exponents.get(0);
            if exponents.iter().any(|e| e != exponent) {
                return Err(unsupported(node, " with exponents that differ"));
            }
            let source = spread(to, node, *a, &shapes[0]);
            let power = |to: &mut Lowering<'_>, n: f64| match n {
                1.0 => Some(source),
                n if n.fract() == 0.0 && (2.0..=64.0).contains(&n) => {
                    Some(to.push_activation(&node.name, source, Function::Power(n as u32)))
                }
                0.5 => Some(to.push_activation(&node.name, source, Function::Sqrt)),
                _ => None,
            };
            let Some(value) = power(to, exponent.abs()) else {
                return Err(unsupported(
                    node,
                    " unless its exponent is \u{b1}0.5 or a whole number from 1 to 64, or minus that",
                ));
            };
            let negative = exponent < 0.0;
            Ok(Lowered::Layer(if negative {
                to.push_activation(&node.name, value, Function::Reciprocal)
            } else {
                value
            }))
        }
        (Op::Pow, _) => Err(unsupported(node, " unless its exponent is a constant")),
        (Op::Softmax { axis }, [Lowered::Layer(a)]) => softmax(to, node, *a, &shapes[0], *axis),
        _ => Err(unsupported(node, " of constants")),
    }
}

/// A layer broadcast to the node's shape.
fn spread(to: &mut Lowering<'_>, node: &Node, source: usize, shape: &[usize]) -> usize {
    match select(to.layers[source].size, broadcast_index(shape, &node.shape)) {
        Linear::Identity { .. } => source,
        map => to.exact(&node.name, vec![(source, map)], vec![0.0; node.shape.iter().product()]),
    }
}

/// The product entry by entry; the square where both are the same.
fn entrywise(to: &mut Lowering<'_>, node: &Node, (a, b): (usize, usize), shapes: &[Vec<usize>]) -> usize {
    let [left, right] = [0, 1].map(|k| broadcast_index(&shapes[k], &node.shape));
    if a == b && left == right {
        let source = spread(to, node, a, &shapes[0]);
        return to.push_activation(&node.name, source, Function::Power(2));
    }
    to.product(&node.name, (a, left), (b, right))
}

/// For every entry of a product of two matrices, the entries of both that are multiplied.
type Terms = Vec<Vec<(u32, u32)>>;

fn matmul_terms(node: &Node, shapes: &[Vec<usize>]) -> Terms {
    // Vectors count as a row on the left and a column on the right.
    let as_matrix = |shape: &[usize], left: bool| match (shape, left) {
        ([n], true) => vec![1, *n],
        ([n], false) => vec![*n, 1],
        _ => shape.to_vec(),
    };
    let (a, b) = (as_matrix(&shapes[0], true), as_matrix(&shapes[1], false));
    let (m, k, n) = (a[a.len() - 2], a[a.len() - 1], b[b.len() - 1]);
    let rank = a.len().max(b.len()) - 2;
    let pad = |s: &[usize]| [vec![1; rank + 2 - s.len()], s[..s.len() - 2].to_vec()].concat();
    let (batch_a, batch_b) = (pad(&a), pad(&b));
    let batch: Vec<usize> = batch_a.iter().zip(&batch_b).map(|(x, y)| (*x).max(*y)).collect();
    let (of_a, of_b) = (broadcast_index(&batch_a, &batch), broadcast_index(&batch_b, &batch));
    let entry = |e: usize| {
        let (batch, i, j) = (e / (m * n), e / n % m, e % n);
        let (x, y) = (of_a[batch] as usize * m * k, of_b[batch] as usize * k * n);
        (0..k).map(|l| ((x + i * k + l) as u32, (y + l * n + j) as u32)).collect()
    };
    (0..node.shape.iter().product()).map(entry).collect()
}

fn gemm_terms(node: &Node, shapes: &[Vec<usize>], trans_a: bool, trans_b: bool) -> Terms {
    let (m, n) = (node.shape[0], node.shape[1]);
    let k = if trans_a { shapes[0][0] } else { shapes[0][1] };
    let at_a = |i: usize, l: usize| if trans_a { l * m + i } else { i * k + l };
    let at_b = |l: usize, j: usize| if trans_b { j * k + l } else { l * n + j };
    (0..m * n).map(|e| (0..k).map(|l| (at_a(e / n, l) as u32, at_b(l, e % n) as u32)).collect()).collect()
}

/// $\alpha \sum_l a_l b_l + \beta c$.
fn bilinear(
    to: &mut Lowering<'_>,
    node: &Node,
    (a, b): (usize, usize),
    terms: Terms,
    (alpha, beta): (f64, f64),
    rest: &[Lowered],
    shapes: &[Vec<usize>],
) -> Result<Lowered, VerifyError> {
    let (left, right) = terms.iter().flatten().copied().unzip();
    let product = to.product(&node.name, (a, left), (b, right));
    let mut next = 0;
    let row = |of: &Vec<(u32, u32)>| {
        next += of.len();
        (next - of.len()..next).map(|at| (at, alpha)).collect()
    };
    let rows: Vec<Vec<(usize, f64)>> = terms.iter().map(row).collect();
    let mut maps = vec![(product, Linear::sparse(Csr::from_rows(next, rows.into_iter())))];
    let mut bias = vec![0.0; terms.len()];
    let exact = |f: f64| f == 1.0 || f == -1.0;
    let mut roundings = 0;
    match rest {
        [] => {}
        [Lowered::Constant(c)] => {
            let index = broadcast_index(&shapes[2], &node.shape);
            bias.iter_mut().zip(index).for_each(|(out, i)| *out = beta * c.get(i as usize));
            roundings = usize::from(!exact(beta));
        }
        [Lowered::Layer(c)] => {
            let index = broadcast_index(&shapes[2], &node.shape);
            let rows = index.iter().map(|i| vec![(*i as usize, beta)]);
            maps.push((*c, Linear::sparse(Csr::from_rows(to.layers[*c].size, rows))));
        }
        _ => return Err(unsupported(node, " with more than three arguments")),
    }
    let magnitude = bias.iter().map(|b| b.abs()).collect();
    Ok(Lowered::Layer(to.affine_rounded(node, maps, bias, magnitude, roundings)))
}

/// Differences that a softmax may be written with.
const MOST_DIFFERENCES: usize = 1 << 22;

/// $e^{z_i} / \sum_j e^{z_j} = 1 / (1 + \sum_{j \ne i} e^{z_j - z_i})$: differences lose nothing to what both have in common, and
/// no quotient of two variables remains.
fn softmax(
    to: &mut Lowering<'_>,
    node: &Node,
    source: usize,
    shape: &[usize],
    axis: usize,
) -> Result<Lowered, VerifyError> {
    let (size, n, step) = (shape.iter().product::<usize>(), shape[axis], strides(shape)[axis]);
    if size * (n - 1) > MOST_DIFFERENCES {
        return Err(unsupported(node, " of so many entries"));
    }
    if n == 1 {
        return Ok(Lowered::Layer(to.exact(&node.name, Vec::new(), vec![1.0; size])));
    }
    // The other entries of the group of entry e.
    let others = |e: usize| {
        let place = e / step % n;
        (0..n).filter(move |other| *other != place).map(move |other| e - place * step + other * step)
    };
    let rows = (0..size).flat_map(|e| {
        others(e).map(move |other| {
            vec![(e.min(other), if e < other { -1.0 } else { 1.0 }), (e.max(other), if e < other { 1.0 } else { -1.0 })]
        })
    });
    let differences = vec![(source, Linear::sparse(Csr::from_rows(to.layers[source].size, rows)))];
    let differences = to.exact(&node.name, differences, vec![0.0; size * (n - 1)]);
    let shares = to.push_activation(&node.name, differences, Function::Exp);
    let sum = (0..size).map(|e| (e * (n - 1)..(e + 1) * (n - 1)).map(|at| (at, 1.0)).collect());
    let sum = vec![(shares, Linear::sparse(Csr::from_rows(size * (n - 1), sum)))];
    let sum = to.exact(&node.name, sum, vec![1.0; size]);
    Ok(Lowered::Layer(to.push_activation(&node.name, sum, Function::Reciprocal)))
}
