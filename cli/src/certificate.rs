//! Writing a certificate while the search runs.

use crate::error::CliError;
use flate2::Compression;
use flate2::write::GzEncoder;
use secateur_check::proof::format::{self, Record};
use secateur_verify::{Outcome, Report, Tracer};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A certificate in the making, beside the file that it becomes when it proves something.
pub struct Certificate {
    stream: GzEncoder<BufWriter<File>>,
    part: PathBuf,
    file: PathBuf,
    fault: Option<io::Error>,
}

impl Certificate {
    /// Starts one.
    pub fn create(file: &Path) -> Result<Self, CliError> {
        let mut part = file.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let begin = || -> io::Result<GzEncoder<BufWriter<File>>> {
            let mut stream = GzEncoder::new(BufWriter::new(File::create(&part)?), Compression::fast());
            stream.write_all(format::MAGIC)?;
            Ok(stream)
        };
        let stream = begin().map_err(CliError::Output)?;
        Ok(Self { stream, part, file: file.to_owned(), fault: None })
    }

    /// Keeps it if it proves the report's `unsat`; says so if there is an `unsat` without a proof.
    pub fn finish(mut self, report: &Report) -> Result<(), CliError> {
        let proves = report.outcome == Outcome::Unsat && report.statistics.method == "input splitting";
        if !proves {
            if report.outcome == Outcome::Unsat {
                let method = &report.statistics.method;
                eprintln!("no certificate: the verdict was found by {method}, certificates cover input splitting");
            }
            return fs::remove_file(&self.part).map_err(CliError::Output);
        }
        let mut end = || -> io::Result<()> {
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            format::finish(&mut self.stream)?;
            self.stream.try_finish()?;
            self.stream.get_mut().flush()?;
            fs::rename(&self.part, &self.file)
        };
        end().map_err(CliError::Output)
    }
}

impl Tracer for Certificate {
    fn record(&mut self, record: &Record) {
        if self.fault.is_none() {
            self.fault = format::write(&mut self.stream, record).err();
        }
    }
}
