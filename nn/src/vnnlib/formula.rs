//! Assertions as conjunctions and disjunctions of linear comparisons.

use super::declarations::{Declarations, Variable};
use super::fault::{At, VnnlibFault};
use super::number;
use super::syntax::Expression;
use crate::property::LinearConstraint;
use dashu_ratio::RBig;

/// A linear constraint and where it stands.
#[derive(Clone, Debug)]
pub struct Atom {
    /// The constraint.
    pub constraint: LinearConstraint,
    /// Its line.
    pub line: usize,
}

/// What an assertion demands.
#[derive(Clone, Debug)]
pub enum Formula {
    /// A comparison.
    Atom(Atom),
    /// All of these.
    All(Vec<Formula>),
    /// At least one of these.
    Any(Vec<Formula>),
}

impl Formula {
    /// The formula that an expression denotes.
    pub fn new(expression: &Expression, declarations: &Declarations) -> Result<Self, At> {
        let (operator, arguments) = expression.call()?;
        let parts = || arguments.iter().map(|a| Formula::new(a, declarations)).collect::<Result<Vec<_>, _>>();
        match operator {
            "and" | "or" if arguments.is_empty() => return Err(expression.wrong_count(operator, "1 or more", 0)),
            "and" => return Ok(Formula::All(parts()?)),
            "or" => return Ok(Formula::Any(parts()?)),
            "<=" | ">=" | "<" | ">" | "=" | "==" | "!=" => {}
            _ => return Err(expression.unknown("operator", operator)),
        }
        let [left, right] = arguments else {
            return Err(expression.wrong_count(operator, "2", arguments.len()));
        };
        let (left, right) = (Linear::new(left, declarations)?, Linear::new(right, declarations)?);
        let line = expression.line();
        let strict = matches!(operator, "<" | ">" | "!=");
        Ok(match operator {
            "<=" | "<" => left.minus(right).at_most_zero(strict, line),
            ">=" | ">" => right.minus(left).at_most_zero(strict, line),
            _ => {
                let below = left.minus(right);
                let both = vec![below.clone().at_most_zero(strict, line), below.negated().at_most_zero(strict, line)];
                if strict { Formula::Any(both) } else { Formula::All(both) }
            }
        })
    }
}

/// $k + \sum_i a_i x_i + \sum_j b_j y_j$, terms in any order.
#[derive(Clone, Debug, Default)]
struct Linear {
    inputs: Vec<(usize, RBig)>,
    outputs: Vec<(usize, RBig)>,
    constant: RBig,
}

impl Linear {
    fn new(expression: &Expression, declarations: &Declarations) -> Result<Self, At> {
        let (text, index, line) = match expression {
            Expression::Word { text, index, line } => (*text, *index, *line),
            Expression::Quoted { .. } => return Err(expression.unexpected("a term")),
            Expression::List { .. } => return Self::sum(expression, declarations),
        };
        if number::looks_like(text) && index.is_none() {
            let constant = number::decimal(text).ok_or_else(|| {
                let text = text.chars().take(40).collect();
                At::line(line, VnnlibFault::Number { text, limit: number::LIMIT })
            })?;
            return Ok(Self { constant, ..Self::default() });
        }
        Ok(match declarations.variable(text, index, line)? {
            Variable::Input(i) => Self { inputs: vec![(i, RBig::ONE)], ..Self::default() },
            Variable::Output(i) => Self { outputs: vec![(i, RBig::ONE)], ..Self::default() },
        })
    }

    fn sum(expression: &Expression, declarations: &Declarations) -> Result<Self, At> {
        let (operator, arguments) = expression.call()?;
        if !matches!(operator, "+" | "-" | "*") {
            return Err(expression.unknown("operator", operator));
        }
        let mut terms = arguments.iter().map(|a| Self::new(a, declarations));
        let Some(first) = terms.next() else {
            return Err(expression.wrong_count(operator, "1 or more", 0));
        };
        let mut result = first?;
        if operator == "-" && arguments.len() == 1 {
            return Ok(result.negated());
        }
        for term in terms {
            let term = term?;
            result = match operator {
                "+" => result.plus(term),
                "-" => result.minus(term),
                _ if term.is_constant() => result.times(&term.constant),
                _ if result.is_constant() => term.times(&result.constant),
                _ => return Err(At::line(expression.line(), VnnlibFault::NonLinear)),
            };
        }
        Ok(result)
    }

    fn is_constant(&self) -> bool {
        self.inputs.is_empty() && self.outputs.is_empty()
    }

    fn negated(mut self) -> Self {
        let negate = |value: &mut RBig| *value = -std::mem::take(value);
        self.inputs.iter_mut().chain(&mut self.outputs).for_each(|(_, a)| negate(a));
        negate(&mut self.constant);
        self
    }

    fn times(mut self, factor: &RBig) -> Self {
        self.inputs.iter_mut().chain(&mut self.outputs).for_each(|(_, a)| *a *= factor);
        self.constant *= factor;
        self
    }

    fn plus(mut self, other: Self) -> Self {
        self.inputs.extend(other.inputs);
        self.outputs.extend(other.outputs);
        self.constant = match (self.constant.is_zero(), other.constant.is_zero()) {
            (true, _) => other.constant,
            (_, true) => self.constant,
            _ => self.constant + other.constant,
        };
        self
    }

    fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    /// This expression $\le 0$, or $< 0$.
    fn at_most_zero(self, strict: bool, line: usize) -> Formula {
        let (inputs, outputs) = (collected(self.inputs), collected(self.outputs));
        Formula::Atom(Atom { constraint: LinearConstraint { inputs, outputs, bound: -self.constant, strict }, line })
    }
}

/// Terms in ascending order, one per variable, without zeros.
fn collected(mut terms: Vec<(usize, RBig)>) -> Vec<(usize, RBig)> {
    terms.sort_by_key(|(index, _)| *index);
    terms.dedup_by(|(index, value), (kept, sum)| {
        let same = index == kept;
        if same {
            *sum += std::mem::take(value);
        }
        same
    });
    terms.retain(|(_, value)| !value.is_zero());
    terms
}
