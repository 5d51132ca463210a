//! Random graphs of a graphon.

use super::step::StepGraphon;
use crate::error::TheoryError;
use rayon::prelude::*;
use secateur_linalg::random::Random;

/// Where vertices lie in $[0, 1]$.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vertices {
    /// At the midpoints of cells of one size, in order: then the graph is near the graphon as labelled.
    Grid,
    /// Uniform and independent, then in rising order.
    Random,
}

/// Streams of vertices; rows of edges have their own, by number.
const ROWS: u64 = 1 << 40;
const COLS: u64 = ROWS + 1;

/// A random bipartite graph: row $i$ and column $j$ are joined with probability $W(u_i, v_j)$, independently.
///
/// # Shapes
/// `rows × cols` entries, row-major.
///
/// # Errors
/// A side of length 0.
pub fn bipartite(
    w: &StepGraphon,
    (rows, cols): (usize, usize),
    vertices: Vertices,
    seed: u64,
) -> Result<Vec<bool>, TheoryError> {
    let (u, v) = (places(rows, vertices, seed, ROWS)?, places(cols, vertices, seed, COLS)?);
    let j: Vec<usize> = v.iter().map(|v| w.cols().find(*v)).collect();
    let mut edges = vec![false; rows * cols];
    edges.par_chunks_mut(cols).enumerate().for_each(|(row, edges)| {
        let mut random = Random::stream(seed, row as u64);
        let i = w.rows().find(u[row]) * w.cols().len();
        edges.iter_mut().zip(&j).for_each(|(edge, j)| *edge = random.unit() < w.values()[i + j]);
    });
    Ok(edges)
}

/// A random simple graph on $n$ vertices of a symmetric graphon.
///
/// # Shapes
/// $n \times n$ entries, symmetric, with an empty diagonal.
///
/// # Errors
/// The graphon is not symmetric; $n = 0$.
pub fn symmetric(w: &StepGraphon, n: usize, vertices: Vertices, seed: u64) -> Result<Vec<bool>, TheoryError> {
    if !w.is_symmetric() {
        return Err(TheoryError::NotSymmetric);
    }
    let place: Vec<usize> = places(n, vertices, seed, ROWS)?.iter().map(|u| w.rows().find(*u)).collect();
    let mut edges = vec![false; n * n];
    for i in 0..n {
        let mut random = Random::stream(seed, i as u64);
        for j in 0..i {
            let edge = random.unit() < w.values()[place[i] * w.cols().len() + place[j]];
            (edges[i * n + j], edges[j * n + i]) = (edge, edge);
        }
    }
    Ok(edges)
}

fn places(count: usize, vertices: Vertices, seed: u64, stream: u64) -> Result<Vec<f64>, TheoryError> {
    if count == 0 {
        return Err(TheoryError::Range { name: "vertices", expected: "at least 1", found: 0.0 });
    }
    Ok(match vertices {
        Vertices::Grid => (0..count).map(|i| (i as f64 + 0.5) / count as f64).collect(),
        Vertices::Random => {
            let mut random = Random::stream(seed, stream);
            let mut places: Vec<f64> = (0..count).map(|_| random.unit()).collect();
            places.sort_by(f64::total_cmp);
            places
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_are_those_of_the_graphon() {
        let w = StepGraphon::from_matrix(2, 2, vec![0.8, 0.2, 0.2, 0.4]).unwrap();
        let edges = bipartite(&w, (200, 300), Vertices::Grid, 3).unwrap();
        let block = |rows: std::ops::Range<usize>, cols: std::ops::Range<usize>| {
            let count = rows.len() * cols.len();
            let kept = rows.flat_map(|i| cols.clone().map(move |j| (i, j))).filter(|(i, j)| edges[i * 300 + j]).count();
            kept as f64 / count as f64
        };
        // Four standard errors of 15 000 draws are at most 4 · 0.5 / √15000 = 0.0164.
        assert!((block(0..100, 0..150) - 0.8).abs() < 0.0164);
        assert!((block(100..200, 150..300) - 0.4).abs() < 0.0164);
        assert_eq!(edges, bipartite(&w, (200, 300), Vertices::Grid, 3).unwrap());
        assert_ne!(edges, bipartite(&w, (200, 300), Vertices::Grid, 4).unwrap());
    }

    #[test]
    fn simple_graphs_are_symmetric_without_loops() {
        let w = StepGraphon::from_matrix(2, 2, vec![0.9, 0.2, 0.2, 0.9]).unwrap();
        let edges = symmetric(&w, 90, Vertices::Random, 1).unwrap();
        assert!((0..90).all(|i| !edges[i * 90 + i] && (0..i).all(|j| edges[i * 90 + j] == edges[j * 90 + i])));
        let density = edges.iter().filter(|e| **e).count() as f64 / (90.0 * 89.0);
        // Block sizes vary by ±5 of 45, edges by 0.5/√4005: together below 0.05 at four deviations.
        assert!((density - 0.55).abs() < 0.05, "{density}");
        let one_sided = StepGraphon::from_matrix(1, 2, vec![0.1, 0.2]).unwrap();
        assert!(matches!(symmetric(&one_sided, 3, Vertices::Grid, 0), Err(TheoryError::NotSymmetric)));
        assert!(bipartite(&w, (0, 3), Vertices::Grid, 0).is_err());
    }
}
