//! A piecewise-linear network on a box as rows and columns.
//!
//! Every ReLU $z = \max(\hat z, 0)$ of an open sign becomes the pair
//! $$ \hat z = z - s, \qquad 0 \le z \perp s \ge 0, \qquad z \le u,\; s \le -l, $$
//! with $l \le \hat z \le u$ its bounds. A ReLU that is active on the whole box has no $s$, one that is
//! inactive no column at all. Affine layers that one ReLU layer reads have no columns of their own: a row says
//! $\sum W h + b = z - s$.
//!
//! The margin is the objective where the conjunction has one constraint, else a column $t$ with
//! $g_i \le t$.
//!
//! A subproblem differs from its root by column bounds only ([`Encoding::column_bounds`]), so one encoding
//! serves a whole tree.

use crate::error::GlobalError;
use secateur_opt::{LinearProgram, Row};
use secateur_verify::bounds::Preactivations;
use secateur_verify::network::{Affine, Function, Kind, Network};
use secateur_verify::node::{Node, RootBox};
use secateur_verify::specification::Objective;

/// A complementarity pair: one ReLU of an open sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Column of the positive part $z$.
    pub positive: usize,
    /// Column of the negative part $s$.
    pub negative: usize,
    /// Activation layer.
    pub layer: u32,
    /// Index in the layer.
    pub neuron: u32,
}

/// $\sum_j a_j x_j + c$.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Form {
    /// Column and coefficient, ascending, without repetition.
    pub entries: Vec<(usize, f64)>,
    /// $c$.
    pub constant: f64,
}

/// The columns of a layer.
#[derive(Clone, Debug)]
enum Columns {
    /// The layer has no columns; what reads it spells it out.
    Inline,
    /// Column of each entry; `None` for the constant 0.
    Each(Vec<Option<usize>>),
}

/// The program of a root box.
#[derive(Clone, Debug)]
pub struct Encoding {
    /// The pairs.
    pub pairs: Vec<Pair>,
    /// The rows, and the columns' bounds at the root; the objective is the margin less [`Self::constant`].
    pub program: LinearProgram,
    /// A constant of the margin.
    pub constant: f64,
    /// Columns of the input, first.
    inputs: usize,
    layers: Vec<Columns>,
    /// Column of $t$, for conjunctions of several constraints.
    epigraph: Option<usize>,
    /// Activation layers with their sources and the columns of their negative parts.
    activations: Vec<(usize, usize, Vec<Option<usize>>)>,
}

impl Encoding {
    /// The program of a conjunction on a root box.
    ///
    /// # Errors
    /// The network has an activation that is not a ReLU, or the conjunction is empty.
    pub fn new(network: &Network<f64>, root: &RootBox, objectives: &[Objective<f64>]) -> Result<Self, GlobalError> {
        if objectives.is_empty() {
            return Err(GlobalError::NoObjective);
        }
        let columns = (vec![0.0; network.inputs()], root.lower.clone(), root.upper.clone());
        let mut encoding = Self {
            pairs: Vec::new(),
            program: LinearProgram::new(columns.0, columns.1, columns.2),
            constant: 0.0,
            inputs: network.inputs(),
            layers: Vec::with_capacity(network.layers.len()),
            epigraph: None,
            activations: Vec::new(),
        };
        let own_columns = needs_columns(network);
        for (k, layer) in network.layers.iter().enumerate() {
            let columns = match &layer.kind {
                Kind::Input => Columns::Each((0..layer.size).map(Some).collect()),
                Kind::Affine(_) if !own_columns[k] => Columns::Inline,
                Kind::Affine(affine) => encoding.affine(affine, layer.size),
                Kind::Activation { source, function: Function::Relu } => {
                    encoding.relus(network, k, *source, &root.bounds)
                }
                Kind::Activation { .. } | Kind::Product(_) => {
                    return Err(GlobalError::NotPiecewiseLinear { layer: layer.name.clone() });
                }
            };
            encoding.layers.push(columns);
        }
        encoding.margin(network, objectives);
        Ok(encoding)
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.program.columns()
    }

    /// The bounds of every column on a subproblem; `None` where they cross, so that it is empty.
    pub fn column_bounds(&self, node: &Node) -> Option<(Vec<f64>, Vec<f64>)> {
        let (mut lower, mut upper) = (self.program.lower.clone(), self.program.upper.clone());
        lower[..self.inputs].copy_from_slice(&node.lower);
        upper[..self.inputs].copy_from_slice(&node.upper);
        for (k, source, negatives) in &self.activations {
            let Columns::Each(positives) = &self.layers[*k] else { continue };
            let (l, u) = (&node.bounds.lower[*source], &node.bounds.upper[*source]);
            for (j, (positive, negative)) in positives.iter().zip(negatives).enumerate() {
                if let Some(z) = positive {
                    lower[*z] = lower[*z].max(l[j].max(0.0));
                    upper[*z] = upper[*z].min(u[j].max(0.0));
                }
                if let Some(s) = negative {
                    lower[*s] = lower[*s].max((-u[j]).max(0.0));
                    upper[*s] = upper[*s].min((-l[j]).max(0.0));
                }
            }
        }
        lower.iter().zip(&upper).all(|(l, u)| l <= u).then_some((lower, upper))
    }

    /// The value of every column at an input: a feasible point of the program.
    pub fn point(&self, network: &Network<f64>, input: &[f64], objectives: &[Objective<f64>]) -> Vec<f64> {
        let values = network.evaluate(input, 1);
        let mut point = vec![0.0; self.columns()];
        for (k, columns) in self.layers.iter().enumerate() {
            let Columns::Each(each) = columns else { continue };
            each.iter().zip(&values[k]).filter_map(|(c, v)| c.map(|c| (c, v))).for_each(|(c, v)| point[c] = *v);
        }
        for (_, source, negatives) in &self.activations {
            for (column, z) in negatives.iter().zip(&values[*source]) {
                if let Some(column) = column {
                    point[*column] = (-z).max(0.0);
                }
            }
        }
        if let Some(t) = self.epigraph {
            point[t] = margin(objectives, input, &values[network.output()]);
        }
        point
    }

    /// The input of a point, inside a box.
    pub fn input(&self, point: &[f64], lower: &[f64], upper: &[f64]) -> Vec<f64> {
        let ends = lower.iter().zip(upper);
        point[..self.inputs].iter().zip(ends).map(|(x, (l, u))| x.max(*l).min(*u)).collect()
    }

    fn column(&mut self, lower: f64, upper: f64) -> usize {
        self.program.objective.push(0.0);
        self.program.lower.push(lower);
        self.program.upper.push(upper);
        self.program.objective.len() - 1
    }

    /// $\sum_i W_i[j, :] h_i + b_j$ over the columns.
    fn form(&self, affine: &Affine<f64>, j: usize) -> Form {
        let mut entries: Vec<(usize, f64)> = Vec::new();
        for (source, map) in &affine.terms {
            let mut row = vec![0.0; map.inputs()];
            map.add_row(j, 1.0, &mut row);
            let Columns::Each(columns) = &self.layers[*source] else {
                unreachable!("what an affine layer reads has columns")
            };
            let terms = row.iter().zip(columns).filter(|(w, _)| **w != 0.0);
            entries.extend(terms.filter_map(|(w, c)| c.map(|c| (c, *w))));
        }
        Form { entries: merged(entries), constant: affine.bias[j] }
    }

    /// Columns for an affine layer, tied by rows.
    fn affine(&mut self, affine: &Affine<f64>, size: usize) -> Columns {
        let mut columns = Vec::with_capacity(size);
        for j in 0..size {
            let Form { mut entries, constant } = self.form(affine, j);
            let y = self.column(f64::NEG_INFINITY, f64::INFINITY);
            entries.push((y, -1.0));
            self.program.rows.push(Row::equal(entries, -constant));
            columns.push(Some(y));
        }
        Columns::Each(columns)
    }

    /// Columns for a ReLU layer: positive parts, and negative parts where the sign is open.
    fn relus(&mut self, network: &Network<f64>, k: usize, source: usize, bounds: &Preactivations<f64>) -> Columns {
        let (l, u) = (&bounds.lower[source], &bounds.upper[source]);
        let mut positives = Vec::with_capacity(l.len());
        let mut negatives = Vec::with_capacity(l.len());
        for j in 0..l.len() {
            if u[j] <= 0.0 {
                positives.push(None);
                negatives.push(None);
                continue;
            }
            let mut form = match (&self.layers[source], &network.layers[source].kind) {
                (Columns::Each(columns), _) => {
                    Form { entries: columns[j].map(|c| (c, 1.0)).into_iter().collect(), constant: 0.0 }
                }
                (Columns::Inline, Kind::Affine(affine)) => self.form(affine, j),
                (Columns::Inline, _) => unreachable!("only affine layers are spelt out"),
            };
            let z = self.column(l[j].max(0.0), u[j]);
            form.entries.push((z, -1.0));
            positives.push(Some(z));
            if l[j] < 0.0 {
                let s = self.column(0.0, -l[j]);
                form.entries.push((s, 1.0));
                self.pairs.push(Pair { positive: z, negative: s, layer: k as u32, neuron: j as u32 });
                negatives.push(Some(s));
            } else {
                negatives.push(None);
            }
            self.program.rows.push(Row::equal(form.entries, -form.constant));
        }
        self.activations.push((k, source, negatives));
        Columns::Each(positives)
    }

    /// The objective, or the column above every constraint.
    fn margin(&mut self, network: &Network<f64>, objectives: &[Objective<f64>]) {
        let forms: Vec<Form> = objectives.iter().map(|objective| self.objective(network, objective)).collect();
        if let [form] = forms.as_slice() {
            form.entries.iter().for_each(|(c, v)| self.program.objective[*c] = *v);
            self.constant = form.constant;
            return;
        }
        let t = self.column(f64::NEG_INFINITY, f64::INFINITY);
        self.program.objective[t] = 1.0;
        self.epigraph = Some(t);
        for Form { mut entries, constant } in forms {
            entries.push((t, -1.0));
            self.program.rows.push(Row::at_most(entries, -constant));
        }
    }

    fn objective(&self, network: &Network<f64>, objective: &Objective<f64>) -> Form {
        let mut entries: Vec<(usize, f64)> = objective.inputs.clone();
        let mut constant = objective.constant;
        let output = network.output();
        for (j, b) in &objective.outputs {
            match (&self.layers[output], &network.layers[output].kind) {
                (Columns::Each(columns), _) => entries.extend(columns[*j].map(|c| (c, *b))),
                (Columns::Inline, Kind::Affine(affine)) => {
                    let form = self.form(affine, *j);
                    entries.extend(form.entries.iter().map(|(c, v)| (*c, v * b)));
                    constant += form.constant * b;
                }
                (Columns::Inline, _) => unreachable!("only affine layers are spelt out"),
            }
        }
        Form { entries: merged(entries), constant }
    }
}

/// Adds up the coefficients of each column.
fn merged(mut entries: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    entries.sort_unstable_by_key(|(column, _)| *column);
    entries.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    entries
}

/// Affine layers that get columns of their own: those that anything but one ReLU layer, or the property, reads.
fn needs_columns(network: &Network<f64>) -> Vec<bool> {
    let mut readers = vec![0usize; network.layers.len()];
    for layer in &network.layers {
        match &layer.kind {
            Kind::Input => {}
            // A sum of affine layers would spell each of them out once for every entry.
            Kind::Affine(affine) => affine.terms.iter().for_each(|(source, _)| readers[*source] += 2),
            Kind::Activation { source, .. } => readers[*source] += 1,
            Kind::Product(product) => {
                [&product.left, &product.right].into_iter().for_each(|factor| readers[factor.source] += 1)
            }
        }
    }
    readers.into_iter().map(|readers| readers > 1).collect()
}

/// The greatest of the constraints' values.
pub fn margin(objectives: &[Objective<f64>], x: &[f64], y: &[f64]) -> f64 {
    objectives.iter().map(|objective| objective.value(x, y)).fold(f64::NEG_INFINITY, f64::max)
}
