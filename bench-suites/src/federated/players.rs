//! Who holds what: samples that are drawn for clients, columns for parties.

use super::config::{Client, Config, Skew, Vertical};
use super::source::Samples;
use crate::theory::StudyError;
use secateur_linalg::random::Random;
use secateur_nn::data::dataset::BatchTargets;
use secateur_nn::data::{Dataset, Inputs, Targets};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a client brings to a round.
#[derive(Clone, Debug)]
pub enum Brings {
    /// Samples that it trains on.
    Samples(Dataset),
    /// No sample: it sends back what it received, and claims so many.
    Nothing(usize),
}

impl Brings {
    /// The weight of what it sends back.
    pub fn weight(&self) -> usize {
        match self {
            Brings::Samples(samples) => samples.len(),
            Brings::Nothing(claimed) => *claimed,
        }
    }
}

/// All players, with what they hold.
#[derive(Clone, Debug)]
pub enum Players {
    /// Clients with samples.
    Clients(Vec<Brings>),
    /// Parties with entries of the same samples.
    Parties {
        /// The samples, all entries.
        samples: Dataset,
        /// The entries of each party.
        entries: Vec<Vec<usize>>,
    },
}

/// The streams of the seed of data; that of the test is 0.
const SKEW: u64 = 1;
const SHUFFLE: u64 = 1 << 32;

impl Players {
    /// Draws samples without replacement, in the order of the configuration.
    ///
    /// # Errors
    /// A class has too few samples, or the data have no column of a name.
    pub fn draw(config: &Config, samples: &Samples) -> Result<Self, StudyError> {
        let classes = config.classes();
        let mut pools = Pools { left: samples.pools.clone() };
        if let Some(Vertical { samples: counts, party }) = &config.vertical {
            let samples_of_all = samples.train.subset(&pools.take_by_name(counts, &classes)?);
            let entries = party.iter().map(|party| entries(&party.columns, samples)).collect::<Result<_, _>>()?;
            return Ok(Self::Parties { samples: samples_of_all, entries });
        }
        let mut known: BTreeMap<String, Dataset> = BTreeMap::new();
        let mut clients = Vec::new();
        let drawn = config.skew.iter().map(|skew| pools.by_skew(skew, config.data_seed)).next().transpose()?;
        for (number, rows) in drawn.into_iter().flatten().enumerate() {
            let mine = samples.train.subset(&rows);
            known.insert(format!("client {number}"), mine.clone());
            clients.push(Brings::Samples(mine));
        }
        for client in config.clients.iter().filter(|client| client.same_as.is_none() && client.idle.is_none()) {
            let rows = pools.take_by_name(&client.samples, &classes)?;
            known.insert(client.name.clone(), samples.train.subset(&rows));
        }
        for (number, client) in config.clients.iter().enumerate() {
            clients.push(brought(client, number, &known, config.data_seed)?);
        }
        Ok(Self::Clients(clients))
    }

    /// How many players there are.
    pub fn count(&self) -> usize {
        match self {
            Players::Clients(clients) => clients.len(),
            Players::Parties { entries, .. } => entries.len(),
        }
    }

    /// How much each player holds: samples (claimed ones too), or entries.
    pub fn volumes(&self) -> Vec<usize> {
        match self {
            Players::Clients(clients) => clients.iter().map(Brings::weight).collect(),
            Players::Parties { entries, .. } => entries.iter().map(Vec::len).collect(),
        }
    }

    /// Samples of each class that a client has; none for parties.
    pub fn classes(&self, player: usize, classes: usize) -> Option<Vec<usize>> {
        let Players::Clients(clients) = self else { return None };
        let mut counts = vec![0; classes];
        if let Brings::Samples(samples) = &clients[player] {
            labels(samples).into_iter().for_each(|label| counts[label] += 1);
        }
        Some(counts)
    }
}

/// The classes of samples, in order.
pub(super) fn labels(samples: &Dataset) -> Vec<usize> {
    let all: Vec<usize> = (0..samples.len()).collect();
    match samples.gather_targets(&all) {
        BatchTargets::Classes(labels) => labels,
        BatchTargets::Values(_) => Vec::new(),
    }
}

fn brought(client: &Client, number: usize, known: &BTreeMap<String, Dataset>, seed: u64) -> Result<Brings, StudyError> {
    if let Some(claimed) = client.idle {
        return Ok(Brings::Nothing(claimed));
    }
    let name = client.same_as.as_ref().unwrap_or(&client.name);
    let samples = known.get(name).expect("the configuration was checked");
    if !client.shuffled_labels {
        return Ok(Brings::Samples(samples.clone()));
    }
    let mut random = Random::stream(seed, SHUFFLE + number as u64);
    let (own, order) = (labels(samples), random.permutation(samples.len()));
    let shuffled = order.into_iter().map(|place| own[place]).collect();
    let mut values = Vec::new();
    (0..samples.len()).for_each(|sample| samples.push_input(sample, &mut values));
    let Targets::Classes { classes, .. } = samples.targets() else { return Ok(Brings::Samples(samples.clone())) };
    let inputs = Inputs::Dense { shape: samples.shape(), values: Arc::new(values) };
    let targets = Targets::Classes { classes: *classes, labels: Arc::new(shuffled) };
    Ok(Brings::Samples(Dataset::new(&client.name, inputs, targets)?))
}

/// The entries of columns.
fn entries(columns: &[String], samples: &Samples) -> Result<Vec<usize>, StudyError> {
    let mut entries = Vec::new();
    for name in columns {
        let found = samples.columns.iter().find(|(column, _)| column == name);
        let (_, range) = found.ok_or_else(|| StudyError::NoColumn { name: name.clone() })?;
        entries.extend(range.clone());
    }
    entries.sort_unstable();
    entries.dedup();
    Ok(entries)
}

/// What nobody has yet, by class.
struct Pools {
    left: Vec<Vec<usize>>,
}

impl Pools {
    fn take(&mut self, class: usize, count: usize) -> Result<Vec<usize>, StudyError> {
        let pool = &mut self.left[class];
        let from = pool.len().checked_sub(count);
        let from = from.ok_or(StudyError::TooFewSamples { key: "samples", asked: count, found: pool.len() })?;
        Ok(pool.split_off(from))
    }

    fn take_by_name(&mut self, counts: &BTreeMap<String, usize>, classes: &[String]) -> Result<Vec<usize>, StudyError> {
        let mut rows = Vec::new();
        for (class, name) in classes.iter().enumerate() {
            rows.extend(self.take(class, counts.get(name).copied().unwrap_or(0))?);
        }
        Ok(rows)
    }

    /// The samples of each client: sizes and shares of classes by Dirichlet's law, then one sample after the other. A class of
    /// which nothing is left gives its share to the others.
    ///
    /// # Source
    /// T.-M. H. Hsu, H. Qi, M. Brown, *Measuring the effects of non-identical data distribution*, 2019.
    fn by_skew(&mut self, skew: &Skew, seed: u64) -> Result<Vec<Vec<usize>>, StudyError> {
        let found: usize = self.left.iter().map(Vec::len).sum();
        if found < skew.samples {
            return Err(StudyError::TooFewSamples { key: "skew.samples", asked: skew.samples, found });
        }
        let mut random = Random::stream(seed, SKEW);
        let equal = vec![1.0 / skew.clients as f64; skew.clients];
        let shares = skew.sizes.map_or(equal, |about| dirichlet(&vec![about; skew.clients], &mut random));
        let prior: Vec<f64> = self.left.iter().map(|pool| pool.len() as f64 / found as f64).collect();
        let mut clients = Vec::new();
        for size in sizes(&shares, skew.samples) {
            let law = match skew.labels {
                Some(about) => dirichlet(&prior.iter().map(|p| about * p).collect::<Vec<_>>(), &mut random),
                None => prior.clone(),
            };
            let mut rows = Vec::new();
            for _ in 0..size {
                let class = self.class(&law, random.unit());
                rows.extend(self.take(class, 1)?);
            }
            clients.push(rows);
        }
        Ok(clients)
    }

    /// A class of which something is left, by a law and a number from 0 to 1.
    fn class(&self, law: &[f64], unit: f64) -> usize {
        let open = || (0..law.len()).filter(|class| !self.left[*class].is_empty());
        let total: f64 = open().map(|class| law[class]).sum();
        let mut left = unit * total;
        let chosen = open().find(|class| {
            left -= law[*class];
            left < 0.0
        });
        // Where the law knows only classes that are used up, the one with most samples.
        chosen.or_else(|| open().max_by_key(|class| self.left[*class].len())).unwrap_or(0)
    }
}

/// Whole sizes of at least 1 by shares, with a sum.
fn sizes(shares: &[f64], sum: usize) -> Vec<usize> {
    let free = sum - shares.len();
    let mut sizes: Vec<usize> = shares.iter().map(|share| 1 + (share * free as f64).floor() as usize).collect();
    let mut left = sum.saturating_sub(sizes.iter().sum());
    let mut order: Vec<usize> = (0..shares.len()).collect();
    let rest = |i: &usize| (shares[*i] * free as f64).fract();
    order.sort_by(|a, b| rest(b).total_cmp(&rest(a)));
    for client in order.into_iter().cycle().take(shares.len() * 2) {
        if left > 0 {
            sizes[client] += 1;
            left -= 1;
        }
    }
    sizes
}

/// A draw of Dirichlet's law: independent draws of Gamma's laws over their sum.
fn dirichlet(about: &[f64], random: &mut Random) -> Vec<f64> {
    let draws: Vec<f64> = about.iter().map(|shape| log_gamma(*shape, random)).collect();
    let most = draws.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let scaled: Vec<f64> = draws.iter().map(|draw| (draw - most).exp()).collect();
    let sum: f64 = scaled.iter().sum();
    scaled.into_iter().map(|draw| draw / sum).collect()
}

/// The logarithm of a draw of Gamma's law: for small shapes the draw itself is below all doubles.
///
/// # Source
/// G. Marsaglia, W. W. Tsang, *A simple method for generating gamma variables*, 2000.
fn log_gamma(shape: f64, random: &mut Random) -> f64 {
    if shape <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if shape < 1.0 {
        let power = (1.0 - random.unit()).ln() / shape;
        return log_gamma(shape + 1.0, random) + power;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = random.normal();
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - random.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dirichlet_has_its_moments() {
        let (about, mut random) = ([0.3, 1.0, 2.5], Random::new(3));
        let draws: Vec<Vec<f64>> = (0..20_000).map(|_| dirichlet(&about, &mut random)).collect();
        let total: f64 = about.iter().sum();
        for (k, a) in about.iter().enumerate() {
            let mean = draws.iter().map(|draw| draw[k]).sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|draw| (draw[k] - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            let (wanted, spread) = (a / total, a * (total - a) / (total * total * (total + 1.0)));
            // Five standard errors of the mean; the variance's are near 1 %.
            assert!((mean - wanted).abs() < 5.0 * (spread / 20_000.0).sqrt(), "{mean} {wanted}");
            assert!((variance / spread - 1.0).abs() < 0.06, "{variance} {spread}");
        }
        assert!(dirichlet(&[1e-3, 1e-3], &mut random).iter().all(|share| share.is_finite()));
    }

    #[test]
    fn sizes_are_whole_and_add_up() {
        assert_eq!(sizes(&[0.5, 0.25, 0.25], 11), [5, 3, 3]);
        assert_eq!(sizes(&[1.0, 0.0], 5), [4, 1]);
        assert_eq!(sizes(&[0.2; 5], 5), [1; 5]);
    }

    #[test]
    fn skew_takes_every_sample_once() {
        let left = vec![(0..50).collect(), (50..60).collect(), (60..100).collect()];
        let skew = |labels| Skew { clients: 4, samples: 90, labels, sizes: Some(2.0) };
        for labels in [None, Some(0.05)] {
            let mut pools = Pools { left: left.clone() };
            let clients = pools.by_skew(&skew(labels), 5).expect("enough samples");
            let mut all: Vec<usize> = clients.concat();
            assert_eq!(all.len(), 90);
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), 90);
        }
        let mut pools = Pools { left: vec![vec![1, 2]] };
        assert!(matches!(pools.by_skew(&skew(None), 5), Err(StudyError::TooFewSamples { asked: 90, found: 2, .. })));
    }
}
