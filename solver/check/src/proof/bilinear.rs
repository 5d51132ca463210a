//! Nodes that multiply or divide what varies, powers and softmax, as layers.
//!
//! The order of layers and of the products in them is that of the search, so that both number them alike.

use super::affine::{constant, one};
use super::build::{Builder, Entries, Known};
use super::matrix::Weight;
use super::network::Function;
use crate::error::Fault;
use crate::float::decode_f32;
use crate::interval::{Dyadic, Interval};
use crate::layout::broadcast_offsets;
use crate::linear::{Terms, Visitor, linear_terms};
use crate::pointwise::{Exponent, exponent};
use secateur_nn::graph::Node;
use secateur_nn::op::Op;

/// Differences that a softmax may be written with.
const MOST_DIFFERENCES: usize = 1 << 20;

/// Whether an operator that may be affine is not, with these arguments.
pub(super) fn takes(op: &Op, arguments: &[Known<'_>]) -> bool {
    let varies = |a: usize| matches!(arguments.get(a), Some(Known::Layer(_)));
    varies(1) && (varies(0) || *op == Op::Div)
}

/// The layer of one of these nodes.
///
/// # Errors
/// [`Fault::Unsupported`] for powers with exponents that vary, differ or are not among those that [`exponent`] takes;
/// [`Fault::Range`] for a softmax of very many entries.
pub(super) fn layer(
    to: &mut Builder,
    node: &Node,
    arguments: &[Known<'_>],
    shapes: &[&[usize]],
) -> Result<usize, Fault> {
    let factor = |source: usize, a: usize| {
        let offsets = broadcast_offsets(shapes[a], &node.shape);
        (source, offsets.into_iter().map(|i| i as u32).collect::<Vec<u32>>())
    };
    match (&node.op, arguments) {
        (Op::Mul, [Known::Layer(a), Known::Layer(b)]) => {
            let (left, right) = (factor(*a, 0), factor(*b, 1));
            if left == right {
                let source = spread(to, *a, shapes[0], &node.shape)?;
                return to.activation(source, Function::Power(2));
            }
            to.product(left, right)
        }
        (Op::Div, [value, Known::Layer(divisor)]) => {
            let reciprocal = to.activation(*divisor, Function::Reciprocal)?;
            let value = to.layer_of(value)?;
            to.product(factor(value, 0), factor(reciprocal, 1))
        }
        (Op::MatMul | Op::Gemm { .. }, [Known::Layer(a), Known::Layer(b), rest @ ..]) => {
            let size: usize = node.shape.iter().product();
            let mut pairs = Pairs { index: 0, rows: vec![Vec::new(); size] };
            linear_terms(&node.op, shapes, true, &node.shape)?.visit(&mut pairs);
            sums_of_products(to, node, (*a, *b), pairs.rows, rest, shapes)
        }
        (Op::Pow, [Known::Layer(a), known]) if !matches!(known, Known::Layer(_)) => {
            let exponents = constant(known)?;
            let mut exponents = exponents.intervals();
            let first = exponents.next().ok_or(Fault::Unsupported)?;
            if exponents.any(|other| other != first) {
                return Err(Fault::Unsupported);
            }
            let (exponent, inverse) = exponent(&first)?;
            let source = spread(to, *a, shapes[0], &node.shape)?;
            let value = match exponent {
                Exponent::Whole(0) => return Err(Fault::Unsupported),
                Exponent::Whole(1) => source,
                Exponent::Whole(n) => to.activation(source, Function::Power(n))?,
                Exponent::Half => to.activation(source, Function::Sqrt)?,
            };
            if inverse { to.activation(value, Function::Reciprocal) } else { Ok(value) }
        }
        (Op::Softmax { axis }, [Known::Layer(a)]) => softmax(to, *a, shapes[0], *axis),
        _ => Err(Fault::Unsupported),
    }
}

/// A layer broadcast to a shape.
fn spread(to: &mut Builder, source: usize, shape: &[usize], result: &[usize]) -> Result<usize, Fault> {
    let offsets = broadcast_offsets(shape, result);
    if offsets.len() == to.layers[source].size && offsets.iter().enumerate().all(|(o, i)| o == *i) {
        return Ok(source);
    }
    let zeros = vec![Interval::point(Dyadic::zero()); offsets.len()];
    to.sum(vec![(source, Entries::selection(offsets.into_iter().map(Some), &one()))], zeros)
}

/// For every entry of a product of two matrices, the entries of both that are multiplied.
struct Pairs {
    index: usize,
    rows: Vec<Vec<(u32, u32)>>,
}

impl Visitor for Pairs {
    fn weight(&mut self, index: usize) -> bool {
        self.index = index;
        true
    }

    fn term(&mut self, output: usize, argument: usize) {
        self.rows[output].push((argument as u32, self.index as u32));
    }
}

/// $\alpha \sum_l a_l b_l + \beta c$.
fn sums_of_products(
    to: &mut Builder,
    node: &Node,
    (a, b): (usize, usize),
    pairs: Vec<Vec<(u32, u32)>>,
    rest: &[Known<'_>],
    shapes: &[&[usize]],
) -> Result<usize, Fault> {
    let stored = |v: f32| decode_f32(v).map(|v| Interval::point(Dyadic::from(v))).ok_or(Fault::NotFinite(0));
    let (alpha, beta) = match node.op {
        Op::Gemm { alpha, beta, .. } => (stored(alpha)?, stored(beta)?),
        _ => (one(), one()),
    };
    let (left, right) = pairs.iter().flatten().copied().unzip();
    let product = to.product((a, left), (b, right))?;
    let mut next = 0..to.layers[product].size as u32;
    let alpha = Weight::from(alpha);
    let row = |of: &Vec<(u32, u32)>| next.by_ref().take(of.len()).map(|j| (j, alpha.clone())).collect();
    let rows = pairs.iter().map(row).collect();
    let mut terms = vec![(product, Entries(rows))];
    let mut bias = vec![Interval::point(Dyadic::zero()); pairs.len()];
    match rest {
        [] => {}
        [summand] => {
            let offsets = broadcast_offsets(shapes[2], &node.shape);
            match summand {
                Known::Layer(c) => terms.push((*c, Entries::selection(offsets.into_iter().map(Some), &beta))),
                known => {
                    let values = constant(known)?;
                    bias = offsets.iter().map(|i| values.interval(*i).times(&beta)).collect();
                }
            }
        }
        _ => return Err(Fault::Unsupported),
    }
    to.sum(terms, bias)
}

/// $e^{z_i} / \sum_j e^{z_j} = 1 / (1 + \sum_{j \ne i} e^{z_j - z_i})$.
fn softmax(to: &mut Builder, source: usize, shape: &[usize], axis: usize) -> Result<usize, Fault> {
    let (size, n): (usize, usize) = (shape.iter().product(), shape[axis]);
    let step: usize = shape[axis + 1..].iter().product();
    if size.checked_mul(n - 1).is_none_or(|count| count > MOST_DIFFERENCES) {
        return Err(Fault::Range);
    }
    if n == 1 {
        return to.sum(Vec::new(), vec![one(); size]);
    }
    let others = |e: usize| {
        let place = e / step % n;
        (0..n).filter(move |other| *other != place).map(move |other| e - place * step + other * step)
    };
    let difference = |e: usize, other: usize| vec![(other as u32, Weight::ONE), (e as u32, Weight::ONE.negated())];
    let rows = (0..size).flat_map(|e| others(e).map(move |other| difference(e, other))).collect();
    let zeros = vec![Interval::point(Dyadic::zero()); size * (n - 1)];
    let differences = to.sum(vec![(source, Entries(rows))], zeros)?;
    // That of e and other stands among those of e at the place of other, without e's own.
    let at = |e: usize, other: usize| {
        let (place, there) = (e / step % n, other / step % n);
        e * (n - 1) + if there < place { there } else { there - 1 }
    };
    to.layers[differences].opposite = (0..size).flat_map(|e| others(e).map(move |other| at(other, e) as u32)).collect();
    let shares = to.activation(differences, Function::Exp)?;
    to.layers[shares].capped = true;
    let of = |e: usize| (e * (n - 1)..(e + 1) * (n - 1)).map(|at| (at as u32, Weight::ONE)).collect();
    let sums = to.sum(vec![(shares, Entries((0..size).map(of).collect()))], vec![one(); size])?;
    to.activation(sums, Function::Reciprocal)
}
