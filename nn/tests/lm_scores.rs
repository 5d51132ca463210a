//! Texts that stories260K writes, how well it predicts, and which continuations it prefers.

use secateur_nn::lm::choices::score;
use secateur_nn::lm::questions::{Choice, Question, read_questions};
use secateur_nn::lm::{
    Checkpoint, LmFault, Model, Reading, Sampling, StopReason, Streamed, Tokens, generate, perplexity, streamed,
    surprise,
};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What llama2.c prints without a prompt at temperature 0 (its `doc/stories260K.md`).
const PUBLISHED: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, \
she saw a big, red ball. She wanted to play with it, but it was too high.\n\
Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. She said, \"I want to play with \
your ball, but I can't find it.\"\n\
Lily was sad and didn't know what to do. She said, \"I'm sorry, Lily. I didn't know what to do.\"\n\
Lily didn't want to help her mom, so she said, \"I'm sorry, mom. I didn't know what to do.\" Her mom said, \"Don't worry, \
Lily. We can help you.";

#[derive(Deserialize)]
struct Golden {
    greedy_token_ids_from_bos: Vec<u32>,
}

/// What transformers finds.
#[derive(Deserialize)]
struct Recorded {
    context: usize,
    stride: usize,
    nll: f64,
    tokens: usize,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lm").join(name)
}

fn json<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

fn stories() -> (Model, Tokens) {
    let model = Model::load(&Checkpoint::open(fixture("stories260K.bin")).unwrap()).unwrap();
    (model, Tokens::open(fixture("tok512.bin")).unwrap())
}

#[test]
fn the_published_text_is_written() {
    let (model, tokens) = stories();
    let mut reading = Reading::after(&tokens, &[1]).unwrap();
    let mut text = String::new();
    let found = generate(&model, &[1], Sampling::greedy(256), |token| {
        text.push_str(&reading.push(token).unwrap());
        true
    });
    assert_eq!(found.unwrap().reason, StopReason::Steps);
    assert_eq!(text, PUBLISHED);
}

/// What left the window is forgotten, and no token is another for it.
#[test]
fn windows_are_all_that_generation_keeps() {
    for name in ["mistral-window-f32", "qwen3-window-bf16"] {
        let mut model = Model::load(&Checkpoint::open(fixture(name)).unwrap()).unwrap();
        (model.config.bos, model.config.eos) = (None, Vec::new());
        let found = generate(&model, &[1, 17, 80], Sampling::greedy(50), |_| true).unwrap().tokens;
        let mut all = vec![1, 17, 80];
        for token in found {
            let logits = model.logits(&all);
            let last = &logits[logits.len() - 96..];
            let best = (0..96).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap();
            // Sums in another order decide between equals.
            assert!(last[best] - last[token as usize] < 1e-4, "{name}, {}", all.len());
            all.push(token);
        }
        assert_eq!(all.len(), 53);
    }
}

#[test]
fn generation_ends_for_its_reasons() {
    let (mut model, _) = stories();
    let tokens = generate(&model, &[1], Sampling::greedy(20), |_| true).unwrap().tokens;
    let heard = generate(&model, &[1], Sampling::greedy(20), |token| token != tokens[4]).unwrap();
    assert_eq!((heard.reason, &heard.tokens[..]), (StopReason::Caller, &tokens[..5]));
    model.config.eos = vec![tokens[5]];
    let ended = generate(&model, &[1], Sampling::greedy(20), |_| true).unwrap();
    assert_eq!((ended.reason, &ended.tokens[..]), (StopReason::End, &tokens[..5]));
    (model.config.eos, model.config.context) = (Vec::new(), 6);
    let full = generate(&model, &[1], Sampling::greedy(20), |_| true).unwrap();
    assert_eq!((full.reason, &full.tokens[..]), (StopReason::Context, &tokens[..6]));
    assert!(matches!(generate(&model, &[], Sampling::greedy(1), |_| true), Err(LmFault::Short { .. })));
    assert!(matches!(generate(&model, &[1; 7], Sampling::greedy(1), |_| true), Err(LmFault::Context { .. })));
    assert!(matches!(generate(&model, &[512], Sampling::greedy(1), |_| true), Err(LmFault::Token { token: 512, .. })));
    let warm = Sampling { temperature: 1.0, seed: 4, ..Sampling::greedy(20) };
    model.config.context = 512;
    let draw = |sampling| generate(&model, &[1], sampling, |_| true).unwrap().tokens;
    assert_eq!(draw(warm), draw(warm));
    assert_ne!(draw(warm), draw(Sampling { seed: 5, ..warm }));
    let narrow = Sampling { top_k: Some(40), top_p: Some(0.9), ..warm };
    assert_eq!(draw(narrow), draw(narrow));
    assert_ne!(draw(narrow), draw(Sampling { seed: 5, ..narrow }));
    for one in [Sampling { top_k: Some(1), ..warm }, Sampling { top_p: Some(1e-9), ..warm }] {
        assert_eq!(draw(one), tokens);
    }
}

#[test]
fn perplexities_are_those_of_transformers() {
    let (model, _) = stories();
    let text = json::<Golden>("stories260K.golden.json").greedy_token_ids_from_bos;
    for Recorded { context, stride, nll, tokens } in json::<Vec<Recorded>>("perplexity.json") {
        let found = perplexity(&model, &text, context, stride, None, &|_, _| true).unwrap();
        assert_eq!(found.tokens, tokens);
        // Single against double precision.
        assert!((found.nll - nll).abs() < 1e-5, "{context}, {stride}: {} {nll}", found.nll);
        assert_eq!(found.perplexity, found.nll.exp());
    }
}

#[test]
fn a_beginning_before_every_window_scores_every_token() {
    let (model, _) = stories();
    let text = json::<Golden>("stories260K.golden.json").greedy_token_ids_from_bos;
    let found = perplexity(&model, &text, 64, 63, Some(1), &|_, _| true).unwrap();
    let mut sum = 0.0;
    for window in text.chunks(63) {
        let logits = model.logits(&[&[1], window].concat());
        sum += logits.chunks(512).zip(window).map(|(row, target)| surprise(row, *target as usize)).sum::<f64>();
    }
    assert_eq!((found.tokens, found.windows), (200, 4));
    assert!((found.nll - sum / 200.0).abs() < 1e-5);
    let refused = |context, stride, bos| perplexity(&model, &text, context, stride, bos, &|_, _| true).unwrap_err();
    assert!(matches!(refused(64, 0, None), LmFault::Window { .. }));
    assert!(matches!(refused(64, 64, Some(1)), LmFault::Window { most: 63, .. }));
    assert!(matches!(refused(513, 4, None), LmFault::Context { .. }));
    assert!(matches!(refused(64, 8, Some(600)), LmFault::Token { .. }));
    assert!(matches!(perplexity(&model, &[1], 64, 8, None, &|_, _| true), Err(LmFault::Short { .. })));
    assert!(matches!(perplexity(&model, &text, 64, 8, None, &|done, _| done < 2), Err(LmFault::Stopped)));
}

#[test]
fn choices_have_the_likelihoods_of_whole_sequences() {
    let (model, tokens) = stories();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("q.jsonl");
    let lines = r#"{"query": "Once upon a time, there was a little girl named", "choices": ["Lily.", "Lilith", "12"], "gold": 0}

{"ctx": "She loved to play with her", "endings": ["government", "friends"], "label": "1"}"#;
    std::fs::write(&file, lines).unwrap();
    let questions = read_questions(&file).unwrap();
    let found = score(&model, &tokens, &questions, &|_, _| true).unwrap();
    for (Question { choices, answer, .. }, scores) in questions.iter().zip(&found) {
        for (at, Choice { context, text: choice }) in choices.iter().enumerate() {
            let first = tokens.encode(context, true).unwrap().len();
            let whole = tokens.encode(&format!("{context} {choice}"), true).unwrap();
            let logits = model.logits(&whole);
            let rows = logits.chunks(512).zip(&whole[1..]).skip(first - 1);
            let expected: f64 = -rows.map(|(row, target)| surprise(row, *target as usize)).sum::<f64>();
            assert!((scores.log_likelihoods[at] - expected).abs() < 1e-4, "{choice}");
            assert_eq!(scores.by_bytes[at], scores.log_likelihoods[at] / choice.len() as f64);
        }
        assert_eq!((scores.answer, scores.cut), (*answer, 0));
        assert!(scores.correct() && scores.correct_by_bytes());
    }
    std::fs::write(&file, "{\"query\": \"a\"}").unwrap();
    assert!(read_questions(&file).unwrap_err().to_string().contains("line 1"));
    assert!(matches!(score(&model, &tokens, &questions, &|_, _| false), Err(LmFault::Stopped)));
}

#[test]
fn streamed_models_predict_as_those_in_memory_to_the_last_bit() {
    let text: Vec<u32> = (0..150).map(|at| (at * at * 7 + at / 3) % 96).collect();
    let models = ["llama-f32", "llama-bf16", "llama-f16", "qwen2-bf16", "qwen2-tied-f32", "mistral-f16", "qwen3-bf16"];
    for name in models.into_iter().chain(["mistral-window-f32", "qwen3-window-bf16", "qwen2-yarn-f32"]) {
        let checkpoint = Checkpoint::open(fixture(name)).unwrap();
        let model = Model::load(&checkpoint).unwrap();
        // 149 tokens are four windows of 37 and a token that has nothing before it.
        for (context, stride, bos, length, idle) in
            [(40, 9, None, 150, 0), (37, 37, None, 149, 1), (22, 21, Some(1), 150, 0)]
        {
            let text = &text[..length];
            let expected = perplexity(&model, text, context, stride, bos, &|_, _| true).unwrap();
            // Streams of `context` - 1 tokens with 32 numbers each: memory for none, of which one is taken; for two; for all.
            let pairs = 2 * (context - 1) * 32 * 4;
            let windows = expected.windows - idle;
            for (memory, reads) in [(0, windows), (pairs, windows.div_ceil(2)), (usize::MAX, 1)] {
                let found = streamed(&checkpoint, text, context, stride, bos, memory, &|_, _| true).unwrap();
                assert_eq!(found, Streamed { perplexity: expected.clone(), reads }, "{name}, {context}, {memory}");
            }
        }
    }
}

#[test]
fn streaming_tells_how_far_it_is_and_stops() {
    let checkpoint = Checkpoint::open(fixture("qwen2-bf16")).unwrap();
    let text: Vec<u32> = (0..60).collect();
    let measure = |memory, heard: &(dyn Fn(usize, usize) -> bool + Sync)| {
        streamed(&checkpoint, &text, 10, 10, None, memory, heard)
    };
    for memory in [0, usize::MAX] {
        let (asked, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let found = measure(memory, &|done, all| {
            asked.fetch_add(1, Ordering::Relaxed);
            most.fetch_max(done, Ordering::Relaxed);
            all == 6
        });
        assert!(found.is_ok());
        // Before each of three blocks and the head, for each of six windows; the last is not done before it is asked about.
        assert_eq!((asked.into_inner(), most.into_inner()), (24, 5));
        assert!(matches!(measure(memory, &|done, _| done < 2), Err(LmFault::Stopped)));
    }
    assert!(matches!(streamed(&checkpoint, &text, 65, 8, None, 0, &|_, _| true), Err(LmFault::Context { .. })));
    assert!(matches!(streamed(&checkpoint, &[1, 96], 9, 8, None, 0, &|_, _| true), Err(LmFault::Token { .. })));
}

#[test]
fn gaps_score_what_follows_them() {
    let (model, tokens) = stories();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("q.jsonl");
    let line = r#"{"sentence": "Tom saw a big dog. The _ barked.", "option1": "dog", "option2": "sky", "answer": "1"}"#;
    std::fs::write(&file, line).unwrap();
    let found = score(&model, &tokens, &read_questions(&file).unwrap(), &|_, _| true).unwrap();
    for (option, likelihood) in ["dog", "sky"].iter().zip(&found[0].log_likelihoods) {
        let context = format!("Tom saw a big dog. The {option}");
        let first = tokens.encode(&context, true).unwrap().len();
        let whole = tokens.encode(&format!("{context} barked."), true).unwrap();
        let logits = model.logits(&whole);
        let rows = logits.chunks(512).zip(&whole[1..]).skip(first - 1);
        let expected: f64 = -rows.map(|(row, target)| surprise(row, *target as usize)).sum::<f64>();
        assert!((likelihood - expected).abs() < 1e-4, "{option}");
    }
    assert!(found[0].correct());
}

#[test]
fn contexts_that_are_too_long_lose_their_beginning() {
    let (mut model, tokens) = stories();
    let question = |context: &str| Question {
        line: 7,
        choices: ["friends.", "dog."]
            .map(|text| Choice { context: context.to_owned(), text: text.to_owned() })
            .to_vec(),
        answer: 0,
    };
    let asked = question("Once upon a time, there was a little girl named Lily. She loved to play with her");
    let whole = tokens
        .encode("Once upon a time, there was a little girl named Lily. She loved to play with her friends.", true);
    let whole = whole.unwrap();
    let first = tokens.encode(&asked.choices[0].context, true).unwrap().len();
    model.config.context = 12;
    let found = &score(&model, &tokens, std::slice::from_ref(&asked), &|_, _| true).unwrap()[0];
    // The last twelve tokens but one are read; the last is predicted.
    let end = &whole[whole.len() - 13..];
    assert_eq!(found.cut, whole.len() - 13);
    let logits = model.logits(end);
    let rows = logits.chunks(512).zip(&end[1..]).skip(first - found.cut - 1);
    let expected: f64 = -rows.map(|(row, target)| surprise(row, *target as usize)).sum::<f64>();
    assert!((found.log_likelihoods[0] - expected).abs() < 1e-4);
    model.config.context = 2;
    let long = score(&model, &tokens, &[asked], &|_, _| true).unwrap_err();
    assert!(matches!(long, LmFault::Choice { line: 7, choice: 0, context: 2, .. }), "{long}");
}

/// A model whose weights are finite, and whose values are not.
fn overflowing() -> (Model, Tokens) {
    let (mut model, tokens) = stories();
    model.blocks[2].up.data_mut().iter_mut().for_each(|weight| *weight *= 1e20);
    model.blocks[2].down.data_mut().iter_mut().for_each(|weight| *weight *= 1e30);
    (model, tokens)
}

#[test]
fn what_is_not_finite_is_refused() {
    let (model, tokens) = overflowing();
    let text: Vec<u32> = (0..40).map(|token| 300 + token).collect();
    let found = perplexity(&model, &text, 16, 8, None, &|_, _| true);
    assert!(matches!(found, Err(LmFault::Loss { window: 1, windows: 4, tokens: 39 })), "{found:?}");
    let mut heard = 0;
    let found = generate(&model, &[1], Sampling::greedy(9), |_| {
        heard += 1;
        true
    });
    assert!(matches!(found, Err(LmFault::Logits { step: 1, .. })), "{found:?}");
    assert_eq!(heard, 0);
    let choices = ["b", "c"].map(|text| Choice { context: "A".to_owned(), text: text.to_owned() }).to_vec();
    let found = score(&model, &tokens, &[Question { line: 3, choices, answer: 0 }], &|_, _| true);
    assert!(matches!(found, Err(LmFault::Likelihood { line: 3, choice: 0 })), "{found:?}");
}
