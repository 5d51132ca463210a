//! Operators on wide intervals hold their values at all members.

use dashu_int::IBig;
use proptest::prelude::*;
use secateur_check::error::Fault;
use secateur_check::interval::Dyadic;
use secateur_check::reduction::{batch_normalization, mean, softmax, sum};
use secateur_check::tensor::DyadicTensor;
use secateur_check::windows::{average_pool, max_pool};
use secateur_check::{linear, linear::Operand, pointwise};
use secateur_nn::op::{Op, Value, Window};
use std::rc::Rc;
use std::sync::Arc;

const BITS: usize = 64;
const EXPONENT: i64 = -4;

/// A tensor of wide intervals, and one of points that lie in them at the given fractions (of 4).
fn pair(shape: &[usize], ends: &[(i64, i64)], fractions: &[i64]) -> (DyadicTensor, DyadicTensor) {
    let count: usize = shape.iter().product();
    let low: Vec<i64> = ends[..count].iter().map(|(l, _)| 4 * l).collect();
    let integers = |v: Vec<i64>| v.into_iter().map(IBig::from).collect::<Vec<_>>();
    let high = ends[..count].iter().map(|(l, w)| 4 * (l + w)).collect();
    let inside = ends[..count].iter().zip(fractions).map(|((l, w), f)| 4 * l + w * f).collect();
    (
        DyadicTensor::new(shape.to_vec(), EXPONENT, integers(low), Some(integers(high))),
        DyadicTensor::new(shape.to_vec(), EXPONENT, integers(inside), None),
    )
}

/// Both are supersets of a true value, so they meet; where the member is exact it must lie inside.
fn holds(name: &str, wide: &DyadicTensor, member: &DyadicTensor) -> Result<(), TestCaseError> {
    prop_assert_eq!(wide.shape(), member.shape(), "{}", name);
    for (i, (outer, inner)) in wide.intervals().zip(member.intervals()).enumerate() {
        prop_assert!(outer.lower <= outer.upper, "{} crosses entry {}", name, i);
        let meets = outer.lower <= inner.upper && inner.lower <= outer.upper;
        prop_assert!(meets, "{}, entry {}: {:?} misses {:?}", name, i, outer, inner);
    }
    Ok(())
}

fn compare(
    name: &str,
    wide: Result<DyadicTensor, Fault>,
    member: Result<DyadicTensor, Fault>,
) -> Result<(), TestCaseError> {
    match (wide, member) {
        (Ok(wide), Ok(member)) => {
            holds(name, &wide, &member)?;
            for bits in [3, 20] {
                holds(name, &wide.clone().settled(Some(bits)).unwrap(), &member)?;
            }
            Ok(())
        }
        // The whole may leave the domain where a member does not, never the reverse.
        (Err(Fault::Domain(_)), _) => Ok(()),
        (wide, member) => Err(TestCaseError::fail(format!("{name}: {wide:?}, member {member:?}"))),
    }
}

fn ends() -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((-40_i64..40, prop_oneof![Just(0_i64), 0_i64..60]), 16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn operators_hold_their_members(
        first in ends(), second in ends(), fractions in prop::collection::vec(0_i64..=4, 16),
    ) {
        let (a, a_member) = pair(&[4, 4], &first, &fractions);
        let reversed: Vec<i64> = fractions.iter().rev().copied().collect();
        let (b, b_member) = pair(&[4, 4], &second, &reversed);
        let unary = [
            Op::Neg, Op::Relu, Op::LeakyRelu { slope: 0.25 }, Op::LeakyRelu { slope: -0.75 }, Op::Sigmoid, Op::Tanh,
            Op::Sign, Op::Sin, Op::Cos, Op::Floor, Op::Exp, Op::Sqrt, Op::Clip { min: Some(-0.7), max: Some(1.3) },
        ];
        for op in unary {
            let at = |x: &DyadicTensor| pointwise::unary(&op, x, BITS).unwrap();
            compare(op.name(), at(&a), at(&a_member))?;
        }
        for op in [Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Min, Op::Max] {
            let at = |x: &DyadicTensor, y: &DyadicTensor| {
                pointwise::binary(&op, x.clone(), y.clone(), &[4, 4], BITS).unwrap()
            };
            compare(op.name(), at(&a, &b), at(&a_member, &b_member))?;
        }
        for n in [2, 3] {
            let power = DyadicTensor::new(vec![], 0, vec![IBig::from(n)], None);
            let at = |x: &DyadicTensor| pointwise::binary(&Op::Pow, x.clone(), power.clone(), &[4, 4], BITS).unwrap();
            compare("Pow", at(&a), at(&a_member))?;
        }
        compare("Softmax", softmax(&a, 1, BITS), softmax(&a_member, 1, BITS))?;
        compare("ReduceSum", Ok(sum(&a, &[0], &[4])), Ok(sum(&a_member, &[0], &[4])))?;
        compare("ReduceMean", mean(&a, &[0, 1], &[], BITS), mean(&a_member, &[0, 1], &[], BITS))?;
        let window =
            Window { kernel: vec![3], strides: vec![1], pads_begin: vec![1], pads_end: vec![1], dilations: vec![1] };
        let plane = |x: &DyadicTensor| x.clone().reshaped(vec![1, 4, 4]);
        let shape = [1, 4, 4];
        compare("MaxPool", max_pool(&plane(&a), &window, &shape), max_pool(&plane(&a_member), &window, &shape))?;
        let average = |x: &DyadicTensor| average_pool(&plane(x), &window, false, &shape, BITS);
        compare("AveragePool", average(&a), average(&a_member))?;

        let product = |x: &DyadicTensor, y: &DyadicTensor| {
            linear::matmul(Operand::Computed(Rc::new(x.clone())), Operand::Computed(Rc::new(y.clone())), &[4, 4])
        };
        compare("MatMul of two enclosures", product(&a, &b), product(&a_member, &b_member))?;
        let data = second.iter().map(|(l, w)| (l * w) as f32 / 7.0).collect();
        let weight = Value::F32(Arc::new(secateur_linalg::Tensor::new(vec![4, 4], data)));
        let weighted =
            |x: &DyadicTensor| linear::matmul(Operand::Stored(&weight), Operand::Computed(Rc::new(x.clone())), &[4, 4]);
        compare("MatMul with weights", weighted(&a), weighted(&a_member))?;

        let epsilon = Dyadic::power_of_two(-10);
        let (shift, shift_member) = pair(&[4], &second[4..], &fractions[4..]);
        let normalised = |x: &DyadicTensor, shift: &DyadicTensor, variance: &DyadicTensor| {
            batch_normalization(x.clone(), [shift, shift, shift, variance], &epsilon, BITS)
        };
        let positive: Vec<(i64, i64)> = second.iter().map(|(l, w)| (l.abs(), *w)).collect();
        let (variance, variance_member) = pair(&[4], &positive, &reversed);
        compare(
            "BatchNormalization",
            normalised(&a, &shift, &variance),
            normalised(&a_member, &shift_member, &variance_member),
        )?;
    }
}
