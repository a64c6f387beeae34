//! Jobs, as plain values. The host learns of them when the script's function has returned them.

use std::fmt;
use std::time::Duration;

use crate::{Context, Result, Service};

pub(crate) type ActionFn = Box<dyn FnOnce(&Context) -> Result<()>>;

/// An action job: a closure of the script, run in an instance of its own.
pub struct ActionJob {
    pub(crate) id: String,
    pub(crate) needs: Vec<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) run: ActionFn,
}

/// A container job: a command that runs in a container.
#[derive(Clone, Debug)]
pub struct ContainerJob {
    pub(crate) id: String,
    pub(crate) needs: Vec<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) image: String,
    pub(crate) argv: Option<Vec<String>>,
    pub(crate) shell: Option<Vec<String>>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) work_dir: Option<String>,
    pub(crate) memory: Option<u64>,
    pub(crate) cpu: Option<u32>,
    pub(crate) save_artifacts: Vec<(String, String)>,
    pub(crate) restore_artifacts: Vec<(String, String)>,
    pub(crate) caches: Vec<(String, String)>,
    pub(crate) services: Vec<Service>,
}

/// A job of either kind. Made by `into()`, where jobs of both kinds go into one list.
#[derive(Debug)]
pub enum Job {
    /// An action job.
    Action(ActionJob),
    /// A container job.
    Container(Box<ContainerJob>),
}

/// An action job: `run` is called in a fresh instance of the script when the job's turn comes. An error is the job's
/// failure.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let check = action("check-branch", |context| {
///     ensure!(context.build().branch().is_some(), "not on a branch");
///     Ok(())
/// });
/// ```
pub fn action(id: impl Into<String>, run: impl FnOnce(&Context) -> Result<()> + 'static) -> ActionJob {
    ActionJob { id: id.into(), needs: Vec::new(), timeout: None, run: Box::new(run) }
}

/// A container job in an image; say what it runs with [`ContainerJob::shell`] or [`ContainerJob::argv`].
pub fn container(id: impl Into<String>, image: impl Into<String>) -> ContainerJob {
    ContainerJob {
        id: id.into(),
        needs: Vec::new(),
        timeout: None,
        image: image.into(),
        argv: None,
        shell: None,
        env: Vec::new(),
        work_dir: None,
        memory: None,
        cpu: None,
        save_artifacts: Vec::new(),
        restore_artifacts: Vec::new(),
        caches: Vec::new(),
        services: Vec::new(),
    }
}

impl ActionJob {
    /// This job starts only after `job` (a job or the id of one) has succeeded.
    pub fn needs(mut self, job: impl JobRef) -> Self {
        self.needs.push(job.id().to_owned());
        self
    }

    /// Ends the job as a failure when it takes longer. Without it: one hour.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }
}

impl fmt::Debug for ActionJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionJob")
            .field("id", &self.id)
            .field("needs", &self.needs)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl ContainerJob {
    /// This job starts only after `job` (a job or the id of one) has succeeded.
    pub fn needs(mut self, job: impl JobRef) -> Self {
        self.needs.push(job.id().to_owned());
        self
    }

    /// Ends the job as a failure when it takes longer. Without it: one hour.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Lines for the image's `/bin/sh`, one shell for all; the first line that fails ends the job. Adds to the lines that
    /// were given before.
    pub fn shell<S: Into<String>>(mut self, lines: impl IntoIterator<Item = S>) -> Self {
        self.shell.get_or_insert_default().extend(lines.into_iter().map(Into::into));
        self
    }

    /// The program to run and its arguments, with no shell between: the image needs none.
    pub fn argv<S: Into<String>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.argv = Some(argv.into_iter().map(Into::into).collect());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The working directory, relative to the workspace. Without it: the workspace.
    pub fn work_dir(mut self, path: impl Into<String>) -> Self {
        self.work_dir = Some(path.into());
        self
    }

    /// The most memory that the job's container may use, in bytes.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// The most processor time that the job's container may use, in thousandths of a core.
    pub fn cpu(mut self, millicores: u32) -> Self {
        self.cpu = Some(millicores);
        self
    }

    /// When the command has succeeded, saves the file or directory `path` (relative to the working directory) as the
    /// build's artifact `id`.
    pub fn save_artifact(mut self, id: impl Into<String>, path: impl Into<String>) -> Self {
        self.save_artifacts.push((id.into(), path.into()));
        self
    }

    /// Before the command runs, restores the artifact `id` below the directory `path`, at the path it was saved from.
    pub fn restore_artifact(mut self, id: impl Into<String>, path: impl Into<String>) -> Self {
        self.restore_artifacts.push((id.into(), path.into()));
        self
    }

    /// Keeps `path` (relative to the working directory) from one build of the repository to the next.
    pub fn cache(mut self, id: impl Into<String>, path: impl Into<String>) -> Self {
        self.caches.push((id.into(), path.into()));
        self
    }

    /// A service that lives beside the job.
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }
}

impl From<ActionJob> for Job {
    fn from(job: ActionJob) -> Self {
        Self::Action(job)
    }
}

impl From<ContainerJob> for Job {
    fn from(job: ContainerJob) -> Self {
        Self::Container(Box::new(job))
    }
}

/// Names a job: the job itself, or its id.
pub trait JobRef {
    /// The job's id.
    fn id(&self) -> &str;
}

impl JobRef for str {
    fn id(&self) -> &str {
        self
    }
}

impl JobRef for String {
    fn id(&self) -> &str {
        self
    }
}

impl JobRef for ActionJob {
    fn id(&self) -> &str {
        &self.id
    }
}

impl JobRef for ContainerJob {
    fn id(&self) -> &str {
        &self.id
    }
}

impl JobRef for Job {
    fn id(&self) -> &str {
        match self {
            Self::Action(job) => &job.id,
            Self::Container(job) => &job.id,
        }
    }
}

impl<T: JobRef + ?Sized> JobRef for &T {
    fn id(&self) -> &str {
        (**self).id()
    }
}

/// What a script's function may return: jobs, in tuples, arrays, vectors, options and results of them.
pub trait IntoJobs {
    /// The jobs, in order.
    ///
    /// # Errors
    /// When the function failed; the build then ends before any job has started.
    fn into_jobs(self) -> Result<Vec<Job>>;
}

impl IntoJobs for () {
    fn into_jobs(self) -> Result<Vec<Job>> {
        Ok(Vec::new())
    }
}

impl IntoJobs for Job {
    fn into_jobs(self) -> Result<Vec<Job>> {
        Ok(vec![self])
    }
}

impl IntoJobs for ActionJob {
    fn into_jobs(self) -> Result<Vec<Job>> {
        Ok(vec![self.into()])
    }
}

impl IntoJobs for ContainerJob {
    fn into_jobs(self) -> Result<Vec<Job>> {
        Ok(vec![self.into()])
    }
}

impl<T: IntoJobs> IntoJobs for Vec<T> {
    fn into_jobs(self) -> Result<Vec<Job>> {
        concat(self)
    }
}

impl<T: IntoJobs, const N: usize> IntoJobs for [T; N] {
    fn into_jobs(self) -> Result<Vec<Job>> {
        concat(self)
    }
}

impl<T: IntoJobs> IntoJobs for Option<T> {
    fn into_jobs(self) -> Result<Vec<Job>> {
        concat(self)
    }
}

impl<T: IntoJobs, E: Into<crate::Error>> IntoJobs for Result<T, E> {
    fn into_jobs(self) -> Result<Vec<Job>> {
        self.map_err(Into::into)?.into_jobs()
    }
}

fn concat<T: IntoJobs>(parts: impl IntoIterator<Item = T>) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for part in parts {
        jobs.extend(part.into_jobs()?);
    }
    Ok(jobs)
}

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: IntoJobs),*> IntoJobs for ($($name,)*) {
            fn into_jobs(self) -> Result<Vec<Job>> {
                #[allow(non_snake_case)]
                let ($($name,)*) = self;
                let mut jobs = Vec::new();
                $(jobs.extend($name.into_jobs()?);)*
                Ok(jobs)
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K L);
