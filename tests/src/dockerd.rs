//! A Docker daemon of one's own: it may be killed, or hang, its disk may be full, and its containers may be denied something.
//! Needs root.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;

use monkeyci_testbed::daemons::{OwnDocker, children as children_of};
use monkeyci_testbed::handed;
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::engine::Engine;
use crate::place;

/// A daemon with files, sockets and a network namespace of its own, beside the machine's, and with the tests' images.
pub struct Dockerd(OwnDocker);

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
    /// Starts one.
    pub fn start() -> Self {
        Self::of(None, None, &[place::image(), place::scratch_image()])
    }

    /// Starts one whose containers can't set rules for their network up, as on a machine whose kernel has no nf_tables.
    pub fn without_netfilter() -> Self {
        Self::of(Some(WITHOUT_NETFILTER), None, &[place::image(), place::scratch_image()])
    }

    /// Starts one whose files are on a disk of so many bytes.
    pub fn with_disk(bytes: u64) -> Self {
        Self::of(None, Some(bytes), &[place::image()])
    }

    /// Makes images in it that stand for those of a registry: with a shell, and these programs.
    pub fn stand_in(&self, names: &[&str], changes: &[&str], programs: &[(&str, &str)]) {
        let (engine, busybox) = (self.0.engine().expect("it answers"), handed::path(handed::BUSYBOX));
        for name in names {
            monkeyci_testbed::images::make_with(&engine, name, changes, &busybox, programs).expect("an image");
        }
    }

    fn of(seccomp: Option<&str>, disk: Option<u64>, images: &[String]) -> Self {
        let own = OwnDocker::start(seccomp, disk).expect("dockerd is there, and starts");
        for image in images {
            let to = own.engine().expect("it answers");
            monkeyci_testbed::images::copy(image, &place::docker(), &to).expect("an image");
        }
        Self(own)
    }

    /// Its engine.
    pub fn engine(&self) -> Engine {
        Engine::of(&self.0.url())
    }

    /// Writes a file on the daemon's disk that leaves no room; returns where it is.
    pub fn fill_disk(&self) -> PathBuf {
        let path = self.0.path("data").join("filled");
        let mut file = File::create(&path).expect("a file");
        let full = std::iter::repeat(()).find_map(|()| file.write_all(&[0; 4096]).err()).expect("an end");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
        path
    }

    /// Runs `with` in the daemon's network, on a thread of its own: a socket that it opens stays there.
    pub fn in_network<T: Send + 'static>(&self, with: impl FnOnce() -> T + Send + 'static) -> T {
        let network = File::open(self.0.network()).expect("it is there");
        let inside = std::thread::spawn(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
            with()
        });
        inside.join().expect("no panic")
    }

    /// Starts the daemon again, and waits until it answers.
    pub fn run(&mut self) {
        self.0.run().expect("dockerd is there, and starts");
    }

    /// Makes the daemon hang: it takes connections, and answers nobody. Its containers run on.
    pub fn hang(&self) {
        self.0.hang().expect("signalled");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.0.go_on().expect("signalled");
    }

    /// Kills the daemon with SIGKILL, and with it its containerd. Its containers run on.
    pub fn kill(&mut self) {
        self.0.kill().expect("killed");
    }
}

/// The processes that a process has started.
pub fn children(pid: Pid) -> Vec<Pid> {
    let pid = u32::try_from(pid.as_raw_nonzero().get()).expect("a process id");
    children_of(pid).into_iter().filter_map(|child| Pid::from_raw(i32::try_from(child).ok()?)).collect()
}
