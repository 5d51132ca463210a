//! `secateur-check [--semantics real|f32] MODEL SPEC CERT`: does the certificate prove that the property holds, or that it
//! does not?
//!
//! With `--semantics f32` the question is about every execution of the network in single precision. Prints `accepted` or `rejected: why`. Exit code 0 accepted, 1 rejected, 2 bad input.

#![deny(clippy::float_arithmetic)]

use secateur_check::Semantics;
use secateur_check::proof::format::{Digests, FormatError};
use secateur_check::proof::{Accepted, Rejection, check};
use secateur_nn::{onnx, vnnlib};
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let mut semantics = Some(Semantics::Real);
    if arguments.first().is_some_and(|first| first == "--semantics") {
        semantics = arguments.get(1).and_then(|name| name.to_str()?.parse().ok());
        arguments.drain(..2.min(arguments.len()));
    }
    let (Some(semantics), [model, spec, certificate]) = (semantics, arguments.as_slice()) else {
        eprintln!("usage: secateur-check [--semantics real|f32] MODEL SPEC CERT");
        eprintln!("exit codes: 0 accepted, 1 rejected, 2 bad input");
        return ExitCode::from(2);
    };
    let read = || -> Result<_, String> {
        let graph = onnx::read(model).map_err(|error| error.to_string())?;
        let property = vnnlib::read(spec).map_err(|error| error.to_string())?;
        property.check_against(&graph).map_err(|error| error.to_string())?;
        let digests = Digests::of(Path::new(model), Path::new(spec)).map_err(|error| error.to_string())?;
        let file = File::open(certificate).map_err(|error| format!("{}: {error}", certificate.display()))?;
        Ok((graph, property, digests, file))
    };
    let (graph, property, digests, file) = match read() {
        Ok(all) => all,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match check(&graph, &property, &digests, semantics, file) {
        Ok(accepted) => {
            println!("accepted");
            match accepted {
                Accepted::Unsat { records } => eprintln!("unsat, by {records} records"),
                Accepted::Sat { case, conjunction } => eprintln!("sat: case {case}, conjunction {conjunction}"),
            }
            ExitCode::SUCCESS
        }
        Err(error @ (Rejection::Network(_) | Rejection::Ball(_) | Rejection::Format(FormatError::Magic))) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        Err(why) => {
            println!("rejected: {why}");
            ExitCode::from(1)
        }
    }
}
