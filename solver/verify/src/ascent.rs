//! The ascent of [`crate::alpha`] on a device: the same steps on the same numbers, for many rows at once.
//!
//! One step, with buffers that stay on the device for the whole ascent:
//! 1. take every row back to the input, with the coefficients at each layer kept;
//! 2. its minimum on its box; where that is the greatest so far, keep the row's slopes and multipliers;
//! 3. the values of the relaxed network at the minimiser;
//! 4. a step of Adam on slopes and multipliers.
//!
//! The minima come back after each step, to see whether every row is done; the slopes at the end.

use crate::alpha::{Params, Slopes};
use crate::proposal::Task;
use crate::resident::{Resident, Stage};
use secateur_linalg::device::{Boxes, Device, DeviceError, Done, Entries, Indices, Lines, Memory, Shape, Step, Sum};
use std::ops::Range;

/// Numbers that an ascent may hold on a device: two gigabytes. More rows go one after the other.
const FLOATS_AT_ONCE: usize = 1 << 29;

/// Slopes and multipliers for the rows of a task.
///
/// # Errors
/// The device fails.
pub fn propose<D: Device>(resident: &Resident<D>, task: &Task<'_>) -> Result<Slopes<f32>, DeviceError> {
    // Two buffers for each layer, five more for slopes.
    let each: usize = resident.layers.iter().map(|(size, _)| 7 * size).sum();
    let most = (FLOATS_AT_ONCE / each.max(1)).max(1);
    let (rows, layers) = (task.rows.len(), resident.layers.len());
    let mut found = Slopes { alpha: vec![Vec::new(); layers], beta: vec![Vec::new(); layers] };
    for first in (0..rows).step_by(most) {
        let part = Ascent::new(resident, task, first..(first + most).min(rows))?.run()?;
        found.alpha.iter_mut().zip(part.alpha).for_each(|(all, part)| all.extend(part));
        found.beta.iter_mut().zip(part.beta).for_each(|(all, part)| all.extend(part));
    }
    Ok(found)
}

type Floats<D> = <D as Memory>::Floats;
type Words<D> = Indices<<D as Memory>::Words>;

/// What the ascent holds of a ReLU layer.
struct Relus<D: Device> {
    alpha: Floats<D>,
    best: Floats<D>,
    moments: (Floats<D>, Floats<D>),
    above: Floats<D>,
    intercept: Floats<D>,
    splits: Option<Splits<D>>,
}

/// What it holds of the splits in it.
struct Splits<D: Device> {
    beta: Floats<D>,
    best: Floats<D>,
    moments: (Floats<D>, Floats<D>),
    row: Words<D>,
    neuron: Words<D>,
    sign: Floats<D>,
}

impl<D: Device> Relus<D> {
    fn lines<'a>(&'a self, domain: &'a Words<D>) -> Lines<'a, D> {
        Lines { above: &self.above, intercept: &self.intercept, domain }
    }
}

impl<D: Device> Splits<D> {
    fn new(device: &D, entries: &[(u32, u32, f32)], signs: Vec<f32>) -> Result<Option<Self>, DeviceError> {
        if entries.is_empty() {
            return Ok(None);
        }
        let beta: Vec<f32> = entries.iter().map(|(_, _, signed)| *signed).collect();
        let row: Vec<u32> = entries.iter().map(|(r, _, _)| *r).collect();
        let neuron: Vec<u32> = entries.iter().map(|(_, j, _)| *j).collect();
        let zeros = || device.floats(&vec![0.0; beta.len()]);
        Ok(Some(Self {
            beta: device.floats(&beta)?,
            best: device.floats(&beta)?,
            moments: (zeros()?, zeros()?),
            row: device.indices(&row)?,
            neuron: device.indices(&neuron)?,
            sign: device.floats(&signs)?,
        }))
    }
}

fn entries<'a, D: Device>(row: &'a Words<D>, neuron: &'a Words<D>, sign: &'a Floats<D>) -> Entries<'a, D> {
    Entries { row, neuron, sign }
}

struct Ascent<'a, D: Device> {
    resident: &'a Resident<D>,
    task: &'a Task<'a>,
    /// The rows of the task that go through it.
    range: Range<usize>,
    domain: Words<D>,
    boxes: Floats<D>,
    upper: Floats<D>,
    box_of: Words<D>,
    /// The rows' own coefficients, and their constants.
    own: Vec<Option<Floats<D>>>,
    own_constant: Floats<D>,
    /// The coefficients at every layer that the rows reach.
    coefficients: Vec<Option<Floats<D>>>,
    /// The values at every layer below such a ReLU layer.
    values: Vec<Option<Floats<D>>>,
    relus: Vec<Option<Relus<D>>>,
    constant: Floats<D>,
    minimum: Floats<D>,
    best: Floats<D>,
    better: Floats<D>,
}

impl<'a, D: Device> Ascent<'a, D> {
    fn new(resident: &'a Resident<D>, task: &'a Task<'a>, range: Range<usize>) -> Result<Self, DeviceError> {
        let (device, rows) = (&*resident.device, range.len());
        let layers = &resident.layers;
        let reached = reached(resident, task);
        let needed = needed(resident, &reached);
        let buffer = |(k, on): (usize, &bool)| on.then(|| device.poisoned(rows * layers[k].0)).transpose();
        let buffers = |on: &[bool]| on.iter().enumerate().map(buffer).collect::<Result<Vec<_>, _>>();
        let own = |(k, own): (usize, &Option<Vec<f32>>)| {
            let size = layers[k].0;
            own.as_ref().map(|own| device.floats(&own[range.start * size..range.end * size])).transpose()
        };
        let mut relus = Vec::with_capacity(layers.len());
        for (k, reached) in reached.iter().enumerate() {
            let is_relu = matches!(layers[k].1, Stage::Relu { .. });
            relus.push(if *reached && is_relu {
                Some(relu_state(device, task, &range, k, layers[k].0)?)
            } else {
                None
            });
        }
        let domains = &task.rows.domain[range.clone()];
        let shared = task.one_box();
        let box_of: Vec<u32> = domains.iter().map(|d| if shared { 0 } else { *d }).collect();
        let corners = if shared { layers[0].0 } else { task.boxes.lower.len() };
        Ok(Self {
            domain: device.indices(domains)?,
            boxes: device.floats(&task.boxes.lower[..corners])?,
            upper: device.floats(&task.boxes.upper[..corners])?,
            box_of: device.indices(&box_of)?,
            own: task.rows.coefficients.iter().enumerate().map(own).collect::<Result<_, _>>()?,
            own_constant: device.floats(&task.rows.constant[range.clone()])?,
            coefficients: buffers(&reached)?,
            values: buffers(&needed)?,
            relus,
            constant: device.poisoned(rows)?,
            minimum: device.poisoned(rows)?,
            best: device.floats(&vec![f32::NEG_INFINITY; rows])?,
            better: device.poisoned(rows)?,
            resident,
            task,
            range,
        })
    }

    fn run(mut self) -> Result<Slopes<f32>, DeviceError> {
        let Params { steps, .. } = self.task.params;
        for step in 0..=steps {
            self.back_substitute()?;
            self.keep_better()?;
            if step == steps || self.is_done()? {
                break;
            }
            self.relaxed_forward()?;
            self.step(step)?;
        }
        self.slopes()
    }

    fn shape(&self, k: usize) -> Shape {
        Shape { rows: self.range.len(), size: self.resident.layers[k].0 }
    }

    /// Takes every row to the input.
    fn back_substitute(&mut self) -> Done {
        let (device, rows) = (&*self.resident.device, self.range.len());
        device.copy(&mut self.constant, &self.own_constant)?;
        let mut sums = vec![Sum::Replace; self.own.len()];
        for ((own, to), sum) in self.own.iter().zip(&mut self.coefficients).zip(&mut sums) {
            if let (Some(own), Some(to)) = (own, to) {
                device.copy(to, own)?;
                *sum = Sum::Add;
            }
        }
        for k in (1..self.resident.layers.len()).rev() {
            let shape = self.shape(k);
            let (below, from) = self.coefficients.split_at_mut(k);
            let Some(a) = &from[0] else { continue };
            match &self.resident.layers[k].1 {
                Stage::Input => {}
                Stage::Affine { terms, bias } => {
                    device.dot(&mut self.constant, a, bias, shape)?;
                    for (source, map) in terms {
                        let Some(out) = &mut below[*source] else { continue };
                        map.back(device, out, a, rows, sums[*source])?;
                        sums[*source] = Sum::Add;
                    }
                }
                Stage::Relu { source } => {
                    let (Some(relus), Some(out)) = (&self.relus[k], &mut below[*source]) else { continue };
                    let (lines, sum) = (relus.lines(&self.domain), sums[*source]);
                    device.relax_back(out, &mut self.constant, a, &relus.alpha, lines, shape, sum)?;
                    if let Some(splits) = &relus.splits {
                        let entries = entries::<D>(&splits.row, &splits.neuron, &splits.sign);
                        device.subtract(out, &splits.beta, entries, shape)?;
                    }
                    sums[*source] = Sum::Add;
                }
            }
        }
        Ok(())
    }

    fn keep_better(&mut self) -> Done {
        let (device, shape) = (&*self.resident.device, self.shape(0));
        let boxes = Boxes { lower: &self.boxes, upper: &self.upper, domain: &self.box_of };
        match &self.coefficients[0] {
            Some(a) => device.minimum(&mut self.minimum, a, &self.constant, boxes, shape)?,
            None => device.copy(&mut self.minimum, &self.constant)?,
        }
        device.rise(&mut self.best, &mut self.better, &self.minimum)?;
        for k in 0..self.relus.len() {
            let shape = self.shape(k);
            let Some(relus) = &mut self.relus[k] else { continue };
            device.keep_rows(&mut relus.best, &relus.alpha, &self.better, shape)?;
            if let Some(splits) = &mut relus.splits {
                let entries = entries::<D>(&splits.row, &splits.neuron, &splits.sign);
                device.keep_entries(&mut splits.best, &splits.beta, &self.better, entries)?;
            }
        }
        Ok(())
    }

    fn is_done(&self) -> Result<bool, DeviceError> {
        let best = self.resident.device.read(&self.best)?;
        Ok(self.range.clone().zip(best).all(|(r, best)| self.task.is_done(r, best)))
    }

    /// The values of the relaxed network at each row's minimiser.
    fn relaxed_forward(&mut self) -> Done {
        let (device, rows) = (&*self.resident.device, self.range.len());
        for k in 0..self.resident.layers.len() {
            let shape = self.shape(k);
            let (below, to) = self.values.split_at_mut(k);
            let Some(y) = &mut to[0] else { continue };
            match &self.resident.layers[k].1 {
                Stage::Input => {
                    let boxes = Boxes { lower: &self.boxes, upper: &self.upper, domain: &self.box_of };
                    let Some(a) = &self.coefficients[0] else { continue };
                    device.minimiser(y, a, boxes, shape)?;
                }
                Stage::Affine { terms, bias } => {
                    device.spread(y, bias, shape)?;
                    for (source, map) in terms {
                        let Some(x) = &below[*source] else { continue };
                        map.forward(device, y, x, rows)?;
                    }
                }
                Stage::Relu { source } => {
                    let (Some(relus), Some(z)) = (&self.relus[k], &below[*source]) else { continue };
                    let Some(a) = &self.coefficients[k] else { continue };
                    device.relax_forward(y, z, a, &relus.alpha, relus.lines(&self.domain), shape)?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, step: usize) -> Done {
        let (device, params) = (&*self.resident.device, self.task.params);
        let (decay, turn) = (params.decay.powi(step as i32), step as i32 + 1);
        let correct = |moment: f64| (1.0 / (1.0 - moment.powi(turn))) as f32;
        let with = |rate: f64| Step { rate: (rate * decay) as f32, first: correct(0.9), second: correct(0.999) };
        for k in 0..self.relus.len() {
            let shape = self.shape(k);
            let Stage::Relu { source } = self.resident.layers[k].1 else { continue };
            let (Some(a), Some(z)) = (&self.coefficients[k], &self.values[source]) else { continue };
            let Some(Relus { alpha, moments, above, intercept, splits, .. }) = &mut self.relus[k] else { continue };
            let lines = Lines { above, intercept, domain: &self.domain };
            let moments = (&mut moments.0, &mut moments.1);
            device.alpha_step(alpha, moments, a, z, lines, with(params.alpha_rate), shape)?;
            if let Some(Splits { beta, moments, row, neuron, sign, .. }) = splits {
                let moments = (&mut moments.0, &mut moments.1);
                let entries = entries::<D>(row, neuron, sign);
                device.beta_step(beta, moments, z, entries, with(params.beta_rate), shape)?;
            }
        }
        Ok(())
    }

    /// The best slopes and multipliers, beside those of layers that no row reaches.
    fn slopes(self) -> Result<Slopes<f32>, DeviceError> {
        let device = &*self.resident.device;
        let mut found = self.task.start_of(&self.range);
        for (k, relus) in self.relus.iter().enumerate() {
            let Some(relus) = relus else { continue };
            found.alpha[k] = device.read(&relus.best)?;
            if let Some(splits) = &relus.splits {
                let beta = device.read(&splits.best)?;
                found.beta[k].iter_mut().zip(beta).for_each(|(entry, beta)| entry.2 = beta);
            }
        }
        let first = self.range.start as u32;
        found.beta.iter_mut().flatten().for_each(|entry| entry.0 += first);
        Ok(found)
    }
}

fn relu_state<D: Device>(
    device: &D,
    task: &Task<'_>,
    range: &Range<usize>,
    k: usize,
    size: usize,
) -> Result<Relus<D>, DeviceError> {
    let alpha = &task.slopes.alpha[k][range.start * size..range.end * size];
    let zeros = || device.floats(&vec![0.0; alpha.len()]);
    let (entries, signs) = task.splits_of(k, range);
    Ok(Relus {
        alpha: device.floats(alpha)?,
        best: device.floats(alpha)?,
        moments: (zeros()?, zeros()?),
        above: device.floats(&task.bounds.lines.upper_slope[k])?,
        intercept: device.floats(&task.bounds.lines.upper_intercept[k])?,
        splits: Splits::new(device, &entries, signs)?,
    })
}

/// The layers that the rows have coefficients on, on their way to the input.
fn reached<D: Device>(resident: &Resident<D>, task: &Task<'_>) -> Vec<bool> {
    let mut reached: Vec<bool> = task.rows.coefficients.iter().map(Option::is_some).collect();
    for k in (1..reached.len()).rev() {
        if reached[k] {
            match &resident.layers[k].1 {
                Stage::Input => {}
                Stage::Affine { terms, .. } => terms.iter().for_each(|(source, _)| reached[*source] = true),
                Stage::Relu { source } => reached[*source] = true,
            }
        }
    }
    reached
}

/// The layers whose values the gradients need: everything below the ReLUs that the rows reach.
fn needed<D: Device>(resident: &Resident<D>, reached: &[bool]) -> Vec<bool> {
    let mut needed = vec![false; reached.len()];
    for k in (1..reached.len()).rev() {
        match &resident.layers[k].1 {
            Stage::Input => {}
            Stage::Affine { terms, .. } if needed[k] => terms.iter().for_each(|(source, _)| needed[*source] = true),
            Stage::Affine { .. } => {}
            Stage::Relu { source } => needed[*source] |= needed[k] || reached[k],
        }
    }
    needed
}
