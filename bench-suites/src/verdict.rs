//! The words with which a run of a verifier ends.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A violating input exists.
    Sat,
    /// None exists.
    Unsat,
    /// Undecided for a reason other than time.
    Unknown,
    /// The limit came first.
    Timeout,
    /// The question was refused or the verifier failed.
    Error,
}

impl Verdict {
    /// Every verdict, in the order of the tables.
    pub const ALL: [Verdict; 5] = [Verdict::Sat, Verdict::Unsat, Verdict::Unknown, Verdict::Timeout, Verdict::Error];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Sat => "sat",
            Verdict::Unsat => "unsat",
            Verdict::Unknown => "unknown",
            Verdict::Timeout => "timeout",
            Verdict::Error => "error",
        }
    }

    /// Whether the question is answered.
    pub fn decided(self) -> bool {
        matches!(self, Verdict::Sat | Verdict::Unsat)
    }

    /// Compares what was found with what is expected.
    pub fn compare(self, expected: Option<Verdict>) -> Agreement {
        match expected.filter(|e| e.decided()) {
            _ if !self.decided() => Agreement::Undecided,
            None => Agreement::New,
            Some(expected) if expected == self => Agreement::Agree,
            Some(_) => Agreement::Disagree,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Verdict {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|v| v.name() == text).ok_or(())
    }
}

/// A verdict beside the expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Decided as expected.
    Agree,
    /// Decided otherwise: one of the two is wrong.
    Disagree,
    /// Decided where nothing was known.
    New,
    /// Not decided.
    Undecided,
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Agreement::Agree => "agree",
            Agreement::Disagree => "DISAGREE",
            Agreement::New => "new",
            Agreement::Undecided => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for verdict in Verdict::ALL {
            assert_eq!(verdict.name().parse(), Ok(verdict));
        }
        assert_eq!("SAT".parse::<Verdict>(), Err(()));
    }

    #[test]
    fn only_two_decided_verdicts_can_contradict_each_other() {
        for found in Verdict::ALL {
            for expected in Verdict::ALL {
                let disagree = found.compare(Some(expected)) == Agreement::Disagree;
                assert_eq!(disagree, found.decided() && expected.decided() && found != expected);
            }
            let fresh = if found.decided() { Agreement::New } else { Agreement::Undecided };
            assert_eq!(found.compare(None), fresh);
        }
    }
}
