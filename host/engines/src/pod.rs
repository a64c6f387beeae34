//! A container job as an engine sees it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use monkeyci_build::{Destination, NetworkMode, PullPolicy, ServiceSpec};

/// Label: the id of the host instance (its home directory) that owns the object.
pub const LABEL_OWNER: &str = "monkeyci.owner";
/// Label: the build's id, `org/repo/build`.
pub const LABEL_BUILD: &str = "monkeyci.build";
/// Label: the job's id.
pub const LABEL_JOB: &str = "monkeyci.job";
/// Label: the pod's key.
pub const LABEL_POD: &str = "monkeyci.pod";

/// A container job as an engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// The pod's key: unique among all pods of all hosts that share the engine, `[a-z0-9-]`, at most 60 characters. Names of
    /// containers, network and volume are made from it.
    pub key: String,
    /// The owner, for [`LABEL_OWNER`].
    pub owner: String,
    /// The build's id, for [`LABEL_BUILD`].
    pub build: String,
    /// The job's id, for [`LABEL_JOB`].
    pub job: String,
    /// The job's image.
    pub image: String,
    /// The processor architecture of the job's image, `arm64` say; the engine's own when none. Whether programs of another
    /// one can run is up to the machine.
    pub architecture: Option<String>,
    /// The user that the job runs as, `name`, `uid` or `uid:gid`; what its image says when none.
    pub user: Option<String>,
    /// The job's environment on top of its image's.
    pub env: BTreeMap<String, String>,
    /// The job's memory limit in bytes; swap does not add to it. Without it, the engine's own: see its description.
    pub memory_bytes: Option<u64>,
    /// The job's processor limit in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// The size of the job's `/dev/shm` in bytes; 64 MiB when `None`.
    pub shm_bytes: Option<u64>,
    /// When the images of job and services are pulled.
    pub pull: PullPolicy,
    /// Whether the image's entrypoint runs the job's command.
    pub entrypoint_of_image: bool,
    /// What job and services reach beside each other.
    pub network: NetworkMode,
    /// What they reach beside that.
    pub network_allow: Vec<Destination>,
    /// The services.
    pub services: Vec<PodService>,
    /// Files on this machine with variables of services that nobody shall find in their containers' configuration, by the
    /// services' names: maps in JSON.
    pub service_env: BTreeMap<String, PathBuf>,
    /// The static program of launcher and sidecar, on this machine.
    pub sidecar_program: PathBuf,
    /// The static program of the guard, on this machine: the same one, unless a test says otherwise.
    pub guard_program: PathBuf,
    /// The sidecar's configuration file, on this machine.
    pub sidecar_config: PathBuf,
    /// The directory with the build API's Unix socket on this machine; none when sidecars reach it over TCP.
    pub api_dir: Option<PathBuf>,
}

/// A service of a pod. Its ready ports are probed by the sidecar, its ready commands by the engine.
pub type PodService = ServiceSpec;

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The job's container.
    Job,
    /// The sidecar's.
    Sidecar,
    /// A service's, by the service's name.
    Service(String),
}

/// A pod of which an engine has something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFound {
    /// The pod's key.
    pub key: String,
    /// The build's id.
    pub build: String,
    /// How far it has come.
    pub state: PodState,
}

/// How far a pod has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    /// Its sidecar was never started, or is not there any more: there may be no more of it than a network.
    Unfinished,
    /// Its sidecar runs: with a job, or with one that it waits for.
    Alive,
    /// Its sidecar has ended.
    Over,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartExit {
    /// The exit code; 128 + n after signal n.
    pub code: i64,
    /// Whether the engine says that the kernel killed it for its memory.
    pub out_of_memory: bool,
}
