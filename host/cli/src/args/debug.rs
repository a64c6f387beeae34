//! The command line of what holds jobs, and lets them go on.

use std::collections::BTreeMap;
use std::str::FromStr;

use monkeyci_build::Breaks;

use super::builds::JobArgs;
use super::{ByArgs, HomeArgs};

/// Where jobs are held.
#[derive(Debug, Default, clap::Args)]
pub struct BreakArgs {
    /// Hold a job whose command or shell line fails: its container and services stay as they are at that moment, and what of it still runs
    /// goes on. `shell` enters it, `debug JOB --continue` lets it go on to its end. Its time limit counts on.
    #[arg(long)]
    pub break_on_failure: bool,
    /// Hold a job before or after a line of its shell, lines counted from 1. May be repeated.
    #[arg(long = "break", value_name = "JOB:before=N | JOB:after=N")]
    pub breaks: Vec<Break>,
}

/// A line of a job's shell before which it is held; what is after a line is before the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    job: String,
    before: u32,
}

impl FromStr for Break {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once(':').and_then(|(job, at)| Some((job, at.split_once('=')?)));
        let read = |number: &str| number.parse::<u32>().ok().filter(|number| (1..u32::MAX).contains(number));
        match parts {
            Some((job, ("before", number))) if !job.is_empty() => Some((job, read(number))),
            Some((job, ("after", number))) if !job.is_empty() => Some((job, read(number).map(|number| number + 1))),
            _ => None,
        }
        .and_then(|(job, before)| Some(Self { job: job.to_owned(), before: before? }))
        .ok_or_else(|| "write JOB:before=N or JOB:after=N, where N is a line of the job's shell, from 1".to_owned())
    }
}

impl BreakArgs {
    /// Where jobs are held.
    pub fn breaks(&self) -> Breaks {
        let mut before: BTreeMap<String, _> = BTreeMap::new();
        for Break { job, before: line } in &self.breaks {
            before.entry(job.clone()).or_insert_with(std::collections::BTreeSet::new).insert(*line);
        }
        Breaks { on_failure: self.break_on_failure, before }
    }
}

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "monkeyci-host debug [OPTIONS] [BUILD] JOB",
    after_help = "Examples:\n  monkeyci-host debug unit-test\n  monkeyci-host debug latest unit-test --continue"
)]
pub struct DebugArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Let the job go on: one that has failed ends so.
    #[arg(long = "continue")]
    pub go_on: bool,
    #[command(flatten)]
    pub by: ByArgs,
    #[command(flatten)]
    pub home: HomeArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_is_before_or_after_a_line_of_a_job_and_nothing_else() {
        let lines = ["unit:before=2", "a:b:after=2", "unit:after=9"].map(|text| text.parse::<Break>().expect(text));
        let args = BreakArgs { breaks: lines.to_vec(), break_on_failure: false };
        let all: Vec<_> = args.breaks().before.into_iter().map(|(job, lines)| (job, Vec::from_iter(lines))).collect();
        assert_eq!(all, [("a:b".to_owned(), vec![3]), ("unit".to_owned(), vec![2, 10])]);
        for wrong in
            ["unit", "unit:2", "unit:at=2", "unit:before=0", "unit:before=x", ":before=1", "unit:after=4294967295"]
        {
            assert!(wrong.parse::<Break>().is_err(), "{wrong}");
        }
    }
}
