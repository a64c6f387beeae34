//! Puts workspace, caches and artifacts in place.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures::{StreamExt, TryStreamExt, stream};
use monkeyci_api::{ByteStream, Client, ClientError, SidecarPlan};
use monkeyci_archive::Unpacked;
use monkeyci_build::{Ending, RestoreArtifact};
use rustix::fs::{AtFlags, Gid, Uid, chownat};

use super::caches::{self, Restored};
use super::host::{AGAIN, Host};
use super::job::Stop;
use super::log::Log;
use super::phase::Phase;
use super::{StepError, at_once, transfer};

/// Restoring a workspace is worth a line in the log when it takes longer than this.
const NOTICEABLE: Duration = Duration::from_secs(1);

/// How often an archive is asked for that breaks off.
pub(super) const CUT_OFF: u32 = 20;

/// A disk with less room than this, in bytes, is full: what did not fit was larger.
const FULL: u64 = 64 << 10;

/// The workspace, held open from before the job starts: whatever the job puts in its place, this stays what it was.
pub(super) struct Place {
    workspace: Dir,
    work_dir: PathBuf,
    owner: (u32, u32),
    /// Whether what we make has to be given to the owner: not when we are it, and only root can.
    gives: bool,
}

impl Place {
    /// Makes the workspace's directory, if need be, and gives it to the job's user.
    pub(super) fn open(workspace: &Path, work_dir: &str, owner: (u32, u32)) -> io::Result<Self> {
        let mut relative = PathBuf::new();
        for component in Path::new(work_dir).components() {
            match component {
                Component::Normal(name) => relative.push(name),
                Component::CurDir => {}
                _ => {
                    let message = format!("the working directory {work_dir:?} is not below the workspace");
                    return Err(io::Error::new(ErrorKind::InvalidInput, message));
                }
            }
        }
        match std::fs::create_dir(workspace) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // The umask took bits away.
        std::fs::set_permissions(workspace, std::fs::Permissions::from_mode(0o755))?;
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let gives = uid.is_root() && owner != (uid.as_raw(), gid.as_raw());
        if gives {
            chown(workspace, Some(owner.0), Some(owner.1))?;
        }
        Ok(Self { workspace: Dir::open_ambient_dir(workspace, ambient_authority())?, work_dir: relative, owner, gives })
    }

    /// Whether its disk is full: for everybody but root, at least.
    pub(super) fn is_full(&self) -> bool {
        rustix::fs::fstatvfs(&self.workspace).is_ok_and(|disk| {
            let bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
            bytes < FULL || (disk.f_files > 0 && disk.f_favail == 0)
        })
    }

    /// User and group that what we make has to be given to; none when it is the job's already.
    pub(super) fn new_owner(&self) -> Option<(u32, u32)> {
        Some(self.owner).filter(|_| self.gives)
    }

    /// The job's working directory.
    pub(super) fn work_dir(&self) -> io::Result<Dir> {
        if self.work_dir.as_os_str().is_empty() {
            self.workspace.try_clone()
        } else {
            self.workspace.open_dir(&self.work_dir)
        }
    }

    /// The directory `path` of the working directory; made, with all above it, where it is missing.
    fn make(&self, path: &Path) -> io::Result<Dir> {
        let path = self.work_dir.join(path);
        let mut made = PathBuf::new();
        for component in path.components() {
            made.push(component);
            match self.workspace.create_dir(&made) {
                Ok(()) => self.give(&made)?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        if made.as_os_str().is_empty() { self.workspace.try_clone() } else { self.workspace.open_dir(&made) }
    }

    /// As `make`, for a step that can't go on without.
    fn made(&self, step: &str, path: &Path) -> Result<Dir, NotUnpacked> {
        self.make(path).map_err(|error| {
            let reason = format!("{path:?}: {error}");
            let error = StepError { reason, ..StepError::local(step, &error) };
            NotUnpacked::here(error)
        })
    }

    /// Gives a directory that has just been made to the job's user.
    fn give(&self, path: &Path) -> io::Result<()> {
        self.workspace.set_permissions(path, cap_std::fs::Permissions::from_std(PermissionsExt::from_mode(0o755)))?;
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        if !self.gives {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
        let above =
            if above.as_os_str().is_empty() { self.workspace.try_clone()? } else { self.workspace.open_dir(above)? };
        Ok(chownat(&above, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// Restores all that the plan asks for, in the order in which one may build on the other.
pub(super) async fn all(
    host: &Host,
    log: &Log,
    plan: &SidecarPlan,
    place: &Place,
    workspace: ByteStream,
    phase: &Phase,
) -> Result<Restored, Stop> {
    phase.restores(Some("workspace"));
    let started = Instant::now();
    let step = "restoring the workspace";
    let first = Cell::new(Some(workspace));
    let get = async |client: &Client| match first.take() {
        Some(workspace) => Ok(Some(workspace)),
        None => client.workspace().await.map(Some),
    };
    let unpacked = until_whole(host, step, get, async |archive| {
        let root = place.workspace.try_clone().map_err(|error| NotUnpacked::here(StepError::new(step, error)))?;
        unpack(step, archive, root, None, place).await
    });
    // It is there.
    let unpacked = unpacked.await?.transpose()?.unwrap_or_default();
    if started.elapsed() >= NOTICEABLE {
        log.say(format!("restored the workspace ({})", size(unpacked.bytes))).await;
    }
    phase.restores(Some("caches"));
    let restored = caches::restore(host, log, &plan.caches, place).await?;
    phase.restores(Some("artifacts"));
    let artifacts = &plan.restore_artifacts;
    let at_once = at_once::downloads(artifacts.iter().map(|artifact| artifact.path.as_str()));
    let lines = stream::iter(artifacts).map(|artifact| restore_artifact(host, artifact, place)).buffered(at_once);
    let mut lines = pin!(lines);
    while let Some(line) = lines.try_next().await? {
        log.say(line).await;
    }
    phase.restores(None);
    Ok(restored)
}

/// Restores an artifact; returns what there is to say.
async fn restore_artifact(host: &Host, artifact: &RestoreArtifact, place: &Place) -> Result<String, Stop> {
    let RestoreArtifact { id, path, at_path, .. } = artifact;
    let step = format!("restoring artifact {id}");
    let unpacked = until_whole(
        host,
        &step,
        async |client| client.artifact(id).await,
        async |archive| {
            if *at_path {
                let dir = place.made(&step, Path::new(""))?;
                unpack(&step, archive, dir, Some(path.into()), place).await
            } else {
                unpack_into(&step, archive, place, Path::new(path)).await
            }
        },
    );
    match unpacked.await?.transpose()? {
        Some(unpacked) => Ok(format!("restored artifact {id} ({})", size(unpacked.bytes))),
        None if artifact.if_there => Ok(format!("artifact {id} is not there")),
        None => Err(Stop::Ended(Ending::ArtifactNotThere { id: id.clone() })),
    }
}

/// Gets an archive and unpacks it, and both again where it broke off: the host went away meanwhile. None where there is none.
///
/// # Errors
/// When the host can't be asked. What went wrong with the archive itself is inside.
pub(super) async fn until_whole<A, T>(
    host: &Host,
    step: &str,
    get: impl AsyncFn(&Client) -> Result<Option<A>, ClientError>,
    unpack: impl AsyncFn(A) -> Result<T, NotUnpacked>,
) -> Result<Option<Result<T, NotUnpacked>>, StepError> {
    let mut tries = 0;
    loop {
        let archive = host.ask(&get).await.map_err(|error| StepError::new(step, error))?;
        let Some(archive) = archive else { return Ok(None) };
        tries += 1;
        match unpack(archive).await {
            Err(NotUnpacked { cut_off: true, .. }) if tries < CUT_OFF => tokio::time::sleep(AGAIN).await,
            unpacked => return Ok(Some(unpacked)),
        }
    }
}

pub(super) async fn unpack_into(
    step: &str,
    archive: ByteStream,
    place: &Place,
    path: &Path,
) -> Result<Unpacked, NotUnpacked> {
    unpack(step, archive, place.made(step, path)?, None, place).await
}

async fn unpack(
    step: &str,
    archive: ByteStream,
    dir: Dir,
    at: Option<PathBuf>,
    place: &Place,
) -> Result<Unpacked, NotUnpacked> {
    transfer::receive(archive, dir, at, place.owner).await.map_err(|error| NotUnpacked {
        changed: transfer::is_changed(&error),
        cut_off: transfer::is_cut_off(&error),
        error: StepError::local(step, &error),
    })
}

/// Why an archive was not unpacked, or not all of it.
pub(super) struct NotUnpacked {
    pub(super) error: StepError,
    /// It is not the archive that was saved.
    pub(super) changed: bool,
    /// It did not come whole.
    cut_off: bool,
}

impl NotUnpacked {
    fn here(error: StepError) -> Self {
        Self { error, changed: false, cut_off: false }
    }
}

impl From<NotUnpacked> for Stop {
    fn from(failed: NotUnpacked) -> Self {
        failed.error.into()
    }
}

/// A size for a person: `1.2 MB`.
pub(super) fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "kB", "MB"] {
        if size < 1000.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    format!("{size:.1} GB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        let cases = [(0, "0 bytes"), (999, "999 bytes"), (1_234_567, "1.2 MB"), (2_500_000_000_000, "2500.0 GB")];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }
}
