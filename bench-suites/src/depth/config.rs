//! What is to be compared: a TOML file.

use crate::theory::configuration::{self, Fault, rule};
use crate::theory::{StudyError, distinct};
use secateur_prune::depth::{Activations, Lora, Method, Params};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A comparison of methods that make a language model smaller.
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
    /// The text (UTF-8): its last part is held out, the rest is for calibration.
    pub text: PathBuf,
    /// The share that is held out.
    #[serde(default = "tenth")]
    pub held_out: f64,
    /// Measure on at most so many held-out tokens.
    #[serde(default)]
    pub tokens: Option<usize>,
    /// Tokens of a window of held-out text, and between windows.
    pub context: usize,
    /// The same between beginnings of windows; by default windows lie end to end.
    #[serde(default)]
    pub stride: Option<usize>,
    /// Calibration sequences, and tokens of each.
    pub sequences: usize,
    /// Tokens of a calibration sequence.
    pub length: usize,
    /// The token before every window and sequence, where it is not the model's own.
    #[serde(default)]
    pub bos: Option<u32>,
    /// How many blocks are to be left.
    pub blocks: Vec<usize>,
    /// Seeds by which calibration sequences are drawn, and what goes by chance.
    pub seeds: Vec<u64>,
    /// What is compared.
    #[serde(rename = "method")]
    pub methods: Vec<Variant>,
}

fn tenth() -> f64 {
    0.1
}

/// A method with its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Variant {
    /// The method.
    pub name: Method,
    /// What the table calls it; by default the method's name.
    #[serde(default)]
    pub label: Option<String>,
    /// Ridge for channels, in mean second moments (flatten).
    #[serde(default)]
    pub lambda: Option<f64>,
    /// Whose streams later groups are fitted on (flatten, flatten-naive).
    #[serde(default)]
    pub activations: Option<Activations>,
    /// Ridge of refitted output projections; they stay as they are without one (flatten).
    #[serde(default)]
    pub refit: Option<f64>,
    /// Training of the result on the calibration tokens; none without it.
    #[serde(default)]
    pub recover: Option<Lora>,
}

impl Variant {
    /// What the table calls it.
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(self.name.name())
    }

    /// Its parameters.
    pub fn params(&self) -> Params {
        let Variant { lambda, activations, refit, .. } = *self;
        let usual = Params::default();
        Params {
            lambda: lambda.unwrap_or(usual.lambda),
            activations: activations.unwrap_or(usual.activations),
            refit,
            ..usual
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

    fn check(&self) -> Result<(), Fault> {
        let plain = |text: &str| !text.is_empty() && !text.contains(['<', '>', '&', '|', '`', '\n']);
        let labels: Vec<&str> = self.methods.iter().map(Variant::label).collect();
        let named = |text: &&str| plain(text) && *text != "original";
        rule(plain(&self.title), "title", "text without < > & | ` and line ends", &self.title)?;
        let expected = "one or more names that differ, without < > & | ` and line ends, none of them `original`";
        rule(!labels.is_empty() && distinct(&labels) && labels.iter().all(named), "method", expected, &labels)?;
        rule(self.held_out > 0.0 && self.held_out < 1.0, "held-out", "a share between 0 and 1", &self.held_out)?;
        rule(self.tokens.is_none_or(|tokens| tokens >= 2), "tokens", "2 or more", &self.tokens)?;
        rule(self.context >= 2, "context", "2 or more", &self.context)?;
        rule(self.stride != Some(0), "stride", "1 or more", &self.stride)?;
        rule(self.sequences > 0, "sequences", "1 or more", &self.sequences)?;
        rule(self.length >= 2, "length", "2 or more", &self.length)?;
        let depths = !self.blocks.is_empty() && distinct(&self.blocks) && !self.blocks.contains(&0);
        rule(depths, "blocks", "one or more positive numbers, all different", &self.blocks)?;
        rule(!self.seeds.is_empty() && distinct(&self.seeds), "seeds", "at least one, all different", &self.seeds)?;
        let positive = |value: f64| value > 0.0 && value.is_finite();
        for Variant { name, lambda, activations, refit, .. } in &self.methods {
            rule(lambda.is_none_or(positive), "lambda", "a positive number", lambda)?;
            rule(refit.is_none_or(positive), "refit", "a positive number", refit)?;
            let full = *name == Method::Flatten;
            let flat = full || *name == Method::FlattenNaive;
            rule(full || lambda.is_none(), "lambda", "nothing: only flatten reads it", lambda)?;
            rule(full || refit.is_none(), "refit", "nothing: only flatten reads it", refit)?;
            let expected = "nothing: only flatten and flatten-naive read it";
            rule(flat || activations.is_none(), "activations", expected, activations)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        title = "Fewer blocks"
        model = "model"
        text = "text.txt"
        context = 256
        sequences = 8
        length = 256
        blocks = [18, 16]
        seeds = [1, 2]
        [[method]]
        name = "flatten"
        [[method]]
        name = "flatten"
        label = "flatten, small ridge"
        lambda = 0.01
    "#;

    fn read(text: &str) -> Result<Config, StudyError> {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("study.toml");
        std::fs::write(&path, text).expect("written");
        Config::read(&path)
    }

    #[test]
    fn configurations_are_read_and_checked() {
        let config = read(TEXT).expect("a configuration");
        assert_eq!((config.methods[0].label(), config.methods[0].params()), ("flatten", Params::default()));
        assert_eq!((config.methods[1].label(), config.methods[1].params().lambda), ("flatten, small ridge", 0.01));
        for (from, to, key) in [
            ("[18, 16]", "[18, 18]", "blocks"),
            ("[1, 2]", "[]", "seeds"),
            ("lambda = 0.01", "lambda = 0.0", "lambda"),
            ("flatten, small ridge", "flatten", "method"),
            ("context = 256", "context = 1", "context"),
            ("name = \"flatten\"\n        label", "name = \"laco\"\n        label", "lambda"),
            ("lambda = 0.01", "refit = -1.0", "refit"),
        ] {
            let found = read(&TEXT.replace(from, to));
            assert!(matches!(&found, Err(StudyError::Value { key: found, .. }) if *found == key), "{key}: {found:?}");
        }
        assert!(matches!(read(&TEXT.replace("length", "lengths")), Err(StudyError::Config { .. })));
    }
}
