//! Operators along axes: sums, means, softmax, batch normalisation.

use crate::error::Fault;
use crate::interval::{Dyadic, Interval};
use crate::layout::groups_without;
use crate::tensor::DyadicTensor;
use crate::transcendental::exp;
use dashu_int::IBig;

/// Sum over axes, exact.
pub fn sum(x: &DyadicTensor, axes: &[usize], shape: &[usize]) -> DyadicTensor {
    let groups = groups_without(x.shape(), axes);
    let total = |ends: &[IBig]| {
        let mut sums = vec![IBig::ZERO; shape.iter().product()];
        groups.iter().zip(ends).for_each(|(group, end)| sums[*group] += end);
        sums
    };
    let upper = (!x.is_exact()).then(|| total(x.upper()));
    DyadicTensor::new(shape.to_vec(), x.exponent(), total(x.lower()), upper)
}

/// Mean over axes: exact where the number of entries is a power of two, else with `bits` more bits.
///
/// # Errors
/// [`Fault::Domain`] when there are no entries.
pub fn mean(x: &DyadicTensor, axes: &[usize], shape: &[usize], bits: usize) -> Result<DyadicTensor, Fault> {
    let count: usize = axes.iter().map(|a| x.shape()[*a]).product();
    if count == 0 {
        return Err(Fault::Domain(0));
    }
    let sums = sum(x, axes, shape);
    let divisors = vec![count as u64; sums.len()];
    Ok(sums.divided(&divisors, bits))
}

/// $e^{a_i} / \sum_j e^{a_j}$ along an axis.
///
/// # Soundness
/// With $E_j = e^{a_j - c}$ for any $c$, the value is $E_i / (E_i + \sum_{j \ne i} E_j)$, which increases in $E_i$ and
/// decreases in the others; $c$ is an upper end of an argument that is largest.
///
/// # Errors
/// [`Fault::Domain`] when an argument spans more than $2^{20}$.
pub fn softmax(x: &DyadicTensor, axis: usize, bits: usize) -> Result<DyadicTensor, Fault> {
    let groups = groups_without(x.shape(), &[axis]);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.iter().max().map_or(0, |last| last + 1)];
    groups.iter().enumerate().for_each(|(i, group)| members[*group].push(i));
    let mut values = vec![Interval::point(Dyadic::zero()); x.len()];
    for group in members {
        let arguments: Vec<Interval> = group.iter().map(|i| x.interval(*i)).collect();
        let Some(largest) = arguments.iter().map(|a| a.upper.clone()).max() else {
            continue;
        };
        let largest = Interval::point(largest);
        let powers = (group.iter().zip(&arguments))
            .map(|(i, a)| exp(&a.minus(&largest), bits).map(|e| e.rounded(bits + 8)).ok_or(Fault::Domain(*i)))
            .collect::<Result<Vec<_>, _>>()?;
        let total = powers.iter().fold(Interval::point(Dyadic::zero()), |sum, e| sum.plus(e));
        for (i, e) in group.iter().zip(&powers) {
            let share = |own: &Dyadic, others: Dyadic| own.over(&own.plus(&others), bits).ok_or(Fault::Domain(*i));
            let lower = share(&e.lower, total.upper.minus(&e.upper))?.lower;
            let upper = share(&e.upper, total.lower.minus(&e.lower))?.upper;
            values[*i] = Interval::new(lower, upper);
        }
    }
    DyadicTensor::collect(x.shape().to_vec(), values, Some(bits))
}

/// $\gamma (a - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$ for each channel (axis 1).
///
/// # Errors
/// [`Fault::Domain`] when $\sigma^2 + \epsilon$ may not be positive.
pub fn batch_normalization(
    x: DyadicTensor,
    [scale, shift, mean, variance]: [&DyadicTensor; 4],
    epsilon: &Dyadic,
    bits: usize,
) -> Result<DyadicTensor, Fault> {
    let epsilon = Interval::point(epsilon.clone());
    let factors = (0..scale.len())
        .map(|c| {
            let deviation = variance.interval(c).plus(&epsilon).root(bits).ok_or(Fault::Domain(c))?;
            scale.interval(c).over(&deviation, bits).ok_or(Fault::Domain(c))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let per_channel: usize = x.shape()[2..].iter().product();
    let normalised = (0..x.len())
        .map(|i| {
            let c = i / per_channel % factors.len();
            x.interval(i).minus(&mean.interval(c)).times(&factors[c]).plus(&shift.interval(c))
        })
        .collect();
    DyadicTensor::collect(x.shape().to_vec(), normalised, None)
}
