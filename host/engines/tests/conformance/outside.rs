//! The eyes and hands of somebody else: what the tests see and do behind the back of the engine under test.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, Ipam, IpamConfig, NetworkConnectRequest,
    NetworkCreateRequest, NetworkingConfig, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions,
    RemoveImageOptions, RemoveVolumeOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use monkeyci_engines::{LABEL_BUILD, LABEL_OWNER};
use monkeyci_testbed::engine::Engine;
use monkeyci_testbed::{handed, images};

/// The image of the jobs and services: busybox, with a command and a working directory that jobs must not notice.
pub const IMAGE: &str = monkeyci_testbed::images::CONFORMANCE.name;

/// What somebody else can do to an engine's containers, by their names.
#[async_trait]
pub trait Outside: Send + Sync {
    /// The process on this machine that a container runs in.
    async fn pid(&self, name: &str) -> u32;
    /// Kills a container.
    async fn kill(&self, name: &str);
    /// Removes a container, running or not.
    async fn remove(&self, name: &str);
    /// Changes when the container is another one, or is started again.
    async fn identity(&self, name: &str) -> String;
    /// All that is told of a container to whoever may ask for it.
    async fn configuration(&self, name: &str) -> String;
    /// The image that a container was made from.
    async fn image_of(&self, name: &str) -> String;
    /// Makes the test image once more, with a user.
    async fn image_with_user(&self, name: &str, user: &str) -> String;
    /// Removes an image.
    async fn remove_image(&self, name: &str);
    /// The names of all containers, networks and volumes of this owner.
    async fn owned(&self, owner: &str) -> Vec<String>;
    /// Makes a network of this subnet with a server in it, on this address and port 5432, that a sweep of the owner removes.
    /// False when somebody else has addresses of the subnet.
    async fn make_network(&self, owner: &str, name: &str, subnet: &str, server: &str) -> bool;
    /// Puts a container into one more network.
    async fn join(&self, container: &str, network: &str);
    /// Makes a container and a volume of this name, as somebody would who knows nothing of us.
    async fn plant(&self, name: &str);
    /// Removes what was planted; tells whether all was still there.
    async fn uproot(&self, name: &str) -> bool;
}

/// The outside of an engine that speaks Docker's API.
pub struct DockerOutside {
    docker: Docker,
    engine: Engine,
}

impl DockerOutside {
    pub async fn connect(engine: Engine) -> Self {
        let docker = Docker::connect_with_unix(&engine.url(), 60, API_DEFAULT_VERSION).expect("a socket");
        let docker = docker.negotiate_version().await.expect("an engine that answers");
        assert!(
            engine.has(IMAGE).expect("an answer"),
            "{engine} has no {IMAGE}: run `cargo xtask setup --podman`, which makes it in both engines"
        );
        Self { docker, engine }
    }
}

#[async_trait]
impl Outside for DockerOutside {
    async fn pid(&self, name: &str) -> u32 {
        let found = self.docker.inspect_container(name, None).await.expect("a container");
        let pid = found.state.and_then(|state| state.pid).filter(|pid| *pid > 0).expect("a process");
        u32::try_from(pid).expect("a process id")
    }

    async fn image_with_user(&self, name: &str, user: &str) -> String {
        let (busybox, changes) = (handed::path(handed::BUSYBOX), [format!("USER {user}")]);
        images::make(&self.engine, name, &[&changes[0]], &busybox).expect("the test image can be made");
        name.to_owned()
    }

    async fn kill(&self, name: &str) {
        self.docker.kill_container(name, None).await.expect("a container that can be killed");
    }

    async fn remove(&self, name: &str) {
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        self.docker.remove_container(name, Some(options)).await.expect("a container that can be removed");
    }

    async fn identity(&self, name: &str) -> String {
        let found = self.docker.inspect_container(name, None).await.expect("a container");
        format!("{:?} started {:?}", found.id, found.state.and_then(|state| state.started_at))
    }

    async fn configuration(&self, name: &str) -> String {
        format!("{:?}", self.docker.inspect_container(name, None).await.expect("a container"))
    }

    async fn image_of(&self, name: &str) -> String {
        let found = self.docker.inspect_container(name, None).await.expect("a container");
        found.config.and_then(|config| config.image).expect("the name of an image")
    }

    async fn remove_image(&self, name: &str) {
        self.docker.remove_image(name, None::<RemoveImageOptions>, None).await.expect("an image that can be removed");
    }

    async fn owned(&self, owner: &str) -> Vec<String> {
        let filters = || Some(HashMap::from([("label".to_owned(), vec![format!("{LABEL_OWNER}={owner}")])]));
        let containers = loop {
            let options = ListContainersOptions { all: true, filters: filters(), ..ListContainersOptions::default() };
            match self.docker.list_containers(Some(options)).await {
                // A container of Podman is "stopped" for a moment, which bollard can't read.
                Err(Error::JsonDataError { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
                list => break list.expect("a list"),
            }
        };
        let networks =
            self.docker.list_networks(Some(ListNetworksOptions { filters: filters() })).await.expect("a list");
        let volumes = self.docker.list_volumes(Some(ListVolumesOptions { filters: filters() })).await.expect("a list");
        let mut names: Vec<String> = containers
            .into_iter()
            .flat_map(|container| container.names.unwrap_or_default())
            .map(|name| name.trim_start_matches('/').to_owned())
            .chain(networks.into_iter().filter_map(|network| network.name))
            .chain(volumes.volumes.into_iter().flatten().map(|volume| volume.name))
            .collect();
        names.sort();
        names
    }

    async fn make_network(&self, owner: &str, name: &str, subnet: &str, server: &str) -> bool {
        let labels = HashMap::from([
            (LABEL_OWNER.to_owned(), owner.to_owned()),
            (LABEL_BUILD.to_owned(), "test/repo/1".to_owned()),
        ]);
        let ipam = IpamConfig { subnet: Some(subnet.to_owned()), ..IpamConfig::default() };
        let network = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam { config: Some(vec![ipam]), ..Ipam::default() }),
            labels: Some(labels.clone()),
            ..NetworkCreateRequest::default()
        };
        if self.docker.create_network(network).await.is_err() {
            return false;
        }
        let endpoint = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: Some(server.to_owned()),
                ..EndpointIpamConfig::default()
            }),
            ..EndpointSettings::default()
        };
        let options =
            CreateContainerOptions { name: Some(format!("{name}-server")), ..CreateContainerOptions::default() };
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            cmd: Some(container_argv(&["/bin/httpd", "-f", "-p", "5432", "-h", "/srv"])),
            labels: Some(labels),
            host_config: Some(HostConfig { network_mode: Some(name.to_owned()), ..HostConfig::default() }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(name.to_owned(), endpoint)])),
            }),
            ..ContainerCreateBody::default()
        };
        self.docker.create_container(Some(options), body).await.expect("a container");
        self.docker.start_container(&format!("{name}-server"), None).await.expect("a container that starts");
        true
    }

    async fn join(&self, container: &str, network: &str) {
        let request = NetworkConnectRequest { container: container.to_owned(), ..NetworkConnectRequest::default() };
        self.docker.connect_network(network, request).await.expect("a network that takes a container");
    }

    async fn plant(&self, name: &str) {
        let volume = VolumeCreateRequest { name: Some(name.to_owned()), ..VolumeCreateRequest::default() };
        self.docker.create_volume(volume).await.expect("a volume");
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        self.docker.create_container(Some(options), body).await.expect("a container");
    }

    async fn uproot(&self, name: &str) -> bool {
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        let container = self.docker.remove_container(name, Some(options)).await;
        let volume = self.docker.remove_volume(name, Some(RemoveVolumeOptions { force: false })).await;
        container.is_ok() && volume.is_ok()
    }
}

/// What a container runs.
pub fn container_argv(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|word| (*word).to_owned()).collect()
}
