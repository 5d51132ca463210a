//! What the checker says of a certificate: what it shows, or the one way in which it does not.

use super::format::FormatError;
use crate::error::CheckError;
use crate::pair::PairError;
use thiserror::Error;

/// What was accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum Accepted {
    /// No point of the region is a counterexample.
    Unsat {
        /// Records read.
        records: u64,
    },
    /// A counterexample lies in this case and makes this conjunction true.
    Sat {
        /// The case.
        case: usize,
        /// The conjunction.
        conjunction: usize,
    },
}

/// Why a certificate proves nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The file.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The network.
    #[error(transparent)]
    Network(#[from] CheckError),
    /// Two networks make no pair.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// Related entries are named where there are no two networks, or not at first.
    #[error("entries to relate are named where there are none")]
    Pairing,
    /// The region is a ball.
    #[error("case {0} of the property is a ball; certificates are about boxes")]
    Ball(usize),
    /// Numbers outgrow the integers.
    #[error("the numbers of the bounds spread over too many binary orders of magnitude")]
    Range,
    /// A function is not defined on all of a range.
    #[error("the bounds do not exclude {0}")]
    Domain(&'static str),
    /// A row meets an entry without an upper bound.
    #[error("a bound needs that of a summand of a softmax that is too large to have one")]
    Unbounded,
    /// A record names a part that is not open.
    #[error("record {record}: part {part} is not open")]
    Part {
        /// The record.
        record: u64,
        /// The part.
        part: u64,
    },
    /// A record names a disjunct, objective, neuron or axis that does not exist, a slope outside of [0, 1], or an end
    /// that is not a number.
    #[error("record {record}: {what}")]
    Content {
        /// The record.
        record: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A slope outside of [0, 1], slopes that do not ascend by neuron, or a multiplier that is not a number from 0 on.
    #[error("slopes or multipliers of a row are not what they may be")]
    Slopes,
    /// An entry of a table, or a split above it, names a neuron that does not exist or comes later.
    #[error("an entry of a table names a neuron that does not exist or comes later")]
    Table,
    /// A bound does not show what is claimed.
    #[error("record {record}: the bounds do not refute disjunct {disjunct} on part {part}")]
    Bound {
        /// The record.
        record: u64,
        /// The part.
        part: u64,
        /// The disjunct.
        disjunct: u32,
    },
    /// The point is no counterexample, or its outputs are not what they are said to be.
    #[error("{0}")]
    Witness(&'static str),
    /// The end came too early.
    #[error("the certificate ends with {0} open parts")]
    Open(usize),
}
