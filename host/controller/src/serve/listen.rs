//! The three ways to the router: in process, Unix socket, TCP.

use std::convert::Infallible;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures::FutureExt;
use monkeyci_api::InProcess;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::error::ControllerError;

/// Calls the router without a socket.
pub(crate) fn in_process(router: Router) -> InProcess {
    Arc::new(move |request| {
        let router = router.clone();
        async move {
            let response: Result<_, Infallible> = router.oneshot(request.map(Body::new)).await;
            let response = response.unwrap_or_else(|never| match never {});
            response.map(|body| monkeyci_api::Body::wrap_stream(body.into_data_stream()))
        }
        .boxed()
    })
}

/// A socket that serves the router until this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens on a Unix socket of mode 0600 in `dir`, which should be 0700.
    pub(crate) fn unix(dir: &Path, name: &str, router: Router) -> Result<Self, ControllerError> {
        let path = dir.join(name);
        let fail = |source| ControllerError::Listen { address: path.display().to_string(), source };
        // The path of a Unix socket has at most 107 bytes; through the directory's descriptor it is always short.
        let opened = File::open(dir).map_err(fail)?;
        let short = format!("/proc/self/fd/{}/{name}", opened.as_raw_fd());
        let socket = UnixListener::bind(short).map_err(fail)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(fail)?;
        let task = tokio::spawn(async move {
            // `serve` ends only with its task.
            let _ = axum::serve(socket, router).await;
        });
        Ok(Self { task })
    }

    /// Listens on a TCP address; returns the address it has got.
    pub(crate) async fn tcp(address: SocketAddr, router: Router) -> Result<(Self, SocketAddr), ControllerError> {
        let fail = |source| ControllerError::Listen { address: address.to_string(), source };
        let socket = TcpListener::bind(address).await.map_err(fail)?;
        let local = socket.local_addr().map_err(fail)?;
        let task = tokio::spawn(async move {
            let _ = axum::serve(socket, router).await;
        });
        Ok((Self { task }, local))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}
