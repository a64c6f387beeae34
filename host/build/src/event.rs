//! Events: the facts of a build, as they stand in the journal.

use serde::{Deserialize, Serialize};

use crate::{
    Again, Ending, GraphFaults, Held, JobSpec, ParamSpec, Requested, Results, Selection, SidecarReport, Source, Told,
    ToldCall,
};

/// A fact about a build, with its place in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The place in the build's journal, from 1 without gaps.
    pub seq: u64,
    /// When it was recorded, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened. The names in the journal are `build/triggered` and so on.
///
/// An event of a job names the job's attempt, from 1: the one that is being made, or the one that would be made next when the job
/// waits, or ends without having run. It is 0 for what is no job's, and in journals that were written before events named
/// attempts: there it means the attempt that counts when the event is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum EventBody {
    /// Somebody asked for the build.
    #[serde(rename = "build/triggered")]
    BuildTriggered {
        /// The build's id, `org/repo/build`.
        build: String,
        /// What started it: `cli`, say.
        trigger: String,
    },
    /// What the build was asked to be, for whoever goes on with it in another process.
    #[serde(rename = "build/requested")]
    BuildRequested {
        /// All of it, but for secrets.
        request: Box<Requested>,
    },
    /// The build is one more run of an earlier one.
    #[serde(rename = "build/rerun")]
    BuildRerun {
        /// The earlier build's id.
        of: String,
        /// Who asked for it.
        by: String,
        /// Which jobs run again.
        what: Again,
        /// Whether code and script are what they are now, and not what they were.
        #[serde(default, skip_serializing_if = "is_false")]
        with_changes: bool,
    },
    /// Another process goes on with the build, whose host has died.
    #[serde(rename = "build/resumed")]
    BuildResumed {
        /// Who asked for it.
        by: String,
    },
    /// The code is there.
    #[serde(rename = "build/checked-out")]
    BuildCheckedOut {
        /// What was checked out.
        source: Source,
    },
    /// The script was compiled, or found in the compile cache.
    #[serde(rename = "script/loaded")]
    ScriptLoaded {
        /// The SHA-256 of the component's bytes, in hexadecimal.
        digest: String,
        /// The component's size in bytes.
        size: u64,
        /// Whether the compiled code came from the cache.
        cached: bool,
    },
    /// What `define` was told, so that it can be told the same again.
    #[serde(rename = "script/told")]
    ScriptTold {
        /// All that it was told.
        told: Box<Told>,
    },
    /// It is decided which of the jobs that the script declares next run, which are reused, and which are left out. The last one before
    /// that counts.
    #[serde(rename = "jobs/selected")]
    JobsSelected {
        /// Which.
        selection: Box<Selection>,
    },
    /// What was asked for can't be run: there is no such job, say.
    #[serde(rename = "build/refused")]
    BuildRefused {
        /// What, and why.
        message: String,
    },
    /// What an action, or the function that completes a job, was told beside what it was told before in the same attempt, so that
    /// another instance can be told the same.
    #[serde(rename = "job/told")]
    JobTold {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        attempt: u32,
        /// The calls, in their order.
        calls: Vec<ToldCall>,
    },
    /// The script declared its jobs, and the graph has no fault.
    #[serde(rename = "script/defined")]
    ScriptDefined {
        /// The jobs, in the order of declaration.
        jobs: Vec<JobSpec>,
        /// Jobs that a condition of the script removed, with the reasons.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed: Vec<(String, String)>,
        /// The parameters that the script declared.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        params: Vec<ParamSpec>,
    },
    /// An action added jobs to the build.
    #[serde(rename = "jobs/submitted")]
    JobsSubmitted {
        /// The job whose action did.
        by: String,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// The new jobs.
        jobs: Vec<JobSpec>,
    },
    /// The job waits for a person.
    #[serde(rename = "job/blocked")]
    JobBlocked {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// What is to be approved, in the script's words.
        message: String,
        /// What will run: image and command of a container job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runs: Option<String>,
    },
    /// A person approved the job.
    #[serde(rename = "job/approved")]
    JobApproved {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// Who.
        by: String,
        /// What they said to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
    },
    /// The script completed a late job.
    #[serde(rename = "job/refined")]
    JobRefined {
        /// The job as it will run.
        job: Box<JobSpec>,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
    },
    /// An action waits for other jobs, or for events, and gives up its slot for the rest of its life.
    #[serde(rename = "job/waiting")]
    JobWaiting {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// The jobs of which one has to be over before it goes on; none when it waits for a limited time, or for events.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        jobs: Vec<String>,
        /// Whether it waits for those that are left of the last ones: thousands of ids are not written down again and again.
        #[serde(default, skip_serializing_if = "is_false")]
        rest: bool,
    },
    /// What a job says of its result, beside what it has said before in the same attempt.
    #[serde(rename = "job/results")]
    JobResults {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// What it says.
        results: Box<Results>,
    },
    /// A container job's sidecar has said how the job ended; what the engine knows of that is asked next.
    #[serde(rename = "job/reported")]
    JobReported {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        attempt: u32,
        /// What it said.
        report: Box<SidecarReport>,
    },
    /// The job failed, and will run again.
    #[serde(rename = "job/retried")]
    JobRetried {
        /// The job's id.
        job: String,
        /// The attempt that failed, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// How it ended.
        ending: Ending,
        /// How long until it runs again, in milliseconds.
        delay_ms: u64,
    },
    /// Somebody outside published an event to the build.
    #[serde(rename = "build/event")]
    OutsideEvent {
        /// Who, or what.
        by: String,
        /// The event's name.
        name: String,
        /// Its JSON text.
        payload: String,
    },
    /// The build can't go on before any job started: the checkout failed, the script is broken or its graph is.
    #[serde(rename = "build/failed")]
    BuildFailed {
        /// Whether the script is at fault; the infrastructure is otherwise.
        script: bool,
        /// What is wrong, and what to do.
        message: String,
        /// The faults of the graph, if those are the reason.
        #[serde(default, skip_serializing_if = "GraphFaults::is_empty")]
        faults: GraphFaults,
    },
    /// The job's turn has come; its container or instance is being started.
    #[serde(rename = "job/started")]
    JobStarted {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
    },
    /// A container job's own command runs now: workspace, artifacts, caches and services are ready.
    #[serde(rename = "job/running")]
    JobRunning {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
    },
    /// A container job is held, for a person to look into it; its time limit counts on.
    #[serde(rename = "job/held")]
    JobHeld {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        attempt: u32,
        /// How often the attempt has been held with this, from 1.
        number: u32,
        /// Where it stands.
        held: Box<Held>,
        /// Its time limit in milliseconds.
        limit_ms: u64,
    },
    /// Somebody has let a job go on that was held.
    #[serde(rename = "job/continued")]
    JobContinued {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        attempt: u32,
        /// Who.
        by: String,
    },
    /// The job is over.
    #[serde(rename = "job/ended")]
    JobEnded {
        /// The job's id.
        job: String,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// How it ended.
        ending: Ending,
    },
    /// Something of the build as a whole is to be looked at.
    #[serde(rename = "build/warned")]
    BuildWarned {
        /// What, and what to do.
        message: String,
    },
    /// Somebody asked for the build to stop.
    #[serde(rename = "build/cancel-requested")]
    CancelRequested {
        /// Who, or what.
        by: String,
    },
    /// The build has reached its time limit, and stops.
    #[serde(rename = "build/timed-out")]
    BuildTimedOut {
        /// The limit in milliseconds.
        after_ms: u64,
    },
    /// A script published an event of its own.
    #[serde(rename = "script/event")]
    ScriptEvent {
        /// The job whose action published it; none for `define`.
        job: Option<String>,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// The event's name.
        name: String,
        /// Its JSON text.
        payload: String,
    },
    /// A script added to the build's report.
    #[serde(rename = "script/report")]
    ScriptReport {
        /// The job whose action said it; none for `define`.
        job: Option<String>,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// The message.
        message: String,
    },
    /// A script asked for a parameter that was given, and that it had not declared by then.
    #[serde(rename = "script/asked")]
    ParamAsked {
        /// The job whose action asked; none for `define`.
        job: Option<String>,
        /// The attempt, from 1; 0 for `define`.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// The parameter; none when the script looked which there are.
        param: Option<String>,
    },
    /// An artifact is complete in the store.
    #[serde(rename = "artifact/saved")]
    ArtifactSaved {
        /// The job that saved it.
        job: String,
        /// The attempt, from 1.
        #[serde(default, skip_serializing_if = "is_untold")]
        attempt: u32,
        /// The artifact's id.
        id: String,
        /// Its size in the store, in bytes.
        size: u64,
        /// The SHA-256 of the stored bytes, in hexadecimal.
        digest: String,
    },
    /// The build is over.
    #[serde(rename = "build/ended")]
    BuildEnded {
        /// How.
        status: BuildStatus,
        /// Every job, in the order of declaration.
        jobs: Vec<JobSummary>,
    },
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Whether an event names no attempt.
fn is_untold(attempt: &u32) -> bool {
    *attempt == 0
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildStatus {
    /// Every job succeeded.
    Success,
    /// A job failed.
    Failure,
    /// The script is broken: it could not be loaded, or declared no valid graph.
    BadScript,
    /// The host, an engine or a store failed.
    Error,
    /// What was asked of it can't be run.
    Refused,
    /// Somebody stopped it.
    Cancelled,
    /// It reached its time limit.
    TimedOut,
}

impl BuildStatus {
    /// What it is called, in JSON too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::BadScript => "bad-script",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed-out",
        }
    }
}

/// How one job ended, for the summary of a build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSummary {
    /// The job's id.
    pub job: String,
    /// How it ended.
    pub ending: Ending,
    /// From start to end, in milliseconds; none for a job that never started.
    pub duration_ms: Option<u64>,
    /// What it said of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Box<Results>>,
}
