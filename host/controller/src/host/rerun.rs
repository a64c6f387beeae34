//! One more run of an earlier build.

use std::collections::{BTreeMap, BTreeSet};

use monkeyci_build::{Earlier, EventBody, JobSpec, Phase, RequestedSource, Rerun, Select, Source, select_again};

use super::Host;
use super::build::Build;
use super::drive::masking;
use super::sources::BuildContext;
use crate::error::ControllerError;
use crate::jobs::{self, EarlierBuild};
use crate::logs::Masking;
use crate::running::{BuildRequest, Digests, Known, Needed, RerunError, RerunRequest};
use crate::source::SourceRequest;
use crate::source::workspace;

impl Host {
    /// Runs a build again, as a new one. Jobs that succeeded are not run again, unless that is asked for: their results and
    /// artifacts are reused.
    ///
    /// # Errors
    /// When it can't be run again; nothing has begun then.
    pub async fn rerun(&self, mut rerun: RerunRequest) -> Result<Build, RerunError> {
        let build = rerun.build.clone();
        let (known, jobs) = self.run_before(&build).await?;
        let Some(requested) = &known.requested else {
            let reason = "its journal does not say what it was asked to be: an older host wrote it".to_owned();
            return Err(RerunError::NotEnough { build, reason });
        };
        let not_taken = |reason: String| RerunError::NotTaken { build: build.clone(), reason };
        let needs = needs(&known, &jobs, &rerun);
        let context = BuildContext::again(&build, &known, requested);
        // A script that is another one may ask for more.
        let collected = self.collect(&context, &mut rerun.inputs, Some(&needs).filter(|_| !rerun.with_changes)).await;
        collected.map_err(|error| not_taken(error.to_string()))?;
        let key = self.digest_key(!known.needs().is_empty())?;
        let request = BuildRequest::rerun(&rerun, (&known, &needs), requested, &Digests { key: &key, build: &build })?;
        if let (Some(Select::Again(again)), false) = (&request.select, rerun.with_changes) {
            // Said before anything begins, where it is known: the script declares what it did.
            select_again(&jobs, &jobs.declared(), jobs.removed(), again, &BTreeMap::new())?;
        }
        let script = match rerun.script {
            Some(script) => script,
            None => {
                let script = jobs::script(&self.0.services.blobs, &build, &requested.script).await;
                script.map_err(RerunError::no_script)?
            }
        };
        let request = BuildRequest { script, ..request };
        let mut source = None;
        if !rerun.with_changes {
            let masking = masking(&request)?;
            if let (SourceRequest::Dir(_), Some(before)) = (&request.source, &known.source) {
                same_code(&request, before, known.told.as_ref().and_then(|told| told.workspace.as_deref()), &masking)
                    .await
                    .map_err(|error| error.of(&build))?;
            } else {
                source = known.source;
            }
        }
        let started = self.start_one(request, Some(EarlierBuild { jobs, source })).await;
        started.map_err(|error| not_taken(error.to_string()))
    }

    /// What has to be given again for this: secrets, which no journal has, and parameters that one stands in. What only jobs need that do not
    /// run again is not asked for. What `rerun` has of inputs is not looked at.
    ///
    /// # Errors
    /// When it can't be run again.
    pub async fn needed(&self, rerun: &RerunRequest) -> Result<Needed, RerunError> {
        let (known, jobs) = self.run_before(&rerun.build).await?;
        Ok(needs(&known, &jobs, rerun))
    }

    /// What there is to know of a build that is over, to run it again.
    async fn run_before(&self, build: &str) -> Result<(Known, Earlier), RerunError> {
        let history = self.0.journals.history(build).await.map_err(ControllerError::from)?;
        let build = build.to_owned();
        let Some(history) = history else {
            return Err(RerunError::NoBuild { build, home: self.0.home.root().to_owned() });
        };
        let known = Known::of(&history.events);
        if !known.over {
            return Err(match self.live_builds()?.contains(&build) {
                true => RerunError::Runs { build },
                // What it has begun may go on without it.
                false => RerunError::Lost { build },
            });
        }
        Ok((known, Earlier::of(&build, &history.events)))
    }

    /// What there is to know of the build of which a build is one more run, for whoever goes on with that before its jobs are known.
    pub(super) async fn earlier(
        &self,
        request: &BuildRequest,
        phase: Phase,
    ) -> Result<Option<EarlierBuild>, ControllerError> {
        let Some(Select::Again(Rerun { of, with_changes, .. })) = &request.select else { return Ok(None) };
        if phase == Phase::Running {
            return Ok(None);
        }
        let Some(history) = self.0.journals.history(of).await? else { return Ok(None) };
        let source = Known::of(&history.events).source.filter(|_| !with_changes && !is_dir(&request.source));
        Ok(Some(EarlierBuild { jobs: Earlier::of(of, &history.events), source }))
    }
}

/// What one more run needs: with the script as it was, what that asks for; all that the build was given where it may be another one.
fn needs(known: &Known, jobs: &Earlier, rerun: &RerunRequest) -> Needed {
    let RerunRequest { build, what, with_changes, by, .. } = rerun;
    let what = Rerun {
        of: build.clone(),
        by: by.clone(),
        what: what.clone(),
        with_changes: *with_changes,
        other_params: false,
    };
    let declared = jobs.declared();
    match select_again(jobs, &declared, jobs.removed(), &what, &BTreeMap::new()) {
        Ok(selection) if !with_changes => {
            // One of which an artifact is gone runs too, and that is known only later.
            let reused = selection.reused.iter().filter(|reused| reused.artifacts.is_empty());
            let reused: BTreeSet<&str> = reused.map(|reused| reused.job.as_str()).collect();
            let left_out: BTreeSet<&str> = selection.left_out.iter().map(|(job, _)| job.as_str()).collect();
            let runs = |job: &&JobSpec| !reused.contains(&*job.id) && !left_out.contains(&*job.id);
            known.needs_again(declared.iter().filter(runs))
        }
        _ => known.needs(),
    }
}

fn is_dir(source: &SourceRequest) -> bool {
    matches!(source.requested(), RequestedSource::Dir { .. })
}

/// Why the code in a directory is not that of an earlier build.
enum OtherCode {
    Unreadable(String),
    Changed(String),
}

impl OtherCode {
    fn of(self, build: &str) -> RerunError {
        let build = build.to_owned();
        match self {
            Self::Unreadable(reason) => RerunError::Code { build, reason },
            Self::Changed(reason) => RerunError::Changed { build, reason },
        }
    }
}

/// Looks whether the code in a directory is what it was: by what git says of it, and where that is not all, by the archive that jobs started
/// from. In that stand the times of files too, which a `git checkout` makes anew.
async fn same_code(
    BuildRequest { source: request, given, .. }: &BuildRequest,
    before: &Source,
    packed: Option<&str>,
    masking: &Masking,
) -> Result<(), OtherCode> {
    let unreadable = |error: String| OtherCode::Unreadable(error);
    // A directory is not copied anywhere.
    let checkout = request.clone().check_out_in_background(std::path::PathBuf::new()).await;
    let checkout = checkout.map_err(|error| unreadable(error.to_string()))?;
    let mut source = checkout.source;
    given.apply(&mut source);
    let now = masking.event(EventBody::BuildCheckedOut { source });
    if let EventBody::BuildCheckedOut { source } = now
        && source != *before
    {
        let at = |source: &Source| source.commit.clone().unwrap_or_else(|| "no commit".to_owned());
        return Err(OtherCode::Changed(match source.commit == before.commit {
            false => format!("the code is at {}, and was at {}", at(&source), at(before)),
            true => "the code has other changes that are not committed than it had".to_owned(),
        }));
    }
    if let Some(packed) = packed.filter(|_| !before.is_as_committed()) {
        let contents = workspace::Contents { dir: checkout.dir, files: checkout.files, history: None };
        let digest = workspace::digest(contents).await.map_err(|error| unreadable(error.to_string()))?;
        if digest != packed {
            return Err(OtherCode::Changed("files in the code's directory are not what they were".to_owned()));
        }
    }
    Ok(())
}
