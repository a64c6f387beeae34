//! A pod whose job has ended, and that is kept: stopped, and started again.
//!
//! Its containers are the ones that they were, with their files, their users and their fences: the guard makes those anew when a container
//! starts. The launcher of the job's container then waits for a sidecar that does not come, and so holds the container.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::{join_all, try_join_all};

use super::DockerEngine;
use super::fault::{is_missing, refused};
use super::guard;
use super::names::Names;
use super::raw::Inspected;
use super::start::is_ours;
use super::volume::not_ours;
use super::watch::no_such;
use crate::{EngineError, Part, PodService};

impl DockerEngine {
    /// Starts services and job again; returns the services' addresses.
    pub(super) async fn wake_pod(
        &self,
        names: &Names,
        services: &[PodService],
        service_env: &BTreeMap<String, PathBuf>,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<BTreeMap<String, IpAddr>, EngineError> {
        self.in_flight.drained(names.key()).await;
        // Before anything is started.
        self.existing_part(names, &names.job()).await?;
        let woken = services.iter().map(async |service| {
            let name = names.part(&Part::Service(service.name.clone()))?;
            let found = self.wake_container(names, &name, service_env.get(&service.name).map(PathBuf::as_path)).await?;
            Ok::<_, EngineError>((service.name.clone(), found))
        });
        let woken: BTreeMap<String, Inspected> = try_join_all(woken).await?.into_iter().collect();
        let orders = |service: &PodService| {
            let name = names.part(&Part::Service(service.name.clone()))?;
            guard::began_with(woken.get(&service.name), &name)
        };
        self.services_ready(names, services, &orders, progress).await?;
        self.wake_container(names, &names.job(), None).await?;
        let network = names.network();
        let addresses = woken.iter().filter_map(|(name, found)| {
            // One that has ended at once has none.
            Some((name.clone(), found.address(&network)?.parse().ok()?))
        });
        Ok(addresses.collect())
    }

    /// Stops the pod's containers, all at once.
    pub(super) async fn stop_pod(
        &self,
        names: &Names,
        services: &[PodService],
        grace: Duration,
    ) -> Result<(), EngineError> {
        let mut all = vec![names.job(), names.sidecar()];
        for service in services {
            all.push(names.service(&service.name)?);
        }
        let stopped = join_all(all.iter().map(|name| self.stop_container(name, grace))).await;
        stopped.into_iter().collect::<Result<(), _>>()?;
        for service in services.iter().filter(|service| !service.secret_env.is_empty()) {
            self.take_env_back(&names.service(&service.name)?).await?;
        }
        Ok(())
    }

    async fn wake_container(&self, names: &Names, name: &str, env: Option<&Path>) -> Result<Inspected, EngineError> {
        let found = self.existing_part(names, name).await?;
        if found.state.running {
            return Ok(found);
        }
        if let Some(env) = env {
            self.hand_env(name, env).await?;
        }
        let (docker, container) = (self.docker.clone(), name.to_owned());
        let request = async move { docker.start_container(&container, None).await };
        let started = self.in_flight.run(names.key(), request).await;
        started.map_err(|error| refused(format!("start container {name} again"), &error))?;
        self.existing_part(names, name).await
    }

    /// A container of this pod.
    pub(super) async fn existing_part(&self, names: &Names, name: &str) -> Result<Inspected, EngineError> {
        match self.inspect(name).await {
            Ok(found) if is_ours(&found, names) => Ok(found),
            Ok(_) => Err(not_ours(format!("use container {name}"))),
            Err(error) if is_missing(&error) => Err(no_such(name)),
            Err(error) => Err(refused(format!("inspect container {name}"), &error)),
        }
    }
}
