//! What is found about a game, as JSON and as text.

use dashu_ratio::RBig;
use secateur_theory::game::excess::ExcessOracle;
use secateur_theory::game::sampled::Method;
use secateur_theory::game::{Coalition, Plain};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// What is found.
#[derive(Default, Serialize)]
pub struct Record {
    pub concept: String,
    pub players: usize,
    pub payoffs: Vec<f64>,
    /// The greatest excess: of the least core, or of these payoffs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excess: Option<f64>,
    /// The same as quotients of whole numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<Exact>,
    /// Coalitions with that excess.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tight: Option<Vec<Vec<usize>>>,
    /// Whether the payoffs are in the core, and who would leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_core: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocking: Option<Vec<usize>>,
    /// Half the 95 % intervals of sampled payoffs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_widths: Option<Vec<f64>>,
    /// How these have settled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<Settled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How units were drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// What is to be known about the game.
    pub notes: Vec<String>,
    /// Files that are written once the answer is known to be one.
    #[serde(skip)]
    pub files: Vec<(PathBuf, String)>,
}

#[derive(Serialize)]
pub struct Exact {
    pub payoffs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excess: Option<String>,
}

/// Half of an interval, with six digits after the point where these say something.
fn width(half: f64) -> String {
    if half == 0.0 || (1e-5..1e16).contains(&half) { format!("{half:.6}") } else { format!("{half:.6e}") }
}

/// Sampled payoffs after some units.
#[derive(Serialize)]
pub struct Settled {
    pub units: usize,
    pub payoffs: Vec<f64>,
    pub half_widths: Vec<f64>,
}

impl Record {
    /// Payoffs that are exact.
    pub fn exact(&mut self, payoffs: &[RBig]) {
        self.payoffs = payoffs.iter().map(|x| x.to_f64().value()).collect();
        self.exact = Some(Exact { payoffs: payoffs.iter().map(RBig::to_string).collect(), excess: None });
    }

    /// Payoffs that are exact, with the excess that they leave.
    pub fn shares(&mut self, game: &dyn ExcessOracle, payoffs: &[RBig], excess: Option<&RBig>) {
        let worst = excess.cloned().or_else(|| game.worst(payoffs).map(|(_, worst)| worst));
        self.exact(payoffs);
        self.excess = worst.as_ref().map(|worst| worst.to_f64().value());
        if let Some(exact) = &mut self.exact {
            exact.excess = worst.as_ref().map(RBig::to_string);
        }
        if self.players <= 12 {
            let paid = |set: Coalition| set.members().fold(RBig::ZERO, |paid, player| paid + &payoffs[player]);
            let proper = (1..(1u128 << self.players) - 1).map(Coalition);
            let tight = proper.filter(|set| worst.as_ref() == Some(&(game.value(*set) - paid(*set))));
            self.tight = Some(tight.map(|coalition| coalition.members().collect()).collect());
        }
    }

    /// The first number, by what it is, that no double is: JSON has no such number.
    pub fn overflow(&self) -> Option<String> {
        let beyond = |value: &&f64| !value.is_finite();
        let player = self.payoffs.iter().position(|payoff| !payoff.is_finite());
        let width = self.half_widths.iter().flatten().find(beyond).map(|_| "the interval of a payoff".to_owned());
        let excess = self.excess.iter().find(beyond).map(|_| "the greatest excess".to_owned());
        player.map(|player| format!("the payoff of player {player}")).or(width).or(excess)
    }

    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.concept);
        for (player, payoff) in self.payoffs.iter().enumerate() {
            let exact = self.exact.as_ref().map(|exact| &exact.payoffs[player]).filter(|exact| exact.len() < 24);
            let exact = exact.map_or_else(String::new, |exact| format!("  = {exact}"));
            let half = self.half_widths.as_ref().map_or_else(String::new, |half| format!(" ± {}", width(half[player])));
            let _ = writeln!(text, "player {player}: {}{half}{exact}", Plain(*payoff));
        }
        if let Some(excess) = self.excess {
            let _ = writeln!(text, "greatest excess: {}", Plain(excess));
        }
        let names = |players: &[usize]| players.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        if let Some(tight) = &self.tight {
            let sets: Vec<String> = tight.iter().map(|players| format!("{{{}}}", names(players))).collect();
            let _ = writeln!(text, "coalitions with it: {}", sets.join(" "));
        }
        match (self.in_core, &self.blocking) {
            (Some(true), _) => text.push_str("in the core\n"),
            (Some(false), Some(players)) => {
                let _ = writeln!(text, "not in the core: {{{}}} gains by leaving", names(players));
            }
            _ => {}
        }
        if !self.trace.is_empty() {
            text.push_str("   units  largest half width\n");
            for Settled { units, half_widths, .. } in &self.trace {
                let _ = writeln!(text, "{units:8}  {:>18}", width(half_widths.iter().copied().fold(0.0, f64::max)));
            }
        }
        if let Some(evaluations) = self.evaluations {
            let _ = writeln!(text, "{evaluations} values asked for");
        }
        self.notes.iter().for_each(|note| {
            let _ = writeln!(text, "note: {note}");
        });
        text
    }
}
