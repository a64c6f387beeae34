//! Caches: restored before the job runs, saved after it. Without one a build is slower, and nothing else: what goes wrong with
//! an archive is a line in the log.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use futures::{StreamExt, TryStreamExt, stream};
use monkeyci_archive::{ArchiveError, Fingerprint, Fingerprints};
use monkeyci_build::{CacheSpec, SavePolicy};
use tokio::task::spawn_blocking;

use super::host::Host;
use super::log::Log;
use super::restore::{Place, size, unpack_into, until_whole};
use super::save::upload;
use super::{StepError, at_once};

/// How the paths of a cache look: none for one of several that is not there.
type Look = Vec<Option<Fingerprint>>;

/// The paths that a cache keeps.
fn paths(cache: &CacheSpec) -> impl Iterator<Item = &String> {
    [&cache.path].into_iter().chain(&cache.more_paths)
}

/// The caches that were found.
#[derive(Default)]
pub(super) struct Restored {
    fingerprints: Fingerprints,
    /// Those that were found under their own keys, by id, with what they looked like then.
    exact: BTreeMap<String, Option<Look>>,
}

/// Restores all that are there.
pub(super) async fn restore(
    host: &Host,
    log: &Log,
    caches: &[CacheSpec],
    place: &Place,
) -> Result<Restored, StepError> {
    let mut restored = Restored::default();
    let at_once = at_once::downloads(caches.iter().flat_map(paths).map(String::as_str));
    let fingerprints = &restored.fingerprints;
    let found = stream::iter(caches).map(|cache| restore_one(host, log, cache, place, fingerprints));
    let found: Vec<_> = found.buffered(at_once).try_collect().await?;
    restored.exact = found.into_iter().flatten().collect();
    Ok(restored)
}

/// Restores a cache if it is there; returns its id and what it looks like if that is the one to save again.
async fn restore_one(
    host: &Host,
    log: &Log,
    cache: &CacheSpec,
    place: &Place,
    fingerprints: &Fingerprints,
) -> Result<Option<(String, Option<Look>)>, StepError> {
    let id = &cache.id;
    let step = format!("restoring cache {id}");
    let exact = Cell::new(false);
    let unpacked = until_whole(
        host,
        &step,
        async |client| client.cache(id).await,
        async |hit| {
            exact.set(hit.exact);
            unpack_into(&step, hit.archive, place, Path::new("")).await
        },
    );
    let Some(unpacked) = unpacked.await? else { return Ok(None) };
    match unpacked {
        Ok(unpacked) => {
            let kind = if exact.get() { "exact" } else { "older" };
            log.say(format!("restored cache {id} ({kind}, {})", size(unpacked.bytes))).await;
            if !exact.get() {
                return Ok(None);
            }
            // At once: an artifact may be restored into the same place, and is a change.
            let dir = place.work_dir().ok();
            Ok(Some((id.clone(), look(fingerprints, dir.as_ref(), cache).await)))
        }
        // Wrong data must not get into what the job makes. The host has thrown the cache away.
        Err(failed) if failed.changed => Err(failed.error),
        // A cache that does not fit any more must not stop every later build. What was unpacked stays, as with a cache
        // that is out of date; a success replaces it.
        Err(failed) => {
            log.say(format!("cache {id} can't be used: {}", failed.error.reason)).await;
            Ok(None)
        }
    }
}

impl Restored {
    /// Saves those whose time has come.
    pub(super) async fn save(&self, host: &Host, log: &Log, caches: &[CacheSpec], dir: &Dir, succeeded: bool) {
        let wanted = caches.iter().filter(|cache| match cache.save {
            SavePolicy::Success => succeeded,
            SavePolicy::Always => true,
            SavePolicy::Never => false,
            SavePolicy::Miss => succeeded && !self.exact.contains_key(&cache.id),
        });
        let lines = stream::iter(wanted).map(|cache| self.save_one(host, cache, dir)).buffered(at_once::uploads());
        lines.for_each(|line| log.say(line)).await;
    }

    /// Saves a cache that has changed; returns what there is to say.
    async fn save_one(&self, host: &Host, cache: &CacheSpec, dir: &Dir) -> String {
        let id = &cache.id;
        let before = self.exact.get(id).cloned().flatten();
        if before.is_some() && look(&self.fingerprints, Some(dir), cache).await == before {
            return format!("cache {id} is unchanged");
        }
        let paths = paths(cache).collect::<Vec<_>>();
        match upload(host, dir, &paths, &[], async |client, body| client.save_cache(id, body).await).await {
            Ok(packed) if packed.skipped > 0 => {
                let skipped = packed.skipped;
                format!(
                    "saved cache {id} ({}), which lacks {skipped} of sockets, pipes and devices",
                    size(packed.bytes)
                )
            }
            Ok(packed) => format!("saved cache {id} ({})", size(packed.bytes)),
            Err(failed) => format!("cache {id} is not saved: {failed}"),
        }
    }
}

/// What a cache looks like now; none when that can't be said.
async fn look(fingerprints: &Fingerprints, dir: Option<&Dir>, cache: &CacheSpec) -> Option<Look> {
    let (dir, paths) = (dir?.try_clone().ok()?, paths(cache).map(PathBuf::from).collect::<Vec<_>>());
    let fingerprints = fingerprints.clone();
    let look = move || {
        let of_several = paths.len() > 1;
        let looks = paths.iter().map(|path| match fingerprints.take(&dir, path) {
            Err(ArchiveError::Missing { .. }) if of_several => Ok(None),
            taken => taken.map(Some),
        });
        looks.collect::<Result<Look, _>>().ok()
    };
    spawn_blocking(look).await.ok()?
}
