//! How a job ended: one typed value for every cause we know.

mod texts;

use serde::{Deserialize, Serialize};

use texts::{at, limit, phase, said, signal_name, tail};

/// How a job ended, and why. [`std::fmt::Display`] gives the sentence a person reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "cause", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Ending {
    /// The job did what it should.
    #[error("succeeded")]
    Succeeded,
    /// The command exited with a code other than 0.
    #[error("exited with code {code}{}", at(line))]
    Exited {
        /// The exit code, 1 to 255.
        code: i32,
        /// The shell line that failed.
        line: Option<ShellLine>,
    },
    /// A signal ended the command.
    #[error("ended by signal {signal} ({}){}", signal_name(*signal), at(line))]
    Signalled {
        /// The signal's number.
        signal: i32,
        /// The shell line that was running.
        line: Option<ShellLine>,
    },
    /// The container reached its memory limit and the kernel killed a process of it.
    #[error(
        "ran out of memory{}: the kernel killed a process of the job; raise the job's memory limit",
        limit(limit_bytes)
    )]
    OutOfMemory {
        /// The limit in bytes, where there was one.
        limit_bytes: Option<u64>,
    },
    /// A disk was full.
    #[error("{place} is full: {step} failed: {reason}; make room there")]
    DiskFull {
        /// Which disk.
        place: String,
        /// What needed room: `restoring the workspace`, say, or `running the command`.
        step: String,
        /// What went wrong.
        reason: String,
        /// The exit code of the command, where it was the command that failed.
        code: Option<i32>,
    },
    /// The program to run is not in the image.
    #[error("command not found: {command:?} is not in the image {image:?}")]
    CommandNotFound {
        /// The program's name, as given.
        command: String,
        /// The job's image.
        image: String,
    },
    /// The program to run is there, but can't be run.
    #[error("can't run {command:?} in the image {image:?}: {reason}")]
    NotExecutable {
        /// The program's name, as given.
        command: String,
        /// The job's image.
        image: String,
        /// What the system said.
        reason: String,
    },
    /// The engine has no such image and could not get it.
    #[error("image {image:?} not found: {reason}; check its name, and that the engine may pull it")]
    ImageNotFound {
        /// The image reference, as given.
        image: String,
        /// What the engine said.
        reason: String,
    },
    /// The image's registry will not let the engine have it.
    #[error(
        "image {image:?} may not be pulled: {reason}; check its name, and that the host has a login for its registry (--registry-auth)"
    )]
    PullDenied {
        /// The image reference, as given.
        image: String,
        /// What the engine said.
        reason: String,
    },
    /// There is no image for the architecture that the job asks for.
    #[error("image {image:?} can't be had for the architecture {architecture:?}: {reason}")]
    NoSuchArchitecture {
        /// The image reference, as given.
        image: String,
        /// The architecture, as given.
        architecture: String,
        /// What there is instead.
        reason: String,
    },
    /// The engine would not make or start the job's container.
    #[error("the container of image {image:?} could not start: {reason}")]
    StartFailed {
        /// The image reference, as given.
        image: String,
        /// What the engine said.
        reason: String,
    },
    /// A value that the job is to be given when it starts is not there: a secret, a parameter, an output of another job.
    #[error("the job can't be given {name}: {reason}")]
    ValueMissing {
        /// The environment variable that it is for.
        name: String,
        /// What is missing, and where it was looked for.
        reason: String,
    },
    /// A service did not become ready.
    #[error("service {service:?} was never ready: {reason}{}", tail(last_lines))]
    ServiceNotReady {
        /// The service's name.
        service: String,
        /// What was tried, and what came of it.
        reason: String,
        /// The last lines of the service's output.
        last_lines: String,
    },
    /// The job's time limit was reached.
    #[error("reached its time limit of {} s{}", *after_ms as f64 / 1000.0, phase(during))]
    TimedOut {
        /// The limit in milliseconds.
        after_ms: u64,
        /// What was being prepared for it when its command did not run yet: `pulling debian:12`, say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        during: Option<String>,
    },
    /// The job's container was killed by somebody who is neither the job nor the host.
    #[error("the job's container was killed from outside (exit code {code})")]
    Killed {
        /// The container's exit code as the engine tells it.
        code: i64,
    },
    /// An artifact that the job is to be given is not in the build.
    #[error(
        "artifact {id:?} can't be restored: the build has no such artifact; check that a job that this one needs has saved it"
    )]
    ArtifactNotThere {
        /// The artifact's id.
        id: String,
    },
    /// An artifact that the job promised was not there.
    #[error("artifact {id:?} can't be saved: {reason}")]
    ArtifactMissing {
        /// The artifact's id.
        id: String,
        /// What is missing, and where it was looked for.
        reason: String,
    },
    /// An action job's function returned an error.
    #[error("{message}")]
    ActionFailed {
        /// The error's message.
        message: String,
    },
    /// An action job's function trapped, panicked, or reached a limit.
    #[error("the script trapped: {message}")]
    ActionTrapped {
        /// The trap, and the panic's message where there was one.
        message: String,
    },
    /// What the whole build may take of something is used up.
    #[error("a limit of the build is reached: {limit}")]
    LimitReached {
        /// Which, and how much it is.
        limit: String,
    },
    /// The sidecar died, or failed in a step of its own.
    #[error("the sidecar failed while {step}: {reason}")]
    SidecarFailed {
        /// What it was doing: `restoring the workspace`, say.
        step: String,
        /// What went wrong.
        reason: String,
    },
    /// What was reported of the job's end is not how its container ended: somebody has spoken in the launcher's place.
    #[error(
        "how the job ended can't be trusted: the report says that it {reported}, but its container exited with code {code}"
    )]
    Disputed {
        /// The ending that was reported.
        reported: Box<Ending>,
        /// The exit code of the job's container, as the engine tells it.
        code: i64,
    },
    /// The container engine went away, or was started again, and took the job's containers with it.
    #[error("the container engine went away: {reason}; look at its log, and run the build again")]
    EngineGone {
        /// What was seen of it.
        reason: String,
    },
    /// The container engine failed.
    #[error("the container engine failed: {reason}")]
    EngineFailed {
        /// What went wrong.
        reason: String,
    },
    /// The host died while the job ran, and another one went on with the build without it.
    #[error("its host died while it ran")]
    HostDied,
    /// An action did not come to the same point when it was told the same again, so it can't be gone on with.
    #[error(
        "it was run up to the same point again, since its host had died or its memory was wanted while it waited, and did not come there: \
         call {call} was {recorded}, and is {now} now; run it again"
    )]
    Diverged {
        /// The number of the call, from 1.
        call: u64,
        /// The call that was recorded.
        recorded: String,
        /// What was done in its place.
        now: String,
    },
    /// A job that this one needs did not succeed.
    #[error("{because:?} did not succeed")]
    Skipped {
        /// The needed job's id.
        because: String,
    },
    /// The job did what it should, and there is something to look at.
    #[error("{message}")]
    Warned {
        /// What to look at.
        message: String,
    },
    /// The job failed, which it may.
    #[error("failed, as it may: {ending}")]
    Tolerated {
        /// How it failed.
        ending: Box<Ending>,
    },
    /// The job had nothing to do: the script said so, or the condition it runs under did not come true. An intended skip.
    #[error("{reason}")]
    NotNeeded {
        /// Why.
        reason: String,
    },
    /// The job waits to be started by a person, and the build does not wait for that: one more run of it starts the job.
    #[error("it is started by hand")]
    Manual,
    /// A person did not approve the job.
    #[error("rejected by {by}{}", comment.as_ref().map_or_else(String::new, |comment| format!(": {comment}")))]
    Rejected {
        /// Who.
        by: String,
        /// What they said to it.
        comment: Option<String>,
    },
    /// Another job of the job's fail-fast group failed.
    #[error("stopped, because {because:?} of the group {group:?} failed")]
    FailedFast {
        /// The group.
        group: String,
        /// The job that failed.
        because: String,
    },
    /// The script did not complete the job when its turn came.
    #[error("the script could not complete the job: {message}")]
    RefineFailed {
        /// What went wrong.
        message: String,
    },
    /// The job did not run: an earlier build has its results, and they are reused.
    #[error("reused from {build}{}", said(ending))]
    Reused {
        /// The build in which it ran.
        build: String,
        /// How long it took there, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_ms: Option<u64>,
        /// How it ended there.
        ending: Box<Ending>,
    },
    /// The build was cancelled before the job ended.
    #[error("cancelled")]
    Cancelled,
}

/// A line of a shell command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellLine {
    /// Which line, from 1.
    pub number: u32,
    /// Its text.
    pub text: String,
}

/// Where a job is in its life. The last six are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Waits for the jobs that it needs.
    Pending,
    /// Waits for a person to approve it.
    Blocked,
    /// May start, and waits for a free slot.
    Queued,
    /// Runs.
    Running,
    /// Ended well.
    Success,
    /// Ended well, with something to look at; or badly, as it may.
    Warning,
    /// Ended badly, by its own doing.
    Failure,
    /// Ended badly, by the host's doing.
    Error,
    /// Never ran, because a job that it needs did not succeed.
    Skipped,
    /// Was stopped, or never started, because the build was cancelled.
    Cancelled,
}

impl Status {
    /// Whether a job in this status will never change again.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Blocked | Self::Queued | Self::Running)
    }

    /// Whether a job has failed, by its own doing or the host's.
    pub fn is_failed(self) -> bool {
        matches!(self, Self::Failure | Self::Error)
    }
}

impl Ending {
    /// The status of a job that ended so.
    pub fn status(&self) -> Status {
        match self {
            Self::Succeeded => Status::Success,
            Self::Warned { .. } | Self::Tolerated { .. } => Status::Warning,
            Self::Skipped { .. } | Self::NotNeeded { .. } | Self::Manual => Status::Skipped,
            Self::Cancelled | Self::FailedFast { .. } => Status::Cancelled,
            Self::SidecarFailed { .. }
            | Self::Disputed { .. }
            | Self::EngineFailed { .. }
            | Self::EngineGone { .. }
            | Self::HostDied
            | Self::Diverged { .. }
            | Self::DiskFull { code: None, .. } => Status::Error,
            Self::Reused { ending, .. } => ending.status(),
            _ => Status::Failure,
        }
    }

    /// Whether jobs that need one that ended so go on.
    pub fn is_ok(&self) -> bool {
        let ending = self.itself();
        matches!(ending, Self::Succeeded | Self::Warned { .. } | Self::Tolerated { .. } | Self::NotNeeded { .. })
    }

    /// How the job ended when it ran: of one that is reused, how it ended in the build that it is reused from.
    pub fn itself(&self) -> &Self {
        match self {
            Self::Reused { ending, .. } => ending.itself(),
            ending => ending,
        }
    }

    /// Whether the job was not to run: an intended skip, and no failure of what needs it.
    pub(crate) fn is_intended_skip(&self) -> bool {
        matches!(self.itself(), Self::NotNeeded { .. } | Self::Manual)
    }

    /// The build that the job is reused from, if it is.
    pub fn reused_from(&self) -> Option<&str> {
        match self {
            Self::Reused { build, .. } => Some(build),
            _ => None,
        }
    }

    /// The exit code of the job's command, where it exited by itself.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            // A warning is said of a job that did what it should.
            Self::Succeeded | Self::Warned { .. } => Some(0),
            Self::Tolerated { ending } | Self::Reused { ending, .. } => ending.exit_code(),
            Self::Exited { code, .. } => Some(*code),
            Self::DiskFull { code, .. } => *code,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_was_warned_exited_with_0() {
        assert_eq!(Ending::Warned { message: "look".to_owned() }.exit_code(), Some(0));
    }

    #[test]
    fn a_time_limit_that_is_reached_before_the_command_runs_says_so() {
        let limit = |during: Option<&str>| Ending::TimedOut { after_ms: 1500, during: during.map(str::to_owned) };
        assert_eq!(limit(None).to_string(), "reached its time limit of 1.5 s");
        let early = limit(Some("pulling debian:12")).to_string();
        assert_eq!(early, "reached its time limit of 1.5 s before its command ran, while pulling debian:12");
        let old = serde_json::from_str::<Ending>(r#"{"cause":"timed-out","after_ms":1500}"#);
        assert_eq!(old.expect("as it was written before"), limit(None));
    }
}
