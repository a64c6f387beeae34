//! Why nobody gets into a job's container.

use std::path::PathBuf;

use monkeyci_engines::EngineError;

use crate::builds::BuildsError;
use crate::error::ControllerError;
use crate::running::Needed;

/// Why nobody gets into a job's container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShellError {
    /// There is no such job.
    #[error("the build {build} has no job {job:?}; {}", those(jobs))]
    NoJob {
        /// The build.
        build: String,
        /// What was asked for.
        job: String,
        /// Its container jobs.
        jobs: Vec<String>,
    },
    /// The job has no container.
    #[error("the job {job:?} is an action of the script: it has no container")]
    NoContainer {
        /// The job.
        job: String,
    },
    /// The job has not begun.
    #[error("the job {job:?} of {build} has not run: it has no container")]
    NeverRan {
        /// The build.
        build: String,
        /// The job.
        job: String,
    },
    /// The job has run in an earlier build.
    #[error("the job {job:?} of {build} is reused: it has run in the build {from}")]
    Reused {
        /// The build.
        build: String,
        /// The job.
        job: String,
        /// The earlier build.
        from: String,
    },
    /// The job's containers are being made.
    #[error("the job {job:?} is still being prepared; its container can be entered once its command runs")]
    Early {
        /// The job.
        job: String,
    },
    /// The job's containers are gone.
    #[error("the containers of the job {job:?} of {build} are gone: {}", what_keeps(*failed))]
    Gone {
        /// The build.
        build: String,
        /// The job.
        job: String,
        /// Whether it has failed.
        failed: bool,
    },
    /// Secrets of the job were not given.
    #[error("with its secrets, the job {job:?} needs {}", needs.options())]
    Missing {
        /// The job.
        job: String,
        /// What has to be given.
        needs: Needed,
    },
    /// A value is another than the build's.
    #[error("{name:?} is not what the build {build} began with")]
    Different {
        /// The build.
        build: String,
        /// Its name.
        name: String,
    },
    /// The job's services can't be started again without the secrets that they had.
    #[error(
        "{source}. Without --with-secrets, these services of the job {job:?} have not the secrets that they had: {}",
        services.join(", ")
    )]
    WithoutSecrets {
        /// The job.
        job: String,
        /// The services.
        services: Vec<String>,
        /// What became of them.
        source: Box<EngineError>,
    },
    /// A value that the job was given can't be had.
    #[error("what the job {job:?} was given can't be had again: {reason}")]
    Values {
        /// The job.
        job: String,
        /// What is not there.
        reason: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The build can't be looked at.
    #[error(transparent)]
    Builds(#[from] BuildsError),
    /// The home can't be used.
    #[error("{}: {source}", path.display())]
    Home {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<ControllerError> for ShellError {
    fn from(error: ControllerError) -> Self {
        Self::Builds(error.into())
    }
}

fn those(jobs: &[String]) -> String {
    match jobs {
        [] => "it has no container jobs".to_owned(),
        jobs => format!("its container jobs are {}", jobs.join(", ")),
    }
}

fn what_keeps(failed: bool) -> &'static str {
    if failed {
        "`run --keep-failed` keeps those of a job that fails"
    } else {
        "`run --keep` keeps those of all jobs, and a job that runs can be entered as well"
    }
}
