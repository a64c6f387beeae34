//! Which kinds of sockets a container's programs can make: those whose packets the fence sees.
//!
//! The fence is a table of the container's network namespace. Some kinds of sockets know no namespaces, or send past its tables:
//! `AF_VSOCK` reaches the machine below and virtual machines beside, `AF_QIPCRTR` the machine's own chips, `AF_XDP` and
//! `AF_PACKET` a network device, `AF_BLUETOOTH`, `AF_TIPC`, `AF_RDS`, `AF_SMC` and `AF_CAN` networks of their own. Others carry
//! nothing out, but are known for holes in the kernel and have no use in a job: `AF_ALG`, `AF_KCM`, `AF_KEY`. So the list says
//! what may be, and all that is not in it fails as on a kernel that has no such sockets (`EAFNOSUPPORT`), which programs expect.
//!
//! | may be made | since |
//! | --- | --- |
//! | `AF_UNIX` | they end in the container: their names are files of it, or of its network namespace |
//! | `AF_INET`, `AF_INET6` | the fence is about them, whatever their protocol; raw ones need `CAP_NET_RAW`, which no container has |
//! | `AF_NETLINK` | the C library asks for addresses with it. To change something needs `CAP_NET_ADMIN`, which the guard gives up, `CAP_AUDIT_WRITE` or `CAP_NET_RAW`, which no container has |
//!
//! Two more ways lead to a socket. `io_uring` makes them without the call: it is not there (`ENOSYS`; Docker refuses it too since
//! version 25), and programs that can use it can do without. And 32-bit programs of x86 may ask by way of `socketcall`, whose
//! arguments a filter can't read, so that way is closed whole: such a program needs a C library that makes the call `socket` (musl,
//! or glibc built for Linux 4.3 and later).
//!
//! The filter is one of seccomp, beside the engine's own. It needs "no new privileges", which jobs have anyway: in a service, setuid
//! programs and file capabilities give nothing either, as in a cluster with restricted pods.

use std::ffi::{c_int, c_ulong, c_ushort};
use std::io;

/// The families of sockets that may be made.
const ALLOWED: [u32; 4] = [1, 2, 10, 16]; // AF_UNIX, AF_INET, AF_INET6, AF_NETLINK

const EAFNOSUPPORT: u32 = 97;
const ENOSYS: u32 = 38;

/// The number of `io_uring_setup`, the same everywhere.
const IO_URING_SETUP: u32 = 425;
/// What `socketcall` calls `socket`.
const CALL_SOCKET: u32 = 1;

/// A way to call the kernel.
struct Abi {
    /// How seccomp calls it.
    arch: u32,
    /// Bits of a call's number that say nothing of which one it is.
    ignored: u32,
    socket: u32,
    socketcall: Option<u32>,
}

#[cfg(target_arch = "x86_64")]
const ABIS: [Abi; 2] = [
    // x32 programs call with the same numbers and one more bit.
    Abi { arch: 0xC000_003E, ignored: 0x4000_0000, socket: 41, socketcall: None },
    Abi { arch: 0x4000_0003, ignored: 0, socket: 359, socketcall: Some(102) },
];
#[cfg(target_arch = "aarch64")]
const ABIS: [Abi; 2] = [
    Abi { arch: 0xC000_00B7, ignored: 0, socket: 198, socketcall: None },
    Abi { arch: 0x4000_0028, ignored: 0, socket: 281, socketcall: None },
];
#[cfg(target_arch = "riscv64")]
const ABIS: [Abi; 1] = [Abi { arch: 0xC000_00F3, ignored: 0, socket: 198, socketcall: None }];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
compile_error!(
    "how this machine calls the kernel has to be added: see `linux/audit.h` and the kernel's table of calls"
);

/// An instruction of a filter: `sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

/// A filter: `sock_fprog`.
#[repr(C)]
struct Program {
    len: c_ushort,
    instructions: *const Instruction,
}

/// Loads four bytes of `seccomp_data`.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Where `seccomp_data` has what.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
/// The lower half of the first argument: the kernel takes a family as an `int`.
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };

const ALLOW: u32 = 0x7FFF_0000;
/// With the error's number.
const FAIL: u32 = 0x0005_0000;

const PR_SET_SECCOMP: c_int = 22;
const SECCOMP_MODE_FILTER: c_ulong = 2;

unsafe extern "C" {
    fn prctl(option: c_int, ...) -> c_int;
}

fn does(code: u16, value: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, value }
}

/// Goes on with what follows if the loaded value is this one, and else skips so many.
fn unless(value: u32, skip: u8) -> Instruction {
    Instruction { code: JUMP_IF_EQUAL, if_true: 0, if_false: skip, value }
}

/// The instructions for a call by this way: they always return.
fn judge(abi: &Abi) -> Vec<Instruction> {
    let mut judge = vec![does(LOAD, NUMBER), does(AND, !abi.ignored)];
    judge.extend([unless(IO_URING_SETUP, 1), does(RETURN, FAIL | ENOSYS)]);
    if let Some(socketcall) = abi.socketcall {
        judge.extend([unless(socketcall, 4), does(LOAD, FIRST_ARGUMENT)]);
        judge.extend([unless(CALL_SOCKET, 1), does(RETURN, FAIL | EAFNOSUPPORT)]);
        judge.push(does(RETURN, ALLOW));
    }
    let families = ALLOWED.iter().flat_map(|family| [unless(*family, 1), does(RETURN, ALLOW)]);
    let families: Vec<_> = [does(LOAD, FIRST_ARGUMENT)].into_iter().chain(families).collect();
    judge.push(unless(abi.socket, families.len() as u8 + 1));
    judge.extend(families);
    judge.extend([does(RETURN, FAIL | EAFNOSUPPORT), does(RETURN, ALLOW)]);
    judge
}

fn filter() -> Vec<Instruction> {
    let mut filter = vec![does(LOAD, ARCH)];
    for abi in &ABIS {
        let judge = judge(abi);
        filter.push(unless(abi.arch, judge.len() as u8));
        filter.extend(judge);
    }
    // Another way to call, that this machine should not have.
    filter.push(does(RETURN, FAIL | ENOSYS));
    filter
}

/// Lets this process, and all that come of it, make no other sockets than the fence sees.
pub(super) fn restrict() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    let filter = filter();
    let program = Program { len: filter.len() as c_ushort, instructions: filter.as_ptr() };
    // SAFETY: `program` is laid out as the kernel's `sock_fprog`, its pointer is to as many instructions as it says, laid out as
    // `sock_filter`, and both live until the call returns; the kernel copies them.
    let result = unsafe { prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &raw const program, 0 as c_ulong, 0 as c_ulong) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
