//! The VNNLIB reader: what it reads, and what it refuses on which line.

use dashu_ratio::RBig;
use secateur_nn::NnError;
use secateur_nn::graph::GraphBuilder;
use secateur_nn::op::ElementType;
use secateur_nn::property::{LinearConstraint, Property};
use secateur_nn::vnnlib::{self, VnnlibFault};

const HEAD: &str =
    "(declare-const X_0 Real)\n(declare-const X_1 Real)\n(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n";
const BOX: &str = "(assert (>= X_0 -1))\n(assert (<= X_0 1))\n(assert (<= X_1 0.5))\n(assert (>= X_1 1e-1))\n";

fn ratio(numerator: i64, denominator: u64) -> RBig {
    RBig::from_parts(numerator.into(), denominator.into())
}

fn ratios(values: &[(i64, u64)]) -> Vec<RBig> {
    values.iter().map(|(n, d)| ratio(*n, *d)).collect()
}

fn terms(values: &[(usize, i64)]) -> Vec<(usize, RBig)> {
    values.iter().map(|(i, v)| (*i, ratio(*v, 1))).collect()
}

fn constraint(inputs: &[(usize, i64)], outputs: &[(usize, i64)], bound: i64, strict: bool) -> LinearConstraint {
    LinearConstraint { inputs: terms(inputs), outputs: terms(outputs), bound: ratio(bound, 1), strict }
}

fn read(text: &str) -> Property {
    vnnlib::parse(text, "file.vnnlib").unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// The property of two inputs in the usual box with more assertions.
fn boxed(assertions: &str) -> Property {
    read(&format!("{HEAD}{BOX}{assertions}"))
}

/// Line and fault.
type Refusal = (Option<usize>, VnnlibFault);

/// Why a text is refused.
fn refused(text: &str) -> Refusal {
    match vnnlib::parse(text, "file.vnnlib") {
        Err(error @ NnError::Vnnlib { .. }) => {
            let shown = error.to_string();
            let NnError::Vnnlib { line, fault, .. } = error else { unreachable!() };
            let place = line.map_or("file.vnnlib: ".to_owned(), |l| format!("file.vnnlib:{l}: "));
            assert!(shown.starts_with(&place), "{shown}");
            (line, *fault)
        }
        other => panic!("not refused: {other:?}\n{text}"),
    }
}

#[test]
fn a_box_and_a_comparison() {
    let property = boxed("; the unsafe set\n(assert (<= Y_0 Y_1)) ; and no more\n");
    assert_eq!((property.inputs, property.outputs, property.cases.len()), (2, 2, 1));
    let case = &property.cases[0];
    assert_eq!((&case.lower, &case.upper), (&ratios(&[(-1, 1), (1, 10)]), &ratios(&[(1, 1), (1, 2)])));
    assert_eq!(case.unsafe_set, [[constraint(&[], &[(0, 1), (1, -1)], 0, false)]]);
}

#[test]
fn comparisons_take_every_linear_form() {
    let table = [
        ("(>= Y_0 2)", vec![constraint(&[], &[(0, -1)], -2, false)]),
        ("(< Y_0 Y_1)", vec![constraint(&[], &[(0, 1), (1, -1)], 0, true)]),
        ("(> 3 Y_1)", vec![constraint(&[], &[(1, 1)], 3, true)]),
        ("(<= (+ Y_0 (* 2 Y_1) 3 -1) (- Y_1 4))", vec![constraint(&[], &[(0, 1), (1, 1)], -6, false)]),
        ("(<= (- Y_0) (- 5))", vec![constraint(&[], &[(0, -1)], -5, false)]),
        ("(<= (* (+ 1 1) (- Y_0 Y_1) 3) 0)", vec![constraint(&[], &[(0, 6), (1, -6)], 0, false)]),
        ("(<= (+ Y_0 Y_0 (* -2 Y_0) Y_1) 0)", vec![constraint(&[], &[(1, 1)], 0, false)]),
        ("(<= (+ X_1 Y_0) X_0)", vec![constraint(&[(0, -1), (1, 1)], &[(0, 1)], 0, false)]),
        ("(<= (+ X_1 X_0) 1)", vec![constraint(&[(0, 1), (1, 1)], &[], 1, false)]),
        ("(= Y_0 1)", vec![constraint(&[], &[(0, 1)], 1, false), constraint(&[], &[(0, -1)], -1, false)]),
        ("(and (<= Y_0 1) (<= 2 3))", vec![constraint(&[], &[(0, 1)], 1, false)]),
    ];
    for (text, expected) in table {
        let property = boxed(&format!("(assert {text})"));
        assert_eq!(property.cases.len(), 1, "{text}");
        assert_eq!(property.cases[0].unsafe_set, [expected], "{text}");
    }
}

#[test]
fn disjunctions_multiply_out() {
    let y0 = |strict| constraint(&[], &[(0, 1)], 0, strict);
    let y1 = |strict| constraint(&[], &[(1, 1)], 0, strict);
    let or = boxed("(assert (or (<= Y_0 0) (and (<= Y_1 0) (< Y_0 0))))");
    assert_eq!(or.cases[0].unsafe_set, [vec![y0(false)], vec![y1(false), y0(true)]]);
    let two = boxed("(assert (or (<= Y_0 0) (< Y_0 0)))(assert (or (<= Y_1 0) (< Y_1 0)))");
    let expected = [[y0(false), y1(false)], [y0(false), y1(true)], [y0(true), y1(false)], [y0(true), y1(true)]];
    assert_eq!(two.cases[0].unsafe_set, expected);
    let nested = boxed("(assert (or (and (or (<= Y_0 0) (<= Y_1 0))) (or (or (< Y_0 0)))))(assert (<= Y_1 0))");
    assert_eq!(nested.cases[0].unsafe_set.len(), 3);
    assert!(nested.cases[0].unsafe_set.iter().all(|c| c.contains(&y1(false))));
    let apart = boxed("(assert (!= Y_0 0))");
    assert_eq!(apart.cases[0].unsafe_set, [[y0(true)], [constraint(&[], &[(0, -1)], 0, true)]]);
    assert_eq!(boxed("").cases[0].unsafe_set, [[]]);
}

#[test]
fn boxes_in_disjunctions_make_cases() {
    let first = "(and (>= X_0 0) (<= X_1 0.25) (<= Y_0 0))";
    let property = boxed(&format!(
        "(assert (or {first} (and (<= X_1 0.25) (>= X_0 0) (<= Y_1 0)) (and (<= (* 2 X_0) 1) (<= Y_0 1)) (<= Y_1 7)))"
    ));
    let corners: Vec<_> = property.cases.iter().map(|c| (c.lower.clone(), c.upper.clone())).collect();
    let expected = [
        (ratios(&[(0, 1), (1, 10)]), ratios(&[(1, 1), (1, 4)])),
        (ratios(&[(-1, 1), (1, 10)]), ratios(&[(1, 2), (1, 2)])),
        (ratios(&[(-1, 1), (1, 10)]), ratios(&[(1, 1), (1, 2)])),
    ];
    assert_eq!(corners, expected);
    let ways: Vec<_> = property.cases.iter().map(|c| c.unsafe_set.len()).collect();
    assert_eq!(ways, [2, 1, 1]);
}

#[test]
fn inputs_may_be_bounded_in_the_branches_only() {
    let part = |low: i64| {
        let bounds = format!("(>= X_0 {low}) (<= X_0 {}) (>= X_1 {low}) (<= X_1 {})", low + 1, low + 1);
        format!("(and {bounds})")
    };
    let property = read(&format!("{HEAD}(assert (or {} {}))(assert (<= Y_0 0))", part(0), part(5)));
    assert_eq!(property.cases.len(), 2);
    assert_eq!(property.cases[1].lower, ratios(&[(5, 1), (5, 1)]));
}

#[test]
fn branches_without_inputs_are_left_out() {
    let property = boxed("(assert (or (and (>= X_0 3) (<= Y_0 0)) (<= Y_1 0) (and (<= 1 0) (<= Y_0 0))))");
    assert_eq!(property.cases.len(), 1);
    assert_eq!(property.cases[0].unsafe_set, [[constraint(&[], &[(1, 1)], 0, false)]]);
    let (line, fault) = refused(&format!("{HEAD}{BOX}(assert (or\n (>= X_0 3)\n (<= X_1 0)))"));
    assert!(matches!(fault, VnnlibFault::Contradiction { name, .. } if name == "X_0"));
    assert_eq!(line, Some(10));
}

#[test]
fn strict_bounds_of_inputs_are_kept() {
    let property = boxed("(assert (< X_0 1))");
    assert_eq!(property.cases[0].upper, ratios(&[(1, 1), (1, 2)]));
    assert_eq!(property.cases[0].unsafe_set, [[constraint(&[(0, 1)], &[], 1, true)]]);
    let (_, fault) = refused(&format!("{HEAD}{BOX}(assert (> X_0 1))"));
    assert!(matches!(fault, VnnlibFault::Contradiction { .. }));
    let (_, fault) = refused(&format!("{HEAD}{BOX}(assert (< 1 1))"));
    assert!(matches!(fault, VnnlibFault::False));
}

#[test]
fn queries_of_version_two_over_one_network_are_read() {
    let text = "(vnnlib-version <2.0>)
        (declare-network N (declare-input X float32 [1, 2] \"in\") (declare-output Y Real [2,1]))
        (assert (and (>= X[0,0] -1) (<= X[0,0] 1) (<= X [0, 1] 0.5) (>= X[0,1] 0.1)))
        (assert (or (<= Y[1,0] Y[0,0]) (== Y[0,0] 2)))";
    let property = read(text);
    assert_eq!((property.inputs, property.outputs), (2, 2));
    assert_eq!(property.cases[0].lower, ratios(&[(-1, 1), (1, 10)]));
    let first = constraint(&[], &[(0, -1), (1, 1)], 0, false);
    assert_eq!(property.cases[0].unsafe_set[0], [first]);
    assert_eq!(property.cases[0].unsafe_set[1].len(), 2);
    let scalar = "(vnnlib-version <2.0>)(declare-network f (declare-input a real []) (declare-output b real []))
        (assert (<= a 1)) (assert (>= a 0)) (assert (< b a))";
    assert_eq!(read(scalar).cases[0].unsafe_set, [[constraint(&[(0, -1)], &[(0, 1)], 0, true)]]);
}

#[test]
fn refusals_name_line_and_reason() {
    let after = |text: &str| refused(&format!("{HEAD}{BOX}{text}"));
    let network = |text: &str| refused(&format!("(vnnlib-version <2.0>)\n(declare-network N {text})"));
    let ports = "(declare-input X real [2]) (declare-output Y real [2])";
    let huge = "(declare-input X real [99999999]) (declare-output Y real [1])";
    let sizes = "(declare-input X real [9999999, 9999999]) (declare-output Y real [1])";
    let table: Vec<(Refusal, Option<usize>, &str)> = vec![
        (refused(""), None, "the file is empty"),
        (refused("; only a comment"), None, "the file is empty"),
        (refused(HEAD), None, "input `X_0` has no lower bound"),
        (refused(&format!("{HEAD}(assert (>= X_0 1))")), None, "input `X_0` has no upper bound"),
        (refused(&format!("{HEAD}{}", &BOX[..41])), None, "input `X_1` has no lower bound"),
        (refused("(declare-const X_0 Real)"), None, "no output is declared"),
        (refused("(declare-const Y_0 Real)"), None, "no input is declared"),
        (refused("(declare-const X_1 Real)\n(declare-const Y_0 Real)"), None, "`X_0` is not declared, but"),
        (refused("(declare-const X_0 Int)"), Some(1), "sort `Int` is not supported"),
        (refused("\n(declare-const Z_0 Real)"), Some(2), "expected a variable named X_… or Y_…, found `Z_0`"),
        (refused("(declare-const X_00 Real)"), Some(1), "expected a variable"),
        (refused(&format!("{HEAD}(declare-const X_0 Real)")), Some(5), "`X_0` is declared twice"),
        (after("(assert (>= X_0 2))"), Some(9), "input `X_0` has contradictory bounds: 2 ≤ X_0 ≤ 1"),
        (
            after("(assert (>= X_0 1.0000000000000000001))"),
            Some(9),
            "bounds: 10000000000000000001/10000000000000000000 ≤ X_0 ≤ 1",
        ),
        (after("(assert (> X_0 1))"), Some(9), "input `X_0` has contradictory bounds: 1 < X_0 ≤ 1"),
        (after("(assert (<= X_9 2))"), Some(9), "variable `X_9` is not declared"),
        (after("(assert (<= Y_2 2))"), Some(9), "variable `Y_2` is not declared"),
        (after("(assert (<= Y_0[1] 2))"), Some(9), "variable `Y_0[1]` is not declared"),
        (after("\n(assert (<= (* Y_0 Y_1) 2))"), Some(10), "not linear"),
        (after("(assert (<= (/ Y_0 2) 2))"), Some(9), "operator `/` is not supported"),
        (after("(assert (=> (<= Y_0 1) (<= Y_1 1)))"), Some(9), "operator `=>` is not supported"),
        (after("(assert (<= Y_0))"), Some(9), "`<=` takes 2 arguments, found 1"),
        (after("(assert (and))"), Some(9), "`and` takes 1 or more arguments, found 0"),
        (after("(assert)"), Some(9), "`assert` takes 1 arguments, found 0"),
        (after("(assert (<= Y_0 1.2.3))"), Some(9), "`1.2.3` is not a decimal number"),
        (after("(assert (<= Y_0 1e999999999))"), Some(9), "is not a decimal number"),
        (after("(check-sat)"), Some(9), "command `check-sat` is not supported"),
        (after("(assert (<= Y_0 1)"), Some(9), "`(` is never closed"),
        (after("(assert (<= Y_0 1)))"), Some(9), "found `)`"),
        (after("assert"), Some(9), "expected a command in parentheses, found `assert`"),
        (after("(assert Y_0)"), Some(9), "expected an expression in parentheses, found `Y_0`"),
        (after("(assert (<= Y_0 [1]))"), None, ""),
        (after(&"(".repeat(100_000)), Some(9), "nested deeper than"),
        (refused("(assert (<= X_0 1))"), Some(1), "variable `X_0` is not declared"),
        (network(&format!("(isomorphic-to M) {ports}")), Some(2), "statement `isomorphic-to` is not supported"),
        (network(&format!("(equal-to M) {ports}")), Some(2), "statement `equal-to` is not supported"),
        (network(&format!("{ports} (declare-hidden H real [1] \"h\")")), Some(2), "statement `declare-hidden`"),
        (network(&format!("{ports} (declare-input Z real [1])")), Some(2), "several inputs"),
        (network("(declare-input X real [2])"), Some(2), "no output is declared"),
        (network("(declare-input X int8 [2]) (declare-output Y real [1])"), Some(2), "element type `int8`"),
        (network(&format!("{ports})\n(declare-network M {ports}")), Some(3), "several networks"),
        (network(&format!("{ports}) (declare-const X_0 Real")), Some(2), "declare-const"),
        (network(&format!("{ports}) (assert (<= X[2] 0)")), Some(2), "`X[2]` is outside the declared shape [2]"),
        (network(&format!("{ports}) (assert (<= X[0,0] 0)")), Some(2), "is outside the declared shape"),
        (
            network(&format!("{ports}) (assert (<= X[0] 0)) (assert (>= X[0] 0)")),
            None,
            "input `X[1]` has no lower bound",
        ),
        (network(huge), None, "input `X[0]` has no lower bound"),
        (network(sizes), Some(2), "is no possible shape"),
        (refused("(vnnlib-version <3.0>)"), Some(1), "version `<3.0>` is not supported"),
        (refused("(vnnlib-version 2.0)"), Some(1), "version `2.0` is not supported"),
    ];
    for ((found_line, fault), line, reason) in table {
        let shown = fault.to_string();
        assert!(shown.contains(reason), "{shown} | {reason}");
        assert!(line.is_none() && reason.is_empty() || found_line == line, "{shown}: {found_line:?} {line:?}");
    }
    assert!(matches!(vnnlib::parse(b"(assert \xff)", "f"), Err(NnError::Vnnlib { line: Some(1), .. })));
}

#[test]
fn too_many_combinations_are_refused() {
    let choice = "(assert (or (<= Y_0 0) (<= Y_1 0)))\n";
    assert_eq!(boxed(&choice.repeat(10)).cases[0].unsafe_set.len(), 1024);
    let (_, fault) = refused(&format!("{HEAD}{BOX}{}", choice.repeat(64)));
    assert!(matches!(fault, VnnlibFault::TooManyCases { .. }));
    let deep = format!("(assert {}(<= Y_0 0){})", "(and ".repeat(150), ")".repeat(150));
    assert_eq!(boxed(&deep).cases.len(), 1);
}

#[test]
fn sizes_are_checked_against_the_network() {
    let graph = |inputs: usize| {
        let b = GraphBuilder::new("x", vec![1, inputs], ElementType::F32);
        let input = b.input();
        b.finish(input).unwrap()
    };
    assert!(boxed("").check_against(&graph(2)).is_ok());
    let error = boxed("").check_against(&graph(3)).unwrap_err();
    assert!(matches!(error, NnError::Sizes { what: "input", expected: 3, found: 2 }));
}

#[test]
fn declared_shapes_are_those_of_the_network() {
    let network = |shape: Vec<usize>| {
        let builder = secateur_nn::graph::GraphBuilder::new("x", shape, secateur_nn::op::ElementType::F32);
        let x = builder.input();
        builder.finish(x).expect("a network")
    };
    let declared = |shape: &str| {
        let text = format!(
            "(vnnlib-version <2.0>)(declare-network f (declare-input X real {shape}) (declare-output Y real {shape}))
             (assert (>= X[0,0] 0)) (assert (<= X[0,0] 1)) (assert (>= Y[0,0] 2))"
        );
        let rest = (1..6).map(|i| format!("(assert (>= X[{0},{1}] 0)) (assert (<= X[{0},{1}] 1))", i / 2, i % 2));
        read(&(text + &rest.collect::<String>()))
    };
    let property = declared("[3, 2]");
    for fits in [vec![3, 2], vec![1, 3, 2], vec![3, 1, 2]] {
        property.check_against(&network(fits)).expect("the same");
    }
    let error = property.check_against(&network(vec![2, 3])).expect_err("another").to_string();
    assert_eq!(error, "the property declares an input of shape [3, 2], the network has [2, 3]");
    assert!(property.check_against(&network(vec![7])).is_err());
}
