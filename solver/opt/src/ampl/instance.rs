//! From declarations and values to a program.

use super::expression::{Function, Node};
use super::program::ExpressionProgram;
use super::statements::Source;
use super::syntax::{ConstraintDeclaration, Operator, Relation};
use super::values::{Scope, Values, describe};
use super::{AmplFault, AmplModel};
use crate::complementarity::Complementarity;
use std::rc::Rc;

/// The program of a model; general complementarity conditions become pairs of variables through slacks.
pub(super) fn model(source: &Source) -> Result<AmplModel, AmplFault> {
    let mut values = Values::new(source)?;
    let mut program = ExpressionProgram {
        objective: Function::default(),
        rows: Vec::new(),
        row_lower: Vec::new(),
        row_upper: Vec::new(),
        lower: Vec::new(),
        upper: Vec::new(),
        start: Vec::new(),
        names: Vec::new(),
    };
    variables(source, &mut values, &mut program)?;
    let objective = source.objectives.first().ok_or(AmplFault::NoObjective)?;
    let sign = if objective.maximize { -1.0 } else { 1.0 };
    let root = values.eval(&objective.expression, &Vec::new())?.node()?;
    program.objective = Function::new(&Node::sum(vec![(sign, root)]));

    let mut builder = Builder { program, pairs: Vec::new() };
    for declaration in &source.constraints {
        values.each(&declaration.indexing, &Vec::new(), &mut |scope, key| {
            let name = named(&declaration.name, &describe(key));
            builder.constraint(declaration, &values, scope, &name)
        })?;
    }
    let Builder { program, pairs } = builder;
    Ok(AmplModel { program: Complementarity { program, pairs }, maximize: objective.maximize })
}

fn named(name: &str, subscripts: &str) -> String {
    if subscripts.is_empty() { name.to_string() } else { format!("{name}[{subscripts}]") }
}

fn variables(source: &Source, values: &mut Values<'_>, program: &mut ExpressionProgram) -> Result<(), AmplFault> {
    for (name, declaration) in &source.variables {
        if declaration.definition.is_some() {
            continue;
        }
        let mut places = std::collections::HashMap::new();
        values.each(&declaration.indexing, &Vec::new(), &mut |scope, key| {
            let bound = |bounds: &[_], none: f64, pick: fn(f64, f64) -> f64| {
                bounds.iter().try_fold(none, |bound, e| Ok(pick(bound, values.number(e, scope)?)))
            };
            let mut lower = bound(&declaration.lower, f64::NEG_INFINITY, f64::max)?;
            let mut upper = bound(&declaration.upper, f64::INFINITY, f64::min)?;
            let assigned = values.starts.get(name).and_then(|starts| starts.get(key)).copied();
            let mut start = match (assigned, &declaration.start) {
                (Some(start), _) => start,
                (None, Some(start)) => values.number(start, scope)?,
                (None, None) => 0.0,
            };
            if let Some(fixed) = values.fixed.get(name).and_then(|fixed| fixed.get(key)) {
                start = fixed.unwrap_or(start);
                (lower, upper) = (start, start);
            }
            places.insert(key.clone(), program.lower.len());
            program.lower.push(lower);
            program.upper.push(upper);
            program.start.push(start);
            program.names.push(named(name, &describe(key)));
            Ok(())
        })?;
        values.places.insert(name.clone(), places);
    }
    Ok(())
}

/// $\ell \le h \le u$.
struct Range {
    body: Rc<Node>,
    lower: f64,
    upper: f64,
}

impl Range {
    fn new(relation: &Relation, values: &Values<'_>, scope: &Scope) -> Result<Option<Self>, AmplFault> {
        let first = values.eval(&relation.first, scope)?.node()?;
        let mut rest = Vec::with_capacity(relation.rest.len());
        for (operator, expression) in &relation.rest {
            rest.push((*operator, values.eval(expression, scope)?.node()?));
        }
        Ok(match rest.as_slice() {
            [(operator, second)] => {
                let body = Node::sum(vec![(1.0, first), (-1.0, Rc::clone(second))]);
                let (lower, upper) = match operator {
                    Operator::LessEqual => (f64::NEG_INFINITY, 0.0),
                    Operator::GreaterEqual => (0.0, f64::INFINITY),
                    _ => (0.0, 0.0),
                };
                Some(Self { body, lower, upper })
            }
            [(one, body), (other, third)] => match (one, other, first.constant(), third.constant()) {
                (Operator::LessEqual, Operator::LessEqual, Some(lower), Some(upper))
                | (Operator::GreaterEqual, Operator::GreaterEqual, Some(upper), Some(lower)) => {
                    Some(Self { body: Rc::clone(body), lower, upper })
                }
                _ => None,
            },
            _ => None,
        })
    }

    /// What the range asks to be not negative, if it is one inequality.
    fn one_sided(&self) -> Option<Rc<Node>> {
        let constant = |value| Rc::new(Node::Constant(value));
        match (self.lower.is_finite(), self.upper.is_finite()) {
            (true, false) => Some(Node::sum(vec![(1.0, Rc::clone(&self.body)), (-self.lower, constant(1.0))])),
            (false, true) => Some(Node::sum(vec![(-1.0, Rc::clone(&self.body)), (self.upper, constant(1.0))])),
            _ => None,
        }
    }
}

struct Builder {
    program: ExpressionProgram,
    pairs: Vec<(usize, usize)>,
}

impl Builder {
    fn constraint(
        &mut self,
        declaration: &ConstraintDeclaration,
        values: &Values<'_>,
        scope: &Scope,
        name: &str,
    ) -> Result<(), AmplFault> {
        let form = || AmplFault::Complements { line: declaration.line, name: declaration.name.clone() };
        let Some(complement) = &declaration.complement else {
            let unsupported =
                || AmplFault::Unsupported { line: declaration.line, feature: "a range whose ends are not constant" };
            if declaration.relation.rest.is_empty() {
                return Err(AmplFault::Unsupported {
                    line: declaration.line,
                    feature: "a constraint without a relation",
                });
            }
            let range = Range::new(&declaration.relation, values, scope)?.ok_or_else(unsupported)?;
            self.row(&range.body, range.lower, range.upper);
            return Ok(());
        };
        match (declaration.relation.rest.len(), complement.rest.len()) {
            (1, 1) => {
                let left = Range::new(&declaration.relation, values, scope)?.and_then(|range| range.one_sided());
                let right = Range::new(complement, values, scope)?.and_then(|range| range.one_sided());
                let (left, right) = left.zip(right).ok_or_else(form)?;
                self.pair(&left, &right, name);
            }
            (_, 0) => self.mixed(&declaration.relation, complement, values, scope, name)?.ok_or_else(form)?,
            (0, _) => self.mixed(complement, &declaration.relation, values, scope, name)?.ok_or_else(form)?,
            _ => return Err(form()),
        }
        Ok(())
    }

    /// A range or equation that is complementary to an expression.
    fn mixed(
        &mut self,
        range: &Relation,
        free: &Relation,
        values: &Values<'_>,
        scope: &Scope,
        name: &str,
    ) -> Result<Option<()>, AmplFault> {
        let Some(range) = Range::new(range, values, scope)? else { return Ok(None) };
        if range.lower == range.upper {
            // The expression may have any value.
            self.row(&range.body, range.lower, range.upper);
            return Ok(Some(()));
        }
        if !(range.lower.is_finite() && range.upper.is_finite()) {
            return Ok(None);
        }
        // h = h⁺ - h⁻ with 0 <= h⁺ ⟂ body - lower >= 0 and 0 <= h⁻ ⟂ upper - body >= 0.
        let free = values.eval(&free.first, scope)?.node()?;
        let positive = self.slack(&format!("{name}.positive"));
        let negative = self.slack(&format!("{name}.negative"));
        let variable = |place| Rc::new(Node::Variable(place));
        self.row(&Node::sum(vec![(1.0, free), (-1.0, variable(positive)), (1.0, variable(negative))]), 0.0, 0.0);
        let one = Rc::new(Node::Constant(1.0));
        let above = Node::sum(vec![(1.0, Rc::clone(&range.body)), (-range.lower, Rc::clone(&one))]);
        let below = Node::sum(vec![(-1.0, Rc::clone(&range.body)), (range.upper, one)]);
        self.pair(&variable(positive), &above, name);
        self.pair(&variable(negative), &below, name);
        Ok(Some(()))
    }

    /// $\ell \le h(x) \le u$, with the constant of $h$ moved to the bounds.
    fn row(&mut self, body: &Rc<Node>, lower: f64, upper: f64) {
        let mut function = Function::new(body);
        self.program.row_lower.push(lower - function.constant);
        self.program.row_upper.push(upper - function.constant);
        function.constant = 0.0;
        self.program.rows.push(function);
    }

    fn slack(&mut self, name: &str) -> usize {
        self.program.lower.push(0.0);
        self.program.upper.push(f64::INFINITY);
        self.program.start.push(0.0);
        self.program.names.push(name.to_string());
        self.program.lower.len() - 1
    }

    fn pair(&mut self, left: &Rc<Node>, right: &Rc<Node>, name: &str) {
        let left = self.side(left, &format!("{name}.left"));
        let right = self.side(right, &format!("{name}.right"));
        // A variable that is complementary to itself, for which the two sides of a pair must differ.
        let right = if right == left { self.copy(right, &format!("{name}.right")) } else { right };
        self.pairs.push((left, right));
    }

    /// The variable that equals an expression; a slack unless the expression is a variable.
    fn side(&mut self, body: &Rc<Node>, name: &str) -> usize {
        let function = Function::new(body);
        if let Some(variable) = function.variable() {
            return variable;
        }
        let value = function.value(&self.program.start);
        self.equal_slack(body, value, name)
    }

    fn copy(&mut self, variable: usize, name: &str) -> usize {
        self.equal_slack(&Rc::new(Node::Variable(variable)), self.program.start[variable], name)
    }

    /// A slack that equals an expression whose value at the start is given.
    fn equal_slack(&mut self, body: &Rc<Node>, value: f64, name: &str) -> usize {
        let slack = self.slack(name);
        if value.is_finite() {
            self.program.start[slack] = value.max(0.0);
        }
        self.row(&Node::sum(vec![(1.0, Rc::clone(body)), (-1.0, Rc::new(Node::Variable(slack)))]), 0.0, 0.0);
        slack
    }
}
