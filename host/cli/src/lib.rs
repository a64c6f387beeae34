//! monkeyci-host as a library: run builds inside your own program.
//!
//! A script that is not in the compile cache is compiled first. Hostile ones take as much memory for that as they can get, so
//! let a limited process do it: your own program, started once more.
//!
//! ```no_run
//! use std::error::Error;
//! use std::num::NonZeroUsize;
//! use std::sync::Arc;
//!
//! use monkeyci_host::{
//!     BlobStore, BuildRequest, Cancel, Compiler, Controller, ControllerOptions, DiskLimits, EngineChoice, Limits, LogLimits,
//!     PATIENCE,
//!     Silent, SourceRequest,
//! };
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     // First of all: in the process that compiles, this does not return.
//!     monkeyci_host::compile_if_child();
//!     tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(build())
//! }
//!
//! async fn build() -> Result<(), Box<dyn Error>> {
//!     let controller = Arc::new(
//!         Controller::open(ControllerOptions {
//!             home: "/var/lib/my-ci".into(),
//!             blobs: BlobStore::Local,
//!             disk: DiskLimits::default(),
//!             log_limits: LogLimits::default(),
//!             engine: EngineChoice::Docker(Default::default()),
//!             limits: Limits::default(),
//!             compiler: Compiler::this_program(),
//!             sidecar_program: "/usr/lib/my-ci/monkeyci-sidecar".into(),
//!             patience: PATIENCE,
//!             tcp: None,
//!         })
//!         .await?,
//!     );
//!     let request = BuildRequest {
//!         script: std::fs::read("script.wasm")?.into(),
//!         source: SourceRequest::Dir(".".into()),
//!         inputs: Default::default(),
//!         trigger: "api".to_owned(),
//!         max_running: NonZeroUsize::new(4).ok_or("not zero")?,
//!         timeout: None,
//!         keep: false,
//!         keep_failed: false,
//!     };
//!     let report = controller.run(request, Arc::new(Silent), Cancel::default()).await?;
//!     println!("{}: {:?}", report.build, report.status);
//!     Ok(())
//! }
//! ```
#![deny(missing_docs)]

pub use monkeyci_api::Hidden;
pub use monkeyci_build::{
    BuildStatus, Checked, Ending, Event, EventBody, GraphFaults, JobSpec, JobSummary, Results, Status,
};
// What looks at builds.
pub use monkeyci_controller::{
    ApiOverTcp, BlobStore, BlobStoreError, BuildReport, BuildRequest, Cancel, CheckError, Controller, ControllerError,
    ControllerOptions, Decision, DiskLimits, EngineChoice, GitAuth, Inputs, Journals, Left, LogLimits, LogsError,
    Needed, Observer, OutsideError, OutsideEvent, PATIENCE, Resumable, ResumeError, ResumeRequest, Retention,
    RunningBuild, Shell, ShellError, ShellRequest, Silent, SourceRequest, Sweep, Swept,
};
pub use monkeyci_controller::{
    ArtifactRecord, AttemptRecord, BuildRecord, Builds, BuildsError, FailedJob, FlakyTest, JobRecord, Listed,
    RemovedJob, Standing, StoredLogs, TestCase, TestReports, Wanted,
};
pub use monkeyci_engines::{
    DockerEngine, DockerOptions, Engine, EngineError, NetworkFence, Session, SessionControl, SessionOutput,
    TerminalSize,
};
pub use monkeyci_script::{Compiler, Inspection, Limits, compile_if_child, inspect};
