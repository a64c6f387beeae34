//! The builds that this host drives, and those that it has parked.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use monkeyci_storage::journal::Durable;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::Host;
use super::parked::ParkedBuild;
use crate::control::Inside;
use crate::error::ControllerError;
use crate::jobs::JobContext;
use crate::lock::lock;
use crate::running::{BuildHandle, BuildReport, Cancel};

/// What came of a build that this host drove.
pub(super) type Outcome = Result<BuildReport, Arc<ControllerError>>;

/// A build that this host drives. It is not parked as long as somebody has this.
pub(super) struct DrivenBuild {
    pub(super) live: Arc<BuildHandle>,
    pub(super) context: Arc<JobContext>,
    pub(super) cancel: Cancel,
    /// Tells how much of its journal is on disk.
    pub(super) durable: Durable,
    /// Set when it is over, also if it was parked in between.
    pub(super) ended: watch::Receiver<Option<Outcome>>,
    /// Set when it is driven no more: it is over, parked, or let go of.
    pub(super) gone: CancellationToken,
}

impl DrivenBuild {
    /// The build, for whoever speaks to it.
    pub(super) fn inside(self: &Arc<Self>, host: &Host) -> Inside {
        Inside { live: self.live.clone(), blobs: host.0.services.blobs.clone(), _driven: self.clone() }
    }

    /// Waits until it is driven no more.
    pub(super) async fn over(&self) {
        self.gone.cancelled().await;
    }
}

/// A build that this host has.
pub(super) enum Found {
    Driven(Arc<DrivenBuild>),
    Parked(Arc<ParkedBuild>),
}

/// The builds that a host has.
#[derive(Default)]
pub(super) struct Driven {
    known: Mutex<Known>,
    /// Told when another parked build is the first to reach its time limit, or none is parked any more.
    changed: Notify,
    /// Told when one is driven no more.
    fewer: Notify,
}

#[derive(Default)]
struct Known {
    builds: HashMap<String, Arc<DrivenBuild>>,
    /// With when each reaches its time limit, or is looked at once more then.
    parked: HashMap<String, (Arc<ParkedBuild>, Option<Duration>)>,
    /// When parked builds reach their time limits.
    due: BTreeSet<(Duration, String)>,
    /// Whether somebody looks at that.
    looked_at: bool,
    /// Set when new ones are not taken any more.
    closed: bool,
    /// Set when also none is brought back any more.
    left: bool,
}

impl Known {
    fn take_parked(&mut self, id: &str) -> Option<Arc<ParkedBuild>> {
        let (parked, due) = self.parked.remove(id)?;
        if let Some(due) = due {
            self.due.remove(&(due, id.to_owned()));
        }
        Some(parked)
    }
}

impl Driven {
    /// A build that this host drives or has parked.
    pub(super) fn find(&self, id: &str) -> Option<Found> {
        let known = lock(&self.known);
        let driven = known.builds.get(id).cloned().map(Found::Driven);
        driven.or_else(|| known.parked.get(id).map(|(parked, _)| Found::Parked(parked.clone())))
    }

    /// A build that is driven now.
    pub(super) fn get(&self, id: &str) -> Option<Arc<DrivenBuild>> {
        lock(&self.known).builds.get(id).cloned()
    }

    /// All that are driven now.
    pub(super) fn all(&self) -> Vec<Arc<DrivenBuild>> {
        lock(&self.known).builds.values().cloned().collect()
    }

    /// The ids of all that are driven now.
    pub(super) fn ids(&self) -> Vec<String> {
        lock(&self.known).builds.keys().cloned().collect()
    }

    /// The ids of all that are parked now.
    pub(super) fn all_parked(&self) -> Vec<String> {
        lock(&self.known).parked.keys().cloned().collect()
    }

    /// How many are driven now, and how many are parked.
    pub(super) fn count(&self) -> (usize, usize) {
        let known = lock(&self.known);
        (known.builds.len(), known.parked.len())
    }

    /// Tells when a build is over that is driven or parked now.
    pub(super) fn ended(&self, id: &str) -> Option<watch::Receiver<Option<Outcome>>> {
        match self.find(id)? {
            Found::Driven(driven) => Some(driven.ended.clone()),
            Found::Parked(parked) => Some(parked.told.subscribe()),
        }
    }

    /// Whether new ones are taken.
    ///
    /// # Errors
    /// When not.
    pub(super) fn is_open(&self) -> Result<(), ControllerError> {
        if lock(&self.known).closed { Err(ControllerError::ShuttingDown) } else { Ok(()) }
    }

    /// Takes nothing new from now on. What is parked can still be brought back. Returns all that there are then: the ids, whether they
    /// are parked, and who tells when they are over.
    pub(super) fn close(&self) -> Vec<(String, bool, watch::Receiver<Option<Outcome>>)> {
        let mut known = lock(&self.known);
        known.closed = true;
        let driven = known.builds.iter().map(|(id, driven)| (id.clone(), false, driven.ended.clone()));
        let parked = known.parked.iter().map(|(id, (parked, _))| (id.clone(), true, parked.told.subscribe()));
        driven.chain(parked).collect()
    }

    /// Brings nothing back any more. Returns all that are driven now.
    pub(super) fn leave(&self) -> Vec<Arc<DrivenBuild>> {
        lock(&self.known).left = true;
        self.all()
    }

    /// Drives a build: a new one, or one that was parked. Nobody parks it as long as the caller has it.
    ///
    /// # Errors
    /// When the host does not take it.
    pub(super) fn insert(&self, build: DrivenBuild) -> Result<Arc<DrivenBuild>, ControllerError> {
        let mut known = lock(&self.known);
        let id = build.live.id.clone();
        let refuses = if known.parked.contains_key(&id) { known.left } else { known.closed };
        if refuses {
            return Err(ControllerError::ShuttingDown);
        }
        let parked = known.take_parked(&id);
        let build = Arc::new(build);
        known.builds.insert(id, build.clone());
        drop(known);
        if let Some(parked) = parked {
            parked.gone.cancel();
            self.changed.notify_waiters();
        }
        Ok(build)
    }

    /// Has a build that is driven parked from now on, if nobody else has it in hand, and the host does not shut down.
    pub(super) fn park(&self, id: &str, parked: ParkedBuild) -> bool {
        let mut known = lock(&self.known);
        // Whoever has it has got it under this lock.
        let is_free = known.builds.get(id).is_some_and(|driven| Arc::strong_count(driven) == 1);
        if !is_free || known.closed {
            return false;
        }
        let driven = known.builds.remove(id);
        if let Some(due) = parked.due {
            known.due.insert((due, id.to_owned()));
        }
        let is_first = known.due.first().is_some_and(|(_, first)| first == id);
        let due = parked.due;
        known.parked.insert(id.to_owned(), (Arc::new(parked), due));
        drop(known);
        if let Some(driven) = driven {
            driven.gone.cancel();
            self.fewer.notify_waiters();
        }
        if is_first {
            self.changed.notify_waiters();
        }
        true
    }

    /// Drives a build no more.
    pub(super) fn remove(&self, id: &str) {
        let driven = lock(&self.known).builds.remove(id);
        if let Some(driven) = driven {
            driven.gone.cancel();
            self.fewer.notify_waiters();
        }
    }

    /// Lets go of a build that is parked.
    pub(super) fn let_go(&self, id: &str) -> Option<Arc<ParkedBuild>> {
        let parked = lock(&self.known).take_parked(id)?;
        parked.told.send_replace(Some(Err(Arc::new(ControllerError::LetGo { build: id.to_owned() }))));
        parked.gone.cancel();
        self.changed.notify_waiters();
        Some(parked)
    }

    /// Has somebody told of a parked build once more, as if it reached its time limit then.
    pub(super) fn due_again(&self, id: &str, due: Duration) {
        let mut known = lock(&self.known);
        let Some((_, before)) = known.parked.get_mut(id) else { return };
        if let Some(before) = before.replace(due) {
            known.due.remove(&(before, id.to_owned()));
        }
        known.due.insert((due, id.to_owned()));
        drop(known);
        self.changed.notify_waiters();
    }

    /// Whether somebody has to begin to look at time limits; then nobody else has to.
    pub(super) fn begins_to_look(&self) -> bool {
        !std::mem::replace(&mut lock(&self.known).looked_at, true)
    }

    /// When the next parked build reaches its time limit. `None` if none is parked: then nobody looks at that any more.
    pub(super) fn next_due(&self) -> Option<Option<Duration>> {
        let mut known = lock(&self.known);
        known.looked_at = !known.parked.is_empty();
        known.looked_at.then(|| known.due.first().map(|(due, _)| *due))
    }

    /// Waits until [`next_due`](Self::next_due) may say something else; what happens from this call on counts.
    pub(super) fn changed(&self) -> impl Future<Output = ()> {
        heard(&self.changed)
    }

    /// Waits until a build is driven no more; what happens from this call on counts.
    pub(super) fn fewer(&self) -> impl Future<Output = ()> {
        heard(&self.fewer)
    }

    /// The parked builds whose time limits are reached. Nobody is told of them again.
    pub(super) fn take_due(&self, now: Duration) -> Vec<String> {
        let mut known = lock(&self.known);
        let later = known.due.split_off(&(now.saturating_add(Duration::from_nanos(1)), String::new()));
        std::mem::replace(&mut known.due, later).into_iter().map(|(_, id)| id).collect()
    }
}

/// Waits until somebody is told; what is told from this call on counts.
fn heard(notify: &Notify) -> impl Future<Output = ()> {
    let mut heard = Box::pin(notify.notified());
    heard.as_mut().enable();
    heard
}
