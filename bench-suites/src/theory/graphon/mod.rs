//! Masks of real networks beside the graphons that theory predicts.
//!
//! | step | file |
//! |---|---|
//! | what is asked | [`config`] |
//! | the network with one hidden layer, its samples, its masks | [`network`] |
//! | a way to make masks, and what is measured of one | [`series`] |
//! | measurements on disk as they are made | [`mod@bench`] |
//! | distance against width | [`rate`] |
//! | distance against density; which methods are homogeneous | [`densities`] |
//! | pictures, spectra, and the histogram after sorting | [`portraits`] |
//! | networks of several layers | [`deep`] |
//! | pairs of classes of images | [`images`] |
//! | approximation on the active coordinates | [`approximation`] |
//! | the statements and their checks | [`checks`] |

pub mod approximation;
pub mod bench;
pub mod checks;
pub mod config;
pub mod deep;
pub mod densities;
pub mod images;
pub mod network;
pub mod portraits;
pub mod rate;
pub mod series;

use super::StudyError;
use crate::watcher::Watcher;
use config::{Config, Question};
use std::path::Path;

/// Runs the study of a configuration file into a directory: `measurements.jsonl`, `record.json` and a page, whose text it returns.
///
/// # Errors
/// See [`StudyError`].
pub fn run(path: &Path, data: Option<&Path>, directory: &Path, watcher: &dyn Watcher) -> Result<String, StudyError> {
    let config = Config::read(path)?;
    match &config.question {
        Question::Rate(rate) => rate::run(&config, rate, directory, watcher),
        Question::Densities(densities) => densities::run(&config, densities, directory, watcher),
        Question::Portraits(portraits) => portraits::run(&config, portraits, directory, watcher),
        Question::Deep(deep) => deep::run(&config, deep, directory, watcher),
        Question::Images(images) => images::run(&config, images, data, directory, watcher),
        Question::Approximation(asked) => approximation::run(&config, asked, directory, watcher),
    }
}
