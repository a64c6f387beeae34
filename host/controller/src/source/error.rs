//! Why the code of a build is not there.

use std::path::PathBuf;

use super::git_http::HttpError;
use super::git_url::AddressError;

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
    #[error("{url} has no branch, tag, ref or commit {reference:?}; check the name given with --ref")]
    NoRef { url: String, reference: String },
    #[error("{url} sends more than {limit} bytes, which is as much as a clone may receive")]
    TooMuchReceived { url: String, limit: usize },
    #[error("the code has more than {limit} files, links and directories, which is as many as a checkout may have")]
    TooManyEntries { limit: u64 },
    #[error("the code has more than {limit} bytes in its files, which is as many as a checkout may have")]
    TooManyBytes { limit: u64 },
    #[error("{path:?} has {size} bytes, and a file of a checkout may have {limit}; keep it elsewhere, in Git LFS say")]
    FileTooLarge { path: PathBuf, size: u64, limit: u64 },
    #[error("the .gitattributes files of the code have more than {limit} bytes together; shorten them")]
    TooManyAttributes { limit: u64 },
    #[error("the code has an entry {path:?} that can't be checked out: {reason}")]
    BadEntry { path: PathBuf, reason: String },
    #[error("{path:?} can't be checked out: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("git failed in {}: {reason}", path.display())]
    Git { path: PathBuf, reason: String },
    #[error(
        "the repository {} belongs to somebody else, who could have git run what they like; if you trust it, run \
         `git config --global --add safe.directory {}`, or make it yours with chown",
        path.display(), path.display()
    )]
    Owner { path: PathBuf },
    #[error("it was stopped")]
    Stopped,
    #[error("the checkout stopped by a fault of the host: {0}")]
    Panic(String),
}

impl CheckoutError {
    /// What libgit2 says of the repository at `path`.
    pub(super) fn git(path: &std::path::Path, error: &git2::Error) -> Self {
        let path = path.to_owned();
        match error.code() {
            git2::ErrorCode::Owner => Self::Owner { path },
            _ => Self::Git { path, reason: error.message().to_owned() },
        }
    }
}
