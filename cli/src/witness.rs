//! Witnesses in the competition's format: `((X_0 v) … (Y_0 v) …)`.

use crate::decimal;
use crate::error::CliError;
use dashu_ratio::RBig;
use secateur_nn::vnnlib;
use secateur_verify::Witness;
use std::fmt::Write;

/// Writes a witness: inputs as exact decimals, outputs with the digits that identify the `f32`.
pub fn print(witness: &Witness) -> String {
    let mut text = String::from("(");
    let inputs = witness.input.iter().enumerate().map(|(i, v)| format!("(X_{i} {})", decimal::print(v)));
    let outputs = witness.outputs.iter().enumerate().map(|(j, v)| format!("(Y_{j} {v:?})"));
    for (index, pair) in inputs.chain(outputs).enumerate() {
        let separator = if index == 0 { "" } else { "\n" };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}{pair}");
    }
    text.push_str(")\n");
    text
}

/// Reads an input vector: a witness, whose outputs are passed over, or numbers with commas or spaces between them.
///
/// # Errors
/// The first place where something else stands.
pub fn parse(text: &str, origin: &str) -> Result<Vec<RBig>, CliError> {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')')).filter(|w| !w.is_empty()).collect();
    let named = words.iter().any(|word| word.starts_with("X_"));
    if named { parse_named(&words, origin) } else { parse_plain(&words, origin) }
}

fn parse_plain(words: &[&str], origin: &str) -> Result<Vec<RBig>, CliError> {
    words.iter().enumerate().map(|(position, word)| number(word, position, origin)).collect()
}

/// Reads `sat? X_0 v X_1 v … Y_0 v …`, where `v` may be a quotient `/ p q`.
fn parse_named(words: &[&str], origin: &str) -> Result<Vec<RBig>, CliError> {
    let mut words = words.iter().copied().skip_while(|word| *word == "sat").peekable();
    let mut input: Vec<RBig> = Vec::new();
    while let Some(name) = words.next() {
        let position = input.len();
        if ["Y_", "A_", "B_"].iter().any(|output| name.starts_with(output)) {
            break;
        }
        if name != format!("X_{position}") {
            return Err(CliError::Witness { origin: origin.to_owned(), expected: position, found: name.to_owned() });
        }
        let quotient = words.next_if_eq(&"/").is_some();
        let value = number(words.next().unwrap_or_default(), position, origin)?;
        if quotient {
            let word = words.next().unwrap_or_default();
            let divisor = number(word, position, origin)?;
            if divisor.is_zero() {
                return Err(CliError::Number { origin: origin.to_owned(), position, found: word.to_owned() });
            }
            input.push(value / divisor);
        } else {
            input.push(value);
        }
    }
    Ok(input)
}

fn number(word: &str, position: usize, origin: &str) -> Result<RBig, CliError> {
    let found = || CliError::Number { origin: origin.to_owned(), position, found: word.to_owned() };
    vnnlib::decimal(word).ok_or_else(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rationals(words: &[&str]) -> Vec<RBig> {
        words.iter().map(|w| w.parse().expect("a rational")).collect()
    }

    #[test]
    fn a_witness_comes_back_exactly() {
        let input = rationals(&["-1/3", "303531156/1000000000", "13421773/134217728", "-7"]);
        let text = print(&Witness { input: input.clone(), outputs: vec![0.1, -2.0] });
        assert_eq!(
            text,
            "((X_0 (/ -1.0 3.0))\n(X_1 0.303531156)\n(X_2 0.100000001490116119384765625)\n(X_3 -7.0)\n(Y_0 0.1)\n(Y_1 -2.0))\n"
        );
        assert_eq!(parse(&text, "w").expect("read"), input);
        assert_eq!(parse(&format!("sat\n{text}"), "w").expect("read"), input);
    }

    #[test]
    fn lists_may_have_commas_or_spaces() {
        let expected = rationals(&["1", "-1/2", "1/1000"]);
        for text in ["1,-.5,1e-3", "1 -0.5\n0.001\n", " 1, -0.5, 1e-3 "] {
            assert_eq!(parse(text, "w").expect("read"), expected, "{text}");
        }
        assert!(parse("", "w").expect("empty").is_empty());
    }

    #[test]
    fn the_place_of_a_fault_is_named() {
        let table = [
            ("1,two", "position 1, found `two`"),
            ("((X_0 1.0) (X_2 1.0))", "`X_1` as the next input of the witness, found `X_2`"),
            ("((X_0", "position 0, found ``"),
            ("((X_0 (/ 1 0)))", "position 0, found `0`"),
        ];
        for (text, place) in table {
            let error = parse(text, "w").expect_err("refused").to_string();
            assert!(error.contains(place), "{error}");
        }
    }
}
