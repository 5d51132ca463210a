//! A method by its name, on a model in memory.

use super::drop::{Dropped, Removal, dropped};
use super::laco::{Merged, merged};
use super::lora::{Lora, recovered};
use super::pipeline::{self, Flattened, Params, flatten};
use super::progress::Progress;
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
    /// Refuses what makes no sense for a model of so many blocks, before there is any work.
    ///
    /// # Errors
    /// The depth is 0 or more than it has; a parameter of the method or of recovery is not positive.
    pub fn check(&self, blocks: usize) -> Result<(), PruneError> {
        check_depth(self.blocks, blocks)?;
        if matches!(self.method, Method::Flatten | Method::FlattenNaive) {
            pipeline::check(&self.params())?;
        }
        self.recover.as_ref().map_or(Ok(()), Lora::check)
    }

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
/// The model does not know a token; the depth is 0 or more than it has; as [`flatten`] and [`recovered`].
pub fn compress(
    model: &Model,
    sequences: &Sequences,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<Compressed, PruneError> {
    let Settings { method, blocks: depth, seed, .. } = *settings;
    let blocks = model.config.blocks;
    settings.check(blocks)?;
    let params = settings.params();
    let scored = |removal| dropped(model, depth, removal, progress).map(|found| without(model, found));
    let (small, found) = match method {
        Method::Flatten | Method::FlattenNaive => flat(model, sequences, depth, &params, progress)?,
        Method::ShortGpt => scored(Removal::Influence(sequences))?,
        Method::Magnitude => scored(Removal::Magnitude)?,
        Method::Random => scored(Removal::Random { seed })?,
        Method::Sleb => without(model, one_by_one(model, sequences, depth, progress)?),
        Method::Laco => {
            let (small, found) = merged(model, sequences, depth, progress)?;
            (small, Found::Merged(found))
        }
        Method::Slice => {
            let left = model.parameters() - (blocks - depth) * model.config.block_parameters();
            let (small, found) = sliced(model, sequences, left, progress)?;
            (small, Found::Sliced(found))
        }
    };
    let (small, recovery) = match &settings.recover {
        Some(params) => recovered(&small, sequences, params, progress).map(|(model, losses)| (model, Some(losses)))?,
        None => (small, None),
    };
    let blocks = [model.blocks.len(), small.blocks.len()];
    let parameters = [model.parameters(), small.parameters()];
    Ok(Compressed { model: small, report: Report { method: Some(method), blocks, parameters, found, recovery } })
}

/// Refuses a depth that a model cannot be brought to.
pub(super) fn check_depth(found: usize, blocks: usize) -> Result<(), PruneError> {
    if (1..=blocks).contains(&found) { Ok(()) } else { Err(PruneError::Depth { found, blocks }) }
}

fn flat(
    model: &Model,
    sequences: &Sequences,
    depth: usize,
    params: &Params,
    progress: &dyn Progress,
) -> Result<(Model, Found), PruneError> {
    let mut blocks = Vec::new();
    let mut write = |_, block| {
        blocks.push(block);
        Ok(())
    };
    let found = flatten(model, sequences, depth, params, &mut write, progress)?;
    Ok((with(model, blocks), Found::Flattened(found)))
}

/// The model with the blocks that stay.
pub(super) fn without(model: &Model, found: Dropped) -> (Model, Found) {
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
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, shapes, tokens};
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

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
                    let Compressed { model: small, report } = compress(&model, &sequences, &settings, &Silent).expect("a model");
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
                let found = compress(&model, &sequences, &settings, &Silent).expect("a model");
                prop_assert!(found.model == model, "{}", method);
            }
        }

        #[test]
        fn blocks_that_are_no_group_stay_as_they_are(shape in shapes(), seed in 0..999u64) {
            let model = shape.model(seed);
            let sequences = Sequences::new(vec![tokens(&model.config, 15, seed)]).expect("tokens");
            let (method, blocks) = (Method::Flatten, shape.blocks - 1);
            let settings = Settings { method, blocks, params: Params::default(), seed, recover: None };
            let found = compress(&model, &sequences, &settings, &Silent).expect("a model");
            let Found::Flattened(Flattened { groups, .. }) = &found.report.found else { panic!("{:?}", found.report) };
            let pair = groups[0].blocks.start;
            for (number, block) in found.model.blocks.iter().enumerate().filter(|(number, _)| *number != pair) {
                prop_assert_eq!(block, &model.blocks[number + usize::from(number > pair)]);
            }
            prop_assert!(found.model.blocks[pair].input_norm.iter().all(|scale| *scale == 1.0));
        }
    }

    /// Stops at a step.
    struct Impatient(AtomicUsize);

    impl Progress for Impatient {
        fn step(&self, _: usize, _: usize, _: &str) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }

        fn stop(&self) -> bool {
            self.0.load(Ordering::Relaxed) == 0
        }
    }

    #[test]
    fn methods_that_take_steps_stop() {
        let model = Shape::small(4).model(2);
        let sequences = Sequences::new(vec![tokens(&model.config, 9, 1)]).expect("tokens");
        for method in Method::ALL.into_iter().filter(|method| *method != Method::Random) {
            for steps in [0, 1] {
                let settings = Settings { method, blocks: 2, params: Params::default(), seed: 1, recover: None };
                let progress = Impatient(AtomicUsize::new(steps));
                let found = compress(&model, &sequences, &settings, &progress);
                // Slicing takes one step for the one sequence.
                let stopped = matches!(found, Err(PruneError::Stopped));
                assert_eq!(stopped, steps == 0 || method != Method::Slice, "{method} {steps}");
            }
        }
    }

    #[test]
    fn parameters_are_looked_at_first() {
        let model = Shape::small(3).model(2);
        let sequences = Sequences::new(vec![tokens(&model.config, 9, 1)]).expect("tokens");
        let recover = Some(Lora { rank: 0, ..Lora::default() });
        let settings = Settings { method: Method::Sleb, blocks: 2, params: Params::default(), seed: 1, recover };
        let progress = Impatient(AtomicUsize::new(0));
        let found = compress(&model, &sequences, &settings, &progress);
        assert!(matches!(found, Err(PruneError::Positive { .. })), "{found:?}");
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
