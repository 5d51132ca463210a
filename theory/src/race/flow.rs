//! Gradient flow by an adaptive Runge–Kutta method (Tsitouras 5(4) of `diffsol`), with events at gate flips.
//!
//! Between events gates are fixed and the right-hand side is smooth, so steps may be long. After each step every
//! pre-activation is known along it: the dense output is a polynomial of degree four in time and pre-activations are linear in
//! the weights, so the values at five times determine it. The step is cut at its first event.

use super::drive::Drive;
use super::flips::{Flip, Gate};
use super::gates::{Gates, SHARE_TOLERANCE};
use super::loss::Loss;
use super::neurons::Neurons;
use super::task::Task;
use super::{Moment, Verdict};
use crate::error::TheoryError;
use diffsol::{NalgebraMat, NonLinearOp, OdeBuilder, OdeEquations, OdeSolverMethod, OdeSolverStopReason, Vector};
use std::cell::RefCell;

/// How to flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// The last time.
    pub end: f64,
    /// Times between two moments that are shown.
    pub every: f64,
    /// The relative tolerance of a step's error; the absolute one is `relative` times the root mean square of a weight at
    /// the start.
    pub relative: f64,
    /// Flips of the same step up to so much later than the first are acted on together with the last of them, so that a gate acts
    /// at most so much too late. 0: the flow stops at every flip.
    pub window: f64,
}

/// What came of a flow.
#[derive(Clone, Debug)]
pub struct FlowReport {
    /// The neurons in the end.
    pub neurons: Neurons,
    /// All flips in the order of time, up to [`Flow::window`].
    pub flips: Vec<Flip>,
    /// Steps of the solver.
    pub steps: usize,
    /// Steps cut at an event.
    pub stops: usize,
    /// The most gates that were at their edge at one time.
    pub edges: usize,
}

/// Times within a step at which its polynomials are known, as shares of it.
const NODES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// Stops without progress after which the flow is said to be stuck: more than there are gates of one neuron.
const STUCK: usize = 10_000;

/// What is known at one time of a step.
#[derive(Clone, Debug)]
struct Node {
    drive: Drive,
    /// The shares of the samples at edges, neuron by neuron.
    shares: Vec<Vec<f64>>,
}

/// An event within a step.
#[derive(Clone, Copy, Debug)]
struct Event {
    neuron: usize,
    sample: usize,
    /// As a share of the step.
    share: f64,
}

/// Follows the gradient; `watch` sees a moment every so often, the first and the last included, and may end the flow.
///
/// # Errors
/// A setting is out of range, the solver fails, or events follow each other without end.
pub fn flow(
    task: &Task,
    loss: Loss,
    start: &Neurons,
    flow: &Flow,
    watch: &mut dyn FnMut(&Moment<'_>) -> Verdict,
) -> Result<FlowReport, TheoryError> {
    check(flow)?;
    let (width, split) = (start.width(), start.w1.len());
    let mut drive = Drive::new(task, width);
    drive.evaluate(task, loss, start);
    let gates = RefCell::new(Gates::of(&drive.pre, width));
    let scratch = RefCell::new(drive.clone());
    let y0: Vec<f64> = start.w1.iter().chain(&start.w2).copied().collect();
    let typical = (y0.iter().map(|w| w * w).sum::<f64>() / y0.len() as f64).sqrt();
    let rhs = |y: &[f64], _: &[f64], _: f64, dy: &mut [f64]| {
        let drive = &mut *scratch.borrow_mut();
        let (w1, w2) = y.split_at(split);
        gates.borrow().evaluate(drive, task, loss, w1, w2);
        velocity(drive, w1, w2, dy);
    };
    let problem = OdeBuilder::<NalgebraMat<f64>>::new()
        .rtol(flow.relative)
        .atol([flow.relative * typical])
        .rhs(rhs)
        .init(|_, _, y: &mut [f64]| y.copy_from_slice(&y0), y0.len())
        .build()?;
    let mut solver = problem.tsit45()?;
    solver.set_stop_time(flow.end)?;

    let mut report = FlowReport { neurons: start.clone(), flips: Vec::new(), steps: 0, stops: 0, edges: 0 };
    let mut shown = 0_usize;
    let mut idle = 0;
    let mut view = start.clone();
    let mut along = vec![Node { drive: drive.clone(), shares: Vec::new() }; NODES.len()];
    loop {
        let begin = solver.state().t;
        let reason = solver.step()?;
        report.steps += 1;
        let (mut end, mut events) = (solver.state().t, Vec::new());
        let nodes = NODES.map(|share| if share == 1.0 { end } else { begin + share * (end - begin) });
        for (node, time) in along.iter_mut().zip(nodes) {
            let y = solver.interpolate(time)?.clone_as_vec();
            let (w1, w2) = y.split_at(split);
            node.shares = gates.borrow().evaluate(&mut node.drive, task, loss, w1, w2);
            if !node.drive.loss().is_finite() {
                return Err(TheoryError::Diverged { time });
            }
        }
        find(task, &gates.borrow(), &along, &mut events);
        events.sort_by(|a, b| a.share.total_cmp(&b.share).then((a.neuron, a.sample).cmp(&(b.neuron, b.sample))));
        let cut = events.first().map(|first| {
            let last = first.share + flow.window / (end - begin);
            events.iter().map(|event| event.share).filter(|share| *share <= last).fold(0.0, f64::max)
        });
        if let Some(cut) = cut {
            end = (begin + cut * (end - begin)).min(end);
        }
        // What the part of the step that stays shows, with the gates that it had.
        while shown as f64 * flow.every <= end * (1.0 + 1e-12) {
            let time = shown as f64 * flow.every;
            shown += 1;
            load(&mut view, &solver.interpolate(time.clamp(begin, end))?.clone_as_vec());
            gates.borrow().evaluate(&mut drive, task, loss, &view.w1, &view.w2);
            if watch(&Moment { time, neurons: &view, drive: &drive }).is_break() {
                report.neurons = view;
                return Ok(report);
            }
        }
        if let Some(cut) = cut {
            report.stops += 1;
            idle = if end > begin { 0 } else { idle + 1 };
            if idle > STUCK {
                return Err(TheoryError::Stuck { time: end });
            }
            if cut < 1.0 {
                solver.state_mut_back(end)?;
            }
            let y = solver.state().y.clone_as_vec();
            let (w1, w2) = y.split_at(split);
            gates.borrow().evaluate(&mut drive, task, loss, w1, w2);
            for event in events.iter().take_while(|event| event.share <= cut) {
                let time = begin + event.share * (nodes[4] - begin);
                let place = (event.neuron, event.sample);
                gates.borrow_mut().settle(task, &drive, w2[event.neuron], place, time, &mut report.flips);
            }
            report.edges = report.edges.max(gates.borrow().at_edge());
            let mut dy = solver.state().dy.clone();
            problem.eqn.rhs().call_inplace(solver.state().y, end, &mut dy);
            solver.state_mut().dy.copy_from(&dy);
        }
        if end >= flow.end || (cut.is_none() && reason == OdeSolverStopReason::TstopReached) {
            load(&mut report.neurons, &solver.state().y.clone_as_vec());
            return Ok(report);
        }
        if reason == OdeSolverStopReason::TstopReached {
            // The step that reached the end was cut.
            solver.set_stop_time(flow.end)?;
        }
    }
}

fn check(flow: &Flow) -> Result<(), TheoryError> {
    let positive = |name, found: f64| match found > 0.0 && found.is_finite() {
        true => Ok(()),
        false => Err(TheoryError::Range { name, expected: "a positive number", found }),
    };
    positive("the end of the flow", flow.end)?;
    positive("the time between moments", flow.every)?;
    positive("the relative tolerance", flow.relative)?;
    if flow.window < 0.0 || !flow.window.is_finite() {
        let (name, expected) = ("the window of events", "a number from 0");
        return Err(TheoryError::Range { name, expected, found: flow.window });
    }
    Ok(())
}

/// $\dot w_1 = w_2 D$, $\dot w_2 = w_1 \cdot D$.
fn velocity(drive: &Drive, w1: &[f64], w2: &[f64], dy: &mut [f64]) {
    let dimension = w1.len() / w2.len();
    let (dw1, dw2) = dy.split_at_mut(w1.len());
    for (alpha, (row, w)) in dw1.chunks_exact_mut(dimension).zip(w1.chunks_exact(dimension)).enumerate() {
        let d = drive.of(alpha);
        row.iter_mut().zip(d).for_each(|(v, d)| *v = w2[alpha] * d);
        dw2[alpha] = w.iter().zip(d).map(|(w, d)| w * d).sum();
    }
}

fn load(neurons: &mut Neurons, y: &[f64]) {
    let split = neurons.w1.len();
    neurons.w1.copy_from_slice(&y[..split]);
    neurons.w2.copy_from_slice(&y[split..]);
}

/// The events of a step: gates that pass their edge, and samples at an edge whose share leaves $[0, 1]$.
fn find(task: &Task, gates: &Gates, along: &[Node], events: &mut Vec<Event>) {
    let (samples, width) = (task.samples(), along[0].shares.len());
    for neuron in 0..width {
        for sample in 0..samples {
            let place = neuron * samples + sample;
            let sign = match gates.at(place) {
                Gate::Off => 1.0,
                Gate::On => -1.0,
                Gate::Edge => continue,
            };
            let values: [f64; 5] = std::array::from_fn(|k| sign * along[k].drive.pre[place]);
            events.extend(crossing(&values).map(|share| Event { neuron, sample, share }));
        }
        for (index, sample) in gates.edge(neuron).iter().enumerate() {
            let below: [f64; 5] = std::array::from_fn(|k| -along[k].shares[neuron][index] - SHARE_TOLERANCE);
            let above: [f64; 5] = std::array::from_fn(|k| along[k].shares[neuron][index] - 1.0 - SHARE_TOLERANCE);
            let first = [crossing(&below), crossing(&above)].into_iter().flatten().reduce(f64::min);
            events.extend(first.map(|share| Event { neuron, sample: *sample, share }));
        }
    }
}

/// Where values at the five nodes first are above 0 and rise: where the polynomial through them passes 0 or, if it was above 0
/// before, where it begins to rise.
fn crossing(values: &[f64; 5]) -> Option<f64> {
    let after = (1..5).find(|k| values[*k] > 0.0 && values[*k] > values[*k - 1])?;
    let above = values[after - 1] >= 0.0;
    let past = |share| match interpolate(values, share) {
        (_, slope) if above => slope > 0.0,
        (value, _) => value > 0.0,
    };
    // A rise may begin before the node that shows it.
    let (mut low, mut high) = (NODES[if above { after.saturating_sub(2) } else { after - 1 }], NODES[after]);
    if past(low) {
        return Some(low);
    }
    // Halved to the last bit of a share of the step.
    for _ in 0..52 {
        let middle = 0.5 * (low + high);
        if past(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// The polynomial of degree four through the values at the nodes, and its slope: Newton's form.
fn interpolate(values: &[f64; 5], share: f64) -> (f64, f64) {
    let mut differences = *values;
    for order in 1..5 {
        for k in (order..5).rev() {
            differences[k] = (differences[k] - differences[k - 1]) / (NODES[k] - NODES[k - order]);
        }
    }
    (0..5).rev().fold((0.0, 0.0), |(value, slope), k| {
        let step = share - NODES[k];
        (value * step + differences[k], slope * step + value)
    })
}

#[cfg(test)]
mod tests;
