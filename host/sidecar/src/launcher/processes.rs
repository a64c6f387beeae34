//! The processes of the job: reaping them, and killing them all.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group, wait};

use super::LauncherError;

/// What [`reap`] found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reaped {
    /// How the wanted process ended, if it has.
    pub(super) wanted: Option<WaitStatus>,
    /// Whether no child is left.
    pub(super) none_left: bool,
}

/// Makes this process the parent of every descendant whose own parent dies. PID 1 is that anyway; where a pod shares its
/// process namespace we are not PID 1, and could lose sight of them.
pub(super) fn adopt_orphans() -> Result<(), LauncherError> {
    rustix::process::set_child_subreaper(Some(getpid())).map_err(LauncherError::system("adopt orphans"))
}

/// Reaps every child that has died, and notes how `wanted` ended.
pub(super) fn reap(wanted: Option<Pid>) -> Reaped {
    let mut reaped = Reaped::default();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if Some(pid) == wanted => reaped.wanted = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return reaped,
            Err(_) => {
                reaped.none_left = true;
                return reaped;
            }
        }
    }
}

/// Kills every process of the job. As PID 1 that is all of the namespace, in one call that no fork can outrun. Otherwise it
/// is our children: theirs become ours as they die, so this has to be called until none is left.
pub(super) fn kill_all() {
    // Errors say that there is nobody left to kill.
    if getpid() == Pid::INIT {
        // kill(-1, ..), for which rustix has no name of its own.
        let _ = kill_process_group(Pid::INIT, Signal::KILL);
        return;
    }
    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    for child in children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
        let _ = kill_process(child, Signal::KILL);
    }
}

/// Kills every process of the job and waits for their death.
pub(super) fn kill_all_and_wait() {
    loop {
        kill_all();
        // As PID 1 we could leave this to the kernel, which kills the rest when we exit.
        if getpid() == Pid::INIT || matches!(wait(WaitOptions::empty()), Err(Errno::CHILD)) {
            return;
        }
    }
}
