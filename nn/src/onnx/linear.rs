//! Matrix products, normalisation, reductions, softmax.

use super::fault::OnnxFault;
use super::translate::{Call, Slot};
use crate::op::Op;

/// Translates a node of this family; false when it is of another.
pub fn translate(call: &mut Call) -> Result<bool, OnnxFault> {
    match call.op().as_str() {
        "MatMul" => {
            let arguments = vec![call.input(0)?, call.input(1)?];
            call.emit(Op::MatMul, arguments)?;
        }
        "Gemm" => gemm(call)?,
        "BatchNormalization" => batch_normalization(call)?,
        "Softmax" => softmax(call)?,
        "ReduceSum" => {
            let (argument, axes, keep) = reduction(call, 13)?;
            reduce(call, argument, Op::ReduceSum { axes, keep })?;
        }
        "ReduceMean" => {
            let (argument, axes, keep) = reduction(call, 18)?;
            reduce(call, argument, Op::ReduceMean { axes, keep })?;
        }
        "GlobalAveragePool" => {
            let argument = call.input(0)?;
            let axes = (2..call.shape(&argument).len()).collect();
            reduce(call, argument, Op::ReduceMean { axes, keep: true })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn gemm(call: &mut Call) -> Result<(), OnnxFault> {
    let op = Op::Gemm {
        alpha: call.attributes.float("alpha")?.unwrap_or(1.0),
        beta: call.attributes.float("beta")?.unwrap_or(1.0),
        trans_a: call.attributes.flag("transA")?,
        trans_b: call.attributes.flag("transB")?,
    };
    let mut arguments = vec![call.input(0)?, call.input(1)?];
    arguments.extend(call.optional(2));
    call.emit(op, arguments)
}

fn batch_normalization(call: &mut Call) -> Result<(), OnnxFault> {
    call.attributes.ignore("momentum");
    call.attributes.expect_int("training_mode", 0)?;
    call.attributes.expect_int("spatial", 1)?;
    if call.output_count() > 1 {
        return Err(call.place.setting("outputs beyond the first (training)", call.output_count().to_string()));
    }
    let epsilon = call.attributes.float("epsilon")?.unwrap_or(1e-5);
    let arguments = (0..5).map(|i| call.input(i)).collect::<Result<_, _>>()?;
    call.emit(Op::BatchNormalization { epsilon }, arguments)
}

fn softmax(call: &mut Call) -> Result<(), OnnxFault> {
    let argument = call.input(0)?;
    let shape = call.shape(&argument);
    let given = call.attributes.int("axis")?;
    if call.opset() >= 13 {
        let axis = call.place.axis(given.unwrap_or(-1), shape.len())?;
        return call.emit(Op::Softmax { axis }, vec![argument]);
    }
    // Before version 13 the axes from `axis` on are taken together.
    let axis = call.place.axis(given.unwrap_or(1), shape.len())?;
    if axis + 1 == shape.len() {
        return call.emit(Op::Softmax { axis }, vec![argument]);
    }
    let mut flat = shape[..axis].to_vec();
    flat.push(shape[axis..].iter().product());
    let flat = call.step("flat", Op::Reshape { shape: flat }, vec![argument])?;
    let softmax = call.step("softmax", Op::Softmax { axis }, vec![flat])?;
    call.emit(Op::Reshape { shape }, vec![softmax])
}

/// Argument, axes and whether they are kept; the axes are an input from `version` on.
fn reduction(call: &mut Call, version: i64) -> Result<(Slot, Vec<usize>, bool), OnnxFault> {
    let argument = call.input(0)?;
    let rank = call.shape(&argument).len();
    let keep = call.attributes.int("keepdims")?.unwrap_or(1) != 0;
    let none_is_none = call.attributes.flag("noop_with_empty_axes")?;
    let given = call.ints("axes", 1, version)?.unwrap_or_default();
    let axes = if given.is_empty() && !none_is_none { (0..rank).collect() } else { call.place.axes(&given, rank)? };
    Ok((argument, axes, keep))
}

/// Applies a reduction; over no axes it does nothing.
fn reduce(call: &mut Call, argument: Slot, op: Op) -> Result<(), OnnxFault> {
    if matches!(&op, Op::ReduceSum { axes, .. } | Op::ReduceMean { axes, .. } if axes.is_empty()) {
        call.alias(argument);
        return Ok(());
    }
    call.emit(op, vec![argument])
}
