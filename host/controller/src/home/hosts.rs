//! The host processes of a home: each has a directory with a lock, with the socket of its control API, and with the names of the builds
//! that it has parked.
//!
//! A host that is dead has let go of its lock, however it died. What stands in its directory says nothing any more.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::locks::is_locked;
use super::{Dead, Home, entries, make_dir};
use crate::error::ControllerError;

/// Where the directories of hosts are.
const HOSTS: &str = "hosts";
/// In a host's directory, a file for each build that it has parked.
const PARKED: &str = "parked";
/// In a build's directory, the name of the host that drives it.
pub(crate) const HOST: &str = "host";

/// The directory of a host that lives. Dropping it removes it: builds that are parked there have lost their host then.
#[derive(Debug)]
pub(crate) struct HostDir {
    pub(crate) path: PathBuf,
    _lock: File,
    dead: Dead,
}

impl Home {
    fn hosts(&self) -> PathBuf {
        self.root().join(HOSTS)
    }

    /// Makes the directory of a host that begins to drive builds, and locks it. Those that died and have parked nothing leave theirs here.
    pub(crate) fn host_dir(&self, name: String) -> Result<HostDir, ControllerError> {
        let path = self.hosts().join(&name);
        let make = || {
            make_dir(&self.hosts())?;
            let _turn = turn(&self.hosts())?;
            make_dir(&path.join(PARKED))?;
            let lock = File::create(path.join("lock"))?;
            // Nobody else has it: whoever looks whether it is locked, shares it for a moment.
            flock(&lock, FlockOperation::LockExclusive)?;
            for dead in dead(&self.hosts())? {
                if parked_in(&dead).next().is_none() {
                    // The sweep says what can't be removed.
                    let _ = fs::remove_dir_all(dead);
                }
            }
            Ok(lock)
        };
        let lock = make().map_err(|source| ControllerError::Home { path: path.clone(), source })?;
        Ok(HostDir { path, _lock: lock, dead: self.dead.clone() })
    }

    /// Whether a host that lives has parked a build.
    pub(crate) fn is_parked(&self, build: &str) -> bool {
        let name = file_name(build);
        let mut hosts = entries(&self.hosts()).into_iter().flatten().flatten().map(|host| host.path());
        hosts.any(|host| host.join(PARKED).join(&name).exists() && is_locked(&host.join("lock")))
    }

    /// The builds that hosts have parked which live, and those whose hosts have died.
    pub(super) fn parked(&self) -> io::Result<(Vec<String>, Vec<String>)> {
        let (mut live, mut lost) = (Vec::new(), Vec::new());
        for host in entries(&self.hosts())? {
            let host = host?.path();
            // Looked at after its builds: one that has just been parked by a host that lives is so.
            let parked: Vec<String> = parked_in(&host).collect();
            let to = if is_locked(&host.join("lock")) { &mut live } else { &mut lost };
            to.extend(parked);
        }
        Ok((live, lost))
    }

    /// The builds that were parked by hosts that have died.
    pub(crate) fn lost_while_parked(&self) -> io::Result<Vec<String>> {
        Ok(self.parked()?.1)
    }

    /// Nobody has parked a build any more that somebody drives now.
    pub(crate) fn unpark(&self, build: &str) -> io::Result<()> {
        let name = file_name(build);
        for host in entries(&self.hosts())? {
            not_there_is_fine(fs::remove_file(host?.path().join(PARKED).join(&name)))?;
        }
        Ok(())
    }

    /// Removes the directories of hosts that have died.
    pub(crate) fn remove_dead_hosts(&self) -> io::Result<()> {
        if !self.hosts().exists() {
            return Ok(());
        }
        let _turn = turn(&self.hosts())?;
        dead(&self.hosts())?.into_iter().try_for_each(fs::remove_dir_all)
    }
}

impl HostDir {
    /// Writes down that this host has parked a build: from now on it is live as long as this is.
    pub(crate) fn park(&self, build: &str) -> io::Result<()> {
        File::create(self.path.join(PARKED).join(file_name(build))).map(drop)
    }

    /// It is not parked after all.
    pub(crate) fn unpark(&self, build: &str) -> io::Result<()> {
        not_there_is_fine(fs::remove_file(self.path.join(PARKED).join(file_name(build))))
    }
}

impl Drop for HostDir {
    fn drop(&mut self) {
        if self.dead.is() {
            return;
        }
        // Half removed, it is like a dead one's, and others remove those.
        let turn = self.path.parent().map(turn).transpose();
        if let Err(error) = turn.and_then(|_turn| not_there_is_fine(fs::remove_dir_all(&self.path))) {
            tracing::warn!(%error, path = %self.path.display(), "a host's directory could not be removed");
        }
    }
}

/// The control sockets' directories by which the builds of a home are reached: of those with a directory of their own, and of parked ones.
pub(crate) fn ways_to_builds(home: &Path) -> Vec<(String, PathBuf)> {
    let hosts = home.join(HOSTS);
    let own = entries(&home.join("run")).into_iter().flatten().flatten().filter_map(|entry| {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).ok();
        let (build, host) = (read("build")?, read(HOST)?);
        // The name is a file's content: it names a directory here, and nothing else.
        (!host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric())).then(|| (build, hosts.join(host)))
    });
    let parked = entries(&hosts).into_iter().flatten().flatten().flat_map(|entry| {
        let host = entry.path();
        parked_in(&host).map(move |build| (build, host.clone())).collect::<Vec<_>>()
    });
    let mut all: Vec<_> = own.chain(parked).collect();
    // For a moment it may be both.
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|a, b| a.0 == b.0);
    all
}

/// Waits until nobody else makes or removes a host's directory.
fn turn(hosts: &Path) -> io::Result<File> {
    let hosts = File::open(hosts)?;
    flock(&hosts, FlockOperation::LockExclusive)?;
    Ok(hosts)
}

/// The directories of hosts that have died. Nobody makes one meanwhile.
fn dead(hosts: &Path) -> io::Result<Vec<PathBuf>> {
    let all = entries(hosts)?.map(|host| Ok(host?.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(all.into_iter().filter(|host| host.is_dir() && !is_locked(&host.join("lock"))).collect())
}

/// The builds whose names stand in a host's directory.
fn parked_in(host: &Path) -> impl Iterator<Item = String> + use<> {
    let names = entries(&host.join(PARKED)).into_iter().flatten().flatten();
    names.filter_map(|name| Some(name.file_name().to_str()?.replace("%2F", "/").replace("%25", "%")))
}

/// A build's id as the name of a file, from which it can be told again.
fn file_name(build: &str) -> String {
    build.replace('%', "%25").replace('/', "%2F")
}

pub(super) fn not_there_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::open(dir.path()).expect("a home");
        (dir, home)
    }

    #[test]
    fn a_parked_build_is_live_and_nobody_elses_for_as_long_as_its_host_lives_and_no_longer() {
        let (_dir, home) = home();
        let host = home.host_dir("a1".to_owned()).expect("a host");
        let live = || home.live_builds(false).expect("looked").0.into_iter().collect::<Vec<_>>();
        for build in ["o/r/1", "o/%2F/%25"] {
            drop(home.build_dir(build, "a1").expect("a directory"));
            host.park(build).expect("parked");
            assert!(home.is_live(build) && live().contains(&build.to_owned()), "{build}");
            assert!(home.take_build_dir(build, "b2").expect("no error").is_none(), "another host has taken it");
            assert!(!home.path_of(build).exists(), "who was refused has left something");
        }
        // Its own host gets it, and then it is no longer parked.
        let own = home.take_parked_dir("o/r/1", "a1").expect("no error").expect("its own");
        home.unpark("o/r/1").expect("driven again");
        assert!(home.is_live("o/r/1") && !home.is_parked("o/r/1"));
        assert_eq!(ways_to_builds(home.root()).len(), 2);
        drop(own);
        assert_eq!(live(), ["o/%2F/%25"]);

        // As a kill leaves it: the names are there, and no lock.
        let HostDir { path, .. } = &host;
        let (names, before) = (path.join(PARKED), path.clone());
        fs::rename(&before, before.with_file_name("killed")).expect("moved");
        fs::create_dir(&before).expect("for it to remove");
        drop(host);
        assert!(!names.exists() && !home.is_live("o/%2F/%25") && live().is_empty());
        assert_eq!(home.lost_while_parked().expect("looked").len(), 1);
        // What a dead host has parked is not forgotten because another host begins.
        let next = home.host_dir("c3".to_owned()).expect("a host");
        assert_eq!(home.lost_while_parked().expect("looked").len(), 1);
        let taken = home.take_build_dir("o/%2F/%25", "c3").expect("no error").expect("its host is dead");
        assert_eq!(home.lost_while_parked().expect("looked").len(), 0);
        drop(taken);
        let hosts = || fs::read_dir(home.hosts()).expect("there").count();
        assert_eq!(hosts(), 2);
        home.remove_dead_hosts().expect("removed");
        assert_eq!((hosts(), next.path.exists()), (1, true));
    }

    #[test]
    fn hosts_that_begin_and_end_at_once_do_not_remove_each_others_directories() {
        let (_dir, home) = home();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let home = &home;
                scope.spawn(move || {
                    for turn in 0..50 {
                        let host = home.host_dir(format!("{thread}x{turn}")).expect("a host");
                        home.remove_dead_hosts().expect("looked");
                        host.park("o/r/1").expect("its directory is there");
                        assert!(home.is_parked("o/r/1"));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(home.hosts()).expect("there").count(), 0);
    }
}
