//! From files to files, for models that are larger than memory.

use super::drop::{Dropped, Removal, dropped};
use super::method::{Compressed, Found, Method, Report, Settings, compress};
use super::pipeline::{check_norms, flatten};
use super::streams::Sequences;
use crate::error::PruneError;
use secateur_nn::lm::{Checkpoint, Config, Model, Writer};
use secateur_nn::safetensors::Dtype;
use serde::Serialize;
use std::path::Path;

/// A smaller model in files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Written {
    /// How it came about.
    #[serde(flatten)]
    pub report: Report,
    /// Bytes of the files of weights before and after.
    pub bytes: [u64; 2],
}

/// Brings a model in files to fewer blocks, or to as few parameters, in another folder, with the tokenizer where there
/// is one.
///
/// FlattenGPT and what removes blocks by one score read a block at a time. The others have the whole model in memory,
/// and so has recovery.
///
/// # Errors
/// The folder holds a model already or cannot be written; a weight is beyond the range of the type; as [`compress`].
pub fn write(
    checkpoint: &Checkpoint,
    sequences: &Sequences,
    settings: &Settings,
    directory: &Path,
    dtype: Dtype,
) -> Result<Written, PruneError> {
    let (method, depth) = (settings.method, settings.blocks);
    let removal = match method {
        _ if settings.recover.is_some() => return whole(checkpoint, sequences, settings, directory, dtype),
        Method::Flatten | Method::FlattenNaive => {
            return flat(checkpoint, sequences, settings, directory, dtype);
        }
        Method::ShortGpt => Removal::Influence(sequences),
        Method::Magnitude => Removal::Magnitude,
        Method::Random => Removal::Random { seed: settings.seed },
        Method::Sleb | Method::Slice | Method::Laco => {
            return whole(checkpoint, sequences, settings, directory, dtype);
        }
    };
    let found = dropped(checkpoint, depth, removal)?;
    write_without(checkpoint, Some(method), found, directory, dtype)
}

/// Writes the blocks of a model that stay, by a method or because somebody named the others.
///
/// # Errors
/// The folder holds a model already or cannot be written; a weight is beyond the range of the type.
pub fn write_without(
    checkpoint: &Checkpoint,
    method: Option<Method>,
    found: Dropped,
    directory: &Path,
    dtype: Dtype,
) -> Result<Written, PruneError> {
    let mut writer = begun(checkpoint, found.kept.len(), directory, dtype)?;
    for (number, block) in found.kept.iter().enumerate() {
        writer.block(number, &checkpoint.block(*block)?)?;
    }
    let report = Report::of(method, checkpoint.config(), found.kept.len(), Found::Dropped(found));
    finished(checkpoint, writer, report)
}

/// With the model in memory.
fn whole(
    checkpoint: &Checkpoint,
    sequences: &Sequences,
    settings: &Settings,
    directory: &Path,
    dtype: Dtype,
) -> Result<Written, PruneError> {
    let Compressed { model, report } = compress(&Model::load(checkpoint)?, sequences, settings)?;
    let mut writer = Writer::create(directory, &model.config, dtype)?;
    model.write(&mut writer)?;
    finished(checkpoint, writer, report)
}

fn flat(
    checkpoint: &Checkpoint,
    sequences: &Sequences,
    settings: &Settings,
    directory: &Path,
    dtype: Dtype,
) -> Result<Written, PruneError> {
    let (depth, blocks) = (settings.blocks, checkpoint.config().blocks);
    if !(1..=blocks).contains(&depth) {
        return Err(PruneError::Depth { found: depth, blocks });
    }
    // Before there are files.
    check_norms(checkpoint, depth)?;
    let mut writer = begun(checkpoint, depth, directory, dtype)?;
    let mut write = |number: usize, block| Ok(writer.block(number, &block)?);
    let found = flatten(checkpoint, sequences, depth, &settings.params(), &mut write)?;
    let report = Report::of(Some(settings.method), checkpoint.config(), depth, Found::Flattened(found));
    finished(checkpoint, writer, report)
}

/// A model of so many blocks, with everything but those.
fn begun(checkpoint: &Checkpoint, blocks: usize, directory: &Path, dtype: Dtype) -> Result<Writer, PruneError> {
    let config = Config { blocks, ..checkpoint.config().clone() };
    let mut writer = Writer::create(directory, &config, dtype)?;
    writer.embedding(&checkpoint.embedding()?)?;
    writer.norm(&checkpoint.norm()?)?;
    if let Some(head) = checkpoint.head()? {
        writer.head(&head)?;
    }
    Ok(writer)
}

fn finished(checkpoint: &Checkpoint, writer: Writer, report: Report) -> Result<Written, PruneError> {
    writer.companions(checkpoint.path())?;
    let bytes = [checkpoint.bytes(), writer.finish()?];
    Ok(Written { report, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::Params;
    use crate::depth::testing::{Shape, tokens};

    #[test]
    fn blocks_whose_heads_have_norms_of_their_own_are_dropped_and_not_flattened() {
        let mut model = Shape { biased: false, normed: true, ..Shape::small(4) }.model(3);
        let place = tempfile::tempdir().expect("a folder");
        let at = |name: &str| place.path().join(name);
        let text = tokens(&model.config, 20, 3);
        let sequences = Sequences::new(vec![text.clone()]).expect("tokens");
        let settings = |method, blocks| Settings { method, blocks, params: Params::default(), seed: 2, recover: None };
        model.save(&at("alike"), Dtype::F32).expect("written");
        model.blocks[2].head_norms.as_mut().expect("norms").k[1] += 0.5;
        model.save(&at("different"), Dtype::F32).expect("written");
        let (alike, different) = (Checkpoint::open(at("alike")), Checkpoint::open(at("different")));
        let (alike, different) = (alike.expect("a model"), different.expect("a model"));
        for method in Method::ALL {
            let out = at(method.name());
            let found = write(&different, &sequences, &settings(method, 2), &out, Dtype::F32);
            if !matches!(method, Method::Flatten | Method::FlattenNaive) {
                found.expect("written");
                let read = Model::load(&Checkpoint::open(&out).expect("a model")).expect("read");
                let expected = compress(&model, &sequences, &settings(method, 2)).expect("a model").model;
                assert_eq!(read.logits(&text), expected.logits(&text), "{method}");
                continue;
            }
            assert!(matches!(found, Err(PruneError::HeadNorms { block: 2 })), "{method}");
            assert!(found.unwrap_err().to_string().contains("q_norm"));
            assert!(!out.exists());
            assert!(matches!(compress(&model, &sequences, &settings(method, 3)), Err(PruneError::HeadNorms { .. })));
            // Nothing is put side by side.
            write(&different, &sequences, &settings(method, 4), &out, Dtype::F32).expect("written");
            let other = out.join("alike");
            write(&alike, &sequences, &settings(method, 2), &other, Dtype::F32).expect("written");
            assert_eq!(Checkpoint::open(&other).expect("a model").config().blocks, 2);
        }
    }

    #[test]
    fn files_hold_what_memory_would() {
        let model = Shape { biased: false, ..Shape::small(5) }.model(7);
        let place = tempfile::tempdir().expect("a folder");
        let at = |name: &str| place.path().join(name);
        model.save(&at("whole"), Dtype::F32).expect("written");
        let checkpoint = Checkpoint::open(at("whole")).expect("a model");
        let text = tokens(&model.config, 20, 3);
        let sequences = Sequences::new(vec![text.clone()]).expect("tokens");
        for method in Method::ALL {
            let settings = Settings { method, blocks: 3, params: Params::default(), seed: 2, recover: None };
            let written = write(&checkpoint, &sequences, &settings, &at(method.name()), Dtype::F32).expect("written");
            let expected = compress(&model, &sequences, &settings).expect("a model");
            assert_eq!(written.report, expected.report);
            let read = Model::load(&Checkpoint::open(at(method.name())).expect("a model")).expect("read");
            assert_eq!((&read.blocks, &read.embedding), (&expected.model.blocks, &expected.model.embedding));
            assert_eq!(read.logits(&text), expected.model.logits(&text), "{method}");
            assert!(written.bytes[1] < written.bytes[0] || method == Method::Slice);
        }
        let settings =
            Settings { method: Method::Flatten, blocks: 3, params: Params::default(), seed: 2, recover: None };
        assert!(write(&checkpoint, &sequences, &settings, &at("flatten"), Dtype::F32).is_err(), "a folder in use");
        let settings = Settings { blocks: 6, ..settings };
        assert!(write(&checkpoint, &sequences, &settings, &at("deeper"), Dtype::F32).is_err());
        assert!(!at("deeper").exists());
    }
}
