//! The linear pieces of a ReLU network with two inputs, in exact arithmetic.
//!
//! On a convex polygon where every ReLU so far is fixed, the next pre-activation is affine, so its zero set is a line
//! that cuts the polygon in two. Cutting the input rectangle by every neuron leaves polygons on which the network is
//! affine; an affine function on a polygon takes its minimum at a vertex. This shares nothing with the verifier.

use crate::dense::{Dense, Layer};
use dashu_ratio::RBig;
use secateur_check::dyadic;
use secateur_nn::property::LinearConstraint;

/// $a_0 x_0 + a_1 x_1 + a_2$.
pub type Affine = [RBig; 3];

/// A point.
pub type Point = [RBig; 2];

/// A convex polygon on which the network is affine.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its corners, in order.
    pub corners: Vec<Point>,
    /// The outputs as affine functions of the input.
    pub outputs: Vec<Affine>,
}

/// The value of an affine function.
pub fn value(function: &Affine, point: &Point) -> RBig {
    &function[0] * &point[0] + &function[1] * &point[1] + &function[2]
}

/// Cuts a rectangle into the pieces of a network.
#[track_caller]
pub fn pieces(network: &Dense, lower: &Point, upper: &Point) -> Vec<Piece> {
    let corner = |x: &RBig, y: &RBig| [x.clone(), y.clone()];
    let rectangle = vec![
        corner(&lower[0], &lower[1]),
        corner(&upper[0], &lower[1]),
        corner(&upper[0], &upper[1]),
        corner(&lower[0], &upper[1]),
    ];
    let one = || RBig::from(1_u8);
    let zero = || RBig::from(0_u8);
    let identity = vec![[one(), zero(), zero()], [zero(), one(), zero()]];
    let mut pieces = vec![Piece { corners: rectangle, outputs: identity }];
    for (index, layer) in network.layers.iter().enumerate() {
        let last = index + 1 == network.layers.len();
        let affine = pieces.into_iter().map(|piece| Piece { outputs: through(layer, &piece.outputs), ..piece });
        pieces = if last { affine.collect() } else { affine.flat_map(rectify).collect() };
    }
    pieces
}

/// The part of a polygon where an affine function is at most zero; empty when there is none.
pub fn clip(corners: &[Point], function: &Affine) -> Vec<Point> {
    let zero = RBig::from(0_u8);
    let mut kept = Vec::new();
    for (index, here) in corners.iter().enumerate() {
        let next = &corners[(index + 1) % corners.len()];
        let (at_here, at_next) = (value(function, here), value(function, next));
        if at_here <= zero {
            kept.push(here.clone());
        }
        if (at_here < zero && at_next > zero) || (at_here > zero && at_next < zero) {
            let share = &at_here / (&at_here - &at_next);
            kept.push([0, 1].map(|axis| &here[axis] + &share * (&next[axis] - &here[axis])));
        }
    }
    kept
}

/// Whether a conjunction of constraints on the outputs, each with its bound shifted by `slack`, holds anywhere.
pub fn holds_somewhere(pieces: &[Piece], conjunction: &[LinearConstraint], slack: &RBig) -> bool {
    pieces.iter().any(|piece| {
        let cut = |corners: Vec<Point>, constraint: &LinearConstraint| {
            let mut function = combine(&constraint.outputs, &piece.outputs);
            function[2] -= &constraint.bound + slack;
            clip(&corners, &function)
        };
        !conjunction.iter().fold(piece.corners.clone(), cut).is_empty()
    })
}

/// The exact minimum of one output.
#[track_caller]
pub fn minimum(pieces: &[Piece], output: usize) -> RBig {
    let values = pieces.iter().flat_map(|p| p.corners.iter().map(|corner| value(&p.outputs[output], corner)));
    values.min().expect("a rectangle has pieces")
}

fn through(layer: &Layer, sources: &[Affine]) -> Vec<Affine> {
    let rows = layer.weights.iter().zip(&layer.bias);
    rows.map(|(weights, bias)| {
        let terms: Vec<(usize, RBig)> = weights.iter().map(|w| stored(*w)).enumerate().collect();
        let mut row = combine(&terms, sources);
        row[2] += stored(*bias);
        row
    })
    .collect()
}

fn combine(terms: &[(usize, RBig)], sources: &[Affine]) -> Affine {
    let entry = |axis: usize| {
        terms.iter().map(|(index, factor)| factor * &sources[*index][axis]).fold(RBig::from(0_u8), |a, b| a + b)
    };
    [0, 1, 2].map(entry)
}

#[track_caller]
fn stored(weight: f32) -> RBig {
    dyadic(f64::from(weight)).expect("weights are finite")
}

/// Splits a piece by the sign of every entry in turn; the negative side gets zero.
fn rectify(piece: Piece) -> Vec<Piece> {
    let mut pieces = vec![piece];
    let count = pieces[0].outputs.len();
    for neuron in 0..count {
        let halves = pieces.into_iter().flat_map(|piece| {
            let negative = piece.outputs[neuron].clone();
            let positive = negative.clone().map(|a| -a);
            let below = clip(&piece.corners, &negative);
            let above = clip(&piece.corners, &positive);
            let mut flat = piece.outputs.clone();
            flat[neuron] = [0, 0, 0].map(|v: u8| RBig::from(v));
            [Piece { corners: below, outputs: flat }, Piece { corners: above, outputs: piece.outputs }]
        });
        // A side with fewer than three corners is an edge that the other side shares.
        pieces = halves.filter(|piece| piece.corners.len() > 2).collect();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diamond_has_four_pieces_with_its_minimum_inside() {
        let hidden = Layer {
            weights: vec![vec![1.0, 0.0], vec![-1.0, 0.0], vec![0.0, 1.0], vec![0.0, -1.0]],
            bias: vec![0.0; 4],
        };
        let sum = Layer { weights: vec![vec![1.0; 4]], bias: vec![-1.0] };
        let network = Dense { layers: vec![hidden, sum] };
        let corner = |v: i8| [RBig::from(v), RBig::from(v)];
        let pieces = pieces(&network, &corner(-1), &corner(2));
        assert_eq!(pieces.len(), 4);
        assert_eq!(minimum(&pieces, 0), RBig::from(-1_i8));
        let greatest = pieces.iter().flat_map(|p| p.corners.iter().map(|c| value(&p.outputs[0], c))).max();
        assert_eq!(greatest, Some(RBig::from(3_u8)));
    }
}
