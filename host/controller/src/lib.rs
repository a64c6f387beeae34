//! The controller: what joins the pure core with the world, in rooms with one-way arrows (see `host/ARCHITECTURE.md`).
//!
//! [`Host`] takes builds, and drives each from its trigger to its end: checkout, script, graph, jobs, report. Its driver folds the
//! journal through [`monkeyci_build::BuildState`] and has the effects carried out. Script and sidecars reach it through the
//! build API only. [`Builds`] is for whoever looks at builds that run or ran: it names, lists and describes them, and changes nothing.
#![deny(missing_docs)]

mod build_api;
mod builds;
mod bundle;
mod clock;
mod control;
mod disk;
mod error;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod hang_guard;
mod home;
mod host;
mod inputs;
mod inside;
mod jobs;
mod junit;
mod lock;
mod logs;
mod naming;
mod observer;
mod replay;
mod running;
mod serve;
pub mod simulation;
mod source;
mod tokens;

pub use builds::{
    ArtifactBytes, ArtifactRecord, AttemptRecord, BuildRecord, Builds, BuildsError, FailedJob, FlakyTest, JobRecord,
    Listed, RemovedJob, Standing, TestCase, TestReports, Tests, Wanted,
};
pub use bundle::{BUNDLE_BYTES, BUNDLE_LAYOUT, Bundle, BundleError};
pub use clock::Clock;
pub use control::{Continue, Decision, OutsideError, OutsideEvent, RunningBuild};
pub use disk::DiskLimits;
pub use error::ControllerError;
pub use host::{
    BoxError, Build, BuildContext, BuildLogError, BundlingError, CancelError, Capability, CodeError, CodeFile,
    EventSink, EventsError, Host, HostBuilder, Imported, LogPiece, LogPieces, ParamSource, Policy, Removed, Retention,
    SecretSource, Shutdown, ShutdownReport, SourceError, SubmitError, Upkeep, Upkept, Usage, Verdict, WaitError,
    limits, sidecar_beside_this_program,
};
pub use inputs::Inputs;
pub use inside::{Left, Shell, ShellError, ShellRequest};
pub use jobs::{CheckError, PATIENCE, Sweep, Swept};
pub use logs::{LogLimits, LogsError, StoredLog, StoredLogs};
pub use monkeyci_api::Hidden;
pub use monkeyci_storage::journal::LAYOUT as JOURNAL_LAYOUT;
pub use monkeyci_storage::{BlobStore, BlobStoreError, JournalError};
pub use observer::{Observer, Silent};
pub use replay::{
    Class, Difference, RecordedBuild, Replay, ReplayError, ReplayOptions, ReplayedCall, ReplayedInstance, Stopped,
    replay,
};
pub use running::{BuildReport, BuildRequest, Needed, RerunError, RerunRequest, Resumable, ResumeError, ResumeRequest};
pub use serve::{ApiOverTcp, HttpServer};
pub use source::{GitAuth, SourceRequest, TrackedFilesError, tracked_files};
