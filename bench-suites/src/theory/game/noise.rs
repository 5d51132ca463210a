//! Games whose values are measured with errors.

use super::{all, draw, exact, float, quotient};
use crate::theory::StudyError;
use crate::theory::statement::{Comparison, Context, Finding, Tolerance, greatest};
use dashu_ratio::RBig;
use secateur_linalg::random::Random;
use secateur_theory::game::excess::Excesses;
use secateur_theory::game::least_core::{Settings, least_core};
use secateur_theory::game::nucleolus::prenucleolus;
use secateur_theory::game::{Coalition, Table};

/// The least excess moves by no more than values do, and the division of a noisy game is nearly as good.
pub fn excess(context: &Context<'_>) -> Result<Finding, StudyError> {
    let mut random = Random::stream(context.seed, 10);
    let (mut moved, mut divided, mut used) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..40 {
        let n = 3 + round % 4;
        let game = if round % 2 == 0 { draw::any(n, &mut random)? } else { draw::monotone(n, &mut random)? };
        let size = random.uniform(0.01, 0.5);
        let whole = Coalition::all(n);
        let same = round % 3 == 0;
        let noisy = draw::table(n, |set| {
            let off =
                if same && set == whole { 0.0 } else { size * [-1.0, 1.0, random.uniform(-1.0, 1.0)][random.index(3)] };
            game.values()[set.0 as usize] + off
        })?;
        let differences: Vec<RBig> =
            game.values().iter().zip(noisy.values()).map(|(a, b)| exact(*b) - exact(*a)).collect();
        let (together, parts) = differences.split_last().expect("coalitions");
        let delta = parts.iter().map(size_of).max().unwrap_or(RBig::ZERO);
        let allowed = &delta + size_of(together) * quotient(n as i64 - 1, n as u64);
        let (a, b) = (least_core(&game, Settings::default())?, least_core(&noisy, Settings::default())?);
        let change = size_of(&(&b.excess - &a.excess));
        used.push(float(&change) / float(&allowed));
        moved.push(change <= allowed);
        if same {
            let worst = Excesses::of(&game).worst(&b.payoffs, None).map_or(RBig::ZERO, |(_, worst)| worst);
            divided.push(worst <= a.excess + delta * RBig::from(2u8));
        }
    }
    let (change, bound) = miners()?;
    Ok(Finding::Compared(vec![
        all("games whose least excess moves by at most the bound", &moved),
        all("divisions of noisy games within 2δ of the least excess", &divided),
        Comparison::new("greatest share of the bound that is used", 0.5, greatest(used), Tolerance::AtLeast),
        Comparison::new("seven miners, all of the bound: change", bound, change, Tolerance::Absolute(1e-15)),
    ]))
}

fn size_of(number: &RBig) -> RBig {
    number.clone().max(-number)
}

/// Seven miners who are worth $\delta = 1/8$ more in every proper coalition and $1/4$ less together: how far the excess
/// moves, and $\delta + \tfrac14 \tfrac67$.
fn miners() -> Result<(f64, f64), StudyError> {
    let whole = Coalition::all(7);
    let worth = |set: Coalition| (set.size() / 2) as f64;
    let game = draw::table(7, worth)?;
    let noisy = draw::table(7, |set| if set == whole { worth(set) - 0.25 } else { worth(set) + 0.125 })?;
    let excess = |game: &Table| Ok::<_, StudyError>(least_core(game, Settings::default())?.excess);
    Ok((float(&(excess(&noisy)? - excess(&game)?)), 0.125 + 0.25 * 6.0 / 7.0))
}

/// Payoffs may move by far more than values do: by Fibonacci numbers of them.
pub fn amplification(_: &Context<'_>) -> Result<Finding, StudyError> {
    let (mut rows, mut same) = (Vec::new(), Vec::new());
    let (mut before, mut number) = (1u32, 1u32);
    for n in 3..=10usize {
        (before, number) = (number, before + number);
        let step = 2f64.powi(-10);
        let (calm, bent) = (nested(n, 0.0)?, nested(n, step)?);
        let (a, b) = (prenucleolus(&calm), prenucleolus(&bent));
        let away = a.payoffs.iter().zip(&b.payoffs).map(|(x, y)| float(&size_of(&(y - x))));
        let kept = a.levels[0] == b.levels[0] && a.payoffs.iter().all(|x| *x == RBig::ONE);
        same.push(kept);
        // Everything is a multiple of δ, a power of two.
        let what = format!("{n} players: greatest change of a payoff over δ");
        rows.push(Comparison::new(what, f64::from(number), greatest(away) / step, Tolerance::Absolute(0.0)));
    }
    rows.push(all("games in which everybody gets 1, and the least excess stays", &same));
    Ok(Finding::Compared(rows))
}

/// Coalitions are worth their size, less 1 except $T_k = \{k, k-1, k-3, \dots\}$ with $k < n$, their complements, and
/// all; the values of $T_k$ and of its complement are off by $\pm\delta$.
fn nested(players: usize, step: f64) -> Result<Table, StudyError> {
    let all = Coalition::all(players);
    let mut off = vec![None; 1 << players];
    off[all.0 as usize] = Some(0.0);
    for k in 0..players - 1 {
        let set = (1..=k).step_by(2).fold(Coalition::one(k), |set, back| set.with(k - back));
        let sign = if k % 2 == 0 { step } else { -step };
        off[set.0 as usize] = Some(sign);
        off[(all.0 & !set.0) as usize] = Some(-sign);
    }
    Ok(draw::table(players, |set| set.size() as f64 + off[set.0 as usize].unwrap_or(-1.0))?)
}
