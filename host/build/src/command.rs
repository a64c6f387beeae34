//! Commands: what somebody asks of a build. Its driver asks the state, which accepts or refuses, and writes down what was accepted
//! before it asks again: so nobody decides by a state that has changed meanwhile.

mod refused;

use crate::state::{size_of_ids, size_of_told, size_of_words};
use crate::{
    BuildState, Ending, EventBody, Held, JobDraft, Results, SidecarReport, Status, ToldCall, check_submitted, waits,
};

pub use refused::CommandError;

/// The most test reports of one attempt of a job.
pub(crate) const TEST_REPORTS: u32 = 1000;

/// Who asks: an attempt of a job, or `define`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The job; none for `define`.
    pub job: Option<String>,
    /// The attempt, from 1; 0 for `define`.
    pub attempt: u32,
}

/// What somebody asks of a build.
#[derive(Clone, Debug, PartialEq)]
pub enum BuildCommand {
    /// A person wants the build to stop.
    Cancel {
        /// Who.
        by: String,
    },
    /// A person approves a job that waits for it, or rejects it.
    Decide {
        /// The job's id.
        job: String,
        /// Who.
        by: String,
        /// What they say to it.
        comment: Option<String>,
        /// Whether the job may run.
        approved: bool,
    },
    /// An artifact is complete in the store.
    SaveArtifact {
        /// The artifact's id.
        id: String,
        /// Whose it is.
        artifact: SavedArtifact,
    },
    /// A script publishes an event.
    Publish {
        /// Who.
        by: Asker,
        /// The event's name.
        name: String,
        /// Its JSON text.
        payload: String,
    },
    /// Somebody outside publishes an event.
    PublishFromOutside {
        /// Who, or what.
        by: String,
        /// The event's name.
        name: String,
        /// Its JSON text.
        payload: String,
    },
    /// A script adds to the build's report.
    Report {
        /// Who.
        by: Asker,
        /// The message.
        message: String,
    },
    /// A script asks for a parameter that was given.
    AskForParam {
        /// Who.
        by: Asker,
        /// The parameter; none when it looks which there are.
        param: Option<String>,
    },
    /// An action adds jobs to the build.
    Submit {
        /// The action's job.
        job: String,
        /// Its attempt.
        attempt: u32,
        /// The jobs, unchecked.
        jobs: Vec<JobDraft>,
    },
    /// What an action was told, beside what it was told before, is to be kept.
    Tell {
        /// The action's job.
        job: String,
        /// Its attempt.
        attempt: u32,
        /// The calls.
        calls: Vec<ToldCall>,
    },
    /// An action waits.
    Wait {
        /// The action's job.
        job: String,
        /// Its attempt.
        attempt: u32,
        /// What for.
        what: WaitFor,
    },
    /// A container job's own command runs now.
    CommandRuns {
        /// The job's id.
        job: String,
        /// Its attempt.
        attempt: u32,
    },
    /// A container job's sidecar says that the job is held.
    Hold {
        /// The job's id.
        job: String,
        /// Its attempt.
        attempt: u32,
        /// How often the attempt has been held with this, from 1.
        number: u32,
        /// Where it stands.
        held: Box<Held>,
    },
    /// A person lets a job go on that is held.
    Continue {
        /// The job's id.
        job: String,
        /// Who.
        by: String,
    },
    /// A job says something of its result.
    Say {
        /// The job's id.
        job: String,
        /// Its attempt.
        attempt: u32,
        /// What it says, beside what it has said before.
        results: Box<Results>,
    },
    /// A container job's sidecar says how the job ended.
    ReportEnd {
        /// The job's id.
        job: String,
        /// Its attempt.
        attempt: u32,
        /// How.
        report: Box<SidecarReport>,
    },
}

/// What an action waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// Any of these jobs, without a limit of time.
    AnyOf(Vec<String>),
    /// Something that it does not wait for longer than it says: a job, or an event.
    ForATime,
}

/// An artifact that is complete in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedArtifact {
    /// The job that saved it.
    pub job: String,
    /// The attempt of the job, from 1.
    pub attempt: u32,
    /// Its size in the store, in bytes.
    pub size: u64,
    /// The SHA-256 of the stored bytes, in hexadecimal.
    pub digest: String,
}

impl BuildCommand {
    /// The attempt of a container job whose command has run, if its sidecar asks for this: the job, and the attempt.
    pub fn comes_after_a_command(&self) -> Option<(&str, u32)> {
        match self {
            Self::SaveArtifact { artifact, .. } => Some((&artifact.job, artifact.attempt)),
            Self::Say { job, attempt, .. } | Self::Hold { job, attempt, .. } => Some((job, *attempt)),
            Self::ReportEnd { job, attempt, report } if report.tells_that_the_command_ran() => Some((job, *attempt)),
            _ => None,
        }
    }
}

impl BuildState {
    /// What to record for a command: nothing where the state says already what was asked for.
    ///
    /// # Errors
    /// Why it is refused: then nothing happens.
    pub fn accept(&self, command: BuildCommand) -> Result<Option<EventBody>, CommandError> {
        let body = match command {
            BuildCommand::Cancel { .. } if self.is_cancelled() => return Ok(None),
            BuildCommand::Cancel { by } => EventBody::CancelRequested { by },
            BuildCommand::Decide { job, by, comment, approved } => match self.job(&job).map(|known| known.status) {
                None => return Err(self.no_job(&job)),
                Some(Status::Blocked) if approved => {
                    EventBody::JobApproved { attempt: self.turn(&job), job, by, comment }
                }
                Some(Status::Blocked) => self.conclude(&job, Ending::Rejected { by, comment }),
                Some(_) => return Err(CommandError::NotBlocked { job }),
            },
            BuildCommand::SaveArtifact { id, artifact } => {
                let SavedArtifact { job, attempt, size, digest } = artifact;
                if self.artifact(&id).is_some() {
                    return Err(CommandError::ArtifactSaved { id });
                }
                self.is_its_turn(&job, attempt)?;
                EventBody::ArtifactSaved { job, attempt, id, size, digest }
            }
            BuildCommand::Publish { by, name, payload } => {
                self.may_say(size_of_words(&[&name, &payload]))?;
                let Asker { job, attempt } = self.at_work(by)?;
                EventBody::ScriptEvent { job, attempt, name, payload }
            }
            BuildCommand::PublishFromOutside { by, name, payload } => {
                self.may_say(size_of_words(&[&name, &payload]))?;
                EventBody::OutsideEvent { by, name, payload }
            }
            BuildCommand::Report { by, message } => {
                self.may_say(size_of_words(&[&message]))?;
                let Asker { job, attempt } = self.at_work(by)?;
                EventBody::ScriptReport { job, attempt, message }
            }
            BuildCommand::AskForParam { by, param } => {
                let Asker { job, attempt } = self.at_work(by)?;
                if self.uses_param(param.as_deref()) {
                    return Ok(None);
                }
                EventBody::ParamAsked { job, attempt, param }
            }
            BuildCommand::Submit { job, attempt, jobs } => {
                self.is_at_work(&job, attempt)?;
                if self.are_submitted(&job, attempt.saturating_sub(1), &jobs) {
                    return Ok(None);
                }
                let jobs = check_submitted(self.graph(), &jobs).map_err(CommandError::Faults)?;
                EventBody::JobsSubmitted { by: job, attempt, jobs }
            }
            BuildCommand::Tell { job, attempt, calls } => {
                self.is_at_work(&job, attempt)?;
                if calls.is_empty() {
                    return Ok(None);
                }
                if !self.has_told(size_of_told(&calls)) {
                    return Err(CommandError::ToldUsedUp);
                }
                EventBody::JobTold { job, attempt, calls }
            }
            BuildCommand::Wait { job, attempt, what } => {
                self.is_at_work(&job, attempt)?;
                return self.accept_wait(job, attempt, what);
            }
            BuildCommand::CommandRuns { job, attempt } => {
                self.is_at_work(&job, attempt)?;
                if self.job(&job).is_some_and(|known| known.command_runs) {
                    return Ok(None);
                }
                EventBody::JobRunning { job, attempt }
            }
            BuildCommand::Hold { job, attempt, number, held } => {
                self.is_at_work(&job, attempt)?;
                if self.job(&job).is_some_and(|known| known.holds >= number) {
                    return Ok(None);
                }
                let limit_ms = self.graph().get(&job).map_or(0, |spec| spec.timeout_ms);
                EventBody::JobHeld { job, attempt, number, held, limit_ms }
            }
            BuildCommand::Continue { job, by } => match self.job(&job) {
                None => return Err(self.no_job(&job)),
                Some(known) if known.held.is_none() => return Err(CommandError::NotHeld { job }),
                Some(known) => EventBody::JobContinued { attempt: known.attempt, job, by },
            },
            BuildCommand::Say { job, attempt, results } => {
                self.is_its_turn(&job, attempt)?;
                if results.tests.is_some() && self.job(&job).is_some_and(|known| known.test_reports >= TEST_REPORTS) {
                    return Err(CommandError::TestReportsUsedUp);
                }
                // Whoever says something again has not heard that it was taken. Tests add up, so of them it can't be told.
                let known = self.job(&job).and_then(|known| known.results.as_deref());
                if results.tests.is_none() && known.is_some_and(|known| known.has(&results)) {
                    return Ok(None);
                }
                if !self.has_results(&job, &results) {
                    return Err(CommandError::ResultsUsedUp);
                }
                EventBody::JobResults { job, attempt, results }
            }
            BuildCommand::ReportEnd { job, attempt, report } => {
                self.is_its_turn(&job, attempt)?;
                if self.job(&job).is_some_and(|known| known.reported.is_some()) {
                    return Err(CommandError::Reported { job });
                }
                EventBody::JobReported { job, attempt, report }
            }
        };
        Ok(Some(body))
    }

    /// Whether an action may wait, and what of that is new.
    fn accept_wait(&self, job: String, attempt: u32, what: WaitFor) -> Result<Option<EventBody>, CommandError> {
        let WaitFor::AnyOf(jobs) = what else {
            let waits = EventBody::JobWaiting { job: job.clone(), attempt, jobs: Vec::new(), rest: false };
            return Ok(self.has_slot(&job).then_some(waits));
        };
        if self.first_over(&job, &jobs)?.is_some() {
            return Ok(None);
        }
        waits::check(self, &self.waits, &job, &jobs)?;
        let last = self.waits.of(&job);
        let left = || last.iter().filter(|other| self.job(other).is_none_or(|known| !known.status.is_final()));
        if !last.is_empty() && left().eq(jobs.iter()) {
            let rest = left().count() < last.len();
            let waits = EventBody::JobWaiting { attempt, jobs: Vec::new(), rest, job: job.clone() };
            return Ok((rest || self.has_slot(&job)).then_some(waits));
        }
        self.may_say(size_of_ids(&jobs))?;
        Ok(Some(EventBody::JobWaiting { job, attempt, jobs, rest: false }))
    }

    /// The first of some jobs that is over, for an action that waits for any of them.
    ///
    /// # Errors
    /// When it can't wait for them: there are none, there is no such job, or it is its own.
    pub fn first_over<'a>(&self, job: &str, others: &'a [String]) -> Result<Option<&'a str>, CommandError> {
        if others.is_empty() {
            return Err(CommandError::WaitsForNothing);
        }
        if others.iter().any(|other| other == job) {
            return Err(CommandError::WaitsForItself { job: job.to_owned() });
        }
        for other in others {
            match self.job(other) {
                Some(known) if known.status.is_final() => return Ok(Some(other)),
                Some(_) => {}
                None => return Err(self.no_job(other)),
            }
        }
        Ok(None)
    }

    /// There is no such job, or not any more.
    pub fn no_job(&self, job: &str) -> CommandError {
        let job = job.to_owned();
        match self.removed(&job) {
            Some(reason) => CommandError::Removed { reason: reason.to_owned(), job },
            None => CommandError::NoJob { job },
        }
    }

    fn may_say(&self, bytes: usize) -> Result<(), CommandError> {
        if self.has_words(bytes) { Ok(()) } else { Err(CommandError::WordsUsedUp) }
    }

    /// Who asks, if they are at work.
    fn at_work(&self, by: Asker) -> Result<Asker, CommandError> {
        match &by.job {
            _ if self.works(by.job.as_deref(), by.attempt) => Ok(by),
            Some(job) => Err(CommandError::AttemptOver { job: job.clone(), attempt: by.attempt }),
            None => Err(CommandError::DefineOver),
        }
    }

    fn is_at_work(&self, job: &str, attempt: u32) -> Result<(), CommandError> {
        self.at_work(Asker { job: Some(job.to_owned()), attempt }).map(drop)
    }

    fn is_its_turn(&self, job: &str, attempt: u32) -> Result<(), CommandError> {
        if self.turn(job) == attempt { Ok(()) } else { Err(CommandError::AttemptOver { job: job.to_owned(), attempt }) }
    }

    /// What to record for a fact that whoever carried an effect out tells: the fact, or of the end of an attempt what
    /// [`conclude`](Self::conclude) makes of it.
    ///
    /// # Errors
    /// When it is of another attempt of the job than the one that counts.
    pub fn hear(&self, body: EventBody) -> Result<EventBody, CommandError> {
        if let Some(job) = body.job()
            && self.is_stale(&body)
        {
            return Err(CommandError::AttemptOver { job: job.to_owned(), attempt: body.attempt() });
        }
        match body {
            EventBody::JobEnded { job, ending, .. } => Ok(self.conclude(&job, ending)),
            body => Ok(body),
        }
    }
}
