//! The code of a build: a local working tree as it is, or a clone of a git repository.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use git2::build::{CheckoutBuilder, RepoBuilder};
use git2::{AutotagOption, ErrorCode, FetchOptions, ObjectType, Oid, RemoteCallbacks, Repository};
use monkeyci_build::Source;
use monkeyci_storage::hex;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::changes;
use super::git_http::{self, Fetch, HttpError, Limits};
use super::git_url::{AddressError, HttpAddress, shown};

/// Where the code of a build is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceRequest {
    /// A directory on this machine, as it stands: uncommitted changes included, ignored files excluded.
    Dir(PathBuf),
    /// A git repository.
    Git {
        /// Its URL: `https://…`, `file://…`, or a path.
        url: String,
        /// A branch, a tag or a commit; the repository's main branch when none.
        reference: Option<String>,
    },
}

/// Code that is there.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    pub(crate) dir: PathBuf,
    pub(crate) source: Source,
}

/// Why the code is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckoutError {
    #[error("the directory {} can't be built: {source}", path.display())]
    Dir { path: PathBuf, source: std::io::Error },
    #[error("{} is not a directory", .0.display())]
    NotADir(PathBuf),
    #[error("{url} can't be cloned: {reason}")]
    Clone { url: String, reason: String },
    #[error("{url} can't be cloned: {source}")]
    Http { url: String, source: HttpError },
    #[error("the address {url} can't be cloned: {source}")]
    Address { url: String, source: AddressError },
    #[error("{url} has no commit yet; push one first")]
    Empty { url: String },
    #[error("{url} has no branch, tag or commit {reference:?}; check the name given with --ref")]
    NoRef { url: String, reference: String },
    #[error("git failed in {}: {reason}", path.display())]
    Git { path: PathBuf, reason: String },
    #[error("the checkout stopped by a fault of the host: {0}")]
    Panic(String),
}

impl SourceRequest {
    /// Organisation and repository for the build's id, from the directory's name or the URL.
    pub(crate) fn org_and_repo(&self) -> (String, String) {
        let text = match self {
            Self::Dir(dir) => {
                let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.clone());
                let name = dir.file_name().map(|name| name.to_string_lossy().into_owned());
                return ("local".to_owned(), id_part(name.as_deref().unwrap_or("root")));
            }
            Self::Git { url, .. } => shown(url),
        };
        let local = !text.contains("://") || text.starts_with("file://");
        let mut parts = text.trim_end_matches('/').trim_end_matches(".git").rsplit(['/', ':']);
        let repo = id_part(parts.next().unwrap_or("repo"));
        let org = if local { "local".to_owned() } else { id_part(parts.next().unwrap_or("git")) };
        (org, repo)
    }

    /// What tells this repository from every other: a digest of its URL, or of the directory's path.
    pub(crate) fn identity(&self) -> String {
        let name = match self {
            Self::Dir(dir) => std::fs::canonicalize(dir).unwrap_or_else(|_| dir.clone()).to_string_lossy().into_owned(),
            Self::Git { url, .. } => shown(url).trim_end_matches('/').trim_end_matches(".git").to_owned(),
        };
        hex(&Sha256::digest(name)[..8])
    }

    /// Gets the code; a clone goes to `into`. It stops soon after `cancelled` is.
    pub(crate) fn check_out(&self, into: &Path, cancelled: &CancellationToken) -> Result<Checkout, CheckoutError> {
        match self {
            Self::Dir(dir) => working_tree(dir),
            Self::Git { url, reference } => clone(url, reference.as_deref(), into, Limits::default(), cancelled),
        }
    }

    /// The same on a thread that may block. Whoever drops this has it stopped.
    pub(crate) async fn check_out_in_background(self, into: PathBuf) -> Result<Checkout, CheckoutError> {
        let cancelled = CancellationToken::new();
        let _until = cancelled.clone().drop_guard();
        let checkout = tokio::task::spawn_blocking(move || self.check_out(&into, &cancelled)).await;
        checkout.unwrap_or_else(|error| Err(CheckoutError::Panic(error.to_string())))
    }
}

/// A name as a part of a build's id: `[A-Za-z0-9._-]`, not empty.
fn id_part(name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let part: String = name.chars().map(clean).collect();
    let part = part.trim_start_matches(['.', '-', '_']);
    if part.is_empty() { "repo".to_owned() } else { part.to_owned() }
}

fn working_tree(dir: &Path) -> Result<Checkout, CheckoutError> {
    let dir = std::fs::canonicalize(dir).map_err(|source| CheckoutError::Dir { path: dir.to_owned(), source })?;
    if !dir.is_dir() {
        return Err(CheckoutError::NotADir(dir));
    }
    let repository = match Repository::discover(&dir) {
        Ok(repository) => repository,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(Checkout { dir, source: Source::default() }),
        Err(error) => return Err(git(&dir, &error)),
    };
    let mut source = Source {
        git_url: repository.find_remote("origin").ok().and_then(|remote| remote.url().ok().map(shown)),
        main_branch: main_branch(&repository),
        ..Source::default()
    };
    let commit = match repository.head() {
        Ok(head) => {
            if head.is_branch() {
                source.git_ref = head.name().ok().map(str::to_owned);
                source.branch = head.shorthand().ok().map(str::to_owned);
            }
            let commit = head.peel_to_commit().map_err(|error| git(&dir, &error))?;
            describe(&mut source, &commit);
            Some(commit.id())
        }
        // A repository without a commit yet; its branch has a name already.
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
            let head = repository.find_reference("HEAD").ok();
            source.git_ref = head.and_then(|head| head.symbolic_target().ok().flatten().map(str::to_owned));
            let branch = source.git_ref.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
            source.branch = branch.map(str::to_owned);
            None
        }
        Err(error) => return Err(git(&dir, &error)),
    };
    source.changes = changes::of_working_tree(&repository, commit, source.main_branch.as_deref()).map(Box::new);
    Ok(Checkout { dir, source })
}

/// Makes git ready to fetch: by HTTP through [`git_http`], and otherwise (`git://`) with limits of its own: 15 s for a connection,
/// 60 s for any answer.
fn prepare() -> Result<(), git2::Error> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: these set two integers of libgit2's, which only connections to servers read. All of ours are made by
        // `clone`, which comes through here first, so none is made while they change.
        let set = unsafe {
            git2::opts::set_server_connect_timeout_in_milliseconds(15_000)
                .and_then(|()| git2::opts::set_server_timeout_in_milliseconds(60_000))
        };
        if let Err(error) = set {
            tracing::warn!(%error, "git waits for servers without limit");
        }
    });
    git_http::register()
}

pub(crate) fn clone(
    url: &str,
    reference: Option<&str>,
    into: &Path,
    limits: Limits,
    cancelled: &CancellationToken,
) -> Result<Checkout, CheckoutError> {
    let shown = shown(url);
    let failed = |error: git2::Error| CheckoutError::Clone { url: shown.clone(), reason: error.message().to_owned() };
    prepare().map_err(failed)?;
    // Of a path that does not exist, git says that its protocol is not supported.
    if !url.contains(':') && !Path::new(url).exists() {
        let reason = "there is no such directory; name one, or an address like https://host/repo".to_owned();
        return Err(CheckoutError::Clone { url: shown, reason });
    }
    let address = HttpAddress::parse(url).map_err(|source| CheckoutError::Address { url: shown.clone(), source })?;
    let repository = match address {
        None => fetch(url, into, cancelled).map_err(failed)?,
        Some(address) => {
            let http = |source| CheckoutError::Http { url: shown.clone(), source };
            let conversation = Arc::new(Fetch::new(address, limits, cancelled.clone()).map_err(http)?);
            let fetched = conversation.run(|| fetch(&conversation.url(), into, cancelled)).map_err(failed)?;
            fetched.map_err(|error| conversation.error().map_or_else(|| failed(error), http))?
        }
    };
    let main_branch = main_branch(&repository);

    let mut source = Source { git_url: Some(shown.clone()), main_branch, ..Source::default() };
    let wanted = reference.or(source.main_branch.as_deref()).unwrap_or("HEAD").to_owned();
    let found = resolve(&repository, &wanted, &mut source);
    let commit = found.ok_or_else(|| match repository.is_empty() {
        Ok(true) => CheckoutError::Empty { url: shown.clone() },
        _ => CheckoutError::NoRef { url: shown.clone(), reference: wanted },
    })?;
    let commit = repository.find_commit(commit).map_err(failed)?;
    describe(&mut source, &commit);
    source.changes = changes::of_commit(&repository, &commit, source.main_branch.as_deref()).map(Box::new);
    let mut checkout = CheckoutBuilder::new();
    repository.checkout_tree(commit.as_object(), Some(checkout.force())).map_err(|error| git(into, &error))?;
    repository.set_head_detached(commit.id()).map_err(|error| git(into, &error))?;
    Ok(Checkout { dir: into.to_owned(), source })
}

/// Clones the repository at `url` without checking anything out.
fn fetch(url: &str, into: &Path, cancelled: &CancellationToken) -> Result<Repository, git2::Error> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|_| !cancelled.is_cancelled());
    let mut fetch = FetchOptions::new();
    fetch.remote_callbacks(callbacks).download_tags(AutotagOption::All);
    // What is checked out is decided later; a clone of an empty or headless repository must not fail for its HEAD.
    let mut builder = RepoBuilder::new();
    let mut nothing = CheckoutBuilder::new();
    nothing.dry_run();
    builder.fetch_options(fetch).with_checkout(nothing).clone(url, into)
}

/// Finds the commit that `wanted` names: a full ref, a branch, a tag, or (the start of) a commit's id, in this order.
fn resolve(repository: &Repository, wanted: &str, source: &mut Source) -> Option<Oid> {
    let commit = |name: &str| {
        let object = repository.find_reference(name).ok()?.peel(ObjectType::Commit).ok()?;
        Some(object.id())
    };
    let branch = wanted.strip_prefix("refs/heads/").unwrap_or(wanted);
    if let Some(id) = commit(&format!("refs/remotes/origin/{branch}")) {
        source.git_ref = Some(format!("refs/heads/{branch}"));
        source.branch = Some(branch.to_owned());
        return Some(id);
    }
    let tag = wanted.strip_prefix("refs/tags/").unwrap_or(wanted);
    if let Some(id) = commit(&format!("refs/tags/{tag}")) {
        source.git_ref = Some(format!("refs/tags/{tag}"));
        source.tag = Some(tag.to_owned());
        return Some(id);
    }
    let is_id = wanted.len() >= 7 && wanted.chars().all(|c| c.is_ascii_hexdigit());
    let object = is_id.then(|| repository.revparse_single(wanted).ok()).flatten()?;
    Some(object.peel(ObjectType::Commit).ok()?.id())
}

fn describe(source: &mut Source, commit: &git2::Commit<'_>) {
    source.commit = Some(commit.id().to_string());
    source.message = Some(String::from_utf8_lossy(commit.message_bytes()).trim_end().to_owned());
    let author = commit.author();
    let (name, mail) = (String::from_utf8_lossy(author.name_bytes()), String::from_utf8_lossy(author.email_bytes()));
    source.author = Some(format!("{name} <{mail}>"));
}

/// The main branch: what the remote's HEAD points to, or the usual names where there is no remote.
fn main_branch(repository: &Repository) -> Option<String> {
    let head = repository.find_reference("refs/remotes/origin/HEAD").ok();
    let target = head.as_ref().and_then(|head| head.symbolic_target().ok().flatten());
    if let Some(name) = target.and_then(|target| target.strip_prefix("refs/remotes/origin/")) {
        return Some(name.to_owned());
    }
    let exists = |name: &&str| {
        ["refs/heads", "refs/remotes/origin"]
            .iter()
            .any(|prefix| repository.find_reference(&format!("{prefix}/{name}")).is_ok())
    };
    ["main", "master"].iter().copied().find(|name| exists(name)).map(str::to_owned)
}

fn git(path: &Path, error: &git2::Error) -> CheckoutError {
    CheckoutError::Git { path: path.to_owned(), reason: error.message().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_without_a_commit_has_a_branch_and_is_called_empty() {
        let dir = tempfile::tempdir().expect("a directory");
        Repository::init_opts(dir.path(), git2::RepositoryInitOptions::new().initial_head("trunk"))
            .expect("a repository");
        let source = working_tree(dir.path()).expect("a checkout").source;
        assert_eq!((source.branch.as_deref(), source.commit), (Some("trunk"), None));
        assert_eq!(source.git_ref.as_deref(), Some("refs/heads/trunk"));
        let into = tempfile::tempdir().expect("a directory");
        let error =
            clone(&dir.path().display().to_string(), None, into.path(), Limits::default(), &CancellationToken::new())
                .expect_err("nothing to build");
        assert!(error.to_string().ends_with("has no commit yet; push one first"), "{error}");
    }

    #[test]
    fn a_path_that_does_not_exist_is_called_so() {
        let error =
            clone("/no/such/repository", None, Path::new("/no/matter"), Limits::default(), &CancellationToken::new())
                .expect_err("nothing to clone");
        assert!(error.to_string().contains("there is no such directory"), "{error}");
    }
}
