//! Cooperative games with transferable utility: who should get what of $v(N)$.
//!
//! | concept | file |
//! |---|---|
//! | sets of players | [`coalition`] |
//! | games: tables, closures, and what values must be | [`table`] |
//! | games of the literature | [`kinds`] |
//! | excesses of all coalitions, exactly | [`excess`] |
//! | the greatest excess of a game of the literature, without a table | [`separation`] |
//! | players that are interchangeable | [`classes`] |
//! | the least core, exactly | [`least_core`] |
//! | the nucleolus and the prenucleolus, exactly | [`nucleolus`] |
//! | games of which some values are known, which coalitions need no value, coalitions drawn at random | [`known`], [`stack`], [`monte_carlo`] |
//! | Shapley and Banzhaf values, leave-one-out | [`shapley`] |
//! | Shapley and Banzhaf values of games of the literature, exactly and without a table | [`closed_forms`] |
//! | Shapley values by sampling, with intervals | [`sampled`] |
//! | the core: a blocking coalition, or none | [`core`] |
//! | numbers as messages write them | [`plain`] |
//!
//! The excess of a coalition is $e(S, x) = v(S) - \sum_{i \in S} x_i$: what it would gain by leaving.

pub mod classes;
pub mod closed_forms;
pub mod coalition;
pub mod core;
mod counts;
pub mod excess;
pub mod kinds;
pub mod known;
pub mod least_core;
pub mod monte_carlo;
pub mod nucleolus;
pub mod plain;
pub mod sampled;
pub mod separation;
pub mod shapley;
pub mod stack;
pub mod table;

pub use coalition::Coalition;
pub use plain::Plain;
pub use table::{Game, Table};
