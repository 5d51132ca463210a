//! The table of certificates is the one that its record gives.

use secateur_bench_suites::results::ResultRow;
use secateur_bench_suites::table::Table;
use std::path::Path;

#[test]
fn the_table_follows_from_the_record_and_every_certificate_was_accepted() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/certificates");
    let mut reader = csv::Reader::from_path(directory.join("record.csv")).expect("a record");
    let rows: Vec<ResultRow> = reader.deserialize().collect::<Result<_, _>>().expect("lines of results");
    let table = std::fs::read_to_string(directory.join("table.txt")).expect("a table");
    assert_eq!(table, Table::of(&rows).to_string());
    assert!(rows.iter().all(|row| row.refused.is_empty()));
}
