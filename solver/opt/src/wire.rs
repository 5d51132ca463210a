//! What a solver process and its parent say to each other, in little-endian frames.
//!
//! The parent sends a problem; the process answers with one [`Message`] after another, each of which asks for a value
//! of a function, until the one that holds the end. The parent answers each question with the values, or with nothing
//! where they are not finite.

use std::io::{self, Read, Write};

/// Everything about a problem that does not depend on the point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problem {
    /// Options with numbers.
    pub numbers: Vec<(String, f64)>,
    /// Options with words.
    pub words: Vec<(String, String)>,
    /// Options with integers.
    pub integers: Vec<(String, i32)>,
    /// Wall time after which to stop, in seconds; infinite if there is no limit.
    pub seconds: f64,
    /// $\ell$, large in magnitude where there is no bound, as for the three below.
    pub lower: Vec<f64>,
    /// $u$.
    pub upper: Vec<f64>,
    /// $\ell^r$.
    pub row_lower: Vec<f64>,
    /// $u^r$.
    pub row_upper: Vec<f64>,
    /// The start.
    pub start: Vec<f64>,
    /// $\lambda$, empty unless the start is warm, as for the two below.
    pub constraint_multipliers: Vec<f64>,
    /// $z^\ell$.
    pub lower_multipliers: Vec<f64>,
    /// $z^u$.
    pub upper_multipliers: Vec<f64>,
    /// Row and column of every entry of the Jacobian.
    pub jacobian: Vec<(u32, u32)>,
    /// Row and column of every entry of the Hessian's lower triangle.
    pub hessian: Vec<(u32, u32)>,
}

/// What a solver process says.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Asks for $f(x)$.
    Objective(Vec<f64>),
    /// Asks for $\nabla f(x)$.
    Gradient(Vec<f64>),
    /// Asks for $g(x)$.
    Constraints(Vec<f64>),
    /// Asks for $J(x)$.
    Jacobian(Vec<f64>),
    /// Asks for the Hessian at $x$ with objective factor and multipliers.
    Hessian(Vec<f64>, f64, Vec<f64>),
    /// The end of a solve.
    End(End),
}

/// The end of a solve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct End {
    /// The return code.
    pub code: i32,
    /// Whether the time was up.
    pub timed_out: bool,
    /// Iterations, those inside restoration included.
    pub iterations: u64,
    /// How many times restoration began.
    pub restorations: u64,
    /// $x$.
    pub point: Vec<f64>,
    /// $\lambda$.
    pub constraint_multipliers: Vec<f64>,
    /// $z^\ell$.
    pub lower_multipliers: Vec<f64>,
    /// $z^u$.
    pub upper_multipliers: Vec<f64>,
}

/// Longest vector that is read.
const LONGEST: u64 = 1 << 32;

fn put_count(to: &mut impl Write, count: usize) -> io::Result<()> {
    to.write_all(&(count as u64).to_le_bytes())
}

fn take<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn take_count(from: &mut impl Read) -> io::Result<usize> {
    let count = u64::from_le_bytes(take(from)?);
    if count > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(count as usize)
}

fn put_vector(to: &mut impl Write, values: &[f64]) -> io::Result<()> {
    put_count(to, values.len())?;
    values.iter().try_for_each(|value| to.write_all(&value.to_le_bytes()))
}

fn take_vector(from: &mut impl Read) -> io::Result<Vec<f64>> {
    (0..take_count(from)?).map(|_| Ok(f64::from_le_bytes(take(from)?))).collect()
}

fn put_text(to: &mut impl Write, text: &str) -> io::Result<()> {
    put_count(to, text.len())?;
    to.write_all(text.as_bytes())
}

fn take_text(from: &mut impl Read) -> io::Result<String> {
    let bytes: io::Result<Vec<u8>> = (0..take_count(from)?).map(|_| Ok(take::<1>(from)?[0])).collect();
    String::from_utf8(bytes?).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn put_pattern(to: &mut impl Write, pattern: &[(u32, u32)]) -> io::Result<()> {
    put_count(to, pattern.len())?;
    pattern.iter().try_for_each(|(row, column)| {
        to.write_all(&row.to_le_bytes())?;
        to.write_all(&column.to_le_bytes())
    })
}

fn take_pattern(from: &mut impl Read) -> io::Result<Vec<(u32, u32)>> {
    (0..take_count(from)?).map(|_| Ok((u32::from_le_bytes(take(from)?), u32::from_le_bytes(take(from)?)))).collect()
}

impl Problem {
    fn vectors(&self) -> [&Vec<f64>; 8] {
        [
            &self.lower,
            &self.upper,
            &self.row_lower,
            &self.row_upper,
            &self.start,
            &self.constraint_multipliers,
            &self.lower_multipliers,
            &self.upper_multipliers,
        ]
    }

    /// Writes a problem.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        put_count(to, self.numbers.len())?;
        for (name, value) in &self.numbers {
            put_text(to, name)?;
            to.write_all(&value.to_le_bytes())?;
        }
        put_count(to, self.words.len())?;
        for (name, value) in &self.words {
            put_text(to, name)?;
            put_text(to, value)?;
        }
        put_count(to, self.integers.len())?;
        for (name, value) in &self.integers {
            put_text(to, name)?;
            to.write_all(&value.to_le_bytes())?;
        }
        to.write_all(&self.seconds.to_le_bytes())?;
        self.vectors().into_iter().try_for_each(|vector| put_vector(to, vector))?;
        put_pattern(to, &self.jacobian)?;
        put_pattern(to, &self.hessian)?;
        to.flush()
    }

    /// Reads a problem.
    ///
    /// # Errors
    /// Those of the reader, and bytes that are no problem.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut numbers = Vec::new();
        for _ in 0..take_count(from)? {
            numbers.push((take_text(from)?, f64::from_le_bytes(take(from)?)));
        }
        let mut words = Vec::new();
        for _ in 0..take_count(from)? {
            words.push((take_text(from)?, take_text(from)?));
        }
        let mut integers = Vec::new();
        for _ in 0..take_count(from)? {
            integers.push((take_text(from)?, i32::from_le_bytes(take(from)?)));
        }
        Ok(Self {
            numbers,
            words,
            integers,
            seconds: f64::from_le_bytes(take(from)?),
            lower: take_vector(from)?,
            upper: take_vector(from)?,
            row_lower: take_vector(from)?,
            row_upper: take_vector(from)?,
            start: take_vector(from)?,
            constraint_multipliers: take_vector(from)?,
            lower_multipliers: take_vector(from)?,
            upper_multipliers: take_vector(from)?,
            jacobian: take_pattern(from)?,
            hessian: take_pattern(from)?,
        })
    }
}

impl Message {
    /// Writes a message.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Message::Objective(x) => put_tagged(to, b'f', x)?,
            Message::Gradient(x) => put_tagged(to, b'g', x)?,
            Message::Constraints(x) => put_tagged(to, b'c', x)?,
            Message::Jacobian(x) => put_tagged(to, b'j', x)?,
            Message::Hessian(x, factor, multipliers) => {
                put_tagged(to, b'h', x)?;
                to.write_all(&factor.to_le_bytes())?;
                put_vector(to, multipliers)?;
            }
            Message::End(end) => {
                to.write_all(&[b'e', u8::from(end.timed_out)])?;
                to.write_all(&end.code.to_le_bytes())?;
                to.write_all(&end.iterations.to_le_bytes())?;
                to.write_all(&end.restorations.to_le_bytes())?;
                for vector in [&end.point, &end.constraint_multipliers, &end.lower_multipliers, &end.upper_multipliers]
                {
                    put_vector(to, vector)?;
                }
            }
        }
        to.flush()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Those of the reader, and bytes that are no message.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        Ok(match take::<1>(from)?[0] {
            b'f' => Message::Objective(take_vector(from)?),
            b'g' => Message::Gradient(take_vector(from)?),
            b'c' => Message::Constraints(take_vector(from)?),
            b'j' => Message::Jacobian(take_vector(from)?),
            b'h' => Message::Hessian(take_vector(from)?, f64::from_le_bytes(take(from)?), take_vector(from)?),
            b'e' => Message::End(End {
                timed_out: take::<1>(from)?[0] != 0,
                code: i32::from_le_bytes(take(from)?),
                iterations: u64::from_le_bytes(take(from)?),
                restorations: u64::from_le_bytes(take(from)?),
                point: take_vector(from)?,
                constraint_multipliers: take_vector(from)?,
                lower_multipliers: take_vector(from)?,
                upper_multipliers: take_vector(from)?,
            }),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        })
    }
}

fn put_tagged(to: &mut impl Write, tag: u8, x: &[f64]) -> io::Result<()> {
    to.write_all(&[tag])?;
    put_vector(to, x)
}

/// Writes the values that a message asks for; nothing where they are not finite.
///
/// # Errors
/// Those of the writer.
pub fn write_answer(to: &mut impl Write, values: Option<&[f64]>) -> io::Result<()> {
    to.write_all(&[u8::from(values.is_some())])?;
    put_vector(to, values.unwrap_or(&[]))?;
    to.flush()
}

/// Reads the values that a message asked for.
///
/// # Errors
/// Those of the reader.
pub fn read_answer(from: &mut impl Read) -> io::Result<Option<Vec<f64>>> {
    let finite = take::<1>(from)?[0] != 0;
    let values = take_vector(from)?;
    Ok(finite.then_some(values))
}
