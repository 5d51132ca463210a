//! Certificates: every `unsat` has one that is accepted, and none shows what is not so.

use dashu_ratio::RBig;
use secateur_check::proof::format::{Claim, MAGIC, Next, Record, finish, write};
use secateur_check::proof::{Rejection, check};
use secateur_linalg::random::Random;
use secateur_nn::graph::Graph;
use secateur_nn::property::{Case, LinearConstraint, Property};
use secateur_tests::dense::Dense;
use secateur_tests::pieces::{minimum, pieces};
use secateur_verify::{Branching, Outcome, Settings, Silent, Tracer, verify_traced};
use std::io::Write;

fn one() -> RBig {
    RBig::from(1_u8)
}

fn power_of_half(exponent: usize) -> RBig {
    RBig::from_parts(1.into(), dashu_int::UBig::ONE << exponent)
}

/// One disjunct per output: $y_j \le c_j$.
fn property(bounds: &[(usize, RBig)]) -> Property {
    let at_most = |(output, bound): &(usize, RBig)| {
        vec![LinearConstraint {
            inputs: Vec::new(),
            outputs: vec![(*output, one())],
            bound: bound.clone(),
            strict: false,
        }]
    };
    let unsafe_set = bounds.iter().map(at_most).collect();
    let case = Case { lower: vec![-one(), -one()], upper: vec![one(), one()], ball: None, unsafe_set };
    Property { inputs: 2, outputs: 3, cases: vec![case] }
}

#[derive(Default)]
struct Kept(Vec<Record>);

impl Tracer for Kept {
    fn record(&mut self, record: &Record) {
        self.0.push(record.clone());
    }
}

/// The records that prove `unsat`.
fn proof(graph: &Graph, property: &Property, threads: usize) -> Vec<Record> {
    let settings = Settings { threads, branching: Branching::Input, ..Settings::default() };
    let mut kept = Kept::default();
    let report = verify_traced(graph, property, &settings, &Silent, Some(&mut kept)).expect("supported");
    assert!(matches!(report.outcome, Outcome::Unsat), "{:?}", report.outcome);
    assert_eq!(report.statistics.method, "input splitting");
    kept.0
}

fn file(records: &[Record]) -> Vec<u8> {
    let mut stream = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    stream.write_all(MAGIC).expect("memory");
    records.iter().for_each(|record| write(&mut stream, record).expect("memory"));
    finish(&mut stream).expect("memory");
    stream.finish().expect("memory")
}

fn accepted(graph: &Graph, property: &Property, records: &[Record]) -> Result<(), Rejection> {
    check(graph, property, file(records).as_slice()).map(|_| ())
}

/// A network, a property that holds by `margin`, and one that fails by as much.
fn questions(random: &mut Random, round: usize, margin: &RBig) -> (Graph, Property, Property) {
    let sizes: &[usize] = if round.is_multiple_of(2) { &[2, 8, 6, 3] } else { &[2, 6, 5, 5, 3] };
    let network = Dense::random(sizes, random);
    let pieces = pieces(&network, &[-one(), -one()], &[one(), one()]);
    let least: Vec<(usize, RBig)> = (0..2).map(|j| (j, minimum(&pieces, j))).collect();
    let shifted = |by: [RBig; 2]| -> Vec<(usize, RBig)> {
        least.iter().zip(by).map(|((j, bound), by)| (*j, bound + by)).collect()
    };
    let holds = property(&shifted([-margin.clone(), -margin.clone()]));
    let fails = property(&shifted([-margin.clone(), margin.clone()]));
    (network.graph().expect("the layers fit"), holds, fails)
}

#[test]
fn every_unsat_of_input_splitting_has_an_accepted_certificate_that_does_not_fit_a_falsehood() {
    let mut random = Random::new(7);
    let mut parts = 0;
    for round in 0..40 {
        let (graph, holds, fails) = questions(&mut random, round, &power_of_half(4 + round % 12));
        let records = proof(&graph, &holds, 1 + round % 2);
        parts += records.len();
        accepted(&graph, &holds, &records).unwrap_or_else(|why| panic!("round {round}: {why}"));
        assert!(accepted(&graph, &fails, &records).is_err(), "round {round}: a falsehood was accepted");
    }
    assert!(parts > 400, "some proofs split: {parts} parts");
}

/// Changes one thing.
fn mutate(records: &mut Vec<Record>, random: &mut Random) {
    let at = random.index(records.len());
    let some = |random: &mut Random, claims: &mut Vec<Claim>, change: &dyn Fn(&mut Random, &mut Claim)| {
        if !claims.is_empty() {
            let at = random.index(claims.len());
            change(random, &mut claims[at]);
        }
    };
    match random.index(10) {
        0 => {
            records.remove(at);
        }
        1 => records[at].id = records[at].id.wrapping_add(random.index(5) as u64).wrapping_sub(2),
        2 => records[at].next = Next::Closed,
        3 => records[at].next = Next::Axis(random.index(3) as u32, random.uniform(-1.5, 1.5)),
        4 => {
            let other = random.index(records.len());
            records.swap(at, other);
        }
        5 => records[at].refuted.clear(),
        6 => {
            let from = records[at].cutting.clone();
            records[at].refuted.extend(from);
        }
        7 => some(random, &mut records[at].refuted, &|random, claim| claim.disjunct = random.index(3) as u32),
        8 => some(random, &mut records[at].refuted, &|random, claim| {
            let slope = random.index(1 << 25) as i64;
            claim.rows.iter_mut().for_each(|row| {
                row.alpha.entry(0).or_default().insert(random.index(6) as u32, slope);
            });
        }),
        _ => some(random, &mut records[at].cutting, &|random, claim| {
            claim.rows.iter_mut().for_each(|row| row.weight = random.index(4) as u64);
        }),
    }
}

#[test]
fn no_mutant_shows_a_falsehood() {
    let mut random = Random::new(11);
    let (mut refused, mut mutants) = (0, 0);
    for round in 0..20 {
        let (graph, holds, fails) = questions(&mut random, round, &power_of_half(8));
        let records = proof(&graph, &holds, 1);
        for _ in 0..50 {
            let mut mutant = records.clone();
            for _ in 0..1 + random.index(3) {
                if !mutant.is_empty() {
                    mutate(&mut mutant, &mut random);
                }
            }
            mutants += 1;
            refused += usize::from(accepted(&graph, &holds, &mutant).is_err());
            assert!(accepted(&graph, &fails, &mutant).is_err(), "round {round}: a mutant shows a falsehood");
        }
    }
    assert!(refused * 3 > mutants, "{refused} of {mutants} mutants of a truth were refused");
}

#[test]
fn damaged_files_are_refused() {
    let mut random = Random::new(13);
    let (graph, holds, fails) = questions(&mut random, 1, &power_of_half(6));
    let records = proof(&graph, &holds, 1);
    let whole = file(&records);
    check(&graph, &holds, whole.as_slice()).expect("the whole file");
    for length in 0..whole.len() - 8 {
        assert!(check(&graph, &holds, &whole[..length]).is_err(), "cut off at {length}");
    }
    for _ in 0..400 {
        let mut stream = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(whole.as_slice()), &mut stream).expect("gzip");
        let at = MAGIC.len() + random.index(stream.len() - MAGIC.len());
        stream[at] ^= 1 << random.index(8);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&stream).expect("memory");
        let packed = packed.finish().expect("memory");
        assert!(check(&graph, &fails, packed.as_slice()).is_err(), "byte {at}");
    }
}
