//! Small games against the crate `coopgame`, which solves games that are given in full in floating point, and nucleoli of up to
//! ten players also in rational numbers.

use coopgame::Domain;
use coopgame::game::ExplicitGame;
use coopgame::game::exact::{ExactGame, format_rational};
use coopgame::nucleolus as other;
use dashu_ratio::RBig;
use proptest::prelude::*;
use secateur_theory::game::core::{Membership, membership};
use secateur_theory::game::excess::Excesses;
use secateur_theory::game::least_core::{Settings, least_core};
use secateur_theory::game::nucleolus::{nucleolus, prenucleolus};
use secateur_theory::game::shapley::{banzhaf, shapley};
use secateur_theory::game::{Coalition, Game, Table};

fn games(players: usize) -> impl Strategy<Value = Table> {
    let whole = (-4i32..9).prop_map(f64::from).boxed();
    let values = prop_oneof![whole.clone(), prop_oneof![1 => whole, 2 => (-2.0f64..3.0).boxed()].boxed()];
    prop::collection::vec(values, (1 << players) - 1)
        .prop_map(move |values| Table::new(players, [0.0].into_iter().chain(values).collect()).expect("a game"))
}

fn theirs(game: &Table) -> ExplicitGame {
    ExplicitGame::from_binary(&game.values()[1..]).expect("a game")
}

fn float(values: &[RBig]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64().value()).collect()
}

/// Its tolerance is $10^{-9}$ of the largest value; several programs one after the other add up to more.
fn close(ours: &[f64], theirs: &[f64]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn averages_agree(game in (2usize..7).prop_flat_map(games)) {
        let same = theirs(&game);
        prop_assert!(close(&shapley(&game), &coopgame::values::shapley(&same)));
        prop_assert!(close(&banzhaf(&game), &coopgame::values::banzhaf(&same)));
    }

    #[test]
    fn least_cores_agree(game in (2usize..7).prop_flat_map(games)) {
        let same = theirs(&game);
        let ours = least_core(&game, Settings::default()).expect("players");
        let found = other::least_core(&same, Domain::Preimputation).expect("a least core");
        prop_assert!(close(&[ours.excess.to_f64().value()], &[found.epsilon()]), "{:?} {:?}", ours, found);
        prop_assert_eq!(ours.excess <= RBig::ZERO, other::has_nonempty_core(&same).expect("a least core"));
        // Its division, of which there may be many, leaves no coalition more than our excess.
        let excesses = Excesses::of(&game);
        let division: Vec<RBig> = found.allocation().iter().map(|x| RBig::try_from(*x).expect("finite")).collect();
        let worst = excesses.worst(&division, None).expect("coalitions").1;
        prop_assert!((worst - &ours.excess).to_f64().value() < 1e-7);
        let inside = membership(&game, &ours.payoffs).expect("a division") == Membership::Core;
        prop_assert_eq!(inside, coopgame::properties::is_in_core(&same, &float(&ours.payoffs), 1e-9));
    }

    #[test]
    fn nucleoli_agree(game in (2usize..7).prop_flat_map(games)) {
        let same = theirs(&game);
        let ours = prenucleolus(&game);
        let found = other::prenucleolus(&same).expect("a prenucleolus");
        prop_assert!(close(&float(&ours.payoffs), found.allocation()), "{:?} {:?}", ours, found);
        match (nucleolus(&game), other::nucleolus(&same)) {
            (Ok(ours), Ok(found)) => prop_assert!(close(&float(&ours.payoffs), found.allocation()), "{:?} {:?}", ours, found),
            (ours, found) => prop_assert!(ours.is_err() && found.is_err(), "{:?} {:?}", ours, found),
        }
    }

    #[test]
    fn nucleoli_in_rational_numbers_are_the_same(game in (2usize..6).prop_flat_map(games)) {
        let same = ExactGame::from_explicit(&theirs(&game)).expect("a game");
        let found = other::exact::nucleolus(&same, Domain::Preimputation).expect("a prenucleolus");
        let ours = prenucleolus(&game);
        let texts: Vec<String> = found.allocation.iter().map(format_rational).collect();
        prop_assert_eq!(ours.payoffs.iter().map(RBig::to_string).collect::<Vec<_>>(), texts);
        prop_assert!(ours.payoffs.iter().fold(RBig::ZERO, |s, x| s + x) == Excesses::of(&game).value(Coalition::all(game.players())));
    }
}
