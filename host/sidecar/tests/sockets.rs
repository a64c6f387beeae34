//! What comes of a guard makes no sockets that the fence does not see. Nothing is connected to.
#![allow(clippy::unwrap_used)]

use std::env;
use std::ffi::c_long;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
#[cfg(target_arch = "x86_64")]
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
#[cfg(target_arch = "x86_64")]
use rustix::process::Signal;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

const INSIDE: &str = "SOCKETS_TEST_INSIDE";
const IO_URING_SETUP: c_long = 425;

/// Runs the test again as what a guard becomes, and says whether this is that.
fn is_inside(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut guard = Command::new(env!("CARGO_BIN_EXE_monkeyci-sidecar"));
    guard
        .args(["guard", "{}"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1");
    let output = guard.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    false
}

#[test]
fn sockets_that_no_fence_sees_can_not_be_made() {
    if !is_inside("sockets_that_no_fence_sees_can_not_be_made") {
        return;
    }
    const VSOCK: u16 = 40;
    let families = [VSOCK, 15, 17, 21, 30, 31, 38, 41, 42, 43, 44, 45, 1000];
    for family in families {
        for kind in [SocketType::STREAM, SocketType::DGRAM, SocketType::SEQPACKET, SocketType::RAW] {
            let error = socket(AddressFamily::from_raw(family), kind, None).map(drop).unwrap_err();
            assert_eq!(error, Errno::AFNOSUPPORT, "family {family}");
        }
    }
    // SAFETY: the call fails before it looks at anything.
    let made = unsafe { syscall(IO_URING_SETUP, 0 as c_long, 0 as c_long) };
    assert_eq!((made, io::Error::last_os_error().raw_os_error()), (-1, Some(38)));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn old_32_bit_calls_are_no_way_round() {
    use std::arch::asm;

    /// Calls the kernel as a 32-bit program does.
    fn call(number: i32, first: i32, second: i32) -> i32 {
        let result;
        // SAFETY: numbers go in, a number comes out, and what the kernel looks at is at most the null page. `rbx` is the
        // compiler's own, so it is put back.
        unsafe {
            asm!(
                "xchg rbx, {first}", "int 0x80", "xchg rbx, {first}",
                first = inout(reg) i64::from(first) => _,
                inout("eax") number => result,
                in("ecx") second, in("edx") 0, in("esi") 0, in("edi") 0,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        result
    }
    const NAME: &str = "old_32_bit_calls_are_no_way_round";
    const TRIES: &str = "SOCKETS_TEST_TRIES";
    const GETPID: i32 = 20;
    if env::var_os(TRIES).is_some() {
        return assert_eq!(call(GETPID, 0, 0), std::process::id() as i32);
    }
    if env::var_os(INSIDE).is_none() {
        let mut one = Command::new(env::current_exe().unwrap());
        let tried = one.args(["--exact", NAME]).env(TRIES, "1").output().unwrap().status;
        if !tried.success() {
            // A kernel without 32-bit programs ends whoever tries, so there is no way round either.
            return assert_eq!(tried.signal(), Some(Signal::SEGV.as_raw()), "{tried}");
        }
    }
    if !is_inside(NAME) {
        return;
    }
    const SOCKETCALL: i32 = 102;
    const SOCKET: i32 = 359;
    assert_eq!(call(SOCKETCALL, 1, 0), -97, "socketcall");
    assert_eq!(call(SOCKET, 40, 1), -97, "socket");
    assert!(call(SOCKET, 1, 1) >= 0, "a Unix socket");
    assert_eq!(call(SOCKETCALL, 3, 0), -14, "connecting is no matter of families: this is a bad pointer");
}

#[test]
fn sockets_of_ordinary_programs_work() {
    if !is_inside("sockets_of_ordinary_programs_work") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap();
    UnixStream::pair().unwrap();
    for (family, kind) in [(AddressFamily::NETLINK, SocketType::RAW), (AddressFamily::INET6, SocketType::STREAM)] {
        // Where there is no version 6, there is none without us either.
        match socket(family, kind, None) {
            Ok(_) => {}
            Err(error) => assert_eq!((family, error), (AddressFamily::INET6, Errno::AFNOSUPPORT)),
        }
    }
}
