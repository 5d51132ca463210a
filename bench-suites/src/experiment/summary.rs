//! Tables, intervals of confidence and plots of what was measured.
//!
//! The optimum of a case is taken as known where the best lower and the best upper bound of all methods are
//! at most [`KNOWN`] apart; gaps and successes count those cases only. At a radius where no optimum is known, gaps are
//! measured from the best upper bound of all methods: a lower bound's gap is then at most so large, an upper
//! bound's at least.

use super::config::{Config, Plot};
use super::measure::{Measurement, Partner};
use super::{ExperimentError, Record};
use crate::plot::{self, Axes, Series};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bounds this close determine the optimum.
pub const KNOWN: f64 = 1e-2;

/// What follows from the measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The experiment's title.
    pub title: String,
    /// One row per radius and method.
    pub rows: Vec<Row>,
    /// Comparisons with the baseline, per method.
    pub ratios: Vec<Ratio>,
    /// Warm starts against cold ones.
    pub starts: Option<Starts>,
}

/// One method at one radius.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The radius.
    pub radius: String,
    /// The method.
    pub method: String,
    /// Cases.
    pub cases: usize,
    /// Cases whose optimum is known.
    pub known: usize,
    /// Mean distance of the lower bound from the optimum, or from the best upper bound where none is known.
    pub lower_gap: Option<f64>,
    /// Mean distance of the upper bound from the same.
    pub upper_gap: Option<f64>,
    /// Share of cases with an upper bound at most [`KNOWN`] above the optimum.
    pub success: Option<f64>,
    /// Share of cases that did not end for lack of time.
    pub finished: f64,
    /// Median seconds.
    pub median_seconds: f64,
    /// Mean seconds.
    pub mean_seconds: f64,
    /// Median subproblems.
    pub median_domains: f64,
    /// Iterations of the nonlinear solver, all cases.
    pub iterations: usize,
    /// Its solves, and those that failed.
    pub solves: (usize, usize),
    /// Entries into restoration.
    pub restorations: usize,
}

/// A method's cost over the baseline's, case by case: geometric means with 95 % confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The method.
    pub method: String,
    /// Cases that both finished, or in which one ran into the limit, which then counts as its time.
    pub cases: usize,
    /// Seconds: mean, lower and upper end.
    pub seconds: (f64, f64, f64),
    /// Subproblems, where both count them.
    pub domains: Option<(f64, f64, f64)>,
}

/// Warm starts against cold ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Starts {
    /// Where the ancestor's point satisfies the subproblem's bounds.
    pub feasible: Side,
    /// All subproblems.
    pub all: Side,
}

/// Sums over subproblems.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Subproblems.
    pub solves: usize,
    /// Warm starts that failed and were followed by a cold one.
    pub fallbacks: usize,
    /// Iterations, warm and cold.
    pub iterations: (usize, usize),
    /// Seconds, warm and cold.
    pub seconds: (f64, f64),
    /// Subproblems in which the warm start ended with a margin higher by more than 1e-6, and lower.
    pub worse: (usize, usize),
    /// Geometric mean of warm over cold iterations with 95 % confidence.
    pub ratio: Option<(f64, f64, f64)>,
}

/// Summarises.
pub fn summarise(config: &Config, measurements: &[Measurement], radius_of: &[String]) -> Summary {
    let optima = optima(measurements);
    let mut rows = Vec::new();
    for radius in &config.radii {
        for method in &config.methods {
            let name = method.to_string();
            let mine = measurements.iter().filter(|m| m.method == name && m.partner.is_none());
            let mine: Vec<&Measurement> = mine.filter(|m| radius_of[m.case] == *radius).collect();
            if !mine.is_empty() {
                rows.push(row(radius, &name, &mine, &optima));
            }
        }
    }
    let ratios = config.baseline.iter().flat_map(|baseline| {
        let baseline = baseline.to_string();
        let others = config.methods.iter().map(ToString::to_string).filter(move |m| *m != baseline);
        let baseline = config.baseline.as_ref().map(ToString::to_string).unwrap_or_default();
        others.filter_map(move |method| ratio(measurements, &method, &baseline))
    });
    let partners: Vec<&Partner> = measurements.iter().filter_map(|m| m.partner.as_ref()).collect();
    let starts = (!partners.is_empty()).then(|| Starts {
        feasible: side(partners.iter().copied().filter(|p| p.feasible)),
        all: side(partners.iter().copied()),
    });
    Summary { title: config.title.clone(), rows, ratios: ratios.collect(), starts }
}

/// For each case the best lower and upper bound.
fn optima(measurements: &[Measurement]) -> BTreeMap<usize, (f64, f64)> {
    let mut optima = BTreeMap::new();
    for m in measurements {
        let best: &mut (f64, f64) = optima.entry(m.case).or_insert((f64::NEG_INFINITY, f64::INFINITY));
        best.0 = m.lower.map_or(best.0, |lower| best.0.max(lower));
        best.1 = m.upper.map_or(best.1, |upper| best.1.min(upper));
    }
    optima
}

fn row(radius: &str, method: &str, mine: &[&Measurement], optima: &BTreeMap<usize, (f64, f64)>) -> Row {
    let optimum = |m: &Measurement| optima.get(&m.case).filter(|(l, u)| u - l <= KNOWN).map(|(_, u)| *u);
    let known = mine.iter().filter(|m| optimum(m).is_some()).count();
    let best = |m: &Measurement| optima.get(&m.case).map(|(_, u)| *u).filter(|u| u.is_finite());
    let reference = |m: &Measurement| if known == 0 { best(m) } else { optimum(m) };
    let gaps = |value: fn(&Measurement) -> Option<f64>, sign: f64| -> Vec<f64> {
        mine.iter().filter_map(|m| Some(((value(m)? - reference(m)?) * sign).max(0.0))).collect()
    };
    let (lower, upper) = (gaps(|m| m.lower, -1.0), gaps(|m| m.upper, 1.0));
    let near = upper.iter().filter(|gap| **gap <= KNOWN).count();
    let seconds: Vec<f64> = mine.iter().map(|m| m.seconds).collect();
    Row {
        radius: radius.to_owned(),
        method: method.to_owned(),
        cases: mine.len(),
        known,
        lower_gap: mean(&lower),
        upper_gap: mean(&upper),
        success: (known > 0 && !upper.is_empty()).then(|| near as f64 / upper.len() as f64),
        finished: mine.iter().filter(|m| m.outcome != "timeout").count() as f64 / mine.len() as f64,
        median_seconds: median(&seconds),
        mean_seconds: mean(&seconds).unwrap_or(0.0),
        median_domains: median(&mine.iter().map(|m| m.domains as f64).collect::<Vec<f64>>()),
        iterations: mine.iter().map(|m| m.iterations).sum(),
        solves: (mine.iter().map(|m| m.solves).sum(), mine.iter().map(|m| m.failures).sum()),
        restorations: mine.iter().map(|m| m.restorations).sum(),
    }
}

fn ratio(measurements: &[Measurement], method: &str, baseline: &str) -> Option<Ratio> {
    let of = |name: &str| -> BTreeMap<usize, &Measurement> {
        measurements.iter().filter(|m| m.method == name).map(|m| (m.case, m)).collect()
    };
    let (mine, base) = (of(method), of(baseline));
    let pairs: Vec<(&Measurement, &Measurement)> =
        mine.iter().filter_map(|(case, m)| Some((*m, *base.get(case)?))).collect();
    let seconds: Vec<f64> = pairs.iter().map(|(m, b)| (m.seconds / b.seconds).ln()).collect();
    let counted = pairs.iter().filter(|(m, b)| m.domains > 0 && b.domains > 0);
    let domains: Vec<f64> = counted.map(|(m, b)| (m.domains as f64 / b.domains as f64).ln()).collect();
    Some(Ratio {
        method: method.to_owned(),
        cases: pairs.len(),
        seconds: geometric(&seconds)?,
        domains: geometric(&domains),
    })
}

fn side<'a>(partners: impl Iterator<Item = &'a Partner>) -> Side {
    let mut side = Side::default();
    let mut logs = Vec::new();
    for p in partners {
        side.solves += 1;
        side.fallbacks += usize::from(p.fell_back);
        side.iterations.0 += p.warm_iterations;
        side.iterations.1 += p.cold_iterations;
        side.seconds.0 += p.warm_seconds;
        side.seconds.1 += p.cold_seconds;
        side.worse.0 += usize::from(p.warm_margin > p.cold_margin + 1e-6);
        side.worse.1 += usize::from(p.warm_margin < p.cold_margin - 1e-6);
        logs.push(((p.warm_iterations.max(1)) as f64 / p.cold_iterations.max(1) as f64).ln());
    }
    side.ratio = geometric(&logs);
    side
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

/// The geometric mean of what these are logarithms of, with a 95 % confidence interval by the normal
/// approximation.
fn geometric(logs: &[f64]) -> Option<(f64, f64, f64)> {
    let centre = mean(logs)?;
    let n = logs.len() as f64;
    let variance = logs.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half = 1.96 * (variance / n).sqrt();
    Some((centre.exp(), (centre - half).exp(), (centre + half).exp()))
}

impl Summary {
    /// The summary as Markdown.
    pub fn table(&self) -> String {
        let number = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{v:.4}"));
        let share = |v: f64| format!("{:.0} %", 100.0 * v);
        let mut text = format!("# {}\n", self.title);
        if !self.rows.is_empty() {
            text += "\n| radius | method | cases | optimum known | mean lower gap | mean upper gap | within 1e-2 | finished | median s | mean s | median subproblems | NLP solves (failed) | iterations | restorations |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
        }
        for r in &self.rows {
            let success = r.success.map_or("–".to_owned(), share);
            text += &format!(
                "| {} | {} | {} | {} | {} | {} | {success} | {} | {:.3} | {:.3} | {} | {} ({}) | {} | {} |\n",
                r.radius,
                r.method,
                r.cases,
                r.known,
                number(r.lower_gap),
                number(r.upper_gap),
                share(r.finished),
                r.median_seconds,
                r.mean_seconds,
                r.median_domains,
                r.solves.0,
                r.solves.1,
                r.iterations,
                r.restorations,
            );
        }
        if !self.ratios.is_empty() {
            text += "\n| method over baseline | cases | seconds, geometric mean (95 %) | subproblems (95 %) |\n|---|---|---|---|\n";
        }
        let interval = |(m, l, u): (f64, f64, f64)| format!("{m:.3} ({l:.3} to {u:.3})");
        for r in &self.ratios {
            let domains = r.domains.map_or("–".to_owned(), interval);
            text += &format!("| {} | {} | {} | {domains} |\n", r.method, r.cases, interval(r.seconds));
        }
        if let Some(starts) = &self.starts {
            text += "\n| subproblems | solves | fallbacks | iterations warm / cold | ratio (95 %) | seconds warm / cold | warm worse / better |\n|---|---|---|---|---|---|---|\n";
            for (name, s) in [("ancestor's point feasible", &starts.feasible), ("all", &starts.all)] {
                text += &format!(
                    "| {name} | {} | {} | {} / {} | {} | {:.2} / {:.2} | {} / {} |\n",
                    s.solves,
                    s.fallbacks,
                    s.iterations.0,
                    s.iterations.1,
                    s.ratio.map_or("–".to_owned(), interval),
                    s.seconds.0,
                    s.seconds.1,
                    s.worse.0,
                    s.worse.1,
                );
            }
        }
        text
    }
}

/// The plot that the configuration asks for.
///
/// # Errors
/// There is nothing to draw.
pub fn plot(record: &Record) -> Result<Option<String>, ExperimentError> {
    let title = record.config.title.as_str();
    let measurements = &record.measurements;
    let optima = optima(measurements);
    let of = |method: &str, point: &dyn Fn(&Measurement) -> Option<(f64, f64)>| -> Vec<(f64, f64)> {
        measurements.iter().filter(|m| m.method == method).filter_map(point).collect()
    };
    let methods: Vec<String> = record.config.methods.iter().map(ToString::to_string).collect();
    let all = |label: &dyn Fn(&str) -> String, point: &dyn Fn(&Measurement) -> Option<(f64, f64)>| -> Vec<Series> {
        let series = methods.iter().map(|m| Series { label: label(m), points: of(m, point) });
        series.filter(|s| !s.points.is_empty()).collect()
    };
    let plain = |m: &str| m.to_owned();
    let (axes, series) = match record.config.plot {
        Plot::None => return Ok(None),
        Plot::Gaps => {
            let gap = |m: &Measurement| {
                let (_, optimum) = optima.get(&m.case).filter(|(_, u)| u.is_finite())?;
                let gap = m.lower.map_or_else(|| m.upper.map(|u| u - optimum), |l| Some(optimum - l))?;
                Some((m.case as f64, gap.max(1e-6)))
            };
            (
                Axes { x: "case", y: "distance from the best upper bound (at least 1e-6)", log_x: false, log_y: true },
                all(&plain, &gap),
            )
        }
        Plot::Binaries => {
            let binaries: BTreeMap<usize, usize> =
                measurements.iter().filter(|m| m.binaries > 0).map(|m| (m.case, m.binaries)).collect();
            let point = |m: &Measurement| Some((*binaries.get(&m.case)? as f64, m.seconds));
            (Axes { x: "ReLUs with an open sign", y: "seconds", log_x: false, log_y: true }, all(&plain, &point))
        }
        Plot::Times => {
            let point = |m: &Measurement| Some((m.case as f64, m.seconds));
            (Axes { x: "case", y: "seconds", log_x: false, log_y: true }, all(&plain, &point))
        }
        Plot::Iterations => {
            let side = |feasible: bool| -> Vec<(f64, f64)> {
                let partners = measurements.iter().filter_map(|m| m.partner.as_ref());
                let mine = partners.filter(|p| p.feasible == feasible);
                mine.map(|p| (p.cold_iterations.max(1) as f64, p.warm_iterations.max(1) as f64)).collect()
            };
            let most = side(true).into_iter().chain(side(false)).fold(1.0, |most: f64, (x, y)| most.max(x).max(y));
            let equal = (0..=100).map(|i| most.powf(f64::from(i) / 100.0)).map(|v| (v, v)).collect();
            let series = vec![
                Series { label: "ancestor's point feasible".to_owned(), points: side(true) },
                Series { label: "ancestor's point cut off".to_owned(), points: side(false) },
                Series { label: "equal".to_owned(), points: equal },
            ];
            (Axes { x: "iterations, cold", y: "iterations, warm", log_x: true, log_y: true }, series)
        }
    };
    Ok(Some(plot::scatter(title, &axes, &series)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_means() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(mean(&[]), None);
        let (centre, low, high) = geometric(&[2f64.ln(), 2f64.ln()]).expect("two values");
        // Equal values have no spread; logarithms cost a few roundings.
        assert!((centre - 2.0).abs() < 1e-12 && (high - low).abs() < 1e-12);
    }

    #[test]
    fn only_known_optima_count() {
        let case = |case, method: &str, lower, upper| Measurement {
            lower,
            upper,
            seconds: 1.0,
            ..serde_json::from_value(serde_json::json!({
                "case": case, "method": method, "lower": null, "upper": null, "outcome": "bound", "seconds": 0.0,
                "domains": 0, "binaries": 0, "iterations": 0, "restorations": 0, "solves": 0, "failures": 0,
                "kinks": null, "pattern_gap": null, "partner": null
            }))
            .expect("a measurement")
        };
        let all = [
            case(0, "bab", Some(0.999), Some(1.0)),
            case(0, "pgd", None, Some(1.5)),
            case(1, "bab", Some(0.0), Some(2.0)),
            case(1, "pgd", None, Some(1.0)),
        ];
        let optima = optima(&all);
        let pgd: Vec<&Measurement> = all.iter().filter(|m| m.method == "pgd").collect();
        let row = row("0.1", "pgd", &pgd, &optima);
        assert_eq!((row.cases, row.known, row.success), (2, 1, Some(0.0)));
        assert_eq!(row.upper_gap, Some(0.5));
    }
}
