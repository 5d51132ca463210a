//! NSL-KDD: flows of a network with the attack that each is part of.
//!
//! Numbers $x$ become $\ln(1 + x)$, less the mean and by the deviation of the training file; a column that is constant there
//! becomes 0. Words become a 1 among zeros, one place for each word of the training file; others become zeros.

use super::source::Rows;
use crate::theory::StudyError;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Families of attacks, and no attack.
pub const FAMILIES: [&str; 5] = ["normal", "dos", "probe", "r2l", "u2r"];

/// The columns of the files before the attack and the difficulty.
pub const COLUMNS: [&str; 41] = [
    "duration",
    "protocol_type",
    "service",
    "flag",
    "src_bytes",
    "dst_bytes",
    "land",
    "wrong_fragment",
    "urgent",
    "hot",
    "num_failed_logins",
    "logged_in",
    "num_compromised",
    "root_shell",
    "su_attempted",
    "num_root",
    "num_file_creations",
    "num_shells",
    "num_access_files",
    "num_outbound_cmds",
    "is_host_login",
    "is_guest_login",
    "count",
    "srv_count",
    "serror_rate",
    "srv_serror_rate",
    "rerror_rate",
    "srv_rerror_rate",
    "same_srv_rate",
    "diff_srv_rate",
    "srv_diff_host_rate",
    "dst_host_count",
    "dst_host_srv_count",
    "dst_host_same_srv_rate",
    "dst_host_diff_srv_rate",
    "dst_host_same_src_port_rate",
    "dst_host_srv_diff_host_rate",
    "dst_host_serror_rate",
    "dst_host_srv_serror_rate",
    "dst_host_rerror_rate",
    "dst_host_srv_rerror_rate",
];

/// Columns of words.
const WORDS: Range<usize> = 1..4;

/// The family of an attack.
///
/// # Source
/// KDD Cup 1999, *Training attack types*, for those of its training file; M. Tavallaee et al. 2009 for those of the test only.
fn family(attack: &str) -> Option<&'static str> {
    Some(match attack {
        "normal" => "normal",
        "apache2" | "back" | "land" | "mailbomb" | "neptune" | "pod" | "processtable" | "smurf" | "teardrop"
        | "udpstorm" | "worm" => "dos",
        "ipsweep" | "mscan" | "nmap" | "portsweep" | "saint" | "satan" => "probe",
        "ftp_write" | "guess_passwd" | "httptunnel" | "imap" | "multihop" | "named" | "phf" | "sendmail"
        | "snmpgetattack" | "snmpguess" | "spy" | "warezclient" | "warezmaster" | "xlock" | "xsnoop" => "r2l",
        "buffer_overflow" | "loadmodule" | "perl" | "ps" | "rootkit" | "sqlattack" | "xterm" => "u2r",
        _ => return None,
    })
}

/// A flow as it is in a file.
struct Flow {
    fields: csv::StringRecord,
    label: usize,
}

/// The columns, each with its entries of an input.
type Columns = Vec<(String, Range<usize>)>;

/// The flows of some families in both files; those of other families are left out.
pub(super) fn load(directory: &Path, classes: &[String]) -> Result<(Rows, Rows, Columns), StudyError> {
    let train = read(&find(directory, "KDDTrain+_20Percent.txt"), classes)?;
    let test = read(&find(directory, "KDDTest+.txt"), classes)?;
    let coding: Vec<Coding> = (0..COLUMNS.len()).map(|column| Coding::of(&train, column)).collect();
    let mut columns = Vec::new();
    let mut from = 0;
    for (name, coding) in COLUMNS.iter().zip(&coding) {
        let width = coding.width();
        columns.push(((*name).to_owned(), from..from + width));
        from += width;
    }
    Ok((coded(&train, &coding), coded(&test, &coding), columns))
}

/// A file in the directory of data, or in its directory of this data set.
fn find(directory: &Path, name: &str) -> PathBuf {
    let inside = directory.join("ids").join("nsl-kdd").join(name);
    if inside.exists() { inside } else { directory.join(name) }
}

fn read(path: &Path, classes: &[String]) -> Result<Vec<Flow>, StudyError> {
    let fault = |line: usize, expected: &'static str, found: String| StudyError::Value {
        path: path.to_owned(),
        key: "a line",
        expected,
        found: format!("line {line}: {found}"),
    };
    let file = std::fs::File::open(path).map_err(|source| StudyError::Io { path: path.to_owned(), source })?;
    let mut flows = Vec::new();
    for (index, fields) in
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file).records().enumerate()
    {
        let line = index + 1;
        let fields = fields.map_err(|error| fault(line, "fields between commas", error.to_string()))?;
        if fields.len() != COLUMNS.len() + 2 {
            return Err(fault(line, "43 fields", format!("{} fields", fields.len())));
        }
        let attack = &fields[COLUMNS.len()];
        let family = family(attack).ok_or_else(|| fault(line, "an attack of NSL-KDD", attack.to_owned()))?;
        for column in (0..COLUMNS.len()).filter(|column| !WORDS.contains(column)) {
            let number = fields[column].parse::<f64>().ok().filter(|number| *number >= 0.0 && number.is_finite());
            number.ok_or_else(|| fault(line, "a number from 0", fields[column].to_owned()))?;
        }
        if let Some(label) = classes.iter().position(|class| class == family) {
            flows.push(Flow { fields, label });
        }
    }
    Ok(flows)
}

/// How a column becomes numbers.
enum Coding {
    Words(Vec<String>),
    Number { mean: f64, deviation: f64 },
}

impl Coding {
    fn of(flows: &[Flow], column: usize) -> Self {
        if WORDS.contains(&column) {
            let words: BTreeSet<&str> = flows.iter().map(|flow| &flow.fields[column]).collect();
            return Self::Words(words.into_iter().map(str::to_owned).collect());
        }
        let count = flows.len() as f64;
        let mean = flows.iter().map(|flow| logarithm(flow, column)).sum::<f64>() / count;
        let variance = flows.iter().map(|flow| (logarithm(flow, column) - mean).powi(2)).sum::<f64>() / count;
        Self::Number { mean, deviation: variance.sqrt() }
    }

    fn width(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Number { .. } => 1,
        }
    }

    fn push(&self, flow: &Flow, column: usize, values: &mut Vec<f32>) {
        match self {
            Self::Words(words) => {
                let found = &flow.fields[column];
                values.extend(words.iter().map(|word| if word == found { 1.0 } else { 0.0 }));
            }
            Self::Number { deviation: 0.0, .. } => values.push(0.0),
            Self::Number { mean, deviation } => values.push(((logarithm(flow, column) - mean) / deviation) as f32),
        }
    }
}

/// $\ln(1 + x)$ of a number that was checked.
fn logarithm(flow: &Flow, column: usize) -> f64 {
    flow.fields[column].parse::<f64>().map_or(0.0, f64::ln_1p)
}

fn coded(flows: &[Flow], coding: &[Coding]) -> Rows {
    let mut rows = Rows::default();
    for flow in flows {
        rows.labels.push(flow.label);
        coding.iter().enumerate().for_each(|(column, coding)| coding.push(flow, column, &mut rows.values));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(duration: &str, protocol: &str, attack: &str) -> String {
        let zeros = ["0"; 37].join(",");
        format!("{duration},{protocol},http,SF,{zeros},{attack},21\n")
    }

    fn files(train: &str, test: &str) -> tempfile::TempDir {
        let place = tempfile::tempdir().expect("a directory");
        std::fs::write(place.path().join("KDDTrain+_20Percent.txt"), train).expect("written");
        std::fs::write(place.path().join("KDDTest+.txt"), test).expect("written");
        place
    }

    #[test]
    fn flows_become_numbers() {
        let train = line("0", "tcp", "normal") + &line("2", "udp", "neptune") + &line("9", "udp", "spy");
        let test = line("1", "icmp", "mscan") + &line("2", "tcp", "apache2");
        let place = files(&train, &test);
        let classes = ["normal", "dos", "probe"].map(str::to_owned);
        let (train, test, columns) = load(place.path(), &classes).expect("two files");
        assert_eq!((train.labels, test.labels), (vec![0, 1], vec![2, 1]));
        // Duration, two protocols, one service, one flag, 37 numbers.
        assert_eq!(columns.last(), Some(&("dst_host_srv_rerror_rate".to_owned(), 41..42)));
        assert_eq!(train.values[..5], [-1.0, 1.0, 0.0, 1.0, 1.0]);
        assert_eq!(train.values[42..47], [1.0, 0.0, 1.0, 1.0, 1.0]);
        // ln 2 between ln 1 and ln 3; a protocol that training does not have.
        let between = (2.0 * 2f64.ln() / 3f64.ln() - 1.0) as f32;
        assert!((test.values[0] - between).abs() < 1e-6, "{} {between}", test.values[0]);
        assert_eq!(test.values[1..3], [0.0, 0.0]);
        assert!(train.values[5..42].iter().all(|v| *v == 0.0));
    }

    #[test]
    fn damaged_files_are_refused() {
        let good = line("0", "tcp", "normal");
        for (bad, what) in [
            (line("0", "tcp", "unheard"), "line 2: unheard"),
            (line("-1", "tcp", "normal"), "line 2: -1"),
            (line("x", "tcp", "normal"), "line 2: x"),
            ("0,tcp\n".to_owned(), "line 2: 2 fields"),
        ] {
            let place = files(&(good.clone() + &bad), &good);
            let error = load(place.path(), &["normal".to_owned()]).expect_err("damage").to_string();
            assert!(error.contains(what), "{error}");
        }
        assert!(matches!(load(Path::new("nowhere"), &[]), Err(StudyError::Io { .. })));
    }
}
