//! Problem files among the fixtures and in the directory that `SECATEUR_DATA` names.

use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The text of a file among the fixtures, else in the data directory.
pub fn text(fixture: &str, data: &str) -> Option<String> {
    let given =
        std::env::var_os("SECATEUR_DATA").map(|data_directory| Path::new(&data_directory).join("oracles").join(data));
    let path = [Some(fixtures().join(fixture)), given].into_iter().flatten().find(|path| path.is_file())?;
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}
