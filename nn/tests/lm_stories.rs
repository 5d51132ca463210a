//! stories260K, a small LLaMA: logits, greedy tokens and text against recorded ones (`fixtures/lm/MANIFEST.md`).

use secateur_nn::lm::{Checkpoint, Model};
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Golden {
    prompt_token_ids: Vec<u32>,
    logits_pos0_to_3: Vec<Vec<f64>>,
    greedy_token_ids_from_bos: Vec<u32>,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lm").join(name)
}

fn golden() -> Golden {
    serde_json::from_str(&std::fs::read_to_string(fixture("stories260K.golden.json")).unwrap()).unwrap()
}

fn model() -> Model {
    Model::load(&Checkpoint::open(fixture("stories260K.bin")).unwrap()).unwrap()
}

/// The largest difference over the largest value.
fn difference(found: &[f32], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let pairs = found.iter().zip(expected);
    pairs.map(|(found, expected)| (f64::from(*found) - expected).abs()).fold(0.0, larger) / largest
}

/// The larger one; what is no number counts as the largest, and stays.
fn larger(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() { a } else { b }
}

#[test]
fn what_is_no_number_differs() {
    for found in [[f32::NAN, 1.0], [1.0, f32::NAN]] {
        assert!(difference(&found, &[1.0, 1.0]).is_nan());
    }
    assert_eq!(difference(&[1.0, 3.0, 2.0], &[1.0, 2.0, 2.0]), 0.5);
}

#[test]
fn logits_are_those_of_double_precision() {
    let (model, golden) = (model(), golden());
    let found = model.logits(&golden.prompt_token_ids);
    assert_eq!(found.len(), golden.prompt_token_ids.len() * 512);
    let mut cache = model.cache();
    for (token, expected) in golden.logits_pos0_to_3.iter().enumerate() {
        // Five blocks in single precision.
        assert!(difference(&found[token * 512..(token + 1) * 512], expected) < 1e-5);
        let next = model.next(&golden.prompt_token_ids[token..=token], &mut cache);
        assert!(difference(&next, expected) < 1e-5);
    }
}

#[test]
fn greedy_tokens_are_the_recorded_ones() {
    let (model, golden) = (model(), golden());
    let mut cache = model.cache();
    let mut token = 1;
    for expected in golden.greedy_token_ids_from_bos {
        let logits = model.next(&[token], &mut cache);
        let best = (0..512).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        assert_eq!(best as u32, expected, "after {} tokens", cache.len());
        token = expected;
    }
}

#[test]
fn parts_of_a_sequence_give_what_the_whole_gives() {
    let (model, golden) = (model(), golden());
    let tokens = &golden.greedy_token_ids_from_bos;
    let whole = model.logits(tokens);
    let wide: Vec<f64> = whole.iter().map(|v| f64::from(*v)).collect();
    let mut cache = model.cache();
    let mut stream = model.extend(&tokens[..70], &mut cache);
    stream.extend(model.extend(&tokens[70..72], &mut cache));
    stream.extend(model.extend(&tokens[72..], &mut cache));
    assert!(difference(&model.readout(&stream), &wide) < 1e-5);
    cache.truncate(100);
    let again = model.next(&tokens[100..], &mut cache);
    assert!(difference(&again, &wide[wide.len() - 512..]) < 1e-5);
    let streams = model.streams(tokens);
    assert_eq!(streams.len(), 6);
    let kept = vec![true; 5];
    assert_eq!(model.readout(&model.onwards(streams[3].clone(), 3, &kept)), whole);
    let without = [true, false, true, true, false];
    let mut short = model.clone();
    short.blocks = [0, 2, 3].map(|block| model.blocks[block].clone()).to_vec();
    assert_eq!(model.logits_with(tokens, &without), short.logits(tokens));
    let surprises = model.surprises(&streams[5], tokens);
    for ((target, row), found) in tokens.iter().zip(wide.chunks_exact(512)).zip(surprises) {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        assert!((found - (sum.ln() - row[*target as usize])).abs() < 1e-5);
    }
}
