//! Convolutions and pools.

use super::fault::OnnxFault;
use super::translate::Call;
use crate::op::{Op, Window};

/// Translates a node of this family; false when it is of another.
pub fn translate(call: &mut Call) -> Result<bool, OnnxFault> {
    match call.op().as_str() {
        "Conv" => conv(call)?,
        "ConvTranspose" => conv_transpose(call)?,
        "MaxPool" => {
            // The order in which indices would be numbered; they are a second output.
            call.attributes.ignore("storage_order");
            let argument = call.input(0)?;
            let ceil_mode = call.attributes.flag("ceil_mode")?;
            let window = Geometry::new(call, None, call.shape(&argument))?.forward(call, ceil_mode)?;
            call.emit(Op::MaxPool { window, ceil_mode }, vec![argument])?;
        }
        "AveragePool" => {
            let argument = call.input(0)?;
            let ceil_mode = call.attributes.flag("ceil_mode")?;
            let count_include_pad = call.attributes.flag("count_include_pad")?;
            let window = Geometry::new(call, None, call.shape(&argument))?.forward(call, ceil_mode)?;
            call.emit(Op::AveragePool { window, ceil_mode, count_include_pad }, vec![argument])?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn groups(call: &mut Call) -> Result<usize, OnnxFault> {
    let group = call.attributes.int("group")?.unwrap_or(1);
    usize::try_from(group).map_err(|_| call.place.setting("group", group.to_string()))
}

fn conv(call: &mut Call) -> Result<(), OnnxFault> {
    let mut arguments = vec![call.input(0)?, call.input(1)?];
    arguments.extend(call.optional(2));
    let groups = groups(call)?;
    let kernel = call.shape(&arguments[1]).get(2..).map(<[usize]>::to_vec);
    let window = Geometry::new(call, kernel, call.shape(&arguments[0]))?.forward(call, false)?;
    call.emit(Op::Conv { window, groups }, arguments)
}

fn conv_transpose(call: &mut Call) -> Result<(), OnnxFault> {
    let mut arguments = vec![call.input(0)?, call.input(1)?];
    arguments.extend(call.optional(2));
    let groups = groups(call)?;
    let kernel = call.shape(&arguments[1]).get(2..).map(<[usize]>::to_vec);
    let geometry = Geometry::new(call, kernel, call.shape(&arguments[0]))?;
    let spatial = geometry.input.len();
    let output_padding = extents(call, "output_padding", spatial)?.unwrap_or_else(|| vec![0; spatial]);
    let wanted = extents(call, "output_shape", spatial)?;
    let Geometry { mut window, auto_pad, input } = geometry;
    let same = matches!(auto_pad, AutoPad::SameUpper | AutoPad::SameLower);
    if same || wanted.is_some() {
        for axis in 0..spatial {
            let misfit = || call.place.misfit("output_shape", &[], &input);
            let reach = (input[axis].checked_sub(1).and_then(|n| n.checked_mul(window.strides[axis])))
                .zip((window.kernel[axis] - 1).checked_mul(window.dilations[axis]))
                .and_then(|(a, b)| a.checked_add(b)?.checked_add(1)?.checked_add(output_padding[axis]));
            let target = match &wanted {
                Some(shape) => Some(shape[axis]),
                None => input[axis].checked_mul(window.strides[axis]),
            };
            let total = reach.zip(target).and_then(|(r, t)| r.checked_sub(t)).ok_or_else(misfit)?;
            let (small, large) = (total / 2, total - total / 2);
            let upper = matches!(auto_pad, AutoPad::SameUpper);
            (window.pads_begin[axis], window.pads_end[axis]) = if upper { (small, large) } else { (large, small) };
        }
    }
    call.emit(Op::ConvTranspose { window, groups, output_padding }, arguments)
}

enum AutoPad {
    Explicit,
    Valid,
    SameUpper,
    SameLower,
}

/// A window whose padding may still depend on the input.
struct Geometry {
    window: Window,
    auto_pad: AutoPad,
    /// Spatial extents of the input.
    input: Vec<usize>,
}

impl Geometry {
    /// Reads the window's attributes; `kernel` is what the weight says, where there is one.
    fn new(call: &mut Call, kernel: Option<Vec<usize>>, input: Vec<usize>) -> Result<Self, OnnxFault> {
        let spatial = input.len().saturating_sub(2);
        let input = input[input.len() - spatial..].to_vec();
        let kernel = match (extents(call, "kernel_shape", spatial)?, kernel) {
            (Some(kernel), _) | (None, Some(kernel)) if kernel.len() == spatial && !kernel.contains(&0) => kernel,
            (Some(found), _) | (None, Some(found)) => {
                let found: Vec<_> = found.into_iter().map(|k| k as i64).collect();
                return Err(call.place.misfit("kernel_shape", &found, &input));
            }
            (None, None) => {
                let (node, op) = (call.place.node.clone(), call.op());
                return Err(OnnxFault::MissingAttribute { node, op, attribute: "kernel_shape" });
            }
        };
        let strides = extents(call, "strides", spatial)?.unwrap_or_else(|| vec![1; spatial]);
        let dilations = extents(call, "dilations", spatial)?.unwrap_or_else(|| vec![1; spatial]);
        if strides.contains(&0) || dilations.contains(&0) {
            return Err(call.place.setting("strides, dilations", format!("{strides:?}, {dilations:?}")));
        }
        let pads = extents(call, "pads", 2 * spatial)?.unwrap_or_else(|| vec![0; 2 * spatial]);
        let auto_pad = match call.attributes.text("auto_pad")?.as_deref() {
            None | Some("NOTSET" | "") => AutoPad::Explicit,
            Some("VALID") => AutoPad::Valid,
            Some("SAME_UPPER") => AutoPad::SameUpper,
            Some("SAME_LOWER") => AutoPad::SameLower,
            Some(other) => return Err(call.place.setting("auto_pad", other)),
        };
        let (begin, end) = pads.split_at(spatial);
        let (pads_begin, pads_end) = match auto_pad {
            AutoPad::Explicit => (begin.to_vec(), end.to_vec()),
            _ => (vec![0; spatial], vec![0; spatial]),
        };
        Ok(Self { window: Window { kernel, strides, pads_begin, pads_end, dilations }, auto_pad, input })
    }

    /// The window with its padding resolved so that SAME gives $\lceil \text{input} / \text{stride} \rceil$ positions.
    ///
    /// Where windows leave entries between them, the total padding is negative, and runtimes differ in which entries of the input
    /// are cut off; of one entry only pools differ. So they do in what dilations of a pool add to it.
    fn forward(mut self, call: &Call, ceil_mode: bool) -> Result<Window, OnnxFault> {
        if matches!(self.auto_pad, AutoPad::Explicit | AutoPad::Valid) {
            return Ok(self.window);
        }
        if ceil_mode {
            return Err(call.place.setting("auto_pad with ceil_mode", "SAME"));
        }
        let pool = call.op() != "Conv";
        if pool && self.window.dilations.iter().any(|d| *d != 1) {
            return Err(call.place.setting("auto_pad with dilations", format!("SAME, {:?}", self.window.dilations)));
        }
        for (axis, extent) in self.input.iter().enumerate() {
            let window = &mut self.window;
            let misfit = || call.place.misfit("auto_pad", &[], &self.input);
            let span = (window.kernel[axis] - 1).checked_mul(window.dilations[axis]);
            let reach = (extent.div_ceil(window.strides[axis]).saturating_sub(1))
                .checked_mul(window.strides[axis])
                .zip(span)
                .and_then(|(a, b)| a.checked_add(b)?.checked_add(1))
                .ok_or_else(misfit)?;
            if reach + usize::from(!pool) < *extent {
                let found = format!("SAME, {:?} and strides {:?}", window.kernel, window.strides);
                return Err(call.place.setting("auto_pad with negative padding", found));
            }
            let total = reach.saturating_sub(*extent);
            let (small, large) = (total / 2, total - total / 2);
            let upper = matches!(self.auto_pad, AutoPad::SameUpper);
            (window.pads_begin[axis], window.pads_end[axis]) = if upper { (small, large) } else { (large, small) };
        }
        Ok(self.window)
    }
}

/// A list of `count` non-negative integers, if given.
fn extents(call: &mut Call, name: &'static str, count: usize) -> Result<Option<Vec<usize>>, OnnxFault> {
    let Some(given) = call.attributes.ints(name)? else {
        return Ok(None);
    };
    let extents: Option<Vec<usize>> = given.iter().map(|v| usize::try_from(*v).ok()).collect();
    match extents {
        Some(extents) if extents.len() == count => Ok(Some(extents)),
        _ => Err(call.place.setting(name, format!("{given:?}"))),
    }
}
