//! Holds a job where a person wants to look into it. Nothing of it is killed meanwhile: what still runs goes on, and what it prints is passed
//! on.

use std::io::{PipeWriter, Write};

use monkeyci_build::JobBreaks;
use rustix::process::WaitStatus;

/// Where the job is to be held, and where it is.
pub(super) struct Holding<'a> {
    breaks: JobBreaks,
    oom_kills: &'a dyn Fn() -> u64,
    at: Option<At>,
}

/// Where the job is held.
pub(super) enum At {
    /// At its failure: it ends so when it goes on.
    Failure(WaitStatus),
    /// Between two lines that have a shell each. The one before has ended so.
    Between(WaitStatus),
    /// Inside of its shell, which waits by itself.
    Inside,
}

impl<'a> Holding<'a> {
    /// Holds nowhere else. What the kernel has killed is said where the job has failed.
    pub(super) fn new(breaks: JobBreaks, oom_kills: &'a dyn Fn() -> u64) -> Self {
        Self { breaks, oom_kills, at: None }
    }

    /// Whether a job that fails is held.
    pub(super) fn on_failure(&self) -> bool {
        self.breaks.on_failure
    }

    /// Whether it is held before this line.
    pub(super) fn before(&self, line: u32) -> bool {
        self.breaks.before.contains(&line)
    }

    /// How many processes the kernel has killed for the memory so far.
    pub(super) fn oom_kills(&self) -> u64 {
        (self.oom_kills)()
    }

    /// It is held now.
    pub(super) fn hold(&mut self, at: At) {
        self.at = Some(at);
    }

    /// It is held no more; where it was.
    pub(super) fn let_go(&mut self) -> Option<At> {
        self.at.take()
    }

    /// Whether it is held.
    pub(super) fn is_held(&self) -> bool {
        self.at.is_some()
    }

    /// Whether its main process has ended, and it is held.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.at, Some(At::Failure(_) | At::Between(_)))
    }
}

/// Lets a shell go on that waits. One that is gone needs nothing, nor one that reads none of what is there already.
pub(super) fn let_shell_go_on(holds: &mut Option<PipeWriter>) {
    if let Some(holds) = holds {
        let _ = holds.write_all(b"\n");
    }
}
