//! The one client of the build API. The script's host functions and the sidecar use it, and nothing else.

mod jobs;
mod script;
mod stores;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use reqwest::{Body, Method, Request, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use jobs::Kept;

use crate::{Action, DIGEST_HEADER, Operation, Problem, SIZE_HEADER, STORE_FULL, Token, UNKNOWN_TOKEN, checked};

/// Calls that carry no stream have to be answered within this time.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection that nobody uses is kept. The server keeps it longer: a request must not meet its end.
pub const IDLE: Duration = Duration::from_secs(5);

/// The server's side of the in-process transport: takes a request as a socket would have brought it. The controller
/// makes it from its router, so the same code and the same checks run.
pub type InProcess = Arc<dyn Fn(http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> + Send + Sync>;

/// Bytes that arrive in pieces.
pub type ByteStream = BoxStream<'static, Result<Bytes, ClientError>>;

/// Bytes that arrive in pieces, and how many there are in all.
pub struct Sized {
    /// How many.
    pub size: u64,
    /// The bytes.
    pub bytes: ByteStream,
}

/// A cache that was found.
pub struct CacheHit {
    /// Whether it was found under its own key, and not under one that starts like a fallback.
    pub exact: bool,
    /// A tar archive compressed with zstd.
    pub archive: ByteStream,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no; the problem says why.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// The server could not be reached, or went away.
    #[error("the build API can't be reached: {0}")]
    Unreachable(String),
    /// The bytes of an archive are not those that were saved.
    #[error(
        "the store has changed it: it was saved with SHA-256 {saved}, and what came has {found}; it has to be saved anew"
    )]
    Changed {
        /// The digest when it was saved.
        saved: String,
        /// The digest of what came.
        found: String,
    },
    /// The server answered something that this client does not understand.
    #[error("the build API gave an answer of the wrong form: {0}")]
    Malformed(String),
}

impl ClientError {
    /// Whether the same call may succeed later: the server could not be reached, or failed itself.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.status >= 500,
            Self::Unreachable(_) => true,
            Self::Changed { .. } | Self::Malformed(_) => false,
        }
    }

    /// Whether nobody is there who knows of this build: no host, or another one than the token's, which may be about to go on with the
    /// build.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(problem) => problem.title == UNKNOWN_TOKEN,
            Self::Changed { .. } | Self::Malformed(_) => false,
        }
    }

    /// Whether the host's store has no room for what was sent.
    pub fn is_store_full(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.title == STORE_FULL)
    }

    /// The HTTP status, when the server refused.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            _ => None,
        }
    }
}

#[derive(Clone)]
enum Transport {
    InProcess(InProcess),
    Http(reqwest::Client),
}

/// A client of the build API, for one build and one token. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    base: Url,
    build: Arc<str>,
    token: Token,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).field("build", &self.build).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that calls the router itself: no socket, same code, same checks.
    ///
    /// # Errors
    /// Never in practice; the base address is a constant.
    pub fn in_process(handler: InProcess, build: &str, token: Token) -> Result<Self, ClientError> {
        Self::new(Transport::InProcess(handler), "http://in-process", build, token)
    }

    /// A client for what asks nobody: each call is refused. A replay has one.
    ///
    /// # Errors
    /// As [`in_process`](Self::in_process).
    pub fn to_nobody(build: &str) -> Result<Self, ClientError> {
        let handler = |_| -> BoxFuture<'static, http::Response<Body>> {
            let mut refused = http::Response::new(Body::from("nobody is asked"));
            *refused.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Box::pin(std::future::ready(refused))
        };
        Self::in_process(Arc::new(handler), build, Token::new(String::new()))
    }

    /// A client over the Unix socket at `path`.
    ///
    /// # Errors
    /// When the HTTP client can't be made.
    pub fn unix(path: &Path, build: &str, token: Token) -> Result<Self, ClientError> {
        let http = http_client().unix_socket(path).build().map_err(unreachable)?;
        Self::new(Transport::Http(http), "http://localhost", build, token)
    }

    /// A client over TCP; `url` is `http://host:port`.
    ///
    /// # Errors
    /// When `url` is no such address.
    pub fn tcp(url: &str, build: &str, token: Token) -> Result<Self, ClientError> {
        let http = http_client().build().map_err(unreachable)?;
        Self::new(Transport::Http(http), url, build, token)
    }

    /// A client over TCP with TLS; `url` is `https://host:port`, and `ca` the certificate, in PEM, of the one authority whose servers
    /// are believed.
    ///
    /// # Errors
    /// When `url` is no such address, or `ca` no certificate.
    pub fn tls(url: &str, ca: &str, build: &str, token: Token) -> Result<Self, ClientError> {
        if !url.starts_with("https://") {
            return Err(malformed(format!("{url:?} is no address of TLS, and a certificate comes with it")));
        }
        let no_certificate = |error: reqwest::Error| {
            let reason = unreachable(error);
            malformed(format!("the certificate of the build API's authority can't be read: {reason}"))
        };
        let ca = reqwest::Certificate::from_pem_bundle(ca.as_bytes()).map_err(no_certificate)?;
        if ca.is_empty() {
            return Err(malformed("the certificate of the build API's authority can't be read: there is none"));
        }
        let http = http_client().tls_certs_only(ca).tls_version_min(reqwest::tls::Version::TLS_1_3).https_only(true);
        Self::new(Transport::Http(http.build().map_err(no_certificate)?), url, build, token)
    }

    /// A client for an address as [`crate::SidecarConfig`] has it, with the certificate that comes with it.
    ///
    /// # Errors
    /// When `api` is neither `unix:PATH` nor an `http:` or `https:` URL, or one of TLS has no certificate.
    pub fn connect(api: &str, ca: Option<&str>, build: &str, token: Token) -> Result<Self, ClientError> {
        match (api.strip_prefix("unix:"), ca) {
            (Some(path), _) => Self::unix(Path::new(path), build, token),
            (None, Some(ca)) => Self::tls(api, ca, build, token),
            (None, None) if api.starts_with("https:") => {
                Err(malformed(format!("{api:?} is an address of TLS, and no certificate comes with it to know it by")))
            }
            (None, None) => Self::tcp(api, build, token),
        }
    }

    fn new(transport: Transport, base: &str, build: &str, token: Token) -> Result<Self, ClientError> {
        let base = Url::parse(base).map_err(|e| ClientError::Malformed(format!("{base:?} is not a URL: {e}")))?;
        Ok(Self { transport, base, build: build.into(), token })
    }

    /// The build that this client speaks for, `org/repo/build`.
    pub fn build(&self) -> &str {
        &self.build
    }

    async fn download(&self, action: Action) -> Result<Option<ByteStream>, ClientError> {
        match self.send(action, None, None).await {
            Ok(response) => Ok(Some(archive(response))),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get<T: DeserializeOwned>(&self, action: Action) -> Result<T, ClientError> {
        json(self.send(action, None, Some(CALL_TIMEOUT)).await?).await
    }

    async fn post<T: Serialize>(&self, action: Action, body: &T) -> Result<(), ClientError> {
        let body = serde_json::to_vec(body).map_err(malformed)?;
        drain(self.send(action, Some(body.into()), Some(CALL_TIMEOUT)).await?).await
    }

    /// Asks with a body, and gives the server `wait` on top of the usual time.
    async fn ask<T: Serialize, A: DeserializeOwned>(
        &self,
        action: Action,
        body: &T,
        wait: Duration,
    ) -> Result<A, ClientError> {
        let body = serde_json::to_vec(body).map_err(malformed)?;
        json(self.send(action, Some(body.into()), Some(CALL_TIMEOUT.saturating_add(wait))).await?).await
    }

    async fn open(&self, action: Action) -> Result<Sized, ClientError> {
        let response = self.send(action, None, None).await?;
        let size = response.headers().get(SIZE_HEADER).and_then(|size| size.to_str().ok()?.parse().ok());
        let size = size.ok_or_else(|| malformed("the answer does not say its size"))?;
        Ok(Sized { size, bytes: bytes_of(response) })
    }

    async fn send(
        &self,
        action: Action,
        body: Option<Body>,
        timeout: Option<Duration>,
    ) -> Result<Response, ClientError> {
        self.execute(self.request(action, body, timeout)?).await
    }

    fn request(&self, action: Action, body: Option<Body>, timeout: Option<Duration>) -> Result<Request, ClientError> {
        let method = Method::from(action.route().verb);
        let path = Operation { build: self.build.to_string(), action }.path();
        if path.split('/').skip(1).any(str::is_empty) {
            return Err(ClientError::Refused(empty_name()));
        }
        let url = self.base.join(&path).map_err(malformed)?;
        let mut request = Request::new(method, url);
        let bearer = format!("Bearer {}", self.token.expose());
        let mut bearer = http::HeaderValue::try_from(bearer).map_err(malformed)?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(http::header::AUTHORIZATION, bearer);
        *request.body_mut() = body;
        *request.timeout_mut() = timeout;
        Ok(request)
    }

    async fn execute(&self, request: Request) -> Result<Response, ClientError> {
        let response = match &self.transport {
            Transport::InProcess(handler) => {
                let request = http::Request::<Body>::try_from(request).map_err(unreachable)?;
                Response::from(handler(request).await)
            }
            Transport::Http(client) => client.execute(request).await.map_err(unreachable)?,
        };
        if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
    }
}

/// What every HTTP client inside of a host is made of: without proxies and redirects. It trusts no certificate but those that it is
/// given: the machine's are no use here, and take a while to read.
pub fn plain_http() -> reqwest::ClientBuilder {
    crate::provide_tls();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).tls_certs_only([])
}

fn http_client() -> reqwest::ClientBuilder {
    // The build API is never behind a proxy, and never sends a client elsewhere.
    plain_http().connect_timeout(Duration::from_secs(10)).pool_idle_timeout(IDLE)
}

/// What no path of the API could say.
fn empty_name() -> Problem {
    let detail = "a name or a path is empty; the workspace itself is \".\"".to_owned();
    Problem { status: StatusCode::BAD_REQUEST.as_u16(), title: "invalid request".to_owned(), detail }
}

async fn refused(response: Response) -> ClientError {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    ClientError::Refused(serde_json::from_slice(&body).unwrap_or_else(|_| Problem {
        status: status.as_u16(),
        title: status.canonical_reason().unwrap_or("error").to_owned(),
        detail: format!("the build API answered {status}"),
    }))
}

async fn json<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let body = response.bytes().await.map_err(unreachable)?;
    serde_json::from_slice(&body).map_err(malformed)
}

async fn drain(response: Response) -> Result<(), ClientError> {
    debug_assert_ne!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    response.bytes().await.map(drop).map_err(unreachable)
}

fn bytes_of(response: Response) -> ByteStream {
    response.bytes_stream().map_err(unreachable).boxed()
}

/// An archive's bytes, which end with an error if they are not those that were saved.
fn archive(response: Response) -> ByteStream {
    let digest = response.headers().get(DIGEST_HEADER).and_then(|digest| Some(digest.to_str().ok()?.to_owned()));
    let bytes = bytes_of(response);
    match digest {
        Some(saved) => checked(bytes, saved.clone(), move |found| Some(ClientError::Changed { saved, found })),
        None => bytes,
    }
}

fn malformed(error: impl std::fmt::Display) -> ClientError {
    ClientError::Malformed(error.to_string())
}

/// Names the cause, not reqwest's "error sending request for url": the address is no use to anybody who reads it.
fn unreachable(error: reqwest::Error) -> ClientError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    ClientError::Unreachable(cause.to_string())
}
