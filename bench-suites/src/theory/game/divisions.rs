//! Divisions that are known: of duplicates, of bankrupt estates, of games with closed forms.

use super::{all, draw, float, quotient};
use crate::theory::StudyError;
use crate::theory::statement::{Comparison, Context, Finding, Tolerance, greatest};
use dashu_ratio::RBig;
use secateur_linalg::random::Random;
use secateur_theory::game::core::{Membership, membership};
use secateur_theory::game::excess::Excesses;
use secateur_theory::game::kinds::Kind;
use secateur_theory::game::least_core::{LeastCore, Settings, least_core};
use secateur_theory::game::nucleolus::{nucleolus, prenucleolus};
use secateur_theory::game::shapley::shapley;
use secateur_theory::game::{Coalition, Game, Table};

/// Two players of whom a coalition needs one at most.
pub fn duplicates(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut random = Random::stream(context.seed, 4);
    let [mut bounded, mut apart, mut core, mut doubled] = [const { Vec::new() }; 4];
    let mut games = Vec::new();
    let (mut fair, mut ratio) = (Vec::new(), (0.0, 0.0));
    for round in 0..40 {
        let players = 6 + round % 3;
        let labels = draw::Labels::draw(players, &mut random).with_duplicates();
        games.push(draw::table(players, |coalition| labels.share(coalition).powi(1 + round as i32 % 2))?);
    }
    for kinds in [5, 7, 9] {
        let game = doubled_miners(kinds)?;
        let found = least_core(&game, Settings::default())?;
        let half = |x: &RBig| *x == quotient(1, 2);
        let unpaid = found.payoffs[..2].iter().all(RBig::is_zero) && found.payoffs[2..].iter().all(half);
        doubled.push(half(&found.excess) && unpaid);
        games.push(game);
    }
    for game in &games {
        let found = least_core(game, Settings::default())?;
        let shares = shapley(game);
        for payoffs in [&found.payoffs, &prenucleolus(game).payoffs] {
            bounded.push(payoffs[..2].iter().all(|x| *x >= RBig::ZERO && *x <= found.excess));
            if payoffs[..2].iter().any(|x| *x > RBig::ZERO) {
                let both = |coalition: &Coalition| coalition.has(0) && coalition.has(1);
                let none = found.weights.iter().all(|(coalition, _)| !both(coalition));
                apart.push(none && load(&found) <= quotient(1, 2));
            }
        }
        fair.push(shares[0] - game.values()[1] / game.players() as f64);
        ratio = (ratio.0 + float(&found.payoffs[0]), ratio.1 + shares[0]);
    }
    // Games with a core: whatever is worth something needs somebody who has no duplicate.
    for _ in 0..20 {
        let game = indispensable(6, &mut random)?;
        let found = least_core(&game, Settings::default())?;
        core.push(found.excess.is_zero() && found.payoffs[..2].iter().all(RBig::is_zero) && shapley(&game)[0] > 1e-3);
    }
    let fewest = -greatest(fair.into_iter().map(|share| -share));
    Ok(Finding::Compared(vec![
        all("payoffs of duplicates between 0 and the excess", &bounded),
        all("games that pay a duplicate, with no weight on coalitions of both", &apart),
        all("games with a core, which pays duplicates nothing, and Shapley does", &core),
        all("odd numbers of miners, one doubled, who gets nothing", &doubled),
        // Up to roundings.
        Comparison::new("least Shapley payoff less v(i)/n", -1e-12, fewest, Tolerance::AtLeast),
        Comparison::new("least core over Shapley, all these games", 0.75, ratio.0 / ratio.1, Tolerance::Absolute(0.25)),
    ]))
}

/// Miners of an odd number of kinds who work in pairs of different kinds; two of them are of one kind.
fn doubled_miners(kinds: usize) -> Result<Table, StudyError> {
    let here = |coalition: Coalition| coalition.size() - usize::from(coalition.0 & 3 == 3);
    Ok(draw::table(kinds + 1, |coalition| (here(coalition) / 2) as f64)?)
}

/// $\mu$, how much of the weights each player is in.
fn load(core: &LeastCore) -> RBig {
    let with = core.weights.iter().filter(|(coalition, _)| coalition.has(0));
    with.fold(RBig::ZERO, |sum, (_, weight)| sum + weight)
}

/// Sums of games in which a set of kinds of players is needed; 0 and 1 are of one kind, and every set has another one.
fn indispensable(players: usize, random: &mut Random) -> Result<Table, StudyError> {
    let needed: Vec<(u128, f64)> = (0..2 * players)
        .map(|round| {
            let somebody = Coalition::one(2 + random.index(players - 2));
            let others = Coalition(u128::from(random.bits()) & Coalition::all(players).0).without(0).without(1);
            // Kind 0 is needed by half of the sets.
            let set = if round % 2 == 0 { others.with(0) } else { others };
            (set.0 | somebody.0, random.uniform(0.1, 1.0))
        })
        .collect();
    Ok(draw::table(players, |coalition| {
        let kinds = coalition.0 & !3 | u128::from(coalition.0 & 3 != 0);
        needed.iter().filter(|(set, _)| set & !kinds == 0).map(|(_, worth)| worth).sum()
    })?)
}

/// The nucleolus is in the least core, is better than its neighbours, and does not depend on who is called what.
pub fn nucleoli(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut random = Random::stream(context.seed, 5);
    let (mut inside, mut renamed, mut better) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..60 {
        let n = 3 + round % 4;
        let game = draw::any(n, &mut random)?;
        let found = prenucleolus(&game).payoffs;
        let core = least_core(&game, Settings::default())?;
        let excesses = Excesses::of(&game);
        inside.push(excesses.worst(&found, None).is_some_and(|(_, worst)| worst == core.excess));
        let name = random.permutation(n);
        let rename = |set: Coalition| set.members().fold(Coalition::EMPTY, |other, player| other.with(name[player]));
        let mut values = vec![0.0; 1 << n];
        (0..1u128 << n).for_each(|set| values[rename(Coalition(set)).0 as usize] = game.values()[set as usize]);
        let other = prenucleolus(&Table::new(n, values)?).payoffs;
        renamed.push((0..n).all(|player| other[name[player]] == found[player]));
        let sorted = |point: &[RBig]| {
            let mut all: Vec<RBig> = (1..(1u128 << n) - 1).map(|set| excesses.excess(Coalition(set), point)).collect();
            all.sort_by(|a, b| b.cmp(a));
            all
        };
        let least = sorted(&found);
        let mut others: Vec<Vec<RBig>> = (0..20).map(|_| moved(&found, &mut random)).collect();
        others.push(core.payoffs);
        better.extend(others.iter().filter(|other| **other != found).map(|other| least < sorted(other)));
    }
    Ok(Finding::Compared(vec![
        all("nucleoli in the least core", &inside),
        all("nucleoli that are the same after players are renamed", &renamed),
        all("other divisions with a greater vector of excesses", &better),
    ]))
}

/// A division nearby: payoffs go from each player to the next.
fn moved(payoffs: &[RBig], random: &mut Random) -> Vec<RBig> {
    let mut other = payoffs.to_vec();
    for player in 0..other.len() {
        let step = quotient(random.index(17) as i64 - 8, 64);
        other[player] += &step;
        other[(player + 1) % payoffs.len()] -= &step;
    }
    other
}

/// The nucleolus of a bankrupt estate is the division of the Talmud.
pub fn talmud(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut random = Random::stream(context.seed, 6);
    let mut cases: Vec<(u64, Vec<u64>)> = [100, 200, 300].map(|estate| (estate, vec![100, 200, 300])).to_vec();
    for round in 0..40 {
        let claims: Vec<u64> = (0..2 + round % 5).map(|_| random.index(60) as u64).collect();
        let together: u64 = claims.iter().sum();
        cases.push((random.index(together as usize + 1) as u64, claims));
    }
    let (mut same, mut contested) = (Vec::new(), Vec::new());
    for (estate, claims) in &cases {
        let kind =
            Kind::Bankruptcy { estate: *estate as f64, claims: claims.iter().map(|claim| *claim as f64).collect() };
        let found = nucleolus(&Table::of(&kind.checked()?)?)?.payoffs;
        same.push(found == rule(*estate, claims));
        let claims: Vec<RBig> = claims.iter().map(|claim| RBig::from(*claim)).collect();
        for (i, j) in (0..claims.len()).flat_map(|j| (0..j).map(move |i| (i, j))) {
            contested.push(found[i] == garment(&(&found[i] + &found[j]), &claims[i], &claims[j]));
        }
    }
    Ok(Finding::Compared(vec![
        all("estates divided as by the rule, exactly", &same),
        all("pairs that divide what they have together as a contested garment", &contested),
    ]))
}

/// Half claims are met equally, up to all of them; beyond, what is lost of the other halves is shared in the same way.
fn rule(estate: u64, claims: &[u64]) -> Vec<RBig> {
    let together: u64 = claims.iter().sum();
    let half = |claim: &u64| RBig::from(*claim) / RBig::from(2u8);
    if 2 * estate <= together {
        return levelled(RBig::from(estate), &claims.iter().map(half).collect::<Vec<_>>());
    }
    let lost = levelled(RBig::from(together - estate), &claims.iter().map(half).collect::<Vec<_>>());
    claims.iter().zip(lost).map(|(claim, lost)| RBig::from(*claim) - lost).collect()
}

/// $\min(c_i, \lambda)$ with the $\lambda$ at which they add up to an amount.
fn levelled(amount: RBig, caps: &[RBig]) -> Vec<RBig> {
    let mut order: Vec<usize> = (0..caps.len()).collect();
    order.sort_by(|a, b| caps[*a].cmp(&caps[*b]));
    let (mut left, mut given) = (amount, vec![RBig::ZERO; caps.len()]);
    for (place, player) in order.iter().enumerate() {
        let equal = &left / RBig::from(caps.len() - place);
        given[*player] = equal.min(caps[*player].clone());
        left -= &given[*player];
    }
    given
}

/// What the first of two gets of an amount: what the other one does not claim, and half of what both do.
fn garment(amount: &RBig, claim: &RBig, other: &RBig) -> RBig {
    let conceded = |claim: &RBig| (amount - claim).max(RBig::ZERO);
    let (own, others) = (conceded(other), conceded(claim));
    let contested = amount - &own - &others;
    own + contested / RBig::from(2u8)
}

/// Miners, gloves and runways.
pub fn closed_forms(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut rows = vec![all("2 to 11 miners", &miners()?), all("gloves, up to 4 and 5 of a side", &gloves()?)];
    let mut random = Random::stream(context.seed, 7);
    let (mut differences, mut stable) = (Vec::new(), Vec::new());
    for round in 0..20 {
        let costs: Vec<u64> = (0..2 + round % 7).map(|_| random.index(50) as u64).collect();
        let kind = Kind::Airport { costs: costs.iter().map(|cost| *cost as f64).collect() };
        let game = Table::of(&kind.checked()?)?;
        let payoffs = runway(&costs);
        differences.extend(shapley(&game).iter().zip(&payoffs).map(|(a, b)| (a - float(b)).abs()));
        stable.push(membership(&game, &payoffs)? == Membership::Core);
    }
    // Sums of 2^7 differences up to 50, whose errors are multiples of 50 · 2^-53.
    let worst = greatest(differences);
    rows.push(Comparison::new("runways: Shapley against the formula", 0.0, worst, Tolerance::Absolute(1e-12)));
    rows.push(all("runways: formula in the core", &stable));
    Ok(Finding::Compared(rows))
}

/// Whether the least core of $\lfloor |S| / 2 \rfloor$ is what it should be.
fn miners() -> Result<Vec<bool>, StudyError> {
    let one = |n: u32| {
        let game = draw::table(n as usize, |coalition| (coalition.size() / 2) as f64)?;
        let core = least_core(&game, Settings::default())?;
        let odd = quotient(i64::from(n) - 1, 2 * u64::from(n));
        let (excess, each) = match n {
            2 => (quotient(-1, 2), quotient(1, 2)),
            _ if n % 2 == 1 => (odd.clone(), odd),
            _ => (RBig::ZERO, quotient(1, 2)),
        };
        let only = prenucleolus(&game).payoffs == core.payoffs;
        Ok(core.excess == excess && core.payoffs.iter().all(|x| *x == each) && only)
    };
    (2..=11).map(one).collect()
}

/// Whether the short side gets all, or each of two equal sides half.
fn gloves() -> Result<Vec<bool>, StudyError> {
    let one = |(left, right): (usize, usize)| {
        let side = Coalition::all(left);
        let game = draw::table(left + right, |coalition| {
            let lefts = Coalition(coalition.0 & side.0).size();
            lefts.min(coalition.size() - lefts) as f64
        })?;
        let core = least_core(&game, Settings::default())?;
        let (excess, scarce, plenty) = match (left, right) {
            (1, 1) => (quotient(-1, 2), quotient(1, 2), quotient(1, 2)),
            _ if left == right => (RBig::ZERO, quotient(1, 2), quotient(1, 2)),
            _ => (RBig::ZERO, RBig::ONE, RBig::ZERO),
        };
        let of = |player: usize| if side.has(player) { &scarce } else { &plenty };
        let divided = |payoffs: &[RBig]| payoffs.iter().enumerate().all(|(player, x)| x == of(player));
        let same = divided(&core.payoffs) && divided(&prenucleolus(&game).payoffs);
        // Shapley pays a long side too, and is then not in the core.
        Ok(core.excess == excess && same && shapley(&game)[left..].iter().all(|share| *share > 1e-3))
    };
    (1..=4).flat_map(|left| (left..=5).map(move |right| (left, right))).map(one).collect()
}

/// Each part of a runway is paid for in equal shares by those who need it.
fn runway(costs: &[u64]) -> Vec<RBig> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by_key(|player| costs[*player]);
    let (mut payoffs, mut sum, mut before) = (vec![RBig::ZERO; costs.len()], RBig::ZERO, 0);
    for (place, player) in order.iter().enumerate() {
        sum -= quotient((costs[*player] - before) as i64, (costs.len() - place) as u64);
        before = costs[*player];
        payoffs[*player] = sum.clone();
    }
    payoffs
}
