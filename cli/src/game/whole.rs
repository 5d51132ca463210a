//! Games of the literature that are solved from their few numbers, whatever the number of players.

use super::record::Record;
use super::solve::{Arguments, Concept, compared, proved, unshared};
use crate::error::CliError;
use secateur_theory::TheoryError;
use secateur_theory::game::Game;
use secateur_theory::game::closed_forms::{banzhaf, shapley};
use secateur_theory::game::kinds::Kind;
use secateur_theory::game::least_core::{Settings, least_core_of};
use secateur_theory::game::separation::Separable;
use secateur_theory::game::table::MOST;

/// Solves a game, read from `file`, without a table; false where it has few enough players for one and needs it.
pub fn solved(arguments: &Arguments, kind: &Kind, file: &[u8], record: &mut Record) -> Result<bool, CliError> {
    match without_table(arguments, kind, file, record) {
        Ok(done) => {
            if done {
                record.notes.extend(notes(kind));
            }
            Ok(done)
        }
        Err(CliError::NoMethod { .. }) if kind.players() <= MOST => Ok(false),
        Err(error) => Err(error),
    }
}

fn without_table(arguments: &Arguments, kind: &Kind, file: &[u8], record: &mut Record) -> Result<bool, CliError> {
    let fault = |error: TheoryError| match error {
        TheoryError::NoMethod { what, why } => CliError::NoMethod { path: arguments.game.clone(), what, why },
        error => CliError::Game { path: arguments.game.clone(), what: error.to_string() },
    };
    match arguments.concept {
        Concept::Shapley => record.exact(&shapley(kind).map_err(fault)?),
        Concept::Banzhaf => {
            record.exact(&banzhaf(kind).map_err(fault)?);
            record.notes.push(unshared(kind, &record.payoffs).map_err(fault)?);
        }
        Concept::LeastCore => {
            let game = Separable::of(kind).map_err(fault)?;
            let found = least_core_of(&game, Settings { nonnegative: arguments.nonnegative }).map_err(fault)?;
            proved(arguments, &found, file, record)?;
            record.shares(&game, &found.payoffs, Some(&found.excess));
        }
        Concept::Core => compared(arguments, &Separable::of(kind).map_err(fault)?, record)?,
        Concept::Nucleolus | Concept::Prenucleolus | Concept::LeaveOneOut => return Ok(false),
    }
    Ok(true)
}

/// What is to be known about a kind.
fn notes(kind: &Kind) -> Option<String> {
    let note = match kind {
        Kind::Airport { .. } | Kind::SpanningTree { .. } => {
            "values are costs, and negative: who pays 3 has a payoff of -3"
        }
        Kind::InducedSubgraph { edges, .. } if edges.iter().any(|(_, _, weight)| *weight < 0.0) => {
            "some weights are negative: a player's arrival may make a coalition worth less"
        }
        _ => return None,
    };
    Some(note.to_owned())
}
