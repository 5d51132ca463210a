//! The histogram after sorting: an estimator that finds structure where there is none.
//!
//! Rows and columns are sorted by their degrees, then the mask is averaged over blocks of $h \times h$ entries. Where the graphon is
//! constant, degrees differ by chance only, and sorting turns that chance into a slope.

use super::step::{Partition, StepGraphon};
use crate::error::TheoryError;

/// The histogram of a mask with sides that fall into blocks of `block` entries; what is left over joins the last block.
///
/// # Errors
/// A block of length 0 or longer than a side; not `rows × cols` entries.
///
/// # Source
/// Chan, Airoldi 2014, "A consistent histogram estimator for exchangeable graph models", with $h = \lfloor \ln n \rfloor$; used on
/// masks by arXiv 2510.17515.
pub fn sort_and_smooth(rows: usize, cols: usize, mask: &[bool], block: usize) -> Result<StepGraphon, TheoryError> {
    if block == 0 || block > rows.min(cols) {
        let found = block as f64;
        return Err(TheoryError::Range { name: "length of a block", expected: "1 to the shorter side", found });
    }
    let whole = StepGraphon::from_mask(rows, cols, mask)?;
    let (by_row, by_col) = (order(&whole.row_degrees()), order(&whole.col_degrees()));
    let (heights, widths) = (blocks(rows, block), blocks(cols, block));
    let mut values = Vec::with_capacity(heights.len() * widths.len());
    for (top, bottom) in &heights {
        for (left, right) in &widths {
            let kept = by_row[*top..*bottom]
                .iter()
                .map(|i| by_col[*left..*right].iter().filter(|j| mask[i * cols + **j]).count());
            values.push(kept.sum::<usize>() as f64 / ((bottom - top) * (right - left)) as f64);
        }
    }
    let partition = |blocks: &[(usize, usize)], n: usize| {
        Partition::new(blocks.iter().map(|(_, end)| *end as f64 / n as f64).collect())
    };
    StepGraphon::new(partition(&heights, rows)?, partition(&widths, cols)?, values)
}

/// $\lVert U - W \rVert_2$, the root of the mean square.
///
/// # Errors
/// None in practice.
pub fn root_mean_square(u: &StepGraphon, w: &StepGraphon) -> Result<f64, TheoryError> {
    let (u, w) = u.common_refinement(w)?;
    let squares = u.weighted().iter().zip(w.weighted()).map(|(u, w)| (u - w).powi(2)).sum::<f64>();
    Ok(squares.sqrt())
}

/// Places from the smallest number to the largest; of equal ones, the earlier first.
pub fn order(numbers: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]).then(a.cmp(b)));
    order
}

fn blocks(side: usize, block: usize) -> Vec<(usize, usize)> {
    let count = side / block;
    (0..count).map(|b| (b * block, if b + 1 == count { side } else { (b + 1) * block })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphon::sampling::{Vertices, bipartite};

    #[test]
    fn blocks_average_what_is_sorted_into_them() {
        // Degrees of rows 2, 0, 1, 1 and of columns 2, 1, 1, 0.
        let mask = [1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0].map(|b| b == 1);
        let found = sort_and_smooth(4, 4, &mask, 2).unwrap();
        // Rows 1, 2 then 3, 0; columns 3, 1 then 2, 0.
        assert_eq!(found.values(), [0.0, 0.25, 0.25, 0.5]);
        let odd = sort_and_smooth(4, 4, &mask, 3).unwrap();
        assert_eq!(odd.values(), [0.25]);
        assert!(sort_and_smooth(4, 4, &mask, 0).is_err() && sort_and_smooth(4, 4, &mask, 5).is_err());
    }

    #[test]
    fn a_constant_looks_sloped() {
        let flat = StepGraphon::constant(0.2).unwrap();
        let mask = bipartite(&flat, (128, 128), Vertices::Grid, 1).unwrap();
        let found = sort_and_smooth(128, 128, &mask, 4).unwrap();
        let (values, side) = (found.values(), 32);
        let corner = |from: usize| (0..4 * 4).map(|k| values[(from + k / 4) * side + from + k % 4]).sum::<f64>() / 16.0;
        // Degrees of 128 entries deviate by .035; the extreme eighths lie about 1.6 deviations from the mean, on both sides.
        assert!(corner(28) - corner(0) > 0.1, "{} {}", corner(0), corner(28));
        let distance = root_mean_square(&found, &flat).unwrap();
        assert!((distance - 0.107).abs() < 0.01, "{distance}");
    }
}
