//! The builds that were asked for are begun: their scripts are had, and the host takes them.
//!
//! A build that is answered with 202 stands in the database. Whoever starts it does so with a key that its id follows from, so that a server
//! that dies in the middle of it starts it once more and gets the same build.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use monkeyci_controller::{Build, BuildRequest, BuildsError, CodeError, Host, SourceRequest, SubmitError};
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::budget::{MAX_STARTING, SCRIPT};
use crate::error::StoreError;
use crate::queue::Turns;
use crate::refusal::Refusal;
use crate::sources;
use crate::store::{AskedBuild, InputKind, Repository, ScriptPlace, State};
use crate::{Inner, Server};

/// How long it takes until the database is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Who starts builds, and who waits for that.
#[derive(Debug)]
pub(crate) struct Starting {
    wake: Notify,
    /// So many builds run at once.
    at_once: usize,
    /// Those that are being started, with their numbers; and those that came to no end in that: the next server tries them again.
    begins: std::sync::Mutex<Begins>,
    /// Told whenever a build has begun, or never will.
    changed: watch::Sender<()>,
    /// The numbers of those that the host is just being given: what is in its journal is cancelled there. Who is in here goes only when the
    /// database knows what has become of it.
    submitting: Mutex<HashSet<i64>>,
    /// Set when nothing more is started, and streams end.
    pub(crate) closing: CancellationToken,
}

/// See [`Starting`].
#[derive(Debug, Default)]
struct Begins {
    builds: BTreeMap<i64, String>,
    given_up: HashSet<i64>,
}

/// A build that is being started, for as long as it is.
struct Slot {
    starting: Arc<Starting>,
    number: i64,
    is_done: bool,
}

impl Slot {
    fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut begins = self.starting.begins();
        begins.builds.remove(&self.number);
        if !self.is_done {
            begins.given_up.insert(self.number);
        }
        drop(begins);
        self.starting.wake();
    }
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
            CodeError::NoFile { .. } | CodeError::TooLarge { .. } | CodeError::Script { .. } => {
                Self::Refused(format!("no script: {error}"))
            }
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
    pub(crate) fn new(at_once: NonZeroUsize) -> Arc<Self> {
        Arc::new(Self {
            wake: Notify::new(),
            at_once: at_once.get(),
            begins: std::sync::Mutex::default(),
            changed: watch::Sender::new(()),
            submitting: Mutex::default(),
            closing: CancellationToken::new(),
        })
    }

    fn begins(&self) -> std::sync::MutexGuard<'_, Begins> {
        self.begins.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Some(host) = server.upgrade().map(|server| server.host.clone()) else { return };
        let mut turns = Turns::default();
        while let Some(server) = server.upgrade().map(Server) {
            // Before anybody looks: what ends meanwhile is heard.
            let fewer = host.drives_fewer();
            match self.next(&server, &mut turns).await {
                Ok(Some(build)) => {
                    self.begins().builds.insert(build.number, build.build.clone());
                    let slot = Slot { starting: self.clone(), number: build.number, is_done: false };
                    tokio::spawn(async move {
                        tokio::select! {
                            () = slot.starting.start(&server, &build) => slot.done(),
                            () = slot.starting.closing.cancelled() => {}
                        }
                    });
                }
                Ok(None) => {
                    drop(server);
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = fewer => {}
                        () = self.closing.cancelled() => return,
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "builds that wait can't be looked for");
                    drop(server);
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = self.closing.cancelled() => return,
                    }
                }
            }
        }
    }

    /// The build that begins now, if there is one, and a place for it.
    async fn next(&self, server: &Server, turns: &mut Turns) -> Result<Option<AskedBuild>, StoreError> {
        // What the host takes no more, the next server starts.
        if !server.0.host.is_open() {
            return Ok(None);
        }
        let busy = self.busy(server);
        let passed_over: Vec<i64> = {
            let begins = self.begins();
            if begins.builds.len() >= MAX_STARTING || busy.len() >= self.at_once {
                return Ok(None);
            }
            begins.builds.keys().chain(&begins.given_up).copied().collect()
        };
        let store = &server.0.store;
        let firsts = store.first_waiting(&passed_over).await?;
        if firsts.is_empty() {
            return Ok(None);
        }
        let running = store.counted(&busy).await?;
        turns.forget(&firsts, &running);
        match turns.next(&firsts, &running) {
            Some(first) => store.build_by_number(first.number).await,
            None => Ok(None),
        }
    }

    /// The ids of the builds that have a place: the host drives them, or is being given them.
    fn busy(&self, server: &Server) -> Vec<String> {
        let begins = self.begins();
        let mut busy: HashSet<String> = begins.builds.values().cloned().collect();
        drop(begins);
        busy.extend(server.0.host.driven());
        busy.into_iter().collect()
    }

    /// Why a build waits that does; in a sentence.
    pub(crate) async fn waits(&self, server: &Server, build: &AskedBuild) -> Result<String, StoreError> {
        if self.begins().builds.contains_key(&build.number) {
            return Ok("it is being started".to_owned());
        }
        let busy = self.busy(server).len();
        let before = match server.0.store.waiting_before(build).await? {
            0 => "it is the next one of its repository".to_owned(),
            1 => "one of its repository is before it".to_owned(),
            before => format!("{before} of its repository are before it"),
        };
        Ok(format!("it waits for a place: {busy} of {} are taken; {before}", self.at_once))
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
            let file = server.0.host.read_script(&code, path, SCRIPT as u64).await?;
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
    // Their values the host asks for; so it does when it goes on with the build.
    let build = server.0.store.build(&build.build).await?.unwrap_or_else(|| build.clone());
    let secrets = sources::given(&server.0.store, InputKind::Secret, repository, &build).await?;
    request.inputs.reveal = secrets.into_iter().filter(|row| row.reveal).map(|row| row.name).collect();
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
