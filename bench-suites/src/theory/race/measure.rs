//! One race, from start to end.

use super::config::{Config, Integrator, Kind};
use super::reductions::{self, Pruned, Ticket};
use crate::theory::StudyError;
use crate::theory::statement::greatest;
use crate::watcher::Watcher;
use secateur_theory::TheoryError;
use secateur_theory::race::reduce::{Order, keep};
use secateur_theory::race::unlocking::{self, Split, Test};
use secateur_theory::race::{
    Assumption, Clusters, Descent, Drive, Flip, FlipLog, Flow, Moment, Neurons, Task, Verdict, Window, descend, flow,
    rank,
};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow::{Break, Continue};

/// Ways to divide a cluster otherwise.
const PERMUTATIONS: usize = 199;
/// The share of neurons that are called winners.
const WINNERS: f64 = 0.1;

/// What is run.
pub struct Setting<'a> {
    /// The study.
    pub config: &'a Config,
    /// The samples.
    pub task: &'a Task,
    /// The combination.
    pub kind: Kind,
    /// The seed.
    pub seed: u64,
}

/// What was measured in one race.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Race {
    /// The seed.
    pub seed: u64,
    /// The combination.
    pub kind: Kind,
    /// The dimension of the samples' span.
    pub dimension: usize,
    /// The race at evenly spaced times.
    pub looks: Vec<Look>,
    /// How it ended.
    pub end: End,
    /// What early alignment says about the end.
    pub racing: Racing,
    /// The closed forms.
    pub overlays: Vec<Overlay>,
    /// Whether clusters split along flips, after the loss has halved; none if none split.
    pub unlocking: Option<Test>,
    /// What is left after pruning.
    pub pruned: Vec<Pruned>,
    /// Races of some neurons alone.
    pub tickets: Vec<Ticket>,
}

/// A race at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The time.
    pub time: f64,
    /// The mean loss.
    pub loss: f64,
    /// Clusters, single neurons included.
    pub clusters: usize,
    /// Neurons of the largest.
    pub largest: usize,
    /// The mean of $|D_\alpha|$.
    pub strength: f64,
    /// The same of those that win in the end.
    pub winners: f64,
    /// The rank correlation of $\cos \delta_\alpha$ now with $a_\alpha$ in the end, over all neurons.
    pub all: Option<f64>,
    /// The same within the largest cluster of the end.
    pub within: Option<f64>,
    /// Lasting flips so far.
    pub flips: usize,
}

/// How a race ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The mean loss.
    pub loss: f64,
    /// The share of samples on the right side of 0.
    pub accuracy: f64,
    /// When the loss was half of what it was at the start.
    pub half: Option<f64>,
    /// Neurons of each cluster, largest first.
    pub sizes: Vec<usize>,
    /// The least cosine within a cluster.
    pub tightness: f64,
    /// $\|f' - f\| / \|f\|$ on the samples, with $f'$ after merging.
    pub merging: f64,
    /// The greatest change of $\|w_1\|^2 - w_2^2$, over the greatest $\|w_1\|^2$.
    pub drift: f64,
    /// Flips of any duration (of descent), or events (of flow).
    pub raw: usize,
    /// Lasting flips.
    pub flips: usize,
    /// The most gates that were at their edge (flow), or that had flipped within the dwelling time (descent, at looks).
    pub edges: usize,
    /// Steps of the integrator.
    pub steps: usize,
    /// How many of the greatest amplitudes come before the first of another sign.
    pub lead: usize,
    /// The share of all amplitude that the tenth with the greatest amplitudes holds; 0 where all amplitudes underflow.
    pub winners: f64,
    /// The median angle by which a lasting flip turns a drive, in radians.
    pub jump: Option<f64>,
}

/// Rank correlations with the amplitudes of the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Racing {
    /// Of alignment at the start, over all neurons.
    pub start_all: Option<f64>,
    /// The greatest of alignment before the loss has halved, over all neurons.
    pub peak_all: Option<f64>,
    /// Of alignment at the start, within the largest cluster of the end.
    pub start_within: Option<f64>,
    /// The greatest of alignment before the loss has halved, within the largest cluster of the end.
    pub peak_within: Option<f64>,
    /// Of the amplitude at the start, over all neurons.
    pub amplitude_all: Option<f64>,
    /// Of the amplitude at the start, within the largest cluster.
    pub amplitude_within: Option<f64>,
    /// Of alignment at the start with the amplitude at the start held fixed, over all neurons.
    pub partial_all: Option<f64>,
    /// The same within the largest cluster.
    pub partial_within: Option<f64>,
}

/// The closed forms from one time on, beside what happened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// When they begin.
    pub from: f64,
    /// The median time at which a drive has turned too far; none while most have not.
    pub until: Option<f64>,
    /// The share of neurons whose drive has not turned too far when the loss has halved.
    pub holding: f64,
    /// Of flow, the greatest ratio of an angle's deviation to its bound $\varepsilon (e^\tau - 1)$ while the assumption
    /// holds; none if nothing was compared, or a deviation is not finite.
    pub worst: Option<f64>,
    /// The same for $|\ln a - \ln \hat a|$ and $2 \varepsilon (e^\tau - 1)$.
    pub worst_amplitude: Option<f64>,
    /// The median of $|\ln a - \ln \hat a|$ where windows end.
    pub amplitude: Option<f64>,
    /// Within the largest cluster, when the loss has halved: the deviation of $\ln a$ around its mean.
    pub spread: Option<f64>,
    /// The deviation of $\ln a$ from the late ratio's, each around its mean.
    pub late: Option<f64>,
    /// The rank correlation of the late ratio with the amplitudes at that time.
    pub rank: Option<f64>,
}

/// What an integrator did.
pub struct Followed {
    pub neurons: Neurons,
    pub flips: Vec<Flip>,
    pub raw: usize,
    pub edges: usize,
    pub steps: usize,
}

/// Follows the race from a start with the integrator of the setting; `watch` sees every step.
pub fn follow(
    setting: &Setting<'_>,
    start: &Neurons,
    watch: &mut dyn FnMut(&Moment<'_>) -> Verdict,
) -> Result<Followed, TheoryError> {
    let Setting { config, task, kind, .. } = *setting;
    match kind.integrator {
        Integrator::Descent => {
            let mut log = FlipLog::new(config.dwell);
            let (mut edges, mut steps) = (0, 0);
            let descent = Descent { rate: config.rate, steps: config.steps };
            let mut listen = |moment: &Moment<'_>| {
                log.observe(task, moment);
                steps += 1;
                if steps % 100 == 0 {
                    edges = edges.max(log.restless());
                }
                watch(moment)
            };
            let neurons = descend(task, kind.loss, start, &descent, &mut listen)?;
            Ok(Followed { neurons, flips: log.flips().to_vec(), raw: log.raw(), edges, steps: steps - 1 })
        }
        Integrator::Flow => {
            let settings =
                Flow { end: config.end(), every: config.rate, relative: config.tolerance, window: config.window };
            let report = flow(task, kind.loss, start, &settings, watch)?;
            let raw = report.flips.len();
            Ok(Followed { neurons: report.neurons, flips: report.flips, raw, edges: report.edges, steps: report.steps })
        }
    }
}

/// What is kept of a look until the end is known.
struct Kept {
    time: f64,
    loss: f64,
    alignments: Vec<f64>,
    strengths: Vec<f64>,
    clusters: Clusters,
}

/// Runs a race; none if the watcher stops it.
pub fn measure(setting: &Setting<'_>, watcher: &dyn Watcher) -> Result<Option<Race>, StudyError> {
    let Setting { config, task, kind, seed } = *setting;
    let start = Neurons::start(task, config.width, kind.start, kind.norm, seed)?;
    let interval = config.end() / config.looks as f64;
    let (mut kept, mut windows): (Vec<Kept>, Vec<Option<Overlaid>>) = (Vec::new(), vec![]);
    windows.resize_with(config.overlays.len(), || None);
    let (mut early, mut half, mut step, mut failed) = (None, None, 0_usize, None);
    let mut watch = |moment: &Moment<'_>| {
        step += 1;
        if step.is_multiple_of(50) && watcher.stop() {
            return Break(());
        }
        // Times are sums of steps; half a step forgives their roundings.
        let reached = |time: f64| moment.time >= time - 0.5 * config.rate;
        let loss = moment.drive.loss();
        if early.is_none() && reached(config.early) {
            early = Some(moment.drive.alignments(moment.neurons));
        }
        if half.is_none() && kept.first().is_some_and(|first| loss <= 0.5 * first.loss) {
            half = Some(moment.time);
            windows.iter_mut().flatten().for_each(|overlaid| overlaid.halved(moment));
        }
        for (window, from) in windows.iter_mut().zip(&config.overlays) {
            match window {
                Some(overlaid) => overlaid.update(moment),
                None if reached(*from) => *window = Some(Overlaid::open(moment, config.turn)),
                None => {}
            }
        }
        if reached(kept.len() as f64 * interval) {
            match Clusters::new(moment.neurons, &moment.neurons.cosines(), config.threshold) {
                Ok(clusters) => kept.push(Kept {
                    time: moment.time,
                    loss,
                    alignments: moment.drive.alignments(moment.neurons),
                    strengths: (0..config.width).map(|alpha| moment.drive.strength(alpha)).collect(),
                    clusters,
                }),
                Err(error) => {
                    failed = Some(error);
                    return Break(());
                }
            }
        }
        Continue(())
    };
    let followed = follow(setting, &start, &mut watch)?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if watcher.stop() {
        return Ok(None);
    }

    let neurons = &followed.neurons;
    let cosines = neurons.cosines();
    let clusters = Clusters::new(neurons, &cosines, config.threshold)?;
    let amplitudes = neurons.amplitudes();
    let pick = |values: &[f64]| -> Vec<f64> { clusters.largest().iter().map(|alpha| values[*alpha]).collect() };
    let all = |values: &[f64]| rank::spearman(values, &amplitudes);
    let within = |values: &[f64]| rank::spearman(&pick(values), &pick(&amplitudes));
    let order = keep(neurons, config.width, Order::Top);
    let winners = &order[..(WINNERS * config.width as f64).ceil() as usize];
    let lead = order.iter().take_while(|alpha| neurons.w2()[**alpha] * neurons.w2()[order[0]] > 0.0).count();
    let times: Vec<f64> = followed.flips.iter().map(|flip| flip.time).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let look = |kept: &Kept| Look {
        time: kept.time,
        loss: kept.loss,
        clusters: kept.clusters.count(),
        largest: kept.clusters.largest().len(),
        strength: mean(&kept.strengths),
        winners: mean(&winners.iter().map(|alpha| kept.strengths[*alpha]).collect::<Vec<f64>>()),
        all: all(&kept.alignments),
        within: within(&kept.alignments),
        flips: times.iter().filter(|time| **time <= kept.time).count(),
    };
    let looks: Vec<Look> = kept.iter().map(look).collect();
    let before = |look: &&Look| half.is_none_or(|half| look.time <= half);
    let peak = |value: fn(&Look) -> Option<f64>| looks.iter().filter(before).filter_map(value).reduce(f64::max);
    let first = &kept[0].alignments;
    let at_start = start.amplitudes();
    let racing = Racing {
        start_all: all(first),
        peak_all: peak(|look| look.all),
        start_within: within(first),
        peak_within: peak(|look| look.within),
        amplitude_all: all(&at_start),
        amplitude_within: within(&at_start),
        partial_all: rank::partial(first, &amplitudes, &at_start),
        partial_within: rank::partial(&pick(first), &pick(&amplitudes), &pick(&at_start)),
    };
    let mut drive = Drive::new(task, config.width);
    drive.evaluate(task, kind.loss, neurons);
    let total: f64 = amplitudes.iter().sum();
    let jumps: Vec<f64> = followed.flips.iter().map(|flip| flip.jump).collect();
    let end = End {
        loss: drive.loss(),
        accuracy: drive.accuracy(task),
        half,
        sizes: clusters.members().iter().map(Vec::len).collect(),
        tightness: clusters.tightness(&cosines),
        merging: reductions::merging_error(task, kind.loss, neurons, &clusters),
        drift: neurons.drift(&start),
        raw: followed.raw,
        flips: followed.flips.len(),
        edges: followed.edges,
        steps: followed.steps,
        lead,
        winners: if total > 0.0 { winners.iter().map(|alpha| amplitudes[*alpha]).sum::<f64>() / total } else { 0.0 },
        jump: median(&jumps),
    };
    let overlays = windows
        .iter()
        .zip(&config.overlays)
        .filter_map(|(window, from)| {
            Some(window.as_ref()?.summary(*from, kind.integrator == Integrator::Flow, clusters.largest()))
        })
        .collect();
    let splits: Vec<Split> = (1..kept.len())
        .filter(|look| half.is_some_and(|half| kept[*look].time > half))
        .flat_map(|look| Split::between(&kept[look - 1].clusters, &kept[look].clusters, look))
        .collect();
    let times: Vec<f64> = kept.iter().map(|kept| kept.time).collect();
    let first = times.partition_point(|time| half.is_some_and(|half| *time <= half));
    let unlocking = unlocking::test(&followed.flips, &splits, &times, first, config.lag, PERMUTATIONS, seed)?;
    let early = early.unwrap_or_else(|| kept[0].alignments.clone());
    let pruned = reductions::pruned(task, kind.loss, neurons, &clusters, seed);
    let tickets = reductions::tickets(setting, &start, &early, &amplitudes, watcher)?;
    if watcher.stop() {
        return Ok(None);
    }
    let dimension = task.dimension();
    Ok(Some(Race { seed, kind, dimension, looks, end, racing, overlays, unlocking, pruned, tickets }))
}

/// A window of closed forms and what is remembered of it.
struct Overlaid {
    window: Window,
    /// None before anything was compared; not a number once a deviation is none.
    worst: Option<f64>,
    worst_amplitude: Option<f64>,
    /// $\ln a - \ln \hat a$ where the window of a neuron ended.
    ended: Vec<Option<f64>>,
    now: Vec<f64>,
    halved: Option<(f64, Vec<f64>)>,
}

impl Overlaid {
    fn open(moment: &Moment<'_>, turn: f64) -> Self {
        let window = Window::open(moment, Assumption { turn });
        let width = moment.neurons.width();
        Self {
            window,
            worst: None,
            worst_amplitude: None,
            ended: vec![None; width],
            now: vec![0.0; width],
            halved: None,
        }
    }

    fn update(&mut self, moment: &Moment<'_>) {
        self.window.update(moment);
        for alpha in 0..self.now.len() {
            let Some(form) = self.window.form(alpha) else { continue };
            if !self.window.holds(alpha) {
                // The deviation at the last moment within the window.
                self.ended[alpha].get_or_insert(self.now[alpha]);
                continue;
            }
            let (tau, turn) = (self.window.tau(alpha), self.window.turn(alpha));
            self.now[alpha] = (moment.neurons.amplitude(alpha) / form.amplitude_after(tau)).ln().abs();
            let deviation = (self.window.observed_angle(moment.neurons, alpha) - form.angle_after(tau)).abs();
            // Below a millionth nothing but roundings and tolerances is left to compare.
            let bound = (turn * (tau.exp() - 1.0)).max(1e-6);
            self.worst = Some(greatest(self.worst.into_iter().chain([deviation / bound])));
            let amplitude = 0.5 * self.now[alpha] / bound;
            self.worst_amplitude = Some(greatest(self.worst_amplitude.into_iter().chain([amplitude])));
        }
    }

    fn halved(&mut self, moment: &Moment<'_>) {
        let holding = (0..self.now.len()).filter(|alpha| self.window.holds(*alpha)).count();
        self.halved = Some((holding as f64 / self.now.len() as f64, moment.neurons.amplitudes()));
    }

    fn summary(&self, from: f64, flow: bool, cluster: &[usize]) -> Overlay {
        let width = self.now.len();
        let ends: Vec<f64> = (0..width).map(|alpha| self.window.until(alpha).unwrap_or(f64::INFINITY)).collect();
        let deviations: Vec<f64> = (0..width)
            .filter(|a| self.window.form(*a).is_some())
            .map(|a| self.ended[a].unwrap_or(self.now[a]))
            .collect();
        let pairs: Vec<(f64, f64)> = self
            .halved
            .iter()
            .flat_map(|(_, amplitudes)| {
                cluster.iter().filter_map(|alpha| {
                    let form = self.window.form(*alpha)?;
                    let predicted = form.amplitude.ln() + 4.0 * (0.5 * form.angle).cos().ln();
                    Some((amplitudes[*alpha].ln(), predicted))
                })
            })
            .collect();
        let (observed, predicted): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let difference: Vec<f64> = pairs.iter().map(|(o, p)| o - p).collect();
        // JSON has no word for what is not finite.
        let known = |worst: &f64| flow && worst.is_finite();
        Overlay {
            from,
            until: median(&ends).filter(|time| time.is_finite()),
            holding: self.halved.as_ref().map_or(0.0, |(share, _)| *share),
            worst: self.worst.filter(known),
            worst_amplitude: self.worst_amplitude.filter(known),
            amplitude: median(&deviations),
            spread: deviation(&observed),
            late: deviation(&difference),
            rank: rank::spearman(&observed, &predicted),
        }
    }
}

/// The middle value; none of no values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The root mean square of values around their mean; none of fewer than two.
fn deviation(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.len() > 1).then(|| (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}
