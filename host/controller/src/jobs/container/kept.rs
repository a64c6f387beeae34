//! Pods of failed jobs that are kept for a person to look into.
//!
//! A file in what the job has of its build's directory says so. The sweep leaves a build alone that has such a pod, until somebody removes
//! what was kept.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::directory;
use crate::home::JOBS;

/// The file that says so.
const KEPT: &str = "kept.json";

/// A pod that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The job.
    pub(crate) job: String,
    /// The attempt that failed.
    pub(crate) attempt: u32,
}

impl Kept {
    /// Says that the pod is kept: the whole of it, or nothing.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer(&mut file, self).map_err(io::Error::other)?;
        file.persist(dir.join(KEPT)).map(drop).map_err(|error| error.error)
    }

    /// It is not kept after all. What can't be removed goes with the directory.
    pub(super) fn forget(dir: &Path) {
        let _ = std::fs::remove_file(dir.join(KEPT));
    }

    fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(dir.join(KEPT)).ok()?).ok()
    }
}

/// The pods that are kept of the build with this directory, by their jobs.
pub(crate) fn kept_in(build: &Path) -> Vec<Kept> {
    let entries = std::fs::read_dir(build.join(JOBS)).into_iter().flatten();
    let mut kept: Vec<Kept> = entries.filter_map(|entry| Kept::read(&entry.ok()?.path())).collect();
    kept.sort_by(|a, b| (&a.job, a.attempt).cmp(&(&b.job, b.attempt)));
    kept
}

/// The jobs of the build with this directory of which a pod is kept.
pub(crate) fn kept_jobs(build: &Path) -> Vec<String> {
    kept_in(build).into_iter().map(|kept| kept.job).collect()
}

/// Whether the pod of this attempt is kept.
pub(crate) fn kept_pod(build: &Path, job: &str, attempt: u32) -> bool {
    Kept::read(&directory(build, job, attempt)).is_some()
}
