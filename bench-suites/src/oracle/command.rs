//! An oracle that is another program.

use super::{Fault, Oracle};
use secateur_theory::game::Coalition;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;

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
    /// Where it runs.
    #[serde(skip)]
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
            () if self.seeds.is_empty() || twice => Err("`seeds` are at least one, and all different".to_owned()),
            () => {
                let directory = std::path::absolute(directory).map_err(|error| error.to_string())?;
                Ok(Self { directory, ..self })
            }
        }
    }
}

impl Oracle for Program {
    fn players(&self) -> usize {
        self.n
    }

    fn measure(&self, coalition: Coalition, seed: u64) -> Result<f64, Fault> {
        let (program, arguments) = self.command.split_first().ok_or("no program")?;
        // A program beside the game's file is meant where there is one.
        let beside = self.directory.join(program);
        let mut command = Command::new(if beside.is_file() { beside.as_path() } else { Path::new(program) });
        command.args(arguments).arg(seed.to_string()).args(coalition.members().map(|player| player.to_string()));
        command.current_dir(&self.directory);
        let output = command.output().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`{program}`: {}: {}", output.status, said.trim()).into());
        }
        let number = text.trim().parse::<f64>();
        Ok(number.map_err(|_| format!("`{program}` wrote `{}`, which is no number", text.trim()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        let command = ["sh", "-c", script, "value"].map(str::to_owned).to_vec();
        let game = Program { n: 4, command, seeds: vec![1], directory: PathBuf::new() };
        game.within(&std::env::temp_dir()).expect("a game")
    }

    #[test]
    fn a_program_is_told_the_seed_and_the_players() {
        let game = shell("echo $(($1 * 100 + $# * 10 + $3))");
        assert_eq!(game.measure(Coalition(0b1010), 7).expect("a number"), 733.0);
        for (script, what) in [("echo x", "`x`, which is no number"), ("echo gone >&2; exit 3", "exit status: 3: gone")]
        {
            let error = shell(script).measure(Coalition(1), 1).expect_err("no value").to_string();
            assert!(error.contains(what), "{error}");
        }
        let missing = Program { command: vec!["no-such-program".to_owned()], ..shell("") };
        assert!(missing.measure(Coalition(1), 1).is_err());
        assert!(Program { seeds: vec![1, 1], ..shell("") }.within(Path::new("")).is_err());
        assert!(Program { n: 0, ..shell("") }.within(Path::new("")).is_err());
    }
}
