//! Which variables a property speaks about.

use super::fault::{At, VnnlibFault};
use super::syntax::Expression;
use crate::shape;
use std::collections::HashSet;

/// An input or an output by its flat index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// An input.
    Input(usize),
    /// An output.
    Output(usize),
}

/// The variables declared so far.
#[derive(Default)]
pub struct Declarations {
    /// Version 1.0: indices of the `X_i` and of the `Y_j`.
    inputs: HashSet<usize>,
    outputs: HashSet<usize>,
    /// Version 2.0: the network's tensors.
    network: Option<Network>,
    version: Option<u64>,
}

struct Network {
    input: Tensor,
    output: Tensor,
}

struct Tensor {
    name: String,
    shape: Vec<usize>,
}

impl Declarations {
    /// The shapes of input and output, which version 2.0 declares.
    pub fn shapes(&self) -> Option<[Vec<usize>; 2]> {
        self.network.as_ref().map(|network| [network.input.shape.clone(), network.output.shape.clone()])
    }

    /// `(vnnlib-version <2.0>)`
    pub fn version(&mut self, version: &Expression) -> Result<(), At> {
        let text = version.word("a version")?;
        let number = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).and_then(|t| t.split_once('.'));
        let major = number.filter(|(_, minor)| minor.parse::<u64>().is_ok()).and_then(|(major, _)| major.parse().ok());
        match major {
            Some(major @ 1..=2) if self.version.is_none() => self.version = Some(major),
            Some(1..=2) => return Err(redeclared(version, "vnnlib-version")),
            _ => return Err(version.unknown("version", text)),
        }
        Ok(())
    }

    /// `(declare-const X_0 Real)`
    pub fn constant(&mut self, whole: &Expression, arguments: &[Expression]) -> Result<(), At> {
        let [name, sort] = arguments else {
            return Err(whole.wrong_count("declare-const", "2", arguments.len()));
        };
        if self.network.is_some() || self.version == Some(2) {
            return Err(whole.unknown("command (in version 2.0)", "declare-const"));
        }
        let sort_name = sort.word("a sort")?;
        if sort_name != "Real" {
            return Err(sort.unknown("sort", sort_name));
        }
        let text = name.word("a variable")?;
        let fresh = match flat(text) {
            Some(Variable::Input(index)) => self.inputs.insert(index),
            Some(Variable::Output(index)) => self.outputs.insert(index),
            None => return Err(name.unexpected("a variable named X_… or Y_…")),
        };
        if fresh { Ok(()) } else { Err(redeclared(name, text)) }
    }

    /// `(declare-network N (declare-input X float32 [1, 3]) (declare-output Y float32 [1, 2]))`
    pub fn network(&mut self, whole: &Expression, arguments: &[Expression]) -> Result<(), At> {
        let Some((name, tensors)) = arguments.split_first() else {
            return Err(whole.wrong_count("declare-network", "3", 0));
        };
        if self.network.is_some() {
            return Err(whole.unknown("query", "several networks"));
        }
        if !self.inputs.is_empty() || !self.outputs.is_empty() || self.version == Some(1) {
            return Err(whole.unknown("command (in version 1.0)", "declare-network"));
        }
        let name = name.word("a name")?;
        let (mut input, mut output) = (None, None);
        for declaration in tensors {
            let (kind, arguments) = declaration.call()?;
            let (slot, several) = match kind {
                "declare-input" => (&mut input, "several inputs"),
                "declare-output" => (&mut output, "several outputs"),
                _ => return Err(declaration.unknown("statement", kind)),
            };
            if slot.is_some() {
                return Err(declaration.unknown("network", several));
            }
            *slot = Some(tensor(declaration, arguments)?);
        }
        let missing = |what| At::line(whole.line(), VnnlibFault::NoVariables { what });
        let input = input.ok_or_else(|| missing("input"))?;
        let output = output.ok_or_else(|| missing("output"))?;
        if input.name == output.name || input.name == name || output.name == name {
            return Err(redeclared(whole, &output.name));
        }
        self.network = Some(Network { input, output });
        Ok(())
    }

    /// The variable that a word with or without an index denotes.
    pub fn variable(&self, text: &str, index: Option<&str>, line: usize) -> Result<Variable, At> {
        let undeclared = || {
            let name = index.map_or_else(|| text.to_owned(), |i| format!("{text}[{i}]"));
            At::line(line, VnnlibFault::Undeclared { name })
        };
        let Some(network) = &self.network else {
            return match flat(text).filter(|_| index.is_none()) {
                Some(v @ Variable::Input(i)) if self.inputs.contains(&i) => Ok(v),
                Some(v @ Variable::Output(i)) if self.outputs.contains(&i) => Ok(v),
                _ => Err(undeclared()),
            };
        };
        if text == network.input.name {
            network.input.position(index, line).map(Variable::Input)
        } else if text == network.output.name {
            network.output.position(index, line).map(Variable::Output)
        } else {
            Err(undeclared())
        }
    }

    /// How the file calls an input.
    pub fn input_name(&self, index: usize) -> String {
        let Some(network) = &self.network else {
            return format!("X_{index}");
        };
        let mut rest = index;
        let mut position: Vec<String> = Vec::new();
        for extent in network.input.shape.iter().rev() {
            position.push((rest % extent.max(&1)).to_string());
            rest /= extent.max(&1);
        }
        position.reverse();
        if position.is_empty() {
            network.input.name.clone()
        } else {
            format!("{}[{}]", network.input.name, position.join(","))
        }
    }

    /// How many inputs and outputs there are.
    pub fn sizes(&self) -> Result<(usize, usize), At> {
        if let Some(network) = &self.network {
            let entries = |t: &Tensor| t.shape.iter().product();
            return Ok((entries(&network.input), entries(&network.output)));
        }
        for (letter, what, declared) in [('X', "input", &self.inputs), ('Y', "output", &self.outputs)] {
            if declared.is_empty() {
                return Err(At::file(VnnlibFault::NoVariables { what }));
            }
            if let Some(missing) = (0..declared.len()).find(|i| !declared.contains(i)) {
                return Err(At::file(VnnlibFault::Gap { missing: format!("{letter}_{missing}") }));
            }
        }
        Ok((self.inputs.len(), self.outputs.len()))
    }
}

impl Tensor {
    /// The flat index of an entry, in row-major order.
    fn position(&self, index: Option<&str>, line: usize) -> Result<usize, At> {
        let shown = index.unwrap_or_default();
        let outside = || {
            let (name, index) = (self.name.clone(), shown.to_owned());
            At::line(line, VnnlibFault::Index { name, index, shape: self.shape.clone() })
        };
        let indices = naturals(shown).filter(|i| i.len() == self.shape.len()).ok_or_else(outside)?;
        let inside = indices.iter().zip(&self.shape).all(|(i, extent)| i < extent);
        let flat = indices
            .iter()
            .zip(&self.shape)
            .fold(0_usize, |flat, (i, extent)| flat.wrapping_mul(*extent).wrapping_add(*i));
        if inside { Ok(flat) } else { Err(outside()) }
    }
}

fn redeclared(at: &Expression, name: &str) -> At {
    At::line(at.line(), VnnlibFault::Redeclared { name: name.to_owned() })
}

/// `X_i` or `Y_j`, with the index written in the one canonical way.
fn flat(text: &str) -> Option<Variable> {
    let (letter, digits) = text.split_once('_')?;
    let canonical = digits == "0" || !digits.starts_with(['0', '+']);
    let index = digits.parse().ok().filter(|_| canonical)?;
    match letter {
        "X" => Some(Variable::Input(index)),
        "Y" => Some(Variable::Output(index)),
        _ => None,
    }
}

fn tensor(whole: &Expression, arguments: &[Expression]) -> Result<Tensor, At> {
    let (name, sort) = match arguments {
        [name, sort] | [name, sort, Expression::Quoted { .. }] => (name, sort),
        _ => return Err(whole.wrong_count("declaration", "a name, a type and a shape, as", arguments.len())),
    };
    let name = name.word("a variable")?.to_owned();
    let Expression::Word { text: sort_name, index: Some(shape_text), line } = sort else {
        return Err(sort.unexpected("a type with a shape, such as float32 [1, 3]"));
    };
    if !matches!(*sort_name, "Real" | "real" | "float16" | "float32" | "float64" | "bfloat16") {
        return Err(sort.unknown("element type", sort_name));
    }
    let shape = naturals(shape_text).filter(|s| shape::entries(s).is_some_and(|n| n > 0));
    let shape = shape.ok_or_else(|| At::line(*line, VnnlibFault::Shape { text: format!("[{shape_text}]") }))?;
    Ok(Tensor { name, shape })
}

/// Natural numbers between commas; none for a blank text.
fn naturals(text: &str) -> Option<Vec<usize>> {
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    let natural = |t: &str| t.trim().parse().ok().filter(|_| !t.trim().starts_with('+'));
    text.split(',').map(natural).collect()
}
