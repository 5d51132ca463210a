//! Whether two networks agree: their joint network ([`secateur_check::pair`]), verified.
//!
//! The difference of two ReLUs is relaxed as that of two functions, or through the difference of what they read, whichever
//! leaves the smaller gap at that entry ([`related()`]). Both forms are searched in turn: the first is easier to split, the second
//! sees differences that are small beside what the networks compute. Where inputs are split, boxes become so small that the first
//! is the better.

use crate::bounds::{self, Bounds, Method, Stop};
use crate::crown::{Multipliers, Rows, back_substitute};
use crate::error::VerifyError;
use crate::lower::lower;
use crate::network::Network;
use crate::portfolio;
use crate::report::{Observer, Outcome, Progress, Report, Statistics};
use crate::rounding::Magnitudes;
use crate::search::Tracer;
use crate::settings::Settings;
use crate::specification::{Region, Specification};
use crate::technique::Technique;
use crate::verify::verify_traced;
use secateur_check::pair::Differences;
use secateur_check::proof::format::Record;
use secateur_check::{Pair, Question, Related};
use secateur_nn::graph::Graph;
use secateur_nn::property::Property;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The share of the gap apart that the related form has to stay under: it costs two ReLUs more.
const GAIN: f64 = 0.8;

/// Subproblems of the first search, and how many times more each later one may bound.
const FIRST: u64 = 256;
const MORE: u64 = 4;

/// Decides a question about two networks on the boxes of `inputs`: `unsat` where they agree, `sat` with an input where they do not.
///
/// # Soundness
/// The joint network computes what both networks do, in real arithmetic, whatever entries are related.
///
/// # Errors
/// The networks make no pair, or see [`verify()`](crate::verify()).
pub fn equivalence(
    networks: [&Graph; 2],
    inputs: &Property,
    question: &Question,
    settings: &Settings,
    observer: &dyn Observer,
    tracer: Option<&mut (dyn Tracer + '_)>,
) -> Result<(Pair, Report), VerifyError> {
    let start = Instant::now();
    let [a, b] = networks;
    let pair = Pair::new(a, b, inputs, question)?;
    if pair.identical {
        let method = "identical".to_owned();
        let statistics = Statistics { method, device: "cpu".to_owned(), ..Statistics::default() };
        return Ok((pair, Report { outcome: Outcome::Unsat, statistics }));
    }
    let related = match splits_relus(&pair, settings)? && settings.uses(Technique::Relate) {
        true => {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(settings.threads).build()?;
            let late = || observer.stop() || settings.timeout.is_some_and(|limit| start.elapsed() >= limit);
            pool.install(|| related(a, b, &pair.property, &late))?
        }
        false => Related::default(),
    };
    if related.0.iter().all(Vec::is_empty) {
        let timeout = settings.timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
        let settings = Settings { timeout, ..settings.clone() };
        let report = verify_traced(&pair.graph, &pair.property, &settings, observer, tracer)?;
        return Ok((pair, report));
    }
    let forms = [(pair, None), (Pair::related(a, b, inputs, question, &related)?, Some(Record::Related(related)))];
    in_turn(forms, start, settings, observer, tracer)
}

/// Searches one form, then the other, each time longer, until one decides.
fn in_turn(
    forms: [(Pair, Option<Record>); 2],
    start: Instant,
    settings: &Settings,
    observer: &dyn Observer,
    mut tracer: Option<&mut (dyn Tracer + '_)>,
) -> Result<(Pair, Report), VerifyError> {
    let begin = tracer.as_mut().map(|tracer| tracer.mark());
    let (mut domains, mut limit, mut settings) = (0, FIRST, settings.clone());
    let timeout = settings.timeout;
    let mut stuck = [false; 2];
    for turn in (0..2).cycle() {
        if stuck[turn] {
            continue;
        }
        let (pair, record) = &forms[turn];
        if let (Some(tracer), Some(begin)) = (&mut tracer, begin) {
            tracer.rewind(begin);
            record.iter().for_each(|record| tracer.record(record));
        }
        settings.timeout = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
        let within = Within { observer, limit, domains: AtomicU64::new(0) };
        let tracer = tracer.as_mut().map(|tracer| &mut **tracer as &mut dyn Tracer);
        let mut report = verify_traced(&pair.graph, &pair.property, &settings, &within, tracer)?;
        domains += report.statistics.domains;
        let given_up = matches!(report.outcome, Outcome::Unknown(_));
        stuck[turn] |= given_up;
        let more = given_up || (report.outcome == Outcome::Interrupted && !observer.stop());
        if !more || stuck == [true; 2] {
            report.statistics.domains = domains;
            report.statistics.seconds = start.elapsed().as_secs_f64();
            return Ok((pair.clone(), report));
        }
        limit = limit.saturating_mul(MORE);
    }
    unreachable!("a cycle has no end")
}

/// Ends a search after so many subproblems.
struct Within<'a> {
    observer: &'a dyn Observer,
    limit: u64,
    domains: AtomicU64,
}

impl Observer for Within<'_> {
    fn progress(&self, progress: &Progress) {
        self.domains.store(progress.domains, Ordering::Relaxed);
        self.observer.progress(progress);
    }

    fn stop(&self) -> bool {
        self.observer.stop() || self.domains.load(Ordering::Relaxed) >= self.limit
    }
}

fn splits_relus(pair: &Pair, settings: &Settings) -> Result<bool, VerifyError> {
    let network = lower(&pair.graph)?;
    Ok(portfolio::splits_inputs(&network, &pair.property, settings.branching).is_none())
}

/// The entries of each pair of ReLUs $h = \max(u, 0)$, $g = \max(v, 0)$ that are better related on the boxes of a property, pair
/// after pair: what earlier pairs gained is known in the range of the difference. None once it is late.
///
/// # Errors
/// The joint network has an operator without bounds.
pub fn related(a: &Graph, b: &Graph, property: &Property, late: Stop<'_>) -> Result<Related, VerifyError> {
    let regions = Specification::<f64>::new(property).regions;
    let mut chosen = Related::default();
    let Some(apart) = Ranges::new(a, b, &chosen, &regions, late)? else { return Ok(chosen) };
    for pair in 0..apart.pairs.len() {
        if late() {
            return Ok(Related::default());
        }
        let known = if chosen.0.iter().all(Vec::is_empty) { None } else { Ranges::new(a, b, &chosen, &regions, late)? };
        let mut gaps = vec![[0.0; 2]; apart.pairs[pair].entries.len()];
        for region in 0..regions.len() {
            let before = apart.of(pair, region);
            let after = known.as_ref().map_or_else(|| before.clone(), |known| known.of(pair, region));
            for ((gaps, before), after) in gaps.iter_mut().zip(before).zip(after) {
                let [apart, related] = relaxation_gaps(before, after.d);
                gaps[0] += apart;
                gaps[1] += related;
            }
        }
        let better = |(i, [apart, related]): (usize, &[f64; 2])| (*related < GAIN * apart).then_some(i as u32);
        chosen.0.push(gaps.iter().enumerate().filter_map(better).collect());
    }
    Ok(chosen)
}

/// Ranges around an entry of a pair of ReLUs: of what both read, and of its difference.
#[derive(Clone, Copy, Debug)]
struct Entry {
    u: (f64, f64),
    v: (f64, f64),
    d: (f64, f64),
}

/// A joint network bounded on some boxes.
struct Ranges<'a> {
    regions: &'a [Region<f64>],
    network: Network<f64>,
    found: Vec<(Bounds<f64>, Magnitudes<f64>)>,
    pairs: Vec<Pairing>,
}

/// A pair of ReLUs: the layers that they read, if they are in the network, and the outputs that are the difference.
struct Pairing {
    read: Option<[usize; 2]>,
    entries: Range<usize>,
}

impl<'a> Ranges<'a> {
    fn new(
        a: &Graph,
        b: &Graph,
        related: &Related,
        regions: &'a [Region<f64>],
        late: Stop<'_>,
    ) -> Result<Option<Self>, VerifyError> {
        let Some(Differences { graph, relus }) = Differences::new(a, b, related)? else { return Ok(None) };
        let network = lower(&graph)?;
        let sources = network.sources();
        // A node may have been lowered to several layers of its name.
        let layer = |name: &str| {
            network.activations().find(|(k, ..)| network.layers[*k].name == name).map(|(k, ..)| sources[k])
        };
        let mut first = 0;
        let mut pairing = |([h, g], size): &([String; 2], usize)| {
            first += size;
            Pairing { read: layer(h).zip(layer(g)).map(|(u, v)| [u, v]), entries: first - size..first }
        };
        let pairs = relus.iter().map(&mut pairing).collect();
        let bound = |region: &Region<f64>| bounds::bound(&network, &region.boxes(), Method::Crown, &[], late);
        let found = regions.iter().map(bound).collect();
        Ok(Some(Self { regions, network, found, pairs }))
    }

    /// The entries of a pair on a region; none where the network does not have it.
    fn of(&self, pair: usize, region: usize) -> Vec<Entry> {
        let Pairing { read: Some([u, v]), entries } = &self.pairs[pair] else { return Vec::new() };
        let (bounds, magnitudes) = &self.found[region];
        let range = |k: usize, i: usize| (bounds.lower[k][i], bounds.upper[k][i]);
        // Where both are off there is no difference.
        let matters = |i: &usize| range(*u, *i).1 > 0.0 || range(*v, *i).1 > 0.0;
        let at: Vec<usize> = (0..entries.len()).filter(matters).collect();
        let outputs: Vec<usize> = at.iter().map(|i| entries.start + i).collect();
        let none = |i: usize| Entry { u: range(*u, i), v: range(*v, i), d: (0.0, 0.0) };
        let mut all: Vec<Entry> = (0..entries.len()).map(none).collect();
        let ranges = outputs_between(&self.network, &self.regions[region], bounds, magnitudes, &outputs);
        at.iter().zip(ranges).for_each(|(i, d)| all[*i].d = d);
        all
    }
}

/// Rows taken back at once.
const ROWS: usize = 256;

/// Ranges of some outputs.
fn outputs_between(
    network: &Network<f64>,
    region: &Region<f64>,
    bounds: &Bounds<f64>,
    magnitudes: &Magnitudes<f64>,
    outputs: &[usize],
) -> Vec<(f64, f64)> {
    let size = network.outputs();
    let mut ranges = Vec::with_capacity(outputs.len());
    for chunk in outputs.chunks(ROWS / 2) {
        let mut unit = vec![0.0; 2 * chunk.len() * size];
        for (row, output) in chunk.iter().enumerate() {
            unit[2 * row * size + output] = 1.0;
            unit[(2 * row + 1) * size + output] = -1.0;
        }
        let mut rows = Rows::new(network.layers.len(), vec![0; 2 * chunk.len()]);
        rows.coefficients[network.output()] = Some(unit);
        let form = back_substitute(network, magnitudes, &bounds.lines, rows, Multipliers::NONE, false);
        let least = |r: usize| form.box_minimum(r, &region.lower, &region.upper);
        ranges.extend((0..chunk.len()).map(|row| (least(2 * row), -least(2 * row + 1))));
    }
    ranges
}

/// The gap of the triangle around a ReLU, and the slope of its upper side.
fn triangle((low, high): (f64, f64)) -> (f64, f64) {
    if high <= 0.0 {
        (0.0, 0.0)
    } else if low >= 0.0 {
        (0.0, 1.0)
    } else {
        (-low * high / (high - low), high / (high - low))
    }
}

/// About how much relaxing $h - g$ loses, apart and related; `d` is the range of the difference where earlier pairs are related.
fn relaxation_gaps(Entry { u, v, d: before }: Entry, d: (f64, f64)) -> [f64; 2] {
    let ((gap_u, slope_u), (gap_v, slope_v)) = (triangle(u), triangle(v));
    // d − h = min(d, −v) and −d − g = min(−d, −u).
    let (above, below) = ((d.0.min(-v.1), d.1.min(-v.0)), ((-d.1).min(-u.1), (-d.0).min(-u.0)));
    let ((gap_above, slope_above), (gap_below, slope_below)) = (triangle(above), triangle(below));
    let left = slope_above * gap_u + slope_below * gap_v;
    // Apart, what earlier pairs gained is lost.
    let lost = 0.5 * slope_u.max(slope_v) * ((before.1 - before.0) - (d.1 - d.0)).max(0.0);
    [gap_u + gap_v + lost, gap_above + gap_below + left]
}
