//! What container jobs leave behind: artifacts and caches.

/// A file or directory that a container job saves as an artifact. Made by [`artifact`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedArtifact {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) files: Vec<String>,
    pub(crate) always: bool,
    pub(crate) on_failure: bool,
    pub(crate) if_there: bool,
}

/// The file or directory `path` (relative to the job's working directory), to be saved as the build's artifact `id`.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let package = container("package", "maven:3")
///     .shell(["mvn package"])
///     .save(artifact("jars", "target").files(["*.jar"]))
///     .save(artifact("logs", "target/logs").always())
///     .save(artifact("crash", "core").on_failure())
///     .save(artifact("coverage", "coverage.json").if_there());
/// ```
pub fn artifact(id: impl Into<String>, path: impl Into<String>) -> SavedArtifact {
    SavedArtifact {
        id: id.into(),
        path: path.into(),
        files: Vec::new(),
        always: false,
        on_failure: false,
        if_there: false,
    }
}

impl SavedArtifact {
    /// Of a directory, saves only files that match one of the [globs](crate::Changes#globs), which are relative to it.
    pub fn files<S: Into<String>>(mut self, globs: impl IntoIterator<Item = S>) -> Self {
        self.files.extend(globs.into_iter().map(Into::into));
        self
    }

    /// Saves it also when the commands fail, or are stopped: what is there by then. When there is nothing, a job that has
    /// succeeded otherwise ends as a warning.
    pub fn always(mut self) -> Self {
        self.always = true;
        self
    }

    /// Saves it only when the commands fail, or are stopped: what is there by then, if anything is.
    pub fn on_failure(mut self) -> Self {
        self.on_failure = true;
        self
    }

    /// Saves it if there is something at its path. Without this, nothing there is a failure of a job that has succeeded
    /// otherwise.
    pub fn if_there(mut self) -> Self {
        self.if_there = true;
        self
    }
}

impl<I: Into<String>, P: Into<String>> From<(I, P)> for SavedArtifact {
    fn from((id, path): (I, P)) -> Self {
        artifact(id, path)
    }
}

/// A path that a container job keeps from one build to the next. Made by [`cache`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) fallbacks: Vec<String>,
    pub(crate) save: Option<SavePolicy>,
    pub(crate) more_paths: Vec<String>,
}

/// When a cache is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SavePolicy {
    /// When the commands have succeeded.
    Success,
    /// Also when they failed.
    Always,
    /// When they have succeeded, and nothing was there under the cache's key.
    Miss,
    /// Never: it is only read, and other jobs save it.
    Never,
}

impl SavePolicy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Always => "always",
            Self::Miss => "miss",
            Self::Never => "never",
        }
    }
}

/// The file or directory `path` (relative to the job's working directory), kept from one build of the repository to the
/// next under the id `id`.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// fn script(build: &Build) -> Result<impl IntoJobs> {
///     let lock = build.workspace().hash_files(["Cargo.lock"])?;
///     let crates = cache("crates", "target").key(format!("crates-{lock}")).fallback("crates-").save(SavePolicy::Miss);
///     Ok(container("test", "rust:1").shell(["cargo test --locked"]).keep(crates))
/// }
/// ```
pub fn cache(id: impl Into<String>, path: impl Into<String>) -> Cache {
    Cache { id: id.into(), path: path.into(), key: None, fallbacks: Vec::new(), save: None, more_paths: Vec::new() }
}

impl Cache {
    /// Keeps different contents under different keys: a digest of a lock file, say.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Where nothing is there under the key, takes the newest whose key starts with `prefix`. Of several prefixes, the first
    /// with a hit counts.
    pub fn fallback(mut self, prefix: impl Into<String>) -> Self {
        self.fallbacks.push(prefix.into());
        self
    }

    /// Keeps this path too, in one with the others. Of several paths, one that is not there is left out.
    pub fn and(mut self, path: impl Into<String>) -> Self {
        self.more_paths.push(path.into());
        self
    }

    /// When it is saved. Without it: when the commands have succeeded.
    pub fn save(mut self, policy: SavePolicy) -> Self {
        self.save = Some(policy);
        self
    }
}

impl<I: Into<String>, P: Into<String>> From<(I, P)> for Cache {
    fn from((id, path): (I, P)) -> Self {
        cache(id, path)
    }
}
