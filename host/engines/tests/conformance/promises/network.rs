//! What a job and its services reach, and what they don't.
//!
//! There may be no internet where the tests run, and nobody needs to be root for them: a network with a server in it is put
//! beside the pod's own when the fence is there already. Its addresses decide whether it is the internet or a private one.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use monkeyci_api::networks::POD_NETWORKS;
use monkeyci_build::{AddressRange, NetworkMode, Readiness};
use monkeyci_engines::{EngineError, Part, Pod};

use crate::hang_guard::HANGS;
use crate::host::{Host, ready_command, service};

const SERVER: &str = "exec httpd -f -p 5432 -h /srv";

/// A network beside a pod's own.
struct Beside {
    network: String,
    subnet: String,
    server: String,
    /// Its addresses as a container's list of routes has them.
    route: String,
    /// The machine's own address in it.
    machine: String,
}

impl Beside {
    /// One of addresses that are for documentation: nobody's private ones.
    async fn internet(host: &Host) -> Self {
        Self::of(host, "198.51.100").await
    }

    async fn private(host: &Host) -> Self {
        Self::of(host, "10.254.77").await
    }

    /// A few addresses of those that begin so; others than any test at the same time has.
    async fn of(host: &Host, start: &str) -> Self {
        for _ in 0..16 {
            let planned = Self::planned(host, start);
            if planned.make(host).await {
                return planned;
            }
        }
        panic!("all networks of {start} are taken");
    }

    /// One that is not there yet.
    fn planned(host: &Host, start: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let part = (std::process::id() + 5 * NEXT.fetch_add(1, Ordering::SeqCst)) % 16 * 16;
        let network = format!("{}-beside-{start}-{part}", host.owner).replace('.', "-");
        let first: std::net::Ipv4Addr = format!("{start}.{part}").parse().expect("an address");
        Self {
            network,
            subnet: format!("{start}.{part}/28"),
            server: format!("{start}.{}", part + 5),
            route: format!("{:08X}", u32::from_le_bytes(first.octets())),
            machine: format!("{start}.{}", part + 1),
        }
    }

    /// False when somebody else has its addresses.
    async fn make(&self, host: &Host) -> bool {
        host.outside.make_network(&host.owner, &self.network, &self.subnet, &self.server).await
    }

    /// Starts a pod and puts its job into this network.
    async fn start(&self, host: &Host, pod: &Pod) {
        host.start(pod).await.expect("the pod starts");
        self.join(host, pod, &Part::Job).await;
    }

    async fn join(&self, host: &Host, pod: &Pod, part: &Part) {
        let container = match part {
            Part::Service(name) => format!("{}-svc-{name}", pod.key),
            _ => format!("{}-job", pod.key),
        };
        // The networks that a container is in when it starts are its pod's. Before its program runs, the fence is there.
        host.until_said(pod, part, BEGUN).await;
        host.outside.join(&container, &self.network).await;
    }
}

/// What a job or service says before it is put into another network.
const BEGUN: &str = "begun";

/// A job that waits until it is told to go on; then this.
fn later(host: &Host, job: &str) -> Pod {
    let _ = std::fs::remove_file(host.path("api/go"));
    host.pod(&format!("print {BEGUN}\nawait /monkeyci/go\n{job}"), "await /run/monkeyci-api/go\nwrite /monkeyci/go yes")
}

/// Tells the job to go on, which has to succeed.
async fn succeeded(host: &Host, pod: &Pod) {
    std::fs::write(host.path("api/go"), "").expect("a file can be written");
    let exit = host.job_exit(pod).await;
    let lines = host.engine.last_lines(&pod.key, &Part::Job, 5).await.unwrap_or_default();
    assert_eq!(exit.code, 0, "{lines}");
}

pub async fn the_internet_is_reached_and_private_networks_are_not(host: &Host) {
    let (internet, private) = tokio::join!(Beside::internet(host), Beside::private(host));
    let pod = later(host, &format!("connect {}:5432\nrefused {}:5432", internet.server, private.server));
    internet.start(host, &pod).await;
    private.join(host, &pod, &Part::Job).await;
    succeeded(host, &pod).await;
}

pub async fn a_service_reaches_what_its_job_reaches(host: &Host) {
    let (internet, private) = tokio::join!(Beside::internet(host), Beside::private(host));
    let mut pod = host.pod("sleep 60000", "");
    let tries = |to: &Beside| format!("echo | busybox nc -w 60 {} 5432; echo $?", to.server);
    let joins = |to: &Beside| format!("until busybox grep -q {} /proc/net/route; do sleep 0.1; done", to.route);
    let begins = format!("echo {BEGUN}");
    let line = [begins, joins(&internet), joins(&private), tries(&internet), tries(&private)].join("; ");
    pod.services.push(service("db", &line, Vec::new()));
    host.start(&pod).await.expect("the pod starts");
    let part = Part::Service("db".to_owned());
    internet.join(host, &pod, &part).await;
    private.join(host, &pod, &part).await;
    host.engine.wait(&pod.key, &part).await.expect("the end of the service");
    let lines = host.engine.last_lines(&pod.key, &part, 9).await.expect("lines");
    let codes: Vec<_> = lines.lines().filter(|line| line.len() == 1).collect();
    assert_eq!(codes, ["0", "1"], "{lines}");
}

pub async fn the_machine_is_not_reached(host: &Host) {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // The machine has an address in each network: one of these looks like the internet.
    let internet = Beside::internet(host).await;
    host.succeeds(&host.pod(&format!("refused gateway:{port}\nrefused {}:{port}", internet.machine), "")).await;
}

/// (The job does not try before a rule of this test's own, in its network, drops what its fence would let through: a fence that
/// does not hold fails the test, and tells nobody.)
pub async fn metadata_is_refused_at_once(host: &Host) {
    const METADATA: [&str; 3] = ["169.254.169.254", "100.100.100.200", "fd00:ec2::254"];
    for network in [NetworkMode::Internet, NetworkMode::None] {
        let tries = "refused 169.254.169.254:80\nrefused 100.100.100.200:80\nrefused [fd00:ec2::254]:80";
        let mut pod = host.waiting_pod(tries);
        pod.network = network;
        host.start(&pod).await.expect("the pod starts");
        host.drop_in_network_of(&pod, &METADATA).await;
        host.go(&pod);
        succeeded(host, &pod).await;
        pod.network_allow = vec![METADATA[0].parse().expect("a destination")];
        pod.key.push_str("-allowed");
        let started = host.start(&pod).await;
        assert!(matches!(&started, Err(EngineError::StartFailed { .. })), "{started:?}");
    }
}

pub async fn without_network_only_the_pod_is_reached(host: &Host) {
    let internet = Beside::internet(host).await;
    let mut pod = later(host, &format!("connect db:5432\nrefused {}:5432\nunknown example.org:80", internet.server));
    pod.network = NetworkMode::None;
    pod.services.push(service("db", SERVER, Vec::new()));
    internet.start(host, &pod).await;
    succeeded(host, &pod).await;
}

pub async fn what_is_allowed_is_reached_beside(host: &Host) {
    let internet = Beside::internet(host).await;
    for (port, outcome) in [("5432", "connect"), ("5433", "refused")] {
        let mut pod = later(host, &format!("{outcome} {}:5432", internet.server));
        pod.network = NetworkMode::None;
        pod.network_allow = vec![format!("{}:{port}", internet.server).parse().expect("a destination")];
        internet.start(host, &pod).await;
        succeeded(host, &pod).await;
    }
}

pub async fn what_is_private_has_to_be_permitted(host: &Host) {
    let private = Beside::private(host).await;
    let mut pod = later(host, &format!("connect {}:5432", private.server));
    pod.network_allow = vec![private.server.parse().expect("a destination")];
    match host.start(&pod).await {
        Err(EngineError::StartFailed { reason, .. }) => assert!(reason.contains(&private.server), "{reason}"),
        other => panic!("{other:?}"),
    }
    host.remove(&pod).await;
    let engine = host.engine_that_permits(vec!["10.254.0.0/16".parse().expect("a range")]).await;
    engine.start(&pod, &|_| {}).await.expect("the pod starts");
    private.join(host, &pod, &Part::Job).await;
    succeeded(host, &pod).await;
}

/// The machine has an address in each pod's network, and of those that are made later the fence knows none. (A rule of the test's
/// own drops the address too.)
pub async fn a_pods_network_that_is_made_later_is_not_reached(host: &Host) {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let later = Beside::planned(host, "198.19.255");
    let mut pod = host.waiting_pod(&format!("refused {}:{port}", later.machine));
    pod.network_allow = vec!["0.0.0.0/0".parse().expect("a destination")];
    let engine = host.engine_that_permits(vec!["0.0.0.0/0".parse().expect("a range")]).await;
    engine.start(&pod, &|_| {}).await.expect("the pod starts");
    assert!(later.make(host).await, "{} is taken", later.subnet);
    host.drop_in_network_of(&pod, &[&later.machine]).await;
    host.go(&pod);
    succeeded(host, &pod).await;
}

pub async fn pods_networks_are_of_the_range_that_every_fence_refuses(host: &Host) {
    let tries =
        "for i in $(busybox seq 600); do busybox grep -q 00000000 /proc/net/route && break; busybox sleep 0.1; done";
    let mut pod = host.pod("", "");
    pod.services.push(service("net", &format!("{tries}; busybox cat /proc/net/route"), Vec::new()));
    host.start(&pod).await.expect("the pod starts");
    let part = Part::Service("net".to_owned());
    host.engine.wait(&pod.key, &part).await.expect("the end of the service");
    let lines = host.engine.last_lines(&pod.key, &part, 9).await.expect("lines");
    let routes = lines.lines().filter_map(|line| u32::from_str_radix(line.split_whitespace().nth(1)?, 16).ok());
    let networks: Vec<_> = routes.map(|route| std::net::Ipv4Addr::from(route.to_le_bytes())).collect();
    let own = |network: &&std::net::Ipv4Addr| POD_NETWORKS.covers(&AddressRange::from(std::net::IpAddr::V4(**network)));
    assert_eq!(networks.iter().filter(own).count(), 1, "{lines}");
}

pub async fn services_know_each_other_by_name(host: &Host) {
    let mut pod = host.pod("", "");
    pod.services.push(service("db", SERVER, Vec::new()));
    let reaches = ready_command(["/bin/sh", "-c", "echo | busybox nc -w 2 db 5432"]);
    pod.services.push(service("web", SERVER, vec![reaches]));
    host.succeeds(&pod).await;
}

/// (Neither what it runs nor a ready command has NET_ADMIN; nor could a program with rights of its own get it.)
pub async fn a_service_cannot_take_its_fence_down(host: &Host) {
    let without = "for set in CapEff CapBnd CapPrm CapInh; do \
        test $(( 0x$(busybox sed -n s/^$set:.//p /proc/self/status) & 0x1000 )) = 0 || exit 1; done";
    let mut pod = host.pod("", "");
    let ready = ready_command(["/bin/sh", "-c", without]);
    pod.services.push(service("db", &format!("({without}) && {SERVER}"), vec![ready, Readiness::Port(5432)]));
    host.succeeds(&pod).await;
}

pub async fn a_service_is_its_images_user_and_has_its_home(host: &Host) {
    let image = host.outside.image_with_user(&format!("localhost/{}:1", host.owner), "1234:5678").await;
    let is = "test $(busybox id -u):$(busybox id -g):$HOME = 1234:5678:/ && echo said > /dev/stdout";
    let mut pod = host.pod("", "");
    let mut own = service("db", &format!("{is} && {SERVER}"), vec![ready_command(["/bin/sh", "-c", is])]);
    own.image.clone_from(&image);
    own.readiness.push(Readiness::Port(5432));
    pod.services.push(own);
    host.succeeds(&pod).await;
    host.remove(&pod).await;
    host.outside.remove_image(&image).await;
}

/// The probe looks no further than whether there is such a socket.
pub async fn sockets_that_know_no_networks_can_not_be_made(host: &Host) {
    // AF_VSOCK, AF_QIPCRTR, AF_ALG
    host.succeeds(&host.pod("no-socket 40\nno-socket 42\nno-socket 38\nsh ls", "")).await;
}

pub async fn a_pod_that_finds_no_free_network_waits_for_one(host: &Host) {
    // Room for one network. Another test may have it for a while: then the first pod waits too.
    let engine = host.engine_with_networks("198.19.254.192/26".parse().expect("a range")).await;
    let (first, second) = (host.pod("await /monkeyci/go", ""), host.pod("exit 0", ""));
    engine.start(&first, &|_| {}).await.expect("the first pod starts");
    let waits = tokio::sync::Notify::new();
    let progress = |said: String| {
        if said.contains("waiting for a free network: all 1 of 198.19.254.192/26 are in use") {
            waits.notify_one();
        }
    };
    let mut start = std::pin::pin!(engine.start(&second, &progress));
    tokio::select! {
        started = &mut start => panic!("there is no network for it: {started:?}"),
        () = waits.notified() => {}
    }
    host.remove(&first).await;
    start.await.expect("the second pod starts when the first one is gone");
    assert_eq!(host.job_exit(&second).await.code, 0);
    host.remove(&second).await;
}

/// (A pod may give a network back; whoever else has it does not.)
pub async fn a_pod_does_not_wait_for_the_networks_of_others(host: &Host) {
    // Other tests, or the other engine, may have all of them for a while.
    let taken = async {
        for part in [0, 64, 128, 192].into_iter().cycle() {
            let (name, subnet) = (format!("{}-others", host.owner), format!("203.0.113.{part}/26"));
            if host.outside.make_network(&host.owner, &name, &subnet, &format!("203.0.113.{}", part + 5)).await {
                return subnet;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        unreachable!("they come again and again")
    };
    let range = tokio::time::timeout(HANGS, taken).await.expect("a range that nobody has");
    let engine = host.engine_with_networks(range.parse().expect("a range")).await;
    let started = engine.start(&host.pod("exit 0", ""), &|_| {}).await;
    match started {
        Err(EngineError::Refused { reason, .. }) => {
            assert!(reason.contains(&range) && reason.contains("--pod-networks"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}
