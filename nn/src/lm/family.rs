//! Families of models: what they differ in, and what of it is not supported.

use super::fault::LmFault;
use super::keys::Keys;
use serde::Serialize;
use serde_json::{Value as Json, json};

/// Families of models, which differ in biases, norms and defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// LLaMA: no biases unless the configuration says so.
    Llama,
    /// Mistral: no biases.
    Mistral,
    /// Qwen1.5, Qwen2 and Qwen2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen3: norms of query and key heads, no biases unless the configuration says so.
    Qwen3,
}

/// What a key that is not there means, as transformers has it.
pub(super) struct Defaults {
    pub context: u64,
    /// None: as many as query heads.
    pub kv_heads: Option<u64>,
    /// None: the width over query heads.
    pub head_dim: Option<u64>,
    pub bos: Option<u32>,
    pub eos: &'static [u32],
}

impl Family {
    const ALL: [(Family, &'static str, &'static str); 4] = [
        (Family::Llama, "llama", "LlamaForCausalLM"),
        (Family::Mistral, "mistral", "MistralForCausalLM"),
        (Family::Qwen2, "qwen2", "Qwen2ForCausalLM"),
        (Family::Qwen3, "qwen3", "Qwen3ForCausalLM"),
    ];

    fn row(self) -> (Family, &'static str, &'static str) {
        Self::ALL[self as usize]
    }

    /// Its name in `config.json`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The name of its models in transformers.
    pub(super) fn class(self) -> &'static str {
        self.row().2
    }

    /// The family that `model_type` names.
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self, LmFault> {
        let named = |value: &Json| Self::ALL.iter().find(|(_, name, _)| value.as_str() == Some(*name)).map(|row| row.0);
        let known = Self::ALL.map(|(_, name, _)| name).join(", ");
        keys.get("model_type").and_then(named).ok_or_else(|| keys.fault("model_type", &format!("one of {known}")))
    }

    pub(super) fn defaults(self) -> Defaults {
        let (bos, eos): (_, &[u32]) = match self {
            Family::Llama | Family::Mistral => (Some(1), &[2]),
            Family::Qwen2 | Family::Qwen3 => (None, &[]),
        };
        let (context, kv_heads, head_dim) = match self {
            Family::Llama => (2048, None, None),
            Family::Mistral => (131_072, Some(8), None),
            Family::Qwen2 => (32_768, Some(32), None),
            Family::Qwen3 => (32_768, Some(32), Some(128)),
        };
        Defaults { context, kv_heads, head_dim, bos, eos }
    }

    /// Whether `attention_bias` says that attention has biases.
    pub(super) fn attention_bias(self) -> bool {
        matches!(self, Family::Llama | Family::Qwen3)
    }

    /// Refuses what would change the function and is not supported.
    pub(super) fn refuse(self, keys: &Keys<'_>) -> Result<(), LmFault> {
        // Two names of one function.
        if keys.get("hidden_act").is_some_and(|name| name != "swish") {
            keys.only("hidden_act", &json!("silu"))?;
        }
        keys.only("partial_rotary_factor", &json!(1.0))?;
        if self != Family::Llama {
            keys.only("mlp_bias", &json!(false))?;
        }
        match self {
            Family::Mistral => keys.only("attention_bias", &json!(false))?,
            Family::Llama | Family::Qwen2 | Family::Qwen3 => {}
        }
        match keys.get("quantization_config") {
            Some(_) => Err(keys.fault("quantization_config", "none: weights of 16 or 32 bits")),
            None => Ok(()),
        }
    }

    /// The last tokens that attention sees, in every block; none where it sees all.
    pub(super) fn window(self, keys: &Keys<'_>) -> Result<Option<usize>, LmFault> {
        // Null means that there is none, in every family.
        let said = match keys.object.get("sliding_window") {
            Some(Json::Null) => None,
            _ => Some(keys.whole("sliding_window", Some(4096))?),
        };
        let slides = match self {
            Family::Llama => false,
            Family::Mistral => true,
            Family::Qwen2 | Family::Qwen3 => keys.truth("use_sliding_window", false)?,
        };
        let window = said.filter(|_| slides);
        let (sliding, full) = ("sliding_attention", "full_attention");
        if let Some(kinds) = keys.get("layer_types") {
            // A Mistral's window holds whatever this list says, so it may only say the same.
            let always = self == Family::Mistral && window.is_some();
            let expected = match window {
                Some(_) if always => format!("{sliding} in every block, or no sliding_window"),
                Some(_) => format!("{sliding} in every block, or {full} in every block"),
                None => format!("{full} in every block"),
            };
            let blocks = keys.whole("num_hidden_layers", None)?;
            let whole = kinds.as_array().filter(|kinds| kinds.len() == blocks);
            let whole =
                whole.ok_or_else(|| keys.fault("layer_types", &format!("an entry for each of {blocks} blocks")))?;
            let all = |name: &str| whole.iter().all(|kind| kind == name);
            return match (all(full), window) {
                (true, _) if !always => Ok(None),
                (_, Some(_)) if all(sliding) => Ok(window),
                _ => Err(keys.fault("layer_types", &expected)),
            };
        }
        if window.is_none() || self == Family::Mistral {
            return Ok(window);
        }
        let from = match keys.get("max_window_layers") {
            Some(from) => from.as_i64(),
            None => Some(28),
        };
        let blocks = keys.whole("num_hidden_layers", None)? as i64;
        match from {
            Some(..=0) => Ok(window),
            Some(from) if from >= blocks => Ok(None),
            _ => Err(keys.fault("max_window_layers", "0, or as many as there are blocks: windows in all or in none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_families() {
        for (family, name, class) in Family::ALL {
            assert_eq!((family.name(), family.class()), (name, class));
            assert_eq!(serde_json::to_value(family).unwrap(), name);
        }
    }
}
