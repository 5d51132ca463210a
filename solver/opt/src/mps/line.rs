//! A data line of an MPS file, cut into fields.

use super::{MpsFault, Section};

/// The fields of a line.
pub(super) struct Fields<'a> {
    /// Type of a row or bound; empty elsewhere.
    pub kind: &'a str,
    /// The name before the pairs: a row, a column, or a set of right-hand sides, ranges or bounds.
    pub name: &'a str,
    /// Names with numbers; one pair for a bound, whose number may be empty.
    pub pairs: Vec<(&'a str, &'a str)>,
    /// What a marker says, with its quotes, if this is a marker.
    pub marker: Option<&'a str>,
}

/// First column (from 0) and width of the fields in fixed form.
const COLUMNS: [(usize, usize); 6] = [(1, 2), (4, 8), (14, 8), (24, 12), (39, 8), (49, 12)];

/// Cuts a line at white space.
pub(super) fn split_free(text: &str, section: Section) -> Result<Fields<'_>, MpsFault> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let count = |expected| MpsFault::FieldCount { found: words.len(), expected };
    match section {
        Section::None => Err(MpsFault::NoSection),
        Section::Sense => match words[..] {
            [sense] => Ok(Fields { kind: "", name: sense, pairs: Vec::new(), marker: None }),
            _ => Err(count("the sense")),
        },
        Section::Rows => match words[..] {
            [kind, name] => Ok(Fields { kind, name, pairs: Vec::new(), marker: None }),
            _ => Err(count("a type and a name")),
        },
        Section::Columns | Section::Triangle | Section::Matrix => match words[..] {
            [name, "'MARKER'", marker] => Ok(Fields { kind: "", name, pairs: Vec::new(), marker: Some(marker) }),
            [name, ref pairs @ ..] if matches!(pairs.len(), 2 | 4) => {
                Ok(Fields { kind: "", name, pairs: in_pairs(pairs), marker: None })
            }
            _ => Err(count("a name and one or two pairs of a name and a number")),
        },
        // The name of the set may be missing.
        Section::RightHandSides | Section::Ranges => match words.len() {
            2 | 4 => Ok(Fields { kind: "", name: "", pairs: in_pairs(&words), marker: None }),
            3 | 5 => Ok(Fields { kind: "", name: words[0], pairs: in_pairs(&words[1..]), marker: None }),
            _ => Err(count("a name, which may be missing, and one or two pairs of a name and a number")),
        },
        Section::Bounds => {
            let without_number = matches!(words[0].to_ascii_uppercase().as_str(), "FR" | "MI" | "PL" | "BV");
            let (name, column, number) = match (&words[1..], without_number) {
                ([column], true) => ("", *column, ""),
                ([name, column], true) => (*name, *column, ""),
                ([column, number], false) => ("", *column, *number),
                ([name, column, number], _) => (*name, *column, *number),
                _ => return Err(count("a type, a name, which may be missing, a column and a number")),
            };
            Ok(Fields { kind: words[0], name, pairs: vec![(column, number)], marker: None })
        }
    }
}

/// Cuts a line at the columns of the fixed form.
pub(super) fn split_fixed(text: &str, section: Section) -> Result<Fields<'_>, MpsFault> {
    let text = text.trim_end();
    if !text.is_ascii() || text.contains('\t') {
        return Err(MpsFault::Columns);
    }
    if section == Section::Sense {
        return split_free(text, section);
    }
    let field = |index: usize| {
        let (start, width) = COLUMNS[index];
        text.get(start.min(text.len())..(start + width).min(text.len())).map_or("", str::trim)
    };
    let outside = (0..text.len()).any(|at| {
        let covered = COLUMNS.iter().any(|&(start, width)| (start..start + width).contains(&at));
        !covered && text.as_bytes()[at] != b' '
    });
    if outside {
        return Err(MpsFault::Misplaced);
    }
    let mut fields = Fields { kind: field(0), name: field(1), pairs: Vec::new(), marker: None };
    let filled = (0..6).filter(|&index| !field(index).is_empty()).count();
    let count = |expected| Err(MpsFault::FieldCount { found: filled, expected });
    match section {
        Section::None => return Err(MpsFault::NoSection),
        Section::Rows if fields.kind.is_empty() || fields.name.is_empty() || filled != 2 => {
            return count("a type and a name");
        }
        Section::Rows => return Ok(fields),
        Section::Bounds if fields.kind.is_empty() || field(2).is_empty() => {
            return count("a type, a name, which may be missing, a column and a number");
        }
        Section::Columns if field(2) == "'MARKER'" => {
            fields.marker = Some(field(4));
            return Ok(fields);
        }
        _ => {}
    }
    fields.pairs.push((field(2), field(3)));
    if !field(4).is_empty() && section != Section::Bounds {
        fields.pairs.push((field(4), field(5)));
    }
    if section != Section::Bounds && fields.pairs.iter().any(|(name, number)| name.is_empty() || number.is_empty()) {
        return count("a name and one or two pairs of a name and a number");
    }
    Ok(fields)
}

fn in_pairs<'a>(words: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}
