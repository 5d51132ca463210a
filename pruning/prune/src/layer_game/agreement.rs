//! How far numbers agree: shares of variance, and orders.

/// $R^2 = 1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2$; none where the truth is constant, or there is none.
///
/// # Panics
/// Not as many predictions as true values.
#[track_caller]
pub fn r_squared(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    assert_eq!(truth.len(), predicted.len(), "a prediction for each");
    let mean = truth.iter().sum::<f64>() / truth.len() as f64;
    let spread: f64 = truth.iter().map(|y| (y - mean).powi(2)).sum();
    let missed: f64 = truth.iter().zip(predicted).map(|(y, p)| (y - p).powi(2)).sum();
    (spread > 0.0).then(|| 1.0 - missed / spread)
}

/// $\sqrt{\tfrac1n \sum (y - \hat y)^2}$; none of nothing.
///
/// # Panics
/// Not as many predictions as true values.
#[track_caller]
pub fn root_mean_square(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    assert_eq!(truth.len(), predicted.len(), "a prediction for each");
    let missed: f64 = truth.iter().zip(predicted).map(|(y, p)| (y - p).powi(2)).sum();
    (!truth.is_empty()).then(|| (missed / truth.len() as f64).sqrt())
}

/// Spearman's $\rho$: the correlation of ranks, equal numbers with the mean of theirs; none where all of one side are equal.
///
/// # Panics
/// Lists of different lengths.
#[track_caller]
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "as many of both");
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - middle) * (y - middle)).sum() };
    let spread = product(&a, &a) * product(&b, &b);
    (spread > 0.0).then(|| product(&a, &b) / spread.sqrt())
}

/// Ranks from 1.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut begin = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let mean = begin as f64 + (group.len() as f64 + 1.0) / 2.0;
        group.iter().for_each(|place| ranks[*place] = mean);
        begin += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_hand() {
        // Ranks 1 2.5 2.5 4 against 1 2 3 4: 4.5 / sqrt(4.5 · 5).
        let found = spearman(&[0.0, 1.0, 1.0, 7.0], &[1.0, 2.0, 3.0, 4.0]).expect("not constant");
        assert!((found - 4.5 / 22.5f64.sqrt()).abs() < 1e-12, "{found}");
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[9.0, 5.0, -1.0]), Some(-1.0));
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn variances_by_hand() {
        assert_eq!(r_squared(&[0.0, 2.0], &[0.5, 1.5]), Some(0.75));
        assert_eq!(r_squared(&[1.0, 1.0], &[1.0, 1.0]), None);
        assert_eq!(root_mean_square(&[0.0, 2.0], &[1.0, 1.0]), Some(1.0));
        assert_eq!(root_mean_square(&[], &[]), None);
    }
}
