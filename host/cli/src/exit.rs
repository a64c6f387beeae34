//! Exit codes.

use monkeyci_build::BuildStatus;

/// The process's exit codes, each for one kind of end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// A job failed, or the build reached its time limit.
    JobFailed = 1,
    /// The command line is wrong, or names something that is not there. (clap exits with this code too.)
    Usage = 2,
    /// The script is broken, or its job graph is; or it goes another way than one that it is compared with, or differs from it.
    BadScript = 3,
    /// The host, the engine or a store failed.
    Infrastructure = 4,
    /// Ctrl-C, as shells have it: 128 + SIGINT.
    Interrupted = 130,
}

impl From<BuildStatus> for Exit {
    fn from(status: BuildStatus) -> Self {
        match status {
            BuildStatus::Success => Self::Success,
            BuildStatus::Failure | BuildStatus::TimedOut => Self::JobFailed,
            BuildStatus::BadScript => Self::BadScript,
            BuildStatus::Refused => Self::Usage,
            BuildStatus::Error => Self::Infrastructure,
            BuildStatus::Cancelled => Self::Interrupted,
        }
    }
}
