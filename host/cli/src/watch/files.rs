//! The files that are watched: which of them have changed, as soon as one has.
//!
//! The kernel says that something has happened in a directory. What that was, a look at all files says: so nothing is missed that the kernel
//! leaves out, and nothing counts that leaves the files as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use monkeyci_archive::{WorkspaceFiles, walk_workspace};
use monkeyci_build::Changes;
use monkeyci_controller::tracked_files;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout};

/// Editors write several files one after another, and git many: what comes within this belongs together.
const QUIET: Duration = Duration::from_millis(150);
/// Something that never stops to write keeps nobody waiting for longer than this.
const LONGEST: Duration = Duration::from_secs(2);
/// The most looks until no directory is new: somebody makes them as fast as they are found.
const LOOKS: usize = 10;
/// Cargo and others leave this file in directories of what can be made again.
const CACHE: &str = "CACHEDIR.TAG";

/// The files of some directories.
pub struct Watched {
    roots: Arc<Roots>,
    kernel: Arc<AsyncFd<OwnedFd>>,
    seen: Arc<Seen>,
    /// Whether something has happened that was not looked at.
    pending: bool,
}

struct Roots {
    /// The code.
    dir: PathBuf,
    /// The script: a component, or the directory that it is made in.
    script: PathBuf,
    /// The root of the repository that the code belongs to; the code's directory if there is none.
    repository: PathBuf,
}

/// The files as they were at one time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    files: BTreeMap<PathBuf, Stamp>,
    /// The directories that the kernel watches, as it numbers them.
    watches: BTreeSet<i32>,
}

/// What is another when a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    mode: u32,
    size: u64,
    modified: (i64, i64),
}

impl Watched {
    /// Watches the files of the code in `dir`, and the script: a component, or the directory that it is made in.
    ///
    /// # Errors
    /// When they can't be read, or the kernel does not watch so many.
    pub async fn new(dir: &Path, script: &Path) -> anyhow::Result<Self> {
        let whole =
            |path: &Path| std::fs::canonicalize(path).with_context(|| format!("{} can't be watched", path.display()));
        let (dir, script) = (whole(dir)?, whole(script)?);
        let repository = dir.ancestors().find(|above| above.join(".git").symlink_metadata().is_ok()).unwrap_or(&dir);
        let repository = repository.to_owned();
        let kernel = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).context("files can't be watched")?;
        let kernel = Arc::new(readable(kernel)?);
        let roots = Arc::new(Roots { dir, script, repository });
        let seen = look(roots.clone(), kernel.clone(), BTreeSet::new()).await?;
        Ok(Self { roots, kernel, seen: Arc::new(seen), pending: false })
    }

    /// The files as they are known to be.
    pub fn seen(&self) -> Arc<Seen> {
        self.seen.clone()
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.seen.files.len()
    }

    /// Waits until a file is another than it was, and for those that change soon after. When it is dropped before, nothing is lost.
    ///
    /// # Errors
    /// When the files can't be read any more.
    pub async fn changed(&mut self) -> anyhow::Result<()> {
        loop {
            if !self.pending {
                self.happens().await?;
                self.pending = true;
            }
            let last = Instant::now() + LONGEST;
            loop {
                let rest = QUIET.min(last.saturating_duration_since(Instant::now()));
                match timeout(rest, self.happens()).await {
                    Ok(happened) => happened?,
                    Err(_) => break,
                }
            }
            let now = look(self.roots.clone(), self.kernel.clone(), self.seen.watches.clone()).await?;
            self.pending = false;
            let is_same = now.files == self.seen.files;
            self.seen = Arc::new(now);
            if !is_same {
                return Ok(());
            }
        }
    }

    /// Waits until the kernel says that something has happened.
    async fn happens(&self) -> anyhow::Result<()> {
        loop {
            let mut ready = self.kernel.readable().await?;
            let mut buffer = [MaybeUninit::<u8>::uninit(); 16 << 10];
            // What it was does not matter.
            match rustix::io::read(self.kernel.get_ref(), &mut buffer[..]) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(anyhow!(error).context("files can't be watched any more")),
            }
        }
    }

    /// What has changed since then, as a script is told of it; `None` if that can't be said.
    pub fn changes_since(&self, then: &Seen) -> Option<Changes> {
        let named = |paths: Vec<&PathBuf>| -> Option<Vec<String>> {
            let name = |path: &&PathBuf| path.strip_prefix(&self.roots.repository).ok()?.to_str().map(str::to_owned);
            // What is not below the repository is no file of its: the script lies elsewhere.
            paths.iter().filter(|path| path.starts_with(&self.roots.dir)).map(name).collect()
        };
        let (added, modified, removed) = self.seen.since(then);
        Some(Changes {
            added: named(added)?,
            modified: named(modified)?,
            removed: named(removed)?,
            ..Changes::default()
        })
    }

    /// The paths of what has changed since then.
    pub fn paths_since(&self, then: &Seen) -> Vec<PathBuf> {
        let (added, modified, removed) = self.seen.since(then);
        let mut paths: Vec<PathBuf> = [added, modified, removed].concat().into_iter().cloned().collect();
        paths.sort();
        paths
    }

    /// A path as people know it: below the code's directory, if it is there.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.roots.dir).unwrap_or(path).display().to_string()
    }
}

impl Seen {
    /// What is new, what is another, and what is gone.
    fn since<'a>(&'a self, then: &'a Self) -> (Vec<&'a PathBuf>, Vec<&'a PathBuf>, Vec<&'a PathBuf>) {
        let (mut added, mut modified) = (Vec::new(), Vec::new());
        for (path, stamp) in &self.files {
            match then.files.get(path) {
                None => added.push(path),
                Some(before) if before != stamp => modified.push(path),
                Some(_) => {}
            }
        }
        (added, modified, then.files.keys().filter(|path| !self.files.contains_key(*path)).collect())
    }
}

/// Has the runtime tell when there is something to read.
pub fn readable(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, and the same one, for as long as it is there; and it is handed over.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Looks at all files, and has the kernel watch all directories that there are.
///
/// `before` are the directories that it watches already: what has happened there since is told by the kernel.
async fn look(roots: Arc<Roots>, kernel: Arc<AsyncFd<OwnedFd>>, mut before: BTreeSet<i32>) -> anyhow::Result<Seen> {
    let looked = tokio::task::spawn_blocking(move || {
        let mut failed = None;
        for _ in 0..LOOKS {
            match roots.look(kernel.get_ref()) {
                // What is made in a directory before it is watched is known by the next look.
                Ok(seen) if seen.watches.is_subset(&before) => return Ok(seen),
                Ok(seen) => before = seen.watches,
                // A directory may have gone just now.
                Err(error) => failed = Some(error),
            }
        }
        let restless = || anyhow!("directories come and go faster than they can be looked at");
        Err(failed.unwrap_or_else(restless))
    });
    looked.await?
}

impl Roots {
    fn look(&self, kernel: &OwnedFd) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        add_all(&self.dir, kernel, &mut seen)?;
        if self.script.is_dir() && !self.script.starts_with(&self.dir) {
            add_all(&self.script, kernel, &mut seen)?;
        } else if !self.script.is_dir() {
            // Also one that is ignored: cargo makes it where it makes all.
            if let Some(above) = self.script.parent().filter(|above| above.is_dir()) {
                watch(above, kernel, &mut seen)?;
            }
            add(&self.script, &mut seen)?;
        }
        Ok(seen)
    }
}

/// Adds what a build has of a directory, but for what can be made again: what git tracks, and what it does not ignore.
fn add_all(root: &Path, kernel: &OwnedFd, seen: &mut Seen) -> anyhow::Result<()> {
    let failed = || format!("{} can't be looked through", root.display());
    watch(root, kernel, seen)?;
    let tracked = tracked_files(root).with_context(failed)?;
    let has_tracked = |path: &Path| tracked.range(path.to_owned()..).next().is_some_and(|file| file.starts_with(path));
    let files = WorkspaceFiles::of_working_tree(tracked.iter().cloned());
    let mut walk = walk_workspace(root, &files).with_context(failed)?;
    while let Some(entry) = walk.next() {
        let entry = entry.with_context(failed)?;
        let path = root.join(&entry.path);
        if !entry.kind.is_dir() {
            add(&path, seen)?;
        } else if path.join(CACHE).exists() && !has_tracked(&entry.path) {
            walk.pass_over();
        } else {
            watch(&path, kernel, seen)?;
        }
    }
    Ok(())
}

/// Adds a file, if it is there.
fn add(path: &Path, seen: &mut Seen) -> anyhow::Result<()> {
    let found = match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.with_context(|| format!("{} can't be looked at", path.display()))?,
    };
    let modified = (found.mtime(), found.mtime_nsec());
    let stamp = Stamp { inode: found.ino(), mode: found.mode(), size: found.size(), modified };
    seen.files.insert(path.to_owned(), stamp);
    Ok(())
}

/// Has the kernel watch a directory.
fn watch(dir: &Path, kernel: &OwnedFd, seen: &mut Seen) -> anyhow::Result<()> {
    let changes = WatchFlags::CLOSE_WRITE | WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::CREATE;
    let gone = WatchFlags::DELETE | WatchFlags::MOVE | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
    match inotify::add_watch(kernel, dir, changes | gone | WatchFlags::ONLYDIR | WatchFlags::EXCL_UNLINK) {
        Ok(number) => drop(seen.watches.insert(number)),
        // It went away.
        Err(Errno::NOENT | Errno::NOTDIR) => {}
        Err(Errno::NOSPC) => {
            return Err(anyhow!(
                "{} can't be watched: this user watches as many directories as the kernel lets them; `sysctl \
                 fs.inotify.max_user_watches` says how many, and sets it",
                dir.display()
            ));
        }
        Err(error) => return Err(anyhow!(error).context(format!("{} can't be watched", dir.display()))),
    }
    Ok(())
}
