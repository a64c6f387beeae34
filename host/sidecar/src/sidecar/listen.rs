//! The socket on which the sidecar waits for the launcher.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Takes one connection, ever.
pub(super) struct Listener {
    listener: UnixListener,
}

impl Listener {
    /// Makes the socket under another name and renames it: at its final name a socket listens, and anybody may connect, since
    /// the job may run as any user.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let unfinished = PathBuf::from(unfinished);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&unfinished)?;
        fs::set_permissions(&unfinished, Permissions::from_mode(0o666))?;
        fs::rename(&unfinished, path)?;
        Ok(Self { listener })
    }

    /// Waits for the launcher. Whoever comes later is refused: the listener is gone.
    pub(super) async fn accept(self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}
