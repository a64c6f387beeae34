//! Which of the declared jobs run: all, some, or those that run again of an earlier build. What is reused of that is made this build's own.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use monkeyci_build::{
    Earlier, EarlierJob, EventBody, JobSpec, Rerun, ReusedJob, Select, SelectError, Selection, Source, select_again,
    select_only,
};
use monkeyci_storage::{Blobs, names};
use object_store::path::Path;

use super::JobContext;
use super::define::{Hopeless, failed};

/// How many blobs are copied at once.
const AT_ONCE: usize = 8;

/// What is known of the build of which this one is one more run.
#[derive(Debug)]
pub(crate) struct EarlierBuild {
    /// Its jobs.
    pub(crate) jobs: Earlier,
    /// Its code, where this build is of the same.
    pub(crate) source: Option<Source>,
}

/// Why nothing is selected.
pub(super) enum NotSelected {
    /// What was asked for is not there.
    Refused(SelectError),
    /// The build can't go on.
    Hopeless(Hopeless),
}

impl From<SelectError> for NotSelected {
    fn from(error: SelectError) -> Self {
        Self::Refused(error)
    }
}

/// Decides which of the jobs run that the script declares; `None` if all do.
pub(super) async fn select(
    context: &JobContext,
    declared: &[JobSpec],
    removed: &[(String, String)],
) -> Result<Option<Selection>, NotSelected> {
    Ok(match &context.request.select {
        None => None,
        Some(Select::Jobs(jobs)) => Some(select_only(declared, removed, jobs, false)?),
        Some(Select::Until(jobs)) => Some(select_only(declared, removed, jobs, true)?),
        Some(Select::Again(rerun)) => Some(again(context, declared, removed, rerun).await?),
    })
}

async fn again(
    context: &JobContext,
    declared: &[JobSpec],
    removed: &[(String, String)],
    rerun: &Rerun,
) -> Result<Selection, NotSelected> {
    let Some(EarlierBuild { jobs: earlier, .. }) = context.earlier() else {
        let message = format!("the build {} is not known any more, of which this one is one more run", rerun.of);
        return Err(NotSelected::Hopeless(failed(false, message)));
    };
    let wanted = select_again(earlier, declared, removed, rerun, &BTreeMap::new())?;
    // What was no secret then may be one now.
    let submitted: Vec<JobSpec> =
        wanted.reused.iter().filter_map(|reused| Some(reused.submitted.as_ref()?.spec.clone())).collect();
    let faults = context.live.masking.values_in(&submitted);
    if !faults.is_empty() {
        let message = format!("jobs that the build {} has submitted can't be reused", rerun.of);
        return Err(NotSelected::Hopeless(Hopeless { script: true, message, faults }));
    }
    let gone = take_over(context, earlier, &wanted).await.map_err(|reason| {
        let message = format!("what the build {} has saved can't be reused: {reason}", rerun.of);
        NotSelected::Hopeless(failed(false, message))
    })?;
    let mut selection = if gone.is_empty() { wanted } else { select_again(earlier, declared, removed, rerun, &gone)? };
    for results in selection.reused.iter_mut().filter_map(|reused| reused.results.as_deref_mut()) {
        context.live.masking.withhold(results);
    }
    let runs: HashMap<&str, &str> = selection.again.iter().map(|(job, why)| (job.as_str(), why.as_str())).collect();
    for (job, artifact) in &gone {
        let what = if runs.contains_key(job.as_str()) { "runs again to make it" } else { "is reused without it" };
        let message =
            format!("the artifact {artifact:?} of the build {} is not in the store any more: {job} {what}", rerun.of);
        context.record(EventBody::BuildWarned { message }).await;
    }
    let reused = selection.reused.iter().filter(|reused| reused.ending.reused_from().is_some()).count();
    if reused > 0 && rerun.may_differ() {
        let other = match (rerun.with_changes, rerun.other_params) {
            (true, true) => "the code, the script and the parameters",
            (true, false) => "the code and the script",
            (false, _) => "the parameters",
        };
        let jobs = if reused == 1 { "job" } else { "jobs" };
        let message = format!("what is reused of {reused} {jobs} was made of {other} of the build {}", rerun.of);
        context.record(EventBody::BuildWarned { message }).await;
    }
    Ok(selection)
}

/// Copies the artifacts and test reports of reused jobs, so that they are this build's for as long as it is kept. Their bytes are
/// compared with their digests when they are read. Returns the jobs of which an artifact is gone, with it.
async fn take_over(
    context: &JobContext,
    earlier: &Earlier,
    selection: &Selection,
) -> Result<BTreeMap<String, String>, object_store::Error> {
    let (blobs, build) = (&context.services.blobs, &context.live.id);
    let reused: Vec<(&ReusedJob, &EarlierJob)> =
        selection.reused.iter().filter_map(|reused| Some((reused, earlier.job(&reused.job)?))).collect();
    let mut copies = Vec::new();
    for (reused, old) in &reused {
        for (artifact, attempt) in &old.artifacts {
            let (from, to) =
                (names::artifact(earlier.build(), &artifact.id, *attempt), names::artifact(build, &artifact.id, 1));
            copies.push(Copied { job: reused.job.clone(), id: artifact.id.clone(), size: artifact.size, from, to });
        }
    }
    let copies = stream::iter(copies).map(|copied| copied.copy(blobs.clone()));
    let copied: Vec<(bool, Copied)> = copies.buffer_unordered(AT_ONCE).try_collect().await?;
    for (_, copied) in copied.iter().filter(|(there, _)| *there) {
        context.live.disk.count(copied.size);
    }
    let with_tests: HashMap<&str, u32> = reused
        .iter()
        .filter(|(reused, _)| reused.results.as_ref().is_some_and(|results| results.tests.is_some()))
        .map(|(reused, old)| (reused.job.as_str(), old.attempt))
        .collect();
    if !with_tests.is_empty() {
        let reports = names::test_reports(earlier.build());
        for (report, _) in blobs.list(&reports).await? {
            let (of, digest) = (names::test_report_of(&reports, &report), names::test_report_digest(&report));
            let (Some((job, attempt)), Some(digest)) = (of, digest) else { continue };
            if with_tests.get(job.as_str()) == Some(&attempt) {
                blobs.copy(&report, &names::test_report(build, &job, 1, &digest)).await?;
            }
        }
    }
    Ok(copied.into_iter().filter(|(there, _)| !there).map(|(_, gone)| (gone.job, gone.id)).collect())
}

/// An artifact of an earlier build, and what it is called in this one.
struct Copied {
    job: String,
    id: String,
    size: u64,
    from: Path,
    to: Path,
}

impl Copied {
    /// Copies it, if it is there as it was.
    async fn copy(self, blobs: Blobs) -> Result<(bool, Self), object_store::Error> {
        let there = blobs.size(&self.from).await? == Some(self.size) && blobs.copy(&self.from, &self.to).await?;
        Ok((there, self))
    }
}
