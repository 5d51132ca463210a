//! What is told of a smaller model: a record, and its table.

use secateur_prune::depth::{Found, Health, Similarity, Speed, Written};
use serde::Serialize;
use std::fmt::Write;

/// What was done.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Record<'a, S: Serialize> {
    pub model: String,
    pub out: String,
    pub settings: S,
    #[serde(flatten)]
    pub written: &'a Written,
    pub warnings: Vec<String>,
    /// Missing where no text was named.
    pub measured: Option<Measured>,
    /// Before and after; missing where it was not asked for.
    pub speed: Option<[Speed; 2]>,
    pub threads: usize,
    pub seconds: f64,
    pub version: &'static str,
}

/// How well both models predict a text.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Measured {
    pub text: String,
    pub tokenizer: String,
    pub sequences: usize,
    /// Tokens of a sequence.
    pub context: usize,
    /// Tokens of the text that a sequence has to itself.
    pub stride: usize,
    pub bos: Option<u32>,
    /// Before and after.
    pub perplexity: [f64; 2],
    pub health: Health,
}

impl<S: Serialize> Record<'_, S> {
    pub(super) fn table(&self) -> String {
        let Written { report, bytes } = self.written;
        let mut text = found(&report.found);
        let [before, after] = report.blocks;
        // Writing to a string does not fail.
        let _ = writeln!(text, "blocks      {before} → {after}");
        let [before, after] = report.parameters;
        let _ = writeln!(text, "parameters  {before} → {after}");
        let [before, after] = bytes;
        let _ = writeln!(text, "bytes       {before} → {after}");
        text.push_str(
            &self
                .measured
                .as_ref()
                .map_or_else(|| "perplexity  not measured: name a text with --text\n".to_owned(), Measured::lines),
        );
        match &self.speed {
            Some([before, after]) => {
                let [read, added] = [before.prefill, before.decode];
                let _ = writeln!(
                    text,
                    "tokens/s    {read:.0} → {:.0} read together, {added:.0} → {:.0} one by one ({} threads)",
                    after.prefill, after.decode, self.threads
                );
            }
            None => text.push_str("tokens/s    not measured\n"),
        }
        let _ = writeln!(text, "seconds     {:.2}", self.seconds);
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        text
    }
}

impl Measured {
    fn lines(&self) -> String {
        let Measured { perplexity: [before, after], health, sequences, context, stride, text, .. } = self;
        let collapsed = match health {
            Health::Collapsed => "collapsed: the model no longer predicts this text\n",
            Health::Predicts => "",
        };
        format!(
            "perplexity  {before:.4} → {after:.4} ({sequences} sequences of {text}, context {context}, stride {stride})\n\
             {collapsed}"
        )
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
