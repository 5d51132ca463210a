//! The command line: `secateur verify`, `equiv`, `bound`, `robust`, `bench`, `experiment`, `prune`, `reduce`, `train`, `ntk`,
//! `theory`, `lm`, `inspect` and `eval`; with the feature `full`, `mip` too.
//!
//! | what | file |
//! |---|---|
//! | decide a property of a network | [`verify`] |
//! | bound its margin | [`bound`] |
//! | the same by mixed-integer programs | `mip` |
//! | verify images | [`robust`] |
//! | compare two networks | [`equiv`] |
//! | run suites of such questions | [`mod@bench`] |
//! | measure, and write tables and plots | [`experiment`] |
//! | write what that measured as a page | [`page`] |
//! | prune a network | [`prune`] |
//! | take away what does nothing on a box | [`reduce`] |
//! | labelled samples | [`samples`] |
//! | show a network | [`inspect`] |
//! | evaluate a network | [`eval`] |
//! | train a network | [`train`] |
//! | tangent kernels of networks and of sparse layers | [`mod@ntk`] |
//! | check statements of the theory | [`theory`] |
//! | language models: continue texts, measure, show | [`lm`] |
//! | share what coalitions are worth | [`game`] |
//! | what lowers upper bounds beside the search | [`upper`] |
//! | witnesses as text, exactly | [`witness`], [`decimal`] |
//! | progress on the terminal, and Ctrl-C | [`progress`], [`interrupt`] |
//! | what can be wrong, and which exit code says so | [`error`], [`exit`] |

mod bench;
mod bound;
mod certificate;
mod decimal;
mod equiv;
mod error;
mod eval;
mod exit;
mod experiment;
mod game;
mod inspect;
mod interrupt;
mod lm;
#[cfg(feature = "full")]
mod mip;
mod ntk;
mod output;
mod page;
mod progress;
mod prune;
mod reduce;
mod robust;
mod samples;
mod theory;
mod train;
mod upper;
mod verify;
mod witness;

use clap::{Parser, Subcommand};
use exit::Exit;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::process::ExitCode;

/// Bounds come and go as arrays of megabytes, which the system's allocator gives back and asks for again, page by page.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Formal verification and theory research workbench for neural networks.
#[derive(Parser)]
#[command(name = "secateur", version, after_help = exit::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Verify(verify::Arguments),
    Bound(bound::Arguments),
    #[cfg(feature = "full")]
    Mip(mip::Arguments),
    Equiv(equiv::Arguments),
    Robust(robust::Arguments),
    Bench(bench::Arguments),
    Page(page::Arguments),
    Experiment(experiment::Arguments),
    Prune(prune::Arguments),
    Reduce(reduce::Arguments),
    Inspect(inspect::Arguments),
    Eval(eval::Arguments),
    Train(train::Arguments),
    Ntk(ntk::Arguments),
    Theory(theory::Arguments),
    Game(game::Arguments),
    Lm(lm::Arguments),
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_fault));
    let work = || match Arguments::parse().command {
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Bound(arguments) => bound::run(&arguments),
        #[cfg(feature = "full")]
        Command::Mip(arguments) => mip::run(&arguments),
        Command::Equiv(arguments) => equiv::run(&arguments),
        Command::Robust(arguments) => robust::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Page(arguments) => page::run(&arguments),
        Command::Experiment(arguments) => experiment::run(&arguments),
        Command::Prune(arguments) => prune::run(&arguments),
        Command::Reduce(arguments) => reduce::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Ntk(arguments) => ntk::run(&arguments),
        Command::Theory(arguments) => theory::run(&arguments),
        Command::Game(arguments) => game::run(&arguments),
        Command::Lm(arguments) => lm::run(&arguments),
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            error.exit().into()
        }
        Err(_) => Exit::Fault.into(),
    }
}

/// Says where a panic came from, once per panic.
fn report_fault(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let message = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    eprintln!("internal fault{place}: {message}\nThis is a bug in secateur, not in what it was given.");
}
