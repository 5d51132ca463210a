//! Every branching rule answers the conformance corpus.

use secateur_nn::graph::Graph;
use secateur_nn::property::Property;
use secateur_tests::conformance;
use secateur_verify::{Branching, Outcome, Settings, Silent, verify};
use std::time::Duration;

fn engine(branching: Branching) -> impl Fn(&Graph, &Property) -> Outcome {
    let settings = Settings { timeout: Some(Duration::from_secs(60)), threads: 2, branching, ..Settings::default() };
    move |graph, property| verify(graph, property, &settings, &Silent).expect("supported").outcome
}

#[test]
fn auto() {
    conformance::check(engine(Branching::Auto));
}

#[test]
fn input() {
    conformance::check(engine(Branching::Input));
}

#[test]
fn babsr() {
    conformance::check(engine(Branching::Babsr));
}

#[test]
fn fsb() {
    conformance::check(engine(Branching::Fsb));
}

#[test]
fn kfsb() {
    conformance::check(engine(Branching::Kfsb));
}
