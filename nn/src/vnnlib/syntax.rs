//! Nested expressions with the lines where they start.

use super::fault::{At, VnnlibFault};

/// The deepest nesting of parentheses.
const MAX_DEPTH: usize = 200;

/// A word or a list in parentheses.
#[derive(Debug)]
pub enum Expression<'a> {
    /// A word, perhaps followed by an index in brackets.
    Word {
        /// The word.
        text: &'a str,
        /// What stands between the brackets.
        index: Option<&'a str>,
        /// Where it stands.
        line: usize,
    },
    /// A name in quotation marks.
    Quoted {
        /// Where it stands.
        line: usize,
    },
    /// Expressions in parentheses.
    List {
        /// The expressions.
        items: Vec<Expression<'a>>,
        /// Where the parenthesis opens.
        line: usize,
    },
}

impl<'a> Expression<'a> {
    /// Where the expression starts.
    pub fn line(&self) -> usize {
        match self {
            Expression::Word { line, .. } | Expression::Quoted { line } | Expression::List { line, .. } => *line,
        }
    }

    /// How an error shows the expression.
    fn shown(&self) -> String {
        match self {
            Expression::Word { text, index: None, .. } => (*text).to_owned(),
            Expression::Word { text, index: Some(index), .. } => format!("{text}[{index}]"),
            Expression::Quoted { .. } => "\"…\"".to_owned(),
            Expression::List { items, .. } => match items.first() {
                Some(Expression::Word { text, .. }) => format!("({text} …)"),
                _ => "(…)".to_owned(),
            },
        }
    }

    /// A plain word.
    pub fn word(&self, expected: &'static str) -> Result<&'a str, At> {
        match self {
            Expression::Word { text, index: None, .. } => Ok(text),
            other => Err(other.unexpected(expected)),
        }
    }

    /// A list's first word and its other items.
    pub fn call(&self) -> Result<(&'a str, &[Expression<'a>]), At> {
        match self {
            Expression::List { items, .. } => match items.split_first() {
                Some((head, rest)) => Ok((head.word("a command or an operator")?, rest)),
                None => Err(self.unexpected("a command or an operator")),
            },
            other => Err(other.unexpected("an expression in parentheses")),
        }
    }

    /// The error that this stands where something else should.
    pub fn unexpected(&self, expected: &'static str) -> At {
        At::line(self.line(), VnnlibFault::Unexpected { expected, found: self.shown() })
    }

    /// The error that a name is not known.
    pub fn unknown(&self, what: &'static str, name: &str) -> At {
        At::line(self.line(), VnnlibFault::Unknown { what, name: name.to_owned() })
    }

    /// The error that an operator has too many or too few arguments.
    pub fn wrong_count(&self, name: &str, expected: &'static str, found: usize) -> At {
        At::line(self.line(), VnnlibFault::ArgumentCount { name: name.to_owned(), expected, found })
    }
}

/// Reads a text one outermost expression at a time.
pub struct Reader<'a> {
    text: &'a str,
    position: usize,
    line: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of a text.
    pub fn new(text: &'a str) -> Self {
        // A mark of byte order is no part of the text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { text, position: 0, line: 1 }
    }

    /// The next outermost expression.
    pub fn next(&mut self) -> Result<Option<Expression<'a>>, At> {
        let mut open: Vec<(Vec<Expression<'a>>, usize)> = Vec::new();
        loop {
            let Some(byte) = self.skip_blank() else {
                return match open.pop() {
                    Some((_, line)) => Err(At::line(line, VnnlibFault::Unclosed { opened: '(' })),
                    None => Ok(None),
                };
            };
            let line = self.line;
            let done = match byte {
                b'(' if open.len() == MAX_DEPTH => {
                    return Err(At::line(line, VnnlibFault::TooDeep { limit: MAX_DEPTH }));
                }
                b'(' => {
                    self.position += 1;
                    open.push((Vec::new(), line));
                    continue;
                }
                b')' => {
                    self.position += 1;
                    match open.pop() {
                        Some((items, line)) => Expression::List { items, line },
                        None => return Err(unexpected(line, "a command", ")")),
                    }
                }
                b'"' => {
                    self.until('"')?;
                    Expression::Quoted { line }
                }
                b'[' => {
                    let inside = self.until(']')?;
                    match open.last_mut().and_then(|(items, _)| items.last_mut()) {
                        Some(Expression::Word { index: index @ None, .. }) => *index = Some(inside),
                        _ => return Err(unexpected(line, "a name before an index", "[")),
                    }
                    continue;
                }
                b']' => return Err(unexpected(line, "an expression", "]")),
                _ => Expression::Word { text: self.word(), index: None, line },
            };
            match open.last_mut() {
                Some((items, _)) => items.push(done),
                None if matches!(done, Expression::List { .. }) => return Ok(Some(done)),
                None => return Err(done.unexpected("a command in parentheses")),
            }
        }
    }

    /// Moves past blanks and comments; the byte found there.
    fn skip_blank(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.position) {
            match byte {
                b'\n' => self.line += 1,
                b';' => {
                    let rest = &bytes[self.position..];
                    self.position += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                    continue;
                }
                b if b.is_ascii_whitespace() => {}
                b => return Some(*b),
            }
            self.position += 1;
        }
        None
    }

    /// The text up to a closing character, from one that opened.
    fn until(&mut self, close: char) -> Result<&'a str, At> {
        let opened = if close == ']' { '[' } else { close };
        let unclosed = At::line(self.line, VnnlibFault::Unclosed { opened });
        let rest = &self.text[self.position + 1..];
        let Some(length) = rest.find(close) else {
            return Err(unclosed);
        };
        let inside = &rest[..length];
        self.line += inside.bytes().filter(|b| *b == b'\n').count();
        self.position += length + 2;
        Ok(inside)
    }

    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.position..];
        let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '(' | ')' | '[' | ']' | ';' | '"');
        let length = rest.find(ends).unwrap_or(rest.len());
        self.position += length;
        &rest[..length]
    }
}

fn unexpected(line: usize, expected: &'static str, found: &str) -> At {
    At::line(line, VnnlibFault::Unexpected { expected, found: found.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_words_indices_and_lines() {
        let mut reader = Reader::new("; first\n(assert ; here\n (<= X [0, 1] 2.5))\n\n(b)");
        let first = reader.next().unwrap().unwrap();
        assert_eq!(first.line(), 2);
        let (name, arguments) = first.call().unwrap();
        assert_eq!((name, arguments[0].line()), ("assert", 3));
        let (name, arguments) = arguments[0].call().unwrap();
        assert_eq!(name, "<=");
        assert!(matches!(arguments[0], Expression::Word { text: "X", index: Some("0, 1"), line: 3 }));
        assert_eq!(reader.next().unwrap().unwrap().line(), 5);
        assert!(reader.next().unwrap().is_none());
    }
}
