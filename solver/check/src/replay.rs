//! Is a point a counterexample?

use crate::error::CheckError;
use crate::evaluate::{Enclosure, Precision, evaluate};
use crate::single::execute;
use dashu_ratio::RBig;
use secateur_nn::graph::Graph;
use secateur_nn::property::{Case, LinearConstraint, Property};

/// The verdict on a point.
#[derive(Clone, Debug, PartialEq)]
pub enum Replay {
    /// The point lies in the case's box, and every constraint of the conjunction holds for certain.
    Violated {
        /// Index of the case.
        case: usize,
        /// Index of the conjunction in the case.
        conjunction: usize,
        /// The outputs.
        outputs: Vec<Enclosure>,
    },
    /// In every case whose box holds the point, each conjunction has a constraint that fails for certain.
    NotViolated {
        /// The cases whose boxes hold the point; when there are none, the network was not evaluated.
        inside: Vec<usize>,
        /// The outputs; empty when the point lies in no box.
        outputs: Vec<Enclosure>,
    },
    /// The enclosures are too wide to say.
    Undecided {
        /// The outputs.
        outputs: Vec<Enclosure>,
    },
}

/// Decides exactly whether a point violates a property, with [`Precision::ROUNDED`] and, where that leaves it open,
/// [`Precision::EXACT`].
///
/// # Soundness
/// Box and constraints are compared in rational arithmetic; outputs are enclosed in real arithmetic of the
/// stored weights.
///
/// # Errors
/// See [`CheckError`].
pub fn replay(graph: &Graph, property: &Property, point: &[RBig]) -> Result<Replay, CheckError> {
    replay_with(graph, property, point, &[Precision::ROUNDED, Precision::EXACT])
}

/// [`replay`] with precisions to be tried in turn until one decides; the last answer counts.
///
/// # Errors
/// See [`CheckError`].
#[track_caller]
pub fn replay_with(
    graph: &Graph,
    property: &Property,
    point: &[RBig],
    precisions: &[Precision],
) -> Result<Replay, CheckError> {
    assert!(!precisions.is_empty(), "at least one precision");
    check_sizes(graph, property, point)?;
    let inside: Vec<usize> = (0..property.cases.len()).filter(|i| property.cases[*i].contains(point)).collect();
    if inside.is_empty() {
        return Ok(Replay::NotViolated { inside, outputs: Vec::new() });
    }
    let mut answer = Ok(Replay::Undecided { outputs: Vec::new() });
    for precision in precisions {
        answer = match evaluate(graph, point, *precision) {
            Ok(outputs) => Ok(judge(property, &inside, point, outputs)),
            Err(error) => Err(error),
        };
        // An enclosure that leaves an operator's domain may fit into it with more bits.
        if !matches!(answer, Ok(Replay::Undecided { .. }) | Err(CheckError::Domain { .. })) {
            break;
        }
    }
    answer
}

/// A counterexample as executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// Index of the case.
    pub case: usize,
    /// Index of the conjunction in the case.
    pub conjunction: usize,
    /// The outputs.
    pub outputs: Vec<RBig>,
}

/// Whether a point violates a property in one execution in single precision ([`execute`]).
///
/// # Errors
/// See [`execute`].
pub fn replay_executed(graph: &Graph, property: &Property, point: &[RBig]) -> Result<Option<Executed>, CheckError> {
    check_sizes(graph, property, point)?;
    let inside: Vec<usize> = (0..property.cases.len()).filter(|i| property.cases[*i].contains(point)).collect();
    if inside.is_empty() {
        return Ok(None);
    }
    let outputs = execute(graph, point)?;
    let enclosures = outputs.iter().map(|y| Enclosure { lower: y.clone(), upper: y.clone() }).collect();
    Ok(match judge(property, &inside, point, enclosures) {
        Replay::Violated { case, conjunction, .. } => Some(Executed { case, conjunction, outputs }),
        _ => None,
    })
}

fn check_sizes(graph: &Graph, property: &Property, point: &[RBig]) -> Result<(), CheckError> {
    let size = |id| graph.node(id).shape.iter().product::<usize>();
    let (inputs, outputs) = (size(graph.input()), size(graph.output()));
    if property.inputs != inputs {
        return Err(CheckError::PropertyInputs { property: property.inputs, network: inputs });
    }
    if property.outputs != outputs {
        return Err(CheckError::PropertyOutputs { property: property.outputs, network: outputs });
    }
    if point.len() != inputs {
        return Err(CheckError::InputCount { expected: inputs, found: point.len() });
    }
    let fits = |case: &Case| {
        let constraints = || case.unsafe_set.iter().flatten();
        case.lower.len() == inputs
            && case.upper.len() == inputs
            && case.ball.as_ref().is_none_or(|ball| ball.centre.len() == inputs)
            && constraints().flat_map(|c| &c.inputs).all(|(i, _)| *i < inputs)
            && constraints().flat_map(|c| &c.outputs).all(|(i, _)| *i < outputs)
    };
    match property.cases.iter().position(|case| !fits(case)) {
        Some(case) => Err(CheckError::PropertyVariable { case }),
        None => Ok(()),
    }
}

fn judge(property: &Property, inside: &[usize], point: &[RBig], outputs: Vec<Enclosure>) -> Replay {
    let mut open = false;
    for case in inside {
        for (conjunction, constraints) in property.cases[*case].unsafe_set.iter().enumerate() {
            let truths: Vec<Option<bool>> = constraints.iter().map(|c| truth(c, point, &outputs)).collect();
            if truths.iter().all(|t| *t == Some(true)) {
                return Replay::Violated { case: *case, conjunction, outputs };
            }
            open |= truths.iter().all(|t| *t != Some(false));
        }
    }
    if open { Replay::Undecided { outputs } } else { Replay::NotViolated { inside: inside.to_vec(), outputs } }
}

/// Whether a constraint holds; `None` when it depends on where in their enclosures the outputs are.
fn truth(constraint: &LinearConstraint, point: &[RBig], outputs: &[Enclosure]) -> Option<bool> {
    let inputs = constraint.inputs.iter().fold(RBig::ZERO, |sum, (i, a)| sum + a * &point[*i]);
    let (mut least, mut most) = (inputs.clone(), inputs);
    for (i, b) in &constraint.outputs {
        let (from, to) = (b * &outputs[*i].lower, b * &outputs[*i].upper);
        let (from, to) = if from <= to { (from, to) } else { (to, from) };
        least += from;
        most += to;
    }
    let holds = |value: &RBig| {
        if constraint.strict { *value < constraint.bound } else { *value <= constraint.bound }
    };
    match (holds(&most), holds(&least)) {
        (true, _) => Some(true),
        (false, false) => Some(false),
        (false, true) => None,
    }
}
