//! Tokens a second of a language model: token by token, and a whole prompt at once.
//!
//! `lm_speed MODEL TOKENS REPEATS [prefill]` prints one number; `RAYON_NUM_THREADS` says how many threads.

use secateur_nn::lm::{Checkpoint, Model, Sampling, generate};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, tokens, repeats, rest @ ..] = &arguments[..] else {
        return Err("expected MODEL TOKENS REPEATS [prefill]".into());
    };
    let mut model = Model::load(&Checkpoint::open(model)?)?;
    let (tokens, repeats): (usize, usize) = (tokens.parse()?, repeats.parse()?);
    // Nothing ends early.
    (model.config.bos, model.config.eos) = (None, Vec::new());
    let prompt: Vec<u32> = (0..tokens as u32).map(|token| token * 7 % 250 + 3).collect();
    let begin = Instant::now();
    for _ in 0..repeats {
        if rest.is_empty() {
            std::hint::black_box(generate(&model, &[1], Sampling::greedy(tokens), |_| true)?);
        } else {
            std::hint::black_box(model.next(&prompt, &mut model.cache()));
        }
    }
    println!("{:.1}", (tokens * repeats) as f64 / begin.elapsed().as_secs_f64());
    Ok(())
}
