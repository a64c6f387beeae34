//! What a container may reach: the rules, in the order in which they count.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use monkeyci_api::NetworkRules;
use monkeyci_api::networks::{NEVER, PRIVATE};
use monkeyci_build::{AddressRange, DestinationHost};

use super::surroundings::Surroundings;

/// A rule about what leaves the container. The first that fits counts; what fits none is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) to: AddressRange,
    pub(super) what: Traffic,
    pub(super) allowed: bool,
}

/// The packets that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    All,
    /// TCP and UDP to this port.
    Port(u16),
    /// How neighbours are found with IPv6.
    Icmp6,
}

const DNS: u16 = 53;

/// All addresses.
fn everything() -> [AddressRange; 2] {
    [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)].map(|first| range(first, 0))
}

/// Where neighbours are found.
fn link() -> [AddressRange; 2] {
    [(0xfe80, 10), (0xff02, 16)].map(|(first, prefix)| range(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0).into(), prefix))
}

/// The addresses that begin like this one; itself where there are none.
fn range(address: IpAddr, prefix: u8) -> AddressRange {
    AddressRange::new(address, prefix).unwrap_or_else(|| address.into())
}

/// The rules for a container.
pub(super) fn rules(network: &NetworkRules, around: &Surroundings) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut add = |to, what, allowed| rules.push(Rule { to, what, allowed });
    if network.internet {
        for resolver in around.resolvers.iter().chain(&network.resolvers).filter(|resolver| !resolver.is_loopback()) {
            add(AddressRange::from(*resolver), Traffic::Port(DNS), true);
        }
    }
    for link in link() {
        add(link, Traffic::Icmp6, true);
    }

    let machine = around.gateways.iter().chain(&network.machine).map(|address| AddressRange::from(*address));
    let shared = around.subnets.iter().flat_map(shared);
    for never in NEVER.into_iter().flat_map(with_nat64).chain(machine).chain(shared) {
        add(never, Traffic::All, false);
    }
    for subnet in &around.subnets {
        add(*subnet, Traffic::All, true);
    }
    // Also those that come later, of which nobody knows the gateways yet: so this is before what is permitted.
    for pods in network.pods.into_iter().flat_map(with_nat64) {
        add(pods, Traffic::All, false);
    }
    // What is private and permitted comes before what is private. (A name says nothing here: whoever gave the orders has looked
    // it up.)
    let allowed = network.allow.iter().filter_map(|allowed| match &allowed.host {
        DestinationHost::Range(range) => Some((*range, allowed.port.map_or(Traffic::All, Traffic::Port))),
        DestinationHost::Name(_) => None,
    });
    let (permitted, public): (Vec<_>, Vec<_>) =
        allowed.partition(|(range, _)| network.permitted.iter().any(|permitted| permitted.covers(range)));
    for (range, what) in permitted {
        add(range, what, true);
    }
    for private in PRIVATE.into_iter().flat_map(with_nat64) {
        add(private, Traffic::All, false);
    }
    if !network.internet {
        for (range, what) in public {
            add(range, what, true);
        }
        for range in everything() {
            add(range, Traffic::All, false);
        }
    }
    rules
}

/// The addresses of a network that several listen to, the machine among them: the last of version 4 and, with kernels before 5.14,
/// its first, which both mean everybody; the first of version 6, which means all routers (RFC 4291).
fn shared(subnet: &AddressRange) -> impl Iterator<Item = AddressRange> {
    let (first, last) = match subnet.first() {
        // A network of two or one has none.
        IpAddr::V4(first) if subnet.prefix() < 31 => {
            (Some(first.into()), Some(Ipv4Addr::from_bits(first.to_bits() | (u32::MAX >> subnet.prefix())).into()))
        }
        IpAddr::V6(first) if subnet.prefix() < 127 => (Some(IpAddr::V6(first)), None),
        _ => (None, None),
    };
    first.into_iter().chain(last).map(AddressRange::from)
}

/// A range, and the same by way of a gateway from version 6 to 4 (RFC 6052), which may stand at the machine's network.
fn with_nat64(range: AddressRange) -> impl Iterator<Item = AddressRange> {
    let translated = match range.first() {
        IpAddr::V4(first) => {
            let prefix = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0).to_bits();
            let address = Ipv6Addr::from_bits(prefix | u128::from(first.to_bits()));
            AddressRange::new(address.into(), 96 + range.prefix())
        }
        IpAddr::V6(_) => None,
    };
    [range].into_iter().chain(translated)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            subnets: vec!["172.18.0.0/16".parse().unwrap()],
            gateways: vec!["172.18.0.1".parse().unwrap()],
            resolvers: vec!["127.0.0.11".parse().unwrap(), "10.0.0.2".parse().unwrap()],
        }
    }

    /// Whether a packet to this address and TCP port gets out.
    fn leaves(network: &NetworkRules, to: &str, port: u16) -> bool {
        let to: AddressRange = to.parse().unwrap();
        let fits = |rule: &&Rule| {
            rule.to.covers(&to)
                && match rule.what {
                    Traffic::All => true,
                    Traffic::Port(only) => only == port,
                    Traffic::Icmp6 => false,
                }
        };
        rules(network, &around()).iter().find(fits).is_none_or(|rule| rule.allowed)
    }

    #[test]
    fn the_internet_is_what_is_no_private_network() {
        let internet = NetworkRules { internet: true, ..NetworkRules::default() };
        for to in ["1.1.1.1", "198.51.100.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::1.1.1.1"] {
            assert!(leaves(&internet, to, 443), "{to}");
        }
        for to in
            ["10.0.0.1", "172.17.0.2", "192.168.1.1", "100.64.0.1", "fd12::1", "64:ff9b::10.0.0.1", "2002:a00:1::"]
        {
            assert!(!leaves(&internet, to, 443), "{to}");
        }
    }

    #[test]
    fn the_pod_is_reached_and_its_machine_is_not() {
        for internet in [true, false] {
            let network =
                NetworkRules { internet, machine: vec!["203.0.113.9".parse().unwrap()], ..NetworkRules::default() };
            assert!(leaves(&network, "172.18.0.3", 5432));
            for to in
                ["172.18.0.1", "172.18.0.0", "172.18.255.255", "255.255.255.255", "203.0.113.9", "fe80::1", "ff02::1"]
            {
                assert!(!leaves(&network, to, 22), "{to}");
            }
        }
    }

    #[test]
    fn name_servers_are_reached_for_names_alone() {
        let internet = NetworkRules {
            internet: true,
            resolvers: vec!["169.254.169.254".parse().unwrap(), "172.18.0.1".parse().unwrap()],
            ..NetworkRules::default()
        };
        for to in ["10.0.0.2", "169.254.169.254", "172.18.0.1"] {
            assert!(leaves(&internet, to, 53), "{to}");
            assert!(!leaves(&internet, to, 80), "{to}");
            assert!(!leaves(&NetworkRules { internet: false, ..internet.clone() }, to, 53), "{to}");
        }
    }

    #[test]
    fn without_the_internet_only_what_is_allowed_is_reached() {
        let allow = ["10.1.2.3:5432", "1.1.1.0/24"].map(|text| text.parse().unwrap()).to_vec();
        let network =
            NetworkRules { allow, permitted: vec!["10.1.0.0/16".parse().unwrap()], ..NetworkRules::default() };
        assert!(leaves(&network, "10.1.2.3", 5432));
        assert!(!leaves(&network, "10.1.2.3", 22));
        assert!(leaves(&network, "1.1.1.9", 443));
        assert!(!leaves(&network, "8.8.8.8", 443));
    }

    #[test]
    fn what_is_private_is_reached_only_where_that_is_permitted() {
        let allow = ["0.0.0.0/0", "10.1.2.3", "10.2.2.3"].map(|text| text.parse().unwrap()).to_vec();
        for internet in [true, false] {
            let permitted = vec!["10.1.0.0/16".parse().unwrap()];
            let network = NetworkRules { internet, allow: allow.clone(), permitted, ..NetworkRules::default() };
            for (to, reached) in [("8.8.8.8", true), ("10.1.2.3", true), ("10.1.2.4", false), ("10.2.2.3", false)] {
                assert_eq!(leaves(&network, to, 443), reached, "{to}");
            }
        }
    }

    #[test]
    fn what_is_allowed_never_leads_to_metadata_or_the_machine() {
        let allow = ["0.0.0.0/0", "::/0"].map(|text| text.parse().unwrap()).to_vec();
        let permitted = ["0.0.0.0/0", "::/0"].map(|text| text.parse().unwrap()).to_vec();
        let network = NetworkRules { allow, permitted, ..NetworkRules::default() };
        for to in ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "172.18.0.1"] {
            assert!(!leaves(&network, to, 80), "{to}");
        }
        assert!(leaves(&network, "10.0.0.1", 80));
    }

    #[test]
    fn another_pods_network_is_not_reached_even_one_that_is_made_later() {
        let around = Surroundings {
            subnets: vec!["198.18.7.64/26".parse().unwrap()],
            gateways: vec!["198.18.7.65".parse().unwrap()],
            resolvers: Vec::new(),
        };
        let everything = || vec!["0.0.0.0/0".parse().unwrap()];
        let network = NetworkRules {
            internet: true,
            allow: vec!["0.0.0.0/0".parse().unwrap()],
            permitted: everything(),
            pods: Some("198.18.0.0/15".parse().unwrap()),
            ..NetworkRules::default()
        };
        let reached = |to: &str| {
            let to: AddressRange = to.parse().unwrap();
            rules(&network, &around).iter().find(|rule| rule.to.covers(&to)).is_none_or(|rule| rule.allowed)
        };
        assert!(reached("198.18.7.70") && reached("10.0.0.1"));
        for to in ["198.18.7.65", "198.18.7.127", "198.18.7.1", "198.19.255.1", "64:ff9b::198.18.0.1"] {
            assert!(!reached(to), "{to}");
        }
    }
}
