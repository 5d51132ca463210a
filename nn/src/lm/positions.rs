//! Rotary positions: queries and keys turn by angles that grow with the position.
//!
//! $$ \begin{pmatrix} a \\ b \end{pmatrix} \leftarrow \begin{pmatrix} \cos p\omega_i & -\sin p\omega_i \\
//!    \sin p\omega_i & \cos p\omega_i \end{pmatrix} \begin{pmatrix} a \\ b \end{pmatrix}, \qquad
//!    \omega_i = \theta^{-2i/d}, $$
//!
//! with $p$ the position, $d$ the entries of a head, and $a$, $b$ its $i$-th pair of entries ([`Rope`]). [`Scaling`] changes
//! $\omega_i$, and with YaRN the length of both as well.

use super::config::{Config, Rope, Scaling};
use std::f64::consts::TAU;
use std::ops::Range;

/// Cosines and sines of a run of positions, computed once for all blocks.
#[derive(Clone, Debug)]
pub struct Positions {
    range: Range<usize>,
    head_dim: usize,
    rope: Rope,
    window: Option<usize>,
    /// Positions × pairs.
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Positions {
    /// The angles of these positions.
    pub fn new(config: &Config, range: Range<usize>) -> Self {
        let pairs = config.head_dim / 2;
        let speeds: Vec<f64> = (0..pairs).map(|pair| speed(config, pair)).collect();
        let angles = range.clone().flat_map(|position| speeds.iter().map(move |speed| position as f64 * speed));
        let length = if let Scaling::Yarn { length, .. } = config.scaling { length } else { 1.0 };
        let turn = |angle: f64| ((length * angle.sin()) as f32, (length * angle.cos()) as f32);
        let (sines, cosines) = angles.map(turn).unzip();
        Self { range, head_dim: config.head_dim, rope: config.rope, window: config.window, cosines, sines }
    }

    /// Tokens.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The position of the first token.
    pub fn start(&self) -> usize {
        self.range.start
    }

    /// The last positions that one sees, itself among them; all before it if none.
    pub fn window(&self) -> Option<usize> {
        self.window
    }

    /// Turns every head of every token.
    ///
    /// # Shapes
    /// `rows` holds a row of any number of heads for each position.
    #[track_caller]
    pub fn turn(&self, rows: &mut [f32], head_dim: usize) {
        assert_eq!(head_dim, self.head_dim, "heads of another size");
        if self.is_empty() || rows.is_empty() {
            return;
        }
        let (pairs, width) = (head_dim / 2, rows.len() / self.len());
        for (token, row) in rows.chunks_exact_mut(width).enumerate() {
            let at = token * pairs..(token + 1) * pairs;
            let (cosines, sines) = (&self.cosines[at.clone()], &self.sines[at]);
            for head in row.chunks_exact_mut(head_dim) {
                match self.rope {
                    Rope::HalfSplit => halves(head, cosines, sines),
                    Rope::Interleaved => neighbours(head, cosines, sines),
                }
            }
        }
    }
}

/// $\omega_i$, stretched as the configuration says.
fn speed(config: &Config, pair: usize) -> f64 {
    let speed = config.theta.powf(-2.0 * pair as f64 / config.head_dim as f64);
    match config.scaling {
        Scaling::None => speed,
        Scaling::Linear { factor } => speed / factor,
        Scaling::Llama3 { factor, low, high, context } => {
            let turns = context * speed / TAU;
            if turns < low {
                speed / factor
            } else if turns > high {
                speed
            } else {
                let share = (turns - low) / (high - low);
                (1.0 - share) * speed / factor + share * speed
            }
        }
        Scaling::Yarn { factor, fast, slow, context, whole, .. } => {
            let dim = config.head_dim as f64;
            // The pair, not whole, that turns so often in the original context.
            let turning = |turns: f64| dim * (context / (turns * TAU)).ln() / (2.0 * config.theta.ln());
            let (low, high) = (turning(fast), turning(slow));
            let (low, high) = if whole { (low.floor(), high.ceil()) } else { (low, high) };
            let (low, high) = (low.max(0.0), high.min(dim - 1.0));
            let high = if low == high { high + 0.001 } else { high };
            let share = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
            share * speed / factor + (1.0 - share) * speed
        }
    }
}

fn halves(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let (first, second) = head.split_at_mut(cosines.len());
    for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
        (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
    }
}

fn neighbours(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
    for ((pair, cosine), sine) in head.chunks_exact_mut(2).zip(cosines).zip(sines) {
        (pair[0], pair[1]) = (pair[0] * cosine - pair[1] * sine, pair[0] * sine + pair[1] * cosine);
    }
}
