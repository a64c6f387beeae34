//! The network of a pod: a small one of a range that all pods' networks are taken from.
//!
//! Engines have ranges of their own, of which Docker's are enough for some thirty networks, and which nobody can tell from the
//! networks of others.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::ListNetworksOptions;
use monkeyci_build::AddressRange;
use serde_json::{Value, json};

use super::DockerEngine;
use super::connect::Dialect;
use super::fault::{is_gone, is_overlapping, is_taken, refused};
use super::names::{Names, labels};
use super::raw;
use super::volume::not_ours;
use crate::{EngineError, LABEL_POD, Pod};

/// The prefix of a pod's network: room for 61 containers beside the gateway.
pub(super) const PREFIX: u8 = 26;

/// So often another network is tried when somebody takes the one that was free. It is somebody else's each time, so this is plenty.
const ATTEMPTS: u32 = 64;

/// The first pause before a network is looked for again while all are in use; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// A range for networks of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pool {
    range: AddressRange,
    first: Ipv4Addr,
}

impl Pool {
    /// None where the range is of version 6, or too small for one network.
    fn new(range: AddressRange) -> Option<Self> {
        match range.first() {
            IpAddr::V4(first) if range.prefix() <= PREFIX => Some(Self { range, first }),
            _ => None,
        }
    }

    /// How many networks it has room for.
    fn size(&self) -> u32 {
        1_u32.checked_shl(u32::from(PREFIX - self.range.prefix())).unwrap_or(u32::MAX)
    }

    /// One of the networks, by its number; past the last one the first comes again.
    fn network(&self, number: u32) -> AddressRange {
        let first = self.first.to_bits() + ((number % self.size()) << (32 - u32::from(PREFIX)));
        AddressRange::new(IpAddr::V4(first.into()), PREFIX).unwrap_or(self.range)
    }

    /// The networks in the order in which a pod tries them: pods that start at once begin at different ones.
    fn networks(&self, key: &str) -> impl Iterator<Item = AddressRange> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let begin = (hasher.finish() % u64::from(self.size())) as u32;
        let pool = *self;
        (0..self.size()).map(move |step| pool.network(begin.wrapping_add(step)))
    }
}

/// A network that is there.
struct Taken {
    subnets: Vec<AddressRange>,
    /// Whether a pod has it, of whichever host, and gives it back.
    is_pods: bool,
}

impl Taken {
    fn is_pods_in(&self, range: &AddressRange) -> bool {
        self.is_pods && self.subnets.iter().any(|subnet| subnet.overlaps(range))
    }
}

impl DockerEngine {
    /// Creates the pod's private network, or gets the one that is there. Where all of them are in use, and pods have some, it waits until
    /// one is free: others end, and the job does not fail for them. What else has the addresses never goes.
    pub(super) async fn create_network(
        &self,
        pod: &Pod,
        names: &Names,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), EngineError> {
        let what = format!("create network {}", names.network());
        let range = self.options.pod_networks;
        let reason = format!(
            "pods' networks are to be taken from {range}, which is no range of at least 64 addresses of version 4"
        );
        let refuse = |reason| EngineError::Refused { what: what.clone(), reason };
        let pool = Pool::new(range).ok_or_else(|| refuse(reason))?;
        let (mut pause, mut waits, mut is_last) = (FIRST_PAUSE, false, false);
        while !self.has_made_network(pod, names, &pool).await? {
            if self.networks().await?.iter().any(|network| network.is_pods_in(&range)) {
                if !std::mem::replace(&mut waits, true) {
                    progress(format!(
                        "waiting for a free network: all {} of {range} are in use; let fewer jobs run at once, or name another range \
                         (--pod-networks)",
                        pool.size()
                    ));
                }
                is_last = false;
                tokio::time::sleep(pause).await;
                pause = LAST_PAUSE.min(pause * 2);
            } else if std::mem::replace(&mut is_last, true) {
                // Twice, since a pod may have given its network back between the two looks.
                return Err(refuse(format!(
                    "all addresses of {range} are in use, and no pod has them but other networks or the machine's own routes; name \
                     another range (--pod-networks)"
                )));
            }
        }
        Ok(())
    }

    /// Makes the first network that is free; says whether there was one.
    async fn has_made_network(&self, pod: &Pod, names: &Names, pool: &Pool) -> Result<bool, EngineError> {
        let (mut taken, mut attempts) = (BTreeSet::new(), 0);
        for network in pool.networks(names.key()) {
            if taken.iter().any(|other: &AddressRange| other.overlaps(&network)) {
                continue;
            }
            match self.try_network(pod, names, &network).await {
                Ok(()) => return Ok(true),
                Err(error) if is_overlapping(&error) && attempts < ATTEMPTS => {
                    attempts += 1;
                    taken = self.networks().await?.into_iter().flat_map(|network| network.subnets).collect();
                    taken.insert(network);
                }
                Err(error) if is_taken(&error) && !is_overlapping(&error) => {
                    return self.own_network(names).await.map(|()| true);
                }
                Err(error) if is_overlapping(&error) => return Ok(false),
                Err(error) => return Err(refused(format!("create network {}", names.network()), &error)),
            }
        }
        Ok(false)
    }

    async fn try_network(&self, pod: &Pod, names: &Names, subnet: &AddressRange) -> Result<(), Error> {
        let (name, labels, subnet) = (names.network(), labels(pod), subnet.to_string());
        let plain = |more: Value| {
            let mut body = json!({
                "Name": &name, "Driver": "bridge", "Labels": &labels, "IPAM": { "Config": [{ "Subnet": &subnet }] },
            });
            body.as_object_mut()
                .into_iter()
                .for_each(|body| body.extend(more.as_object().cloned().unwrap_or_default()));
            self.post_network(names.key(), "/networks/create".to_owned(), body)
        };
        match &self.dialect {
            // Docker before 25 happily makes a second network of the same name unless told to check.
            Dialect::Docker => plain(json!({ "CheckDuplicate": true })).await,
            // Podman's bridges reach each other unless they are isolated, and only its own API can ask for that.
            Dialect::Podman { own_api } => {
                let body = json!({
                    "name": &name, "driver": "bridge", "dns_enabled": true, "options": { "isolate": "true" },
                    "labels": &labels, "subnets": [{ "subnet": &subnet }],
                });
                match self.post_network(names.key(), format!("{own_api}/networks/create"), body).await {
                    Err(error) if !is_taken(&error) && !is_overlapping(&error) && !is_gone(&error) => {
                        tracing::warn!(network = name, %error, "Podman can't isolate networks: pods can reach each other");
                        plain(json!({})).await
                    }
                    other => other,
                }
            }
        }
    }

    async fn post_network(&self, key: &str, address: String, body: Value) -> Result<(), Error> {
        let docker = self.docker.clone();
        self.in_flight.run(key, async move { raw::post(&docker, address, &body).await }).await
    }

    /// All networks that the engine has.
    async fn networks(&self) -> Result<Vec<Taken>, EngineError> {
        let list = || raw::whole(&self.docker, self.docker.list_networks(None::<ListNetworksOptions>));
        let networks = raw::listed(list).await.map_err(|error| refused("list networks", &error))?;
        let taken = networks.into_iter().map(|network| {
            let configs = network.ipam.and_then(|ipam| ipam.config).into_iter().flatten();
            Taken {
                subnets: configs.filter_map(|config| config.subnet?.parse().ok()).collect(),
                is_pods: network.labels.is_some_and(|labels| labels.contains_key(LABEL_POD)),
            }
        });
        Ok(taken.collect())
    }

    /// The network that has our name is ours, and not somebody else's.
    async fn own_network(&self, names: &Names) -> Result<(), EngineError> {
        let name = names.network();
        let network = raw::whole(&self.docker, self.docker.inspect_network(&name, None))
            .await
            .map_err(|error| refused(format!("inspect network {name}"), &error))?;
        match network.labels.as_ref().and_then(|labels| labels.get(LABEL_POD)) {
            Some(key) if key == names.key() => Ok(()),
            _ => Err(not_ours(format!("use network {name}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(range: &str) -> Option<Pool> {
        Pool::new(range.parse().expect("a range"))
    }

    #[test]
    fn a_pod_tries_each_network_of_the_range_once() {
        let pool = pool("198.18.0.0/20").expect("a range for networks");
        let tried: Vec<_> = pool.networks("b1-j2").collect();
        let all: BTreeSet<_> = tried.iter().copied().collect();
        assert_eq!((tried.len(), all.len()), (64, 64));
        assert!(tried.iter().all(|network| network.prefix() == 26 && pool.range.covers(network)), "{tried:?}");
        assert!(pool.networks("b1-j3").next() != pool.networks("b1-j2").next(), "others begin elsewhere");
    }

    #[test]
    fn a_range_has_room_for_at_least_one_network_of_version_4() {
        assert_eq!(pool("198.18.0.64/26").map(|pool| pool.networks("x").count()), Some(1));
        assert_eq!(pool("198.18.0.0/15").map(|pool| pool.size()), Some(2048));
        assert_eq!((pool("198.18.0.0/27"), pool("fd00::/16")), (None, None));
    }
}
