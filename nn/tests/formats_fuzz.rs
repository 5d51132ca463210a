//! Neither reader panics, hangs or fills the memory, whatever bytes it gets.

use proptest::prelude::*;
use secateur_nn::{onnx, vnnlib};
use std::sync::LazyLock;

/// Valid networks in every operator form.
static MODELS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let cases: Vec<serde_json::Value> = serde_json::from_str(include_str!("fixtures/onnx_operators.json")).unwrap();
    let bytes = |c: &serde_json::Value| {
        let hex = c["model"].as_str().unwrap();
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    };
    cases.iter().map(bytes).collect()
});

const PROPERTIES: [&str; 3] = [
    "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)
     (assert (and (>= X_0 -1.5) (<= X_0 1e-1) (>= X_1 0) (<= X_1 2)))
     (assert (or (and (<= (+ Y_0 (* 2 X_0)) Y_1) (< Y_0 3)) (and (>= X_1 1) (= Y_1 (- Y_0)))))",
    "(vnnlib-version <2.0>)
     (declare-network N (declare-input X float32 [1, 2] \"in\") (declare-output Y real [2]))
     (assert (and (>= X[0,0] -1) (<= X[0,0] 1) (>= X[0,1] 0) (<= X[0,1] 2)))
     (assert (or (!= Y[0] Y[1]) (> (* 3 Y[1]) 2)))",
    "; bounds in the branches\n(declare-const X_0 Real)\n(declare-const Y_0 Real)\n
     (assert (or (and (>= X_0 0) (<= X_0 1) (>= Y_0 1)) (and (>= X_0 4) (<= X_0 5) (<= Y_0 1))))",
];

/// A change of a file.
#[derive(Clone, Debug)]
enum Change {
    Flip { at: prop::sample::Index, bit: u8 },
    Set { at: prop::sample::Index, byte: u8 },
    Cut { at: prop::sample::Index },
    Remove { at: prop::sample::Index, count: usize },
    Repeat { from: prop::sample::Index, count: usize, times: usize },
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip { at, bit }),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set { at, byte }),
        at().prop_map(|at| Change::Cut { at }),
        (at(), 1..9_usize).prop_map(|(at, count)| Change::Remove { at, count }),
        (at(), 1..40_usize, 1..5_usize).prop_map(|(from, count, times)| Change::Repeat { from, count, times }),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    match change {
        Change::Flip { at, bit } => *at.get_mut(bytes) ^= 1 << bit,
        Change::Set { at, byte } => *at.get_mut(bytes) = *byte,
        Change::Cut { at } => bytes.truncate(at.index(bytes.len())),
        Change::Remove { at, count } => {
            let start = at.index(bytes.len());
            bytes.drain(start..(start + count).min(bytes.len()));
        }
        Change::Repeat { from, count, times } => {
            let start = from.index(bytes.len());
            let part = bytes[start..(start + count).min(bytes.len())].repeat(*times);
            bytes.splice(start..start, part);
        }
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    // Stored, not compressed: one block of at most 65,535 bytes, whose checksum is left wrong.
    let length = u16::try_from(bytes.len()).unwrap();
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    [&header[..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes, &[0; 8]].concat()
}

/// Checks that a reader's answer is of bounded size, and an error one that names the origin.
fn check_network(bytes: &[u8]) {
    match onnx::parse(bytes, "fuzzed") {
        Ok(graph) => assert!(graph.nodes().all(|(_, n)| n.shape.iter().product::<usize>() <= 1 << 31)),
        Err(error) => assert!(error.to_string().starts_with("fuzzed: "), "{error}"),
    }
}

fn check_property(bytes: &[u8]) {
    match vnnlib::parse(bytes, "fuzzed") {
        Ok(property) => {
            assert!(!property.cases.is_empty());
            for case in &property.cases {
                assert!(case.lower.len() == property.inputs && case.upper.len() == property.inputs);
                assert!(case.lower.iter().zip(&case.upper).all(|(lower, upper)| lower <= upper));
                assert!(!case.unsafe_set.is_empty());
                let constraints = case.unsafe_set.iter().flatten();
                for constraint in constraints {
                    assert!(constraint.inputs.iter().all(|(i, _)| *i < property.inputs));
                    assert!(constraint.outputs.iter().all(|(i, _)| *i < property.outputs));
                }
            }
        }
        Err(error) => assert!(error.to_string().starts_with("fuzzed"), "{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check_network(&bytes);
        check_property(&bytes);
        check_network(&gzipped(&bytes));
        check_property(&gzipped(&bytes));
    }

    #[test]
    fn arbitrary_fields_of_a_model(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        // A graph around the bytes, so that they are taken for its fields.
        let model = [&[0x3a, u8::try_from(bytes.len()).unwrap()][..], &bytes, &[0x42, 2, 0x10, 13]].concat();
        check_network(&model);
    }

    #[test]
    fn arbitrary_words(words in prop::collection::vec(
        prop::sample::select(vec![
            "(", "(", "(", ")", ")", ")", "assert", "and", "or", "<=", ">", "=", "!=", "+", "-", "*", "X_0", "Y_0", "X[0]", "N",
            "X", "[1,2]", "1", "-0.5", "1e300", "declare-const", "Real", "declare-network", "declare-input",
            "declare-output", "real", "vnnlib-version", "<2.0>", ";", "\n", "\"",
        ]),
        0..80,
    )) {
        check_property(words.join(" ").as_bytes());
    }

    #[test]
    fn changed_networks(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut bytes = which.get(&MODELS).clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        check_network(&bytes);
    }

    #[test]
    fn changed_properties(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut bytes = which.get(&PROPERTIES).as_bytes().to_vec();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        check_property(&bytes);
    }
}

#[test]
fn every_prefix_of_every_network_is_read_or_refused() {
    for bytes in MODELS.iter() {
        (0..bytes.len()).for_each(|end| check_network(&bytes[..end]));
    }
}

#[test]
fn unpacking_stops_at_the_limit() {
    // 300 MB of blanks: more than a property may have. Packed, they are a few hundred kilobytes.
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..300 {
        std::io::Write::write_all(&mut packer, &blanks).unwrap();
    }
    let error = vnnlib::parse(packer.finish().unwrap(), "bomb").unwrap_err();
    assert!(error.to_string().starts_with("bomb: cannot be read"), "{error}");
}
