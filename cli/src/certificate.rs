//! Writing a certificate while the search runs.

use crate::error::CliError;
use flate2::Compression;
use flate2::write::GzEncoder;
use secateur_check::proof::format::{self, Digests, Record, Witness};
use secateur_check::single::execute;
use secateur_check::{Enclosure, Precision, Semantics, evaluate};
use secateur_nn::graph::Graph;
use secateur_verify::{Outcome, Report, Tracer};
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A certificate in the making, beside the file that it becomes when it proves something.
///
/// It is a sequence of gzip streams: one ends at every mark, so that the file can be cut there.
pub struct Certificate {
    stream: GzEncoder<BufWriter<File>>,
    /// Where the stream begins.
    begin: u64,
    /// Whether something was written to it.
    used: bool,
    /// Where the records begin.
    records: u64,
    part: PathBuf,
    file: PathBuf,
    fault: Option<io::Error>,
}

fn packer(file: BufWriter<File>) -> GzEncoder<BufWriter<File>> {
    GzEncoder::new(file, Compression::fast())
}

impl Certificate {
    /// Starts one about the files of these digests.
    pub fn create(file: &Path, digests: impl FnOnce() -> io::Result<Digests>) -> Result<Self, CliError> {
        let mut part = file.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let begin = || -> io::Result<GzEncoder<BufWriter<File>>> {
            let mut stream = packer(BufWriter::new(File::create(&part)?));
            format::begin(&mut stream, &digests()?)?;
            Ok(stream)
        };
        let stream = begin().map_err(CliError::Output)?;
        let file = file.to_owned();
        let mut certificate = Self { stream, begin: 0, used: true, records: 0, part, file, fault: None };
        certificate.records = certificate.mark();
        Ok(certificate)
    }

    /// Keeps it if it proves the report's verdict.
    pub fn finish(
        mut self,
        graph: &Graph,
        model: &Path,
        semantics: Semantics,
        report: &Report,
    ) -> Result<(), CliError> {
        match &report.outcome {
            Outcome::Unsat => {}
            Outcome::Sat(found) => {
                let fault = |source| CliError::Check { model: model.to_owned(), source };
                let outputs = match semantics {
                    Semantics::Real => evaluate(graph, &found.input, Precision::ROUNDED).map_err(fault)?,
                    Semantics::Single => {
                        let executed = execute(graph, &found.input).map_err(fault)?;
                        executed.into_iter().map(|y| Enclosure { lower: y.clone(), upper: y }).collect()
                    }
                };
                self.rewind(self.records);
                self.record(&Record::Witness(Witness { point: found.input.clone(), outputs }));
            }
            _ => return fs::remove_file(&self.part).map_err(CliError::Output),
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

    fn attempt(&mut self, work: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.fault.is_none() {
            self.fault = work(self).err();
        }
    }

    /// Ends the stream and begins the next, behind it or at a place before it.
    fn turn(&mut self, place: Option<u64>) -> io::Result<()> {
        self.stream.try_finish()?;
        let file = self.stream.get_mut();
        file.flush()?;
        let file = file.get_mut();
        let place = match place {
            None if self.used => file.stream_position()?,
            place => place.unwrap_or(self.begin),
        };
        file.set_len(place)?;
        file.seek(SeekFrom::Start(place))?;
        self.stream = packer(BufWriter::new(file.try_clone()?));
        (self.begin, self.used) = (place, false);
        Ok(())
    }
}

impl Tracer for Certificate {
    fn record(&mut self, record: &Record) {
        self.attempt(|this| {
            this.used = true;
            format::write(&mut this.stream, record)
        });
    }

    fn mark(&mut self) -> u64 {
        self.attempt(|this| this.turn(None));
        self.begin
    }

    fn rewind(&mut self, place: u64) {
        self.attempt(|this| this.turn(Some(place)));
    }
}
