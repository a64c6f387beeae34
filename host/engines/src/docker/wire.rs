//! Connections to engines that are not at a socket of this machine: over TLS, or through ssh.
//!
//! What speaks HTTP over them keeps those that are free for the next request, since one takes a while to make.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::ssh::Ssh;

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(20);

/// How connections to an engine are made.
#[derive(Clone)]
pub(super) enum Dialer {
    /// Over TLS, with whoever is known by that name.
    Tls { host: String, port: u16, name: ServerName<'static>, config: Arc<ClientConfig> },
    /// By a program that is connected with the engine.
    Ssh(Arc<Ssh>),
}

impl Dialer {
    /// A client for the engine; `at` is what it is called in requests.
    pub(super) fn client(self, at: &str, seconds: u64) -> Result<Docker, Error> {
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build::<_, _>(self);
        let transport = move |request: BollardRequest| {
            let answer = http.request(request);
            async move { answer.await.map_err(Error::from) }
        };
        Docker::connect_with_custom_transport(transport, Some(format!("http://{at}")), seconds, API_DEFAULT_VERSION)
    }

    async fn dial(self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tls { host, port, name, config } => {
                let stream = TcpStream::connect((host.as_str(), port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(TlsConnector::from(config).connect(name, stream).await?))
            }
            Self::Ssh(ssh) => Ok(Box::new(ssh.connect()?)),
        }
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The engine is where it is, whatever a request calls it.
    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = self.clone();
        async { dialer.dial().await.map(TokioIo::new) }.boxed()
    }
}

/// A connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connection for Box<dyn Stream> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
