//! Events: the facts of a build, as they stand in the journal.

use serde::{Deserialize, Serialize};

use crate::words::Words;
use crate::{Ending, GraphFaults, JobSpec, ParamSpec, Results};

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
        /// The new jobs.
        jobs: Vec<JobSpec>,
    },
    /// The job waits for a person.
    #[serde(rename = "job/blocked")]
    JobBlocked {
        /// The job's id.
        job: String,
        /// What is to be approved.
        message: String,
    },
    /// A person approved the job.
    #[serde(rename = "job/approved")]
    JobApproved {
        /// The job's id.
        job: String,
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
    },
    /// An action waits for other jobs, or for events, and gives up its place for the rest of its life.
    #[serde(rename = "job/waiting")]
    JobWaiting {
        /// The job's id.
        job: String,
    },
    /// What a job says of its result; its end follows.
    #[serde(rename = "job/results")]
    JobResults {
        /// The job's id.
        job: String,
        /// What it says.
        results: Box<Results>,
    },
    /// The job failed, and will run again.
    #[serde(rename = "job/retried")]
    JobRetried {
        /// The job's id.
        job: String,
        /// Which attempt failed, from 1.
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
    },
    /// A container job's own command runs now: workspace, artifacts, caches and services are ready.
    #[serde(rename = "job/running")]
    JobRunning {
        /// The job's id.
        job: String,
    },
    /// The job is over.
    #[serde(rename = "job/ended")]
    JobEnded {
        /// The job's id.
        job: String,
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
        /// The message.
        message: String,
    },
    /// An artifact is complete in the store.
    #[serde(rename = "artifact/saved")]
    ArtifactSaved {
        /// The job that saved it.
        job: String,
        /// The attempt that did, from 1.
        #[serde(default = "first_attempt")]
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

impl EventBody {
    /// Shows every text that is words for people to `see`, which may change it: secrets are masked there. The others are data:
    /// ids, names and jobs, which the build is made of, and which stay as they are. Each field says here which it is.
    pub fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        let mut text = |text: &mut String| see(Words::Text(text));
        match self {
            Self::BuildTriggered { build: _, trigger } => text(trigger),
            Self::BuildCheckedOut { source } => source.words(see),
            Self::ScriptLoaded { digest: _, size: _, cached: _ } => {}
            Self::ScriptDefined { jobs: _, removed, params } => {
                removed.iter_mut().for_each(|(_, reason)| text(reason));
                for ParamSpec { name: _, kind: _, default: _, required: _, description } in params {
                    description.iter_mut().for_each(&mut text);
                }
            }
            Self::JobsSubmitted { by: _, jobs: _ } | Self::JobRefined { job: _ } => {}
            Self::JobBlocked { job: _, message } => text(message),
            Self::JobApproved { job: _, by, comment } => [by].into_iter().chain(comment).for_each(text),
            Self::JobWaiting { job: _ } | Self::JobStarted { job: _ } | Self::JobRunning { job: _ } => {}
            Self::JobResults { job: _, results } => results.words(see),
            Self::JobRetried { job: _, attempt: _, ending, delay_ms: _ } | Self::JobEnded { job: _, ending } => {
                ending.words(see);
            }
            Self::OutsideEvent { by, name: _, payload } => {
                text(by);
                see(Words::Json(payload));
            }
            Self::BuildFailed { script: _, message, faults } => {
                text(message);
                faults.words(see);
            }
            Self::BuildWarned { message } => text(message),
            Self::CancelRequested { by } => text(by),
            Self::BuildTimedOut { after_ms: _ } => {}
            Self::ScriptEvent { job: _, name: _, payload } => see(Words::Json(payload)),
            Self::ScriptReport { job: _, message } => text(message),
            Self::ArtifactSaved { job: _, attempt: _, id: _, size: _, digest: _ } => {}
            Self::BuildEnded { status: _, jobs } => {
                for JobSummary { job: _, ending, duration_ms: _, results } in jobs {
                    ending.words(see);
                    results.iter_mut().for_each(|results| results.words(see));
                }
            }
        }
    }
}

/// What an event means that was written before events named attempts.
fn first_attempt() -> u32 {
    1
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
    /// Somebody stopped it.
    Cancelled,
    /// It reached its time limit.
    TimedOut,
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

/// The code that a build builds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it came from; none for a directory that is not a git repository.
    pub git_url: Option<String>,
    /// The full ref name, `refs/heads/main` say.
    pub git_ref: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The commit's id.
    pub commit: Option<String>,
    /// The commit's message.
    pub message: Option<String>,
    /// The commit's author, `Name <mail>`.
    pub author: Option<String>,
    /// The repository's main branch.
    pub main_branch: Option<String>,
    /// What `git describe --tags` says of the commit: the nearest tag, how many commits ago that was, and the start of the commit's id.
    /// Ends in `-dirty` where the directory has more than was committed. None where no tag is on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub describe: Option<String>,
    /// Whether a directory is built that has changes that are not committed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// The files that changed; none where that is not known: no git repository, say. Boxed, so that the other events need
    /// not be as large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Box<Changes>>,
}

impl Source {
    /// Shows every text that is words for people; see [`EventBody::words`].
    fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        let Self {
            git_url,
            git_ref: _,
            branch: _,
            tag: _,
            commit: _,
            message,
            author,
            main_branch: _,
            describe: _,
            dirty: _,
            changes,
        } = self;
        for text in [git_url, message, author].into_iter().flatten() {
            see(Words::Text(text));
        }
        match changes.as_deref() {
            None | Some(Changes { base: _, added: _, modified: _, removed: _, renamed: _ }) => {}
        }
    }
}

/// The files that the code changes, against the commit it is compared with. Paths are relative to the repository's root and
/// sorted; a renamed file is in none of the other lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// The id of the commit that the code is compared with; none when there is none, and every file is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Files that the base does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Files that are not as they are in the base.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modified: Vec<String>,
    /// Files of the base that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Files that have another path: the old one and the new one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a journal holds that was written before there were changes.
    const OLD: &str = r#"{"git_url":null,"git_ref":"refs/heads/main","branch":"main","tag":null,"commit":null,
        "message":null,"author":null,"main_branch":"main"}"#;

    #[test]
    fn a_source_written_before_there_were_changes_can_be_read() {
        let source: Source = serde_json::from_str(OLD).expect("it can be read");
        assert_eq!((source.branch.as_deref(), source.changes), (Some("main"), None));
    }

    #[test]
    fn changes_that_are_not_known_are_not_written_and_those_that_are_come_back() {
        let unknown = Source::default();
        assert!(!serde_json::to_string(&unknown).expect("JSON").contains("changes"));
        let nothing = Source { changes: Some(Box::default()), ..Source::default() };
        let renamed = Changes { renamed: vec![("a".to_owned(), "b".to_owned())], ..Changes::default() };
        let renamed = Source { changes: Some(Box::new(renamed)), ..Source::default() };
        for source in [unknown, nothing, renamed] {
            let text = serde_json::to_string(&source).expect("JSON");
            assert_eq!(serde_json::from_str::<Source>(&text).expect("it can be read"), source, "{text}");
        }
    }
}
