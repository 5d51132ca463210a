//! The file of a certificate: a gzip stream of records, in the order in which the search took up the parts.
//!
//! Integers are unsigned LEB128; a float is its 8 bytes, least first. The stream starts with [`MAGIC`]; `proofs-notes/`
//! gives the layout.

use crate::float::decode_f64;
use crate::interval::Dyadic;
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use thiserror::Error;

/// What a certificate starts with: its name and the version of its layout.
pub const MAGIC: &[u8] = b"secateur certificate 1\n";

/// The most entries of a list.
const LONGEST: u64 = 1 << 24;

/// A fault in the file.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The stream is damaged or ends early.
    #[error("the certificate is damaged or cut off: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is not a certificate of version 1")]
    Magic,
    /// An unknown tag, or a list that is too long.
    #[error("record {0} of the certificate has an unknown tag or an impossible length")]
    Record(u64),
}

/// Where an objective's bound comes from: slopes below open ReLUs, per ReLU layer and neuron, in units of $2^{-24}$.
pub type Alpha = BTreeMap<usize, BTreeMap<u32, i64>>;

/// One objective's bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The objective of its disjunct.
    pub objective: u32,
    /// Its weight among the rows of the disjunct.
    pub weight: u64,
    /// Its slopes.
    pub alpha: Alpha,
}

/// Why a disjunct holds no counterexample on a part, or on what is cut from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The disjunct.
    pub disjunct: u32,
    /// Weighted objectives, bounded together.
    pub rows: Vec<Row>,
}

/// How a part goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing is left of it.
    Closed,
    /// What the cuts leave is one part again.
    Whole,
    /// What the cuts leave is split there.
    Axis(u32, f64),
}

/// What became of one part.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The part. The regions of the property are the first; children take the next free numbers in order.
    pub id: u64,
    /// Disjuncts that are refuted on all of it.
    pub refuted: Vec<Claim>,
    /// Linear bounds that cut it: where they are positive, their disjunct holds nothing.
    pub cutting: Vec<Claim>,
    /// How it goes on.
    pub next: Next,
}

/// Writes integers and floats.
fn number(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push((v & 0x7f) as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn claims(out: &mut Vec<u8>, claims: &[Claim]) {
    number(out, claims.len() as u64);
    for claim in claims {
        number(out, u64::from(claim.disjunct));
        number(out, claim.rows.len() as u64);
        for row in &claim.rows {
            number(out, u64::from(row.objective));
            number(out, row.weight);
            number(out, row.alpha.len() as u64);
            for (layer, slopes) in &row.alpha {
                number(out, *layer as u64);
                number(out, slopes.len() as u64);
                let mut last = 0;
                for (neuron, slope) in slopes {
                    number(out, u64::from(neuron - last));
                    number(out, slope.cast_unsigned());
                    last = *neuron;
                }
            }
        }
    }
}

/// Appends a record.
///
/// # Errors
/// Those of the stream.
pub fn write(stream: &mut impl Write, record: &Record) -> io::Result<()> {
    let mut out = vec![1];
    number(&mut out, record.id);
    claims(&mut out, &record.refuted);
    claims(&mut out, &record.cutting);
    match record.next {
        Next::Closed => out.push(0),
        Next::Whole => out.push(1),
        Next::Axis(axis, at) => {
            out.push(2);
            number(&mut out, u64::from(axis));
            out.extend(at.to_bits().to_le_bytes());
        }
    }
    stream.write_all(&out)
}

/// Ends a stream of records.
///
/// # Errors
/// Those of the stream.
pub fn finish(stream: &mut impl Write) -> io::Result<()> {
    stream.write_all(&[0])
}

/// Reads records.
pub struct Reader<R: Read> {
    stream: BufReader<GzDecoder<R>>,
    count: u64,
}

impl<R: Read> Reader<R> {
    /// Opens a certificate.
    ///
    /// # Errors
    /// It is not one.
    pub fn new(stream: R) -> Result<Self, FormatError> {
        let mut stream = BufReader::new(GzDecoder::new(stream));
        let mut magic = [0; MAGIC.len()];
        match stream.read_exact(&mut magic) {
            Ok(()) if magic == MAGIC => Ok(Self { stream, count: 0 }),
            _ => Err(FormatError::Magic),
        }
    }

    fn byte(&mut self) -> Result<u8, FormatError> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn number(&mut self) -> Result<u64, FormatError> {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = self.byte()?;
            if shift > 63 || (shift == 63 && byte > 1) {
                return Err(FormatError::Record(self.count));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    fn index(&mut self) -> Result<u32, FormatError> {
        u32::try_from(self.number()?).map_err(|_| FormatError::Record(self.count))
    }

    fn length(&mut self) -> Result<u64, FormatError> {
        let length = self.number()?;
        if length > LONGEST { Err(FormatError::Record(self.count)) } else { Ok(length) }
    }

    fn float(&mut self) -> Result<f64, FormatError> {
        let mut bytes = [0; 8];
        self.stream.read_exact(&mut bytes)?;
        Ok(f64::from_bits(u64::from_le_bytes(bytes)))
    }

    fn claims(&mut self) -> Result<Vec<Claim>, FormatError> {
        let mut claims = Vec::new();
        for _ in 0..self.length()? {
            let disjunct = self.index()?;
            let mut rows = Vec::new();
            for _ in 0..self.length()? {
                let (objective, weight) = (self.index()?, self.number()?);
                let mut alpha = Alpha::new();
                for _ in 0..self.length()? {
                    let layer = self.index()? as usize;
                    let (mut slopes, mut last) = (BTreeMap::new(), 0u32);
                    for _ in 0..self.length()? {
                        let neuron = last.checked_add(self.index()?).ok_or(FormatError::Record(self.count))?;
                        let slope = i64::try_from(self.number()?).map_err(|_| FormatError::Record(self.count))?;
                        slopes.insert(neuron, slope);
                        last = neuron;
                    }
                    alpha.insert(layer, slopes);
                }
                rows.push(Row { objective, weight, alpha });
            }
            claims.push(Claim { disjunct, rows });
        }
        Ok(claims)
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// See [`FormatError`].
    pub fn read(&mut self) -> Result<Option<Record>, FormatError> {
        match self.byte()? {
            0 => {
                let mut rest = [0];
                return match self.stream.read(&mut rest)? {
                    0 => Ok(None),
                    _ => Err(FormatError::Record(self.count)),
                };
            }
            1 => {}
            _ => return Err(FormatError::Record(self.count)),
        }
        self.count += 1;
        let id = self.number()?;
        let (refuted, cutting) = (self.claims()?, self.claims()?);
        let next = match self.byte()? {
            0 => Next::Closed,
            1 => Next::Whole,
            2 => Next::Axis(self.index()?, self.float()?),
            _ => return Err(FormatError::Record(self.count)),
        };
        Ok(Some(Record { id, refuted, cutting, next }))
    }
}

/// The dyadic number that a float is.
pub fn exact(v: f64) -> Option<Dyadic> {
    decode_f64(v).map(Dyadic::from)
}
