//! A router on a TCP socket, for whoever connects.

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

use super::limits::SocketLimits;
use super::listen::Listener;

/// Serves a router to whoever connects, with limits before anybody knows who that is: how many connections there are, how long a request's head may
/// take and how large it may be. It serves until it is closed or dropped.
#[derive(Debug)]
#[must_use = "it serves as long as it is there"]
pub struct HttpServer(Listener);

impl HttpServer {
    /// Serves a router on a socket that listens, without TLS.
    pub fn on(socket: TcpListener, router: Router) -> Self {
        Self(Listener::serve(socket, router, SocketLimits::of_host(), None, |_| Ok(())))
    }

    /// How many connections such a server serves at a time: as many as this process may have files open for.
    pub fn connections() -> u32 {
        SocketLimits::of_host().connections
    }

    /// Takes nothing new, and waits so long for the requests that are under way; then it breaks them off. Whoever streams ends the streams first.
    pub async fn close(self, deadline: Duration) {
        if tokio::time::timeout(deadline, self.0.close()).await.is_err() {
            tracing::warn!("requests that were under way are broken off");
            self.0.cut();
        }
    }
}
