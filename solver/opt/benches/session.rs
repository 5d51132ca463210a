//! A node of branch and bound, solved from scratch and from its parent's basis.
//!
//! The program is the triangle relaxation of a ReLU network with 10 inputs and 5 layers of 50 neurons: 260 columns, and
//! 360 rows after the chords and lower lines of open neurons. A node fixes the phase of one open neuron.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use secateur_opt::{InteriorPoint, LinearProgram, LpOutcome, LpSettings, LpSolver, Row, Session, Simplex};

const INPUTS: usize = 10;
const LAYERS: usize = 5;
const WIDTH: usize = 50;
/// Neurons of each layer whose sign is open; the others are active.
const OPEN: usize = 11;

/// Numbers in $[-1, 1)$ by a linear congruential generator.
struct Numbers(u64);

impl Iterator for Numbers {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        Some((self.0 >> 33) as f64 / (1u64 << 30) as f64 - 1.0)
    }
}

/// The relaxation and the columns of open neurons with their upper bounds.
fn relaxation() -> (LinearProgram, Vec<(usize, f64)>) {
    let mut numbers = Numbers(1);
    let columns = INPUTS + LAYERS * WIDTH;
    let mut program = LinearProgram::new(vec![0.0; columns], vec![-1.0; columns], vec![1.0; columns]);
    let mut open = Vec::new();
    for layer in 0..LAYERS {
        let (from, size) = if layer == 0 { (0, INPUTS) } else { (INPUTS + (layer - 1) * WIDTH, WIDTH) };
        for neuron in 0..WIDTH {
            let column = INPUTS + layer * WIDTH + neuron;
            let scale = 2.0 / (size as f64).sqrt();
            let weights: Vec<f64> = numbers.by_ref().take(size).map(|w| scale * w).collect();
            let middle: f64 =
                (0..size).map(|j| weights[j] * (program.lower[from + j] + program.upper[from + j]) / 2.0).sum();
            let radius: f64 =
                (0..size).map(|j| weights[j].abs() * (program.upper[from + j] - program.lower[from + j]) / 2.0).sum();
            // A bias that makes the neuron open or active.
            let bias = if neuron < OPEN {
                -middle + 0.2 * radius * numbers.next().unwrap_or(0.0)
            } else {
                1.01 * radius - middle
            };
            let (lower, upper) = (middle + bias - radius, middle + bias + radius);
            let line = |slope: f64| {
                let mut entries = vec![(column, 1.0)];
                entries.extend((0..size).map(|j| (from + j, -slope * weights[j])));
                entries
            };
            if lower >= 0.0 {
                program.rows.push(Row::equal(line(1.0), bias));
            } else {
                let slope = upper / (upper - lower);
                program.rows.push(Row::at_least(line(1.0), bias));
                program.rows.push(Row::at_most(line(slope), slope * (bias - lower)));
                // The pre-activation's sign is fixed by the bounds of a slack row in the search; here by the column's.
                open.push((column, upper));
            }
            program.lower[column] = lower.max(0.0);
            program.upper[column] = upper;
        }
    }
    // Rows that bound pairs of outputs bring the number to 360.
    let last = INPUTS + (LAYERS - 1) * WIDTH;
    for pair in 0..360 - program.rows.len() {
        let (i, j) = (last + pair % WIDTH, last + (7 * pair + 3) % WIDTH);
        program.rows.push(Row::at_most(vec![(i, 1.0), (j, 1.0)], 0.9 * (program.upper[i] + program.upper[j])));
    }
    for column in last..columns {
        program.objective[column] = numbers.next().unwrap_or(0.0);
    }
    (program, open)
}

/// The bounds of a node that switches one open neuron off.
fn nodes(open: &[(usize, f64)]) -> impl Iterator<Item = (usize, f64)> + use<'_> {
    open.iter().copied().cycle()
}

fn answered(outcome: LpOutcome) {
    assert!(matches!(outcome, LpOutcome::Optimal { .. } | LpOutcome::Infeasible(_)), "{outcome:?}");
}

fn session(criterion: &mut Criterion) {
    let (program, open) = relaxation();
    assert_eq!((program.columns(), program.rows.len()), (260, 360));
    let settings = LpSettings::default();
    let mut group = criterion.benchmark_group("triangle_260x360");
    group.bench_function("simplex_one_shot", |bencher| {
        bencher.iter(|| answered(Simplex.solve(&program, &settings).unwrap()))
    });
    group.bench_function("interior_point", |bencher| {
        bencher.iter(|| answered(InteriorPoint.solve(&program, &settings).unwrap()));
    });
    for (name, warm) in [("session_from_scratch", false), ("session_warm", true)] {
        let mut session = Session::new(program.clone(), &settings).unwrap();
        answered(session.solve().unwrap());
        let root = session.basis().unwrap().unwrap();
        let mut nodes = nodes(&open);
        let mut previous: Option<(usize, f64)> = None;
        let (mut solves, mut iterations) = (0, 0);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || nodes.next().unwrap(),
                |(column, upper)| {
                    if let Some((last, upper)) = previous.replace((column, upper)) {
                        session.set_bounds(last, 0.0, upper).unwrap();
                    }
                    session.set_bounds(column, 0.0, 0.0).unwrap();
                    let outcome = if warm {
                        session.set_basis(&root).unwrap();
                        session.solve().unwrap()
                    } else {
                        session.solve_from_scratch().unwrap()
                    };
                    solves += 1;
                    iterations += session.iterations();
                    answered(outcome);
                },
                BatchSize::SmallInput,
            );
        });
        println!("{name}: {:.1} simplex iterations per solve", iterations as f64 / solves as f64);
    }
    group.finish();
}

criterion_group!(benches, session);
criterion_main!(benches);
