//! Proofs: taken down, written, checked and mutated.

use dashu_ratio::RBig;
use secateur_check::Semantics;
use secateur_check::proof::format::{
    Claim, Cover, Digests, Entry, Next, Record, Slopes, Split, Step, Table, Witness, begin, finish, write,
};
use secateur_check::proof::{Rejection, check};
use secateur_linalg::random::Random;
use secateur_nn::graph::Graph;
use secateur_nn::property::Property;
use secateur_verify::Tracer;
use std::io::Write;

/// Takes down a proof.
#[derive(Clone, Debug, Default)]
pub struct Kept(pub Vec<Record>);

impl Tracer for Kept {
    fn record(&mut self, record: &Record) {
        self.0.push(record.clone());
    }

    fn mark(&mut self) -> u64 {
        self.0.len() as u64
    }

    fn rewind(&mut self, place: u64) {
        self.0.truncate(place as usize);
    }
}

/// What files' digests are where there are no files.
pub const NO_FILES: Digests = Digests { model: [0; 32], property: [0; 32] };

/// Records as a stream, not compressed.
pub fn stream(records: &[Record]) -> Vec<u8> {
    let mut stream = Vec::new();
    begin(&mut stream, &NO_FILES).expect("memory");
    records.iter().for_each(|record| write(&mut stream, record).expect("memory"));
    finish(&mut stream).expect("memory");
    stream
}

/// A stream as a file.
pub fn packed(stream: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(stream).expect("memory");
    packer.finish().expect("memory")
}

/// What the checker says.
///
/// # Errors
/// Why it refuses.
pub fn accepted(graph: &Graph, property: &Property, records: &[Record]) -> Result<(), Rejection> {
    accepted_as(Semantics::Real, graph, property, records)
}

/// What the checker says about real numbers or executions in single precision.
///
/// # Errors
/// Why it refuses.
pub fn accepted_as(
    semantics: Semantics,
    graph: &Graph,
    property: &Property,
    records: &[Record],
) -> Result<(), Rejection> {
    check(graph, property, &NO_FILES, semantics, packed(&stream(records)).as_slice()).map(|_| ())
}

/// Changes one field of one record, or the order of records.
pub fn mutate(records: &mut Vec<Record>, random: &mut Random) {
    let at = random.index(records.len());
    match random.index(8) {
        0 => {
            records.remove(at);
        }
        1 => {
            let other = random.index(records.len());
            records.swap(at, other);
        }
        2 => {
            let again = records[at].clone();
            records.insert(at, again);
        }
        _ => match &mut records[at] {
            Record::Step(step) => mutate_step(step, random),
            Record::Table(table) => mutate_table(table, random),
            Record::Witness(witness) => mutate_witness(witness, random),
            Record::Related(related) => related.0.push(vec![random.index(8) as u32]),
        },
    }
}

fn near(number: u64, random: &mut Random) -> u64 {
    number.wrapping_add(random.index(5) as u64).wrapping_sub(2)
}

fn some<'a, T>(list: &'a mut [T], random: &mut Random) -> Option<&'a mut T> {
    if list.is_empty() { None } else { list.get_mut(random.index(list.len())) }
}

fn mutate_step(step: &mut Step, random: &mut Random) {
    let extreme = [0.0, f64::NAN, f64::INFINITY, -1e300, 1e18, 5e-324][random.index(6)];
    match random.index(13) {
        12 => match random.index(3) {
            0 => step.without.push(random.index(4) as u32),
            1 => step.without.clear(),
            _ => step.without.iter_mut().for_each(|place| *place = near(u64::from(*place), random) as u32),
        },
        9 => {
            let value = if random.index(3) == 0 { extreme } else { random.normal() };
            match some(&mut step.space, random) {
                Some(v) => *v = if random.index(2) == 0 { value } else { *v * (1.0 + 0.1 * value) },
                None => step.space.push(value),
            }
        }
        10 => match some(&mut step.left, random) {
            Some((axis, lower, upper)) => match random.index(4) {
                0 => *axis = random.index(3) as u32,
                1 => std::mem::swap(lower, upper),
                2 => *lower += 0.3 * random.normal(),
                _ => *upper = extreme,
            },
            None => step.left.push((random.index(3) as u32, random.uniform(-1.0, 0.0), random.uniform(0.0, 1.0))),
        },
        11 => step.cutting.extend(step.refuted.clone()),
        0 => step.id = near(step.id, random),
        1 => step.next = Next::Closed,
        2 => step.next = Next::Whole,
        3 => step.next = Next::Axis(random.index(3) as u32, random.uniform(-1.5, 1.5)),
        4 => {
            let active = random.index(2) == 0;
            step.next = Next::Relu(Split { layer: random.index(3) as u32, neuron: random.index(7) as u32, active });
        }
        5 => step.next = Next::Apart(random.index(3) as u32),
        6 => step.refuted.clear(),
        7 => step.refuted.extend(step.cutting.clone()),
        _ => {
            let claims = if random.index(3) == 0 { &mut step.cutting } else { &mut step.refuted };
            if let Some(claim) = some(claims, random) {
                mutate_claim(claim, random);
            }
        }
    }
}

fn mutate_claim(claim: &mut Claim, random: &mut Random) {
    match random.index(4) {
        0 => claim.disjunct = random.index(3) as u32,
        1 => claim.rows.clear(),
        2 => claim.rows.extend(claim.rows.clone()),
        _ => {
            if let Some(row) = some(&mut claim.rows, random) {
                match random.index(3) {
                    0 => row.objective = random.index(3) as u32,
                    1 => row.weight = random.index(4) as u64,
                    _ => mutate_slopes(&mut row.slopes, random),
                }
            }
        }
    }
}

fn mutate_witness(witness: &mut Witness, random: &mut Random) {
    let step = RBig::from_parts(random.index(9).into(), 64_u8.into()) - RBig::from_parts(1.into(), 16_u8.into());
    if random.index(2) == 0 {
        if let Some(x) = some(&mut witness.point, random) {
            *x += step;
        }
    } else if let Some(y) = some(&mut witness.outputs, random) {
        y.lower += &step;
        y.upper += step;
    }
}

fn mutate_slopes(slopes: &mut Slopes, random: &mut Random) {
    match random.index(6) {
        4 => {
            let beta = [0.0, -1.0, f64::NAN, 1e300, 1e9, random.normal().abs()][random.index(6)];
            slopes.shown.push((random.index(3) as u32, random.index(7) as u32, beta));
        }
        5 => {
            if let Some((layer, neuron, beta)) = some(&mut slopes.shown, random) {
                match random.index(3) {
                    0 => *layer = random.index(3) as u32,
                    1 => *neuron = random.index(7) as u32,
                    _ => *beta *= 4.0 * random.normal(),
                }
            }
        }
        0 => slopes.alpha.push((random.index(3) as u32, vec![(random.index(6) as u32, random.index(1 << 25) as u32)])),
        1 => slopes.alpha.clear(),
        2 => {
            let value = [0.0, -1.0, f64::NAN, f64::INFINITY, random.normal()][random.index(5)];
            slopes.beta.push(value);
        }
        _ => {
            if let Some(beta) = some(&mut slopes.beta, random) {
                *beta *= 2.0 * random.normal();
            }
        }
    }
}

fn mutate_table(table: &mut Table, random: &mut Random) {
    if random.index(4) == 0 {
        table.id = near(table.id, random);
    }
    if table.ranges.is_empty() {
        table.ranges.push((random.index(3) as u32, vec![(random.index(7) as u32, -1e-3, 1e-3)]));
    }
    if let Some((layer, ranges)) = some(&mut table.ranges, random) {
        match random.index(4) {
            3 => {
                if let Some((_, lower, upper)) = some(ranges, random) {
                    let far = [1e-9, 1.0, 1e6, 1e18, 1e300, f64::NAN][random.index(6)];
                    (*lower, *upper) = (if random.index(2) == 0 { -far } else { far }, far);
                }
            }
            0 => *layer = random.index(4) as u32,
            1 => ranges.clear(),
            _ => ranges.iter_mut().for_each(|(_, l, u)| std::mem::swap(l, u)),
        }
    }
    let Some((layer, entries)) = some(&mut table.layers, random) else { return };
    if random.index(4) == 0 {
        *layer = random.index(4) as u32;
    }
    let Some(Entry { neuron, upper, cover }) = some(entries, random) else { return };
    match random.index(4) {
        0 => *neuron = random.index(8) as u32,
        1 => *upper = !*upper,
        _ => mutate_cover(cover, random),
    }
}

fn mutate_cover(cover: &mut Cover, random: &mut Random) {
    match cover {
        Cover::Leaf(slopes) => mutate_slopes(slopes, random),
        Cover::Halves(layer, neuron, halves) => match random.index(6) {
            0 => *layer = random.index(3) as u32,
            1 => *neuron = random.index(7) as u32,
            2 => halves.swap(0, 1),
            3 => *cover = halves[random.index(2)].clone(),
            _ => mutate_cover(&mut halves[random.index(2)], random),
        },
    }
}
