//! How git fetches over HTTP and HTTPS: the transport that libgit2 is given, over reqwest and rustls.
//!
//! libgit2 knows git's protocol; what it wants of HTTP is little ([the smart protocol](https://git-scm.com/docs/http-protocol)):
//! a GET that lists what the server has (`info/refs`), and POSTs that say what is wanted (`git-upload-pack`), of which the last is
//! answered with the pack. Nothing is ever pushed.
//!
//! * All of it runs on the thread that runs git, which is one that may block. Answers are passed on as they arrive. A question
//!   is held whole, as libgit2 makes it: it has some 50 bytes for each thing wanted.
//! * What a server may do to us has limits, see [`Limits`], and every wait ends when the fetch is cancelled.
//! * A login is sent when the server asks for one, and only to the server that it was given for. Redirects are followed for the
//!   first question only, as git does, and never from HTTPS to HTTP.
//! * Certificates are checked against those that the machine trusts, or those in `SSL_CERT_FILE` or `SSL_CERT_DIR`. Proxies are
//!   those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
//!
//! libgit2 passes an error on as text. So a [`Fetch`] keeps the first one for whoever started it.

#[cfg(test)]
mod served;
mod server;
mod stream;

use std::cell::RefCell;
use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use monkeyci_api::provide_tls;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

pub(super) use self::server::is_same_server;
use self::server::{cause, certificate_error, host, redirected, repository_of, short};
use self::stream::{At, Stream};
use super::git_url::{HttpAddress, Login};
use super::transports;

/// What a git server may do to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How long it may say nothing: before it answers, and in the middle of an answer.
    pub(crate) silence: Duration,
    /// How long a connection to it may take.
    pub(crate) connect: Duration,
    /// The bytes of its list of branches and tags, which libgit2 keeps in memory.
    pub(crate) refs: u64,
    /// The bytes of what we ask for, which grows with that list.
    pub(crate) question: usize,
    /// How often it may send us elsewhere.
    pub(crate) redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A large pack takes a server its time, in which it may well say nothing.
            silence: Duration::from_secs(60),
            connect: Duration::from_secs(15),
            // A million branches and tags.
            refs: 64 << 20,
            question: 64 << 20,
            redirects: 5,
        }
    }
}

/// What went wrong between git and a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    #[error(
        "{host} wants a login; put one into the URL, as https://user:password@host/repo, or into a file that \
         --git-auth names"
    )]
    LoginWanted { host: String },
    #[error("{host} wants a login, and the one that was given is for {given} alone; give the URL of {host} itself")]
    LoginElsewhere { host: String, given: String },
    #[error(
        "{host} refuses the login in the URL (or in the file of --git-auth); check user and password, or whether the token is still good"
    )]
    LoginRefused { host: String },
    #[error("{host} wants a login of a kind that is not known here ({offered}); user and password are (Basic)")]
    LoginKind { host: String, offered: String },
    #[error("{host} forbids it (HTTP 403); check what the login may do there")]
    Forbidden { host: String },
    #[error("{host} has no such repository, or shows it only to those with a login (HTTP 404); check the URL")]
    NotFound { host: String },
    #[error("{host} answered with {status}")]
    Status { host: String, status: StatusCode },
    #[error("{host} answered, but not as a git server ({found}); check the URL")]
    NotGit { host: String, found: String },
    #[error(
        "the certificate of {host} is not trusted: {reason}; if it should be, name a file with the authority's certificate in \
         SSL_CERT_FILE, or add it to those that this machine trusts"
    )]
    Certificate { host: String, reason: String },
    #[error("{host} can't be reached: {reason}")]
    Unreachable { host: String, reason: String },
    #[error("{host} broke its answer off: {reason}")]
    BrokenOff { host: String, reason: String },
    #[error("{host} said nothing for {} s; try again later", .limit.as_secs_f64())]
    Silent { host: String, limit: Duration },
    #[error("{host} lists more branches and tags than {limit} bytes hold")]
    TooManyRefs { host: String, limit: u64 },
    #[error("more is wanted from {host} than {limit} bytes can ask for")]
    TooLongQuestion { host: String, limit: usize },
    #[error("{host} redirects to an address without HTTPS, which could be read or changed on its way: {to}")]
    Downgrade { host: String, to: String },
    #[error("{host} redirects to something that is no repository: {to}")]
    RedirectElsewhere { host: String, to: String },
    #[error("{host} redirects more than {limit} times")]
    TooManyRedirects { host: String, limit: usize },
    #[error("nothing is pushed from here")]
    Push,
    #[error("it was cancelled")]
    Cancelled,
    #[error("the host can't speak HTTP: {0}")]
    Client(String),
}

/// One fetch by HTTP: what it may do, and how it fares.
pub(crate) struct Fetch {
    address: HttpAddress,
    limits: Limits,
    cancelled: CancellationToken,
    client: Client,
    /// Whether this machine trusts any certificate.
    trusting: bool,
    /// Drives what git waits for, on the thread that waits. None only while it is dropped.
    runtime: Option<Runtime>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where the server has sent us, if it has: what follows goes there.
    moved_to: Option<Url>,
    /// Whether the server has asked for a login.
    asked_for_login: bool,
    /// What went wrong first.
    error: Option<HttpError>,
}

thread_local! {
    /// See [`transports::Current`].
    static CURRENT: RefCell<Option<Arc<Fetch>>> = const { RefCell::new(None) };
}

impl Fetch {
    pub(crate) fn new(address: HttpAddress, limits: Limits, cancelled: CancellationToken) -> Result<Self, HttpError> {
        let failed = |error: &dyn StdError| HttpError::Client(cause(error));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
        // A machine that trusts no certificate can still speak HTTP. HTTPS will say what is missing.
        let (client, trusting) = match client(&limits).build() {
            Ok(client) => (client, true),
            Err(_) => (client(&limits).tls_certs_only([]).build().map_err(|error| failed(&error))?, false),
        };
        let state = Mutex::default();
        Ok(Self { address, limits, cancelled, client, trusting, runtime: Some(runtime), state })
    }

    /// What git is told to fetch from.
    pub(crate) fn url(&self) -> String {
        self.address.for_git()
    }

    /// Runs `git`, which may fetch on this thread.
    ///
    /// # Errors
    /// What libgit2 says if it can't be given a transport.
    pub(crate) fn run<T>(self: &Arc<Self>, git: impl FnOnce() -> T) -> Result<T, git2::Error> {
        transports::at(&CURRENT, self, git)
    }

    /// What went wrong, if it went wrong here.
    pub(crate) fn error(&self) -> Option<HttpError> {
        self.state().error.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an error, and makes one of it that libgit2 can show.
    fn fail(&self, error: HttpError) -> io::Error {
        // libgit2's texts are C strings.
        let shown = io::Error::other(error.to_string().replace('\0', "?"));
        self.state().error.get_or_insert(error);
        shown
    }

    /// Waits for an answer, for as long as it may take.
    fn wait<T>(
        &self,
        url: &Url,
        answer: impl Future<Output = reqwest::Result<T>>,
        explain: impl FnOnce(&reqwest::Error) -> HttpError,
    ) -> Result<T, HttpError> {
        let Some(runtime) = &self.runtime else { return Err(HttpError::Cancelled) };
        let silent = || HttpError::Silent { host: host(url), limit: self.limits.silence };
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancelled.cancelled() => Err(HttpError::Cancelled),
                answer = tokio::time::timeout(self.limits.silence, answer) => match answer {
                    Ok(answer) => answer.map_err(|error| explain(&error)),
                    Err(_) => Err(silent()),
                },
            }
        })
    }

    /// Asks the repository at `address`.
    fn ask(&self, address: &HttpAddress, question: Question, body: &Bytes) -> Result<Response, HttpError> {
        let start = self.state().moved_to.clone().unwrap_or_else(|| address.url.clone());
        let mut url = question.url(&start);
        for _ in 0..=self.limits.redirects {
            let response = self.ask_with_login(address, question, &url, body)?;
            let status = response.status();
            let host = host(&url);
            match status {
                StatusCode::OK => {
                    let found = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                    let found = found.unwrap_or("no type of content").split(';').next().unwrap_or_default().trim();
                    if found != question.answer_type() {
                        return Err(HttpError::NotGit { host, found: short(found) });
                    }
                    if question == Question::Refs && url != question.url(&start) {
                        self.state().moved_to = Some(repository_of(&url)?);
                    }
                    return Ok(response);
                }
                StatusCode::FORBIDDEN => return Err(HttpError::Forbidden { host }),
                StatusCode::NOT_FOUND => return Err(HttpError::NotFound { host }),
                // Of a question with a body git follows none, so neither do we.
                _ if status.is_redirection() && question == Question::Refs => {
                    let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
                    url = redirected(&url, to)?;
                }
                _ => return Err(HttpError::Status { host, status }),
            }
        }
        Err(HttpError::TooManyRedirects { host: host(&url), limit: self.limits.redirects })
    }

    /// Asks one address; once more with the login, if the server wants one and it is for this server.
    fn ask_with_login(
        &self,
        address: &HttpAddress,
        question: Question,
        url: &Url,
        body: &Bytes,
    ) -> Result<Response, HttpError> {
        let login = address.login.as_ref().filter(|_| is_same_server(&address.url, url));
        let known = login.filter(|_| self.state().asked_for_login);
        let response = self.ask_once(question, url, body, known)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let host = host(url);
        if known.is_some() {
            return Err(HttpError::LoginRefused { host });
        }
        let offered = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let offered: Vec<_> = offered.filter_map(|offer| offer.to_str().ok()?.split([' ', ',']).next()).collect();
        if !offered.is_empty() && !offered.iter().any(|kind| kind.eq_ignore_ascii_case("basic")) {
            return Err(HttpError::LoginKind { host, offered: short(&offered.join(", ")) });
        }
        let Some(login) = login else {
            return Err(match &address.login {
                Some(_) => HttpError::LoginElsewhere { host, given: self::host(&address.url) },
                None => HttpError::LoginWanted { host },
            });
        };
        self.state().asked_for_login = true;
        let response = self.ask_once(question, url, body, Some(login))?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Err(HttpError::LoginRefused { host }),
            _ => Ok(response),
        }
    }

    fn ask_once(
        &self,
        question: Question,
        url: &Url,
        body: &Bytes,
        login: Option<&Login>,
    ) -> Result<Response, HttpError> {
        let mut request = question.request(&self.client, url.clone());
        if question == Question::Pack {
            request = request.body(body.clone());
        }
        if let Some(login) = login {
            request = request.basic_auth(&login.user, Some(&login.password));
        }
        self.wait(url, request.send(), |error| self.unreachable(url, error))
    }

    /// Why there is no answer.
    fn unreachable(&self, url: &Url, error: &reqwest::Error) -> HttpError {
        let host = host(url);
        if let Some(certificate) = certificate_error(error) {
            let reason =
                if self.trusting { certificate } else { "this machine trusts no certificate at all".to_owned() };
            return HttpError::Certificate { host, reason };
        }
        if error.is_timeout() {
            return HttpError::Unreachable { host, reason: format!("no answer within {:?}", self.limits.connect) };
        }
        HttpError::Unreachable { host, reason: cause(error) }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        // Not by waiting: a name that is looked up may take its time, and nobody wants it any more.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn client(limits: &Limits) -> ClientBuilder {
    provide_tls();
    Client::builder()
        // Some servers speak the smart protocol only with what calls itself git.
        .user_agent(concat!("git/2.0 (monkeyci-host ", env!("CARGO_PKG_VERSION"), ")"))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // Nothing answers the pings of HTTP/2 while git works on what has come.
        .http1_only()
        .connect_timeout(limits.connect)
}

/// Has libgit2 fetch by this file.
pub(super) fn transport(remote: &git2::Remote<'_>) -> Result<Transport, git2::Error> {
    let fetch = CURRENT.with(|current| current.borrow().clone());
    let fetch = fetch.ok_or_else(|| git2::Error::from_str("HTTP without a fetch"))?;
    Transport::smart(remote, true, Subtransport(fetch))
}

struct Subtransport(Arc<Fetch>);

impl SmartSubtransport for Subtransport {
    fn action(&self, url: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let failed = |error| git2::Error::from_str(&self.0.fail(error).to_string());
        let question = match service {
            Service::UploadPackLs => Question::Refs,
            Service::UploadPack => Question::Pack,
            Service::ReceivePackLs | Service::ReceivePack => return Err(failed(HttpError::Push)),
        };
        // Another address than ours comes from `url.….insteadOf` in git's configuration, perhaps with a login of its own.
        let other = if url == self.0.url() {
            None
        } else {
            HttpAddress::parse(url).map_err(|error| failed(HttpError::Client(error.to_string())))?
        };
        Ok(Box::new(Stream { fetch: self.0.clone(), other, question, at: At::Asking(Vec::new()) }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// What git asks a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// What is there?
    Refs,
    /// Send me that.
    Pack,
}

impl Question {
    /// Its address in a repository.
    fn url(self, repository: &Url) -> Url {
        let mut url = repository.clone();
        let end = match self {
            Self::Refs => REFS,
            Self::Pack => "/git-upload-pack",
        };
        url.set_path(&format!("{}{end}", repository.path().trim_end_matches('/')));
        if self == Self::Refs {
            url.query_pairs_mut().append_pair(SERVICE.0, SERVICE.1);
        }
        url
    }

    fn request(self, client: &Client, url: Url) -> RequestBuilder {
        match self {
            Self::Refs => client.request(Method::GET, url).header(ACCEPT, "*/*"),
            Self::Pack => client
                .request(Method::POST, url)
                .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
                .header(ACCEPT, self.answer_type()),
        }
    }

    fn answer_type(self) -> &'static str {
        match self {
            Self::Refs => "application/x-git-upload-pack-advertisement",
            Self::Pack => "application/x-git-upload-pack-result",
        }
    }
}

const REFS: &str = "/info/refs";
const SERVICE: (&str, &str) = ("service", "git-upload-pack");

#[cfg(test)]
mod tests;
