//! Baseline SLEB: the block whose removal costs least goes, again and again.

use super::drop::Dropped;
use super::streams::Sequences;
use crate::error::PruneError;
use rayon::prelude::*;
use secateur_nn::lm::{Model, Positions};

/// Removes blocks until so many are left: each time the one without which [`loss_with`](super::loss_with) is least, of
/// equal ones the first.
///
/// # Errors
/// The model has no row for a token; the depth is 0 or more than it has.
///
/// # Source
/// SLEB, arXiv 2402.09025, algorithm 1.
pub fn one_by_one(model: &Model, sequences: &Sequences, depth: usize) -> Result<Dropped, PruneError> {
    let blocks = model.blocks.len();
    if !(1..=blocks).contains(&depth) {
        return Err(PruneError::Depth { found: depth, blocks });
    }
    sequences.all().iter().try_for_each(|tokens| model.check(tokens))?;
    let mut kept = vec![true; blocks];
    let mut order = Vec::new();
    while blocks - order.len() > depth {
        let open: Vec<usize> = (0..blocks).filter(|block| kept[*block]).collect();
        let sums = sequences.all().par_iter().map(|tokens| without_each(model, tokens, &kept)).collect::<Vec<_>>();
        let total = |at: usize| sums.iter().map(|sums| sums[at]).sum::<f64>();
        let totals: Vec<f64> = (0..open.len()).map(total).collect();
        let best =
            (1..open.len()).fold(0, |best, at| if totals[at].total_cmp(&totals[best]).is_lt() { at } else { best });
        kept[open[best]] = false;
        order.push(open[best]);
    }
    Ok(Dropped { kept: (0..blocks).filter(|block| kept[*block]).collect(), scores: None, order: Some(order) })
}

/// Sums of $-\ln p$ without each kept block in turn; the stream in front of it is computed once.
fn without_each(model: &Model, tokens: &[u32], kept: &[bool]) -> Vec<f64> {
    let (seen, targets) = (&tokens[..tokens.len() - 1], &tokens[1..]);
    let positions = Positions::new(&model.config, 0..seen.len());
    let mut front = model.embed(seen);
    let mut sums = Vec::new();
    for (number, block) in model.blocks.iter().enumerate().filter(|(number, _)| kept[*number]) {
        let end = model.onwards(front.clone(), number + 1, kept);
        sums.push(model.surprises(&end, targets).iter().sum());
        block.forward(&mut front, &positions, None, &model.config);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::loss_with;
    use crate::depth::testing::{Shape, tokens};

    #[test]
    fn each_step_takes_the_least_loss() {
        let model = Shape::small(5).model(9);
        let sequences =
            Sequences::new(vec![tokens(&model.config, 20, 1), tokens(&model.config, 12, 2)]).expect("tokens");
        let found = one_by_one(&model, &sequences, 2).expect("a depth");
        let order = found.order.expect("one after the other");
        assert_eq!((order.len(), found.kept.len()), (3, 2));
        let mut kept = vec![true; 5];
        for step in order {
            let mut losses = Vec::new();
            for block in (0..5).filter(|block| kept[*block]) {
                let mut fewer = kept.clone();
                fewer[block] = false;
                losses.push((loss_with(&model, &sequences, &fewer).expect("known"), block));
            }
            let least = losses.iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("blocks are left");
            assert_eq!(least.1, step, "{losses:?}");
            kept[step] = false;
        }
    }
}
