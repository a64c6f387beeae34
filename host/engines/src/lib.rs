//! What runs containers: the [`Engine`] trait, and the docker engine (Docker or Podman, through their API).
//!
//! A container job is a [`Pod`]: the job's container with our launcher as entrypoint, the sidecar's container, the
//! services' containers, one private network and one volume that job and sidecar share. The engine makes and watches
//! these; what happens inside is between launcher and sidecar.
#![deny(missing_docs)]

mod docker;
mod error;
mod pod;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use monkeyci_api::Handed;

pub use docker::{DockerEngine, DockerOptions, DockerTls, EngineSearch, NetworkFence, limits};
pub use error::{EngineError, EngineSettingsError};
pub use pod::{LABEL_BUILD, LABEL_JOB, LABEL_OWNER, LABEL_POD, Part, PartExit, Pod, PodFound, PodService, PodState};
pub use session::{Session, SessionControl, SessionOutput, TerminalSize};

/// Runs pods. Every call is create-or-get by the pod's key, so a controller that was killed can call it again.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// The engine's name and version for people, `docker 20.10.24` say.
    fn describe(&self) -> String;

    /// What a pod may ask for that this engine does not enforce, in a sentence each. It is said to whoever runs builds.
    fn not_enforced(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns when the engine has answered. One that hangs is waited for as long as the caller likes.
    ///
    /// # Errors
    /// When the engine has gone.
    async fn answers(&self) -> Result<(), EngineError>;

    /// Makes all that `pod` needs and starts it: pulls images that are missing, starts the services, waits for their ready
    /// commands, starts sidecar and job. Returns when the job's container runs (its launcher then waits for the sidecar).
    /// `progress` is told in a few words what takes long ("pulling debian:12").
    ///
    /// Of a pod that was started before, by whatever process, it returns at once: what has ended of it since is not started again.
    ///
    /// A sidecar that fails while services still get ready ends the start.
    ///
    /// Dropping the future stops the work where it is; [`Engine::remove`] clears whatever was made until then.
    ///
    /// # Errors
    /// Says what failed; nothing is cleaned up, call [`Engine::remove`].
    async fn start(&self, pod: &Pod, progress: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError>;

    /// Waits until a part of the pod has ended, and says how. Returns at once for a part that has ended already.
    ///
    /// # Errors
    /// When there is no such part (any more), when it was made and never started, or the engine has gone.
    async fn wait(&self, key: &str, part: &Part) -> Result<PartExit, EngineError>;

    /// Asks the job's container to stop (TERM to its launcher, which passes it on), and kills it after `grace`.
    ///
    /// # Errors
    /// When the engine has gone. A container that is not there or not running is no error.
    async fn stop(&self, key: &str, grace: Duration) -> Result<(), EngineError>;

    /// The last `lines` lines that a part wrote to its own output. (A job's output goes through the sidecar, not here.)
    ///
    /// # Errors
    /// When there is no such part, or the engine has gone.
    async fn last_lines(&self, key: &str, part: &Part, lines: usize) -> Result<String, EngineError>;

    /// What a part has written to its own output, from its start; with `follow` also what it writes from now on, as it comes, until it ends
    /// or is removed. Nothing from an engine that can't tell.
    fn output(&self, _key: &str, _part: &Part, _follow: bool) -> BoxStream<'static, Result<Bytes, EngineError>> {
        futures::stream::empty().boxed()
    }

    /// Runs a further program in the job's container, which has to run: as the job's user, in the job's network, with what `handed` says.
    /// What keeps the job from others keeps the program from them too. With a size it has a terminal. What it has started ends with the
    /// container at the latest.
    ///
    /// # Errors
    /// When the container is not there, or does not run, or the engine can't do this.
    async fn exec(&self, _key: &str, _handed: Handed, _terminal: Option<TerminalSize>) -> Result<Session, EngineError> {
        Err(EngineError::Unable { engine: self.describe(), what: "run a program beside a job" })
    }

    /// Starts the containers of a pod again whose job has ended, and that was not removed: its services, for whose ready commands it
    /// waits, and the job's container, in which nothing runs then but what [`Engine::exec`] starts. Its files are as the job has left
    /// them. What services find of secrets among their variables is what these files have now, which are those of [`Pod::service_env`]. Returns
    /// the addresses of the services. What runs already goes on.
    ///
    /// # Errors
    /// When there is no such container (any more), a service is not ready, or the engine can't do this.
    async fn wake(
        &self,
        _key: &str,
        _services: &[PodService],
        _service_env: &BTreeMap<String, PathBuf>,
        _progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<BTreeMap<String, IpAddr>, EngineError> {
        Err(EngineError::Unable { engine: self.describe(), what: "start a job's containers again" })
    }

    /// Stops all containers of the pod and removes nothing: they take no more than their files, until [`Engine::wake`]. The secrets of services
    /// are not among those that the engine itself holds. What is not there is no error.
    ///
    /// # Errors
    /// When one could not be stopped, or the engine can't do this.
    async fn rest(&self, _key: &str, _services: &[PodService], _grace: Duration) -> Result<(), EngineError> {
        Err(EngineError::Unable { engine: self.describe(), what: "leave a job's containers as they are" })
    }

    /// Kills and removes all that belongs to the pod: containers, network, volume. What is not there is no error.
    ///
    /// # Errors
    /// When something could not be removed; all the rest is.
    async fn remove(&self, key: &str) -> Result<(), EngineError>;

    /// The pods of this owner of which the engine has anything. Whoever sweeps asks this first and then which builds live: a build that
    /// starts in between is not in the list, so it is safe. Whoever goes on with a build calls [`Engine::start`] again for a pod that
    /// is not over: it gets what is there, and makes what is not.
    ///
    /// # Errors
    /// When the engine can't be asked.
    async fn pods(&self, owner: &str) -> Result<Vec<PodFound>, EngineError>;

    /// Removes the pods of these builds of this owner, and nothing else. Returns the names of what was removed, or with
    /// `dry_run` what would be.
    ///
    /// # Errors
    /// When the engine can't be asked, or something could not be removed.
    async fn sweep(&self, owner: &str, builds: &BTreeSet<String>, dry_run: bool) -> Result<Vec<String>, EngineError>;
}
