//! Artifacts, for actions.

use crate::error::Told;
use crate::host::artifacts as host;
use crate::{ArtifactWriter, FileReader, Result};

/// The build's artifacts, for actions: see [`Context::artifacts`](crate::Context::artifacts). Container jobs save and restore
/// theirs by declaration.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// use std::io::{Read, Write};
///
/// let notes = action("notes", |context| {
///     let mut version = String::new();
///     context.artifacts().open("dist", "dist/VERSION")?.read_to_string(&mut version)?;
///     let mut notes = context.artifacts().create("notes", "NOTES.md")?;
///     writeln!(notes, "# Release {version}")?;
///     notes.finish()?;
///     Ok(())
/// })
/// .needs("package")
/// .creates_artifact("notes");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Artifacts {
    pub(crate) _private: (),
}

impl Artifacts {
    /// All artifacts that have been saved so far, sorted by id.
    ///
    /// # Errors
    /// Outside an action.
    pub fn list(&self) -> Result<Vec<Artifact>> {
        Ok(host::list().told()?.into_iter().map(Artifact::new).collect())
    }

    /// The paths of the files in the artifact `id`, sorted.
    ///
    /// # Errors
    /// When there is no such artifact.
    pub fn file_names(&self, id: &str) -> Result<Vec<String>> {
        host::file_names(id).told()
    }

    /// Opens a file of the artifact `id`.
    ///
    /// # Errors
    /// When there is no such artifact, or no such file in it.
    pub fn open(&self, id: &str, path: &str) -> Result<FileReader> {
        Ok(FileReader::new(host::open(id, path).told()?))
    }

    /// Starts the artifact `id`, with one file in it, at `path`; [`finish`](ArtifactWriter::finish) saves it. The job has to
    /// have declared that it [creates](crate::ActionJob::creates_artifact) it.
    ///
    /// # Errors
    /// When the job has not declared it, or it is there already.
    pub fn create(&self, id: &str, path: &str) -> Result<ArtifactWriter> {
        Ok(ArtifactWriter::new(host::create(id, path).told()?))
    }

    /// Saves the file or directory `path` of the action's [output area](crate::Context::write_file) as the artifact `id`. The
    /// job has to have declared that it [creates](crate::ActionJob::creates_artifact) it.
    ///
    /// # Errors
    /// When the job has not declared it, it is there already, or there is no such path.
    pub fn save(&self, id: &str, path: &str) -> Result<Artifact> {
        Ok(Artifact::new(host::save(id, path).told()?))
    }
}

/// A saved artifact.
#[derive(Debug)]
pub struct Artifact {
    inner: host::Artifact,
}

impl Artifact {
    pub(crate) fn new(inner: host::Artifact) -> Self {
        Self { inner }
    }

    /// Its id.
    pub fn id(&self) -> String {
        self.inner.id()
    }

    /// The job that saved it.
    pub fn job(&self) -> String {
        self.inner.job()
    }

    /// Its size as it is stored (packed and compressed), in bytes.
    pub fn size(&self) -> u64 {
        self.inner.size()
    }

    /// The SHA-256 of the stored bytes, in hexadecimal.
    pub fn digest(&self) -> String {
        self.inner.digest()
    }
}
