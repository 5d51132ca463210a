//! Checkpoints against transformers: what it wrote and what it reads (`fixtures/lm/generate.py`), and damaged ones.

use flate2::Crc;
use secateur_nn::lm::{Block, Checkpoint, Config, LmFault, Matrix, Model, Scaling, Writer};
use secateur_nn::safetensors::{self, Dtype, Stored};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FOLDERS: [&str; 12] = [
    "llama-f32",
    "llama-bf16",
    "llama-f16",
    "qwen2-bf16",
    "qwen2-tied-f32",
    "llama-biased-bf16",
    "mistral-f16",
    "qwen3-bf16",
    "mistral-window-f32",
    "qwen3-window-bf16",
    "qwen2-yarn-f32",
    "llama-yarn-f16",
];

#[derive(Deserialize)]
struct Recorded {
    tokens: Vec<u32>,
    /// Of every second token.
    logits: BTreeMap<String, Vec<Vec<f64>>>,
}

#[derive(Deserialize)]
struct Written {
    checksum: u32,
    /// Of every fifth token.
    logits: Vec<Vec<f64>>,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lm").join(name)
}

fn json<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

fn load(path: &Path) -> Model {
    Model::load(&Checkpoint::open(path).unwrap()).unwrap()
}

/// The largest difference over the largest value.
fn difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
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
}

#[test]
fn logits_are_those_of_transformers() {
    let recorded: Recorded = json("logits.json");
    assert_eq!(recorded.logits.len(), FOLDERS.len());
    for (name, expected) in &recorded.logits {
        let found = load(&fixture(name)).logits(&recorded.tokens);
        for (row, expected) in found.chunks_exact(96).skip(1).step_by(2).zip(expected) {
            // Three blocks in single precision on either side, sums in another order; recorded to six digits.
            let error = difference(row, expected);
            assert!(error < 1e-5, "{name}: {error}");
        }
    }
}

/// Two blocks with the same input as one: heads and channels side by side.
fn beside(a: &Block, b: &Block) -> Block {
    let together = |a: &Option<Vec<f32>>, b: &Option<Vec<f32>>| Some([a.as_deref()?, b.as_deref()?].concat());
    let summed = |a: &Option<Vec<f32>>, b: &Option<Vec<f32>>| {
        Some(a.as_ref()?.iter().zip(b.as_ref()?).map(|(a, b)| a + b).collect())
    };
    Block {
        q: Matrix::stack(&[&a.q, &b.q]),
        k: Matrix::stack(&[&a.k, &b.k]),
        v: Matrix::stack(&[&a.v, &b.v]),
        o: Matrix::beside(&[&a.o, &b.o]),
        q_bias: together(&a.q_bias, &b.q_bias),
        k_bias: together(&a.k_bias, &b.k_bias),
        v_bias: together(&a.v_bias, &b.v_bias),
        gate: Matrix::stack(&[&a.gate, &b.gate]),
        up: Matrix::stack(&[&a.up, &b.up]),
        down: Matrix::beside(&[&a.down, &b.down]),
        o_bias: summed(&a.o_bias, &b.o_bias),
        gate_bias: together(&a.gate_bias, &b.gate_bias),
        up_bias: together(&a.up_bias, &b.up_bias),
        down_bias: summed(&a.down_bias, &b.down_bias),
        heads: a.heads + b.heads,
        kv_heads: a.kv_heads + b.kv_heads,
        ..a.clone()
    }
}

/// Models in other shapes than they came in, each with how it is written.
fn written() -> Vec<(&'static str, Model, Dtype, u64)> {
    let stories = load(&fixture("stories260K.bin"));
    let mut short = load(&fixture("llama-f16"));
    short.blocks.remove(1);
    short.config.blocks = 2;
    let mut wide = load(&fixture("qwen2-bf16"));
    wide.blocks = vec![wide.blocks[0].clone(), wide.blocks[1].clone(), wide.blocks[2].clone(), wide.blocks[0].clone()];
    wide.blocks = wide.blocks.chunks(2).map(|pair| beside(&pair[0], &pair[1])).collect();
    wide.config = Config { blocks: 2, heads: 8, kv_heads: 4, inner: 88, ..wide.config };
    let biased = load(&fixture("llama-bf16"));
    let mut shifted = load(&fixture("llama-biased-bf16"));
    shifted.blocks =
        vec![beside(&shifted.blocks[0], &shifted.blocks[1]), beside(&shifted.blocks[2], &shifted.blocks[0])];
    shifted.config = Config { blocks: 2, heads: 8, kv_heads: 4, inner: 88, ..shifted.config };
    let mut normed = load(&fixture("qwen3-bf16"));
    normed.blocks.push(normed.blocks[0].clone());
    normed.config.blocks = 3;
    let mut windows = load(&fixture("qwen3-window-bf16"));
    windows.blocks.push(windows.blocks[0].clone());
    windows.config.blocks = 3;
    vec![
        ("stories", stories, Dtype::F32, u64::MAX),
        ("short", short, Dtype::F16, u64::MAX),
        ("wide", wide, Dtype::F32, 30_000),
        ("biased", biased, Dtype::Bf16, 12_000),
        ("shifted", shifted, Dtype::F32, 60_000),
        ("normed", normed, Dtype::Bf16, u64::MAX),
        ("windows", windows, Dtype::Bf16, u64::MAX),
    ]
}

fn write(model: &Model, folder: &Path, dtype: Dtype, limit: u64) {
    let _ = std::fs::remove_dir_all(folder);
    let mut writer = Writer::sharded(folder, &model.config, dtype, limit).unwrap();
    model.write(&mut writer).unwrap();
    writer.finish().unwrap();
}

/// One checksum for all files of a folder, in the order of their names.
fn checksum(folder: &Path) -> u32 {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut sum = Crc::new();
    files.iter().for_each(|file| sum.update(&std::fs::read(file).unwrap()));
    sum.sum()
}

#[test]
fn transformers_reads_what_is_written() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lm-written");
    let models = written();
    for (name, model, dtype, limit) in &models {
        write(model, &place.join(name), *dtype, *limit);
    }
    let recorded: BTreeMap<String, Written> = json("written.json");
    let tokens = json::<Recorded>("logits.json").tokens;
    assert_eq!(recorded.len(), models.len());
    for (name, model, ..) in &models {
        let Written { checksum: expected, logits } = &recorded[*name];
        let folder = place.join(name);
        // Otherwise transformers was asked about other files: run `generate.py written` on this folder.
        assert_eq!(checksum(&folder), *expected, "{}", folder.display());
        let again = load(&folder);
        for (found, source) in [(model.logits(&tokens), "in memory"), (again.logits(&tokens), "read again")] {
            for (row, expected) in found.chunks_exact(model.config.vocab).step_by(5).zip(logits) {
                let error = difference(row, expected);
                assert!(error < 1e-5, "{name}, {source}: {error}");
            }
        }
    }
}

#[test]
fn what_is_not_changed_is_written_bit_for_bit() {
    for name in FOLDERS {
        let checkpoint = Checkpoint::open(fixture(name)).unwrap();
        let place = tempfile::tempdir().unwrap();
        write(&Model::load(&checkpoint).unwrap(), place.path(), checkpoint.dtype(), 12_000);
        let tensors = |folder: &Path| {
            let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
            files.flat_map(|path| safetensors::read(path).unwrap().tensors).collect::<BTreeMap<String, Stored>>()
        };
        assert!(tensors(&fixture(name)) == tensors(place.path()), "{name}");
        let config = |folder: &Path| -> serde_json::Value {
            serde_json::from_str(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap()
        };
        assert_eq!(config(&fixture(name)), config(place.path()), "{name}");
    }
}

#[test]
fn writers_refuse_what_has_no_place() {
    let place = tempfile::tempdir().unwrap();
    let model = load(&fixture("llama-f32"));
    let folder = place.path().join("wide");
    let mut writer = Writer::create(&folder, &model.config, Dtype::F32).unwrap();
    let wide = beside(&model.blocks[0], &model.blocks[1]);
    let fault = writer.block(1, &wide).unwrap_err();
    assert!(matches!(fault, LmFault::Block { block: 1, expected: 4, found: 8, .. }), "{fault}");
    for more in [
        Block { head_norms: load(&fixture("qwen3-bf16")).blocks[0].head_norms.clone(), ..model.blocks[1].clone() },
        Block { down_bias: Some(vec![0.0; 32]), ..model.blocks[1].clone() },
    ] {
        let fault = writer.block(1, &more).unwrap_err();
        assert!(matches!(fault, LmFault::Block { block: 1, expected: 0, found: 1, .. }), "{fault}");
    }
    assert!(matches!(writer.finish(), Err(LmFault::Unwritten { .. })));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "what is not finished is removed");

    let mut large = model.clone();
    large.norm[3] = 1e6;
    let fault = large.save(&place.path().join("large"), Dtype::F16).unwrap_err();
    assert!(matches!(&fault, LmFault::Range { tensor, index: 3, .. } if tensor == "model.norm.weight"), "{fault}");

    let whole = place.path().join("whole");
    model.save(&whole, Dtype::F32).unwrap();
    let again = model.save(&whole, Dtype::F32);
    assert!(matches!(&again, Err(LmFault::Occupied { file, .. }) if file == "config.json"), "{again:?}");
    assert!(Checkpoint::open(&whole).is_ok(), "what was there stays");
    let text = "tokenizer.json";
    for file in [
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "adapter_model.safetensors",
        "model.safetensors.part",
        text,
    ] {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(file), "{}").unwrap();
        match model.save(place.path(), Dtype::F32) {
            Err(LmFault::Occupied { file: found, .. }) => assert_eq!(found, file),
            found => assert!(file == text && found.is_ok(), "{file}: {found:?}"),
        }
        assert_eq!(std::fs::read(place.path().join(file)).unwrap(), b"{}", "{file} is as it was");
    }
    let odd = Config { o_bias: true, ..load(&fixture("qwen2-bf16")).config };
    assert!(matches!(Writer::create(&place.path().join("odd"), &odd, Dtype::F32), Err(LmFault::Config { .. })));
}

/// A copy of a folder with one file changed.
fn changed(name: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let bytes = if path.ends_with(file) { change(bytes) } else { bytes };
        std::fs::write(place.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    place
}

/// A configuration with another value of a key.
fn with(config: &[u8], key: &str, value: &str) -> Vec<u8> {
    let mut object: serde_json::Value = serde_json::from_slice(config).unwrap();
    object[key] = serde_json::from_str(value).unwrap();
    object.to_string().into_bytes()
}

fn fault(place: &tempfile::TempDir) -> String {
    Checkpoint::open(place.path()).and_then(|found| Model::load(&found)).unwrap_err().to_string()
}

#[test]
fn configurations_that_ask_for_something_else_are_refused_by_key() {
    for (key, value) in [
        ("model_type", r#""mamba""#),
        ("model_type", "null"),
        ("hidden_act", r#""gelu""#),
        ("hidden_size", "-1"),
        ("hidden_size", r#""32""#),
        ("num_hidden_layers", "null"),
        ("num_attention_heads", "0"),
        ("num_key_value_heads", "3"),
        ("head_dim", "7"),
        ("vocab_size", "1e99"),
        ("rms_norm_eps", "-1e-5"),
        ("mlp_bias", "1"),
        ("partial_rotary_factor", "0.5"),
        ("layer_types", r#"["sliding_attention"]"#),
        ("quantization_config", "{}"),
        ("eos_token_id", r#"["a"]"#),
        ("tie_word_embeddings", "1"),
        ("rope_parameters", r#"{"rope_type": "dynamic", "factor": 2}"#),
        ("rope_parameters", r#"{"rope_type": "linear"}"#),
        ("rope_parameters", "3"),
        ("rope_parameters", r#"{"rope_type": 3}"#),
        ("rope_parameters", r#"{"factor": 2}"#),
        ("rope_parameters", r#"{"rope_type": "default", "type": "linear", "factor": 2}"#),
        ("rope_scaling", r#"{"factor": 2}"#),
        ("rope_scaling", r#"{"type": "longrope", "factor": 2}"#),
        ("rms_norm_eps", "1e-300"),
        ("rms_norm_eps", "1e300"),
    ] {
        let place = changed("llama-f32", "config.json", |bytes| with(&bytes, key, value));
        let fault = fault(&place);
        let named = fault.contains(&format!("`{key}`")) || (value.contains("linear") && fault.contains("`factor`"));
        assert!(named && fault.contains("config.json"), "{key}: {fault}");
    }
    for (folder, key, value) in [
        ("mistral-f16", "sliding_window", "0"),
        ("mistral-f16", "layer_types", r#"["full_attention", "sliding_attention"]"#),
        ("mistral-f16", "layer_types", "[]"),
        ("mistral-window-f32", "layer_types", r#"["sliding_attention"]"#),
        ("mistral-window-f32", "layer_types", r#"["full_attention", "full_attention"]"#),
        ("mistral-f16", "sliding_window", r#""all""#),
        ("mistral-f16", "attention_bias", "true"),
        ("mistral-f16", "mlp_bias", "true"),
        ("qwen2-bf16", "use_sliding_window", "1"),
        ("qwen3-bf16", "layer_types", r#"["sliding_attention", "sliding_attention"]"#),
        ("qwen3-bf16", "mlp_bias", "true"),
    ] {
        let place = changed(folder, "config.json", |bytes| with(&bytes, key, value));
        let fault = fault(&place);
        assert!(fault.contains(&format!("`{key}`")), "{folder}: {fault}");
    }
    let broken = changed("llama-f32", "config.json", |mut bytes| {
        bytes.truncate(40);
        bytes
    });
    assert!(fault(&broken).contains("config.json"));
}

#[test]
fn old_keys_of_positions_are_understood() {
    let parse = |extra: &str| {
        let text = format!(
            r#"{{"model_type": "llama", "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 1,
                "num_attention_heads": 4, "vocab_size": 9, {extra} "rms_norm_eps": 1e-5}}"#
        );
        Config::parse(&text, "config.json")
    };
    let plain = parse("").unwrap();
    assert_eq!((plain.theta, plain.scaling, plain.kv_heads, plain.head_dim), (1e4, Scaling::None, 4, 8));
    assert_eq!((plain.bos, plain.eos, plain.context), (Some(1), vec![2], 2048));
    let scaled = parse(r#""rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0},"#).unwrap();
    assert_eq!((scaled.theta, scaled.scaling), (5e5, Scaling::Linear { factor: 2.0 }));
    assert!(
        parse(r#""rope_scaling": {"type": "dynamic", "factor": 2.0},"#)
            .unwrap_err()
            .to_string()
            .contains("rope_scaling")
    );
    assert_eq!(parse(r#""eos_token_id": [3, 4], "bos_token_id": null,"#).unwrap().eos, [3, 4]);
    // YaRN: the context of pre-training is said beside, within, or is the context; the factor may be what these leave.
    let yarn = |said: &str, beside: &str| {
        let found = parse(&format!(r#""rope_scaling": {{"type": "yarn", {said} "beta_fast": 16}}, {beside}"#))?.scaling;
        let Scaling::Yarn { factor, fast, slow, context, whole, length } = found else { panic!("{found:?}") };
        assert_eq!((fast, slow, whole), (16.0, 1.0, true));
        Ok::<_, LmFault>((factor, context, length))
    };
    let context = r#""original_max_position_embeddings": 512,"#;
    let usual = 0.1 * 4f64.ln() + 1.0;
    assert_eq!(yarn(r#""factor": 4,"#, "").unwrap(), (4.0, 2048.0, usual));
    assert_eq!(yarn(&format!(r#""factor": 4, {context}"#), "").unwrap(), (4.0, 512.0, usual));
    assert_eq!(
        yarn(r#""factor": null, "original_max_position_embeddings": 2,"#, context).unwrap(),
        (4.0, 512.0, usual)
    );
    assert_eq!(yarn(r#""factor": 4, "attention_factor": 3, "mscale": 1,"#, context).unwrap().2, 3.0);
    assert_eq!(yarn(r#""factor": 0.5,"#, "").unwrap().2, 1.0);
    // What is 0 says nothing, and a null that is no truth is none.
    let zeros = yarn(r#""factor": 4, "mscale": 0.7, "mscale_all_dim": 0, "beta_slow": 0,"#, "").unwrap();
    assert_eq!(zeros.2, usual);
    let null = parse(r#""rope_scaling": {"type": "yarn", "factor": 4, "truncate": null},"#).unwrap().scaling;
    assert!(matches!(null, Scaling::Yarn { whole: false, .. }), "{null:?}");
    assert!(yarn("", "").unwrap_err().to_string().contains("factor"));
    assert_eq!(parse(r#""rope_scaling": {}, "hidden_act": "swish","#).unwrap().scaling, Scaling::None);
    let flat = yarn(r#""factor": 4, "rope_theta": 1,"#, "").unwrap_err().to_string();
    assert!(flat.contains("rope_theta above 1"), "{flat}");
    let both = |new: &str, old: &str| parse(&format!(r#""rope_parameters": {new}, "rope_scaling": {old},"#));
    let linear = r#"{"rope_type": "linear", "factor": 2}"#;
    assert_eq!(both(linear, r#"{"type": "linear", "factor": 2.0}"#).unwrap().scaling, Scaling::Linear { factor: 2.0 });
    assert_eq!(both("null", linear).unwrap().scaling, Scaling::Linear { factor: 2.0 });
    assert_eq!(both(r#"{"rope_theta": 9.0}"#, "null").unwrap().theta, 9.0);
    for (new, old) in [(r#"{"rope_theta": 1e4}"#, linear), (linear, r#"{"type": "linear", "factor": 3}"#)] {
        let fault = both(new, old).unwrap_err().to_string();
        assert!(fault.contains("`rope_parameters`") && fault.contains("`rope_scaling`"), "{fault}");
    }
}

#[test]
fn tokens_that_end_a_text_are_those_of_both_files() {
    let generation = |text: &str| {
        let place = changed("llama-f32", "config.json", |bytes| bytes);
        std::fs::write(place.path().join("generation_config.json"), text).unwrap();
        place
    };
    let ends = load(&fixture("llama-f32")).config.eos;
    for (text, more) in
        [("{}", vec![]), (r#"{"eos_token_id": 7}"#, vec![7]), (r#"{"eos_token_id": [9, 7]}"#, vec![9, 7])]
    {
        let model = load(generation(text).path());
        assert_eq!(model.config.eos, [&ends[..], &more].concat(), "{text}");
        let written = tempfile::tempdir().unwrap();
        model.save(written.path(), Dtype::F32).unwrap();
        assert_eq!(
            load(written.path()).config,
            Config { original: load(written.path()).config.original, ..model.config }
        );
    }
    assert!(fault(&generation(r#"{"eos_token_id": "a"}"#)).contains("generation_config.json: `eos_token_id`"));
    assert!(fault(&generation("{")).contains("generation_config.json"));
}

#[test]
fn heads_that_differ_from_the_embedding_are_not_tied_to_it() {
    let (head, embedding) = ("lm_head.weight", "model.embed_tokens.weight");
    let with = |change: &dyn Fn(&mut Stored)| {
        changed("qwen2-tied-f32", "model.safetensors", |bytes| {
            let mut found = safetensors::parse(&bytes, "model.safetensors").unwrap();
            let mut stored = found.tensors[embedding].clone();
            change(&mut stored);
            found.tensors.insert(head.to_owned(), stored);
            safetensors::to_bytes(&found)
        })
    };
    let tied = load(&fixture("qwen2-tied-f32"));
    assert!(tied.config.tied && tied.head.is_none());
    assert_eq!(load(with(&|_| ()).path()), tied);
    let place = with(&|stored| stored.bytes[400..404].copy_from_slice(&7f32.to_le_bytes()));
    let own = load(place.path());
    assert!(!own.config.tied);
    assert_eq!(own.head.as_ref().map(|head| head.data()[100]), Some(7.0));
    assert_ne!(own.logits(&[1, 2]), tied.logits(&[1, 2]));
    let written = tempfile::tempdir().unwrap();
    own.save(written.path(), Dtype::F32).unwrap();
    assert_eq!(load(written.path()).head, own.head);
    assert!(fault(&with(&|stored| stored.shape.reverse())).contains(head));
}

#[test]
fn damaged_weights_are_refused_by_tensor() {
    let file = "model.safetensors";
    let edit = |change: &dyn Fn(&mut BTreeMap<String, Stored>)| {
        changed("llama-f32", file, |bytes| {
            let mut found = safetensors::parse(&bytes, file).unwrap();
            change(&mut found.tensors);
            safetensors::to_bytes(&found)
        })
    };
    let name = "model.layers.1.mlp.up_proj.weight";
    let missing = fault(&edit(&|tensors| drop(tensors.remove(name))));
    assert!(missing.contains("no tensor") && missing.contains(name), "{missing}");
    let shape = fault(&edit(&|tensors| tensors.get_mut(name).unwrap().shape.reverse()));
    assert!(shape.contains(name) && shape.contains("[44, 32]") && shape.contains("[32, 44]"), "{shape}");
    let infinite =
        fault(&edit(&|tensors| tensors.get_mut(name).unwrap().bytes[40..44].copy_from_slice(&f32::NAN.to_le_bytes())));
    assert!(infinite.contains(name) && infinite.contains("entry 10"), "{infinite}");
    let truth =
        fault(&edit(&|tensors| drop(tensors.insert("model.norm.weight".into(), Stored::truth(vec![32], &[true; 32])))));
    assert!(truth.contains("model.norm.weight") && truth.contains("BOOL"), "{truth}");
    let more =
        fault(&edit(&|tensors| drop(tensors.insert("model.layers.0.q_norm".into(), Stored::f32(vec![1], &[1.0])))));
    assert!(more.contains("model.layers.0.q_norm"), "{more}");
    for cut in [0, 7, 100, 5000] {
        let cut = changed("llama-f32", file, |bytes| bytes[..cut].to_vec());
        assert!(fault(&cut).contains("truncated"), "{}", fault(&cut));
    }
    let gone = changed("qwen2-bf16", "config.json", |bytes| bytes);
    std::fs::remove_file(gone.path().join("model-00002-of-00004.safetensors")).unwrap();
    assert!(fault(&gone).contains("model-00002-of-00004.safetensors"));
    let outside = changed("qwen2-bf16", "model.safetensors.index.json", |_| {
        br#"{"weight_map": {"model.norm.weight": "../elsewhere.safetensors"}}"#.to_vec()
    });
    assert!(fault(&outside).contains("elsewhere"));
    std::fs::remove_file(outside.path().join("model.safetensors.index.json")).unwrap();
    assert!(fault(&outside).contains("neither"));
    let twice = changed("qwen2-bf16", "model.safetensors.index.json", |bytes| {
        String::from_utf8(bytes).unwrap().replacen("model-00001", "copy-00001", 1).into_bytes()
    });
    let shard = |name: &str| twice.path().join(format!("{name}-00001-of-00004.safetensors"));
    std::fs::copy(shard("model"), shard("copy")).unwrap();
    assert!(fault(&twice).contains("more than one file"));
    let stale = changed("llama-f32", "config.json", |bytes| bytes);
    let index = fixture("qwen2-bf16").join("model.safetensors.index.json");
    std::fs::copy(index, stale.path().join("model.safetensors.index.json")).unwrap();
    assert_eq!(load(stale.path()), load(&fixture("llama-f32")), "the single file counts");
}

#[test]
fn damaged_files_of_llama2c_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture("stories260K.bin")).unwrap();
    let open = |bytes: &[u8]| {
        let path = place.path().join("m.bin");
        std::fs::write(&path, bytes).unwrap();
        Checkpoint::open(path).and_then(|found| Model::load(&found)).unwrap_err().to_string()
    };
    for cut in [0, 27, 28, 1000, bytes.len() - 1] {
        assert!(open(&bytes[..cut]).contains("expected"), "{cut}");
    }
    assert!(open(&[&bytes[..], &[0]].concat()).contains("1056541"));
    let header = |at: usize, value: i32| {
        let mut bytes = bytes.clone();
        bytes[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
        open(&bytes)
    };
    assert!(header(0, 0).contains("width is 0"));
    assert!(header(2, -5).contains("blocks is -5"));
    assert!(header(3, 7).contains("do not divide"));
    assert!(header(0, 0x616b_3432).contains("version"));
    assert!([0, 1, 2, 6].iter().all(|at| header(*at, i32::MAX - 7).contains("expected")));
    let mut infinite = bytes.clone();
    infinite[28 + 40..28 + 44].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert!(open(&infinite).contains("`model.embed_tokens.weight`: entry 10"));
}
