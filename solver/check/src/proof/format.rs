//! The file of a certificate: gzip streams of records, in the order in which the search took up the parts.
//!
//! Integers are unsigned LEB128; a float is its bytes, least first. The stream starts with [`MAGIC`] and the digests of
//! the files that it is about; `proofs-notes/` gives the layout.

use crate::evaluate::Enclosure;
use crate::float::decode_f64;
use crate::interval::Dyadic;
use crate::pair::Related;
use dashu_base::Sign;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use thiserror::Error;

/// What a certificate starts with: its name and the version of its layout.
pub const MAGIC: &[u8] = b"secateur certificate 4\n";

/// The most entries of the lists and covers of a record.
const LONGEST: u64 = 1 << 24;

/// The most splits that lie above a leaf of a cover.
const DEEPEST: u32 = 1 << 10;

/// Bits behind the point of a slope.
pub const SLOPE_BITS: u32 = 24;

/// The slope 1.
pub const WHOLE: i64 = 1 << SLOPE_BITS;

/// A fault in the file.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The stream is damaged or ends early.
    #[error("the certificate is damaged or cut off: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is not a certificate of version 4")]
    Magic,
    /// It is about other files.
    #[error("the certificate is about another {0}")]
    Digest(&'static str),
    /// An unknown tag, or a list that is too long.
    #[error("record {0} of the certificate has an unknown tag or an impossible number")]
    Record(u64),
}

/// SHA-256 of the model and of the property, as uncompressed files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// Of the model.
    pub model: [u8; 32],
    /// Of the property.
    pub property: [u8; 32],
}

impl Digests {
    /// Those of two files, unpacked where they are compressed.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(model: &Path, property: &Path) -> io::Result<Self> {
        Ok(Self { model: digest(model)?, property: digest(property)? })
    }

    /// Those of a question about two networks: the model's is that of both files' digests.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of_pair(first: &Path, second: &Path, property: &Path) -> io::Result<Self> {
        let both = [digest(first)?, digest(second)?].concat();
        Ok(Self { model: Sha256::digest(both).into(), property: digest(property)? })
    }
}

fn digest(file: &Path) -> io::Result<[u8; 32]> {
    let mut plain = BufReader::new(File::open(file)?);
    let mut hash = Sha256::new();
    if plain.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        io::copy(&mut MultiGzDecoder::new(plain), &mut hash)?;
    } else {
        io::copy(&mut plain, &mut hash)?;
    }
    Ok(hash.finalize().into())
}

/// The sign of a ReLU's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// The ReLU layer, by number.
    pub layer: u32,
    /// The neuron.
    pub neuron: u32,
    /// Whether $z \ge 0$; otherwise $z \le 0$.
    pub active: bool,
}

/// How a row goes back to the input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slopes {
    /// Numbers in [0, 1] per layer and neuron, both ascending, in units of $2^{-24}$. For ReLUs the slope below where they are
    /// open; others take 0 or 1, whichever leaves the smaller area. For curved functions that bend one way, how far from the
    /// lower end of the range the tangent touches, for products (under their first number) the share of the second of the two
    /// planes on a side; others take 1/2.
    pub alpha: Vec<(u32, Vec<(u32, u32)>)>,
    /// Multipliers of the splits, in their order; 0 for those that are left out at the end.
    pub beta: Vec<f64>,
    /// Multipliers of other signs, which ranges show: layer, neuron, multiplier.
    pub shown: Vec<(u32, u32, f64)>,
}

/// One objective's bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The objective of its disjunct.
    pub objective: u32,
    /// Its weight among the rows of the disjunct: 1 for the only one, or 0 if the splits alone contradict each other.
    pub weight: u64,
    /// Its slopes.
    pub slopes: Slopes,
}

/// Why a disjunct holds no counterexample on a part, or on what is cut from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The disjunct.
    pub disjunct: u32,
    /// Weighted objectives, bounded together.
    pub rows: Vec<Row>,
}

/// Lower and upper ends, by input or neuron, ascending.
pub type Sides = Vec<(u32, f64, f64)>;

/// How a part goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing is left of it.
    Closed,
    /// What the cuts leave is one part again.
    Whole,
    /// What the cuts leave is split there.
    Axis(u32, f64),
    /// Two parts: the one with this sign, then the one with the other.
    Relu(Split),
    /// Two parts: the one with this disjunct alone, then the one with all others.
    Apart(u32),
}

impl Next {
    /// How many parts this leads to.
    pub fn children(&self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Whole => 1,
            Self::Axis(..) | Self::Relu(_) | Self::Apart(_) => 2,
        }
    }
}

/// What became of one part.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The part. The regions of the property are the first; children take the next free numbers in order.
    pub id: u64,
    /// Disjuncts that are refuted on all of it.
    pub refuted: Vec<Claim>,
    /// Linear bounds that cut it: where they are positive, their disjunct holds nothing. Before a split at a ReLU it is one, of
    /// the only open disjunct; from there on half-spaces narrow ranges ([`super::spaces`]).
    pub cutting: Vec<Claim>,
    /// Where the search put the sides that it moved, by input: lower and upper. Slopes are fitted to that box, so no more
    /// is cut than this.
    pub left: Sides,
    /// The half-space that the search took from the cutting claim before a split at a ReLU, coefficients and constant: the
    /// claim's own is moved out to it, for what follows is fitted to it.
    pub space: Vec<f64>,
    /// Splits of the part, by their places, ascending, without which its disjuncts are refuted: multipliers are those of the
    /// others. Only of a part that is closed.
    pub without: Vec<u32>,
    /// How it goes on.
    pub next: Next,
}

impl Step {
    /// Nothing is refuted and nothing is cut.
    pub fn new(next: Next) -> Self {
        let (refuted, cutting, left, space, without) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { id: 0, refuted, cutting, left, space, without, next }
    }
}

/// Parts of a part, for one bound: each half is covered again, or bounded.
#[derive(Clone, Debug, PartialEq)]
pub enum Cover {
    /// Bounded.
    Leaf(Slopes),
    /// The half in which this ReLU's input is at most 0, and the half in which it is at least 0.
    Halves(u32, u32, Box<[Cover; 2]>),
}

/// Why a bound of a ReLU's input holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The neuron.
    pub neuron: u32,
    /// Whether it is the upper bound.
    pub upper: bool,
    /// The least bound over this cover.
    pub cover: Cover,
}

/// Bounds of the inputs of ReLUs on a part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The part, which stays open.
    pub id: u64,
    /// Entries of layers of functions, by number, ascending.
    pub layers: Vec<(u32, Vec<Entry>)>,
    /// What the search took as the ranges of narrow inputs of functions, by layer and neuron, ascending: no tighter ones are
    /// taken here, since they would turn the lines that slopes and multipliers are fitted to.
    pub ranges: Vec<(u32, Sides)>,
}

/// A counterexample.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// The input.
    pub point: Vec<RBig>,
    /// Two numbers for each output, between which it lies there; the same where it is one number.
    pub outputs: Vec<Enclosure>,
}

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A part is done with.
    Step(Step),
    /// A part is known better.
    Table(Table),
    /// The property fails; the only record, or the only one behind the next.
    Witness(Witness),
    /// Which entries of two networks are related ([`crate::pair`]); the first record.
    Related(Related),
}

fn number(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push((v & 0x7f) as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// A slope's bits in reverse, so that those with few bits take few bytes; multipliers are written in the same way.
fn reversed(slope: u32) -> u32 {
    slope.reverse_bits() >> (31 - SLOPE_BITS)
}

fn slopes(out: &mut Vec<u8>, slopes: &Slopes) {
    number(out, slopes.alpha.len() as u64);
    for (layer, of) in &slopes.alpha {
        number(out, u64::from(*layer));
        number(out, of.len() as u64);
        let mut last = 0;
        for (neuron, slope) in of {
            number(out, u64::from(neuron - last));
            number(out, u64::from(reversed(*slope)));
            last = *neuron;
        }
    }
    number(out, slopes.beta.len() as u64);
    slopes.beta.iter().for_each(|beta| number(out, beta.to_bits().reverse_bits()));
    number(out, slopes.shown.len() as u64);
    for (layer, neuron, beta) in &slopes.shown {
        number(out, u64::from(*layer));
        number(out, u64::from(*neuron));
        number(out, beta.to_bits().reverse_bits());
    }
}

fn claims(out: &mut Vec<u8>, claims: &[Claim]) {
    number(out, claims.len() as u64);
    for claim in claims {
        number(out, u64::from(claim.disjunct));
        number(out, claim.rows.len() as u64);
        for row in &claim.rows {
            number(out, u64::from(row.objective));
            number(out, row.weight);
            slopes(out, &row.slopes);
        }
    }
}

fn cover(out: &mut Vec<u8>, part: &Cover) {
    match part {
        Cover::Leaf(leaf) => {
            out.push(0);
            slopes(out, leaf);
        }
        Cover::Halves(layer, neuron, halves) => {
            out.push(1);
            number(out, u64::from(*layer));
            number(out, u64::from(*neuron));
            halves.iter().for_each(|half| cover(out, half));
        }
    }
}

fn sides(out: &mut Vec<u8>, sides: &[(u32, f64, f64)]) {
    number(out, sides.len() as u64);
    for (axis, lower, upper) in sides {
        number(out, u64::from(*axis));
        [lower, upper].into_iter().for_each(|end| number(out, end.to_bits().reverse_bits()));
    }
}

fn integer(out: &mut Vec<u8>, magnitude: &UBig) {
    let bytes = magnitude.to_le_bytes();
    number(out, bytes.len() as u64);
    out.extend_from_slice(&bytes);
}

fn rational(out: &mut Vec<u8>, v: &RBig) {
    let (sign, magnitude) = v.numerator().clone().into_parts();
    out.push(u8::from(sign == Sign::Negative));
    integer(out, &magnitude);
    integer(out, v.denominator());
}

/// Starts a stream of records.
///
/// # Errors
/// Those of the stream.
pub fn begin(stream: &mut impl Write, digests: &Digests) -> io::Result<()> {
    stream.write_all(MAGIC)?;
    stream.write_all(&digests.model)?;
    stream.write_all(&digests.property)
}

/// Appends a record.
///
/// # Errors
/// Those of the stream.
pub fn write(stream: &mut impl Write, record: &Record) -> io::Result<()> {
    let mut out = Vec::new();
    match record {
        Record::Step(step) => {
            out.push(1);
            number(&mut out, step.id);
            claims(&mut out, &step.refuted);
            claims(&mut out, &step.cutting);
            sides(&mut out, &step.left);
            number(&mut out, step.space.len() as u64);
            step.space.iter().for_each(|v| number(&mut out, v.to_bits().reverse_bits()));
            match step.next {
                Next::Closed if !step.without.is_empty() => {
                    out.push(6);
                    number(&mut out, step.without.len() as u64);
                    step.without.iter().for_each(|place| number(&mut out, u64::from(*place)));
                }
                Next::Closed => out.push(0),
                Next::Whole => out.push(1),
                Next::Axis(axis, at) => {
                    out.push(2);
                    number(&mut out, u64::from(axis));
                    out.extend(at.to_bits().to_le_bytes());
                }
                Next::Relu(split) => {
                    out.push(if split.active { 4 } else { 3 });
                    number(&mut out, u64::from(split.layer));
                    number(&mut out, u64::from(split.neuron));
                }
                Next::Apart(disjunct) => {
                    out.push(5);
                    number(&mut out, u64::from(disjunct));
                }
            }
        }
        Record::Table(table) => {
            out.push(2);
            number(&mut out, table.id);
            number(&mut out, table.layers.len() as u64);
            for (layer, entries) in &table.layers {
                number(&mut out, u64::from(*layer));
                number(&mut out, entries.len() as u64);
                for entry in entries {
                    number(&mut out, u64::from(entry.neuron) << 1 | u64::from(entry.upper));
                    cover(&mut out, &entry.cover);
                }
            }
            number(&mut out, table.ranges.len() as u64);
            for (layer, ranges) in &table.ranges {
                number(&mut out, u64::from(*layer));
                sides(&mut out, ranges);
            }
        }
        Record::Witness(witness) => {
            out.push(3);
            number(&mut out, witness.point.len() as u64);
            witness.point.iter().for_each(|v| rational(&mut out, v));
            number(&mut out, witness.outputs.len() as u64);
            witness.outputs.iter().flat_map(|y| [&y.lower, &y.upper]).for_each(|v| rational(&mut out, v));
        }
        Record::Related(related) => {
            out.push(4);
            number(&mut out, related.0.len() as u64);
            for chosen in &related.0 {
                number(&mut out, chosen.len() as u64);
                chosen.iter().for_each(|i| number(&mut out, u64::from(*i)));
            }
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
    stream: BufReader<MultiGzDecoder<R>>,
    count: u64,
    /// Entries of the lists of the present record.
    entries: u64,
}

impl<R: Read> Reader<R> {
    /// Opens a certificate about files with these digests.
    ///
    /// # Errors
    /// It is not one, or about other files.
    pub fn new(stream: R, expected: &Digests) -> Result<Self, FormatError> {
        let mut stream = BufReader::new(MultiGzDecoder::new(stream));
        let mut magic = [0; MAGIC.len()];
        match stream.read_exact(&mut magic) {
            Ok(()) if magic == MAGIC => {}
            _ => return Err(FormatError::Magic),
        }
        for (digest, what) in [(expected.model, "model"), (expected.property, "property")] {
            let mut found = [0; 32];
            stream.read_exact(&mut found)?;
            if found != digest {
                return Err(FormatError::Digest(what));
            }
        }
        Ok(Self { stream, count: 0, entries: 0 })
    }

    /// How many entries the lists and covers of the last record have, all together.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    fn wrong(&self) -> FormatError {
        FormatError::Record(self.count)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u64, FormatError> {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let [byte] = self.bytes()?;
            if shift > 63 || (shift == 63 && byte > 1) {
                return Err(self.wrong());
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    fn index(&mut self) -> Result<u32, FormatError> {
        u32::try_from(self.number()?).map_err(|_| self.wrong())
    }

    fn list<T>(&mut self, mut entry: impl FnMut(&mut Self) -> Result<T, FormatError>) -> Result<Vec<T>, FormatError> {
        let length = self.number()?;
        self.entries = self.entries.saturating_add(length);
        if self.entries > LONGEST {
            return Err(self.wrong());
        }
        (0..length).map(|_| entry(self)).collect()
    }

    fn slopes(&mut self) -> Result<Slopes, FormatError> {
        let alpha = self.list(|this| {
            let (layer, mut last) = (this.index()?, 0u32);
            let of = this.list(|this| {
                let neuron = last.checked_add(this.index()?).ok_or_else(|| this.wrong())?;
                let slope = this.index()?;
                last = neuron;
                if slope >> (SLOPE_BITS + 1) > 0 { Err(this.wrong()) } else { Ok((neuron, reversed(slope))) }
            })?;
            Ok((layer, of))
        })?;
        let beta = self.list(|this| Ok(f64::from_bits(this.number()?.reverse_bits())))?;
        let float = |this: &mut Self| Ok::<_, FormatError>(f64::from_bits(this.number()?.reverse_bits()));
        let shown = self.list(|this| Ok((this.index()?, this.index()?, float(this)?)))?;
        Ok(Slopes { alpha, beta, shown })
    }

    fn claims(&mut self) -> Result<Vec<Claim>, FormatError> {
        self.list(|this| {
            let disjunct = this.index()?;
            let row =
                |this: &mut Self| Ok(Row { objective: this.index()?, weight: this.number()?, slopes: this.slopes()? });
            Ok(Claim { disjunct, rows: this.list(row)? })
        })
    }

    fn cover(&mut self, depth: u32) -> Result<Cover, FormatError> {
        self.entries += 1;
        if self.entries > LONGEST {
            return Err(self.wrong());
        }
        match self.bytes()? {
            [0] => Ok(Cover::Leaf(self.slopes()?)),
            [1] if depth < DEEPEST => {
                let (layer, neuron) = (self.index()?, self.index()?);
                Ok(Cover::Halves(layer, neuron, Box::new([self.cover(depth + 1)?, self.cover(depth + 1)?])))
            }
            _ => Err(self.wrong()),
        }
    }

    fn sides(&mut self) -> Result<Sides, FormatError> {
        self.list(|this| {
            let axis = this.index()?;
            let mut end = || Ok::<_, FormatError>(f64::from_bits(this.number()?.reverse_bits()));
            Ok((axis, end()?, end()?))
        })
    }

    fn step(&mut self) -> Result<Step, FormatError> {
        let (id, refuted, cutting) = (self.number()?, self.claims()?, self.claims()?);
        let left = self.sides()?;
        let space = self.list(|this| Ok(f64::from_bits(this.number()?.reverse_bits())))?;
        let mut without = Vec::new();
        let next = match self.bytes()? {
            [0] => Next::Closed,
            [1] => Next::Whole,
            [2] => Next::Axis(self.index()?, f64::from_bits(u64::from_le_bytes(self.bytes()?))),
            [tag @ (3 | 4)] => Next::Relu(Split { layer: self.index()?, neuron: self.index()?, active: tag == 4 }),
            [5] => Next::Apart(self.index()?),
            [6] => {
                without = self.list(Self::index)?;
                Next::Closed
            }
            _ => return Err(self.wrong()),
        };
        Ok(Step { id, refuted, cutting, left, space, without, next })
    }

    fn table(&mut self) -> Result<Table, FormatError> {
        let id = self.number()?;
        let layers = self.list(|this| {
            let layer = this.index()?;
            let entry = |this: &mut Self| {
                let at = this.number()?;
                let neuron = u32::try_from(at >> 1).map_err(|_| this.wrong())?;
                Ok(Entry { neuron, upper: at & 1 == 1, cover: this.cover(0)? })
            };
            Ok((layer, this.list(entry)?))
        })?;
        let ranges = self.list(|this| Ok((this.index()?, this.sides()?)))?;
        Ok(Table { id, layers, ranges })
    }

    fn integer(&mut self) -> Result<UBig, FormatError> {
        let bytes = self.list(|this| Ok(this.bytes::<1>()?[0]))?;
        Ok(UBig::from_le_bytes(&bytes))
    }

    fn rational(&mut self) -> Result<RBig, FormatError> {
        let sign = match self.bytes()? {
            [0] => Sign::Positive,
            [1] => Sign::Negative,
            _ => return Err(self.wrong()),
        };
        let (numerator, denominator) = (self.integer()?, self.integer()?);
        if denominator.is_zero() {
            return Err(self.wrong());
        }
        Ok(RBig::from_parts(IBig::from_parts(sign, numerator), denominator))
    }

    fn witness(&mut self) -> Result<Witness, FormatError> {
        let point = self.list(Self::rational)?;
        let outputs = self.list(|this| Ok(Enclosure { lower: this.rational()?, upper: this.rational()? }))?;
        Ok(Witness { point, outputs })
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// See [`FormatError`].
    pub fn read(&mut self) -> Result<Option<Record>, FormatError> {
        let [tag] = self.bytes()?;
        if tag == 0 {
            let mut rest = [0];
            return if self.stream.read(&mut rest)? == 0 { Ok(None) } else { Err(self.wrong()) };
        }
        self.count += 1;
        self.entries = 0;
        match tag {
            1 => Ok(Some(Record::Step(self.step()?))),
            2 => Ok(Some(Record::Table(self.table()?))),
            3 => Ok(Some(Record::Witness(self.witness()?))),
            4 => Ok(Some(Record::Related(Related(self.list(|this| this.list(Self::index))?)))),
            _ => Err(self.wrong()),
        }
    }
}

/// The dyadic number that a float is.
pub fn exact(v: f64) -> Option<Dyadic> {
    decode_f64(v).map(Dyadic::from)
}
