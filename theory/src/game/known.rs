//! The least core of what is known of a game, as coalitions are evaluated one by one.
//!
//! The linear program has a row for each evaluated coalition and $x \ge 0$; its value $\underline e$ only grows with rows, so it is a
//! lower bound of the least core's excess over divisions with $x \ge 0$.

use super::coalition::Coalition;
use super::least_core::{floor, indicator};
use super::table::Game;
use crate::error::TheoryError;
use dashu_ratio::RBig;
use secateur_opt::exact::Row;
use secateur_opt::exact::simplex::{Entered, Simplex};
use std::collections::BTreeMap;

/// A game of which some values are known.
pub struct Known<'a> {
    game: &'a dyn Game,
    values: BTreeMap<Coalition, f64>,
    grand: f64,
    simplex: Option<Simplex>,
}

impl<'a> Known<'a> {
    /// Evaluates the grand coalition.
    ///
    /// # Errors
    /// Fewer than two players or more than 127, $v(N) < 0$, or the value is not known.
    pub fn new(game: &'a dyn Game) -> Result<Self, TheoryError> {
        let n = game.players();
        if !(2..=127).contains(&n) {
            return Err(TheoryError::Range { name: "players", expected: "2 to 127", found: n as f64 });
        }
        let grand = finite(game, Coalition::all(n))?;
        if grand < 0.0 {
            return Err(TheoryError::NoImputation { excess: -grand, together: grand });
        }
        Ok(Self { game, values: BTreeMap::new(), grand, simplex: None })
    }

    /// How many players there are.
    pub fn players(&self) -> usize {
        self.game.players()
    }

    /// $v(N)$.
    pub fn grand(&self) -> f64 {
        self.grand
    }

    /// Coalitions that were evaluated, $N$ included.
    pub fn evaluations(&self) -> usize {
        self.values.len() + 1
    }

    /// The values of proper coalitions that are known.
    pub fn values(&self) -> &BTreeMap<Coalition, f64> {
        &self.values
    }

    /// Evaluates a coalition, once; its row is in the program from then on.
    ///
    /// # Errors
    /// The value is not known, or no finite number.
    pub fn evaluate(&mut self, coalition: Coalition) -> Result<f64, TheoryError> {
        if coalition == Coalition::EMPTY {
            return Ok(0.0);
        }
        if coalition == Coalition::all(self.players()) {
            return Ok(self.grand);
        }
        if let Some(value) = self.values.get(&coalition) {
            return Ok(*value);
        }
        let value = finite(self.game, coalition)?;
        self.values.insert(coalition, value);
        Ok(value)
    }

    /// Whether a coalition was evaluated.
    pub fn knows(&self, coalition: Coalition) -> bool {
        coalition == Coalition::all(self.players()) || self.values.contains_key(&coalition)
    }

    /// Evaluates coalitions side by side.
    ///
    /// # Errors
    /// As [`Known::evaluate`].
    pub fn evaluate_all(&mut self, coalitions: &[Coalition]) -> Result<(), TheoryError> {
        let new: Vec<Coalition> = coalitions.iter().copied().filter(|coalition| !self.knows(*coalition)).collect();
        self.game.prepare(&new)?;
        new.into_iter().try_for_each(|coalition| self.evaluate(coalition).map(|_| ()))
    }

    /// The most that a coalition can have if nobody makes others worth less: the least value of evaluated coalitions that hold
    /// it.
    pub fn ceiling(&self, coalition: Coalition) -> f64 {
        let above = self.values.iter().filter(|(other, _)| coalition.0 & !other.0 == 0);
        above.map(|(_, value)| *value).fold(self.grand, f64::min)
    }

    /// Two evaluated coalitions of which the smaller one is worth more, by more than a slack: the game is not monotone, not even
    /// up to that.
    pub fn contradiction(&self, slack: &RBig) -> Option<(Coalition, Coalition)> {
        let all = (Coalition::all(self.players()), self.grand);
        let known = || self.values.iter().map(|(coalition, value)| (*coalition, *value)).chain([all]);
        known().find_map(|(small, value)| {
            let falls = |worth: f64| worth < value && rational(value) - rational(worth) > *slack;
            let above = known().find(|(large, worth)| small.0 & !large.0 == 0 && falls(*worth));
            above.map(|(large, _)| (small, large))
        })
    }

    /// The division that is best for the known rows, and its greatest excess over them.
    ///
    /// # Panics
    /// No proper coalition was evaluated.
    #[track_caller]
    pub fn solve(&mut self) -> (Vec<RBig>, RBig) {
        let mut simplex = self.simplex.take().unwrap_or_else(|| self.start());
        let n = self.players();
        while let Some(row) = self.violated(simplex.point()) {
            let entered = simplex.enter(row);
            assert_eq!(entered, Entered::Pivoted, "payoffs that are not negative can be divided");
        }
        let (point, level) = (simplex.point()[..n].to_vec(), simplex.value().clone());
        self.simplex = Some(simplex);
        (point, level)
    }

    /// With one coalition $S$: $(x(S) + e) - x(N) + \sum_{i \notin S} x_i = e$.
    fn start(&self) -> Simplex {
        let n = self.players();
        let (first, _) = self.values.first_key_value().expect("a coalition was evaluated");
        let mut whole = vec![RBig::ONE; n];
        whole.push(RBig::ZERO);
        let mut rows =
            vec![Row { name: 0, coefficients: whole, bound: rational(self.grand), equal: true }, self.row(*first)];
        let spare = first.members().next();
        rows.extend((0..n).filter(|player| Some(*player) != spare).map(|player| floor(n + 1, player, RBig::ZERO)));
        let mut objective = vec![RBig::ZERO; n];
        objective.push(RBig::ONE);
        Simplex::new(&objective, rows).expect("the start is a basis")
    }

    fn row(&self, coalition: Coalition) -> Row {
        let n = self.players();
        let mut coefficients = indicator(coalition, n);
        coefficients.push(RBig::ONE);
        Row { name: coalition.0, coefficients, bound: rational(self.values[&coalition]), equal: false }
    }

    /// The row that is violated most.
    fn violated(&self, point: &[RBig]) -> Option<Row> {
        let (n, level) = (self.players(), &point[self.players()]);
        let short = |coalition: &Coalition, value: &f64| {
            coalition.members().fold(rational(*value) - level, |left, player| left - &point[player])
        };
        let shorts = self.values.iter().map(|(coalition, value)| (*coalition, short(coalition, value)));
        let worst = shorts.reduce(|a, b| if b.1 > a.1 { b } else { a }).filter(|(_, by)| *by > RBig::ZERO);
        let poor = (0..n).min_by(|a, b| point[*a].cmp(&point[*b])).filter(|player| point[*player] < RBig::ZERO);
        match (worst, poor) {
            (Some((coalition, by)), Some(player)) if by >= -point[player].clone() => Some(self.row(coalition)),
            (_, Some(player)) => Some(floor(n + 1, player, RBig::ZERO)),
            (Some((coalition, _)), None) => Some(self.row(coalition)),
            (None, None) => None,
        }
    }
}

/// A value that is a number.
fn finite(game: &dyn Game, coalition: Coalition) -> Result<f64, TheoryError> {
    let value = game.value(coalition)?;
    let fault = TheoryError::CoalitionValue { coalition, value, expected: "a finite number" };
    if value.is_finite() { Ok(value) } else { Err(fault) }
}

/// A finite double, exactly.
pub(super) fn rational(value: f64) -> RBig {
    RBig::try_from(value).expect("finite")
}
