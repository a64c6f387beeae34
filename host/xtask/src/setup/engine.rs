//! Finding a container engine, or starting one.

use std::env;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use super::{api, apt, dockerd, is_root, lock};
use crate::command::find;
use crate::paths::Paths;
use crate::say::Step;

/// How long an engine may take to answer a ping.
const PATIENCE: Duration = Duration::from_secs(3);

/// The two engines that speak Docker's API.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Docker,
    Podman,
}

/// An engine that answers.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The socket of its API.
    pub socket: PathBuf,
    /// Which one it is.
    pub kind: Kind,
}

impl Engine {
    /// Its address, as `DOCKER_HOST` has it.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kind, self.socket.display())
    }
}

/// Asks whether an engine answers at this socket, and which one.
pub fn ping(socket: &Path) -> io::Result<Engine> {
    let mut answer = api::request(socket, "GET", "/_ping", None, PATIENCE)?;
    let text = answer.text()?;
    if answer.status != 200 {
        return Err(io::Error::other(format!("{} {text}", answer.status)));
    }
    let kind = match answer.header("libpod-api-version") {
        Some(_) => Kind::Podman,
        None => Kind::Docker,
    };
    Ok(Engine { socket: socket.to_owned(), kind })
}

/// The sockets to try, the best first.
fn candidates(docker_host: Option<&str>, runtime_dir: Option<PathBuf>) -> Vec<PathBuf> {
    let chosen = docker_host.and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from);
    let rootless = runtime_dir.iter().flat_map(|dir| [dir.join("docker.sock"), dir.join("podman/podman.sock")]);
    chosen
        .into_iter()
        .chain([PathBuf::from(dockerd::SOCKET)])
        .chain(rootless)
        .chain([PathBuf::from("/run/podman/podman.sock")])
        .collect()
}

/// What a look at all sockets gives.
enum Found {
    Live(Engine),
    /// There is one, but not for this user.
    Denied(PathBuf),
    Nothing,
}

fn look(wanted: Option<Kind>) -> Found {
    let docker_host = env::var("DOCKER_HOST").ok();
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut denied = None;
    for socket in candidates(docker_host.as_deref(), runtime_dir) {
        match ping(&socket) {
            Ok(engine) if wanted.is_none_or(|kind| kind == engine.kind) => {
                return Found::Live(engine);
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => denied = Some(socket),
            _ => {}
        }
    }
    denied.map_or(Found::Nothing, Found::Denied)
}

/// A live engine of this kind, if there is one.
pub fn find_live(kind: Kind) -> Option<Engine> {
    match look(Some(kind)) {
        Found::Live(engine) => Some(engine),
        Found::Denied(_) | Found::Nothing => None,
    }
}

/// Finds an engine, or installs and starts Docker.
pub fn ensure(step: &Step, paths: &Paths, docker: bool) -> Result<Engine> {
    let wanted = docker.then_some(Kind::Docker);
    match look(wanted) {
        Found::Live(engine) => {
            if let Ok(host) = env::var("DOCKER_HOST")
                && !host.is_empty()
                && host != engine.url()
            {
                step.note(&format!(
                    "DOCKER_HOST={host} is not used: no engine of the right kind answers at a Unix socket there"
                ));
            }
            step.already(&engine.to_string());
            return Ok(engine);
        }
        Found::Denied(socket) if !is_root() => bail!(
            "{} belongs to a container engine that you may not use. By hand:\n    \
             sudo usermod -aG docker \"$USER\"\nthen log in again and run this again",
            socket.display()
        ),
        Found::Nothing if !is_root() => bail!("{}", by_hand(docker)),
        Found::Denied(_) | Found::Nothing => {}
    }
    let _lock = lock(step, paths)?;
    if let Found::Live(engine) = look(wanted) {
        step.already(&format!("another set-up has started {engine}"));
        return Ok(engine);
    }
    if find("dockerd").is_none() {
        let request = apt::Request { what: "running containers", packages: &["docker.io", "iptables"], update: false };
        apt::install(step, paths, &request)?;
    }
    let engine = dockerd::start(step, paths)?;
    step.done(&format!("started {engine}"));
    Ok(engine)
}

/// What to do without root.
fn by_hand(docker: bool) -> String {
    let mut ways = vec![match find("dockerd") {
        Some(_) if dockerd::has_systemd() => "sudo systemctl start docker",
        Some(_) => "sudo sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 &'",
        None => "sudo apt-get install --no-install-recommends docker.io iptables",
    }];
    ways.push("sudo usermod -aG docker \"$USER\"   # then log in again");
    let mut text =
        format!("no container engine answers, and starting Docker needs root. By hand:\n    {}", ways.join("\n    "));
    if !docker {
        let podman = match find("podman") {
            Some(_) => "systemctl --user start podman.socket",
            None => "sudo apt-get install podman uidmap slirp4netns && systemctl --user start podman.socket",
        };
        text.push_str("\nor, with Podman, which needs no root to run:\n    ");
        text.push_str(podman);
    }
    text.push_str("\nthen run this again");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_users_choice_comes_first_and_other_addresses_are_passed_over() {
        let with = candidates(Some("unix:///tmp/x.sock"), Some("/run/user/7".into()));
        assert_eq!(with[0], Path::new("/tmp/x.sock"));
        assert_eq!(with[1], Path::new("/var/run/docker.sock"));
        assert!(with.contains(&PathBuf::from("/run/user/7/podman/podman.sock")));
        let without = candidates(Some("tcp://127.0.0.1:2375"), None);
        assert_eq!(without, [PathBuf::from("/var/run/docker.sock"), PathBuf::from("/run/podman/podman.sock")]);
    }

    /// Answers one request with this text, at a socket of its own.
    fn answering(name: &str, answer: &'static str) -> PathBuf {
        let socket = env::temp_dir().join(format!("xtask-{}-{name}.sock", std::process::id()));
        std::fs::remove_file(&socket).ok();
        let listener = UnixListener::bind(&socket).expect("a socket");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 512];
            let count = stream.read(&mut request).expect("a request");
            assert!(request[..count].starts_with(b"GET /_ping HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).expect("an answer");
        });
        socket
    }

    #[test]
    fn a_ping_tells_docker_from_podman() {
        let docker =
            answering("docker", "HTTP/1.1 200 OK\r\nServer: Docker/20.10.24 (linux)\r\nContent-Length: 2\r\n\r\nOK");
        let podman = answering("podman", "HTTP/1.1 200 OK\r\nLibpod-Api-Version: 4.3.1\r\nContent-Length: 2\r\n\r\nOK");
        let broken = answering("broken", "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno");
        assert_eq!(ping(&docker).expect("docker").kind, Kind::Docker);
        assert_eq!(ping(&podman).expect("podman").kind, Kind::Podman);
        assert!(ping(&broken).is_err());
        for socket in [docker, podman, broken] {
            std::fs::remove_file(&socket).ok();
            assert!(ping(&socket).is_err(), "nobody is there");
        }
    }
}
