//! What a container's network looks like from inside.

use std::fs::read_to_string;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use monkeyci_build::AddressRange;

/// What is around a container.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// The networks that it is in: the pod's.
    pub(super) subnets: Vec<AddressRange>,
    /// The ways out of them: the machine that it runs on.
    pub(super) gateways: Vec<IpAddr>,
    /// The name servers that it knows.
    pub(super) resolvers: Vec<IpAddr>,
}

impl Surroundings {
    pub(super) fn look() -> io::Result<Self> {
        let mut found = Self::default();
        found.routes_v4(&read_to_string("/proc/net/route")?);
        // A kernel without IPv6 has no such file.
        found.routes_v6(&read_to_string("/proc/net/ipv6_route").unwrap_or_default());
        found.resolv_conf(&read_to_string("/etc/resolv.conf").unwrap_or_default());
        Ok(found)
    }

    /// Reads lines of `interface destination gateway flags refs use metric mask …`, the addresses in the machine's order.
    fn routes_v4(&mut self, text: &str) {
        let address = |field: &str| {
            let bits = u32::from_str_radix(field, 16).ok()?;
            Some(Ipv4Addr::from(bits.to_ne_bytes()))
        };
        for line in text.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, destination, gateway, _, _, _, _, mask, ..] = fields.as_slice() else { continue };
            let (Some(destination), Some(gateway), Some(mask)) =
                (address(destination), address(gateway), address(mask))
            else {
                continue;
            };
            self.route(destination.into(), mask.to_bits().leading_ones() as u8, gateway.into());
        }
    }

    /// Reads lines of `destination prefix source prefix gateway metric refs use flags interface`.
    fn routes_v6(&mut self, text: &str) {
        let address = |field: &str| u128::from_str_radix(field, 16).ok().map(Ipv6Addr::from_bits);
        for line in text.lines() {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [destination, prefix, _, _, gateway, .., interface] = fields.as_slice() else { continue };
            let (Some(destination), Ok(prefix), Some(gateway)) =
                (address(destination), u8::from_str_radix(prefix, 16), address(gateway))
            else {
                continue;
            };
            // Among them are the container's own addresses; and what is local to a link has a rule of its own.
            let whole = prefix == 128 || destination.is_multicast() || destination.is_unicast_link_local();
            if *interface != "lo" && !whole {
                self.route(destination.into(), prefix, gateway.into());
            }
        }
    }

    fn route(&mut self, destination: IpAddr, prefix: u8, gateway: IpAddr) {
        if !gateway.is_unspecified() {
            self.gateways.push(gateway);
        } else if prefix > 0 {
            self.subnets.extend(AddressRange::new(destination, prefix));
        }
    }

    /// Reads name servers; also those that Docker (since 23) names in a comment, as it asks them itself.
    fn resolv_conf(&mut self, text: &str) {
        for line in text.lines() {
            let named =
                line.strip_prefix("nameserver").or_else(|| line.split_once("ExtServers:").map(|(_, list)| list));
            let words = named.unwrap_or_default().split(|c: char| c.is_whitespace() || "[](),".contains(c));
            self.resolvers.extend(words.filter_map(|word| word.parse::<IpAddr>().ok()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_network_and_its_gateway_are_found() {
        let mut found = Surroundings::default();
        found.routes_v4(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
             eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n",
        );
        found.routes_v6(
            "fd000000000000010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
             fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
             00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000010000000000000001 00000400 00000001 00000000 00000003     eth0\n\
             00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo\n",
        );
        assert_eq!(found.subnets, ["172.18.0.0/16", "fd00:0:0:1::/64"].map(|text| text.parse().unwrap()));
        assert_eq!(found.gateways, ["172.18.0.1", "fd00:0:0:1::1"].map(|text| text.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn name_servers_are_found_also_those_that_docker_asks_itself() {
        let mut found = Surroundings::default();
        found.resolv_conf("search x\nnameserver 127.0.0.11\noptions ndots:0\n# ExtServers: [10.0.0.2 host(1.1.1.1)]\n");
        assert_eq!(found.resolvers, ["127.0.0.11", "10.0.0.2", "1.1.1.1"].map(|text| text.parse::<IpAddr>().unwrap()));
    }
}
