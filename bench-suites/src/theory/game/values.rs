//! The Shapley value, and what is drawn to estimate it.

use super::{draw, exact, float};
use crate::statistics::student;
use crate::theory::StudyError;
use crate::theory::statement::{Comparison, Context, Finding, Tolerance, greatest};
use dashu_ratio::RBig;
use rayon::prelude::*;
use secateur_linalg::random::Random;
use secateur_theory::game::excess::Excesses;
use secateur_theory::game::sampled::{Estimate, Method, sample};
use secateur_theory::game::shapley::shapley;
use secateur_theory::game::{Coalition, Game, Table};

/// Efficiency, symmetry, nothing for those who add nothing, additivity; and the core of convex games.
pub fn axioms(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut random = Random::stream(context.seed, 8);
    let [mut efficiency, mut symmetry, mut null, mut additivity, mut convex] = [const { Vec::new() }; 5];
    for round in 0..40 {
        let n = 3 + round % 6;
        let (a, b) = (draw::any(n, &mut random)?, draw::any(n, &mut random)?);
        let (of_a, of_b) = (shapley(&a), shapley(&b));
        efficiency.push((of_a.iter().sum::<f64>() - a.grand()).abs());
        let sum = draw::table(n, |set| a.values()[set.0 as usize] - 2.0 * b.values()[set.0 as usize])?;
        additivity.extend((0..n).map(|i| (shapley(&sum)[i] - (of_a[i] - 2.0 * of_b[i])).abs()));
        // Players 0 and 1 add the same to others: a set is worth what its image after swapping them is.
        let alike = draw::table(n, |set| {
            let swapped = set.0 & !3 | (set.0 & 1) << 1 | set.0 >> 1 & 1;
            a.values()[set.0.min(swapped) as usize]
        })?;
        let of_alike = shapley(&alike);
        symmetry.push((of_alike[0] - of_alike[1]).abs());
        let idle = draw::table(n, |set| if set.0 < 2 { 0.0 } else { a.values()[set.0 as usize & !1] })?;
        null.push(shapley(&idle)[0].abs());
        let convex_game = draw::convex(n, &mut random)?;
        let payoffs: Vec<RBig> = shapley(&convex_game).into_iter().map(exact).collect();
        convex.push(Excesses::of(&convex_game).worst(&payoffs, None).map_or(f64::NAN, |(_, worst)| float(&worst)));
    }
    // One left glove and two right ones: the core is (1, 0, 0), Shapley is (2/3, 1/6, 1/6).
    let gloves = Table::new(3, vec![0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])?;
    let payoffs: Vec<RBig> = shapley(&gloves).into_iter().map(exact).collect();
    let worst = Excesses::of(&gloves).worst(&payoffs, None).map_or(f64::NAN, |(_, worst)| float(&worst));
    // Weighted sums of up to 2^7 differences of size 5; weights of one size add up to 1/n.
    let row = |what: &str, values: Vec<f64>| Comparison::new(what, 0.0, greatest(values), Tolerance::Absolute(1e-12));
    Ok(Finding::Compared(vec![
        row("efficiency: greatest difference to v(N)", efficiency),
        row("symmetry: greatest difference of players who are alike", symmetry),
        row("null player: greatest payoff", null),
        row("additivity: greatest difference of v - 2w", additivity),
        Comparison::new("convex games: greatest excess of any coalition", 1e-12, greatest(convex), Tolerance::AtMost),
        Comparison::new("gloves, not convex, with a core: the same", 1.0 / 6.0, worst, Tolerance::Absolute(1e-12)),
    ]))
}

/// What one unit of a method varies by, summed over players, from all coalitions.
struct Spread {
    permutation: f64,
    antithetic: f64,
    stratified: f64,
}

impl Spread {
    fn of(game: &Table) -> Self {
        let n = game.players();
        let mut spread = Self { permutation: 0.0, antithetic: 0.0, stratified: 0.0 };
        for player in 0..n {
            let rest = Coalition::all(n).without(player).0 as usize;
            let gain = |set: usize| game.values()[set | 1 << player] - game.values()[set];
            // For each number of others: how many sets, and the sums of g, g² and g times that of the complement.
            let mut sums = vec![[0.0; 4]; n];
            for set in (0..game.values().len()).filter(|set| set >> player & 1 == 0) {
                let terms = [1.0, gain(set), gain(set).powi(2), gain(set) * gain(rest & !set)];
                sums[set.count_ones() as usize].iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            }
            let mean = |which: usize| sums.iter().map(|sum| sum[which] / sum[0]).sum::<f64>() / n as f64;
            let square = mean(1).powi(2);
            spread.permutation += mean(2) - square;
            spread.antithetic += 0.5 * (mean(2) - square + mean(3) - square);
            let within = sums.iter().map(|sum| sum[2] / sum[0] - (sum[1] / sum[0]).powi(2)).sum::<f64>();
            spread.stratified += within / (n * n) as f64;
        }
        spread
    }
}

/// The variance of a unit, summed over players.
fn variance(found: &Estimate) -> f64 {
    found.errors.iter().map(|error| error * error).sum::<f64>() * found.units as f64
}

/// Estimates have the right means, intervals and variances.
pub fn sampling(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut random = Random::stream(context.seed, 9);
    let game = draw::convex(6, &mut random)?;
    let labels = draw::Labels::draw(6, &mut random);
    let concave = draw::table(6, |set| labels.share(set))?;
    let mut rows = Vec::new();
    for method in [Method::Permutation, Method::Antithetic, Method::Stratified, Method::Kernel] {
        rows.extend(intervals(&game, method, &mut random)?);
    }
    for (name, game) in [("convex", &game), ("concave", &concave)] {
        let spread = Spread::of(game);
        let methods = [
            (Method::Permutation, spread.permutation),
            (Method::Antithetic, spread.antithetic),
            (Method::Stratified, spread.stratified),
        ];
        for (method, predicted) in methods {
            let found = variance(&sample(game, method, 6000, random.bits())?);
            // Of a sample variance with 6000 units and a kurtosis below 20 the deviation is at most 6 %.
            let what = format!("{name}: variance of a unit, {method:?}");
            rows.push(Comparison::new(what, predicted, found, Tolerance::Relative(0.25)));
        }
        let ratio = 2.0 * spread.antithetic / spread.permutation;
        let what = format!("{name}: variance of pairs over that of as many permutations");
        rows.push(Comparison::new(what, 1.0, ratio, Tolerance::AtMost));
        let ratio = 6.0 * spread.stratified / spread.permutation;
        let what = format!("{name}: variance of strata over that of as many gains");
        rows.push(Comparison::new(what, 1.0, ratio, Tolerance::AtMost));
    }
    Ok(Finding::Compared(rows))
}

/// How often 95 % intervals hold the value, and how far the mean of estimates is from it.
fn intervals(game: &Table, method: Method, random: &mut Random) -> Result<[Comparison; 2], StudyError> {
    const RUNS: usize = 400;
    const UNITS: usize = 256;
    let (n, wanted, quantile) = (game.players(), shapley(game), student(UNITS - 1));
    let seeds: Vec<u64> = (0..RUNS).map(|_| random.bits()).collect();
    let run = |seed: &u64| Ok(sample(game, method, UNITS, *seed)?);
    let found = seeds.par_iter().map(run).collect::<Result<Vec<Estimate>, StudyError>>()?;
    let holds = |player: usize| {
        let inside = |e: &&Estimate| (e.payoffs[player] - wanted[player]).abs() <= quantile * e.errors[player];
        found.iter().filter(inside).count() as f64 / RUNS as f64
    };
    let away = |player: usize| {
        let mean = found.iter().map(|e| e.payoffs[player]).sum::<f64>() / RUNS as f64;
        let square = found.iter().map(|e| (e.payoffs[player] - mean).powi(2)).sum::<f64>() / (RUNS - 1) as f64;
        (mean - wanted[player]).abs() / (square / RUNS as f64).sqrt()
    };
    let lowest = -greatest((0..n).map(|player| -holds(player)));
    let furthest = greatest((0..n).map(away));
    Ok([
        // 4.6 deviations of a share of 400, which are .011.
        Comparison::new(
            format!("{method:?}: lowest share of intervals that hold"),
            0.95,
            lowest,
            Tolerance::Absolute(0.05),
        ),
        // Of 24 normal variables one is beyond 4.5 with probability 2e-4.
        Comparison::new(format!("{method:?}: bias over its standard error"), 4.5, furthest, Tolerance::AtMost),
    ])
}
