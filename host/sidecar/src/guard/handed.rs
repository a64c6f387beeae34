//! What the guard of a further program is handed: taken from its standard input, and put in place while it is root.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use monkeyci_api::{HAND_OVER, Handed, paths};
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcsetattr};

use super::user::Identity;
use crate::sidecar::write_file;

/// The most bytes that are handed over: what the variables and files of a job may have together.
pub(crate) const HANDED_MOST: usize = 64 << 20;
/// Where the names of services stand.
const HOSTS: &str = "/etc/hosts";
/// What an image may have as a shell, the one that people like best first.
const SHELLS: [&str; 6] = ["/bin/bash", "/usr/bin/bash", "/bin/sh", "/bin/ash", "/busybox/sh", "/usr/bin/sh"];
/// One try to reach a service takes no longer than this.
const TRY: Duration = Duration::from_secs(1);
/// The pause between two of them.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks for what is to be handed over, and takes it.
pub(super) fn take() -> io::Result<Handed> {
    let (stdin, mut stdout) = (io::stdin(), io::stdout());
    // A terminal would echo it, wait for line ends, and take some bytes for signals.
    let before = if isatty(stdin.as_fd()) { Some(tcgetattr(stdin.as_fd())?) } else { None };
    if let Some(before) = &before {
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &raw)?;
    }
    stdout.write_all(&[HAND_OVER])?;
    stdout.flush()?;
    let handed = read();
    if let Some(before) = &before {
        tcsetattr(stdin.as_fd(), OptionalActions::Now, before)?;
    }
    handed
}

/// Reads it, and not a byte more: what follows is the program's.
fn read() -> io::Result<Handed> {
    let wrong = |reason: String| io::Error::new(ErrorKind::InvalidData, reason);
    let mut length = 0_usize;
    loop {
        let mut byte = [0];
        read_exact(&mut byte)?;
        match byte[0] {
            b'\n' => break,
            digit @ b'0'..=b'9' if length <= HANDED_MOST => length = length * 10 + usize::from(digit - b'0'),
            _ => return Err(wrong("its length is no number".to_owned())),
        }
    }
    if length > HANDED_MOST {
        return Err(wrong(format!("it has {length} bytes, and may have {HANDED_MOST}")));
    }
    let mut json = vec![0; length];
    read_exact(&mut json)?;
    // What is wrong with its text is not said: it has secrets in it.
    serde_json::from_slice(&json)
        .map_err(|error| wrong(format!("it can't be read, at line {} column {}", error.line(), error.column())))
}

/// As `Read::read_exact`, of the descriptor itself: the library's own buffer would take what is the program's.
fn read_exact(mut bytes: &mut [u8]) -> io::Result<()> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let mut stdin = std::fs::File::from(stdin);
    while !bytes.is_empty() {
        match stdin.read(bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => bytes = &mut bytes[n..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the files, and lets the container know the names of its services. Returns the variables that name the files.
pub(super) fn place(handed: &Handed, owner: Option<&Identity>) -> io::Result<Vec<(String, String)>> {
    if !handed.hosts.is_empty() {
        let before = match std::fs::read(HOSTS) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            before => before?,
        };
        // The file is mounted: it can be written, and no other put in its place.
        std::fs::write(HOSTS, hosts(&before, handed.hosts.iter()))?;
    }
    let dir = Path::new(paths::JOB_FILES);
    if handed.only_these_files {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let owner = owner.map(|identity| (identity.uid.as_raw(), identity.gid.as_raw()));
    let mut variables = Vec::new();
    for (variable, content) in &handed.files.0 {
        write_file(dir, variable, content, owner)?;
        variables.push((variable.clone(), dir.join(variable).to_string_lossy().into_owned()));
    }
    Ok(variables)
}

/// The names of a container, with these among them, and at no other address.
/// Whatever else stands there stays as it is, in any encoding.
fn hosts<'a>(before: &[u8], names: impl Iterator<Item = (&'a String, &'a IpAddr)> + Clone) -> Vec<u8> {
    let is_new = |name: &str| names.clone().any(|(new, _)| new == name);
    let mut after = Vec::new();
    for line in before.split_inclusive(|byte| *byte == b'\n') {
        if !String::from_utf8_lossy(line).split_whitespace().skip(1).any(is_new) {
            after.extend_from_slice(line);
        }
    }
    if after.last().is_some_and(|last| *last != b'\n') {
        after.push(b'\n');
    }
    after.extend(names.clone().flat_map(|(name, address)| format!("{address}\t{name}\n").into_bytes()));
    after
}

/// Waits until all of these accept connections; says of each that does not in its time.
pub(super) fn wait_for(ready: &[(SocketAddr, u64)]) {
    let began = Instant::now();
    for (address, limit_ms) in ready {
        let limit = Duration::from_millis(*limit_ms);
        loop {
            let error = match TcpStream::connect_timeout(address, TRY) {
                Ok(_) => break,
                Err(error) => error,
            };
            if began.elapsed() >= limit {
                say(&format!("the service at {address} is not ready: {error}"));
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Goes to the working directory. Where it is not there, or not for this user, another place stands in.
pub(super) fn go_to(work_dir: &str) {
    let Err(error) = std::env::set_current_dir(work_dir) else { return };
    let instead = [paths::WORKSPACE, "/"].into_iter().find(|dir| std::env::set_current_dir(dir).is_ok());
    say(&format!(
        "the working directory {work_dir} can't be entered: {error}; this is {}",
        instead.unwrap_or("nowhere")
    ));
}

/// The shell of this image, if it has one.
pub(super) fn shell() -> Option<&'static str> {
    SHELLS.into_iter().find(|shell| Path::new(shell).is_file())
}

/// Tells whoever sits at the program. In one write: engines take what is written in parts for lines of their own.
fn say(text: &str) {
    let _ = io::stderr().write_all(format!("monkeyci: {text}\r\n").as_bytes());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_service_with_another_address_than_before_has_that_alone() {
        let names = [("db".to_owned(), "10.0.0.9".parse().unwrap()), ("web".to_owned(), "10.0.0.8".parse().unwrap())];
        let names: std::collections::BTreeMap<String, IpAddr> = names.into();
        let before = b"127.0.0.1\tlocalhost # caf\xe9\n10.0.0.2\tdb\n10.0.0.3 this-one dbx";
        let after = b"127.0.0.1\tlocalhost # caf\xe9\n10.0.0.3 this-one dbx\n10.0.0.9\tdb\n10.0.0.8\tweb\n";
        assert_eq!(hosts(before, names.iter()), after);
        assert_eq!(hosts(after, names.iter()), after);
    }
}
