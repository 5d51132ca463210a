//! What is proved: conservation, closed forms, convergence, merging, edges.

use super::{Config, Integrator, Kind, digits, mean, races};
use crate::theory::StudyError;
use crate::theory::race::data::Source;
use crate::theory::race::measure::{Overlay, Race, median};
use crate::theory::statement::{Comparison, Context, Finding, Tolerance, greatest};
use secateur_linalg::random::Random;
use secateur_theory::race::reduce::merge;
use secateur_theory::race::{
    Clusters, Descent, Drive, Flow, FlowReport, Gate, Loss, Moment, Neurons, Start, Task, descend, flow,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow::Continue;

/// A task that takes a flow with a stop at every flip a second: fewer neurons and samples.
fn small(context: &Context<'_>) -> Result<(Task, Neurons), StudyError> {
    let task = Source::Digits.load(&[3, 8], None)?.task(60, context.seed)?;
    let start = Neurons::start(&task, 40, Start::Equal, 1e-2, context.seed)?;
    Ok((task, start))
}

/// The end of small flows.
const END: f64 = 60.0;

fn small_flow(task: &Task, start: &Neurons, window: f64) -> Result<FlowReport, StudyError> {
    let settings = Flow { end: END, every: 1.0, relative: 1e-7, window };
    Ok(flow(task, Loss::Mse, start, &settings, &mut |_| Continue(()))?)
}

/// A descent of the small task, and the changes of imbalances that its steps must bring about.
fn small_descent(task: &Task, start: &Neurons, rate: f64) -> Result<(Neurons, Vec<f64>), StudyError> {
    let mut sums = vec![0.0; start.width()];
    let steps = (END / rate).round() as usize;
    let mut step = 0;
    let mut watch = |moment: &Moment<'_>| {
        if step < steps {
            for (alpha, sum) in sums.iter_mut().enumerate() {
                let d = moment.drive.of(alpha);
                let slope: f64 = moment.neurons.w1(alpha).iter().zip(d).map(|(w, d)| w * d).sum();
                let push = moment.neurons.w2()[alpha] * moment.drive.strength(alpha);
                *sum += rate * rate * (push * push - slope * slope);
            }
        }
        step += 1;
        Continue(())
    };
    let end = descend(task, Loss::Mse, start, &Descent { rate, steps }, &mut watch)?;
    Ok((end, sums))
}

/// Gradient flow conserves $\|w_1\|^2 - w_2^2$; a step of descent changes it by its square.
pub fn conservation(context: &Context<'_>) -> Result<Finding, StudyError> {
    let (task, start) = small(context)?;
    let flowed = small_flow(&task, &start, 0.02)?.neurons;
    let (coarse, sums) = small_descent(&task, &start, 0.2)?;
    let (fine, _) = small_descent(&task, &start, 0.1)?;
    let changed: Vec<f64> = (0..start.width()).map(|a| coarse.imbalance(a) - start.imbalance(a)).collect();
    let most = (0..changed.len()).max_by(|a, b| changed[*a].abs().total_cmp(&changed[*b].abs())).unwrap_or(0);
    Ok(Finding::Compared(vec![
        // The relative tolerance of a step is 1e-7, over about a thousand steps.
        Comparison::new("drift of gradient flow", 0.0, flowed.drift(&start), Tolerance::Absolute(1e-5)),
        // An identity, up to roundoff.
        Comparison::new("change by descent, rate .2", sums[most], changed[most], Tolerance::Relative(1e-9)),
        // First order: the number of steps times their squares. Gates flip at other steps, hence a fifth.
        Comparison::new(
            "drift at rate .2 over drift at rate .1",
            2.0,
            coarse.drift(&start) / fine.drift(&start),
            Tolerance::Relative(0.2),
        ),
    ]))
}

/// A race of flow on digits that reaches half of the loss.
fn flowing() -> (Config, Kind) {
    let config = Config { overlays: vec![0.0, 6.0], width: 100, samples: 100, window: 0.1, ..digits(200) };
    (config, Kind { loss: Loss::Mse, start: Start::Equal, norm: 1e-3, integrator: Integrator::Flow })
}

/// Angles and amplitudes follow their closed forms while drives keep their direction.
pub fn alignment(context: &Context<'_>) -> Result<Finding, StudyError> {
    let (config, kind) = flowing();
    let races = races(&config, kind, 2, context)?;
    let mut rows = Vec::new();
    for from in &config.overlays {
        // A race without the overlay, or an overlay that compared nothing, is no success.
        let worst_of = |value: fn(&Overlay) -> Option<f64>| {
            let of = |race: &Race| race.overlays.iter().find(|overlay| overlay.from == *from).and_then(value);
            greatest(races.iter().map(|race| of(race).unwrap_or(f64::NAN)))
        };
        rows.push(Comparison::new(
            format!("from {from}: deviation of the angle over its bound"),
            1.0,
            worst_of(|overlay| overlay.worst),
            Tolerance::AtMost,
        ));
        rows.push(Comparison::new(
            format!("from {from}: deviation of ln a over its bound"),
            1.0,
            worst_of(|overlay| overlay.worst_amplitude),
            Tolerance::AtMost,
        ));
    }
    // The bound must be one that matters: drives do turn, and the closed form is close all the same.
    let median = mean(races.iter().map(|race| race.overlays.get(1)?.amplitude));
    rows.push(Comparison::new(
        "from 6: median deviation of ln a where drives turned by 0.1",
        0.0,
        median,
        Tolerance::Absolute(0.1),
    ));
    Ok(Finding::Compared(rows))
}

/// Two neurons while they have one drive.
struct Meeting {
    /// $1 - \cos$ of the total weight vectors when they met.
    first: f64,
    /// The same now.
    apart: f64,
    /// $|D| (\cos \delta + \cos \delta')$ now.
    pull: f64,
    /// Its integral since they met.
    integral: f64,
}

/// Two neurons with one drive turn towards each other at a known rate.
pub fn same_data(context: &Context<'_>) -> Result<Finding, StudyError> {
    let (task, start) = small(context)?;
    let width = start.width();
    let mut meetings: BTreeMap<(usize, usize), Meeting> = BTreeMap::new();
    let mut ended: Vec<Meeting> = Vec::new();
    let mut last = 0.0;
    let mut watch = |moment: &Moment<'_>| {
        let Moment { time, neurons, drive } = *moment;
        let (cosines, alignments) = (neurons.cosines(), drive.alignments(neurons));
        for (a, b) in (0..width).flat_map(|a| (a + 1..width).map(move |b| (a, b))) {
            let one = neurons.w2()[a] * neurons.w2()[b] > 0.0 && same(drive.of(a), drive.of(b));
            let apart = 1.0 - cosines[a * width + b];
            // Below a billionth a difference of cosines is mostly rounding.
            if !one || apart < 1e-9 {
                ended.extend(meetings.remove(&(a, b)));
                continue;
            }
            let pull = drive.strength(a) * (alignments[a] + alignments[b]);
            let meeting = meetings.entry((a, b)).or_insert(Meeting { first: apart, apart, pull, integral: 0.0 });
            if meeting.apart != apart {
                meeting.integral += 0.5 * (time - last) * (meeting.pull + pull);
            }
            (meeting.apart, meeting.pull) = (apart, pull);
        }
        last = time;
        Continue(())
    };
    let settings = Flow { end: END, every: 0.05, relative: 1e-8, window: 0.0 };
    flow(&task, Loss::Mse, &start, &settings, &mut watch)?;
    ended.extend(meetings.into_values());
    ended.retain(|meeting| meeting.integral.is_nan() || meeting.integral.abs() > 0.5);
    let error = |meeting: &Meeting| ((meeting.apart / meeting.first).ln() + meeting.integral).abs();
    let closer = ended.iter().filter(|meeting| meeting.apart < meeting.first).count();
    Ok(Finding::Compared(vec![
        Comparison::new("pairs that had one drive for long", 20.0, ended.len() as f64, Tolerance::AtLeast),
        // The trapezoidal rule with steps of .05, and pairs that part within one.
        Comparison::new(
            "worst error of ln((1 - cos) / (1 - cos at first))",
            0.0,
            greatest(ended.iter().map(error)),
            Tolerance::Absolute(0.05),
        ),
        Comparison::new(
            "share of them that came closer",
            1.0,
            closer as f64 / ended.len() as f64,
            Tolerance::Absolute(0.02),
        ),
    ]))
}

/// Whether two drives are the same and not zero, up to roundings.
fn same(a: &[f64], b: &[f64]) -> bool {
    let size = a.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    size > 0.0 && a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() <= 1e-9 * size)
}

/// What the late ratio says of amplitudes in a cluster.
pub fn late_ratio(context: &Context<'_>) -> Result<Finding, StudyError> {
    let (config, kind) = flowing();
    let races = races(&config, kind, 2, context)?;
    let of = |value: fn(&Overlay) -> Option<f64>| mean(races.iter().map(|race| value(race.overlays.get(1)?)));
    Ok(Finding::Compared(vec![
        Comparison::new(
            "from 6: rank correlation with amplitudes at half of the loss",
            0.95,
            of(|o| o.rank),
            Tolerance::AtLeast,
        ),
        Comparison::new(
            "from 6: spread of ln a that is left, over the spread",
            0.5,
            of(|overlay| Some(overlay.late? / overlay.spread?)),
            Tolerance::AtMost,
        ),
    ]))
}

/// Merging is exact where directions agree, and otherwise off by the lesser of what gates pass and hold back.
pub fn merging(context: &Context<'_>) -> Result<Finding, StudyError> {
    let task = Source::Digits.load(&[3, 8], None)?.task(200, context.seed)?;
    let mut random = Random::stream(context.seed, 7);
    let exact = Merged::of(&task, &bundles(&task, 0.0, &mut random)?)?;
    let near = Merged::of(&task, &bundles(&task, 0.02, &mut random)?)?;
    Ok(Finding::Compared(vec![
        Comparison::new("neurons after merging six directions", 6.0, exact.left as f64, Tolerance::Absolute(0.0)),
        // Outputs are sums of 60 products of order 10.
        Comparison::new("greatest change, directions agree", 0.0, exact.change, Tolerance::Absolute(1e-11)),
        Comparison::new("neurons after merging six cones", 6.0, near.left as f64, Tolerance::Absolute(0.0)),
        Comparison::new("greatest change, directions differ a little", 1e-3, near.change, Tolerance::AtLeast),
        Comparison::new("the same, less what gates say", 0.0, near.unexplained, Tolerance::Absolute(1e-11)),
    ]))
}

/// Sixty balanced neurons around six directions, three of each sign.
fn bundles(task: &Task, noise: f64, random: &mut Random) -> Result<Neurons, StudyError> {
    let (width, groups, r) = (60, 6, task.dimension());
    let mut directions = vec![0.0; groups * r];
    random.fill_normal(&mut directions, 1.0);
    let (mut w1, mut w2) = (Vec::new(), Vec::new());
    for alpha in 0..width {
        let group = alpha % groups;
        let scale = random.uniform(0.1, 2.0);
        w1.extend((0..r).map(|k| scale * (directions[group * r + k] + noise * random.normal())));
        let norm = w1[alpha * r..].iter().map(|w| w * w).sum::<f64>().sqrt();
        w2.push(if group % 2 == 0 { norm } else { -norm });
    }
    Ok(Neurons::new(r, w1, w2)?)
}

/// What merging did.
struct Merged {
    left: usize,
    /// The greatest $|f' - f|$.
    change: f64,
    /// The greatest $|f' - f + \sum_c s_c \min(P_c, M_c)|$.
    unexplained: f64,
}

impl Merged {
    fn of(task: &Task, neurons: &Neurons) -> Result<Self, StudyError> {
        let clusters = Clusters::new(neurons, &neurons.cosines(), 0.99)?;
        let merged = merge(neurons, &clusters);
        let drive = |neurons: &Neurons| {
            let mut drive = Drive::new(task, neurons.width());
            drive.evaluate(task, Loss::Mse, neurons);
            drive
        };
        let (before, after) = (drive(neurons), drive(&merged));
        let (mut changes, mut unexplained) = (Vec::new(), Vec::new());
        for s in 0..task.samples() {
            let lesser = |cluster: &Vec<usize>| {
                let part = |sign: f64| -> f64 {
                    cluster
                        .iter()
                        .map(|alpha| (sign * neurons.w2()[*alpha].abs() * before.pre(*alpha)[s]).max(0.0))
                        .sum()
                };
                neurons.w2()[cluster[0]].signum() * part(1.0).min(part(-1.0))
            };
            let predicted: f64 = -clusters.members().iter().map(lesser).sum::<f64>();
            let found = after.outputs()[s] - before.outputs()[s];
            changes.push(found.abs());
            unexplained.push((found - predicted).abs());
        }
        Ok(Self { left: merged.width(), change: greatest(changes), unexplained: greatest(unexplained) })
    }
}

/// Samples that stay at the edge of a neuron: flow with the projection is the limit of descent.
pub fn edge(context: &Context<'_>) -> Result<Finding, StudyError> {
    let (task, start) = small(context)?;
    let report = small_flow(&task, &start, 0.0)?;
    let [coarse, fine] = [8e-3, 2e-3].map(|rate| small_descent(&task, &start, rate).map(|(end, _)| end));
    let (coarse, fine) = (distance(&task, &report.neurons, &coarse?), distance(&task, &report.neurons, &fine?));
    let edges = report.flips.iter().filter(|flip| flip.to == Gate::Edge).count();
    Ok(Finding::Compared(vec![
        Comparison::new("gates that came to stay at their edge", 20.0, edges as f64, Tolerance::AtLeast),
        Comparison::new("distance of descent at rate .002, relative", 0.0, fine, Tolerance::Absolute(0.02)),
        // First order in the step, edges included: a quarter, and half as much again for gates that decide otherwise.
        Comparison::new("the same over that at rate .008", 0.4, fine / coarse, Tolerance::AtMost),
    ]))
}

/// The distance of outputs on the samples, over their norm.
fn distance(task: &Task, a: &Neurons, b: &Neurons) -> f64 {
    let outputs = |neurons: &Neurons| {
        let mut drive = Drive::new(task, neurons.width());
        drive.evaluate(task, Loss::Mse, neurons);
        drive.outputs().to_vec()
    };
    let (a, b) = (outputs(a), outputs(b));
    if a.len() != b.len() {
        return f64::NAN;
    }
    let difference: f64 = a.iter().zip(&b).map(|(x, y)| (x - y).powi(2)).sum();
    (difference / a.iter().map(|x| x * x).sum::<f64>()).sqrt()
}

/// Flips that are acted on together, up to a window late, against a stop at every flip.
pub fn flips(context: &Context<'_>) -> Result<Finding, StudyError> {
    const WINDOW: f64 = 0.05;
    let (task, start) = small(context)?;
    let exact = small_flow(&task, &start, 0.0)?;
    let windowed = small_flow(&task, &start, WINDOW)?;
    // The first flip of every gate: later ones inherit what earlier ones did.
    let first = |report: &FlowReport| {
        let mut times: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        report.flips.iter().for_each(|flip| {
            times.entry((flip.neuron, flip.sample)).or_insert(flip.time);
        });
        times
    };
    let (a, b) = (first(&exact), first(&windowed));
    let apart: Vec<f64> = a.iter().filter_map(|(gate, time)| Some((b.get(gate)? - time).abs())).collect();
    let shared = apart.len() as f64 / a.len().max(b.len()) as f64;
    Ok(Finding::Compared(vec![
        Comparison::new(
            "distance of outputs, relative",
            0.0,
            distance(&task, &exact.neurons, &windowed.neurons),
            Tolerance::Absolute(0.01),
        ),
        Comparison::new("gates that flip in both, share", 0.97, shared, Tolerance::AtLeast),
        Comparison::new(
            "median distance of times of first flips",
            WINDOW,
            median(&apart).unwrap_or(f64::INFINITY),
            Tolerance::AtMost,
        ),
        Comparison::new(
            "stops, as a share of those at every flip",
            0.5,
            windowed.stops as f64 / exact.stops as f64,
            Tolerance::AtMost,
        ),
    ]))
}
