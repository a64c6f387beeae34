//! The child that compiles, from inside. Its stdin is the component, its stdout the machine code.

use std::io::{Read, Write};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit};
use wasmtime::{Engine, OutOfMemory};

use super::{BROKEN, MEMORY, Order, ROLE};
use crate::runtime::config;

/// Whether this program's `main` knows what a child is to do.
static PLAYED: AtomicBool = AtomicBool::new(false);

/// What a child process does that compiles: call it first of all in `main` of the program that
/// [`Compiler::Child`](crate::Compiler::Child) names. In a process that was started to compile, it compiles and ends the
/// process; in any other it returns at once.
///
/// It has to come first because it closes every file that the process has inherited.
pub fn compile_if_child() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != ROLE) {
        PLAYED.store(true, Ordering::Relaxed);
        return;
    }
    let order = arguments.next().and_then(|order| serde_json::from_str(order.to_str()?).ok());
    let done = order.ok_or_else(|| "its order can't be read: it is of another version".to_owned()).and_then(compile);
    let code = done.unwrap_or_else(|error| {
        eprintln!("{error}");
        1
    });
    exit(code)
}

/// Whether a child of this program would compile.
pub(super) fn is_played() -> bool {
    PLAYED.load(Ordering::Relaxed)
}

/// Compiles, and returns the exit code.
///
/// # Errors
/// When it can't be tried.
fn compile(order: Order) -> Result<i32, String> {
    confine(&order).map_err(|error| format!("it can't be limited: {error}"))?;
    // No pool of instances: nothing runs here. What is compiled is the same.
    let engine = Engine::new(&config(&order.limits)).map_err(|error| format!("{error:#}"))?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|error| format!("the component can't be read: {error}"))?;
    match engine.precompile_component(&bytes) {
        Ok(code) => {
            let mut stdout = std::io::stdout().lock();
            let written = stdout.write_all(&code).and_then(|()| stdout.flush());
            written.map(|()| 0).map_err(|error| format!("the machine code can't be written: {error}"))
        }
        Err(error) if error.is::<OutOfMemory>() => Ok(MEMORY),
        Err(error) => {
            eprintln!("{error:#}");
            Ok(BROKEN)
        }
    }
}

/// Takes away what compiling does not need.
fn confine(order: &Order) -> std::io::Result<()> {
    close_inherited()?;
    // It dies with whoever waits for it, also when that was killed; and when that is too late, now.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != order.parent) {
        return Err(std::io::Error::other("nobody waits for it"));
    }
    // Where a machine has no memory left, this is what is killed, and not the host.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // The kernel's log would call it `exe`.
    rustix::thread::set_name(c"script-compiler")?;
    let seconds = order.limits.compile_time.as_secs() + 1;
    lower(Resource::Core, 0, 0)?;
    // First the signal that says why, then the one that nobody survives.
    lower(Resource::Cpu, seconds, seconds + 1)?;
    // Not the address space (RLIMIT_AS): threads and allocators reserve many times of it what they use.
    let memory = order.limits.compile_memory_bytes as u64;
    lower(Resource::Data, memory, memory)?;
    Ok(())
}

/// Sets a limit, unless the process has a lower one already.
fn lower(resource: Resource, current: u64, maximum: u64) -> std::io::Result<()> {
    let maximum = getrlimit(resource).maximum.map_or(maximum, |inherited| inherited.min(maximum));
    Ok(setrlimit(resource, Rlimit { current: Some(current.min(maximum)), maximum: Some(maximum) })?)
}

/// Closes every file but the three that it was given. The standard library leaves none open to children, but a host is
/// more than that: what C libraries or an embedder open may be.
fn close_inherited() -> std::io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // The listing's own is closed already, and names nothing any more.
        if std::path::Path::new(&format!("/proc/self/fd/{fd}")).is_symlink() {
            // SAFETY: nothing in this process owns it: this is the start of `main`, so it was inherited.
            unsafe { rustix::io::close(fd) };
        }
    }
    Ok(())
}
