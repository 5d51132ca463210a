//! Writes models in the Hugging Face layout, one tensor at a time and in any order.
//!
//! The configuration says which tensors there are and how large, so headers and places are known before the first
//! weight is.

use super::block::Block;
use super::config::{Config, EMBEDDING, HEAD, NORM, Rope};
use super::fault::LmFault;
use super::folder::{CONFIG, INDEX, SINGLE};
use super::matrix::Matrix;
use super::model::Model;
use crate::safetensors::{Dtype, header_bytes};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of a shard, unless a single tensor is larger.
const SHARD: u64 = 4 << 30;
/// Entries that are converted at a time.
const PIECE: usize = 1 << 18;
/// What belongs to a model's texts and generation, and not to its weights.
const COMPANIONS: [&str; 10] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// A model that is being written.
///
/// Files carry the suffix `.part` until [`finish`](Self::finish); what was begun and not finished is removed.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    config: Config,
    dtype: Dtype,
    shards: Vec<Shard>,
    /// Tensors that were not written yet, with their shard, first byte and entries.
    pending: BTreeMap<String, (usize, u64, usize)>,
    /// Which shard has which tensor.
    index: BTreeMap<String, usize>,
    finished: bool,
}

#[derive(Debug)]
struct Shard {
    file: File,
    name: String,
}

impl Writer {
    /// Refuses a folder with a file of another model, or of one whose writing was broken off: a reader could prefer it to
    /// what is written here. There need not be a folder.
    ///
    /// # Errors
    /// [`LmFault::Occupied`] with the file, or the folder cannot be read.
    pub fn check(directory: &Path) -> Result<(), LmFault> {
        if !directory.exists() {
            return Ok(());
        }
        match occupant(directory)? {
            Some(file) => Err(LmFault::Occupied { path: directory.to_owned(), file }),
            None => Ok(()),
        }
    }

    /// Begins a model in a folder, which is created where there is none.
    ///
    /// # Errors
    /// The folder holds a model already or a part of one, cannot be written, or the configuration cannot be said in
    /// `config.json`.
    ///
    /// # Panics
    /// `dtype` is not one of F32, F16 and BF16.
    pub fn create(directory: &Path, config: &Config, dtype: Dtype) -> Result<Self, LmFault> {
        Self::sharded(directory, config, dtype, SHARD)
    }

    /// The same with shards of at most so many bytes, unless a single tensor is larger.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    ///
    /// # Panics
    /// As [`create`](Self::create).
    #[track_caller]
    pub fn sharded(directory: &Path, config: &Config, dtype: Dtype, limit: u64) -> Result<Self, LmFault> {
        assert!(matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::Bf16), "no type of weights");
        representable(config, dtype)?;
        std::fs::create_dir_all(directory).map_err(LmFault::io(directory))?;
        Self::check(directory)?;
        let mut writer = Self {
            directory: directory.to_owned(),
            config: config.clone(),
            dtype,
            shards: Vec::new(),
            pending: BTreeMap::new(),
            index: BTreeMap::new(),
            finished: false,
        };
        let parts = split(config.tensors(), dtype.size() as u64, limit);
        let count = parts.len();
        for (number, part) in parts.into_iter().enumerate() {
            let name = match count {
                1 => SINGLE.to_owned(),
                _ => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
            };
            writer.begin(name, part)?;
        }
        Ok(writer)
    }

    /// Creates a shard with its header.
    fn begin(&mut self, name: String, tensors: Vec<(String, Vec<usize>)>) -> Result<(), LmFault> {
        let path = self.directory.join(format!("{name}.part"));
        let entries = tensors.iter().map(|(name, shape)| (name.as_str(), self.dtype, shape.as_slice()));
        let header = header_bytes(entries, &BTreeMap::from([("format".to_owned(), "pt".to_owned())]));
        let mut file = File::create_new(&path).map_err(LmFault::io(&path))?;
        let written = file.write_all(&header).map_err(LmFault::io(&path));
        let number = self.shards.len();
        self.shards.push(Shard { file, name });
        written?;
        let mut offset = header.len() as u64;
        for (tensor, shape) in tensors {
            let entries = shape.iter().product();
            self.index.insert(tensor.clone(), number);
            self.pending.insert(tensor, (number, offset, entries));
            offset += (entries * self.dtype.size()) as u64;
        }
        Ok(())
    }

    /// Writes a tensor.
    ///
    /// # Errors
    /// The file cannot be written, or an entry is not finite or beyond the range of the type.
    ///
    /// # Panics
    /// There is no such tensor, it was written before, or it has another number of entries.
    #[track_caller]
    pub fn tensor(&mut self, name: &str, entries: &[f32]) -> Result<(), LmFault> {
        let (shard, begin, count) = self.pending.remove(name).expect("a tensor of the model, written once");
        assert_eq!(count, entries.len(), "entries of `{name}`");
        let Shard { file, name: shard } = &mut self.shards[shard];
        let path = self.directory.join(shard.as_str());
        file.seek(SeekFrom::Start(begin)).map_err(LmFault::io(&path))?;
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        for (number, piece) in entries.chunks(PIECE).enumerate() {
            bytes.clear();
            back.clear();
            self.dtype.store(&mut bytes, piece);
            self.dtype.extend(&mut back, &bytes);
            if let Some(bad) = back.iter().position(|stored| !stored.is_finite()) {
                let (tensor, index, value) = (name.to_owned(), number * PIECE + bad, piece[bad]);
                return Err(LmFault::Range { tensor, index, value, dtype: self.dtype.name() });
            }
            file.write_all(&bytes).map_err(LmFault::io(&path))?;
        }
        Ok(())
    }

    /// Writes a block.
    ///
    /// # Errors
    /// It has other sizes than the configuration says; or as [`tensor`](Self::tensor).
    ///
    /// # Panics
    /// Norms of its heads have another constant than the configuration says.
    #[track_caller]
    pub fn block(&mut self, number: usize, block: &Block) -> Result<(), LmFault> {
        self.fits(number, block)?;
        let same = block.head_norms.as_ref().is_none_or(|norms| norms.epsilon == self.config.epsilon);
        assert!(same, "one constant for all norms of a model");
        let (q, k) = (self.halves(&block.q, block.heads), self.halves(&block.k, block.kv_heads));
        let column =
            |entries: &Vec<f32>, heads| self.halves(&Matrix::new(entries.len(), 1, entries.clone()), heads).into_data();
        let q_bias = block.q_bias.as_ref().map(|bias| column(bias, block.heads));
        let k_bias = block.k_bias.as_ref().map(|bias| column(bias, block.kv_heads));
        let norms = block.head_norms.as_ref();
        let (q_norm, k_norm) = (norms.map(|norms| column(&norms.q, 1)), norms.map(|norms| column(&norms.k, 1)));
        let stored = [
            ("input_layernorm.weight", Some(block.input_norm.as_slice())),
            ("self_attn.q_proj.weight", Some(q.data())),
            ("self_attn.k_proj.weight", Some(k.data())),
            ("self_attn.v_proj.weight", Some(block.v.data())),
            ("self_attn.o_proj.weight", Some(block.o.data())),
            ("post_attention_layernorm.weight", Some(block.post_norm.as_slice())),
            ("mlp.gate_proj.weight", Some(block.gate.data())),
            ("mlp.up_proj.weight", Some(block.up.data())),
            ("mlp.down_proj.weight", Some(block.down.data())),
            ("self_attn.q_proj.bias", q_bias.as_deref()),
            ("self_attn.k_proj.bias", k_bias.as_deref()),
            ("self_attn.v_proj.bias", block.v_bias.as_deref()),
            ("self_attn.o_proj.bias", block.o_bias.as_deref()),
            ("self_attn.q_norm.weight", q_norm.as_deref()),
            ("self_attn.k_norm.weight", k_norm.as_deref()),
            ("mlp.gate_proj.bias", block.gate_bias.as_deref()),
            ("mlp.up_proj.bias", block.up_bias.as_deref()),
            ("mlp.down_proj.bias", block.down_bias.as_deref()),
        ];
        for (name, entries) in stored.into_iter().filter_map(|(name, entries)| Some((name, entries?))) {
            self.tensor(&format!("model.layers.{number}.{name}"), entries)?;
        }
        Ok(())
    }

    /// A block that the configuration has room for.
    fn fits(&self, number: usize, block: &Block) -> Result<(), LmFault> {
        let config = &self.config;
        let count = |biases: [&Option<Vec<f32>>; 3]| biases.iter().filter(|bias| bias.is_some()).count();
        let three = |present| if present { 3 } else { 0 };
        let (qkv, mlp) =
            ([&block.q_bias, &block.k_bias, &block.v_bias], [&block.gate_bias, &block.up_bias, &block.down_bias]);
        let sizes = [
            ("its count of query heads", config.heads, block.heads),
            ("its count of key heads", config.kv_heads, block.kv_heads),
            ("its size of heads", config.head_dim, block.head_dim),
            ("its count of inner channels", config.inner, block.inner()),
            ("its width", config.width, block.width()),
            ("its count of biases of queries, keys and values", three(config.qkv_bias), count(qkv)),
            ("its count of biases of outputs", usize::from(config.o_bias), usize::from(block.o_bias.is_some())),
            ("its count of biases of the MLP", three(config.mlp_bias), count(mlp)),
            ("its count of norms of heads", usize::from(config.head_norms), usize::from(block.head_norms.is_some())),
        ];
        match sizes.into_iter().find(|(_, expected, found)| expected != found) {
            Some((what, expected, found)) => Err(LmFault::Block { block: number, what, expected, found }),
            None => Ok(()),
        }
    }

    /// Rows of queries or keys in the order of [`Rope::HalfSplit`]: first entries of pairs first, in every head.
    fn halves(&self, matrix: &Matrix, heads: usize) -> Matrix {
        if self.config.rope == Rope::HalfSplit {
            return matrix.clone();
        }
        let dim = matrix.rows() / heads;
        let row = |row: usize| row / dim * dim + row % dim % (dim / 2) * 2 + row % dim / (dim / 2);
        matrix.select_rows(&(0..matrix.rows()).map(row).collect::<Vec<_>>())
    }

    /// Writes the embedding.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn embedding(&mut self, embedding: &Matrix) -> Result<(), LmFault> {
        self.tensor(EMBEDDING, embedding.data())
    }

    /// Writes the scale of the last norm.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn norm(&mut self, norm: &[f32]) -> Result<(), LmFault> {
        self.tensor(NORM, norm)
    }

    /// Writes the head of a model that is not tied.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn head(&mut self, head: &Matrix) -> Result<(), LmFault> {
        self.tensor(HEAD, head.data())
    }

    /// Copies the tokenizer and what else lies beside the weights of a model in a folder; does nothing for a file.
    ///
    /// # Errors
    /// A file cannot be copied.
    pub fn companions(&self, from: &Path) -> Result<(), LmFault> {
        for name in COMPANIONS {
            let source = from.join(name);
            if source.is_file() {
                std::fs::copy(&source, self.directory.join(name)).map_err(LmFault::io(&source))?;
            }
        }
        Ok(())
    }

    /// Writes `config.json` and the index, and gives the files their names. Returns the bytes of the files of weights.
    ///
    /// # Errors
    /// A tensor was not written, or a file cannot be.
    pub fn finish(mut self) -> Result<u64, LmFault> {
        if let Some(tensor) = self.pending.keys().next() {
            return Err(LmFault::Unwritten { tensor: tensor.clone() });
        }
        let mut bytes = 0;
        for Shard { file, name } in &self.shards {
            let path = self.directory.join(name);
            file.sync_all().map_err(LmFault::io(&path))?;
            bytes += file.metadata().map_err(LmFault::io(&path))?.len();
            std::fs::rename(self.directory.join(format!("{name}.part")), &path).map_err(LmFault::io(&path))?;
        }
        if self.shards.len() > 1 {
            let entries: usize = self.config.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            let map: BTreeMap<&String, &String> =
                self.index.iter().map(|(tensor, shard)| (tensor, &self.shards[*shard].name)).collect();
            let index = json!({"metadata": {"total_size": entries * self.dtype.size()}, "weight_map": map});
            self.text(INDEX, &index)?;
        }
        self.text(CONFIG, &Json::Object(self.config.to_json(self.dtype)))?;
        self.finished = true;
        Ok(bytes)
    }

    fn text(&self, name: &str, content: &Json) -> Result<(), LmFault> {
        let path = self.directory.join(name);
        std::fs::write(&path, format!("{content:#}\n")).map_err(LmFault::io(&path))
    }
}

impl Drop for Writer {
    /// Removes what is no model. A file that stays is named when the folder is to be written to again.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for Shard { name, .. } in &self.shards {
            let _ = std::fs::remove_file(self.directory.join(format!("{name}.part")));
            let _ = std::fs::remove_file(self.directory.join(name));
        }
        // The folder had neither before the first shard was begun.
        for name in [INDEX, CONFIG].iter().filter(|_| !self.shards.is_empty()) {
            let _ = std::fs::remove_file(self.directory.join(name));
        }
    }
}

/// A file that belongs to a model, or to one whose writing was broken off.
fn occupant(directory: &Path) -> Result<Option<String>, LmFault> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(LmFault::io(directory))? {
        let name = entry.map_err(LmFault::io(directory))?.file_name().to_string_lossy().into_owned();
        let whole = name.strip_suffix(".part").unwrap_or(&name);
        if name == CONFIG || whole.ends_with(".safetensors") || name.ends_with(".safetensors.index.json") {
            found.push(name);
        }
    }
    Ok(found.into_iter().min())
}

/// Tensors in order, a new part where the limit would be passed.
fn split(tensors: Vec<(String, Vec<usize>)>, size: u64, limit: u64) -> Vec<Vec<(String, Vec<usize>)>> {
    let (mut parts, mut filled) = (vec![Vec::new()], 0);
    for (name, shape) in tensors {
        let bytes = shape.iter().product::<usize>() as u64 * size;
        if filled > 0 && filled + bytes > limit {
            parts.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        let last = parts.len() - 1;
        parts[last].push((name, shape));
    }
    parts
}

/// A configuration that its own `config.json` gives back.
fn representable(config: &Config, dtype: Dtype) -> Result<(), LmFault> {
    let text = Json::Object(config.to_json(dtype)).to_string();
    let back = Config::parse(&text, CONFIG)?;
    let same = Config { original: back.original.clone(), rope: back.rope, ..config.clone() } == back;
    let fault = || LmFault::Config {
        origin: CONFIG.to_owned(),
        key: "model_type".to_owned(),
        expected: format!("a configuration that {} models have", config.family.name()),
        found: format!("{back:?} after writing {config:?}"),
    };
    if same { Ok(()) } else { Err(fault()) }
}

impl Model {
    /// Writes the model in the Hugging Face layout; `config.json` is the original one with what changed.
    ///
    /// # Errors
    /// The folder holds a model already or cannot be written; a block has other sizes than the configuration says; a
    /// weight is beyond the range of the type.
    pub fn save(&self, directory: &Path, dtype: Dtype) -> Result<u64, LmFault> {
        let mut writer = Writer::create(directory, &self.config, dtype)?;
        self.write(&mut writer)?;
        writer.finish()
    }

    /// Hands every tensor to a writer.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    #[track_caller]
    pub fn write(&self, writer: &mut Writer) -> Result<(), LmFault> {
        assert!(!(self.config.tied && self.head.is_some()), "a tied model has no head of its own");
        writer.embedding(&self.embedding)?;
        for (number, block) in self.blocks.iter().enumerate() {
            writer.block(number, block)?;
        }
        writer.norm(&self.norm)?;
        if self.config.tied { Ok(()) } else { writer.head(self.head.as_ref().unwrap_or(&self.embedding)) }
    }
}
