//! What is to be measured: a TOML file.

use super::ExperimentError;
use secateur_nn::data::DataSet;
use secateur_verify::{Branching, Settings};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the table and the plot say first.
    pub title: String,
    /// The network, relative to the configuration.
    pub network: PathBuf,
    /// The data set.
    pub data: DataSet,
    /// How many images, the first that are classified correctly.
    pub images: usize,
    /// Radii in the maximum norm, as decimals, in units of the whole range of a pixel; `8/255` is allowed.
    pub radii: Vec<String>,
    /// Seed of everything random.
    pub seed: u64,
    /// Worker threads.
    pub threads: usize,
    /// Seconds per measurement.
    pub timeout: f64,
    /// Keep only the cases that the root's bounds leave open, at most this many.
    #[serde(default)]
    pub hardest: Option<usize>,
    /// The methods.
    pub methods: Vec<Method>,
    /// The method that the others are compared with; the best known bounds where there is none.
    #[serde(default)]
    pub baseline: Option<Method>,
    /// The plot.
    #[serde(default)]
    pub plot: Plot,
}

/// What to draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plot {
    /// Nothing.
    #[default]
    None,
    /// Distance of every bound from the optimum, per case.
    Gaps,
    /// Time against the number of binaries.
    Binaries,
    /// Time of every method, per case.
    Times,
    /// Iterations from a cold start against those from a warm one.
    Iterations,
}

/// A way to bound the margin.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Intervals, at the root.
    Interval,
    /// CROWN with interval bounds of the pre-activations.
    CrownInterval,
    /// CROWN.
    Crown,
    /// CROWN with optimised slopes everywhere.
    AlphaCrown,
    /// Projected gradient descent.
    Pgd,
    /// The nonlinear program, from the box's centre.
    NlpCc,
    /// Its solution alone, without the descent over patterns.
    NlpCcAlone,
    /// The nonlinear program from the best point of projected gradient descent; the better of both.
    PgdNlpCc,
    /// The mixed-integer program, to an absolute gap.
    Mip {
        /// The gap.
        gap: f64,
    },
    /// Branch and bound, to an absolute gap.
    Bab {
        /// The gap.
        epsilon: f64,
        /// The branching rule.
        branching: Branching,
        /// λ of aligned branching.
        alignment: f64,
        /// Whether the nonlinear program is solved in subproblems.
        nlp: bool,
    },
    /// Warm and cold starts of the nonlinear program on the subproblems of a search.
    Starts {
        /// Subproblems, at most.
        most: usize,
    },
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Interval => write!(f, "interval"),
            Method::CrownInterval => write!(f, "crown-interval"),
            Method::Crown => write!(f, "crown"),
            Method::AlphaCrown => write!(f, "alpha-crown"),
            Method::Pgd => write!(f, "pgd"),
            Method::NlpCc => write!(f, "nlp-cc"),
            Method::NlpCcAlone => write!(f, "nlp-cc-alone"),
            Method::PgdNlpCc => write!(f, "pgd+nlp-cc"),
            Method::Mip { gap } => write!(f, "mip gap={gap}"),
            Method::Bab { epsilon, branching, alignment, nlp } => {
                write!(f, "bab epsilon={epsilon} branching={branching}")?;
                if *branching == Branching::Aligned {
                    write!(f, " alignment={alignment}")?;
                }
                if *nlp { Ok(()) } else { write!(f, " nlp=false") }
            }
            Method::Starts { most } => write!(f, "starts most={most}"),
        }
    }
}

/// Text that names no method.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no method: expected interval, crown-interval, crown, alpha-crown, pgd, nlp-cc, nlp-cc-alone, pgd+nlp-cc, `mip gap=G`, `bab epsilon=E [branching=RULE] [alignment=L] [nlp=false]` or `starts most=N`"
)]
pub struct NoMethod(String);

impl FromStr for Method {
    type Err = NoMethod;

    fn from_str(text: &str) -> Result<Self, NoMethod> {
        let fault = || NoMethod(text.to_owned());
        let mut words = text.split_whitespace();
        let name = words.next().ok_or_else(fault)?;
        let mut options: Vec<(&str, &str)> =
            words.map(|word| word.split_once('=')).collect::<Option<_>>().ok_or_else(fault)?;
        let mut take = |key: &str| options.iter().position(|(k, _)| *k == key).map(|at| options.remove(at).1);
        let positive = |value: &str| value.parse::<f64>().ok().filter(|v| *v > 0.0 && v.is_finite()).ok_or_else(fault);
        let method = match name {
            "interval" => Method::Interval,
            "crown-interval" => Method::CrownInterval,
            "crown" => Method::Crown,
            "alpha-crown" => Method::AlphaCrown,
            "pgd" => Method::Pgd,
            "nlp-cc" => Method::NlpCc,
            "nlp-cc-alone" => Method::NlpCcAlone,
            "pgd+nlp-cc" => Method::PgdNlpCc,
            "mip" => Method::Mip { gap: positive(take("gap").ok_or_else(fault)?)? },
            "bab" => {
                let epsilon = positive(take("epsilon").ok_or_else(fault)?)?;
                let branching = take("branching").unwrap_or("auto").parse().map_err(|_| fault())?;
                let alignment = take("alignment").map_or(Ok(Settings::ALIGNMENT), str::parse).map_err(|_| fault())?;
                let nlp = take("nlp").map_or(Ok(true), str::parse).map_err(|_| fault())?;
                Method::Bab { epsilon, branching, alignment, nlp }
            }
            "starts" => {
                Method::Starts { most: take("most").and_then(|n| n.parse().ok()).filter(|n| *n > 0).ok_or_else(fault)? }
            }
            _ => return Err(fault()),
        };
        if options.is_empty() { Ok(method) } else { Err(fault()) }
    }
}

impl Serialize for Method {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The file cannot be read, has unknown keys, or a value makes no sense.
    pub fn read(path: &Path) -> Result<Self, ExperimentError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ExperimentError::Io { path: path.to_owned(), source })?;
        let config: Self = toml::from_str(&text)
            .map_err(|source| ExperimentError::Config { path: path.to_owned(), source: Box::new(source) })?;
        config.check(path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ExperimentError> {
        let fault =
            |key, expected, found: String| ExperimentError::Value { path: path.to_owned(), key, expected, found };
        if self.images == 0 {
            return Err(fault("images", "a positive number", "0".to_owned()));
        }
        if !(self.timeout > 0.0 && self.timeout.is_finite()) {
            return Err(fault("timeout", "a positive number of seconds", self.timeout.to_string()));
        }
        if self.methods.is_empty() {
            return Err(fault("methods", "at least one method", "[]".to_owned()));
        }
        if self.radii.is_empty() {
            return Err(fault("radii", "at least one radius", "[]".to_owned()));
        }
        Ok(())
    }

    /// Where the network lies.
    pub fn network_path(&self, config: &Path) -> PathBuf {
        config.parent().unwrap_or(Path::new(".")).join(&self.network)
    }
}
