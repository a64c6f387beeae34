//! monkeyci-host as a library: run builds inside your own program.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::num::NonZeroUsize;
//! use std::sync::Arc;
//!
//! use monkeyci_host::{
//!     BlobStore, BuildRequest, Cancel, Controller, ControllerOptions, EngineChoice, Limits, LogLimits, Silent,
//!     SourceRequest,
//! };
//!
//! let controller = Arc::new(
//!     Controller::open(ControllerOptions {
//!         home: "/var/lib/my-ci".into(),
//!         blobs: BlobStore::Local,
//!         log_limits: LogLimits::default(),
//!         engine: EngineChoice::Docker(Default::default()),
//!         limits: Limits::default(),
//!         sidecar_program: "/usr/lib/my-ci/monkeyci-sidecar".into(),
//!         tcp: None,
//!     })
//!     .await?,
//! );
//! let request = BuildRequest {
//!     script: std::fs::read("script.wasm")?.into(),
//!     source: SourceRequest::Dir(".".into()),
//!     inputs: Default::default(),
//!     trigger: "api".to_owned(),
//!     max_running: NonZeroUsize::new(4).ok_or("not zero")?,
//!     timeout: None,
//!     keep: false,
//! };
//! let report = controller.run(request, Arc::new(Silent), Cancel::default()).await?;
//! println!("{}: {:?}", report.build, report.status);
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

pub use monkeyci_api::Hidden;
pub use monkeyci_build::{
    BuildStatus, Checked, Ending, Event, EventBody, GraphFaults, JobSpec, JobSummary, Results, Status,
};
pub use monkeyci_controller::{
    ApiOverTcp, BlobStore, BlobStoreError, BuildReport, BuildRequest, Cancel, CheckError, Controller, ControllerError,
    ControllerOptions, Decision, EngineChoice, Inputs, Journal, LogLimits, LogsError, Observer, OutsideError,
    OutsideEvent, RunningBuild, Silent, SourceRequest, Sweep,
};
pub use monkeyci_engines::{DockerEngine, DockerOptions, Engine, EngineError, NetworkFence};
pub use monkeyci_script::{Inspection, Limits, inspect};
