//! A network beside those that pods have of their own: there may be no internet where the tests run.

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, Ipam, IpamConfig, NetworkConnectRequest,
    NetworkCreateRequest, NetworkingConfig,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Engine;

/// Ports on which the server in the network answers.
pub const PORTS: [u16; 2] = [5432, 5433];

/// A network with a server in it. Whether it is the internet or a private network is what its addresses say.
pub struct Beside<'a> {
    /// The engine that has it.
    pub engine: &'a Engine,
    network: String,
    /// Its addresses, as the beginning of all of them.
    pub start: String,
    /// All addresses.
    pub range: String,
    /// The server's address.
    pub server: String,
}

impl<'a> Beside<'a> {
    /// One of addresses that are for documentation: nobody's private ones.
    pub fn internet(engine: &'a Engine) -> Self {
        Self::of(engine, "203.0.113")
    }

    /// One of private addresses.
    pub fn private(engine: &'a Engine) -> Self {
        Self::of(engine, "10.254.78")
    }

    /// A few addresses of those that begin so; others than any test at the same time has.
    fn of(engine: &'a Engine, start: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..16 {
            let part = (std::process::id() + 5 * NEXT.fetch_add(1, Ordering::SeqCst)) % 16 * 16;
            let beside = Self {
                engine,
                network: format!("mci-beside-{}-{start}-{part}", std::process::id()).replace('.', "-"),
                start: format!("{start}."),
                range: format!("{start}.{part}/28"),
                server: format!("{start}.{}", part + 5),
            };
            if engine.runtime.block_on(beside.make()) {
                return beside;
            }
            // There is nothing of it to remove.
            std::mem::forget(beside);
        }
        panic!("all networks of {start} are taken");
    }

    /// Makes network and server. False when somebody else has addresses of it.
    async fn make(&self) -> bool {
        let ipam = IpamConfig { subnet: Some(self.range.clone()), ..IpamConfig::default() };
        let network = NetworkCreateRequest {
            name: self.network.clone(),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam { config: Some(vec![ipam]), ..Ipam::default() }),
            ..NetworkCreateRequest::default()
        };
        if self.engine.docker.create_network(network).await.is_err() {
            return false;
        }
        let address = EndpointIpamConfig { ipv4_address: Some(self.server.clone()), ..EndpointIpamConfig::default() };
        let endpoint = EndpointSettings { ipam_config: Some(address), ..EndpointSettings::default() };
        let serve = format!("httpd -p {} -h / && exec httpd -f -p {} -h /", PORTS[0], PORTS[1]);
        let body = ContainerCreateBody {
            image: Some(crate::place::image()),
            cmd: Some(["sh", "-c", &serve].map(str::to_owned).to_vec()),
            host_config: Some(HostConfig { network_mode: Some(self.network.clone()), ..HostConfig::default() }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(self.network.clone(), endpoint)])),
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&self.network).build();
        self.engine.docker.create_container(Some(options), body).await.expect("a container");
        self.engine.docker.start_container(&self.network, None).await.expect("it starts");
        true
    }

    /// Puts a running part of a pod (`job`, `sidecar`, `svc-NAME`) into this network: its fence is there already.
    pub fn join(&self, owner: &str, job: &str, part: &str) {
        self.engine.runtime.block_on(async {
            let container = self.engine.running(owner, job, part).await;
            let request = NetworkConnectRequest { container, ..NetworkConnectRequest::default() };
            self.engine.docker.connect_network(&self.network, request).await.expect("one more network");
        });
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        self.engine.runtime.block_on(async {
            let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            let _ = self.engine.docker.remove_container(&self.network, Some(force)).await;
            let _ = self.engine.docker.remove_network(&self.network).await;
        });
    }
}
