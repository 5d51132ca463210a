//! What is proved of excesses: weights, intervals, closures.

use super::{all, draw, exact, float, quotient};
use crate::journal::JournalError;
use crate::theory::StudyError;
use crate::theory::statement::{Comparison, Context, Finding, Tolerance, greatest};
use dashu_ratio::RBig;
use secateur_check::shares::{Shares, check_shares, digest};
use secateur_linalg::random::Random;
use secateur_theory::TheoryError;
use secateur_theory::game::excess::Excesses;
use secateur_theory::game::least_core::{LeastCore, Settings, least_core};
use secateur_theory::game::stack::certified;
use secateur_theory::game::{Coalition, Game, Table};

/// Weights of coalitions prove the excess, and a checker that shares no code accepts them and nothing else.
pub fn duality(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut random = Random::stream(context.seed, 1);
    let (mut proved, mut attained, mut accepted, mut refused) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..60 {
        let game = draw::any(2 + round % 5, &mut random)?;
        let settings = Settings { nonnegative: round % 2 == 1 };
        let core = least_core(&game, settings)?;
        proved.push(proves(&game, &core));
        let worst = Excesses::of(&game).worst(&core.payoffs, None);
        attained.push(worst.is_some_and(|(_, worst)| worst == core.excess));
        let file = json(&game)?;
        let shares = certificate(&file, &core, settings);
        accepted.push(check_shares(&file, &json(&shares)?).is_ok_and(|found| found.excess == core.excess));
        for mutant in mutants(&shares, game.players()) {
            refused.push(check_shares(&file, &json(&mutant)?).is_err());
        }
        // The same proof of a game in which a coalition with a weight is worth more.
        let other = richer(&game, core.weights[0].0)?;
        let file = json(&other)?;
        refused.push(check_shares(&file, &json(&Shares { game: digest(&file), ..shares })?).is_err());
    }
    Ok(Finding::Compared(vec![
        all("games whose weights prove the excess exactly", &proved),
        all("games whose payoffs attain it", &attained),
        all("certificates that the checker accepts", &accepted),
        all("changed certificates that it refuses", &refused),
    ]))
}

/// Whether $\lambda \ge 0$, $\sum \lambda_S = 1$, $\sum \lambda_S 1_S + \phi = \mu 1_N$ and
/// $e = \sum \lambda_S v(S) - \mu v(N)$.
fn proves(game: &Table, core: &LeastCore) -> bool {
    let n = game.players();
    let value = |coalition: Coalition| exact(game.values()[coalition.0 as usize]);
    let mut carried = vec![RBig::ZERO; n];
    let (mut total, mut sum) = (RBig::ZERO, RBig::ZERO);
    for (coalition, weight) in &core.weights {
        coalition.members().for_each(|player| carried[player] += weight);
        total += weight;
        sum += weight * value(*coalition);
    }
    core.floors.iter().for_each(|(player, weight)| carried[*player] += weight);
    let weights = core.weights.iter().map(|(_, weight)| weight).chain(core.floors.iter().map(|(_, weight)| weight));
    weights.into_iter().all(|weight| *weight >= RBig::ZERO)
        && total == RBig::ONE
        && carried.iter().all(|load| *load == carried[0])
        && sum - &carried[0] * value(Coalition::all(n)) == core.excess
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, StudyError> {
    Ok(serde_json::to_vec(value).map_err(JournalError::Json)?)
}

fn certificate(file: &[u8], core: &LeastCore, settings: Settings) -> Shares {
    let weights = core.weights.iter().map(|(set, weight)| (set.0, weight));
    Shares::new(file, &core.excess, &core.payoffs, weights, settings.nonnegative.then_some(core.floors.as_slice()))
}

/// Certificates that prove nothing: another excess, too much pay, weights that are short, negative or of all
/// players.
fn mutants(shares: &Shares, players: usize) -> Vec<Shares> {
    let number = |text: &str| text.parse::<RBig>().expect("the certificate was written from quotients");
    let change = |change: &dyn Fn(&mut Shares)| {
        let mut mutant = shares.clone();
        change(&mut mutant);
        mutant
    };
    let by = |text: &mut String, step: RBig| *text = (number(text) + step).to_string();
    vec![
        change(&|s| by(&mut s.excess, quotient(1, 1 << 40))),
        change(&|s| by(&mut s.excess, quotient(-1, 1 << 40))),
        change(&|s| by(&mut s.payoffs[0], quotient(1, 1 << 40))),
        change(&|s| by(&mut s.weights[0].1, quotient(-1, 1 << 40))),
        change(&|s| s.weights[0].1 = (-number(&s.weights[0].1)).to_string()),
        change(&|s| s.weights[0].0 = (1 << players) - 1),
    ]
}

/// A game in which one coalition is worth .25 more.
fn richer(game: &Table, coalition: Coalition) -> Result<Table, TheoryError> {
    let mut values = game.values().to_vec();
    values[coalition.0 as usize] += 0.25;
    Table::new(game.players(), values)
}

/// Intervals of monotone games hold the excess and are as narrow as asked.
pub fn interval(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut random = Random::stream(context.seed, 2);
    let etas = [0.0, 0.0625, 0.125];
    let (mut held, mut paid, mut same, mut widths) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut shares = [const { Vec::new() }; 3];
    for players in 6..=9 {
        for _ in 0..3 {
            let game = draw::monotone(players, &mut random)?;
            let excesses = Excesses::of(&game);
            let least = least_core(&game, Settings { nonnegative: true })?.excess;
            let free = least_core(&game, Settings::default())?;
            same.push(free.excess == least && free.payoffs.iter().all(|x| *x >= RBig::ZERO));
            for (eta, shares) in etas.iter().zip(&mut shares) {
                let found = certified(&game, *eta)?;
                held.push(found.lower <= least && least <= found.upper && found.contradiction.is_none());
                paid.push(excesses.worst(&found.payoffs, None).is_some_and(|(_, worst)| worst <= found.upper));
                let width = &found.upper - &found.lower;
                widths.push(if width <= exact(*eta) { 0.0 } else { float(&width) - eta });
                shares.push(found.evaluations as f64 / ((1 << players) - 1) as f64);
            }
        }
    }
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
    Ok(Finding::Compared(vec![
        all("intervals that hold the least excess", &held),
        all("divisions whose worst excess is at most the upper end", &paid),
        Comparison::new("width beyond what was asked", 0.0, greatest(widths), Tolerance::Absolute(0.0)),
        all("games whose least core has no negative payoff, asked for or not", &same),
        Comparison::new("share of coalitions evaluated, η = 0", 0.85, mean(&shares[0]), Tolerance::AtMost),
        Comparison::new("the same, η = 1/8", 0.65, mean(&shares[2]), Tolerance::AtMost),
    ]))
}

/// What the closure of a game says about the game, and what a search that takes it for monotone still does.
pub fn closure(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut random = Random::stream(context.seed, 3);
    let (mut bracket, mut equal, mut lower, mut upper, mut seen) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..60 {
        let players = 3 + round % 4;
        let game = if round % 3 == 0 { draw::any(players, &mut random)? } else { bent(players, &mut random)? };
        let closure = game.closure();
        let least = least_core(&game, Settings { nonnegative: true })?.excess;
        let of_closure = least_core(&closure, Settings::default())?.excess;
        let more = exact(closure.grand()) - exact(game.grand());
        let floor = least.clone().max(RBig::ZERO);
        bracket.push(&least - &more <= of_closure && of_closure <= floor);
        if more.is_zero() && of_closure > RBig::ZERO {
            equal.push(of_closure == least);
        }
        let falls = game.values().iter().zip(closure.values()).map(|(v, above)| exact(*above) - exact(*v));
        let fall = falls.max().unwrap_or(RBig::ZERO);
        let found = certified(&game, 0.0)?;
        lower.push(found.lower <= least);
        upper.push(least <= &found.upper + fall);
        let of_closure_found = certified(&closure, 0.0)?;
        upper.push(of_closure <= of_closure_found.upper);
        if let Some((small, large)) = found.contradiction {
            let value = |coalition: Coalition| game.values()[coalition.0 as usize];
            seen.push(small.0 & !large.0 == 0 && value(small) > value(large));
        }
    }
    let mut rows = vec![
        all("closures whose excess is between its bounds", &bracket),
        all("closures with a positive excess and the same value of all: the game's own", &equal),
        all("lower ends that hold for games that are not monotone", &lower),
        all("upper ends that hold after adding the greatest decrease", &upper),
        all("contradictions that are ones", &seen),
    ];
    rows.extend(examples()?);
    Ok(Finding::Compared(rows))
}

/// A monotone game whose values are off by up to .1, at all together by nothing.
fn bent(players: usize, random: &mut Random) -> Result<Table, TheoryError> {
    let game = draw::monotone(players, random)?;
    let whole = Coalition::all(players);
    draw::table(players, |coalition| {
        let off = if coalition == whole { 0.0 } else { random.uniform(-0.1, 0.1) };
        game.values()[coalition.0 as usize] + off
    })
}

/// A game whose closure has another excess, and one whose decrease no evaluated coalition shows.
fn examples() -> Result<Vec<Comparison>, StudyError> {
    // Two players who can each do the job; whoever has the third one with him, and not both of them, loses 5.
    let spoiled = Table::new(3, vec![0.0, 1.0, 1.0, 1.0, -5.0, -5.0, -5.0, 1.0])?;
    let excess = |game: &Table, nonnegative| Ok::<_, StudyError>(least_core(game, Settings { nonnegative })?.excess);
    let found = [excess(&spoiled, false)?, excess(&spoiled, true)?, excess(&spoiled.closure(), false)?];
    let hidden = Table::new(3, vec![0.0, 5.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0])?;
    let unseen = certified(&hidden, 0.0)?;
    let short = excess(&hidden, true)? - &unseen.upper;
    let row = |what: &str, predicted: f64, found: &RBig| {
        Comparison::new(what, predicted, float(found), Tolerance::Absolute(1e-15))
    };
    Ok(vec![
        row("example: least excess with payoffs of any sign", -4.0 / 3.0, &found[0]),
        row("example: with payoffs of at least 0", 0.5, &found[1]),
        row("example: of the closure", 0.5, &found[2]),
        Comparison::new(
            "decrease that no evaluated value shows: contradictions",
            0.0,
            f64::from(u8::from(unseen.contradiction.is_some())),
            Tolerance::Absolute(0.0),
        ),
        row("the same: by how much the upper end is too small", 4.0, &short),
    ])
}
