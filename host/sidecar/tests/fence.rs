//! The guard's fence in a network namespace of the test's own, with addresses of both versions: what engines make here has
//! version 4 only. Who is not root is it in a user namespace, where the system allows that.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use monkeyci_api::{GuardOrders, NetworkRules};
use rustix::process::getuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

const PORT: u16 = 8080;
/// A connection that takes as long is not refused, it is lost.
const LOST: Duration = Duration::from_secs(60);

/// Another container of the pod.
const POD: [&str; 2] = ["172.30.0.5", "fd00:1::5"];
/// The machine that the pod runs on.
const MACHINE: [&str; 3] = ["172.30.0.1", "fd00:1::1", "fe80::1"];
/// What version 6 calls all routers of a network: the machine again, for datagrams.
const ROUTERS: &str = "fd00:1::";
const PUBLIC: [&str; 3] = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"];
/// Private networks: also in what the internet might carry them to, 6to4, Teredo, and a gateway from version 6 to 4.
const PRIVATE: [&str; 9] = [
    "10.0.0.1",
    "::ffff:10.0.0.1",
    "fd12::1",
    "fc00::1",
    "fec0::1",
    "2002:a00:1::1",
    "2001:0:a00:1::1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
];
const METADATA: [&str; 4] = ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "fd20:ce::254"];

/// A pod's network, and the world that it leads to: a machine that has all addresses, and listens on them.
struct Nets {
    dir: TempDir,
    /// The number of the pod's way out.
    link: u32,
    /// Told of each datagram that arrives in the world.
    arrived: mpsc::Receiver<()>,
}

impl Nets {
    fn new() -> Self {
        let (arrives, arrived) = mpsc::channel();
        let mut nets = Self { dir: tempfile::tempdir().expect("a directory"), link: 0, arrived };
        for name in ["pod", "world"] {
            File::create(nets.path(name)).expect("a file");
            let network = format!("--net={}", nets.path(name).display());
            succeeds(program("unshare").arg(network).args(["ip", "link", "set", "lo", "up"]));
        }
        let world = nets.path("world").display().to_string();
        nets.ip("pod", &format!("link add eth0 type veth peer name eth0 netns {world}"));
        for (name, addresses) in [
            ("world", &["172.30.0.1/24", "fd00:1::1/64", "fe80::1/64"][..]),
            ("pod", &["172.30.0.2/24", "fd00:1::2/64"]),
        ] {
            for address in addresses {
                let nodad = if address.contains(':') { "nodad" } else { "" };
                nets.ip(name, &format!("address add {address} dev eth0 {nodad}"));
            }
            nets.ip(name, "link set eth0 up");
        }
        for address in POD {
            let (prefix, nodad) = if address.contains(':') { (64, "nodad") } else { (24, "") };
            nets.ip("world", &format!("address add {address}/{prefix} dev eth0 {nodad}"));
        }
        for address in PUBLIC.iter().chain(&PRIVATE).chain(&METADATA).filter(|address| !address.starts_with("::ffff")) {
            let (prefix, nodad) = if address.contains(':') { (128, "nodad") } else { (32, "") };
            nets.ip("world", &format!("address add {address}/{prefix} dev lo {nodad}"));
        }
        // It is a router, as a machine with containers is.
        succeeds(nets.command("world").args(["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"]));
        nets.ip("pod", "route add default via 172.30.0.1");
        nets.ip("pod", "-6 route add default via fd00:1::1");
        let link = nets.inside("pod", || std::fs::read_to_string("/proc/thread-self/net/if_inet6").expect("IPv6"));
        // address, number of the interface, …
        let number = link.lines().find(|line| line.ends_with("eth0")).and_then(|line| line.split_whitespace().nth(1));
        nets.link = u32::from_str_radix(number.expect("a link"), 16).expect("a number");
        let listener = nets.inside("world", || TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).expect("a port"));
        std::thread::spawn(move || while listener.accept().is_ok() {});
        let datagrams = nets.inside("world", || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORT)).expect("a port"));
        std::thread::spawn(move || while datagrams.recv(&mut [0; 1]).is_ok() && arrives.send(()).is_ok() {});
        nets
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ip(&self, network: &str, arguments: &str) {
        succeeds(self.command(network).arg("ip").args(arguments.split_whitespace()));
    }

    fn command(&self, network: &str) -> Command {
        let mut command = program("nsenter");
        command.arg(format!("--net={}", self.path(network).display()));
        command
    }

    /// Runs `with` in a network, on a thread of its own.
    fn inside<T: Send>(&self, network: &str, with: impl FnOnce() -> T + Send) -> T {
        let network = File::open(self.path(network)).expect("it is there");
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
                with()
            });
            inside.join().expect("no panic")
        })
    }

    /// Fences the pod in, as its containers do when they begin.
    fn fence(&self, network: NetworkRules) {
        let orders = GuardOrders { network: Some(network), ..GuardOrders::default() };
        let orders = serde_json::to_string(&orders).expect("JSON");
        let guard = env!("CARGO_BIN_EXE_monkeyci-sidecar");
        succeeds(self.command("pod").args([guard, "guard", &orders, "true"]));
    }

    /// Whether the pod reaches an address; what it does not reach it is told so.
    fn reaches(&self, address: &str) -> bool {
        let to = match address.parse().expect("an address") {
            IpAddr::V6(link) if link.is_unicast_link_local() => SocketAddrV6::new(link, PORT, 0, self.link).into(),
            address => SocketAddr::new(address, PORT),
        };
        match self.inside("pod", || TcpStream::connect_timeout(&to, LOST)) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => false,
            Err(error) => panic!("{address} is neither reached nor refused: {error}"),
        }
    }

    /// Whether a datagram may be sent to an address: then it gets there.
    fn sends(&self, address: &str) -> bool {
        let socket = self.inside("pod", || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a port"));
        match socket.send_to(b".", (address, PORT)) {
            Ok(_) => self.arrived.recv_timeout(LOST).is_ok(),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => false,
            Err(error) => panic!("{address} is neither reached nor refused: {error}"),
        }
    }

    fn reached(&self) -> Vec<&'static str> {
        let all = [&POD[..], &MACHINE, &PUBLIC, &PRIVATE, &METADATA].concat();
        all.into_iter().filter(|address| self.reaches(address)).collect()
    }
}

impl Drop for Nets {
    fn drop(&mut self) {
        for name in ["pod", "world"] {
            let _ = Command::new("umount").arg(self.path(name)).status();
        }
    }
}

/// A program of the system's: also one that is for root, whose directory is not in everybody's path.
fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// Whether this is root. If not, it has run the test as root of a user namespace.
fn is_root(test: &str) -> bool {
    if getuid().is_root() {
        return true;
    }
    let own = std::env::current_exe().expect("this program");
    let inside = ["--map-root-user", "--mount", "--net"];
    succeeds(program("unshare").args(inside).arg(own).args(["--exact", test]));
    false
}

fn succeeds(command: &mut Command) {
    assert!(command.status().expect("it is installed").success(), "{command:?}");
}

#[test]
fn both_versions_of_addresses_are_fenced_alike() {
    if !is_root("both_versions_of_addresses_are_fenced_alike") {
        return;
    }
    let nets = Nets::new();
    let all = [&POD[..], &MACHINE, &PUBLIC, &PRIVATE, &METADATA].concat();
    assert_eq!(nets.reached(), all, "without a fence everything is reached: what is refused later, the fence refuses");
    assert!(nets.sends(ROUTERS) && nets.sends(POD[1]));

    nets.fence(NetworkRules { internet: true, ..NetworkRules::default() });
    assert_eq!(nets.reached(), [&POD[..], &PUBLIC].concat());
    assert!(!nets.sends(ROUTERS) && nets.sends(POD[1]));
}

#[test]
fn without_the_internet_only_the_pod_and_what_is_allowed_is_reached_by_either_version() {
    if !is_root("without_the_internet_only_the_pod_and_what_is_allowed_is_reached_by_either_version") {
        return;
    }
    let nets = Nets::new();
    let allow = ["[2606:4700::/32]:8080", "fd12::1", "fe80::1", "fd00:ec2::254"];
    let allow = allow.map(|text| text.parse().expect("a destination")).to_vec();
    let permitted = vec!["fd12::/16".parse().expect("a range")];
    nets.fence(NetworkRules { allow, permitted, ..NetworkRules::default() });
    assert_eq!(nets.reached(), [&POD[..], &["2606:4700::1111", "fd12::1"]].concat());
}
