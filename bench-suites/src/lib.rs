//! Benchmark suites: every instance in its own process, compared with what is known about it.
//!
//! | step | file |
//! |---|---|
//! | find the suites under a directory and read their instances and expected verdicts | [`suite`] |
//! | verify one instance in a child process, with a limit that holds | [`child`] |
//! | what a verification says about itself, as JSON | [`record`] |
//! | run everything that is not yet in the results file | [`runner`] |
//! | one CSV line per instance, on disk as soon as it is known | [`results`] |
//! | counts, times, memory and contradictions per suite | [`table`] |
//! | the same as a page, with other tools beside it | [`page`] |
//! | the robustness properties of one image | [`local`] |
//! | whether a network keeps an image's class | [`robustness`] |
//! | experiments on such properties (feature `full`) | `experiment` |
//! | experiments on pruning | [`pruning`] |
//! | measurements on disk, one line each; who hears of them | [`journal`], [`watcher`] |
//! | means and intervals of confidence | [`statistics`] |
//! | theory against the real algorithms | [`theory`] |
//! | games whose values are expensive, kept on disk | [`oracle`] |
//! | shares of clients who train together | [`federated`] |
//! | which blocks of language models can go | [`layers`] |
//! | language models made smaller | [`depth`] |
//! | the digits that ship | [`mod@digits`] |

pub mod certified;
pub mod child;
pub mod depth;
pub mod digits;
pub mod error;
#[cfg(feature = "full")]
pub mod experiment;
pub mod federated;
pub mod journal;
pub mod layers;
pub mod local;
pub mod oracle;
pub mod page;
pub mod plot;
pub mod pruning;
pub mod record;
pub mod results;
pub mod robustness;
pub mod runner;
mod side_by_side;
pub mod statistics;
pub mod suite;
pub mod table;
mod texts;
pub mod theory;
pub mod verdict;
pub mod watcher;
