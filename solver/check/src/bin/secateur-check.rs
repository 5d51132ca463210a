//! `secateur-check MODEL SPEC CERT`: does the certificate prove that the property holds, or that it does not?
//! `secateur-check --delta D FIRST SECOND SPEC CERT`: the same for what `secateur equiv` says of two networks.
//! `secateur-check --least-core GAME CERT`: does the certificate prove the least core of a game?
//!
//! With `--semantics f32` the question is about every execution of the network in single precision. Prints `accepted` or
//! `rejected: why`. Exit code 0 accepted, 1 rejected, 2 bad input.

#![deny(clippy::float_arithmetic)]

use dashu_ratio::RBig;
use secateur_check::proof::format::{Digests, FormatError};
use secateur_check::proof::{Accepted, Rejection, check};
use secateur_check::shares::{LeastCoreProved, SharesRejection, check_shares};
use secateur_check::{Question, Semantics, check_pair};
use secateur_nn::graph::Graph;
use secateur_nn::property::Property;
use secateur_nn::{onnx, vnnlib};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: secateur-check [--semantics real|f32] MODEL SPEC CERT
       secateur-check (--delta D | --same-class [--lead M] [--least]) FIRST SECOND SPEC CERT
       secateur-check --least-core GAME CERT
exit codes: 0 accepted, 1 rejected, 2 bad input";

/// What the command line says.
#[derive(Default)]
struct Arguments {
    semantics: Option<Semantics>,
    delta: Option<RBig>,
    same_class: bool,
    lead: Option<RBig>,
    least: bool,
    least_core: bool,
    files: Vec<PathBuf>,
}

/// `None` where it makes no sense.
fn arguments() -> Option<Arguments> {
    let mut read = Arguments::default();
    let mut words = std::env::args_os().skip(1);
    let number = |word: Option<std::ffi::OsString>| vnnlib::quotient(word?.to_str()?);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--semantics") => read.semantics = Some(words.next()?.to_str()?.parse().ok()?),
            Some("--delta") => read.delta = Some(number(words.next())?),
            Some("--lead") => read.lead = Some(number(words.next())?),
            Some("--same-class") => read.same_class = true,
            Some("--least") => read.least = true,
            Some("--least-core") => read.least_core = true,
            Some(option) if option.starts_with("--") => return None,
            _ => read.files.push(word.into()),
        }
    }
    let classes = read.same_class || (read.lead.is_none() && !read.least);
    let question = read.delta.is_some() || read.same_class;
    if read.least_core {
        return (classes && !question && read.semantics.is_none() && read.files.len() == 2).then_some(read);
    }
    let clash = (read.delta.is_some() && read.same_class) || (question && read.semantics.is_some());
    (classes && !clash && read.files.len() == 3 + usize::from(question)).then_some(read)
}

/// What is to be shown, and by what.
struct Claim {
    about: About,
    digests: Digests,
    certificate: File,
}

enum About {
    One(Graph, Property, Semantics),
    Two([Graph; 2], Property, Question),
}

impl Claim {
    fn check(self) -> Result<Accepted, Rejection> {
        match self.about {
            About::One(graph, property, semantics) => {
                check(&graph, &property, &self.digests, semantics, self.certificate)
            }
            About::Two([a, b], inputs, question) => {
                check_pair(&a, &b, &inputs, &question, &self.digests, self.certificate)
            }
        }
    }
}

impl Arguments {
    fn question(&self) -> Option<Question> {
        match &self.delta {
            Some(delta) => Some(Question::Within(delta.clone())),
            None if self.same_class => {
                Some(Question::SameClass { lead: self.lead.clone().unwrap_or_default(), least: self.least })
            }
            None => None,
        }
    }

    fn claim(&self) -> Result<Claim, String> {
        let file = |index: usize| -> &Path { &self.files[index] };
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let open = |path: &Path| File::open(path).map_err(|error| format!("{}: {error}", path.display()));
        let first = onnx::read(file(0)).map_err(|error| text(&error))?;
        let Some(question) = self.question() else {
            let property = vnnlib::read(file(1)).map_err(|error| text(&error))?;
            property.check_against(&first).map_err(|error| text(&error))?;
            let digests = Digests::of(file(0), file(1)).map_err(|error| text(&error))?;
            let about = About::One(first, property, self.semantics.unwrap_or(Semantics::Real));
            return Ok(Claim { about, digests, certificate: open(file(2))? });
        };
        let second = onnx::read(file(1)).map_err(|error| text(&error))?;
        let inputs = vnnlib::read(file(2)).map_err(|error| text(&error))?;
        let digests = Digests::of_pair(file(0), file(1), file(2)).map_err(|error| text(&error))?;
        Ok(Claim { about: About::Two([first, second], inputs, question), digests, certificate: open(file(3))? })
    }
}

/// Checks the least core of a game.
fn least_core(game: &Path, certificate: &Path) -> ExitCode {
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let checked = read(game).and_then(|game| Ok((game, read(certificate)?)));
    match checked.map(|(game, certificate)| check_shares(&game, &certificate)) {
        Ok(Ok(LeastCoreProved { excess, nonnegative, players })) => {
            println!("accepted");
            let payoffs = if nonnegative { "payoffs that are not negative" } else { "any payoffs" };
            eprintln!("least excess {excess} over {payoffs}, {players} players");
            ExitCode::SUCCESS
        }
        Ok(Err(error @ (SharesRejection::Game(_) | SharesRejection::Format(_)))) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        Ok(Err(why)) => {
            println!("rejected: {why}");
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if arguments.least_core {
        return least_core(&arguments.files[0], &arguments.files[1]);
    }
    let claim = match arguments.claim() {
        Ok(claim) => claim,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match claim.check() {
        Ok(accepted) => {
            println!("accepted");
            let [holds, fails] =
                if arguments.question().is_some() { ["equivalent", "different"] } else { ["unsat", "sat"] };
            match accepted {
                Accepted::Unsat { records } => eprintln!("{holds}, by {records} records"),
                Accepted::Sat { case, conjunction } => eprintln!("{fails}: case {case}, conjunction {conjunction}"),
            }
            ExitCode::SUCCESS
        }
        Err(
            error @ (Rejection::Network(_)
            | Rejection::Pair(_)
            | Rejection::Ball(_)
            | Rejection::Format(FormatError::Magic)),
        ) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        Err(why) => {
            println!("rejected: {why}");
            ExitCode::from(1)
        }
    }
}
