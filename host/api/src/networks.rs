//! Networks that are no part of the internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use monkeyci_build::AddressRange;

/// What no container reaches, whatever it was let reach: where clouds keep the secrets of their machines, and what means every
/// machine of a network. (The metadata services of Azure, Alibaba, AWS and Google have addresses that look like others.)
pub const NEVER: [AddressRange; 10] = [
    v4([169, 254, 0, 0], 16),
    v4([168, 63, 129, 16], 32),
    v4([100, 100, 100, 200], 32),
    v4([224, 0, 0, 0], 4),
    v4([255, 255, 255, 255], 32),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
];

/// Private networks, RFC 1918; shared (RFC 6598), "this network", IETF's own, benchmarks, reserved; unique local, site local,
/// 6to4 and Teredo (which lead to addresses of version 4).
pub const PRIVATE: [AddressRange; 12] = [
    v4([10, 0, 0, 0], 8),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    v4([100, 64, 0, 0], 10),
    v4([0, 0, 0, 0], 8),
    v4([192, 0, 0, 0], 24),
    v4([198, 18, 0, 0], 15),
    v4([240, 0, 0, 0], 4),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
];

/// What the networks of all pods are taken from, on every machine that nobody told otherwise. A pod reaches its own of them, and no
/// other, whatever it was let reach: a gateway there is the machine. The range is kept for benchmarks of devices (RFC 2544), so
/// hardly any machine has a network there, and none of the internet is hidden by it.
pub const POD_NETWORKS: AddressRange = v4([198, 18, 0, 0], 15);

/// A range of addresses of version 4. Only for constants: it panics when there is no such range.
const fn v4(address: [u8; 4], prefix: u8) -> AddressRange {
    let [a, b, c, d] = address;
    range(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix)
}

/// The same of version 6.
const fn v6(address: [u16; 8], prefix: u8) -> AddressRange {
    let [a, b, c, d, e, f, g, h] = address;
    range(IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix)
}

const fn range(address: IpAddr, prefix: u8) -> AddressRange {
    match AddressRange::new(address, prefix) {
        Some(range) => range,
        None => panic!("no such range"),
    }
}
