//! Certificates that would show a falsehood if numbers of extreme size wrapped, saturated or were flushed unnoticed.

use dashu_ratio::RBig;
use secateur_check::Semantics;
use secateur_check::interval::Dyadic;
use secateur_check::proof::format::{Claim, Next, Record, Row, Slopes, Step, Table};
use secateur_check::proof::lines::{Function, Line, lines};
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::{Graph, GraphBuilder, NodeId};
use secateur_nn::op::{ElementType, Op, Value};
use secateur_nn::property::{Case, LinearConstraint, Property};
use secateur_tests::proofs::accepted_as;
use std::sync::Arc;

fn constant(builder: &mut GraphBuilder, name: &str, shape: &[usize], values: Vec<f32>) -> NodeId {
    builder.constant(name.to_owned(), Value::F32(Arc::new(Tensor::new(shape.to_vec(), values)))).expect("a constant")
}

/// $\sum_i a_i x_i + b y \le c$ on a box.
fn property(ends: &[(RBig, RBig)], input: Vec<(usize, RBig)>, output: i8, bound: RBig) -> Property {
    let (lower, upper) = ends.iter().cloned().unzip();
    let constraint = LinearConstraint { inputs: input, outputs: vec![(0, RBig::from(output))], bound, strict: false };
    let case = Case { lower, upper, ball: None, unsafe_set: vec![vec![constraint]] };
    Property { inputs: ends.len(), outputs: 1, cases: vec![case], declared: None }
}

/// The only disjunct is refuted by its only objective.
fn refuted() -> Record {
    let row = Row { objective: 0, weight: 1, slopes: Slopes::default() };
    let refuted = vec![Claim { disjunct: 0, rows: vec![row] }];
    Record::Step(Step { refuted, ..Step::new(Next::Closed) })
}

fn refused(name: &str, semantics: Semantics, graph: &Graph, property: &Property, records: &[Record]) {
    assert!(accepted_as(semantics, graph, property, records).is_err(), "{name}: a falsehood was accepted");
}

fn power(exponent: i32) -> RBig {
    let size = dashu_int::UBig::ONE << exponent.unsigned_abs() as usize;
    if exponent < 0 { RBig::from_parts(1.into(), size) } else { RBig::from(size) }
}

/// A table may make a range wider, up to where sums of eight thousand numbers would no longer fit.
#[test]
fn a_tables_ranges_do_not_make_sums_wrap() {
    let n = 8000;
    let mut builder = GraphBuilder::new("x", vec![1, 1], ElementType::F32);
    let first = constant(&mut builder, "first", &[1, 2], vec![1.0, 2f32.powi(-20)]);
    let spread = [vec![0.0; n], vec![1.0; n]].concat();
    let spread = constant(&mut builder, "spread", &[2, n], spread);
    let last = constant(&mut builder, "last", &[n, 1], vec![1.0; n]);
    let x = builder.input();
    let z = builder.add("z", Op::MatMul, &[x, first]).expect("fits");
    let z = builder.add("relu", Op::Relu, &[z]).expect("fits");
    let z = builder.add("a", Op::MatMul, &[z, spread]).expect("fits");
    let z = builder.add("b", Op::MatMul, &[z, last]).expect("fits");
    let y = builder.add("y", Op::Relu, &[z]).expect("fits");
    let graph = builder.finish(y).expect("a network");
    // y ≥ -1 holds everywhere.
    let property = property(&[(RBig::ZERO, RBig::ONE)], Vec::new(), -1, RBig::ONE);
    for width in [0.9 * 2f64.powi(-6), 2f64.powi(-5), 1.0, 1e9] {
        let table = Table { id: 0, layers: Vec::new(), ranges: vec![(0, vec![(1, 0.0, width)])] };
        refused("wide ranges", Semantics::Real, &graph, &property, &[Record::Table(table)]);
    }
}

/// A table may make an upper end the very number that stands for none, of which the rounding of a million numbers in a row would
/// be 0 where it is 89 of 8192.
#[test]
fn a_bound_that_looks_like_none_is_far() {
    let weights = [vec![1.0; 13_419], vec![0.75], vec![265.0 / 256.0; 1_000_000]].concat();
    let n = weights.len();
    let mut builder = GraphBuilder::new("x", vec![1, 2], ElementType::F32);
    let last = constant(&mut builder, "last", &[n, 1], weights);
    let x = builder.input();
    let z = builder.add("relu", Op::Relu, &[x]).expect("fits");
    let slice = Op::Slice { starts: vec![0, 1], steps: vec![1, 1], lengths: vec![1, 1] };
    let z = builder.add("slice", slice, &[z]).expect("fits");
    let z = builder.add("expand", Op::Expand { shape: vec![1, n] }, &[z]).expect("fits");
    let y = builder.add("y", Op::MatMul, &[z, last]).expect("fits");
    let graph = builder.finish(y).expect("a network");
    // y ≥ 8200: summed from the left in f32, it is 8280 at the upper corner, though 8192 in real numbers.
    let property = property(&[(RBig::ZERO, RBig::ONE), (RBig::ZERO, power(-7))], Vec::new(), -1, RBig::from(-8200));
    let table = |ranges| Record::Table(Table { id: 0, layers: Vec::new(), ranges });
    let records = [table(Vec::new()), table(vec![(0, vec![(1, 0.0, 1.0)])]), refuted()];
    refused("an upper end of 2^56 units", Semantics::Single, &graph, &property, &records);
}

/// Lines of tanh on ranges so wide that their intercepts outgrow what holds them.
#[test]
fn lines_on_wide_ranges_stay_below() {
    let mut builder = GraphBuilder::new("x", vec![1, 1], ElementType::F32);
    let w = constant(&mut builder, "w", &[1, 1], vec![1.0]);
    let x = builder.input();
    let z = builder.add("z", Op::MatMul, &[x, w]).expect("fits");
    let y = builder.add("y", Op::Tanh, &[z]).expect("fits");
    let graph = builder.finish(y).expect("a network");
    let mut random = Random::new(5);
    for round in 0..1000 {
        let mut end = || (1 + random.index(1 << 20) as i64, random.index(24) as i64 - 12);
        // Where a search for a tangent once ended early.
        let found = ((21_359_489_734, -10), (10_730_763_418, -10));
        let ((l, l_exponent), (u, u_exponent)) = if round == 0 { found } else { (end(), end()) };
        let dyadic = |m: i64, e: i64| Dyadic::new(m.into(), e);
        let [below, above] = lines(Function::Tanh, &dyadic(-l, l_exponent), &dyadic(u, u_exponent));
        let (l, u) = (RBig::from(-l) * power(l_exponent as i32), RBig::from(u) * power(u_exponent as i32));
        let at =
            |line: &Line, z: &RBig| RBig::from(line.slope) * power(-24) * z + RBig::from(line.intercept) * power(-60);
        assert!(at(&below, &u) <= RBig::ONE && at(&below, &l) <= RBig::ZERO, "round {round}: {below:?}");
        assert!(at(&above, &u) >= RBig::ZERO && at(&above, &l) >= -RBig::ONE, "round {round}: {above:?}");
        // y - s x is at most 1 - s u at u.
        let slope = RBig::from(below.slope) * power(-24);
        let bound = RBig::ONE - &slope * &u;
        let property = property(&[(l, u)], vec![(0, -slope)], 1, bound);
        refused(&format!("round {round}"), Semantics::Real, &graph, &property, &[refuted()]);
    }
}

/// $s (x - \mu) / \sqrt{v + \varepsilon}$ with a factor that is flushed and a mean that makes it matter.
#[test]
fn a_flushed_normalisation_counts() {
    let mut builder = GraphBuilder::new("x", vec![1, 1], ElementType::F32);
    let numbers = [2f32.powi(-110), 0.0, -(2f32.powi(124)), 2f32.powi(39)];
    let constants: Vec<NodeId> = numbers
        .iter()
        .enumerate()
        .map(|(i, v)| constant(&mut builder, ["s", "b", "m", "v"][i], &[1], vec![*v]))
        .collect();
    let x = builder.input();
    let arguments = [vec![x], constants].concat();
    let op = Op::BatchNormalization { epsilon: 2f32.powi(-20) };
    let y = builder.add("y", op, &arguments).expect("fits");
    let graph = builder.finish(y).expect("a network");
    // With the factor flushed, y = 0.
    let property = property(&[(RBig::ZERO, RBig::ONE)], Vec::new(), 1, power(-7));
    refused("normalisation", Semantics::Single, &graph, &property, &[refuted()]);
}

/// $\alpha \sum w x$ where $\alpha w$, or $\alpha x$, is flushed.
#[test]
fn a_flushed_factor_counts() {
    for (weight, value, sum) in [(-107, 59, 12 - 68), (100, -110, -18)] {
        let n = 4096;
        let mut builder = GraphBuilder::new("x", vec![1, n], ElementType::F32);
        let w = constant(&mut builder, "w", &[n, 1], vec![2f32.powi(weight); n]);
        let x = builder.input();
        let op = Op::Gemm { alpha: 2f32.powi(-20), beta: 1.0, trans_a: false, trans_b: false };
        let y = builder.add("y", op, &[x, w]).expect("fits");
        let graph = builder.finish(y).expect("a network");
        let ends = vec![(power(value), power(value)); n];
        let property = property(&ends, Vec::new(), 1, power(sum - 1));
        refused("factor", Semantics::Single, &graph, &property, &[refuted()]);
    }
}

/// A stored double that the network rounds to `f32` is not that double.
#[test]
fn a_narrowed_constant_is_not_taken_for_exact() {
    let mut builder = GraphBuilder::new("x", vec![1, 1], ElementType::F32);
    let wide = Value::F64(Arc::new(Tensor::new(vec![1], vec![0.1])));
    let wide = builder.constant("wide", wide).expect("a constant");
    let narrow = builder.add("narrow", Op::Cast(ElementType::F32), &[wide]).expect("fits");
    let x = builder.input();
    let y = builder.add("y", Op::Mul, &[x, narrow]).expect("fits");
    let graph = builder.finish(y).expect("a network");
    // Of type f32, the number is .100000001490…
    let bound = -RBig::from_parts(1_000_000_007.into(), 10_000_000_000_u64.into());
    let property = property(&[(RBig::ONE, RBig::ONE)], Vec::new(), -1, bound);
    refused("cast", Semantics::Real, &graph, &property, &[refuted()]);
}
