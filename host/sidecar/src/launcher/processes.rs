//! The processes of the job: reaping them, and killing them all.

use std::collections::BTreeMap;
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

/// Asks every process of the job to end that is not of `group`. What starts meanwhile may be missed; it is killed in the end.
pub(super) fn terminate_all_but(group: Pid) {
    let Ok(entries) = fs::read_dir("/proc") else { return };
    let entries = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let all: BTreeMap<i32, Stat> = entries.filter_map(|pid| Some((pid, Stat::read(pid)?))).collect();
    let own = getpid();
    for (pid, stat) in &all {
        // As PID 1 we have the namespace for ourselves.
        let is_ours = own == Pid::INIT || ancestors(&all, *pid).any(|parent| parent == own.as_raw_pid());
        if *pid != own.as_raw_pid()
            && is_ours
            && stat.group != group.as_raw_pid()
            && let Some(pid) = Pid::from_raw(*pid)
        {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// What `/proc` says of a process.
struct Stat {
    parent: i32,
    group: i32,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The program's name stands in parentheses, and may have some itself.
        let mut fields = text[text.rfind(')')? + 1..].split_whitespace().skip(1);
        Some(Self { parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

/// A process's parent, that one's parent, and so on. (At most as many as there are: what is read piece by piece may have a
/// cycle.)
fn ancestors(all: &BTreeMap<i32, Stat>, pid: i32) -> impl Iterator<Item = i32> {
    std::iter::successors(all.get(&pid), |stat| all.get(&stat.parent)).map(|stat| stat.parent).take(all.len())
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
