//! Tangent kernels of pruned networks beside what limit graphons predict.
//!
//! | step | file |
//! |---|---|
//! | read what is to be measured | [`config`] |
//! | inputs with labels | [`problem`] |
//! | a network with one hidden layer, its masks by the real criteria, and the graphon that is predicted | [`network`] |
//! | distance of empirical kernels to the predicted one, over widths | [`limit`], `limit_page.rs` |
//! | spectra and generalisation over densities, and where curves cross | [`curves`], `curves_page.rs` |
//! | statements and their checks | [`checks`] |
//!
//! A measurement is one line of `measurements.jsonl`, on disk as soon as it is known, so that a second run goes on where the first
//! one stopped. At the end `record.json` and the page are written.

pub mod checks;
pub mod config;
pub mod curves;
mod curves_page;
pub mod limit;
mod limit_page;
pub mod network;
pub mod problem;

use super::StudyError;
use crate::journal::{self, Journal, JournalError};
use crate::watcher::Watcher;
use config::{Config, Question};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a study leaves behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record<P> {
    /// The configuration, seeds included.
    pub config: Config,
    /// Version of the program.
    pub version: String,
    /// The measurements.
    pub points: Vec<P>,
}

/// Runs the study of a configuration file into a directory; the page as Markdown.
///
/// # Errors
/// See [`StudyError`].
pub fn run(path: &Path, data: Option<&Path>, directory: &Path, watcher: &dyn Watcher) -> Result<String, StudyError> {
    let config = Config::read(path)?;
    let pool = config.data.load(data)?;
    let report = match &config.question {
        Question::Limit(limit) => {
            let measure = |place| limit.measure(&pool, place);
            let points = measured(&config, limit.places(&config), directory, watcher, measure)?;
            let report = limit_page::page(&config, &points)?;
            keep(config, points, directory)?;
            report
        }
        Question::Curves(curves) => {
            let measure = |place| curves.measure(&pool, place);
            let points = measured(&config, curves.places(&config), directory, watcher, measure)?;
            let report = curves_page::page(&config, curves, &points)?;
            keep(config.clone(), curves::lean(&config, points), directory)?;
            report
        }
    };
    report.write(directory)?;
    Ok(report.markdown())
}

/// Whatever is measured at a place.
pub trait Measured {
    /// Where it was measured.
    type Place: PartialEq + std::fmt::Display;
    /// That place.
    fn place(&self) -> &Self::Place;
}

/// The points of all places: those on disk, and those that are measured now.
fn measured<P: Measured + Serialize + DeserializeOwned>(
    config: &Config,
    places: Vec<P::Place>,
    directory: &Path,
    watcher: &dyn Watcher,
    measure: impl Fn(P::Place) -> Result<P, StudyError>,
) -> Result<Vec<P>, StudyError> {
    let (mut journal, mut points) = Journal::open::<P>(directory, config)?;
    let all = places.len();
    for place in places {
        if points.iter().any(|point| *point.place() == place) {
            continue;
        }
        if watcher.stop() {
            return Err(StudyError::Stopped { done: points.len(), all });
        }
        watcher.measuring(points.len(), all, &place.to_string());
        let point = measure(place)?;
        journal.append(&point)?;
        points.push(point);
    }
    Ok(points)
}

fn keep<P: Serialize>(config: Config, points: Vec<P>, directory: &Path) -> Result<(), StudyError> {
    let record = Record { config, version: env!("CARGO_PKG_VERSION").to_owned(), points };
    let json = serde_json::to_string_pretty(&record).map_err(JournalError::Json)?;
    Ok(journal::write(&directory.join("record.json"), &(json + "\n"))?)
}
