//! The three ways to the router: in process, Unix socket, TCP.
//!
//! Who comes by a socket is a stranger until its token says more. So a connection has limits before anything of it reaches the
//! router: how long its handshake and its head may take and how large that may be, how many of them there may be; and on a Unix socket,
//! whose it is.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures::FutureExt;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use monkeyci_api::InProcess;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::limits::SocketLimits;
use super::peers::Peers;
use super::problem::Refusal;
use super::unread::Unread;
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
    cut: CancellationToken,
    /// Set when no further request is wanted.
    closing: CancellationToken,
    connections: TaskTracker,
}

impl Listener {
    /// Listens on a Unix socket of mode 0600 in `dir`, which should be 0700, for those whom it is meant for.
    pub(crate) fn unix(dir: &Path, name: &str, router: Router) -> Result<Self, ControllerError> {
        Self::unix_for(dir, name, router, Peers::of_this_host(), SocketLimits::of_build())
    }

    /// The same for all builds of a process.
    pub(crate) fn unix_of_host(dir: &Path, name: &str, router: Router) -> Result<Self, ControllerError> {
        Self::unix_for(dir, name, router, Peers::of_this_host(), SocketLimits::of_host())
    }

    pub(super) fn unix_for(
        dir: &Path,
        name: &str,
        router: Router,
        peers: Peers,
        limits: SocketLimits,
    ) -> Result<Self, ControllerError> {
        let path = dir.join(name);
        let fail = |source| ControllerError::Listen { address: path.display().to_string(), source };
        // The path of a Unix socket has at most 107 bytes; through the directory's descriptor it is always short.
        let opened = File::open(dir).map_err(fail)?;
        let short = format!("/proc/self/fd/{}/{name}", opened.as_raw_fd());
        let socket = UnixListener::bind(short).map_err(fail)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(fail)?;
        Ok(Self::serve(socket, router, limits, None, move |stream| peers.are(stream)))
    }

    /// Listens on a TCP address, with TLS if there is a certificate for it; returns the address it has got.
    pub(crate) async fn tcp(
        address: SocketAddr,
        router: Router,
        tls: Option<TlsAcceptor>,
    ) -> Result<(Self, SocketAddr), ControllerError> {
        Self::tcp_within(address, router, tls, SocketLimits::of_host()).await
    }

    pub(super) async fn tcp_within(
        address: SocketAddr,
        router: Router,
        tls: Option<TlsAcceptor>,
        limits: SocketLimits,
    ) -> Result<(Self, SocketAddr), ControllerError> {
        let fail = |source| ControllerError::Listen { address: address.to_string(), source };
        let socket = TcpListener::bind(address).await.map_err(fail)?;
        let local = socket.local_addr().map_err(fail)?;
        Ok((Self::serve(socket, router, limits, tls, |_| Ok(())), local))
    }

    /// Serves whoever connects and `may`.
    pub(super) fn serve<L: axum::serve::Listener>(
        mut socket: L,
        router: Router,
        limits: SocketLimits,
        tls: Option<TlsAcceptor>,
        may: impl Fn(&L::Io) -> Result<(), Refusal> + Send + 'static,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_buf_size(limits.head_bytes)
            .max_headers(limits.headers);
        let slots = Arc::new(Semaphore::new(limits.connections as usize));
        let (cut, closing, connections) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let (connections_cut, is_closing, tracker) = (cut.clone(), closing.clone(), connections.clone());
        let task = tokio::spawn(async move {
            // The semaphore is never closed. Whoever is beyond it waits to be taken in, and holds nothing of ours.
            while let Ok(slot) = slots.clone().acquire_owned().await {
                let (stream, _) = tokio::select! {
                    accepted = socket.accept() => accepted,
                    () = is_closing.cancelled() => return,
                };
                let router = match may(&stream) {
                    Ok(()) => router.clone(),
                    Err(refusal) => Router::new().fallback(async move || refusal.clone()),
                };
                let service = router.map_request(move |request: Request<Incoming>| {
                    request.map(|body| Body::new(Unread::new(Body::new(body), limits.refused_body)))
                });
                let service = TowerToHyperService::new(service);
                let (http, tls, cut) = (http.clone(), tls.clone(), connections_cut.clone());
                let closing = is_closing.clone();
                let connection = async move {
                    match tls {
                        None => converse(http, stream, service, closing).await,
                        Some(tls) => {
                            let stream = timeout(limits.handshake, tls.accept(stream)).await??;
                            converse(http, stream, service, closing).await
                        }
                    }
                };
                tracker.spawn(async move {
                    let _slot = slot;
                    tokio::select! {
                        () = cut.cancelled() => {}
                        ended = connection => {
                            if let Err(error) = ended {
                                tracing::debug!(%error, "a connection to an API has ended");
                            }
                        }
                    }
                });
            }
        });
        Self { task, cut, closing, connections }
    }

    /// Takes no further connection and no further request, and waits until those that are under way are answered.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.connections.close();
        self.connections.wait().await;
    }

    /// Breaks all connections off, and those that come, as the end of the process would: whoever was not answered asks somebody else.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }
}

/// Answers what comes over a connection. When no more is wanted, the request that is under way is the last one.
async fn converse<S, B>(
    http: http1::Builder,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: S,
    closing: CancellationToken,
) -> io::Result<()>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(io::Error::other),
        () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(io::Error::other)
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}
