//! Games with published solutions, and solutions against each other.

use dashu_ratio::RBig;
use proptest::prelude::*;
use secateur_theory::game::core::{Membership, membership};
use secateur_theory::game::excess::Excesses;
use secateur_theory::game::kinds::Kind;
use secateur_theory::game::least_core::{Settings, least_core};
use secateur_theory::game::monte_carlo::monte_carlo;
use secateur_theory::game::nucleolus::{nucleolus, prenucleolus};
use secateur_theory::game::sampled::{Method, sample};
use secateur_theory::game::shapley::{banzhaf, leave_one_out, shapley};
use secateur_theory::game::stack::{Search, Thresholds, certified, dispensable, search};
use secateur_theory::game::{Coalition, Game, Table};
use serde_json::Value;

fn float(values: &[RBig]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64().value()).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn quotient(a: i64, b: u64) -> RBig {
    RBig::from_parts(a.into(), b.into())
}

/// How far two divisions are apart, beside the game's scale.
fn apart(a: &[f64], b: &[f64], scale: f64) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
}

/// What is published, else what an independent program computed.
fn known(game: &Value, concept: &str) -> Option<Value> {
    let found = |part: &str| game[part].get(concept).filter(|value| !value.is_null()).cloned();
    found("published").or_else(|| found("computed"))
}

#[test]
fn published_solutions_are_found() {
    let oracle: Value = serde_json::from_str(include_str!("fixtures/coop_games.json")).expect("JSON");
    let games = oracle["games"].as_array().expect("games");
    let mut compared = [0; 5];
    for game in games {
        let name = game["name"].as_str().expect("a name");
        let players = game["n"].as_u64().expect("players") as usize;
        let table = Table::new(players, numbers(&game["v_bitmask_order"])).unwrap_or_else(|e| panic!("{name}: {e}"));
        let scale = table.values().iter().fold(1.0, |m: f64, v| m.max(v.abs()));
        let close = |found: &[f64], concept: &str| {
            let Some(value) = known(game, concept) else { return 0 };
            let wanted = if value.is_array() { numbers(&value) } else { vec![value.as_f64().expect("a number")] };
            let distance = apart(found, &wanted, scale);
            assert!(distance <= 1e-9, "{name}, {concept}: found {found:?}, known {wanted:?}");
            1
        };
        compared[0] += close(&shapley(&table), "shapley");
        compared[1] += close(&banzhaf(&table), "banzhaf");
        let core = least_core(&table, Settings::default()).expect("two players or more");
        compared[2] += close(&float(std::slice::from_ref(&core.excess)), "least_core_eps");
        compared[3] += close(&float(&prenucleolus(&table).payoffs), "prenucleolus");
        if let Ok(found) = nucleolus(&table) {
            compared[4] += close(&float(&found.payoffs), "nucleolus");
        }
    }
    assert!(compared.iter().all(|count| *count >= 15), "{compared:?} of {}", games.len());
}

#[test]
fn miners_and_the_talmud() {
    for n in 2..9u32 {
        let game = Table::new(n as usize, (0..1u32 << n).map(|set| f64::from(set.count_ones() / 2)).collect());
        let core = least_core(&game.expect("a game"), Settings::default()).expect("players");
        let odd = quotient(i64::from(n) - 1, 2 * u64::from(n));
        let (excess, each) = if n % 2 == 1 { (odd.clone(), odd) } else { (RBig::ZERO, quotient(1, 2)) };
        // Two miners need each other: a coalition of one has nothing, and loses a half.
        let excess = if n == 2 { quotient(-1, 2) } else { excess };
        assert_eq!(core.excess, excess, "{n} miners");
        assert!(core.payoffs.iter().all(|x| *x == each), "{n} miners: {:?}", core.payoffs);
    }
    for (estate, shares) in [(100.0, [100.0 / 3.0; 3]), (200.0, [50.0, 75.0, 75.0]), (300.0, [50.0, 100.0, 150.0])] {
        let game = Kind::Bankruptcy { estate, claims: vec![100.0, 200.0, 300.0] };
        let found = nucleolus(&Table::of(&game).expect("a table")).expect("imputations");
        assert!(apart(&float(&found.payoffs), &shares, 1.0) < 1e-12, "{estate}: {found:?}");
    }
}

fn games(players: usize) -> impl Strategy<Value = Table> {
    prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), -2.0f64..3.0], (1 << players) - 1)
        .prop_map(move |values| Table::new(players, [0.0].into_iter().chain(values).collect()).expect("a game"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_least_core_is_proved_by_its_weights(game in (2usize..6).prop_flat_map(games), nonnegative in any::<bool>()) {
        let n = game.players();
        let Ok(core) = least_core(&game, Settings { nonnegative }) else {
            prop_assert!(nonnegative && game.grand() < 0.0);
            return Ok(());
        };
        let excesses = Excesses::of(&game);
        // The division attains the excess.
        prop_assert_eq!(core.payoffs.iter().fold(RBig::ZERO, |sum, x| sum + x), excesses.value(Coalition::all(n)));
        prop_assert_eq!(&excesses.worst(&core.payoffs, None).expect("coalitions").1, &core.excess);
        // The weights show that none has less.
        let mut sums = vec![RBig::ZERO; n];
        let (mut total, mut proved) = (RBig::ZERO, RBig::ZERO);
        for (coalition, weight) in &core.weights {
            prop_assert!(*weight > RBig::ZERO);
            total += weight;
            proved += weight * excesses.value(*coalition);
            coalition.members().for_each(|player| sums[player] += weight);
        }
        for (player, weight) in &core.floors {
            prop_assert!(nonnegative && *weight > RBig::ZERO);
            sums[*player] += weight;
        }
        prop_assert_eq!(total, RBig::ONE);
        prop_assert!(sums.iter().all(|sum| *sum == sums[0]), "{:?}", sums);
        prop_assert_eq!(proved - &sums[0] * excesses.value(Coalition::all(n)), core.excess.clone());
        let member = membership(&game, &core.payoffs).expect("a division");
        prop_assert_eq!(member == Membership::Core, core.excess <= RBig::ZERO);
    }

    #[test]
    fn no_division_nearby_is_better_than_the_prenucleolus(
        game in (2usize..6).prop_flat_map(games),
        steps in prop::collection::vec(-8i64..9, 5),
    ) {
        let n = game.players();
        let found = prenucleolus(&game);
        let excesses = Excesses::of(&game);
        let sorted = |point: &[RBig]| {
            let mut all: Vec<RBig> = (1..(1u128 << n) - 1).map(|set| excesses.excess(Coalition(set), point)).collect();
            all.sort_by(|a, b| b.cmp(a));
            all
        };
        let mut other = found.payoffs.clone();
        for (player, step) in steps.iter().take(n).enumerate() {
            let step = quotient(*step, 64);
            other[player] += &step;
            other[(player + 1) % n] -= &step;
        }
        prop_assert!(sorted(&found.payoffs) <= sorted(&other));
        let core = least_core(&game, Settings::default()).expect("players");
        prop_assert_eq!(&found.levels[0], &core.excess);
    }

    #[test]
    fn the_shapley_value_is_efficient_and_sampling_finds_it(game in games(5), seed in any::<u64>()) {
        let exact = shapley(&game);
        prop_assert!((exact.iter().sum::<f64>() - game.grand()).abs() < 1e-12);
        for method in [Method::Permutation, Method::Antithetic, Method::Stratified, Method::Kernel] {
            let units = if method == Method::Kernel { 4000 } else { 600 };
            let found = sample(&game, method, units, seed).expect("an estimate");
            let efficient = (found.payoffs.iter().sum::<f64>() - game.grand()).abs() < 1e-9;
            prop_assert!(efficient || method == Method::Stratified, "{method:?}");
            for (player, wanted) in exact.iter().enumerate() {
                // Six standard errors: one draw in 10^8 is beyond.
                let (payoff, error) = (found.payoffs[player], found.errors[player]);
                prop_assert!((payoff - wanted).abs() <= 6.0 * error + 1e-9, "{method:?}: {payoff} ± {error}, {wanted}");
            }
        }
    }
}

/// A monotone game with $v(N) > 0$.
fn monotone(players: usize) -> impl Strategy<Value = Table> {
    prop::collection::vec(0.0f64..1.0, (1 << players) - 1).prop_map(move |mut values| {
        values[(1 << players) - 2] += 0.5;
        Table::new(players, [0.0].into_iter().chain(values).collect()).expect("a game").closure()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn intervals_hold_the_least_core(game in (2usize..7).prop_flat_map(monotone), eta in prop_oneof![Just(0.0), 0.0f64..0.3]) {
        let exact = least_core(&game, Settings { nonnegative: true }).expect("players");
        let excesses = Excesses::of(&game);
        let all = (1 << game.players()) - 1;
        let found = certified(&game, eta).expect("an interval");
        prop_assert!(found.lower <= exact.excess && exact.excess <= found.upper, "{:?} {}", found, exact.excess);
        prop_assert!(&found.upper - &found.lower <= RBig::try_from(eta).expect("finite"), "{:?}", found);
        prop_assert!(found.evaluations <= all);
        if eta == 0.0 {
            prop_assert_eq!(&found.lower, &exact.excess);
        }
        for found in [found, dispensable(&game, Thresholds::default()).expect("rows"), monte_carlo(&game, 2, 1).expect("rows")] {
            prop_assert!(found.lower <= exact.excess && found.contradiction.is_none());
            prop_assert!(excesses.worst(&found.payoffs, None).expect("coalitions").1 <= found.upper);
            prop_assert!(found.payoffs.iter().all(|x| *x >= RBig::ZERO));
        }
        let whole = monte_carlo(&game, all - 1, 1).expect("all rows");
        prop_assert_eq!(whole.lower, exact.excess);
    }

    /// Games that are monotone up to a slack, whatever is evaluated side by side.
    #[test]
    fn slack_makes_intervals_hold(
        game in (2usize..7).prop_flat_map(games),
        eta in prop_oneof![Just(0.0), 0.0f64..0.5],
        batch in 1usize..5,
    ) {
        let mut values = game.values().to_vec();
        let last = values.len() - 1;
        values[last] = values[last].abs();
        let game = Table::new(game.players(), values).expect("a game");
        let closure = game.closure();
        let falls = closure.values().iter().zip(game.values()).map(|(most, value)| most - value);
        // Differences of doubles are rounded; the next one above is enough.
        let slack = falls.fold(0.0f64, f64::max).next_up();
        let exact = least_core(&game, Settings { nonnegative: true }).expect("players");
        let found = search(&game, Search { eta, slack, batch }).expect("an interval");
        prop_assert!(found.lower <= exact.excess && exact.excess <= found.upper, "{:?} {}", found, exact.excess);
        prop_assert!(&found.upper - &found.lower <= RBig::try_from(eta).expect("finite"), "{:?}", found);
        prop_assert_eq!(found.contradiction, None);
        // Against nobody, who has nothing, no two coalitions are needed.
        let earning = game.values().iter().all(|value| *value >= 0.0);
        if slack > 0.1 && earning {
            let found = search(&game, Search { eta: 0.0, slack: 0.0, batch }).expect("an interval");
            let all = found.evaluations == (1 << game.players()) - 1;
            prop_assert!(found.contradiction.is_some() || !all, "{:?}", found);
        }
    }
}

#[test]
fn games_that_are_not_monotone_are_said_to_be() {
    let game = Table::new(2, vec![0.0, 3.0, 1.0, 2.0]).expect("a game");
    let found = certified(&game, 0.0).expect("an interval");
    assert_eq!(found.contradiction, Some((Coalition::one(0), Coalition::all(2))));
}

#[test]
fn differences_beyond_all_doubles_are_averaged() {
    let game = Table::new(2, vec![0.0, 1e308, -1e308, -1e308]).expect("a game");
    let (first, second) = (shapley(&game), banzhaf(&game));
    // 1e308 alone and 0 beside the other; -1e308 alone and -2e308 beside the first.
    let wanted = [0.5e308, -1.5e308];
    for found in [first, second] {
        assert!(apart(&found, &wanted, 1e308) < 1e-15, "{found:?}");
    }
}

#[test]
fn estimates_are_seen_to_settle() {
    let game = Kind::Airport { costs: (0..100).map(f64::from).collect() };
    let found = sample(&game, Method::Permutation, 100, 7).expect("an estimate");
    let units: Vec<usize> = found.trace.iter().map(|stage| stage.units).collect();
    assert_eq!(units, [2, 4, 8, 16, 32, 64, 100]);
    let last = &found.trace[6];
    assert_eq!((&last.payoffs, &last.errors), (&found.payoffs, &found.errors));
    let half = sample(&game, Method::Permutation, 32, 7).expect("an estimate");
    assert_eq!((&found.trace[4].payoffs, &found.trace[4].errors), (&half.payoffs, &half.errors));
}

#[test]
fn leaving_one_out_by_hand() {
    let game = Table::new(2, vec![0.0, 3.0, 1.0, 5.0]).expect("a game");
    assert_eq!(leave_one_out(&game).expect("values"), [4.0, 2.0]);
    assert_eq!(game.value(Coalition::one(0)).expect("a value"), 3.0);
}
