//! Finding a container engine, or starting one.

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use monkeyci_testbed::daemons::{Podman, has_systemd};
use monkeyci_testbed::engine::{Engine, Kind};
use monkeyci_testbed::programs::For;

use super::docker::{SOCKET, start};
use super::{apt, is_root, lock};
use crate::command::find;
use crate::paths::Paths;
use crate::say::Step;

/// The sockets to try, the best first.
fn candidates(docker_host: Option<&str>, runtime_dir: Option<&Path>) -> Vec<PathBuf> {
    let mut sockets: Vec<PathBuf> =
        docker_host.and_then(|host| host.strip_prefix("unix://")).into_iter().map(PathBuf::from).collect();
    sockets.push(SOCKET.into());
    sockets.extend(runtime_dir.iter().flat_map(|dir| [dir.join("docker.sock"), dir.join("podman/podman.sock")]));
    sockets.push("/run/podman/podman.sock".into());
    sockets
}

/// An engine of this kind, or of any; else a socket of one that this user may not use.
fn look(wanted: Option<Kind>) -> Result<Engine, Option<PathBuf>> {
    let docker_host = env::var("DOCKER_HOST").ok();
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut denied = None;
    for socket in candidates(docker_host.as_deref(), runtime_dir.as_deref()) {
        match Engine::at(&socket) {
            Ok(engine) if wanted.is_none_or(|kind| kind == engine.kind) => return Ok(engine),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => denied = Some(socket),
            _ => {}
        }
    }
    Err(denied)
}

/// Finds an engine, or installs and starts Docker.
pub fn ensure(step: &Step, paths: &Paths, docker: bool) -> Result<Engine> {
    let wanted = docker.then_some(Kind::Docker);
    match look(wanted) {
        Ok(engine) => {
            let host = env::var("DOCKER_HOST").unwrap_or_default();
            if !host.is_empty() && host != engine.url() {
                step.note(&format!(
                    "DOCKER_HOST={host} is not used: no engine of the right kind answers at a Unix socket there"
                ));
            }
            step.already(&engine.to_string());
            return Ok(engine);
        }
        Err(Some(socket)) if !is_root() => bail!(
            "{} belongs to a container engine that you may not use. By hand:\n    \
             sudo usermod -aG docker \"$USER\"\nthen log in again and run this again",
            socket.display()
        ),
        Err(None) if !is_root() => bail!("{}", by_hand(docker)),
        Err(_) => {}
    }
    apt::ensure(step, paths, &[For::Docker])?;
    let _lock = lock(step, paths)?;
    // Another set-up may have started it, or its package.
    let engine = look(wanted).or_else(|_| start(step, paths))?;
    step.done(&format!("started {engine}"));
    Ok(engine)
}

/// What to do without root.
fn by_hand(docker: bool) -> String {
    let start = match find("dockerd") {
        Some(_) if has_systemd() => "sudo systemctl start docker",
        Some(_) => "sudo sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 &'",
        None => "sudo apt-get install --no-install-recommends docker.io iptables",
    };
    let mut text = format!(
        "no container engine answers, and starting Docker needs root. By hand:\n    {start}\n    \
         sudo usermod -aG docker \"$USER\"   # then log in again"
    );
    if !docker {
        text.push_str("\nor, with Podman, which needs no root to run:\n    ");
        text.push_str(if find("podman").is_none() { "sudo apt-get install podman uidmap slirp4netns && " } else { "" });
        text.push_str("systemctl --user start podman.socket");
    }
    text + "\nthen run this again"
}

/// Finds Podman's API, or installs Podman and serves it for this run. For tests.
pub fn ensure_podman(step: &Step, paths: &Paths) -> Result<Podman> {
    if let Ok(engine) = look(Some(Kind::Podman)) {
        step.already(&engine.to_string());
        return Ok(Podman::that_runs(engine));
    }
    apt::ensure(step, paths, &[For::Podman]).context("`cargo xtask test --fast` leaves Podman out")?;
    let dir = paths.target.join("podman");
    let podman = Podman::serve(&dir)?;
    step.done(&format!("serves {}, for this run; log and configuration are in {}", podman.engine, dir.display()));
    Ok(podman)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_choice_comes_first_and_other_addresses_are_passed_over() {
        let with = candidates(Some("unix:///tmp/x.sock"), Some(Path::new("/run/user/7")));
        let sockets = with.iter().map(|socket| socket.display().to_string()).collect::<Vec<_>>();
        assert_eq!(sockets[..4], ["/tmp/x.sock", SOCKET, "/run/user/7/docker.sock", "/run/user/7/podman/podman.sock"]);
        let without = candidates(Some("tcp://127.0.0.1:2375"), None);
        assert_eq!(without, [SOCKET, "/run/podman/podman.sock"].map(PathBuf::from));
    }
}
