//! The host's home directory: journal, blobs, compile cache, and what running builds need.
//!
//! All of it is its user's alone. A home that somebody else owns, or can write to, is refused: machine code in it would be run, and
//! what is in it shown. Where the directory was there before, it may stay readable for others; what the host keeps in it is not.

mod dead;
mod held;
mod hosts;
mod locks;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use monkeyci_build::{Event, Requested};
use rustix::fs::{FlockOperation, flock};

use crate::error::ControllerError;
use dead::Dead;
use held::SHELLS;
pub(crate) use held::{Held, is_held};
use hosts::{HOST, not_there_is_fine};
pub(crate) use hosts::{HostDir, ways_to_builds};
use locks::{is_locked, lock_dir};

/// What a build's directory has for the containers of its jobs: for each what its sidecar is told, and where the build API is.
pub(crate) const JOBS: &str = "jobs";
/// The file that says that a build's directory is kept for a person.
const KEPT: &str = "kept";
/// The directory of the build API's socket.
pub(crate) const API: &str = "api";

/// The home directory, mode 0700.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    root: PathBuf,
    /// Who owns the containers that this home's builds make.
    pub(crate) owner: String,
    dead: Dead,
}

/// What a build has left in its home whose process was killed.
#[derive(Debug)]
pub(crate) struct DeadBuild {
    /// The build's id; none of one that had not got so far.
    pub(crate) build: Option<String>,
    pub(crate) dir: PathBuf,
}

/// The directory of a running build. It is locked for as long as the build runs, so that nobody takes its containers
/// for leftovers; dropping it removes the directory.
#[derive(Debug)]
pub(crate) struct BuildDir {
    pub(crate) path: PathBuf,
    /// Whether it is as the build's process has left it when it died, and nobody has cleared away since.
    pub(crate) left: bool,
    /// Whether the directory is the one in which its containers look for the build API.
    pub(crate) has_api: bool,
    _lock: File,
    keep: bool,
    dead: Dead,
}

impl Home {
    /// Opens the home directory, and makes what is not there.
    pub(crate) fn open(root: &Path) -> Result<Self, ControllerError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| ControllerError::Home { path, source }
        };
        make_dir(root).map_err(fail(root))?;
        let root = fs::canonicalize(root).map_err(fail(root))?;
        own(&root)?;
        for dir in [root.join("blobs"), root.join("run")] {
            make_dir(&dir).map_err(fail(&dir))?;
            own(&dir)?;
            private(&dir, 0o700).map_err(fail(&dir))?;
        }
        // SQLite gives what it makes beside the journal the journal's own mode.
        let journal = root.join("journal.db");
        make_file(&journal).map_err(fail(&journal))?;
        for name in ["journal.db", "journal.db-wal", "journal.db-shm", "owner", "digest-key", "api-authority.pem"] {
            let path = root.join(name);
            private(&path, 0o600).map_err(fail(&path))?;
        }
        let path = root.join("owner");
        let owner = made_once(&path, || Ok(drawn(8))).map_err(fail(&path))?;
        Ok(Self { root, owner, dead: Dead::default() })
    }

    /// Opens a home to read in it; `None` if there is none. Nothing is made or changed.
    pub(crate) fn existing(root: &Path) -> Result<Option<Self>, ControllerError> {
        let fail = |source| ControllerError::Home { path: root.to_owned(), source };
        let metadata = match fs::metadata(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(fail)?,
        };
        let own = rustix::process::geteuid().as_raw();
        if metadata.uid() != own {
            // Also where it could be read: what a database leaves beside itself would be this user's, and in the other's way.
            let (path, owner) = (root.to_owned(), metadata.uid());
            return Err(ControllerError::HomeOfAnother { path, owner, own });
        }
        let root = fs::canonicalize(root).map_err(fail)?;
        let path = root.join("owner");
        let owner = whole(&path).map_err(|source| ControllerError::Home { path, source })?.unwrap_or_default();
        Ok(Some(Self { root, owner, dead: Dead::default() }))
    }

    /// The key for digests of secrets, which stand in the journal: so that the journal alone tells nothing of a secret.
    pub(crate) fn digest_key(&self) -> Result<String, ControllerError> {
        let path = self.root.join("digest-key");
        made_once(&path, || Ok(drawn(32))).map_err(|source| ControllerError::Home { path, source })
    }

    /// The key, if there is one: no build of this home has had secrets before there is.
    pub(crate) fn known_digest_key(&self) -> Result<Option<String>, ControllerError> {
        let path = self.root.join("digest-key");
        whole(&path).map_err(|source| ControllerError::Home { path, source })
    }

    /// Where the authority is kept that vouches for the build API over TLS, and what is kept there; `make` makes it once. It stays the
    /// same, since sidecars outlive the process that they were told of it by.
    pub(crate) fn api_authority(
        &self,
        make: impl FnOnce() -> io::Result<String>,
    ) -> Result<(PathBuf, String), ControllerError> {
        let path = self.root.join("api-authority.pem");
        match made_once(&path, make) {
            Ok(kept) => Ok((path, kept)),
            Err(source) => Err(ControllerError::Home { path, source }),
        }
    }

    /// From now on this process leaves what it has made in the home as it is: as one that was killed does.
    pub(crate) fn dies(&self) {
        self.dead.set();
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.root.join("journal.db")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Where the directories of running builds are.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// How far those have come who are told of what happens in builds.
    pub(crate) fn sinks(&self) -> PathBuf {
        self.root.join("sinks")
    }

    pub(crate) fn compiled(&self) -> PathBuf {
        self.root.join("compiled")
    }

    /// Where the directory of a build is, if it has one.
    pub(crate) fn path_of(&self, build: &str) -> PathBuf {
        self.run().join(build.replace('/', "_"))
    }

    /// Makes the directory of a build that this `host` drives, and locks it.
    pub(crate) fn build_dir(&self, build: &str, host: &str) -> Result<BuildDir, ControllerError> {
        let path = self.path_of(build);
        let make = || {
            make_dir(&path)?;
            // The lock comes before the name: a directory with a name and without a lock is one whose process is dead.
            let lock = File::create(path.join("lock"))?;
            // Waits for a moment at most: somebody may be looking whether it is locked.
            flock(&lock, FlockOperation::LockExclusive)?;
            fs::write(path.join(HOST), host)?;
            fs::write(path.join("build"), build)?;
            Ok(lock)
        };
        let lock = make().map_err(|source| ControllerError::Home { path: path.clone(), source })?;
        Ok(BuildDir { path, left: false, has_api: false, _lock: lock, keep: false, dead: self.dead.clone() })
    }

    /// Takes the directory of a build whose process has died, and empties it but for what containers have mounted that still run; makes
    /// it where there is none any more. `None` if the build runs or is parked, in whatever process.
    pub(crate) fn take_build_dir(&self, build: &str, host: &str) -> Result<Option<BuildDir>, ControllerError> {
        if self.is_parked(build) {
            return Ok(None);
        }
        let Some(taken) = self.take_parked_dir(build, host)? else { return Ok(None) };
        // Once more: it may have been parked since. Of one whose host has died, nobody looks for it there from now on.
        let fail = |source| ControllerError::Home { path: taken.path.clone(), source };
        Ok(if self.is_parked(build) {
            None
        } else {
            self.unpark(build).map_err(fail)?;
            Some(taken)
        })
    }

    /// The same for the host that has parked the build.
    pub(crate) fn take_parked_dir(&self, build: &str, host: &str) -> Result<Option<BuildDir>, ControllerError> {
        let path = self.path_of(build);
        let take = || {
            let Some(lock) = lock_dir(&path)? else { return Ok(None) };
            let left = (path.join("build").exists(), path.join(API).is_dir());
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                match entry.file_name().to_str() {
                    Some("lock" | JOBS | KEPT | SHELLS) => {}
                    // The directory itself is mounted; the socket in it is a dead process's.
                    Some(API) => {
                        for socket in fs::read_dir(entry.path())? {
                            fs::remove_file(socket?.path())?;
                        }
                    }
                    _ if entry.file_type()?.is_dir() => fs::remove_dir_all(entry.path())?,
                    _ => fs::remove_file(entry.path())?,
                }
            }
            fs::write(path.join(HOST), host)?;
            fs::write(path.join("build"), build)?;
            Ok(Some((lock, left)))
        };
        let lock = take().map_err(|source| ControllerError::Home { path: path.clone(), source })?;
        // Whoever does not go on after all leaves it as it is; and one that was cleared away is not there again.
        let dead = self.dead.clone();
        Ok(lock.map(|(lock, (left, has_api))| BuildDir { path, left, has_api, _lock: lock, keep: left, dead }))
    }

    /// Whether a process drives a build now, or has parked it.
    pub(crate) fn is_live(&self, build: &str) -> bool {
        // In this order, and once more: one that is parked or brought back meanwhile is one or the other at any moment.
        let runs = || is_locked(&self.path_of(build).join("lock"));
        runs() || self.is_parked(build) || runs()
    }

    /// Where the directory of a build is that was kept for a person; `None` if it was not.
    pub(crate) fn kept(&self, build: &str) -> Option<PathBuf> {
        let dir = self.path_of(build);
        dir.join(KEPT).exists().then_some(dir)
    }

    /// The same for one of which all was kept, by what its events say that it was asked to be, and not single jobs alone.
    pub(crate) fn kept_whole(&self, build: &str, events: &[Event]) -> Option<PathBuf> {
        let is_whole = Requested::of(events).is_none_or(|requested| requested.keep);
        self.kept(build).filter(|_| is_whole)
    }

    /// The builds of this home that have a directory: that run, whose process was killed, or that were kept.
    pub(crate) fn begun_builds(&self) -> io::Result<Vec<String>> {
        // One without a name is being made.
        Ok(self.build_dirs()?.into_iter().map(|(build, _)| build).collect())
    }

    /// The directories of the builds of this home that have one, with the builds' ids.
    pub(crate) fn build_dirs(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let mut dirs = Vec::new();
        for entry in entries(&self.run())? {
            let path = entry?.path();
            if let Ok(build) = fs::read_to_string(path.join("build")) {
                dirs.push((build, path));
            }
        }
        dirs.sort();
        Ok(dirs)
    }

    /// The builds of this home that run now or are parked, in any process; and the directories of those that do not any more, because
    /// their process was killed. Builds that were kept count as live with `kept`.
    pub(crate) fn live_builds(&self, kept: bool) -> io::Result<(BTreeSet<String>, Vec<DeadBuild>)> {
        let (mut live, _) = self.running(kept)?;
        live.extend(self.parked()?.0);
        // Once more: one may have been brought back meanwhile.
        let (running, mut dead) = self.running(kept)?;
        live.extend(running);
        // One that is being parked loses its lock before its name.
        dead.retain(|dead| dead.build.as_ref().is_none_or(|build| !live.contains(build)));
        Ok((live, dead))
    }

    /// The same, of builds with a directory.
    fn running(&self, kept: bool) -> io::Result<(BTreeSet<String>, Vec<DeadBuild>)> {
        let (mut live, mut dead) = (BTreeSet::new(), Vec::new());
        for entry in entries(&self.run())? {
            let path = entry?.path();
            // The name before the lock: a build locks first, so one that has a name now is locked if it lives.
            let name = fs::read_to_string(path.join("build"));
            let locked = is_locked(&path.join("lock"));
            match name {
                Ok(build) if locked || (kept && path.join(KEPT).exists()) => {
                    live.insert(build);
                }
                Ok(build) => dead.push(DeadBuild { build: Some(build), dir: path }),
                // One without a name is being made, unless it has been so for long.
                Err(_) if young(&path) => {}
                Err(_) => dead.push(DeadBuild { build: None, dir: path }),
            }
        }
        Ok((live, dead))
    }
}

impl BuildDir {
    /// The directory stays as it is: whoever goes on with the build finds it.
    pub(crate) fn let_go(&mut self) {
        self.keep = true;
    }

    /// The directory is removed when this is dropped, and is kept for nobody any more.
    pub(crate) fn goes_at_the_end(&mut self) {
        self.keep = false;
        if let Err(error) = not_there_is_fine(fs::remove_file(self.path.join(KEPT))) {
            tracing::warn!(%error, path = %self.path.display(), "a build's directory stays kept");
        }
    }

    /// Leaves the directory and the build's containers for a person to look at.
    pub(crate) fn keep(&mut self) -> io::Result<()> {
        self.keep = true;
        File::create(self.path.join(KEPT)).map(drop)
    }
}

impl Drop for BuildDir {
    fn drop(&mut self) {
        if !self.keep
            && !self.dead.is()
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "a build's directory could not be removed");
        }
    }
}

/// What is in a directory; nothing if there is none.
fn entries(path: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>> + use<>> {
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        found => Ok(Some(found?).into_iter().flatten()),
    }
}

/// Makes a directory of mode 0700, with its parents.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Refuses a directory that is not this user's, or that others can write to.
fn own(path: &Path) -> Result<(), ControllerError> {
    let refused = |reason: String| ControllerError::HomeNotOwn { path: path.to_owned(), reason };
    let metadata = fs::metadata(path).map_err(|source| ControllerError::Home { path: path.to_owned(), source })?;
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_dir() {
        return Err(refused("it is not a directory".to_owned()));
    }
    if metadata.uid() != own {
        return Err(refused(format!("it belongs to the user {}, and this is the user {own}", metadata.uid())));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(refused(format!("others can write to it (its mode is {:03o})", metadata.mode() & 0o777)));
    }
    Ok(())
}

/// Takes from others what they may do with what is at a path, if something is.
fn private(path: &Path, mode: u32) -> io::Result<()> {
    let metadata = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if metadata.is_symlink() || metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Makes an empty file of mode 0600, where nothing is.
fn make_file(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

fn young(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() < 5))
}

/// A number drawn at random, in hexadecimal.
fn drawn(bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rand::random::<u8>())).collect()
}

/// What a home has made once, at random.
fn made_once(path: &Path, make: impl FnOnce() -> io::Result<String>) -> io::Result<String> {
    if let Some(made) = whole(path)? {
        return Ok(made);
    }
    let dir = File::open(path.parent().unwrap_or(Path::new(".")))?;
    // Two hosts may start at once: whoever comes second finds what the first has made.
    flock(&dir, FlockOperation::LockExclusive)?;
    if let Some(made) = whole(path)? {
        return Ok(made);
    }
    let made = make()?;
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(made.as_bytes())?;
    // Before it has its name, and the name too: after a power cut it is there whole, or not at all.
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    dir.sync_all()?;
    Ok(made)
}

/// What is in the file; none when there is no file, or only what a power cut has left of one.
fn whole(path: &Path) -> io::Result<Option<String>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if bytes.iter().all(|byte| *byte == 0) {
        tracing::warn!(
            path = %path.display(),
            "it was lost, by a power cut perhaps, and is drawn anew: containers that the home's builds had are nobody's now, and their \
             secrets can't be recognised"
        );
        return Ok(None);
    }
    String::from_utf8(bytes).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests;
