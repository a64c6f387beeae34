//! A clone of a git repository: fetched, and one commit of it checked out.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use git2::build::{CheckoutBuilder, RepoBuilder};
use git2::{AutotagOption, FetchOptions, Oid, RemoteCallbacks, Repository};
use monkeyci_archive::WorkspaceFiles;
use monkeyci_build::Source;
use reqwest::Url;
use tokio_util::sync::CancellationToken;

use super::auth::{GitAuth, Logins};
use super::changes;
use super::checkout::{Checkout, describe, listed};
use super::error::CheckoutError;
use super::git_http::Fetch;
use super::git_ssh::{SshAddress, SshFetch};
use super::git_url::{HttpAddress, shown};
use super::limits::Limits;
use super::refs::{self, Found};
use super::submodules::{Parent, Submodules};
use super::transports;
use super::tree::{self, Budget, Placed};

/// A fetch, or several from the same repository: what it may take, and whether it is to be stopped.
struct Fetching<'a> {
    cancelled: &'a CancellationToken,
    /// How many bytes may come, and how many have.
    limit: usize,
    received: Cell<usize>,
}

impl Fetching<'_> {
    fn options(&self) -> FetchOptions<'_> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.transfer_progress(|progress| {
            self.received.set(progress.received_bytes());
            self.received.get() <= self.limit && !self.cancelled.is_cancelled()
        });
        callbacks.sideband_progress(|_| !self.cancelled.is_cancelled());
        let mut options = FetchOptions::new();
        options.remote_callbacks(callbacks).download_tags(AutotagOption::All);
        options
    }

    /// Clones the repository at `url` without checking anything out, and fetches the ref `wanted` too if a clone does not bring it.
    fn clone(&self, url: &str, into: &Path, wanted: Option<&str>, bare: bool) -> Result<Repository, git2::Error> {
        // What is checked out is decided later; a clone of an empty or headless repository must not fail for its HEAD.
        let mut nothing = CheckoutBuilder::new();
        nothing.dry_run();
        let mut builder = RepoBuilder::new();
        builder.bare(bare).fetch_options(self.options()).with_checkout(nothing);
        let repository = builder.clone(url, into)?;
        if let Some(wanted) = wanted.filter(|wanted| refs::is_fetched_by_name(&repository, wanted)) {
            // A server that does not have it says nothing; then it is not found later.
            let names = [format!("+{wanted}:{wanted}")];
            repository.find_remote("origin")?.fetch(&names, Some(&mut self.options()), None)?;
        }
        Ok(repository)
    }
}

/// Clones the repository at `url` into the directory `into`, which is made, and checks out what `reference` names.
///
/// # Errors
/// When the code is not there. What is in `into` by then is left.
pub(crate) fn clone(
    url: &str,
    reference: Option<&str>,
    auth: &GitAuth,
    into: &Path,
    limits: &Limits,
    cancelled: &CancellationToken,
) -> Result<Checkout, CheckoutError> {
    let shown = shown(url);
    let failed = |error: git2::Error| CheckoutError::Clone { url: shown.clone(), reason: error.message().to_owned() };
    let mut remotes = Remotes::new(auth, limits, cancelled)?;
    let (asked, pinned) = (reference, reference.and_then(refs::pinned));
    let reference = pinned.map_or(reference, |(name, _)| Some(name));
    let repository = remotes.fetch(url, reference, into, false)?;
    let mut source =
        Source { git_url: Some(shown.clone()), main_branch: refs::main_branch(&repository), ..Source::default() };
    let mut warnings = Vec::new();
    let Some(Found { commit, also }) = refs::resolve(&repository, reference, &mut source) else {
        return Err(match repository.is_empty() {
            Ok(true) => CheckoutError::Empty { url: shown },
            _ => CheckoutError::NoRef { url: shown, reference: reference.unwrap_or("HEAD").to_owned() },
        });
    };
    warnings.extend(also);
    let commit = match pinned {
        // The ref may lead elsewhere by now: what was named is built, or nothing.
        Some((_, pinned)) => repository.find_commit(pinned).map_err(|_| {
            let reference = asked.unwrap_or_default().to_owned();
            CheckoutError::NoRef { url: shown.clone(), reference }
        })?,
        None => repository.find_commit(commit).map_err(failed)?,
    };
    let mut budget = Budget::new(limits, cancelled);
    let dir = Dir::open_ambient_dir(into, ambient_authority())
        .map_err(|source| CheckoutError::Write { path: into.to_owned(), source })?;
    let tree = commit.tree().map_err(failed)?;
    let mut placed = tree::check_out(&repository, &tree, &dir, &mut budget)?;
    repository.set_head_detached(commit.id()).map_err(|error| CheckoutError::git(into, &error))?;
    if let Ok(Some(address)) = HttpAddress::parse(url) {
        remotes.logins.add(&address);
    }
    let mut submodules = Submodules {
        remotes: &remotes,
        repositories: repository.path().join("modules"),
        fetched: 0,
        warnings: Vec::new(),
        placed: Placed::default(),
    };
    let (path, paths) = (PathBuf::new(), std::mem::take(&mut placed.submodules));
    let parent = Parent { repository: &repository, tree: &tree, url: url.to_owned(), at: into.to_owned(), path };
    submodules.check_out(&parent, paths, limits.depth, &mut budget)?;
    warnings.append(&mut submodules.warnings);
    placed.lfs.append(&mut submodules.placed.lfs);
    placed.encoded.append(&mut submodules.placed.encoded);
    warnings.extend(said_of(&placed));
    describe(&mut source, &repository, &commit);
    budget.go_on()?;
    let changes = changes::of_commit(&repository, &commit, source.main_branch.as_deref());
    source.changes = changes::known(changes, &mut warnings);
    budget.go_on()?;
    Ok(Checkout {
        dir: into.to_owned(),
        files: WorkspaceFiles::all(),
        source,
        repository: Some(into.to_owned()),
        warnings,
    })
}

/// How repositories are reached: who we are for their servers, and what they may cost.
pub(super) struct Remotes<'a> {
    auth: &'a GitAuth,
    logins: Logins,
    limits: &'a Limits,
    cancelled: &'a CancellationToken,
    /// How many bytes have been received, all together.
    received: Cell<usize>,
}

impl<'a> Remotes<'a> {
    fn new(auth: &'a GitAuth, limits: &'a Limits, cancelled: &'a CancellationToken) -> Result<Self, CheckoutError> {
        Ok(Self { auth, logins: Logins::read(auth)?, limits, cancelled, received: Cell::new(0) })
    }

    /// Fetches all of the repository at `url` into the directory `into`, and the ref `wanted` if it is none of those.
    pub(super) fn fetch(
        &self,
        url: &str,
        wanted: Option<&str>,
        into: &Path,
        bare: bool,
    ) -> Result<Repository, CheckoutError> {
        // Of a path that does not exist, git says that its protocol is not supported.
        if !url.contains(':') && !Path::new(url).exists() {
            let reason = "there is no such directory; name one, or an address like https://host/repo".to_owned();
            return Err(CheckoutError::Clone { url: shown(url), reason });
        }
        self.reach(url, |fetching, url| fetching.clone(url, into, wanted, bare))
    }

    /// Fetches one commit more from the repository at `url`, from which `repository` was fetched. Not every server gives it.
    pub(super) fn fetch_commit(&self, repository: &Repository, url: &str, commit: Oid) -> Result<(), CheckoutError> {
        self.reach(url, |fetching, url| {
            let names = [commit.to_string()];
            repository.remote_anonymous(url)?.fetch(&names, Some(&mut fetching.options()), None)
        })
    }

    /// Lets `git` speak with the server of `url`.
    fn reach<T>(
        &self,
        url: &str,
        git: impl FnOnce(&Fetching<'_>, &str) -> Result<T, git2::Error>,
    ) -> Result<T, CheckoutError> {
        let Self { limits, cancelled, .. } = *self;
        let shown = shown(url);
        let failed = |error: git2::Error| {
            let reason = error.message().to_owned();
            CheckoutError::Clone { url: shown.clone(), reason }
        };
        transports::prepare().map_err(failed)?;
        let limit = limits.received.saturating_sub(self.received.get());
        let fetching = Fetching { cancelled, limit, received: Cell::new(0) };
        let address =
            HttpAddress::parse(url).map_err(|source| CheckoutError::Address { url: shown.clone(), source })?;
        let ssh = |source| CheckoutError::Ssh { url: shown.clone(), source };
        // A directory may have any name, also one that looks like an address to us or to libgit2.
        let there = Path::new(url).canonicalize().ok().filter(|_| !url.contains("://"));
        let there = there.and_then(|there| Url::from_directory_path(there).ok());
        let file = there.clone().or_else(|| Url::parse(url).ok().filter(|url| url.scheme() == "file"));
        // Of a clone, libgit2 does not say that this is the reason.
        if let Some(path) = file.and_then(|url| url.to_file_path().ok())
            && Repository::open(&path).is_err_and(|error| error.code() == git2::ErrorCode::Owner)
        {
            // Without the slash at its end.
            return Err(CheckoutError::Owner { path: path.components().collect() });
        }
        let fetched = if let Some(there) = there {
            git(&fetching, there.as_str()).map_err(failed)
        } else if let Some(mut address) = address {
            let http = |source| CheckoutError::Http { url: shown.clone(), source };
            if address.login.is_none() {
                address.login = self.logins.of(&address.url);
            }
            let conversation = Arc::new(Fetch::new(address, limits.http.clone(), cancelled.clone()).map_err(http)?);
            let fetched = conversation.run(|| git(&fetching, &conversation.url())).map_err(failed)?;
            fetched.map_err(|error| conversation.error().map_or_else(|| failed(error), http))
        } else if let Some(address) = SshAddress::parse(url).map_err(ssh)? {
            let silence = limits.http.silence;
            let conversation = Arc::new(SshFetch::new(address, self.auth.clone(), silence, cancelled.clone()));
            let fetched = conversation.run(|url| git(&fetching, url)).map_err(failed)?;
            fetched.map_err(|error| conversation.error().map_or_else(|| failed(error), ssh))
        } else {
            git(&fetching, url).map_err(failed)
        };
        self.received.set(self.received.get().saturating_add(fetching.received.get()));
        match fetched {
            Err(_) if cancelled.is_cancelled() => Err(CheckoutError::Stopped),
            Err(_) if fetching.received.get() > limit => {
                Err(CheckoutError::TooMuchReceived { url: shown.clone(), limit: limits.received })
            }
            fetched => fetched,
        }
    }
}

/// What is to be said of a checkout that is not all that it looks like.
fn said_of(placed: &Placed) -> Vec<String> {
    let mut said = Vec::new();
    if !placed.lfs.is_empty() {
        said.push(format!(
            "{} of the code lie in Git LFS, which is not fetched: what is there in their place are pointers of some lines; fetch \
             them in a job (`git lfs pull`), or build a directory that has them with --dir",
            listed("file", &placed.lfs)
        ));
    }
    if !placed.encoded.is_empty() {
        said.push(format!(
            "{} should have another encoding (working-tree-encoding), but are in UTF-8 as git keeps them",
            listed("file", &placed.encoded)
        ));
    }
    said
}

#[cfg(test)]
mod tests;
