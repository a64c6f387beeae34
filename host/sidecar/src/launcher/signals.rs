//! Signals as bytes to read, so that they wait in the same `poll` as everything else.
//!
//! Neither std nor rustix has `signalfd`, so this module declares the five functions of the C library that it needs.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Signal;

use super::LauncherError;

/// A child has died.
pub(super) const CHILD: i32 = Signal::CHILD.as_raw();

/// Signals that are passed on to the job.
const FORWARDED: [Signal; 7] =
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::WINCH];

/// Signals that end the launcher while no job runs. PID 1 would not die of them by default.
pub(super) fn ends(signal: i32) -> bool {
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT].iter().any(|end| end.as_raw() == signal)
}

/// `sigset_t`: 128 bytes in glibc and musl, on all machines.
#[repr(C, align(8))]
struct SignalSet([u8; 128]);

const SIG_BLOCK: c_int = 0;
const SIG_SETMASK: c_int = 2;
const SIG_DFL: usize = 0;
/// The last of the standard signals. Those above have no meaning of their own, and the C library keeps some for itself.
const LAST_SIGNAL: c_int = 31;
const SIGINFO_SIZE: usize = 128;

unsafe extern "C" {
    fn sigemptyset(set: *mut SignalSet) -> c_int;
    fn sigaddset(set: *mut SignalSet, signal: c_int) -> c_int;
    fn sigprocmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
    fn signalfd(fd: c_int, mask: *const SignalSet, flags: c_int) -> c_int;
}

/// The signals that have arrived.
pub(super) struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Keeps signals from acting by themselves from now on. A child inherits this: see [`reset_all`].
    pub(super) fn block() -> Result<Self, LauncherError> {
        let flags = rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NONBLOCK;
        let mut set = SignalSet([0; 128]);
        // SAFETY: `set` is as large as the C library's `sigset_t`, and aligned like it; it lives through the calls, and the
        // null pointer says that the old mask is not wanted.
        let fd = unsafe {
            sigemptyset(&mut set);
            for signal in FORWARDED {
                sigaddset(&mut set, signal.as_raw());
            }
            sigaddset(&mut set, CHILD);
            if sigprocmask(SIG_BLOCK, &set, std::ptr::null_mut()) < 0 {
                -1
            } else {
                signalfd(-1, &set, flags.bits() as c_int)
            }
        };
        if fd < 0 {
            return Err(LauncherError::System { what: "block signals", source: io::Error::last_os_error() });
        }
        // SAFETY: `signalfd` has just made this descriptor, and nobody else has it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The next signal that has arrived, if there is one.
    pub(super) fn next(&self) -> Option<i32> {
        let mut info = [0; SIGINFO_SIZE];
        match rustix::io::read(&self.fd, &mut info) {
            // The number is the first field of `signalfd_siginfo`.
            Ok(SIGINFO_SIZE) => Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]])),
            _ => None,
        }
    }
}

/// Lets all signals act again as they do by default: also those that whoever started this program has ignored, since a program
/// hands that on. For the child, between fork and exec: it makes no call that is not allowed there.
pub(super) fn reset_all() -> io::Result<()> {
    let mut set = SignalSet([0; 128]);
    // SAFETY: as in `block`. No handler is installed, and the two signals that nobody may touch are refused, which is all right.
    let result = unsafe {
        for number in 1..=LAST_SIGNAL {
            signal(number, SIG_DFL);
        }
        sigemptyset(&mut set);
        sigprocmask(SIG_SETMASK, &set, std::ptr::null_mut())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
