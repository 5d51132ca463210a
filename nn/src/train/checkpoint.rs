//! The state of a training run in a file: parameters, what the optimiser remembers, the best weights so far, history.
//!
//! Everything is stored bit by bit, so that a resumed run goes on exactly as the uninterrupted one.

use super::fault::TrainFault;
use super::trainer::{Epoch, Session};
use crate::error::NnError;
use crate::safetensors::{self, Dtype, Safetensors, Stored};
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
        let mut archive = Safetensors::default();
        let single = |tensor: &Tensor<f32>| Stored::f32(tensor.shape().to_vec(), tensor.data());
        let texts = self.description().into_iter().map(|(key, value)| (key.to_owned(), value));
        archive.metadata.extend(texts);
        for (name, tensor) in self.program.state() {
            archive.tensors.insert(format!("weight/{name}"), single(&tensor));
        }
        for (slot, moments) in self.moments.iter().enumerate() {
            for (order, moment) in moments.iter().enumerate() {
                let name = format!("moment{order}/{}", self.program.name(slot));
                archive.tensors.insert(name, Stored::f32(vec![moment.len()], moment));
            }
        }
        for (name, tensor) in self.best.iter().flat_map(|best| &best.state) {
            archive.tensors.insert(format!("best/{name}"), single(tensor));
        }
        let rows: Vec<f64> = self.history.iter().flat_map(row).collect();
        archive.tensors.insert("history".to_owned(), Stored::f64(vec![self.history.len(), COLUMNS], &rows));
        archive.tensors.insert("step".to_owned(), Stored::i64(Vec::new(), &[self.step as i64]));
        Ok(safetensors::write(&archive, path)?)
    }

    /// Takes the state of a file.
    ///
    /// # Errors
    /// The file is damaged, incomplete, or of a run with other settings, data or network.
    pub(super) fn load(&mut self, path: &Path) -> Result<(), NnError> {
        let archive = safetensors::read(path)?;
        for (what, expected) in self.description() {
            let found = archive.metadata.get(what).cloned().unwrap_or_else(|| "none".to_owned());
            if found != expected {
                return Err(TrainFault::OtherRun { what, expected, found }.into());
            }
        }
        let missing = |what: &str| NnError::from(TrainFault::Incomplete { what: what.to_owned() });
        let group = |prefix: &str| -> BTreeMap<String, Tensor<f32>> {
            let named = archive.tensors.iter().filter_map(|(name, stored)| {
                let tensor = Tensor::new(stored.shape.clone(), stored.to_f32()?);
                Some((name.strip_prefix(prefix)?.to_owned(), tensor))
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
        let history = archive.tensors.get("history").filter(|h| h.dtype == Dtype::F64).and_then(Stored::to_f64);
        let history = history.filter(|h| h.len() % COLUMNS == 0).ok_or_else(|| missing("a history"))?;
        self.history = history.chunks_exact(COLUMNS).map(epoch).collect();
        let step = archive.tensors.get("step").and_then(Stored::to_i64);
        let step = step.and_then(|step| usize::try_from(*step.first()?).ok());
        self.step = step.ok_or_else(|| missing("a count of steps"))?;
        let best = group("best/");
        self.restore_best(best);
        Ok(())
    }
}
