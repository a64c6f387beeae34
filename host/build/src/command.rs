//! Commands: what somebody asks of a build. Its driver asks the state, which accepts or refuses, and writes down what was accepted
//! before it asks again: so nobody decides by a state that has changed meanwhile.

use crate::{BuildState, Ending, EventBody, Status};

/// What somebody asks of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildCommand {
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

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such job.
    #[error("the build has no job {job:?}")]
    NoJob {
        /// What was asked for.
        job: String,
    },
    /// The job is not blocked.
    #[error("the job {job:?} does not wait for approval now")]
    NotBlocked {
        /// The job's id.
        job: String,
    },
    /// The attempt that asks is not the one that runs.
    #[error("attempt {attempt} of the job {job:?} is over")]
    AttemptOver {
        /// The job's id.
        job: String,
        /// The attempt.
        attempt: u32,
    },
    /// The artifact has been saved.
    #[error("artifact {id:?} is saved already; an artifact never changes")]
    ArtifactSaved {
        /// The artifact's id.
        id: String,
    },
}

impl BuildState {
    /// What to record for a command.
    ///
    /// # Errors
    /// Why it is refused: then nothing happens.
    pub fn accept(&self, command: BuildCommand) -> Result<EventBody, CommandError> {
        match command {
            BuildCommand::Decide { job, by, comment, approved } => match self.job(&job).map(|known| known.status) {
                None => Err(CommandError::NoJob { job }),
                Some(Status::Blocked) if approved => Ok(EventBody::JobApproved { job, by, comment }),
                Some(Status::Blocked) => Ok(self.conclude(&job, Ending::Rejected { by, comment })),
                Some(_) => Err(CommandError::NotBlocked { job }),
            },
            BuildCommand::SaveArtifact { id, artifact } => {
                let SavedArtifact { job, attempt, size, digest } = artifact;
                if self.artifact(&id).is_some() {
                    return Err(CommandError::ArtifactSaved { id });
                }
                if self.attempt(&job) != attempt {
                    return Err(CommandError::AttemptOver { job, attempt });
                }
                Ok(EventBody::ArtifactSaved { job, attempt, id, size, digest })
            }
        }
    }

    /// The attempt of a job that is being made or was made last; 0 before the first, and for what is no job.
    pub fn attempt(&self, job: &str) -> u32 {
        self.job(job).map_or(0, |known| known.attempt)
    }
}
