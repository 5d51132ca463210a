//! Two networks as one: what a question about their difference means.
//!
//! For networks $A$ and $B$ with one input, every value of $A$ is carried beside its counterpart in $B$ and their difference
//! $d = a - b$, which is a value of the joint network in its own right. Affine maps give
//! $$ W_A a - W_B b = W_A d + (W_A - W_B)\, b, $$
//! where $W_A - W_B$ is stored exactly, or $W_A b - W_B b$ where no float of 32 bits is the difference. A pair of ReLUs at $u, v$ with
//! $d = u - v$ and $h = \max(u, 0)$, $g = \max(v, 0)$ gives
//! $$ h - g = \max\big(\min(h, d), -g\big) = \max\big(h + g - \max(h - d, 0),\, 0\big) - g, $$
//! which is an identity (for $d \ge 0$: $\min(h, d)$ is $d$ where $v \ge 0$, $h$ where $v \le 0$; for $d < 0$: $\max(d, -g)$ is $d$
//! where $u \ge 0$, $-g$ where $u \le 0$), written so that relaxing it costs no more than the size of $d$, and nothing where both signs are known. Where
//! the networks differ in structure, the difference is subtracted as it is. Parts that agree in both are one part.
//!
//! | step | file |
//! |---|---|
//! | the same operators for the same maps | `canonical` |
//! | both networks as one, with differences | `join` |
//!
//! The joint network computes exactly $A$ and $A - B$ in real arithmetic; bounding it is the ordinary business of the verifier and the
//! checker.

mod canonical;
mod join;

use crate::proof::format::{Digests, Reader};
use crate::proof::{Accepted, Rejection, check};
use crate::semantics::Semantics;
use canonical::canonical;
use dashu_ratio::RBig;
use join::Joiner;
use secateur_nn::NnError;
use secateur_nn::graph::{Graph, NodeId};
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
    /// A ball cuts a box.
    #[error("the set of inputs is no box")]
    Ball,
    /// There is nothing to choose from.
    #[error("the class of a network with {outputs} outputs")]
    Classes {
        /// Outputs of the networks.
        outputs: usize,
    },
    /// The tolerance is below 0.
    #[error("a tolerance below 0")]
    Negative,
    /// The joint network cannot be built: element types differ, for example.
    #[error("the networks do not go together: {0}")]
    Network(#[from] NnError),
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
        let (graph, identical) = Joiner::new(&canonical(a)?, &canonical(b)?)?.finish(outputs, classes)?;
        let unsafe_set = question.unsafe_set(outputs);
        let mut cases: Vec<Case> = Vec::new();
        for case in &inputs.cases {
            let case = Case { unsafe_set: unsafe_set.clone(), ..case.clone() };
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
        let outputs = graph.node(graph.output()).shape.iter().product();
        let property = Property { inputs: first, outputs, cases, declared: None };
        Ok(Self { graph, property, identical })
    }
}

impl Pair {
    /// What a certificate shows of the question. Where both networks are the same, it has no records.
    ///
    /// # Errors
    /// See [`check`].
    pub fn check(&self, digests: &Digests, certificate: impl Read) -> Result<Accepted, Rejection> {
        if !self.identical {
            return check(&self.graph, &self.property, digests, Semantics::Real, certificate);
        }
        match Reader::new(certificate, digests)?.read()? {
            None => Ok(Accepted::Unsat { records: 0 }),
            Some(_) => Err(Rejection::Witness("there are records where nothing is to be shown")),
        }
    }
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
