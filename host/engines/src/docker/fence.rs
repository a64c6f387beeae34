//! What a pod's containers may reach: what is known of it outside of them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures::future::try_join_all;
use monkeyci_api::NetworkRules;
use monkeyci_api::networks::{NEVER, PRIVATE};
use monkeyci_build::{AddressRange, Destination, DestinationHost, NetworkMode};

use super::DockerEngine;
use super::connect::{Dialect, NetworkFence};
use crate::{EngineError, Pod};

/// A name server that nobody has: what Docker's own in each container is to ask when there is no internet. Without one it asks
/// those of the machine, by the machine's network if they are only there.
const NO_RESOLVER: &str = "192.0.2.1";

/// Files that name the machine's name servers. The second is what engines read where the first names a local one only.
const RESOLV_CONF: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// What a pod's containers may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fence {
    /// None when there is no fence.
    pub(super) rules: Option<NetworkRules>,
    /// Whether the job has no network at all.
    pub(super) cut_off: bool,
    /// The addresses of the names among what is allowed.
    pub(super) hosts: Vec<(String, IpAddr)>,
    /// The name servers, where the engine's own choice won't do.
    pub(super) dns: Option<Vec<String>>,
}

impl DockerEngine {
    /// Finds out what the rules for a pod need: addresses of names, and of the machine.
    ///
    /// # Errors
    /// When the job asks for what nobody may reach, or for a name that has no address.
    pub(super) async fn fence(&self, pod: &Pod) -> Result<Fence, EngineError> {
        if self.options.network_fence == NetworkFence::Off {
            return Ok(Fence { cut_off: self.is_cut_off(pod), ..unfenced(pod)? });
        }
        let internet = pod.network == NetworkMode::Internet;
        let looked_up = try_join_all(pod.network_allow.iter().map(|to| look_up(pod, to))).await?;
        let mut machine = if self.is_elsewhere { BTreeSet::new() } else { machine() };
        let mut rules = NetworkRules { internet, ..NetworkRules::default() };
        let mut hosts = Vec::new();
        for (destination, addresses) in pod.network_allow.iter().zip(looked_up) {
            for range in addresses {
                self.may_be_allowed(pod, destination, &range, &machine)?;
                if let DestinationHost::Name(name) = &destination.host {
                    hosts.push((name.clone(), range.first()));
                }
                rules.allow.push(Destination { host: DestinationHost::Range(range), port: destination.port });
            }
        }
        let is_docker = self.dialect == Dialect::Docker;
        let dns = (is_docker && !internet).then(|| vec![NO_RESOLVER.to_owned()]);
        rules.permitted.clone_from(&self.options.permitted_networks);
        rules.pods = Some(self.options.pod_networks);
        if !self.is_elsewhere {
            // What is private is refused without being named, unless something there is permitted.
            if rules.permitted.is_empty() {
                machine.retain(|address| !PRIVATE.iter().any(|range| range.covers(&AddressRange::from(*address))));
            }
            rules.machine = machine.into_iter().collect();
            if internet && is_docker {
                rules.resolvers = resolvers();
            }
        }
        Ok(Fence { rules: Some(rules), cut_off: self.is_cut_off(pod), hosts, dns })
    }

    /// Whether a pod's job has no network at all: it asks for none, and there is no fence to narrow one down.
    pub(super) fn is_cut_off(&self, pod: &Pod) -> bool {
        self.options.network_fence == NetworkFence::Off && pod.network == NetworkMode::None
    }

    /// What is not enforced of what a pod reaches, for people.
    pub(super) fn holes(&self) -> Vec<String> {
        let mut holes = Vec::new();
        if self.options.network_fence == NetworkFence::Off {
            holes.push(
                "there is no fence (--network-fence off): jobs and services reach whatever the engine's networks lead to, which \
                 may be private networks, other jobs, this machine and cloud metadata"
                    .to_owned(),
            );
        } else if self.is_elsewhere {
            holes.push(
                "the engine runs on another machine: jobs can't be kept from that machine's public addresses"
                    .to_owned(),
            );
        }
        holes
    }

    /// Whether a job may be let reach a destination. Nothing is left out in silence.
    fn may_be_allowed(
        &self,
        pod: &Pod,
        to: &Destination,
        range: &AddressRange,
        machine: &BTreeSet<IpAddr>,
    ) -> Result<(), EngineError> {
        let is_machine = machine.iter().any(|address| AddressRange::from(*address) == *range);
        let is_pods = self.options.pod_networks.covers(range);
        if is_machine || is_pods || NEVER.iter().any(|never| never.covers(range)) {
            return Err(not_allowed(
                pod,
                to,
                "no job may reach it: it means the machine or the network that jobs run on",
            ));
        }
        let is_private = PRIVATE.iter().any(|private| private.covers(range));
        if is_private && !self.options.permitted_networks.iter().any(|permitted| permitted.covers(range)) {
            return Err(not_allowed(
                pod,
                to,
                "it is in a private network, and whoever runs this host has not permitted it (--permit-network)",
            ));
        }
        Ok(())
    }
}

/// What there is without a fence: all, or nothing at all. Whoever asks for what lies between is told that it can't be had.
fn unfenced(pod: &Pod) -> Result<Fence, EngineError> {
    let refused = |what: &str| {
        let reason = format!("{what} can't be enforced: this host runs jobs without a fence (--network-fence off)");
        Err(EngineError::StartFailed { image: pod.image.clone(), reason })
    };
    if !pod.network_allow.is_empty() {
        return refused("the list of what it is let reach");
    }
    if pod.network == NetworkMode::None && !pod.services.is_empty() {
        return refused("a network that leads to its services alone");
    }
    Ok(Fence::default())
}

fn not_allowed(pod: &Pod, to: &Destination, reason: &str) -> EngineError {
    EngineError::StartFailed { image: pod.image.clone(), reason: format!("it can't be let reach {to}: {reason}") }
}

/// The addresses of a destination. A name is looked up here, once: what the rules say then is what the job gets for it.
async fn look_up(pod: &Pod, to: &Destination) -> Result<Vec<AddressRange>, EngineError> {
    match &to.host {
        DestinationHost::Range(range) => Ok(vec![*range]),
        DestinationHost::Name(name) => match tokio::net::lookup_host((name.as_str(), 0)).await {
            Ok(found) => {
                Ok(found.map(|address| AddressRange::from(address.ip())).collect::<BTreeSet<_>>().into_iter().collect())
            }
            Err(error) => Err(not_allowed(pod, to, &format!("its name has no address: {error}"))),
        },
    }
}

/// The addresses of this machine, but for those that lead nowhere else from a container: of loopback, and local to a link.
fn machine() -> BTreeSet<IpAddr> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    machine_v4(&read("/proc/net/fib_trie")).chain(machine_v6(&read("/proc/net/if_inet6"))).collect()
}

/// Reads pairs of lines: `|-- 10.0.0.5` and `/32 host LOCAL`.
fn machine_v4(trie: &str) -> impl Iterator<Item = IpAddr> {
    let after = trie.lines().skip(1);
    let local = trie.lines().zip(after).filter(|(_, kind)| kind.trim() == "/32 host LOCAL");
    local
        .filter_map(|(line, _)| line.trim().strip_prefix("|-- ")?.parse::<IpAddr>().ok())
        .filter(|address| !address.is_loopback())
}

/// Reads lines of `address number prefix scope flags interface`, where scope 0 is the whole network.
fn machine_v6(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [address, _, _, "00", ..] = fields.as_slice() else { return None };
        Some(std::net::Ipv6Addr::from_bits(u128::from_str_radix(address, 16).ok()?).into())
    })
}

/// The name servers that Docker asks for its containers: before version 23 the containers don't say.
fn resolvers() -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let text = RESOLV_CONF.map(read).concat();
    let of_machine = text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    let configuration: serde_json::Value = serde_json::from_str(&read("/etc/docker/daemon.json")).unwrap_or_default();
    let of_docker = configuration["dns"].as_array().into_iter().flatten().filter_map(|dns| dns.as_str()?.parse().ok());
    let all: BTreeSet<IpAddr> = of_machine.chain(of_docker).filter(|address: &IpAddr| !address.is_loopback()).collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_addresses_are_found() {
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.5\n        \
                    /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(machine_v4(trie).collect::<Vec<_>>(), ["10.0.0.5".parse::<IpAddr>().expect("an address")]);
        let v6 = "00000000000000000000000000000001 01 80 10 80       lo\n\
                  fe80000000000000000000000000000a 02 40 20 80     eth0\n\
                  20010db800000000000000000000000a 02 40 00 80     eth0\n";
        assert_eq!(machine_v6(v6).collect::<Vec<_>>(), ["2001:db8::a".parse::<IpAddr>().expect("an address")]);
    }
}
