//! What is kept of builds that are over, and of caches, and for how long.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use monkeyci_build::EventBody;
use monkeyci_storage::journal::{Page, last_record};
use monkeyci_storage::names;

use super::Host;
use crate::error::ControllerError;

/// An upload to which nothing was added for so long is one that broke off: a body that brings nothing is refused far sooner.
const BROKE_OFF: Duration = Duration::from_secs(60 * 60);
/// A script that was stored just now may be of a build that is being begun.
const YOUNG: Duration = Duration::from_secs(60 * 60);

/// Which builds and caches are kept. By default, all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// A build of which nothing was heard for longer is removed.
    pub older_than: Option<Duration>,
    /// So many builds of each repository are kept, however old they are; without `older_than`, no more.
    pub keep_last: Option<usize>,
    /// The most bytes of caches: those that were not used for longest are removed.
    pub cache_bytes: Option<u64>,
}

/// Something that was removed, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// What it is: `build org/repo/build`, say.
    pub name: String,
    /// How many bytes it had in the store; of a build, without those of its journal.
    pub bytes: u64,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.bytes)
    }
}

impl Retention {
    /// Whether a build is removed: one of this age, with so many newer ones of its repository.
    fn removes(&self, age: Duration, newer: usize) -> bool {
        let many = |keep| newer >= keep;
        match (self.older_than, self.keep_last) {
            (None, None) => false,
            (None, Some(keep)) => many(keep),
            (Some(limit), keep) => age > limit && keep.is_none_or(many),
        }
    }
}

impl Host {
    /// Removes builds and caches that are not to be kept: journals, logs, artifacts, test reports, and scripts that no build is of any
    /// more; and what uploads have left that broke off. No build is touched that a process runs, or whose containers wait for another host; and one
    /// that could be resumed only if nothing was heard of it for as long as [`Retention::older_than`] says. Returns what was removed, or would be.
    ///
    /// # Errors
    /// When something can't be read or removed. What was removed until then is gone.
    pub async fn clean(&self, retention: &Retention, dry_run: bool) -> Result<Vec<Removed>, ControllerError> {
        let mut removed = Vec::new();
        let (old, kept) = self.old_builds(retention).await?;
        for build in &old {
            let mut bytes = 0;
            for dir in names::of_build(build) {
                bytes += self.0.services.blobs.size_below(&dir).await?;
            }
            if !dry_run && !self.remove_build(build).await? {
                continue;
            }
            removed.push(Removed { name: format!("build {build}"), bytes });
        }
        if !old.is_empty() {
            removed.extend(self.remove_scripts(&kept, dry_run).await?);
        }
        if let Some(limit) = retention.cache_bytes {
            removed.extend(self.remove_caches(limit, dry_run).await?);
        }
        removed.extend(self.remove_broken_off(dry_run).await?);
        Ok(removed)
    }

    /// The builds that are removed, and those that are not.
    async fn old_builds(&self, retention: &Retention) -> Result<(Vec<String>, Vec<String>), ControllerError> {
        // Those whose host has died too, as long as there is what they need to go on: the sweep clears that away.
        let (mut live, dead) = self.0.home.live_builds(true).map_err(|source| self.unreadable(source))?;
        live.extend(dead.into_iter().filter_map(|dead| dead.build));
        let open: BTreeSet<String> = self.0.journals.open_builds().await?.into_iter().collect();
        let (mut old, mut kept, mut newer) = (Vec::new(), Vec::new(), HashMap::<String, usize>::new());
        let now = self.0.clock.day_ms();
        for build in self.0.journals.builds().await?.into_iter().rev() {
            let repository = build.rsplit_once('/').map_or(build.as_str(), |(repository, _)| repository).to_owned();
            let newer = newer.entry(repository).or_default();
            let age = Duration::from_millis(now.saturating_sub(self.last_heard(&build).await?));
            let is_old = match (open.contains(&build), retention.older_than) {
                // That there are many others is no reason to remove what somebody may want to go on with.
                (true, None) => false,
                (true, Some(_)) | (false, _) => retention.removes(age, *newer),
            };
            match !live.contains(&build) && is_old {
                true => old.push(build),
                false => kept.push(build),
            }
            *newer += 1;
        }
        old.reverse();
        Ok((old, kept))
    }

    /// When something of a build was last written down, in milliseconds since the Unix epoch.
    async fn last_heard(&self, build: &str) -> Result<u64, ControllerError> {
        Ok(last_record(self.0.journals.database(), build).await?.map_or(0, |record| record.time_ms))
    }

    /// Removes a build, unless somebody has begun to run it meanwhile.
    async fn remove_build(&self, build: &str) -> Result<bool, ControllerError> {
        // Nobody drives it: its directory goes again in a moment.
        let Some(locked) = self.0.home.take_build_dir(build, "")? else { return Ok(false) };
        if locked.left {
            // Its host has died, and its containers may wait for another one. The sweep knows, and clears away what nobody waits for.
            return Ok(false);
        }
        for dir in names::of_build(build) {
            self.0.services.blobs.remove_below(&dir).await?;
        }
        // Last: as long as there is a journal, somebody will try again.
        self.0.journals.database().remove(build).await?;
        Ok(true)
    }

    /// Removes the scripts that none of these builds is of.
    async fn remove_scripts(&self, builds: &[String], dry_run: bool) -> Result<Vec<Removed>, ControllerError> {
        let mut used = BTreeSet::new();
        for build in builds {
            // It is the second event, where there is one.
            let first = self.0.journals.events_after(build, 0, Page { count: 2, ..Page::default() }).await?;
            used.extend(first.into_iter().filter_map(|event| match event.body {
                EventBody::BuildRequested { request } => Some(names::script(&request.script)),
                _ => None,
            }));
        }
        let mut removed = Vec::new();
        for script in self.0.services.blobs.by_last_use(&names::all_scripts()).await? {
            let age = Duration::from_millis(self.0.clock.day_ms().saturating_sub(script.last_ms));
            if used.contains(&script.name) || age < YOUNG {
                continue;
            }
            if !dry_run {
                self.0.services.blobs.remove(&script.name).await?;
            }
            removed.push(Removed { name: script.name.to_string(), bytes: script.size });
        }
        Ok(removed)
    }

    /// Removes caches until they have no more than so many bytes.
    async fn remove_caches(&self, limit: u64, dry_run: bool) -> Result<Vec<Removed>, ControllerError> {
        let caches = self.0.services.blobs.by_last_use(&names::all_caches()).await?;
        let mut size: u64 = caches.iter().map(|cache| cache.size).sum();
        let mut removed = Vec::new();
        for cache in caches {
            if size <= limit {
                break;
            }
            if !dry_run {
                self.0.services.blobs.remove(&cache.name).await?;
            }
            size = size.saturating_sub(cache.size);
            removed.push(Removed { name: format!("cache {}", cache.name), bytes: cache.size });
        }
        Ok(removed)
    }

    /// Removes what uploads have left that broke off with their process.
    async fn remove_broken_off(&self, dry_run: bool) -> Result<Vec<Removed>, ControllerError> {
        let before_ms = self.0.clock.day_ms().saturating_sub(u64::try_from(BROKE_OFF.as_millis()).unwrap_or(u64::MAX));
        let found = self.0.services.blobs.unfinished(before_ms, !dry_run).await?;
        let found = found.into_iter().map(|(name, bytes)| Removed { name: format!("unfinished upload {name}"), bytes });
        Ok(found.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_kept_that_is_young_or_one_of_the_last() {
        let day = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        let by = |older_than, keep_last| Retention { older_than, keep_last, ..Retention::default() };
        assert!(!by(None, None).removes(day(1000), 1000));
        assert!(by(Some(day(30)), None).removes(day(31), 0) && !by(Some(day(30)), None).removes(day(30), 1000));
        assert!(by(None, Some(2)).removes(day(0), 2) && !by(None, Some(2)).removes(day(1000), 1));
        let both = by(Some(day(30)), Some(2));
        assert!(both.removes(day(31), 2));
        assert!(!both.removes(day(31), 1) && !both.removes(day(29), 2));
    }
}
