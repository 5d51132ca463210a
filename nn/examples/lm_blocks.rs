//! Streams a model one block at a time: seconds a block, and the most memory that was taken.
//!
//! `lm_blocks make FOLDER [BLOCKS]` writes a model with blocks of LLaMA-2-7B (random weights, BF16, a small vocabulary);
//! `lm_blocks FOLDER TOKENS` reads it block by block, and passes so many tokens through each.

use secateur_linalg::random::Random;
use secateur_nn::lm::{Block, Checkpoint, Config, Matrix, Positions, Writer};
use secateur_nn::safetensors::Dtype;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

const CONFIG: &str = r#"{"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 1,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 258, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096, "tie_word_embeddings": true}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match texts[..] {
        ["make", folder] => make(Path::new(folder), 1),
        ["make", folder, blocks] => make(Path::new(folder), blocks.parse()?),
        [folder, tokens] => stream(folder, tokens.parse()?),
        _ => Err("expected make FOLDER [BLOCKS], or FOLDER TOKENS".into()),
    }
}

fn make(folder: &Path, blocks: usize) -> Result<(), Box<dyn Error>> {
    let config = Config { blocks, ..Config::parse(CONFIG, "the example")? };
    let mut random = Random::new(1);
    let mut matrix = |rows: usize, cols: usize| {
        // Uniform numbers, which are cheaper than normal ones, of deviation 1/√cols.
        let bound = (3.0 / cols as f64).sqrt();
        Matrix::new(rows, cols, (0..rows * cols).map(|_| random.uniform(-bound, bound) as f32).collect())
    };
    let mut writer = Writer::create(folder, &config, Dtype::Bf16)?;
    writer.embedding(&matrix(config.vocab, config.width))?;
    writer.norm(&vec![1.0; config.width])?;
    for number in 0..blocks {
        let (width, inner) = (config.width, config.inner);
        let block = Block {
            input_norm: vec![1.0; width],
            q: matrix(width, width),
            k: matrix(width, width),
            v: matrix(width, width),
            o: matrix(width, width),
            post_norm: vec![1.0; width],
            gate: matrix(inner, width),
            up: matrix(inner, width),
            down: matrix(width, inner),
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            ..Block::default()
        };
        writer.block(number, &block)?;
    }
    println!("{} bytes", writer.finish()?);
    Ok(())
}

fn stream(folder: &str, tokens: usize) -> Result<(), Box<dyn Error>> {
    let checkpoint = Checkpoint::open(folder)?;
    let config = checkpoint.config();
    let embedding = checkpoint.embedding()?;
    let mut stream: Vec<f32> = (0..tokens).flat_map(|token| embedding.row(token * 7 % config.vocab).to_vec()).collect();
    drop(embedding);
    let positions = Positions::new(config, 0..tokens);
    println!("before: {} MB at most", peak()?);
    for number in 0..config.blocks {
        let begin = Instant::now();
        let block = checkpoint.block(number)?;
        let read = begin.elapsed().as_secs_f64();
        block.forward(&mut stream, &positions, None, config);
        let both = begin.elapsed().as_secs_f64();
        let size = block.parameters() * 4 / 1_000_000;
        let peak = peak()?;
        println!(
            "block {number}: read {read:.2} s, {tokens} tokens {:.2} s, {size} MB of weights, {peak} MB at most",
            both - read
        );
    }
    Ok(())
}

/// The most memory that the process has taken, in megabytes, as Linux says.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024 / 1_000_000)
}
