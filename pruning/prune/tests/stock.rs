//! Smaller models in stock tools: transformers read what is written here, and its logits are those of this program
//! (`fixtures/stock.py`).

use secateur_nn::lm::{Checkpoint, Model};
use secateur_nn::safetensors::Dtype;
use secateur_prune::depth::{Method, Params, Sequences, Settings, Silent, Target, write};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Models of three blocks that transformers wrote: biases and shared keys, tied heads.
const MODELS: [&str; 2] = ["llama-bf16", "qwen2-tied-f32"];

fn original(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nn/tests/fixtures/lm").join(name)
}

/// Tokens without a pattern.
fn tokens(count: u32, step: u32) -> Vec<u32> {
    (0..count).map(|at| (at * at * step + 5 * at + 3) % 89).collect()
}

/// Two blocks of three by every method, as folders.
fn written(place: &Path) -> Vec<String> {
    let sequences = Sequences::new((1..5).map(|step| tokens(24, step)).collect()).unwrap();
    let mut names = Vec::new();
    for model in MODELS {
        let checkpoint = Checkpoint::open(original(model)).unwrap();
        for method in Method::ALL {
            let settings = Settings { method, blocks: 2, params: Params::default(), seed: 1, recover: None };
            let name = format!("{model}-{method}");
            let directory = place.join(&name);
            let target = Target { directory: &directory, dtype: Dtype::F32 };
            write(&checkpoint, Some(&sequences), &settings, target, &Silent).unwrap();
            names.push(name);
        }
    }
    names
}

#[test]
fn transformers_read_every_result() {
    let place = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("SECATEUR_WRITE_STOCK").map(PathBuf::from);
    let place = kept.as_deref().unwrap_or(place.path());
    let names = written(place);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stock.json");
    let recorded: BTreeMap<String, Vec<Vec<f64>>> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(recorded.keys().cloned().collect::<Vec<_>>(), {
        let mut names = names.clone();
        names.sort();
        names
    });
    for name in names {
        let model = Model::load(&Checkpoint::open(place.join(&name)).unwrap()).unwrap();
        let vocab = model.config.vocab;
        let logits = model.logits(&tokens(20, 7));
        let rows = logits.chunks_exact(vocab).step_by(5);
        assert_eq!(recorded[&name].len(), 4);
        for (found, expected) in rows.zip(&recorded[&name]) {
            let largest = expected.iter().fold(0.0, |most: f64, logit| most.max(logit.abs()));
            let pairs = found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
            // The weights of another machine may differ by roundings, which solving for them makes larger.
            for difference in pairs {
                assert!(difference < 1e-4 * largest, "{name}: {difference} of {largest}");
            }
        }
    }
}
