//! Two networks as one: what a question about their difference means.
//!
//! For networks $A$ and $B$ with one input, every value of $A$ is carried beside its counterpart in $B$ and their difference
//! $d = a - b$, which is a value of the joint network in its own right. Affine maps give
//! $$ W_A a - W_B b = W_A d + (W_A - W_B)\, b, $$
//! where $W_A - W_B$ is stored exactly, or $W_A b - W_B b$ where no float of 32 bits is the difference. The difference of two ReLUs
//! $h = \max(u, 0)$, $g = \max(v, 0)$ with $d = u - v$ is written as it is, or, at the entries that are *related*, as
//! $$ h - g = \max\big(\min(d, h), -g\big) = d - \max(d - h, 0) + \max(-d - g, 0). $$
//! Both equalities hold for all $u, v$. For $d \ge 0$, $h - g$ is $d$ where $v \ge 0$ (then $d \le h$) and $h$ where $v \le 0$
//! (then $h \le d$, and $g = 0$), so it is $\min(d, h)$, which is at least $-g$; for $d \le 0$ exchange both networks. And since
//! $d - h$ and $-d - g$ are never both positive, taking off what exceeds $h$ and adding what falls below $-g$ is the same as
//! clipping. Both excesses lie within the range of $d$, so relaxing them loses no more than the size of the difference,
//! however large the values themselves are; where both ReLUs are active nothing is lost. Where the networks differ in structure, the
//! difference is subtracted as it is. Parts that agree in both are one part.
//!
//! | step | file |
//! |---|---|
//! | the same operators for the same maps | `canonical` |
//! | both networks as one, with differences | `join` |
//!
//! Networks that are not defined everywhere (roots, quotients by variables) are refused: a difference could hide where one is not.
//!
//! The joint network computes exactly $A$ and $A - B$ in real arithmetic; bounding it is the ordinary business of the verifier and the
//! checker.

mod canonical;
mod join;

use crate::proof::checker::check_records;
use crate::proof::format::{Digests, Reader, Record};
use crate::proof::{Accepted, Rejection};
use crate::semantics::Semantics;
use canonical::canonical;
use dashu_ratio::RBig;
use join::Joiner;
use secateur_nn::NnError;
use secateur_nn::graph::{Graph, NodeId};
use secateur_nn::op::Op;
use secateur_nn::property::{Case, Conjunction, LinearConstraint, Property};
use std::io::Read;
use thiserror::Error;

/// Why two networks make no pair.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PairError {
    /// Inputs or outputs do not fit together.
    #[error("the networks have {first} and {second} {what}")]
    Sizes {
        /// Inputs or outputs.
        what: &'static str,
        /// Of the first network.
        first: usize,
        /// Of the second.
        second: usize,
    },
    /// The set of inputs has another number of variables.
    #[error("the property has {property} inputs, the networks {networks}")]
    Inputs {
        /// Inputs of the property.
        property: usize,
        /// Inputs of the networks.
        networks: usize,
    },
    /// The inputs have other shapes; extents of 1 do not count, and flat ones go with all.
    #[error("the inputs do not go together: {first:?} and {second:?}")]
    Shapes {
        /// Of the first network.
        first: Vec<usize>,
        /// Of the second network, or as the property declares them.
        second: Vec<usize>,
    },
    /// The inputs have other element types.
    #[error("the networks' inputs have different element types")]
    Elements,
    /// A network is not defined everywhere, so a difference of it is not either.
    #[error(
        "node `{node}`: operator {op} may be undefined, and networks are compared only where both are defined everywhere"
    )]
    Partial {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
    /// A network is deeper than is joined.
    #[error("a network has more than 2000 operators in a row")]
    Deep,
    /// A ball cuts a box.
    #[error("the set of inputs is no box")]
    Ball,
    /// There is nothing to choose from.
    #[error("the class of a network with {outputs} outputs")]
    Classes {
        /// Outputs of the networks.
        outputs: usize,
    },
    /// Entries to relate that do not exist or do not ascend.
    #[error("the joint network has no such entries to relate")]
    Related,
    /// The tolerance is below 0.
    #[error("a tolerance below 0")]
    Negative,
    /// The joint network cannot be built: element types differ, for example.
    #[error("the networks do not go together: {0}")]
    Network(#[from] NnError),
}

/// The entries of each pair of ReLUs whose difference is written with the difference of what they read, ascending; the others
/// are subtracted. Pairs count from the input. Whatever is chosen, the joint network computes the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Related(pub Vec<Vec<u32>>);

/// The differences in front of all pairs of ReLUs.
#[derive(Clone, Debug)]
pub struct Differences {
    /// A network that has them as its outputs, pair after pair, and the values of the last pair behind them.
    pub graph: Graph,
    /// Of each pair, the names of both ReLUs in that network and the number of entries.
    pub relus: Vec<([String; 2], usize)>,
}

impl Differences {
    /// What the joint network of two networks looks like with some entries related; `None` where it has no pairs of ReLUs.
    ///
    /// # Errors
    /// See [`Pair::new`].
    pub fn new(a: &Graph, b: &Graph, related: &Related) -> Result<Option<Self>, PairError> {
        let (a, b) = (canonical(a)?, canonical(b)?);
        Joiner::new(&a, &b, related)?.probe()
    }
}

/// What is asked about two networks on a set of inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Whether $|A(x)_i - B(x)_i| \le \delta$ for every output $i$.
    Within(RBig),
    /// Whether a class that is ahead in $A$ is among the first in $B$: $A_i \ge A_k + m$ for all $k \ne i$ implies $B_i \ge B_j$ for all $j$.
    SameClass {
        /// $m \ge 0$.
        lead: RBig,
        /// Whether the class is the least output instead of the greatest.
        least: bool,
    },
}

/// The joint network of a question, and the question as a property of it.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The joint network: the differences $A - B$, after the outputs of $A$ where the question is about classes.
    pub graph: Graph,
    /// Violated where the networks differ.
    pub property: Property,
    /// Whether both networks are the same, operator by operator and bit by bit: then there is nothing to show.
    pub identical: bool,
}

impl Pair {
    /// Joins two networks for a question on the boxes of `inputs`, whose unsafe sets do not matter.
    ///
    /// # Errors
    /// Inputs or outputs do not fit together, or balls cut the boxes.
    pub fn new(a: &Graph, b: &Graph, inputs: &Property, question: &Question) -> Result<Self, PairError> {
        Self::related(a, b, inputs, question, &Related::default())
    }

    /// The same, with some pairs of ReLUs related.
    ///
    /// # Errors
    /// See [`Self::new`]; entries that do not exist.
    pub fn related(
        a: &Graph,
        b: &Graph,
        inputs: &Property,
        question: &Question,
        related: &Related,
    ) -> Result<Self, PairError> {
        let size = |graph: &Graph, id: NodeId| graph.node(id).shape.iter().product::<usize>();
        let (first, second) = (size(a, a.input()), size(b, b.input()));
        if first != second {
            return Err(PairError::Sizes { what: "inputs", first, second });
        }
        if inputs.inputs != first {
            return Err(PairError::Inputs { property: inputs.inputs, networks: first });
        }
        let (outputs, second) = (size(a, a.output()), size(b, b.output()));
        if outputs != second {
            return Err(PairError::Sizes { what: "outputs", first: outputs, second });
        }
        let shape = |graph: &Graph| graph.node(graph.input()).shape.clone();
        let declared = inputs.declared.iter().map(|[input, _]| input.clone());
        for other in declared.chain([shape(b)]) {
            if !go_together(&shape(a), &other) {
                return Err(PairError::Shapes { first: shape(a), second: other });
            }
        }
        if a.node(a.input()).element != b.node(b.input()).element {
            return Err(PairError::Elements);
        }
        for graph in [a, b] {
            if let Some((_, node)) = graph.nodes().find(|(id, _)| may_be_undefined(graph, *id)) {
                return Err(PairError::Partial { node: node.name.clone(), op: node.op.name() });
            }
        }
        if inputs.cases.iter().any(|case| case.ball.is_some()) {
            return Err(PairError::Ball);
        }
        if let (Question::SameClass { .. }, 0..2) = (question, outputs) {
            return Err(PairError::Classes { outputs });
        }
        if question.tolerance() < &RBig::ZERO {
            return Err(PairError::Negative);
        }
        let classes = matches!(question, Question::SameClass { .. });
        let (graph, identical) = Joiner::new(&canonical(a)?, &canonical(b)?, related)?.finish(outputs, classes)?;
        let differ = question.unsafe_set(outputs);
        let mut cases: Vec<Case> = Vec::new();
        for case in &inputs.cases {
            let unsafe_set = restrictions(case)
                .iter()
                .flat_map(|inputs| differ.iter().map(move |set| inputs.iter().chain(set).cloned().collect()))
                .collect();
            let case = Case { unsafe_set, ..case.clone() };
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
        let outputs = graph.node(graph.output()).shape.iter().product();
        let property = Property { inputs: first, outputs, cases, declared: None };
        Ok(Self { graph, property, identical })
    }
}

/// Whether two input shapes are the same, or one is flat; extents of 1 do not count.
fn go_together(first: &[usize], second: &[usize]) -> bool {
    let long = |shape: &[usize]| shape.iter().copied().filter(|n| *n != 1).collect::<Vec<usize>>();
    let (first, second) = (long(first), long(second));
    first == second || first.len() <= 1 || second.len() <= 1
}

/// Whether a node has no value at some arguments.
fn may_be_undefined(graph: &Graph, id: NodeId) -> bool {
    let stored = |position: usize| {
        graph.arguments(id).get(position).is_some_and(|a| matches!(graph.node(*a).op, Op::Constant(_)))
    };
    match graph.node(id).op {
        Op::Sqrt => true,
        Op::Div => !stored(1),
        Op::Pow => {
            let exponent = graph.arguments(id).get(1).and_then(|a| match &graph.node(*a).op {
                Op::Constant(value) => value.to_f64(),
                _ => None,
            });
            !exponent.is_some_and(|all| all.iter().all(|e| *e >= 1.0 && e.fract() == 0.0))
        }
        _ => false,
    }
}

/// The constraints on inputs alone that a case has beside its box: the inputs that count satisfy one of these sets.
fn restrictions(case: &Case) -> Vec<Conjunction> {
    let mut found: Vec<Conjunction> = Vec::new();
    for conjunction in &case.unsafe_set {
        let inputs: Conjunction = conjunction.iter().filter(|c| c.outputs.is_empty()).cloned().collect();
        if inputs.is_empty() {
            return vec![inputs];
        }
        if !found.contains(&inputs) {
            found.push(inputs);
        }
    }
    found
}

/// What a certificate shows of a question about two networks. Its first record may say which entries are related; where both
/// networks are the same, it has no records.
///
/// # Errors
/// See [`check()`](crate::proof::check()) and [`Pair::new`].
pub fn check_pair(
    a: &Graph,
    b: &Graph,
    inputs: &Property,
    question: &Question,
    digests: &Digests,
    certificate: impl Read,
) -> Result<Accepted, Rejection> {
    let mut pair = Pair::new(a, b, inputs, question)?;
    let mut reader = Reader::new(certificate, digests)?;
    let mut record = reader.read()?;
    if pair.identical {
        let nothing = Rejection::Witness("there are records where nothing is to be shown");
        return if record.is_none() { Ok(Accepted::Unsat { records: 0 }) } else { Err(nothing) };
    }
    if let Some(Record::Related(related)) = record {
        pair = Pair::related(a, b, inputs, question, &related).map_err(|error| match error {
            PairError::Related => Rejection::Pairing,
            error => Rejection::Pair(error),
        })?;
        record = reader.read()?;
    }
    check_records(&pair.graph, &pair.property, Semantics::Real, record, reader)
}

impl Question {
    fn tolerance(&self) -> &RBig {
        match self {
            Question::Within(delta) => delta,
            Question::SameClass { lead, .. } => lead,
        }
    }

    /// The ways to differ, over the outputs of the joint network.
    fn unsafe_set(&self, outputs: usize) -> Vec<Conjunction> {
        let constraint = |terms: &[(usize, RBig)], bound: &RBig, strict: bool| {
            let mut outputs = terms.to_vec();
            outputs.sort_by_key(|(i, _)| *i);
            LinearConstraint { inputs: Vec::new(), outputs, bound: bound.clone(), strict }
        };
        match self {
            Question::Within(delta) => {
                let signs = [RBig::ONE, -RBig::ONE];
                let one = |i: usize, sign: &RBig| vec![constraint(&[(i, sign.clone())], &-delta.clone(), true)];
                (0..outputs).flat_map(|i| signs.iter().map(move |sign| one(i, sign))).collect()
            }
            Question::SameClass { lead, least } => {
                let sign = if *least { -RBig::ONE } else { RBig::ONE };
                let (plus, minus) = (sign.clone(), -sign);
                let mut sets = Vec::new();
                for (i, j) in (0..outputs).flat_map(|i| (0..outputs).map(move |j| (i, j))).filter(|(i, j)| i != j) {
                    // A_k − A_i ≤ −m.
                    let ahead = |k: usize| constraint(&[(k, plus.clone()), (i, minus.clone())], &-lead.clone(), false);
                    let mut set: Conjunction = (0..outputs).filter(|k| *k != i).map(ahead).collect();
                    // B_i − B_j < 0 with B = A − d.
                    let (d_i, d_j) = (outputs + i, outputs + j);
                    let parts = [(i, plus.clone()), (j, minus.clone()), (d_i, minus.clone()), (d_j, plus.clone())];
                    set.push(constraint(&parts, &RBig::ZERO, true));
                    // Follows from both: d_j − d_i < −m. Its bound has no part of A.
                    set.push(constraint(&[(d_j, plus.clone()), (d_i, minus.clone())], &-lead.clone(), true));
                    sets.push(set);
                }
                sets
            }
        }
    }
}
