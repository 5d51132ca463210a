//! Weights in files: every tensor is read when it is asked for, so that a model need not fit into memory.
//!
//! Files are read at positions and not mapped into memory. Nothing is computed with the stored bytes, which are turned
//! into 32-bit floats piece by piece, a file that another program cuts short is an error and no signal, and what
//! the process occupies is what it holds.

use super::block::{Block, HeadNorms};
use super::config::{Config, EMBEDDING, HEAD, NORM};
use super::fault::LmFault;
use super::matrix::Matrix;
use super::model::Model;
use super::{folder, llama2c};
use crate::safetensors::Dtype;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Entries that are read and converted at a time.
const PIECE: usize = 1 << 18;

/// Where a tensor lies.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Index of the file.
    pub file: usize,
    /// Its first byte in the file.
    pub begin: u64,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
}

/// A model in files: a folder of the Hugging Face layout, or a llama2.c checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    pub(super) path: PathBuf,
    pub(super) config: Config,
    pub(super) files: Vec<Mutex<File>>,
    /// Bytes of all files.
    pub(super) bytes: u64,
    pub(super) places: BTreeMap<String, Place>,
}

impl Checkpoint {
    /// Opens a model and checks that its tensors are there, with the shapes that its configuration says.
    ///
    /// A head beside the embedding that it should be tied to is that model's head where it differs from it, as for
    /// transformers 5.
    ///
    /// # Errors
    /// [`LmFault`], naming the file, and the key or the tensor that is to blame.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LmFault> {
        let path = path.as_ref();
        let mut checkpoint = if path.is_dir() { folder::open(path)? } else { llama2c::open(path)? };
        checkpoint.untie()?;
        checkpoint.check()?;
        Ok(checkpoint)
    }

    fn check(&self) -> Result<(), LmFault> {
        let expected = self.config.tensors();
        for (tensor, shape) in &expected {
            self.place(tensor, shape)?;
        }
        let known: std::collections::BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        // Old files store the frequencies of positions; tied ones may store the embedding twice, as a head.
        let idle = |name: &str| name.ends_with("rotary_emb.inv_freq") || (self.config.tied && name == HEAD);
        match self.places.keys().find(|name| !known.contains(name.as_str()) && !idle(name)) {
            Some(tensor) => Err(LmFault::Unexpected { origin: self.origin(), tensor: tensor.clone() }),
            None => Ok(()),
        }
    }

    /// Unties a head that is stored and is not the embedding.
    fn untie(&mut self) -> Result<(), LmFault> {
        let Config { vocab, width, tied, .. } = self.config;
        if tied && self.places.contains_key(HEAD) {
            let shape = [vocab, width];
            self.config.tied = self.same(self.place(EMBEDDING, &shape)?, self.place(HEAD, &shape)?)?;
        }
        Ok(())
    }

    /// Whether two tensors of one shape have the same entries; pieces of them are in memory.
    fn same(&self, a: &Place, b: &Place) -> Result<bool, LmFault> {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for range in pieces(a.shape.iter().product()) {
            first.clear();
            second.clear();
            self.extend(&mut first, a, range.clone())?;
            self.extend(&mut second, b, range)?;
            if first != second {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn origin(&self) -> String {
        self.path.display().to_string()
    }

    /// The folder or file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sizes and constants.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of the files of weights.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Names, types and shapes of stored tensors, by name; within block $l$ names begin with `model.layers.l.`.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, Dtype, &[usize])> {
        self.places.iter().map(|(name, place)| (name.as_str(), place.dtype, place.shape.as_slice()))
    }

    /// How the embedding is stored.
    pub fn dtype(&self) -> Dtype {
        self.places.get(EMBEDDING).map_or(Dtype::F32, |place| place.dtype)
    }

    /// One block.
    ///
    /// # Errors
    /// A file cannot be read, or a weight is not finite; the message names the tensor.
    ///
    /// # Panics
    /// There is no such block.
    #[track_caller]
    pub fn block(&self, block: usize) -> Result<Block, LmFault> {
        let config = &self.config;
        assert!(block < config.blocks, "there are {} blocks", config.blocks);
        let shapes: BTreeMap<&str, Vec<usize>> = config.block_tensors().into_iter().collect();
        let vector = |name: &str| self.vector(block, name, &shapes[name]);
        let matrix = |name: &str| Ok::<_, LmFault>(Matrix::new(shapes[name][0], shapes[name][1], vector(name)?));
        let bias = |name: &str| shapes.contains_key(name).then(|| vector(name)).transpose();
        Ok(Block {
            input_norm: vector("input_layernorm.weight")?,
            q: matrix("self_attn.q_proj.weight")?,
            k: matrix("self_attn.k_proj.weight")?,
            v: matrix("self_attn.v_proj.weight")?,
            o: matrix("self_attn.o_proj.weight")?,
            q_bias: bias("self_attn.q_proj.bias")?,
            k_bias: bias("self_attn.k_proj.bias")?,
            v_bias: bias("self_attn.v_proj.bias")?,
            o_bias: bias("self_attn.o_proj.bias")?,
            head_norms: self.head_norms(block)?,
            post_norm: vector("post_attention_layernorm.weight")?,
            gate: matrix("mlp.gate_proj.weight")?,
            up: matrix("mlp.up_proj.weight")?,
            down: matrix("mlp.down_proj.weight")?,
            gate_bias: bias("mlp.gate_proj.bias")?,
            up_bias: bias("mlp.up_proj.bias")?,
            down_bias: bias("mlp.down_proj.bias")?,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
        })
    }

    /// The norms of a block's heads, where it has some.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn head_norms(&self, block: usize) -> Result<Option<HeadNorms>, LmFault> {
        let Config { head_norms, head_dim, epsilon, .. } = self.config;
        let scale = |name: &str| self.vector(block, name, &[head_dim]);
        if !head_norms {
            return Ok(None);
        }
        let (q, k) = (scale("self_attn.q_norm.weight")?, scale("self_attn.k_norm.weight")?);
        Ok(Some(HeadNorms { q, k, epsilon }))
    }

    /// A tensor of a block.
    fn vector(&self, block: usize, name: &str, shape: &[usize]) -> Result<Vec<f32>, LmFault> {
        self.tensor(&format!("model.layers.{block}.{name}"), shape)
    }

    /// The embedding: vocab × width.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn embedding(&self) -> Result<Matrix, LmFault> {
        self.rows(EMBEDDING)
    }

    /// Scale of the last norm.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn norm(&self) -> Result<Vec<f32>, LmFault> {
        self.tensor(NORM, &[self.config.width])
    }

    /// The head, vocab × width; none where it is the embedding.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn head(&self) -> Result<Option<Matrix>, LmFault> {
        if self.config.tied { Ok(None) } else { self.rows(HEAD).map(Some) }
    }

    fn rows(&self, name: &str) -> Result<Matrix, LmFault> {
        let (vocab, width) = (self.config.vocab, self.config.width);
        Ok(Matrix::new(vocab, width, self.tensor(name, &[vocab, width])?))
    }

    fn place(&self, tensor: &str, shape: &[usize]) -> Result<&Place, LmFault> {
        let (origin, tensor) = (self.origin(), tensor.to_owned());
        let Some(place) = self.places.get(&tensor) else {
            return Err(LmFault::Missing { origin, tensor });
        };
        if place.shape != shape {
            return Err(LmFault::Shape { origin, tensor, expected: shape.to_vec(), found: place.shape.clone() });
        }
        if !matches!(place.dtype, Dtype::F32 | Dtype::F16 | Dtype::Bf16) {
            return Err(LmFault::Dtype { origin, tensor, found: place.dtype.name() });
        }
        Ok(place)
    }

    /// The entries of a tensor as 32-bit floats, without loss.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LmFault> {
        let place = self.place(name, shape)?;
        let count = shape.iter().product();
        let mut entries = Vec::with_capacity(count);
        for range in pieces(count) {
            let begin = range.start;
            self.extend(&mut entries, place, range)?;
            if let Some(bad) = entries[begin..].iter().position(|w| !w.is_finite()) {
                return Err(LmFault::NotFinite { origin: self.origin(), tensor: name.to_owned(), index: begin + bad });
            }
        }
        Ok(entries)
    }

    /// Reads some of a tensor's entries behind those that there are.
    fn extend(&self, entries: &mut Vec<f32>, place: &Place, range: Range<usize>) -> Result<(), LmFault> {
        let size = place.dtype.size();
        let mut bytes = vec![0; range.len() * size];
        let mut file = self.files[place.file].lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(place.begin + (range.start * size) as u64)).map_err(LmFault::io(&self.path))?;
        file.read_exact(&mut bytes).map_err(LmFault::io(&self.path))?;
        place.dtype.extend(entries, &bytes);
        Ok(())
    }
}

/// So many entries in pieces.
fn pieces(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(PIECE).map(move |begin| begin..(begin + PIECE).min(count))
}

impl Model {
    /// Reads a whole model.
    ///
    /// # Errors
    /// A file cannot be read, or a weight is not finite; the message names the tensor.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self, LmFault> {
        Ok(Self {
            config: checkpoint.config.clone(),
            embedding: checkpoint.embedding()?,
            blocks: (0..checkpoint.config.blocks).map(|block| checkpoint.block(block)).collect::<Result<_, _>>()?,
            norm: checkpoint.norm()?,
            head: checkpoint.head()?,
        })
    }
}
