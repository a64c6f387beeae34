//! A seed with what goes wrong in it, as a file: what was found once is looked for again in tests.

use std::fmt;
use std::str::FromStr;

use super::{Fault, NoFault, Run, Simulation, SimulationError};

/// What the file begins with.
const FORM: &str = "monkeyci seed 1";

/// A seed, and what goes wrong in its run: all of it, or what the seed has in store.
///
/// ```
/// # use monkeyci_controller::simulation::SeedFile;
/// let text = "monkeyci seed 1\n# a deployment that fails\nseed 17\nfault deploy/1:exit=1\n";
/// let file: SeedFile = text.parse()?;
/// assert_eq!((file.seed, file.faults.len()), (17, 1));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeedFile {
    /// What it is about, in lines for people.
    pub about: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// A text that is no seed file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSeedFile {
    /// It does not begin as one.
    #[error("it is no seed file: one begins with a line {FORM:?}")]
    Form,
    /// A line says nothing that is known.
    #[error("line {0} is neither `seed NUMBER` nor `fault FAULT`; words for people begin with #")]
    Line(usize),
    /// A fault is none.
    #[error("line {0}: {1}")]
    Fault(usize, #[source] NoFault),
    /// It names no seed.
    #[error("it has no line `seed NUMBER`")]
    NoSeed,
}

impl SeedFile {
    /// The file of a run: what went wrong in it, with the rules that it breaks.
    pub fn of(run: &Run) -> Self {
        let about = run.broken.iter().map(|broken| format!("breaks {broken}").replace('\n', " ")).collect();
        Self { about, seed: run.seed, faults: run.faults.clone() }
    }
}

impl Simulation {
    /// Runs what a seed file says.
    ///
    /// # Errors
    /// When nothing could be simulated.
    pub fn run_file(&self, file: &SeedFile) -> Result<Run, SimulationError> {
        self.run_with(file.seed, &file.faults)
    }
}

impl fmt::Display for SeedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORM}")?;
        self.about.iter().try_for_each(|line| writeln!(f, "# {line}"))?;
        writeln!(f, "seed {}", self.seed)?;
        self.faults.iter().try_for_each(|fault| writeln!(f, "fault {fault}"))
    }
}

impl FromStr for SeedFile {
    type Err = NoSeedFile;

    fn from_str(text: &str) -> Result<Self, NoSeedFile> {
        let mut lines = text.lines().enumerate().map(|(number, line)| (number + 1, line));
        if lines.next().map(|(_, line)| line.trim_end()) != Some(FORM) {
            return Err(NoSeedFile::Form);
        }
        let (mut file, mut seed) = (Self::default(), None);
        for (number, line) in lines {
            match line.split_once(' ') {
                _ if line.trim().is_empty() => {}
                Some(("#", about)) => file.about.push(about.to_owned()),
                Some(("seed", value)) => {
                    seed = Some(value.trim().parse().map_err(|_| NoSeedFile::Line(number))?);
                }
                Some(("fault", fault)) => {
                    file.faults.push(fault.parse().map_err(|error| NoSeedFile::Fault(number, error))?);
                }
                _ => return Err(NoSeedFile::Line(number)),
            }
        }
        file.seed = seed.ok_or(NoSeedFile::NoSeed)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_file_is_read_back_as_it_was_written_and_what_is_none_is_refused_with_the_line() {
        let faults = ["test/1:exit=1", "param=targets=", "branch=größe"].map(|fault| fault.parse().expect("a fault"));
        let file = SeedFile { about: vec!["breaks ends: it hangs".to_owned()], seed: 12, faults: faults.to_vec() };
        assert_eq!(file.to_string().parse(), Ok(file));
        let refused = |text: &str| text.parse::<SeedFile>().expect_err(text);
        assert_eq!(refused(""), NoSeedFile::Form);
        assert_eq!(refused("monkeyci seed 2\nseed 1"), NoSeedFile::Form);
        assert_eq!(refused("monkeyci seed 1\n\n# no seed"), NoSeedFile::NoSeed);
        assert_eq!(refused("monkeyci seed 1\nseed one"), NoSeedFile::Line(2));
        assert_eq!(refused("monkeyci seed 1\nseed 1\nfaults x"), NoSeedFile::Line(3));
        assert!(matches!(refused("monkeyci seed 1\nseed 1\nfault explodes"), NoSeedFile::Fault(3, _)));
    }
}
