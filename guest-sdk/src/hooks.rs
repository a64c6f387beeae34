//! Changing jobs that somebody else declares.

use std::fmt;
use std::rc::Rc;

use crate::job::ActionFn;
use crate::{Context, IntoJobs, Job, Result};

type Predicate = Rc<dyn Fn(&Job) -> bool>;
type Before = dyn Fn(&Context) -> Result<()>;
type After = dyn Fn(&Context, Result<()>) -> Result<()>;

/// What is done to jobs. Made by [`hooks`].
#[derive(Clone, Default)]
pub struct Hooks {
    hooks: Vec<(Predicate, Hook)>,
}

#[derive(Clone)]
enum Hook {
    Change(Rc<dyn Fn(Job) -> Job>),
    Before(Rc<Before>),
    After(Rc<After>),
}

/// Changes to jobs, for those whom a predicate selects. This is how a crate offers something to all scripts that use it: it
/// exports a function that returns hooks, and a script applies them to its jobs. They hold for the jobs that its actions
/// [submit](Context::submit), too: nobody gets round house rules by declaring a job late.
///
/// ```
/// // In a crate of its own, `our_company_ci`:
/// use monkeyci_sdk::prelude::*;
///
/// /// Traces all shells, takes our mirror, and tells our dashboard how actions ended.
/// pub fn house_rules(mirror: &str) -> Hooks {
///     let mirror = mirror.to_owned();
///     hooks()
///         .change(Job::is_container, move |job| {
///             job.map_container(|job| job.shell_first(["set -x"]).env("MIRROR", &mirror)).label("team", "build")
///         })
///         .before(Job::is_action, |context| {
///             println!("building {}", context.build().id());
///             Ok(())
///         })
///         .after(Job::is_action, |context, result| {
///             context.publish("dashboard", if result.is_ok() { r#""good""# } else { r#""bad""# })?;
///             result
///         })
/// }
///
/// // In a script:
/// fn script(build: &Build) -> Result<impl IntoJobs> {
///     let test = container("test", "debian:12").shell(["make test"]);
///     let report = action("report", |context| context.report("done")).needs(&test);
///     house_rules("https://mirror.example.com").apply((test, report))
/// }
/// ```
pub fn hooks() -> Hooks {
    Hooks::default()
}

impl Hooks {
    /// Changes the selected jobs, of whatever kind, before the host learns of them.
    pub fn change(mut self, selected: impl Fn(&Job) -> bool + 'static, change: impl Fn(Job) -> Job + 'static) -> Self {
        self.hooks.push((Rc::new(selected), Hook::Change(Rc::new(change))));
        self
    }

    /// Calls `before` in the selected action jobs and [handlers](crate::handler), before their own closure. An error is the
    /// job's failure; its own closure is not called then.
    pub fn before(
        mut self,
        selected: impl Fn(&Job) -> bool + 'static,
        before: impl Fn(&Context) -> Result<()> + 'static,
    ) -> Self {
        self.hooks.push((Rc::new(selected), Hook::Before(Rc::new(before))));
        self
    }

    /// Calls `after` in the selected action jobs and [handlers](crate::handler), with the result of their own closure. What it
    /// returns is the job's result.
    pub fn after(
        mut self,
        selected: impl Fn(&Job) -> bool + 'static,
        after: impl Fn(&Context, Result<()>) -> Result<()> + 'static,
    ) -> Self {
        self.hooks.push((Rc::new(selected), Hook::After(Rc::new(after))));
        self
    }

    /// These hooks, and then those of `others`.
    pub fn and(mut self, others: Hooks) -> Self {
        self.hooks.extend(others.hooks);
        self
    }

    /// The jobs, as the hooks make them: one hook after the other, so that a later one sees and surrounds what an earlier one
    /// did. Jobs that one of these jobs [submits](Context::submit) later are made so too.
    ///
    /// # Errors
    /// When there are no jobs, but an error.
    pub fn apply(&self, jobs: impl IntoJobs) -> Result<Vec<Job>> {
        let hook = |job: Job| match self.on(job) {
            Job::Action(job) => {
                let hooks = self.clone();
                let run = |run: ActionFn| -> ActionFn { Box::new(move |context| run(&context.hooked(&hooks))) };
                job.wrap(run).into()
            }
            job => job,
        };
        Ok(jobs.into_jobs()?.into_iter().map(hook).collect())
    }

    /// The job, as the hooks make it.
    pub(crate) fn on(&self, job: Job) -> Job {
        self.hooks.iter().fold(job, |job, (selected, hook)| if selected(&job) { hook.on(job) } else { job })
    }
}

impl Hook {
    fn on(&self, job: Job) -> Job {
        match (self, job) {
            (Self::Change(change), job) => change(job),
            (_, job @ Job::Container(_)) => job,
            (Self::Before(before), Job::Action(job)) => {
                let before = Rc::clone(before);
                let run = |run: ActionFn| -> ActionFn {
                    Box::new(move |context| before(context).and_then(|()| run(context)))
                };
                job.wrap(run).into()
            }
            (Self::After(after), Job::Action(job)) => {
                let after = Rc::clone(after);
                let run = |run: ActionFn| -> ActionFn { Box::new(move |context| after(context, run(context))) };
                job.wrap(run).into()
            }
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("hooks", &self.hooks.len()).finish()
    }
}
