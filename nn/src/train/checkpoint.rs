//! The state of a training run in a file: parameters, what the optimiser remembers, the best weights so far, history.
//!
//! Everything is stored bit by bit, so that a resumed run goes on exactly as the uninterrupted one.

use super::fault::TrainFault;
use super::trainer::{Epoch, Session};
use crate::error::NnError;
use crate::safetensors::{Archive, Stored};
use secateur_linalg::Tensor;
use std::collections::BTreeMap;
use std::path::Path;

/// Numbers of one epoch in the history.
const COLUMNS: usize = 7;

fn row(epoch: &Epoch) -> [f64; COLUMNS] {
    let none = f64::NAN;
    let validation = epoch.validation;
    [
        epoch.epoch as f64,
        epoch.rate,
        epoch.loss,
        epoch.accuracy.unwrap_or(none),
        validation.map_or(none, |v| v.loss),
        validation.and_then(|v| v.accuracy).unwrap_or(none),
        epoch.seconds,
    ]
}

fn epoch(row: &[f64]) -> Epoch {
    let some = |v: f64| (!v.is_nan()).then_some(v);
    let validation = some(row[4]).map(|loss| super::Evaluation { loss, accuracy: some(row[5]) });
    Epoch { epoch: row[0] as usize, rate: row[1], loss: row[2], accuracy: some(row[3]), validation, seconds: row[6] }
}

impl Session<'_> {
    /// Writes the state after an epoch.
    pub(super) fn save(&self, path: &Path) -> Result<(), NnError> {
        let mut archive = Archive::default();
        let texts = self.description().into_iter().map(|(key, value)| (key.to_owned(), value));
        archive.metadata.extend(texts);
        for (name, tensor) in self.program.state() {
            archive.tensors.insert(format!("weight/{name}"), Stored::F32(tensor));
        }
        for (slot, moments) in self.moments.iter().enumerate() {
            for (order, moment) in moments.iter().enumerate() {
                let name = format!("moment{order}/{}", self.program.name(slot));
                archive.tensors.insert(name, Stored::F32(Tensor::vector(moment.clone())));
            }
        }
        for (name, tensor) in self.best.iter().flat_map(|best| &best.state) {
            archive.tensors.insert(format!("best/{name}"), Stored::F32(tensor.clone()));
        }
        let rows: Vec<f64> = self.history.iter().flat_map(row).collect();
        let history = Tensor::new(vec![self.history.len(), COLUMNS], rows);
        archive.tensors.insert("history".to_owned(), Stored::F64(history));
        archive.tensors.insert("step".to_owned(), Stored::I64(Tensor::scalar(self.step as i64)));
        archive.write(path)
    }

    /// Takes the state of a file.
    ///
    /// # Errors
    /// The file is damaged, incomplete, or of a run with other settings, data or network.
    pub(super) fn load(&mut self, path: &Path) -> Result<(), NnError> {
        let archive = Archive::read(path)?;
        for (what, expected) in self.description() {
            let found = archive.metadata.get(what).cloned().unwrap_or_else(|| "none".to_owned());
            if found != expected {
                return Err(TrainFault::OtherRun { what, expected, found }.into());
            }
        }
        let missing = |what: &str| NnError::from(TrainFault::Incomplete { what: what.to_owned() });
        let group = |prefix: &str| -> BTreeMap<String, Tensor<f32>> {
            let named = archive.tensors.iter().filter_map(|(name, tensor)| match tensor {
                Stored::F32(tensor) => Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone())),
                _ => None,
            });
            named.collect()
        };
        self.program.restore(&group("weight/"))?;
        for order in 0..self.moments.first().map_or(0, Vec::len) {
            let stored = group(&format!("moment{order}/"));
            for (slot, moments) in self.moments.iter_mut().enumerate() {
                let name = self.program.name(slot);
                let moment = stored.get(name).filter(|m| m.len() == moments[order].len());
                let moment = moment.ok_or_else(|| missing(&format!("moment of `{name}`")))?;
                moments[order].copy_from_slice(moment.data());
            }
        }
        let Some(Stored::F64(history)) =
            archive.tensors.get("history").filter(|h| matches!(h, Stored::F64(t) if t.len() % COLUMNS == 0))
        else {
            return Err(missing("a history"));
        };
        self.history = history.data().chunks_exact(COLUMNS).map(epoch).collect();
        let step = match archive.tensors.get("step") {
            Some(Stored::I64(step)) => step.data().first().and_then(|step| usize::try_from(*step).ok()),
            _ => None,
        };
        self.step = step.ok_or_else(|| missing("a count of steps"))?;
        let best = group("best/");
        self.restore_best(best);
        Ok(())
    }
}
