//! From a question to an answer: attack, then the splitting that fits the network.

use crate::attack;
use crate::bounds::{self, Boxes, Method};
use crate::error::VerifyError;
use crate::input_split::InputSplitting;
use crate::lower::lower;
use crate::network::Network;
use crate::portfolio;
use crate::relu_split::{ReluSplitting, Root, RootVerdict};
use crate::report::{Observer, Outcome, Report, Statistics, UnknownReason, Witness};
use crate::search::{Candidate, Clock, Splitting, Tally, search};
use crate::settings::Settings;
use crate::specification::{Region, Specification};
use crate::witness::Judge;
use secateur_linalg::Scalar;
use secateur_linalg::random::Random;
use secateur_nn::graph::Graph;
use secateur_nn::property::Property;

/// Decides whether some input of the property's box has an unsafe output.
///
/// # Soundness
/// `Unsat` rests on bounds that hold in real arithmetic of the stored weights ([`crate::rounding`]);
/// `Sat` on a witness evaluated exactly and in `f32` ([`crate::witness`]). Attacks never close a
/// subproblem.
///
/// # Errors
/// The network has an operator without bounds, or it and the property do not fit together.
pub fn verify(
    graph: &Graph,
    property: &Property,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Report, VerifyError> {
    let clock = Clock::start(settings.timeout, observer);
    property.check_against(graph)?;
    let network = lower(graph)?;
    let judge = Judge::new(graph, property)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(settings.threads).build()?;
    let mut run = Run { settings, clock, judge, tally: Tally::default(), method: "attack" };
    let outcome = pool.install(|| run.decide(&network, property))?;
    let statistics = Statistics {
        domains: run.tally.domains,
        lower: run.tally.lower,
        upper: run.tally.upper,
        seconds: run.clock.elapsed().as_secs_f64(),
        method: run.method.to_owned(),
    };
    Ok(Report { outcome, statistics })
}

struct Run<'a> {
    settings: &'a Settings,
    clock: Clock<'a>,
    judge: Judge<'a>,
    tally: Tally,
    method: &'static str,
}

impl Run<'_> {
    fn decide(&mut self, network: &Network<f64>, property: &Property) -> Result<Outcome, VerifyError> {
        let specification = Specification::<f64>::new(property);
        let quick = portfolio::quick_attack(network);
        for (index, region) in specification.regions.iter().enumerate() {
            if let Some(witness) = self.attack(network, index, region, quick)? {
                return Ok(Outcome::Sat(witness));
            }
        }
        if let Some(most) = portfolio::splits_inputs(network, property, self.settings.branching) {
            self.method = "input splitting";
            if let Some(outcome) = self.split_inputs(network, property, &specification, most.limit)? {
                return Ok(outcome);
            }
        }
        self.method = "relu splitting";
        if let Some(single) = portfolio::single_precision(network) {
            // What single precision leaves open for its rounding errors may close in double.
            match self.split_relus(&single, &Specification::<f32>::new(property))? {
                None | Some(Outcome::Unknown(_)) => {}
                Some(outcome) => return Ok(outcome),
            }
        }
        self.tally.stuck = 0;
        let outcome = self.split_relus(network, &specification)?;
        Ok(outcome.expect("double precision is never too narrow"))
    }

    fn confirm(&self, candidate: &Candidate) -> Result<Option<Witness>, VerifyError> {
        if candidate.margin > 0.0 { Ok(None) } else { self.judge.confirm(candidate.region, &candidate.input) }
    }

    fn attack<T: Scalar>(
        &mut self,
        network: &Network<T>,
        index: usize,
        region: &Region<T>,
        params: attack::Params,
    ) -> Result<Option<Witness>, VerifyError> {
        if self.clock.stopped().is_some() {
            return Ok(None);
        }
        let mut random = Random::stream(self.settings.seed, index as u64);
        let found = attack::attack(network, region, params, &mut random);
        let input = found.input.iter().map(|v| v.to_f64()).collect();
        let candidate = Candidate { region: index, input, margin: found.margin.to_f64() };
        self.tally.upper = self.tally.upper.min(candidate.margin);
        self.clock.report("attack", &self.tally, 0, f64::NEG_INFINITY);
        self.confirm(&candidate)
    }

    fn search<S: Splitting>(
        &mut self,
        splitting: &S,
        roots: Vec<S::Domain>,
        most: Option<u64>,
    ) -> Result<Option<Outcome>, VerifyError> {
        search(splitting, roots, &mut self.tally, &self.clock, most, &|c| {
            if c.margin > 0.0 { Ok(None) } else { self.judge.confirm(c.region, &c.input) }
        })
    }

    fn split_inputs(
        &mut self,
        network: &Network<f64>,
        property: &Property,
        specification: &Specification<f64>,
        most: Option<u64>,
    ) -> Result<Option<Outcome>, VerifyError> {
        let params = portfolio::input_splitting();
        if let Some(single) = portfolio::single_precision(network) {
            let coarse = Specification::<f32>::new(property);
            let splitting = InputSplitting::new(&single, &coarse, Some((network, specification)), params);
            return self.search(&splitting, splitting.roots(), most);
        }
        let splitting = InputSplitting::new(network, specification, None, params);
        self.search(&splitting, splitting.roots(), most)
    }

    /// `None` when the type is too narrow for this network. Region by region: bound the root cheaply and
    /// drop the disjuncts that this decides; attack the others; then, in stages, tighten the root and
    /// search below it.
    fn split_relus<T: Scalar>(
        &mut self,
        network: &Network<T>,
        specification: &Specification<T>,
    ) -> Result<Option<Outcome>, VerifyError> {
        let mut stuck = 0;
        let clock = self.clock;
        let late = || clock.stopped().is_some();
        for (index, region) in specification.regions.iter().enumerate() {
            let boxes = Boxes { batch: 1, lower: region.lower.clone(), upper: region.upper.clone() };
            let (plain, magnitudes) = bounds::bound(network, &boxes, Method::Crown, &[], &late);
            let mut root = Root::new(network, plain, magnitudes);
            self.clock.report("root", &self.tally, region.disjuncts.len(), f64::NEG_INFINITY);
            let Some(mut open) = self.undecided(network, index, region, &root) else { return Ok(None) };
            if open.disjuncts.is_empty() {
                continue;
            }
            let params = portfolio::long_attack(network, open.disjuncts.len());
            if let Some(witness) = self.attack(network, index, &open, params)? {
                return Ok(Some(Outcome::Sat(witness)));
            }
            for stage in portfolio::stages(network, &root) {
                if let Some(outcome) = self.clock.stopped() {
                    return Ok(Some(outcome));
                }
                if let Some(method) = stage.tighten {
                    let known = root.bounds.preactivations(network, 0);
                    let (bounds, magnitudes) = bounds::bound(network, &boxes, method, &[Some(&known)], &late);
                    root = Root::new(network, bounds, magnitudes);
                }
                match self.search_disjuncts(network, index, &mut open, &root, stage.limit)? {
                    Ok(leaves) => stuck += leaves,
                    Err(outcome) => return Ok(Some(outcome)),
                }
                if open.disjuncts.is_empty() {
                    break;
                }
            }
        }
        match stuck {
            0 => Ok(Some(Outcome::Unsat)),
            leaves => Ok(Some(Outcome::Unknown(UnknownReason::Unresolved { leaves }))),
        }
    }

    /// Searches each disjunct of a region, and keeps those that the limit leaves open. Counts the leaves
    /// that stay unresolved, or ends with an outcome.
    fn search_disjuncts<T: Scalar>(
        &mut self,
        network: &Network<T>,
        index: usize,
        region: &mut Region<T>,
        root: &Root<T>,
        limit: Option<u64>,
    ) -> Result<Result<u64, Outcome>, VerifyError> {
        let mut stuck = 0;
        let mut open = Vec::new();
        let limit = limit.map(|limit| limit / region.disjuncts.len() as u64);
        for objectives in &region.disjuncts {
            let params = portfolio::relu_splitting(self.settings.branching);
            let splitting = ReluSplitting { network, region, region_index: index, objectives, root, params };
            let before = std::mem::take(&mut self.tally.stuck);
            match self.search(&splitting, splitting.roots(), limit)? {
                Some(Outcome::Unsat) => {}
                Some(Outcome::Unknown(UnknownReason::Unresolved { leaves })) => stuck += leaves,
                Some(other) => return Ok(Err(other)),
                None => open.push(objectives.clone()),
            }
            self.tally.stuck = before;
        }
        region.disjuncts = open;
        Ok(Ok(stuck))
    }

    /// The region with the disjuncts that the root's bound leaves open; `None` when the type is too
    /// narrow for this network.
    fn undecided<T: Scalar>(
        &mut self,
        network: &Network<T>,
        index: usize,
        region: &Region<T>,
        root: &Root<T>,
    ) -> Option<Region<T>> {
        let clock = self.clock;
        let mut open = Region { disjuncts: Vec::new(), ..region.clone() };
        for objectives in &region.disjuncts {
            let params = portfolio::relu_splitting(self.settings.branching);
            let splitting = ReluSplitting { network, region, region_index: index, objectives, root, params };
            self.tally.domains += 1;
            match splitting.root_verdict(&|| clock.stopped().is_some()) {
                RootVerdict::Refuted => {}
                RootVerdict::Coarse if T::UNIT_ROUNDOFF > f64::UNIT_ROUNDOFF => return None,
                RootVerdict::Open | RootVerdict::Coarse => open.disjuncts.push(objectives.clone()),
            }
            if self.clock.stopped().is_some() {
                return Some(region.clone());
            }
        }
        Some(open)
    }
}
