//! The builds that were asked for are begun: their scripts are had, and the host takes them.
//!
//! A build that is answered with 202 stands in the database. Whoever starts it does so with a key that its id follows from, so that a server
//! that dies in the middle of it starts it once more and gets the same build.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use monkeyci_controller::{Build, BuildRequest, BuildsError, CodeError, Host, SourceRequest, SubmitError};
use tokio::sync::{Mutex, Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::budget::{MAX_STARTING, SCRIPT};
use crate::error::StoreError;
use crate::refusal::Refusal;
use crate::store::{AskedBuild, Repository, ScriptPlace, State};
use crate::{Inner, Server};

/// So many are looked for at once.
const BATCH: u32 = 64;
/// How long it takes until the database is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Who starts builds, and who waits for that.
#[derive(Debug)]
pub(crate) struct Starting {
    wake: Notify,
    /// Told whenever a build has begun, or never will.
    changed: watch::Sender<()>,
    /// The numbers of those that the host is just being given: what is in its journal is cancelled there. Who is in here goes only when the
    /// database knows what has become of it.
    submitting: Mutex<HashSet<i64>>,
    /// Set when nothing more is started, and streams end.
    pub(crate) closing: CancellationToken,
}

/// Why a build has not begun.
enum NotBegun {
    /// The host takes nothing any more; the next server starts it.
    Closing,
    Refused(String),
    Error(String),
    /// It is not known yet: it is tried again.
    Later(Box<dyn Error + Send + Sync>),
}

impl From<StoreError> for NotBegun {
    fn from(error: StoreError) -> Self {
        Self::Later(error.into())
    }
}

impl From<BuildsError> for NotBegun {
    fn from(error: BuildsError) -> Self {
        Self::Later(error.into())
    }
}

impl From<CodeError> for NotBegun {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::NoFile { .. } | CodeError::TooLarge { .. } => Self::Refused(format!("no script: {error}")),
            error => Self::Error(error.to_string()),
        }
    }
}

impl From<SubmitError> for NotBegun {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::ShuttingDown => Self::Closing,
            SubmitError::Denied { .. } | SubmitError::Given { .. } => Self::Refused(error.to_string()),
            error => Self::Error(error.to_string()),
        }
    }
}

impl Starting {
    pub(crate) fn new() -> Arc<Self> {
        let (wake, changed, closing) = (Notify::new(), watch::Sender::new(()), CancellationToken::new());
        Arc::new(Self { wake, changed, submitting: Mutex::default(), closing })
    }

    /// There is something to start.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// As the one who starts it does, just before the host is given a build.
    #[cfg(test)]
    pub(crate) async fn enter(&self, number: i64) {
        self.submitting.lock().await.insert(number);
    }

    /// So many wait for what becomes of a build.
    #[cfg(test)]
    pub(crate) fn listeners(&self) -> usize {
        self.changed.receiver_count()
    }

    /// Tells those who wait that something has become of a build.
    pub(crate) fn has_changed(&self) {
        self.changed.send_replace(());
    }

    /// Starts what waits, until the server closes or is dropped.
    pub(crate) async fn run(self: Arc<Self>, server: Weak<Inner>) {
        let slots = Arc::new(Semaphore::new(MAX_STARTING));
        let mut after = 0;
        while let Some(server) = server.upgrade().map(Server) {
            let waiting = match server.0.store.waiting_builds(after, BATCH).await {
                Ok(waiting) => waiting,
                Err(error) => {
                    tracing::error!(%error, "builds that wait can't be looked for");
                    drop(server);
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => continue,
                        () = self.closing.cancelled() => return,
                    }
                }
            };
            if waiting.is_empty() {
                drop(server);
                tokio::select! {
                    () = self.wake.notified() => continue,
                    () = self.closing.cancelled() => return,
                }
            }
            for build in waiting {
                after = build.number;
                let slot = tokio::select! {
                    Ok(slot) = slots.clone().acquire_owned() => slot,
                    () = self.closing.cancelled() => return,
                };
                let (server, starting) = (server.clone(), self.clone());
                tokio::spawn(async move {
                    let _slot = slot;
                    tokio::select! {
                        () = starting.start(&server, &build) => {}
                        () = starting.closing.cancelled() => {}
                    }
                });
            }
        }
    }

    /// Starts a build, whatever the database says to it meanwhile.
    async fn start(&self, server: &Server, build: &AskedBuild) {
        while let Err(error) = self.try_start(server, build).await {
            tracing::error!(%error, build = build.build, "a build can't be started yet");
            tokio::time::sleep(AGAIN).await;
        }
        self.has_changed();
    }

    async fn try_start(&self, server: &Server, build: &AskedBuild) -> Result<(), Box<dyn Error + Send + Sync>> {
        let store = &server.0.store;
        // It may have been cancelled, or removed with its repository.
        let Some(build) = store.build(&build.build).await?.filter(|build| build.state == State::Waiting) else {
            return Ok(());
        };
        let Some(repository) = store.repository_by_id(build.repository).await? else { return Ok(()) };
        let (state, reason) = match self.begin(server, &repository, &build).await {
            Ok(()) | Err(NotBegun::Closing) => return Ok(()),
            Err(NotBegun::Later(error)) => return Err(error),
            Err(NotBegun::Refused(reason)) => (State::Refused, reason),
            Err(NotBegun::Error(reason)) => (State::Error, reason),
        };
        tracing::warn!(build = build.build, "the build did not begin: {reason}");
        store.settle_build(build.number, state, Some(&reason)).await?;
        self.submitting.lock().await.remove(&build.number);
        Ok(())
    }

    /// Hands a build to the host, unless it is cancelled before: then the host never sees it.
    async fn begin(&self, server: &Server, repository: &Repository, build: &AskedBuild) -> Result<(), NotBegun> {
        let store = &server.0.store;
        // A server that died may have left the host with it: then there is nothing to look for that may be gone since.
        if !host_has(server, build).await? {
            let request = request(server, repository, build).await?;
            self.submitting.lock().await.insert(build.number);
            // Whoever cancels looks into the set first: nothing more is said to the database from here on.
            if store.build(&build.build).await?.is_none_or(|build| build.state != State::Waiting) {
                self.submitting.lock().await.remove(&build.number);
                return Ok(());
            }
            server.0.host.submit(request).await?;
        }
        store.settle_build(build.number, State::Begun, None).await?;
        self.submitting.lock().await.remove(&build.number);
        Ok(())
    }

    /// Cancels a build that waits, unless the host has it, or is being given it; false then.
    pub(crate) async fn cancel(&self, server: &Server, build: &AskedBuild, reason: &str) -> Result<bool, Refusal> {
        let submitting = self.submitting.lock().await;
        if build.state != State::Waiting || submitting.contains(&build.number) {
            return Ok(false);
        }
        // A server that died may have left the host with it: this one has not come to it yet.
        let store = &server.0.store;
        let is_begun = host_has(server, build).await?;
        if is_begun {
            store.settle_build(build.number, State::Begun, None).await?;
        }
        let is_cancelled = !is_begun && store.settle_build(build.number, State::Cancelled, Some(reason)).await?;
        drop(submitting);
        self.has_changed();
        Ok(is_cancelled)
    }
}

/// Whether the host has a build, as far as is on disk.
async fn host_has(server: &Server, build: &AskedBuild) -> Result<bool, BuildsError> {
    match server.0.host.build(&build.build).await {
        Ok(_) => Ok(true),
        Err(BuildsError::NoBuild { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The source of a build of a repository.
fn source(server: &Server, repository: &Repository, reference: Option<String>) -> SourceRequest {
    SourceRequest::Git { url: repository.url.clone(), reference, auth: server.0.git_auth.clone() }
}

/// The id of a build, before there is the build.
pub(crate) fn build_id(server: &Server, repository: &Repository, key: &str) -> String {
    Host::build_of_key(&source(server, repository, None), key)
}

/// Has the script of a build, and says what the host is asked for.
async fn request(server: &Server, repository: &Repository, build: &AskedBuild) -> Result<BuildRequest, NotBegun> {
    let asked = &build.asked;
    let mut reference = build.commit.clone().or_else(|| asked.reference.clone());
    let mut given = asked.given.clone();
    let script = match &repository.script {
        None => {
            let none = "the repository has no script: store one, or say where it is in the code when it is added";
            return Err(NotBegun::Refused(none.to_owned()));
        }
        Some(ScriptPlace::Stored) => {
            let stored = server.0.store.stored_script(repository.id).await?;
            Bytes::from(stored.ok_or_else(|| NotBegun::Refused("the repository has no script any more".to_owned()))?)
        }
        Some(ScriptPlace::Path(path)) => {
            let code = source(server, repository, reference.clone());
            let file = server.0.host.read_code(&code, path, SCRIPT as u64).await?;
            if let Some(commit) = &file.source.commit {
                // The script and the code are of one commit, whatever is pushed meanwhile.
                server.0.store.pin_build(build.number, commit, file.source.branch.as_deref()).await?;
                reference = Some(commit.clone());
            }
            if given.branch.is_none() && given.tag.is_none() {
                // A commit alone tells neither; one that was pinned before has them from then.
                given.branch = file.source.branch.or_else(|| build.branch.clone());
                given.tag = file.source.tag.or_else(|| asked.tag().map(str::to_owned));
            }
            file.bytes
        }
    };
    let mut request = BuildRequest::new(script, source(server, repository, reference));
    request = request.trigger(asked.trigger.clone()).key(asked.key.clone());
    request.inputs.params = asked.params.clone();
    request.given = given;
    Ok(request)
}

impl Server {
    /// The build once the host has it; `None` if it never will. Nobody waits for one that only the next server starts.
    pub(crate) async fn begun(&self, build: &str) -> Result<Option<Build>, Refusal> {
        let mut changed = self.0.starting.changed.subscribe();
        loop {
            match self.0.store.build(build).await?.map(|asked| asked.state) {
                Some(State::Begun) => return Ok(Some(self.0.host.build(build).await?)),
                Some(State::Waiting) => {}
                Some(State::Refused | State::Error | State::Cancelled) | None => return Ok(None),
            }
            tokio::select! {
                // The sender is there as long as the server is.
                _ = changed.changed() => {}
                () = self.0.starting.closing.cancelled() => {
                    return Err(Refusal::busy("the server shuts down, and the next one starts the build"));
                }
            }
        }
    }
}
