//! The pruned network against the original.

use crate::equiv::{Answer, Files, decide, tolerance};
use crate::error::CliError;
use crate::progress::Display;
use crate::verify::seconds;
use clap::Args;
use dashu_ratio::RBig;
use secateur_check::Question;
use secateur_nn::graph::Graph;
use secateur_nn::{onnx, vnnlib};
use secateur_verify::Settings;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is to be shown of the pruned network.
#[derive(Args)]
#[group(id = "certification")]
pub struct Options {
    /// Verify what was written against the original on the box of --spec: the first line is `equivalent`, `different` (and where),
    /// `unknown` or `timeout`.
    #[arg(long, requires = "spec")]
    pub certify: bool,
    /// The property whose inputs count (VNNLIB).
    #[arg(long, value_name = "SPEC", requires = "certify")]
    spec: Option<PathBuf>,
    /// Whether no output differs by more than D.
    #[arg(long, value_name = "D", value_parser = tolerance, allow_hyphen_values = true, requires = "certify", conflicts_with = "same_class")]
    delta: Option<RBig>,
    /// Whether a class that is ahead in the original is among the first in the pruned network.
    #[arg(long, requires = "certify")]
    same_class: bool,
    /// With --same-class: look only where the class is ahead of all others by M.
    #[arg(long, value_name = "M", value_parser = tolerance, allow_hyphen_values = true, requires = "same_class")]
    lead: Option<RBig>,
    /// With --same-class: the class is the least output, not the greatest.
    #[arg(long, requires = "same_class")]
    least: bool,
    /// Limit of the verification in seconds.
    #[arg(long, value_name = "S", value_parser = seconds, requires = "certify")]
    timeout: Option<Duration>,
    /// Write a proof of the verdict, for `secateur-check`.
    #[arg(long, value_name = "FILE", requires = "certify")]
    pub certificate: Option<PathBuf>,
    /// Remove as much as is equivalent, up to the sparsity: by bisection, to a 128th of it.
    #[arg(long, requires = "certify", conflicts_with_all = ["finetune", "schedule"])]
    pub largest: bool,
}

impl Options {
    /// The question, where one is asked.
    ///
    /// # Errors
    /// There is none to ask.
    pub fn question(&self) -> Result<Option<(Question, &Path)>, CliError> {
        let Some(spec) = self.spec.as_deref().filter(|_| self.certify) else { return Ok(None) };
        let question = match (&self.delta, self.same_class) {
            (Some(delta), _) => Question::Within(delta.clone()),
            (None, true) => Question::SameClass { lead: self.lead.clone().unwrap_or_default(), least: self.least },
            (None, false) => return Err(CliError::NoQuestion),
        };
        Ok(Some((question, spec)))
    }

    /// Decides the question about two files; what is verified is what is stored.
    ///
    /// # Errors
    /// The files make no pair, or cannot be read.
    pub fn decide(
        &self,
        original: (&Graph, &Path),
        pruned: &Path,
        (question, spec): (&Question, &Path),
        seed: u64,
        certificate: Option<&Path>,
        display: &Display,
    ) -> Result<Answer, CliError> {
        let networks = [original.0.clone(), onnx::read(pruned)?];
        let inputs = vnnlib::read(spec)?;
        let settings = Settings { timeout: self.timeout, seed, ..Settings::default() };
        let files = Files { first: original.1, second: pruned, spec };
        let answer = decide(files, &networks, &inputs, question, &settings, certificate, display);
        display.clear();
        answer
    }
}
