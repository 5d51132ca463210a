//! Numbers as they are written in messages.

use std::fmt;

/// A double in the fewest digits that denote it: with an exponent below $10^{-5}$ and from $10^{16}$, where zeros would be most of
/// it.
#[derive(Clone, Copy, Debug)]
pub struct Plain(pub f64);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = self;
        let few = *value == 0.0 || (1e-5..1e16).contains(&value.abs());
        if few || !value.is_finite() { write!(f, "{value}") } else { write!(f, "{value:e}") }
    }
}

#[cfg(test)]
mod tests {
    use super::Plain;

    #[test]
    fn exponents_stand_where_zeros_would() {
        let texts = [0.0, -18.0, 0.00001, 9e-6, 5e-324, 1e15, -1e16, f64::NAN].map(|value| Plain(value).to_string());
        assert_eq!(texts, ["0", "-18", "0.00001", "9e-6", "5e-324", "1000000000000000", "-1e16", "NaN"]);
    }
}
