//! Extents of convolutions and pools.

use super::{Call, Shape, ensure};
use crate::op::Window;

impl Call<'_> {
    pub(super) fn conv(&self, window: &Window, groups: usize) -> Shape {
        let (input, weight) = (self.at(0), self.at(1));
        check_window(window, input)?;
        ensure(weight.len() == input.len() && weight[2..] == window.kernel, "the weight must fit input and kernel")?;
        ensure(groups > 0 && weight[0] % groups == 0, "the groups must divide the output channels")?;
        ensure(weight[1].checked_mul(groups) == Some(input[1]), "weight and input must agree on the input channels")?;
        self.check_bias(weight[0])?;
        let mut shape = vec![input[0], weight[0]];
        for axis in 0..window.kernel.len() {
            shape.push(window_positions(window, axis, input[axis + 2], false)?);
        }
        Ok(shape)
    }

    pub(super) fn conv_transpose(&self, window: &Window, groups: usize, output_padding: &[usize]) -> Shape {
        let (input, weight) = (self.at(0), self.at(1));
        check_window(window, input)?;
        ensure(weight.len() == input.len() && weight[2..] == window.kernel, "the weight must fit input and kernel")?;
        ensure(groups > 0 && input[1] % groups == 0, "the groups must divide the input channels")?;
        ensure(weight[0] == input[1], "weight and input must agree on the input channels")?;
        ensure(output_padding.len() == window.kernel.len(), "one output padding per spatial axis")?;
        let channels = weight[1].checked_mul(groups).ok_or("the extent must fit a word")?;
        self.check_bias(channels)?;
        let mut shape = vec![input[0], channels];
        for (axis, extra) in output_padding.iter().enumerate() {
            let extent = (input[axis + 2].checked_sub(1))
                .and_then(|n| n.checked_mul(window.strides[axis]))
                .and_then(|n| n.checked_add(window_extent(window, axis)?))
                .and_then(|n| n.checked_add(*extra))
                .and_then(|n| n.checked_sub(window.pads_begin[axis]))
                .and_then(|n| n.checked_sub(window.pads_end[axis]));
            shape.push(extent.ok_or("the padding must not exceed the output")?);
        }
        Ok(shape)
    }

    fn check_bias(&self, channels: usize) -> Result<(), &'static str> {
        let fits = self.arguments.get(2).is_none_or(|bias| bias.shape == [channels]);
        ensure(fits, "the bias must have one entry per output channel")
    }

    pub(super) fn pool(&self, window: &Window, ceil_mode: bool) -> Shape {
        let input = self.at(0);
        check_window(window, input)?;
        let mut shape = input[..2].to_vec();
        for axis in 0..window.kernel.len() {
            let extent = window_extent(window, axis).ok_or("the extent must fit a word")?;
            let inside = window.pads_begin[axis] < extent && window.pads_end[axis] < extent;
            ensure(inside, "the padding must be smaller than the window")?;
            shape.push(window_positions(window, axis, input[axis + 2], ceil_mode)?);
        }
        Ok(shape)
    }
}

fn check_window(window: &Window, input: &[usize]) -> Result<(), &'static str> {
    let spatial = window.kernel.len();
    ensure(spatial >= 1 && input.len() == spatial + 2, "the input must be batch, channel and the window's axes")?;
    let complete = [&window.strides, &window.pads_begin, &window.pads_end, &window.dilations];
    ensure(complete.iter().all(|v| v.len() == spatial), "one stride, padding and dilation per spatial axis")?;
    let positive = [&window.kernel, &window.strides, &window.dilations];
    ensure(positive.iter().all(|v| !v.contains(&0)), "kernel, strides and dilations must be positive")
}

/// Entries that a dilated kernel spans along a spatial axis.
fn window_extent(window: &Window, axis: usize) -> Option<usize> {
    (window.kernel[axis] - 1).checked_mul(window.dilations[axis])?.checked_add(1)
}

/// How often the window fits along a spatial axis. A window rounded up that would start in the
/// trailing padding is left out.
fn window_positions(window: &Window, axis: usize, extent: usize, ceil_mode: bool) -> Result<usize, &'static str> {
    let start = extent.checked_add(window.pads_begin[axis]);
    let padded = start.and_then(|n| n.checked_add(window.pads_end[axis])).ok_or("the extent must fit a word")?;
    let span = window_extent(window, axis).ok_or("the extent must fit a word")?;
    let room = padded.checked_sub(span).ok_or("the window must fit the padded input")?;
    let stride = window.strides[axis];
    if !ceil_mode {
        return Ok(room / stride + 1);
    }
    let positions = room.div_ceil(stride) + 1;
    let beyond = (positions - 1).checked_mul(stride).is_none_or(|first| first >= extent + window.pads_begin[axis]);
    Ok(if beyond { positions - 1 } else { positions })
}
