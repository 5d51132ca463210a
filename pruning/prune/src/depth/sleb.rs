//! Baseline SLEB: the block whose removal costs least goes, again and again.

use super::drop::Dropped;
use super::method::check_depth;
use super::progress::Progress;
use super::streams::Sequences;
use crate::error::PruneError;
use rayon::prelude::*;
use secateur_nn::lm::{Model, Positions};

/// Removes blocks until so many are left: each time the one without which [`loss_with`](super::loss_with) is least, of
/// equal ones the first. One without which it is not finite stays.
///
/// # Errors
/// The model has no row for a token; the depth is 0 or more than it has; the loss is not finite whichever block goes
/// next; the caller stopped.
///
/// # Source
/// SLEB, arXiv 2402.09025, algorithm 1.
pub fn one_by_one(
    model: &Model,
    sequences: &Sequences,
    depth: usize,
    progress: &dyn Progress,
) -> Result<Dropped, PruneError> {
    let blocks = model.blocks.len();
    check_depth(depth, blocks)?;
    sequences.all().iter().try_for_each(|tokens| model.check(tokens))?;
    let mut kept = vec![true; blocks];
    let mut order = Vec::new();
    while blocks - order.len() > depth {
        progress.begin(order.len(), blocks - depth, "blocks, one by one")?;
        let open: Vec<usize> = (0..blocks).filter(|block| kept[*block]).collect();
        let sums = sequences.all().par_iter().map(|tokens| without_each(model, tokens, &kept, progress));
        let sums = sums.collect::<Result<Vec<Vec<f64>>, PruneError>>()?;
        let totals = open.iter().enumerate().map(|(at, block)| (*block, sums.iter().map(|sums| sums[at]).sum::<f64>()));
        let finite = totals.filter(|(_, total)| total.is_finite());
        match finite.reduce(|best, other| if other.1 < best.1 { other } else { best }) {
            Some((block, _)) => {
                kept[block] = false;
                order.push(block);
            }
            None => return Err(PruneError::NoRemoval { removed: order }),
        }
    }
    Ok(Dropped { kept: (0..blocks).filter(|block| kept[*block]).collect(), scores: None, order: Some(order) })
}

/// Sums of $-\ln p$ without each kept block in turn; the stream in front of it is computed once.
fn without_each(model: &Model, tokens: &[u32], kept: &[bool], progress: &dyn Progress) -> Result<Vec<f64>, PruneError> {
    let (seen, targets) = (&tokens[..tokens.len() - 1], &tokens[1..]);
    let positions = Positions::new(&model.config, 0..seen.len());
    let mut front = model.embed(seen);
    let mut sums = Vec::new();
    for (number, block) in model.blocks.iter().enumerate().filter(|(number, _)| kept[*number]) {
        progress.go_on()?;
        let end = model.onwards(front.clone(), number + 1, kept);
        sums.push(model.surprises(&end, targets).iter().sum());
        block.forward(&mut front, &positions, None, &model.config);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::loss_with;
    use crate::depth::progress::Silent;
    use crate::depth::testing::{Shape, tokens};

    #[test]
    fn blocks_that_hold_others_together_stay() {
        let mut model = Shape::small(5).model(9);
        // Block 1 moves every stream to where the first channel of block 3 is silent; elsewhere that overflows.
        model.blocks[1].o_bias.as_mut().expect("a bias")[0] = -1000.0;
        let last = &mut model.blocks[3];
        for (matrix, weight) in [(&mut last.gate, 100.0), (&mut last.up, 2e37)] {
            matrix.data_mut()[..16].fill(0.0);
            matrix.data_mut()[0] = weight;
        }
        let sequences = Sequences::new(vec![tokens(&model.config, 20, 1)]).expect("tokens");
        let without = |block| {
            let kept: Vec<bool> = (0..5).map(|other| other != block).collect();
            loss_with(&model, &sequences, &kept).expect("known")
        };
        assert!(!without(1).is_finite() && [0, 2, 3, 4].into_iter().all(|block| without(block).is_finite()));
        let found = one_by_one(&model, &sequences, 2, &Silent).expect("a depth");
        let order = found.order.expect("one after the other");
        let at = |block| order.iter().position(|gone| *gone == block);
        assert!(at(1).is_none_or(|first| at(3).is_some_and(|third| third < first)), "{order:?}");
        let mut broken = model.clone();
        broken.blocks[0].down.data_mut().fill(f32::MAX);
        broken.blocks[4].down.data_mut().fill(f32::MAX);
        let refused = one_by_one(&broken, &sequences, 3, &Silent);
        assert!(matches!(&refused, Err(PruneError::NoRemoval { removed }) if removed.is_empty()), "{refused:?}");
    }

    #[test]
    fn each_step_takes_the_least_loss() {
        let model = Shape::small(5).model(9);
        let sequences =
            Sequences::new(vec![tokens(&model.config, 20, 1), tokens(&model.config, 12, 2)]).expect("tokens");
        let found = one_by_one(&model, &sequences, 2, &Silent).expect("a depth");
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
