//! From a question to an answer: attack, then the splitting that fits the network.

use crate::attack;
use crate::bounds::{self, Method};
use crate::device::Home;
use crate::error::VerifyError;
use crate::input_split::InputSplitting;
use crate::lower::lower_as;
use crate::network::Network;
use crate::portfolio;
use crate::proof::{Mark, Scribe};
use crate::relu_split::{ReluSplitting, Root, RootVerdict};
use crate::report::{Observer, Outcome, Report, Statistics, UnknownReason, Witness};
use crate::search::{Candidate, Clock, Referee, Splitting, Tally, Tracer, search};
use crate::settings::Settings;
use crate::specification::{Region, Specification};
use crate::technique::Technique;
use crate::witness::Judge;
use secateur_check::proof::format::{Claim, Next, Step};
use secateur_check::semantics::{self, Semantics};
use secateur_linalg::Scalar;
use secateur_linalg::random::Random;
use secateur_nn::graph::Graph;
use secateur_nn::property::Property;
use std::sync::RwLock;

/// Decides whether some input of the property's box has an unsafe output.
///
/// # Soundness
/// `Unsat` rests on bounds that hold in real arithmetic of the stored weights ([`crate::rounding`]), or, with
/// [`Semantics::Single`], for every execution in `f32` ([`secateur_check::semantics`]); `Sat` on a witness evaluated
/// exactly and in `f32`, or on one execution in `f32` ([`crate::witness`]). Attacks never close a subproblem.
///
/// # Errors
/// The network has an operator without bounds, or it and the property do not fit together.
pub fn verify(
    graph: &Graph,
    property: &Property,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Report, VerifyError> {
    verify_traced(graph, property, settings, observer, None)
}

/// The same; a tracer takes up the proof, which is complete where the outcome is `unsat`.
///
/// # Errors
/// See [`verify()`].
pub fn verify_traced(
    graph: &Graph,
    property: &Property,
    settings: &Settings,
    observer: &dyn Observer,
    tracer: Option<&mut (dyn Tracer + '_)>,
) -> Result<Report, VerifyError> {
    let judge = Judge::new(graph, property, settings.semantics)?;
    let mut decision = Decision { judge: &judge, seed: settings.seed, hunts: 0, hunted_at: f64::INFINITY };
    let (outcome, statistics) = run(graph, property, settings, observer, &mut decision, tracer)?;
    Ok(Report { outcome, statistics })
}

/// Runs the procedure for whatever the referee asks.
pub(crate) fn run(
    graph: &Graph,
    property: &Property,
    settings: &Settings,
    observer: &dyn Observer,
    referee: &mut (dyn Referee + Send),
    tracer: Option<&mut (dyn Tracer + '_)>,
) -> Result<(Outcome, Statistics), VerifyError> {
    let clock = Clock::start(settings.timeout, observer);
    property.check_against(graph)?;
    let mut network = lower_as(graph, settings.semantics)?;
    let accelerator = settings.device.open()?;
    network.home = Home::new(accelerator.clone());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(settings.threads).build()?;
    let scribe = tracer.map(|tracer| Scribe::new(tracer, property.cases.len()));
    let mut run = Run { settings, clock, referee, scribe, tally: Tally::default(), method: "attack" };
    let outcome = pool.install(|| run.decide(&network, property))?;
    let statistics = Statistics {
        domains: run.tally.domains,
        lower: run.tally.least(),
        upper: run.tally.upper,
        seconds: run.clock.elapsed().as_secs_f64(),
        method: run.method.to_owned(),
        device: accelerator.and_then(|accelerator| accelerator.used()).unwrap_or_else(|| "cpu".to_owned()),
    };
    Ok((outcome, statistics))
}

/// Asks whether there is a counterexample.
struct Decision<'a> {
    judge: &'a Judge<'a>,
    seed: u64,
    /// How often executions were searched around a point.
    hunts: u64,
    /// The margin of the last such point.
    hunted_at: f64,
}

impl Referee for Decision<'_> {
    fn see(&mut self, candidate: &Candidate, tally: &mut Tally) -> Result<Option<Witness>, VerifyError> {
        let better = candidate.margin < 0.5 * self.hunted_at;
        tally.upper = tally.upper.min(candidate.margin);
        if candidate.margin <= 0.0 {
            return self.judge.confirm(candidate.region, &candidate.input);
        }
        if !better || !self.judge.is_near(candidate) {
            return Ok(None);
        }
        // So near that rounding may decide.
        self.hunted_at = candidate.margin;
        self.hunts += 1;
        let mut random = Random::stream(self.seed, u64::MAX - self.hunts);
        self.judge.hunt(candidate, &mut random)
    }

    fn goal(&self, _: &Tally) -> f64 {
        0.0
    }
}

struct Run<'a, 't> {
    settings: &'a Settings,
    clock: Clock<'a>,
    referee: &'a mut (dyn Referee + Send),
    scribe: Option<Scribe<'t>>,
    tally: Tally,
    method: &'static str,
}

impl Run<'_, '_> {
    fn decide(&mut self, network: &Network<f64>, property: &Property) -> Result<Outcome, VerifyError> {
        let specification = Specification::<f64>::new(property);
        if self.settings.semantics == Semantics::Single && !in_range(network, &specification) {
            return Ok(Outcome::Unknown(UnknownReason::Range));
        }
        let quick = portfolio::quick_attack(network);
        let attacked = if self.settings.uses(Technique::Attack) { &specification.regions[..] } else { &[] };
        for (index, region) in attacked.iter().enumerate() {
            if let Some(witness) = self.attack(network, index, region, quick, 0)? {
                return Ok(Outcome::Sat(witness));
            }
        }
        if let Some(most) = portfolio::splits_inputs(network, property, self.settings.branching) {
            self.method = "input splitting";
            let mark = self.scribe.as_mut().map(Scribe::mark);
            if let Some(outcome) = self.split_inputs(network, property, &specification, most.limit)? {
                return Ok(outcome);
            }
            self.rewind(mark);
        }
        self.method = "relu splitting";
        if let Some(single) = portfolio::single_precision(network) {
            // What single precision leaves open for its rounding errors may close in double.
            let mark = self.scribe.as_mut().map(Scribe::mark);
            match self.split_relus(&single, network, &Specification::<f32>::new(property))? {
                None | Some(Outcome::Unknown(_)) => self.rewind(mark),
                Some(outcome) => return Ok(outcome),
            }
        }
        let outcome = self.split_relus(network, network, &specification)?;
        Ok(outcome.expect("double precision is never too narrow"))
    }

    fn attack<T: Scalar>(
        &mut self,
        network: &Network<T>,
        index: usize,
        region: &Region<T>,
        params: attack::Params,
        turn: usize,
    ) -> Result<Option<Witness>, VerifyError> {
        if self.clock.stopped().is_some() {
            return Ok(None);
        }
        let mut random = Random::stream(self.settings.seed, (index as u64) << 8 | turn as u64);
        let params = attack::Params { enough: self.referee.enough(), ..params };
        let found = attack::attack(network, region, params, &mut random);
        let input = found.input.iter().map(|v| v.to_f64()).collect();
        let candidate = Candidate { region: index, input, margin: found.margin.to_f64() };
        let witness = self.tally.show(candidate, self.referee)?;
        self.clock.report("attack", &self.tally, 0, f64::NEG_INFINITY);
        Ok(witness)
    }

    fn rewind(&mut self, mark: Option<Mark>) {
        if let (Some(scribe), Some(mark)) = (&mut self.scribe, mark) {
            scribe.rewind(mark);
        }
    }

    fn search<S: Splitting>(
        &mut self,
        splitting: &S,
        roots: Vec<S::Domain>,
        parts: &[u64],
        most: Option<u64>,
    ) -> Result<Option<Outcome>, VerifyError> {
        self.tally.stuck = 0;
        let trace = self.scribe.as_mut().map(|scribe| (scribe, parts));
        search(splitting, roots, &mut self.tally, &self.clock, most, self.referee, trace)
    }

    fn split_inputs(
        &mut self,
        network: &Network<f64>,
        property: &Property,
        specification: &Specification<f64>,
        most: Option<u64>,
    ) -> Result<Option<Outcome>, VerifyError> {
        let params = portfolio::input_splitting(self.settings);
        let trace = self.scribe.is_some();
        let parts: Vec<u64> = self.scribe.iter().flat_map(|scribe| scribe.parts.iter().copied()).collect();
        if let Some(single) = portfolio::single_precision(network) {
            let coarse = Specification::<f32>::new(property);
            let precise = self.settings.uses(Technique::Precise).then_some((network, specification));
            let splitting = InputSplitting::new(&single, &coarse, precise, params, trace);
            return self.search(&splitting, splitting.roots(), &parts, most);
        }
        let splitting = InputSplitting::new(network, specification, None, params, trace);
        self.search(&splitting, splitting.roots(), &parts, most)
    }

    /// `None` when the type is too narrow for this network. Region by region: bound the root cheaply and
    /// drop the disjuncts that this decides; then, in stages, attack the others, tighten the root and
    /// search below it.
    fn split_relus<T: Scalar>(
        &mut self,
        network: &Network<T>,
        precise: &Network<f64>,
        specification: &Specification<T>,
    ) -> Result<Option<Outcome>, VerifyError> {
        let mut stuck = 0;
        let clock = self.clock;
        let late = || clock.stopped().is_some();
        let mut parts = Parts::new(specification);
        for (index, region) in specification.regions.iter().enumerate() {
            let boxes = region.boxes();
            let (plain, magnitudes) = bounds::bound(network, &boxes, Method::Crown, &[], &late);
            let mut root = Root::new(network, plain, magnitudes);
            if let Some(scribe) = &mut self.scribe {
                scribe.table(index, network, &root.bounds, Vec::new());
            }
            self.clock.report("root", &self.tally, region.disjuncts.len(), f64::NEG_INFINITY);
            if let Some(outcome) = self.clock.stopped() {
                return Ok(Some(outcome));
            }
            let mut below = portfolio::reduced(self.settings, network, precise, &root);
            let (searched, top) = below.as_ref().map_or((network, &root), |(network, root)| (network, root));
            let Some(mut open) = self.undecided(searched, index, region, top, &mut parts) else { return Ok(None) };
            if open.is_empty() {
                continue;
            }
            let stages = portfolio::stages(self.settings, network, &root, open.len());
            for (turn, stage) in stages.iter().enumerate() {
                let mut last = stage.limit.is_none();
                if let Some(outcome) = self.clock.stopped() {
                    return Ok(Some(outcome));
                }
                let mut attacks: Vec<attack::Params> = stage.attack.into_iter().collect();
                if let Some(method) = stage.tighten {
                    let before = root.gap(network);
                    let known = root.bounds.preactivations(network, 0);
                    let wide = Some(precise).filter(|_| self.settings.uses(Technique::Reduce));
                    let mut table = self.scribe.is_some().then(Vec::new);
                    let (bounds, magnitudes) =
                        bounds::bound_traced(network, wide, &boxes, method, &[Some(&known)], &late, table.as_mut());
                    root = Root::new(network, bounds, magnitudes);
                    if let Some(outcome) = self.clock.stopped() {
                        return Ok(Some(outcome));
                    }
                    below = portfolio::reduced(self.settings, network, precise, &root);
                    if portfolio::is_settled(method, before, root.gap(network)) {
                        last = true;
                        attacks.extend(stages[turn + 1..].iter().filter_map(|stage| stage.attack));
                    }
                    if let (Some(scribe), Some(table)) = (&mut self.scribe, table) {
                        scribe.table(index, network, &root.bounds, table);
                    }
                }
                for (number, params) in attacks.into_iter().enumerate() {
                    let disjuncts = open.iter().map(|d| region.disjuncts[*d].clone()).collect();
                    let open = Region { disjuncts, ..region.clone() };
                    if let Some(witness) = self.attack(network, index, &open, params, turn + number + 1)? {
                        return Ok(Some(Outcome::Sat(witness)));
                    }
                }
                let (searched, top) = below.as_ref().map_or((network, &root), |(network, root)| (network, root));
                let limit = if last { None } else { stage.limit };
                match self.search_disjuncts(searched, (index, region), &mut open, top, limit, &mut parts)? {
                    Ok(leaves) => stuck += leaves,
                    Err(outcome) => return Ok(Some(outcome)),
                }
                if open.is_empty() || last {
                    break;
                }
            }
        }
        match stuck {
            0 => Ok(Some(Outcome::Unsat)),
            leaves => Ok(Some(Outcome::Unknown(UnknownReason::Unresolved { leaves }))),
        }
    }

    /// Searches the open disjuncts of a region, and keeps those that the limit leaves open. Counts the
    /// leaves that stay unresolved, or ends with an outcome.
    fn search_disjuncts<T: Scalar>(
        &mut self,
        network: &Network<T>,
        (index, region): (usize, &Region<T>),
        open: &mut Vec<usize>,
        root: &Root<T>,
        limit: Option<u64>,
        parts: &mut Parts,
    ) -> Result<Result<u64, Outcome>, VerifyError> {
        let mut stuck = 0;
        let mut left = Vec::new();
        let trace = self.scribe.is_some();
        let exact = portfolio::exact_layers(self.settings, network);
        let limit = limit.map(|limit| limit / open.len() as u64);
        for &disjunct in open.iter() {
            let params = portfolio::relu_splitting(self.settings);
            let objectives = &region.disjuncts[disjunct];
            let splitting = ReluSplitting {
                network,
                region,
                region_index: index,
                objectives,
                disjunct,
                root,
                exact: &exact,
                params,
                trace,
                lemmas: RwLock::default(),
            };
            self.tally.elsewhere = parts.elsewhere((index, disjunct));
            let mark = self.scribe.as_mut().map(Scribe::mark);
            let apart: Vec<u64> = self.scribe.iter_mut().map(|scribe| scribe.apart(index, disjunct as u32)).collect();
            let found = self.search(&splitting, splitting.roots(), &apart, limit)?;
            parts.raise((index, disjunct), &mut self.tally);
            if found.is_none() {
                self.rewind(mark);
            }
            match found {
                Some(Outcome::Unsat) => {}
                Some(Outcome::Unknown(UnknownReason::Unresolved { leaves })) => stuck += leaves,
                Some(other) => return Ok(Err(other)),
                None => left.push(disjunct),
            }
        }
        *open = left;
        Ok(Ok(stuck))
    }

    /// The disjuncts that the root's bound leaves open; `None` when the type is too narrow for this network.
    fn undecided<T: Scalar>(
        &mut self,
        network: &Network<T>,
        index: usize,
        region: &Region<T>,
        root: &Root<T>,
        parts: &mut Parts,
    ) -> Option<Vec<usize>> {
        let clock = self.clock;
        let exact = [];
        let (mut open, mut refuted): (Vec<usize>, Vec<Claim>) = (Vec::new(), Vec::new());
        for (disjunct, objectives) in region.disjuncts.iter().enumerate() {
            if self.clock.stopped().is_some() {
                return Some((0..region.disjuncts.len()).collect());
            }
            let params = portfolio::relu_splitting(self.settings);
            let splitting = ReluSplitting {
                network,
                region,
                region_index: index,
                objectives,
                disjunct,
                root,
                exact: &exact,
                params,
                trace: self.scribe.is_some(),
                lemmas: RwLock::default(),
            };
            self.tally.domains += 1;
            let goal = self.referee.goal(&self.tally);
            let (verdict, lower, claim) = splitting.root_verdict(goal, &|| clock.stopped().is_some());
            self.tally.elsewhere = parts.elsewhere((index, disjunct));
            self.tally.lower = lower;
            parts.raise((index, disjunct), &mut self.tally);
            self.referee.watch(&self.tally, self.clock.elapsed());
            refuted.extend(claim);
            match verdict {
                RootVerdict::Refuted => {}
                RootVerdict::Coarse if T::UNIT_ROUNDOFF > f64::UNIT_ROUNDOFF => return None,
                RootVerdict::Open | RootVerdict::Coarse => open.push(disjunct),
            }
        }
        if let Some(scribe) = &mut self.scribe {
            let next = if open.is_empty() { Next::Closed } else { Next::Whole };
            scribe.step(scribe.parts[index], Step { refuted, ..Step::new(next) });
            if !open.is_empty() {
                scribe.parts[index] = scribe.number();
            }
        }
        Some(open)
    }
}

/// Whether the numbers of all layers, and the sums of magnitudes that they are computed from, are ones whose rounding is
/// bounded.
fn in_range(network: &Network<f64>, specification: &Specification<f64>) -> bool {
    let most = (semantics::TOP as f64).exp2();
    specification.regions.iter().all(|region| {
        let (_, magnitudes) = bounds::bound(network, &region.boxes(), Method::Interval, &[], &|| false);
        let fits = |k: usize| magnitudes.values(k, 0).iter().chain(magnitudes.weighted(k, 0)).all(|v| *v < most);
        (0..network.layers.len()).all(fits)
    })
}

/// The greatest lower bound known of the margin on each disjunct of each region.
struct Parts(Vec<Vec<f64>>);

impl Parts {
    fn new<T>(specification: &Specification<T>) -> Self {
        Self(specification.regions.iter().map(|r| vec![f64::NEG_INFINITY; r.disjuncts.len()]).collect())
    }

    /// The least of all but one.
    fn elsewhere(&self, (region, disjunct): (usize, usize)) -> f64 {
        let others = self.0.iter().enumerate().flat_map(|(r, d)| d.iter().enumerate().map(move |(d, l)| ((r, d), l)));
        others.filter(|(at, _)| *at != (region, disjunct)).fold(f64::INFINITY, |least, (_, l)| least.min(*l))
    }

    /// Enters what the tally says of one, and puts the greater of both into the tally.
    fn raise(&mut self, (region, disjunct): (usize, usize), tally: &mut Tally) {
        let known = &mut self.0[region][disjunct];
        *known = known.max(tally.lower);
        tally.lower = *known;
    }
}
