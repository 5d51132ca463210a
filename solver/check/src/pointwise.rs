//! Operators that act entry by entry, with NumPy's broadcasting.

use crate::error::Fault;
use crate::float::{Decoded, decode_f32, decode_f64};
use crate::interval::{Dyadic, Interval, floor_shift};
use crate::layout::broadcast_offsets;
use crate::tensor::DyadicTensor;
use crate::transcendental::{cos, exp, sigmoid, sin, tanh};
use dashu_base::Sign;
use dashu_int::IBig;
use secateur_nn::op::Op;

/// The largest exponent that `Pow` takes.
pub const MAX_POWER: u32 = 64;

fn attribute(decoded: Option<Decoded>) -> Result<Dyadic, Fault> {
    decoded.map(Dyadic::from).ok_or(Fault::NotFinite(0))
}

/// An operator of one argument. `None` for the operators of other families.
///
/// # Errors
/// See [`Fault`].
pub fn unary(op: &Op, x: &DyadicTensor, bits: usize) -> Option<Result<DyadicTensor, Fault>> {
    let enclosed = |f: &dyn Fn(&Interval) -> Option<Interval>| {
        let values = x.intervals().enumerate().map(|(i, v)| f(&v).ok_or(Fault::Domain(i))).collect::<Result<_, _>>()?;
        DyadicTensor::collect(x.shape().to_vec(), values, Some(bits))
    };
    let same = |f: &dyn Fn(IBig) -> IBig| Ok(x.clone().increasing(x.exponent(), f));
    Some(match op {
        Op::Neg => {
            let negated = |ends: &[IBig]| ends.iter().map(|m| -m).collect::<Vec<_>>();
            let upper = (!x.is_exact()).then(|| negated(x.lower()));
            Ok(DyadicTensor::new(x.shape().to_vec(), x.exponent(), negated(x.upper()), upper))
        }
        Op::Relu => same(&|m| m.max(IBig::ZERO)),
        Op::LeakyRelu { slope } => attribute(decode_f32(*slope)).and_then(|slope| leaky_relu(x.clone(), &slope)),
        Op::Clip { min, max } => clip(x.clone(), *min, *max),
        Op::Sign => Ok(x.clone().increasing(0, |m| match m.sign() {
            _ if m.is_zero() => IBig::ZERO,
            Sign::Positive => IBig::ONE,
            Sign::Negative => IBig::NEG_ONE,
        })),
        Op::Floor if x.exponent() >= 0 => Ok(x.clone()),
        Op::Floor => {
            // Numbers of fewer bits than the shift are below 1 in magnitude: their floor is 0 or -1.
            let shift = usize::try_from(x.exponent().unsigned_abs()).unwrap_or(usize::MAX).min(x.bits() + 1);
            Ok(x.clone().increasing(0, |m| floor_shift(&m, shift)))
        }
        Op::Sigmoid => enclosed(&|v| Some(sigmoid(v, bits))),
        Op::Tanh => enclosed(&|v| Some(tanh(v, bits))),
        Op::Sin => enclosed(&|v| Some(sin(v, bits))),
        Op::Cos => enclosed(&|v| Some(cos(v, bits))),
        Op::Exp => enclosed(&|v| exp(v, bits)),
        Op::Sqrt => enclosed(&|v| v.root(bits)),
        _ => return None,
    })
}

/// Both branches are linear with a break at 0, so on an interval the extremes are at its ends or at 0.
fn leaky_relu(x: DyadicTensor, slope: &Dyadic) -> Result<DyadicTensor, Fault> {
    let unit = slope.exponent.min(0);
    let (one, slope) = (Dyadic::one().mantissa_at(unit), slope.mantissa_at(unit));
    let exponent = x.exponent() + unit;
    let at = |m: &IBig| {
        if m.sign() == Sign::Positive { m * &one } else { m * &slope }
    };
    let (mut lower, mut upper) = (Vec::with_capacity(x.len()), Vec::with_capacity(x.len()));
    for (l, u) in x.lower().iter().zip(x.upper()) {
        let (mut least, mut most) = (at(l).min(at(u)), at(l).max(at(u)));
        if l.sign() != u.sign() {
            least = least.min(IBig::ZERO);
            most = most.max(IBig::ZERO);
        }
        lower.push(least);
        upper.push(most);
    }
    let upper = (!x.is_exact()).then_some(upper);
    Ok(DyadicTensor::new(x.shape().to_vec(), exponent, lower, upper))
}

/// $\min(\max(a, \text{min}), \text{max})$.
fn clip(x: DyadicTensor, min: Option<f64>, max: Option<f64>) -> Result<DyadicTensor, Fault> {
    // A limit that is infinite on its own side limits nothing.
    let limit = |value: Option<f64>, none: f64| match value {
        Some(value) if value != none => attribute(decode_f64(value)).map(Some),
        _ => Ok(None),
    };
    let (min, max) = (limit(min, f64::NEG_INFINITY)?, limit(max, f64::INFINITY)?);
    let exponent = [&min, &max].into_iter().flatten().map(|d| d.exponent).fold(x.exponent(), i64::min);
    let x = x.at_exponent(exponent)?;
    let [min, max] = [min, max].map(|d| d.map(|d| d.mantissa_at(exponent)));
    Ok(x.increasing(exponent, |m| {
        let raised = min.as_ref().map_or(m.clone(), |min| m.max(min.clone()));
        max.as_ref().map_or(raised.clone(), |max| raised.min(max.clone()))
    }))
}

fn broadcast(x: DyadicTensor, shape: &[usize]) -> Result<DyadicTensor, Fault> {
    if x.shape() == shape {
        return Ok(x);
    }
    let sources: Vec<Option<usize>> = broadcast_offsets(x.shape(), shape).into_iter().map(Some).collect();
    x.gather(shape.to_vec(), &sources, &Dyadic::zero())
}

/// An operator of two arguments with the result's shape. `None` for the operators of other families.
///
/// # Errors
/// See [`Fault`].
pub fn binary(
    op: &Op,
    a: DyadicTensor,
    b: DyadicTensor,
    shape: &[usize],
    bits: usize,
) -> Option<Result<DyadicTensor, Fault>> {
    let aligned = |f: &dyn Fn(&IBig, &IBig) -> IBig, crossed: bool| {
        let (a, b) = DyadicTensor::common(broadcast(a.clone(), shape)?, broadcast(b.clone(), shape)?)?;
        let ends = |x: &[IBig], y: &[IBig]| x.iter().zip(y).map(|(x, y)| f(x, y)).collect::<Vec<_>>();
        let (against_lower, against_upper) = if crossed { (b.upper(), b.lower()) } else { (b.lower(), b.upper()) };
        let upper = (!(a.is_exact() && b.is_exact())).then(|| ends(a.upper(), against_upper));
        Ok(DyadicTensor::new(shape.to_vec(), a.exponent(), ends(a.lower(), against_lower), upper))
    };
    Some(match op {
        Op::Add => aligned(&|x, y| x + y, false),
        Op::Sub => aligned(&|x, y| x - y, true),
        Op::Min => aligned(&|x, y| x.min(y).clone(), false),
        Op::Max => aligned(&|x, y| x.max(y).clone(), false),
        Op::Mul => multiply(a, b, shape),
        Op::Div => divide(a, b, shape, bits),
        Op::Pow => power(a, b, shape, bits),
        _ => return None,
    })
}

fn multiply(a: DyadicTensor, b: DyadicTensor, shape: &[usize]) -> Result<DyadicTensor, Fault> {
    let (a, b) = (broadcast(a, shape)?, broadcast(b, shape)?);
    let exponent = a.exponent() + b.exponent();
    if a.is_exact() && b.is_exact() {
        let products = a.lower().iter().zip(b.lower()).map(|(x, y)| x * y).collect();
        return Ok(DyadicTensor::new(shape.to_vec(), exponent, products, None));
    }
    let products = a.intervals().zip(b.intervals()).map(|(x, y)| x.times(&y));
    let (lower, upper) = products.map(|p| (p.lower.mantissa, p.upper.mantissa)).unzip();
    Ok(DyadicTensor::new(shape.to_vec(), exponent, lower, Some(upper)))
}

/// Exact where every divisor is a power of two, else rounded outward to `bits` bits.
fn divide(a: DyadicTensor, b: DyadicTensor, shape: &[usize], bits: usize) -> Result<DyadicTensor, Fault> {
    let (a, b) = (broadcast(a, shape)?, broadcast(b, shape)?);
    let needed = bits.max(a.bits());
    let quotients = (a.intervals().zip(b.intervals()).enumerate())
        .map(|(i, (x, y))| x.over(&y, needed).ok_or(Fault::Domain(i)))
        .collect::<Result<Vec<_>, _>>()?;
    DyadicTensor::collect(shape.to_vec(), quotients, None)
}

/// The magnitude of an exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exponent {
    /// A whole number up to [`MAX_POWER`].
    Whole(u32),
    /// $1/2$.
    Half,
}

/// A known exponent: its magnitude, and whether it is negative.
///
/// # Errors
/// [`Fault::Unsupported`] for other numbers.
pub fn exponent(value: &Interval) -> Result<(Exponent, bool), Fault> {
    let (negative, size) = match value.lower.is_negative() {
        true => (true, value.lower.negated()),
        false => (false, value.lower.clone()),
    };
    let whole = || u32::try_from(size.floor_at(0)).ok().filter(|n| *n <= MAX_POWER);
    let known = if !value.is_point() {
        None
    } else if size == Dyadic::power_of_two(-1) {
        Some(Exponent::Half)
    } else {
        whole().filter(|n| Dyadic::new((*n).into(), 0) == size).map(Exponent::Whole)
    };
    known.map(|exponent| (exponent, negative)).ok_or(Fault::Unsupported)
}

/// $\{x^n\}$.
pub fn whole_power(x: &Interval, n: u32) -> Interval {
    let at = |v: &Dyadic| Dyadic::new(v.mantissa.pow(n as usize), v.exponent * i64::from(n));
    let (first, last) = (at(&x.lower), at(&x.upper));
    let straddles = n > 0 && n.is_multiple_of(2) && x.holds_zero();
    let lower = if straddles { Dyadic::zero() } else { first.clone().min(last.clone()) };
    Interval::new(lower, first.max(last))
}

/// $a^n$ for the exponents that [`exponent`] takes.
fn power(a: DyadicTensor, b: DyadicTensor, shape: &[usize], bits: usize) -> Result<DyadicTensor, Fault> {
    let (a, b) = (broadcast(a, shape)?, broadcast(b, shape)?);
    let one = Interval::point(Dyadic::one());
    let powers = (a.intervals().zip(b.intervals()).enumerate())
        .map(|(i, (x, n))| {
            let (exponent, negative) = exponent(&n)?;
            let value = match exponent {
                Exponent::Whole(n) => whole_power(&x, n),
                Exponent::Half => x.root(bits).ok_or(Fault::Domain(i))?,
            };
            if negative { one.over(&value, bits).ok_or(Fault::Domain(i)) } else { Ok(value) }
        })
        .collect::<Result<Vec<_>, _>>()?;
    DyadicTensor::collect(shape.to_vec(), powers, None)
}
