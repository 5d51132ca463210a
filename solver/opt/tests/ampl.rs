//! The reader of AMPL models.
#![cfg(feature = "nlp")]

use secateur_opt::NonlinearProgram;
use secateur_opt::ampl::{AmplFault, AmplModel};

fn fault(model: &str) -> AmplFault {
    AmplModel::read(model, None).map(|_| ()).expect_err(model)
}

/// The value of the objective at the start.
fn value(model: &str, data: &str) -> f64 {
    let model = AmplModel::read(model, Some(data)).unwrap();
    let program = &model.program.program;
    program.objective(&program.start())
}

#[test]
fn data_come_as_lists_tables_columns_and_assignments() {
    let model = "set I; set J := 1..3; set P within I cross J;
                 param a{I}; param b{I, J} default 7; param c{P}; param d;
                 var x := 1;
                 minimize f: x * (sum{i in I} a[i] + sum{i in I, j in J} b[i,j] + sum{(i,j) in P} c[i,j] * j + d);";
    let data = "param: I: a := left 1  right 2;          # a set with its first parameter
                param b: 1 2 := left 10 20  right . 40   /* 7 where nothing stands */
                       : 3   := left 30;
                param: P: c := left 3 100  right 1 200;
                param d := -5e-1;";
    // 3 + (10 + 20 + 7 + 40 + 30 + 7) + (300 + 200) - 0.5
    assert_eq!(value(model, data), 616.5);
}

#[test]
fn commands_change_sets_parameters_and_starts() {
    let model = "set I := 1..4; set K within I; param w{I} := 1; var x{I} := 2;
                 minimize f: sum{k in K} w[k] * x[k] - sum{i in I diff K} x[i];";
    let data = "let K := {}; for {i in I} if i >= 2 and i <> 3 then { let K := K union {i} };
                let {k in K} w[k] := 10 * k; let x[4] := 3;";
    // 20 * 2 + 40 * 3 - 2 - 2
    assert_eq!(value(model, data), 156.0);
}

#[test]
fn a_bound_index_in_a_tuple_selects() {
    let model = "set E := {(1,2), (1,3), (2,3)}; var x{1..3} := 1; var out{i in 1..3} = sum{(i,j) in E} x[j] * j;
                 minimize f: 100 * out[1] + 10 * out[2] + out[3];";
    assert_eq!(value(model, ""), 530.0);
}

#[test]
fn definitions_may_refer_to_smaller_indices() {
    let model = "param fact{i in 0..5} := if i = 0 then 1 else fact[i-1] * i; var x := 1; minimize f: x * fact[5];";
    assert_eq!(value(model, ""), 120.0);
    let model = "param a := b; param b := a; var x; minimize f: a * x;";
    assert!(matches!(fault(model), AmplFault::Circular { .. }));
}

#[test]
fn precedence_is_that_of_the_language() {
    for (expression, expected) in [
        ("-x^2", -9.0),
        ("2^x^0.5^0", 8.0),
        ("x - 1 - 1", 1.0),
        ("6 / x * 2", 4.0),
        ("sum{i in 1..2} x * i + 1", 10.0),
        ("1 + if 2 < 3 then x else 100 + 1", 4.0),
        ("x ** -1 * 6", 2.0),
        ("abs(-x) + sqrt(x * 3) + exp(log(x)) + max(1, 2)", 11.0),
    ] {
        let found = value(&format!("var x := 3; minimize f: {expression};"), "");
        assert!((found - expected).abs() < 1e-12, "{expression}: {found}");
    }
}

#[test]
fn general_complementarity_becomes_pairs_through_slacks() {
    let head = "var x >= 0; var y >= 0; var z; minimize f: x + y + z; c: ";
    for (condition, pairs, variables, constraints) in [
        ("0 <= x complements y >= 0", 1, 3, 0),
        ("x >= 0 complements x >= 0", 1, 4, 1),
        ("0 <= 2*x - 1 complements y >= 0", 1, 4, 1),
        ("x + y >= 1 complements z^2 <= 4", 1, 5, 2),
        ("-1 <= z <= 1 complements x - y", 2, 7, 3),
        ("z = 1 complements x", 0, 3, 1),
    ] {
        let model = AmplModel::read(&format!("{head}{condition};"), None).unwrap();
        let program = &model.program.program;
        assert_eq!(
            (model.program.pairs.len(), program.variables(), program.constraints()),
            (pairs, variables, constraints),
            "{condition}"
        );
    }
}

#[test]
fn what_is_not_read_is_a_fault_with_its_reason() {
    assert!(matches!(fault("var x binary; minimize f: x;"), AmplFault::Unsupported { line: 1, .. }));
    assert!(matches!(fault("var x; minimize f: x + ;"), AmplFault::Syntax { .. }));
    assert!(matches!(fault("var x; minimize f: x + y;"), AmplFault::Undeclared { .. }));
    assert!(matches!(fault("param p; var x; minimize f: x + p;"), AmplFault::NoValue { .. }));
    assert!(matches!(fault("var x; minimize f: if x > 0 then x else 0;"), AmplFault::NotConstant { .. }));
    assert!(matches!(fault("var x; minimize f: gamma(x);"), AmplFault::Function { .. }));
    assert!(matches!(fault("var x; c: x >= 0;"), AmplFault::NoObjective));
    assert!(matches!(fault("var x; minimize f: x; c: x = 0 complements x >= 0;"), AmplFault::Complements { .. }));
    assert!(matches!(fault("/* no end"), AmplFault::Unterminated { line: 1 }));
    assert!(matches!(
        fault("param a{1..2}; var x; minimize f: x; data; param a := 1 2 3;"),
        AmplFault::DataShape { .. }
    ));
}
