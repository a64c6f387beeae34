//! Tests of scripts, without a host: with `cargo test`, in milliseconds.
//!
//! A [`Simulation`] says what the host would know: the branch, parameters, files, how jobs ended. Then it calls the script,
//! and shows what that wants: [`graph`](Simulation::graph) the jobs it declares, [`act`](Simulation::act) what an action does,
//! [`refine`](Simulation::refine) how a job is completed. It refuses what a host refuses, as far as that is cheap to know.
//!
//! ```
//! use monkeyci_sdk::prelude::*;
//! use monkeyci_sdk::testing::{Simulation, ended};
//!
//! fn script(build: &Build) -> Result<impl IntoJobs> {
//!     let test = container("test", "rust:1").shell(["cargo test"]);
//!     let publish = container("publish", "rust:1")
//!         .shell(["cargo publish"])
//!         .secret_env("CARGO_REGISTRY_TOKEN", &build.secret("TOKEN")?)
//!         .only_if(build.tag_matches("v*"), "only tags are published")
//!         .needs(&test);
//!     let report = action("report", |context| {
//!         let test = context.look_up("test")?;
//!         context.report(&format!("{} tests", test.tests().unwrap_or_default().total))
//!     });
//!     Ok((test, publish, report.needs("publish").always()))
//! }
//!
//! let simulation = Simulation::new().branch("main").secret("TOKEN", "x");
//!
//! let graph = simulation.graph(script);
//! assert_eq!(graph.ids(), ["test", "report"]);
//! assert_eq!(graph.job("publish").removed.as_deref(), Some("only tags are published"));
//! assert_eq!(graph.needs("report"), ["test"]);
//!
//! let tagged = simulation.clone().tag("v1").graph(script);
//! assert_eq!(tagged.job("publish").env["CARGO_REGISTRY_TOKEN"].to_string(), "secret TOKEN");
//!
//! let acted = simulation.outcome("test", ended(Status::Success).tests(3, ["one_fails"])).act(script, "report");
//! assert_eq!(acted.result, Ok(()));
//! assert_eq!(acted.reports, ["3 tests"]);
//! ```
//!
//! A script's crate is a `cdylib`, which needs nothing more for tests of its own: put them into a module with `#[cfg(test)]`.
//! What a script prints with `println!` goes to the test's output.

mod acted;
mod declared;
mod ended;
mod faults;
mod graph;
mod param;
mod show;
mod simulation;

pub use acted::{Acted, Refined};
pub use declared::{DeclaredCache, DeclaredJob, DeclaredService, Restored, Saved, Value};
pub use ended::{Ended, ended};
pub(crate) use faults::problems;
pub use graph::Graph;
pub use param::DeclaredParam;
pub use simulation::Simulation;
