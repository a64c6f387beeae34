//! The pure core of a build: the job graph and its checks, the state machine, the scheduler, the events.
//!
//! Nothing here does I/O, reads a clock or draws a random number. A build is a fold: [`BuildState::step`] takes one
//! [`Input`] (an event of the journal, or the passing of time) and returns the [`Effect`]s that somebody has to carry
//! out. Whoever does (the controller, or a simulation) feeds the results back as events.
#![deny(missing_docs)]

mod about;
mod breaks;
mod budget;
mod check;
mod command;
mod confined;
mod destination;
mod draft;
mod ending;
mod event;
mod given;
mod graph;
mod param;
mod plan;
mod report;
mod request;
mod results;
mod select;
mod source;
mod spec;
mod state;
mod waits;
mod words;

pub use breaks::{Breaks, Held, JobBreaks};
pub use budget::limits;
pub use check::{
    Checked, DEFAULT_READY_TIMEOUT_MS, Fault, FaultKind, GraphFaults, MAX_JOBS, NeedCause, Place, check, check_refined,
    check_submitted, nearest, param_value,
};
pub use command::{Asker, BuildCommand, CommandError, SavedArtifact, WaitFor};
pub use confined::{Caches, Confined};
pub use destination::{AddressRange, Destination, DestinationHost, NoDestination};
pub use draft::{ArtifactOption, CacheOption, JobDraft, ParamDraft, ServiceDraft};
pub use ending::{Ending, ShellLine, Status};
pub use event::{BuildStatus, Event, EventBody, JobSummary};
pub use given::Given;
pub use graph::Graph;
pub use param::{ParamKind, ParamSpec};
pub use plan::{
    Answer, Assumed, AssumedJob, Branch, ChangedJob, Fate, FieldDiff, GoneJob, Known, Permissions, PermissionsDiff,
    Plan, PlanDiff, PlannedJob, Planner, Then, Turn,
};
pub use report::SidecarReport;
pub use request::{Requested, RequestedSource, Told, ToldAnswer, ToldCall};
pub use results::{Results, TestFailure, TestSummary, is_link, is_output_name};
pub use select::{
    Again, Earlier, EarlierJob, Rerun, ReusedArtifact, ReusedJob, Select, SelectError, Selection, Submitted,
    select_again, select_only,
};
pub use source::{Changes, Source};
pub use spec::{
    CacheSpec, Call, Command, ContainerSpec, DEFAULT_JOB_TIMEOUT_MS, JobKind, JobSpec, LateValue, NetworkMode,
    PullPolicy, Readiness, RestoreArtifact, Retry, RetryOn, RunWhen, SaveArtifact, SavePolicy, ServiceSpec,
    ShellCommand,
};
pub use state::{BuildState, Effect, Input, JobState, MOST_TOLD, Phase, StopReason};
pub use waits::CycleOfWaits;
pub use words::Words;
