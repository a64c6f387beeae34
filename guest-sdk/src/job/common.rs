//! What jobs of both kinds have.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::{Context, Refine, Result, RetryOn, RunWhen};

/// The closure that completes a job when its turn has come.
#[derive(Clone)]
pub(crate) struct RefineFn(pub Rc<Complete>);

type Complete = dyn Fn(&mut Refine, &Context) -> Result<()>;

impl fmt::Debug for RefineFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefineFn")
    }
}

/// What jobs of both kinds have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Common {
    pub id: String,
    pub needs: Vec<String>,
    pub requires: Vec<String>,
    pub removed: Option<String>,
    pub run_when: RunWhen,
    pub priority: Option<i32>,
    pub fail_fast: Option<String>,
    pub approval: Option<String>,
    pub manual: bool,
    pub refine: Option<RefineFn>,
    pub ending: Ending,
}

/// What happens when a job ends, and its labels: what may still be said when its turn has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    pub allow_failure: bool,
    pub retry: Option<u32>,
    pub retry_on: Vec<RetryOn>,
    pub retry_delay: Option<Duration>,
    pub timeout: Option<Duration>,
    pub labels: Vec<(String, String)>,
}

impl Common {
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }
}

/// The setters that say where a job stands in the graph.
macro_rules! graph_setters {
    ($by:ident, $type:ty) => {
        $by! {
            $type, common_mut;

            /// This job starts only after `job` (a job or the id of one) has succeeded, and is skipped when that one does
            /// not. When `job` is removed (see [`only_if`](Self::only_if)), this one needs what that one needed, instead.
            fn needs(job, other: impl JobRef) {
                job.needs.push(other.id().to_owned());
            }

            /// This job needs each of these.
            fn needs_all(job, others: impl IntoIterator<Item = impl JobRef>) {
                job.needs.extend(others.into_iter().map(|other| other.id().to_owned()));
            }

            /// Like [`needs`](Self::needs), but it is a fault of the graph when `job` is removed.
            fn requires(job, other: impl JobRef) {
                job.requires.push(other.id().to_owned());
            }

            /// Takes this job out of the build unless `condition` is true. Jobs that need it need, instead, what it needed;
            /// people see the reason. Of several conditions, the first that is not met gives it.
            fn only_if(job, condition: bool, reason: impl Into<String>) {
                if !condition {
                    job.removed.get_or_insert(reason.into());
                }
            }

            /// When this job runs, seen from the jobs that it needs. Without it: when all have succeeded.
            fn run_when(job, when: RunWhen) {
                job.run_when = when;
            }

            /// This job runs when all that it needs are over, however they ended: to clean up, or to report.
            fn always(job) {
                job.run_when = RunWhen::Always;
            }

            /// This job runs only when all that it needs are over, and one of them failed.
            ///
            /// It inherits no needs: a job that is [removed](Self::only_if) is dropped from what it needs, and when none is
            /// left, it is removed too. What undoes a deployment does not run in a build without it.
            fn on_failure(job) {
                job.run_when = RunWhen::Failure;
            }

            /// Of several jobs that may start, the one with the higher number starts first. Without it: 0.
            fn priority(job, priority: i32) {
                job.priority = Some(priority);
            }

            /// Puts this job into a group: when one job of the group fails, the others are stopped, and do not start.
            fn fail_fast(job, group: impl Into<String>) {
                job.fail_fast = Some(group.into());
            }

            /// This job waits until a person approves it. The message says what they approve.
            fn approval(job, message: impl Into<String>) {
                job.approval = Some(message.into());
            }

            /// This job starts only when a person has it started: `monkeyci-host rerun BUILD --from JOB`. The build does not wait for
            /// it, and ends without it and without what needs it, which is no failure. To [`look_up`](crate::Context::look_up) it is
            /// `blocked` then.
            fn manual(job) {
                job.manual = true;
            }

            /// When this job's turn comes, the closure completes it, or [skips](Refine::skip) it, with the results of
            /// earlier jobs at hand: see [`Refine`].
            fn refine(job, complete: impl Fn(&mut Refine, &Context) -> Result<()> + 'static) {
                job.refine = Some(RefineFn(Rc::new(complete)));
            }
        }
    };
}

/// The setters that say what happens when a job ends, and its labels.
macro_rules! ending_setters {
    ($by:ident, $type:ty) => {
        $by! {
            $type, ending_mut;

            /// A failure of this job is no failure of the build: the job ends as a warning, and those that need it go on.
            fn allow_failure(job) {
                job.allow_failure = true;
            }

            /// Runs the job again, at most `count` times, when it fails. On which failures, says
            /// [`retry_on`](Self::retry_on); without it: on each. In a container, `$MONKEYCI_ATTEMPT` is the number of the run,
            /// from 1.
            fn retry(job, count: u32) {
                job.retry = Some(count);
            }

            /// Runs the job again only when it ends so, or in another way that was given before.
            fn retry_on(job, cause: RetryOn) {
                job.retry_on.push(cause);
            }

            /// Waits so long before the job runs again; twice as long each time.
            fn retry_delay(job, delay: Duration) {
                job.retry_delay = Some(delay);
            }

            /// Ends the job as a failure when it takes longer. Without it: one hour. All processes of a container job get the signal
            /// TERM then, and 10 s to clean up.
            fn timeout(job, limit: Duration) {
                job.timeout = Some(limit);
            }

            /// Adds a label, for people and tools. Of several with one name, the last counts.
            fn label(job, name: impl Into<String>, value: impl Into<String>) {
                job.labels.push((name.into(), value.into()));
            }
        }
    };
}

pub(crate) use {ending_setters, graph_setters};
