//! What `flatten` and `drop-layers` have in common: the model, where the result goes, calibration, and what is said at
//! the end.

use super::{answer, check_json, check_vocab_of, name, read_text};
use crate::error::CliError;
use crate::exit::Exit;
use crate::interrupt;
use clap::{Args, ValueEnum};
use secateur_nn::lm::{Checkpoint, Tokens, Writer};
use secateur_nn::safetensors::Dtype;
use secateur_prune::depth::{Found, Health, Sequences, Similarity, Written, loss};
use serde::Serialize;
use std::fmt::Write;
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
    /// Write a record as JSON to a file, or to standard output with `-` instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    texts: Texts,
}

/// How texts become sequences of tokens.
#[derive(Args)]
struct Texts {
    /// The tokenizer: tokenizer.json, or a file of llama2.c; by default the one beside the model.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Sequences that are drawn from a text, without overlap; all that there are where they are fewer.
    #[arg(long, value_name = "N", default_value_t = 128)]
    sequences: usize,
    /// Tokens of a sequence, the one that begins a text included; at most the model's context.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    length: usize,
    /// The seed by which sequences are drawn, and blocks by `random`.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
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

/// An opened model with its tokenizer.
pub(super) struct Task<'a> {
    pair: &'a Pair,
    pub checkpoint: Checkpoint,
    tokens: Option<Tokens>,
}

/// What was done.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Record<'a, S: Serialize> {
    model: String,
    out: String,
    settings: S,
    #[serde(flatten)]
    written: &'a Written,
    warnings: Vec<String>,
    /// Missing where no text was named.
    measured: Option<Measured>,
    seconds: f64,
    version: &'static str,
}

/// How well both models predict a text.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Measured {
    text: String,
    tokenizer: String,
    sequences: usize,
    length: usize,
    bos: Option<u32>,
    /// Before and after.
    perplexity: [f64; 2],
    health: Health,
}

impl Pair {
    pub(super) fn open(&self) -> Result<Task<'_>, CliError> {
        check_json(self.json.as_deref())?;
        Writer::check(&self.out)?;
        let out = self.out.clone();
        interrupt::end(move || stopped(&out))?;
        let checkpoint = Checkpoint::open(&self.model)?;
        Ok(Task { pair: self, checkpoint, tokens: None })
    }

    pub(super) fn seed(&self) -> u64 {
        self.texts.seed
    }

    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    pub(super) fn dtype(&self, checkpoint: &Checkpoint) -> Dtype {
        self.dtype.map_or_else(|| checkpoint.dtype(), Type::dtype)
    }
}

/// Removes what was begun in a folder that held no model, and says what is there.
fn stopped(out: &Path) -> String {
    if out.join("config.json").exists() {
        return format!("stopped; the model is in {}, and was not measured", out.display());
    }
    for file in std::fs::read_dir(out).into_iter().flatten().flatten() {
        if file.file_name().to_string_lossy().ends_with(".safetensors.part") {
            // What stays is named by the next run.
            let _ = std::fs::remove_file(file.path());
        }
    }
    "stopped; no model was written".to_owned()
}

impl Task<'_> {
    /// Sequences of a text.
    pub(super) fn sequences(&mut self, text: &Path) -> Result<Sequences, CliError> {
        let Texts { tokenizer, sequences, length, seed } = &self.pair.texts;
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
        let room = (*length).min(config.context);
        let bos = config.bos.filter(|bos| (*bos as usize) < config.vocab);
        // A short text is one sequence.
        let drawn = Sequences::draw(&all, *sequences, room.min(all.len() + bos.iter().len()), bos, *seed);
        self.tokens = Some(tokens);
        Ok(drawn?)
    }

    /// Measures the result, read back from its files, and tells what was done.
    pub(super) fn finish(
        mut self,
        written: &Written,
        settings: impl Serialize,
        calibration: Option<&Path>,
        begin: Instant,
    ) -> Result<Exit, CliError> {
        let text = self.pair.text.clone().or_else(|| calibration.map(Path::to_owned));
        let measured = text.map(|text| self.measure(&text)).transpose()?;
        let record = Record {
            model: self.pair.model.display().to_string(),
            out: self.pair.out.display().to_string(),
            settings,
            written,
            warnings: written.report.warnings(),
            measured,
            seconds: begin.elapsed().as_secs_f64(),
            version: env!("CARGO_PKG_VERSION"),
        };
        answer(self.pair.json.as_deref(), &record, &record.table())
    }

    fn measure(&mut self, text: &Path) -> Result<Measured, CliError> {
        let sequences = self.sequences(text)?;
        let after = Checkpoint::open(&self.pair.out)?;
        let perplexity = [loss(&self.checkpoint, &sequences)?.exp(), loss(&after, &sequences)?.exp()];
        let begun = sequences.all().first().and_then(|tokens| tokens.first()).copied();
        Ok(Measured {
            text: text.display().to_string(),
            tokenizer: self.tokens.as_ref().map(name).unwrap_or_default(),
            sequences: sequences.all().len(),
            length: sequences.longest(),
            bos: self.checkpoint.config().bos.filter(|bos| begun == Some(*bos)),
            perplexity,
            health: Health::of(perplexity[0], perplexity[1]),
        })
    }
}

impl<S: Serialize> Record<'_, S> {
    fn table(&self) -> String {
        let Written { report, bytes } = self.written;
        let mut text = found(&report.found);
        let [before, after] = report.blocks;
        // Writing to a string does not fail.
        let _ = writeln!(text, "blocks      {before} → {after}");
        let [before, after] = report.parameters;
        let _ = writeln!(text, "parameters  {before} → {after}");
        let [before, after] = bytes;
        let _ = writeln!(text, "bytes       {before} → {after}");
        if let Some(Measured { perplexity: [before, after], health, sequences, length, text: file, .. }) =
            &self.measured
        {
            let _ =
                writeln!(text, "perplexity  {before:.4} → {after:.4} ({sequences} sequences of {length} from {file})");
            if *health == Health::Collapsed {
                let _ = writeln!(text, "collapsed: the model no longer predicts this text");
            }
        }
        let _ = writeln!(text, "seconds     {:.2}", self.seconds);
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        text
    }
}

fn found(found: &Found) -> String {
    let mut text = String::new();
    match found {
        Found::Flattened(flattened) => {
            text.push_str(&cosines(&flattened.similarity));
            for group in &flattened.groups {
                let (first, last) = (group.blocks.start, group.blocks.end - 1);
                let _ = writeln!(
                    text,
                    "blocks {first} to {last} are one: key heads {:?}, channels of each {:?}, {:.1} % of the MLPs lost",
                    group.heads,
                    group.channels,
                    100.0 * group.error
                );
            }
        }
        Found::Dropped(dropped) => {
            let _ = writeln!(text, "blocks that stay: {:?}", dropped.kept);
        }
        Found::Sliced(sliced) => {
            let share = 100.0 * sliced.share;
            let _ = writeln!(text, "width {} with {share:.2} % of the normed streams' second moment", sliced.width);
        }
        Found::Merged(merged) => {
            for group in merged.groups.iter().filter(|group| group.len() > 1) {
                let _ = writeln!(text, "blocks {} to {} are one", group.start, group.end - 1);
            }
            let _ = writeln!(text, "last streams have cosine {:.4} with the original's", merged.similarity);
        }
    }
    text
}

/// $S$ with two digits, a row for every depth.
fn cosines(similarity: &Similarity) -> String {
    let mut text =
        String::from("cosines between the streams before blocks, in hundredths; the last is the one after all\n");
    for i in 0..=similarity.blocks() {
        for j in 0..=similarity.blocks() {
            let _ = write!(text, "{:4}", (100.0 * similarity.at(i, j)).round());
        }
        text.push('\n');
    }
    text
}
