//! Archives and files.

use std::time::Duration;

use reqwest::Body;

use super::{ByteStream, CALL_TIMEOUT, CacheHit, Client, ClientError, Sized, archive, drain, json};
use crate::{Action, ArtifactInfo, Artifacts, CACHE_HEADER, FileQuery, FileStat, FilesDigest, Globs, Names, Stored};

impl Client {
    /// See [`ClientError`].
    pub async fn workspace(&self) -> Result<ByteStream, ClientError> {
        Ok(archive(self.send(Action::ReadWorkspace, None, None).await?))
    }

    /// See [`ClientError`].
    pub async fn artifact(&self, id: &str) -> Result<Option<ByteStream>, ClientError> {
        self.download(Action::ReadArtifact(id.to_owned())).await
    }

    /// See [`ClientError`].
    pub async fn save_artifact(&self, id: &str, archive: Body) -> Result<Stored, ClientError> {
        json(self.send(Action::SaveArtifact(id.to_owned()), Some(archive), None).await?).await
    }

    /// See [`ClientError`].
    pub async fn save_cache(&self, id: &str, archive: Body) -> Result<Stored, ClientError> {
        json(self.send(Action::SaveCache(id.to_owned()), Some(archive), None).await?).await
    }

    /// A cache; none if there is none that fits.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn cache(&self, id: &str) -> Result<Option<CacheHit>, ClientError> {
        match self.send(Action::ReadCache(id.to_owned()), None, None).await {
            Ok(response) => {
                let exact = response.headers().get(CACHE_HEADER).is_some_and(|found| found == "exact");
                Ok(Some(CacheHit { exact, archive: archive(response) }))
            }
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All artifacts that have been saved so far.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn artifacts(&self) -> Result<Vec<ArtifactInfo>, ClientError> {
        Ok(self.get::<Artifacts>(Action::ListArtifacts).await?.artifacts)
    }

    /// The paths of the files in an artifact.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn artifact_files(&self, id: &str) -> Result<Vec<String>, ClientError> {
        Ok(self.get::<Names>(Action::ListArtifactFiles(id.to_owned())).await?.names)
    }

    /// A file of an artifact.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn artifact_file(&self, id: &str, path: &str) -> Result<Sized, ClientError> {
        self.open(Action::ReadArtifactFile(id.to_owned(), path.to_owned())).await
    }

    /// Saves an artifact of one file.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_artifact(&self, id: &str, path: &str, content: Body) -> Result<ArtifactInfo, ClientError> {
        let action = Action::CreateArtifact(id.to_owned(), path.to_owned());
        json(self.send(action, Some(content), None).await?).await
    }

    /// Saves a file or directory of the action's output area as an artifact.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn save_output(&self, id: &str, path: &str) -> Result<ArtifactInfo, ClientError> {
        let action = Action::SaveOutput(id.to_owned(), path.to_owned());
        json(self.send(action, None, None).await?).await
    }

    /// Writes a file into the action's output area, or extends it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn write_output(&self, path: &str, content: Vec<u8>, append: bool) -> Result<(), ClientError> {
        let path = path.to_owned();
        let action = if append { Action::ExtendOutput(path) } else { Action::WriteOutput(path) };
        drain(self.send(action, Some(content.into()), Some(CALL_TIMEOUT)).await?).await
    }

    /// A file of the workspace.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn file(&self, path: &str) -> Result<Sized, ClientError> {
        self.open(Action::ReadFiles(FileQuery::Content(path.to_owned()))).await
    }

    /// The names in a directory of the workspace; those of directories end in `/`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn dir(&self, path: &str) -> Result<Vec<String>, ClientError> {
        Ok(self.get::<Names>(Action::ReadFiles(FileQuery::Dir(path.to_owned()))).await?.names)
    }

    /// What is known of a path of the workspace.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stat(&self, path: &str) -> Result<FileStat, ClientError> {
        self.get(Action::ReadFiles(FileQuery::Stat(path.to_owned()))).await
    }

    /// The paths of the workspace's files that match one of the globs.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn glob(&self, globs: Vec<String>) -> Result<Vec<String>, ClientError> {
        let answer: Names = self.ask(Action::ReadFiles(FileQuery::Glob), &Globs { globs }, Duration::ZERO).await?;
        Ok(answer.names)
    }

    /// The digest of the workspace's files that match one of the globs.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn hash_files(&self, globs: Vec<String>) -> Result<String, ClientError> {
        let wait = Duration::from_secs(60);
        let answer: FilesDigest = self.ask(Action::ReadFiles(FileQuery::Hash), &Globs { globs }, wait).await?;
        Ok(answer.digest)
    }
}
