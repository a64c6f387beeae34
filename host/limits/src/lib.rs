//! What a limit is. Every crate of the host says which it has, next to the code that enforces them and from the same constants;
//! `monkeyci-host limits` prints them all, and `host/LIMITS.md` is what it prints.
//!
//! ```
//! use monkeyci_limits::{Limit, Per};
//!
//! const LONGEST: usize = 512;
//! const LIMITS: [Limit; 1] = [Limit::bytes("a cache's key", Per::Call, LONGEST as u64, "it becomes a part of a file's name")];
//!
//! assert_eq!(LIMITS[0].amount.to_string(), "512 B");
//! ```
#![deny(missing_docs)]

use std::fmt;
use std::time::Duration;

/// How much somebody may take of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Of what.
    pub resource: &'static str,
    /// Who or what has so much for itself.
    pub per: Per,
    /// How much: the constant that is enforced.
    pub amount: Amount,
    /// Why so much.
    pub why: &'static str,
    /// How it comes about, if it is not the same on every machine.
    pub by_machine: Option<&'static str>,
}

/// Who or what has a limit for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Per {
    /// One call, request, file or message.
    Call,
    /// One instance of a script: its `define`, or one action.
    Instance,
    /// One attempt of a job.
    Job,
    /// One build.
    Build,
    /// All builds of a host together.
    Host,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// So many.
    Count(u64),
    /// So long.
    Time(Duration),
    /// So many times as much.
    Times(u64),
    /// So many hundredths.
    Percent(u64),
}

/// The limits of one part of the host.
#[derive(Clone, Debug)]
pub struct Area {
    /// What they are about.
    pub name: &'static str,
    /// The limits.
    pub limits: Vec<Limit>,
}

impl Per {
    /// All, from the smallest.
    pub const ALL: [Self; 5] = [Self::Call, Self::Instance, Self::Job, Self::Build, Self::Host];

    /// In a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Instance => "instance",
            Self::Job => "job",
            Self::Build => "build",
            Self::Host => "host",
        }
    }
}

impl Limit {
    /// A limit of anything.
    pub const fn new(resource: &'static str, per: Per, amount: Amount, why: &'static str) -> Self {
        Self { resource, per, amount, why, by_machine: None }
    }

    /// A limit of bytes.
    pub const fn bytes(resource: &'static str, per: Per, bytes: u64, why: &'static str) -> Self {
        Self::new(resource, per, Amount::Bytes(bytes), why)
    }

    /// A limit of a number of things.
    pub const fn count(resource: &'static str, per: Per, count: u64, why: &'static str) -> Self {
        Self::new(resource, per, Amount::Count(count), why)
    }

    /// A limit of time.
    pub const fn time(resource: &'static str, per: Per, time: Duration, why: &'static str) -> Self {
        Self::new(resource, per, Amount::Time(time), why)
    }

    /// The same, which is not the same on every machine; `rule` says how it comes about.
    pub const fn by_machine(mut self, rule: &'static str) -> Self {
        self.by_machine = Some(rule);
        self
    }
}

impl fmt::Display for Amount {
    /// As people read it, and exactly: `256 KiB`, `65,537 B`, `2 min`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match *self {
            Self::Bytes(bytes) => match UNITS.into_iter().find(|(unit, _)| bytes > 0 && bytes % unit == 0) {
                Some((unit, name)) => write!(f, "{} {name}", grouped(bytes / unit)),
                None => write!(f, "{} B", grouped(bytes)),
            },
            Self::Count(count) => f.write_str(&grouped(count)),
            Self::Times(times) => write!(f, "× {}", grouped(times)),
            Self::Percent(percent) => write!(f, "{percent} %"),
            Self::Time(time) => match time.as_millis() as u64 {
                ms if ms % 1000 != 0 => write!(f, "{} ms", grouped(ms)),
                ms if ms % 86_400_000 == 0 && ms > 0 => write!(f, "{} d", ms / 86_400_000),
                ms if ms % 3_600_000 == 0 && ms > 0 => write!(f, "{} h", ms / 3_600_000),
                ms if ms % 60_000 == 0 && ms > 0 => write!(f, "{} min", ms / 60_000),
                ms => write!(f, "{} s", grouped(ms / 1000)),
            },
        }
    }
}

/// With a comma at the thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_exactly() {
        let shown = [
            Amount::Bytes(0),
            Amount::Bytes(256 << 10),
            Amount::Bytes(65_537),
            Amount::Bytes(3 << 30),
            Amount::Count(2_000_000),
            Amount::Count(64),
            Amount::Time(Duration::from_millis(1500)),
            Amount::Time(Duration::from_secs(90)),
            Amount::Time(Duration::from_secs(120)),
            Amount::Time(Duration::from_secs(30 * 24 * 3600)),
            Amount::Times(1000),
            Amount::Percent(75),
        ];
        let shown = shown.map(|amount| amount.to_string());
        let expected = [
            "0 B",
            "256 KiB",
            "65,537 B",
            "3 GiB",
            "2,000,000",
            "64",
            "1,500 ms",
            "90 s",
            "2 min",
            "30 d",
            "× 1,000",
            "75 %",
        ];
        assert_eq!(shown, expected);
    }
}
