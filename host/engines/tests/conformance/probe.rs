//! The program of the conformance tests' jobs and sidecars: compiled by the tests themselves (std only, static), it does
//! what its script says, one command a line, and exits with 0 when all went well.
//!
//! As `launcher` it reads its script from the variable `PROBE_JOB`, as `sidecar` from its configuration file.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Command, exit};
use std::thread::sleep;
use std::time::Duration;

/// A connection that takes as long is not refused, it is lost.
const LOST: Duration = Duration::from_secs(60);

unsafe extern "C" {
    fn signal(signal: i32, handler: usize) -> usize;
    fn _exit(code: i32) -> !;
    fn socket(family: i32, kind: i32, protocol: i32) -> i32;
}

static TERM_CODE: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);

extern "C" fn on_term(_: i32) {
    unsafe { _exit(TERM_CODE.load(std::sync::atomic::Ordering::SeqCst)) }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let directory = std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default();
    let script = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["/monkeyci-launcher", "launcher"] => std::env::var("PROBE_JOB").unwrap_or_default(),
        ["/monkeyci-sidecar", "sidecar"] => {
            std::fs::read_to_string("/run/monkeyci/config.json").unwrap_or_else(|error| fail(&error.to_string()))
        }
        _ => fail(&format!("called as {arguments:?}")),
    };
    if directory != "/" {
        fail(&format!("the working directory is {directory}"));
    }
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        run(command, rest);
    }
}

fn fail(reason: &str) -> ! {
    // In one write: engines take what is written in parts for lines of their own.
    let _ = std::io::stderr().write_all(format!("probe: {reason}\n").as_bytes());
    exit(99)
}

fn must(what: &str, holds: bool) {
    if !holds {
        fail(what);
    }
}

fn run(command: &str, rest: &str) {
    match command {
        "exit" => exit(rest.parse().unwrap_or(98)),
        "sleep" => sleep(Duration::from_millis(rest.parse().unwrap_or(0))),
        "print" => {
            println!("{rest}");
            let _ = std::io::stdout().flush();
        }
        "exists" => must(&format!("{rest} does not exist"), Path::new(rest).exists()),
        "absent" => must(&format!("{rest} exists"), !Path::new(rest).exists()),
        // Waits for what the other container writes.
        "await" => {
            while !Path::new(rest).exists() {
                sleep(Duration::from_millis(10));
            }
        }
        "write" => {
            let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
            // A reader that waits for the path finds it complete.
            let part = format!("{path}.part");
            let written = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, path));
            must(&format!("{path} can't be written: {written:?}"), written.is_ok());
        }
        "append" => {
            let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
            let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
            must(&format!("{path} can't be written: {written:?}"), written.is_ok());
        }
        "contains" => {
            let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let content = std::fs::read_to_string(path).unwrap_or_default();
            must(&format!("{path} is {content:?}"), content.trim() == text);
        }
        "readonly" => {
            let opened = std::fs::OpenOptions::new().write(true).open(rest);
            must(&format!("{rest} can be written"), opened.is_err());
        }
        "env" => {
            let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
            let found = std::env::var(name).unwrap_or_default();
            must(&format!("{name} is {found:?}"), found == value);
        }
        // A line of what the kernel says of this process.
        "status" => {
            let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default();
            must(&format!("{name} is {found:?}"), found.trim() == value);
        }
        "services" => {
            let written = std::fs::write(rest, format!("{}\n", std::env::var("MONKEYCI_SERVICES").unwrap_or_default()));
            must(&format!("{rest} can't be written: {written:?}"), written.is_ok());
        }
        "connect" => match connect(rest, 600) {
            Ok(()) => {}
            Err(reason) => fail(&format!("{rest}: {reason}")),
        },
        // Refused, or known to be unreachable, before anything could have timed out.
        "refused" => {
            let address = resolve(rest).unwrap_or_else(|reason| fail(&format!("{rest}: {reason}")));
            match TcpStream::connect_timeout(&address, LOST) {
                Ok(_) => fail(&format!("{rest} can be reached")),
                Err(error) => must(&format!("{rest}: {error}"), error.kind() != std::io::ErrorKind::TimedOut),
            }
        }
        "unreachable" => must(&format!("{rest} can be reached"), connect(rest, 20).is_err()),
        "no-socket" => {
            let made = unsafe { socket(rest.parse().unwrap_or(0), 1, 0) };
            let error = std::io::Error::last_os_error();
            must(&format!("a socket of family {rest}: {error}"), made < 0 && error.raw_os_error() == Some(97));
        }
        "unknown" => must(&format!("{rest} is known"), resolve(rest).is_err()),
        "eat" => {
            let megabytes: usize = rest.parse().unwrap_or(1);
            let mut eaten: Vec<Vec<u8>> = Vec::new();
            for _ in 0..megabytes {
                eaten.push(vec![1; 1024 * 1024]);
            }
            println!("ate {} MiB", eaten.len());
        }
        "on-term" => {
            TERM_CODE.store(rest.parse().unwrap_or(0), std::sync::atomic::Ordering::SeqCst);
            unsafe { signal(15, on_term as *const () as usize) };
        }
        "sh" => {
            let status = Command::new("/bin/sh").args(["-c", rest]).status();
            must(&format!("`{rest}`: {status:?}"), status.as_ref().is_ok_and(|status| status.success()));
        }
        _ => fail(&format!("unknown command {command:?}")),
    }
}

/// A host and port, where `$name` stands for the address of a service, and `gateway` for that of the way out.
fn resolve(address: &str) -> Result<SocketAddr, String> {
    let mut address = address.to_owned();
    for service in std::env::var("MONKEYCI_SERVICES").unwrap_or_default().split(',') {
        if let Some((name, ip)) = service.split_once('=') {
            address = address.replace(&format!("${name}"), ip);
        }
    }
    if let Some(port) = address.strip_prefix("gateway") {
        address = format!("{}{port}", gateway()?);
    }
    let mut found = address.to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "no address".to_owned())
}

fn gateway() -> Result<std::net::Ipv4Addr, String> {
    let routes = std::fs::read_to_string("/proc/net/route").map_err(|error| error.to_string())?;
    let by_default = routes.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [_, "00000000", gateway, ..] => Some(*gateway),
        _ => None,
    });
    let bits = u32::from_str_radix(by_default.ok_or("there is no way out")?, 16).map_err(|error| error.to_string())?;
    Ok(bits.to_ne_bytes().into())
}

/// Connects, in so many attempts at most when refused: a server may still be starting.
fn connect(address: &str, attempts: u32) -> Result<(), String> {
    let mut last = Err("no attempt".to_owned());
    for _ in 0..attempts {
        last = resolve(address)
            .and_then(|address| TcpStream::connect_timeout(&address, LOST).map_err(|error| error.to_string()));
        if last.is_ok() {
            break;
        }
        sleep(Duration::from_millis(100));
    }
    last.map(drop)
}
