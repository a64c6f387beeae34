//! The docker engine: Docker, or Podman through the same API.

mod architecture;
mod budget;
mod certificates;
mod connect;
mod container;
mod context;
mod credentials;
mod elsewhere;
mod endpoint;
mod exec;
mod fault;
mod fence;
mod guard;
mod image;
mod in_flight;
mod machine;
mod names;
mod network;
mod program_volume;
mod raw;
mod ready;
mod remove;
mod sidecar_image;
mod ssh;
mod start;
mod volume;
mod wake;
mod watch;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use monkeyci_api::Handed;
use tokio::sync::OnceCell;

pub use budget::limits;
pub use certificates::DockerTls;
pub use connect::{DockerOptions, EngineSearch, NetworkFence};

use crate::{Engine, EngineError, Part, PartExit, Pod, PodFound, PodService, Session, TerminalSize};
use connect::Dialect;
use fault::{is_gone, refused};
use in_flight::InFlight;
use machine::Machine;
use names::Names;
use sidecar_image::SidecarImages;

/// Runs pods by Docker or Podman.
///
/// A pod is a network `<key>-net`, a volume `<key>-shared` and the containers `<key>-job`, `<key>-sidecar` and
/// `<key>-svc-<service>`, all with the labels [`LABEL_OWNER`], [`LABEL_BUILD`], [`LABEL_JOB`] and [`LABEL_POD`]. Launcher,
/// guard, the sidecar's configuration and the API's socket are files of this machine that are mounted. An engine on another machine (over
/// TLS, by ssh, or at an address of TCP that is not loopback) sees none of them: there our program is in a volume
/// `monkeyci-sidecar-<digest>`, files are handed over when a container is made, and the build API has to be served over TCP.
///
/// # What a pod reaches
///
/// Job and services begin as the guard (see the sidecar's crate), which fences in the network of their own container before
/// their program runs: they reach each other, their name servers (port 53) and, unless the job says otherwise, the internet;
/// neither private networks nor other pods, nor this machine, nor cloud metadata. That does not depend on the rules that
/// engines keep on the machine, which other programs rewrite. The sidecar, which runs nobody else's program, has no fence.
///
/// What is not enforced: an engine on another machine does not say that machine's public addresses, so a job can reach its
/// ports by those ([`Engine::not_enforced`] says so); by name servers, data can leave a job that has the internet.
/// With [`NetworkMode::None`] there is no name server but Docker's own for the pod: services of Podman's don't know each other by
/// name then, while the job knows them.
///
/// The fence needs a kernel with nf_tables, and an engine that lets containers have `NET_ADMIN`. Without, no job starts, unless
/// [`NetworkFence::Off`] says to do without: then a job reaches whatever its network leads to, one without services that asks for
/// no network has none at all, and one that asks for something between is refused.
///
/// # What a container may take
///
/// A job or service without a memory limit of its own gets three quarters of the machine's memory, and no swap; one that wants
/// more is killed, and nobody else. All have at most 16,384 processes, and yield to the rest of the machine where processors are
/// scarce. A sidecar gets 512 MiB and 1,024 processes. Where the engine says that it can't limit memory, only who asks for a limit
/// gets one, or is refused.
///
/// # What differs with Podman
///
/// It does not say that memory ran out: [`PartExit::out_of_memory`] stays false, the exit code is 137. What a program of
/// [`Engine::exec`] writes to a terminal comes as it is: where that is binary, a piece may be lost.
///
/// ```no_run
/// use monkeyci_engines::{DockerEngine, DockerOptions, Engine};
///
/// # async fn example() -> Result<(), monkeyci_engines::EngineError> {
/// let engine = DockerEngine::connect(DockerOptions::default()).await?;
/// println!("running jobs by {}", engine.describe());
/// # Ok(())
/// # }
/// ```
///
/// [`NetworkMode::None`]: monkeyci_build::NetworkMode::None
/// [`LABEL_OWNER`]: crate::LABEL_OWNER
/// [`LABEL_BUILD`]: crate::LABEL_BUILD
/// [`LABEL_JOB`]: crate::LABEL_JOB
/// [`LABEL_POD`]: crate::LABEL_POD
#[derive(Debug)]
pub struct DockerEngine {
    docker: Docker,
    dialect: Dialect,
    /// Whether it runs on another machine, which does not see the files of this one, and whose addresses are not this one's.
    is_elsewhere: bool,
    name: String,
    options: DockerOptions,
    in_flight: InFlight,
    sidecar_images: SidecarImages,
    machine: OnceCell<Machine>,
}

impl DockerEngine {
    /// Connects to the engine that `options` name, or to the first that answers.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when none answers, with every address that was tried and what came of it.
    pub async fn connect(options: DockerOptions) -> Result<Self, EngineError> {
        let found = connect::find(&options).await?;
        Ok(Self {
            docker: found.docker,
            dialect: found.dialect,
            is_elsewhere: found.is_elsewhere,
            name: found.name,
            options,
            in_flight: InFlight::default(),
            sidecar_images: SidecarImages::default(),
            machine: OnceCell::new(),
        })
    }
}

#[async_trait]
impl Engine for DockerEngine {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn not_enforced(&self) -> Vec<String> {
        self.holes()
    }

    async fn answers(&self) -> Result<(), EngineError> {
        match raw::whole(&self.docker, self.docker.ping()).await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Err(refused("say that it is there", &error)),
            // Whatever it says, it says something.
            Err(_) => Ok(()),
        }
    }

    async fn start(&self, pod: &Pod, progress: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError> {
        self.start_pod(pod, progress).await
    }

    async fn wait(&self, key: &str, part: &Part) -> Result<PartExit, EngineError> {
        self.wait_part(&Names::of(key)?, part).await
    }

    async fn stop(&self, key: &str, grace: Duration) -> Result<(), EngineError> {
        self.stop_job(&Names::of(key)?, grace).await
    }

    async fn last_lines(&self, key: &str, part: &Part, lines: usize) -> Result<String, EngineError> {
        self.part_lines(&Names::of(key)?, part, lines).await
    }

    fn output(&self, key: &str, part: &Part, follow: bool) -> BoxStream<'static, Result<Bytes, EngineError>> {
        match Names::of(key).and_then(|names| names.part(part)) {
            Ok(name) => self.part_output(name, follow),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn exec(&self, key: &str, handed: Handed, terminal: Option<TerminalSize>) -> Result<Session, EngineError> {
        self.exec_in_job(&Names::of(key)?, &handed, terminal).await
    }

    async fn wake(
        &self,
        key: &str,
        services: &[PodService],
        service_env: &BTreeMap<String, PathBuf>,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<BTreeMap<String, IpAddr>, EngineError> {
        self.wake_pod(&Names::of(key)?, services, service_env, progress).await
    }

    async fn rest(&self, key: &str, services: &[PodService], grace: Duration) -> Result<(), EngineError> {
        self.stop_pod(&Names::of(key)?, services, grace).await
    }

    async fn remove(&self, key: &str) -> Result<(), EngineError> {
        self.remove_pod(&Names::of(key)?).await
    }

    async fn pods(&self, owner: &str) -> Result<Vec<PodFound>, EngineError> {
        self.pods_of(owner).await
    }

    async fn sweep(&self, owner: &str, builds: &BTreeSet<String>, dry_run: bool) -> Result<Vec<String>, EngineError> {
        self.sweep_builds(owner, builds, dry_run).await
    }
}
