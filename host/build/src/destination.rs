//! Destinations in a network: what a job may be let reach.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A host or a range of addresses, with or without a port: `10.1.2.3:5432`, `10.0.0.0/8`, `[fd00::1]:443`, `db.internal`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination {
    /// The host or hosts.
    pub host: DestinationHost,
    /// The one port; every port when none.
    pub port: Option<u16>,
}

/// The host, or hosts, of a [`Destination`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DestinationHost {
    /// All of these addresses.
    Range(AddressRange),
    /// Whatever addresses the name has when the job starts.
    Name(String),
}

/// Addresses with the same beginning: `10.0.0.0/8`. A single address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    first: IpAddr,
    prefix: u8,
}

/// A text is no destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no destination; use an address, a range of addresses (10.0.0.0/8) or a host name, each with or without a :port"
)]
pub struct NoDestination;

impl AddressRange {
    /// The addresses whose first `prefix` bits are those of `address`; none when it has not so many.
    pub const fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let first = match address {
            IpAddr::V4(address) if prefix <= 32 => {
                let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) };
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) if prefix <= 128 => {
                let mask = if prefix == 0 { 0 } else { u128::MAX << (128 - prefix) };
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
            _ => return None,
        };
        Some(Self { first, prefix })
    }

    /// The first address.
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// How many bits all addresses have in common.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether all addresses of `other` are among these.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && Self::new(other.first, self.prefix) == Some(*self)
    }

    /// Whether an address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl From<IpAddr> for AddressRange {
    fn from(address: IpAddr) -> Self {
        Self { first: address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::from(self.first) { self.first.fmt(f) } else { write!(f, "{}/{}", self.first, self.prefix) }
    }
}

impl FromStr for AddressRange {
    type Err = NoDestination;

    fn from_str(text: &str) -> Result<Self, NoDestination> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(number(prefix)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoDestination)?;
        match prefix {
            Some(prefix) => Self::new(address, prefix).ok_or(NoDestination),
            None => Ok(address.into()),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (DestinationHost::Range(range), None) => range.fmt(f),
            (DestinationHost::Range(range), Some(port)) if range.first.is_ipv6() => write!(f, "[{range}]:{port}"),
            (DestinationHost::Range(range), Some(port)) => write!(f, "{range}:{port}"),
            (DestinationHost::Name(name), None) => name.fmt(f),
            (DestinationHost::Name(name), Some(port)) => write!(f, "{name}:{port}"),
        }
    }
}

impl FromStr for Destination {
    type Err = NoDestination;

    fn from_str(text: &str) -> Result<Self, NoDestination> {
        if let Ok(range) = text.parse() {
            return Ok(Self { host: DestinationHost::Range(range), port: None });
        }
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(NoDestination)?)),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = match port.map(number).transpose()? {
            Some(0) => return Err(NoDestination),
            port => port,
        };
        let host = match host.parse() {
            Ok(range) => DestinationHost::Range(range),
            Err(NoDestination) if is_name(host) => DestinationHost::Name(host.to_ascii_lowercase()),
            Err(NoDestination) => return Err(NoDestination),
        };
        Ok(Self { host, port })
    }
}

/// A number as people write one: no sign.
fn number<T: FromStr>(text: &str) -> Result<T, NoDestination> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NoDestination);
    }
    text.parse().map_err(|_| NoDestination)
}

/// A host's name in the network. One whose last label is a number would be a broken address.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

macro_rules! as_text {
    ($($type:ident),*) => {$(
        impl TryFrom<String> for $type {
            type Error = NoDestination;

            fn try_from(text: String) -> Result<Self, NoDestination> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )*};
}

as_text!(Destination, AddressRange);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_written_as_they_are_read() {
        for (text, written) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3:5432", "10.1.2.3:5432"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.0.0.0/8:443", "10.0.0.0/8:443"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::1", "fd00::1"),
            ("fd00::1/64", "fd00::/64"),
            ("[fd00::1]", "fd00::1"),
            ("[fd00::1]:443", "[fd00::1]:443"),
            ("[fd00::/8]:443", "[fd00::/8]:443"),
            ("Db.Internal:5432", "db.internal:5432"),
            ("localhost", "localhost"),
        ] {
            let read: Destination = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(read.to_string(), written);
            assert_eq!(written.parse(), Ok(read));
        }
    }

    #[test]
    fn what_is_no_destination_is_none() {
        for text in [
            "",
            ":1",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "fd00::/129",
            "10.0.0.1:0",
            "10.0.0.1:65536",
            "10.0.0.1:",
            "[fd00::1",
            "[fd00::1]443",
            "10.0.0",
            "256.0.0.1",
            "a b",
            "-a",
            "a..b",
            "http://x",
            "x:y",
            "x/8",
            "x:1:2",
        ] {
            assert_eq!(text.parse::<Destination>(), Err(NoDestination), "{text}");
        }
    }

    #[test]
    fn a_range_covers_what_begins_as_it_does() {
        let range = |text: &str| text.parse::<AddressRange>().unwrap_or_else(|_| panic!("{text}"));
        assert!(range("10.0.0.0/8").covers(&range("10.1.0.0/16")));
        assert!(!range("10.1.0.0/16").covers(&range("10.0.0.0/8")));
        assert!(range("10.1.0.0/16").overlaps(&range("10.0.0.0/8")));
        assert!(!range("0.0.0.0/0").covers(&range("::/0")));
        assert!(range("::/0").covers(&range("fe80::1")));
    }
}
