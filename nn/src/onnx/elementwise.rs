//! Operators that act entry by entry.

use super::fault::OnnxFault;
use super::proto::element;
use super::translate::{Call, Slot};
use crate::op::{ElementType, Op, Value};

/// Translates a node of this family; false when it is of another.
pub fn translate(call: &mut Call) -> Result<bool, OnnxFault> {
    let unary = |op| (1, op);
    let binary = |op| (2, op);
    let (count, op) = match call.op().as_str() {
        "Add" => binary(Op::Add),
        "Sub" => binary(Op::Sub),
        "Mul" => binary(Op::Mul),
        "Div" => binary(Op::Div),
        "Equal" => binary(Op::Equal),
        "Where" => (3, Op::Where),
        "Neg" => unary(Op::Neg),
        "Relu" => unary(Op::Relu),
        "Sigmoid" => unary(Op::Sigmoid),
        "Tanh" => unary(Op::Tanh),
        "Sign" => unary(Op::Sign),
        "Sin" => unary(Op::Sin),
        "Cos" => unary(Op::Cos),
        "Floor" => unary(Op::Floor),
        "Exp" => unary(Op::Exp),
        "Sqrt" => unary(Op::Sqrt),
        "LeakyRelu" => unary(Op::LeakyRelu { slope: call.attributes.float("alpha")?.unwrap_or(0.01) }),
        "Min" => return chain(call, Op::Min),
        "Max" => return chain(call, Op::Max),
        "Sum" => return chain(call, Op::Add),
        "Pow" => return pow(call),
        "Clip" => return clip(call),
        "Cast" => return cast(call),
        "Identity" => return identity(call),
        "Dropout" => return dropout(call),
        _ => return Ok(false),
    };
    let arguments = (0..count).map(|i| call.input(i)).collect::<Result<_, _>>()?;
    call.emit(op, arguments)?;
    Ok(true)
}

/// An operator of any number of inputs, two at a time from the left.
fn chain(call: &mut Call, op: Op) -> Result<bool, OnnxFault> {
    let mut result = call.input(0)?;
    let count = call.input_count();
    for position in 1..count {
        let arguments = vec![result, call.input(position)?];
        if position + 1 == count {
            call.emit(op, arguments)?;
            return Ok(true);
        }
        result = call.step(&format!("first {}", position + 1), op.clone(), arguments)?;
    }
    call.alias(result);
    Ok(true)
}

fn pow(call: &mut Call) -> Result<bool, OnnxFault> {
    let (base, mut exponent) = (call.input(0)?, call.input(1)?);
    let element = call.element(&base);
    if call.element(&exponent) != element {
        exponent = call.step("exponent", Op::Cast(element), vec![exponent])?;
    }
    call.emit(Op::Pow, vec![base, exponent])?;
    Ok(true)
}

fn clip(call: &mut Call) -> Result<bool, OnnxFault> {
    let argument = call.input(0)?;
    let (min, max) = if call.opset() >= 11 {
        (call.optional_number(1)?, call.optional_number(2)?)
    } else {
        (call.attributes.float("min")?.map(f64::from), call.attributes.float("max")?.map(f64::from))
    };
    // An infinite limit on its own side is none.
    let (min, max) = (min.filter(|v| *v != f64::NEG_INFINITY), max.filter(|v| *v != f64::INFINITY));
    for (name, limit) in [("min", min), ("max", max)] {
        if let Some(limit) = limit.filter(|v| !v.is_finite()) {
            return Err(call.place.setting(name, limit.to_string()));
        }
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(call.place.setting("min, max", format!("{min}, {max}")));
    }
    call.emit(Op::Clip { min, max }, vec![argument])?;
    Ok(true)
}

fn cast(call: &mut Call) -> Result<bool, OnnxFault> {
    call.attributes.ignore("saturate");
    let argument = call.input(0)?;
    let to = call.attributes.int("to")?.unwrap_or_default();
    let element = match i32::try_from(to).unwrap_or_default() {
        element::FLOAT => ElementType::F32,
        element::DOUBLE => ElementType::F64,
        element::INT64 => ElementType::I64,
        // Wider than stored: 32-bit values that arise in the networks of interest are indices.
        element::INT32 if fits_32_bits(&argument) => ElementType::I64,
        element::BOOL => ElementType::Bool,
        _ => return Err(call.place.setting("to", to.to_string())),
    };
    if call.element(&argument) == element {
        call.alias(argument);
    } else {
        call.emit(Op::Cast(element), vec![argument])?;
    }
    Ok(true)
}

/// Whether a constant survives narrowing to 32 bits. What the network computes may not.
fn fits_32_bits(argument: &Slot) -> bool {
    let fits = |v: f64| v.abs() <= f64::from(i32::MAX);
    match argument.value() {
        Some(Value::F32(t)) => t.data().iter().all(|v| fits(f64::from(*v))),
        Some(Value::F64(t)) => t.data().iter().all(|v| fits(*v)),
        Some(Value::I64(t)) => t.data().iter().all(|v| i32::try_from(*v).is_ok()),
        Some(Value::Bool(_)) => true,
        None => false,
    }
}

fn identity(call: &mut Call) -> Result<bool, OnnxFault> {
    let argument = call.input(0)?;
    call.alias(argument);
    Ok(true)
}

/// Dropout does nothing outside training.
fn dropout(call: &mut Call) -> Result<bool, OnnxFault> {
    let argument = call.input(0)?;
    if call.opset() >= 12 {
        call.attributes.ignore("seed");
        call.optional(1);
        if let Some(training) = call.optional_value(2)?
            && !matches!(&training, Value::Bool(t) if t.data() == [false])
        {
            return Err(call.place.setting("training_mode", "true"));
        }
    } else {
        call.attributes.ignore("ratio");
    }
    call.alias(argument);
    Ok(true)
}
