//! The model that is made smaller, its texts, and what is measured of a result.

use super::config::Config;
use crate::texts::Source;
use crate::theory::StudyError;
use secateur_nn::NnError;
use secateur_nn::lm::{Checkpoint, LmFault, Model, perplexity};
use secateur_nn::safetensors::Dtype;
use secateur_prune::depth::Sequences;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;

/// Tokens that are read at once, and that are added one by one, when speed is measured.
const TOKENS: [usize; 2] = [128, 64];
/// Speed is that of the fastest of so many runs: others on the machine only slow it down.
const RUNS: usize = 3;

/// What was measured of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What the table calls it.
    pub label: String,
    /// Blocks that were asked for.
    pub asked: usize,
    /// The seed of calibration.
    pub seed: u64,
    /// Blocks that there are.
    pub blocks: usize,
    /// Width of the stream.
    pub width: usize,
    /// Perplexity of held-out text; infinite where it is no number.
    #[serde(with = "finite")]
    pub perplexity: f64,
    /// Held-out tokens that were scored.
    pub tokens: usize,
    /// Stored numbers.
    pub parameters: usize,
    /// Bytes of the file of weights, in the type of the original.
    pub bytes: u64,
    /// Tokens a second.
    pub speed: Speed,
    /// Seconds that the method took.
    pub seconds: f64,
}

/// Tokens a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Read together.
    pub prefill: f64,
    /// Added one by one.
    pub decode: f64,
}

/// JSON knows no infinity: it is null.
mod finite {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { to.serialize_f64(*value) } else { to.serialize_none() }
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::INFINITY))
    }
}

/// Threads of products.
pub(super) fn threads() -> usize {
    rayon::current_num_threads()
}

/// The original and its texts.
pub(super) struct Subject {
    pub model: Model,
    dtype: Dtype,
    calibration: Vec<u32>,
    held_out: Vec<u32>,
    context: usize,
    stride: usize,
    bos: Option<u32>,
}

impl Subject {
    pub(super) fn load(config: &Config, base: &Path) -> Result<Self, StudyError> {
        let Config { text, model: folder, tokenizer, .. } = config;
        let checkpoint = Checkpoint::open(base.join(folder)).map_err(NnError::from)?;
        let model = Model::load(&checkpoint).map_err(NnError::from)?;
        let source = Source { base, text, model: folder, tokenizer: tokenizer.as_deref() };
        let [calibration, mut held_out] = source.parts(config.held_out, &model)?;
        held_out.truncate(config.tokens.unwrap_or(usize::MAX));
        let bos = config.bos.or(model.config.bos);
        let context = config.context;
        let stride = config.stride.unwrap_or(context - usize::from(bos.is_some()));
        Ok(Self { model, dtype: checkpoint.dtype(), calibration, held_out, context, stride, bos })
    }

    /// Calibration sequences of a seed.
    pub(super) fn sequences(&self, config: &Config, seed: u64) -> Result<Sequences, StudyError> {
        Ok(Sequences::draw(&self.calibration, config.sequences, config.length, self.bos, seed)?)
    }

    /// Measures a model as it is after it was written and read back.
    pub(super) fn measure(
        &self,
        model: &Model,
        label: &str,
        seed: u64,
        directory: &Path,
    ) -> Result<Measured, StudyError> {
        let io = |source| StudyError::Io { path: directory.to_owned(), source };
        let place = tempfile::Builder::new().prefix("model").tempdir_in(directory).map_err(io)?;
        let files = place.path().join("files");
        let bytes = model.save(&files, self.dtype).map_err(NnError::from)?;
        let read = || Model::load(&Checkpoint::open(&files)?);
        let stored = read().map_err(NnError::from)?;
        let found = perplexity(&stored, &self.held_out, self.context, self.stride, self.bos, &|_, _| true);
        let (perplexity, tokens) = match found {
            Ok(found) => (found.perplexity, found.tokens),
            Err(LmFault::Loss { tokens, .. }) => (f64::INFINITY, tokens),
            Err(fault) => return Err(NnError::from(fault).into()),
        };
        Ok(Measured {
            label: label.to_owned(),
            asked: stored.blocks.len(),
            seed,
            blocks: stored.blocks.len(),
            width: stored.config.width,
            perplexity,
            tokens,
            parameters: stored.parameters(),
            bytes,
            speed: self.speed(&stored).map_err(NnError::from)?,
            seconds: 0.0,
        })
    }

    /// Tokens a second on the beginning of the held-out text.
    fn speed(&self, model: &Model) -> Result<Speed, LmFault> {
        let room = model.config.context.min(self.held_out.len());
        let [prompt, steps] = [TOKENS[0].min(room / 2).max(1), TOKENS[1].min(room / 2).max(1)];
        if self.held_out.len() < prompt + steps {
            return Err(LmFault::Short { expected: prompt + steps, found: self.held_out.len() });
        }
        let (read, added) = self.held_out.split_at(prompt);
        let mut speed = Speed { prefill: 0.0, decode: 0.0 };
        for _ in 0..RUNS {
            let mut cache = model.cache();
            let begin = Instant::now();
            model.next(read, &mut cache);
            speed.prefill = speed.prefill.max(prompt as f64 / begin.elapsed().as_secs_f64());
            let begin = Instant::now();
            added[..steps].iter().for_each(|token| drop(model.next(&[*token], &mut cache)));
            speed.decode = speed.decode.max(steps as f64 / begin.elapsed().as_secs_f64());
        }
        Ok(speed)
    }
}
