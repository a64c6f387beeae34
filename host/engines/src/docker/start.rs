//! Starting a pod: what waits for what.
//!
//! ```text
//! (names that the job is let reach are looked up, beside the images)
//! network ─────────────────────────┬───────────┬──────────────────────────► start job
//! images, volume ─┬► create job ───┼───────────┼─► services' ready commands ──▲
//!                 ├► create services ► start ──┴─► addresses ─┐
//!                 └───────────────────────────────► create sidecar ► start sidecar
//! ```
//!
//! Everything that does not wait runs at the same time: a network costs Docker about 50 ms, a container's start 100 to
//! 200 ms. The job need not wait for the sidecar: its launcher does.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::CreateContainerOptions;
use futures::future::{try_join, try_join_all};
use tokio::sync::{Notify, OnceCell};
use tokio::try_join;

use super::DockerEngine;
use super::connect::Dialect;
use super::container::{self, Container};
use super::fault::{is_gone, is_missing, is_taken, refused, said};
use super::guard;
use super::image::ImageFacts;
use super::machine::Machine;
use super::names::Names;
use super::raw::{self, Inspected};
use super::ready::{LINES, commands};
use super::volume::not_ours;
use crate::{EngineError, LABEL_POD, Part, PartExit, Pod, PodService};

impl DockerEngine {
    pub(super) async fn start_pod(
        &self,
        pod: &Pod,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), EngineError> {
        let names = &Names::of(&pod.key)?;
        for service in &pod.services {
            names.service(&service.name)?;
        }
        check_files(pod)?;
        self.check_api(pod)?;
        self.in_flight.drained(names.key()).await;
        if self.has_started(names).await? {
            return Ok(());
        }

        let made = OnceCell::new();
        let network = || made.get_or_try_init(|| self.create_network(pod, names, progress));
        let cut_off = self.is_cut_off(pod);
        let job_network = async || if cut_off { Ok(()) } else { network().await.copied() };
        let containers = async {
            // The job's image, where it does not matter for which architecture, is one like the services'.
            let own = Some(pod.image.as_str()).filter(|_| pod.architecture.is_none());
            let images: BTreeSet<&str> = pod.services.iter().map(|service| service.image.as_str()).chain(own).collect();
            let job_image = async {
                match &pod.architecture {
                    Some(architecture) => {
                        self.ensure_image_for(&pod.image, architecture, pod.pull, progress).await.map(Some)
                    }
                    None => Ok(None),
                }
            };
            let facts = images
                .into_iter()
                .map(async |image| self.ensure_image(image, pod.pull, progress).await.map(|facts| (image, facts)));
            let (facts, fence, job_image, sidecar_image, (), machine) = try_join!(
                try_join_all(facts),
                self.fence(pod),
                job_image,
                self.sidecar_image(&pod.sidecar_program),
                self.create_volume(pod, names),
                self.machine(),
            )?;
            let facts: BTreeMap<&str, ImageFacts> = facts.into_iter().collect();
            let facts_of = |image: &str| facts.get(image).cloned().unwrap_or_default();
            let job_facts = job_image.as_ref().map_or_else(|| facts_of(&pod.image), |image| image.facts.clone());
            let (started, sidecar_up) = (OnceCell::new(), Notify::new());
            let services = || {
                started.get_or_try_init(|| async {
                    if !pod.services.is_empty() {
                        network().await?;
                    }
                    let services = pod.services.iter().map(async |service| {
                        let facts = facts_of(&service.image);
                        let container = container::service(pod, names, service, &facts, machine, &fence)?;
                        self.start_service(names, service, container).await
                    });
                    try_join_all(services).await
                })
            };
            let sidecar = async {
                let addresses: Vec<_> = services().await?.iter().flatten().cloned().collect();
                if container::sidecar_needs_network(pod) {
                    network().await?;
                }
                self.start_sidecar(pod, names, sidecar_image, &addresses, machine).await?;
                sidecar_up.notify_one();
                Err::<Infallible, _>(self.sidecar_lost(pod, names).await)
            };
            let job = async {
                // Docker looks for the network when the container starts, Podman when it is created. And Podman's name
                // server may be just ending, with the pod before, when it is told of this one: the job of a pod with
                // services knows them without it.
                let hosts = match self.dialect {
                    Dialect::Docker => Vec::new(),
                    Dialect::Podman { .. } => {
                        job_network().await?;
                        services().await?.iter().flatten().cloned().collect()
                    }
                };
                let job = container::job(pod, names, job_image.as_ref(), &job_facts, &hosts, machine, &fence);
                let fresh = self.create(names, &job).await?;
                try_join(job_network(), async {
                    services().await?;
                    let orders = |service: &PodService| Ok(guard::of_service(pod, &facts_of(&service.image), service));
                    self.services_ready(names, &pod.services, &orders, progress).await
                })
                .await?;
                if fresh {
                    self.run(names, &job).await?;
                }
                sidecar_up.notified().await;
                Ok(())
            };
            tokio::select! {
                // A job that could be started has a sidecar that was there in time: what became of it since, `wait` tells.
                biased;
                started = job => started,
                Err(error) = sidecar => Err(error),
            }
        };
        try_join!(job_network(), containers)?;
        Ok(())
    }

    /// Whether an earlier call got to the end: then even what has ended meanwhile must not be started again.
    async fn has_started(&self, names: &Names) -> Result<bool, EngineError> {
        let started = async |name: String| match self.inspect(&name).await {
            Ok(found) => Ok(is_ours(&found, names) && !found.waits_for_start()),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(refused(format!("inspect container {name}"), &error)),
        };
        let (job, sidecar) = try_join(started(names.job()), started(names.sidecar())).await?;
        Ok(job && sidecar)
    }

    /// Starts a service; returns its name and address unless it has ended already.
    async fn start_service(
        &self,
        names: &Names,
        service: &PodService,
        container: Container,
    ) -> Result<Option<(String, String)>, EngineError> {
        if self.create(names, &container).await? {
            self.run(names, &container).await?;
        }
        let found = self
            .inspect(&container.name)
            .await
            .map_err(|error| refused(format!("inspect container {}", container.name), &error))?;
        match found.address(&names.network()) {
            Some(address) => Ok(Some((service.name.clone(), address.to_owned()))),
            // Ended already. One that nobody waits for may do so.
            None if service.readiness.is_empty() => Ok(None),
            None => Err(self.service_ended(names, service).await),
        }
    }

    /// Returns when the sidecar has failed while services still get ready: the job, which waits for them, would never begin.
    async fn sidecar_lost(&self, pod: &Pod, names: &Names) -> EngineError {
        if !pod.services.iter().any(|service| !commands(service).is_empty()) {
            // The job starts at once: from then on it is the sidecar's own affair, and `wait` tells.
            return std::future::pending().await;
        }
        let reason = match self.wait_part(names, &Part::Sidecar).await {
            // It has done all there was to do.
            Ok(PartExit { code: 0, .. }) => return std::future::pending().await,
            Ok(exit) => format!("it ended with exit code {}", exit.code),
            Err(error @ EngineError::Gone(_)) => return error,
            Err(error) => error.to_string(),
        };
        let lines = self.part_lines(names, &Part::Sidecar, LINES).await.unwrap_or_default();
        let words = if lines.is_empty() { String::new() } else { format!("; its last words: {}", lines.trim_end()) };
        EngineError::SidecarFailed(format!("{reason} before its job began{words}"))
    }

    async fn start_sidecar(
        &self,
        pod: &Pod,
        names: &Names,
        image: String,
        addresses: &[(String, String)],
        machine: Machine,
    ) -> Result<(), EngineError> {
        let mut sidecar = container::sidecar(pod, names, image, addresses, machine);
        let fresh = match self.create(names, &sidecar).await {
            Err(EngineError::ImageNotFound { .. }) => {
                // Somebody cleared the engine's images since we looked.
                self.sidecar_images.forget();
                let image = self.sidecar_image(&pod.sidecar_program).await?;
                sidecar = container::sidecar(pod, names, image, addresses, machine);
                self.create(names, &sidecar).await?
            }
            created => created?,
        };
        if fresh { self.run(names, &sidecar).await } else { Ok(()) }
    }

    /// Creates a container, or gets the one that is there. Returns whether it has to be started.
    async fn create(&self, names: &Names, container: &Container) -> Result<bool, EngineError> {
        let options =
            CreateContainerOptions { name: Some(container.name.clone()), platform: container.platform.clone() };
        let (docker, body) = (self.docker.clone(), self.body_of(container).await?);
        let request = async move { raw::whole(&docker, docker.create_container(Some(options), body)).await };
        match self.in_flight.run(names.key(), request).await {
            Ok(_) => Ok(true),
            Err(error) if is_taken(&error) => self.existing(names, container).await,
            Err(error) if is_gone(&error) => Err(refused(format!("create container {}", container.name), &error)),
            Err(error) if is_missing(&error) && said(&error).contains("image") => {
                Err(EngineError::ImageNotFound { image: container.image.clone(), reason: said(&error) })
            }
            Err(error) => Err(container.failed(said(&error))),
        }
    }

    /// The container that has the name. A name is taken some moments before its container can be seen.
    async fn existing(&self, names: &Names, container: &Container) -> Result<bool, EngineError> {
        for _ in 0..40 {
            match self.inspect(&container.name).await {
                Ok(found) if is_ours(&found, names) => return Ok(found.waits_for_start()),
                Ok(_) => return Err(not_ours(format!("use container {}", container.name))),
                Err(error) if is_missing(&error) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => {
                    return Err(refused(format!("inspect container {}", container.name), &error));
                }
            }
        }
        Err(container.failed(format!("the name {} is taken by a container that can't be found", container.name)))
    }

    /// Starts a container that was created.
    async fn run(&self, names: &Names, container: &Container) -> Result<(), EngineError> {
        self.hand_files(container).await?;
        let (docker, name) = (self.docker.clone(), container.name.clone());
        let request = async move { docker.start_container(&name, None).await };
        self.in_flight.run(names.key(), request).await.map_err(|error| {
            if is_gone(&error) {
                refused(format!("start container {}", container.name), &error)
            } else {
                container.failed(said(&error))
            }
        })
    }

    /// Inspects a container.
    pub(super) async fn inspect(&self, name: &str) -> Result<Inspected, Error> {
        raw::inspect_container(&self.docker, name).await
    }
}

pub(super) fn is_ours(container: &Inspected, names: &Names) -> bool {
    container.label(LABEL_POD) == Some(names.key())
}

/// What is mounted from this machine has to be there: Podman would make an empty directory of what is not.
fn check_files(pod: &Pod) -> Result<(), EngineError> {
    let missing = |what: &str, path: &Path| {
        Err(EngineError::SidecarFailed(format!("its {what} {} is not there", path.display())))
    };
    if !pod.sidecar_config.is_file() {
        return missing("configuration file", &pod.sidecar_config);
    }
    if !pod.guard_program.is_file() {
        return missing("guard's program", &pod.guard_program);
    }
    if let Some(file) = pod.service_env.values().find(|file| !file.is_file()) {
        return missing("file of a service's variables", file);
    }
    match &pod.api_dir {
        Some(api_dir) if !api_dir.is_dir() => missing("directory of the build API's socket", api_dir),
        _ => Ok(()),
    }
}
