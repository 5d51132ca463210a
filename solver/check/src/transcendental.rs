//! Enclosures of transcendental functions, by integers only.
//!
//! Every function takes an interval of dyadic numbers and returns one that holds all values, with a width of
//! about $2^{-\text{bits}}$ (relative for [`exp`], absolute for the others) when the argument is one point.
//! The proofs have three parts: a Taylor polynomial on a small argument with a bound of its remainder,
//! an identity that leads back to the argument, and outward rounding of each step by [`Interval`].

use crate::interval::{Dyadic, Interval};
use dashu_int::IBig;

/// Arguments of at least this magnitude, as a power of two, are not reduced: the value is enclosed coarsely.
const LARGE: i64 = 20;

/// Arguments are halved until they are below this power of two.
const SMALL: i64 = -8;

/// $\{e^x\}$; `None` when an argument is $2^{20}$ or more.
///
/// # Soundness
/// $e^x$ increases, so the ends suffice, and $e^{-x} = 1 / e^x$, so $x \ge 0$ suffices. Let $r = x / 2^k < 2^{-8}$.
/// $e^r = \sum_{n < N} r^n / n! + \rho$ with $0 \le \rho \le 2 r^N / N!$, because the ratio of successive terms
/// is below $1/2$. All terms are positive: rounding $r$ and each term down, or up, bounds the sum from below, or
/// above. Then $e^x = (e^r)^{2^k}$, by $k$ squarings of positive intervals. A squaring doubles the relative width,
/// so $k$ guard bits are carried. For $x \le -2^{20}$, $0 < e^x < 2^{-2^{20}}$ because $e > 2$.
pub fn exp(x: &Interval, bits: usize) -> Option<Interval> {
    let lower = exp_point(&x.lower, bits)?;
    if x.is_point() {
        return Some(lower);
    }
    Some(Interval::new(lower.lower, exp_point(&x.upper, bits)?.upper))
}

fn exp_point(x: &Dyadic, bits: usize) -> Option<Interval> {
    let Some(top) = x.top() else {
        return Some(Interval::point(Dyadic::one()));
    };
    if *x >= Dyadic::power_of_two(LARGE) {
        return None;
    }
    if *x <= Dyadic::power_of_two(LARGE).negated() {
        return Some(Interval::new(Dyadic::zero(), Dyadic::power_of_two(-(1 << LARGE))));
    }
    if x.is_negative() {
        let inverse = exp_point(&x.negated(), bits + 2)?;
        return Interval::point(Dyadic::one()).over(&inverse, bits + 2);
    }
    let halvings = usize::try_from(top - SMALL).unwrap_or(0);
    let working = bits + halvings + 16;
    let reduced = Dyadic::new(x.mantissa.clone(), x.exponent - halvings as i64);
    let mut value = exp_series(&reduced, working);
    for _ in 0..halvings {
        value = value.times(&value).rounded(working);
    }
    Some(value)
}

/// $e^r$ for $0 \le r < 2^{-8}$, in fixed point with `working` fractional bits.
fn exp_series(r: &Dyadic, working: usize) -> Interval {
    let scale = -(working as i64);
    let one = IBig::ONE << working;
    let (r_lower, r_upper) = (r.floor_at(scale), r.ceil_at(scale));
    let (mut term_lower, mut term_upper) = (one.clone(), one);
    let (mut sum_lower, mut sum_upper) = (IBig::ZERO, IBig::ZERO);
    let mut n = 0_u32;
    while term_upper > IBig::ONE {
        sum_lower += &term_lower;
        sum_upper += &term_upper;
        n += 1;
        // All are non-negative: integer division and shifts round down.
        term_lower = ((term_lower * &r_lower) >> working) / IBig::from(n);
        let product = term_upper * &r_upper;
        term_upper = crate::interval::ceil_shift(&product, working);
        term_upper = (term_upper + IBig::from(n) - IBig::ONE) / IBig::from(n);
    }
    // The remainder is at most twice the first term left out.
    sum_upper += term_upper * IBig::from(2);
    Interval::new(Dyadic::new(sum_lower, scale), Dyadic::new(sum_upper, scale))
}

/// $\{1 / (1 + e^{-x})\}$.
///
/// # Soundness
/// The function increases, so the ends suffice. With $E = e^{-|x|} \in (0, 1]$ it is $1 / (1 + E)$, decreasing in
/// $E$, for $x \ge 0$, and $E / (1 + E)$, increasing in $E$, for $x < 0$.
pub fn sigmoid(x: &Interval, bits: usize) -> Interval {
    let lower = sigmoid_point(&x.lower, bits);
    if x.is_point() { lower } else { Interval::new(lower.lower, sigmoid_point(&x.upper, bits).upper) }
}

fn sigmoid_point(x: &Dyadic, bits: usize) -> Interval {
    if bits <= FIXED_BITS {
        return sigmoid_fixed(x);
    }
    let working = bits + 4;
    let negative = x.is_negative();
    let magnitude = if negative { x.clone() } else { x.negated() };
    let unit = Interval::new(Dyadic::zero(), Dyadic::one());
    let Some(e) = exp_point(&magnitude, working) else {
        return unit;
    };
    let at = |e: &Dyadic| {
        let above = Dyadic::one().plus(e);
        if negative { e.over(&above, working) } else { Dyadic::one().over(&above, working) }
    };
    match (at(&e.lower), at(&e.upper)) {
        (Some(first), Some(last)) => {
            let (first, last) = if negative { (first, last) } else { (last, first) };
            Interval::new(first.lower, last.upper).rounded(working)
        }
        _ => unit,
    }
}

/// What the enclosures of [`sigmoid_fixed`] are good for.
const FIXED_BITS: usize = 54;

/// $\lfloor 2^{64} \ln 2 \rfloor$.
const LN_2: u128 = 0xB172_17F7_D1CF_79AB;

/// The same in fixed point: integers of 64 bits behind the point.
///
/// # Soundness
/// Let $t = |x|$ and $E = e^{-t} = 2^{-n} e^s$ with $s = n \ln 2 - t$ for the least $n$ that has $s > 0$ by the lower bound of
/// $\ln 2$; then $0 < s < 1$. The series of $e^s$ has positive terms, so rounding each down, or up, bounds the sum; what is left
/// out is at most twice its first term, since each is less than half of the one before. From $t = 64$ on,
/// $0 < E < 2^{-64}$. $E / (1 + E)$ increases in $E$, $1 / (1 + E) = 1 - E / (1 + E)$.
fn sigmoid_fixed(x: &Dyadic) -> Interval {
    const ONE: u128 = 1 << 64;
    let negative = x.is_negative();
    let t = if negative { x.negated() } else { x.clone() };
    let (lower, upper) = if t.top().is_some_and(|top| top > 6) {
        (0, 1)
    } else {
        // Below 2^71.
        let fit = |v: IBig| u128::try_from(v).unwrap_or(u128::MAX);
        let (t_lower, t_upper) = (fit(t.floor_at(-64)), fit(t.ceil_at(-64)));
        let n = t_upper / LN_2 + 1;
        let (s_lower, s_upper) = (n * LN_2 - t_upper, n * (LN_2 + 1) - t_lower);
        let (mut term_lower, mut term_upper) = (s_lower, s_upper);
        let (mut sum_lower, mut sum_upper) = (ONE, ONE);
        let mut k = 1u64;
        while term_upper > 1 {
            sum_lower += term_lower;
            sum_upper += term_upper;
            k += 1;
            // Both factors are below 2^64, and so is what the small divisor divides.
            term_lower = (((term_lower * s_lower) >> 64) as u64 / k).into();
            term_upper = (((term_upper * s_upper) >> 64) as u64 / k + 1).into();
        }
        sum_upper += 2 * term_upper;
        (sum_lower >> n, (sum_upper >> n) + 1)
    };
    // E is at most 1 and a little, so that it has 65 bits.
    let share = |e: u128| (e << 62) / (ONE + e);
    let (lower, upper) = (share(lower), share(upper) + 1);
    let (lower, upper) = if negative { (lower, upper) } else { ((1 << 62) - upper, (1 << 62) - lower) };
    let end = |v: u128| Dyadic::new(v.into(), -62);
    Interval::new(end(lower), end(upper))
}

/// $\{\tanh x\}$.
///
/// # Soundness
/// $\tanh x = 2 \sigma(2x) - 1$ with the logistic function $\sigma$ of [`sigmoid`].
pub fn tanh(x: &Interval, bits: usize) -> Interval {
    let double = |v: &Dyadic| Dyadic::new(v.mantissa.clone(), v.exponent + 1);
    let doubled = Interval { lower: double(&x.lower), upper: double(&x.upper) };
    let sigmoid = sigmoid(&doubled, bits + 2);
    let minus_one = Dyadic::one().negated();
    Interval::new(double(&sigmoid.lower).plus(&minus_one), double(&sigmoid.upper).plus(&minus_one))
}

/// $\{\sin x\}$.
///
/// # Soundness
/// See [`cos`]; the sine is odd.
pub fn sin(x: &Interval, bits: usize) -> Interval {
    around(x, bits, |at, bits| sin_cos(at, bits).0)
}

/// $\{\cos x\}$.
///
/// # Soundness
/// Both functions have slopes of magnitude at most 1, so on an interval the value at its lower end is widened by
/// its width. At a point $x \ge 0$ let $t = x / 2^k < 2^{-8}$. The Taylor polynomials of sine and cosine have a
/// remainder of magnitude at most the first term left out (Lagrange: the next derivative is at most 1 in
/// magnitude). Then $\sin 2t = 2 \sin t \cos t$ and $\cos 2t = \cos^2 t - \sin^2 t$, $k$ times, with a fixed number of
/// fractional bits. A doubling multiplies the error by little more than 4, so $2k$ guard bits are carried.
/// Nothing is known of $\pi$.
pub fn cos(x: &Interval, bits: usize) -> Interval {
    around(x, bits, |at, bits| sin_cos(at, bits).1)
}

/// $\sin x$ and $\cos x$ at a point.
///
/// # Soundness
/// See [`cos`].
pub fn sin_cos(x: &Dyadic, bits: usize) -> (Interval, Interval) {
    if x.top().is_some_and(|top| top > LARGE) {
        return (unit_ball(), unit_ball());
    }
    if !x.is_negative() {
        return series(x, bits);
    }
    let (sin, cos) = series(&x.negated(), bits);
    (sin.negated(), cos)
}

fn unit_ball() -> Interval {
    Interval { lower: Dyadic::one().negated(), upper: Dyadic::one() }
}

fn cut_to_unit(x: Interval) -> Interval {
    let ball = unit_ball();
    Interval { lower: x.lower.max(ball.lower), upper: x.upper.min(ball.upper) }
}

fn around(x: &Interval, bits: usize, f: impl Fn(&Dyadic, usize) -> Interval) -> Interval {
    let width = x.upper.minus(&x.lower);
    if [&x.lower, &x.upper, &width].iter().any(|v| v.top().is_some_and(|top| top > LARGE)) {
        return unit_ball();
    }
    let value = f(&x.lower, bits);
    cut_to_unit(Interval::new(value.lower.minus(&width), value.upper.plus(&width)))
}

/// Sine and cosine of $0 \le x < 2^{20}$, as integers in units of $2^{-w}$ with a common error in these units.
///
/// # Soundness
/// $T = \lfloor t 2^w \rfloor$ is off by less than 1, and the square by less than $2 t + 1 < 2$. A term that is off by at most 4
/// gives a product that is off by less than $4 \cdot 2^{-16} + 2 (1 + 4 \cdot 2^{-w}) < 3$, whose floor, divided by at least 2
/// and rounded down again, is off by less than 3. So $N$ terms are off by at most $4 N$, and the first one left out is at most 5.
/// Where both functions are off by at most $e$, doubled ones are off by at most $2 |s| e + 2 |c| e + 2 e^2 2^{-w} + 1$ with
/// $|s|, |c| \le 1$, rounding included; cutting to $[-1, 1]$ brings them no further away.
fn series(x: &Dyadic, bits: usize) -> (Interval, Interval) {
    let Some(top) = x.top() else {
        return (Interval::point(Dyadic::zero()), Interval::point(Dyadic::one()));
    };
    let halvings = usize::try_from(top - SMALL).unwrap_or(0);
    let working = bits + 2 * halvings + 16;
    let scale = -(working as i64);
    let one = IBig::ONE << working;
    let t = x.floor_at(scale + halvings as i64);
    let square: IBig = (&t * &t) >> working;
    let (mut sin, terms_of_sin) = alternating(t, &square, 1, working);
    let (mut cos, terms_of_cos) = alternating(one.clone(), &square, 0, working);
    let mut error = IBig::from(4 * terms_of_sin.max(terms_of_cos) + 5);
    let cut = |v: IBig| v.clamp(-one.clone(), one.clone());
    for _ in 0..halvings {
        let product: IBig = (&sin * &cos) >> (working - 1);
        let difference: IBig = (&cos * &cos - &sin * &sin) >> working;
        (sin, cos) = (cut(product), cut(difference));
        let square: IBig = (&error * &error) >> (working - 1);
        error = error * IBig::from(4) + square + IBig::from(2);
    }
    let enclosed =
        |v: IBig| cut_to_unit(Interval::new(Dyadic::new(&v - &error, scale), Dyadic::new(v + &error, scale)));
    (enclosed(sin), enclosed(cos))
}

/// $a_0 - a_1 + a_2 - \dots$ with $a_{n+1} = a_n\, t^2 / ((d + 1)(d + 2))$ at degree $d$, up to the first term of at most one
/// unit, and the number of terms.
fn alternating(first: IBig, square: &IBig, degree: u32, working: usize) -> (IBig, usize) {
    let (mut sum, mut term, mut degree, mut terms) = (IBig::ZERO, first, degree, 0);
    while term > IBig::ONE {
        if terms % 2 == 0 {
            sum += &term;
        } else {
            sum -= &term;
        }
        // All are non-negative: shifts and division round down.
        term = ((term * square) >> working) / IBig::from((degree + 1) * (degree + 2));
        (degree, terms) = (degree + 2, terms + 1);
    }
    (sum, terms)
}
