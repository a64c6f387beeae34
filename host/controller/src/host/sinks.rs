//! Who is told of what happens in builds, so that nothing is missed: commit statuses, chats, metrics.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use monkeyci_build::{Event, EventBody};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::Host;
use super::build::Build;
use super::driven::Found;
use super::sources::BoxError;
use crate::error::ControllerError;
use crate::lock::lock;

/// The most events that are delivered at once.
pub(super) const AT_ONCE: usize = 256;
/// How long it takes until events are delivered again that were not, the first time and at most. It doubles from one time to the next.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));

/// Is told of what happens in the builds that a host drives.
///
/// Each build's events come in order, and each at least once: where a host dies before it has noted that something was delivered, it is
/// delivered again by the next one of the home. How far it has come stands in the home, by the sink's name. Events that came before the
/// home knew the sink are not delivered, unless their build still goes on.
#[async_trait]
pub trait EventSink: Send + Sync + 'static {
    /// Its name, which stays the same from one start to the next: at most 64 letters, digits, `-` and `_`.
    fn name(&self) -> &str;

    /// Takes events of one build, which are on disk. Nothing more of this build is delivered before it has returned.
    ///
    /// # Errors
    /// When it can't take them now: they are delivered again, in a moment.
    async fn deliver(&self, build: &str, events: &[Event]) -> Result<(), BoxError>;
}

/// A sink, and how far it has come.
pub(super) struct Sink {
    sink: Arc<dyn EventSink>,
    cursors: Mutex<Cursors>,
    /// The builds of which somebody tells it now.
    told: Mutex<HashSet<String>>,
}

/// How far a sink has come with the builds that are not over for it: lines in a file, of which the last of a build counts.
struct Cursors {
    file: File,
    path: PathBuf,
    reached: BTreeMap<String, u64>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Reached {
    build: String,
    /// The last event that was delivered.
    seq: u64,
    /// Whether it was the build's last one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    over: bool,
}

impl Cursors {
    /// Reads what earlier hosts have written. Where no other one has the file open, what is over goes out of it.
    fn open(path: PathBuf) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
        let alone = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !alone {
            // As long as this is open, nobody takes anything out of it.
            flock(&file, FlockOperation::LockShared)?;
        }
        let mut text = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut text)?;
        let mut reached = BTreeMap::new();
        // A line that was not written to its end is none.
        for line in text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Reached>(line).ok()) {
            match line.over {
                true => reached.remove(&line.build),
                false => reached.insert(line.build, line.seq),
            };
        }
        let mut cursors = Self { file, path, reached };
        if alone {
            cursors.file.set_len(0)?;
            for (build, seq) in cursors.reached.clone() {
                cursors.write(&Reached { build, seq, over: false })?;
            }
            flock(&cursors.file, FlockOperation::LockShared)?;
        } else if text.last().is_some_and(|last| *last != b'\n') {
            cursors.file.write_all(b"\n")?;
        }
        Ok(cursors)
    }

    fn write(&mut self, line: &Reached) -> io::Result<()> {
        let mut line = serde_json::to_vec(line).map_err(io::Error::other)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }

    /// Notes how far the sink has come with a build. Where that can't be written, the next host delivers again.
    fn reach(&mut self, build: &str, seq: u64, over: bool) {
        if let Err(error) = self.write(&Reached { build: build.to_owned(), seq, over }) {
            tracing::warn!(%error, path = %self.path.display(), "how far a sink has come can't be noted");
        }
        match over {
            true => self.reached.remove(build),
            false => self.reached.insert(build.to_owned(), seq),
        };
    }
}

impl Sink {
    /// Opens what is known of a sink in a home.
    ///
    /// # Errors
    /// When its name can't be one, or the home can't be used.
    pub(super) fn open(sink: Arc<dyn EventSink>, dir: &Path) -> Result<Arc<Self>, ControllerError> {
        let name = sink.name();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            return Err(ControllerError::SinkName { name: name.to_owned() });
        }
        let path = dir.join(format!("{name}.jsonl"));
        let open = || {
            crate::home::make_dir(dir)?;
            Cursors::open(path.clone())
        };
        let cursors = open().map_err(|source| ControllerError::Home { path: path.clone(), source })?;
        Ok(Arc::new(Self { sink, cursors: Mutex::new(cursors), told: Mutex::default() }))
    }

    /// Delivers the events of a build in a task, unless one does, until it is over, nobody drives it, or the host has shut down. While it is
    /// parked there is no such task.
    fn tell(self: &Arc<Self>, build: &Build) {
        if !lock(&self.told).insert(build.id().to_owned()) {
            return;
        }
        let (sink, build) = (self.clone(), build.clone());
        build.host.0.telling.clone().spawn(async move {
            loop {
                let is_parked = sink.deliver(&build).await;
                let mut told = lock(&sink.told);
                // It may have been brought back, and whoever did that has found this task here.
                if !is_parked || !matches!(build.host.0.driven.find(build.id()), Some(Found::Driven(_))) {
                    told.remove(build.id());
                    return;
                }
            }
        });
    }

    /// Delivers what there is of a build, and what comes; whether it is parked now.
    async fn deliver(&self, build: &Build) -> bool {
        let after = {
            let mut cursors = lock(&self.cursors);
            let reached = cursors.reached.get(build.id()).copied();
            if reached.is_none() {
                cursors.reach(build.id(), 0, false);
            }
            reached.unwrap_or(0)
        };
        let (events, is_parked) = build.events_until_parked(after);
        let mut events = events.ready_chunks(AT_ONCE);
        while let Some(read) = events.next().await {
            let events: Vec<Event> = read.into_iter().map_while(Result::ok).collect();
            let Some(last) = events.last() else { return false };
            let mut pause = AGAIN.0;
            while let Err(error) = self.sink.deliver(build.id(), &events).await {
                tracing::warn!(%error, build = build.id(), "the sink {} has not taken {} events", self.sink.name(), events.len());
                tokio::select! {
                    // The next host delivers them.
                    () = build.host.0.closed.cancelled() => return false,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(AGAIN.1);
            }
            lock(&self.cursors).reach(build.id(), last.seq, matches!(last.body, EventBody::BuildEnded { .. }));
        }
        is_parked.load(Ordering::Relaxed)
    }

    /// The builds that it has not heard all of.
    fn open_builds(&self) -> Vec<String> {
        lock(&self.cursors).reached.keys().cloned().collect()
    }

    /// Hears no more of a build of which nothing is left.
    fn forget(&self, build: &str) {
        lock(&self.cursors).reach(build, 0, true);
    }
}

impl Host {
    /// Tells all sinks of a build that is driven now.
    pub(super) fn tell_sinks(&self, build: &Build) {
        for sink in &self.0.sinks {
            sink.tell(build);
        }
    }

    /// Tells the sinks what earlier hosts have not told them, of builds that are over. Of others they hear when those go on.
    pub(super) async fn catch_up_with_sinks(&self) -> Result<(), ControllerError> {
        for sink in &self.0.sinks {
            for id in sink.open_builds() {
                if !self.is_written(&id).await? {
                    if !self.0.home.is_live(&id) {
                        sink.forget(&id);
                    }
                    continue;
                }
                let build = self.handle(&id);
                if build.is_over().await? {
                    sink.tell(&build);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_sink_has_come_is_known_after_a_crash_and_what_is_over_goes_out_of_its_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("chat.jsonl");
        let open = || Cursors::open(path.clone()).expect("a file");
        let mut first = open();
        for (build, seq, over) in [("o/r/1", 0, false), ("o/r/2", 0, false), ("o/r/1", 7, false), ("o/r/2", 9, true)] {
            first.reach(build, seq, over);
        }
        // Another host of the home has it open: nothing is taken out from under it, and it may write too.
        let mut second = open();
        assert_eq!(second.reached, BTreeMap::from([("o/r/1".to_owned(), 7)]));
        second.reach("o/r/3", 1, false);
        first.reach("o/r/1", 8, false);
        drop((first, second));
        // A line that broke off.
        std::fs::write(&path, [std::fs::read(&path).expect("lines"), b"{\"build\":\"o/r/1\",\"se".to_vec()].concat())
            .expect("written");
        let mut third = open();
        assert_eq!(third.reached, BTreeMap::from([("o/r/1".to_owned(), 8), ("o/r/3".to_owned(), 1)]));
        third.reach("o/r/3", 2, true);
        drop(third);
        assert_eq!(open().reached.len(), 1);
        assert_eq!(std::fs::read_to_string(&path).expect("lines").lines().count(), 1);
    }
}
