//! A program that jobs run: it tries to get at what is not theirs, and prints what the kernel says to each attempt. The test compiles it
//! (std only, static). It sends nothing, and connects to nothing.

use std::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::io::Error;
use std::ptr::null;

unsafe extern "C" {
    fn ptrace(request: c_int, ...) -> c_long;
    fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn unshare(flags: c_int) -> c_int;
    fn mount(source: *const c_char, target: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void) -> c_int;
    fn umount2(target: *const c_char, flags: c_int) -> c_int;
    fn mknod(path: *const c_char, mode: c_uint, device: u64) -> c_int;
    fn sethostname(name: *const c_char, length: usize) -> c_int;
    fn swapon(path: *const c_char, flags: c_int) -> c_int;
    fn open_by_handle_at(mount: c_int, handle: *mut c_void, flags: c_int) -> c_int;
    fn process_vm_readv(pid: c_int, local: *const [usize; 2], locals: c_ulong, remote: *const [usize; 2], remotes: c_ulong, flags: c_ulong) -> isize;
    fn setpriority(which: c_int, who: c_uint, priority: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
}

/// The numbers that calls have on every architecture.
const PIDFD_OPEN: c_long = 434;
const PIDFD_GETFD: c_long = 438;
const IO_URING_SETUP: c_long = 425;
const FSOPEN: c_long = 430;

fn said(name: &str, result: c_long) {
    let error = Error::last_os_error();
    if result < 0 { println!("{name}: {error}") } else { println!("{name}: DONE") }
}

fn main() {
    let mut word = 0_usize;
    let (local, remote) = ([&raw mut word as usize, 8], [0x40_0000_usize, 8]);
    // A handle of the root directory of a usual file system: `bytes`, `type`, inode 2 and its generation.
    let mut handle = [8_u32, 1, 2, 0];
    // SAFETY: the calls take numbers, texts that end with a zero, and places in this process that are as large as they say.
    unsafe {
        said("a vsock", socket(40, 1, 0).into());
        said("a raw socket", socket(2, 3, 1).into());
        said("a packet socket", socket(17, 3, 0).into());
        said("io_uring", syscall(IO_URING_SETUP, 1_usize, null::<c_void>()));
        said("looking into the launcher", ptrace(0x4206, 1_usize, 0_usize, 0_usize));
        said("reading the launcher's memory", process_vm_readv(1, &local, 1, &remote, 1, 0) as c_long);
        said("a descriptor of the launcher", syscall(PIDFD_GETFD, syscall(PIDFD_OPEN, 1_usize, 0_usize), 0_usize, 0_usize));
        said("a namespace of users", unshare(0x1000_0000).into());
        said("a namespace of mounts", unshare(0x2_0000).into());
        said("a mount", mount(c"none".as_ptr(), c".".as_ptr(), c"tmpfs".as_ptr(), 0, null()).into());
        said("a mount in the new way", syscall(FSOPEN, c"tmpfs".as_ptr(), 0_usize));
        said("the end of a mount", umount2(c"/proc".as_ptr(), 2).into());
        said("a disk's device", mknod(c"disk".as_ptr(), 0o60600, 0xfe00).into());
        said("another name for the machine", sethostname(c"x".as_ptr(), 1).into());
        said("a swap file", swapon(c"attacker".as_ptr(), 0).into());
        said("a file by its number", open_by_handle_at(3, handle.as_mut_ptr().cast(), 0).into());
        said("the first turn", setpriority(0, 0, -20).into());
    }
}
