//! Waits until the services' ports accept connections.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::try_join_all;
use monkeyci_api::ServiceProbe;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::StepError;
use super::phase::Phase;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// One attempt takes no longer than this: an address whose network drops packets would never answer.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Why a service is not ready.
pub(super) enum NotReady {
    /// We were not told its address.
    Unknown(StepError),
    /// A port of it took too long.
    TimedOut {
        /// The service.
        service: String,
        /// What was tried, and what came of it.
        reason: String,
    },
}

/// Waits for every port of every service; the first that takes too long ends it.
pub(super) async fn wait_for_all(probes: &[ServiceProbe], addresses: &str, phase: &Phase) -> Result<(), NotReady> {
    let addresses = parse(addresses);
    phase.waits_for(probes.iter().map(|probe| probe.name.as_str()));
    let mut services = Vec::new();
    for probe in probes {
        let address = *addresses.get(probe.name.as_str()).ok_or_else(|| {
            let step = format!("looking up service {}", probe.name);
            NotReady::Unknown(StepError::new(step, "the engine gave no address for it"))
        })?;
        services.push(async move {
            try_join_all(probe.ports.iter().map(|port| wait_for(probe, SocketAddr::new(address, *port)))).await?;
            phase.is_ready(&probe.name);
            Ok(())
        });
    }
    try_join_all(services).await.map(drop)
}

/// There is no name resolution in a static program, so the engine gives addresses: `name=address,name=address`.
fn parse(addresses: &str) -> BTreeMap<&str, IpAddr> {
    addresses
        .split(',')
        .filter_map(|entry| entry.split_once('='))
        .filter_map(|(name, address)| Some((name, address.parse().ok()?)))
        .collect()
}

async fn wait_for(probe: &ServiceProbe, address: SocketAddr) -> Result<(), NotReady> {
    let limit = Duration::from_millis(probe.timeout_ms);
    let end = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        let attempt = ATTEMPT.min(end.saturating_duration_since(Instant::now()));
        let last = match timeout(attempt, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() + pause >= end {
            let seconds = limit.as_secs_f64();
            let port = address.port();
            let reason = format!("port {port} accepted no connection within {seconds} s ({last})");
            return Err(NotReady::TimedOut { service: probe.name.clone(), reason });
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_names_and_addresses_of_both_kinds() {
        let parsed = parse("db=10.0.0.2,queue=fd00::1,broken,worse=x");
        let expected = [("db", "10.0.0.2"), ("queue", "fd00::1")];
        assert_eq!(parsed, expected.map(|(name, address)| (name, address.parse().unwrap())).into());
        assert!(parse("").is_empty());
    }
}
