//! What is to be measured: a TOML file.

use super::source::Source;
use crate::theory::configuration::{self, Fault, rule};
use crate::theory::{StudyError, distinct};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A study of who should get what for training together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What the page says first.
    pub title: String,
    /// Where samples come from.
    pub data: Source,
    /// The classes that are told apart; all by default.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Samples that models are tested on.
    pub test: usize,
    /// The seed by which samples are given to players and to the test.
    pub data_seed: u64,
    /// The seeds of trainings: first weights and the order of samples. A value is the mean over them.
    pub seeds: Vec<u64>,
    /// How models are trained.
    pub training: Training,
    /// Clients with samples drawn by skew.
    #[serde(default)]
    pub skew: Option<Skew>,
    /// Clients one by one, after those of the skew.
    #[serde(default, rename = "client")]
    pub clients: Vec<Client>,
    /// Parties that hold columns of the same samples, in place of clients.
    #[serde(default)]
    pub vertical: Option<Vertical>,
    /// Evaluate only what a certified search asks for. Without it every coalition is trained.
    #[serde(default)]
    pub search: Option<Asked>,
    /// What is compared where every coalition was trained.
    #[serde(default)]
    pub compare: Compare,
}

/// How models are trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Training {
    /// Widths of hidden layers; none for logistic regression.
    pub hidden: Vec<usize>,
    /// Rounds of federated averaging; of a vertical model, epochs.
    pub rounds: usize,
    /// Epochs of a client in each round.
    #[serde(default = "one")]
    pub epochs: usize,
    /// Samples of a step.
    pub batch: usize,
    /// The size of steps.
    pub rate: f64,
    /// Momentum of steps, anew in every round.
    #[serde(default)]
    pub momentum: f64,
}

fn one() -> usize {
    1
}

/// Clients whose samples are drawn by skew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skew {
    /// How many clients.
    pub clients: usize,
    /// Samples of all of them together.
    pub samples: usize,
    /// Concentration of Dirichlet's law around the classes' shares; small numbers give each client few classes. Without it every
    /// client has the same shares.
    #[serde(default)]
    pub labels: Option<f64>,
    /// Concentration of Dirichlet's law of the clients' sizes; equal sizes without it.
    #[serde(default)]
    pub sizes: Option<f64>,
}

/// A client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Samples of each class that are its own.
    #[serde(default)]
    pub samples: BTreeMap<String, usize>,
    /// It has the samples of another client.
    #[serde(default)]
    pub same_as: Option<String>,
    /// It has no sample, claims so many, and sends back what it received.
    #[serde(default)]
    pub idle: Option<usize>,
    /// The labels of its samples are shuffled.
    #[serde(default)]
    pub shuffled_labels: bool,
}

/// Parties that hold columns of the same samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vertical {
    /// Samples of each class that models are trained on.
    pub samples: BTreeMap<String, usize>,
    /// The parties.
    pub party: Vec<Party>,
}

/// A party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Its name.
    pub name: String,
    /// Columns of the data by name. Two parties may hold the same.
    pub columns: Vec<String>,
}

/// A certified search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// How wide the interval may be.
    pub eta: f64,
    /// By how much a coalition may be worth more than one that holds it.
    pub slack: f64,
    /// Coalitions that are evaluated side by side.
    pub batch: usize,
}

/// What is compared where every coalition was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compare {
    /// Widths of the intervals of certified searches, in shares of $v(N)$.
    pub eta: Vec<f64>,
    /// Shares of the coalitions that are drawn at random.
    pub drawn: Vec<f64>,
    /// Draws of each share.
    pub draws: u64,
    /// Permutations of sampled Shapley values.
    pub permutations: usize,
    /// Games with noise of the measured standard errors.
    pub noise: u64,
}

impl Default for Compare {
    fn default() -> Self {
        Self {
            eta: vec![0.0, 0.05, 0.1, 0.2],
            drawn: vec![0.05, 0.1, 0.25, 0.5],
            draws: 20,
            permutations: 10,
            noise: 100,
        }
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The file cannot be read, has unknown keys, or a value makes no sense.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        configuration::read(path, Self::check)
    }

    /// The classes that are told apart.
    pub fn classes(&self) -> Vec<String> {
        if self.classes.is_empty() { self.data.classes() } else { self.classes.clone() }
    }

    /// What a training depends on, besides its seed: studies that differ in the rest share trainings.
    pub(super) fn trainings(&self) -> Self {
        Self { title: String::new(), seeds: Vec::new(), search: None, compare: Compare::default(), ..self.clone() }
    }

    /// The players' names.
    pub fn players(&self) -> Vec<String> {
        if let Some(vertical) = &self.vertical {
            return vertical.party.iter().map(|party| party.name.clone()).collect();
        }
        let drawn = (0..self.skew.as_ref().map_or(0, |skew| skew.clients)).map(|client| format!("client {client}"));
        drawn.chain(self.clients.iter().map(|client| client.name.clone())).collect()
    }

    /// Whether the values make sense.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let all = self.data.classes();
        let classes = self.classes();
        let known = classes.iter().all(|class| all.contains(class)) && classes.len() >= 2 && distinct(&classes);
        rule(known, "classes", "two or more classes of the data, all different", &classes)?;
        let drawn = self.skew.as_ref().map_or(0, |skew| skew.clients);
        rule(drawn <= 127, "skew.clients", "at most 127", &drawn)?;
        rule(self.test > 0, "test", "at least one sample", &self.test)?;
        rule(!self.seeds.is_empty() && distinct(&self.seeds), "seeds", "at least one, all different", &self.seeds)?;
        let names = self.players();
        rule(distinct(&names), "name", "names that are all different", &names)?;
        // They stand in tables and pages.
        let plain = |text: &String| !text.is_empty() && !text.contains(['<', '>', '&', '|', '`', '\n']);
        rule(names.iter().all(plain), "name", "text without < > & | ` and line ends", &names)?;
        rule(plain(&self.title), "title", "text without < > & | ` and line ends", &self.title)?;
        let most = if self.search.is_some() { 127 } else { 16 };
        let expected = "2 to 16 (to 127 with `search`)";
        rule((2..=most).contains(&names.len()), "players", expected, &names.len())?;
        let both = self.vertical.is_some() && (self.skew.is_some() || !self.clients.is_empty());
        rule(!both, "vertical", "parties or clients, not both", &"both")?;
        self.training.check(classes.len())?;
        if let Some(Skew { samples, labels, sizes, clients }) = &self.skew {
            rule(*clients > 0 && samples >= clients, "skew.samples", "one for each client, or more", samples)?;
            let positive = |key, value: &Option<f64>| match value {
                Some(number) => rule(*number > 0.0 && number.is_finite(), key, "a positive number", number),
                None => Ok(()),
            };
            positive("skew.labels", labels)?;
            positive("skew.sizes", sizes)?;
        }
        for client in &self.clients {
            self.check_client(client, &names, &classes)?;
        }
        if let Some(Vertical { samples, party }) = &self.vertical {
            let fit = samples.keys().all(|class| classes.contains(class)) && samples.values().any(|count| *count > 0);
            rule(fit, "vertical.samples", "numbers of samples by class, not all 0", samples)?;
            let columns = party.iter().find(|party| party.columns.is_empty());
            rule(columns.is_none(), "columns", "at least one", &Shown(columns.map(|party| &party.name)))?;
        }
        if let Some(Asked { eta, slack, batch }) = self.search {
            let number = |v: f64| v >= 0.0 && v.is_finite();
            rule(number(eta), "search.eta", "0 or more", &eta)?;
            rule(number(slack), "search.slack", "0 or more", &slack)?;
            rule(batch > 0, "search.batch", "1 or more", &batch)?;
        }
        self.compare.check()
    }

    fn check_client(&self, client: &Client, names: &[String], classes: &[String]) -> Result<(), Fault> {
        let own = client.samples.values().any(|count| *count > 0);
        let ways = [own, client.same_as.is_some(), client.idle.is_some()];
        let expected = "one of `samples` (not all 0), `same-as` and `idle`";
        rule(ways.iter().filter(|way| **way).count() == 1, "client", expected, &client.name)?;
        let class = client.samples.keys().find(|class| !classes.contains(class));
        rule(class.is_none(), "samples", "classes that are told apart", &Shown(class))?;
        if let Some(other) = &client.same_as {
            let whole = |c: &&Client| c.name == *other && c.same_as.is_none() && c.idle.is_none();
            let drawn = self.skew.as_ref().map_or(0, |skew| skew.clients);
            let exists = names[..drawn].contains(other) || self.clients.iter().any(|c| whole(&c));
            rule(exists, "same-as", "a client with samples of its own", other)?;
        }
        let claims = client.idle.is_none_or(|idle| (1..=1_000_000_000).contains(&idle));
        rule(claims, "idle", "1 to 1000000000 samples that it claims", &Shown(client.idle))?;
        rule(!(client.shuffled_labels && client.idle.is_some()), "shuffled-labels", "samples to shuffle", &client.name)
    }
}

/// Entries of an input that are reckoned with: flows have about as many, digits fewer.
const INPUTS: usize = 128;

/// Most weights of a model.
const WEIGHTS: usize = 10_000_000;

impl Training {
    fn check(&self, classes: usize) -> Result<(), Fault> {
        rule(self.hidden.iter().all(|width| *width > 0), "training.hidden", "positive widths", &self.hidden)?;
        let widths = [&[INPUTS], self.hidden.as_slice(), &[classes]].concat();
        let weights = widths.windows(2).fold(0usize, |sum, pair| sum.saturating_add(pair[0].saturating_mul(pair[1])));
        rule(weights <= WEIGHTS, "training.hidden", "widths of at most 10000000 weights in all", &self.hidden)?;
        for (key, found) in
            [("training.rounds", self.rounds), ("training.epochs", self.epochs), ("training.batch", self.batch)]
        {
            rule(found > 0, key, "at least 1", &found)?;
        }
        rule(self.rate > 0.0 && self.rate.is_finite(), "training.rate", "a positive number", &self.rate)?;
        rule((0.0..1.0).contains(&self.momentum), "training.momentum", "from 0 to below 1", &self.momentum)
    }
}

/// What was found, without the case that there is something.
struct Shown<T>(Option<T>);

impl<T: fmt::Debug> fmt::Debug for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |found| found.fmt(f))
    }
}

impl Compare {
    fn check(&self) -> Result<(), Fault> {
        let etas = self.eta.iter().all(|eta| *eta >= 0.0 && eta.is_finite());
        rule(etas, "compare.eta", "numbers from 0", &self.eta)?;
        let shares = self.drawn.iter().all(|share| *share > 0.0 && *share <= 1.0);
        rule(shares, "compare.drawn", "shares above 0, at most 1", &self.drawn)?;
        rule(self.draws > 0, "compare.draws", "at least 1", &self.draws)?;
        rule(self.permutations >= 2, "compare.permutations", "at least 2", &self.permutations)?;
        rule(self.noise != 1, "compare.noise", "0, or at least 2", &self.noise)
    }
}
