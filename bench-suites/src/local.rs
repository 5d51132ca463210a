//! Local robustness: the properties of one image.

use dashu_ratio::RBig;
use secateur_nn::property::{Ball, Case, LinearConstraint, Norm, Property};

/// A radius as exact number: a decimal like `0.03`, or a quotient like `8/255`.
pub fn radius(text: &str) -> Option<RBig> {
    let whole = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<RBig>().ok()).flatten()
    };
    let value = match text.split_once('/') {
        Some((above, below)) => {
            let below = whole(below).filter(|b| *b > RBig::ZERO)?;
            whole(above)? / below
        }
        None => {
            let (before, after) = text.split_once('.').unwrap_or((text, ""));
            let scale = (0..after.len()).fold(RBig::ONE, |scale, _| scale * RBig::from(10));
            whole(&format!("{before}{after}"))? / scale
        }
    };
    (value > RBig::ZERO).then_some(value)
}

/// The ball of the given radius around an image, in the norm given or else the maximum norm, cut to the range
/// $[0, 1]$ of pixels, on which class `class` must score above each of `others`.
pub fn property(
    centre: &[RBig],
    radius: &RBig,
    norm: Option<Norm>,
    outputs: usize,
    class: usize,
    others: &[usize],
) -> Property {
    let lower = centre.iter().map(|x| (x - radius).max(RBig::ZERO)).collect();
    let upper = centre.iter().map(|x| (x + radius).min(RBig::ONE)).collect();
    let beaten = |other: &usize| {
        let mut scores = vec![(class, RBig::ONE), (*other, -RBig::ONE)];
        scores.sort_by_key(|(index, _)| *index);
        vec![LinearConstraint { inputs: Vec::new(), outputs: scores, bound: RBig::ZERO, strict: false }]
    };
    let ball = norm.map(|norm| Ball { norm, centre: centre.to_vec(), radius: radius.clone() });
    let case = Case { lower, upper, ball, unsafe_set: others.iter().map(beaten).collect() };
    Property { inputs: centre.len(), outputs, cases: vec![case], declared: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radii_are_exact() {
        let ratio = |a: i32, b: u32| Some(RBig::from_parts(a.into(), b.into()));
        assert_eq!(radius("0.03"), ratio(3, 100));
        assert_eq!(radius("8/255"), ratio(8, 255));
        assert_eq!(radius(".5"), ratio(1, 2));
        assert_eq!(radius("2"), ratio(2, 1));
        for text in ["", "0", "-1", "0.0", "1/0", "x", "1e-3", "nan", "1/2/3", "."] {
            assert_eq!(radius(text), None, "{text}");
        }
    }

    #[test]
    fn the_box_stays_in_the_range_of_pixels() {
        let centre = [RBig::ZERO, RBig::ONE, RBig::from_parts(1.into(), 2u8.into())];
        let property = property(&centre, &RBig::from_parts(1.into(), 10u8.into()), None, 3, 2, &[0, 1]);
        let case = &property.cases[0];
        assert!(case.lower.iter().chain(&case.upper).all(|v| *v >= RBig::ZERO && *v <= RBig::ONE));
        assert_eq!(case.upper[0], RBig::from_parts(1.into(), 10u8.into()));
        assert_eq!(case.unsafe_set.len(), 2);
        // y_2 - y_0 <= 0 is unsafe.
        assert_eq!(case.unsafe_set[0][0].outputs, [(0, -RBig::ONE), (2, RBig::ONE)]);
    }
}
