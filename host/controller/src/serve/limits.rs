//! What a connection may cost before anybody knows whose it is.

use std::time::Duration;

use monkeyci_limits::{Area, Limit, Per};
use rustix::process::{Resource, getrlimit};

/// Limits of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketLimits {
    /// The connections that are served at a time.
    pub(crate) connections: u32,
    /// How long a handshake of TLS may take.
    pub(crate) handshake: Duration,
    /// How long the head of a request may take, and how long a connection may lie idle.
    pub(crate) head_time: Duration,
    /// The most bytes of a request's head.
    pub(crate) head_bytes: usize,
    /// The most headers of a request.
    pub(crate) headers: usize,
    /// How long the rest of a body is read that nobody wants, so that who sends it learns why.
    pub(crate) refused_body: Duration,
}

/// How long a body may bring nothing: a sidecar may look through a million files for those that an artifact is made of. Logs may for as
/// long as their job runs.
pub(crate) const SILENCE: Duration = Duration::from_secs(5 * 60);

impl SocketLimits {
    /// Of the socket of one build: of hundreds of jobs at a time each has a log, and now and then archives and calls. Nobody connects but
    /// sidecars.
    pub(crate) fn of_build() -> Self {
        Self::of(2, 2048)
    }

    /// Of the address of a host, and of its control socket.
    pub(crate) fn of_host() -> Self {
        Self::of(4, 1024)
    }

    /// Each connection is an open file: the rest of the host needs some too.
    fn of(share: u64, most: u32) -> Self {
        let open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let connections = u32::try_from(open / share).unwrap_or(u32::MAX).clamp(16, most);
        // A token names each artifact of its job: with two thousand it has some 300 KiB.
        Self {
            connections,
            handshake: Duration::from_secs(10),
            head_time: Duration::from_secs(20),
            head_bytes: 416 << 10,
            headers: 64,
            refused_body: Duration::from_secs(10),
        }
    }
}

/// The limits of the sockets of both APIs.
pub(crate) fn limits() -> Area {
    let (build, host) = (SocketLimits::of_build(), SocketLimits::of_host());
    let limits = vec![
        Limit::count(
            "connections to sockets",
            Per::Build,
            u64::from(build.connections),
            "a log for each of hundreds of jobs, archives and calls",
        )
        .by_machine("half of the files that the process may have open, 16 to 2,048"),
        Limit::count(
            "connections to sockets",
            Per::Host,
            u64::from(host.connections),
            "over TCP, of all builds, and again to the control socket; each is an open file",
        )
        .by_machine("a quarter of the files that the process may have open, 16 to 1,024"),
        Limit::bytes(
            "a request's head",
            Per::Call,
            build.head_bytes as u64,
            "a token names each artifact of its job, and a job may collect those of thousands",
        ),
        Limit::count("headers of a request", Per::Call, build.headers as u64, "our clients send a handful"),
        Limit::time(
            "a handshake of TLS",
            Per::Call,
            host.handshake,
            "beyond loopback; meanwhile it counts as one of the connections",
        ),
        Limit::time(
            "a request's head, and an idle connection",
            Per::Call,
            build.head_time,
            "whoever says nothing gives the connection to others",
        ),
        Limit::time(
            "the rest of a body that is refused",
            Per::Call,
            build.refused_body,
            "it is read and thrown away, so that who sends it finds the answer and no broken connection",
        ),
        Limit::time(
            "silence in a request's body",
            Per::Call,
            SILENCE,
            "a sidecar may look through a million files meanwhile; logs may be silent for ever",
        ),
    ];
    Area { name: "sockets", limits }
}
