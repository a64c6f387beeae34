//! The three kinds of container in a pod: what each is made of.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Mount, MountType, MountVolumeOptions, NetworkingConfig,
    RestartPolicy, RestartPolicyNameEnum,
};
use monkeyci_api::paths;

use super::fault::is_disk_full;
use super::fence::Fence;
use super::guard::guard;
use super::image::{ImageFacts, OfPlatform};
use super::machine::Machine;
use super::names::{Names, labels};
use crate::{EngineError, Part, Pod, PodService};

/// The size of a `/dev/shm` of which nothing is said: what Docker gives it.
pub(super) const SHM_BYTES: u64 = 64 << 20;

/// A container to be.
pub(super) struct Container {
    pub(super) name: String,
    pub(super) part: Part,
    /// The image's reference, for people.
    pub(super) image: String,
    /// The platform of the image; the engine's own when empty.
    pub(super) platform: String,
    pub(super) body: ContainerCreateBody,
}

impl Container {
    /// The error of not getting this container made or started.
    pub(super) fn failed(&self, reason: String) -> EngineError {
        match &self.part {
            _ if is_disk_full(&reason) => {
                EngineError::DiskFull { what: format!("start a container of image {}", self.image), reason }
            }
            Part::Job => EngineError::StartFailed { image: self.image.clone(), reason },
            Part::Sidecar => EngineError::SidecarFailed(reason),
            Part::Service(service) => EngineError::ServiceNotReady {
                service: service.clone(),
                reason: format!("its container could not start: {reason}"),
                last_lines: String::new(),
            },
        }
    }
}

/// The most processes and threads of a container: more than any build on a large machine has, and too few for a fork bomb to
/// take the machine's. (Docker has no limit of its own, Podman's is 2048.)
pub(super) const MAX_PROCESSES: i64 = 16_384;

/// What root of a container loses of Docker's usual capabilities: to forge packets, to make devices, to write to the machine's
/// audit log. Podman gives none of these either, so images can do without. (The usual `ping` needs none; busybox's does.)
const DROPPED: [&str; 3] = ["NET_RAW", "MKNOD", "AUDIT_WRITE"];

/// The network of a container that has none.
pub(super) const NO_NETWORK: &str = "none";

/// All that the sidecar needs as root: to read what belongs to the job's user, and to give it what it unpacks.
const SIDECAR_KEEPS: [&str; 3] = ["CHOWN", "DAC_OVERRIDE", "FOWNER"];

/// What an engine wants from containers that share a volume with us.
pub(super) fn security(selinux: bool) -> Vec<String> {
    let mut options = vec!["no-new-privileges".to_owned()];
    if selinux {
        // The launcher, the configuration and the API's socket are files of this machine with labels of their own.
        options.push("label=disable".to_owned());
    }
    options
}

/// The job's container: the image as it is, with our launcher as its program. `hosts` are names that it knows without
/// asking the network. `image` is the image for the architecture that the pod asks for, if it asks for one.
pub(super) fn job(
    pod: &Pod,
    names: &Names,
    image: Option<&OfPlatform>,
    facts: &ImageFacts,
    hosts: &[(String, String)],
    machine: Machine,
    fence: &Fence,
) -> Container {
    let body = ContainerCreateBody {
        image: Some(image.map_or_else(|| pod.image.clone(), |image| image.id.clone())),
        user: pod.user.clone(),
        env: Some(environment(pod.env.iter())),
        // The launcher goes to the working directory itself, when the sidecar has filled it.
        working_dir: Some("/".to_owned()),
        // The image may want another one; the launcher listens to TERM.
        stop_signal: Some("SIGTERM".to_owned()),
        labels: Some(labels(pod)),
        host_config: Some(HostConfig {
            network_mode: Some(if fence.cut_off { NO_NETWORK.to_owned() } else { names.network() }),
            extra_hosts: Some(hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()),
            mounts: Some(vec![bind(&pod.sidecar_program, paths::LAUNCHER), shared(names)]),
            // Said always: Podman has another default than Docker.
            shm_size: Some(saturate(pod.shm_bytes.unwrap_or(SHM_BYTES))),
            nano_cpus: pod.cpu_millis.map(|millis| i64::from(millis) * 1_000_000),
            security_opt: Some(security(machine.selinux)),
            ..machine.limit(pod.memory_bytes, host_config())
        }),
        ..ContainerCreateBody::default()
    };
    let mut program = vec![paths::LAUNCHER.to_owned(), "launcher".to_owned()];
    if pod.entrypoint_of_image {
        program.extend(facts.entrypoint.iter().flat_map(|word| ["--entrypoint".to_owned(), word.clone()]));
    }
    let body = guard(body, pod, facts, fence, None, program);
    let platform = image.map(|image| image.platform.clone()).unwrap_or_default();
    Container { name: names.job(), part: Part::Job, image: pod.image.clone(), platform, body }
}

/// The sidecar's container. `addresses` are those of the services that it probes.
pub(super) fn sidecar(
    pod: &Pod,
    names: &Names,
    image: String,
    addresses: &[(String, String)],
    machine: Machine,
) -> Container {
    let mut mounts = vec![shared(names), bind(&pod.sidecar_config, paths::SIDECAR_CONFIG)];
    if let Some(api_dir) = &pod.api_dir {
        mounts.push(bind(api_dir, paths::API_DIR));
    }
    let services: Vec<_> = addresses.iter().map(|(name, address)| format!("{name}={address}")).collect();
    let body = ContainerCreateBody {
        image: Some(image.clone()),
        entrypoint: Some(vec![paths::SIDECAR.to_owned(), "sidecar".to_owned()]),
        cmd: Some(Vec::new()),
        env: Some(vec![format!("{}={}", paths::SERVICES_ENV, services.join(","))]),
        working_dir: Some("/".to_owned()),
        labels: Some(labels(pod)),
        host_config: Some(HostConfig {
            network_mode: Some(if sidecar_needs_network(pod) { names.network() } else { NO_NETWORK.to_owned() }),
            mounts: Some(mounts),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(SIDECAR_KEEPS.map(str::to_owned).to_vec()),
            security_opt: Some(security(machine.selinux)),
            ..machine.limit_sidecar(host_config())
        }),
        ..ContainerCreateBody::default()
    };
    Container { name: names.sidecar(), part: Part::Sidecar, image, platform: String::new(), body }
}

/// The sidecar reaches the build API through a socket and needs no network, which saves the time to make one; unless it
/// has ports to probe, or the API is far away.
pub(super) fn sidecar_needs_network(pod: &Pod) -> bool {
    let probes = pod.services.iter().flat_map(|service| &service.readiness);
    pod.api_dir.is_none() || probes.into_iter().any(|probe| matches!(probe, monkeyci_build::Readiness::Port(_)))
}

/// A service's container: the image as its author made it, on the private network under the service's name.
pub(super) fn service(
    pod: &Pod,
    names: &Names,
    service: &PodService,
    facts: &ImageFacts,
    machine: Machine,
    fence: &Fence,
) -> Result<Container, EngineError> {
    let endpoint = EndpointSettings { aliases: Some(vec![service.name.clone()]), ..EndpointSettings::default() };
    let body = ContainerCreateBody {
        image: Some(service.image.clone()),
        env: Some(environment(service.env.iter())),
        labels: Some(labels(pod)),
        host_config: Some(HostConfig {
            network_mode: Some(names.network()),
            // The guard's program is a file of this machine with a label of its own.
            security_opt: machine.selinux.then(|| vec!["label=disable".to_owned()]),
            ..machine.limit(None, host_config())
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(names.network(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    };
    let program = service.argv.clone().unwrap_or_else(|| facts.argv.clone());
    if program.is_empty() {
        return Err(EngineError::ServiceNotReady {
            service: service.name.clone(),
            reason: format!("neither the service nor its image {} says what program to run", service.image),
            last_lines: String::new(),
        });
    }
    let env = pod.service_env.get(&service.name).map(PathBuf::as_path);
    let body = guard(body, pod, facts, fence, env, program);
    Ok(Container {
        name: names.service(&service.name)?,
        part: Part::Service(service.name.clone()),
        image: service.image.clone(),
        platform: String::new(),
        body,
    })
}

/// What all containers have: they run once, without an init of the engine's, and never with privileges. (Nobody
/// gains some by a setuid program, so `sudo` does nothing there: the guard sees to that in services, as the filter that it puts on
/// their sockets demands.)
fn host_config() -> HostConfig {
    HostConfig {
        init: Some(false),
        privileged: Some(false),
        cap_drop: Some(DROPPED.map(str::to_owned).to_vec()),
        pids_limit: Some(MAX_PROCESSES),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        ..HostConfig::default()
    }
}

fn environment<'a>(variables: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<String> {
    variables.map(|(name, value)| format!("{name}={value}")).collect()
}

/// A file or directory of this machine, read-only. (A socket in a read-only directory still takes connections.)
pub(super) fn bind(source: &Path, target: &str) -> Mount {
    // The daemon's working directory is not ours.
    let source = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(true),
        ..Mount::default()
    }
}

fn shared(names: &Names) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(names.volume()),
        target: Some(paths::SHARED.to_owned()),
        // What an image has at this place would otherwise be copied into the volume.
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

pub(super) fn saturate(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
