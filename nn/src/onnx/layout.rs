//! Operators that move entries without computing, and constants.

use super::fault::OnnxFault;
use super::proto::TensorProto;
use super::tensor;
use super::translate::{Call, Slot};
use crate::op::{Op, Value};
use crate::shape::broadcast;
use secateur_linalg::Tensor;
use std::sync::Arc;

/// Translates a node of this family; false when it is of another.
pub fn translate(call: &mut Call) -> Result<bool, OnnxFault> {
    match call.op().as_str() {
        "Reshape" => reshape(call)?,
        "Flatten" => flatten(call)?,
        "Squeeze" => squeeze(call)?,
        "Unsqueeze" => unsqueeze(call)?,
        "Transpose" => transpose(call)?,
        "Concat" => concat(call)?,
        "Slice" => slice(call)?,
        "Split" => split(call)?,
        "Gather" => gather(call)?,
        "Pad" => pad(call)?,
        "Expand" => expand(call)?,
        "Shape" => shape(call)?,
        "Constant" => constant(call)?,
        "ConstantOfShape" => constant_of_shape(call)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// A constant input that must be there.
fn required(call: &Call, position: usize, given: Option<Vec<i64>>) -> Result<Vec<i64>, OnnxFault> {
    let (node, op) = (call.place.node.clone(), call.op());
    given.ok_or(OnnxFault::MissingInput { node, op, position })
}

fn lengths(call: &Call, setting: &'static str, given: &[i64], shape: &[usize]) -> Result<Vec<usize>, OnnxFault> {
    let all: Option<_> = given.iter().map(|v| usize::try_from(*v).ok()).collect();
    all.ok_or_else(|| call.place.misfit(setting, given, shape))
}

fn reshape(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let given = call.optional_ints(1)?;
    let given = required(call, 1, given)?;
    let keep_zero = call.attributes.flag("allowzero")?;
    let from = call.shape(&argument);
    let misfit = || call.place.misfit("shape", &given, &from);
    let mut shape = Vec::with_capacity(given.len());
    let mut open = None;
    for (axis, extent) in given.iter().enumerate() {
        shape.push(match *extent {
            0 if !keep_zero => *from.get(axis).ok_or_else(misfit)?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            extent => usize::try_from(extent).map_err(|_| misfit())?,
        });
    }
    if let Some(axis) = open {
        let rest = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d)).ok_or_else(misfit)?;
        let entries: usize = from.iter().product();
        shape[axis] = entries.checked_div(rest).ok_or_else(misfit)?;
    }
    call.emit(Op::Reshape { shape }, vec![argument])
}

fn flatten(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let from = call.shape(&argument);
    let axis = call.attributes.int("axis")?.unwrap_or(1);
    // The rank itself is allowed: everything goes before the cut.
    let cut = if axis == from.len() as i64 { from.len() } else { call.place.axis(axis, from.len())? };
    let shape = vec![from[..cut].iter().product(), from[cut..].iter().product()];
    call.emit(Op::Reshape { shape }, vec![argument])
}

fn squeeze(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let from = call.shape(&argument);
    let given = call.ints("axes", 1, 13)?;
    let axes = match &given {
        Some(axes) => call.place.axes(axes, from.len())?,
        None => (0..from.len()).filter(|a| from[*a] == 1).collect(),
    };
    if axes.iter().any(|a| from[*a] != 1) {
        return Err(call.place.misfit("axes", &given.unwrap_or_default(), &from));
    }
    let shape = (0..from.len()).filter(|a| !axes.contains(a)).map(|a| from[a]).collect();
    call.emit(Op::Reshape { shape }, vec![argument])
}

fn unsqueeze(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let from = call.shape(&argument);
    let given = call.ints("axes", 1, 13)?;
    let given = required(call, 1, given)?;
    let rank = from.len() + given.len();
    let axes = call.place.axes(&given, rank)?;
    if axes.len() != given.len() {
        return Err(call.place.misfit("axes", &given, &from));
    }
    let mut extents = from.iter();
    let shape = (0..rank).filter_map(|a| if axes.contains(&a) { Some(1) } else { extents.next().copied() }).collect();
    call.emit(Op::Reshape { shape }, vec![argument])
}

fn transpose(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let rank = call.shape(&argument).len();
    let axes = match call.attributes.ints("perm")? {
        Some(perm) => perm.iter().map(|a| call.place.axis(*a, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    call.emit(Op::Transpose { axes }, vec![argument])
}

fn concat(call: &mut Call) -> Result<(), OnnxFault> {
    let arguments = (0..call.input_count().max(1)).map(|i| call.input(i)).collect::<Result<Vec<_>, _>>()?;
    let Some(axis) = call.attributes.int("axis")? else {
        return Err(OnnxFault::MissingAttribute { node: call.place.node.clone(), op: call.op(), attribute: "axis" });
    };
    let axis = call.place.axis(axis, call.shape(&arguments[0]).len())?;
    call.emit(Op::Concat { axis }, arguments)
}

fn slice(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let from = call.shape(&argument);
    let given = call.ints("starts", 1, 10)?;
    let starts = required(call, 1, given)?;
    let given = call.ints("ends", 2, 10)?;
    let ends = required(call, 2, given)?;
    let axes = call.ints("axes", 3, 10)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if call.opset() >= 10 { call.optional_ints(4)? } else { None };
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    let count = starts.len();
    if ends.len() != count || axes.len() != count || steps.len() != count {
        return Err(call.place.misfit("starts", &starts, &from));
    }
    let mut op = Cut::whole(&from);
    let distinct = call.place.axes(&axes, from.len())?.len() == count;
    for i in 0..count {
        let axis = call.place.axis(axes[i], from.len())?;
        let cut = distinct.then(|| op.set(axis, from[axis], starts[i], ends[i], steps[i])).flatten();
        cut.ok_or_else(|| call.place.misfit("steps", &steps, &from))?;
    }
    call.emit(op.into(), vec![argument])
}

/// A slice under construction.
struct Cut {
    starts: Vec<usize>,
    steps: Vec<isize>,
    lengths: Vec<usize>,
}

impl Cut {
    /// All of a tensor.
    fn whole(shape: &[usize]) -> Self {
        Self { starts: vec![0; shape.len()], steps: vec![1; shape.len()], lengths: shape.to_vec() }
    }

    /// NumPy's `start:end:step` along an axis; `None` where the step is 0.
    fn set(&mut self, axis: usize, extent: usize, start: i64, end: i64, step: i64) -> Option<()> {
        let extent = i64::try_from(extent).ok()?;
        let (low, high) = if step > 0 { (0, extent) } else { (-1, extent - 1) };
        let wrap = |v: i64| if v < 0 { v.saturating_add(extent) } else { v };
        let start = wrap(start).clamp(low.max(0), high.max(0));
        // An end far below zero stays below it when the step is negative.
        let end = wrap(end).clamp(low, high.max(low));
        let length = match step {
            0 => return None,
            1.. => (end - start).max(0).unsigned_abs().div_ceil(step.unsigned_abs()),
            _ => (start - end).max(0).unsigned_abs().div_ceil(step.unsigned_abs()),
        };
        let length = if extent == 0 { 0 } else { usize::try_from(length).ok()? };
        self.lengths[axis] = length;
        // With at most one entry the step does not matter, and may be huge.
        self.steps[axis] = if length > 1 { isize::try_from(step).ok()? } else { 1 };
        self.starts[axis] = usize::try_from(start).ok()?;
        Some(())
    }
}

impl From<Cut> for Op {
    fn from(cut: Cut) -> Self {
        Op::Slice { starts: cut.starts, steps: cut.steps, lengths: cut.lengths }
    }
}

fn split(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let from = call.shape(&argument);
    let axis = call.attributes.int("axis")?.unwrap_or(0);
    let axis = call.place.axis(axis, from.len())?;
    let extent = from[axis];
    let count = call.output_count().max(1);
    let parts = match call.ints("split", 1, 13)? {
        Some(given) => {
            let parts = lengths(call, "split", &given, &from)?;
            let sum = parts.iter().try_fold(0_usize, |n, p| n.checked_add(*p));
            if sum != Some(extent) || parts.len() != count {
                return Err(call.place.misfit("split", &given, &from));
            }
            parts
        }
        None => {
            let uneven = match call.attributes.int("num_outputs")? {
                Some(wanted) if wanted != count as i64 => {
                    return Err(call.place.misfit("num_outputs", &[wanted], &from));
                }
                given => given.is_some(),
            };
            // Only with `num_outputs` may the last part be smaller.
            let part = extent.div_ceil(count);
            let last = extent.checked_sub(part * (count - 1)).filter(|l| uneven || *l == part);
            let last = last.ok_or_else(|| call.place.misfit("num_outputs", &[count as i64], &from))?;
            let mut parts = vec![part; count];
            parts[count - 1] = last;
            parts
        }
    };
    let mut start = 0;
    for part in parts {
        let mut op = Cut::whole(&from);
        (op.starts[axis], op.lengths[axis]) = (start, part);
        start += part;
        call.emit(op.into(), vec![argument.clone()])?;
    }
    Ok(())
}

fn gather(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let from = call.shape(&argument);
    let axis = call.attributes.int("axis")?.unwrap_or(0);
    let axis = call.place.axis(axis, from.len())?;
    let indices = match call.optional_value(1)? {
        Some(Value::I64(indices)) => indices,
        Some(other) => return Err(call.place.setting("indices", format!("{:?}", other.element_type()))),
        None => return required(call, 1, None).map(|_| ()),
    };
    let extent = from[axis];
    let wrap = |i: &i64| call.place.axis(*i, extent).map_err(|_| call.place.misfit("indices", &[*i], &from));
    let wrapped = indices.data().iter().map(wrap).collect::<Result<Vec<_>, _>>()?;
    let indices = Tensor::new(indices.shape().to_vec(), wrapped);
    call.emit(Op::Gather { axis, indices }, vec![argument])
}

fn pad(call: &mut Call) -> Result<(), OnnxFault> {
    call.attributes.expect_text("mode", "constant")?;
    let argument = call.input(0)?;
    let from = call.shape(&argument);
    let rank = from.len();
    let given = call.ints("pads", 1, 11)?;
    let pads = required(call, 1, given)?;
    let value =
        if call.opset() >= 11 { call.optional_number(2)? } else { call.attributes.float("value")?.map(f64::from) };
    let value = value.unwrap_or(0.0);
    if !value.is_finite() {
        return Err(call.place.setting("value", value.to_string()));
    }
    let axes = match if call.opset() >= 18 { call.optional_ints(3)? } else { None } {
        Some(axes) => axes.iter().map(|a| call.place.axis(*a, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    let misfit = || call.place.misfit("pads", &pads, &from);
    if pads.len() != 2 * axes.len()
        || call.place.axes(&axes.iter().map(|a| *a as i64).collect::<Vec<_>>(), rank)?.len() != axes.len()
    {
        return Err(misfit());
    }
    // Negative padding cuts off.
    let (mut begin, mut end, mut cut) = (vec![0; rank], vec![0; rank], Cut::whole(&from));
    for (i, axis) in axes.iter().enumerate() {
        let (before, after) = (pads[i], pads[axes.len() + i]);
        let magnitude = |v: i64| usize::try_from(v.unsigned_abs()).ok();
        let (before_size, after_size) = magnitude(before).zip(magnitude(after)).ok_or_else(misfit)?;
        if before < 0 {
            cut.starts[*axis] = before_size;
            cut.lengths[*axis] = cut.lengths[*axis].checked_sub(before_size).ok_or_else(misfit)?;
        } else {
            begin[*axis] = before_size;
        }
        if after < 0 {
            cut.lengths[*axis] = cut.lengths[*axis].checked_sub(after_size).ok_or_else(misfit)?;
        } else {
            end[*axis] = after_size;
        }
    }
    let cut_argument = if cut.lengths == from { argument } else { call.step("cut", cut.into(), vec![argument])? };
    call.emit(Op::Pad { begin, end, value }, vec![cut_argument])
}

fn expand(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let given = call.optional_ints(1)?;
    let given = required(call, 1, given)?;
    let from = call.shape(&argument);
    let target = lengths(call, "shape", &given, &from)?;
    let shape = broadcast(&from, &target).ok_or_else(|| call.place.misfit("shape", &given, &from))?;
    call.emit(Op::Expand { shape }, vec![argument])
}

fn shape(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let shape: Vec<i64> = call.shape(&argument).into_iter().map(|d| d as i64).collect();
    let rank = shape.len() as i64;
    let wrap = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
    let start = wrap(call.attributes.int("start")?.unwrap_or(0));
    let end = wrap(call.attributes.int("end")?.unwrap_or(rank)).max(start);
    call.emit_value(Value::I64(Arc::new(Tensor::vector(shape[start..end].to_vec()))));
    Ok(())
}

fn constant(call: &mut Call) -> Result<(), OnnxFault> {
    let floats = |v: Tensor<f32>| Value::F32(Arc::new(v));
    let integers = |v: Tensor<i64>| Value::I64(Arc::new(v));
    let value = if let Some(stored) = call.attributes.tensor("value")? {
        stored_value(call, stored)?
    } else if let Some(v) = call.attributes.float("value_float")? {
        floats(Tensor::scalar(v))
    } else if let Some(v) = call.attributes.floats("value_floats")? {
        floats(Tensor::vector(v))
    } else if let Some(v) = call.attributes.int("value_int")? {
        integers(Tensor::scalar(v))
    } else if let Some(v) = call.attributes.ints("value_ints")? {
        integers(Tensor::vector(v))
    } else {
        // Texts and sparse tensors are refused by name when the attributes are checked off.
        call.attributes.refuse_left()?;
        let (node, op) = (call.place.node.clone(), call.op());
        return Err(OnnxFault::MissingAttribute { node, op, attribute: "value" });
    };
    call.emit_value(value);
    Ok(())
}

fn stored_value(call: &Call, stored: TensorProto) -> Result<Value, OnnxFault> {
    tensor::value(&call.place.node, stored)
}

fn constant_of_shape(call: &mut Call) -> Result<(), OnnxFault> {
    let given = call.optional_ints(0)?;
    let given = required(call, 0, given)?;
    let shape = lengths(call, "shape", &given, &[])?;
    let value = match call.attributes.tensor("value")? {
        Some(stored) => stored_value(call, stored)?,
        None => Value::F32(Arc::new(Tensor::vector(vec![0.0]))),
    };
    if value.shape().iter().product::<usize>() != 1 {
        return Err(call.place.setting("value", format!("a tensor of shape {:?}", value.shape())));
    }
    let entry: Slot = call.value("entry", value);
    let scalar = call.step("scalar", Op::Reshape { shape: Vec::new() }, vec![entry])?;
    call.emit(Op::Expand { shape }, vec![scalar])
}
