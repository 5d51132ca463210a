//! From a question to an answer: attack, then the splitting that fits the network.

use crate::alpha;
use crate::attack;
use crate::bounds::{self, Boxes, Method};
use crate::error::VerifyError;
use crate::input_split::{self, InputSplitting};
use crate::lower::lower;
use crate::network::Network;
use crate::relu_split::{self, ReluSplitting, Root};
use crate::report::{Observer, Outcome, Report, Statistics, UnknownReason, Witness};
use crate::rounding;
use crate::search::{Candidate, Clock, Tally, search};
use crate::settings::{Branching, Settings};
use crate::specification::Specification;
use crate::witness::Judge;
use secateur_linalg::Scalar;
use secateur_linalg::random::Random;
use secateur_nn::graph::Graph;
use secateur_nn::property::Property;

/// Inputs that vary, at most, for input splitting to be the automatic choice.
const FEW_INPUTS: usize = 12;

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
        if let Some(witness) = self.attack(network, &specification)? {
            return Ok(Outcome::Sat(witness));
        }
        let varying = |lower: &[f64], upper: &[f64]| lower.iter().zip(upper).filter(|(l, u)| l < u).count();
        let inputs = specification.regions.iter().map(|r| varying(&r.lower, &r.upper)).max().unwrap_or(0);
        let by_input = match self.settings.branching {
            Branching::Auto => inputs <= FEW_INPUTS || network.relus() == 0,
            Branching::Input => true,
            Branching::Babsr | Branching::Fsb | Branching::Kfsb => false,
        };
        if by_input {
            self.method = "input splitting";
            return self.split_inputs(network, property, &specification);
        }
        self.method = "relu splitting";
        if std::env::var("F32").is_ok() {
            let narrow = network.cast::<f32>();
            return self.split_relus(&narrow, &Specification::<f32>::new(property));
        }
        self.split_relus(network, &specification)
    }

    fn confirm(&self, candidate: &Candidate) -> Result<Option<Witness>, VerifyError> {
        if candidate.margin > 0.0 { Ok(None) } else { self.judge.confirm(candidate.region, &candidate.input) }
    }

    fn attack<T: Scalar>(
        &mut self,
        network: &Network<T>,
        specification: &Specification<T>,
    ) -> Result<Option<Witness>, VerifyError> {
        let params = attack::Params { restarts: 16, steps: 30, rate: 0.25 };
        let mut random = Random::new(self.settings.seed);
        for (region, of) in specification.regions.iter().enumerate() {
            if self.clock.stopped().is_some() {
                break;
            }
            let found = attack::attack(network, of, params, &mut random);
            let input = found.input.iter().map(|v| v.to_f64()).collect();
            let candidate = Candidate { region, input, margin: found.margin.to_f64() };
            self.tally.upper = self.tally.upper.min(candidate.margin);
            if let Some(witness) = self.confirm(&candidate)? {
                return Ok(Some(witness));
            }
        }
        Ok(None)
    }

    fn split_inputs(
        &mut self,
        network: &Network<f64>,
        property: &Property,
        specification: &Specification<f64>,
    ) -> Result<Outcome, VerifyError> {
        let ascent = alpha::Params { steps: 4, alpha_rate: 0.4, beta_rate: 0.0, decay: 0.8 };
        let params = input_split::Params { method: Method::Crown, ascent, chunk: 32 };
        let narrow = network.cast::<f32>();
        if network.single_precision && rounding::fits(&narrow) && std::env::var("F64").is_err() {
            let single = Specification::<f32>::new(property);
            let splitting = InputSplitting::new(&narrow, &single, Some((network, specification)), params);
            return self.search(&splitting, splitting.roots());
        }
        let splitting = InputSplitting::new(network, specification, None, params);
        self.search(&splitting, splitting.roots())
    }

    fn search<S: crate::search::Splitting>(
        &mut self,
        splitting: &S,
        roots: Vec<S::Domain>,
    ) -> Result<Outcome, VerifyError> {
        let mut tally = std::mem::take(&mut self.tally);
        let outcome = search(splitting, roots, &mut tally, &self.clock, &|c| self.confirm(c));
        self.tally = tally;
        outcome
    }

    fn split_relus<T: Scalar>(
        &mut self,
        network: &Network<T>,
        specification: &Specification<T>,
    ) -> Result<Outcome, VerifyError> {
        let root_ascent = alpha::Params { steps: 40, alpha_rate: 0.25, beta_rate: 0.25, decay: 0.96 };
        let node_ascent = alpha::Params { steps: 15, alpha_rate: 0.05, beta_rate: 0.2, decay: 0.95 };
        let params = relu_split::Params {
            root: root_ascent,
            node: node_ascent,
            chunk: 16,
            branching: self.settings.branching,
            candidates: 3,
        };
        let mut stuck = 0;
        for (region_index, region) in specification.regions.iter().enumerate() {
            let boxes = Boxes { batch: 1, lower: region.lower.clone(), upper: region.upper.clone() };
            let steps = std::env::var("STEPS").map_or(20, |v| v.parse().unwrap());
            let method = Method::AlphaCrown(alpha::Params { steps, ..root_ascent });
            let (bounds, magnitudes) = bounds::bound(network, &boxes, method, &[]);
            eprintln!("root {:.2}", self.clock.elapsed().as_secs_f64());
            let root = Root::new(network, bounds, magnitudes);
            eprintln!("open {}", root.open.len());
            for objectives in &region.disjuncts {
                let root = &root;
                let splitting = ReluSplitting { network, region, region_index, objectives, root, params };
                match self.search(&splitting, splitting.roots())? {
                    Outcome::Unsat => {}
                    Outcome::Unknown(UnknownReason::Unresolved { leaves }) => stuck += leaves,
                    other => return Ok(other),
                }
                self.tally.stuck = 0;
            }
        }
        match stuck {
            0 => Ok(Outcome::Unsat),
            leaves => Ok(Outcome::Unknown(UnknownReason::Unresolved { leaves })),
        }
    }
}
