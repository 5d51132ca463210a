//! From files to files, for models that are larger than memory.

use super::drop::{Dropped, Removal, dropped, listed};
use super::lora::{Lora, recovered};
use super::method::{Compressed, Found, Method, Report, Settings, compress, without};
use super::pipeline::flatten;
use super::progress::Progress;
use super::streams::Sequences;
use crate::error::PruneError;
use secateur_nn::lm::{Checkpoint, Config, LmFault, Model, Writer};
use secateur_nn::safetensors::Dtype;
use serde::Serialize;
use std::fs::File;
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

/// Where a model goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The folder; it must not hold a model.
    pub directory: &'a Path,
    /// The type of weights.
    pub dtype: Dtype,
}

impl Target<'_> {
    /// Refuses a folder that holds a model or cannot be written, and leaves it as it is.
    ///
    /// # Errors
    /// As said.
    pub fn check(&self) -> Result<(), PruneError> {
        Ok(Place::claim(self.directory).map(drop)?)
    }
}

/// A folder that gets a model. A new one goes again where a run does not come to its end.
struct Place<'a> {
    path: &'a Path,
    /// It was not there before.
    new: bool,
    finished: bool,
}

impl<'a> Place<'a> {
    /// Refuses a folder that holds a model or cannot be written, before there is anything to write.
    fn claim(path: &'a Path) -> Result<Self, LmFault> {
        Writer::check(path)?;
        let io = |source| LmFault::Io { path: path.to_owned(), source };
        let place = Self { path, new: !path.exists(), finished: false };
        std::fs::create_dir_all(path).map_err(io)?;
        let probe = path.join("model.safetensors.part");
        File::create(&probe).and_then(|_| std::fs::remove_file(&probe)).map_err(io)?;
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.new && !self.finished {
            // What cannot be removed is no reason to hide why the run ended.
            let _ = std::fs::remove_dir_all(self.path);
        }
    }
}

/// Brings a model in files to fewer blocks, or to as few parameters, in another folder, with the tokenizer where there
/// is one.
///
/// FlattenGPT and what removes blocks by one score read a block at a time. The others have the whole model in memory,
/// and so has recovery. [`Removal::Magnitude`] and [`Removal::Random`] need no sequences, unless the model recovers.
///
/// # Errors
/// The folder holds a model already or cannot be written; a weight is beyond the range of the type; sequences are needed
/// and not there; as [`compress`].
pub fn write(
    checkpoint: &Checkpoint,
    sequences: Option<&Sequences>,
    settings: &Settings,
    target: Target<'_>,
    progress: &dyn Progress,
) -> Result<Written, PruneError> {
    let (method, depth) = (settings.method, settings.blocks);
    settings.check(checkpoint.config().blocks)?;
    let read = || sequences.ok_or(PruneError::NoData { criterion: method.name() });
    let scored = |removal| {
        let mut writer = begun(checkpoint, depth, target)?;
        let found = dropped(checkpoint, depth, removal, progress)?;
        staying(checkpoint, &found, &mut writer, progress)?;
        let report = Report::of(Some(method), checkpoint.config(), depth, Found::Dropped(found));
        finished(checkpoint, writer, report, progress)
    };
    let mut place = Place::claim(target.directory)?;
    let written = match method {
        _ if settings.recover.is_some() => whole(checkpoint, read()?, settings, target, progress),
        Method::Flatten | Method::FlattenNaive => flat(checkpoint, read()?, settings, target, progress),
        Method::Sleb | Method::Slice | Method::Laco => whole(checkpoint, read()?, settings, target, progress),
        Method::ShortGpt => scored(Removal::Influence(read()?)),
        Method::Magnitude => scored(Removal::Magnitude),
        Method::Random => scored(Removal::Random { seed: settings.seed }),
    }?;
    place.finished = true;
    Ok(written)
}

/// Writes a model without some blocks; with sequences and parameters of recovery it is in memory and recovers.
///
/// # Errors
/// A block is not there or is named twice, or none would be left; the folder holds a model already or cannot be written;
/// a weight is beyond the range of the type; as [`recovered`].
pub fn write_without(
    checkpoint: &Checkpoint,
    removed: &[usize],
    recovery: Option<(&Sequences, &Lora)>,
    target: Target<'_>,
    progress: &dyn Progress,
) -> Result<Written, PruneError> {
    let found = listed(checkpoint.config().blocks, removed)?;
    recovery.map_or(Ok(()), |(_, lora)| lora.check())?;
    let mut place = Place::claim(target.directory)?;
    let depth = found.kept.len();
    let report = |found| Report::of(None, checkpoint.config(), depth, found);
    let written = match recovery {
        None => {
            let mut writer = begun(checkpoint, depth, target)?;
            staying(checkpoint, &found, &mut writer, progress)?;
            finished(checkpoint, writer, report(Found::Dropped(found)), progress)
        }
        Some((sequences, lora)) => {
            let (small, found) = without(&Model::load(checkpoint)?, found);
            let (model, losses) = recovered(&small, sequences, lora, progress)?;
            let mut writer = Writer::create(target.directory, &model.config, target.dtype)?;
            model.write(&mut writer)?;
            finished(checkpoint, writer, Report { recovery: Some(losses), ..report(found) }, progress)
        }
    }?;
    place.finished = true;
    Ok(written)
}

/// With the model in memory.
fn whole(
    checkpoint: &Checkpoint,
    sequences: &Sequences,
    settings: &Settings,
    target: Target<'_>,
    progress: &dyn Progress,
) -> Result<Written, PruneError> {
    let Compressed { model, report } = compress(&Model::load(checkpoint)?, sequences, settings, progress)?;
    let mut writer = Writer::create(target.directory, &model.config, target.dtype)?;
    model.write(&mut writer)?;
    finished(checkpoint, writer, report, progress)
}

fn flat(
    checkpoint: &Checkpoint,
    sequences: &Sequences,
    settings: &Settings,
    target: Target<'_>,
    progress: &dyn Progress,
) -> Result<Written, PruneError> {
    let depth = settings.blocks;
    let mut writer = begun(checkpoint, depth, target)?;
    let mut write = |number: usize, block| Ok(writer.block(number, &block)?);
    let found = flatten(checkpoint, sequences, depth, &settings.params(), &mut write, progress)?;
    let report = Report::of(Some(settings.method), checkpoint.config(), depth, Found::Flattened(found));
    finished(checkpoint, writer, report, progress)
}

/// A model of so many blocks, with everything but those.
fn begun(checkpoint: &Checkpoint, blocks: usize, target: Target<'_>) -> Result<Writer, PruneError> {
    let config = Config { blocks, ..checkpoint.config().clone() };
    let mut writer = Writer::create(target.directory, &config, target.dtype)?;
    writer.embedding(&checkpoint.embedding()?)?;
    writer.norm(&checkpoint.norm()?)?;
    if let Some(head) = checkpoint.head()? {
        writer.head(&head)?;
    }
    Ok(writer)
}

/// Copies the blocks that stay.
fn staying(
    checkpoint: &Checkpoint,
    found: &Dropped,
    writer: &mut Writer,
    progress: &dyn Progress,
) -> Result<(), PruneError> {
    for (number, block) in found.kept.iter().enumerate() {
        progress.begin(number, found.kept.len(), "blocks that stay")?;
        writer.block(number, &checkpoint.block(*block)?)?;
    }
    Ok(())
}

/// Gives the files their names, unless it is time to stop.
fn finished(
    checkpoint: &Checkpoint,
    writer: Writer,
    report: Report,
    progress: &dyn Progress,
) -> Result<Written, PruneError> {
    progress.go_on()?;
    writer.companions(checkpoint.path())?;
    let bytes = [checkpoint.bytes(), writer.finish()?];
    Ok(Written { report, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::Params;
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, tokens};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A model in files, and tokens.
    fn example(place: &Path) -> (Checkpoint, Model, Vec<u32>) {
        let shape = Shape { biased: false, rope: secateur_nn::lm::Rope::HalfSplit, ..Shape::small(5) };
        let model = shape.model(7);
        model.save(&place.join("whole"), Dtype::F32).expect("written");
        let text = tokens(&model.config, 20, 3);
        (Checkpoint::open(place.join("whole")).expect("a model"), model, text)
    }

    fn settings(method: Method) -> Settings {
        Settings { method, blocks: 3, params: Params::default(), seed: 2, recover: None }
    }

    #[test]
    fn blocks_whose_heads_have_norms_of_their_own_are_dropped_and_not_flattened() {
        let mut model = Shape { biased: false, normed: true, ..Shape::small(4) }.model(3);
        let place = tempfile::tempdir().expect("a folder");
        let at = |name: &str| place.path().join(name);
        let text = tokens(&model.config, 20, 3);
        let sequences = Sequences::new(vec![text.clone()]).expect("tokens");
        let settings = |method, blocks| Settings { blocks, ..settings(method) };
        let write = |from: &Checkpoint, method, blocks, directory: &Path| {
            let target = Target { directory, dtype: Dtype::F32 };
            write(from, Some(&sequences), &settings(method, blocks), target, &Silent)
        };
        model.save(&at("alike"), Dtype::F32).expect("written");
        model.blocks[2].head_norms.as_mut().expect("norms").k[1] += 0.5;
        model.save(&at("different"), Dtype::F32).expect("written");
        let (alike, different) = (Checkpoint::open(at("alike")), Checkpoint::open(at("different")));
        let (alike, different) = (alike.expect("a model"), different.expect("a model"));
        for method in Method::ALL {
            let out = at(method.name());
            let found = write(&different, method, 2, &out);
            if !matches!(method, Method::Flatten | Method::FlattenNaive) {
                found.expect("written");
                let read = Model::load(&Checkpoint::open(&out).expect("a model")).expect("read");
                let expected = compress(&model, &sequences, &settings(method, 2), &Silent).expect("a model").model;
                assert_eq!(read.logits(&text), expected.logits(&text), "{method}");
                continue;
            }
            assert!(matches!(found, Err(PruneError::HeadNorms { block: 2 })), "{method}");
            assert!(found.unwrap_err().to_string().contains("q_norm"));
            assert!(!out.exists());
            let found = compress(&model, &sequences, &settings(method, 3), &Silent);
            assert!(matches!(found, Err(PruneError::HeadNorms { .. })));
            // Nothing is put side by side.
            write(&different, method, 4, &out).expect("written");
            let other = out.join("alike");
            write(&alike, method, 2, &other).expect("written");
            assert_eq!(Checkpoint::open(&other).expect("a model").config().blocks, 2);
        }
    }

    #[test]
    fn files_hold_what_memory_would() {
        let place = tempfile::tempdir().expect("a folder");
        let at = |name: &str| place.path().join(name);
        let (checkpoint, model, text) = example(place.path());
        let sequences = Sequences::new(vec![text.clone()]).expect("tokens");
        for recover in [None, Some(Lora { rank: 2, ..Lora::default() })] {
            for method in Method::ALL {
                let settings = Settings { recover, ..settings(method) };
                let directory = at(&format!("{method} {}", recover.is_some()));
                let target = Target { directory: &directory, dtype: Dtype::F32 };
                let written = write(&checkpoint, Some(&sequences), &settings, target, &Silent).expect("written");
                let expected = compress(&model, &sequences, &settings, &Silent).expect("a model");
                assert_eq!(written.report, expected.report);
                let read = Model::load(&Checkpoint::open(&directory).expect("a model")).expect("read");
                assert_eq!((&read.blocks, &read.embedding), (&expected.model.blocks, &expected.model.embedding));
                assert_eq!(read.logits(&text), expected.model.logits(&text), "{method}");
                assert!(written.bytes[1] < written.bytes[0] || method == Method::Slice);
            }
        }
    }

    #[test]
    fn named_blocks_go_and_the_rest_recovers() {
        let place = tempfile::tempdir().expect("a folder");
        let (checkpoint, model, text) = example(place.path());
        let sequences = Sequences::new(vec![text]).expect("tokens");
        let lora = Lora { rate: 1e-2, ..Lora::default() };
        let mut weights = Vec::new();
        for (name, recovery) in [("plain", None), ("recovered", Some((&sequences, &lora)))] {
            let directory = place.path().join(name);
            let target = Target { directory: &directory, dtype: Dtype::F32 };
            let written = write_without(&checkpoint, &[1, 3], recovery, target, &Silent).expect("written");
            assert_eq!((written.report.blocks, written.report.method), ([5, 3], None));
            assert_eq!(written.report.recovery.map(|losses| losses.len()), recovery.map(|_| 2));
            weights.push(Model::load(&Checkpoint::open(&directory).expect("a model")).expect("read").blocks);
        }
        assert_eq!(weights[0], [0, 2, 4].map(|block: usize| model.blocks[block].clone()));
        assert!(weights[0][1].q != weights[1][1].q && weights[0][1].input_norm == weights[1][1].input_norm);
    }

    /// Hears no step.
    struct Deaf;

    impl Progress for Deaf {
        fn step(&self, number: usize, all: usize, what: &str) {
            panic!("{number} of {all} {what}");
        }
    }

    #[test]
    fn folders_in_use_are_refused_before_any_work() {
        let place = tempfile::tempdir().expect("a folder");
        let (checkpoint, _, text) = example(place.path());
        let sequences = Sequences::new(vec![text]).expect("tokens");
        let refused = |directory: &Path, settings: &Settings| {
            let target = Target { directory, dtype: Dtype::F32 };
            write(&checkpoint, Some(&sequences), settings, target, &Deaf).expect_err("refused").to_string()
        };
        for name in ["config.json", "model.safetensors", "weights.safetensors", "model.safetensors.index.json"] {
            let used = place.path().join("used");
            std::fs::create_dir_all(&used).expect("a folder");
            std::fs::write(used.join(name), "{}").expect("written");
            for method in Method::ALL {
                for recover in [None, Some(Lora::default())] {
                    let found = refused(&used, &Settings { recover, ..settings(method) });
                    assert!(found.contains(&format!("already holds `{name}`")), "{method} {name}: {found}");
                }
            }
            let target = Target { directory: &used, dtype: Dtype::F32 };
            assert!(write_without(&checkpoint, &[1], None, target, &Deaf).is_err(), "{name}");
            assert!(target.check().is_err(), "{name}");
            assert_eq!(std::fs::read_dir(&used).expect("a folder").count(), 1, "what was there, and nothing else");
            std::fs::remove_dir_all(&used).expect("removed");
        }
        let (file, deeper) = (place.path().join("file"), place.path().join("deeper"));
        std::fs::write(&file, "text").expect("written");
        refused(&file, &settings(Method::Sleb));
        refused(&deeper, &Settings { blocks: 6, ..settings(Method::Flatten) });
        let target = Target { directory: &deeper, dtype: Dtype::F32 };
        target.check().expect("room for a model");
        assert!(!deeper.exists());
    }

    /// Stops at the last step of a kind.
    struct Until(&'static str, AtomicBool);

    impl Progress for Until {
        fn step(&self, number: usize, all: usize, what: &str) {
            if what == self.0 && number + 1 == all {
                self.1.store(true, Ordering::Relaxed);
            }
        }

        fn stop(&self) -> bool {
            self.1.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn what_stops_leaves_nothing_behind() {
        let place = tempfile::tempdir().expect("a folder");
        let (checkpoint, _, text) = example(place.path());
        let sequences = Sequences::new(vec![text]).expect("tokens");
        let own = place.path().join("own");
        std::fs::create_dir(&own).expect("a folder");
        std::fs::write(own.join("notes.txt"), "mine").expect("written");
        for (method, what) in [
            (Method::Flatten, "groups of blocks"),
            (Method::ShortGpt, "blocks that stay"),
            (Method::Sleb, "blocks, one by one"),
            (Method::Slice, "sequences"),
        ] {
            for directory in [&own, &place.path().join("new")] {
                let target = Target { directory, dtype: Dtype::F32 };
                let progress = Until(what, AtomicBool::new(false));
                let found = write(&checkpoint, Some(&sequences), &settings(method), target, &progress);
                assert!(matches!(found, Err(PruneError::Stopped)), "{method}: {found:?}");
            }
            let left: Vec<_> = std::fs::read_dir(&own).expect("a folder").flatten().map(|e| e.file_name()).collect();
            assert_eq!(left, ["notes.txt"], "{method}");
            assert!(!place.path().join("new").exists(), "{method}");
        }
    }
}
