//! Sine and cosine on an interval, in integers.
//!
//! An interval is cut near the multiples of $\pi / 2$, and where the function is 0 there, on both sides. What a piece is follows
//! from the values at its ends alone: where both are at least 0 and the piece is no wider than $3 < \pi$, so is the function
//! between them, since it is negative on open intervals of width $\pi$; and as $\sigma'' = -\sigma$, it is concave there, so that
//! $\sigma(z) - s z$ is least at an end. Where both are at most 0 it is convex, and a tangent lies below. Around a zero, and where
//! an approximation of $\pi$ were wrong, $|\sigma''| \le 1$ gives, for $|z - m| \le w$,
//! $$ \sigma(z) - s z \;\ge\; \sigma(m) - s m - |\sigma'(m) - s|\, w - w^2 / 2. $$

use super::curves::{BITS, Side, Touch, inside, times};
use super::network::Function;
use super::rejection::Rejection;
use crate::interval::{Dyadic, Interval};
use crate::transcendental::sin_cos;

/// Intervals that are wider than this to the power of two have all angles.
const WIDEST: i64 = 3;

/// Arguments beyond this power of two are not told apart.
const FAR: i64 = 20;

/// About $\pi / 2$ in units of $2^{-62}$.
const QUARTER: i128 = 0x6487_ED51_10B4_611A;

/// How far from a zero pieces end, in these units: more than a million multiples are off by.
const ASIDE: i128 = 1 << 26;

/// Slopes that differ by less than two to this power are as good as equal.
const CLOSE: i64 = -36;

/// Bits behind the point of a step to where the slope is a given one, and such steps.
const STEP_BITS: i64 = 60;
const STEPS: usize = 40;

/// Sine or cosine, or its negative.
#[derive(Clone, Copy)]
struct Wave {
    function: Function,
    negative: bool,
}

/// Sine or cosine at a point, with its derivative.
pub(super) fn touch(function: Function, z: &Dyadic) -> Touch {
    let (sine, cosine) = sin_cos(z, BITS);
    let (value, first) = if function == Function::Sin { (sine, cosine) } else { (cosine, sine.negated()) };
    Touch { at: z.clone(), value, first }
}

impl Wave {
    fn signed(self, touch: Touch) -> Touch {
        if !self.negative {
            return touch;
        }
        Touch { at: touch.at, value: touch.value.negated(), first: touch.first.negated() }
    }

    fn at(self, z: &Dyadic) -> Touch {
        self.signed(touch(self.function, z))
    }
}

/// An interval with the places where it is cut, its ends among them; none if it has all angles, or is far out.
pub(super) struct Waves {
    function: Function,
    l: Dyadic,
    u: Dyadic,
    cuts: Vec<Touch>,
}

impl Waves {
    /// Looks at sine or cosine on $[l, u]$.
    pub(super) fn new(function: Function, l: &Dyadic, u: &Dyadic) -> Self {
        let beyond = |v: &Dyadic, most: i64| v.top().is_some_and(|top| top > most);
        let all = beyond(&u.minus(l), WIDEST) || beyond(l, FAR) || beyond(u, FAR);
        let turn = |v: &Dyadic| i128::try_from(v.floor_at(-62)).ok().map(|v| v.div_euclid(QUARTER));
        let mut cuts = Vec::new();
        if let (false, Some(first), Some(last)) = (all, turn(l), turn(u)) {
            let even_is_zero = function == Function::Sin;
            let near = |k: i128| match (k % 2 == 0) == even_is_zero {
                true => vec![k * QUARTER - ASIDE, k * QUARTER + ASIDE],
                false => vec![k * QUARTER],
            };
            let inside = (first..=last + 1).flat_map(near).map(|at| Dyadic::new(at.into(), -62));
            cuts.push(touch(function, l));
            cuts.extend(inside.filter(|at| l < at && at < u).map(|at| touch(function, &at)));
            cuts.push(touch(function, u));
        }
        Self { function, l: l.clone(), u: u.clone(), cuts }
    }

    /// All values.
    pub(super) fn values(&self) -> Result<Interval, Rejection> {
        let (one, zero) = (Dyadic::one(), Dyadic::zero());
        let low = self.least(false, &zero)?.max(one.negated());
        let high = self.least(true, &zero)?.negated().min(one);
        Ok(Interval::new(low, high))
    }

    /// A lower bound of $\sigma(z) - s z$, where $\sigma$ is the function or its negative.
    pub(super) fn least(&self, negative: bool, s: &Dyadic) -> Result<Dyadic, Rejection> {
        let wave = Wave { function: self.function, negative };
        let far = times(s, &self.l).lower.max(times(s, &self.u).lower).negated().plus(&Dyadic::one().negated());
        let cuts: Vec<Touch> = self.cuts.iter().map(|touch| wave.signed(touch.clone())).collect();
        let pieces = cuts.windows(2).map(|ends| on_piece(wave, &ends[0], &ends[1], s));
        let found = pieces.collect::<Result<Vec<_>, _>>()?.into_iter().min();
        Ok(found.map_or_else(|| far.clone(), |found| found.round_down(96).max(far.clone())))
    }
}

fn half(v: Dyadic) -> Dyadic {
    Dyadic::new(v.mantissa, v.exponent - 1)
}

/// The same between two places.
fn on_piece(wave: Wave, a: &Touch, b: &Touch, s: &Dyadic) -> Result<Dyadic, Rejection> {
    let width = b.at.minus(&a.at);
    let height = |touch: &Touch| touch.value.minus(&times(s, &touch.at)).lower;
    let short = width <= Dyadic::new(3.into(), 0);
    let (above, below) = (|t: &Touch| !t.value.lower.is_negative(), |t: &Touch| t.value.upper <= Dyadic::zero());
    if short && above(a) && above(b) {
        return Ok(height(a).min(height(b)));
    }
    if short && below(a) && below(b) {
        return inside(&turn(wave, a, b, s), Side::Below, s, &a.at, &b.at);
    }
    let (middle, w) = (wave.at(&half(a.at.plus(&b.at))), half(width));
    let tilt = middle.first.minus(&Interval::point(s.clone()));
    let steep = tilt.upper.max(tilt.lower.negated());
    Ok(height(&middle).minus(&steep.times(&w)).minus(&half(w.times(&w))))
}

/// About where a convex function has the slope $s$, or the end that is nearer to that, by Newton's method.
fn turn(wave: Wave, a: &Touch, b: &Touch, s: &Dyadic) -> Touch {
    let excess = |touch: &Touch| touch.first.lower.minus(s);
    let small = |v: &Dyadic| v.top().is_none_or(|top| top < CLOSE);
    let (at_a, at_b) = (excess(a), excess(b));
    if !at_a.is_negative() || small(&at_a) {
        return a.clone();
    }
    if at_b.is_negative() || small(&at_b) {
        return b.clone();
    }
    let (mut low, mut high) = (a.at.clone(), b.at.clone());
    let mut touch = wave.at(&half(low.plus(&high)));
    for count in 1..=STEPS {
        let excess = excess(&touch);
        if small(&excess) {
            break;
        }
        // The second derivative is minus the value.
        let step = excess.over(&touch.value.lower.negated(), BITS);
        *(if excess.is_negative() { &mut low } else { &mut high }) = touch.at.clone();
        let next = step.map(|step| Dyadic::new(touch.at.minus(&step.lower).floor_at(-STEP_BITS), -STEP_BITS));
        // Where Newton's steps stay on one side, halving goes on.
        let next = next.filter(|next| count % 4 > 0 && low < *next && *next < high);
        touch = wave.at(&next.unwrap_or_else(|| half(low.plus(&high))));
    }
    touch
}
