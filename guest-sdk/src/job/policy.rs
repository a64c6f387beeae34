//! When jobs run, and when they run again.

/// When a job runs, seen from the jobs that it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RunWhen {
    /// When all have succeeded.
    #[default]
    Success,
    /// When all are over, however they ended. Like all others not when somebody cancels the build: nothing starts any more
    /// then.
    Always,
    /// When all are over and one of them failed.
    Failure,
}

impl RunWhen {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Always => "always",
            Self::Failure => "failure",
        }
    }
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PullPolicy {
    /// When the engine does not have it.
    #[default]
    Missing,
    /// Before each attempt of the job: what a name such as `debian:12` means may have changed.
    Always,
    /// Never: the engine has to have it.
    Never,
}

impl PullPolicy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// A way to end after which a job runs again.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// # use std::time::Duration;
/// let flaky = container("flaky", "debian:12")
///     .shell(["make integration-test"])
///     .retry(3)
///     .retry_on(RetryOn::Timeout)
///     .retry_on(RetryOn::ExitCode(75))
///     .retry_delay(Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryOn {
    /// Every failure of the job's own doing.
    Failure,
    /// Every failure of the host's doing.
    Error,
    /// The time limit was reached.
    Timeout,
    /// The memory limit was reached.
    OutOfMemory,
    /// The commands exited with this code.
    ExitCode(i32),
}

impl RetryOn {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Failure => "failure".to_owned(),
            Self::Error => "error".to_owned(),
            Self::Timeout => "timeout".to_owned(),
            Self::OutOfMemory => "out-of-memory".to_owned(),
            Self::ExitCode(code) => format!("exit-code={code}"),
        }
    }
}
