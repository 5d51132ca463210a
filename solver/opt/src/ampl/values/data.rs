//! Data sections: members of sets, and values of parameters in lists and tables.

use super::{Atom, Key, Members, Values};
use crate::ampl::AmplFault;
use crate::ampl::syntax::{Data, Word};
use std::rc::Rc;

impl Values<'_> {
    /// Takes over what a section gives.
    pub(super) fn data(&mut self, data: &Data) -> Result<(), AmplFault> {
        match data {
            Data::Set { name, words, dimension } => {
                let dimension = dimension.unwrap_or(self.set_dimension(name));
                let shape = || AmplFault::DataShape { line: 0, name: name.clone() };
                let members = keys(words, dimension).ok_or_else(shape)?;
                self.assigned_sets.entry(name.clone()).or_default().insert(Vec::new(), Members::new(members));
            }
            Data::List { name, default, words, line } => {
                self.default(name, default.as_ref());
                let dimension = self.parameter_dimension(name)?;
                self.rows(&[name.as_str()], dimension, words, *line)?;
            }
            Data::Table { name, default, columns, words, transposed, line } => {
                self.default(name, default.as_ref());
                let shape = || AmplFault::DataShape { line: *line, name: name.clone() };
                let width = columns.len() + 1;
                if self.parameter_dimension(name)? != 2 || !words.len().is_multiple_of(width) {
                    return Err(shape());
                }
                let columns = keys(columns, 1).ok_or_else(shape)?;
                for row in words.chunks_exact(width) {
                    let left = keys(&row[..1], 1).ok_or_else(shape)?.concat();
                    for (column, value) in columns.iter().zip(&row[1..]) {
                        let key =
                            if *transposed { [&column[..], &left].concat() } else { [&left[..], column].concat() };
                        self.assign(name, key, value);
                    }
                }
            }
            Data::Columns { set, names, words, line } => {
                let dimension = match (set, names.first()) {
                    (Some(set), _) => self.set_dimension(set),
                    (None, Some(name)) => self.parameter_dimension(name)?,
                    (None, None) => 0,
                };
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let members = self.rows(&names, dimension, words, *line)?;
                if let Some(set) = set {
                    self.assigned_sets.entry(set.clone()).or_default().insert(Vec::new(), Members::new(members));
                }
            }
        }
        self.forget();
        Ok(())
    }

    fn default(&mut self, name: &str, default: Option<&Word>) {
        if let Some(atom) = default.and_then(atom_of) {
            self.data_defaults.insert(name.to_string(), atom);
        }
    }

    fn assign(&mut self, name: &str, key: Key, word: &Word) {
        if let Some(atom) = atom_of(word) {
            self.assigned.entry(name.to_string()).or_default().insert(key, atom);
        }
    }

    /// Rows of subscripts and one value for each name; returns the subscripts.
    fn rows(&mut self, names: &[&str], dimension: usize, words: &[Word], line: usize) -> Result<Vec<Key>, AmplFault> {
        let name = names.first().copied().unwrap_or_default();
        let shape = || AmplFault::DataShape { line, name: name.to_string() };
        let width = dimension + names.len();
        if width == 0 || !words.len().is_multiple_of(width) {
            return Err(shape());
        }
        let mut members = Vec::with_capacity(words.len() / width);
        for row in words.chunks_exact(width) {
            let key = keys(&row[..dimension], dimension.max(1)).ok_or_else(shape)?.concat();
            for (name, value) in names.iter().zip(&row[dimension..]) {
                self.assign(name, key.clone(), value);
            }
            members.push(key);
        }
        Ok(members)
    }
}

fn atom_of(word: &Word) -> Option<Atom> {
    match word {
        Word::Number(value) => Some(Atom::number(*value)),
        Word::Text(text) => Some(Atom::Text(Rc::from(text.as_str()))),
        Word::Missing => None,
    }
}

/// The words in groups; nothing if a word is missing or the last group is short.
fn keys(words: &[Word], dimension: usize) -> Option<Vec<Key>> {
    if !words.len().is_multiple_of(dimension) {
        return None;
    }
    words.chunks_exact(dimension).map(|group| group.iter().map(atom_of).collect()).collect()
}
