//! Tests of the flow: against descent with small steps, stops at every flip against windows, conservation.

use super::*;
use crate::race::{Descent, Start, descend, testing};
use std::ops::ControlFlow::Continue;

fn settings(window: f64) -> Flow {
    Flow { end: 30.0, every: 1.0, relative: 1e-8, window }
}

fn run(task: &Task, start: &Neurons, loss: Loss, window: f64) -> FlowReport {
    flow(task, loss, start, &settings(window), &mut |_| Continue(())).expect("a flow")
}

fn distance(a: &Neurons, b: &Neurons) -> f64 {
    let square = |pairs: &mut dyn Iterator<Item = (&f64, &f64)>| pairs.map(|(x, y)| (x - y).powi(2)).sum::<f64>();
    let scale: f64 = a.w1.iter().chain(&a.w2).map(|w| w * w).sum();
    ((square(&mut a.w1.iter().zip(&b.w1)) + square(&mut a.w2.iter().zip(&b.w2))) / scale).sqrt()
}

#[test]
fn newton_is_the_polynomial() {
    let p = |t: f64| 1.0 - 2.0 * t + 3.0 * t.powi(2) - t.powi(3) + 0.5 * t.powi(4);
    let slope = |t: f64| -2.0 + 6.0 * t - 3.0 * t.powi(2) + 2.0 * t.powi(3);
    for t in [0.0, 0.1, 0.6, 1.0] {
        let (value, rise) = interpolate(&NODES.map(p), t);
        assert!((value - p(t)).abs() < 1e-13 && (rise - slope(t)).abs() < 1e-12, "{t}");
    }
}

#[test]
fn crossings_are_upward_only() {
    let at = |f: fn(f64) -> f64| crossing(&NODES.map(f));
    assert_eq!(at(|t| 0.3 - t), None);
    assert!((at(|t| t - 0.3).expect("a crossing") - 0.3).abs() < 1e-12);
    // Above, falling, then rising from its least value.
    assert!((at(|t| (t - 0.4).powi(2) + 0.1).expect("a rise") - 0.4).abs() < 1e-12);
    assert_eq!(at(|t| 0.1 + t), Some(0.0));
}

#[test]
fn descent_with_small_steps_is_the_flow() {
    // Samples with residuals of both signs and few neurons: gates flip, and some stay at their edge.
    let task = testing::mixture(10, 4, 6);
    let start = Neurons::start(&task, 6, Start::Equal, 0.1, 3).expect("neurons");
    for loss in [Loss::Mse, Loss::Logistic] {
        let report = run(&task, &start, loss, 0.0);
        assert!(report.flips.len() > 5, "{}", report.flips.len());
        let descended = |rate: f64| {
            let descent = Descent { rate, steps: (30.0 / rate).round() as usize };
            descend(&task, loss, &start, &descent, &mut |_| Continue(())).expect("neurons")
        };
        let [coarse, fine] = [4e-3, 1e-3].map(|rate| distance(&report.neurons, &descended(rate)));
        // Euler's method is of first order, at edges too: a quarter of the step, about a quarter of the distance.
        assert!(fine < 5e-3, "{loss}: {coarse} {fine}");
        assert!(fine < 0.4 * coarse, "{loss}: {coarse} {fine}");
    }
}

#[test]
fn samples_stay_at_edges() {
    let task = testing::mixture(14, 3, 2);
    let start = Neurons::start(&task, 8, Start::Equal, 0.1, 1).expect("neurons");
    let report = run(&task, &start, Loss::Mse, 0.0);
    assert!(report.edges > 0 && report.flips.iter().any(|flip| flip.to == Gate::Edge), "{report:?}");
}

#[test]
fn a_window_changes_little() {
    let task = testing::mixture(16, 5, 4);
    let start = Neurons::start(&task, 12, Start::Equal, 0.05, 9).expect("neurons");
    let exact = run(&task, &start, Loss::Mse, 0.0);
    let windowed = run(&task, &start, Loss::Mse, 0.02);
    // A gate that acts t late changes the drive by |ρ x| / N for a time t; over the run these are 0.02 · flips / N at most.
    let bound = 0.02 * exact.flips.len() as f64 / 16.0;
    let found = distance(&exact.neurons, &windowed.neurons);
    assert!(found < 0.1 * bound, "{found} of {bound}");
    assert!(windowed.stops < exact.stops, "{} {}", windowed.stops, exact.stops);
    // The same gates flip for the same reasons, give or take a chance encounter at an edge.
    let (n, m) = (exact.flips.len() as f64, windowed.flips.len() as f64);
    assert!((n - m).abs() <= 0.1 * n, "{n} {m}");
}

#[test]
fn flow_conserves_what_descent_does_not() {
    let task = testing::mixture(16, 5, 4);
    let start = Neurons::start(&task, 12, Start::Gaussian, 0.3, 9).expect("neurons");
    let flowed = run(&task, &start, Loss::Mse, 0.0).neurons.drift(&start);
    let descent = Descent { rate: 0.2, steps: 150 };
    let descended = descend(&task, Loss::Mse, &start, &descent, &mut |_| Continue(())).expect("neurons").drift(&start);
    // The tolerance of a step is 1e-8, over some hundred steps.
    assert!(flowed < 1e-5, "{flowed}");
    assert!(descended > 10.0 * flowed, "{descended} {flowed}");
}

#[test]
fn moments_come_on_time_and_may_end_the_flow() {
    let task = testing::mixture(16, 5, 4);
    let start = Neurons::start(&task, 4, Start::Equal, 0.05, 9).expect("neurons");
    let mut times = Vec::new();
    let mut losses = Vec::new();
    let mut watch = |moment: &Moment<'_>| {
        times.push(moment.time);
        losses.push(moment.drive.loss());
        Continue(())
    };
    flow(&task, Loss::Mse, &start, &settings(0.0), &mut watch).expect("a flow");
    assert_eq!(times, (0..=30).map(f64::from).collect::<Vec<_>>());
    assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9), "the loss never rises along its gradient");
    let mut seen = 0;
    let stop = &mut |_: &Moment<'_>| {
        seen += 1;
        if seen == 3 { std::ops::ControlFlow::Break(()) } else { Continue(()) }
    };
    flow(&task, Loss::Mse, &start, &settings(0.0), stop).expect("a flow");
    assert_eq!(seen, 3);
}

#[test]
fn settings_out_of_range_are_refused() {
    let task = testing::mixture(6, 3, 4);
    let start = Neurons::start(&task, 2, Start::Equal, 0.05, 9).expect("neurons");
    let good = settings(0.0);
    for bad in [
        Flow { end: 0.0, ..good },
        Flow { every: f64::NAN, ..good },
        Flow { relative: -1.0, ..good },
        Flow { window: -0.1, ..good },
    ] {
        assert!(flow(&task, Loss::Mse, &start, &bad, &mut |_| Continue(())).is_err(), "{bad:?}");
    }
}
