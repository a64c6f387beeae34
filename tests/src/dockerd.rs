//! A Docker daemon of one's own: it may be killed, or hang, its disk may be full, and its containers may be denied something.
//! Needs root.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::engine::Engine;
use crate::place;

/// How long the daemon may take to answer, or to end.
const LIMIT: Duration = Duration::from_secs(30);

/// A daemon with files, sockets and a network namespace of its own, beside the machine's.
pub struct Dockerd {
    dir: TempDir,
    child: Option<Child>,
    options: Vec<String>,
}

/// What a kernel without nf_tables answers: there is no such protocol. All else is as without a profile.
const WITHOUT_NETFILTER: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{
        "names": ["socket"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": 93,
        "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 12, "op": "SCMP_CMP_EQ"}]
    }]
}"#;

impl Dockerd {
    /// Starts one with the tests' images.
    pub fn start() -> Self {
        Self::new().started()
    }

    /// Starts one whose containers can't set rules for their network up, as on a machine whose kernel has no nf_tables.
    pub fn without_netfilter() -> Self {
        let mut dockerd = Self::new();
        let profile = dockerd.path("seccomp.json");
        std::fs::write(&profile, WITHOUT_NETFILTER).expect("written");
        dockerd.options = vec!["--seccomp-profile".to_owned(), profile.display().to_string()];
        dockerd.started()
    }

    fn started(mut self) -> Self {
        self.run();
        self.engine().copy_images_of(&Engine::docker(), &[place::image(), place::scratch_image()]);
        self
    }

    /// Starts one whose files are on a disk of so many bytes.
    pub fn with_disk(bytes: u64) -> Self {
        let mut dockerd = Self::new();
        let data = dockerd.path("data");
        let options = format!("size={bytes}");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(data));
        dockerd.run();
        dockerd.engine().copy_images_of(&Engine::docker(), &[place::image()]);
        dockerd
    }

    /// Writes a file on the daemon's disk that leaves no room; returns where it is.
    pub fn fill_disk(&self) -> PathBuf {
        let path = self.path("data").join("filled");
        let mut file = File::create(&path).expect("a file");
        let full = std::iter::repeat(()).find_map(|()| file.write_all(&[0; 4096]).err()).expect("an end");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
        path
    }

    fn new() -> Self {
        // The path of a socket is a hundred bytes at most.
        let dir = tempfile::Builder::new().prefix("mci-d").tempdir_in("/tmp").expect("a directory");
        let dockerd = Self { dir, child: None, options: Vec::new() };
        std::fs::create_dir(dockerd.path("data")).expect("a directory");
        // Rules and bridges of the machine belong to the machine's daemon: in its network namespace a second one would change
        // them, and remove `docker0` even when told to use no bridge. Ours outlives a killed daemon.
        let network = dockerd.path("network");
        File::create(&network).expect("a file");
        let mut unshare = Command::new("unshare");
        run(unshare.arg(format!("--net={}", network.display())).args(["ip", "link", "set", "lo", "up"]));
        dockerd
    }

    /// Runs `with` in the daemon's network, on a thread of its own: a socket that it opens stays there.
    pub fn in_network<T: Send + 'static>(&self, with: impl FnOnce() -> T + Send + 'static) -> T {
        let network = File::open(self.path("network")).expect("it is there");
        let inside = std::thread::spawn(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
            with()
        });
        inside.join().expect("no panic")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn address(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// Its engine.
    pub fn engine(&self) -> Engine {
        Engine::of(&self.address())
    }

    /// Starts the daemon, and waits until it answers.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "it runs");
        // A killed daemon leaves these, and a new one takes a zombie, or whoever has the number now, for a daemon that lives.
        for file in ["pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(self.path(file));
        }
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let path = std::env::var("PATH").unwrap_or_default();
        // It becomes the daemon: the process that is killed is the daemon's.
        let mut command = Command::new("nsenter");
        command
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .arg(format!("--net={}", self.path("network").display()))
            .arg("dockerd")
            .arg("--host")
            .arg(self.address())
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--pidfile")
            .arg(self.path("pid"))
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0);
        self.child = Some(command.spawn().expect("dockerd is there, and starts"));
        let began = Instant::now();
        while !answers(&self.path("docker.sock")) {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || began.elapsed() > LIMIT {
                let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                panic!("dockerd does not answer ({ended:?}): {tail:#?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills what a daemon that was killed does not remember when it starts again: containers that it was just starting.
    fn end_orphans(&self) {
        let own = self.dir.path().display().to_string();
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let command = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            let pid = process.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
            let Some(shim) = pid.filter(|_| command.contains("containerd-shim") && command.contains(&own)) else {
                continue;
            };
            for orphan in children(shim).into_iter().chain([shim]) {
                let _ = kill_process(orphan, Signal::KILL);
            }
        }
    }

    /// Makes the daemon hang: it takes connections, and answers nobody. Its containers run on.
    pub fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("signalled");
    }

    /// Kills the daemon with SIGKILL, and with it its containerd. Its containers run on.
    pub fn kill(&mut self) {
        let containerd = std::fs::read_to_string(self.path("exec/containerd/containerd.pid"));
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("an end");
        }
        // It dies of its parent's death, a moment later: a new daemon must not meet it.
        let containerd = containerd.ok().and_then(|pid| Pid::from_raw(pid.trim().parse().ok()?));
        let began = Instant::now();
        while containerd.is_some_and(is_alive) && began.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The processes that a process has started.
pub fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_nonzero();
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)).collect()
}

fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn run(command: &mut Command) {
    assert!(command.status().expect("it is installed").success(), "{command:?}");
}

fn answers(socket: &Path) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::os::unix::net::UnixStream::connect(socket) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut answer = [0; 12];
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.ends_with(b"200")
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if self.child.is_none() && !std::thread::panicking() {
            // What was left running needs a daemon to end it.
            self.run();
        }
        if let Some(mut child) = self.child.take() {
            let _ = kill_process(Pid::from_child(&child), Signal::CONT);
            if answers(&self.path("docker.sock")) {
                self.engine().remove_everything();
            }
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            let began = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && began.elapsed() < LIMIT {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        self.end_orphans();
        // What it has mounted below its directories, the deepest first.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = self.dir.path().display().to_string();
        let below = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| at.starts_with(&own));
        for at in below.collect::<Vec<_>>().into_iter().rev() {
            let _ = Command::new("umount").args(["-l", at]).status();
        }
    }
}
