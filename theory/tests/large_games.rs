//! Games of the literature without a table: against tables where they have few players, against what is published where they
//! have many.

use dashu_int::UBig;
use dashu_ratio::RBig;
use proptest::prelude::*;
use secateur_theory::TheoryError;
use secateur_theory::game::closed_forms;
use secateur_theory::game::core::{Membership, membership, membership_of};
use secateur_theory::game::excess::{ExcessOracle, Excesses};
use secateur_theory::game::kinds::Kind;
use secateur_theory::game::least_core::{LeastCore, Settings, least_core, least_core_of};
use secateur_theory::game::separation::Separable;
use secateur_theory::game::{Coalition, Game, Table};
use serde_json::Value;

fn whole(least: i32, most: i32) -> impl Strategy<Value = f64> {
    prop_oneof![2 => least..most, 1 => least..least + 3].prop_map(f64::from)
}

/// Kinds of games whose values are whole numbers, with players who are often alike.
fn kinds() -> impl Strategy<Value = Kind> {
    let several = |least: i32, most: i32| prop::collection::vec(whole(least, most), 2..9);
    let voting = (several(0, 9), 1..40i32)
        .prop_map(|(weights, quota)| Kind::WeightedVoting { quota: f64::from(quota), weights });
    let edge = |n: usize| (0..n, 0..n, whole(0, 9));
    let subgraph = (2usize..9).prop_flat_map(move |n| {
        let loops = prop::collection::vec((0..n, whole(-9, 9)), 0..n);
        (prop::collection::vec(edge(n), 0..2 * n), loops).prop_map(move |(mut edges, loops)| {
            edges.extend(loops.into_iter().map(|(player, weight)| (player, player, weight)));
            Kind::InducedSubgraph { n, edges }
        })
    });
    let airport = several(0, 9).prop_map(|costs| Kind::Airport { costs });
    let bankruptcy = (several(0, 9), 0.0f64..1.0).prop_map(|(claims, part)| {
        let estate = (2.0 * part * claims.iter().sum::<f64>()).floor() / 2.0;
        Kind::Bankruptcy { estate, claims }
    });
    prop_oneof![voting, subgraph, airport, bankruptcy]
}

fn thirds() -> impl Strategy<Value = Vec<RBig>> {
    let third = prop_oneof![1 => -2i64..2, 2 => -12i64..24].prop_map(|t| RBig::from_parts(t.into(), UBig::from(3u8)));
    prop::collection::vec(third, 8)
}

/// The weights prove that no division has less than the excess.
fn proved(game: &dyn ExcessOracle, core: &LeastCore) {
    let all = Coalition::all(game.players());
    assert_eq!(core.payoffs.iter().fold(RBig::ZERO, |sum, x| sum + x), game.value(all));
    assert_eq!(game.worst(&core.payoffs).expect("coalitions").1, core.excess);
    let mut sums = vec![RBig::ZERO; game.players()];
    let (mut total, mut bound) = (RBig::ZERO, RBig::ZERO);
    for (coalition, weight) in &core.weights {
        assert!(*weight > RBig::ZERO && *coalition != all && *coalition != Coalition::EMPTY);
        total += weight;
        bound += weight * game.value(*coalition);
        coalition.members().for_each(|player| sums[player] += weight);
    }
    for (player, weight) in &core.floors {
        assert!(*weight > RBig::ZERO && core.payoffs[*player].is_zero());
        sums[*player] += weight;
    }
    assert_eq!(total, RBig::ONE);
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    assert_eq!(bound - &sums[0] * game.value(all), core.excess);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn greatest_excesses_are_those_of_tables(kind in kinds(), point in thirds()) {
        let n = kind.players();
        let table = Excesses::of(&Table::of(&kind).expect("a table"));
        let game = Separable::of(&kind).expect("a method");
        for set in 0..1u128 << n {
            prop_assert_eq!(game.value(Coalition(set)), table.value(Coalition(set)));
        }
        let (coalition, excess) = game.worst(&point[..n]).expect("coalitions");
        prop_assert_eq!(&excess, &table.worst(&point[..n], None).expect("coalitions").1);
        prop_assert_eq!(excess, table.excess(coalition, &point[..n]));
        prop_assert!(coalition != Coalition::EMPTY && coalition != Coalition::all(n));
    }

    #[test]
    fn least_cores_are_those_of_tables(kind in kinds(), nonnegative in any::<bool>()) {
        let table = Table::of(&kind).expect("a table");
        let game = Separable::of(&kind).expect("a method");
        let settings = Settings { nonnegative };
        let Ok(core) = least_core(&table, settings) else {
            prop_assert!(nonnegative && table.grand() < 0.0 && least_core_of(&game, settings).is_err());
            return Ok(());
        };
        let found = least_core_of(&game, settings).expect("a least core");
        prop_assert_eq!(&found.excess, &core.excess);
        prop_assert_eq!(&found.payoffs, &core.payoffs);
        proved(&game, &found);
        let (inside, other) = (membership_of(&game, &core.payoffs), membership(&table, &core.payoffs));
        let (inside, other) = (inside.expect("a division"), other.expect("a division"));
        match (&inside, &other) {
            (Membership::Blocked { coalition, gain }, Membership::Blocked { gain: most, .. }) => {
                prop_assert_eq!(gain, most);
                prop_assert_eq!(&Excesses::of(&table).excess(*coalition, &core.payoffs), gain);
            }
            _ => prop_assert_eq!(inside, other),
        }
    }

    #[test]
    fn values_are_those_of_tables(kind in kinds(), negative in any::<bool>(), ring in prop::collection::vec(1..9i32, 5)) {
        let kind = match kind {
            Kind::InducedSubgraph { n, mut edges } if negative => {
                edges.iter_mut().for_each(|(_, _, weight)| *weight = 4.0 - *weight);
                Kind::InducedSubgraph { n, edges }
            }
            // Costs by the distance round a ring.
            Kind::Airport { costs } if negative => {
                let n = costs.len();
                let apart = |i: usize, j: usize| (i + n - j) % n;
                let cost = |i: usize, j: usize| match (i, j) {
                    (0, 0) => 0.0,
                    (0, _) | (_, 0) => f64::from(ring[4]),
                    _ if i == j => 0.0,
                    _ => f64::from(ring[apart(i, j).min(apart(j, i)) - 1]),
                };
                Kind::SpanningTree { costs: (0..=n).map(|i| (0..=n).map(|j| cost(i, j)).collect()).collect() }
            }
            kind => kind,
        };
        let table = Table::of(&kind).expect("a table");
        let close = |found: Vec<RBig>, wanted: Vec<f64>| {
            // 2^8 roundings of numbers up to 100.
            let near = |(found, wanted): (&RBig, &f64)| (found.to_f64().value() - wanted).abs() < 1e-11;
            assert!(found.iter().zip(&wanted).all(near), "{kind:?}: {found:?}, {wanted:?}");
        };
        let found = closed_forms::shapley(&kind).expect("a value");
        let grand = RBig::try_from(table.grand()).expect("finite");
        prop_assert_eq!(found.iter().fold(RBig::ZERO, |sum, x| sum + x), grand);
        close(found, secateur_theory::game::shapley::shapley(&table));
        match closed_forms::banzhaf(&kind) {
            Ok(found) => close(found, secateur_theory::game::shapley::banzhaf(&table)),
            Err(error) => prop_assert!(matches!(kind, Kind::SpanningTree { .. }), "{}", error),
        }
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(number).collect()
}

fn large() -> Value {
    let oracle: Value = serde_json::from_str(include_str!("fixtures/coop_games.json")).expect("JSON");
    oracle["large"].clone()
}

/// Each entry as often as its group has players.
fn each(entries: &[f64], sizes: &[f64]) -> Vec<f64> {
    entries.iter().zip(sizes).flat_map(|(entry, size)| vec![*entry; *size as usize]).collect()
}

fn shapley(kind: &Kind) -> Vec<f64> {
    closed_forms::shapley(kind).expect("a value").iter().map(|x| x.to_f64().value()).collect()
}

fn apart(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn runway() -> Kind {
    let airport = &large()["castro2009_airport"];
    Kind::Airport { costs: each(&numbers(&airport["costs"]), &numbers(&airport["cost_groups"])) }
}

fn ring() -> Kind {
    let ring = large()["castro2009_mst"].clone();
    let (near, far) = (number(&ring["ring_edge"]), number(&ring["source_edge"]));
    // An edge beside the ring is no better than one to the source.
    let cost = |i: usize, j: usize| match (i.min(j), i.max(j)) {
        (i, j) if i == j => 0.0,
        (0, _) => far,
        (i, j) if j == i + 1 || (i, j) == (1, 100) => near,
        _ => far,
    };
    Kind::SpanningTree { costs: (0..=100).map(|i| (0..=100).map(|j| cost(i, j)).collect()).collect() }
}

#[test]
fn published_values_of_large_games() {
    let large = large();
    let airport = &large["castro2009_airport"];
    let wanted = each(&numbers(&airport["shapley"]), &numbers(&airport["cost_groups"]));
    let found: Vec<f64> = shapley(&runway()).into_iter().map(|cost| -cost).collect();
    // Nine decimals are published.
    assert!(apart(&found, &wanted) < 1e-9, "{found:?}");

    let voting = &large["castro2009_asymmetric_voting"];
    let sizes = numbers(&voting["group_sizes"]);
    let weights = each(&numbers(&voting["weights"]), &sizes);
    let quota = weights.iter().sum::<f64>() / 2.0 + 0.5;
    let found = shapley(&Kind::WeightedVoting { quota, weights });
    // Four digits are published, of numbers below 0.1.
    let distance = apart(&found, &each(&numbers(&voting["shapley"]), &sizes));
    assert!(distance < 5.0001e-6, "{distance}: {found:?}");

    let council = &large["un_security_council"];
    let (permanent, other) = (number(&council["permanent"]), number(&council["nonpermanent"]));
    let found = shapley(&Kind::WeightedVoting { quota: 39.0, weights: each(&[7.0, 1.0], &[5.0, 10.0]) });
    assert!(apart(&found, &each(&[permanent, other], &[5.0, 10.0])) < 1e-9, "{found:?}");

    assert_eq!(shapley(&ring()), vec![-number(&large["castro2009_mst"]["shapley_each"]); 100]);
}

#[test]
fn what_cannot_be_found_is_said() {
    let kinds = [
        ring(),
        Kind::InducedSubgraph { n: 2, edges: vec![(0, 1, -1.0)] },
        Kind::WeightedVoting { quota: 1.0, weights: vec![1.0 / 3.0, 1.0] },
        Kind::WeightedVoting { quota: 1.0, weights: vec![1e6, 1.0] },
    ];
    for kind in kinds {
        assert!(matches!(Separable::of(&kind), Err(TheoryError::NoMethod { .. })), "{kind:?}");
    }
    let claims = vec![1e6 + 1.0, 1e6];
    assert!(closed_forms::shapley(&Kind::Bankruptcy { estate: 1e6, claims: claims.clone() }).is_ok());
    // Decimals are counted in tenths, as their doubles have no unit that is large enough.
    let tenths: Vec<f64> = (0..30).map(|player| f64::from(player * 7 % 30 + 1)).collect();
    let decimals = Kind::Bankruptcy { estate: 20.5, claims: tenths.iter().map(|claim| claim / 10.0).collect() };
    let whole = Kind::Bankruptcy { estate: 205.0, claims: tenths };
    for average in [closed_forms::shapley, closed_forms::banzhaf] {
        let (found, whole) = (average(&decimals).expect("values"), average(&whole).expect("values"));
        assert!(found.iter().zip(&whole).all(|(x, whole)| x * RBig::from(10) == *whole));
    }
    let many = claims.repeat(20);
    let refused = closed_forms::shapley(&Kind::Bankruptcy { estate: 1e6, claims: many });
    assert!(matches!(refused, Err(TheoryError::NoMethod { .. })), "{refused:?}");
}

#[test]
fn least_cores_of_many_players() {
    let game = Separable::of(&runway()).expect("a method");
    assert_eq!(game.classes().count(), 10);
    let core = least_core_of(&game, Settings::default()).expect("a least core");
    proved(&game, &core);
    let votes = (1..=40).map(f64::from).collect();
    let edges =
        (0..100).flat_map(|i| [(i, (i + 1) % 100, f64::from(1 + i as u8 % 7)), (i, i * i % 100, 2.0)]).collect();
    for kind in [Kind::WeightedVoting { quota: 411.0, weights: votes }, Kind::InducedSubgraph { n: 100, edges }] {
        let game = Separable::of(&kind).expect("a method");
        for nonnegative in [true, false] {
            proved(&game, &least_core_of(&game, Settings { nonnegative }).expect("a least core"));
        }
    }
}
