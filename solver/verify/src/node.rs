//! A subproblem as an explorer sees it.
//!
//! Explorers look for points of low margin; what they find is measured exactly and never closes a
//! subproblem, so they may use any method.

use crate::alpha::Split;
use crate::bounds::{self, Bounds, Boxes, Method, Preactivations};
use crate::network::Network;
use crate::portfolio;
use crate::specification::{Objective, Region};
use secateur_linalg::Scalar;
use std::sync::Arc;

/// A subproblem of the branch and bound.
#[derive(Clone, Debug)]
pub struct Node {
    /// The region of the specification.
    pub region: usize,
    /// The conjunction whose greatest value is the margin.
    pub objectives: Vec<Objective<f64>>,
    /// What it is part of.
    pub root: Arc<RootBox>,
    /// Lower corner of its box.
    pub lower: Vec<f64>,
    /// Upper corner of its box.
    pub upper: Vec<f64>,
    /// Bounds of its pre-activations.
    pub bounds: Preactivations<f64>,
    /// The signs of ReLU inputs that were chosen.
    pub splits: Vec<Split>,
}

/// A region's box with bounds of the pre-activations on it.
#[derive(Clone, Debug)]
pub struct RootBox {
    /// Lower corner.
    pub lower: Vec<f64>,
    /// Upper corner.
    pub upper: Vec<f64>,
    /// Bounds.
    pub bounds: Preactivations<f64>,
}

/// A sequence in double precision.
pub fn wide<T: Scalar>(values: &[T]) -> Vec<f64> {
    values.iter().map(|v| v.to_f64()).collect()
}

impl<T: Scalar> Preactivations<T> {
    /// The same bounds in double precision.
    pub fn widen(&self) -> Preactivations<f64> {
        let all = |layers: &[Vec<T>]| layers.iter().map(|layer| wide(layer)).collect();
        Preactivations { lower: all(&self.lower), upper: all(&self.upper) }
    }
}

impl<T: Scalar> Objective<T> {
    /// The same objective in double precision.
    pub fn widen(&self) -> Objective<f64> {
        let all = |terms: &[(usize, T)]| terms.iter().map(|(index, value)| (*index, value.to_f64())).collect();
        Objective {
            inputs: all(&self.inputs),
            outputs: all(&self.outputs),
            constant: self.constant.to_f64(),
            rounded: self.rounded,
            strict: self.strict,
        }
    }
}

/// CROWN bounds of the pre-activations on a box.
pub fn crown_bounds<T: Scalar>(network: &Network<T>, lower: &[T], upper: &[T]) -> Preactivations<f64> {
    let boxes = Boxes::one(lower, upper, None);
    let (bounds, _): (Bounds<T>, _) = bounds::bound(network, &boxes, Method::Crown, &[], &|| false);
    bounds.preactivations(network, 0).widen()
}

/// A region with pre-activation bounds by slopes optimised for each entry.
pub fn root_box(network: &Network<f64>, region: &Region<f64>) -> RootBox {
    let boxes = region.boxes();
    let method = Method::AlphaCrown(portfolio::root_ascent());
    let (bounds, _) = bounds::bound(network, &boxes, method, &[], &|| false);
    RootBox { lower: region.lower.clone(), upper: region.upper.clone(), bounds: bounds.preactivations(network, 0) }
}
