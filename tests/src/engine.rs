//! The container engines of the tests, looked at from outside the host.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerSummary, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, InspectNetworkOptions, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
};
use futures::StreamExt;
use monkeyci_testbed::daemons::Podman;
use rustix::process::Pid;

use crate::{hang_guard, place};

pub mod beside;

/// Each promise, a function of an engine, is tested on each engine. A new engine is one more line here.
#[macro_export]
macro_rules! on_each_engine {
    ($($promise:ident)*) => {
        mod docker {
            $(#[test] fn $promise() { super::$promise(&$crate::engine::Engine::docker()); })*
        }
        mod podman {
            $(#[test] fn $promise() { super::$promise(&$crate::engine::Engine::podman()); })*
        }
    };
}

/// An engine's API.
pub struct Engine {
    /// Its address, `unix:///path`.
    pub address: String,
    docker: Docker,
    runtime: tokio::runtime::Runtime,
    /// Podman is served as long as this is there.
    _podman: Option<Arc<Podman>>,
}

impl Engine {
    /// The Docker that set-up hands over.
    pub fn docker() -> Self {
        Self::of(&place::docker().url())
    }

    /// The Podman that set-up hands over.
    pub fn podman() -> Self {
        let podman = place::podman();
        let engine = Self::of(&podman.engine.url());
        Self { _podman: Some(podman), ..engine }
    }

    /// The one at this address.
    pub fn of(address: &str) -> Self {
        let address = address.to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let path = address.trim_start_matches("unix://");
        let docker = Docker::connect_with_unix(path, 20, bollard::API_DEFAULT_VERSION).expect("an address");
        let docker = runtime.block_on(docker.negotiate_version()).unwrap_or_else(|error| {
            panic!("no engine at {address} ({error}): run `cargo xtask test`, which starts it")
        });
        Self { address, docker, runtime, _podman: None }
    }

    /// The names of all containers, networks and volumes that carry the owner's label.
    pub fn leftovers(&self, owner: &str) -> Vec<String> {
        let filter = HashMap::from([("label", vec![format!("monkeyci.owner={owner}")])]);
        self.runtime.block_on(async {
            let networks = ListNetworksOptionsBuilder::new().filters(&filter).build();
            let volumes = ListVolumesOptionsBuilder::new().filters(&filter).build();
            let containers = self.containers(true, &filter).await;
            let networks = self.docker.list_networks(Some(networks)).await.expect("a list");
            let volumes = self.docker.list_volumes(Some(volumes)).await.expect("a list");
            let containers = containers.into_iter().map(|it| format!("container {:?}", it.names.unwrap_or_default()));
            let networks = networks.into_iter().map(|it| format!("network {:?}", it.name));
            let volumes = volumes.volumes.unwrap_or_default().into_iter().map(|it| format!("volume {}", it.name));
            containers.chain(networks).chain(volumes).collect()
        })
    }

    async fn containers(&self, all: bool, filter: &HashMap<&str, Vec<String>>) -> Vec<ContainerSummary> {
        let mut tries = 0;
        loop {
            let options = ListContainersOptionsBuilder::new().all(all).filters(filter).build();
            match self.docker.list_containers(Some(options)).await {
                Ok(containers) => return containers,
                // Podman has a state `stopped` for a moment, which Docker's API does not know.
                Err(bollard::errors::Error::JsonDataError { .. }) if tries < 50 => tries += 1,
                Err(error) => panic!("no list of containers: {error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// The address of this machine in the containers' default network.
    pub fn gateway(&self) -> String {
        let network = self.runtime.block_on(self.docker.inspect_network("bridge", None::<InspectNetworkOptions>));
        let configs = network.expect("a default network").ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        // Docker does not always say it: then it is the subnet's first address.
        let first = |subnet: String| Some(format!("{}.1", subnet.rsplit_once('.')?.0));
        configs.into_iter().find_map(|config| config.gateway.or_else(|| first(config.subnet?))).expect("a gateway")
    }

    /// An image as an archive.
    pub fn save_image(&self, image: &str) -> Vec<u8> {
        self.runtime.block_on(async {
            let mut chunks = std::pin::pin!(self.docker.export_image(image));
            let mut archive = Vec::new();
            while let Some(chunk) = chunks.next().await {
                archive.extend_from_slice(&chunk.expect("a piece of an image"));
            }
            archive
        })
    }

    /// Removes an image, or one name of it.
    pub fn remove_image(&self, image: &str) {
        let removed = self.docker.remove_image(image, None::<RemoveImageOptions>, None);
        self.runtime.block_on(removed).expect("removed");
    }

    /// Drops packets to these addresses in the network of a running part of a pod, if its fence lets them through: nobody
    /// outside may get them, whatever the fence does.
    pub fn drop_in_network_of(&self, owner: &str, job: &str, part: &str, addresses: &[&str]) {
        let pid = self.wait_for_pid(owner, job, part).as_raw_nonzero().get();
        monkeyci_testbed::daemons::drop_in_network_of(u32::try_from(pid).expect("a process id"), addresses);
    }

    /// The process on this machine that a part of a job's pod (`job`, `sidecar`, `svc-NAME`) runs in, once it does.
    pub fn wait_for_pid(&self, owner: &str, job: &str, part: &str) -> Pid {
        let filter = HashMap::from([("label", vec![format!("monkeyci.owner={owner}"), format!("monkeyci.job={job}")])]);
        self.runtime.block_on(async {
            for _ in 0..hang_guard::HANGS.as_millis() / 20 {
                for container in self.containers(false, &filter).await {
                    let is_part = container.names.iter().flatten().any(|name| name.ends_with(&format!("-{part}")));
                    let Some(id) = container.id.filter(|_| is_part) else { continue };
                    let found = self.docker.inspect_container(&id, None::<InspectContainerOptions>).await;
                    let pid = found.ok().and_then(|found| found.state?.pid).and_then(|pid| i32::try_from(pid).ok());
                    if let Some(pid) = pid.and_then(Pid::from_raw) {
                        return pid;
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            panic!("no {part} of {job} runs");
        })
    }

    /// Makes an empty file in the workspace of a job that runs.
    pub fn put(&self, owner: &str, job: &str, name: &str) {
        let pid = self.wait_for_pid(owner, job, "job").as_raw_nonzero();
        let workspace = std::path::PathBuf::from(format!("/proc/{pid}/root{}", monkeyci_api::paths::WORKSPACE));
        std::fs::write(workspace.join(name), "").expect("a file in the workspace");
    }

    /// Kills a part of a build's pod with SIGKILL, if it runs at this moment.
    pub fn kill_now(&self, build: &str, part: &str) -> bool {
        let filter = HashMap::from([("label", vec![format!("monkeyci.build={build}")])]);
        self.runtime.block_on(async {
            for container in self.containers(false, &filter).await {
                let is_part = container.names.iter().flatten().any(|name| name.ends_with(&format!("-{part}")));
                if let Some(id) = container.id.filter(|_| is_part) {
                    let kill = KillContainerOptionsBuilder::new().signal("KILL").build();
                    return self.docker.kill_container(&id, Some(kill)).await.is_ok();
                }
            }
            false
        })
    }

    /// Makes a container, a network and a volume that are nobody's business but their owner's: one each without a label, and
    /// one each of another host. Returns their names.
    pub fn make_foreign(&self, prefix: &str) -> Vec<String> {
        self.remove_foreign(prefix);
        let mut names = Vec::new();
        for (suffix, labels) in [("plain", HashMap::new()), ("other", other_owner())] {
            let name = format!("{prefix}-{suffix}");
            self.runtime.block_on(async {
                let body = ContainerCreateBody {
                    image: Some(place::image()),
                    cmd: Some(vec!["sleep".to_owned(), "3600".to_owned()]),
                    labels: Some(labels.clone()),
                    ..ContainerCreateBody::default()
                };
                let options = CreateContainerOptionsBuilder::new().name(&name).build();
                self.docker.create_container(Some(options), body).await.expect("a container");
                self.docker.start_container(&name, None).await.expect("it starts");
                let body = VolumeCreateRequest {
                    name: Some(name.clone()),
                    labels: Some(labels.clone()),
                    ..VolumeCreateRequest::default()
                };
                self.docker.create_volume(body).await.expect("a volume");
                let body = NetworkCreateRequest {
                    name: name.clone(),
                    labels: Some(labels.clone()),
                    ..NetworkCreateRequest::default()
                };
                self.docker.create_network(body).await.expect("a network");
            });
            names.extend(["container", "volume", "network"].map(|kind| format!("{kind} {name}")));
        }
        names
    }

    /// Which of these are not there, or do not run, any more.
    pub fn missing(&self, names: &[String]) -> Vec<String> {
        let is_there = |name: &str| {
            self.runtime.block_on(async {
                match name.split_once(' ') {
                    Some(("container", name)) => {
                        let found = self.docker.inspect_container(name, None::<InspectContainerOptions>).await;
                        found.is_ok_and(|found| found.state.is_some_and(|state| state.running == Some(true)))
                    }
                    Some(("volume", name)) => self.docker.inspect_volume(name).await.is_ok(),
                    Some((_, name)) => self.docker.inspect_network(name, None::<InspectNetworkOptions>).await.is_ok(),
                    None => false,
                }
            })
        };
        names.iter().filter(|name| !is_there(name)).cloned().collect()
    }

    /// Removes what [`Engine::make_foreign`] has made.
    pub fn remove_foreign(&self, prefix: &str) {
        for suffix in ["plain", "other"] {
            let name = format!("{prefix}-{suffix}");
            self.runtime.block_on(async {
                let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
                let _ = self.docker.remove_container(&name, Some(force)).await;
                let _ = self.docker.remove_volume(&name, None::<RemoveVolumeOptions>).await;
                let _ = self.docker.remove_network(&name).await;
            });
        }
    }

    /// All that the engine tells of what carries the owner's label: how it is set up, and what job and sidecar have written to the
    /// engine's logs. (What a service writes goes that way to the host.)
    pub fn told_of(&self, owner: &str) -> Vec<(String, String)> {
        let filter = HashMap::from([("label", vec![format!("monkeyci.owner={owner}")])]);
        self.runtime.block_on(async {
            let mut told = Vec::new();
            for id in self.containers(true, &filter).await.into_iter().filter_map(|container| container.id) {
                let found =
                    self.docker.inspect_container(&id, None::<InspectContainerOptions>).await.expect("it is there");
                told.push((format!("container {:?}", found.name), format!("{found:?}")));
                if found.name.as_ref().is_some_and(|name| name.contains("-svc-")) {
                    continue;
                }
                let all = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
                let mut log = std::pin::pin!(self.docker.logs(&id, Some(all)));
                while let Some(Ok(part)) = log.next().await {
                    told.push((format!("the engine's log of {:?}", found.name), part.to_string()));
                }
            }
            assert!(told.len() >= 2, "a job and its sidecar: {told:?}");
            let networks = ListNetworksOptionsBuilder::new().filters(&filter).build();
            let volumes = ListVolumesOptionsBuilder::new().filters(&filter).build();
            told.push((
                "networks".to_owned(),
                format!("{:?}", self.docker.list_networks(Some(networks)).await.expect("a list")),
            ));
            told.push((
                "volumes".to_owned(),
                format!("{:?}", self.docker.list_volumes(Some(volumes)).await.expect("a list")),
            ));
            told
        })
    }

    /// Kills the running container of a job, or of its sidecar, with SIGKILL, as somebody at a terminal would.
    pub fn kill(&self, owner: &str, job: &str, part: &str) {
        self.runtime.block_on(async {
            let kill = KillContainerOptionsBuilder::new().signal("KILL").build();
            let id = self.running(owner, job, part).await;
            self.docker.kill_container(&id, Some(kill)).await.expect("killed");
        });
    }

    /// The address of a running part of a pod (`job`, `sidecar`, `svc-NAME`) in the pod's own network.
    pub fn address_of(&self, owner: &str, job: &str, part: &str) -> String {
        self.runtime.block_on(async {
            let id = self.running(owner, job, part).await;
            let found = self.docker.inspect_container(&id, None::<InspectContainerOptions>).await.expect("a container");
            let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
            let mut addresses = networks.into_values().filter_map(|network| network.ip_address);
            addresses.find(|address| !address.is_empty()).expect("an address")
        })
    }

    /// The id of a part's container, once it runs.
    async fn running(&self, owner: &str, job: &str, part: &str) -> String {
        let filter = HashMap::from([("label", vec![format!("monkeyci.owner={owner}"), format!("monkeyci.job={job}")])]);
        let is_part = |container: &ContainerSummary| {
            container.names.iter().flatten().any(|name| name.ends_with(&format!("-{part}")))
        };
        // The launcher is quicker than the engine: its job runs before the engine counts it as running.
        for _ in 0..hang_guard::HANGS.as_millis() / 100 {
            let running = self.containers(false, &filter).await;
            if let Some(container) = running.into_iter().find(is_part) {
                return container.id.expect("an id");
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("no container of {job} runs");
    }
}

/// The labels of another host's things.
fn other_owner() -> HashMap<String, String> {
    let labels = [("monkeyci.owner", "somebody-else"), ("monkeyci.build", "a/b/1"), ("monkeyci.pod", "theirs")];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
