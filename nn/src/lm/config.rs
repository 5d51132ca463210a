//! What a language model is built like: `config.json` of the Hugging Face layout.

use super::family::Family;
use super::fault::LmFault;
use super::keys::Keys;
use crate::safetensors::Dtype;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

/// The most blocks, whose tensors are listed before any is looked for.
const MOST_BLOCKS: u64 = 1 << 16;

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
    /// YaRN: pairs that turn seldom in the original context over `factor`, those that turn often untouched, those between
    /// interpolated; queries and keys grow.
    Yarn {
        /// The divisor.
        factor: f64,
        /// Pairs that turn more often in the original context are untouched.
        fast: f64,
        /// Pairs that turn less often are divided.
        slow: f64,
        /// The original context.
        context: f64,
        /// Whether the pairs between which is interpolated are whole numbers.
        whole: bool,
        /// What turned entries are multiplied by.
        length: f64,
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
    /// The last tokens that attention sees, the query's own among them; all before it if none.
    pub window: Option<usize>,
    /// The token that begins a text.
    pub bos: Option<u32>,
    /// The tokens that end one; those of `generation_config.json` beside `config.json` among them.
    pub eos: Vec<u32>,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether the output projection of attention has one.
    pub o_bias: bool,
    /// Whether gate, up and down projection of the MLP have biases.
    pub mlp_bias: bool,
    /// Whether query and key heads pass norms before they turn.
    pub head_norms: bool,
    /// The `config.json` that it came from; empty for other origins.
    pub original: Map<String, Json>,
}

impl Config {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// [`LmFault::Config`] with the key that is missing, of the wrong kind, or asks for what is not supported: other
    /// families, activations, kinds of `rope_scaling`, windows of some blocks only, quantised weights.
    pub fn parse(text: &str, origin: &str) -> Result<Self, LmFault> {
        let object: Map<String, Json> =
            serde_json::from_str(text).map_err(|source| LmFault::Json { path: origin.into(), source })?;
        let keys = Keys { origin, object: &object };
        let family = Family::read(&keys)?;
        let defaults = family.defaults();
        family.refuse(&keys)?;
        let (width, heads) = (keys.whole("hidden_size", None)?, keys.whole("num_attention_heads", None)?);
        let biased = family.attention_bias() && keys.truth("attention_bias", false)?;
        // Null means as many as query heads, in every family.
        let missing = defaults.kv_heads.filter(|_| !object.contains_key("num_key_value_heads"));
        let (theta, scaling) = turning(&keys, defaults.context)?;
        let config = Self {
            family,
            width,
            inner: keys.whole("intermediate_size", None)?,
            blocks: keys.upto("num_hidden_layers", None, MOST_BLOCKS)?,
            heads,
            kv_heads: keys.whole("num_key_value_heads", missing.or(Some(heads as u64)))?,
            head_dim: keys.whole("head_dim", defaults.head_dim.or(Some((width / heads) as u64)))?,
            vocab: keys.whole("vocab_size", None)?,
            epsilon: epsilon(&keys)?,
            theta,
            rope: Rope::HalfSplit,
            scaling,
            tied: keys.truth("tie_word_embeddings", false)?,
            context: keys.whole("max_position_embeddings", Some(defaults.context))?,
            window: family.window(&keys)?,
            bos: keys.tokens("bos_token_id", defaults.bos.as_slice())?.first().copied(),
            eos: keys.tokens("eos_token_id", defaults.eos)?,
            qkv_bias: family == Family::Qwen2 || biased,
            o_bias: biased,
            mlp_bias: family == Family::Llama && keys.truth("mlp_bias", false)?,
            head_norms: family == Family::Qwen3,
            original: Map::new(),
        };
        config.check(&keys)?;
        Ok(Self { original: object, ..config })
    }

    /// Adds the tokens that end a text by `generation_config.json`.
    pub(super) fn add_ends(&mut self, text: &str, origin: &str) -> Result<(), LmFault> {
        let object: Map<String, Json> =
            serde_json::from_str(text).map_err(|source| LmFault::Json { path: origin.into(), source })?;
        let more = Keys { origin, object: &object }.tokens("eos_token_id", &[])?;
        for token in more {
            if !self.eos.contains(&token) {
                self.eos.push(token);
            }
        }
        Ok(())
    }

    /// Sizes that go together.
    fn check(&self, keys: &Keys<'_>) -> Result<(), LmFault> {
        let shared = keys.get("head_dim").is_none() && self.family.defaults().head_dim.is_none();
        if shared && !self.width.is_multiple_of(self.heads) {
            return Err(keys.fault("num_attention_heads", &format!("a divisor of hidden_size {}", self.width)));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(keys.fault("num_key_value_heads", &format!("a divisor of num_attention_heads {}", self.heads)));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(keys.fault("head_dim", &format!("an even size of heads, which is {}", self.head_dim)));
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
        if self.family.attention_bias() {
            set("attention_bias", json!(self.qkv_bias), |a, b| a.qkv_bias == b.qkv_bias);
        }
        if self.family == Family::Llama {
            set("mlp_bias", json!(self.mlp_bias), |a, b| a.mlp_bias == b.mlp_bias);
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
        let ends = if self.eos.len() == 1 { json!(self.eos[0]) } else { json!(self.eos) };
        let text = json!({
            "architectures": [self.family.class()], "model_type": self.family.name(), "hidden_act": "silu",
            "hidden_size": self.width,
            "intermediate_size": self.inner, "num_hidden_layers": self.blocks, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim, "vocab_size": self.vocab,
            // Digits of the 32-bit number, not of its 64-bit neighbour.
            "rms_norm_eps": self.epsilon.to_string().parse::<f64>().unwrap_or(f64::from(self.epsilon)),
            "rope_theta": self.theta, "tie_word_embeddings": self.tied, "max_position_embeddings": self.context,
            "bos_token_id": self.bos, "eos_token_id": ends, "attention_bias": self.o_bias,
        });
        let mut object = text.as_object().cloned().unwrap_or_default();
        if self.family == Family::Mistral {
            object.insert("sliding_window".to_owned(), json!(self.window));
        }
        match self.scaling {
            Scaling::None => None,
            Scaling::Linear { factor } => Some(json!({"rope_type": "linear", "factor": factor})),
            Scaling::Llama3 { factor, low, high, context } => Some(json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                "original_max_position_embeddings": context as u64,
            })),
            Scaling::Yarn { factor, fast, slow, context, whole, length } => Some(json!({
                "rope_type": "yarn", "factor": factor, "beta_fast": fast, "beta_slow": slow, "truncate": whole,
                "original_max_position_embeddings": context as u64, "attention_factor": length,
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
        if self.head_norms {
            all.push(("self_attn.q_norm.weight", vec![self.head_dim]));
            all.push(("self_attn.k_norm.weight", vec![self.head_dim]));
        }
        if self.mlp_bias {
            all.push(("mlp.gate_proj.bias", vec![self.inner]));
            all.push(("mlp.up_proj.bias", vec![self.inner]));
            all.push(("mlp.down_proj.bias", vec![self.width]));
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
        // They are all alike.
        let kind = kinds.first().cloned().unwrap_or_else(|| json!("full_attention"));
        kinds.resize(blocks, kind);
    }
}

/// What is added to mean squares, a positive number that 32 bits hold.
fn epsilon(keys: &Keys<'_>) -> Result<f32, LmFault> {
    let value = keys.number("rms_norm_eps", Some(1e-6))? as f32;
    let held = value > 0.0 && value.is_finite();
    if held { Ok(value) } else { Err(keys.fault("rms_norm_eps", "a positive number that 32 bits hold")) }
}

/// Where newer and older files say how positions turn.
const TURNING: [&str; 2] = ["rope_parameters", "rope_scaling"];

/// Base and stretching of angles, from `rope_parameters`, or from `rope_theta` and `rope_scaling`.
fn turning(keys: &Keys<'_>, context: u64) -> Result<(f64, Scaling), LmFault> {
    let turned = |one| turned(keys, one, context);
    match TURNING.map(|key| keys.get(key).map(|value| (key, value))) {
        [Some(new), Some(old)] => {
            let (found, other) = (turned(new)?, turned(old)?);
            let other_says = format!("what `{}` says, or one of the two", TURNING[1]);
            if found == other { Ok(found) } else { Err(keys.fault(TURNING[0], &other_says)) }
        }
        [Some(one), None] | [None, Some(one)] => turned(one),
        [None, None] => Ok((keys.number("rope_theta", Some(10_000.0))?, Scaling::None)),
    }
}

/// The same from one of the two; `context` is what a model is made for that does not say it.
fn turned(keys: &Keys<'_>, (key, value): (&str, &Json), context: u64) -> Result<(f64, Scaling), LmFault> {
    let object = value.as_object().ok_or_else(|| keys.fault(key, "an object"))?;
    let inner = Keys { origin: keys.origin, object };
    let theta = if object.contains_key("rope_theta") { &inner } else { keys }.number("rope_theta", Some(10_000.0))?;
    inner.only("partial_rotary_factor", &json!(1.0))?;
    let fault = || keys.fault(key, "one rope_type (or type) of default, linear, llama3 and yarn");
    let kind = match (inner.get("rope_type"), inner.get("type")) {
        (Some(kind), Some(other)) if kind != other => return Err(fault()),
        (kind, other) => kind.or(other),
    };
    let scaling = match kind.map(Json::as_str) {
        // Newer files may say the base alone.
        None if object.is_empty() || key == TURNING[0] && inner.get("factor").is_none() => Scaling::None,
        Some(Some("default")) => Scaling::None,
        Some(Some("linear")) => Scaling::Linear { factor: inner.number("factor", None)? },
        Some(Some("llama3")) => Scaling::Llama3 {
            factor: inner.number("factor", None)?,
            low: inner.number("low_freq_factor", None)?,
            high: inner.number("high_freq_factor", None)?,
            context: original_context(keys, &inner, context)?,
        },
        Some(Some("yarn")) => {
            let original = original_context(keys, &inner, context)?;
            let factor = match object.get("factor") {
                Some(Json::Null) => keys.whole("max_position_embeddings", Some(context))? as f64 / original,
                _ => inner.number("factor", None)?,
            };
            if theta <= 1.0 {
                return Err(keys.fault(key, "a rope_theta above 1, with yarn"));
            }
            // The length that attention is used to, by the method's authors.
            let usual = |share: f64| if factor <= 1.0 { 1.0 } else { 0.1 * share * factor.ln() + 1.0 };
            // As for transformers, 0 says as little as nothing.
            let said = |key: &str| inner.get(key).is_some_and(|value| value.as_f64() != Some(0.0));
            let or = |key: &str, usual: f64| if said(key) { inner.number(key, None) } else { Ok(usual) };
            let length = if inner.get("attention_factor").is_some() {
                inner.number("attention_factor", None)?
            } else if said("mscale") && said("mscale_all_dim") {
                usual(inner.number("mscale", None)?) / usual(inner.number("mscale_all_dim", None)?)
            } else {
                usual(1.0)
            };
            Scaling::Yarn {
                factor,
                fast: or("beta_fast", 32.0)?,
                slow: or("beta_slow", 1.0)?,
                context: original,
                // Null is no truth, and differs from nothing.
                whole: object.get("truncate") != Some(&Json::Null) && inner.truth("truncate", true)?,
                length,
            }
        }
        _ => return Err(fault()),
    };
    Ok((theta, scaling))
}

/// The context of pre-training: said beside or within, or else the context.
fn original_context(keys: &Keys<'_>, inner: &Keys<'_>, context: u64) -> Result<f64, LmFault> {
    let key = "original_max_position_embeddings";
    match [keys, inner].into_iter().find(|place| place.get(key).is_some()) {
        Some(place) => place.number(key, None),
        None => Ok(keys.whole("max_position_embeddings", Some(context))? as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_what_transformers_takes_it_for() {
        let parse = |family: &str, extra: &str| {
            let text = format!(
                r#"{{"model_type": "{family}", "hidden_size": 64, "intermediate_size": 44, "num_hidden_layers": 1,
                    "num_attention_heads": 32, {extra} "vocab_size": 9}}"#
            );
            Config::parse(&text, "config.json")
        };
        let heads =
            |family, extra| parse(family, extra).map(|found| (found.kv_heads, found.head_dim, found.context)).unwrap();
        assert_eq!(heads("llama", ""), (32, 2, 2048));
        assert_eq!(heads("qwen3", ""), (32, 128, 32768));
        assert_eq!(heads("mistral", r#""sliding_window": null,"#), (8, 2, 131_072));
        assert_eq!(heads("mistral", r#""num_key_value_heads": null, "sliding_window": null,"#), (32, 2, 131_072));
        assert_eq!(heads("mistral", r#""max_position_embeddings": 4096,"#), (8, 2, 4096));
        let window = |family, extra| parse(family, extra).unwrap().window;
        assert_eq!(window("mistral", ""), Some(4096));
        assert_eq!(window("mistral", r#""sliding_window": null,"#), None);
        assert_eq!(window("mistral", r#""sliding_window": 7,"#), Some(7));
        assert_eq!(window("qwen2", r#""sliding_window": 7,"#), None);
        // From block 28 on, where it is not said, and there is one block.
        assert_eq!(window("qwen2", r#""use_sliding_window": true,"#), None);
        assert_eq!(window("qwen3", r#""use_sliding_window": true, "max_window_layers": 0,"#), Some(4096));
        assert_eq!(window("qwen3", r#""use_sliding_window": true, "max_window_layers": -1,"#), Some(4096));
        assert_eq!(
            window("qwen3", r#""use_sliding_window": true, "sliding_window": null, "max_window_layers": 0,"#),
            None
        );
        let plain = parse("qwen3", "").unwrap();
        assert!(plain.head_norms && !plain.qkv_bias && !plain.o_bias && plain.bos.is_none());
        let biased = parse("qwen3", r#""attention_bias": true,"#).unwrap();
        assert!(biased.qkv_bias && biased.o_bias && biased.parameters() == plain.parameters() + 3 * 32 * 128 + 64);
        assert!(
            parse("llama", r#""mlp_bias": true,"#).unwrap().parameters()
                == parse("llama", "").unwrap().parameters() + 152
        );
    }
}
