//! How libgit2 comes to the transports that are ours. It asks for one by its scheme, and can't be handed a fetch: so the fetch that a
//! thread is at stands beside it.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::thread::LocalKey;

use git2::Remote;
use git2::transport::Transport;

use super::{git_http, git_ssh};

/// The fetch that a thread's git is at.
pub(super) type Current<T> = LocalKey<RefCell<Option<Arc<T>>>>;

/// Runs `git`, which may fetch on this thread.
///
/// # Errors
/// What libgit2 says if it can't be given a transport.
pub(super) fn at<T: 'static, R>(
    current: &'static Current<T>,
    fetch: &Arc<T>,
    git: impl FnOnce() -> R,
) -> Result<R, git2::Error> {
    /// Takes the fetch away again, also when git panics.
    struct Until<T: 'static>(&'static Current<T>);
    impl<T> Drop for Until<T> {
        fn drop(&mut self) {
            self.0.replace(None);
        }
    }
    prepare()?;
    current.replace(Some(fetch.clone()));
    let _until = Until(current);
    Ok(git())
}

/// Makes git ready to fetch: by HTTP and ssh through files of ours, and otherwise (`git://`) with limits of its own: 15 s for a
/// connection, 60 s for any answer.
pub(super) fn prepare() -> Result<(), git2::Error> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        // SAFETY: these set two integers of libgit2's, which only connections to servers read. Whoever makes one comes
        // through here first, so none is made while they change.
        let set = unsafe {
            git2::opts::set_server_connect_timeout_in_milliseconds(15_000)
                .and_then(|()| git2::opts::set_server_timeout_in_milliseconds(60_000))
        };
        if let Err(error) = set {
            tracing::warn!(%error, "git waits for servers without limit");
        }
        let register = |scheme, transport: fn(&Remote<'_>) -> Result<Transport, git2::Error>| {
            // SAFETY: libgit2 reads its list of transports when it starts to fetch, and whoever fetches comes through here first:
            // nothing reads the list while it is written.
            unsafe { git2::transport::register(scheme, transport) }.map_err(|error| error.message().to_owned())
        };
        register("http", git_http::transport)?;
        register("https", git_http::transport)?;
        register("ssh", git_ssh::transport)
    });
    done.as_ref().map(|&()| ()).map_err(|reason| git2::Error::from_str(reason))
}
