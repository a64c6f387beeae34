//! Many builds, a line each.

use std::collections::BTreeSet;

use monkeyci_build::{BuildState, BuildStatus, Ending, Event, EventBody, Phase, Status};
use monkeyci_storage::journal::{Outline, Sought};
use serde::{Deserialize, Serialize};

use super::{Builds, BuildsError, Page, outlines, read_event};
use crate::error::ControllerError;

/// So many builds are looked at, at once.
const PAGE: usize = 1000;
/// What the record of a build says that is one more run.
const RERUN: &str = "build/rerun";

/// Where a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// A process drives it.
    Running,
    /// It is not over, and no process drives it: its host has died.
    Lost,
    /// Every job succeeded.
    Success,
    /// A job failed.
    Failure,
    /// The script is broken.
    BadScript,
    /// The host, an engine or a store failed.
    Error,
    /// What was asked of it can't be run.
    Refused,
    /// Somebody stopped it.
    Cancelled,
    /// It reached its time limit.
    TimedOut,
    /// Its journal can't be read.
    Unreadable,
}

impl Standing {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::Running,
        Self::Lost,
        Self::Success,
        Self::Failure,
        Self::BadScript,
        Self::Error,
        Self::Refused,
        Self::Cancelled,
        Self::TimedOut,
        Self::Unreadable,
    ];

    /// What it is called, in JSON too.
    pub fn as_str(self) -> &'static str {
        match (self, self.ended()) {
            (_, Some(status)) => status.as_str(),
            (Self::Lost, None) => "lost",
            (Self::Unreadable, None) => "unreadable",
            (_, None) => "running",
        }
    }

    /// How a build ended that stands so; `None` for one that has not, or of which that is not known.
    fn ended(self) -> Option<BuildStatus> {
        match self {
            Self::Running | Self::Lost | Self::Unreadable => None,
            Self::Success => Some(BuildStatus::Success),
            Self::Failure => Some(BuildStatus::Failure),
            Self::BadScript => Some(BuildStatus::BadScript),
            Self::Error => Some(BuildStatus::Error),
            Self::Refused => Some(BuildStatus::Refused),
            Self::Cancelled => Some(BuildStatus::Cancelled),
            Self::TimedOut => Some(BuildStatus::TimedOut),
        }
    }

    /// Of a build that ended so, if it did, and that a process drives or not.
    pub(crate) fn of(status: Option<BuildStatus>, live: bool) -> Self {
        match status {
            Some(BuildStatus::Success) => Self::Success,
            Some(BuildStatus::Failure) => Self::Failure,
            Some(BuildStatus::BadScript) => Self::BadScript,
            Some(BuildStatus::Error) => Self::Error,
            Some(BuildStatus::Refused) => Self::Refused,
            Some(BuildStatus::Cancelled) => Self::Cancelled,
            Some(BuildStatus::TimedOut) => Self::TimedOut,
            None if live => Self::Running,
            None => Self::Lost,
        }
    }
}

/// Which builds are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Those of this branch; of all branches if `None`.
    pub branch: Option<String>,
    /// Those that stand so; all if it is empty.
    pub standing: Vec<Standing>,
    /// At most so many, the newest first.
    pub limit: usize,
}

impl Wanted {
    /// What the journal is asked for. Which builds can't be read it doesn't know: then all are looked at.
    fn sought(&self) -> Sought {
        let any = self.standing.contains(&Standing::Unreadable);
        let statuses = if any { Vec::new() } else { self.standing.iter().map(|standing| standing.ended()).collect() };
        Sought { branch: self.branch.clone(), statuses }
    }
}

/// A build in a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// The build's id.
    pub build: String,
    /// Where it is.
    pub status: Standing,
    /// The branch, if it is known.
    pub branch: Option<String>,
    /// The tag, if there is one.
    pub tag: Option<String>,
    /// The commit, if it is known.
    pub commit: Option<String>,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// When something of it was last written down: its end, if it is over.
    pub last_ms: u64,
    /// The jobs that failed, as far as that is known.
    pub failed: Vec<FailedJob>,
    /// The jobs that wait for a person.
    pub blocked: Vec<String>,
    /// Why it failed, if no job did; or why it can't be read.
    pub reason: Option<String>,
    /// The build of which it is one more run.
    pub rerun_of: Option<String>,
}

/// A job that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedJob {
    /// The job.
    pub job: String,
    /// How it ended, in words.
    pub why: String,
}

impl FailedJob {
    fn of(job: &str, ending: &Ending) -> Option<Self> {
        ending.status().is_failed().then(|| Self { job: job.to_owned(), why: ending.to_string() })
    }
}

impl Builds {
    /// Builds that are wanted, the newest first. They are found by the journal's index; of each that is over, a few records are read and not its
    /// journal.
    ///
    /// # Errors
    /// When home or journal can't be read. A build whose records can't be is listed, with the reason.
    pub async fn list(&self, wanted: &Wanted) -> Result<Vec<Listed>, BuildsError> {
        let live = self.live()?;
        let (mut listed, mut seen, mut skip) = (Vec::new(), BTreeSet::new(), 0);
        let sought = wanted.sought();
        while listed.len() < wanted.limit {
            // Of what is found, a build may still be left out, e.g. one that is not over by whether somebody drives it.
            let page =
                if wanted.standing.iter().all(|it| it.ended().is_some()) { wanted.limit.min(PAGE) } else { PAGE };
            let found = outlines(&*self.journal, &sought, skip, page).await.map_err(ControllerError::from)?;
            let is_last = found.len() < page;
            skip += found.len();
            for outline in found {
                let line = match outline {
                    Ok(outline) => {
                        let standing = Standing::of(outline.status, live.contains(&outline.build));
                        let branch = outline.source.as_ref().and_then(|source| source.branch.as_ref());
                        let is_wanted = (wanted.branch.is_none() || branch == wanted.branch.as_ref())
                            && (wanted.standing.is_empty() || wanted.standing.contains(&standing));
                        if !is_wanted {
                            continue;
                        }
                        self.line(outline, standing).await?
                    }
                    Err((build, error)) => {
                        let unreadable = Standing::Unreadable;
                        let asked = wanted.standing.is_empty() || wanted.standing.contains(&unreadable);
                        if !asked {
                            continue;
                        }
                        Listed { reason: Some(error.to_string()), ..Listed::new(build, unreadable) }
                    }
                };
                // Builds that have begun meanwhile move the others down: one may come twice.
                if listed.len() < wanted.limit && seen.insert(line.build.clone()) {
                    listed.push(line);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(listed)
    }

    /// The build of which this one is one more run: it is the third thing that it says.
    async fn rerun_of(&self, build: &str) -> Result<Option<String>, BuildsError> {
        let page = Page { count: 1, ..Page::default() };
        for record in self.journal.records(build, 2, page).await.map_err(ControllerError::from)? {
            // Read as what it is said to be: a list says of one that can't be read only that.
            if record.body.contains(RERUN)
                && let Ok(Event { body: EventBody::BuildRerun { of, .. }, .. }) =
                    read_event(&*self.journal, build, &record).await
            {
                return Ok(Some(of));
            }
        }
        Ok(None)
    }

    async fn line(&self, outline: Outline, standing: Standing) -> Result<Listed, BuildsError> {
        let mut line = Listed::new(outline.build.clone(), standing);
        (line.began_ms, line.last_ms) = (outline.begun_ms, outline.last_ms);
        if let Some(source) = &outline.source {
            (line.branch, line.tag, line.commit) = (source.branch.clone(), source.tag.clone(), source.commit.clone());
        }
        line.rerun_of = self.rerun_of(&line.build).await?;
        match standing {
            Standing::Running => {
                if let Ok(Some(history)) = self.history(&line.build).await {
                    line.tell_of_running(&history.events);
                }
            }
            Standing::Success | Standing::Lost | Standing::Unreadable => {}
            _ => match outline.last_event(&*self.journal).await {
                Ok(Event { body: EventBody::BuildEnded { jobs, .. }, .. }) => {
                    line.failed = jobs.iter().filter_map(|job| FailedJob::of(&job.job, &job.ending)).collect();
                    if jobs.is_empty() {
                        let before = self.events_after(&line.build, outline.events.saturating_sub(2)).await?;
                        line.reason = before.into_iter().find_map(|event| match event.body {
                            EventBody::BuildFailed { message, .. } | EventBody::BuildRefused { message } => {
                                Some(message)
                            }
                            _ => None,
                        });
                    }
                }
                Ok(_) => {}
                Err(error) => line.reason = Some(error.to_string()),
            },
        }
        Ok(line)
    }
}

impl Listed {
    fn new(build: String, status: Standing) -> Self {
        Self {
            build,
            status,
            branch: None,
            tag: None,
            commit: None,
            began_ms: 0,
            last_ms: 0,
            failed: Vec::new(),
            blocked: Vec::new(),
            reason: None,
            rerun_of: None,
        }
    }

    fn tell_of_running(&mut self, events: &[Event]) {
        let state = BuildState::of(events);
        if let Phase::Ended(status) = state.phase() {
            self.status = Standing::of(Some(status), true);
        }
        for (spec, job) in state.jobs() {
            self.failed.extend(job.ending.as_ref().and_then(|ending| FailedJob::of(&spec.id, ending)));
            if job.status == Status::Blocked {
                self.blocked.push(spec.id.clone());
            }
        }
    }
}
