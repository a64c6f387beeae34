//! A Docker daemon of a test's own: it may be killed, or hang, its disk may be full, and its containers may be denied
//! something. Needs root.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::Result;

use super::{LIMIT, is_alive, read_pid, short_folder, signal, start, wait_until};
use crate::command::{output, path_with, program};
use crate::engine::Engine;

/// A daemon with files, sockets and a network namespace of its own, beside the machine's.
pub struct OwnDocker {
    dir: PathBuf,
    child: Option<Child>,
    options: Vec<String>,
}

impl OwnDocker {
    /// Starts one; with a seccomp profile for its containers, and with its files on a disk of so many bytes, if asked for.
    pub fn start(seccomp: Option<&str>, disk: Option<u64>) -> Result<Self> {
        let mut own = Self { dir: short_folder("mci-d")?, child: None, options: Vec::new() };
        fs::create_dir(own.path("data"))?;
        if let Some(profile) = seccomp {
            fs::write(own.path("seccomp.json"), profile)?;
            own.options = vec!["--seccomp-profile".to_owned(), own.path("seccomp.json").display().to_string()];
        }
        if let Some(bytes) = disk {
            // What is mounted below the directory is unmounted with it.
            std::mem::forget(SmallDisk::at(&own.path("data"), bytes));
        }
        // Rules and bridges of the machine belong to the machine's daemon: in its network namespace a second one would
        // change them, and remove `docker0` even when told to use no bridge. Ours outlives a killed daemon.
        File::create(own.network())?;
        let mut unshare = program("unshare");
        unshare.env("PATH", path_with(&[])?).arg(format!("--net={}", own.network().display()));
        output(unshare.args(["ip", "link", "set", "lo", "up"]))?;
        own.run()?;
        Ok(own)
    }

    /// A path in its folder. `data` has its files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The file that stands for its network namespace.
    pub fn network(&self) -> PathBuf {
        self.path("network")
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// Its engine, if it answers.
    pub fn engine(&self) -> Result<Engine> {
        Ok(Engine::at(&self.path("docker.sock"))?)
    }

    /// Starts the daemon again, and waits until it answers.
    pub fn run(&mut self) -> Result<()> {
        assert!(self.child.is_none(), "it runs");
        // A killed daemon leaves these, and a new one takes a zombie, or whoever has the number now, for one that lives.
        for file in ["pid", "exec/containerd/containerd.pid"] {
            fs::remove_file(self.path(file)).ok();
        }
        // It becomes the daemon: the process that is killed is the daemon's.
        let mut command = program("nsenter");
        command.arg(format!("--net={}", self.network().display())).args(["dockerd", "--host"]).arg(self.url());
        for (option, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(option).arg(self.path(name));
        }
        command.args(&self.options).process_group(0);
        self.child = Some(start(&mut command, &self.path("docker.sock"), &self.path("log"))?.0);
        Ok(())
    }

    /// Makes the daemon hang: it takes connections, and answers nobody. Its containers run on.
    pub fn hang(&self) -> Result<()> {
        signal("STOP", self.child.as_ref().expect("it runs").id())
    }

    /// Lets it go on.
    pub fn go_on(&self) -> Result<()> {
        signal("CONT", self.child.as_ref().expect("it runs").id())
    }

    /// Kills the daemon with SIGKILL, and with it its containerd. Its containers run on.
    pub fn kill(&mut self) -> Result<()> {
        let containerd = read_pid(&self.path("exec/containerd/containerd.pid"));
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait())?;
        }
        // It dies of its parent's death, a moment later: a new daemon must not meet it.
        wait_until(|| containerd.is_none_or(|pid| !is_alive(pid, None)));
        Ok(())
    }

    /// Kills and removes all containers: nobody else uses this engine.
    fn remove_containers(&self) -> Result<()> {
        let engine = self.engine()?;
        let list = engine.ask("GET /containers/json?all=1", &[])?;
        for container in String::from_utf8_lossy(&list).split("\"Id\":\"").skip(1) {
            let id = container.split('"').next().unwrap_or_default();
            engine.ask(&format!("DELETE /containers/{id}?force=1&v=1"), &[]).ok();
        }
        Ok(())
    }

    /// Kills what a daemon that was killed does not remember when it starts again: containers that it was just starting.
    fn end_orphans(&self) {
        let own = self.dir.display().to_string();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let command = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(shim) = pid.filter(|_| command.contains("containerd-shim") && command.contains(&own)) else {
                continue;
            };
            for orphan in children(shim).into_iter().chain([shim]) {
                signal("KILL", orphan).ok();
            }
        }
    }
}

/// The processes that a process has started.
pub fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

impl Drop for OwnDocker {
    fn drop(&mut self) {
        if self.child.is_none() && !std::thread::panicking() {
            // What was left running needs a daemon to end it.
            self.run().ok();
        }
        if let Some(mut child) = self.child.take() {
            signal("CONT", child.id()).ok();
            self.remove_containers().ok();
            signal("TERM", child.id()).ok();
            let began = std::time::Instant::now();
            while matches!(child.try_wait(), Ok(None)) && began.elapsed() < LIMIT {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            child.kill().ok();
            child.wait().ok();
        }
        self.end_orphans();
        // What was mounted below its directory, the deepest first.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
        for at in below.filter(|at| at.starts_with(&self.dir)).collect::<Vec<_>>().into_iter().rev() {
            unmount(at);
        }
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// A file system in memory that is soon full, mounted at a directory until this is dropped. Only root may.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of so many bytes at a directory, which is made if need be.
    ///
    /// # Panics
    ///
    /// When it can't be mounted.
    pub fn at(at: &Path, bytes: u64) -> Self {
        fs::create_dir_all(at).expect("a directory");
        let mut mount = program("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0700"), "tmpfs"]).arg(at);
        output(&mut mount).unwrap_or_else(|error| panic!("mounting {}: {error:#}", at.display()));
        Self(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

fn unmount(at: &Path) {
    let mut command: Command = program("umount");
    output(command.arg("-l").arg(at)).ok();
}
