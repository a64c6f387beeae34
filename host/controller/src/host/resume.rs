//! Going on with builds whose host has died.

use std::collections::{BTreeSet, HashMap};

use monkeyci_build::{BuildState, Status};
use monkeyci_storage::journal::History;
use monkeyci_storage::names;
use tokio::sync::watch;

use super::Host;
use super::build::Build;
use super::drive::{Begun, masking};
use crate::clock::SteadyTime;
use crate::error::ControllerError;
use crate::home::BuildDir;
use crate::jobs::{self, Before};
use crate::running::{Begin, BuildRequest, Digests, Known, Needed, Resumable, ResumeError, ResumeRequest};
use crate::source::SourceRequest;

impl Host {
    /// The builds of this home that are not over and that no process runs, oldest first.
    ///
    /// # Errors
    /// When journal or home can't be read.
    pub async fn resumable(&self) -> Result<Vec<Resumable>, ControllerError> {
        let live = self.live_builds()?;
        let mut found = Vec::new();
        for build in self.0.journals.open_builds().await? {
            if live.contains(&build) {
                continue;
            }
            match self.0.journals.history(&build).await {
                Ok(Some(history)) => found.push(resumable(build, &history)),
                Ok(None) => {}
                Err(error) => found.push(Resumable {
                    build,
                    jobs: 0,
                    over: 0,
                    ran: Vec::new(),
                    blocked: Vec::new(),
                    last_ms: 0,
                    needs: Needed::default(),
                    refused: Some(error.to_string()),
                }),
            }
        }
        Ok(found)
    }

    /// How many builds of this home have lost their host and left their directories: a quick look, at no journal.
    ///
    /// # Errors
    /// When the home can't be read.
    pub fn left_behind(&self) -> Result<usize, ControllerError> {
        let (_, dead) = self.0.home.live_builds(true).map_err(|source| self.unreadable(source))?;
        let parked = self.0.home.lost_while_parked().map_err(|source| self.unreadable(source))?;
        // One that died while it was parked or brought back is both.
        Ok(dead.into_iter().filter_map(|dead| dead.build).chain(parked).collect::<BTreeSet<_>>().len())
    }

    /// Goes on with a build whose host has died. Jobs that are over are not run again. Containers whose sidecars have waited
    /// for this go on. Other jobs that ran when the host died have failed then, or run once more, as the request says. A build that is
    /// only to be cancelled ends at once.
    ///
    /// # Errors
    /// When the build can't be gone on with; nothing of it has changed then.
    pub async fn resume(&self, mut resume: ResumeRequest) -> Result<Build, ResumeError> {
        self.0.driven.is_open()?;
        let build = resume.build.clone();
        let unknown = |build| ResumeError::NoBuild { build, home: self.0.home.root().to_owned() };
        // The id is somebody's text, and a directory is named by it: only one that a host has made is looked for.
        if self.0.journals.database().head(&build).await.map_err(ControllerError::from)?.is_none() {
            return Err(unknown(build));
        }
        let host = self.begin_process()?;
        let Some(dir) = self.0.home.take_build_dir(&build, &host)? else { return Err(ResumeError::Runs { build }) };
        // Now that nobody writes it any more: a build is locked before its journal is begun.
        let history = self.0.journals.history(&build).await.map_err(ControllerError::from)?;
        let Some(history) = history else { return Err(unknown(build)) };
        let known = Known::of(&history.events);
        if known.over {
            return Err(ResumeError::Over { build });
        }
        let lacks = known.lacks(history.missing()).is_some();
        if let (Some(requested), false) = (&known.requested, resume.cancel || lacks) {
            let collected = self.collect_again(&build, &known, requested, &mut resume.inputs).await;
            collected.map_err(|error| ResumeError::Inputs { reason: error.to_string() })?;
        }
        let mut begun = self.continued(&resume, &history, &known, (dir, None)).await?;
        let phase = begun.live.state().phase();
        if let Some(earlier) = self.earlier(&begun.request, phase).await? {
            begun.context.runs_again(earlier);
        }
        if !resume.cancel {
            jobs::restore(&begun.context, &known, Before::Elsewhere).await?;
        }
        let mut go_on =
            jobs::take_over(&begun.context, &begun.dir, resume.cancel).await.map_err(ControllerError::from)?;
        if known.requested.as_ref().is_some_and(|requested| requested.tells_actions) && !resume.cancel {
            go_on.extend(begun.live.state().actions_in_flight().map(|spec| spec.id.clone()));
            begun.context.told.set(known.told_actions.clone());
        }
        if resume.again {
            begun.context.begins_again();
        }
        let journal = self.0.journals.take_over(&build, &history).await.map_err(ControllerError::from)?;
        begun.dir.goes_at_the_end();
        let begin = Begin::Again {
            by: resume.by,
            again: resume.again,
            go_on,
            cancel: resume.cancel,
            started_ms: known.started_ms,
            said: known.said,
        };
        let time = SteadyTime::begin_after(self.0.clock.clone(), known.last_ms);
        Ok(self.drive(begun, journal, begin, (time, watch::Sender::new(None)))?.0)
    }

    /// A build as its journal tells of it, in its directory. What the journal does not have is in `resume`, and the code's `source` with
    /// its logins, if that is known.
    ///
    /// # Errors
    /// When that is not all that it needs.
    pub(super) async fn continued(
        &self,
        resume: &ResumeRequest,
        history: &History,
        known: &Known,
        (dir, source): (BuildDir, Option<SourceRequest>),
    ) -> Result<Begun, ResumeError> {
        let build = &resume.build;
        let mut key = String::new();
        let mut request = match (&known.requested, known.lacks(history.missing())) {
            _ if history.missing() == 0 && resume.cancel => BuildRequest::ended(known),
            (Some(requested), None) => {
                key = self.digest_key(!known.needs().is_empty())?;
                let request = BuildRequest::again(resume, known, requested, &Digests { key: &key, build })?;
                let script = jobs::script(&self.0.services.blobs, build, &requested.script).await?;
                BuildRequest { script, ..request }
            }
            (_, lacks) => {
                let (build, reason) = (build.clone(), lacks.unwrap_or_default());
                return Err(ResumeError::NotEnough { build, reason });
            }
        };
        if let Some(source) = source {
            request.source = source.at(known.source.as_ref().and_then(|source| source.commit.clone()));
        }
        let masking = masking(&request)?;
        let begun = self.begin(build, (request, &key), masking, dir);
        begun.live.take_back(&history.events, known.done.clone());
        begun.live.logs.go_on(self.log_parts(build).await?);
        Ok(begun)
    }

    pub(super) fn live_builds(&self) -> Result<BTreeSet<String>, ControllerError> {
        self.0.home.live_builds(true).map(|(live, _)| live).map_err(|source| self.unreadable(source))
    }

    pub(super) fn unreadable(&self, source: std::io::Error) -> ControllerError {
        ControllerError::Home { path: self.0.home.run(), source }
    }

    /// How many parts of each log of a build are in the store.
    async fn log_parts(&self, build: &str) -> Result<HashMap<Option<String>, u32>, ControllerError> {
        let logs = names::logs(build);
        let mut parts = HashMap::new();
        for (name, _) in self.0.services.blobs.list(&logs).await? {
            if let Some((job, number)) = names::log_part(&logs, &name) {
                let next: &mut u32 = parts.entry(job).or_default();
                *next = (*next).max(number.saturating_add(1));
            }
        }
        Ok(parts)
    }
}

/// What there is to say of a build that is not over.
fn resumable(build: String, history: &History) -> Resumable {
    let known = Known::of(&history.events);
    let state = BuildState::of(&history.events);
    let ran = state
        .lost_attempts(false, &BTreeSet::new())
        .into_iter()
        .filter_map(|body| body.job().map(str::to_owned))
        .collect();
    let blocked = state.jobs().filter(|(_, job)| job.status == Status::Blocked).map(|(spec, _)| spec.id.clone());
    Resumable {
        blocked: blocked.collect(),
        jobs: state.jobs().len(),
        over: state.jobs().filter(|(_, job)| job.status.is_final()).count(),
        ran,
        last_ms: known.last_ms,
        needs: known.needs(),
        refused: known.lacks(history.missing()),
        build,
    }
}
