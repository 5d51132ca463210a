//! The values of sets and parameters, and of expressions over them; what data sections give is in `data.rs`.

mod data;

use super::AmplFault;
use super::expression::{Node, Unary, power};
use super::statements::Source;
use super::syntax::{Command, Dummy, Expr, Indexing, Operator, SetExpr, VariableDeclaration};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// One place of a subscript: the bits of a number, or text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Atom {
    Number(u64),
    Text(Rc<str>),
}

pub(super) type Key = Vec<Atom>;

impl Atom {
    pub fn number(value: f64) -> Self {
        // Zero has two bit patterns.
        Atom::Number((value + 0.0).to_bits())
    }

    fn term(&self) -> Term {
        match self {
            Atom::Number(bits) => Term::Number(f64::from_bits(*bits)),
            Atom::Text(text) => Term::Text(Rc::clone(text)),
        }
    }
}

pub(super) fn describe(key: &[Atom]) -> String {
    let places: Vec<String> = key
        .iter()
        .map(|atom| match atom {
            Atom::Number(bits) => f64::from_bits(*bits).to_string(),
            Atom::Text(text) => text.to_string(),
        })
        .collect();
    places.join(",")
}

/// The value of an expression.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Number(f64),
    Text(Rc<str>),
    Node(Rc<Node>),
}

impl Term {
    pub fn node(self) -> Result<Rc<Node>, AmplFault> {
        match self {
            Term::Number(value) => Ok(Rc::new(Node::Constant(value))),
            Term::Node(node) => Ok(node),
            Term::Text(text) => Err(AmplFault::NotNumber { text: text.to_string() }),
        }
    }

    fn from_node(node: Rc<Node>) -> Self {
        match node.constant() {
            Some(value) => Term::Number(value),
            None => Term::Node(node),
        }
    }

    fn truth(condition: bool) -> Self {
        Term::Number(f64::from(u8::from(condition)))
    }
}

/// The members of a set, in order.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub order: Vec<Key>,
    index: OnceCell<HashSet<Key>>,
}

impl Members {
    fn new(keys: impl IntoIterator<Item = Key>) -> Rc<Self> {
        let mut seen = HashSet::new();
        let order = keys.into_iter().filter(|key| seen.insert(key.clone())).collect();
        Rc::new(Self { order, index: OnceCell::from(seen) })
    }

    fn contains(&self, key: &Key) -> bool {
        self.index.get_or_init(|| self.order.iter().cloned().collect()).contains(key)
    }
}

/// The dummy indices in force.
pub(super) type Scope = Vec<(String, Atom)>;

/// Nesting of definitions past which they count as circular.
const DEPTH: usize = 200;

pub(super) struct Values<'s> {
    source: &'s Source,
    declarations: HashMap<&'s str, &'s VariableDeclaration>,
    assigned_sets: HashMap<String, HashMap<Key, Rc<Members>>>,
    assigned: HashMap<String, HashMap<Key, Atom>>,
    data_defaults: HashMap<String, Atom>,
    pub starts: HashMap<String, HashMap<Key, f64>>,
    /// Values of fixed variables; none where the start is meant.
    pub fixed: HashMap<String, HashMap<Key, Option<f64>>>,
    /// The places of the variables, once they are known.
    pub places: HashMap<String, HashMap<Key, usize>>,
    sets: RefCell<HashMap<(String, Key), Rc<Members>>>,
    parameters: RefCell<HashMap<String, HashMap<Key, Atom>>>,
    definitions: RefCell<HashMap<String, HashMap<Key, Rc<Node>>>>,
    depth: Cell<usize>,
}

impl<'s> Values<'s> {
    /// Runs the commands and data sections of a text.
    pub fn new(source: &'s Source) -> Result<Self, AmplFault> {
        let mut values = Self {
            source,
            declarations: source.variables.iter().map(|(name, variable)| (name.as_str(), variable)).collect(),
            assigned_sets: HashMap::new(),
            assigned: HashMap::new(),
            data_defaults: HashMap::new(),
            starts: HashMap::new(),
            fixed: HashMap::new(),
            places: HashMap::new(),
            sets: RefCell::default(),
            parameters: RefCell::default(),
            definitions: RefCell::default(),
            depth: Cell::new(0),
        };
        for command in &source.commands {
            values.run(command, &mut Vec::new())?;
        }
        Ok(values)
    }

    fn forget(&mut self) {
        self.sets.get_mut().clear();
        self.parameters.get_mut().clear();
    }

    fn run(&mut self, command: &Command, scope: &mut Scope) -> Result<(), AmplFault> {
        match command {
            Command::Data(data) => self.data(data)?,
            Command::Let { indexing, name, subscripts, value } => {
                for inner in self.scopes(indexing, scope)? {
                    let key = self.key(subscripts, &inner)?;
                    if self.source.sets.contains_key(name) {
                        let set = value.set.as_ref();
                        let set =
                            set.ok_or_else(|| AmplFault::Undeclared { name: name.clone(), kind: "a parameter" })?;
                        let members = self.set(set, &inner)?;
                        self.assigned_sets.entry(name.clone()).or_default().insert(key, members);
                    } else {
                        let expression = value.value.as_ref();
                        let expression =
                            expression.ok_or_else(|| AmplFault::Undeclared { name: name.clone(), kind: "a set" })?;
                        if self.source.parameters.contains_key(name) {
                            let atom = self.atom(expression, &inner)?;
                            self.assigned.entry(name.clone()).or_default().insert(key, atom);
                        } else if self.declarations.contains_key(name.as_str()) {
                            let number = self.number(expression, &inner)?;
                            self.starts.entry(name.clone()).or_default().insert(key, number);
                            continue;
                        } else {
                            return Err(AmplFault::Undeclared { name: name.clone(), kind: "anything" });
                        }
                    }
                    self.forget();
                }
            }
            Command::Fix { indexing, name, subscripts, value } => {
                for inner in self.scopes(indexing, scope)? {
                    let key = self.key(subscripts, &inner)?;
                    let value = value.as_ref().map(|value| self.number(value, &inner)).transpose()?;
                    self.fixed.entry(name.clone()).or_default().insert(key, value);
                }
            }
            Command::For { indexing, body } => {
                for mut inner in self.scopes(indexing, scope)? {
                    for command in body {
                        self.run(command, &mut inner)?;
                    }
                }
            }
            Command::If { condition, then, otherwise } => {
                let body = if self.truth(condition, scope)? { then } else { otherwise };
                for command in body {
                    self.run(command, scope)?;
                }
            }
        }
        Ok(())
    }

    fn set_dimension(&self, name: &str) -> usize {
        let Some(declaration) = self.source.sets.get(name) else { return 1 };
        let written = declaration.within.as_ref().or(declaration.value.as_ref());
        declaration.dimension.unwrap_or_else(|| written.map_or(1, |set| self.dimension(set)))
    }

    fn dimension(&self, set: &SetExpr) -> usize {
        match set {
            SetExpr::Name(name, _) => self.set_dimension(name),
            SetExpr::Range(..) => 1,
            SetExpr::Listed(members) => members.first().map_or(1, Vec::len),
            SetExpr::Union(a, _) | SetExpr::Intersection(a, _) | SetExpr::Difference(a, _) => self.dimension(a),
            SetExpr::Cross(a, b) => self.dimension(a) + self.dimension(b),
            SetExpr::Indexed(indexing) => self.places(indexing),
        }
    }

    fn places(&self, indexing: &Indexing) -> usize {
        indexing.parts.iter().map(|(_, set)| self.dimension(set)).sum()
    }

    fn parameter_dimension(&self, name: &str) -> Result<usize, AmplFault> {
        match self.source.parameters.get(name) {
            Some(declaration) => Ok(self.places(&declaration.indexing)),
            None => Err(AmplFault::Undeclared { name: name.to_string(), kind: "a parameter" }),
        }
    }

    /// The scopes of an indexing, one for each of its tuples.
    fn scopes(&self, indexing: &Indexing, scope: &Scope) -> Result<Vec<Scope>, AmplFault> {
        let mut scopes = Vec::new();
        self.each(indexing, scope, &mut |inner, _| {
            scopes.push(inner.clone());
            Ok(())
        })?;
        Ok(scopes)
    }

    /// Calls `visit` with the scope and the tuple of every tuple of an indexing.
    pub fn each(
        &self,
        indexing: &Indexing,
        scope: &Scope,
        visit: &mut dyn FnMut(&Scope, &Key) -> Result<(), AmplFault>,
    ) -> Result<(), AmplFault> {
        self.each_part(indexing, 0, &mut scope.clone(), &mut Vec::new(), visit)
    }

    fn each_part(
        &self,
        indexing: &Indexing,
        part: usize,
        scope: &mut Scope,
        key: &mut Key,
        visit: &mut dyn FnMut(&Scope, &Key) -> Result<(), AmplFault>,
    ) -> Result<(), AmplFault> {
        let Some((dummies, set)) = indexing.parts.get(part) else {
            let holds = indexing.condition.as_ref().map_or(Ok(true), |condition| self.truth(condition, scope))?;
            return if holds { visit(scope, key) } else { Ok(()) };
        };
        let members = self.set(set, scope)?;
        let (scope_length, key_length) = (scope.len(), key.len());
        for member in &members.order {
            if self.bind(dummies, member, scope)? {
                key.extend(member.iter().cloned());
                self.each_part(indexing, part + 1, scope, key, visit)?;
            }
            scope.truncate(scope_length);
            key.truncate(key_length);
        }
        Ok(())
    }

    /// Binds the dummy indices to a member; false if a fixed place differs.
    fn bind(&self, dummies: &[Dummy], member: &[Atom], scope: &mut Scope) -> Result<bool, AmplFault> {
        if dummies.is_empty() {
            return Ok(true);
        }
        if dummies.len() != member.len() {
            return Err(AmplFault::Dimension { expected: member.len(), found: dummies.len() });
        }
        // Fixed places first, since most members fail there.
        let is_tuple = dummies.len() > 1;
        let fixed = |scope: &Scope, name: &String| is_tuple && scope.iter().any(|(known, _)| known == name);
        for (dummy, atom) in dummies.iter().zip(member) {
            if let Dummy::Name(name) = dummy
                && is_tuple
                && let Some((_, value)) = scope.iter().rev().find(|(known, _)| known == name)
                && value != atom
            {
                return Ok(false);
            }
        }
        let mut fresh = Vec::with_capacity(dummies.len());
        for (dummy, atom) in dummies.iter().zip(member) {
            match dummy {
                Dummy::Name(name) if fixed(scope, name) => {}
                Dummy::Name(name) => fresh.push((name.clone(), atom.clone())),
                Dummy::Value(expression) => {
                    if self.atom(expression, scope)? != *atom {
                        return Ok(false);
                    }
                }
            }
        }
        scope.extend(fresh);
        Ok(true)
    }

    fn key(&self, subscripts: &[Expr], scope: &Scope) -> Result<Key, AmplFault> {
        subscripts.iter().map(|subscript| self.atom(subscript, scope)).collect()
    }

    fn set(&self, set: &SetExpr, scope: &Scope) -> Result<Rc<Members>, AmplFault> {
        Ok(match set {
            SetExpr::Name(name, subscripts) => self.named_set(name, self.key(subscripts, scope)?)?,
            SetExpr::Range(first, last, step) => {
                let (first, last) = (self.number(first, scope)?, self.number(last, scope)?);
                let step = step.as_ref().map_or(Ok(1.0), |step| self.number(step, scope))?;
                let count = ((last - first) / step + 1e-9).floor();
                let count = if count >= 0.0 { count as usize + 1 } else { 0 };
                let order = (0..count).map(|k| vec![Atom::number(first + step * k as f64)]).collect();
                Rc::new(Members { order, index: OnceCell::new() })
            }
            SetExpr::Listed(members) => {
                let mut keys = Vec::new();
                for member in members {
                    match member.as_slice() {
                        [Expr::Name(name, subscripts)] if self.source.sets.contains_key(name) => {
                            keys.extend(self.named_set(name, self.key(subscripts, scope)?)?.order.iter().cloned());
                        }
                        tuple => keys.push(self.key(tuple, scope)?),
                    }
                }
                Members::new(keys)
            }
            SetExpr::Union(a, b) => {
                let (a, b) = (self.set(a, scope)?, self.set(b, scope)?);
                Members::new(a.order.iter().chain(&b.order).cloned())
            }
            SetExpr::Intersection(a, b) => {
                let (a, b) = (self.set(a, scope)?, self.set(b, scope)?);
                Members::new(a.order.iter().filter(|key| b.contains(key)).cloned())
            }
            SetExpr::Difference(a, b) => {
                let (a, b) = (self.set(a, scope)?, self.set(b, scope)?);
                Members::new(a.order.iter().filter(|key| !b.contains(key)).cloned())
            }
            SetExpr::Cross(a, b) => {
                let (a, b) = (self.set(a, scope)?, self.set(b, scope)?);
                Members::new(a.order.iter().flat_map(|a| b.order.iter().map(move |b| [&a[..], b].concat())))
            }
            SetExpr::Indexed(indexing) => {
                let mut keys = Vec::new();
                self.each(indexing, scope, &mut |_, key| {
                    keys.push(key.clone());
                    Ok(())
                })?;
                Members::new(keys)
            }
        })
    }

    fn named_set(&self, name: &str, key: Key) -> Result<Rc<Members>, AmplFault> {
        let Some(declaration) = self.source.sets.get(name) else {
            return Err(AmplFault::Undeclared { name: name.to_string(), kind: "a set" });
        };
        if let Some(members) = self.assigned_sets.get(name).and_then(|sets| sets.get(&key)) {
            return Ok(Rc::clone(members));
        }
        if let Some(members) = self.sets.borrow().get(&(name.to_string(), key.clone())) {
            return Ok(Rc::clone(members));
        }
        let Some(value) = &declaration.value else {
            return Err(AmplFault::NoValue { name: name.to_string(), subscripts: describe(&key) });
        };
        let scope = self.scope_of(&declaration.indexing, &key)?;
        let members = self.deeper(name, || self.set(value, &scope))?;
        self.sets.borrow_mut().insert((name.to_string(), key), Rc::clone(&members));
        Ok(members)
    }

    /// The scope in which the definition of `name[key]` is read.
    pub fn scope_of(&self, indexing: &Indexing, key: &Key) -> Result<Scope, AmplFault> {
        let mut scope = Vec::new();
        let mut rest = key.as_slice();
        for (dummies, set) in &indexing.parts {
            let places = if dummies.is_empty() { self.dimension(set) } else { dummies.len() };
            if places > rest.len() {
                return Err(AmplFault::Dimension { expected: self.places(indexing), found: key.len() });
            }
            let (here, after) = rest.split_at(places);
            for (dummy, atom) in dummies.iter().zip(here) {
                if let Dummy::Name(name) = dummy {
                    scope.push((name.clone(), atom.clone()));
                }
            }
            rest = after;
        }
        if rest.is_empty() {
            Ok(scope)
        } else {
            Err(AmplFault::Dimension { expected: self.places(indexing), found: key.len() })
        }
    }

    fn deeper<T>(&self, name: &str, evaluate: impl FnOnce() -> Result<T, AmplFault>) -> Result<T, AmplFault> {
        if self.depth.get() >= DEPTH {
            return Err(AmplFault::Circular { name: name.to_string() });
        }
        self.depth.set(self.depth.get() + 1);
        let result = evaluate();
        self.depth.set(self.depth.get() - 1);
        result
    }

    fn parameter(&self, name: &str, key: Key) -> Result<Atom, AmplFault> {
        if let Some(atom) = self.assigned.get(name).and_then(|values| values.get(&key)) {
            return Ok(atom.clone());
        }
        if let Some(atom) = self.parameters.borrow().get(name).and_then(|values| values.get(&key)) {
            return Ok(atom.clone());
        }
        let declaration = &self.source.parameters[name];
        let expression = match (&declaration.value, self.data_defaults.get(name), &declaration.default) {
            (Some(value), ..) => value,
            (None, Some(atom), _) => return Ok(atom.clone()),
            (None, None, Some(default)) => default,
            (None, None, None) => {
                return Err(AmplFault::NoValue { name: name.to_string(), subscripts: describe(&key) });
            }
        };
        let scope = self.scope_of(&declaration.indexing, &key)?;
        let atom = self.deeper(name, || self.atom(expression, &scope))?;
        self.parameters.borrow_mut().entry(name.to_string()).or_default().insert(key, atom.clone());
        Ok(atom)
    }

    fn variable(&self, name: &str, key: Key) -> Result<Rc<Node>, AmplFault> {
        let Some(declaration) = self.declarations.get(name) else {
            return Err(AmplFault::Undeclared { name: name.to_string(), kind: "a parameter or variable" });
        };
        let Some(definition) = &declaration.definition else {
            return match self.places.get(name).and_then(|places| places.get(&key)) {
                Some(place) => Ok(Rc::new(Node::Variable(*place))),
                None if self.places.is_empty() => Err(AmplFault::NotConstant { name: name.to_string() }),
                None => Err(AmplFault::NoValue { name: name.to_string(), subscripts: describe(&key) }),
            };
        };
        if let Some(node) = self.definitions.borrow().get(name).and_then(|nodes| nodes.get(&key)) {
            return Ok(Rc::clone(node));
        }
        let scope = self.scope_of(&declaration.indexing, &key)?;
        let node = self.deeper(name, || self.eval(definition, &scope))?.node()?;
        self.definitions.borrow_mut().entry(name.to_string()).or_default().insert(key, Rc::clone(&node));
        Ok(node)
    }

    fn atom(&self, expression: &Expr, scope: &Scope) -> Result<Atom, AmplFault> {
        match self.eval(expression, scope)? {
            Term::Number(value) => Ok(Atom::number(value)),
            Term::Text(text) => Ok(Atom::Text(text)),
            Term::Node(_) => Err(not_constant(expression)),
        }
    }

    pub fn number(&self, expression: &Expr, scope: &Scope) -> Result<f64, AmplFault> {
        match self.eval(expression, scope)? {
            Term::Number(value) => Ok(value),
            Term::Text(text) => Err(AmplFault::NotNumber { text: text.to_string() }),
            Term::Node(_) => Err(not_constant(expression)),
        }
    }

    fn truth(&self, condition: &Expr, scope: &Scope) -> Result<bool, AmplFault> {
        Ok(self.number(condition, scope)? != 0.0)
    }

    /// The value of an expression.
    pub fn eval(&self, expression: &Expr, scope: &Scope) -> Result<Term, AmplFault> {
        Ok(match expression {
            Expr::Number(value) => Term::Number(*value),
            Expr::Text(text) => Term::Text(Rc::from(text.as_str())),
            Expr::Name(name, subscripts) => {
                if subscripts.is_empty() {
                    if let Some((_, atom)) = scope.iter().rev().find(|(known, _)| known == name) {
                        return Ok(atom.term());
                    }
                    if name == "Infinity" {
                        return Ok(Term::Number(f64::INFINITY));
                    }
                }
                let key = self.key(subscripts, scope)?;
                if self.source.parameters.contains_key(name) {
                    self.parameter(name, key)?.term()
                } else {
                    Term::from_node(self.variable(name, key)?)
                }
            }
            Expr::Negate(a) => match self.eval(a, scope)? {
                Term::Number(value) => Term::Number(-value),
                term => Term::from_node(Node::sum(vec![(-1.0, term.node()?)])),
            },
            Expr::Not(a) => Term::truth(!self.truth(a, scope)?),
            Expr::Binary(operator, a, b) => self.binary(*operator, a, b, scope)?,
            Expr::If(condition, then, otherwise) => {
                if self.truth(condition, scope)? {
                    self.eval(then, scope)?
                } else {
                    otherwise.as_ref().map_or(Ok(Term::Number(0.0)), |otherwise| self.eval(otherwise, scope))?
                }
            }
            Expr::Sum(indexing, body) => {
                let mut terms = Vec::new();
                self.each(indexing, scope, &mut |inner, _| {
                    terms.push((1.0, self.eval(body, inner)?.node()?));
                    Ok(())
                })?;
                Term::from_node(Node::sum(terms))
            }
            Expr::Product(indexing, body) => {
                let mut product = Rc::new(Node::Constant(1.0));
                self.each(indexing, scope, &mut |inner, _| {
                    product = Node::product(Rc::clone(&product), self.eval(body, inner)?.node()?);
                    Ok(())
                })?;
                Term::from_node(product)
            }
            Expr::Call(name, arguments) => self.call(name, arguments, scope)?,
            Expr::In(tuple, set) => Term::truth(self.set(set, scope)?.contains(&self.key(tuple, scope)?)),
        })
    }

    fn binary(&self, operator: Operator, a: &Expr, b: &Expr, scope: &Scope) -> Result<Term, AmplFault> {
        match operator {
            Operator::And => return Ok(Term::truth(self.truth(a, scope)? && self.truth(b, scope)?)),
            Operator::Or => return Ok(Term::truth(self.truth(a, scope)? || self.truth(b, scope)?)),
            Operator::Equal => return Ok(Term::truth(self.atom(a, scope)? == self.atom(b, scope)?)),
            Operator::Unequal => return Ok(Term::truth(self.atom(a, scope)? != self.atom(b, scope)?)),
            Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
                let (a, b) = (self.number(a, scope)?, self.number(b, scope)?);
                return Ok(Term::truth(match operator {
                    Operator::Less => a < b,
                    Operator::LessEqual => a <= b,
                    Operator::Greater => a > b,
                    _ => a >= b,
                }));
            }
            _ => {}
        }
        let (a, b) = (self.eval(a, scope)?, self.eval(b, scope)?);
        if let (Term::Number(a), Term::Number(b)) = (&a, &b) {
            return Ok(Term::Number(match operator {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                Operator::Multiply => a * b,
                Operator::Divide => a / b,
                _ => power(*a, *b),
            }));
        }
        let (a, b) = (a.node()?, b.node()?);
        Ok(Term::from_node(match operator {
            Operator::Add => Node::sum(vec![(1.0, a), (1.0, b)]),
            Operator::Subtract => Node::sum(vec![(1.0, a), (-1.0, b)]),
            Operator::Multiply => Node::product(a, b),
            Operator::Divide => match b.constant() {
                Some(b) => Node::sum(vec![(b.recip(), a)]),
                None => Node::product(a, Node::apply(Unary::Power(-1.0), b)),
            },
            _ => match b.constant() {
                Some(b) => Node::apply(Unary::Power(b), a),
                // $a^b = e^{b \log a}$.
                None => Node::apply(Unary::Exp, Node::product(b, Node::apply(Unary::Log, a))),
            },
        }))
    }

    fn call(&self, name: &str, arguments: &[Expr], scope: &Scope) -> Result<Term, AmplFault> {
        let unknown = || AmplFault::Function { name: name.to_string(), arguments: arguments.len() };
        if name == "max" || name == "min" {
            let values: Result<Vec<f64>, _> = arguments.iter().map(|a| self.number(a, scope)).collect();
            let pick = if name == "max" { f64::max } else { f64::min };
            return values?.into_iter().reduce(pick).map(Term::Number).ok_or_else(unknown);
        }
        let [argument] = arguments else { return Err(unknown()) };
        let function = match name {
            "exp" => Unary::Exp,
            "log" => Unary::Log,
            "sqrt" => Unary::Power(0.5),
            "sin" => Unary::Sin,
            "cos" => Unary::Cos,
            "tan" => Unary::Tan,
            "atan" => Unary::Arctan,
            "tanh" => Unary::Tanh,
            "abs" => Unary::Abs,
            "floor" => return Ok(Term::Number(self.number(argument, scope)?.floor())),
            "ceil" => return Ok(Term::Number(self.number(argument, scope)?.ceil())),
            _ => return Err(unknown()),
        };
        Ok(Term::from_node(Node::apply(function, self.eval(argument, scope)?.node()?)))
    }
}

fn not_constant(expression: &Expr) -> AmplFault {
    let name = match expression {
        Expr::Name(name, _) => name.clone(),
        _ => "an expression".to_string(),
    };
    AmplFault::NotConstant { name }
}
