//! Addresses of engines, and the way to whatever is there.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use hyper::Uri;
use rustls::pki_types::ServerName;

use super::certificates::DockerTls;
use super::context::{self, Variables};
use super::ssh::Ssh;
use super::wire::Dialer;
use crate::EngineSettingsError;

/// The port of an engine over TLS where none is said.
const TLS_PORT: u16 = 2376;

/// An address to try, and who has named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) address: String,
    pub(super) origin: String,
    /// The files for TLS, where it is wanted.
    pub(super) tls: Option<DockerTls>,
}

impl Candidate {
    /// An address to which the variables apply that the docker command has for TLS.
    pub(super) fn of(address: String, origin: &str, variable: Variables<'_>) -> Result<Self, EngineSettingsError> {
        let tls = if is_tcp(&address) { context::tls(variable)? } else { None };
        Ok(Self { address, origin: origin.to_owned(), tls })
    }

    /// An address without TLS.
    pub(super) fn plain(address: String, origin: &str) -> Self {
        Self { address, origin: origin.to_owned(), tls: None }
    }

    /// Whether what is there runs on another machine. One without TLS on loopback is taken for this machine's.
    pub(super) fn is_elsewhere(&self) -> bool {
        let is_loopback = |uri: Uri| {
            let host = host_of(&uri);
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        };
        self.address.starts_with("ssh://")
            || (is_tcp(&self.address) && (self.tls.is_some() || !self.address.parse::<Uri>().is_ok_and(is_loopback)))
    }

    /// The client for what is there; `seconds` is how long a request may take.
    ///
    /// # Errors
    /// When the address is none, or the files for it can't be used.
    pub(super) fn client(&self, seconds: u64, ssh: &Path) -> Result<Result<Docker, Error>, EngineSettingsError> {
        let address = self.address.as_str();
        if address.starts_with("unix://") {
            return Ok(Docker::connect_with_unix(address, seconds, API_DEFAULT_VERSION));
        }
        if address.starts_with('/') {
            return Ok(Docker::connect_with_unix(&format!("unix://{address}"), seconds, API_DEFAULT_VERSION));
        }
        if address.starts_with("ssh://") {
            let ssh = Ssh::parse(address, ssh.to_owned()).map_err(|reason| self.none(&reason))?;
            let at = ssh.host().to_owned();
            return Ok(Dialer::Ssh(Arc::new(ssh)).client(&at, seconds));
        }
        match (&self.tls, address.split_once("://").map(|(scheme, _)| scheme)) {
            (Some(_), Some("http")) => {
                Err(self.none("it is one without TLS, and TLS is asked for; write tcp://host:port"))
            }
            (Some(tls), Some("tcp" | "https")) => self.over_tls(tls, seconds),
            (None, Some("https")) => Err(self.none(
                "TLS needs the certificate of the authority that vouches for the engine: set DOCKER_TLS_VERIFY=1, and \
                 DOCKER_CERT_PATH to the directory with ca.pem",
            )),
            (None, Some("http" | "tcp")) => Ok(Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION)),
            _ => Err(self.none("only unix:///path, tcp://host:port, http://host:port and ssh://user@host work here")),
        }
    }

    fn over_tls(&self, tls: &DockerTls, seconds: u64) -> Result<Result<Docker, Error>, EngineSettingsError> {
        let uri: Uri = self.address.parse().map_err(|error| self.none(&format!("{error}")))?;
        let host = host_of(&uri).to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|error| self.none(&error.to_string()))?;
        let port = uri.port_u16().unwrap_or(TLS_PORT);
        let at = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Ok(Dialer::Tls { host, port, name, config: tls.config()? }.client(&at, seconds))
    }

    fn none(&self, reason: &str) -> EngineSettingsError {
        let (address, origin) = (self.address.clone(), self.origin.clone());
        EngineSettingsError::Address { address, origin, reason: reason.to_owned() }
    }
}

/// The host of an address, without the brackets that one of version 6 has there.
fn host_of(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

fn is_tcp(address: &str) -> bool {
    ["tcp://", "http://", "https://"].iter().any(|scheme| address.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_elsewhere_unless_its_address_is_this_machines() {
        let at = |address: &str| Candidate::plain(address.to_owned(), "a test");
        for here in ["unix:///run/docker.sock", "tcp://127.0.0.1:2375", "http://[::1]:1", "http://localhost:1"] {
            assert!(!at(here).is_elsewhere(), "{here}");
        }
        for there in ["tcp://docker:2375", "http://192.0.2.1:2375", "ssh://localhost"] {
            assert!(at(there).is_elsewhere(), "{there}");
        }
        let tls = Some(DockerTls { ca: "ca.pem".into(), client: None });
        assert!(Candidate { tls, ..at("tcp://127.0.0.1:2376") }.is_elsewhere());
    }
}
