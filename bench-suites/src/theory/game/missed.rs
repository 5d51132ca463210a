//! What is missed when few coalitions are looked at.

use super::{all, draw, float};
use crate::theory::StudyError;
use crate::theory::statement::{Comparison, Context, Finding, Tolerance, greatest};
use dashu_ratio::RBig;
use rayon::prelude::*;
use secateur_linalg::random::Random;
use secateur_theory::game::excess::Excesses;
use secateur_theory::game::least_core::{Settings, least_core};
use secateur_theory::game::monte_carlo::monte_carlo;
use secateur_theory::game::stack::{Found, Thresholds, certified, dispensable};
use secateur_theory::game::{Coalition, Game, Table};

/// Players of the games of labels.
const PLAYERS: usize = 10;

/// Games from which rows are drawn.
const GAMES: u64 = 60;

/// What a division says of itself, and what is so.
struct Said {
    /// The excess of the rows that were seen.
    reported: RBig,
    /// The bound of what the others have.
    upper: RBig,
    /// The greatest excess of all coalitions under the division.
    worst: RBig,
    /// The least excess of any division.
    least: RBig,
    /// The share of coalitions with more than what is reported, of those that were not evaluated.
    violated: f64,
    /// Evaluated coalitions over all.
    evaluated: f64,
}

impl Said {
    fn of(game: &Table, found: Found) -> Result<Self, StudyError> {
        let (excesses, proper) = (Excesses::of(game), (1usize << game.players()) - 2);
        let sets = 1..=proper as u128;
        let more = sets.filter(|set| excesses.excess(Coalition(*set), &found.payoffs) > found.lower).count();
        let worst = excesses.worst(&found.payoffs, None).map_or(RBig::ZERO, |(_, worst)| worst);
        Ok(Self {
            worst,
            least: least_core(game, Settings { nonnegative: true })?.excess,
            // Nothing that was evaluated has more; all but N are proper.
            violated: more as f64 / (proper + 1 - found.evaluations) as f64,
            evaluated: found.evaluations as f64 / (proper + 1) as f64,
            reported: found.lower,
            upper: found.upper,
        })
    }

    /// What the division hides.
    fn hidden(&self) -> f64 {
        float(&self.worst) - float(&self.reported)
    }

    /// Whether everything is on its side of what it bounds.
    fn ordered(&self) -> bool {
        self.reported <= self.least && self.least <= self.worst && self.worst <= self.upper
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// The value in the middle, the upper one of two.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Coalitions drawn at random: few are violated, and by a lot.
pub fn drawn_rows(context: &Context<'_>) -> Result<Finding, StudyError> {
    let rows = (1usize << PLAYERS) / 10;
    let one = |index: u64| {
        let mut random = Random::stream(context.seed, 100 + index);
        let game = draw::Labels::draw(PLAYERS, &mut random).game(&mut random)?;
        Said::of(&game, monte_carlo(&game, rows, random.bits(), 0.0)?)
    };
    let said = (0..GAMES).into_par_iter().map(one).collect::<Result<Vec<_>, StudyError>>()?;
    let ordered: Vec<bool> = said.iter().map(Said::ordered).collect();
    // A share has at most the mean and the variance of a Beta variable, n and m + 1 - n; four deviations of the mean.
    let (n, m) = (PLAYERS as f64, rows as f64);
    let deviation = (n * (m + 1.0 - n) / (m + 2.0)).sqrt() / (m + 1.0);
    let share = n / (m + 1.0) + 4.0 * deviation / (GAMES as f64).sqrt();
    let violated = mean(said.iter().map(|said| said.violated));
    let lower = said.iter().map(|said| float(&said.least) - float(&said.reported));
    Ok(Finding::Compared(vec![
        all("games with reported ≤ least ≤ worst ≤ upper", &ordered),
        Comparison::new("mean share of coalitions violated", share, violated, Tolerance::AtMost),
        Comparison::new(
            "median of worst less reported",
            0.05,
            middle(said.iter().map(Said::hidden)),
            Tolerance::AtLeast,
        ),
        Comparison::new("median of least less reported", 0.02, middle(lower), Tolerance::AtLeast),
    ]))
}

/// Thresholds of the paper's stack beside the search by bounds.
pub fn thresholds(context: &Context<'_>) -> Result<Finding, StudyError> {
    let floor = Thresholds { dispensable: -1.0, weak: 0.5 };
    let one = |index: u64| {
        let mut random = Random::stream(context.seed, 200 + index);
        let game = draw::Labels::draw(PLAYERS, &mut random).game(&mut random)?;
        let found =
            [dispensable(&game, floor, 0.0)?, dispensable(&game, Thresholds::default(), 0.0)?, certified(&game, 0.05)?];
        let [floor, both, bound] = found.map(|found| Said::of(&game, found));
        Ok([floor?, both?, bound?])
    };
    let said = (0..6).into_par_iter().map(one).collect::<Result<Vec<_>, StudyError>>()?;
    let ordered: Vec<bool> = said.iter().flatten().map(Said::ordered).collect();
    let evaluated = |which: usize| mean(said.iter().map(move |said| said[which].evaluated));
    let hidden = |which: usize| said.iter().map(move |said| said[which].hidden());
    Ok(Finding::Compared(vec![
        all("reported ≤ least ≤ worst ≤ upper, of all three", &ordered),
        Comparison::new("share evaluated, weak ≤ v(N)/2 alone", 0.95, evaluated(0), Tolerance::AtLeast),
        Comparison::new("share evaluated, both thresholds", 0.2, evaluated(1), Tolerance::AtMost),
        Comparison::new("share evaluated, bounds with η = .05", 0.5, evaluated(2), Tolerance::AtMost),
        Comparison::new("median of worst less reported, weak alone", 0.01, middle(hidden(0)), Tolerance::AtMost),
        Comparison::new("median of worst less reported, both", 0.3, middle(hidden(1)), Tolerance::AtLeast),
        Comparison::new("worst less reported, bounds", 0.05, greatest(hidden(2)), Tolerance::AtMost),
    ]))
}
