//! A build in a file, to be replayed elsewhere: its journal, its script, and the large values that its script was told.
//!
//! # The form
//!
//! An archive of this project (`monkeyci-archive`) with these files: `manifest.json`, which says the layout, the build, which host wrote it,
//! and how many bytes each other file has, with its SHA-256; `journal`, the records as `monkeyci_storage::journal::export` writes them, each
//! with the checksum of itself and of those before it; `script.wasm`; and `values/DIGEST` for each large value, by the digest that stands in its
//! place in the journal.
//!
//! No secret is in it. Neither is the key of the digests that stand for secrets: who has a bundle can't try values out. Large values
//! that a secret stands in stay away too.

mod budget;
mod error;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use monkeyci_archive::{UnpackLimits, pack_files, read_files};
use monkeyci_build::{Event, EventBody, Requested};
use monkeyci_storage::{hex, journal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use budget::BUNDLE_BYTES;
use budget::{FILES, MANIFEST_BYTES, UNPACKED};
pub(crate) use budget::{VALUE_BYTES, limits};
pub use error::BundleError;

use crate::replay::{RecordedBuild, ReplayError};

/// The layout of bundles that this version writes.
pub const BUNDLE_LAYOUT: u32 = 1;

const MANIFEST: &str = "manifest.json";
const JOURNAL: &str = "journal";
const SCRIPT: &str = "script.wasm";
const VALUES: &str = "values";

/// What is in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    layout: u32,
    build: String,
    /// The version of the host that wrote it.
    host: String,
    /// How many records the journal has.
    records: u64,
    files: BTreeMap<String, FileOf>,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOf {
    bytes: u64,
    sha256: String,
}

impl FileOf {
    fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, sha256: hex(&Sha256::digest(content)) }
    }
}

/// A build in a file.
#[derive(Clone, Debug)]
pub struct Bundle {
    build: String,
    host: String,
    events: Vec<Event>,
    /// The journal as a stream.
    journal: Bytes,
    script: Bytes,
    values: BTreeMap<String, Bytes>,
}

impl Bundle {
    /// # Errors
    /// When the journal is no whole one, or it does not name this script.
    pub(crate) fn new(journal: Bytes, script: Bytes, values: BTreeMap<String, Bytes>) -> Result<Self, BundleError> {
        let (build, events) = journal::import(&journal[..]).map_err(BundleError::Journal)?;
        let host = env!("CARGO_PKG_VERSION").to_owned();
        let bundle = Self { build, host, events, journal, script, values };
        // What nobody could read is not written.
        let contents = [&bundle.journal, &bundle.script].into_iter().chain(bundle.values.values());
        let (bytes, files) = contents.fold((0, 1), |(bytes, files), file| (bytes + file.len() as u64, files + 1));
        if bytes > UNPACKED - MANIFEST_BYTES || files > FILES {
            return Err(BundleError::TooMuch { bytes, files });
        }
        bundle.checked()
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// When it is none, or any part of it is not what was written. Then nothing of it is used.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() as u64 > BUNDLE_BYTES {
            return Err(BundleError::TooLarge { bytes: bytes.len() as u64 });
        }
        let limits = UnpackLimits { max_bytes: UNPACKED, max_entries: FILES, ..UnpackLimits::default() };
        let mut present = read_files(bytes, &limits)?;
        let missing = |name: &str| BundleError::damaged(name, "it is missing");
        let read = present.remove(Path::new(MANIFEST)).ok_or_else(|| missing(MANIFEST))?;
        if read.len() as u64 > MANIFEST_BYTES {
            return Err(BundleError::damaged(MANIFEST, "it is larger than one may be"));
        }
        let manifest = manifest(&read)?;
        let mut found = BTreeMap::new();
        for (name, of) in &manifest.files {
            // By the very name: two that mean the same place are two.
            let (path, content) = present.remove_entry(Path::new(name)).ok_or_else(|| missing(name))?;
            if path.as_os_str() != name.as_str() || FileOf::of(&content) != *of {
                return Err(BundleError::damaged(name, "it is not what the manifest says"));
            }
            found.insert(name.as_str(), Bytes::from(content));
        }
        if let Some(path) = present.keys().next() {
            return Err(BundleError::damaged(&path.to_string_lossy(), "the manifest does not name it"));
        }
        let mut take = |name: &str| found.remove(name).ok_or_else(|| missing(name));
        let (journal, script) = (take(JOURNAL)?, take(SCRIPT)?);
        let mut values = BTreeMap::new();
        for (name, value) in found {
            let digest = name.strip_prefix(VALUES).and_then(|name| name.strip_prefix('/'));
            let digest = digest.ok_or_else(|| BundleError::damaged(name, "it is no file of a bundle"))?;
            values.insert(digest.to_owned(), value);
        }
        let (build, events) = journal::import(&journal[..]).map_err(BundleError::Journal)?;
        if build != manifest.build || events.len() as u64 != manifest.records {
            return Err(BundleError::damaged(JOURNAL, "it is not the whole journal that the manifest names"));
        }
        let bundle = Self { build, host: manifest.host, events, journal, script, values };
        bundle.checked()
    }

    /// Writes the bundle.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write(&self, out: impl Write) -> Result<(), BundleError> {
        let mut files: BTreeMap<String, &[u8]> =
            self.values.iter().map(|(digest, value)| (format!("{VALUES}/{digest}"), &value[..])).collect();
        files.insert(JOURNAL.to_owned(), &self.journal);
        files.insert(SCRIPT.to_owned(), &self.script);
        let manifest = Manifest {
            layout: BUNDLE_LAYOUT,
            build: self.build.clone(),
            host: self.host.clone(),
            records: self.events.len() as u64,
            files: files.iter().map(|(name, content)| (name.clone(), FileOf::of(content))).collect(),
        };
        let manifest = serde_json::to_vec_pretty(&manifest).map_err(|error| BundleError::damaged(MANIFEST, error))?;
        let first = std::iter::once((Path::new(MANIFEST), &manifest[..]));
        pack_files(first.chain(files.iter().map(|(name, content)| (Path::new(name), *content))), out)?;
        Ok(())
    }

    /// The build's id.
    pub fn build(&self) -> &str {
        &self.build
    }

    /// The version of the host that wrote it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The script's bytes.
    pub fn script(&self) -> Bytes {
        self.script.clone()
    }

    /// The build's events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Whether the build is over.
    pub fn is_over(&self) -> bool {
        matches!(self.events.last(), Some(Event { body: EventBody::BuildEnded { .. }, .. }))
    }

    /// The build, to be replayed.
    ///
    /// # Errors
    /// As [`RecordedBuild::of`].
    pub fn recorded(&self) -> Result<RecordedBuild, ReplayError> {
        Ok(RecordedBuild { values: self.values.clone(), ..RecordedBuild::of(&self.events)? })
    }

    /// How many large answers that the script was told are not in it: a replay goes no further than those.
    pub fn lacking(&self) -> usize {
        self.recorded().map_or(0, |recorded| recorded.lacking())
    }

    /// Checks what the journal says of itself: blobs and directories are named by the build's id, and the script is the one that it names.
    fn checked(self) -> Result<Self, BundleError> {
        let journal = |reason: &str| Err(BundleError::damaged(JOURNAL, reason));
        match self.events.first().map(|event| &event.body) {
            Some(EventBody::BuildTriggered { build, .. }) if *build == self.build && is_id(build) => {}
            _ => return journal("it does not begin with a build that could be one of a home"),
        }
        match Requested::of(&self.events) {
            Some(requested) if requested.script == hex(&Sha256::digest(&self.script)) => Ok(self),
            Some(_) => Err(BundleError::damaged(SCRIPT, "it is another one than the build had")),
            None => journal("it does not say which script the build had"),
        }
    }
}

/// Whether it is the id of a build, as hosts make them: organisation, repository and a name.
fn is_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('/').collect();
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    let is_part = |part: &&str| (1..=255).contains(&part.len()) && !part.starts_with('.') && part.chars().all(is_plain);
    parts.len() == 3 && parts.iter().all(is_part)
}

/// Reads a manifest: the layout first, for all else hangs on it.
fn manifest(bytes: &[u8]) -> Result<Manifest, BundleError> {
    #[derive(Deserialize)]
    struct Layout {
        layout: u32,
    }
    let unreadable = |error: serde_json::Error| BundleError::damaged(MANIFEST, error);
    let Layout { layout } = serde_json::from_slice(bytes).map_err(unreadable)?;
    match layout {
        BUNDLE_LAYOUT => serde_json::from_slice(bytes).map_err(unreadable),
        0 => Err(BundleError::damaged(MANIFEST, "its layout is none that was ever written")),
        newer => Err(BundleError::Newer { layout: newer }),
    }
}

#[cfg(test)]
mod tests;
