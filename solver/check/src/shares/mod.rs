//! Does a certificate prove the least core of a game?
//!
//! A game is a file `{"n": …, "values": […]}` of doubles, in the order of the coalitions' bits, or one of the kinds (`kinds.rs`) that a few
//! numbers give, with up to 127 players. The certificate has an excess $e$, payoffs $x$ and weights $\lambda$. Shown is, in rational
//! numbers:
//!
//! - $x$ divides $v(N)$ and no proper coalition has more than $e$ by leaving, so $e$ is attained;
//! - $\lambda \ge 0$, $\sum_S \lambda_S = 1$ and $\sum_S \lambda_S 1_S + \phi = \mu 1_N$, where $\phi \ge 0$ belongs to payoffs that may not be
//!   negative, so that for any division $e \ge \sum_S \lambda_S (v(S) - x(S)) \ge \sum_S \lambda_S v(S) - \mu\, v(N)$, which is $e$ again.

mod flow;
mod kinds;

use dashu_base::Gcd;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use kinds::Kind;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use thiserror::Error;

/// Most players of a game given by its values.
const MOST: usize = 24;

/// A game by its values, as it is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    n: usize,
    values: Vec<f64>,
}

/// What says how a game is stored.
#[derive(Deserialize)]
struct Mark {
    kind: Option<IgnoredAny>,
}

/// A game.
enum Game {
    /// By the values of all coalitions.
    Values(usize, Vec<RBig>),
    /// By a few numbers.
    Kind(Kind),
}

/// A proof of a least core. Numbers are quotients of whole numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares {
    /// SHA-256 of the game's file, in hexadecimal digits.
    pub game: String,
    /// $e$.
    pub excess: String,
    /// $x$.
    pub payoffs: Vec<String>,
    /// $\lambda_S$, by the coalitions' bits.
    pub weights: Vec<(u128, String)>,
    /// $\phi$, where payoffs may not be negative.
    pub floors: Option<Vec<String>>,
}

impl Shares {
    /// From a game's file, $e$, $x$, $\lambda$ by the coalitions' bits and, where payoffs may not be negative, what is not 0 of
    /// $\phi$.
    pub fn new<'a>(
        game: &[u8],
        excess: &RBig,
        payoffs: &[RBig],
        weights: impl IntoIterator<Item = (u128, &'a RBig)>,
        floors: Option<&[(usize, RBig)]>,
    ) -> Self {
        let texts = |numbers: &[RBig]| numbers.iter().map(RBig::to_string).collect::<Vec<_>>();
        let spread = |floors: &[(usize, RBig)]| {
            let mut all = vec![RBig::ZERO; payoffs.len()];
            floors.iter().for_each(|(player, multiplier)| all[*player] = multiplier.clone());
            texts(&all)
        };
        Self {
            game: digest(game),
            excess: excess.to_string(),
            payoffs: texts(payoffs),
            weights: weights.into_iter().map(|(set, weight)| (set, weight.to_string())).collect(),
            floors: floors.map(spread),
        }
    }
}

/// Why a certificate is refused.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharesRejection {
    /// The game's file is none.
    #[error("the game cannot be read: {0}")]
    Game(String),
    /// The certificate's file is none.
    #[error("the certificate cannot be read: {0}")]
    Format(String),
    /// It is about another game.
    #[error("the certificate is about another file")]
    OtherGame,
    /// A list of another length than players.
    #[error("{what}: expected {expected} entries, found {found}")]
    Count {
        /// What it lists.
        what: &'static str,
        /// Players.
        expected: usize,
        /// Entries.
        found: usize,
    },
    /// The payoffs do not add up to $v(N)$.
    #[error("the payoffs do not add up to the value of all")]
    NotEfficient,
    /// A payoff that may not be negative is.
    #[error("player {0} gets less than 0")]
    BelowFloor(usize),
    /// A coalition has more than the excess.
    #[error("coalition {0:#b} has a greater excess")]
    Excess(usize),
    /// Some coalition has more than the excess.
    #[error("some coalition has a greater excess")]
    Greater,
    /// A weight is negative, or of no proper coalition.
    #[error("the weight of coalition {0:#b} is negative, or it is no proper coalition")]
    Weight(u128),
    /// A multiplier of a payoff is negative.
    #[error("the multiplier of player {0} is negative")]
    Floor(usize),
    /// The weights do not add up to 1.
    #[error("the weights do not add up to 1")]
    Sum,
    /// The weights treat players differently.
    #[error("player {0} is in more or less of the weighted coalitions than player 0")]
    Balance(usize),
    /// The weights prove another excess.
    #[error("the weights do not prove the excess")]
    Value,
}

/// What identifies a file.
pub fn digest(file: &[u8]) -> String {
    Sha256::digest(file).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a certificate proves.
#[derive(Clone, Debug, PartialEq)]
pub struct LeastCoreProved {
    /// $e$.
    pub excess: RBig,
    /// Whether it is the least over payoffs that are not negative, instead of all.
    pub nonnegative: bool,
    /// Players.
    pub players: usize,
}

/// Checks a certificate against a game's file.
///
/// # Errors
/// See [`SharesRejection`].
pub fn check_shares(game: &[u8], certificate: &[u8]) -> Result<LeastCoreProved, SharesRejection> {
    let shares: Shares =
        serde_json::from_slice(certificate).map_err(|error| SharesRejection::Format(error.to_string()))?;
    if shares.game != digest(game) {
        return Err(SharesRejection::OtherGame);
    }
    // A byte order mark, which is no JSON, may stand before it.
    let game = Game::read(game.strip_prefix("\u{feff}".as_bytes()).unwrap_or(game))?;
    let players = game.players();
    let excess = rational(&shares.excess)?;
    let payoffs = list("payoffs", &shares.payoffs, players)?;
    let floors = shares.floors.as_ref().map(|floors| list("floors", floors, players)).transpose()?;
    attained(&game, &excess, &payoffs, floors.is_some())?;
    bounded(&game, &excess, &shares.weights, floors.as_deref())?;
    Ok(LeastCoreProved { excess, nonnegative: floors.is_some(), players })
}

impl Game {
    fn read(game: &[u8]) -> Result<Self, SharesRejection> {
        let fault = |error: serde_json::Error| SharesRejection::Game(error.to_string());
        let Mark { kind } = serde_json::from_slice(game).map_err(fault)?;
        if kind.is_some() {
            return Kind::read(game).map(Self::Kind);
        }
        let Table { n, values } = serde_json::from_slice(game).map_err(fault)?;
        if !(2..=MOST).contains(&n) || values.len() != 1 << n || values.first() != Some(&0.0) {
            let fault = format!("{} values, the first not 0, or not for 2 to {MOST} players: {n}", values.len());
            return Err(SharesRejection::Game(fault));
        }
        let exact =
            |value: &f64| RBig::try_from(*value).map_err(|_| SharesRejection::Game(format!("{value} is no number")));
        Ok(Self::Values(n, values.iter().map(exact).collect::<Result<_, _>>()?))
    }

    fn players(&self) -> usize {
        match self {
            Self::Values(n, _) => *n,
            Self::Kind(kind) => kind.players(),
        }
    }

    /// The coalition of all.
    fn all(&self) -> u128 {
        u128::MAX >> (128 - self.players())
    }

    /// $v(S)$ of a coalition that is not empty.
    fn value(&self, set: u128) -> RBig {
        match self {
            Self::Values(_, values) => values[set as usize].clone(),
            Self::Kind(kind) => kind.value(set),
        }
    }
}

/// The payoffs divide $v(N)$, and no coalition has more than the excess.
fn attained(game: &Game, excess: &RBig, payoffs: &[RBig], nonnegative: bool) -> Result<(), SharesRejection> {
    if sum(payoffs) != game.value(game.all()) {
        return Err(SharesRejection::NotEfficient);
    }
    if let Some(player) = payoffs.iter().position(|x| nonnegative && *x < RBig::ZERO) {
        return Err(SharesRejection::BelowFloor(player));
    }
    match game {
        Game::Values(_, values) => compared(values, excess, payoffs),
        Game::Kind(kind) if kind.satisfied(excess, payoffs) => Ok(()),
        Game::Kind(_) => Err(SharesRejection::Greater),
    }
}

/// No coalition has more than the excess, one after the other.
fn compared(values: &[RBig], excess: &RBig, payoffs: &[RBig]) -> Result<(), SharesRejection> {
    // With a common denominator all comparisons are of whole numbers.
    let (common, mut shares) = whole_multiples(payoffs.iter().chain([excess]));
    let level = shares.pop().unwrap_or_default();
    let common = IBig::from(common);
    let mut paid = vec![IBig::ZERO; values.len()];
    for set in 1..values.len() - 1 {
        paid[set] = &paid[set & (set - 1)] + &shares[set.trailing_zeros() as usize];
        let value = &values[set];
        // v(S) c <= x(S) c + e c, both sides times the value's denominator.
        if value.numerator() * &common > (&paid[set] + &level) * IBig::from(value.denominator().clone()) {
            return Err(SharesRejection::Excess(set));
        }
    }
    Ok(())
}

/// The weights show that no division has less.
fn bounded(
    game: &Game,
    excess: &RBig,
    weights: &[(u128, String)],
    floors: Option<&[RBig]>,
) -> Result<(), SharesRejection> {
    let n = game.players();
    let mut carried = floors.map_or_else(|| vec![RBig::ZERO; n], <[RBig]>::to_vec);
    if let Some(player) = carried.iter().position(|multiplier| *multiplier < RBig::ZERO) {
        return Err(SharesRejection::Floor(player));
    }
    let (mut total, mut proved) = (RBig::ZERO, RBig::ZERO);
    for (set, weight) in weights {
        let weight = rational(weight)?;
        if weight < RBig::ZERO || *set == 0 || *set >= game.all() {
            return Err(SharesRejection::Weight(*set));
        }
        (0..n).filter(|player| set >> player & 1 == 1).for_each(|player| carried[player] += &weight);
        proved += &weight * game.value(*set);
        total += weight;
    }
    if total != RBig::ONE {
        return Err(SharesRejection::Sum);
    }
    if let Some(player) = carried.iter().position(|load| *load != carried[0]) {
        return Err(SharesRejection::Balance(player));
    }
    let proved = proved - &carried[0] * game.value(game.all());
    if proved == *excess { Ok(()) } else { Err(SharesRejection::Value) }
}

/// A common denominator of numbers, and the numbers times it.
fn whole_multiples<'a>(numbers: impl Iterator<Item = &'a RBig> + Clone) -> (UBig, Vec<IBig>) {
    let mut common = UBig::ONE;
    for number in numbers.clone() {
        if !(&common % number.denominator()).is_zero() {
            common *= number.denominator() / (&common).gcd(number.denominator());
        }
    }
    let whole = |number: &RBig| number.numerator() * IBig::from(&common / number.denominator());
    let whole = numbers.map(whole).collect();
    (common, whole)
}

fn sum(numbers: &[RBig]) -> RBig {
    numbers.iter().fold(RBig::ZERO, |sum, number| sum + number)
}

fn list(what: &'static str, texts: &[String], expected: usize) -> Result<Vec<RBig>, SharesRejection> {
    if texts.len() != expected {
        return Err(SharesRejection::Count { what, expected, found: texts.len() });
    }
    texts.iter().map(|text| rational(text)).collect()
}

/// A whole number, or a quotient `p/q` of two with $q > 0$.
fn rational(text: &str) -> Result<RBig, SharesRejection> {
    let (above, below) = text.split_once('/').unwrap_or((text, "1"));
    let read = above.parse::<IBig>().ok().zip(below.parse::<UBig>().ok()).filter(|(_, below)| !below.is_zero());
    let fault = || SharesRejection::Format(format!("`{text}` is no quotient of whole numbers"));
    read.map(|(above, below)| RBig::from_parts(above, below)).ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAME: &[u8] = br#"{"n": 3, "values": [0, 0, 0, 1, 0, 1, 1, 1]}"#;

    fn proof() -> Shares {
        let third = || "1/3".to_owned();
        let weights = vec![(3, third()), (5, third()), (6, third())];
        Shares { game: digest(GAME), excess: third(), payoffs: vec![third(), third(), third()], weights, floors: None }
    }

    fn checked(change: impl FnOnce(&mut Shares)) -> Result<LeastCoreProved, SharesRejection> {
        let mut shares = proof();
        change(&mut shares);
        check_shares(GAME, &serde_json::to_vec(&shares).expect("JSON"))
    }

    #[test]
    fn a_proof_is_accepted_and_every_change_of_it_refused() {
        let text = |text: &str| text.to_owned();
        let excess = RBig::from_parts(1.into(), 3u8.into());
        let proved = |nonnegative| LeastCoreProved { excess: excess.clone(), nonnegative, players: 3 };
        assert_eq!(checked(|_| {}), Ok(proved(false)));
        assert_eq!(checked(|s| s.floors = Some(vec![text("0"); 3])), Ok(proved(true)));
        let refusals = [
            (checked(|s| s.excess = text("1/4")), SharesRejection::Excess(3)),
            (checked(|s| s.excess = text("1/2")), SharesRejection::Value),
            (checked(|s| s.payoffs[0] = text("1/2")), SharesRejection::NotEfficient),
            (checked(|s| s.payoffs = vec![text("1"), text("1"), text("-1")]), SharesRejection::Excess(4)),
            (checked(|s| s.weights[0].1 = text("1/2")), SharesRejection::Sum),
            (checked(|s| s.weights[0].1 = text("-1/3")), SharesRejection::Weight(3)),
            (checked(|s| s.weights[0].0 = 7), SharesRejection::Weight(7)),
            (checked(|s| s.weights[0].0 = 1), SharesRejection::Balance(1)),
            (checked(|s| s.floors = Some(vec![text("-1"); 3])), SharesRejection::Floor(0)),
            (checked(|s| s.floors = Some(vec![text("1"); 3])), SharesRejection::Value),
            (checked(|s| s.game = text("")), SharesRejection::OtherGame),
        ];
        for (found, wanted) in refusals {
            assert_eq!(found, Err(wanted));
        }
        let floors = |s: &mut Shares| {
            s.floors = Some(vec![text("0"); 3]);
            s.payoffs = vec![text("1"), text("1"), text("-1")];
        };
        assert_eq!(checked(floors), Err(SharesRejection::BelowFloor(2)));
        assert!(matches!(checked(|s| s.excess = text("1.5x")), Err(SharesRejection::Format(_))));
        for bad in ["0/0", "1/0", "1/-3", "1/", "/1", "1/2/3", "", "nan"] {
            let refused = [
                checked(|s| s.excess = text(bad)),
                checked(|s| s.payoffs[1] = text(bad)),
                checked(|s| s.weights[2].1 = text(bad)),
                checked(|s| s.weights.push((3, text(bad)))),
                checked(|s| s.floors = Some(vec![text(bad); 3])),
            ];
            refused.iter().for_each(|found| assert!(matches!(found, Err(SharesRejection::Format(_))), "{bad}"));
        }
        assert!(matches!(checked(|s| s.payoffs.truncate(2)), Err(SharesRejection::Count { .. })));
    }

    #[test]
    fn what_is_no_game_is_refused() {
        for game in [&b"{\"n\": 2, \"values\": [0, 1, 1]}"[..], b"{\"n\": 2, \"values\": []}", b"{}", b"[1]"] {
            let shares = Shares { game: digest(game), ..proof() };
            let certificate = serde_json::to_vec(&shares).expect("JSON");
            assert!(matches!(check_shares(game, &certificate), Err(SharesRejection::Game(_))));
        }
    }
}
