//! Where a build's code is, and its archive.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use cap_std::fs::Dir;
use monkeyci_archive::WorkspaceFiles;
use monkeyci_build::{EventBody, JobSpec};
use monkeyci_storage::{Blobs, names};
use object_store::path::Path as BlobName;

use super::BuildHandle;
use crate::source::history::History;
use crate::source::workspace::{self, LeftOut};

/// The directories that scripts reach into.
#[derive(Debug)]
pub(crate) struct BuildDirs {
    /// The workspace's path, for walking through it.
    pub(crate) path: PathBuf,
    /// What of it is the workspace.
    pub(crate) files: WorkspaceFiles,
    /// The repository that it belongs to.
    pub(crate) history: Option<History>,
    /// The workspace, for everything else: nothing outside of it can be reached.
    pub(crate) workspace: Dir,
    /// The parent of the actions' output areas.
    pub(crate) outputs: PathBuf,
}

impl BuildDirs {
    /// Where an attempt of a job's action writes.
    pub(crate) fn output_area(&self, job: &str, attempt: u32) -> PathBuf {
        self.outputs.join(job).join(attempt.to_string())
    }

    /// What the workspace's archive is made of.
    fn contents(&self, history: Option<History>) -> workspace::Contents {
        workspace::Contents { dir: self.path.clone(), files: self.files.clone(), history }
    }
}

impl BuildHandle {
    /// Removes what another process has written for an attempt of an action: it is written again.
    ///
    /// # Errors
    /// When something of it can't be removed.
    pub(crate) async fn clear_output_area(&self, job: &str, attempt: u32) -> io::Result<()> {
        let Some(dirs) = self.dirs.get() else { return Ok(()) };
        let area = dirs.output_area(job, attempt);
        if !area.exists() {
            return Ok(());
        }
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(area)).await;
        match removed.map_err(io::Error::other)? {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Puts the workspace archive into the store, once for a build: container jobs start from it.
    pub(crate) async fn pack_workspace(&self, blobs: &Blobs) -> Result<(), io::Error> {
        let pack = async || {
            let Some(dirs) = self.dirs.get() else { return Err(io::Error::other("nothing is checked out")) };
            let (stored, left_out) = workspace::store(blobs, &names::workspace(&self.id), dirs.contents(None)).await?;
            self.say(dirs, left_out).await;
            Ok(stored.digest)
        };
        self.packed.get_or_try_init(pack).await.map(drop)
    }

    /// What of the workspace jobs don't get was said by the process that began the build.
    pub(crate) fn left_out_was_said(&self) {
        self.left_out_is_said.store(true, Ordering::Relaxed);
    }

    /// The workspace's archive, of this digest, is in the store already.
    pub(crate) fn was_packed(&self, digest: String) {
        // Nobody else packs it before the build goes on.
        let _ = self.packed.set(digest);
    }

    /// The digest of the workspace's archive, once it is in the store.
    pub(crate) fn packed(&self) -> Option<&str> {
        self.packed.get().map(String::as_str)
    }

    /// Puts the archive into the store that has `.git` too, once for a build.
    ///
    /// # Errors
    /// Also when the code is in no git repository.
    pub(crate) async fn pack_workspace_with_git(&self, blobs: &Blobs) -> Result<(), io::Error> {
        let pack = async || {
            let history = self.dirs.get().and_then(|dirs| Some((dirs, dirs.history.clone()?)));
            let Some((dirs, history)) = history else {
                return Err(io::Error::other("the code is in no git repository, so there is no .git"));
            };
            let name = names::workspace_with_git(&self.id);
            let (stored, left_out) = workspace::store(blobs, &name, dirs.contents(Some(history))).await?;
            self.say(dirs, left_out).await;
            Ok(stored.digest)
        };
        self.packed_with_git.get_or_try_init(pack).await.map(drop)
    }

    /// Says, once, what of the workspace jobs don't get.
    async fn say(&self, dirs: &BuildDirs, left_out: LeftOut) {
        if self.left_out_is_said.swap(true, Ordering::Relaxed) {
            return;
        }
        let LeftOut { unread, no_files } = left_out;
        let mut messages: Vec<String> = Vec::new();
        for path in unread {
            let path = path.strip_prefix(&dirs.path).unwrap_or(&path);
            messages.push(format!("what {path:?} says is not ignored: it is a link, or no regular file"));
        }
        if no_files > 0 {
            messages.push(format!(
                "jobs don't get what is no file of the directory: {no_files} of sockets, pipes and devices"
            ));
        }
        for message in messages {
            // Over, if the build is: then nobody wants to know.
            let _ = self.record(EventBody::BuildWarned { message }).await;
        }
    }

    /// The name of the archive that a job starts from, and its digest once it is in the store.
    pub(crate) fn workspace_of(&self, job: &str) -> (BlobName, Option<&str>) {
        let with_git = self.state().graph().get(job).and_then(JobSpec::container).is_some_and(|spec| spec.with_git);
        let (name, packed) = if with_git {
            (names::workspace_with_git(&self.id), &self.packed_with_git)
        } else {
            (names::workspace(&self.id), &self.packed)
        };
        (name, packed.get().map(String::as_str))
    }
}
