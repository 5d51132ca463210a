//! Methods that make language models smaller, compared: perplexity, parameters, bytes, speed.
//!
//! | step | file |
//! |---|---|
//! | what is to be compared: a TOML file | [`Config`] in `config.rs` |
//! | the model, its texts, one measurement | `measure.rs` |
//! | rows of the table: means over seeds | [`Row`] in `rows.rs` |
//! | the page and its figures | `page.rs` |

mod config;
mod measure;
mod page;
mod rows;

pub use config::{Config, Variant};
pub use measure::{Measured, Speed};
pub use rows::{Row, rows};

use crate::journal::{self, Journal, JournalError};
use crate::theory::StudyError;
use crate::watcher::Watcher;
use measure::Subject;
use secateur_prune::depth::{Settings, Similarity, compress};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A comparison: its configuration, its measurements, and what the original is like.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The program's version.
    pub version: String,
    /// What was asked.
    pub config: Config,
    /// Threads that speed was measured with.
    pub threads: usize,
    /// Blocks of the original.
    pub blocks: usize,
    /// Cosines between its streams on the calibration tokens of the first seed: (blocks + 1)², row by row.
    pub cosines: Vec<f64>,
    /// The original first, then every method, size and seed.
    pub measured: Vec<Measured>,
}

/// Runs the comparison of a configuration file into a directory; its page in Markdown.
///
/// # Errors
/// See [`StudyError`].
pub fn study(path: &Path, directory: &Path, watcher: &dyn Watcher) -> Result<String, StudyError> {
    let base = path.parent().unwrap_or(Path::new(""));
    run(&Config::read(path)?, base, directory, watcher)?;
    let page = directory.join("report.md");
    std::fs::read_to_string(&page).map_err(|source| StudyError::Io { path: page, source })
}

/// Runs a comparison; writes `measurements.jsonl`, `record.json`, and the page with its figures into a directory.
/// Measurements that are there already are not made again. Paths of the configuration begin at `base`.
///
/// # Errors
/// See [`StudyError`].
pub fn run(config: &Config, base: &Path, directory: &Path, watcher: &dyn Watcher) -> Result<Record, StudyError> {
    let subject = Subject::load(config, base)?;
    let (mut journal, mut measured) = Journal::open::<Measured>(directory, config)?;
    let jobs = jobs(config);
    let all = jobs.len() + 1;
    if measured.is_empty() {
        watcher.measuring(0, all, "original");
        let original = subject.measure(&subject.model, "original", config.seeds[0], directory)?;
        journal.append(&original)?;
        measured.push(original);
    }
    for (variant, blocks, seed) in jobs {
        let same = |m: &&Measured| (m.label.as_str(), m.asked, m.seed) == (variant.label(), blocks, seed);
        if measured.iter().skip(1).any(|m| same(&m)) {
            continue;
        }
        if watcher.stop() {
            return Err(StudyError::Stopped { done: measured.len(), all });
        }
        watcher.measuring(measured.len(), all, &format!("{} to {blocks} blocks, seed {seed}", variant.label()));
        let settings =
            Settings { method: variant.name, blocks, params: variant.params(), seed, recover: variant.recover };
        let sequences = subject.sequences(config, seed)?;
        let begin = std::time::Instant::now();
        let small = compress(&subject.model, &sequences, &settings)?;
        let seconds = begin.elapsed().as_secs_f64();
        let found = subject.measure(&small.model, variant.label(), seed, directory)?;
        let found = Measured { asked: blocks, seconds, ..found };
        journal.append(&found)?;
        measured.push(found);
    }
    let similarity = Similarity::measure(&subject.model, &subject.sequences(config, config.seeds[0])?)?;
    let blocks = similarity.blocks();
    let cosines = (0..(blocks + 1).pow(2)).map(|at| similarity.at(at / (blocks + 1), at % (blocks + 1))).collect();
    let (version, threads) = (env!("CARGO_PKG_VERSION").to_owned(), measure::threads());
    let record = Record { version, config: config.clone(), threads, blocks, cosines, measured };
    let text = serde_json::to_string(&record).map_err(JournalError::Json)?;
    journal::write(&directory.join("record.json"), &text)?;
    page::report(&record)?.write(directory)?;
    Ok(record)
}

/// Every method with every size and seed; what looks at neither text nor chance, with one seed.
fn jobs(config: &Config) -> Vec<(&Variant, usize, u64)> {
    use secateur_prune::depth::Method::Magnitude;
    let mut jobs = Vec::new();
    for (variant, blocks) in config.methods.iter().flat_map(|v| config.blocks.iter().map(move |blocks| (v, *blocks))) {
        let seeds = if variant.name == Magnitude { &config.seeds[..1] } else { &config.seeds };
        jobs.extend(seeds.iter().map(|seed| (variant, blocks, *seed)));
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watcher::Silent;
    use secateur_prune::depth::Method;

    /// A small model in files, with tokens that are bytes.
    fn model(directory: &Path) {
        use secateur_linalg::random::Random;
        use secateur_nn::lm::{Block, Config as Sizes, Matrix, Model};
        let text = r#"{"model_type": "llama", "hidden_size": 12, "intermediate_size": 16, "num_hidden_layers": 4,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "vocab_size": 257, "rms_norm_eps": 1e-5,
            "max_position_embeddings": 64, "bos_token_id": 256, "eos_token_id": null, "tie_word_embeddings": true}"#;
        let config = Sizes::parse(text, "test").expect("a configuration");
        let mut random = Random::new(4);
        let mut matrix = |rows: usize, cols: usize| {
            let mut data = vec![0.0; rows * cols];
            random.fill_normal(&mut data, 0.2);
            Matrix::new(rows, cols, data)
        };
        let embedding = matrix(257, 12);
        let mut block = || Block {
            input_norm: vec![1.0; 12],
            q: matrix(16, 12),
            k: matrix(8, 12),
            v: matrix(8, 12),
            o: matrix(12, 16),
            post_norm: vec![1.0; 12],
            gate: matrix(16, 12),
            up: matrix(16, 12),
            down: matrix(12, 16),
            heads: 4,
            kv_heads: 2,
            head_dim: 4,
            ..Block::default()
        };
        let blocks = (0..4).map(|_| block()).collect();
        let model = Model { config, embedding, blocks, norm: vec![1.0; 12], head: None };
        model.save(directory, secateur_nn::safetensors::Dtype::F32).expect("written");
    }

    #[test]
    fn a_study_runs_once_and_goes_on() {
        let place = tempfile::tempdir().expect("a directory");
        model(&place.path().join("model"));
        std::fs::write(place.path().join("text.txt"), "What is smaller, and says the same? ".repeat(40))
            .expect("written");
        let methods: Vec<String> = Method::ALL.iter().map(|m| format!("[[method]]\nname = \"{m}\"\n")).collect();
        let text = format!(
            "title = \"Test\"\nmodel = \"model\"\ntext = \"text.txt\"\ntokenizer = \"bytes\"\ncontext = 32\nsequences = 3\nlength = 24\nblocks = [3, 2]\nseeds = [1, 2]\n{}",
            methods.concat()
        );
        let path = place.path().join("study.toml");
        std::fs::write(&path, text).expect("written");
        let out = place.path().join("out");
        let page = study(&path, &out, &Silent).expect("a study");
        let record: Record =
            serde_json::from_slice(&std::fs::read(out.join("record.json")).expect("a record")).expect("JSON");
        // Magnitude looks at no text.
        assert_eq!(record.measured.len(), 1 + 7 * 2 * 2 + 2);
        assert_eq!((record.blocks, record.cosines.len()), (4, 25));
        let original = &record.measured[0];
        let depth = |m: &&Measured| m.label == "flatten" && m.asked == 3;
        for found in record.measured.iter().filter(depth) {
            assert!(found.parameters < original.parameters && found.bytes < original.bytes && found.blocks == 3);
            assert!(found.perplexity.is_finite() && found.speed.decode > 0.0 && found.speed.prefill > 0.0);
        }
        let table = rows(&record);
        assert_eq!(table.len(), 1 + 8 * 2);
        assert!(page.contains("| flatten |") && page.contains("| original |"), "{page}");
        let again = study(&path, &out, &Silent).expect("nothing left to do");
        assert_eq!(again, page);
    }
}
