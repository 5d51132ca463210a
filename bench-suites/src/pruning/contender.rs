//! A method with what it removes and when.

use secateur_prune::{Budget, Method, PruneError, Scope, Settings};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// When a network is pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before training; what is left is trained in full.
    Initialisation,
    /// After training; what is left is fine-tuned.
    Trained,
}

/// A way to prune: `METHOD [SCOPE] [at-init]`, such as `synflow at-init` or `l1 neuron`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contender {
    /// The method, with the allocation and the rounds of its paper.
    pub method: Method,
    /// What is removed as a whole.
    pub scope: Scope,
    /// When.
    pub moment: Moment,
}

impl Contender {
    /// How it prunes to a sparsity.
    pub fn settings(&self, sparsity: f64, seed: u64) -> Settings {
        let Self { method, scope, .. } = *self;
        let budget = Budget { scope, allocation: method.allocation(scope), sparsity, keep_layers: false };
        Settings { method, budget, rounds: method.rounds(), seed }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.method)?;
        if self.scope != Scope::Weight {
            write!(f, " {}", self.scope)?;
        }
        if self.moment == Moment::Initialisation { f.write_str(" at-init") } else { Ok(()) }
    }
}

impl FromStr for Contender {
    type Err = PruneError;

    fn from_str(text: &str) -> Result<Self, PruneError> {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let mut moment = Moment::Trained;
        if words.last() == Some(&"at-init") {
            words.pop();
            moment = Moment::Initialisation;
        }
        let (method, scope) = match words.as_slice() {
            [method] => (method.parse()?, Scope::Weight),
            [method, scope] => (method.parse()?, scope.parse()?),
            _ => {
                let expected = "a method, perhaps a scope, perhaps `at-init`".to_owned();
                return Err(PruneError::Unknown { what: "contender", found: text.to_owned(), expected });
            }
        };
        Ok(Self { method, scope, moment })
    }
}

impl Serialize for Contender {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Contender {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for text in ["magnitude", "synflow at-init", "l1 neuron", "random channel at-init"] {
            assert_eq!(text.parse::<Contender>().expect("a contender").to_string(), text);
        }
        for text in ["", "at-init", "magic", "l1 pixel", "l1 neuron channel", "l1 at-init neuron"] {
            assert!(text.parse::<Contender>().is_err(), "{text}");
        }
    }
}
