//! Tokenizers of llama2.c: pieces of text with scores, merged pair by pair.
//!
//! ```text
//! i32              bytes of the longest piece
//! per token: f32   score
//!            i32   bytes
//!            …     the piece; `<0x0A>` stands for the byte 10, and bytes 0 to 255 are tokens 3 to 258
//! ```
//!
//! A text gets a space in front. Its characters become tokens, those without a piece their bytes; then the pair of
//! neighbours whose piece has the largest score is merged, the first of equals, until no pair is a piece.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// The token of the byte 0.
const BYTES: u32 = 3;
/// Tokens that begin and end a text, and are no part of it.
const MARKS: [u32; 2] = [1, 2];

/// Pieces and scores.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    pieces: Vec<Vec<u8>>,
    scores: Vec<f32>,
    tokens: HashMap<Vec<u8>, u32>,
}

/// A pair of neighbours that may be merged.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    token: u32,
    /// Bytes of both when the pair was found: it is stale once they differ.
    bytes: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

/// A token in the chain of those that are left.
struct Link {
    token: u32,
    before: Option<usize>,
    after: Option<usize>,
    /// Merged into the one before.
    gone: bool,
}

impl Pieces {
    /// Reads a file; otherwise says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let word = |at: usize| bytes.get(at..at + 4).map(|w| [w[0], w[1], w[2], w[3]]);
        let longest =
            word(0).map(i32::from_le_bytes).ok_or("no tokenizer of llama2.c: it is shorter than four bytes")?;
        let (mut pieces, mut scores, mut at) = (Vec::new(), Vec::new(), 4);
        while at < bytes.len() {
            let number = pieces.len();
            let truncated = || format!("token {number}: the file ends within it");
            let score = word(at).map(f32::from_le_bytes).ok_or_else(truncated)?;
            let length = word(at + 4).map(i32::from_le_bytes).ok_or_else(truncated)?;
            if !score.is_finite() || !(0..=longest).contains(&length) {
                return Err(format!(
                    "token {number}: expected a score and a length up to {longest}, found {score} and {length}"
                ));
            }
            let end = at + 8 + length as usize;
            pieces.push(bytes.get(at + 8..end).ok_or_else(truncated)?.to_vec());
            scores.push(score);
            at = end;
        }
        if pieces.len() < BYTES as usize + 256 {
            return Err(format!("{} tokens: expected 3 marks, 256 bytes and pieces", pieces.len()));
        }
        let mut tokens = HashMap::new();
        for (token, piece) in pieces.iter().enumerate() {
            tokens.entry(piece.clone()).or_insert(token as u32);
        }
        Ok(Self { pieces, scores, tokens })
    }

    /// Tokens.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The tokens of a text, none for an empty one; with the mark that begins a text where `mark` says so.
    pub fn encode(&self, text: &str, mark: bool) -> Vec<u32> {
        let mut tokens = if mark { vec![MARKS[0]] } else { Vec::new() };
        if !text.is_empty() {
            tokens.extend(self.merged(self.characters(text)));
        }
        tokens
    }

    /// A space and the characters of a text, in bytes where they are no pieces.
    fn characters(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        for character in std::iter::once(' ').chain(text.chars()) {
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).as_bytes();
            match self.tokens.get(bytes) {
                Some(token) => tokens.push(*token),
                None => tokens.extend(bytes.iter().map(|byte| BYTES + u32::from(*byte))),
            }
        }
        tokens
    }

    fn merged(&self, tokens: Vec<u32>) -> Vec<u32> {
        let count = tokens.len();
        let link = |(at, token)| Link {
            token,
            before: usize::checked_sub(at, 1),
            after: Some(at + 1).filter(|after| *after < count),
            gone: false,
        };
        let mut chain: Vec<Link> = tokens.into_iter().enumerate().map(link).collect();
        let mut heap: BinaryHeap<Pair> = (1..count).filter_map(|right| self.pair(&chain, right - 1, right)).collect();
        while let Some(pair) = heap.pop() {
            let (left, right) = (&chain[pair.left], &chain[pair.right]);
            if left.gone || right.gone || left.after != Some(pair.right) || self.bytes(left, right) != pair.bytes {
                continue;
            }
            let after = right.after;
            chain[pair.right].gone = true;
            chain[pair.left].token = pair.token;
            chain[pair.left].after = after;
            if let Some(after) = after {
                chain[after].before = Some(pair.left);
                heap.extend(self.pair(&chain, pair.left, after));
            }
            if let Some(before) = chain[pair.left].before {
                heap.extend(self.pair(&chain, before, pair.left));
            }
        }
        chain.into_iter().filter(|link| !link.gone).map(|link| link.token).collect()
    }

    fn bytes(&self, left: &Link, right: &Link) -> usize {
        self.pieces[left.token as usize].len() + self.pieces[right.token as usize].len()
    }

    /// The pair of two neighbours, where it is a piece.
    fn pair(&self, chain: &[Link], left: usize, right: usize) -> Option<Pair> {
        let (first, second) = (&chain[left], &chain[right]);
        let bytes = [&self.pieces[first.token as usize][..], &self.pieces[second.token as usize]].concat();
        let token = *self.tokens.get(&bytes)?;
        Some(Pair { score: self.scores[token as usize], left, right, token, bytes: bytes.len() })
    }

    /// The bytes of a text: without marks, and without the space that was put in front.
    pub fn decode(&self, tokens: &[u32]) -> Vec<u8> {
        let mut text = Vec::new();
        let known = tokens.iter().filter(|token| !MARKS.contains(token));
        for (at, piece) in known.filter_map(|token| self.pieces.get(*token as usize)).enumerate() {
            match byte(piece) {
                Some(byte) => text.push(byte),
                None if at == 0 && piece.first() == Some(&b' ') => text.extend(&piece[1..]),
                None => text.extend(piece),
            }
        }
        text
    }
}

/// The byte that a piece such as `<0x0A>` stands for.
fn byte(piece: &[u8]) -> Option<u8> {
    let digits = piece.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 2)?;
    u8::from_str_radix(digits, 16).ok()
}
