//! The server: a [`Host`] for a team, with a public API, API tokens and webhooks.
//!
//! [`Server::builder`] takes what makes a host, and [`Server::router`] is an axum router for a program's own app: nest it wherever you like. What was asked
//! for is on disk before it is answered, in `server.db` beside the host's journal, so a server that dies loses no build; the next one goes on
//! with what waits, and the host's [`Upkeep`](monkeyci_controller::Upkeep) with what ran.
//!
//! Whoever calls shows a token, and each route says in one table what that takes. Nobody is let in otherwise but forges, whose webhooks are
//! signed with a secret of the repository's.
//!
//! ```no_run
//! use monkeyci_controller::{Host, Shutdown, Upkeep};
//! use monkeyci_server::{HttpServer, Server};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder(Host::builder("/var/lib/my-ci").upkeep(Upkeep::default())).open().await?;
//! if let Some(token) = server.first_token() {
//!     println!("a token for everything, shown this once: {token}");
//! }
//! let app = axum::Router::new().nest("/ci", server.router());
//! let http = HttpServer::on(tokio::net::TcpListener::bind("127.0.0.1:8210").await?, app);
//! tokio::signal::ctrl_c().await?;
//! // Streams end first: the rest waits for them.
//! server.close();
//! server.host().shutdown(Shutdown::Leave, std::time::Duration::from_secs(10)).await;
//! http.close(std::time::Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

mod access;
mod api;
mod budget;
mod error;
mod forge;
mod keys;
mod openapi;
mod origin;
mod pattern;
mod queue;
mod refusal;
mod routes;
mod sources;
mod starting;
mod store;
mod tokens;
mod webhooks;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use axum::Router;
use monkeyci_controller::{GitAuth, Host, HostBuilder};
use tokio::sync::Semaphore;
use tokio_util::sync::DropGuard;

pub use access::Scope;
pub use budget::{CLOSING, limits};
pub use error::{ServerError, StoreError};
pub use forge::{ForgeEventError, given_of_event};
pub use keys::{KeyError, MasterKey};
pub use monkeyci_controller::HttpServer;
pub use origin::{BuildFacts, Origin};
pub use pattern::{NoPattern, Pattern};

use budget::{BODIES, HOOKS, builds_at_once, streams};
use sources::Stored;
use starting::Starting;
use store::{KeyChoice, Store, TokenRow};
use tokens::NewToken;

/// A server. It is cheap to clone, and all clones are one.
#[derive(Clone, Debug)]
pub struct Server(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) host: Host,
    pub(crate) store: Arc<Store>,
    pub(crate) git_auth: GitAuth,
    pub(crate) starting: Arc<Starting>,
    /// Memory for the bodies of those who have a token, in KiB.
    pub(crate) bodies: Arc<Semaphore>,
    /// The same for webhooks.
    pub(crate) hooks: Arc<Semaphore>,
    pub(crate) streams: Arc<Semaphore>,
    first_token: Mutex<Option<String>>,
    /// Nothing is started when nobody has the server any more.
    _closing: DropGuard,
}

// Of all that is in it, a token may be: it is told to whoever asks for it, and to no log.
impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("home", &self.host.home()).finish_non_exhaustive()
    }
}

/// How a [`Server`] is made: [`Server::builder`], what is not as by default, and [`open`](Self::open).
#[derive(Debug)]
#[must_use]
pub struct ServerBuilder {
    host: HostBuilder,
    key: KeyChoice,
    git_auth: GitAuth,
    new_token: bool,
    at_once: NonZeroUsize,
}

impl ServerBuilder {
    /// How many builds run at once; by default four for each processor, and at least eight. Further ones wait, repositories take turns, and
    /// builds that wait for a person take no place once they are parked. Those that are brought back go on at once.
    pub fn at_once(self, builds: NonZeroUsize) -> Self {
        Self { at_once: builds, ..self }
    }

    /// Makes a [token](Server::first_token) for everything also where there is a good one: for whoever has lost it. By default, it does not.
    pub fn new_token(self, new_token: bool) -> Self {
        Self { new_token, ..self }
    }

    /// Who the server is for git servers; by default, nobody.
    pub fn git_auth(self, git_auth: GitAuth) -> Self {
        Self { git_auth, ..self }
    }

    /// The key that parameters, secrets, and the secrets of webhooks are sealed with in the database; by default that of the file `server.key`
    /// in the host's home, which is drawn when there is none. What was sealed with that one is sealed with this one then.
    pub fn master_key(mut self, key: MasterKey) -> Self {
        self.key.given = Some(key);
        self
    }

    /// The key that the database may still be sealed with: if it is, everything is sealed anew with the one that counts.
    pub fn master_key_before(mut self, key: MasterKey) -> Self {
        self.key.before = Some(key);
        self
    }

    /// Draws another key for the file `server.key`, and seals everything with that.
    pub fn rotate_master_key(mut self, rotate: bool) -> Self {
        self.key.rotate = rotate;
        self
    }

    /// Opens the server's database in the host's home and the host, and starts the builds that wait there.
    ///
    /// # Errors
    /// When another server has the home, the database can't be used or is sealed with another key, or the host can't be opened.
    pub async fn open(self) -> Result<Server, ServerError> {
        // Before the host: it goes on with builds at once, and asks for their secrets.
        let store = Arc::new(Store::open(self.host.home(), &self.key).await?);
        let stored = Stored { store: Arc::downgrade(&store) };
        let host = self.host.params(stored.clone()).secrets(stored).open().await?;
        let first_token = first_token(&store, host.day_ms(), self.new_token).await?;
        let starting = Starting::new(self.at_once);
        let inner = Arc::new(Inner {
            host,
            store,
            git_auth: self.git_auth,
            starting: starting.clone(),
            bodies: Arc::new(Semaphore::new(BODIES >> 10)),
            hooks: Arc::new(Semaphore::new(HOOKS >> 10)),
            streams: Arc::new(Semaphore::new(streams())),
            first_token: Mutex::new(first_token),
            _closing: starting.closing.clone().drop_guard(),
        });
        tokio::spawn(starting.run(Arc::downgrade(&inner)));
        Ok(Server(inner))
    }
}

impl Server {
    /// A server round the host that this makes. It keeps what it knows in the host's home, and gives the host's builds what it keeps for them.
    pub fn builder(host: HostBuilder) -> ServerBuilder {
        let (key, git_auth) = (KeyChoice::default(), GitAuth::default());
        ServerBuilder { host, key, git_auth, new_token: false, at_once: builds_at_once() }
    }

    /// The host that runs its builds.
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// The routes: the public API, webhooks, `/health` and `/ready`.
    pub fn router(&self) -> Router {
        api::router(self)
    }

    /// A token with the scope `admin` for the whole server, which was made when this was opened because there was none that is good, or
    /// [one was asked for](ServerBuilder::new_token). It is told once.
    pub fn first_token(&self) -> Option<String> {
        self.0.first_token.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// Ends all streams, and starts nothing more: what waits, the next server starts. The host goes on; shut it down next.
    pub fn close(&self) {
        self.0.starting.closing.cancel();
    }
}

/// Makes a token for everything where there is no good one, or a new one is asked for.
async fn first_token(store: &Store, now_ms: u64, asked: bool) -> Result<Option<String>, StoreError> {
    let is_for_all =
        |token: &TokenRow| token.scopes.contains(&Scope::Admin) && token.repository.is_none() && !token.is_over(now_ms);
    let has_one = store.tokens(None).await?.iter().any(is_for_all);
    if has_one && !asked {
        return Ok(None);
    }
    let NewToken { id, digest, text } = NewToken::draw();
    let token = TokenRow {
        id,
        name: if has_one { "new" } else { "first" }.to_owned(),
        digest: digest.to_vec(),
        scopes: [Scope::Admin].into(),
        repository: None,
        made_ms: now_ms,
        ends_ms: None,
    };
    store.add_token(&token).await?;
    Ok(Some(text))
}
