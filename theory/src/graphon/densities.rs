//! Degrees, and how often small graphs occur.
//!
//! $t(F, W) = \int \prod_{\{a, b\} \in F} W(x_a, x_b)\, dx$ is the probability that random vertices carry the edges of $F$.

use super::step::StepGraphon;
use crate::error::TheoryError;
use rayon::prelude::*;
use secateur_linalg::gemm::{View, gemm};

impl StepGraphon {
    /// $\int W$: the density of edges.
    pub fn edge_density(&self) -> f64 {
        self.row_degrees().iter().zip(self.rows().widths()).map(|(d, w)| d * w).sum()
    }

    /// $u \mapsto \int W(u, v)\, dv$, one number for each interval of rows.
    pub fn row_degrees(&self) -> Vec<f64> {
        let widths = self.cols().widths();
        let row = |row: &[f64]| row.iter().zip(&widths).map(|(v, w)| v * w).sum();
        self.values().chunks_exact(self.cols().len()).map(row).collect()
    }

    /// $v \mapsto \int W(u, v)\, du$, one number for each interval of columns.
    pub fn col_degrees(&self) -> Vec<f64> {
        let mut degrees = vec![0.0; self.cols().len()];
        for (row, width) in self.values().chunks_exact(degrees.len()).zip(self.rows().widths()) {
            degrees.iter_mut().zip(row).for_each(|(d, v)| *d += width * v);
        }
        degrees
    }

    /// $\int d(u)^2\, du$ with the degrees of rows: two edges that share a vertex.
    pub fn cherry_density(&self) -> f64 {
        self.row_degrees().iter().zip(self.rows().widths()).map(|(d, w)| d * d * w).sum()
    }

    /// $\int W(x, y)\, W(y, z)\, W(z, x)$ of a symmetric graphon.
    ///
    /// # Errors
    /// The graphon is not symmetric.
    pub fn triangle_density(&self) -> Result<f64, TheoryError> {
        let (a, n) = (self.operator()?, self.rows().len());
        let square = square(&a, n);
        Ok(square.iter().zip(&a).map(|(s, a)| s * a).sum())
    }

    /// $\int W(x, y)\, W(y, z)\, W(z, t)\, W(t, x)$ of a symmetric graphon: circles of four edges.
    ///
    /// # Errors
    /// The graphon is not symmetric.
    pub fn c4_density(&self) -> Result<f64, TheoryError> {
        let (a, n) = (self.operator()?, self.rows().len());
        Ok(square(&a, n).iter().map(|s| s * s).sum())
    }

    /// $A_{ij} = \sqrt{a_i}\, w_{ij} \sqrt{a_j}$ with the widths $a$: it has the eigenvalues of the integral operator of $W$, and
    /// the traces of its powers are the densities of circles.
    ///
    /// # Errors
    /// The graphon is not symmetric.
    pub fn operator(&self) -> Result<Vec<f64>, TheoryError> {
        if self.is_symmetric() { Ok(self.weighted()) } else { Err(TheoryError::NotSymmetric) }
    }

    /// $\sqrt{a_i}\, w_{ij} \sqrt{b_j}$ with the widths $a$ of rows and $b$ of columns.
    pub fn weighted(&self) -> Vec<f64> {
        let roots = |widths: Vec<f64>| widths.into_iter().map(f64::sqrt).collect::<Vec<f64>>();
        let (rows, cols) = (roots(self.rows().widths()), roots(self.cols().widths()));
        let row = |(row, a): (&[f64], &f64)| row.iter().zip(&cols).map(|(v, b)| a * v * b).collect::<Vec<_>>();
        self.values().chunks_exact(cols.len()).zip(&rows).flat_map(row).collect()
    }
}

/// $A A^\top$ of a symmetric $A$, by panels of rows.
fn square(a: &[f64], n: usize) -> Vec<f64> {
    const PANEL: usize = 256;
    let mut out = vec![0.0; n * n];
    out.par_chunks_mut(PANEL * n).zip(a.par_chunks(PANEL * n)).for_each(|(out, rows)| {
        gemm(out, View::new(rows, rows.len() / n, n), View::new(a, n, n), false);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphon::step::Partition;

    #[test]
    fn blocks_of_different_widths_by_hand() {
        let halves = Partition::new(vec![0.25, 1.0]).unwrap();
        let w = StepGraphon::new(halves.clone(), halves, vec![0.8, 0.2, 0.2, 0.4]).unwrap();
        let degrees = [0.25 * 0.8 + 0.75 * 0.2, 0.25 * 0.2 + 0.75 * 0.4];
        assert_eq!((w.row_degrees(), w.col_degrees()), (degrees.to_vec(), degrees.to_vec()));
        let edge = 0.25 * degrees[0] + 0.75 * degrees[1];
        assert!((w.edge_density() - edge).abs() < 1e-15);
        let (p, q) = (0.25, 0.75);
        let triangle =
            p * p * p * 0.512 + 3.0 * p * p * q * 0.8 * 0.04 + 3.0 * p * q * q * 0.04 * 0.4 + q * q * q * 0.064;
        // A few roundings of numbers below 1.
        assert!((w.triangle_density().unwrap() - triangle).abs() < 1e-15);
    }

    #[test]
    fn only_symmetric_graphons_have_triangles() {
        let w = StepGraphon::from_matrix(1, 2, vec![0.1, 0.2]).unwrap();
        assert!(matches!(w.triangle_density(), Err(TheoryError::NotSymmetric)));
        assert!(matches!(w.c4_density(), Err(TheoryError::NotSymmetric)));
    }
}
