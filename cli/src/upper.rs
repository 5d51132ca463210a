//! What lowers the upper bound beside the search: nonlinear programs, where this build has them.

use crate::error::CliError;
use clap::ValueEnum;
use secateur_bench_suites::record::UpperRecord;
use secateur_nn::graph::Graph;
use secateur_verify::Explorer;
use std::path::Path;

/// Where upper bounds come from, the search itself aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// Projected gradient descent.
    Attack,
    /// The same, and nonlinear programs with complementarity constraints.
    Nlp,
}

impl Source {
    /// The best that this build has.
    pub const DEFAULT: Source = if cfg!(feature = "full") { Source::Nlp } else { Source::Attack };
}

/// The explorer of a search.
pub struct Upper {
    #[cfg(feature = "full")]
    nlp: Option<secateur_global::NlpCc>,
}

#[cfg(feature = "full")]
impl Upper {
    /// The explorer that was asked for.
    pub fn new(source: Source, graph: &Graph, model: &Path) -> Result<Self, CliError> {
        if source == Source::Attack {
            return Ok(Self { nlp: None });
        }
        let nlp = secateur_global::NlpCc::new(graph, secateur_global::Params::default());
        let nlp = nlp.map_err(|source| CliError::Verify { model: model.to_owned(), source })?;
        Ok(Self { nlp: Some(nlp) })
    }

    /// For the search.
    pub fn explorer(&mut self) -> Option<&mut dyn Explorer> {
        self.nlp.as_mut().map(|nlp| nlp as &mut dyn Explorer)
    }

    /// What it did.
    pub fn record(&self) -> UpperRecord {
        let Some(nlp) = &self.nlp else { return UpperRecord::attack() };
        let solve = |s: &secateur_global::Solve| secateur_bench_suites::record::SolveRecord {
            depth: s.depth,
            pairs: s.pairs,
            warm: s.warm,
            fell_back: s.fell_back,
            start_margin: s.start_margin,
            nlp_margin: s.nlp_margin,
            margin: s.margin,
            kinks: s.kinks,
            pattern_gap: s.pattern_gap,
            patterns: s.patterns,
            iterations: s.iterations,
            restorations: s.restorations,
            status: format!("{:?}", s.status),
            seconds: s.seconds,
        };
        UpperRecord {
            source: "nlp".to_owned(),
            solves: nlp.solves.iter().map(solve).collect(),
            failure: nlp.failure.as_ref().map(ToString::to_string),
        }
    }
}

#[cfg(not(feature = "full"))]
impl Upper {
    /// The explorer that was asked for.
    pub fn new(source: Source, _: &Graph, _: &Path) -> Result<Self, CliError> {
        match source {
            Source::Attack => Ok(Self {}),
            Source::Nlp => Err(CliError::NotBuilt { what: "a nonlinear solver" }),
        }
    }

    /// For the search.
    pub fn explorer(&mut self) -> Option<&mut dyn Explorer> {
        None
    }

    /// What it did.
    pub fn record(&self) -> UpperRecord {
        UpperRecord::attack()
    }
}
