//! Which blocks of a language model can go: layer pruning as a cooperative game, beside other methods and the truly best sets.
//!
//! | step | file |
//! |---|---|
//! | what is to be measured: a TOML file | [`Config`] in `config.rs` |
//! | sequences of tokens | `text.rs` |
//! | each set of kept blocks once, side by side, on disk | `game.rs` |
//! | what a block is worth, by every concept | `concepts.rs` |
//! | which blocks each method removes, and what is left | `methods.rs` |
//! | pairs of blocks | `pairs.rs` |
//! | the page and its figures | `page.rs` |
//!
//! # Source
//! arXiv 2602.07804, with true Shapley values, searches and enumeration beside it.

mod concepts;
mod config;
mod game;
mod methods;
mod page;
mod pairs;
mod text;

pub use concepts::{Concept, Truth};
pub use config::{Config, Limits, Masks, Shapley};
pub use game::Measured;
pub use methods::{Choice, Method};
pub use pairs::Pairs;

use crate::journal::{self, JournalError};
use crate::texts::fingerprint;
use crate::theory::StudyError;
use crate::watcher::Watcher;
use game::Layers;
use secateur_nn::NnError;
use secateur_nn::lm::{Checkpoint, Model};
use secateur_prune::layer_game::surrogate::{Fitted, Quality};
use secateur_prune::layer_game::utility::Work;
use secateur_prune::layer_game::{Mask, Utility, baselines};
use serde::{Deserialize, Serialize};
use std::path::Path;
use text::Texts;

/// A study: its configuration and what follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The program's version.
    pub version: String,
    /// What was asked.
    pub config: Config,
    /// A number of the model, of the sequences and of the program's version, equal only where these are.
    pub fingerprint: String,
    /// Blocks of the model.
    pub blocks: usize,
    /// Numbers that the model stores.
    pub parameters: usize,
    /// The blocks that may go.
    pub players: Vec<usize>,
    /// Tokens that are predicted, measured and held out.
    pub targets: [usize; 2],
    /// Perplexity of the whole model, measured and held out.
    pub whole: [f64; 2],
    /// Perplexity without any of the blocks that may go, on the measured sequences; none where it is not finite.
    pub bare: Option<f64>,
    /// Measured masks.
    pub masks: usize,
    /// Masks that were dropped, because their perplexity is not finite.
    pub dropped: usize,
    /// Evaluations of blocks for all measured masks.
    pub work: Work,
    /// Kept blocks of strata.
    pub strata: Vec<usize>,
    /// A surrogate for each seed.
    pub surrogates: Vec<Fit>,
    /// Held-out masks of the first seed: what they are worth, and what the surrogate says.
    pub held_out: Vec<(f64, f64)>,
    /// The first surrogate's true errors.
    pub truths: Vec<Truth>,
    /// What each block is worth.
    pub concepts: Vec<Concept>,
    /// The concept that others are compared with.
    pub reference: Option<String>,
    /// Pairs of blocks, where there are not too many.
    pub pairs: Option<Pairs>,
    /// What each method removes.
    pub methods: Vec<Method>,
}

/// A surrogate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Its seed.
    pub seed: u64,
    /// On masks that it was fitted to.
    pub fitted: Quality,
    /// On masks that were held out.
    pub held_out: Quality,
}

impl Fit {
    fn of(seed: u64, fitted: &Fitted) -> Self {
        Self { seed, fitted: fitted.fitted, held_out: fitted.held_out }
    }
}

/// What measurements belong to.
#[derive(Serialize)]
struct Origin<'a> {
    config: &'a Config,
    fingerprint: &'a str,
}

/// Runs the study of a configuration file into a directory; its page in Markdown.
///
/// # Errors
/// See [`StudyError`].
pub fn study(path: &Path, directory: &Path, threads: usize, watcher: &dyn Watcher) -> Result<String, StudyError> {
    let config = Config::read(path)?;
    let base = path.parent().unwrap_or(Path::new("."));
    let fault = |fault| StudyError::Network(NnError::from(fault));
    let model = Model::load(&Checkpoint::open(base.join(&config.model)).map_err(fault)?).map_err(fault)?;
    let wrong = |(key, expected, found)| StudyError::Value { path: path.to_owned(), key, expected, found };
    let players = config.players(model.blocks.len()).map_err(wrong)?;
    let texts = Texts::read(&config, base, &model)?;
    let setting = Setting { config: &config, model: &model, players: &players, texts: &texts };
    setting.run(directory, threads, watcher)?;
    let page = directory.join("report.md");
    std::fs::read_to_string(&page).map_err(|source| StudyError::Io { path: page, source })
}

/// What is studied.
struct Setting<'a> {
    config: &'a Config,
    model: &'a Model,
    players: &'a [usize],
    texts: &'a Texts,
}

impl Setting<'_> {
    /// Measures, and writes the record and the page. Masks that are on disk are not measured again.
    fn run(&self, directory: &Path, threads: usize, watcher: &dyn Watcher) -> Result<Record, StudyError> {
        let fingerprint = fingerprint(self.model, &[&self.texts.measured, &self.texts.held_out]);
        let measured = Utility::new(self.model, &self.texts.measured)?;
        let held_out = Utility::new(self.model, &self.texts.held_out)?;
        let origin = Origin { config: self.config, fingerprint: &fingerprint };
        let open =
            |utility, directory: &Path| Layers::open(utility, self.players, directory, &origin, threads, watcher);
        let game = open(&measured, directory)?;
        let other = open(&held_out, &directory.join("held-out"))?;
        let result = self.record(&fingerprint, [&measured, &held_out], &game, &other);
        if watcher.stop() && result.is_err() {
            return Err(StudyError::Interrupted { done: game.count() + other.count() });
        }
        let record = result?;
        let text = serde_json::to_string(&record).map_err(JournalError::Json)?;
        journal::write(&directory.join("record.json"), &text)?;
        page::report(&record)?.write(directory)?;
        Ok(record)
    }

    fn record(
        &self,
        fingerprint: &str,
        utilities: [&Utility<'_>; 2],
        game: &Layers<'_>,
        held_out: &Layers<'_>,
    ) -> Result<Record, StudyError> {
        let (config, n) = (self.config, self.players.len());
        let table = concepts::table(config, game)?;
        let predicted = concepts::predicted(config, game)?;
        let mut concepts = concepts::concepts(config, game, table.as_ref(), &predicted)?;
        let influence = baselines::influence(self.model, &self.texts.measured)?;
        concepts.push(concepts::other("ShortGPT", &influence, self.players));
        concepts.push(concepts::other("magnitude", &baselines::magnitude(self.model), self.players));
        let reference = concepts::compare(&mut concepts);
        let enumerated = methods::enumerated(config, n, table.as_ref());
        let methods = methods::methods(config, game, held_out, self.players, &concepts, &predicted, &enumerated)?;
        let pairs = Pairs::measure(config, game, self.players)?;
        let first = &predicted[0].fitted;
        let truths = concepts::truths(config, game, table.as_ref(), &enumerated, &first.surrogate)?;
        let bare = game.nlls(&[Mask(0)])?[0].map(f64::exp);
        Ok(Record {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: config.clone(),
            fingerprint: fingerprint.to_owned(),
            blocks: self.model.blocks.len(),
            parameters: self.model.parameters(),
            players: self.players.to_vec(),
            targets: utilities.map(Utility::targets),
            whole: utilities.map(|utility| utility.full().exp()),
            bare,
            masks: game.count(),
            dropped: game.dropped(),
            work: game.work(),
            strata: concepts::sizes(config, n),
            surrogates: predicted.iter().map(|one| Fit::of(one.seed, &one.fitted)).collect(),
            held_out: first.pairs.iter().map(|(_, value, said)| (*value, *said)).collect(),
            truths,
            concepts,
            reference,
            pairs,
            methods,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watcher::Silent;
    use secateur_linalg::random::Random;
    use secateur_nn::lm::{Block, Config as Sizes, Matrix};
    use secateur_theory::game::shapley::shapley;
    use secateur_theory::game::{Game, Table};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Five blocks: 1 and 2 are the same, and 3 does nothing.
    fn model() -> Model {
        let text = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 13, "hidden_size": 8,
            "intermediate_size": 12, "num_hidden_layers": 5, "num_attention_heads": 2, "num_key_value_heads": 1,
            "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": false}"#;
        let mut random = Random::new(8);
        let mut matrix = |rows: usize, cols: usize| {
            let mut data = vec![0.0; rows * cols];
            random.fill_normal(&mut data, 0.4);
            Matrix::new(rows, cols, data)
        };
        let mut block = || Block {
            input_norm: vec![1.0; 8],
            post_norm: vec![1.0; 8],
            q: matrix(8, 8),
            k: matrix(4, 8),
            v: matrix(4, 8),
            o: matrix(8, 8),
            gate: matrix(12, 8),
            up: matrix(12, 8),
            down: matrix(8, 12),
            heads: 2,
            kv_heads: 1,
            head_dim: 4,
            ..Block::default()
        };
        let mut blocks: Vec<Block> = (0..5).map(|_| block()).collect();
        blocks[2] = blocks[1].clone();
        (blocks[3].o, blocks[3].down) = (Matrix::new(8, 8, vec![0.0; 64]), Matrix::new(8, 12, vec![0.0; 96]));
        let config = Sizes::parse(text, "a test").expect("a configuration");
        Model { config, blocks, embedding: matrix(13, 8), norm: vec![1.0; 8], head: Some(matrix(13, 8)) }
    }

    fn texts(model: &Model) -> Texts {
        let sequence = |index: u64| {
            let mut random = Random::stream(5, index);
            (0..12).map(|_| random.index(model.embedding.rows()) as u32).collect()
        };
        Texts { measured: (0..3).map(sequence).collect(), held_out: (3..8).map(sequence).collect() }
    }

    fn config() -> Config {
        let text = "title = \"a test\"\nmodel = \"m\"\ntext = \"t\"\nseeds = [0, 1]\nremoved = [1, 2]\nsequences = 3\n\
            [masks]\nkept = [4, 3]\nsamples = 15\nbase = 12\nbootstrap = 20\n[shapley]\nkernel = 8\n";
        toml::from_str(text).expect("a configuration")
    }

    #[test]
    fn axioms_hold_for_blocks() {
        let (model, place) = (model(), tempfile::tempdir().expect("a directory"));
        let texts = texts(&model);
        let utility = Utility::new(&model, &texts.measured).expect("a utility");
        let players = [0, 1, 2, 3, 4];
        let game = Layers::open(&utility, &players, place.path(), &"axioms", 2, &Silent).expect("a game");
        let values = shapley(&Table::of(&game).expect("all values"));
        let empty = game.scores(&[Mask(0)]).expect("a score")[0].expect("finite");
        // Five differences of numbers near 1, in doubles: efficiency, symmetry of the copies, nothing for what does nothing.
        assert!((values.iter().sum::<f64>() - (1.0 - empty)).abs() < 1e-12, "{values:?}");
        assert!((values[1] - values[2]).abs() < 1e-12 && values[3].abs() < 1e-12, "{values:?}");
        assert!(values[0].abs() > 1e-3 && values[4].abs() > 1e-3, "{values:?}");
        assert_eq!((game.count(), game.dropped(), game.work()), (32, 0, Work { done: 31, saved: 49 }));
    }

    #[test]
    fn blocks_that_may_not_go_stay() {
        let (model, place) = (model(), tempfile::tempdir().expect("a directory"));
        let texts = texts(&model);
        let utility = Utility::new(&model, &texts.measured).expect("a utility");
        let game = Layers::open(&utility, &[0, 4], place.path(), &"two", 1, &Silent).expect("a game");
        let found = game.scores(&[Mask(0b10)]).expect("a score");
        assert_eq!(found[0], utility.walk().score(Mask(0b11110)).score);
        assert_eq!(game.players(), 2);
    }

    /// Stops after so many measurements.
    struct Impatient(AtomicUsize);

    impl Watcher for Impatient {
        fn measuring(&self, _: usize, _: usize, _: &str) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }

        fn stop(&self) -> bool {
            self.0.load(Ordering::Relaxed) == 0
        }
    }

    #[test]
    fn a_study_goes_on_where_it_stopped() {
        let (model, config) = (model(), config());
        let texts = texts(&model);
        let setting = Setting { config: &config, model: &model, players: &[0, 1, 2, 3, 4], texts: &texts };
        let (whole, parts) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let once = setting.run(whole.path(), 2, &Silent).expect("a record");
        let stopped = setting.run(parts.path(), 1, &Impatient(AtomicUsize::new(7))).expect_err("stopped");
        assert!(matches!(stopped, StudyError::Interrupted { done: 7 }), "{stopped}");
        let again = setting.run(parts.path(), 1, &Silent).expect("a record");
        // Where a walk stops, the next begins with nothing.
        assert!(again.work.done > once.work.done);
        assert_eq!(Record { work: once.work, ..again }, once);
        let text = std::fs::read_to_string(whole.path().join("record.json")).expect("a record");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("JSON"), once);
        for name in ["index.html", "report.md", "removals.svg", "values.png", "pairs.svg", "surrogate.svg"] {
            assert!(whole.path().join(name).is_file(), "{name}");
        }
        let other = Texts { measured: texts.held_out.clone(), ..texts.clone() };
        let error = Setting { texts: &other, ..setting }.run(whole.path(), 1, &Silent).expect_err("other texts");
        assert!(error.to_string().contains("another configuration"), "{error}");
    }

    #[test]
    fn enumeration_bounds_every_method() {
        let (model, config) = (model(), config());
        let (texts, place) = (texts(&model), tempfile::tempdir().expect("a directory"));
        let setting = Setting { config: &config, model: &model, players: &[0, 1, 2, 3, 4], texts: &texts };
        let record = setting.run(place.path(), 0, &Silent).expect("a record");
        let best = record.methods.iter().find(|method| method.name == "best of all sets").expect("enumerated");
        let choices = record.methods.iter().flat_map(|method| &method.choices);
        for draw in choices {
            for (place, choice) in draw.iter().enumerate() {
                let (choice, best) =
                    (choice.as_ref().expect("a choice"), best.choices[0][place].as_ref().expect("a set"));
                assert_eq!((choice.removed.len(), best.better), (config.removed[place], Some(0)));
                assert!(choice.measured >= best.measured);
            }
        }
        // What does nothing goes first, and its removal changes nothing.
        let greedy = record.methods.iter().find(|method| method.name == "SLEB").expect("a method");
        assert_eq!(
            greedy.choices[0][0].as_ref().map(|choice| (&*choice.removed, choice.measured)),
            Some((&[3][..], Some(record.whole[0])))
        );
        let shapley = record.concepts.iter().find(|concept| concept.name == "Shapley").expect("exact");
        let sampled = record.concepts.iter().filter(|concept| concept.name.starts_with("Shapley, "));
        assert_eq!(sampled.clone().count(), 3);
        for concept in sampled {
            let sum = |values: &[f64]| values.iter().sum::<f64>();
            // Orders and the regression share out exactly; strata only on average.
            let exact =
                concept.name == "Shapley, stratified" || (sum(&concept.values) - sum(&shapley.values)).abs() < 1e-9;
            assert!(exact && concept.intervals.is_some(), "{concept:?}");
        }
    }

    /// The toy game: removal costs shares .4, .1, .2, .3, and half of the rest where 1 and 2 are both removed.
    #[test]
    fn the_toy_game_exactly() {
        let value = |kept: u128| {
            let removed: Vec<usize> = Mask(kept).removed(4);
            let product: f64 = removed.iter().map(|layer| [0.6, 0.9, 0.8, 0.7][*layer]).product();
            product * if removed.contains(&1) && removed.contains(&2) { 0.5 } else { 1.0 }
        };
        let table = Table::new(4, (0..16).map(|kept| value(kept) - value(0)).collect()).expect("a game");
        let found = shapley(&table);
        let expected = [0.256_867, 0.169_867, 0.238_867, 0.183_200];
        // Printed to six digits.
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        assert!((found.iter().sum::<f64>() - 0.8488).abs() < 1e-12);
    }
}
