//! Angle and amplitude of a balanced neuron while its drive keeps its direction.
//!
//! With $\delta$ the angle between $w_1$ and $\mathrm{sgn}(w_2) D$ and $\tau(t) = \int |D| \, dt$:
//!
//! $$ \tan\tfrac\delta2 = \tan\tfrac{\delta_0}2 e^{-\tau}, \qquad
//! a = a_0 \Big[ \cos^2\tfrac{\delta_0}2\, e^{\tau} + \sin^2\tfrac{\delta_0}2\, e^{-\tau} \Big]^2. $$

use super::Moment;
use super::drive::Drive;
use super::neurons::Neurons;

/// What a neuron does in a fixed direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClosedForm {
    /// $\delta_0$.
    pub angle: f64,
    /// $a_0$.
    pub amplitude: f64,
}

impl ClosedForm {
    /// From where a neuron is; none without a drive.
    pub fn at(neurons: &Neurons, drive: &Drive, alpha: usize) -> Option<Self> {
        let seen = drive.strength(alpha) > 0.0;
        seen.then(|| Self { angle: drive.alignment(neurons, alpha).acos(), amplitude: neurons.amplitude(alpha) })
    }

    /// $\delta(\tau)$.
    pub fn angle_after(&self, tau: f64) -> f64 {
        // With sine and cosine apart the angle π is no pole.
        let (sine, cosine) = (0.5 * self.angle).sin_cos();
        2.0 * (sine * (-tau).exp()).atan2(cosine)
    }

    /// $a(\tau)$.
    pub fn amplitude_after(&self, tau: f64) -> f64 {
        let (sine, cosine) = (0.5 * self.angle).sin_cos();
        self.amplitude * (cosine * cosine * tau.exp() + sine * sine * (-tau).exp()).powi(2)
    }

    /// The limit of $a_\alpha / a_\beta$ for two neurons with one drive:
    /// $(a_{0,\alpha} / a_{0,\beta}) (\cos\frac{\delta_{0,\alpha}}2 / \cos\frac{\delta_{0,\beta}}2)^4$.
    pub fn late_ratio(&self, other: &Self) -> f64 {
        let cosine = |form: &Self| (0.5 * form.angle).cos();
        self.amplitude / other.amplitude * (cosine(self) / cosine(other)).powi(4)
    }
}

/// For how long the assumption is taken to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assumption {
    /// The greatest angle by which $D_\alpha$ may have turned since the start, in radians.
    pub turn: f64,
}

/// One neuron's window.
#[derive(Clone, Debug)]
struct Track {
    form: Option<ClosedForm>,
    direction: Vec<f64>,
    strength: f64,
    tau: f64,
    turn: f64,
    until: Option<f64>,
}

/// The neurons since the window opened, beside what the closed forms say, and where the assumption ends.
///
/// # Soundness
/// While $D_\alpha$ stays within an angle $\varepsilon$ of its direction at the start, the angle to that direction is within
/// $\varepsilon (e^\tau - 1)$ of the closed form and $\ln a$ within $2 \varepsilon (e^\tau - 1)$ (`proofs-notes/race/alignment.md`).
#[derive(Clone, Debug)]
pub struct Window {
    assumption: Assumption,
    time: f64,
    tracks: Vec<Track>,
}

impl Window {
    /// Opens a window at a moment.
    pub fn open(moment: &Moment<'_>, assumption: Assumption) -> Self {
        let track = |alpha| Track {
            form: ClosedForm::at(moment.neurons, moment.drive, alpha),
            direction: moment.drive.of(alpha).to_vec(),
            strength: moment.drive.strength(alpha),
            tau: 0.0,
            turn: 0.0,
            until: None,
        };
        Self { assumption, time: moment.time, tracks: (0..moment.neurons.width()).map(track).collect() }
    }

    /// Goes on to a later moment: $\tau$ by the trapezoidal rule.
    pub fn update(&mut self, moment: &Moment<'_>) {
        let span = moment.time - self.time;
        for (alpha, track) in self.tracks.iter_mut().enumerate() {
            let strength = moment.drive.strength(alpha);
            track.tau += 0.5 * span * (track.strength + strength);
            track.strength = strength;
            track.turn = track.turn.max(angle(&track.direction, moment.drive.of(alpha)));
            if track.until.is_none() && track.turn > self.assumption.turn {
                track.until = Some(moment.time);
            }
        }
        self.time = moment.time;
    }

    /// The closed form of a neuron; none if it had no drive.
    pub fn form(&self, alpha: usize) -> Option<ClosedForm> {
        self.tracks[alpha].form
    }

    /// $\tau$ of a neuron so far.
    pub fn tau(&self, alpha: usize) -> f64 {
        self.tracks[alpha].tau
    }

    /// The greatest turn of a neuron's drive so far.
    pub fn turn(&self, alpha: usize) -> f64 {
        self.tracks[alpha].turn
    }

    /// When a neuron's drive had turned too far; none while the assumption holds.
    pub fn until(&self, alpha: usize) -> Option<f64> {
        self.tracks[alpha].until
    }

    /// Whether the closed form of a neuron is still to be believed.
    pub fn holds(&self, alpha: usize) -> bool {
        self.tracks[alpha].form.is_some() && self.tracks[alpha].until.is_none()
    }

    /// The angle between $\mathrm{sgn}(w_2) w_1$ and the drive at the start, now.
    pub fn observed_angle(&self, neurons: &Neurons, alpha: usize) -> f64 {
        let direction = &self.tracks[alpha].direction;
        let product: f64 = neurons.w1(alpha).iter().zip(direction).map(|(w, d)| w * d).sum();
        let scale = neurons.norm(alpha) * norm(direction);
        (neurons.w2()[alpha].signum() * product / scale).clamp(-1.0, 1.0).acos()
    }
}

/// The angle between two vectors; 0 where one is zero and the other too, $\pi$ where only one is.
pub(super) fn angle(a: &[f64], b: &[f64]) -> f64 {
    let (long, other) = (norm(a), norm(b));
    if long == 0.0 || other == 0.0 {
        return if long == other { 0.0 } else { std::f64::consts::PI };
    }
    // Half-angle form: accurate for small angles, where the cosine is not.
    let (mut minus, mut plus) = (0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        minus += (x / long - y / other).powi(2);
        plus += (x / long + y / other).powi(2);
    }
    2.0 * minus.sqrt().atan2(plus.sqrt())
}

fn norm(a: &[f64]) -> f64 {
    a.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_solve_their_equations() {
        let step = 1e-5;
        for angle in [0.1, 1.0, 1.6, 2.5] {
            let form = ClosedForm { angle, amplitude: 0.3 };
            assert!((form.angle_after(0.0) - angle).abs() < 1e-12 && (form.amplitude_after(0.0) - 0.3).abs() < 1e-12);
            for tau in [0.2, 1.0, 3.0] {
                let slope = |f: &dyn Fn(f64) -> f64| (f(tau + step) - f(tau - step)) / (2.0 * step);
                let delta = form.angle_after(tau);
                // δ' = -sin δ and (ln a)' = 2 cos δ; differences of smooth functions, error of order h².
                assert!((slope(&|t| form.angle_after(t)) + delta.sin()).abs() < 1e-8);
                assert!((slope(&|t| form.amplitude_after(t).ln()) - 2.0 * delta.cos()).abs() < 1e-8);
            }
        }
        assert_eq!(ClosedForm { angle: std::f64::consts::PI, amplitude: 1.0 }.angle_after(1.0), std::f64::consts::PI);
    }

    #[test]
    fn the_late_ratio_is_the_limit() {
        let (a, b) = (ClosedForm { angle: 1.2, amplitude: 0.2 }, ClosedForm { angle: 1.9, amplitude: 0.5 });
        let at = a.amplitude_after(20.0) / b.amplitude_after(20.0);
        // Terms of e^{-40} are left.
        assert!((at - a.late_ratio(&b)).abs() < 1e-12);
    }

    #[test]
    fn small_angles_are_accurate() {
        assert!((angle(&[1.0, 0.0], &[1.0, 1e-9]) - 1e-9).abs() < 1e-15);
        assert_eq!(angle(&[0.0], &[0.0]), 0.0);
        assert_eq!(angle(&[1.0], &[0.0]), std::f64::consts::PI);
    }
}
