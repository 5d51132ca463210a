//! The model that is made smaller, its texts, and what is measured of a result.

use super::config::Config;
use crate::texts::{Source, fingerprint};
use crate::theory::StudyError;
use secateur_nn::NnError;
use secateur_nn::lm::{Checkpoint, LmFault, Model, perplexity};
use secateur_nn::safetensors::Dtype;
use secateur_prune::PruneError;
use secateur_prune::depth::{Progress, Sequences, Speed};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::slice::from_ref;

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
    pub bos: Option<u32>,
}

impl Subject {
    /// Reads the model and its texts; refuses sequences and windows that are longer than the model was made for.
    pub(super) fn load(config: &Config, base: &Path) -> Result<Self, StudyError> {
        let Config { text, model: folder, tokenizer, .. } = config;
        let checkpoint = Checkpoint::open(base.join(folder)).map_err(NnError::from)?;
        let context = checkpoint.config().context;
        if let Some(found) = [config.context, config.length].into_iter().find(|found| *found > context) {
            return Err(NnError::from(LmFault::Context { context, found }).into());
        }
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

    /// What measurements depend on beside the configuration.
    pub(super) fn fingerprint(&self) -> String {
        fingerprint(&self.model, &[from_ref(&self.calibration), from_ref(&self.held_out)])
    }

    /// Measures a model as it is after it was written and read back.
    pub(super) fn measure(
        &self,
        model: &Model,
        label: &str,
        seed: u64,
        directory: &Path,
        progress: &dyn Progress,
    ) -> Result<Measured, StudyError> {
        let io = |source| StudyError::Io { path: directory.to_owned(), source };
        let place = tempfile::Builder::new().prefix("model").tempdir_in(directory).map_err(io)?;
        let files = place.path().join("files");
        let bytes = model.save(&files, self.dtype).map_err(NnError::from)?;
        let read = || Model::load(&Checkpoint::open(&files)?);
        let stored = read().map_err(NnError::from)?;
        let heard = |done: usize, all: usize| {
            progress.step(done, all, "windows");
            !progress.stop()
        };
        let found = perplexity(&stored, &self.held_out, self.context, self.stride, self.bos, &heard);
        let (perplexity, tokens) = match found {
            Ok(found) => (found.perplexity, found.tokens),
            Err(LmFault::Loss { tokens, .. }) => (f64::INFINITY, tokens),
            Err(LmFault::Stopped) => return Err(PruneError::Stopped.into()),
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
            speed: Speed::measure(&stored, progress)?,
            seconds: 0.0,
        })
    }
}
