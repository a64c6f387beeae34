//! Removing what was made, found again by its labels alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions};
use futures::future::join;
use futures::{StreamExt, stream};
use tokio::try_join;

use super::DockerEngine;
use super::fault::{is_missing, refused, said};
use super::names::Names;
use super::raw;
use crate::{EngineError, LABEL_BUILD, LABEL_OWNER, LABEL_POD, PodFound, PodState};

/// How often to look and remove until nothing is found. With the pauses between, this is about six seconds.
const PASSES: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// How many requests to remove something run at once.
pub(super) const AT_ONCE: usize = 8;

/// Whose objects.
enum Scope<'a> {
    /// One pod's.
    Pod(&'a Names),
    /// All of an owner's.
    Owner(&'a str),
    /// Those of some of an owner's builds.
    Builds { owner: &'a str, builds: &'a BTreeSet<String> },
}

impl Scope<'_> {
    /// The label to look for.
    fn label(&self) -> String {
        match self {
            Scope::Pod(names) => format!("{LABEL_POD}={}", names.key()),
            Scope::Owner(owner) | Scope::Builds { owner, .. } => format!("{LABEL_OWNER}={owner}"),
        }
    }

    /// Looks at the labels once more: nothing is removed because a filter meant something else to an engine.
    fn covers(&self, labels: &HashMap<String, String>) -> bool {
        match self {
            Scope::Pod(names) => labels.get(LABEL_POD).is_some_and(|key| key == names.key()),
            Scope::Owner(owner) => labels.get(LABEL_OWNER).is_some_and(|of| of == owner),
            Scope::Builds { owner, builds } => {
                labels.get(LABEL_OWNER).is_some_and(|of| of == owner)
                    && labels.get(LABEL_BUILD).is_some_and(|build| builds.contains(build))
            }
        }
    }
}

/// The names of what a scope has.
#[derive(Debug, Default)]
struct Found {
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
    /// The pods that these belong to: their builds, and how far they have come.
    pods: BTreeMap<String, (String, PodState)>,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.containers.iter().chain(&self.networks).chain(&self.volumes)
    }
}

impl DockerEngine {
    /// Removes a pod.
    pub(super) async fn remove_pod(&self, names: &Names) -> Result<(), EngineError> {
        self.in_flight.drained(names.key()).await;
        self.clear(&Scope::Pod(names)).await.map(|_| ())
    }

    /// The pods of which an owner has anything.
    pub(super) async fn pods_of(&self, owner: &str) -> Result<Vec<PodFound>, EngineError> {
        // What a dropped start of this process still has under way belongs to its build too.
        self.in_flight.all_drained().await;
        let pods = self.find(&Scope::Owner(owner)).await?.pods;
        Ok(pods.into_iter().map(|(key, (build, state))| PodFound { key, build, state }).collect())
    }

    /// Removes builds' pods.
    pub(super) async fn sweep_builds(
        &self,
        owner: &str,
        builds: &BTreeSet<String>,
        dry_run: bool,
    ) -> Result<Vec<String>, EngineError> {
        if !dry_run {
            self.in_flight.all_drained().await;
        }
        let scope = Scope::Builds { owner, builds };
        let names: BTreeSet<String> =
            if dry_run { self.find(&scope).await?.names().cloned().collect() } else { self.clear(&scope).await? };
        Ok(names.into_iter().collect())
    }

    /// Removes until a look finds nothing: so also what came into being during the removal, and what could not be removed
    /// yet because something else still used it. Returns the names of all that was found.
    async fn clear(&self, scope: &Scope<'_>) -> Result<BTreeSet<String>, EngineError> {
        let mut removed = BTreeSet::new();
        let mut pause = FIRST_PAUSE;
        let mut failures = Vec::new();
        for _ in 0..PASSES {
            let found = self.find(scope).await?;
            if found.is_empty() {
                return Ok(removed);
            }
            removed.extend(found.names().cloned());
            failures = self.remove_found(found).await;
            if !failures.is_empty() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
        let found = self.find(scope).await?;
        if found.is_empty() {
            return Ok(removed);
        }
        let names: Vec<_> = found.names().cloned().collect();
        Err(EngineError::Refused { what: format!("remove {}", names.join(", ")), reason: failures.join("; ") })
    }

    async fn find(&self, scope: &Scope<'_>) -> Result<Found, EngineError> {
        let found = raw::listed(|| self.list(scope)).await;
        found.map_err(|error| refused("list containers, networks and volumes", &error))
    }

    async fn list(&self, scope: &Scope<'_>) -> Result<Found, Error> {
        let label = scope.label();
        let filters = || Some(HashMap::from([("label".to_owned(), vec![label.clone()])]));
        let (containers, networks, volumes) = try_join!(
            raw::list_containers(&self.docker, &label),
            raw::whole(&self.docker, self.docker.list_networks(Some(ListNetworksOptions { filters: filters() }))),
            raw::whole(&self.docker, self.docker.list_volumes(Some(ListVolumesOptions { filters: filters() }))),
        )?;
        let mut pods = BTreeMap::new();
        let mut covers = |labels: Option<&HashMap<String, String>>, sidecar: PodState| match labels {
            Some(labels) if scope.covers(labels) => {
                if let (Some(key), Some(build)) = (labels.get(LABEL_POD), labels.get(LABEL_BUILD)) {
                    let pod = pods.entry(key.clone()).or_insert((build.clone(), PodState::Unfinished));
                    if sidecar != PodState::Unfinished {
                        pod.1 = sidecar;
                    }
                }
                true
            }
            _ => false,
        };
        let of_sidecar = |container: &raw::Listed| {
            let key = container.labels.as_ref().and_then(|labels| labels.get(LABEL_POD));
            match key.and_then(|key| Names::of(key).ok()) {
                Some(names) if container.is_called(&names.sidecar()) => container.pod_state(),
                _ => PodState::Unfinished,
            }
        };
        let found = Found {
            containers: containers
                .into_iter()
                .filter(|container| covers(container.labels.as_ref(), of_sidecar(container)))
                .map(raw::Listed::into_name)
                .collect(),
            networks: networks
                .into_iter()
                .filter(|network| covers(network.labels.as_ref(), PodState::Unfinished))
                .filter_map(|network| network.name.or(network.id))
                .collect(),
            volumes: volumes
                .volumes
                .into_iter()
                .flatten()
                .filter(|volume| covers(Some(&volume.labels), PodState::Unfinished))
                .map(|volume| volume.name)
                .collect(),
            pods: BTreeMap::new(),
        };
        Ok(Found { pods, ..found })
    }

    /// Removes what was found; returns what failed.
    async fn remove_found(&self, found: Found) -> Vec<String> {
        let containers = found.containers.into_iter().map(|name| async move {
            let options = RemoveContainerOptions { v: true, force: true, link: false };
            let removed = self.docker.remove_container(&name, Some(options)).await;
            failure("container", &name, removed)
        });
        let mut failures = some_at_once(containers.collect()).await;
        // A network that is in use can't go, nor can a volume.
        let networks = found
            .networks
            .into_iter()
            .map(|name| async move { failure("network", &name, self.docker.remove_network(&name).await) });
        let volumes = found.volumes.into_iter().map(|name| async move {
            let options = RemoveVolumeOptions { force: true };
            failure("volume", &name, self.docker.remove_volume(&name, Some(options)).await)
        });
        let (networks, volumes) = join(some_at_once(networks.collect()), some_at_once(volumes.collect())).await;
        failures.extend(networks);
        failures.extend(volumes);
        failures
    }
}

/// What is not there any more has not failed to be removed.
fn failure(kind: &str, name: &str, removed: Result<(), Error>) -> Option<String> {
    let error = removed.err().filter(|error| !is_missing(error))?;
    Some(format!("{kind} {name}: {}", said(&error)))
}

/// Removes, some at once; returns what failed.
async fn some_at_once(removals: Vec<impl Future<Output = Option<String>>>) -> Vec<String> {
    stream::iter(removals).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}
