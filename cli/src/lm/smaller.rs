//! What `flatten` and `drop-layers` have in common: the model, where the result goes, texts, recovery, and what is
//! measured before and after.

use super::outcome::{Measured, Record};
use super::{answer, check_vocab_of, name, read_text};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress::Steps;
use clap::{Args, ValueEnum};
use secateur_nn::lm::{Checkpoint, Model, Tokens};
use secateur_nn::safetensors::Dtype;
use secateur_prune::PruneError;
use secateur_prune::depth::{Health, Lora, Sequences, Speed, Target, Written, finite_loss, loss};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A model, and the folder for a smaller one.
#[derive(Args)]
pub(super) struct Pair {
    /// A folder with config.json and safetensors, or a llama2.c checkpoint.
    model: PathBuf,
    /// The folder to write to; it must not hold config.json, files of weights or an index of them.
    #[arg(short = 'o', long, value_name = "OUT")]
    out: PathBuf,
    /// The type of written weights; by default as the embedding is stored.
    #[arg(long, value_enum)]
    dtype: Option<Type>,
    /// A text that the models before and after are measured on; by default the calibration text.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Do not measure tokens a second, for which first the original and then the result is in memory, whole.
    #[arg(long)]
    no_speed: bool,
    /// Write a record as JSON to a file, or to standard output with `-` instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    texts: Texts,
}

/// How texts become sequences of tokens.
#[derive(Args)]
struct Texts {
    /// The tokenizer: tokenizer.json, or a file of llama2.c; by default the one beside the model.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Sequences that are drawn from a text, without overlap; all that there are where they are fewer [default: 128].
    #[arg(long, value_name = "N")]
    sequences: Option<usize>,
    /// Tokens of a sequence, the one that begins a text included; at most the model's context [default: 2048].
    #[arg(long, value_name = "N")]
    length: Option<usize>,
    /// The seed by which sequences are drawn, and blocks by `random`, and recovery goes [default: 1].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Training of the result.
#[derive(Args)]
pub(super) struct Recovery {
    /// Train the result on the calibration text for so many epochs: low-rank additions to all matrices, then merged.
    /// The whole model is in memory then.
    #[arg(long, value_name = "EPOCHS", requires = "calibration")]
    recover: Option<usize>,
    /// Rank of the additions.
    #[arg(long, value_name = "N", default_value_t = Lora::default().rank, requires = "recover")]
    rank: usize,
    /// Size of the steps of their training.
    #[arg(long, value_name = "X", default_value_t = Lora::default().rate, requires = "recover")]
    rate: f64,
}

impl Recovery {
    /// Its parameters, where it is asked for.
    pub(super) fn lora(&self, seed: u64) -> Option<Lora> {
        self.recover.map(|epochs| Lora { rank: self.rank, rate: self.rate, epochs, seed, ..Lora::default() })
    }
}

/// Types of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Type {
    F32,
    F16,
    Bf16,
}

impl Type {
    fn dtype(self) -> Dtype {
        match self {
            Type::F32 => Dtype::F32,
            Type::F16 => Dtype::F16,
            Type::Bf16 => Dtype::Bf16,
        }
    }
}

/// A calibration text, for records.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Calibration {
    calibration: String,
    sequences: usize,
    length: usize,
}

impl Calibration {
    pub(super) fn of(text: &Path, sequences: &Sequences) -> Self {
        let (count, length) = (sequences.all().len(), sequences.longest());
        Self { calibration: text.display().to_string(), sequences: count, length }
    }
}

/// An opened model with its tokenizer, and what was measured of it.
pub(super) struct Task<'a> {
    pair: &'a Pair,
    pub checkpoint: Checkpoint,
    pub display: Steps,
    tokens: Option<Tokens>,
    begin: Instant,
    /// The text that is measured on, and the original's loss.
    measured: Option<(PathBuf, Sequences, f64)>,
    speed: Option<Speed>,
}

impl Pair {
    /// Opens the model, unless the result has no place to go.
    pub(super) fn open(&self, calibration: Option<&Path>) -> Result<Task<'_>, CliError> {
        let texts = [self.text.as_deref(), self.texts.tokenizer.as_deref(), calibration];
        let inputs: Vec<&Path> = texts.into_iter().flatten().chain([self.model.as_path()]).collect();
        output::check(&inputs, &[], self.json.as_ref())?;
        let (begin, checkpoint) = (Instant::now(), Checkpoint::open(&self.model)?);
        let display = Steps::new(self.quiet)?;
        self.target(&checkpoint).check()?;
        Ok(Task { pair: self, checkpoint, display, tokens: None, begin, measured: None, speed: None })
    }

    /// Refuses options that would do nothing: those of texts without one, the seed where nothing is drawn.
    pub(super) fn refuse_idle(&self, calibrated: bool, by_chance: bool) -> Result<(), CliError> {
        let Texts { tokenizer, sequences, length, seed } = &self.texts;
        let silent = !calibrated && self.text.is_none();
        CliError::refuse_idle([
            (silent && tokenizer.is_some(), "--tokenizer", "reads texts, and none is named"),
            (silent && sequences.is_some(), "--sequences", "are drawn from a text, and none is named"),
            (silent && length.is_some(), "--length", "is of sequences of a text, and none is named"),
            (silent && !by_chance && seed.is_some(), "--seed", "draws sequences of a text, and none is named"),
        ])
    }

    pub(super) fn seed(&self) -> u64 {
        self.texts.seed.unwrap_or(1)
    }

    pub(super) fn target(&self, checkpoint: &Checkpoint) -> Target<'_> {
        let dtype = self.dtype.map_or_else(|| checkpoint.dtype(), Type::dtype);
        Target { directory: &self.out, dtype }
    }
}

impl<'a> Task<'a> {
    /// Where the result goes.
    pub(super) fn target(&self) -> Target<'a> {
        self.pair.target(&self.checkpoint)
    }

    /// Sequences of a text.
    pub(super) fn sequences(&mut self, text: &Path) -> Result<Sequences, CliError> {
        let Texts { tokenizer, sequences, length, .. } = &self.pair.texts;
        let config = self.checkpoint.config();
        let tokens = match self.tokens.take() {
            Some(tokens) => tokens,
            None => match tokenizer {
                Some(file) => Tokens::open(file)?,
                None => Tokens::beside(&self.pair.model)?,
            },
        };
        check_vocab_of(config.vocab, &tokens)?;
        let all = tokens.encode(&read_text(text)?, false)?;
        let bos = config.bos.filter(|bos| (*bos as usize) < config.vocab);
        // A short text is one sequence.
        let length = length.unwrap_or(2048).min(config.context).min((all.len() + bos.iter().len()).max(2));
        let drawn = Sequences::draw(&all, sequences.unwrap_or(128), length, bos, self.pair.seed());
        self.tokens = Some(tokens);
        Ok(drawn?)
    }

    /// Measures the original, before anything is done to it; what does not predict its texts is refused.
    pub(super) fn measure(&mut self, calibration: Option<(&Path, &Sequences)>) -> Result<(), CliError> {
        let calibrated = match calibration {
            Some((text, sequences)) => {
                let loss = finite_loss(&self.checkpoint, sequences, &self.display)?;
                Some((text.to_owned(), sequences.clone(), loss))
            }
            None => None,
        };
        self.measured = match &self.pair.text {
            Some(text) => {
                let sequences = self.sequences(text)?;
                let loss = finite_loss(&self.checkpoint, &sequences, &self.display)?;
                Some((text.clone(), sequences, loss))
            }
            None => calibrated,
        };
        self.speed = self.speed_of(&self.checkpoint)?;
        Ok(())
    }

    fn speed_of(&self, checkpoint: &Checkpoint) -> Result<Option<Speed>, CliError> {
        if self.pair.no_speed {
            return Ok(None);
        }
        Ok(Some(Speed::measure(&Model::load(checkpoint)?, &self.display)?))
    }

    /// Measures the result, read back from its files, and tells what was done.
    pub(super) fn finish(self, written: &Written, settings: impl Serialize) -> Result<Exit, CliError> {
        let (measured, speed) = self.measured_after().map_err(|fault| match fault {
            CliError::Prune(PruneError::Stopped) => CliError::Unmeasured { out: self.pair.out.clone() },
            fault => fault,
        })?;
        let record = Record {
            model: self.pair.model.display().to_string(),
            out: self.pair.out.display().to_string(),
            settings,
            written,
            warnings: written.report.warnings(),
            measured,
            speed,
            threads: rayon::current_num_threads(),
            seconds: self.begin.elapsed().as_secs_f64(),
            version: env!("CARGO_PKG_VERSION"),
        };
        self.display.clear();
        answer(self.pair.json.as_deref(), &record, &record.table())
    }

    /// How well the result predicts, and how fast both models are.
    fn measured_after(&self) -> Result<(Option<Measured>, Option<[Speed; 2]>), CliError> {
        let after = Checkpoint::open(&self.pair.out)?;
        let measured = match &self.measured {
            Some((text, sequences, before)) => {
                let perplexity = [before.exp(), loss(&after, sequences, &self.display)?.exp()];
                Some(self.predicted(text, sequences, perplexity))
            }
            None => None,
        };
        Ok((measured, self.speed.zip(self.speed_of(&after)?).map(|(before, after)| [before, after])))
    }

    fn predicted(&self, text: &Path, sequences: &Sequences, perplexity: [f64; 2]) -> Measured {
        let config = self.checkpoint.config();
        let begun = sequences.all().first().and_then(|tokens| tokens.first()).copied();
        let bos = config.bos.filter(|bos| begun == Some(*bos));
        let context = sequences.longest();
        Measured {
            text: text.display().to_string(),
            tokenizer: self.tokens.as_ref().map(name).unwrap_or_default(),
            sequences: sequences.all().len(),
            context,
            stride: context - bos.iter().len(),
            bos,
            perplexity,
            health: Health::of(perplexity[0], perplexity[1], config.vocab),
        }
    }
}
