//! How the build API is reached: in process by scripts, and by sidecars on a socket.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use axum::Router;
use monkeyci_api::{InProcess, paths};
use tokio::sync::OnceCell;

use super::listen::{Listener, in_process};
use super::tls::Authority;
use crate::error::ControllerError;
use crate::home::{API, Home, make_dir};

/// Where the build API listens when sidecars run on other machines.
#[derive(Clone, Debug)]
pub struct ApiOverTcp {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The host name or address by which sidecars reach it.
    pub advertise: String,
    /// Do without TLS also on an address that is no loopback address. Tokens go over it: only where packets never leave this machine, or
    /// a network that nobody else is on. The network of the machine's own containers is one.
    pub plain_network: bool,
}

impl ApiOverTcp {
    /// Whether it is served with TLS: wherever others may read along.
    pub(super) fn is_tls(&self) -> bool {
        !self.listen.ip().is_loopback() && !self.plain_network
    }

    /// The address for sidecars.
    fn url(&self, port: u16) -> String {
        let scheme = if self.is_tls() { "https" } else { "http" };
        match self.advertise.parse::<Ipv6Addr>() {
            Ok(address) => format!("{scheme}://[{address}]:{port}"),
            Err(_) => format!("{scheme}://{}:{port}", self.advertise),
        }
    }
}

/// The same, with who vouches for it where it is served with TLS.
#[derive(Debug)]
pub(crate) struct ApiOnNetwork {
    tcp: ApiOverTcp,
    authority: Option<Authority>,
}

impl ApiOnNetwork {
    /// # Errors
    /// When the home's authority can't be had, or sidecars could not check what it says.
    pub(crate) fn of(tcp: ApiOverTcp, home: &Home) -> Result<Self, ControllerError> {
        let authority = tcp.is_tls().then(|| Authority::of_home(home, &tcp.advertise)).transpose()?;
        Ok(Self { tcp, authority })
    }

    fn ca(&self) -> Option<&str> {
        self.authority.as_ref().map(Authority::certificate)
    }
}

/// The address of the build API's Unix socket, as sidecars see it.
fn unix() -> String {
    format!("unix:{}", paths::API_SOCKET)
}

/// How sidecars reach the build API.
#[derive(Clone, Debug)]
pub(crate) struct ApiAddress {
    /// For the sidecar's configuration.
    pub(crate) url: String,
    /// The certificate that comes with it where it is served with TLS.
    pub(crate) ca: Option<String>,
    /// The directory to mount, if it is a Unix socket.
    pub(crate) dir: Option<PathBuf>,
}

/// The ways to the build API.
#[derive(Debug)]
pub(crate) struct ApiSockets {
    in_process: Router,
    sockets: Router,
    tcp: Option<ApiOnNetwork>,
    listening: OnceCell<(Listener, String)>,
}

impl ApiSockets {
    /// Two routers to one API: for calls in process, and for those that come by a socket.
    pub(crate) fn new(in_process: Router, sockets: Router, tcp: Option<ApiOnNetwork>) -> Self {
        Self { in_process, sockets, tcp, listening: OnceCell::new() }
    }

    /// The router for sockets.
    pub(crate) fn router(&self) -> Router {
        self.sockets.clone()
    }

    /// Breaks the connections off that come to the host's address.
    pub(crate) fn cut(&self) {
        if let Some((listener, _)) = self.listening.get() {
            listener.cut();
        }
    }

    /// Calls without a socket.
    pub(crate) fn in_process(&self) -> InProcess {
        in_process(self.in_process.clone())
    }

    /// Whether the build API is at this address, for sidecars that know it by this certificate, once it is listened to. With a port that
    /// the system chooses, nobody knows.
    pub(crate) fn is_at(&self, url: &str, ca: Option<&str>) -> bool {
        match &self.tcp {
            None => url == unix(),
            Some(network) => {
                let port = network.tcp.listen.port();
                port != 0 && url == network.tcp.url(port) && ca == network.ca()
            }
        }
    }

    /// Makes the build API reachable for the sidecars of a build: on a Unix socket in the build's own directory (the listener
    /// lives as long as the build), or on the host's TCP address.
    pub(crate) async fn listen(&self, dir: &Path) -> Result<(ApiAddress, Option<Listener>), ControllerError> {
        let Some(network) = &self.tcp else {
            let dir = dir.join(API);
            make_dir(&dir).map_err(|source| ControllerError::Home { path: dir.clone(), source })?;
            let listener = Listener::unix(&dir, "api.sock", self.sockets.clone())?;
            let url = unix();
            return Ok((ApiAddress { url, ca: None, dir: Some(dir) }, Some(listener)));
        };
        let (_, url) = self
            .listening
            .get_or_try_init(|| async {
                let tls = network.authority.as_ref().map(Authority::acceptor);
                let (listener, address) = Listener::tcp(network.tcp.listen, self.sockets.clone(), tls).await?;
                Ok::<_, ControllerError>((listener, network.tcp.url(address.port())))
            })
            .await?;
        Ok((ApiAddress { url: url.clone(), ca: network.ca().map(str::to_owned), dir: None }, None))
    }
}
