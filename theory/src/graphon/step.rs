//! Step functions on the unit square with values in $[0, 1]$.
//!
//! $$ W(u, v) = w_{ij} \quad \text{for } u \in [a_i, a_{i+1}),\ v \in [b_j, b_{j+1}). $$

use crate::error::TheoryError;

/// A bipartite step graphon: rows are one side, columns the other.
///
/// # Shapes
/// Intervals of rows and of columns partition $[0, 1]$; there is one value for each pair, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct StepGraphon {
    rows: Partition,
    cols: Partition,
    values: Vec<f64>,
}

/// Consecutive intervals from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    ends: Vec<f64>,
}

impl Partition {
    /// `count` intervals of one width.
    ///
    /// # Errors
    /// There is none.
    pub fn equal(count: usize) -> Result<Self, TheoryError> {
        let ends: Vec<f64> = (1..=count).map(|i| i as f64 / count as f64).collect();
        Self::new(ends)
    }

    /// Intervals by where they end; the last ends at 1.
    ///
    /// # Errors
    /// Ends that do not rise, or not to 1.
    pub fn new(ends: Vec<f64>) -> Result<Self, TheoryError> {
        let refuse = |found| Err(TheoryError::Range { name: "end of an interval", expected: "rising to 1", found });
        let mut before = 0.0;
        for &end in &ends {
            if !(end > before && end <= 1.0) {
                return refuse(end);
            }
            before = end;
        }
        if before == 1.0 { Ok(Self { ends }) } else { refuse(before) }
    }

    /// Whether all intervals have one width, up to the rounding of their ends.
    pub fn is_equal(&self) -> bool {
        let count = self.len() as f64;
        self.ends.iter().zip(1..).all(|(end, i)| *end == f64::from(i) / count)
    }

    /// Where the intervals end.
    pub fn ends(&self) -> &[f64] {
        &self.ends
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none (there always is one).
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Their lengths.
    pub fn widths(&self) -> Vec<f64> {
        let begins = std::iter::once(&0.0).chain(&self.ends);
        self.ends.iter().zip(begins).map(|(end, begin)| end - begin).collect()
    }

    /// The interval of a point: half open, the last one closed.
    pub fn find(&self, u: f64) -> usize {
        self.ends.partition_point(|end| *end <= u).min(self.len() - 1)
    }

    /// The coarsest partition that refines both.
    pub fn common(&self, other: &Self) -> Self {
        let mut ends = [self.ends.as_slice(), other.ends.as_slice()].concat();
        ends.sort_by(f64::total_cmp);
        ends.dedup();
        Self { ends }
    }
}

impl StepGraphon {
    /// Values on the rectangles of two partitions.
    ///
    /// # Errors
    /// Not as many values as rectangles, or a value outside of $[0, 1]$.
    pub fn new(rows: Partition, cols: Partition, values: Vec<f64>) -> Result<Self, TheoryError> {
        if values.len() != rows.len() * cols.len() {
            let (expected, found) = (vec![rows.len(), cols.len()], vec![values.len()]);
            return Err(TheoryError::Shape { name: "values of a step graphon", expected, found });
        }
        match values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
            Some(&found) => Err(TheoryError::Range { name: "value of a graphon", expected: "0 to 1", found }),
            None => Ok(Self { rows, cols, values }),
        }
    }

    /// A matrix with values in $[0, 1]$ as a graphon, all cells of one size.
    ///
    /// # Errors
    /// As [`StepGraphon::new`]; a side of length 0.
    pub fn from_matrix(rows: usize, cols: usize, values: Vec<f64>) -> Result<Self, TheoryError> {
        Self::new(Partition::equal(rows)?, Partition::equal(cols)?, values)
    }

    /// $W_M$ of a mask $M \in \{0, 1\}^{d \times n}$.
    ///
    /// # Errors
    /// Not `rows × cols` entries; a side of length 0.
    pub fn from_mask(rows: usize, cols: usize, mask: &[bool]) -> Result<Self, TheoryError> {
        Self::from_matrix(rows, cols, mask.iter().map(|keep| f64::from(u8::from(*keep))).collect())
    }

    /// The graphon that is $p$ everywhere.
    ///
    /// # Errors
    /// $p$ outside of $[0, 1]$.
    pub fn constant(p: f64) -> Result<Self, TheoryError> {
        Self::from_matrix(1, 1, vec![p])
    }

    /// A function at the midpoints of cells of one size.
    ///
    /// # Errors
    /// A value outside of $[0, 1]$; a side of length 0.
    pub fn at_midpoints(rows: usize, cols: usize, w: impl Fn(f64, f64) -> f64) -> Result<Self, TheoryError> {
        Self::cell_averages(rows, cols, 1, w)
    }

    /// The averages of a function over cells of one size, each by `points × points` midpoints.
    ///
    /// # Errors
    /// An average outside of $[0, 1]$; a side of length 0; no points.
    pub fn cell_averages(
        rows: usize,
        cols: usize,
        points: usize,
        w: impl Fn(f64, f64) -> f64,
    ) -> Result<Self, TheoryError> {
        if points == 0 {
            return Err(TheoryError::Range { name: "points of a cell", expected: "at least 1", found: 0.0 });
        }
        let place = |cell: usize, point: usize, cells: usize| {
            (cell as f64 + (point as f64 + 0.5) / points as f64) / cells as f64
        };
        let average = |i: usize, j: usize| {
            let pairs = (0..points * points).map(|p| w(place(i, p / points, rows), place(j, p % points, cols)));
            pairs.sum::<f64>() / (points * points) as f64
        };
        Self::from_matrix(rows, cols, (0..rows * cols).map(|k| average(k / cols, k % cols)).collect())
    }

    /// The intervals of the rows.
    pub fn rows(&self) -> &Partition {
        &self.rows
    }

    /// The intervals of the columns.
    pub fn cols(&self) -> &Partition {
        &self.cols
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// $W(u, v)$ for $u, v \in [0, 1]$.
    pub fn at(&self, u: f64, v: f64) -> f64 {
        self.values[self.rows.find(u) * self.cols.len() + self.cols.find(v)]
    }

    /// The same function on finer partitions.
    ///
    /// # Errors
    /// A partition that does not refine the one it replaces.
    pub fn refine(&self, rows: &Partition, cols: &Partition) -> Result<Self, TheoryError> {
        let (i, j) = (places(&self.rows, rows)?, places(&self.cols, cols)?);
        let width = self.cols.len();
        let values = i.iter().flat_map(|i| j.iter().map(move |j| self.values[i * width + j])).collect();
        Ok(Self { rows: rows.clone(), cols: cols.clone(), values })
    }

    /// Two graphons on the coarsest partitions that serve both.
    ///
    /// # Errors
    /// None in practice.
    pub fn common_refinement(&self, other: &Self) -> Result<(Self, Self), TheoryError> {
        let (rows, cols) = (self.rows.common(&other.rows), self.cols.common(&other.cols));
        Ok((self.refine(&rows, &cols)?, other.refine(&rows, &cols)?))
    }

    /// Whether $W(u, v) = W(v, u)$ everywhere.
    pub fn is_symmetric(&self) -> bool {
        let n = self.rows.len();
        self.rows == self.cols && (0..n).all(|i| (0..i).all(|j| self.values[i * n + j] == self.values[j * n + i]))
    }
}

/// For each interval of `fine`, the interval of `coarse` that holds it.
fn places(coarse: &Partition, fine: &Partition) -> Result<Vec<usize>, TheoryError> {
    let mut place = 0;
    let mut found = Vec::with_capacity(fine.len());
    for &end in &fine.ends {
        found.push(place);
        let limit = coarse.ends[place];
        if end > limit {
            return Err(TheoryError::Range { name: "end of an interval", expected: "a refinement", found: end });
        }
        place += usize::from(end == limit && place + 1 < coarse.len());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uneven() -> StepGraphon {
        let (rows, cols) = (Partition::new(vec![0.25, 1.0]).unwrap(), Partition::new(vec![0.5, 0.75, 1.0]).unwrap());
        StepGraphon::new(rows, cols, vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).unwrap()
    }

    #[test]
    fn values_are_found_by_place() {
        let w = uneven();
        for (u, v, expected) in [(0.0, 0.0, 0.1), (0.25, 0.5, 0.5), (0.24, 0.74, 0.2), (1.0, 1.0, 0.6)] {
            assert_eq!(w.at(u, v), expected, "{u} {v}");
        }
        assert_eq!(w.cols().widths(), [0.5, 0.25, 0.25]);
        assert!(!w.is_symmetric());
    }

    #[test]
    fn what_is_no_graphon_is_refused() {
        assert!(matches!(StepGraphon::constant(1.5), Err(TheoryError::Range { .. })));
        assert!(matches!(StepGraphon::constant(f64::NAN), Err(TheoryError::Range { .. })));
        assert!(matches!(StepGraphon::from_matrix(2, 2, vec![0.5; 3]), Err(TheoryError::Shape { .. })));
        assert!(matches!(StepGraphon::from_matrix(0, 2, vec![]), Err(TheoryError::Range { .. })));
        for ends in [vec![0.5], vec![0.5, 0.5, 1.0], vec![0.5, 1.5], vec![f64::NAN, 1.0], vec![]] {
            assert!(Partition::new(ends).is_err());
        }
        let thirds = Partition::equal(3).unwrap();
        assert!(uneven().refine(&thirds, &thirds).is_err());
        assert!(StepGraphon::cell_averages(1, 1, 0, |_, _| 0.5).is_err());
    }

    #[test]
    fn averages_are_nearer_than_midpoints_where_a_cell_is_cut() {
        let half = |u: f64, v: f64| f64::from(u8::from(u + v >= 1.0));
        let average = StepGraphon::cell_averages(1, 1, 64, half).unwrap().values()[0];
        // The diagonal points count whole: half of 1/64 too much.
        assert!((average - 0.5).abs() < 0.01, "{average}");
        assert_eq!(StepGraphon::at_midpoints(1, 1, half).unwrap().values(), [1.0]);
    }

    proptest! {
        #[test]
        fn refining_changes_no_value(u in 0.0..1.0, v in 0.0..1.0, cells in 1usize..9) {
            let (w, grid) = (uneven(), StepGraphon::from_matrix(cells, cells, vec![0.5; cells * cells]).unwrap());
            let (fine, other) = w.common_refinement(&grid).unwrap();
            prop_assert_eq!(fine.rows(), other.rows());
            prop_assert_eq!(fine.at(u, v), w.at(u, v));
            prop_assert!(fine.rows().len() <= 1 + cells);
        }
    }
}
