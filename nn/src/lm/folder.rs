//! Folders of the Hugging Face layout: `config.json`, and safetensors in one file or in shards with an index.

use super::checkpoint::{Checkpoint, Place};
use super::config::Config;
use super::fault::LmFault;
use crate::safetensors::Header;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The file of a model that is not in shards.
pub(super) const SINGLE: &str = "model.safetensors";
/// Which shard has which tensor.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// The configuration.
pub(super) const CONFIG: &str = "config.json";
/// How texts are continued; what it says of the tokens that end one is read.
const GENERATION: &str = "generation_config.json";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens a folder.
pub(super) fn open(path: &Path) -> Result<Checkpoint, LmFault> {
    let origin = path.join(CONFIG);
    let text = match std::fs::read_to_string(&origin) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(LmFault::NoModel { path: path.to_owned(), what: "the folder has no config.json".to_owned() });
        }
        text => text.map_err(LmFault::io(&origin))?,
    };
    let mut config = Config::parse(&text, &origin.display().to_string())?;
    let generation = path.join(GENERATION);
    match std::fs::read_to_string(&generation) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        text => {
            let text = text.map_err(LmFault::io(&generation))?;
            config.add_ends(&text, &generation.display().to_string())?;
        }
    }
    let (mut files, mut places, mut bytes) = (Vec::new(), BTreeMap::new(), 0);
    for name in shards(path)? {
        let shard = path.join(&name);
        let (file, header, length) = header(&shard)?;
        for (tensor, entry) in header.tensors {
            let place = Place { file: files.len(), begin: entry.begin, dtype: entry.dtype, shape: entry.shape };
            if places.insert(tensor.clone(), place).is_some() {
                return Err(LmFault::Twice { origin: path.display().to_string(), tensor });
            }
        }
        files.push(Mutex::new(file));
        bytes += length;
    }
    Ok(Checkpoint { path: path.to_owned(), config, files, bytes, places })
}

fn header(path: &Path) -> Result<(File, Header, u64), LmFault> {
    let mut file = File::open(path).map_err(LmFault::io(path))?;
    let length = file.metadata().map_err(LmFault::io(path))?.len();
    let header = Header::read(&mut file, length, &path.display().to_string())?;
    Ok((file, header, length))
}

/// The files that hold the tensors. As for transformers, an index counts where there is no single file.
fn shards(path: &Path) -> Result<BTreeSet<PathBuf>, LmFault> {
    if path.join(SINGLE).exists() {
        return Ok(BTreeSet::from([PathBuf::from(SINGLE)]));
    }
    let index = path.join(INDEX);
    if !index.exists() {
        let what = format!("the folder has neither {SINGLE} nor {INDEX}");
        return Err(LmFault::NoModel { path: path.to_owned(), what });
    }
    let text = std::fs::read_to_string(&index).map_err(LmFault::io(&index))?;
    let found: Index = serde_json::from_str(&text).map_err(|source| LmFault::Json { path: index.clone(), source })?;
    let names: BTreeSet<PathBuf> = found.weight_map.into_values().map(PathBuf::from).collect();
    match names.iter().find(|name| name.file_name() != Some(name.as_os_str())) {
        Some(name) => {
            let what = format!("{INDEX} names `{}`, which is no file of the folder", name.display());
            Err(LmFault::NoModel { path: path.to_owned(), what })
        }
        None => Ok(names),
    }
}
