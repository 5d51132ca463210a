//! Pruning the tensors of a safetensors file, where there is no network to evaluate.
//!
//! Every tensor of floats with two axes or more is taken as a weight, outputs first, as PyTorch stores them.

use crate::budget::Scope;
use crate::error::PruneError;
use crate::strategy::{Method, Settings};
use crate::weights::Layout;
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::mask::Masks;
use secateur_nn::safetensors::Safetensors;

/// The masks of a file's weights, and the names of weights of which nothing is left.
///
/// # Errors
/// The method needs a network or data, the scope needs a network, a weight is not finite, there are no weights.
pub fn masks(file: &Safetensors, settings: &Settings) -> Result<(Masks, Vec<String>), PruneError> {
    let Settings { method, budget, seed, rounds } = settings;
    budget.check()?;
    if !matches!(budget.scope, Scope::Weight | Scope::Pattern { .. }) {
        return Err(needs_network(format!("scope {}", budget.scope)));
    }
    if *rounds != 1 {
        return Err(needs_network(format!("{rounds} rounds")));
    }
    let is_weight = |shape: &[usize]| shape.len() > 1 && !shape.contains(&0);
    let weights: Vec<_> = file.tensors.iter().filter(|(_, t)| t.dtype.is_float() && is_weight(&t.shape)).collect();
    if weights.is_empty() {
        return Err(PruneError::NothingToPrune);
    }
    let mut scores = Vec::new();
    for (stream, (name, tensor)) in (0..).zip(&weights) {
        let values = tensor.to_f64().unwrap_or_default();
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(PruneError::Weight { tensor: (*name).clone(), index });
        }
        let mut random = Random::stream(*seed, stream);
        let score = |w: &f64| match method {
            Method::Random => Some(random.unit()),
            Method::Magnitude | Method::L1 => Some(w.abs()),
            Method::L2 => Some(w * w),
            _ => None,
        };
        let found: Option<Vec<f64>> = values.iter().map(score).collect();
        scores.push(found.ok_or_else(|| needs_network(method.to_string()))?);
    }
    let kept = budget.keep(&scores, &|place| Ok(Layout::outputs_first(&weights[place].1.shape)))?;
    let collapsed: Vec<String> = weights
        .iter()
        .zip(&kept)
        .filter(|(_, kept)| kept.iter().all(|keep| !keep))
        .map(|((name, _), _)| (*name).clone())
        .collect();
    if budget.keep_layers && !collapsed.is_empty() {
        return Err(PruneError::Collapse { layers: collapsed });
    }
    let masks = weights.iter().zip(kept).map(|((name, t), kept)| ((*name).clone(), Tensor::new(t.shape.clone(), kept)));
    Ok((Masks(masks.collect()), collapsed))
}

fn needs_network(first: String) -> PruneError {
    PruneError::Combination {
        first,
        second: "a file of tensors".to_owned(),
        reason: "it needs the network: give an ONNX file, or take random, magnitude, l1 or l2 at scope weight or N:M",
    }
}

/// The file with zeros where the masks keep nothing; every other byte stays.
///
/// # Panics
/// A mask belongs to no tensor of the file.
pub fn masked(file: &Safetensors, masks: &Masks) -> Safetensors {
    let mut masked = file.clone();
    for (name, mask) in &masks.0 {
        masked.tensors.get_mut(name).expect("masks belong to tensors of the file").mask(mask.data());
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Allocation, Budget};
    use secateur_nn::safetensors::Stored;
    use std::collections::BTreeMap;

    fn file() -> Safetensors {
        let tensors = BTreeMap::from([
            ("bias".to_owned(), Stored::f32(vec![4], &[1.0; 4])),
            ("weight".to_owned(), Stored::f32(vec![2, 4], &[1.0, -8.0, 2.0, 7.0, 3.0, 4.0, -6.0, 5.0])),
        ]);
        Safetensors { tensors, metadata: BTreeMap::new() }
    }

    fn settings(method: Method, scope: Scope) -> Settings {
        let budget = Budget { scope, allocation: Allocation::Global, sparsity: 0.5, keep_layers: false };
        Settings { method, budget, rounds: 1, seed: 0 }
    }

    #[test]
    fn weights_are_masked_and_biases_left() {
        let file = file();
        let (masks, collapsed) = masks(&file, &settings(Method::Magnitude, Scope::Weight)).unwrap();
        assert!(collapsed.is_empty());
        let found = masked(&file, &masks);
        assert_eq!(found.tensors["weight"].to_f64().unwrap(), [0.0, -8.0, 0.0, 7.0, 0.0, 0.0, -6.0, 5.0]);
        assert_eq!(found.tensors["bias"], file.tensors["bias"]);
    }

    #[test]
    fn what_needs_a_network_is_refused() {
        let refused = |s: Settings| matches!(masks(&file(), &s), Err(PruneError::Combination { .. }));
        assert!(refused(settings(Method::Synflow, Scope::Weight)));
        assert!(refused(settings(Method::Magnitude, Scope::Neuron)));
        let mut nan = file();
        nan.tensors.insert("weight".to_owned(), Stored::f32(vec![1, 2], &[0.0, f32::NAN]));
        let found = masks(&nan, &settings(Method::L2, Scope::Weight));
        assert!(matches!(found, Err(PruneError::Weight { index: 1, .. })));
    }
}
