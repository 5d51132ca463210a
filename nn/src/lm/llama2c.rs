//! Checkpoints of llama2.c: seven whole numbers, then every weight as a 32-bit float.
//!
//! ```text
//! i32 × 7   width, inner, blocks, heads, kv_heads, vocab (negative: the head is not tied), context
//! f32 × …   embedding, norms before attention, q, k, v, o, norms before MLPs, gate, down, up,
//!           the last norm, two tables of angles (not used), the head where it is not tied
//! ```
//!
//! Everything is little-endian; matrices are row-major, one row per output, those of all blocks one after another.

use super::checkpoint::{Checkpoint, Place};
use super::config::{Config, EMBEDDING, HEAD, NORM, Rope, Scaling};
use super::family::Family;
use super::fault::LmFault;
use crate::safetensors::Dtype;
use serde_json::Map;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;

/// Bytes of the header.
const HEADER: u64 = 28;
/// What newer files begin with: `ak42`.
const MAGIC: i32 = 0x616b_3432;

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<Checkpoint, LmFault> {
    let refused = |what: String| LmFault::NoModel { path: path.to_owned(), what };
    let mut file = File::open(path).map_err(LmFault::io(path))?;
    let found = file.metadata().map_err(LmFault::io(path))?.len();
    if found < HEADER {
        return Err(LmFault::Length { path: path.to_owned(), expected: HEADER, found });
    }
    let mut bytes = [0; HEADER as usize];
    file.read_exact(&mut bytes).map_err(LmFault::io(path))?;
    let mut header = [0; 7];
    for (number, word) in header.iter_mut().zip(bytes.chunks_exact(4)) {
        *number = i32::from_le_bytes([word[0], word[1], word[2], word[3]]);
    }
    if header[0] == MAGIC {
        return Err(refused("it is of version 1 or 2, only version 0 (without a magic number) is read".to_owned()));
    }
    let config = config(header).map_err(refused)?;
    let expected = length(&config);
    if expected != u128::from(found) {
        let expected = u64::try_from(expected).unwrap_or(u64::MAX);
        return Err(LmFault::Length { path: path.to_owned(), expected, found });
    }
    let places = places(&config);
    Ok(Checkpoint { path: path.to_owned(), config, files: vec![Mutex::new(file)], bytes: found, places })
}

fn config(header: [i32; 7]) -> Result<Config, String> {
    let names = ["width", "inner", "blocks", "heads", "kv_heads", "vocab", "context"];
    for (name, value) in names.into_iter().zip(header) {
        if value == 0 || (value < 0 && name != "vocab") {
            return Err(format!("its header says that {name} is {value}"));
        }
    }
    let [width, inner, blocks, heads, kv_heads, vocab, context] = header.map(|value| value.unsigned_abs() as usize);
    if !width.is_multiple_of(heads) || !heads.is_multiple_of(kv_heads) || !(width / heads).is_multiple_of(2) {
        return Err(format!(
            "its header says width {width}, {heads} heads and {kv_heads} for keys, which do not divide"
        ));
    }
    Ok(Config {
        family: Family::Llama,
        width,
        inner,
        blocks,
        heads,
        kv_heads,
        head_dim: width / heads,
        vocab,
        epsilon: 1e-5,
        theta: 10_000.0,
        rope: Rope::Interleaved,
        scaling: Scaling::None,
        window: None,
        tied: header[5] > 0,
        context,
        bos: Some(1),
        eos: vec![2],
        qkv_bias: false,
        o_bias: false,
        mlp_bias: false,
        head_norms: false,
        original: Map::new(),
    })
}

/// Bytes of the file. Numbers of a damaged header may be beyond 64 bits.
fn length(config: &Config) -> u128 {
    let [width, blocks, vocab] = [config.width, config.blocks, config.vocab].map(|size| size as u128);
    let block: u128 = config.block_tensors().iter().map(|(_, shape)| entries(shape)).sum();
    let outside = vocab * width * if config.tied { 1 } else { 2 } + width;
    u128::from(HEADER) + 4 * (blocks * block + outside + entries(&tables(config)))
}

fn entries(shape: &[usize]) -> u128 {
    shape.iter().map(|extent| *extent as u128).product()
}

/// Shape of the two tables of angles, which are computed instead.
fn tables(config: &Config) -> [usize; 3] {
    [2, config.context, config.head_dim / 2]
}

/// Where every tensor lies, in a file of the right length.
fn places(config: &Config) -> BTreeMap<String, Place> {
    let mut begin = HEADER;
    let mut places = BTreeMap::new();
    let mut put = |name: String, shape: &[usize]| {
        places.insert(name, Place { file: 0, begin, dtype: Dtype::F32, shape: shape.to_vec() });
        begin += 4 * shape.iter().product::<usize>() as u64;
    };
    put(EMBEDDING.to_owned(), &[config.vocab, config.width]);
    let shapes: BTreeMap<&str, Vec<usize>> = config.block_tensors().into_iter().collect();
    let order = [
        "input_layernorm.weight",
        "self_attn.q_proj.weight",
        "self_attn.k_proj.weight",
        "self_attn.v_proj.weight",
        "self_attn.o_proj.weight",
        "post_attention_layernorm.weight",
        "mlp.gate_proj.weight",
        "mlp.down_proj.weight",
        "mlp.up_proj.weight",
    ];
    for name in order {
        (0..config.blocks).for_each(|block| put(format!("model.layers.{block}.{name}"), &shapes[name]));
    }
    put(NORM.to_owned(), &[config.width]);
    put(TABLES.to_owned(), &tables(config));
    if !config.tied {
        put(HEAD.to_owned(), &[config.vocab, config.width]);
    }
    places.remove(TABLES);
    places
}

/// The name under which the tables of angles are passed over.
const TABLES: &str = "angles";
