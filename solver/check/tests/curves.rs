//! Lines of curved functions lie below and above them, on ranges of every size.

use secateur_check::interval::{Dyadic, Interval};
use secateur_check::pointwise::whole_power;
use secateur_check::proof::Rejection;
use secateur_check::proof::curves::{Lines, image, lines};
use secateur_check::proof::lines::Line;
use secateur_check::proof::network::Function;
use secateur_check::transcendental::{cos, exp, sin};

/// More bits than lines are made with.
const BITS: usize = 200;

fn dyadic(m: i64, exponent: i64) -> Dyadic {
    Dyadic::new(m.into(), exponent)
}

fn range(l: i64, u: i64, g: i64) -> Interval {
    Interval::new(dyadic(l, g), dyadic(u, g))
}

fn value(function: Function, z: &Dyadic) -> Interval {
    let point = Interval::point(z.clone());
    let one = Interval::point(Dyadic::one());
    match function {
        Function::Exp => exp(&point, BITS).expect("not huge"),
        Function::Reciprocal => one.over(&point, BITS).expect("not 0"),
        Function::Sqrt => point.root(BITS).expect("not negative"),
        Function::Sin => sin(&point, BITS),
        Function::Cos => cos(&point, BITS),
        Function::Power(n) => whole_power(&point, n),
        Function::Sign if z.is_zero() => Interval::point(Dyadic::zero()),
        Function::Sign if z.is_negative() => one.negated(),
        Function::Sign => one,
        _ => Interval::point(Dyadic::new(z.floor_at(0), 0)),
    }
}

fn at(lines: &Lines, line: &Line, z: &Dyadic) -> Dyadic {
    dyadic(line.slope, lines.slope).times(z).plus(&dyadic(line.intercept, lines.intercept))
}

/// Both lines, and tangents at other points, enclose the function; so do its values.
fn encloses(function: Function, l: i64, u: i64, g: i64) {
    let found =
        lines(function, &[range(l, u, g)]).unwrap_or_else(|why| panic!("{function:?} on [{l}, {u}] 2^{g}: {why}"));
    let values = image(function, &range(l, u, g)).expect("defined");
    let shares = [0, 1, 1 << 12, 1 << 22, 3 << 22, (1 << 24) - 1, 1 << 24];
    let tangents: Vec<(bool, Line)> = shares
        .into_iter()
        .flat_map(|share| [false, true].map(|above| (above, found.tangent(function, 0, ((l, u), g), share, above))))
        .filter_map(|(above, line)| Some((above, line?)))
        .collect();
    let whole = i128::from(u) - i128::from(l);
    for step in 0..=24 {
        let z = Dyadic::new((i128::from(l) + whole * step / 24).into(), g);
        let exact = value(function, &z);
        let place = || format!("{function:?} on [{l}, {u}] 2^{g} at {z:?}");
        let [below, above] = &found.lines[0];
        assert!(at(&found, below, &z) <= exact.upper && exact.lower <= at(&found, above, &z), "{}: {found:?}", place());
        assert!(values.lower <= exact.upper && exact.lower <= values.upper, "{}", place());
        for (above, line) in &tangents {
            let there = at(&found, line, &z);
            let right = if *above { exact.lower <= there } else { there <= exact.upper };
            assert!(right, "{}: {line:?}", place());
        }
    }
}

const ALL: [Function; 11] = [
    Function::Exp,
    Function::Reciprocal,
    Function::Sqrt,
    Function::Sin,
    Function::Cos,
    Function::Power(2),
    Function::Power(3),
    Function::Power(7),
    Function::Power(64),
    Function::Sign,
    Function::Floor,
];

fn defined(function: Function, l: i64, u: i64) -> bool {
    match function {
        Function::Reciprocal => l > 0 || u < 0,
        Function::Sqrt => l >= 0,
        _ => true,
    }
}

#[test]
fn lines_enclose_on_ordinary_ranges() {
    for function in ALL {
        for l in (-80..80).step_by(7) {
            for width in [0, 1, 3, 16, 50, 130] {
                if defined(function, l, l + width) {
                    encloses(function, l, l + width, -4);
                }
            }
        }
    }
}

/// Steps are at most 2^-9 wide, so that some step is within 2^-21 of where a line touches.
#[test]
fn lines_of_waves_touch_them() {
    let steps = 4096;
    let near = dyadic(1, -20);
    for function in [Function::Sin, Function::Cos] {
        for (l, u) in [(-3, 4), (0, 3), (1, 8), (-7, 0), (20, 27), (-1000, -993), (123, 124)] {
            let range = range(l, u, 0);
            let found = lines(function, std::slice::from_ref(&range)).expect("defined");
            let values = image(function, &range).expect("defined");
            let [below, above] = &found.lines[0];
            let mut gaps: [Option<Dyadic>; 4] = [const { None }; 4];
            for step in 0..=steps {
                let z = dyadic(l * steps + (u - l) * step, -12);
                let exact = value(function, &z);
                let here = [
                    exact.upper.minus(&at(&found, below, &z)),
                    at(&found, above, &z).minus(&exact.lower),
                    exact.upper.minus(&values.lower),
                    values.upper.minus(&exact.lower),
                ];
                for (gap, here) in gaps.iter_mut().zip(here) {
                    *gap = Some(gap.take().map_or(here.clone(), |gap| gap.min(here)));
                }
            }
            assert!(gaps.iter().flatten().all(|gap| *gap < near), "{function:?} on [{l}, {u}]: {gaps:?}");
        }
    }
}

#[test]
fn lines_enclose_on_extreme_ranges() {
    let most = (1i64 << 51) - 1;
    let ends = [-most, -(1 << 40), -77, -1, 0, 1, 5, 1 << 30, most];
    for function in ALL {
        for (l, u) in ends.iter().flat_map(|l| ends.iter().filter(move |u| l <= u).map(move |u| (*l, *u))) {
            if !defined(function, l, u) {
                continue;
            }
            for g in [-300, -51, -43, -20, 9, 60, 200] {
                let top = |v: i64| 64 - i64::from(v.unsigned_abs().leading_zeros()) + g;
                // The exponential of what is beyond that is refused.
                if function != Function::Exp || top(u) <= 12 && top(l) <= 12 {
                    encloses(function, l, u, g);
                }
            }
        }
    }
}

#[test]
fn functions_that_are_not_defined_are_refused() {
    for (function, l, u) in [
        (Function::Reciprocal, -1, 1),
        (Function::Reciprocal, 0, 1),
        (Function::Reciprocal, -1, 0),
        (Function::Reciprocal, 0, 0),
        (Function::Sqrt, -1, 1 << 40),
        (Function::Sqrt, -1, -1),
    ] {
        assert!(matches!(lines(function, &[range(l, u, -3)]), Err(Rejection::Domain(_))), "{function:?} on [{l}, {u}]");
    }
    assert!(matches!(lines(Function::Exp, &[range(0, 1 << 50, -20)]), Err(Rejection::Range)));
    assert!(matches!(lines(Function::Reciprocal, &[range(1, 2, -20_000)]), Err(Rejection::Range)));
}
