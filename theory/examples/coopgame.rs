//! How long solutions of games given in full take, beside the crate `coopgame` (which rounds):
//! `cargo run --release -p secateur-theory --example coopgame -- 10 12 16`.

use coopgame::{Domain, ExplicitGame, nucleolus as other, values};
use secateur_linalg::random::Random;
use secateur_theory::game::Table;
use secateur_theory::game::least_core::{Settings, least_core};
use secateur_theory::game::nucleolus::prenucleolus;
use secateur_theory::game::shapley::shapley;
use std::hint::black_box;
use std::time::Instant;

fn seconds<T>(mut run: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    let mut times = 0;
    while times == 0 || start.elapsed().as_secs_f64() < 0.5 {
        black_box(run());
        times += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(times)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for size in std::env::args().skip(1) {
        let n: usize = size.parse()?;
        let mut random = Random::new(n as u64);
        // What a coalition has grows with its size, but for noise.
        let noise = |set: usize, random: &mut Random| f64::from((set as u32).count_ones()).powf(1.3) + random.unit();
        let noisy: Vec<f64> = (1..1usize << n).map(|set| noise(set, &mut random)).collect();
        let weights: Vec<f64> = (0..n).map(|_| (random.unit() * 20.0).floor() + 1.0).collect();
        let half = weights.iter().sum::<f64>() / 2.0;
        let votes = |set: usize| (0..n).filter(|i| set >> i & 1 == 1).map(|i| weights[i]).sum::<f64>();
        let voting = (1..1usize << n).map(|set| if votes(set) > half { 1.0 } else { 0.0 }).collect();
        for (name, values) in [("noise", noisy), ("voting", voting)] {
            let theirs = ExplicitGame::from_binary(&values)?;
            let game = Table::new(n, [0.0].into_iter().chain(values).collect())?;
            let report = |concept: &str, ours: f64, theirs: f64| {
                println!(
                    "{n:3} {name:7} {concept:13} {ours:10.6} s, coopgame {theirs:10.6} s, ratio {:.2}",
                    theirs / ours
                );
            };
            let (ours, rounded) = (seconds(|| shapley(&game)), seconds(|| values::shapley(&theirs)));
            report("Shapley", ours, rounded);
            let rounded = seconds(|| other::least_core(&theirs, Domain::Preimputation));
            report("least core", seconds(|| least_core(&game, Settings::default())), rounded);
            let rounded = seconds(|| other::prenucleolus(&theirs));
            report("prenucleolus", seconds(|| prenucleolus(&game)), rounded);
        }
    }
    Ok(())
}
