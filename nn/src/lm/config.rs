//! What a language model is built like: `config.json` of the Hugging Face layout.

use super::fault::LmFault;
use crate::safetensors::Dtype;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

/// The largest size that a configuration may name.
const MOST: u64 = 1 << 31;
/// The most blocks, whose tensors are listed before any is looked for.
const MOST_BLOCKS: u64 = 1 << 16;

/// Families of models, which differ in biases and defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// LLaMA: no biases unless the configuration says so.
    Llama,
    /// Qwen1.5, Qwen2 and Qwen2.5: biases on queries, keys and values.
    Qwen2,
}

impl Family {
    const ALL: [(Family, &'static str, &'static str); 2] =
        [(Family::Llama, "llama", "LlamaForCausalLM"), (Family::Qwen2, "qwen2", "Qwen2ForCausalLM")];

    /// Its name in `config.json`.
    pub fn name(self) -> &'static str {
        let row = Self::ALL.iter().find(|(family, ..)| *family == self);
        row.expect("every family has a row").1
    }

    fn defaults(self) -> Defaults {
        match self {
            Family::Llama => Defaults { context: 2048, bos: Some(1), eos: &[2] },
            Family::Qwen2 => Defaults { context: 32768, bos: None, eos: &[] },
        }
    }
}

/// What a key that is not there means.
struct Defaults {
    context: u64,
    bos: Option<u32>,
    eos: &'static [u32],
}

/// Which entries of a head turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rope {
    /// Entry $i$ with entry $i + d/2$: checkpoints of Hugging Face.
    HalfSplit,
    /// Entry $2i$ with entry $2i + 1$: checkpoints of llama2.c.
    Interleaved,
}

/// How angles are stretched for contexts longer than those of pre-training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Scaling {
    /// Not at all.
    None,
    /// Every frequency over `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Low frequencies over `factor`, high ones untouched, those between interpolated: LLaMA 3.1.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above the original context over this are low frequencies.
        low: f64,
        /// Wavelengths below the original context over this are high frequencies.
        high: f64,
        /// The original context.
        context: f64,
    },
}

/// The sizes and constants of a model.
///
/// A [`Block`](super::Block) has sizes of its own, which `heads`, `kv_heads` and `inner` are only the usual values of.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The family.
    pub family: Family,
    /// Entries of a token's residual stream.
    pub width: usize,
    /// Inner channels of a block's MLP.
    pub inner: usize,
    /// Blocks.
    pub blocks: usize,
    /// Query heads of a block.
    pub heads: usize,
    /// Key and value heads of a block; each serves `heads / kv_heads` query heads in a row.
    pub kv_heads: usize,
    /// Entries of a head.
    pub head_dim: usize,
    /// Tokens.
    pub vocab: usize,
    /// What is added to the mean square in norms.
    pub epsilon: f32,
    /// The base of the angles of positions.
    pub theta: f64,
    /// Which entries turn together.
    pub rope: Rope,
    /// How angles are stretched.
    pub scaling: Scaling,
    /// Whether the embedding is the head as well.
    pub tied: bool,
    /// The longest sequence that the model was made for.
    pub context: usize,
    /// The token that begins a text.
    pub bos: Option<u32>,
    /// The tokens that end one; those of `generation_config.json` beside `config.json` among them.
    pub eos: Vec<u32>,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether the output projection of attention has one.
    pub o_bias: bool,
    /// The `config.json` that it came from; empty for other origins.
    pub original: Map<String, Json>,
}

/// An object of `config.json`, read with faults that name its keys.
struct Reader<'a> {
    origin: &'a str,
    object: &'a Map<String, Json>,
}

impl Reader<'_> {
    fn fault(&self, key: &str, expected: &str) -> LmFault {
        let found = self.object.get(key).map_or_else(|| "nothing".to_owned(), Json::to_string);
        LmFault::Config { origin: self.origin.to_owned(), key: key.to_owned(), expected: expected.to_owned(), found }
    }

    /// A key with a value; none where it is missing or null.
    fn get(&self, key: &str) -> Option<&Json> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn whole(&self, key: &str, default: Option<u64>) -> Result<usize, LmFault> {
        self.upto(key, default, MOST)
    }

    fn upto(&self, key: &str, default: Option<u64>, most: u64) -> Result<usize, LmFault> {
        let value = self.get(key).map_or(default, Json::as_u64).filter(|v| (1..=most).contains(v));
        Ok(value.ok_or_else(|| self.fault(key, &format!("a whole number from 1 to {most}")))? as usize)
    }

    fn number(&self, key: &str, default: Option<f64>) -> Result<f64, LmFault> {
        let value = self.get(key).map_or(default, Json::as_f64).filter(|v| v.is_finite() && *v > 0.0);
        value.ok_or_else(|| self.fault(key, "a positive number"))
    }

    fn truth(&self, key: &str, default: bool) -> Result<bool, LmFault> {
        self.get(key).map_or(Some(default), Json::as_bool).ok_or_else(|| self.fault(key, "true or false"))
    }

    /// A key whose only supported value is `value`, which it also has when it is missing.
    fn only(&self, key: &str, value: &Json) -> Result<(), LmFault> {
        let same =
            self.get(key).is_none_or(|found| found == value || found.as_f64() == value.as_f64() && found.is_number());
        if same { Ok(()) } else { Err(self.fault(key, &value.to_string())) }
    }

    fn tokens(&self, key: &str, default: &[u32]) -> Result<Vec<u32>, LmFault> {
        let token = |value: &Json| value.as_u64().and_then(|t| u32::try_from(t).ok());
        let found = match self.object.get(key) {
            None => Some(default.to_vec()),
            Some(Json::Null) => Some(Vec::new()),
            Some(Json::Array(all)) => all.iter().map(token).collect(),
            Some(value) => token(value).map(|token| vec![token]),
        };
        found.ok_or_else(|| self.fault(key, "a token or a list of tokens"))
    }
}

impl Config {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// [`LmFault::Config`] with the key that is missing, of the wrong kind, or asks for what is not supported: other
    /// families, activations, kinds of `rope_scaling`, sliding windows, biases in the MLP, quantised weights.
    pub fn parse(text: &str, origin: &str) -> Result<Self, LmFault> {
        let object: Map<String, Json> =
            serde_json::from_str(text).map_err(|source| LmFault::Json { path: origin.into(), source })?;
        let reader = Reader { origin, object: &object };
        let named =
            |value: &Json| Family::ALL.iter().find(|(_, name, _)| value.as_str() == Some(*name)).map(|row| row.0);
        let family = reader.get("model_type").and_then(named);
        let family = family.ok_or_else(|| reader.fault("model_type", "llama or qwen2"))?;
        let defaults = family.defaults();
        refuse(&reader, family)?;
        let (width, heads) = (reader.whole("hidden_size", None)?, reader.whole("num_attention_heads", None)?);
        let biased = family == Family::Llama && reader.truth("attention_bias", false)?;
        let (theta, scaling) = turning(&reader)?;
        let config = Self {
            family,
            width,
            inner: reader.whole("intermediate_size", None)?,
            blocks: reader.upto("num_hidden_layers", None, MOST_BLOCKS)?,
            heads,
            kv_heads: reader.whole("num_key_value_heads", Some(heads as u64))?,
            head_dim: reader.whole("head_dim", Some((width / heads) as u64))?,
            vocab: reader.whole("vocab_size", None)?,
            epsilon: epsilon(&reader)?,
            theta,
            rope: Rope::HalfSplit,
            scaling,
            tied: reader.truth("tie_word_embeddings", false)?,
            context: reader.whole("max_position_embeddings", Some(defaults.context))?,
            bos: reader.tokens("bos_token_id", defaults.bos.as_slice())?.first().copied(),
            eos: reader.tokens("eos_token_id", defaults.eos)?,
            qkv_bias: family == Family::Qwen2 || biased,
            o_bias: biased,
            original: Map::new(),
        };
        config.check(&reader)?;
        Ok(Self { original: object, ..config })
    }

    /// Adds the tokens that end a text by `generation_config.json`.
    pub(super) fn add_ends(&mut self, text: &str, origin: &str) -> Result<(), LmFault> {
        let object: Map<String, Json> =
            serde_json::from_str(text).map_err(|source| LmFault::Json { path: origin.into(), source })?;
        let more = Reader { origin, object: &object }.tokens("eos_token_id", &[])?;
        for token in more {
            if !self.eos.contains(&token) {
                self.eos.push(token);
            }
        }
        Ok(())
    }

    /// Sizes that go together.
    fn check(&self, reader: &Reader<'_>) -> Result<(), LmFault> {
        if reader.get("head_dim").is_none() && !self.width.is_multiple_of(self.heads) {
            return Err(reader.fault("num_attention_heads", &format!("a divisor of hidden_size {}", self.width)));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(
                reader.fault("num_key_value_heads", &format!("a divisor of num_attention_heads {}", self.heads))
            );
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(reader.fault("head_dim", &format!("an even number, but it is {}", self.head_dim)));
        }
        Ok(())
    }

    /// `config.json` with what differs from the original changed, and nothing else.
    ///
    /// Angles are always those of [`Rope::HalfSplit`]: a writer permutes the rows of queries and keys where they are not.
    pub fn to_json(&self, dtype: Dtype) -> Map<String, Json> {
        let mut object = self.original.clone();
        if object.is_empty() {
            object = self.skeleton();
        }
        let before = Self::parse(&Json::Object(object.clone()).to_string(), "config.json").ok();
        let mut set = |key: &str, value: Json, same: fn(&Self, &Self) -> bool| {
            if !before.as_ref().is_some_and(|before| same(self, before)) {
                object.insert(key.to_owned(), value);
            }
        };
        set("hidden_size", json!(self.width), |a, b| a.width == b.width);
        set("intermediate_size", json!(self.inner), |a, b| a.inner == b.inner);
        set("num_hidden_layers", json!(self.blocks), |a, b| a.blocks == b.blocks);
        set("num_attention_heads", json!(self.heads), |a, b| a.heads == b.heads);
        set("num_key_value_heads", json!(self.kv_heads), |a, b| a.kv_heads == b.kv_heads);
        set("head_dim", json!(self.head_dim), |a, b| (a.head_dim, a.heads, a.width) == (b.head_dim, b.heads, b.width));
        set("vocab_size", json!(self.vocab), |a, b| a.vocab == b.vocab);
        set("rms_norm_eps", json!(self.epsilon), |a, b| a.epsilon == b.epsilon);
        set("tie_word_embeddings", json!(self.tied), |a, b| a.tied == b.tied);
        set("max_position_embeddings", json!(self.context), |a, b| a.context == b.context);
        set("eos_token_id", json!(self.eos), |a, b| a.eos == b.eos);
        if self.family == Family::Llama {
            set("attention_bias", json!(self.qkv_bias), |a, b| a.qkv_bias == b.qkv_bias);
        }
        per_block(&mut object, self.blocks);
        let name = match dtype {
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
            _ => "float32",
        };
        let key = if object.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        object.insert(key.to_owned(), json!(name));
        object
    }

    /// `config.json` of a model from elsewhere.
    fn skeleton(&self) -> Map<String, Json> {
        let (_, name, class) = Family::ALL[Family::ALL.iter().position(|row| row.0 == self.family).unwrap_or(0)];
        let ends = if self.eos.len() == 1 { json!(self.eos[0]) } else { json!(self.eos) };
        let text = json!({
            "architectures": [class], "model_type": name, "hidden_act": "silu", "hidden_size": self.width,
            "intermediate_size": self.inner, "num_hidden_layers": self.blocks, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim, "vocab_size": self.vocab,
            // Digits of the 32-bit number, not of its 64-bit neighbour.
            "rms_norm_eps": self.epsilon.to_string().parse::<f64>().unwrap_or(f64::from(self.epsilon)),
            "rope_theta": self.theta, "tie_word_embeddings": self.tied, "max_position_embeddings": self.context,
            "bos_token_id": self.bos, "eos_token_id": ends, "attention_bias": self.o_bias,
        });
        let mut object = text.as_object().cloned().unwrap_or_default();
        match self.scaling {
            Scaling::None => None,
            Scaling::Linear { factor } => Some(json!({"rope_type": "linear", "factor": factor})),
            Scaling::Llama3 { factor, low, high, context } => Some(json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                "original_max_position_embeddings": context as u64,
            })),
        }
        .map(|scaling| object.insert("rope_scaling".to_owned(), scaling));
        object
    }

    /// Stored numbers of a block of the usual sizes.
    pub fn block_parameters(&self) -> usize {
        self.block_tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Stored numbers of the model.
    pub fn parameters(&self) -> usize {
        let outside = self.vocab * self.width * if self.tied { 1 } else { 2 } + self.width;
        self.blocks * self.block_parameters() + outside
    }

    /// Names, within a block, and shapes of a block's tensors.
    pub(super) fn block_tensors(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut all = vec![
            ("input_layernorm.weight", vec![self.width]),
            ("self_attn.q_proj.weight", vec![q, self.width]),
            ("self_attn.k_proj.weight", vec![kv, self.width]),
            ("self_attn.v_proj.weight", vec![kv, self.width]),
            ("self_attn.o_proj.weight", vec![self.width, q]),
            ("post_attention_layernorm.weight", vec![self.width]),
            ("mlp.gate_proj.weight", vec![self.inner, self.width]),
            ("mlp.up_proj.weight", vec![self.inner, self.width]),
            ("mlp.down_proj.weight", vec![self.width, self.inner]),
        ];
        if self.qkv_bias {
            all.push(("self_attn.q_proj.bias", vec![q]));
            all.push(("self_attn.k_proj.bias", vec![kv]));
            all.push(("self_attn.v_proj.bias", vec![kv]));
        }
        if self.o_bias {
            all.push(("self_attn.o_proj.bias", vec![self.width]));
        }
        all
    }

    /// Names and shapes of all tensors, in the order in which a forward pass needs them.
    pub(super) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = vec![(EMBEDDING.to_owned(), vec![self.vocab, self.width])];
        for block in 0..self.blocks {
            let named = self.block_tensors().into_iter();
            all.extend(named.map(|(name, shape)| (format!("model.layers.{block}.{name}"), shape)));
        }
        all.push((NORM.to_owned(), vec![self.width]));
        if !self.tied {
            all.push((HEAD.to_owned(), vec![self.vocab, self.width]));
        }
        all
    }
}

/// The embedding's name.
pub(super) const EMBEDDING: &str = "model.embed_tokens.weight";
/// The last norm's name.
pub(super) const NORM: &str = "model.norm.weight";
/// The head's name.
pub(super) const HEAD: &str = "lm_head.weight";

/// Lists with an entry per block are cut to as many blocks as there are.
fn per_block(object: &mut Map<String, Json>, blocks: usize) {
    if let Some(kinds) = object.get_mut("layer_types").and_then(Json::as_array_mut) {
        kinds.resize(blocks, json!("full_attention"));
    }
}

/// What would change the function and is not supported.
fn refuse(reader: &Reader<'_>, family: Family) -> Result<(), LmFault> {
    reader.only("hidden_act", &json!("silu"))?;
    reader.only("mlp_bias", &json!(false))?;
    reader.only("partial_rotary_factor", &json!(1.0))?;
    if family == Family::Qwen2 {
        reader.only("use_sliding_window", &json!(false))?;
    }
    let full = |kinds: &Json| kinds.as_array().is_some_and(|all| all.iter().all(|kind| kind == "full_attention"));
    if !reader.get("layer_types").is_none_or(full) {
        return Err(reader.fault("layer_types", "full_attention in every block"));
    }
    match reader.get("quantization_config") {
        Some(_) => Err(reader.fault("quantization_config", "none: weights of 16 or 32 bits")),
        None => Ok(()),
    }
}

/// What is added to mean squares, a positive number that 32 bits hold.
fn epsilon(reader: &Reader<'_>) -> Result<f32, LmFault> {
    let value = reader.number("rms_norm_eps", Some(1e-6))? as f32;
    let held = value > 0.0 && value.is_finite();
    if held { Ok(value) } else { Err(reader.fault("rms_norm_eps", "a positive number that 32 bits hold")) }
}

/// Where newer and older files say how positions turn.
const TURNING: [&str; 2] = ["rope_parameters", "rope_scaling"];

/// Base and stretching of angles, from `rope_parameters`, or from `rope_theta` and `rope_scaling`.
fn turning(reader: &Reader<'_>) -> Result<(f64, Scaling), LmFault> {
    match TURNING.map(|key| reader.get(key).map(|value| (key, value))) {
        [Some(new), Some(old)] => {
            let (found, other) = (turned(reader, new)?, turned(reader, old)?);
            let other_says = format!("what `{}` says, or one of the two", TURNING[1]);
            if found == other { Ok(found) } else { Err(reader.fault(TURNING[0], &other_says)) }
        }
        [Some(one), None] | [None, Some(one)] => turned(reader, one),
        [None, None] => Ok((reader.number("rope_theta", Some(10_000.0))?, Scaling::None)),
    }
}

/// The same from one of the two.
fn turned(reader: &Reader<'_>, (key, value): (&str, &Json)) -> Result<(f64, Scaling), LmFault> {
    let object = value.as_object().ok_or_else(|| reader.fault(key, "an object"))?;
    let inner = Reader { origin: reader.origin, object };
    let theta = if object.contains_key("rope_theta") { &inner } else { reader }.number("rope_theta", Some(10_000.0))?;
    inner.only("partial_rotary_factor", &json!(1.0))?;
    let fault = || reader.fault(key, "one rope_type (or type) of default, linear and llama3");
    let kind = match (inner.get("rope_type"), inner.get("type")) {
        (Some(kind), Some(other)) if kind != other => return Err(fault()),
        (kind, other) => kind.or(other),
    };
    let scaling = match kind.map(Json::as_str) {
        // Newer files may say the base alone.
        None if key == TURNING[0] && inner.get("factor").is_none() => Scaling::None,
        Some(Some("default")) => Scaling::None,
        Some(Some("linear")) => Scaling::Linear { factor: inner.number("factor", None)? },
        Some(Some("llama3")) => Scaling::Llama3 {
            factor: inner.number("factor", None)?,
            low: inner.number("low_freq_factor", None)?,
            high: inner.number("high_freq_factor", None)?,
            context: inner.number("original_max_position_embeddings", None)?,
        },
        _ => return Err(fault()),
    };
    Ok((theta, scaling))
}
