//! Tokens.

use super::AmplFault;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Name(String),
    Text(String),
    /// Punctuation and operators.
    Mark(&'static str),
}

impl Token {
    pub fn describe(&self) -> String {
        match self {
            Token::Number(value) => value.to_string(),
            Token::Name(name) => name.clone(),
            Token::Text(text) => format!("'{text}'"),
            Token::Mark(mark) => (*mark).to_string(),
        }
    }
}

/// A token and the line on which it begins.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub token: Token,
    pub line: usize,
}

/// Longest first.
const MARKS: [&str; 34] = [
    ":=", "<=", ">=", "<>", "!=", "==", "..", "**", "&&", "||", "<", ">", "=", "!", "(", ")", "[", "]", "{", "}", ",",
    ";", ":", "+", "-", "*", "/", "^", ".", "~", "&", "%", "$", "|",
];

/// The tokens of a text, without blanks and comments.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, AmplFault> {
    let mut placed = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length;
        if first == '#' {
            length = rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            length = rest.find("*/").ok_or(AmplFault::Unterminated { line })? + 2;
        } else if first.is_whitespace() {
            length = first.len_utf8();
        } else {
            let token;
            (token, length) = token_at(rest, line)?;
            placed.push(Placed { token, line });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    Ok(placed)
}

fn token_at(rest: &str, line: usize) -> Result<(Token, usize), AmplFault> {
    let first = rest.as_bytes()[0];
    if first == b'\'' || first == b'"' {
        let end = rest[1..].find(first as char).ok_or(AmplFault::Unterminated { line })?;
        return Ok((Token::Text(rest[1..=end].to_string()), end + 2));
    }
    if first.is_ascii_alphabetic() || first == b'_' {
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        return Ok((Token::Name(rest[..length].to_string()), length));
    }
    let length = number_length(rest.as_bytes());
    if length > 0 {
        let value = rest[..length].parse().map_err(|_| AmplFault::Number { line, text: rest[..length].to_string() })?;
        return Ok((Token::Number(value), length));
    }
    match MARKS.iter().find(|mark| rest.starts_with(**mark)) {
        Some(mark) => Ok((Token::Mark(mark), mark.len())),
        None => Err(AmplFault::Character { line, character: rest.chars().next().unwrap_or('\0') }),
    }
}

/// Length of the number at the start, zero if there is none; `1..9` starts with the number `1`.
fn number_length(bytes: &[u8]) -> usize {
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let mut length = whole;
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1) != Some(&b'.') {
        let fraction = digits(length + 1);
        if whole + fraction == 0 {
            return 0;
        }
        length += 1 + fraction;
    }
    if length > 0 && matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = if length + 1 + sign < bytes.len() { digits(length + 1 + sign) } else { 0 };
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}
