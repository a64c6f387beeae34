//! Jobs that an action adds to the build, and waiting for jobs.

use std::time::Duration;

use crate::declare::{declare, millis};
use crate::error::Told;
use crate::host::jobs;
use crate::job::Run;
use crate::{Context, ErrorContext, IntoJobs, Job, JobRef, Outcome, Result, bail};

/// A job that an action has [submitted](Context::submit). It names the job wherever a job can be named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobHandle(String);

impl JobHandle {
    /// The job's id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Jobs that an action adds to the build, and waiting for jobs. An action that waits does not count as running: another job
/// may start in its slot.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let fan_out = action("fan-out", |context| {
///     let modules = context.workspace().read_dir("modules")?;
///     let tests = modules.iter().map(|name| {
///         let name = name.trim_end_matches('/');
///         container(format!("test-{name}"), "debian:12").shell(["make test"]).work_dir(format!("modules/{name}"))
///     });
///     let tests = context.submit(tests.collect::<Vec<_>>())?;
///     let outcomes = context.wait_all(&tests)?;
///     let failed = outcomes.iter().filter(|outcome| !outcome.succeeded()).count();
///     ensure!(failed == 0, "{failed} modules failed");
///     Ok(())
/// });
/// ```
impl Context {
    /// Adds jobs to the build: container jobs, and action jobs made with [`action_call`](crate::action_call). They may need
    /// jobs of the build and each other. [`Hooks`](crate::Hooks) that were applied to the running job are applied to them.
    ///
    /// # Errors
    /// When something is wrong with one of them; then none is added. A closure can't be submitted: it would have to go into
    /// another instance of the script.
    pub fn submit(&self, jobs: impl IntoJobs) -> Result<Vec<JobHandle>> {
        let jobs = jobs.into_jobs()?;
        jobs.iter().try_for_each(without_closures)?;
        let hooked = |job| self.hooks.iter().fold(job, |job, hooks| hooks.on(job));
        let jobs: Vec<Job> = jobs.into_iter().map(hooked).collect();
        let declared: Vec<jobs::Job> = jobs.iter().filter_map(declare).collect();
        jobs::submit(&declared.iter().collect::<Vec<_>>()).told()?;
        Ok(jobs.iter().map(|job| JobHandle(job.id().to_owned())).collect())
    }

    /// Waits until the job is over.
    ///
    /// # Errors
    /// When the build has no such job, or it can't end because it waits for this one, or needs it.
    pub fn wait(&self, job: impl JobRef) -> Result<Outcome> {
        self.wait_any([job])
    }

    /// Waits until the job is over; none when it is not within `timeout`.
    ///
    /// # Errors
    /// When the build has no such job.
    pub fn wait_within(&self, job: impl JobRef, timeout: Duration) -> Result<Option<Outcome>> {
        self.wait_any_within([job], timeout)
    }

    /// Waits until one of these jobs is over: the first in the list, of several.
    ///
    /// # Errors
    /// When the build has no such job, or it can't end because it waits for this one, or needs it.
    pub fn wait_any(&self, jobs: impl IntoIterator<Item = impl JobRef>) -> Result<Outcome> {
        let over = jobs::wait_any(&ids(jobs), None).told()?;
        self.look_up(over.context("the host gave up waiting")?)
    }

    /// Waits until one of these jobs is over: the first in the list, of several. None when none is within `timeout`.
    ///
    /// # Errors
    /// When the build has no such job.
    pub fn wait_any_within(
        &self,
        jobs: impl IntoIterator<Item = impl JobRef>,
        timeout: Duration,
    ) -> Result<Option<Outcome>> {
        let over = jobs::wait_any(&ids(jobs), Some(millis(timeout))).told()?;
        over.map(|id| self.look_up(id)).transpose()
    }

    /// Waits until all of these jobs are over. The outcomes are in the order of the jobs.
    ///
    /// # Errors
    /// When the build has no such job, or it can't end because it waits for this one, or needs it.
    pub fn wait_all(&self, jobs: impl IntoIterator<Item = impl JobRef>) -> Result<Vec<Outcome>> {
        jobs.into_iter().map(|job| self.wait(job)).collect()
    }
}

fn ids(jobs: impl IntoIterator<Item = impl JobRef>) -> Vec<String> {
    jobs.into_iter().map(|job| job.id().to_owned()).collect()
}

fn without_closures(job: &Job) -> Result<()> {
    let id = job.id();
    if job.common().refine.is_some() {
        bail!("the job {id:?} can't be submitted with a closure that refines it: say all of it now");
    }
    match job {
        Job::Action(action) if matches!(action.run, Run::Handler(_)) => {
            bail!("the handler {id:?} is no job: return it among the jobs of the script, and submit an `action_call`")
        }
        Job::Action(action) if matches!(action.run, Run::Closure(_)) => {
            bail!(
                "the action job {id:?} can't be submitted with its closure: make a `handler` of it, and submit an `action_call`"
            )
        }
        _ => Ok(()),
    }
}
