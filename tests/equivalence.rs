//! Questions about two networks: the joint network is what it should be, verdicts are the exact ones, and proofs count.

use dashu_ratio::RBig;
use secateur_check::pair::Differences;
use secateur_check::proof::format::Record;
use secateur_check::{Pair, PairError, Precision, Question, Related, check_pair, evaluate};
use secateur_linalg::Tensor;
use secateur_linalg::random::Random;
use secateur_nn::graph::Graph;
use secateur_nn::op::{Op, Value};
use secateur_nn::property::{Case, Property};
use secateur_tests::dense::{Dense, Layer};
use secateur_tests::pieces::{pieces, value};
use secateur_tests::proofs::{Kept, NO_FILES, accepted, mutate, packed, stream};
use secateur_tests::{bent, curves};
use secateur_verify::bounds::{self, Boxes, Method};
use secateur_verify::crown::{Multipliers, Rows, back_substitute};
use secateur_verify::equivalence;
use secateur_verify::lower::lower;
use secateur_verify::{Branching, Outcome, Settings, Silent, verify_traced};
use std::collections::BTreeMap;
use std::time::Duration;

/// A box without a word about outputs.
fn inputs(lower: Vec<RBig>, upper: Vec<RBig>) -> Property {
    let inputs = lower.len();
    let case = Case { lower, upper, ball: None, unsafe_set: vec![Vec::new()] };
    Property { inputs, outputs: 0, cases: vec![case], declared: None }
}

fn square() -> Property {
    inputs(vec![-RBig::ONE; 2], vec![RBig::ONE; 2])
}

fn power_of_half(exponent: usize) -> RBig {
    RBig::from_parts(1.into(), dashu_int::UBig::ONE << exponent)
}

/// The network with some of its weights changed: zeroed, moved a little or a lot.
fn changed(graph: &Graph, random: &mut Random) -> Graph {
    let mut values = BTreeMap::new();
    for (_, node) in graph.nodes() {
        let Op::Constant(Value::F32(tensor)) = &node.op else { continue };
        let kind = random.index(5);
        let mut entry = |v: &f32| match kind {
            0 | 1 if random.index(3) == 0 => 0.0,
            2 => v + (random.normal() * 0.01) as f32,
            3 if random.index(2) == 0 => v * 1e-4,
            _ => *v,
        };
        // A variance that is moved might fall below 0.
        let entries = tensor.data().iter().map(|v| if kind == 2 { entry(v).abs().copysign(*v) } else { entry(v) });
        values.insert(node.name.clone(), Tensor::new(tensor.shape().to_vec(), entries.collect()));
    }
    graph.with_constants(&values).expect("the same shapes")
}

#[test]
fn the_joint_network_computes_both() {
    let mut random = Random::new(11);
    let (mut compared, mut equal, mut relations) = (0, 0, 0);
    for round in 0..300 {
        let (a, width) = if round % 3 == 0 {
            (bent::random(&mut random).expect("shapes fit"), 6)
        } else {
            let segment = curves::random(&mut random).expect("shapes fit");
            let width = segment.corners.0.len();
            (segment.graph, width)
        };
        let width = a.node(a.input()).shape.iter().product::<usize>().max(width.min(1));
        let b = if round % 7 == 0 { a.clone() } else { changed(&a, &mut random) };
        let space = inputs(vec![-RBig::ONE; width], vec![RBig::ONE; width]);
        let question = Question::SameClass { lead: RBig::ZERO, least: false };
        // Which entries are related must not matter.
        let mut related = Related::default();
        if let (1, Some(found)) = (round % 2, Differences::new(&a, &b, &related).expect("a pair")) {
            for (_, entries) in &found.relus {
                related.0.push((0..*entries as u32).filter(|_| random.index(3) > 0).collect());
            }
            relations += related.0.iter().map(Vec::len).sum::<usize>();
        }
        let pair = match Pair::related(&a, &b, &space, &question, &related) {
            // Roots and quotients by variables.
            Err(PairError::Partial { .. }) => continue,
            pair => pair.expect("a pair"),
        };
        equal += usize::from(pair.identical);
        assert!(pair.identical || round % 7 != 0, "round {round}");
        for _ in 0..4 {
            let point: Vec<RBig> =
                (0..width).map(|_| RBig::from_parts((random.index(33) as i64 - 16).into(), 16_u8.into())).collect();
            let [Ok(u), Ok(v), Ok(joint)] = [&a, &b, &pair.graph].map(|g| evaluate(g, &point, Precision::ROUNDED))
            else {
                continue;
            };
            compared += 1;
            for (i, (u, v)) in u.iter().zip(&v).enumerate() {
                let (a, d) = (&joint[i], &joint[u_len(&joint) + i]);
                assert!(a.lower <= u.upper && u.lower <= a.upper, "round {round}: {a:?} and {u:?}");
                let (low, high) = (&u.lower - &v.upper, &u.upper - &v.lower);
                assert!(d.lower <= high && low <= d.upper, "round {round}, output {i}: {d:?} and {low} to {high}");
                if [u, v].iter().all(|y| y.lower == y.upper) && a.lower == a.upper && d.lower == d.upper {
                    assert_eq!(d.lower, low, "round {round}: exactly");
                }
            }
        }
    }
    assert!(compared > 700 && equal >= 36, "{compared} points, {equal} equal networks");
    assert!(relations > 300, "{relations} related entries");
}

fn u_len(joint: &[secateur_check::Enclosure]) -> usize {
    joint.len() / 2
}

/// Some weights of hidden layers set to 0.
fn pruned(network: &Dense, share: f64, random: &mut Random) -> Dense {
    let mut layers = network.layers.clone();
    for layer in &mut layers {
        layer.weights.iter_mut().flatten().for_each(|w| {
            if random.unit() < share {
                *w = 0.0;
            }
        });
    }
    Dense { layers }
}

/// $A - B$ side by side: an oracle that shares nothing with the pair.
fn apart(a: &Dense, b: &Dense) -> Dense {
    let last = a.layers.len() - 1;
    let layer = |(index, (x, y)): (usize, (&Layer, &Layer))| {
        let width = y.weights[0].len();
        if index == last {
            let rows = x.weights.iter().zip(&y.weights);
            let row = |(x, y): (&Vec<f32>, &Vec<f32>)| x.iter().copied().chain(y.iter().map(|w| -w)).collect();
            let bias = x.bias.iter().zip(&y.bias).map(|(x, y)| x - y).collect();
            return Layer { weights: rows.map(row).collect(), bias };
        }
        let mut weights: Vec<Vec<f32>> = Vec::new();
        for row in &x.weights {
            let rest = if index == 0 { 0 } else { width };
            weights.push(row.iter().copied().chain(std::iter::repeat_n(0.0, rest)).collect());
        }
        for row in &y.weights {
            let rest = if index == 0 { 0 } else { x.weights[0].len() };
            weights.push(std::iter::repeat_n(0.0, rest).chain(row.iter().copied()).collect());
        }
        Layer { weights, bias: x.bias.iter().chain(&y.bias).copied().collect() }
    };
    Dense { layers: a.layers.iter().zip(&b.layers).enumerate().map(layer).collect() }
}

/// The greatest $|A_i - B_i|$ on the square, exactly.
fn distance(a: &Dense, b: &Dense) -> RBig {
    let mut most = RBig::ZERO;
    for piece in pieces(&apart(a, b), &[-RBig::ONE, -RBig::ONE], &[RBig::ONE, RBig::ONE]) {
        for (corner, output) in piece.corners.iter().flat_map(|c| piece.outputs.iter().map(move |o| (c, o))) {
            let there = value(output, corner);
            most = most.max(if there < RBig::ZERO { -there } else { there });
        }
    }
    most
}

fn decide(pair: &Pair, branching: Branching, timeout: Duration) -> (Outcome, Kept) {
    let settings = Settings { branching, timeout: Some(timeout), ..Settings::default() };
    let mut kept = Kept::default();
    let report = verify_traced(&pair.graph, &pair.property, &settings, &Silent, Some(&mut kept)).expect("supported");
    (report.outcome, kept)
}

#[test]
fn verdicts_are_the_exact_ones_and_proofs_are_accepted() {
    let mut random = Random::new(3);
    let (mut mutants, mut refused) = (0, 0);
    for round in 0..24 {
        let sizes: &[usize] = if round % 2 == 0 { &[2, 6, 5, 3] } else { &[2, 5, 4, 4, 2] };
        let a = Dense::random(sizes, &mut random);
        let b = if round % 4 < 2 { pruned(&a, 0.2, &mut random) } else { Dense::random(sizes, &mut random) };
        let most = distance(&a, &b);
        if most < power_of_half(6) {
            continue;
        }
        let (a, b) = (a.graph().expect("fits"), b.graph().expect("fits"));
        for (delta, equivalent) in [(&most + power_of_half(10), true), (&most - power_of_half(10), false)] {
            let pair = Pair::new(&a, &b, &square(), &Question::Within(delta)).expect("a pair");
            for branching in [Branching::Auto, Branching::Input, Branching::Kfsb] {
                let (outcome, kept) = decide(&pair, branching, Duration::from_secs(60));
                match outcome {
                    Outcome::Unsat if equivalent => {
                        accepted(&pair.graph, &pair.property, &kept.0).expect("the proof holds");
                        // The same proof does not show that they are nearer than they are.
                        let nearer = Question::Within(&most - power_of_half(10));
                        let nearer = Pair::new(&a, &b, &square(), &nearer).expect("a pair");
                        accepted(&nearer.graph, &nearer.property, &kept.0).expect_err("too much shown");
                        for _ in 0..10 {
                            let mut other = kept.0.clone();
                            mutate(&mut other, &mut random);
                            mutants += 1;
                            refused += usize::from(accepted(&nearer.graph, &nearer.property, &other).is_err());
                        }
                    }
                    Outcome::Sat(found) if !equivalent => {
                        let values = [&a, &b].map(|g| evaluate(g, &found.input, Precision::EXACT).expect("known"));
                        let far = |(x, y): (&secateur_check::Enclosure, &secateur_check::Enclosure)| {
                            let d = &x.lower - &y.lower;
                            let size = if d < RBig::ZERO { -d } else { d };
                            size > &most - power_of_half(10)
                        };
                        assert!(values[0].iter().zip(&values[1]).any(far), "round {round}: no difference there");
                    }
                    other => panic!("round {round}, {branching:?}: {other:?}, expected equivalent = {equivalent}"),
                }
            }
        }
    }
    assert!(mutants > 500 && mutants == refused, "{refused} of {mutants} mutants of proofs refused");
}

/// The class where it is ahead, and whether the other network has it among its first, on a grid.
fn disagreement(a: &Graph, b: &Graph, lead: &RBig, least: bool) -> bool {
    let sign = if least { -RBig::ONE } else { RBig::ONE };
    let outputs = |g: &Graph, point: &[RBig]| -> Vec<RBig> {
        evaluate(g, point, Precision::EXACT).expect("known").iter().map(|y| &y.lower * &sign).collect()
    };
    let grid = (-8..=8).flat_map(|i| (-8..=8).map(move |j| [i, j]));
    grid.into_iter().any(|point| {
        let point: Vec<RBig> = point.iter().map(|i| RBig::from_parts((*i).into(), 8_u8.into())).collect();
        let (u, v) = (outputs(a, &point), outputs(b, &point));
        (0..u.len()).any(|i| {
            let ahead = (0..u.len()).all(|k| k == i || &u[i] - &u[k] >= *lead);
            ahead && v.iter().any(|other| *other > v[i])
        })
    })
}

#[test]
fn classes_agree_where_they_should() {
    let mut random = Random::new(17);
    let mut counts = [0, 0];
    for round in 0..20 {
        let a = Dense::random(&[2, 6, 5, 3], &mut random);
        let b = pruned(&a, 0.04 * f64::from(round % 5), &mut random);
        let (a, b) = (a.graph().expect("fits"), b.graph().expect("fits"));
        for (lead, least) in [(RBig::ZERO, false), (power_of_half(1), false), (power_of_half(2), true)] {
            let question = Question::SameClass { lead: lead.clone(), least };
            let pair = Pair::new(&a, &b, &square(), &question).expect("a pair");
            let differ = disagreement(&a, &b, &lead, least);
            if pair.identical {
                assert!(!differ);
                continue;
            }
            let (outcome, kept) = decide(&pair, Branching::Auto, Duration::from_secs(2));
            match outcome {
                Outcome::Unsat => {
                    assert!(!differ, "round {round}: a point of the grid says otherwise");
                    accepted(&pair.graph, &pair.property, &kept.0).expect("the proof holds");
                    counts[0] += 1;
                }
                Outcome::Sat(_) => counts[1] += 1,
                // Networks that agree, up to ties.
                Outcome::Timeout => assert!(!differ),
                other => panic!("round {round}: {other:?}"),
            }
        }
    }
    assert!(counts.iter().all(|count| *count >= 10), "both answers occur: {counts:?}");
}

#[test]
fn differences_are_bounded_together() {
    let mut random = Random::new(5);
    let (mut together, mut separate) = (0.0, 0.0);
    for _ in 0..10 {
        let a = Dense::random(&[8, 24, 24, 3], &mut random);
        // Small weights go, as magnitude pruning has it.
        let mut b = a.clone();
        b.layers.iter_mut().flat_map(|layer| &mut layer.weights).flatten().for_each(|w| {
            if w.abs() < 0.02 {
                *w = 0.0;
            }
        });
        let space = inputs(vec![-power_of_half(2); 8], vec![power_of_half(2); 8]);
        let (a, b) = (a.graph().expect("fits"), b.graph().expect("fits"));
        let question = Question::Within(RBig::ONE);
        let apart = Pair::new(&a, &b, &space, &question).expect("a pair");
        let chosen = equivalence::related(&a, &b, &apart.property, &|| false).expect("supported");
        assert!(chosen.0.iter().any(|chosen| !chosen.is_empty()));
        let related = Pair::related(&a, &b, &space, &question, &chosen).expect("a pair");
        for (graph, sum) in [(&related.graph, &mut together), (&apart.graph, &mut separate)] {
            let network = lower(graph).expect("supported");
            let boxes = Boxes::one(&[-0.25; 8], &[0.25; 8], None);
            let (found, magnitudes) = bounds::bound(&network, &boxes, Method::Crown, &[], &|| false);
            for (output, sign) in (0..3).flat_map(|output| [(output, 1.0), (output, -1.0)]) {
                let mut rows = Rows::new(network.layers.len(), vec![0; 1]);
                let mut unit = vec![0.0; 3];
                unit[output] = sign;
                rows.coefficients[network.output()] = Some(unit);
                let form = back_substitute(&network, &magnitudes, &found.lines, rows, Multipliers::NONE, false);
                *sum -= form.box_minimum(0, &[-0.25; 8], &[0.25; 8]);
            }
        }
    }
    assert!(2.0 * together < separate, "{together} together, {separate} apart");
}

/// What `equivalence` records is what the checker of pairs takes, in both forms.
#[test]
fn proofs_in_both_forms_are_accepted() {
    let mut random = Random::new(23);
    let mut forms = [0, 0];
    for round in 0..12 {
        let a = Dense::random(&[2, 6, 6, 3], &mut random);
        let share = if round % 2 == 0 { 0.002 } else { 0.02 };
        let mut b = a.clone();
        b.layers.iter_mut().flat_map(|layer| &mut layer.weights).flatten().for_each(|w| *w *= 1.0 - share);
        let delta = distance(&a, &b) * RBig::from(2_u8);
        let (a, b) = (a.graph().expect("fits"), b.graph().expect("fits"));
        let question = Question::Within(delta);
        let settings =
            Settings { branching: Branching::Kfsb, timeout: Some(Duration::from_secs(5)), ..Settings::default() };
        let mut kept = Kept::default();
        let (_, report) = equivalence::equivalence([&a, &b], &square(), &question, &settings, &Silent, Some(&mut kept))
            .expect("supported");
        if report.outcome == Outcome::Timeout {
            continue;
        }
        assert_eq!(report.outcome, Outcome::Unsat, "round {round}");
        forms[usize::from(matches!(kept.0.first(), Some(Record::Related(_))))] += 1;
        let checked = |records: &[Record], question: &Question| {
            check_pair(&a, &b, &square(), question, &NO_FILES, packed(&stream(records)).as_slice())
        };
        checked(&kept.0, &question).expect("the proof holds");
        // The first record counts, and it is of pairs only.
        let apart = Pair::new(&a, &b, &square(), &question).expect("a pair");
        let mut records = kept.0.clone();
        if !matches!(records.first(), Some(Record::Related(_))) {
            records.insert(0, Record::Related(Related(vec![vec![0, 1]])));
        }
        accepted(&apart.graph, &apart.property, &records).expect_err("no record of a single network");
        for wrong in [vec![vec![1, 0]], vec![vec![0, 0]], vec![vec![10]], vec![Vec::new(); 5]] {
            records[0] = Record::Related(Related(wrong));
            checked(&records, &question).expect_err("no such entries");
        }
    }
    assert!(forms[1] > 0, "some proof is in the related form: {forms:?}");
}

#[test]
fn equal_networks_need_no_records() {
    let a = Dense::random(&[2, 4, 2], &mut Random::new(1)).graph().expect("fits");
    let pair = Pair::new(&a, &a, &square(), &Question::Within(RBig::ZERO)).expect("a pair");
    assert!(pair.identical);
    let check = |records: &[Record]| {
        let question = Question::Within(RBig::ZERO);
        check_pair(&a, &a, &square(), &question, &NO_FILES, packed(&stream(records)).as_slice())
    };
    check(&[]).expect("nothing to show");
    check(&[Record::Related(Related::default())]).expect_err("a record that shows nothing");
}

#[test]
fn what_makes_no_pair_is_refused() {
    let mut random = Random::new(1);
    let mut net = |sizes: &[usize]| Dense::random(sizes, &mut random).graph().expect("fits");
    let (a, wide, many, one) = (net(&[2, 3, 2]), net(&[3, 3, 2]), net(&[2, 3, 4]), net(&[2, 3, 1]));
    let within = Question::Within(RBig::ONE);
    let classes = Question::SameClass { lead: RBig::ZERO, least: false };
    let negative = Question::Within(-RBig::ONE);
    let refused = |a: &Graph, b: &Graph, space: &Property, question: &Question| {
        Pair::new(a, b, space, question).expect_err("refused")
    };
    assert!(matches!(refused(&a, &wide, &square(), &within), PairError::Sizes { what: "inputs", .. }));
    assert!(matches!(refused(&a, &many, &square(), &within), PairError::Sizes { what: "outputs", .. }));
    assert!(matches!(refused(&wide, &wide, &square(), &within), PairError::Inputs { property: 2, networks: 3 }));
    assert!(matches!(refused(&one, &one, &square(), &classes), PairError::Classes { outputs: 1 }));
    assert!(matches!(refused(&a, &a, &square(), &negative), PairError::Negative));
}
