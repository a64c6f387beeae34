//! monkeyci-host as a library: run builds inside your own program.
//!
//! A script that is not in the compile cache is compiled first. Hostile ones take as much memory for that as they can get, so
//! let a limited process do it: your own program, started once more.
//!
//! ```no_run
//! use std::error::Error;
//! use std::time::Duration;
//!
//! use monkeyci_host::{BuildRequest, Host, Shutdown, SourceRequest};
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     // First of all: in the process that compiles, this does not return.
//!     monkeyci_host::compile_if_child();
//!     tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(build())
//! }
//!
//! async fn build() -> Result<(), Box<dyn Error>> {
//!     let host = Host::builder("/var/lib/my-ci").open().await?;
//!     let request = BuildRequest::new(std::fs::read("script.wasm")?, SourceRequest::Dir(".".into()));
//!     let build = host.submit(request.param("version", "1.10").key("delivery-17")).await?;
//!     let report = build.wait().await?;
//!     println!("{}: {:?}", report.build, report.status);
//!     host.shutdown(Shutdown::Drain, Duration::from_secs(60)).await;
//!     Ok(())
//! }
//! ```
#![deny(missing_docs)]

pub use monkeyci_api::{Hidden, LogFrame, LogStream};
// What a build would do.
pub use monkeyci_build::{
    Assumed, AssumedJob, Branch, Fate, FieldDiff, Known, Permissions, Plan, PlanDiff, PlannedJob, Then,
};
pub use monkeyci_build::{
    Breaks, BuildStatus, Checked, Ending, Event, EventBody, GraphFaults, Held, JobBreaks, JobSpec, JobSummary, Results,
    Status,
};
// What looks at builds.
pub use monkeyci_controller::{
    ApiOverTcp, BlobStore, BlobStoreError, BuildReport, BuildRequest, CheckError, Clock, Continue, ControllerError,
    Decision, DiskLimits, GitAuth, Inputs, LogLimits, LogsError, Needed, Observer, OutsideError, OutsideEvent,
    PATIENCE, Removed, Resumable, ResumeError, ResumeRequest, Retention, RunningBuild, Silent, SourceRequest, Sweep,
    Swept,
};
pub use monkeyci_controller::{
    ArtifactBytes, ArtifactRecord, AttemptRecord, BuildRecord, Builds, BuildsError, FailedJob, FlakyTest, JobRecord,
    Listed, RemovedJob, Standing, StoredLogs, TestCase, TestReports, Tests, Wanted,
};
pub use monkeyci_controller::{
    BoxError, Build, BuildContext, BuildLogError, CancelError, Capability, CodeError, CodeFile, EventSink, EventsError,
    Host, HostBuilder, Left, LogPiece, LogPieces, ParamSource, Policy, SecretSource, Shell, ShellError, ShellRequest,
    Shutdown, ShutdownReport, SourceError, SubmitError, Upkeep, Upkept, Usage, Verdict, WaitError,
};
pub use monkeyci_controller::{
    Bundle, BundleError, BundlingError, Class, Difference, Imported, RecordedBuild, Replay, ReplayError, ReplayOptions,
    ReplayedCall, ReplayedInstance, Stopped,
};
pub use monkeyci_engines::{
    DockerEngine, DockerOptions, DockerTls, Engine, EngineError, EngineSearch, EngineSettingsError, NetworkFence,
    Session, SessionControl, SessionOutput, TerminalSize,
};
pub use monkeyci_script::{Compiler, Inspection, Limits, compile_if_child, inspect, with_sources};

/// What whoever writes an [`Engine`] of their own needs: what a pod is, and what its sidecar tells the host, by which API.
///
/// An engine that runs the program [`HostBuilder::sidecar_program`] beside a job, as [`DockerEngine`] does, needs no more than the pod. One
/// that does a sidecar's work itself speaks to the host with a [`Client`](engine::Client).
pub mod engine {
    pub use monkeyci_api::{
        Client, ClientError, HAND_OVER, Handed, LogFrame, LogStream, SidecarConfig, SidecarPlan, Token, paths,
    };
    pub use monkeyci_build::{Destination, NetworkMode, PullPolicy, ServiceSpec, SidecarReport};
    pub use monkeyci_engines::{
        Engine, EngineError, LABEL_BUILD, LABEL_JOB, LABEL_OWNER, LABEL_POD, Part, PartExit, Pod, PodFound, PodService,
        PodState, Session, SessionControl, SessionOutput, TerminalSize,
    };
}

/// Simulated builds: what a script does not bear is found without containers, network and waiting.
pub mod simulation {
    pub use monkeyci_controller::simulation::{
        Attempts, Broken, Fault, JobFault, NoFault, Rule, Run, Simulation, SimulationError,
    };
}

/// A server with a public API, round a [`Host`].
pub mod server {
    pub use monkeyci_server::{
        BuildFacts, HttpServer, KeyError, MasterKey, NoPattern, Origin, Pattern, Scope, Server, ServerBuilder,
        ServerError, StoreError,
    };
}
