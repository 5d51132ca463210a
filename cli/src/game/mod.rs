//! `secateur game`: fair shares of what a grand coalition is worth.

mod federated;
mod given;
mod record;
mod sampled;
mod search;
mod solve;
mod whole;

use crate::error::CliError;
use crate::exit::Exit;
use clap::{Args, Subcommand};

/// Cooperative games: who should get what.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Solve(solve::Arguments),
    Search(search::Arguments),
    Federated(federated::Arguments),
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    match &arguments.task {
        Task::Solve(arguments) => solve::run(arguments),
        Task::Search(arguments) => search::run(arguments),
        Task::Federated(arguments) => federated::run(arguments),
    }
}
