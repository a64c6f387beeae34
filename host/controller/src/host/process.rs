//! This process among the hosts of its home: how others tell that it lives, and reach the builds that it drives.

use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::parked::StopError;
use super::{Host, Inner};
use crate::control::{self, Driving, Inside, NotReached};
use crate::error::ControllerError;
use crate::home::HostDir;
use crate::lock::lock;
use crate::serve::{Listener, Refusal};

/// How long those have who read their answers slowly when a host ends.
const ANSWERED: Duration = Duration::from_secs(2);

/// The host's directory and its control socket. Both are made when it begins to drive a build: who only looks at builds is no host.
pub(super) struct Process {
    /// What it is called: as the owner of its journals is, which is another one each time that a host is opened.
    name: String,
    begun: Mutex<Option<Begun>>,
}

struct Begun {
    dir: HostDir,
    control: Listener,
}

impl Process {
    pub(super) fn new(name: String) -> Self {
        Self { name, begun: Mutex::new(None) }
    }

    /// Writes down that it has parked a build.
    ///
    /// # Errors
    /// When that can't be written.
    pub(super) fn park(&self, build: &str) -> io::Result<()> {
        lock(&self.begun).as_ref().map_or_else(|| Err(io::ErrorKind::NotFound.into()), |begun| begun.dir.park(build))
    }

    /// It has not.
    ///
    /// # Errors
    /// When that can't be removed.
    pub(super) fn unpark(&self, build: &str) -> io::Result<()> {
        lock(&self.begun).as_ref().map_or(Ok(()), |begun| begun.dir.unpark(build))
    }

    /// It drives nothing any more, and has parked nothing. Whoever was heard on the control socket is answered first: what came of it is
    /// on disk, and whoever asked must not take it for lost.
    pub(super) async fn end(&self) {
        let begun = lock(&self.begun).take();
        if let Some(Begun { dir, control }) = begun {
            drop(tokio::time::timeout(ANSWERED, control.close()).await);
            drop((control, dir));
        }
    }
}

impl Host {
    /// The name of this host, which is live and can be reached from now on.
    pub(super) fn begin_process(&self) -> Result<String, ControllerError> {
        let Process { name, begun } = &self.0.process;
        let mut begun = lock(begun);
        if begun.is_none() {
            let dir = self.0.home.host_dir(name.clone())?;
            // Weak: a host that nobody has any more, and that drives no build, ends.
            let control = control::listen(&dir.path, Arc::new(Reached(Arc::downgrade(&self.0))))?;
            *begun = Some(Begun { dir, control });
        }
        Ok(name.clone())
    }
}

/// The host, as whoever comes by its control socket has it.
struct Reached(Weak<Inner>);

impl Reached {
    fn host(&self) -> Result<Host, NotReached> {
        self.0.upgrade().map(Host).ok_or(NotReached::NotHere)
    }
}

impl Driving for Reached {
    fn reach<'a>(&'a self, build: &'a str) -> BoxFuture<'a, Result<Inside, NotReached>> {
        async move {
            let host = self.host()?;
            let driven = host.reach(build).await.map_err(|error| NotReached::Refused(error.to_string()))?;
            Ok(driven.ok_or(NotReached::NotHere)?.inside(&host))
        }
        .boxed()
    }

    fn cancel<'a>(&'a self, build: &'a str, by: &'a str) -> BoxFuture<'a, Result<(), Refusal>> {
        async move {
            match self.host()?.stop(build, by, false).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(NotReached::NotHere.into()),
                Err(StopError::Refused(refused)) => Err(refused.into()),
                Err(StopError::NotBack(error)) => Err(NotReached::Refused(error.to_string()).into()),
            }
        }
        .boxed()
    }
}
