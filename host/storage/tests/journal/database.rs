//! The databases of these tests: empty ones, each for one test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use monkeyci_storage::journal::{
    Append, Digest, Head, Journal, JournalError, Journals, MemoryJournal, Owner, Page, Patience, Piece,
    PostgresJournal, Record, Sought, SqliteJournal,
};
use monkeyci_testbed::daemons::Postgres;
use monkeyci_testbed::handed;
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::hang_guard::HANGS;

/// An empty database of one kind.
pub struct Database {
    place: Place,
    /// Raised with each owner.
    owners: AtomicU32,
}

enum Place {
    Memory(Arc<MemoryJournal>),
    Sqlite(tempfile::TempDir),
    Postgres { url: String, _server: Arc<Postgres> },
}

/// Tries something with an empty database.
pub fn try_with(kind: &str, promise: impl AsyncFnOnce(&Database)) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let database = Database::new(kind).await;
        tokio::time::timeout(HANGS, promise(&database)).await.expect("it hangs");
    });
    // A writer that waits for a disk need not end.
    runtime.shutdown_background();
}

impl Database {
    async fn new(kind: &str) -> Self {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let place = match kind {
            "memory" => Place::Memory(Arc::default()),
            "sqlite" => Place::Sqlite(tempfile::tempdir().expect("a directory")),
            _ => {
                let server = handed::postgres();
                let schema = format!("test_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
                let url = server.url(&schema);
                let mut connection = PgConnection::connect(&url).await.expect("a connection");
                let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
                sqlx::raw_sql(create).execute(&mut connection).await.expect("a schema");
                Place::Postgres { url, _server: server }
            }
        };
        Self { place, owners: AtomicU32::new(1) }
    }

    /// Opens it as another process does.
    pub async fn open(&self) -> Result<Arc<dyn Journal>, JournalError> {
        Ok(match &self.place {
            Place::Memory(journal) => journal.clone(),
            Place::Sqlite(dir) => Arc::new(SqliteJournal::open(&dir.path().join("journal.db")).await?),
            Place::Postgres { url, .. } => Arc::new(PostgresJournal::open(url).await?),
        })
    }

    /// A host that uses it.
    pub async fn host(&self) -> Journals {
        self.host_with(self.open().await.expect("a database"))
    }

    /// A host that uses this.
    pub fn host_with(&self, journal: Arc<dyn Journal>) -> Journals {
        let owner = Owner(self.owners.fetch_add(1, Ordering::Relaxed).into());
        let moment = Duration::from_millis(1);
        let patience = Patience { linger: moment, first: moment, most: moment };
        Journals::new(journal, owner, patience)
    }

    /// Does something to the database that no host does.
    pub async fn execute(&self, statement: &str) -> u64 {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        match &self.place {
            Place::Memory(_) => panic!("nobody reaches into it"),
            Place::Sqlite(dir) => {
                let url = format!("sqlite://{}", dir.path().join("journal.db").display());
                let mut connection = SqliteConnection::connect(&url).await.expect("a connection");
                sqlx::raw_sql(statement).execute(&mut connection).await.expect("it is done").rows_affected()
            }
            Place::Postgres { url, .. } => {
                let mut connection = PgConnection::connect(url).await.expect("a connection");
                sqlx::raw_sql(statement).execute(&mut connection).await.expect("it is done").rows_affected()
            }
        }
    }

    /// Counts rows.
    pub async fn count(&self, query: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(query.to_owned());
        match &self.place {
            Place::Memory(_) => panic!("nobody reaches into it"),
            Place::Sqlite(dir) => {
                let url = format!("sqlite://{}", dir.path().join("journal.db").display());
                let mut connection = SqliteConnection::connect(&url).await.expect("a connection");
                sqlx::query_scalar(query).fetch_one(&mut connection).await.expect("a number")
            }
            Place::Postgres { url, .. } => {
                let mut connection = PgConnection::connect(url).await.expect("a connection");
                sqlx::query_scalar(query).fetch_one(&mut connection).await.expect("a number")
            }
        }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::Sqlite(_))
    }
}

/// What a commit comes to. It is asked before each, with how many there were.
type Answer = dyn Fn(usize, &dyn Journal) -> Option<JournalError> + Send + Sync;

/// A database that keeps what was committed, and that does not always do it.
pub struct Watched {
    inner: Arc<dyn Journal>,
    pub commits: Mutex<Vec<Vec<Append>>>,
    /// One permit for each commit.
    pub gate: tokio::sync::Semaphore,
    /// An error instead of the commit.
    before: Box<Answer>,
    /// An error after the commit: its answer is lost.
    after: Box<Answer>,
}

impl Watched {
    pub fn new(inner: Arc<dyn Journal>) -> Self {
        let gate = tokio::sync::Semaphore::new(tokio::sync::Semaphore::MAX_PERMITS);
        Self { inner, commits: Mutex::default(), gate, before: Box::new(|_, _| None), after: Box::new(|_, _| None) }
    }

    pub fn before(self, answer: impl Fn(usize, &dyn Journal) -> Option<JournalError> + Send + Sync + 'static) -> Self {
        Self { before: Box::new(answer), ..self }
    }

    pub fn after(self, answer: impl Fn(usize, &dyn Journal) -> Option<JournalError> + Send + Sync + 'static) -> Self {
        Self { after: Box::new(answer), ..self }
    }

    /// What was committed so far, in this many transactions.
    pub fn committed(&self) -> Vec<Vec<Append>> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

#[async_trait]
impl Journal for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn commit(&self, appends: &[Append]) -> Result<Vec<Result<(), JournalError>>, JournalError> {
        let number = {
            let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            commits.push(appends.to_vec());
            commits.len()
        };
        self.gate.acquire().await.expect("it is open").forget();
        if let Some(error) = (self.before)(number, &*self.inner) {
            return Err(error);
        }
        let done = self.inner.commit(appends).await?;
        (self.after)(number, &*self.inner).map_or(Ok(done), Err)
    }

    async fn take_over(&self, build: &str, seen: &Head, new: &Head) -> Result<bool, JournalError> {
        self.inner.take_over(build, seen, new).await
    }

    async fn head(&self, build: &str) -> Result<Option<Head>, JournalError> {
        self.inner.head(build).await
    }

    async fn records(&self, build: &str, after: u64, page: Page) -> Result<Vec<Record>, JournalError> {
        self.inner.records(build, after, page).await
    }

    async fn pieces(&self, digests: &[Digest]) -> Result<Vec<Piece>, JournalError> {
        self.inner.pieces(digests).await
    }

    async fn outlines(&self, of: &Sought, skip: usize, count: usize) -> Result<Vec<(String, Record)>, JournalError> {
        self.inner.outlines(of, skip, count).await
    }

    async fn builds_with(&self, text: &str) -> Result<Vec<String>, JournalError> {
        self.inner.builds_with(text).await
    }

    async fn open_builds(&self) -> Result<Vec<String>, JournalError> {
        self.inner.open_builds().await
    }

    async fn builds(&self) -> Result<Vec<String>, JournalError> {
        self.inner.builds().await
    }

    async fn remove(&self, build: &str) -> Result<bool, JournalError> {
        self.inner.remove(build).await
    }
}
