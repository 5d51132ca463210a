//! Sums of small expressions, with exact sparse derivatives.
//!
//! A function is kept as
//! $$h(x) = c + \sum_j a_j x_j + \sum_k b_k\, e_k(x),$$
//! where every element $e_k$ is an expression of few variables. The gradient of an element comes from one reverse
//! sweep; column $j$ of its Hessian from a forward sweep of the direction $x_j$ and a reverse sweep that carries the
//! tangents of the adjoints along.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A function of one expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unary {
    Exp,
    Log,
    Sin,
    Cos,
    Tan,
    Arctan,
    Tanh,
    Abs,
    /// $x^p$ for a constant $p$.
    Power(f64),
}

impl Unary {
    /// Value, first and second derivative.
    pub fn at(self, x: f64) -> (f64, f64, f64) {
        match self {
            Unary::Exp => (x.exp(), x.exp(), x.exp()),
            Unary::Log => (x.ln(), x.recip(), -x.recip().powi(2)),
            Unary::Sin => (x.sin(), x.cos(), -x.sin()),
            Unary::Cos => (x.cos(), -x.sin(), -x.cos()),
            Unary::Tan => (x.tan(), 1.0 + x.tan().powi(2), 2.0 * x.tan() * (1.0 + x.tan().powi(2))),
            Unary::Arctan => (x.atan(), (1.0 + x * x).recip(), -2.0 * x * (1.0 + x * x).powi(-2)),
            Unary::Tanh => {
                let slope = 1.0 - x.tanh().powi(2);
                (x.tanh(), slope, -2.0 * x.tanh() * slope)
            }
            Unary::Abs => (x.abs(), if x == 0.0 { 0.0 } else { x.signum() }, 0.0),
            Unary::Power(p) => {
                let scaled = |factor: f64, exponent: f64| if factor == 0.0 { 0.0 } else { factor * power(x, exponent) };
                (power(x, p), scaled(p, p - 1.0), scaled(p * (p - 1.0), p - 2.0))
            }
        }
    }
}

/// $x^p$, by multiplication for small whole $p$.
pub(super) fn power(x: f64, p: f64) -> f64 {
    if p.fract() == 0.0 && p.abs() <= 64.0 { x.powi(p as i32) } else { x.powf(p) }
}

/// An expression of the variables, built once and shared.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(f64),
    Variable(usize),
    /// $c + \sum_k b_k e_k$.
    Sum(f64, Vec<(f64, Rc<Node>)>),
    Product(Rc<Node>, Rc<Node>),
    Apply(Unary, Rc<Node>),
}

impl Node {
    pub fn constant(&self) -> Option<f64> {
        match self {
            Node::Constant(value) => Some(*value),
            _ => None,
        }
    }

    /// $\sum_k b_k e_k$; a constant if all $e_k$ are.
    pub fn sum(terms: Vec<(f64, Rc<Node>)>) -> Rc<Node> {
        let mut constant = 0.0;
        let mut rest = Vec::with_capacity(terms.len());
        for (factor, node) in terms {
            match &*node {
                Node::Constant(value) => constant += factor * value,
                _ if factor == 0.0 => {}
                _ => rest.push((factor, node)),
            }
        }
        match rest.as_slice() {
            [] => Rc::new(Node::Constant(constant)),
            [(1.0, only)] if constant == 0.0 => Rc::clone(only),
            _ => Rc::new(Node::Sum(constant, rest)),
        }
    }

    pub fn product(a: Rc<Node>, b: Rc<Node>) -> Rc<Node> {
        match (a.constant(), b.constant()) {
            (Some(a), Some(b)) => Rc::new(Node::Constant(a * b)),
            (Some(a), None) => Node::sum(vec![(a, b)]),
            (None, Some(b)) => Node::sum(vec![(b, a)]),
            (None, None) => Rc::new(Node::Product(a, b)),
        }
    }

    pub fn apply(function: Unary, a: Rc<Node>) -> Rc<Node> {
        match (function, a.constant()) {
            (_, Some(a)) => Rc::new(Node::Constant(function.at(a).0)),
            (Unary::Power(1.0), None) => a,
            (Unary::Power(0.0), None) => Rc::new(Node::Constant(1.0)),
            (_, None) => Rc::new(Node::Apply(function, a)),
        }
    }
}

/// One step of an element; operands are earlier steps.
#[derive(Clone, Debug)]
enum Step {
    /// A variable, by its place in [`Element::variables`].
    Variable(usize),
    Sum(f64, Vec<(f64, usize)>),
    Product(usize, usize),
    Apply(Unary, usize),
}

/// An expression of few variables.
#[derive(Clone, Debug)]
struct Element {
    /// The variables, ascending.
    variables: Vec<usize>,
    steps: Vec<Step>,
}

impl Element {
    fn new(root: &Rc<Node>) -> Self {
        let mut places = HashMap::new();
        let mut steps = Vec::new();
        let mut variables: Vec<usize> = Vec::new();
        place(root, &mut places, &mut steps, &mut variables);
        // Steps refer to variables by order of appearance until here.
        let mut ascending = variables.clone();
        ascending.sort_unstable();
        for step in &mut steps {
            if let Step::Variable(at) = step {
                *at = ascending.partition_point(|v| *v < variables[*at]);
            }
        }
        Self { variables: ascending, steps }
    }

    fn values(&self, x: &[f64]) -> Vec<f64> {
        let mut values: Vec<f64> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            values.push(match step {
                Step::Variable(at) => x[self.variables[*at]],
                Step::Sum(constant, terms) => terms.iter().fold(*constant, |sum, (b, e)| sum + b * values[*e]),
                Step::Product(a, b) => values[*a] * values[*b],
                Step::Apply(function, a) => function.at(values[*a]).0,
            });
        }
        values
    }

    fn value(&self, x: &[f64]) -> f64 {
        self.values(x).last().copied().unwrap_or(0.0)
    }

    /// The gradient in the order of the element's variables.
    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        let values = self.values(x);
        let mut gradient = vec![0.0; self.variables.len()];
        let mut adjoint = vec![0.0; self.steps.len()];
        if let Some(last) = adjoint.last_mut() {
            *last = 1.0;
        }
        for (at, step) in self.steps.iter().enumerate().rev() {
            let here = adjoint[at];
            if here == 0.0 {
                continue;
            }
            match step {
                Step::Variable(variable) => gradient[*variable] += here,
                Step::Sum(_, terms) => terms.iter().for_each(|(b, e)| adjoint[*e] += here * b),
                Step::Product(a, b) => {
                    adjoint[*a] += here * values[*b];
                    adjoint[*b] += here * values[*a];
                }
                Step::Apply(function, a) => adjoint[*a] += here * function.at(values[*a]).1,
            }
        }
        gradient
    }

    /// Adds the lower triangle of `factor` times the Hessian, row by row in the order of the element's variables.
    fn add_hessian(&self, x: &[f64], factor: f64, into: &mut [f64]) {
        let values = self.values(x);
        let count = self.steps.len();
        let (mut tangent, mut adjoint, mut mixed) = (vec![0.0; count], vec![0.0; count], vec![0.0; count]);
        for direction in 0..self.variables.len() {
            for (at, step) in self.steps.iter().enumerate() {
                tangent[at] = match step {
                    Step::Variable(variable) => f64::from(u8::from(*variable == direction)),
                    Step::Sum(_, terms) => terms.iter().map(|(b, e)| b * tangent[*e]).sum(),
                    Step::Product(a, b) => tangent[*a] * values[*b] + values[*a] * tangent[*b],
                    // A tangent of zero stays zero where the slope is infinite.
                    Step::Apply(_, a) if tangent[*a] == 0.0 => 0.0,
                    Step::Apply(function, a) => function.at(values[*a]).1 * tangent[*a],
                };
            }
            adjoint.fill(0.0);
            mixed.fill(0.0);
            adjoint[count - 1] = 1.0;
            for (at, step) in self.steps.iter().enumerate().rev() {
                let (here, slope) = (adjoint[at], mixed[at]);
                match step {
                    Step::Variable(row) if *row >= direction => {
                        into[row * (row + 1) / 2 + direction] += factor * slope;
                    }
                    Step::Variable(_) => {}
                    Step::Sum(_, terms) => {
                        for (b, e) in terms {
                            adjoint[*e] += here * b;
                            mixed[*e] += slope * b;
                        }
                    }
                    Step::Product(a, b) => {
                        adjoint[*a] += here * values[*b];
                        adjoint[*b] += here * values[*a];
                        mixed[*a] += slope * values[*b] + here * tangent[*b];
                        mixed[*b] += slope * values[*a] + here * tangent[*a];
                    }
                    Step::Apply(function, a) => {
                        let (_, first, second) = function.at(values[*a]);
                        adjoint[*a] += here * first;
                        mixed[*a] += slope * first;
                        if tangent[*a] != 0.0 {
                            mixed[*a] += here * second * tangent[*a];
                        }
                    }
                }
            }
        }
    }
}

fn place(
    node: &Rc<Node>,
    places: &mut HashMap<*const Node, usize>,
    steps: &mut Vec<Step>,
    variables: &mut Vec<usize>,
) -> usize {
    if let Some(at) = places.get(&Rc::as_ptr(node)) {
        return *at;
    }
    let step = match &**node {
        Node::Constant(value) => Step::Sum(*value, Vec::new()),
        Node::Variable(variable) => {
            let at = variables.iter().position(|v| v == variable).unwrap_or_else(|| {
                variables.push(*variable);
                variables.len() - 1
            });
            Step::Variable(at)
        }
        Node::Sum(constant, terms) => {
            let terms = terms.iter().map(|(b, e)| (*b, place(e, places, steps, variables))).collect();
            Step::Sum(*constant, terms)
        }
        Node::Product(a, b) => {
            let a = place(a, places, steps, variables);
            Step::Product(a, place(b, places, steps, variables))
        }
        Node::Apply(function, a) => Step::Apply(*function, place(a, places, steps, variables)),
    };
    steps.push(step);
    places.insert(Rc::as_ptr(node), steps.len() - 1);
    steps.len() - 1
}

/// $c + \sum_j a_j x_j + \sum_k b_k e_k(x)$.
#[derive(Clone, Debug, Default)]
pub(super) struct Function {
    pub constant: f64,
    linear: Vec<(usize, f64)>,
    elements: Vec<(f64, Element)>,
}

impl Function {
    pub fn new(root: &Rc<Node>) -> Self {
        let mut linear = BTreeMap::new();
        let mut function = Self::default();
        function.add(1.0, root, &mut linear);
        function.linear = linear.into_iter().filter(|(_, a)| *a != 0.0).collect();
        function
    }

    fn add(&mut self, factor: f64, node: &Rc<Node>, linear: &mut BTreeMap<usize, f64>) {
        match &**node {
            Node::Constant(value) => self.constant += factor * value,
            Node::Variable(variable) => *linear.entry(*variable).or_default() += factor,
            Node::Sum(constant, terms) => {
                self.constant += factor * constant;
                terms.iter().for_each(|(b, e)| self.add(factor * b, e, linear));
            }
            // A variable times a sum is a sum of small elements.
            Node::Product(a, b) => match (&**a, &**b) {
                (Node::Variable(_), Node::Sum(constant, terms)) => self.distribute(factor, a, *constant, terms, linear),
                (Node::Sum(constant, terms), Node::Variable(_)) => self.distribute(factor, b, *constant, terms, linear),
                _ => self.elements.push((factor, Element::new(node))),
            },
            Node::Apply(..) => self.elements.push((factor, Element::new(node))),
        }
    }

    fn distribute(
        &mut self,
        factor: f64,
        variable: &Rc<Node>,
        constant: f64,
        terms: &[(f64, Rc<Node>)],
        linear: &mut BTreeMap<usize, f64>,
    ) {
        self.add(factor * constant, variable, linear);
        for (b, e) in terms {
            self.add(factor * b, &Node::product(Rc::clone(variable), Rc::clone(e)), linear);
        }
    }

    /// The variable, if the function is one.
    pub fn variable(&self) -> Option<usize> {
        match (self.linear.as_slice(), self.elements.as_slice()) {
            ([(variable, 1.0)], []) if self.constant == 0.0 => Some(*variable),
            _ => None,
        }
    }

    pub fn value(&self, x: &[f64]) -> f64 {
        let linear: f64 = self.linear.iter().map(|(j, a)| a * x[*j]).sum();
        let elements: f64 = self.elements.iter().map(|(b, e)| b * e.value(x)).sum();
        self.constant + linear + elements
    }

    /// The variables of the entries of [`Function::gradient`]; a variable may appear again.
    pub fn gradient_pattern(&self) -> impl Iterator<Item = usize> {
        let linear = self.linear.iter().map(|(j, _)| *j);
        linear.chain(self.elements.iter().flat_map(|(_, e)| e.variables.iter().copied()))
    }

    pub fn gradient(&self, x: &[f64]) -> Vec<f64> {
        let mut entries: Vec<f64> = self.linear.iter().map(|(_, a)| *a).collect();
        for (b, e) in &self.elements {
            entries.extend(e.gradient(x).into_iter().map(|v| b * v));
        }
        entries
    }

    /// The positions of the entries of [`Function::add_hessian`].
    pub fn hessian_pattern(&self) -> impl Iterator<Item = (usize, usize)> {
        self.elements.iter().flat_map(|(_, e)| {
            let variables = &e.variables;
            variables.iter().enumerate().flat_map(|(at, row)| variables[..=at].iter().map(|column| (*row, *column)))
        })
    }

    /// Adds `factor` times the entries of the Hessian's lower triangle; returns how many there are.
    pub fn add_hessian(&self, x: &[f64], factor: f64, into: &mut [f64]) -> usize {
        let mut at = 0;
        for (b, e) in &self.elements {
            let count = e.variables.len() * (e.variables.len() + 1) / 2;
            if factor != 0.0 {
                e.add_hessian(x, factor * b, &mut into[at..at + count]);
            }
            at += count;
        }
        at
    }
}
