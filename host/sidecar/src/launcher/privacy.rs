//! Keeps the job out of the launcher. Both are the same user, and the kernel lets a user look into their own processes: a job
//! could stop its launcher as a debugger does and speak in its place, or open what it has open.
//!
//! A process that is not "dumpable" can be looked into only with `CAP_SYS_PTRACE`, which no container of ours has, root's
//! neither. With it are closed:
//!
//! - `ptrace`, `process_vm_writev`, `pidfd_getfd` and `/proc/1/mem`: to forge what the sidecar is told;
//! - `/proc/1/fd/…`: the connection to the sidecar, and the container's own output, where nothing is masked and nothing counted;
//! - `/proc/1/environ`, `root`, `cwd`, `exe` and `map_files`; and there is no core dump of the launcher.
//!
//! A process that it starts inherits that until its `exec`, which also closes what it inherits: at no time can a job look into
//! what becomes its next line. From then on it is as any other, and may be debugged, and dump its core.
//!
//! What may still be done to the launcher (signals, limits, a higher score for the kernel's killing) can end it, and with it the
//! job: as a failure.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::LauncherError;

/// Lets nobody look into this process any more.
pub(super) fn close() -> Result<(), LauncherError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(LauncherError::system("keep the job out of the launcher"))
}
