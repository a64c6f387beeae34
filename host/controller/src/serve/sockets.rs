//! How the build API is reached: in process by scripts, and by sidecars on a socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::Router;
use monkeyci_api::{InProcess, paths};
use tokio::sync::OnceCell;

use super::listen::{Listener, in_process};
use crate::error::ControllerError;
use crate::home::{API, make_dir};

/// Where the build API listens when sidecars run on other machines.
#[derive(Clone, Debug)]
pub struct ApiOverTcp {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The host name or address by which sidecars reach it.
    pub advertise: String,
    /// Listen also on an address that is no loopback address. The API has no TLS, and tokens go over it: only where packets never leave
    /// this machine, or a network that nobody else is on. The network of the machine's own containers is one.
    pub plain_network: bool,
}

impl ApiOverTcp {
    /// # Errors
    /// When tokens would go over a network for everybody to read.
    pub(crate) fn check(&self) -> Result<(), ControllerError> {
        if self.listen.ip().is_loopback() || self.plain_network {
            return Ok(());
        }
        Err(ControllerError::PlainNetwork { address: self.listen })
    }

    /// The address for sidecars.
    fn url(&self, port: u16) -> String {
        format!("http://{}:{port}", self.advertise)
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
    /// The directory to mount, if it is a Unix socket.
    pub(crate) dir: Option<PathBuf>,
}

/// The ways to the build API.
#[derive(Debug)]
pub(crate) struct ApiSockets {
    in_process: Router,
    sockets: Router,
    tcp: Option<ApiOverTcp>,
    listening: OnceCell<(Listener, String)>,
}

impl ApiSockets {
    /// Two routers to one API: for calls in process, and for those that come by a socket.
    pub(crate) fn new(in_process: Router, sockets: Router, tcp: Option<ApiOverTcp>) -> Self {
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

    /// Whether the build API is at this address, for sidecars, once it is listened to. With a port that the system chooses, nobody knows.
    pub(crate) fn is_at(&self, url: &str) -> bool {
        match &self.tcp {
            None => url == unix(),
            Some(tcp) => tcp.listen.port() != 0 && url == tcp.url(tcp.listen.port()),
        }
    }

    /// Makes the build API reachable for the sidecars of a build: on a Unix socket in the build's own directory (the listener
    /// lives as long as the build), or on the host's TCP address.
    pub(crate) async fn listen(&self, dir: &Path) -> Result<(ApiAddress, Option<Listener>), ControllerError> {
        let Some(tcp) = &self.tcp else {
            let dir = dir.join(API);
            make_dir(&dir).map_err(|source| ControllerError::Home { path: dir.clone(), source })?;
            let listener = Listener::unix(&dir, "api.sock", self.sockets.clone())?;
            let url = unix();
            return Ok((ApiAddress { url, dir: Some(dir) }, Some(listener)));
        };
        let (_, url) = self
            .listening
            .get_or_try_init(|| async {
                let (listener, address) = Listener::tcp(tcp.listen, self.sockets.clone()).await?;
                Ok::<_, ControllerError>((listener, tcp.url(address.port())))
            })
            .await?;
        Ok((ApiAddress { url: url.clone(), dir: None }, None))
    }
}
