//! Texts as sequences of symbols, each with the symbol that follows as its target.

use super::dataset::{Dataset, Inputs, Targets};
use super::fault::DataFault;
use super::{fault, read};
use crate::error::NnError;
use std::path::Path;
use std::sync::Arc;

/// The symbols of a text: what a number stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alphabet(pub Vec<char>);

impl Alphabet {
    /// The characters of a text, in ascending order.
    pub fn of(text: &str) -> Self {
        let mut symbols: Vec<char> = text.chars().collect();
        symbols.sort_unstable();
        symbols.dedup();
        Self(symbols)
    }

    /// The numbers of a text's characters; `None` where one is not in the alphabet.
    pub fn encode(&self, text: &str) -> Option<Vec<u32>> {
        text.chars().map(|c| self.0.binary_search(&c).ok().map(|i| i as u32)).collect()
    }
}

/// Sequences of `length` characters of a UTF-8 file, end to end, with the alphabet of the whole file.
///
/// # Errors
/// The file is missing, is not UTF-8, or is shorter than a sequence and one more character.
pub fn read_characters(path: &Path, length: usize) -> Result<(Dataset, Alphabet), NnError> {
    let text =
        String::from_utf8(read(path)?).map_err(|_| fault(path, DataFault::Format { expected: "text in UTF-8" }))?;
    let alphabet = Alphabet::of(&text);
    let tokens = alphabet.encode(&text).unwrap_or_default();
    let data = sequences(&path.display().to_string(), &tokens, alphabet.0.len(), length)?;
    Ok((data, alphabet))
}

/// Sequences of `length` bytes of any file, end to end.
///
/// # Errors
/// The file is missing or is shorter than a sequence and one more byte.
pub fn read_bytes(path: &Path, length: usize) -> Result<Dataset, NnError> {
    let tokens: Vec<u32> = read(path)?.into_iter().map(u32::from).collect();
    sequences(&path.display().to_string(), &tokens, 256, length)
}

/// Sequences of `length` tokens, end to end, each token with the one that follows as its target.
///
/// # Errors
/// Fewer than `length + 1` tokens, or a token beyond `symbols`.
pub fn sequences(origin: &str, tokens: &[u32], symbols: usize, length: usize) -> Result<Dataset, NnError> {
    assert!(length > 0, "a sequence has symbols");
    let count = tokens.len().saturating_sub(1) / length;
    if count == 0 {
        let fault = Box::new(DataFault::Short { expected: length + 1, found: tokens.len() });
        return Err(NnError::Data { origin: origin.to_owned(), fault });
    }
    let used = count * length;
    let labels = tokens[1..=used].iter().map(|t| *t as usize).collect();
    let inputs = Inputs::OneHot { length, symbols, tokens: Arc::new(tokens[..used].to_vec()) };
    Dataset::new(origin, inputs, Targets::Classes { classes: symbols, labels: Arc::new(labels) })
}

#[cfg(test)]
mod tests {
    use super::super::dataset::BatchTargets;
    use super::*;

    #[test]
    fn targets_are_the_symbols_that_follow() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("t.txt");
        std::fs::write(&path, "abcabc!").unwrap();
        let (data, alphabet) = read_characters(&path, 2).unwrap();
        assert_eq!(alphabet.0, ['!', 'a', 'b', 'c']);
        assert_eq!((data.len(), data.shape()), (3, vec![2, 4]));
        assert_eq!(data.gather_targets(&[0, 2]), BatchTargets::Classes(vec![2, 3, 3, 0]));
        assert_eq!(read_bytes(&path, 6).unwrap().len(), 1);
        assert!(read_bytes(&path, 7).unwrap_err().to_string().contains("7 symbols, but a sequence"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read_characters(&path, 1).unwrap_err().to_string().contains("UTF-8"));
        assert!(sequences("t", &[0, 5], 3, 1).is_err());
    }
}
