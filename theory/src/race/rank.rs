//! Rank correlations.

/// Ranks from 0, equal values with the mean of theirs.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let same = order[first..].iter().take_while(|k| values[**k] == values[order[first]]).count();
        let mean = first as f64 + 0.5 * (same - 1) as f64;
        order[first..first + same].iter().for_each(|k| ranks[*k] = mean);
        first += same;
    }
    ranks
}

/// Pearson's correlation; none where one side is constant.
fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - mean_a) * (y - mean_b);
        aa += (x - mean_a).powi(2);
        bb += (y - mean_b).powi(2);
    }
    (aa > 0.0 && bb > 0.0).then(|| (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0))
}

/// Spearman's rank correlation $\rho$: Pearson's of the ranks; none where one side is constant or holds a NaN.
#[track_caller]
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "as many values on both sides");
    if a.iter().chain(b).any(|v| v.is_nan()) {
        return None;
    }
    pearson(&ranks(a), &ranks(b))
}

/// Spearman's correlation of two quantities with a third held fixed:
///
/// $$ \rho_{ab \cdot c} = \frac{\rho_{ab} - \rho_{ac} \rho_{bc}}{\sqrt{(1 - \rho_{ac}^2)(1 - \rho_{bc}^2)}}. $$
///
/// None where it is not defined; where $c$ is constant there is nothing to hold fixed, and it is $\rho_{ab}$.
#[track_caller]
pub fn partial(a: &[f64], b: &[f64], c: &[f64]) -> Option<f64> {
    let ab = spearman(a, b)?;
    if c.windows(2).all(|pair| pair[0] == pair[1]) {
        return Some(ab);
    }
    let (ac, bc) = (spearman(a, c)?, spearman(b, c)?);
    let rest = (1.0 - ac * ac) * (1.0 - bc * bc);
    (rest > 0.0).then(|| ((ab - ac * bc) / rest.sqrt()).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_ties() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
    }

    #[test]
    fn correlations_by_hand() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(spearman(&a, &[1.0, 8.0, 27.0, 64.0, 125.0]), Some(1.0));
        assert_eq!(spearman(&a, &[5.0, 4.0, 3.0, 2.0, 1.0]), Some(-1.0));
        // Differences of ranks 1, 1, 1, 1, 0: 1 - 6·4 / (5·24) = 0.8.
        let b = [2.0, 1.0, 4.0, 3.0, 5.0];
        assert!((spearman(&a, &b).expect("a number") - 0.8).abs() < 1e-12);
        assert_eq!(spearman(&a, &[1.0; 5]), None);
        // ρ_ac = ρ_bc = .7 by hand, so (.8 - .49) / .51.
        let c = [1.0, 3.0, 2.0, 5.0, 4.0];
        let (ac, bc) = (spearman(&a, &c).expect("a number"), spearman(&b, &c).expect("a number"));
        let expected = (0.8 - ac * bc) / ((1.0 - ac * ac) * (1.0 - bc * bc)).sqrt();
        assert!((partial(&a, &b, &c).expect("a number") - expected).abs() < 1e-12);
        assert_eq!(partial(&a, &b, &[2.0; 5]), spearman(&a, &b));
        assert_eq!(partial(&a, &b, &a), None, "nothing is left of a");
    }
}
