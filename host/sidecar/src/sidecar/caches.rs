//! Caches: restored before the job runs, saved after it. Without one a build is slower, and nothing else: what goes wrong with
//! an archive is a line in the log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use monkeyci_api::Client;
use monkeyci_archive::{Fingerprint, Fingerprints};
use monkeyci_build::{CacheSpec, SavePolicy};
use tokio::task::spawn_blocking;

use super::StepError;
use super::log::Log;
use super::restore::{Place, size, unpack_into};
use super::save::{Failed, upload};

/// The caches that were found.
#[derive(Default)]
pub(super) struct Restored {
    fingerprints: Fingerprints,
    /// Those that were found under their own keys, by id, with what they looked like then.
    exact: BTreeMap<String, Option<Fingerprint>>,
}

/// Restores all that are there.
pub(super) async fn restore(
    client: &Client,
    log: &Log,
    caches: &[CacheSpec],
    place: &Place,
) -> Result<Restored, StepError> {
    let mut restored = Restored::default();
    for cache in caches {
        let id = &cache.id;
        let step = format!("restoring cache {id}");
        let Some(hit) = client.cache(id).await.map_err(|error| StepError::new(&step, error))? else { continue };
        match unpack_into(&step, hit.archive, place, Path::new("")).await {
            Ok(unpacked) => {
                let kind = if hit.exact { "exact" } else { "older" };
                log.say(format!("restored cache {id} ({kind}, {})", size(unpacked.bytes))).await;
                if hit.exact {
                    // At once: an artifact may be restored into the same place, and is a change.
                    let look = place.work_dir().ok();
                    let fingerprint = restored.look(look.as_ref(), cache).await;
                    restored.exact.insert(id.clone(), fingerprint);
                }
            }
            // Wrong data must not get into what the job makes. The host has thrown the cache away.
            Err(failed) if failed.changed => return Err(failed.error),
            // A cache that does not fit any more must not stop every later build. What was unpacked stays, as with a cache
            // that is out of date; a success replaces it.
            Err(failed) => log.say(format!("cache {id} can't be used: {}", failed.error.reason)).await,
        }
    }
    Ok(restored)
}

impl Restored {
    /// Saves those whose time has come.
    pub(super) async fn save(&self, client: &Client, log: &Log, caches: &[CacheSpec], dir: &Dir, succeeded: bool) {
        for cache in caches {
            let CacheSpec { id, path, .. } = cache;
            let before = self.exact.get(id);
            let wanted = match cache.save {
                SavePolicy::Success => succeeded,
                SavePolicy::Always => true,
                SavePolicy::Miss => succeeded && before.is_none(),
            };
            if !wanted {
                continue;
            }
            let before = before.copied().flatten();
            let line = if before.is_some() && self.look(Some(dir), cache).await == before {
                format!("cache {id} is unchanged")
            } else {
                match upload(dir, path, &[], |body| client.save_cache(id, body)).await {
                    Ok(packed) => format!("saved cache {id} ({})", size(packed.bytes)),
                    Err(Failed::Local(error)) => format!("cache {id} is not saved: {error}"),
                    Err(Failed::Upload(reason)) => format!("cache {id} is not saved: {reason}"),
                }
            };
            log.say(line).await;
        }
    }

    /// What a cache looks like now; none when that can't be said.
    async fn look(&self, dir: Option<&Dir>, cache: &CacheSpec) -> Option<Fingerprint> {
        let (dir, path) = (dir?.try_clone().ok()?, PathBuf::from(&cache.path));
        let fingerprints = self.fingerprints.clone();
        spawn_blocking(move || fingerprints.take(&dir, &path)).await.ok()?.ok()
    }
}
