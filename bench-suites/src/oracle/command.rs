//! An oracle that is another program.

use super::{Fault, Oracle};
use crate::watcher::Watcher;
use secateur_theory::game::Coalition;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use wait_timeout::ChildExt;

/// A game whose values another program measures: `PROGRAM ARGUMENT… SEED PLAYER…` writes $v(S)$ to standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// How many players there are.
    pub n: usize,
    /// The program and its first arguments. It runs in the directory of the game's file.
    pub command: Vec<String>,
    /// The seeds; a value is the mean over them.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// A measurement that takes more seconds is an error.
    #[serde(default)]
    pub timeout: Option<f64>,
    /// Where it runs.
    #[serde(skip_deserializing)]
    pub directory: PathBuf,
}

fn one_seed() -> Vec<u64> {
    vec![1]
}

impl Program {
    /// The same in a directory.
    ///
    /// # Errors
    /// No program, no player or more than 127, no seed or one twice.
    pub fn within(self, directory: &Path) -> Result<Self, String> {
        let twice = self.seeds.iter().enumerate().any(|(place, seed)| self.seeds[..place].contains(seed));
        match () {
            () if self.command.is_empty() => Err("`command` names no program".to_owned()),
            () if !(1..=127).contains(&self.n) => Err(format!("expected 1 to 127 players, found {}", self.n)),
            () if self.timeout.is_some_and(|limit| limit.is_nan() || limit <= 0.0) => {
                Err("`timeout` is a number of seconds above 0".to_owned())
            }
            () if self.seeds.is_empty() || twice => Err("`seeds` are at least one, and all different".to_owned()),
            () => {
                // A file without a directory is in this one.
                let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
                let directory = std::path::absolute(here).map_err(|error| error.to_string())?;
                Ok(Self { directory, ..self })
            }
        }
    }
}

/// How often a program that runs is looked at; its end is noticed at once.
const LOOK: Duration = Duration::from_millis(100);

/// How long after a program's end what it wrote may be on its way. What it started may hold its pipes for longer.
const DRAIN: Duration = Duration::from_secs(1);

/// What a program writes, as it comes.
fn written(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, parts) = channel();
    std::thread::spawn(move || {
        let (mut pipe, mut part) = (pipe?, vec![0; 1 << 16]);
        loop {
            match pipe.read(&mut part) {
                Ok(count @ 1..) => send.send(part[..count].to_vec()).ok()?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Some(()),
            }
        }
    });
    parts
}

/// What has come until then, or all that was written where that is sooner.
fn arrived(parts: &Receiver<Vec<u8>>, until: Instant) -> String {
    let mut bytes = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match parts.recv_timeout(left) {
            Ok(part) => bytes.extend(part),
            Err(_) => break,
        }
        if left.is_zero() {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Oracle for Program {
    fn players(&self) -> usize {
        self.n
    }

    fn measure(&self, coalition: Coalition, seed: u64, watcher: &dyn Watcher) -> Result<f64, Fault> {
        let (program, arguments) = self.command.split_first().ok_or("no program")?;
        // A program beside the game's file is meant where there is one.
        let beside = self.directory.join(program);
        let mut command = Command::new(if beside.is_file() { beside.as_path() } else { Path::new(program) });
        command.args(arguments).arg(seed.to_string()).args(coalition.members().map(|player| player.to_string()));
        command.current_dir(&self.directory);
        let start = |error| format!("`{program}` cannot be started: {error}");
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(start)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (out, err) = (written(out), written(err));
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.wait_timeout(LOOK)? {
                break status;
            }
            let late = self.timeout.is_some_and(|limit| begin.elapsed().as_secs_f64() > limit);
            if late || watcher.stop() {
                child.kill()?;
                child.wait()?;
                let why = if late { "took longer than its timeout" } else { "was stopped" };
                return Err(format!("`{program}` {why}").into());
            }
        };
        let until = Instant::now() + DRAIN;
        let text = arrived(&out, until);
        if !status.success() {
            return Err(format!("`{program}`: {status}: {}", arrived(&err, until).trim()).into());
        }
        let number = text.trim().parse::<f64>();
        Ok(number.map_err(|_| format!("`{program}` wrote `{}`, which is no number", text.trim()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watcher::Silent;

    fn shell(script: &str) -> Program {
        let command = ["sh", "-c", script, "value"].map(str::to_owned).to_vec();
        let game = Program { n: 4, command, seeds: vec![1], timeout: None, directory: PathBuf::new() };
        game.within(&std::env::temp_dir()).expect("a game")
    }

    #[test]
    fn a_program_is_told_the_seed_and_the_players() {
        let game = shell("echo $(($1 * 100 + $# * 10 + $3))");
        assert_eq!(game.measure(Coalition(0b1010), 7, &Silent).expect("a number"), 733.0);
        for (script, what) in [("echo x", "`x`, which is no number"), ("echo gone >&2; exit 3", "exit status: 3: gone")]
        {
            let error = shell(script).measure(Coalition(1), 1, &Silent).expect_err("no value").to_string();
            assert!(error.contains(what), "{error}");
        }
        let missing = Program { command: vec!["no-such-program".to_owned()], ..shell("") };
        assert!(missing.measure(Coalition(1), 1, &Silent).is_err());
        let slow = Program { timeout: Some(0.2), ..shell("sleep 9") };
        let error = slow.measure(Coalition(1), 1, &Silent).expect_err("too slow").to_string();
        assert!(error.contains("timeout"), "{error}");
        // What a program leaves behind holds its pipes, and may go on writing.
        for left in ["sleep 9 & echo 1", "(while :; do echo x; sleep .01; done) >&2 & echo 1"] {
            let begin = Instant::now();
            let leaving = Program { timeout: Some(5.0), ..shell(left) };
            assert_eq!(leaving.measure(Coalition(1), 1, &Silent).expect("a number"), 1.0, "{left}");
            assert!(begin.elapsed() < Duration::from_secs(5), "{left}: {:?}", begin.elapsed());
        }
        let long = shell("head -c 1000000 /dev/zero | tr '\\0' ' '; echo 5");
        assert_eq!(long.measure(Coalition(1), 1, &Silent).expect("a number"), 5.0);
        let refused = |program: Program| program.within(Path::new("")).expect_err("no game");
        assert!(refused(Program { seeds: vec![1, 1], ..shell("") }).contains("seeds"));
        assert!(refused(Program { n: 0, ..shell("") }).contains("players"));
        assert!(refused(Program { timeout: Some(f64::NAN), ..shell("") }).contains("timeout"));
        assert!(shell("").within(Path::new("")).expect("this directory").directory.is_absolute());
    }
}
