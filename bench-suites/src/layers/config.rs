//! What is to be measured: a TOML file.

use crate::theory::configuration::{self, Fault, rule};
use crate::theory::{StudyError, distinct};
use secateur_prune::layer_game::surrogate::Params;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A study of which blocks of a language model can go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What the page says first.
    pub title: String,
    /// A folder with config.json and safetensors, or a llama2.c checkpoint. Paths begin at the configuration's directory.
    pub model: PathBuf,
    /// The tokenizer's file, or `bytes` for models whose tokens 0 to 255 are bytes; by default the one beside the model.
    #[serde(default)]
    pub tokenizer: Option<String>,
    /// The text (UTF-8).
    pub text: PathBuf,
    /// The share of the text at its end that is held out.
    #[serde(default = "tenth")]
    pub held_out: f64,
    /// Sequences that masks are measured on.
    #[serde(default = "ten")]
    pub sequences: usize,
    /// Sequences of the held-out part.
    #[serde(default = "forty")]
    pub held_out_sequences: usize,
    /// Tokens of a sequence, with the one that begins a text where the model has it.
    #[serde(default = "length")]
    pub length: usize,
    /// The seed by which sequences are chosen.
    #[serde(default)]
    pub data_seed: u64,
    /// Seeds of masks, surrogates, base masks and random removals.
    pub seeds: Vec<u64>,
    /// The blocks that may go, in order; all by default. The others are always kept.
    #[serde(default)]
    pub blocks: Option<Vec<usize>>,
    /// How many blocks are removed.
    #[serde(default = "removed")]
    pub removed: Vec<usize>,
    /// Masks and base masks of the surrogate.
    #[serde(default)]
    pub masks: Masks,
    /// How surrogates are fitted; by default as in the paper.
    #[serde(default)]
    pub surrogate: Params,
    /// Sampled Shapley values.
    #[serde(default)]
    pub shapley: Shapley,
    /// How far enumeration goes.
    #[serde(default)]
    pub limits: Limits,
}

fn tenth() -> f64 {
    0.1
}

fn ten() -> usize {
    10
}

fn forty() -> usize {
    40
}

fn length() -> usize {
    128
}

fn removed() -> Vec<usize> {
    vec![3, 6, 9, 12]
}

/// Masks that are measured, and base masks of the estimator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Masks {
    /// How many blocks a stratum keeps, of those that may go; by default 30/32, 27/32, 24/32, 21/32 and 18/32 of them.
    pub kept: Vec<usize>,
    /// Masks that are measured for a surrogate, in equal counts.
    pub samples: usize,
    /// Base masks of the estimator, in equal counts.
    pub base: usize,
    /// Draws of the bootstrap.
    pub bootstrap: usize,
}

impl Default for Masks {
    fn default() -> Self {
        Self { kept: Vec::new(), samples: 8000, base: 80_000, bootstrap: 200 }
    }
}

/// Units of sampled Shapley values; 0 leaves a method out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shapley {
    /// Orders of arrival.
    pub permutation: usize,
    /// Coalitions of each size for each block.
    pub stratified: usize,
    /// Pairs of coalitions of the regression.
    pub kernel: usize,
}

impl Default for Shapley {
    fn default() -> Self {
        Self { permutation: 20, stratified: 2, kernel: 200 }
    }
}

/// How far enumeration and search go.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// With so many blocks that may go, or fewer, all masks are measured.
    pub players: usize,
    /// With so many masks of a size, or fewer, all of that size are measured.
    pub subsets: usize,
    /// Random starts of the search by exchanges.
    pub restarts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { players: 12, subsets: 2000, restarts: 20 }
    }
}

impl Config {
    /// Reads a configuration; paths are those from its directory.
    ///
    /// # Errors
    /// The file cannot be read, has unknown keys, or a value makes no sense.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        configuration::read(path, Self::check)
    }

    /// Whether the values make sense by themselves.
    fn check(&self) -> Result<(), Fault> {
        rule(self.held_out > 0.0 && self.held_out < 1.0, "held-out", "a share between 0 and 1", &self.held_out)?;
        rule(self.sequences > 0, "sequences", "1 or more", &self.sequences)?;
        rule(self.held_out_sequences > 0, "held-out-sequences", "1 or more", &self.held_out_sequences)?;
        rule(self.length > 2, "length", "3 or more", &self.length)?;
        rule(!self.seeds.is_empty() && distinct(&self.seeds), "seeds", "at least one, all different", &self.seeds)?;
        let rising = |list: &[usize]| list.windows(2).all(|pair| pair[0] < pair[1]);
        let some = self.blocks.as_ref().is_none_or(|blocks| blocks.len() > 1 && rising(blocks));
        rule(some, "blocks", "two or more, rising", &self.blocks)?;
        let first = self.removed.first().is_some_and(|count| *count > 0);
        rule(first && rising(&self.removed), "removed", "at least one number, from 1 and rising", &self.removed)?;
        rule(distinct(&self.masks.kept), "masks.kept", "sizes that are all different", &self.masks.kept)?;
        rule(self.masks.samples > 1, "masks.samples", "2 or more", &self.masks.samples)?;
        rule(self.masks.base > 0, "masks.base", "1 or more", &self.masks.base)?;
        rule(self.masks.bootstrap > 0, "masks.bootstrap", "1 or more", &self.masks.bootstrap)?;
        let Params { rate, momentum, epochs, decay, batch, held_out } = self.surrogate;
        rule(rate > 0.0 && rate.is_finite(), "surrogate.rate", "a positive number", &rate)?;
        rule((0.0..1.0).contains(&momentum), "surrogate.momentum", "from 0, below 1", &momentum)?;
        let counts = [epochs, decay, batch];
        rule(!counts.contains(&0), "surrogate", "epochs, decay and batch of 1 or more", &counts)?;
        rule(held_out > 0.0 && held_out < 1.0, "surrogate.held-out", "a share between 0 and 1", &held_out)?;
        let Shapley { permutation, stratified, kernel } = self.shapley;
        let units = [permutation, stratified, kernel];
        rule(units.iter().all(|units| *units != 1), "shapley", "0 units, or 2 or more", &units)?;
        let most = self.limits.players <= 20;
        rule(most, "limits.players", "20 or fewer", &self.limits.players)
    }

    /// The blocks that may go, of a model of so many.
    pub(super) fn players(&self, model: usize) -> Result<Vec<usize>, Fault> {
        let players = self.blocks.clone().unwrap_or_else(|| (0..model).collect());
        rule(model <= 128, "model", "at most 128 blocks", &model)?;
        rule(players.iter().all(|block| *block < model), "blocks", "blocks that the model has, from 0", &players)?;
        rule(players.len() >= 2, "blocks", "two or more", &players.len())?;
        let most = self.removed.iter().all(|count| *count < players.len());
        rule(most, "removed", "fewer than there are blocks that may go", &self.removed)?;
        let fit = self.masks.kept.iter().all(|kept| *kept <= players.len());
        rule(fit, "masks.kept", "no more than there are blocks that may go", &self.masks.kept)?;
        Ok(players)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("study.toml");
        std::fs::write(&path, text).expect("written");
        Config::read(&path).map_err(|error| error.to_string())
    }

    const LEAST: &str = "title = \"t\"\nmodel = \"m\"\ntext = \"t.txt\"\nseeds = [0]\n";

    #[test]
    fn defaults_are_those_of_the_paper() {
        let config = read(LEAST).expect("a configuration");
        assert_eq!((config.sequences, config.length, &*config.removed), (10, 128, &[3, 6, 9, 12][..]));
        assert_eq!((config.masks.samples, config.masks.base), (8000, 80_000));
        assert_eq!(config.players(20).expect("blocks").len(), 20);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let fault = |more: &str| read(&(LEAST.to_owned() + more)).expect_err("refused");
        assert!(fault("removed = [3, 2]").contains("removed: expected at least one number, from 1 and rising"));
        assert!(fault("[shapley]\nkernel = 1").contains("shapley: expected 0 units, or 2 or more"));
        assert!(fault("layers = 3").contains("unknown field"));
        assert!(fault("blocks = [4]").contains("blocks: expected two or more, rising"));
        let config = read(&(LEAST.to_owned() + "blocks = [1, 2, 3, 9]\nremoved = [3]")).expect("a configuration");
        assert_eq!(config.players(9).expect_err("refused").0, "blocks");
        assert_eq!(config.players(10).expect("blocks"), [1, 2, 3, 9]);
        assert_eq!(config.players(129).expect_err("refused").0, "model");
        assert_eq!(Config { removed: vec![4], ..config }.players(10).expect_err("refused").0, "removed");
    }
}
