//! The compile cache: machine code of scripts on disk.
//!
//! Machine code that is loaded is run, so a file counts only with a message authentication code made with a key that
//! lives beside it, in a directory that is its owner's alone. The code stands at the file's end, so that the machine code
//! can be mapped as it is: see [`crate::artifact`].

use std::fs::{self, DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, Mac};
use rustix::fs::{FlockOperation, OFlags, flock};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::artifact::Artifact;
use crate::error::RuntimeError;

/// The block size of SHA-256: HMAC takes a key of this size as it is.
const KEY_BYTES: usize = 64;
const CODE_BYTES: usize = 32;
/// How an entry is laid out. Another layout gets another number, so that old entries are not found.
const LAYOUT: &[u8] = b"2: machine code, then its authentication code";
/// What is read at a time: an entry is never in memory as a whole.
const PIECE: usize = 64 << 10;
/// Entries that were not used for this long are removed when a new one is stored.
pub(crate) const KEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A file without its final name that is this old was left by a host that was killed while it wrote.
const WRITTEN_BY_NOW: Duration = Duration::from_secs(60 * 60);

/// Compiled scripts on disk, found by the script's digest and the engine's compatibility hash.
#[derive(Debug)]
pub(crate) struct CompileCache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
    engine_hash: String,
}

impl CompileCache {
    /// Opens the cache, and makes directory and key if they are not there.
    pub(crate) fn open(dir: PathBuf, engine: &Engine) -> Result<Self, RuntimeError> {
        let key = Self::prepare(&dir).map_err(|source| RuntimeError::Cache { path: dir.clone(), source })?;
        let mut hash = Sha256Hasher(Sha256::new_with_prefix(LAYOUT));
        engine.precompile_compatibility_hash().hash(&mut hash);
        Ok(Self { dir, key, engine_hash: hex(&hash.0.finalize()[..16]) })
    }

    fn prepare(dir: &Path) -> io::Result<[u8; KEY_BYTES]> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let metadata = fs::symlink_metadata(dir)?;
        if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it is not a directory of this user's own"));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        }
        let path = dir.join("key");
        if let Some(key) = read_key(&path)? {
            return Ok(key);
        }
        let parent = File::open(dir)?;
        // Two processes may be here at once: whoever comes second finds what the first has made.
        flock(&parent, FlockOperation::LockExclusive)?;
        if let Some(key) = read_key(&path)? {
            return Ok(key);
        }
        let key: [u8; KEY_BYTES] = rand::random();
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&key)?;
        // Before it has its name, and the name too: after a power cut it is there whole, or not at all.
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        parent.sync_all()?;
        Ok(key)
    }

    /// The compiled form of the script with this digest, if it is there and unharmed.
    pub(crate) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let mut file = match open_own(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "a file of the compile cache is not used");
                return None;
            }
        };
        match self.check(digest, &mut file) {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(path = %path.display(), "a file of the compile cache was changed by somebody else; it is not used");
                let _ = fs::remove_file(&path);
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "a file of the compile cache can't be read");
                return None;
            }
        }
        // The time of last use decides what is removed one day. No harm if it can't be set.
        let _ = file.set_modified(SystemTime::now());
        // SAFETY: the file carries a code made with this cache's key, so a compiler of this host made it; the path names the
        // engine's compatibility hash, so it was for an engine that fits this one; and the host replaces files of its cache
        // and never writes into them.
        match unsafe { Artifact::from(file).load(engine) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(%error, "a file of the compile cache could not be loaded; the script is compiled anew");
                None
            }
        }
    }

    /// Whether the file is what this cache stored for the script.
    fn check(&self, digest: &str, file: &mut File) -> io::Result<bool> {
        let Some(length) = file.metadata()?.len().checked_sub(CODE_BYTES as u64) else { return Ok(false) };
        let mac = self.mac(digest, &mut Read::by_ref(file).take(length))?;
        let mut code = [0; CODE_BYTES];
        file.read_exact(&mut code)?;
        Ok(mac.verify_slice(&code).is_ok())
    }

    /// Stores the compiled form of a script. A cache that can't be written costs time, not builds.
    pub(crate) fn put(&self, digest: &str, artifact: &mut Artifact) {
        let mut stored = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            io::copy(artifact.rewound()?, &mut file)?;
            let mac = self.mac(digest, artifact.rewound()?)?;
            file.write_all(&mac.finalize().into_bytes())?;
            file.persist(self.path(digest)).map_err(|error| error.error).map(drop)
        };
        if let Err(error) = stored().and_then(|()| self.prune()) {
            tracing::warn!(%error, dir = %self.dir.display(), "the compile cache can't be written");
        }
    }

    fn prune(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let keep = match entry.path().extension() {
                Some(extension) if extension == "cwasm" => KEEP,
                _ if entry.file_name().as_encoded_bytes().starts_with(b".tmp") => WRITTEN_BY_NOW,
                _ => continue,
            };
            // Another host may prune too.
            let Ok(used) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
            if used.elapsed().is_ok_and(|age| age > keep) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{}.cwasm", self.engine_hash))
    }

    fn mac(&self, digest: &str, code: &mut impl Read) -> io::Result<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new(&self.key.into());
        mac.update(digest.as_bytes());
        mac.update(self.engine_hash.as_bytes());
        let mut piece = vec![0; PIECE];
        loop {
            match code.read(&mut piece) {
                Ok(0) => return Ok(mac),
                Ok(read) => mac.update(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Opens a regular file that this user owns, and no other can write to. Nothing is waited for: a named pipe has no writer.
fn open_own(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path)?;
    let metadata = file.metadata()?;
    let own =
        metadata.is_file() && metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    if own { Ok(file) } else { Err(io::Error::other("it is no regular file that only this user can write to")) }
}

/// The key in the file; none when there is no file, or only what a power cut has left of one. What was compiled with a key that is
/// lost is compiled again.
fn read_key(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let mut file = match open_own(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut key = [0; KEY_BYTES];
    match file.read_exact(&mut key) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => key = [0; KEY_BYTES],
        Err(error) => return Err(error),
    }
    if key == [0; KEY_BYTES] {
        tracing::warn!(
            path = %path.display(),
            "the compile cache's key was lost, by a power cut perhaps; there will be a new one, and scripts are compiled again"
        );
        return Ok(None);
    }
    Ok(Some(key))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 behind the standard library's trait, since wasmtime gives its hash through that.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        let mut half = [0; 8];
        half.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(half)
    }
}
