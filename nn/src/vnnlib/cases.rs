//! From assertions to boxes of inputs with unsafe sets of outputs.

use super::declarations::Declarations;
use super::fault::{At, VnnlibFault};
use super::formula::{Atom, Formula};
use crate::property::{Case, Conjunction, LinearConstraint, Property};
use dashu_base::Sign;
use dashu_ratio::RBig;
use std::collections::{BTreeMap, HashMap};

/// The most constraints that all combinations of `or` may have together, and the most bounds.
const MAX_TERMS: usize = 1 << 22;

/// Lower and upper bound of an input, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Interval {
    lower: Option<RBig>,
    upper: Option<RBig>,
}

impl Interval {
    fn is_empty(&self) -> bool {
        matches!((&self.lower, &self.upper), (Some(lower), Some(upper)) if lower > upper)
    }

    /// Intersects with $ax \le c$.
    fn tighten(&mut self, a: &RBig, c: &RBig) {
        let limit = if a.is_one() { c.clone() } else { c / a };
        let above = a.sign() == Sign::Positive;
        let side = if above { &mut self.upper } else { &mut self.lower };
        if side.as_ref().is_none_or(|bound| if above { limit < *bound } else { limit > *bound }) {
            *side = Some(limit);
        }
    }

    /// Whether $ax < c$ fails everywhere on the interval.
    fn excludes(&self, a: &RBig, c: &RBig) -> bool {
        let least = if a.sign() == Sign::Positive { &self.lower } else { &self.upper };
        least.as_ref().is_some_and(|x| a * x >= *c)
    }
}

/// The assertions so far.
#[derive(Default)]
pub struct Cases {
    /// What holds on every branch.
    bounds: HashMap<usize, Interval>,
    common: Vec<Atom>,
    /// What branches.
    branching: Vec<Formula>,
}

impl Cases {
    /// Adds an assertion.
    pub fn assert(&mut self, formula: Formula, declarations: &Declarations) -> Result<(), At> {
        match formula {
            Formula::All(parts) => parts.into_iter().try_for_each(|part| self.assert(part, declarations)),
            Formula::Any(mut parts) if parts.len() == 1 => match parts.pop() {
                Some(part) => self.assert(part, declarations),
                None => Ok(()),
            },
            Formula::Any(_) => {
                self.branching.push(formula);
                Ok(())
            }
            Formula::Atom(atom) => {
                if let [(index, a)] = &atom.constraint.inputs[..]
                    && atom.constraint.outputs.is_empty()
                {
                    let interval = self.bounds.entry(*index).or_default();
                    interval.tighten(a, &atom.constraint.bound);
                    if interval.is_empty() {
                        return Err(contradiction(*index, interval, ["≤", "≤"], atom.line, declarations));
                    }
                    if !atom.constraint.strict {
                        return Ok(());
                    }
                }
                self.common.push(atom);
                Ok(())
            }
        }
    }

    /// The property that all assertions together make.
    pub fn finish(mut self, inputs: usize, outputs: usize, declarations: &Declarations) -> Result<Property, At> {
        let formula = Formula::All(std::mem::take(&mut self.branching));
        let mut branches = expand(&formula)?;
        let terms = branches.len().saturating_mul(self.common.len().max(1));
        if terms > MAX_TERMS {
            return Err(At::file(VnnlibFault::TooManyCases { limit: MAX_TERMS }));
        }
        let mut found: Vec<(BTreeMap<usize, Interval>, Vec<Conjunction>)> = Vec::new();
        let mut positions: HashMap<BTreeMap<usize, Interval>, usize> = HashMap::new();
        let mut refusal = None;
        for branch in &mut branches {
            branch.extend(&self.common);
            match self.branch(branch, declarations) {
                Ok((changes, conjunction)) => {
                    let position = *positions.entry(changes).or_insert_with_key(|changes| {
                        found.push((changes.clone(), Vec::new()));
                        found.len() - 1
                    });
                    found[position].1.push(conjunction);
                }
                Err(at) => refusal = refusal.or(Some(at)),
            }
        }
        if let (Some(at), true) = (refusal, found.is_empty()) {
            return Err(at);
        }
        let changed = found.iter().map(|(changes, _)| changes.len()).max().unwrap_or_default();
        if found.len() > 1 && found.len().saturating_mul(self.bounds.len() + changed) > MAX_TERMS {
            return Err(At::file(VnnlibFault::TooManyCases { limit: MAX_TERMS }));
        }
        let finish = |(changes, unsafe_set)| {
            let (lower, upper) = self.corners(inputs, &changes, declarations)?;
            Ok(Case { lower, upper, ball: None, unsafe_set })
        };
        let cases = found.into_iter().map(finish).collect::<Result<_, _>>()?;
        Ok(Property { inputs, outputs, cases, declared: declarations.shapes() })
    }

    /// How a branch changes the common bounds, and its other constraints; an error where it cannot hold.
    fn branch(
        &self,
        atoms: &[&Atom],
        declarations: &Declarations,
    ) -> Result<(BTreeMap<usize, Interval>, Conjunction), At> {
        let mut changes: BTreeMap<usize, Interval> = BTreeMap::new();
        let mut conjunction = Vec::new();
        for Atom { constraint, line } in atoms {
            match (&constraint.inputs[..], &constraint.outputs[..]) {
                ([], []) if holds(constraint) => {}
                ([], []) => return Err(At::line(*line, VnnlibFault::False)),
                ([(index, a)], []) => {
                    let common = || self.bounds.get(index).cloned().unwrap_or_default();
                    let interval = changes.entry(*index).or_insert_with(common);
                    interval.tighten(a, &constraint.bound);
                    if interval.is_empty() {
                        return Err(contradiction(*index, interval, ["≤", "≤"], *line, declarations));
                    }
                    if constraint.strict {
                        conjunction.push(constraint.clone());
                    }
                }
                _ => conjunction.push(constraint.clone()),
            }
        }
        // The box is closed; where a strict bound leaves only the excluded end, nothing is left.
        for Atom { constraint, line } in atoms.iter().filter(|atom| atom.constraint.strict) {
            if let ([(index, a)], []) = (&constraint.inputs[..], &constraint.outputs[..])
                && let Some(interval) = changes.get(index).filter(|i| i.excludes(a, &constraint.bound))
            {
                let signs = if a.sign() == Sign::Positive { ["≤", "<"] } else { ["<", "≤"] };
                return Err(contradiction(*index, interval, signs, *line, declarations));
            }
        }
        changes.retain(|index, interval| self.bounds.get(index) != Some(interval));
        Ok((changes, conjunction))
    }

    /// The box of a branch.
    fn corners(
        &self,
        inputs: usize,
        changes: &BTreeMap<usize, Interval>,
        declarations: &Declarations,
    ) -> Result<(Vec<RBig>, Vec<RBig>), At> {
        // Nothing is reserved for the declared size: the first input without bounds ends the loop.
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        for index in 0..inputs {
            let interval = changes.get(&index).or_else(|| self.bounds.get(&index)).cloned().unwrap_or_default();
            let missing = |side| {
                let name = declarations.input_name(index);
                At::file(VnnlibFault::MissingBound { name, side })
            };
            lower.push(interval.lower.ok_or_else(|| missing("lower"))?);
            upper.push(interval.upper.ok_or_else(|| missing("upper"))?);
        }
        Ok((lower, upper))
    }
}

/// Whether a comparison of constants is true.
fn holds(constraint: &LinearConstraint) -> bool {
    if constraint.strict { RBig::ZERO < constraint.bound } else { RBig::ZERO <= constraint.bound }
}

/// Bounds that exclude each other, with the signs between them and the input.
fn contradiction(
    index: usize,
    interval: &Interval,
    [below, above]: [&str; 2],
    line: usize,
    declarations: &Declarations,
) -> At {
    let (lower, upper) = (interval.lower.clone().unwrap_or_default(), interval.upper.clone().unwrap_or_default());
    let name = declarations.input_name(index);
    let [mut low, mut high] = [&lower, &upper].map(|bound| bound.to_f64().value().to_string());
    // Bounds that differ may round to one double.
    if low == high && lower != upper {
        (low, high) = (lower.to_string(), upper.to_string());
    }
    let bounds = format!("{low} {below} {name} {above} {high}");
    At::line(line, VnnlibFault::Contradiction { name, bounds })
}

/// The disjunctive normal form: each branch with the comparisons that hold together on it.
fn expand(formula: &Formula) -> Result<Vec<Vec<&Atom>>, At> {
    let check = |branches: &[Vec<&Atom>], more: usize| {
        let terms = branches.iter().try_fold(0_usize, |n, b| n.checked_add(b.len() + 1));
        let within = terms.and_then(|n| n.checked_mul(more)).is_some_and(|n| n <= MAX_TERMS);
        if within { Ok(()) } else { Err(At::file(VnnlibFault::TooManyCases { limit: MAX_TERMS })) }
    };
    match formula {
        Formula::Atom(atom) => Ok(vec![vec![atom]]),
        Formula::Any(parts) => {
            let mut branches = Vec::new();
            for part in parts {
                branches.extend(expand(part)?);
            }
            check(&branches, 1)?;
            Ok(branches)
        }
        Formula::All(parts) => {
            let mut common = Vec::new();
            let mut branches = vec![Vec::new()];
            for part in parts {
                let mut choices = expand(part)?;
                if let [only] = &mut choices[..] {
                    common.append(only);
                    continue;
                }
                check(&branches, choices.len())?;
                check(&choices, branches.len())?;
                let joined = |branch: &Vec<_>| choices.iter().map(|c| [&branch[..], c].concat()).collect::<Vec<_>>();
                branches = branches.iter().flat_map(joined).collect();
            }
            check(&branches, 1 + common.len())?;
            branches.iter_mut().for_each(|branch| branch.extend_from_slice(&common));
            Ok(branches)
        }
    }
}
