//! Enclosures of transcendental functions against recorded values of 90 digits.

use dashu_base::Abs;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use proptest::prelude::*;
use secateur_check::interval::{Dyadic, Interval};
use secateur_check::transcendental::{cos, exp, sigmoid, sin, tanh};

const BITS: usize = 256;

/// A decimal such as `-1.25e-3`, exactly.
fn decimal(text: &str) -> RBig {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let integer: IBig = format!("{whole}{fraction}").parse().unwrap();
    let exponent = exponent.parse::<i64>().unwrap() - fraction.len() as i64;
    let power = UBig::from(10_u8).pow(exponent.unsigned_abs() as usize);
    if exponent < 0 { RBig::from_parts(integer, power) } else { RBig::from(integer * power) }
}

/// A rational whose denominator is a power of two.
fn as_dyadic(value: &RBig) -> Dyadic {
    let zeros = value.denominator().trailing_zeros().unwrap();
    assert!((value.denominator() >> zeros).is_one());
    Dyadic::new(value.numerator().clone(), -(zeros as i64))
}

fn enclose(function: &str, x: &Interval, bits: usize) -> Interval {
    match function {
        "exp" => exp(x, bits).unwrap(),
        "sigmoid" => sigmoid(x, bits),
        "tanh" => tanh(x, bits),
        "sin" => sin(x, bits),
        "cos" => cos(x, bits),
        "sqrt" => x.root(bits).unwrap(),
        other => panic!("no function {other}"),
    }
}

#[test]
fn recorded_values_are_enclosed_tightly() {
    for line in include_str!("fixtures/transcendental.txt").lines() {
        let [function, argument, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (argument, value) = (decimal(argument), decimal(value));
        let found = enclose(function, &Interval::point(as_dyadic(&argument)), BITS);
        let (lower, upper) = (found.lower.to_rational(), found.upper.to_rational());
        // The recorded value is off by at most half a unit of its 90th digit.
        let slack = value.clone().abs() * decimal("1e-89");
        assert!(lower <= &value + &slack && &value - &slack <= upper, "{line} not in [{lower}, {upper}]");
        // Relative for the exponential and the root, absolute for the others.
        let scale = if matches!(function, "exp" | "sqrt") { value.abs() } else { RBig::ONE };
        assert!(upper - lower <= scale * decimal("1e-75"), "{line} is enclosed loosely");
    }
}

#[test]
fn values_at_zero_are_exact() {
    let zero = Interval::point(Dyadic::zero());
    for (function, expected) in
        [("exp", "1"), ("sigmoid", "0.5"), ("tanh", "0"), ("sin", "0"), ("cos", "1"), ("sqrt", "0")]
    {
        let found = enclose(function, &zero, BITS);
        assert!(found.is_point() && found.lower.to_rational() == decimal(expected), "{function} {found:?}");
    }
}

#[test]
fn large_arguments_are_enclosed_or_refused() {
    let large = |sign: i64| Interval::point(Dyadic::new(IBig::from(sign), 20));
    assert!(exp(&large(1), BITS).is_none());
    let tiny = exp(&large(-1), BITS).unwrap();
    assert!(tiny.lower.is_zero() && tiny.upper == Dyadic::power_of_two(-(1 << 20)));
    let one = sigmoid(&large(1), BITS);
    assert!(one.lower < Dyadic::one() && one.upper == Dyadic::one());
    let zero = sigmoid(&large(-1), BITS);
    assert!(zero.lower.is_zero() && zero.upper > Dyadic::zero());
    let ball = sin(&Interval::point(Dyadic::new(IBig::from(3), 40)), BITS);
    assert_eq!((ball.lower, ball.upper), (Dyadic::one().negated(), Dyadic::one()));
}

#[test]
fn sums_of_exponentials_are_consistent() {
    // e^x e^-x = 1 and sin² + cos² = 1 within enclosures of 1000 bits.
    for (mantissa, exponent) in [(1_i64, -30), (3, -1), (-77, -3), (12345, -4), (-1, 9)] {
        let x = Interval::point(Dyadic::new(IBig::from(mantissa), exponent));
        let product = exp(&x, 1000).unwrap().times(&exp(&x.negated(), 1000).unwrap());
        let (s, c) = (sin(&x, 1000), cos(&x, 1000));
        let circle = s.times(&s).plus(&c.times(&c));
        for one in [product, circle] {
            assert!(one.lower <= Dyadic::one() && Dyadic::one() <= one.upper);
            assert!(one.upper.minus(&one.lower) < Dyadic::power_of_two(-990));
        }
    }
}

proptest! {
    #[test]
    fn the_enclosure_of_an_interval_holds_those_of_its_members(
        mantissas in prop::array::uniform3(-100_000_i64..100_000),
        exponent in -20_i64..-5,
    ) {
        let mut sorted = mantissas;
        sorted.sort_unstable();
        let [least, middle, most] = sorted.map(|m| Dyadic::new(IBig::from(m), exponent));
        let whole = Interval::new(least.clone(), most.clone());
        for function in ["exp", "sigmoid", "tanh", "sin", "cos"] {
            let hull = enclose(function, &whole, 100);
            let mut previous: Option<Interval> = None;
            for member in [&least, &middle, &most] {
                let value = enclose(function, &Interval::point(member.clone()), 200);
                // Each holds the true value, so they must meet; the coarser one may cut off less than its rounding.
                prop_assert!(hull.lower <= value.upper && value.lower <= hull.upper, "{}", function);
                if let (Some(before), "exp" | "sigmoid" | "tanh") = (&previous, function) {
                    prop_assert!(before.lower <= value.upper, "{} does not increase", function);
                }
                previous = Some(value);
            }
        }
    }
}

/// At few bits, sigmoid and tanh are computed in fixed point: the value of 200 bits lies inside.
#[test]
fn fixed_point_encloses_the_values_of_many_bits() {
    let mut state = 1_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 11
    };
    let mut arguments: Vec<Dyadic> = (0..4000)
        .map(|_| {
            let mantissa = draw() as i64 - (1 << 52);
            // From 2^-90 to 2^12.
            Dyadic::new(mantissa.into(), -142 + (draw() % 102) as i64)
        })
        .collect();
    // Close to multiples of ln 2, and to where values are taken for 0 and 1.
    for multiple in 0..100_i64 {
        for offset in -3..=3 {
            let near = IBig::from(0x58B9_0BFB_E8E7_BCD5_i64) * IBig::from(multiple) + IBig::from(offset);
            arguments.extend([near.clone(), -near].map(|near| Dyadic::new(near, -63)));
        }
    }
    arguments
        .extend((-3..=3).flat_map(|offset| [64_i64, -64].map(|end| Dyadic::new(((end << 20) + offset).into(), -20))));
    for x in arguments {
        let x = Interval::point(x);
        for (function, bits) in [("sigmoid", 54), ("sigmoid", 1), ("tanh", 52)] {
            let (found, close) = (enclose(function, &x, bits), enclose(function, &x, 200));
            assert!(found.lower <= close.lower && close.upper <= found.upper, "{function} at {x:?}: {found:?}");
            let width = found.upper.minus(&found.lower);
            assert!(width < Dyadic::power_of_two(-54), "{function} at {x:?} has width {width:?}");
        }
    }
}
