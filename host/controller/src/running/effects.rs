//! What the core asks for, as the driver sees it.

use std::sync::Arc;

use futures::future::BoxFuture;
use monkeyci_build::StopReason;
use tokio::sync::watch;

/// Work that the driver runs as a task of its own. It records what came of it.
pub(crate) type Task = BoxFuture<'static, ()>;

/// Carries out what the core asks for.
pub(crate) trait Effects: Send + Sync + 'static {
    /// Gets the code.
    fn check_out(self: Arc<Self>) -> Task;

    /// Loads the script, and asks it for its jobs.
    fn define(self: Arc<Self>) -> Task;

    /// Lets the script complete a job.
    fn refine(self: Arc<Self>, job: String, attempt: u32) -> Task;

    /// Runs an attempt of a job, until it ends or `stop` says why it has to.
    fn run(self: Arc<Self>, job: String, attempt: u32, stop: watch::Receiver<Option<StopReason>>) -> Task;

    /// The same for an attempt that another process has begun: a container job that has run on meanwhile, or an action.
    fn go_on(self: Arc<Self>, job: String, attempt: u32, stop: watch::Receiver<Option<StopReason>>) -> Task;
}
