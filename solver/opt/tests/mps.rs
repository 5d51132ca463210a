//! The reader of MPS and QPS files.

mod files;
mod problems;

use problems::Expected;
use secateur_opt::{MpsFault, MpsForm, MpsModel, OptError};

const INF: f64 = f64::INFINITY;

fn read(text: &str) -> MpsModel {
    MpsModel::read(text, MpsForm::Free).unwrap()
}

/// A file with one row of each type, columns `x y z` and the given sections.
fn file(sections: &str) -> String {
    let columns = " x cost 1 most 1\n x least 2\n y cost -1 equal 3\n z most 4\n";
    format!("NAME t\nROWS\n N cost\n L most\n G least\n E equal\n N other\nCOLUMNS\n{columns}{sections}ENDATA\n")
}

#[track_caller]
fn fault(text: &str, form: MpsForm) -> (usize, MpsFault) {
    match MpsModel::read(text, form) {
        Err(OptError::Mps { line, fault }) => (line, fault),
        other => panic!("expected a fault, found {other:?}"),
    }
}

#[test]
fn rows_right_hand_sides_and_ranges() {
    let model = read(&file("RHS\n RHS cost 7 most 10\n least 3\n RHS equal 5\n"));
    assert_eq!((model.name.as_str(), model.offset), ("t", -7.0));
    assert_eq!(model.row_names, ["most", "least", "equal"]);
    assert_eq!(model.program.objective, [1.0, -1.0, 0.0]);
    assert_eq!(model.program.rows[0].entries, [(0, 1.0), (2, 4.0)]);
    let bounds = |model: &MpsModel| model.program.rows.iter().map(|row| (row.lower, row.upper)).collect::<Vec<_>>();
    assert_eq!(bounds(&model), [(-INF, 10.0), (3.0, INF), (5.0, 5.0)]);
    let rhs = "RHS\n RHS most 10 least 3\n RHS equal 5\n";
    let model = read(&file(&format!("{rhs}RANGES\n R most -2 least -4\n R equal 6\n")));
    assert_eq!(bounds(&model), [(8.0, 10.0), (3.0, 7.0), (5.0, 11.0)]);
    assert_eq!(bounds(&read(&file(&format!("{rhs}RANGES\n equal -6\n"))))[2], (-1.0, 5.0));
}

#[test]
fn kinds_of_bounds() {
    let bounds = |lines: &str| {
        let model = read(&file(&format!("BOUNDS\n{lines}")));
        (model.program.lower[0], model.program.upper[0], model.integer_columns.contains(&0))
    };
    assert_eq!(bounds(""), (0.0, INF, false));
    assert_eq!(bounds(" UP B x 4\n"), (0.0, 4.0, false));
    assert_eq!(bounds(" UP B x 0\n"), (0.0, 0.0, false));
    assert_eq!(bounds(" UP B x -4\n"), (-INF, -4.0, false));
    assert_eq!(bounds(" LO B x -9\n UP B x -4\n"), (-9.0, -4.0, false));
    assert_eq!(bounds(" UP B x -4\n LO B x -9\n"), (-9.0, -4.0, false));
    assert_eq!(bounds(" LO x 2.5\n"), (2.5, INF, false));
    assert_eq!(bounds(" FX B x 1d1\n"), (10.0, 10.0, false));
    assert_eq!(bounds(" FR B x\n"), (-INF, INF, false));
    assert_eq!(bounds(" MI x\n"), (-INF, INF, false));
    assert_eq!(bounds(" UP B x 4\n MI B x\n"), (-INF, 4.0, false));
    assert_eq!(bounds(" UP B x 4\n PL B x\n"), (0.0, INF, false));
    assert_eq!(bounds(" BV B x\n"), (0.0, 1.0, true));
    assert_eq!(bounds(" LI B x 2\n"), (2.0, INF, true));
    assert_eq!(bounds(" UI B x 3\n"), (0.0, 3.0, true));
}

#[test]
fn integer_markers_and_their_default_bounds() {
    let text = "ROWS\n N c\n L r\nCOLUMNS\n a c 1 r 1\n M1 'MARKER' 'INTORG'\n b c 1 r 1\n d c 1 r 1\n e c 1 r 1\n \
                M2 'MARKER' 'INTEND'\n f c 1 r 1\nBOUNDS\n UP B d 7\n LO B e 1\nENDATA\n";
    let model = read(text);
    assert_eq!(model.integer_columns, [1, 2, 3]);
    assert_eq!(model.program.lower, [0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(model.program.upper, [INF, 1.0, 7.0, INF, INF]);
}

#[test]
fn a_maximum_is_a_negated_minimum() {
    for sense in ["OBJSENSE MAX\n", "OBJSENSE\n    MAXIMIZE\n"] {
        let model = read(&format!("{sense}{}", file("RHS\n R cost 7\n")));
        assert!(model.maximise);
        assert_eq!(model.program.objective, [-1.0, 1.0, 0.0]);
        assert_eq!(model.objective_value(-10.0), 3.0);
    }
}

#[test]
fn quadratic_sections() {
    let triangle = read(&file("QUADOBJ\n x x 2 y -1\n z y 4\n"));
    assert_eq!(triangle.quadratic, [(0, 0, 2.0), (0, 1, -1.0), (1, 2, 4.0)]);
    let whole = read(&file("QMATRIX\n x x 2 y -1\n y x -1 z 4\n z y 4\n"));
    assert_eq!(whole, triangle);
    let (_, lopsided) = fault(&file("QMATRIX\n x y -1\n y x 1\n"), MpsForm::Free);
    assert_eq!(lopsided, MpsFault::Asymmetric("x".into(), "y".into()));
}

#[test]
fn fixed_form_has_names_with_spaces() {
    let text = "NAME          a name\nROWS\n N  cost\n L  at most\nCOLUMNS\n    the x     cost                 1   at most\
                \x20             2\n    the y     at most              3\nRHS\n              at most              4\n\
                BOUNDS\n UP           the x                5\n MI BND       the y\nENDATA\n";
    let model = MpsModel::read(text, MpsForm::Fixed).unwrap();
    assert_eq!(model.name, "a name");
    assert_eq!(model.column_names, ["the x", "the y"]);
    assert_eq!(model.program.rows[0].entries, [(0, 2.0), (1, 3.0)]);
    assert_eq!(model.program.rows[0].upper, 4.0);
    assert_eq!((model.program.upper[0], model.program.lower[1]), (5.0, -INF));
    let shifted = text.replace("    the y     at most ", "    the y    at most  ");
    assert_eq!(fault(&shifted, MpsForm::Fixed), (7, MpsFault::Misplaced));
}

#[test]
fn both_forms_read_aligned_files_alike() {
    for file in ["afiro", "adlittle", "bell5", "egout", "flugpl", "gt2", "klein1", "lseu", "rgn", "woodinfe"] {
        let name = format!("lp/{file}.mps");
        let text = files::text(&name, &name).unwrap();
        let fixed = MpsModel::read(&text, MpsForm::Fixed).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(fixed, read(&text), "{file}");
    }
}

#[test]
fn all_problems_of_the_table_are_read() {
    let problems = problems::linear();
    for expected in [Expected::Proved, Expected::Infeasible, Expected::Optimal(-7.75)] {
        assert!(problems.iter().any(|problem| problem.expected == expected && problem.model.is_some()));
    }
    let sizes: Vec<_> = problems
        .iter()
        .filter_map(|problem| problem.model.as_ref().map(|model| (problem.file.clone(), model)))
        .map(|(file, model)| (file, model.program.rows.len(), model.program.columns(), model.integer_columns.len()))
        .collect();
    // Rows, columns and integer columns as HiGHS 1.15.1 counts them.
    for known in
        [("afiro.mps", 27, 32, 0), ("bell5.mps", 91, 104, 58), ("egout.mps", 98, 141, 55), ("gt2.mps", 29, 188, 188)]
    {
        assert!(sizes.iter().any(|(file, rows, columns, integer)| (file.as_str(), *rows, *columns, *integer) == known));
    }
}

#[test]
fn faults_name_their_line() {
    let free = |text: &str| fault(text, MpsForm::Free);
    assert_eq!(free("* comment\n\nROWS\n N cost\n X row\nENDATA\n"), (5, MpsFault::RowType("X".into())));
    assert_eq!(free(" x 1\n"), (1, MpsFault::NoSection));
    assert_eq!(free("SOS1\n"), (1, MpsFault::Section("SOS1".into())));
    assert_eq!(free("RHS\n"), (1, MpsFault::Order("RHS".into())));
    assert_eq!(free("ROWS\n N c\nROWS\n"), (3, MpsFault::Order("ROWS".into())));
    assert_eq!(free("ROWS\n N c\n L c\n"), (3, MpsFault::Duplicate("c".into())));
    assert_eq!(free("ROWS\n N c\n"), (2, MpsFault::Unfinished));
    assert_eq!(free("OBJSENSE up\n"), (1, MpsFault::Sense("up".into())));
    // What is passed to `file` starts at line 13.
    let data = |line: &str| free(&file(line));
    assert_eq!(data(" x most 1\n"), (13, MpsFault::Duplicate("x".into())));
    assert_eq!(data(" w most 1 most 1\n"), (13, MpsFault::Repeated("most".into())));
    assert_eq!(data(" w nowhere 1\n"), (13, MpsFault::UnknownRow("nowhere".into())));
    assert_eq!(data(" w most one\n"), (13, MpsFault::Number("one".into())));
    assert_eq!(data(" w most inf\n"), (13, MpsFault::Number("inf".into())));
    assert_eq!(data(" M 'MARKER' 'SOSORG'\n"), (13, MpsFault::Marker("'SOSORG'".into())));
    assert!(matches!(data(" w most\n"), (13, MpsFault::FieldCount { found: 2, .. })));
    assert_eq!(data("RHS\n R most 1\n R most 1\n"), (15, MpsFault::Repeated("most".into())));
    assert_eq!(data("RANGES\n R cost 1\n"), (14, MpsFault::FreeRange("cost".into())));
    assert_eq!(data("BOUNDS\n UP B w 1\n"), (14, MpsFault::UnknownColumn("w".into())));
    assert_eq!(data("BOUNDS\n SC B x 1\n"), (14, MpsFault::BoundType("SC".into())));
    assert_eq!(data("BOUNDS\n UI B x 1.5\n"), (14, MpsFault::IntegerBound(1.5)));
    assert_eq!(data("BOUNDS\n UP B x nan\n"), (14, MpsFault::Number("nan".into())));
    assert_eq!(fault("ROWS\n N\tcost\n", MpsForm::Fixed), (2, MpsFault::Columns));
    assert_eq!(fault("ROWS\n N cost\n", MpsForm::Fixed), (2, MpsFault::Misplaced));
}
