//! A lane: some samples of a batch on their way through the network and back.

use super::batch_norm::{self, Moments, Sums};
use super::loss::{Loss, Sum};
use super::program::{Norm, Program};
use super::spare::Spare;
use crate::autodiff::rules::Application;
use crate::data::dataset::BatchTargets;
use crate::error::NnError;
use crate::eval::convolution::{Correlation, add_bias, channel_sums};
use crate::eval::{Array, kernels};
use crate::graph::Node;
use crate::op::{Op, Window};
use secateur_linalg::Tensor;
use std::ops::Range;
use std::sync::Arc;

/// Samples of a batch with their values and derivatives.
pub(super) struct Lane {
    /// Nodes for as many samples as go through at once.
    pub(super) nodes: Arc<Vec<Node>>,
    /// Inputs of all samples, one after the other.
    pub(super) inputs: Vec<f32>,
    pub(super) targets: BatchTargets,
    /// What each node evaluates to; constants are the program's.
    pub(super) values: Vec<Option<Array<f32>>>,
    pub(super) cotangents: Vec<Option<Vec<f32>>>,
    /// By number of the parameter.
    pub(super) gradients: Vec<Option<Vec<f32>>>,
    pub(super) sum: Sum,
    pub(super) spare: Spare,
}

impl Lane {
    pub(super) fn new(
        nodes: Arc<Vec<Node>>,
        inputs: Vec<f32>,
        targets: BatchTargets,
        parameters: usize,
        spare: Spare,
    ) -> Self {
        let count = nodes.len();
        Self {
            nodes,
            inputs,
            targets,
            values: vec![None; count],
            cotangents: vec![None; count],
            gradients: vec![None; parameters],
            sum: Sum::default(),
            spare,
        }
    }

    /// A node's value: the program's for a constant.
    #[track_caller]
    pub(super) fn value<'a>(&'a self, program: &'a Program, index: usize) -> &'a Array<f32> {
        let value = program.constants[index].as_ref().or(self.values[index].as_ref());
        value.expect("arguments come before the nodes that use them")
    }

    fn numbers<'a>(&'a self, program: &'a Program, index: usize) -> &'a [f32] {
        self.value(program, index).real().data()
    }

    /// Takes the samples `range` of the lane as the network's input.
    pub(super) fn feed(&mut self, program: &Program, range: Range<usize>) {
        let node = &self.nodes[program.input];
        let entries = self.inputs[range].to_vec();
        let input = Array::Real(Arc::new(Tensor::new(node.shape.clone(), entries)));
        self.values[program.input] = Some(input.cast(node.element));
    }

    /// Evaluates the nodes of a range in order, leaving out inputs, constants and what the program normalises itself.
    pub(super) fn forward(&mut self, program: &Program, range: Range<usize>) -> Result<(), NnError> {
        for index in range {
            if program.constants[index].is_some() || index == program.input {
                continue;
            }
            if let Op::Conv { window, groups } = &Arc::clone(&self.nodes)[index].op {
                self.convolve(program, index, window, *groups);
                continue;
            }
            let mut arguments: Vec<Array<f32>> = Vec::with_capacity(program.arguments[index].len());
            for (place, a) in program.arguments[index].iter().enumerate() {
                let taken = if place == 0 && program.in_place[index] { self.values[*a].take() } else { None };
                arguments.push(taken.unwrap_or_else(|| self.value(program, *a).clone()));
            }
            self.values[index] = Some(kernels::apply(&self.nodes[index], arguments)?);
        }
        Ok(())
    }

    /// The value of a convolution.
    fn convolve(&mut self, program: &Program, index: usize, window: &Window, groups: usize) {
        let shape = self.nodes[index].shape.clone();
        let mut y = self.spare.take(shape.iter().product());
        let mut scratch = std::mem::take(&mut self.spare.scratch);
        let arguments = &program.arguments[index];
        let (x, w) = (self.value(program, arguments[0]).real(), self.value(program, arguments[1]).real());
        Correlation::new(window, groups, x.shape(), &shape).forward_into(w.data(), x.data(), &mut y, &mut scratch);
        if let Some(bias) = arguments.get(2) {
            add_bias(&mut y, self.numbers(program, *bias), shape[2..].iter().product());
        }
        self.values[index] = Some(Array::Real(Arc::new(Tensor::new(shape, y))));
        self.spare.scratch = scratch;
    }

    /// Takes the cotangent of a convolution back, as the tape's rule does, with memory that is used again.
    fn convolve_back(&mut self, program: &Program, index: usize, cotangent: Vec<f32>, window: &Window, groups: usize) {
        let arguments = &program.arguments[index];
        let shape = self.nodes[index].shape.clone();
        let mut scratch = std::mem::take(&mut self.spare.scratch);
        let mut dx = program.wanted[arguments[0]].then(|| self.spare.zeros(self.numbers(program, arguments[0]).len()));
        let (x, w) = (self.value(program, arguments[0]).real(), self.value(program, arguments[1]).real());
        let correlation = Correlation::new(window, groups, x.shape(), &shape);
        if let Some(dx) = &mut dx {
            correlation.add_adjoint(w.data(), &cotangent, dx, &mut scratch);
        }
        let dw = program.wanted[arguments[1]].then(|| correlation.weight_adjoint(x.data(), &cotangent, &mut scratch));
        let bias = arguments.get(2).filter(|bias| program.wanted[**bias]);
        let db = bias.map(|_| channel_sums(&cotangent, shape[1], shape[2..].iter().product()));
        for (argument, part) in arguments.iter().zip([dx, dw, db]) {
            if let Some(part) = part {
                add(&mut self.cotangents[*argument], part);
            }
        }
        self.spare.put(cotangent);
        self.spare.scratch = scratch;
    }

    /// The loss of the samples' outputs, and its gradient as the output's cotangent.
    pub(super) fn lose(&mut self, program: &Program, loss: &Loss, targets: &BatchTargets, total: usize) {
        let mut output = self.numbers(program, program.output).to_vec();
        self.sum.add(loss.of(&mut output, targets, Some(total)));
        self.cotangents[program.output] = Some(output);
    }

    /// Takes cotangents back through the nodes of a range, last to first. Their values are not needed any more then, except
    /// that one which took an argument's place stands for it.
    pub(super) fn backward(&mut self, program: &Program, range: Range<usize>) {
        for index in range.rev() {
            self.backward_through(program, index);
            let value = self.values[index].take();
            match program.in_place[index] {
                true => self.values[program.arguments[index][0]] = value,
                false => self.spare.put_value(value),
            }
        }
    }

    fn backward_through(&mut self, program: &Program, index: usize) {
        let Some(cotangent) = self.cotangents[index].take() else { return };
        if let Some(parameter) = program.slots[index] {
            add(&mut self.gradients[parameter], cotangent);
            return;
        }
        let arguments = &program.arguments[index];
        let needed: Vec<bool> = arguments.iter().map(|a| program.wanted[*a]).collect();
        if !needed.contains(&true) {
            return;
        }
        if let Op::Conv { window, groups } = &Arc::clone(&self.nodes)[index].op {
            return self.convolve_back(program, index, cotangent, window, *groups);
        }
        let value = self.value(program, index);
        // What was computed in place of its argument stands for it: the rule looks at its shape alone.
        let argument = |(place, a): (usize, &usize)| match place == 0 && program.in_place[index] {
            true => value,
            false => self.value(program, *a),
        };
        let application = Application {
            node: &self.nodes[index],
            arguments: arguments.iter().enumerate().map(argument).collect(),
            value: value.real(),
            needed: &needed,
        };
        let parts = application.pull_back(cotangent);
        for ((argument, part), needed) in arguments.iter().zip(parts).zip(&needed) {
            if let (Some(part), true) = (part, needed) {
                add(&mut self.cotangents[*argument], part);
            }
        }
    }

    /// $\sum x$ and $\sum x^2$ of what a batch normalisation takes.
    pub(super) fn norm_sums(&self, program: &Program, norm: &Norm) -> Sums {
        batch_norm::sums(self.numbers(program, norm.x), norm.channels, norm.positions)
    }

    /// The value of a batch normalisation.
    pub(super) fn normalise(&mut self, program: &Program, norm: &Norm, moments: &Moments) {
        let shape = self.nodes[norm.node].shape.clone();
        let mut y = self.spare.take(shape.iter().product());
        let affine = [norm.scale, norm.shift].map(|id| self.numbers(program, id));
        batch_norm::normalise(self.numbers(program, norm.x), moments, affine, norm.positions, &mut y);
        self.values[norm.node] = Some(Array::Real(Arc::new(Tensor::new(shape, y))));
    }

    /// $\sum \bar y$ and $\sum \bar y \hat x$ at a batch normalisation; zeros where nothing comes back.
    pub(super) fn norm_backward_sums(&self, program: &Program, norm: &Norm, moments: &Moments) -> Sums {
        match &self.cotangents[norm.node] {
            None => vec![[0.0; 2]; norm.channels],
            Some(g) => batch_norm::backward_sums(self.numbers(program, norm.x), g, moments, norm.positions),
        }
    }

    /// Takes the cotangent of a batch normalisation back to what it takes.
    pub(super) fn norm_backward(&mut self, program: &Program, norm: &Norm, moments: &Moments, sums: &Sums) {
        let Some(mut cotangent) = self.cotangents[norm.node].take() else { return };
        if !program.wanted[norm.x] {
            return;
        }
        let (x, scale) = (self.numbers(program, norm.x), self.numbers(program, norm.scale));
        batch_norm::pull_back(x, &mut cotangent, moments, scale, sums, norm.positions);
        let value = self.values[norm.node].take();
        self.spare.put_value(value);
        add(&mut self.cotangents[norm.x], cotangent);
    }

    /// Whether the loss is finite.
    ///
    /// # Errors
    /// It is not: names the first node whose value is not, the output if all are.
    pub(super) fn check(&self, program: &Program) -> Result<(), NnError> {
        if self.sum.loss.is_finite() {
            return Ok(());
        }
        let bad = |value: &Option<Array<f32>>| {
            let real = value.as_ref().and_then(Array::as_real);
            real.is_some_and(|t| t.data().iter().any(|v| !v.is_finite()))
        };
        let node = &self.nodes[self.values.iter().position(bad).unwrap_or(program.output)];
        Err(NnError::NonFinite { node: node.name.clone(), op: node.op.name() })
    }
}

/// Adds a cotangent to what is already there.
pub(super) fn add(slot: &mut Option<Vec<f32>>, part: Vec<f32>) {
    match slot {
        None => *slot = Some(part),
        Some(sum) => sum.iter_mut().zip(part).for_each(|(s, p)| *s += p),
    }
}
