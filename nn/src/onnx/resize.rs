//! Enlarging by whole factors with the nearest neighbour.

use super::fault::OnnxFault;
use super::translate::Call;
use crate::op::{Op, Value};
use secateur_linalg::Tensor;

/// Translates a node of this family; false when it is of another.
pub fn translate(call: &mut Call) -> Result<bool, OnnxFault> {
    let op = call.op();
    if op != "Upsample" && op != "Resize" {
        return Ok(false);
    }
    call.attributes.expect_text("mode", "nearest")?;
    let argument = call.input(0)?;
    let shape = call.shape(&argument);
    let mut rule = Rule { coordinates: "asymmetric".to_owned(), rounding: "floor".to_owned() };
    let factors = if op == "Upsample" && call.opset() < 9 {
        let Some(scales) = call.attributes.floats("scales")? else {
            return Err(OnnxFault::MissingAttribute { node: call.place.node.clone(), op, attribute: "scales" });
        };
        scales.into_iter().map(f64::from).collect()
    } else if op == "Upsample" || call.opset() < 11 {
        scales(call, 1)?
    } else {
        rule = Rule::of(call)?;
        call.optional(1);
        let scales = scales(call, 2)?;
        let sizes = call.optional_ints(3)?;
        let axes = call.attributes.ints("axes")?;
        whole_shape(call, &shape, scales, sizes, axes)?
    };
    let factors = whole_factors(call, &factors, &shape)?;
    let sources: Vec<_> = (0..shape.len()).map(|axis| rule.sources(shape[axis], factors[axis])).collect();
    let repeats = |axis: usize| {
        sources[axis].as_ref().is_some_and(|s| s.iter().enumerate().all(|(i, v)| *v == i / factors[axis]))
    };
    if (0..shape.len()).all(repeats) {
        call.emit(Op::Upsample { factors }, vec![argument])?;
        return Ok(true);
    }
    // Other roundings pick other neighbours: gather along one axis after the other.
    let mut result = argument;
    for (axis, source) in sources.into_iter().enumerate().filter(|(axis, _)| factors[*axis] != 1) {
        let indices = source.ok_or_else(|| call.place.setting("coordinate_transformation_mode", &*rule.coordinates))?;
        let op = Op::Gather { axis, indices: Tensor::vector(indices) };
        result = call.step(&format!("axis {axis}"), op, vec![result])?;
    }
    call.alias(result);
    Ok(true)
}

/// The factors in an input of floats; empty when it is left out.
fn scales(call: &mut Call, position: usize) -> Result<Vec<f64>, OnnxFault> {
    match call.optional_value(position)? {
        None => Ok(Vec::new()),
        Some(value @ (Value::F32(_) | Value::F64(_))) => Ok(value.to_f64().unwrap_or_default()),
        Some(other) => Err(call.place.setting("scales", format!("{:?}", other.element_type()))),
    }
}

/// One factor per axis from scales or sizes of all axes, or of `axes`.
fn whole_shape(
    call: &Call,
    shape: &[usize],
    scales: Vec<f64>,
    sizes: Option<Vec<i64>>,
    axes: Option<Vec<i64>>,
) -> Result<Vec<f64>, OnnxFault> {
    let sizes = sizes.unwrap_or_default();
    let axes = match axes {
        Some(axes) => axes.iter().map(|a| call.place.axis(*a, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).collect(),
    };
    let given = if scales.is_empty() {
        axes.iter().zip(&sizes).map(|(axis, size)| *size as f64 / shape[*axis] as f64).collect()
    } else {
        scales
    };
    let both = given.len() != axes.len() || !(sizes.is_empty() || sizes.len() == axes.len());
    if both {
        return Err(call.place.misfit("sizes", &sizes, shape));
    }
    let mut factors = vec![1.0; shape.len()];
    axes.into_iter().zip(given).for_each(|(axis, factor)| factors[axis] = factor);
    Ok(factors)
}

fn whole_factors(call: &Call, factors: &[f64], shape: &[usize]) -> Result<Vec<usize>, OnnxFault> {
    let whole = |f: &f64| (*f >= 1.0 && *f <= 65536.0 && f.fract() == 0.0).then_some(*f as usize);
    let all: Option<Vec<_>> = factors.iter().map(whole).collect();
    let all = all.filter(|f| f.len() == shape.len());
    // The index lists below are as long as the result's axes.
    let fits = |f: &Vec<usize>| f.iter().zip(shape).all(|(f, n)| f.checked_mul(*n).is_some_and(|m| m <= 1 << 20));
    all.filter(fits).ok_or_else(|| call.place.setting("scales", format!("{factors:?}")))
}

/// Which input entry an output entry is nearest to.
struct Rule {
    coordinates: String,
    rounding: String,
}

impl Rule {
    fn of(call: &mut Call) -> Result<Self, OnnxFault> {
        for unused in ["cubic_coeff_a", "extrapolation_value", "exclude_outside", "antialias"] {
            call.attributes.ignore(unused);
        }
        call.attributes.expect_text("keep_aspect_ratio_policy", "stretch")?;
        let text = |found: Option<String>, default: &str| found.unwrap_or_else(|| default.to_owned());
        let coordinates = text(call.attributes.text("coordinate_transformation_mode")?, "half_pixel");
        let rounding = text(call.attributes.text("nearest_mode")?, "round_prefer_floor");
        // Others move entries even where nothing is enlarged.
        if !["asymmetric", "align_corners", "half_pixel", "pytorch_half_pixel"].contains(&&*coordinates) {
            return Err(call.place.setting("coordinate_transformation_mode", coordinates));
        }
        if !["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"].contains(&&*rounding) {
            return Err(call.place.setting("nearest_mode", rounding));
        }
        Ok(Self { coordinates, rounding })
    }

    /// For every output position along an axis, the input position; `None` for rules not supported.
    ///
    /// With whole factors $f$ a position is the fraction $p / 2f$, so all is done in integers:
    /// $p = 2i$ (asymmetric) or $2i + 1 - f$ (half pixel).
    fn sources(&self, extent: usize, factor: usize) -> Option<Vec<usize>> {
        let (extent, factor) = (i64::try_from(extent).ok()?, i64::try_from(factor).ok()?);
        let unit = 2 * factor;
        let source = |i: i64| {
            let position = match self.coordinates.as_str() {
                "asymmetric" => 2 * i,
                "align_corners" if factor == 1 => 2 * i,
                "half_pixel" => 2 * i + 1 - factor,
                "pytorch_half_pixel" if extent * factor > 1 => 2 * i + 1 - factor,
                "pytorch_half_pixel" => 0,
                _ => return None,
            };
            let floor = |p: i64| p.div_euclid(unit);
            let nearest = match self.rounding.as_str() {
                "floor" => floor(position),
                "ceil" => -floor(-position),
                "round_prefer_floor" => -floor(factor - position),
                "round_prefer_ceil" => floor(position + factor),
                _ => return None,
            };
            usize::try_from(nearest.clamp(0, extent - 1)).ok()
        };
        (0..extent * factor).map(source).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_follow_the_rule() {
        let table = [
            ("asymmetric", "floor", 3, vec![0, 0, 0, 1, 1, 1]),
            ("half_pixel", "round_prefer_floor", 3, vec![0, 0, 0, 1, 1, 1]),
            ("half_pixel", "round_prefer_ceil", 2, vec![0, 0, 1, 1]),
            ("asymmetric", "round_prefer_floor", 3, vec![0, 0, 1, 1, 1, 1]),
            ("asymmetric", "ceil", 2, vec![0, 1, 1, 1]),
            ("half_pixel", "floor", 2, vec![0, 0, 0, 1]),
        ];
        for (coordinates, rounding, factor, expected) in table {
            let rule = Rule { coordinates: coordinates.to_owned(), rounding: rounding.to_owned() };
            assert_eq!(rule.sources(2, factor).unwrap(), expected, "{coordinates} {rounding}");
        }
        let corners = Rule { coordinates: "align_corners".to_owned(), rounding: "floor".to_owned() };
        assert_eq!(corners.sources(2, 2), None);
    }
}
