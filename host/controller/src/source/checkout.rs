//! The code of a build: a local working tree as it is, or a clone of a git repository.

use std::path::{Path, PathBuf};

use git2::{DescribeFormatOptions, DescribeOptions, Repository};
use monkeyci_archive::WorkspaceFiles;
use monkeyci_build::{RequestedSource, Source};
use monkeyci_storage::hex;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::auth::GitAuth;
use super::clone::clone;
use super::error::CheckoutError;
use super::git_ssh::SshAddress;
use super::git_url::{has_login, shown};
use super::limits::Limits;
use super::refs;
use super::working_tree::working_tree;

/// Where the code of a build is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceRequest {
    /// A directory on this machine, as it stands: uncommitted changes included, ignored files excluded.
    Dir(PathBuf),
    /// A git repository.
    Git {
        /// Its URL: `https://…`, `ssh://…`, `user@host:path`, `file://…`, or a path.
        url: String,
        /// A branch, a tag, the full name of any ref, or a commit; the repository's main branch when none. A commit that no branch or tag
        /// leads to is named with a ref that has led to it, `refs/pull/7/head@COMMIT`: that is fetched, and the commit is built.
        reference: Option<String>,
        /// Logins, also for submodules.
        auth: GitAuth,
    },
}

/// Code that is there.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    pub(crate) dir: PathBuf,
    /// What of the directory is the workspace.
    pub(crate) files: WorkspaceFiles,
    pub(crate) source: Source,
    /// The repository that it belongs to, if there is one with a commit.
    pub(crate) repository: Option<PathBuf>,
    /// What is not as one might think.
    pub(crate) warnings: Vec<String>,
}

impl SourceRequest {
    /// Whether a URL has more in it than may be shown: a login, or a query, where some servers take tokens. The user alone of ssh is none.
    pub fn shows_login(url: &str) -> bool {
        has_login(url)
    }

    /// What the journal says of it: no login is in it.
    pub(crate) fn requested(&self) -> RequestedSource {
        match self {
            Self::Dir(dir) => {
                let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.clone());
                RequestedSource::Dir { path: dir.to_string_lossy().into_owned() }
            }
            Self::Git { url, reference, auth: _ } => {
                let mut url = shown(url);
                // A path may be one of where this process stands; another one stands elsewhere.
                if is_local(&url)
                    && let Ok(path) = std::fs::canonicalize(&url)
                {
                    url = path.to_string_lossy().into_owned();
                }
                RequestedSource::Git { url, reference: reference.clone() }
            }
        }
    }

    /// The code that a journal tells of; of a repository, the commit if it is known.
    pub(crate) fn again(requested: &RequestedSource, commit: Option<String>, auth: GitAuth) -> Self {
        match requested {
            RequestedSource::Dir { path } => Self::Dir(path.into()),
            RequestedSource::Git { url, reference } => {
                let (url, reference) = (url.clone(), reference.clone());
                Self::Git { url, reference, auth }.at(commit)
            }
        }
    }

    /// The same code; of a repository, at this commit if there is one.
    pub(crate) fn at(self, commit: Option<String>) -> Self {
        match self {
            Self::Dir(path) => Self::Dir(path),
            Self::Git { url, reference, auth } => {
                let reference = match commit {
                    Some(commit) => Some(refs::pin(reference, commit)),
                    None => reference,
                };
                Self::Git { url, reference, auth }
            }
        }
    }

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
        let local = is_local(&text) || text.starts_with("file://");
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

    /// Gets the code; a clone goes to `into`, and nothing is left there when it fails. It stops soon after `cancelled` is.
    pub(crate) fn check_out(&self, into: &Path, cancelled: &CancellationToken) -> Result<Checkout, CheckoutError> {
        let limits = Limits::default();
        match self {
            Self::Dir(dir) => working_tree(dir, &limits, cancelled),
            Self::Git { url, reference, auth } => {
                let cloned = clone(url, reference.as_deref(), auth, into, &limits, cancelled);
                // Whoever stopped it may have removed the directory above while something was still written here.
                let unwanted = cloned.is_err() || cancelled.is_cancelled();
                if unwanted
                    && let Err(error) = std::fs::remove_dir_all(into)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    tracing::warn!(%error, path = %into.display(), "a clone that nobody wants can't be removed");
                }
                if cancelled.is_cancelled() { Err(CheckoutError::Stopped) } else { cloned }
            }
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

/// Whether an address is a path of this machine.
fn is_local(address: &str) -> bool {
    !address.contains("://") && !matches!(SshAddress::parse(address), Ok(Some(_)))
}

/// A name as a part of a build's id: `[A-Za-z0-9._-]`, not empty.
fn id_part(name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let part: String = name.chars().map(clean).collect();
    let part = part.trim_start_matches(['.', '-', '_']);
    if part.is_empty() { "repo".to_owned() } else { part.to_owned() }
}

/// Says in `source` what there is to say of a commit, which is the repository's HEAD.
pub(super) fn describe(source: &mut Source, repository: &Repository, commit: &git2::Commit<'_>) {
    source.commit = Some(commit.id().to_string());
    source.message = Some(String::from_utf8_lossy(commit.message_bytes()).trim_end().to_owned());
    let author = commit.author();
    let (name, mail) = (String::from_utf8_lossy(author.name_bytes()), String::from_utf8_lossy(author.email_bytes()));
    source.author = Some(format!("{name} <{mail}>"));
    // Where no tag is on the way, it is an error.
    let described = repository.describe(DescribeOptions::new().describe_tags());
    source.describe = described.and_then(|found| found.format(Some(&DescribeFormatOptions::new()))).ok();
}

/// Some paths, for a message: how many there are, and the first ones.
pub(super) fn listed(what: &str, paths: &[PathBuf]) -> String {
    const SHOWN: usize = 10;
    let names: Vec<_> = paths.iter().take(SHOWN).map(|path| format!("{path:?}")).collect();
    let more = if paths.len() > SHOWN { ", …" } else { "" };
    let plural = if paths.len() == 1 { "" } else { "s" };
    format!("{} {what}{plural} ({}{more})", paths.len(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_without_a_commit_has_a_branch_and_is_called_empty() {
        let dir = tempfile::tempdir().expect("a directory");
        Repository::init_opts(dir.path(), git2::RepositoryInitOptions::new().initial_head("trunk"))
            .expect("a repository");
        let source =
            working_tree(dir.path(), &Limits::default(), &CancellationToken::new()).expect("a checkout").source;
        assert_eq!((source.branch.as_deref(), source.commit), (Some("trunk"), None));
        assert_eq!(source.git_ref.as_deref(), Some("refs/heads/trunk"));
        let into = tempfile::tempdir().expect("a directory");
        let error = clone(
            &dir.path().display().to_string(),
            None,
            &GitAuth::default(),
            into.path(),
            &Limits::default(),
            &CancellationToken::new(),
        )
        .expect_err("nothing to build");
        assert!(error.to_string().ends_with("has no commit yet; push one first"), "{error}");
    }

    #[test]
    fn a_build_s_id_has_organisation_and_repository_of_the_address() {
        for (url, id) in [
            ("https://host/team/repo.git", ("team", "repo")),
            ("git@host:team/repo.git", ("team", "repo")),
            ("ssh://git@host:2222/team/repo", ("team", "repo")),
            ("file:///code/repo", ("local", "repo")),
            ("/code/repo.git", ("local", "repo")),
        ] {
            let request = SourceRequest::Git { url: url.to_owned(), reference: None, auth: GitAuth::default() };
            assert_eq!(request.org_and_repo(), (id.0.to_owned(), id.1.to_owned()), "{url}");
        }
    }

    #[test]
    fn a_path_that_does_not_exist_is_called_so() {
        let error = clone(
            "/no/such/repository",
            None,
            &GitAuth::default(),
            Path::new("/no/matter"),
            &Limits::default(),
            &CancellationToken::new(),
        )
        .expect_err("nothing to clone");
        assert!(error.to_string().contains("there is no such directory"), "{error}");
    }
}
