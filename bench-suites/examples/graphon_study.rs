//! A study without the command line: `cargo run -p secateur-bench-suites --example graphon_study -- CONFIG DIRECTORY [DATA]`.

use secateur_bench_suites::theory::graphon;
use secateur_bench_suites::watcher::Watcher;
use std::path::Path;

struct Lines;

impl Watcher for Lines {
    fn measuring(&self, number: usize, all: usize, what: &str) {
        println!("{number}/{all} {what}");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, directory, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: graphon_study CONFIG DIRECTORY [DATA]");
        std::process::exit(2);
    };
    if let Err(error) = graphon::run(Path::new(config), rest.first().map(Path::new), Path::new(directory), &Lines) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
