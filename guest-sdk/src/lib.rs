//! Write [monkeyci-host](https://github.com/monkey-projects/monkeyci-host) build scripts in Rust.
//!
//! A build script is a function that returns jobs, and one line that exports it. Compiled for `wasm32-wasip2` as a
//! `cdylib`, it is a component that `monkeyci-host run` takes.
//!
//! ```
//! use monkeyci_sdk::prelude::*;
//!
//! fn script(build: &Build) -> Result<impl IntoJobs> {
//!     let image = build.param_or("image", "debian:12")?;
//!
//!     let version = action("version", |_| {
//!         println!("this line is in the build's log");
//!         Ok(())
//!     });
//!     let test = container("test", &image).shell(["make test"]).needs(&version);
//!     let package = container("package", &image)
//!         .shell(["make dist"])
//!         .save_artifact("dist", "target/dist")
//!         .needs(&test);
//!     let report = action("report", |context| {
//!         context.report(&format!("packaged in {:?}", context.look_up("package")?.duration()))
//!     })
//!     .needs(&package);
//!
//!     Ok((version, test, package, report))
//! }
//!
//! monkeyci_sdk::script!(script);
//! # fn main() {}
//! ```
//!
//! The host calls the function in every instance of the script, with the same answers each time; an action job's closure
//! then runs in an instance of its own. So closures may capture what the function computed, but nothing that one closure
//! changes is seen by another: jobs hand on results as artifacts, outputs and events.
//!
//! The [`guide`] goes through it task by task; [`testing`] runs a script with `cargo test`, without a host.
#![deny(missing_docs)]

mod artifacts;
mod assertions;
mod build;
mod changes;
mod context;
mod declare;
mod error;
mod export;
mod files;
mod glob;
mod hooks;
mod host;
mod job;
mod matrix;
mod outcome;
mod param;
#[cfg(target_arch = "wasm32")]
mod process;
mod refine;
mod secret;
mod service;
mod setters;
#[cfg(not(target_arch = "wasm32"))]
mod simulated;
mod subscription;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod workspace;

pub use anyhow::{Context as ErrorContext, Error, Result, anyhow, bail, ensure};
pub use artifacts::{Artifact, Artifacts};
pub use assertions::{assert_always, assert_sometimes};
pub use build::Build;
pub use changes::Changes;
pub use context::{Context, JobHandle, Level};
pub use error::HostError;
pub use files::{ArtifactWriter, FileReader};
pub use glob::matches as glob_matches;
pub use hooks::{Hooks, hooks};
pub use job::{
    ActionJob, Cache, ContainerJob, Handler, IntoJobs, Job, JobRef, Labelled, Lines, PullPolicy, RetryOn, RunWhen,
    SavePolicy, SavedArtifact, action, action_call, artifact, cache, container, handler, late_container,
};
pub use matrix::{Combination, Matrix, matrix};
pub use outcome::{Outcome, Status, TestSummary};
pub use param::{Always, Optional, Param, ParamValue, Presence, param};
pub use refine::Refine;
pub use secret::Secret;
pub use service::{Service, service};
pub use subscription::{Event, Subscription};
pub use workspace::{FileKind, Metadata, Workspace};

#[doc = include_str!("../GUIDE.md")]
pub mod guide {}

/// What most scripts need: `use monkeyci_sdk::prelude::*;`
pub mod prelude {
    pub use crate::{
        ActionJob, Build, Cache, Changes, ContainerJob, Context, ErrorContext as _, Hooks, HostError, IntoJobs, Job,
        JobHandle, JobRef, Level, Outcome, PullPolicy, Refine, Result, RetryOn, RunWhen, SavePolicy, Secret, Service,
        Status, action, action_call, anyhow, artifact, assert_always, assert_sometimes, bail, cache, container, ensure,
        handler, hooks, late_container, matrix, param, service,
    };
}

#[doc(hidden)]
pub use export::{__act, __define, __refine};

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[allow(missing_docs, clippy::all)]
pub mod __bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "refining-script",
        pub_export_macro: true,
        default_bindings_module: "monkeyci_sdk::__bindings",
    });
}

/// The script in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
