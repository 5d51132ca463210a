//! Wanda: weights and activations.

use super::{Criterion, Needs, Pool, Saliency};
use crate::activations;
use crate::calibration::Calibration;
use crate::error::PruneError;
use crate::weights::weights;
use secateur_linalg::Tensor;
use secateur_nn::graph::Graph;
use std::collections::BTreeMap;

/// $S_{ij} = |W_{ij}|\, \lVert X_j \rVert_2$ with the inputs $X_j$ of column $j$ over all samples and positions.
///
/// Scores are compared within a row (one output's weights), so at weight scope the budget is split row by row
/// ([`crate::budget::Allocation::Row`]) when it asks for the same share of every layer. A convolution's columns are the
/// entries of its patches, zero padding included.
///
/// # Source
/// Sun, Liu, Bair, Kolter 2024, "A simple and effective pruning approach for large language models", equation 1. They
/// divide the squared norm by the number of tokens, which changes no order within a layer; we take the root mean
/// square, so that scores do not grow with the number of samples.
#[derive(Clone, Copy, Debug)]
pub struct Wanda;

impl Criterion for Wanda {
    fn name(&self) -> &'static str {
        "wanda"
    }

    fn needs(&self) -> Needs {
        Needs::Inputs
    }

    fn score(&self, graph: &Graph, calibration: Option<&Calibration>) -> Result<Saliency, PruneError> {
        let calibration = calibration.ok_or(PruneError::NoData { criterion: self.name() })?;
        let mut scores = BTreeMap::new();
        let weights = weights(graph)?;
        let squares = activations::squares(graph, &weights, calibration, self.name())?;
        for (weight, groups) in weights.iter().zip(squares) {
            let layout = weight.layout(graph, self.name())?;
            let mut score = vec![0.0; weight.len()];
            for row in 0..layout.rows {
                let norms = &groups[row * layout.groups / layout.rows];
                for (col, norm) in norms.iter().enumerate() {
                    let place = layout.index[row * layout.cols + col];
                    score[place] = f64::from(weight.value.data()[place]).abs() * norm.sqrt();
                }
            }
            scores.insert(weight.name.clone(), Tensor::new(weight.value.shape().to_vec(), score));
        }
        Saliency { scores, pool: Pool::Mean }.checked()
    }
}
