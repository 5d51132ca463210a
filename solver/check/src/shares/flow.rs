//! Lower bounds of cuts by flows.

use dashu_int::IBig;
use std::collections::VecDeque;

/// A network. Every arc has its reverse beside it, at the index whose last bit differs.
pub(super) struct Network {
    /// Arcs out of each node.
    out: Vec<Vec<usize>>,
    /// Where arcs end, and what they may carry yet.
    arcs: Vec<(usize, IBig)>,
}

impl Network {
    pub fn new(nodes: usize) -> Self {
        Self { out: vec![Vec::new(); nodes], arcs: Vec::new() }
    }

    /// An arc that may carry so much, and so much in the other direction.
    pub fn join(&mut self, from: usize, to: usize, there: IBig, back: IBig) {
        self.out[from].push(self.arcs.len());
        self.out[to].push(self.arcs.len() + 1);
        self.arcs.extend([(to, there), (from, back)]);
    }

    /// What can flow between two nodes. Each step of it is a flow that the arcs can carry, so no cut has less, whichever paths
    /// were taken; that it is the most follows from the order of paths (E. A. Dinic, 1970).
    pub fn carried(mut self, source: usize, sink: usize) -> IBig {
        let mut carried = IBig::ZERO;
        while let Some(levels) = self.levels(source, sink) {
            // Arcs that were tried on this level.
            let mut tried = vec![0; self.out.len()];
            while let Some(path) = self.path(source, sink, &levels, &mut tried) {
                let least = path.iter().map(|arc| &self.arcs[*arc].1).min().cloned().unwrap_or_default();
                for arc in path {
                    self.arcs[arc].1 -= &least;
                    self.arcs[arc ^ 1].1 += &least;
                }
                carried += least;
            }
        }
        carried
    }

    /// Arcs from the source that each node is away, where the sink can be reached.
    fn levels(&self, source: usize, sink: usize) -> Option<Vec<usize>> {
        let mut levels = vec![usize::MAX; self.out.len()];
        let mut queue = VecDeque::from([source]);
        levels[source] = 0;
        while let Some(node) = queue.pop_front() {
            for arc in &self.out[node] {
                let (to, left) = &self.arcs[*arc];
                if *left > IBig::ZERO && levels[*to] == usize::MAX {
                    levels[*to] = levels[node] + 1;
                    queue.push_back(*to);
                }
            }
        }
        (levels[sink] < usize::MAX).then_some(levels)
    }

    /// A path on which levels rise.
    fn path(&self, source: usize, sink: usize, levels: &[usize], tried: &mut [usize]) -> Option<Vec<usize>> {
        let (mut path, mut node) = (Vec::new(), source);
        while node != sink {
            let open = |arc: &usize| self.arcs[*arc].1 > IBig::ZERO && levels[self.arcs[*arc].0] == levels[node] + 1;
            match self.out[node].iter().skip(tried[node]).position(open) {
                Some(more) => {
                    tried[node] += more;
                    let arc = self.out[node][tried[node]];
                    path.push(arc);
                    node = self.arcs[arc].0;
                }
                None => {
                    // A dead end, not to be entered again.
                    tried[node] = self.out[node].len();
                    let arc = path.pop()?;
                    node = self.arcs[arc ^ 1].0;
                    tried[node] += 1;
                }
            }
        }
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_carried_is_the_least_cut(
            arcs in proptest::collection::vec((0..6usize, 0..6usize, 0..9i32, 0..9i32), 0..20)
        ) {
            let mut network = Network::new(6);
            arcs.iter().for_each(|(a, b, there, back)| network.join(*a, *b, (*there).into(), (*back).into()));
            // Sides of the source, node 0; the sink is node 5.
            let cut = |side: u32| -> i32 {
                let on = |node: usize| side >> node & 1 == 1;
                arcs.iter().map(|(a, b, there, back)| match (on(*a), on(*b)) {
                    (true, false) => *there,
                    (false, true) => *back,
                    _ => 0,
                }).sum()
            };
            let least = (0..16u32).map(|inner| cut(inner << 1 | 1)).min().expect("sides");
            prop_assert_eq!(network.carried(0, 5), IBig::from(least));
        }
    }
}
