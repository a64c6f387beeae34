//! Whom a Unix socket is for.

use std::io;

use tokio::net::UnixStream;

use super::problem::Refusal;

/// Users, as the kernel tells them of whoever connects. The socket's mode keeps others out before; this holds also where its
/// directory was opened, bind-mounted or copied.
#[derive(Clone, Debug)]
pub(crate) struct Peers(Vec<u32>);

impl Peers {
    /// The host's own user, as whom commands come, and the sidecars of engines without root; and root, as whom sidecars run.
    pub(crate) fn of_this_host() -> Self {
        Self(vec![rustix::process::geteuid().as_raw(), 0])
    }

    /// These users.
    #[cfg(test)]
    pub(crate) fn only(users: &[u32]) -> Self {
        Self(users.to_vec())
    }

    /// # Errors
    /// When it is for others.
    pub(crate) fn are(&self, stream: &UnixStream) -> Result<(), Refusal> {
        self.may(stream.peer_cred().map(|peer| peer.uid()))
    }

    fn may(&self, user: io::Result<u32>) -> Result<(), Refusal> {
        match user {
            Ok(user) if self.0.contains(&user) => Ok(()),
            Ok(user) => {
                tracing::warn!(user, "somebody else's process has connected to a socket of this host, and is refused");
                Err(Refusal::denied(format!("this socket is not for the user {user}")))
            }
            Err(error) => {
                tracing::warn!(%error, "it can't be told who has connected to a socket of this host; refused");
                Err(Refusal::denied("it can't be told who you are"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_let_in_but_the_hosts_user_and_root() {
        let own = rustix::process::geteuid().as_raw();
        let peers = Peers::of_this_host();
        assert!(peers.may(Ok(own)).is_ok() && peers.may(Ok(0)).is_ok());
        assert!(peers.may(Ok(own + 1)).is_err() && peers.may(Ok(65_534)).is_err());
        assert!(peers.may(Err(io::Error::other("no such socket option"))).is_err());
    }
}
