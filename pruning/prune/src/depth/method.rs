//! A method by its name, on a model in memory.

use super::drop::{Dropped, Removal, dropped};
use super::laco::{Merged, merged};
use super::lora::{Lora, recovered};
use super::pipeline::{Flattened, Params, flatten};
use super::similarity::PREMISE;
use super::sleb::one_by_one;
use super::slice::{Sliced, sliced};
use super::streams::Sequences;
use crate::error::PruneError;
use secateur_nn::lm::{Block, Config, Model};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// [`flatten`].
    Flatten,
    /// The same with channels by their second moments, and nothing that makes up for those that go.
    FlattenNaive,
    /// [`Removal::Influence`].
    ShortGpt,
    /// [`one_by_one`].
    Sleb,
    /// [`Removal::Magnitude`].
    Magnitude,
    /// [`sliced`], to the parameters that the depth would leave.
    Slice,
    /// [`merged`].
    Laco,
    /// [`Removal::Random`].
    Random,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 8] = [
        Method::Flatten,
        Method::FlattenNaive,
        Method::ShortGpt,
        Method::Sleb,
        Method::Magnitude,
        Method::Slice,
        Method::Laco,
        Method::Random,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Method::Flatten => "flatten",
            Method::FlattenNaive => "flatten-naive",
            Method::ShortGpt => "short-gpt",
            Method::Sleb => "sleb",
            Method::Magnitude => "magnitude",
            Method::Slice => "slice",
            Method::Laco => "laco",
            Method::Random => "random",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = PruneError;

    fn from_str(text: &str) -> Result<Self, PruneError> {
        let found = Method::ALL.into_iter().find(|method| method.name() == text);
        found.ok_or_else(|| PruneError::Unknown {
            what: "method of fewer blocks",
            found: text.to_owned(),
            expected: Method::ALL.map(Method::name).join(", "),
        })
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The method.
    pub method: Method,
    /// Blocks that are left.
    pub blocks: usize,
    /// Parameters of FlattenGPT.
    pub params: Params,
    /// The seed of [`Method::Random`].
    pub seed: u64,
    /// Training of the result on the calibration tokens, which has the whole model in memory.
    pub recover: Option<Lora>,
}

impl Settings {
    /// FlattenGPT's parameters as the method has them.
    pub(super) fn params(&self) -> Params {
        match self.method {
            Method::FlattenNaive => Params { compensate: false, refit: None, ..self.params },
            _ => self.params,
        }
    }
}

/// What a method did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// Blocks became one.
    Flattened(Flattened),
    /// Blocks went.
    Dropped(Dropped),
    /// Directions of the stream went.
    Sliced(Sliced),
    /// Blocks were added up.
    Merged(Merged),
}

/// What a method did, and to how much.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The method; none where somebody named the blocks.
    pub method: Option<Method>,
    /// Blocks before and after.
    pub blocks: [usize; 2],
    /// Parameters before and after.
    pub parameters: [usize; 2],
    /// What it did.
    pub found: Found,
    /// The mean loss of every epoch of recovery, where there was one.
    pub recovery: Option<Vec<f64>>,
}

impl Report {
    /// Of a model of this configuration that kept the sizes of its blocks.
    pub(super) fn of(method: Option<Method>, config: &Config, after: usize, found: Found) -> Self {
        let fewer = Config { blocks: after, ..config.clone() };
        let parameters = [config.parameters(), fewer.parameters()];
        Self { method, blocks: [config.blocks, after], parameters, found, recovery: None }
    }

    /// What a reader should know before trusting the result.
    pub fn warnings(&self) -> Vec<String> {
        let Found::Flattened(Flattened { similarity, .. }) = &self.found else { return Vec::new() };
        let broken = |largest: f64| {
            format!(
                "the most similar neighbouring streams have cosine {largest:.3}, below {PREMISE}: blocks of this model are far from parallel"
            )
        };
        similarity.broken_premise().map(broken).into_iter().collect()
    }
}

/// A smaller model.
#[derive(Clone, Debug)]
pub struct Compressed {
    /// The model.
    pub model: Model,
    /// How it came about.
    pub report: Report,
}

/// Brings a model in memory to fewer blocks, or to as few parameters.
///
/// # Errors
/// The model does not know a token; the depth is 0 or more than it has; as [`flatten`].
pub fn compress(model: &Model, sequences: &Sequences, settings: &Settings) -> Result<Compressed, PruneError> {
    let Settings { method, blocks: depth, seed, .. } = *settings;
    let params = settings.params();
    let scored = |removal| dropped(model, depth, removal).map(|found| without(model, found));
    let (small, found) = match method {
        Method::Flatten | Method::FlattenNaive => flat(model, sequences, depth, &params)?,
        Method::ShortGpt => scored(Removal::Influence(sequences))?,
        Method::Magnitude => scored(Removal::Magnitude)?,
        Method::Random => scored(Removal::Random { seed })?,
        Method::Sleb => without(model, one_by_one(model, sequences, depth)?),
        Method::Laco => {
            let (small, found) = merged(model, sequences, depth)?;
            (small, Found::Merged(found))
        }
        Method::Slice => {
            let blocks = model.config.blocks;
            if !(1..=blocks).contains(&depth) {
                return Err(PruneError::Depth { found: depth, blocks });
            }
            let left = model.parameters() - (blocks - depth) * model.config.block_parameters();
            let (small, found) = sliced(model, sequences, left)?;
            (small, Found::Sliced(found))
        }
    };
    let (small, recovery) = match &settings.recover {
        Some(params) => recovered(&small, sequences, params).map(|(model, losses)| (model, Some(losses)))?,
        None => (small, None),
    };
    let blocks = [model.blocks.len(), small.blocks.len()];
    let parameters = [model.parameters(), small.parameters()];
    Ok(Compressed { model: small, report: Report { method: Some(method), blocks, parameters, found, recovery } })
}

fn flat(model: &Model, sequences: &Sequences, depth: usize, params: &Params) -> Result<(Model, Found), PruneError> {
    let mut blocks = Vec::new();
    let found = flatten(model, sequences, depth, params, &mut |_, block| {
        blocks.push(block);
        Ok(())
    })?;
    Ok((with(model, blocks), Found::Flattened(found)))
}

fn without(model: &Model, found: Dropped) -> (Model, Found) {
    let blocks = found.kept.iter().map(|block| model.blocks[*block].clone()).collect();
    (with(model, blocks), Found::Dropped(found))
}

/// The model with other blocks.
fn with(model: &Model, blocks: Vec<Block>) -> Model {
    let mut config = model.config.clone();
    config.blocks = blocks.len();
    Model { config, blocks, embedding: model.embedding.clone(), norm: model.norm.clone(), head: model.head.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::pipeline::Activations;
    use crate::depth::testing::{relative, shapes, tokens};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn every_method_gives_a_model_of_the_size_asked_for(shape in shapes(), share in 0.0..1.0f64, seed in 0..999u64) {
            let model = shape.model(seed);
            let sequences = Sequences::new(vec![tokens(&model.config, 30, seed), tokens(&model.config, 11, seed + 1)]);
            let sequences = sequences.expect("tokens");
            let depth = 1 + ((shape.blocks - 1) as f64 * share) as usize;
            for method in Method::ALL {
                for activations in [Activations::Compressed, Activations::Dense] {
                    let params = Params { activations, refit: Some(0.1), ..Params::default() };
                    let settings = Settings { method, blocks: depth, params, seed, recover: None };
                    let Compressed { model: small, report } = compress(&model, &sequences, &settings).expect("a model");
                    prop_assert_eq!(small.config.blocks, small.blocks.len());
                    prop_assert_eq!(small.config.parameters(), small.parameters());
                    if method == Method::Slice {
                        prop_assert!(small.blocks.len() == shape.blocks && small.config.width <= shape.width);
                    } else {
                        let gone = (shape.blocks - depth) * model.config.block_parameters();
                        prop_assert_eq!((small.blocks.len(), small.parameters()), (depth, model.parameters() - gone));
                    }
                    prop_assert_eq!(report.parameters, [model.parameters(), small.parameters()]);
                    prop_assert!(small.logits(&sequences.all()[1]).iter().all(|l| l.is_finite()));
                }
            }
        }

        #[test]
        fn as_many_blocks_as_before_change_nothing(shape in shapes(), seed in 0..999u64) {
            let model = shape.model(seed);
            let text = tokens(&model.config, 15, seed);
            let sequences = Sequences::new(vec![text.clone()]).expect("tokens");
            for method in Method::ALL.into_iter().filter(|method| *method != Method::Slice) {
                let settings = Settings { method, blocks: shape.blocks, params: Params::default(), seed, recover: None };
                let found = compress(&model, &sequences, &settings).expect("a model");
                let error = relative(&found.model.logits(&text), &model.logits(&text));
                // Absorbed norms, at most.
                prop_assert!(error <= 1e-5, "{} {}", method, error);
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for method in Method::ALL {
            assert_eq!(method.to_string().parse::<Method>().expect("its name"), method);
            assert_eq!(serde_json::to_string(&method).expect("a name"), format!("\"{method}\""));
        }
        assert!("flattened".parse::<Method>().is_err());
    }
}
