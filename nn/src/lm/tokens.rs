//! Texts as tokens: `tokenizer.json` of Hugging Face, and tokenizers of llama2.c.

use super::fault::LmFault;
use super::pieces::Pieces;
use std::path::{Path, PathBuf};

/// The file of a tokenizer beside a model.
const BESIDE: &str = "tokenizer.json";

/// A tokenizer.
#[derive(Clone, Debug)]
pub struct Tokens {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Json(Box<tokenizers::Tokenizer>),
    Pieces(Pieces),
}

impl Tokens {
    /// Reads a tokenizer: JSON where the name ends so, else a file of llama2.c.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LmFault> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(LmFault::io(path))?;
        let refused = |what: String| LmFault::Tokenizer { path: path.to_owned(), what };
        let kind = if path.extension().is_some_and(|extension| extension == "json") {
            let mut tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| refused(e.to_string()))?;
            tokenizer.with_padding(None);
            tokenizer.with_truncation(None).map_err(|e| refused(e.to_string()))?;
            Kind::Json(Box::new(tokenizer))
        } else {
            Kind::Pieces(Pieces::parse(&bytes).map_err(refused)?)
        };
        Ok(Self { path: path.to_owned(), kind })
    }

    /// The tokenizer beside a model in a folder.
    ///
    /// # Errors
    /// There is none, or as [`open`](Self::open).
    pub fn beside(model: &Path) -> Result<Self, LmFault> {
        let path = model.join(BESIDE);
        if path.is_file() { Self::open(path) } else { Err(LmFault::NoTokenizer { path: model.to_owned() }) }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tokens that it knows.
    pub fn vocab(&self) -> usize {
        match &self.kind {
            Kind::Json(tokenizer) => tokenizer.get_vocab_size(true),
            Kind::Pieces(pieces) => pieces.len(),
        }
    }

    /// The tokens of a text; with `special`, also those that the tokenizer puts around it, such as one that begins it.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, LmFault> {
        match &self.kind {
            Kind::Json(tokenizer) => {
                let found = tokenizer.encode_fast(text, special).map_err(|e| self.refused(e.to_string()))?;
                Ok(found.get_ids().to_vec())
            }
            Kind::Pieces(pieces) => Ok(pieces.encode(text, special)),
        }
    }

    /// Bytes of a text up to the end of its first tokens, those before it left out; a character that ends in a later token
    /// counts.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn bytes_of(&self, text: &str, special: bool, first: usize) -> Result<usize, LmFault> {
        match &self.kind {
            Kind::Json(tokenizer) => {
                let found = tokenizer.encode(text, special).map_err(|e| self.refused(e.to_string()))?;
                Ok(found.get_offsets().iter().take(first).map(|(_, end)| *end).max().unwrap_or(0))
            }
            Kind::Pieces(pieces) => {
                let tokens = pieces.encode(text, special);
                Ok(pieces.decode(&tokens[..first.min(tokens.len())]).len().min(text.len()))
            }
        }
    }

    /// The text of tokens, without special ones. Bytes that are no UTF-8 become replacement characters.
    ///
    /// # Errors
    /// The tokenizer refuses the tokens.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, LmFault> {
        match &self.kind {
            Kind::Json(tokenizer) => tokenizer.decode(tokens, true).map_err(|e| self.refused(e.to_string())),
            Kind::Pieces(pieces) => Ok(String::from_utf8_lossy(&pieces.decode(tokens)).into_owned()),
        }
    }

    fn refused(&self, what: String) -> LmFault {
        LmFault::Tokenizer { path: self.path.clone(), what }
    }
}

/// Tokens before a new one that its text may depend on, as spaces and bytes of characters do.
const BEFORE: usize = 16;

/// The text of tokens that come one by one: what is new and whole of it.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    tokens: &'a Tokens,
    /// The last tokens.
    seen: Vec<u32>,
    /// Bytes of their text that were handed out.
    told: usize,
}

impl<'a> Reading<'a> {
    /// Begins after these tokens, whose text counts as told.
    ///
    /// # Errors
    /// As [`Tokens::decode`].
    pub fn after(tokens: &'a Tokens, seen: &[u32]) -> Result<Self, LmFault> {
        Ok(Self { tokens, seen: seen.to_vec(), told: tokens.decode(seen)?.len() })
    }

    /// Adds a token; returns the text that is whole by now, none while a character has bytes to come.
    ///
    /// # Errors
    /// As [`Tokens::decode`].
    pub fn push(&mut self, token: u32) -> Result<String, LmFault> {
        self.seen.push(token);
        let text = self.tokens.decode(&self.seen)?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        let new = text.get(self.told..).unwrap_or_default().to_owned();
        self.told = text.len();
        // So that a token costs as much after a thousand as after ten.
        if self.seen.len() > 4 * BEFORE {
            self.forget(&text)?;
        }
        Ok(new)
    }

    /// Forgets all but the last tokens, where those begin no character in its middle: their text ends the whole text then.
    fn forget(&mut self, text: &str) -> Result<(), LmFault> {
        for from in (self.seen.len() - 2 * BEFORE..=self.seen.len() - BEFORE).rev() {
            let kept = self.tokens.decode(&self.seen[from..])?;
            if text.ends_with(&kept) {
                self.told = kept.len();
                self.seen.drain(..from);
                break;
            }
        }
        Ok(())
    }

    /// What was held back for bytes that did not come; they are replacement characters.
    ///
    /// # Errors
    /// As [`Tokens::decode`].
    pub fn finish(self) -> Result<String, LmFault> {
        Ok(self.tokens.decode(&self.seen)?.get(self.told..).unwrap_or_default().to_owned())
    }
}
