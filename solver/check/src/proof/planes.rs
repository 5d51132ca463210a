//! Planes below and above a product on a rectangle, in integers.
//!
//! For every corner $(p, q)$ of $[l, u] \times [l', u']$, $x y - (q x + p y - p q) = (x - p)(y - q)$ has one sign on the rectangle:
//! the planes of $(l, l')$ and $(u, u')$ lie below, those of $(l, u')$ and $(u, l')$ above. Slopes here are a mixture of the two,
//! rounded; whatever slopes $s, s'$ are, $x y - s x - s' y$ is linear in each of $x$ and $y$, so it is least, and greatest, at
//! a corner, and that number is the intercept.
//!
//! # Source
//! McCormick, *Computability of global solutions to factorable nonconvex programs*, 1976.

use super::format::{SLOPE_BITS, WHOLE};

/// Bits of an intercept that are dropped.
pub const DROPPED: i64 = 42;

/// $s x + s' y + t$: with the factors in units of $2^g$ and $2^{g'}$, $s$ is in units of $2^{g'}$, $s'$ in units of $2^g$, and $t$ in
/// units of $2^{g + g' + 42}$.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// $s$.
    pub left: i64,
    /// $s'$.
    pub right: i64,
    /// $t$.
    pub intercept: i64,
}

/// The plane below or above the product, with a share (in $2^{-24}$) of the second corner's. Ends have at most 51 bits.
pub fn plane((l, u): (i64, i64), (l2, u2): (i64, i64), share: i64, below: bool) -> Plane {
    let mix = |a: i64, b: i64| {
        let sum = i128::from(a) * i128::from(WHOLE - share) + i128::from(b) * i128::from(share);
        sum >> SLOPE_BITS
    };
    let (left, right) = if below { (mix(l2, u2), mix(l, u)) } else { (mix(u2, l2), mix(l, u)) };
    // 102 bits each, and the sum of three.
    let height = |x: i64, y: i64| i128::from(x) * i128::from(y) - left * i128::from(x) - right * i128::from(y);
    let corners = [height(l, l2), height(l, u2), height(u, l2), height(u, u2)];
    let intercept = if below {
        corners.into_iter().fold(i128::MAX, i128::min) >> DROPPED
    } else {
        -(-corners.into_iter().fold(i128::MIN, i128::max) >> DROPPED)
    };
    let fit = |v: i128| i64::try_from(v).expect("ends have 51 bits");
    Plane { left: fit(left), right: fit(right), intercept: fit(intercept) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dashu_int::IBig;

    #[test]
    fn planes_enclose_products_on_every_corner() {
        let most = (1i64 << 51) - 1;
        let ends = [-most, -(1 << 50) - 12345, -77, -1, 0, 1, 3, 1 << 33, most];
        let ranges: Vec<(i64, i64)> =
            ends.iter().flat_map(|l| ends.iter().filter(move |u| l <= u).map(move |u| (*l, *u))).collect();
        for x in &ranges {
            for y in &ranges {
                for share in [0, 1, WHOLE / 2, WHOLE / 3, WHOLE] {
                    let (low, high) = (plane(*x, *y, share, true), plane(*x, *y, share, false));
                    for (p, q) in
                        [(x.0, y.0), (x.0, y.1), (x.1, y.0), (x.1, y.1), ((x.0 / 2 + x.1 / 2).clamp(x.0, x.1), y.0)]
                    {
                        let at = |plane: Plane| {
                            IBig::from(plane.left) * IBig::from(p)
                                + IBig::from(plane.right) * IBig::from(q)
                                + (IBig::from(plane.intercept) << DROPPED as usize)
                        };
                        let product = IBig::from(p) * IBig::from(q);
                        assert!(at(low) <= product && product <= at(high), "{x:?} {y:?} {share} at ({p}, {q})");
                    }
                }
                // Mixtures touch at their corners but for rounding, which slopes multiply.
                let first = plane(*x, *y, 0, true);
                assert_eq!((first.left, first.right), (y.0, x.0));
            }
        }
    }
}
