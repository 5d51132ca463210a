//! How long least cores of games without a table take: `cargo run --release -p secateur-theory --example large_games -- 24 50 100`.

use secateur_linalg::random::Random;
use secateur_theory::game::closed_forms::shapley;
use secateur_theory::game::excess::ExcessOracle;
use secateur_theory::game::kinds::Kind;
use secateur_theory::game::least_core::{Settings, least_core_of};
use secateur_theory::game::separation::Separable;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for size in std::env::args().skip(1) {
        let n: usize = size.parse()?;
        let mut random = Random::new(n as u64);
        let mut some = |most: f64| (0..n).map(|_| (random.unit() * most).floor() + 1.0).collect::<Vec<f64>>();
        let (weights, costs, claims) = (some(50.0), some(1000.0), some(1000.0));
        let quota = (weights.iter().sum::<f64>() / 2.0).floor() + 1.0;
        let estate = (claims.iter().sum::<f64>() / 3.0).floor();
        let dense: Vec<(usize, usize, f64)> = (1..n)
            .flat_map(|b| some(9.0).into_iter().take(b).enumerate().map(|(a, w)| (a, b, w)).collect::<Vec<_>>())
            .collect();
        let sparse = dense.iter().filter(|(a, b, w)| b - a == 1 || *w > 8.0).copied().collect();
        let loops = some(200.0).into_iter().enumerate().map(|(player, w)| (player, player, 100.0 - w));
        let dense = dense.iter().copied().chain(loops).collect();
        let most = (n * (n + 1) / 4 + 1) as f64;
        let different = Kind::WeightedVoting { quota: most, weights: (1..=n).map(|w| w as f64).collect() };
        let kinds = [
            ("airport", Kind::Airport { costs }),
            ("bankruptcy", Kind::Bankruptcy { estate, claims }),
            ("voting", Kind::WeightedVoting { quota, weights }),
            ("voting, two thirds", Kind::WeightedVoting { quota: (quota * 4.0 / 3.0).floor(), weights: some(50.0) }),
            ("voting, all different", different),
            ("sparse graph", Kind::InducedSubgraph { n, edges: sparse }),
            ("dense graph", Kind::InducedSubgraph { n, edges: dense }),
        ];
        for (name, kind) in kinds {
            let start = Instant::now();
            shapley(&kind)?;
            let values = start.elapsed().as_secs_f64();
            let game = Separable::of(&kind)?;
            let start = Instant::now();
            let core = least_core_of(&game, Settings::default())?;
            let (seconds, classes) = (start.elapsed().as_secs_f64(), game.classes().count());
            let excess = core.excess.to_f64().value();
            let pivots = core.pivots;
            println!(
                "{n:4} {name:22} {classes:4} classes {pivots:6} pivots {seconds:9.3} s, excess {excess:.6}; Shapley {values:.3} s"
            );
        }
    }
    Ok(())
}
