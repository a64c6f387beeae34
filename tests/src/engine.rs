//! The container engines of the tests, looked at from outside the host.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    ImportImageOptions, InspectContainerOptions, InspectNetworkOptions, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures::StreamExt;
use rustix::process::Pid;

/// An engine's API.
pub struct Engine {
    /// Its address, `unix:///path`.
    pub address: String,
    docker: Docker,
    runtime: tokio::runtime::Runtime,
}

impl Engine {
    /// Docker, at `MONKEYCI_TEST_DOCKER`.
    pub fn docker() -> Self {
        Self::at("MONKEYCI_TEST_DOCKER", Some("unix:///var/run/docker.sock"))
    }

    /// Podman, at `MONKEYCI_TEST_PODMAN`.
    pub fn podman() -> Self {
        Self::at("MONKEYCI_TEST_PODMAN", None)
    }

    fn at(variable: &str, otherwise: Option<&str>) -> Self {
        let address = std::env::var(variable).ok().or(otherwise.map(str::to_owned));
        let address =
            address.unwrap_or_else(|| panic!("${variable} is not set: run `cargo xtask test`, which starts it"));
        Self::of(&address)
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
        Self { address, docker, runtime }
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

    /// Copies images of another engine.
    pub fn copy_images_of(&self, other: &Self, images: &[String]) {
        for image in images {
            let archive = other.runtime.block_on(async {
                let mut chunks = std::pin::pin!(other.docker.export_image(image));
                let mut archive = Vec::new();
                while let Some(chunk) = chunks.next().await {
                    archive.extend_from_slice(&chunk.expect("a piece of an image"));
                }
                archive
            });
            self.runtime.block_on(async {
                let body = bollard::body_full(archive.into());
                let mut words = std::pin::pin!(self.docker.import_image(ImportImageOptions::default(), body, None));
                while let Some(word) = words.next().await {
                    word.expect("an image");
                }
            });
        }
    }

    /// Kills and removes all containers, whoever made them: for an engine that nobody else uses.
    pub fn remove_everything(&self) {
        self.runtime.block_on(async {
            for container in self.containers(true, &HashMap::new()).await {
                let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
                let _ = self.docker.remove_container(&container.id.unwrap_or_default(), Some(force)).await;
            }
        });
    }

    /// The process on this machine that a part of a job's pod (`job`, `sidecar`, `svc-NAME`) runs in, once it does.
    pub fn wait_for_pid(&self, owner: &str, job: &str, part: &str) -> Pid {
        let filter = HashMap::from([("label", vec![format!("monkeyci.owner={owner}"), format!("monkeyci.job={job}")])]);
        self.runtime.block_on(async {
            for _ in 0..600 {
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

    /// Kills the running container of a job, or of its sidecar, with SIGKILL, as somebody at a terminal would.
    pub fn kill(&self, owner: &str, job: &str, part: &str) {
        let filter = HashMap::from([("label", vec![format!("monkeyci.owner={owner}"), format!("monkeyci.job={job}")])]);
        self.runtime.block_on(async {
            let is_part = |container: &ContainerSummary| {
                container.names.iter().flatten().any(|name| name.ends_with(&format!("-{part}")))
            };
            // The launcher is quicker than the engine: its job runs before the engine counts it as running.
            for _ in 0..100 {
                let running = self.containers(false, &filter).await;
                if let Some(container) = running.into_iter().find(is_part) {
                    let kill = KillContainerOptionsBuilder::new().signal("KILL").build();
                    let id = container.id.expect("an id");
                    return self.docker.kill_container(&id, Some(kill)).await.expect("killed");
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            panic!("no container of {job} runs");
        });
    }
}
