//! Tokenizers against those of Hugging Face and llama2.c (`fixtures/lm/generate.py`, `fixtures/lm/MANIFEST.md`).

use proptest::prelude::*;
use secateur_nn::lm::{LmFault, Reading, Tokens};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lm").join(name)
}

fn stories() -> Tokens {
    Tokens::open(fixture("tok512.bin")).unwrap()
}

#[derive(Deserialize)]
struct Golden {
    prompt: String,
    prompt_token_ids: Vec<u32>,
}

#[test]
fn json_tokenizers_give_recorded_tokens_and_texts() {
    let text = std::fs::read_to_string(fixture("tokens.json")).unwrap();
    let recorded: BTreeMap<String, Vec<(String, Vec<u32>, String)>> = serde_json::from_str(&text).unwrap();
    assert_eq!(recorded.len(), 2);
    for (name, cases) in recorded {
        let tokens = Tokens::open(fixture(&format!("{name}.tokenizer.json"))).unwrap();
        for (text, ids, back) in cases {
            assert_eq!(tokens.encode(&text, true).unwrap(), ids, "{name}: {text:?}");
            assert_eq!(tokens.decode(&ids).unwrap(), back, "{name}: {text:?}");
            let mut reading = Reading::after(&tokens, &[]).unwrap();
            let told: String = ids.iter().map(|id| reading.push(*id).unwrap()).collect();
            assert_eq!(told, back, "{name}: token by token");
        }
    }
}

#[test]
fn bytes_are_those_of_the_text() {
    let text = "<s> naïve</s> 🙂 x";
    for name in ["byte-level.tokenizer.json", "metaspace.tokenizer.json", "tok512.bin"] {
        let tokens = Tokens::open(fixture(name)).unwrap();
        for special in [false, true] {
            let count = tokens.encode(text, special).unwrap().len();
            assert_eq!(tokens.bytes_of(text, special, count + 5).unwrap(), text.len(), "{name}");
            let each: Vec<usize> = (0..=count).map(|first| tokens.bytes_of(text, special, first).unwrap()).collect();
            assert!(each[0] == 0 && each.is_sorted(), "{name}: {each:?}");
        }
    }
    // Whole characters, though the first token is one of four bytes.
    let bytes = Tokens::open(fixture("byte-level.tokenizer.json")).unwrap();
    assert_eq!(bytes.bytes_of("🙂🙂", false, 1).unwrap(), 4);
}

#[test]
fn long_texts_are_told_token_by_token() {
    let text = "Once upon a time, 日本語の文 – naïve 🙂🙂 café!  two spaces\n\ttabs, \u{301}\u{e1}; ".repeat(9);
    let files = ["byte-level.tokenizer.json", "metaspace.tokenizer.json", "tok512.bin"];
    for tokens in files.map(|name| Tokens::open(fixture(name)).unwrap()) {
        let ids = tokens.encode(&text, false).unwrap();
        let expected = tokens.decode(&ids).unwrap();
        for least in [0, 1, 200] {
            // Prompts end with whole characters.
            let text = |prompt: usize| tokens.decode(&ids[..prompt]).unwrap();
            let prompt = (least..).find(|prompt| expected.starts_with(&text(*prompt))).unwrap();
            let mut reading = Reading::after(&tokens, &ids[..prompt]).unwrap();
            let told: String = ids[prompt..].iter().map(|id| reading.push(*id).unwrap()).collect();
            assert_eq!(told, expected[text(prompt).len()..], "{}", tokens.path().display());
            assert_eq!(reading.finish().unwrap(), "");
        }
    }
}

#[test]
fn readings_end_with_what_was_held_back() {
    let tokens = Tokens::open(fixture("byte-level.tokenizer.json")).unwrap();
    let whole = tokens.encode("a\u{1f600}", false).unwrap();
    let told = |ids: &[u32]| {
        let mut reading = Reading::after(&tokens, &[]).unwrap();
        let pushed: String = ids.iter().map(|id| reading.push(*id).unwrap()).collect();
        (pushed, reading.finish().unwrap())
    };
    assert_eq!(told(&whole), ("a\u{1f600}".to_owned(), String::new()));
    let cut = &whole[..whole.len() - 1];
    let (pushed, rest) = told(cut);
    assert_eq!(pushed, "a");
    assert_eq!(format!("{pushed}{rest}"), tokens.decode(cut).unwrap());
    assert!(!rest.is_empty());
}

#[test]
fn stories_tokens_are_the_recorded_ones() {
    let text = std::fs::read_to_string(fixture("stories260K.golden.json")).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    let tokens = stories();
    assert_eq!(tokens.vocab(), 512);
    assert_eq!(tokens.encode(&golden.prompt, true).unwrap(), golden.prompt_token_ids);
    assert_eq!(tokens.decode(&golden.prompt_token_ids).unwrap(), golden.prompt);
    assert_eq!((tokens.encode("", true).unwrap(), tokens.encode("", false).unwrap()), (vec![1], vec![]));
}

/// The pieces of a file, with their scores.
fn pieces() -> Vec<(f32, Vec<u8>)> {
    let bytes = std::fs::read(fixture("tok512.bin")).unwrap();
    let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    let (mut found, mut at) = (Vec::new(), 4);
    while at < bytes.len() {
        let length = i32::from_le_bytes(word(at + 4)) as usize;
        found.push((f32::from_le_bytes(word(at)), bytes[at + 8..at + 8 + length].to_vec()));
        at += 8 + length;
    }
    found
}

/// The rule as it is stated: look at every pair, merge the best, begin again.
fn stated(text: &str) -> Vec<u32> {
    let pieces = pieces();
    let ids: HashMap<&[u8], usize> = pieces.iter().enumerate().rev().map(|(id, (_, piece))| (&piece[..], id)).collect();
    let mut tokens = Vec::new();
    for character in format!(" {text}").chars() {
        let bytes = character.to_string().into_bytes();
        match ids.get(&bytes[..]) {
            Some(id) => tokens.push(*id),
            None => tokens.extend(bytes.iter().map(|byte| 3 + usize::from(*byte))),
        }
    }
    loop {
        let mut best: Option<(f32, usize, usize)> = None;
        for at in 1..tokens.len() {
            let both = [&pieces[tokens[at - 1]].1[..], &pieces[tokens[at]].1].concat();
            let better = |id: &&usize| best.is_none_or(|(score, ..)| pieces[**id].0 > score);
            if let Some(id) = ids.get(&both[..]).filter(better) {
                best = Some((pieces[*id].0, at, *id));
            }
        }
        let Some((_, at, id)) = best else {
            return tokens.into_iter().map(|id| id as u32).collect();
        };
        tokens[at - 1] = id;
        tokens.remove(at);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn merging_is_that_of_the_rule(text in "([a-e ]|the|ing|\\PC){1,30}") {
        let tokens = stories();
        let found = tokens.encode(&text, false).unwrap();
        prop_assert_eq!(&found, &stated(&text));
        prop_assert_eq!(tokens.decode(&found).unwrap(), text);
    }

    #[test]
    fn texts_come_back_from_bytes(text in "(\\PC|[ \n\t]){0,30}") {
        let tokens = Tokens::open(fixture("byte-level.tokenizer.json")).unwrap();
        prop_assert_eq!(tokens.decode(&tokens.encode(&text, true).unwrap()).unwrap(), text);
    }
}

#[test]
fn damaged_tokenizers_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture("tok512.bin")).unwrap();
    let open = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Tokens::open(path)
    };
    for cut in [0, 3, 5, 9, 2000, bytes.len() - 1] {
        assert!(matches!(open("t.bin", &bytes[..cut]), Err(LmFault::Tokenizer { .. })), "{cut}");
    }
    let mut long = bytes.clone();
    long[8..12].copy_from_slice(&i32::MAX.to_le_bytes());
    assert!(open("t.bin", &long).unwrap_err().to_string().contains("token 0"));
    assert!(matches!(open("t.json", b"{\"model\": 3}"), Err(LmFault::Tokenizer { .. })));
    assert!(matches!(Tokens::beside(place.path()), Err(LmFault::NoTokenizer { .. })));
    assert!(matches!(Tokens::open(place.path().join("none.bin")), Err(LmFault::Io { .. })));
}
