//! A clone of a git repository: fetched, and one commit of it checked out.

use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, Once};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use git2::build::{CheckoutBuilder, RepoBuilder};
use git2::{AutotagOption, FetchOptions, RemoteCallbacks, Repository};
use monkeyci_archive::WorkspaceFiles;
use monkeyci_build::Source;
use tokio_util::sync::CancellationToken;

use super::changes;
use super::checkout::{Checkout, describe, listed};
use super::error::CheckoutError;
use super::git_http::{self, Fetch};
use super::git_url::{HttpAddress, shown};
use super::limits::Limits;
use super::refs::{self, Found};
use super::tree::{self, Budget, Placed};

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

/// A fetch, or several from the same repository: what it may take, and whether it is to be stopped.
struct Fetching<'a> {
    cancelled: &'a CancellationToken,
    /// How many bytes may come, and whether more have.
    limit: usize,
    too_much: Cell<bool>,
}

impl Fetching<'_> {
    fn options(&self) -> FetchOptions<'_> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.transfer_progress(|progress| {
            if progress.received_bytes() > self.limit {
                self.too_much.set(true);
            }
            !self.too_much.get() && !self.cancelled.is_cancelled()
        });
        callbacks.sideband_progress(|_| !self.cancelled.is_cancelled());
        let mut options = FetchOptions::new();
        options.remote_callbacks(callbacks).download_tags(AutotagOption::All);
        options
    }

    /// Clones the repository at `url` without checking anything out, and fetches the ref `wanted` too if a clone does not bring it.
    fn clone(&self, url: &str, into: &Path, wanted: Option<&str>) -> Result<Repository, git2::Error> {
        // What is checked out is decided later; a clone of an empty or headless repository must not fail for its HEAD.
        let mut nothing = CheckoutBuilder::new();
        nothing.dry_run();
        let mut builder = RepoBuilder::new();
        builder.fetch_options(self.options()).with_checkout(nothing);
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
    into: &Path,
    limits: &Limits,
    cancelled: &CancellationToken,
) -> Result<Checkout, CheckoutError> {
    let shown = shown(url);
    let failed = |error: git2::Error| CheckoutError::Clone { url: shown.clone(), reason: error.message().to_owned() };
    let repository = fetch(url, reference, into, limits, cancelled)?;
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
    let commit = repository.find_commit(commit).map_err(failed)?;
    let mut budget = Budget::new(limits, cancelled);
    let dir = Dir::open_ambient_dir(into, ambient_authority())
        .map_err(|source| CheckoutError::Write { path: into.to_owned(), source })?;
    let tree = commit.tree().map_err(failed)?;
    let placed = tree::check_out(&repository, &tree, &dir, &mut budget)?;
    repository.set_head_detached(commit.id()).map_err(|error| CheckoutError::git(into, &error))?;
    warnings.extend(said_of(&placed));
    describe(&mut source, &repository, &commit);
    budget.go_on()?;
    let changes = changes::of_commit(&repository, &commit, source.main_branch.as_deref());
    source.changes = changes::known(changes, &mut warnings);
    budget.go_on()?;
    Ok(Checkout { dir: into.to_owned(), files: WorkspaceFiles::all(), source, warnings })
}

/// Fetches all of the repository at `url`.
fn fetch(
    url: &str,
    wanted: Option<&str>,
    into: &Path,
    limits: &Limits,
    cancelled: &CancellationToken,
) -> Result<Repository, CheckoutError> {
    let shown = shown(url);
    let failed = |error: git2::Error| CheckoutError::Clone { url: shown.clone(), reason: error.message().to_owned() };
    prepare().map_err(failed)?;
    // Of a path that does not exist, git says that its protocol is not supported.
    if !url.contains(':') && !Path::new(url).exists() {
        let reason = "there is no such directory; name one, or an address like https://host/repo".to_owned();
        return Err(CheckoutError::Clone { url: shown, reason });
    }
    let fetching = Fetching { cancelled, limit: limits.received, too_much: Cell::new(false) };
    let address = HttpAddress::parse(url).map_err(|source| CheckoutError::Address { url: shown.clone(), source })?;
    let fetched = match address {
        None => fetching.clone(url, into, wanted).map_err(|error| match error.code() {
            git2::ErrorCode::Owner => CheckoutError::Owner { path: url.into() },
            _ => failed(error),
        }),
        Some(address) => {
            let http = |source| CheckoutError::Http { url: shown.clone(), source };
            let conversation = Arc::new(Fetch::new(address, limits.http.clone(), cancelled.clone()).map_err(http)?);
            let fetched = conversation.run(|| fetching.clone(&conversation.url(), into, wanted)).map_err(failed)?;
            fetched.map_err(|error| conversation.error().map_or_else(|| failed(error), http))
        }
    };
    match fetched {
        Err(_) if fetching.too_much.get() => {
            Err(CheckoutError::TooMuchReceived { url: shown.clone(), limit: limits.received })
        }
        Err(_) if cancelled.is_cancelled() => Err(CheckoutError::Stopped),
        fetched => fetched,
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
    if !placed.submodules.is_empty() {
        let paths: Vec<_> = placed.submodules.iter().map(|(path, _)| path.clone()).collect();
        said.push(format!("{} of the code are not fetched: their directories are empty", listed("submodule", &paths)));
    }
    said
}

#[cfg(test)]
mod tests;
