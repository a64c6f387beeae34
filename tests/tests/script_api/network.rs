//! What jobs reach, seen from inside of them.

use std::net::{TcpListener, UdpSocket};

use monkeyci_tests::engine::Engine;
use monkeyci_tests::engine::beside::{Beside, PORTS};
use monkeyci_tests::host::{Ended, Host};
use monkeyci_tests::on_each_engine;
use rustix::process::{Signal, kill_process};

use crate::says;

on_each_engine! {
    a_job_reaches_its_services_and_neither_other_jobs_nor_the_machine_nor_metadata
    without_network_a_job_reaches_its_pod_alone_and_its_results_are_kept
    what_a_job_is_let_reach_it_reaches_and_nothing_beside
    a_private_network_that_is_not_permitted_ends_the_job_before_it_runs
    the_machine_is_refused_to_jobs_that_ask_for_it_also_where_its_network_is_permitted
}

/// What a job is told when the fence is in its way.
const REFUSED: &str = "Connection refused";

/// A port of this machine that takes connections at each of its addresses; the addresses by which containers may know it.
struct Machine {
    port: u16,
    addresses: Vec<String>,
}

impl Machine {
    fn listening() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        // A connection that was taken is closed at once, so that nobody waits for words.
        std::thread::spawn(move || listener.incoming().for_each(drop));
        let outward = UdpSocket::bind("0.0.0.0:0").expect("a port");
        // Nothing is sent: this only chooses a route, where there is one. No test makes a network of these addresses for
        // documentation, as they do of the others: by way of such a one, the address would be gone with it, in the middle of a test.
        let own = outward.connect("192.0.2.1:9").and_then(|()| outward.local_addr());
        let own = own.ok().map(|own| own.ip().to_string());
        let addresses = [Engine::docker().gateway()].into_iter().chain(own).collect();
        Self { port, addresses }
    }

    fn destinations(&self) -> Vec<String> {
        self.addresses.iter().map(|address| format!("{address}:{}", self.port)).collect()
    }
}

/// Where a machine in a cloud tells its secrets.
const METADATA: &str = "169.254.169.254";

/// Runs the case on a host with these parameters, and puts its job into these networks as soon as it runs. It tries nothing before
/// it is in all of them, and before that a rule of this test's own, in its network, drops what its fence might let through to
/// [`METADATA`]: a fence that does not hold fails the test, and tells nobody.
fn run_beside(host: &Host, params: &[(&str, &str)], networks: &[&Beside], arguments: &[&str]) -> Ended {
    let starts: Vec<_> = networks.iter().map(|network| network.start.as_str()).collect();
    let mut params: Vec<_> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    params.push(format!("await={}", starts.join(" ")));
    let params = params.iter().flat_map(|param| ["--param", param]);
    let mut build = host.start("network", &params.chain(arguments.iter().copied()).collect::<Vec<_>>());
    if !networks.is_empty() {
        build.wait_until_running("client");
        networks[0].engine.drop_in_network_of(&host.owner(), "client", "job", &[METADATA]);
        networks.iter().for_each(|network| network.join(&host.owner(), "client", "job"));
    }
    build.end()
}

/// Checks that the job said this of each of these destinations, in this order.
fn found(ended: &Ended, outcomes: &[(String, &str)]) {
    let lines: Vec<_> = outcomes.iter().map(|(to, outcome)| format!("{to}: {outcome}")).collect();
    says(ended, "client", &lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

fn destinations(outcomes: &[(String, &str)]) -> String {
    outcomes.iter().map(|(to, _)| to.as_str()).collect::<Vec<_>>().join(" ")
}

fn a_job_reaches_its_services_and_neither_other_jobs_nor_the_machine_nor_metadata(engine: &Engine) {
    let (internet, private) = (Beside::internet(engine), Beside::private(engine));
    let machine = Machine::listening();
    let neighbours = Host::on(engine);
    let mut neighbour = neighbours.start("serving", &[]);
    neighbour.wait_for(|event| {
        event["type"] == "log" && event["text"].as_str().is_some_and(|text| text.ends_with("begun\n"))
    });
    let other = engine.address_of(&neighbours.owner(), "victim", "svc-web");

    let mut outcomes = vec![
        ("web:8080".to_owned(), "reached"),
        (format!("{}:{}", internet.server, PORTS[0]), "reached"),
        (format!("{}:{}", private.server, PORTS[0]), REFUSED),
        (format!("{other}:8080"), REFUSED),
        (format!("gateway:{}", machine.port), REFUSED),
        (format!("{METADATA}:80"), REFUSED),
    ];
    outcomes.extend(machine.destinations().into_iter().map(|to| (to, REFUSED)));
    let to = destinations(&outcomes);
    found(&run_beside(&Host::on(engine), &[("to", &to)], &[&internet, &private], &[]), &outcomes);

    // Its own job has reached it all the time.
    kill_process(neighbour.pid(), Signal::INT).expect("signalled");
    assert_eq!(neighbour.end().cause("victim"), "cancelled");
}

fn without_network_a_job_reaches_its_pod_alone_and_its_results_are_kept(engine: &Engine) {
    let internet = Beside::internet(engine);
    let machine = Machine::listening();
    let mut outcomes = vec![
        ("web:8080".to_owned(), "reached"),
        (format!("{}:{}", internet.server, PORTS[0]), REFUSED),
        (format!("gateway:{}", machine.port), REFUSED),
        (format!("{METADATA}:80"), REFUSED),
    ];
    outcomes.extend(machine.destinations().into_iter().map(|to| (to, REFUSED)));
    let (to, gateway) = (destinations(&outcomes), format!("gateway:{}", machine.port));
    let params = [("to", to.as_str()), ("mode", "none"), ("alone", &gateway)];
    let ended = run_beside(&Host::on(engine), &params, &[&internet], &[]);
    found(&ended, &outcomes);
    // Another one, without services, has the artifact, and reaches itself.
    says(&ended, "alone", &["payload", "127.0.0.1:8080: reached", &format!("{gateway}: {REFUSED}")]);
}

fn what_a_job_is_let_reach_it_reaches_and_nothing_beside(engine: &Engine) {
    let (internet, private) = (Beside::internet(engine), Beside::private(engine));
    let of = |beside: &Beside, port: usize| format!("{}:{}", beside.server, PORTS[port]);
    let outcomes = [
        (of(&internet, 0), "reached"),
        (of(&internet, 1), REFUSED),
        (of(&private, 0), "reached"),
        (of(&private, 1), REFUSED),
    ];
    let params = [
        ("to", destinations(&outcomes)),
        ("mode", "none".to_owned()),
        ("allow", format!("{} {}", of(&internet, 0), of(&private, 0))),
    ];
    let params = params.each_ref().map(|(name, value)| (*name, value.as_str()));
    let permitted = ["--permit-network", &private.range];
    found(&run_beside(&Host::on(engine), &params, &[&internet, &private], &permitted), &outcomes);
}

/// A job that asks for this ends so: with the destination and what to do in the reason, and without having run.
fn ends_unstarted(engine: &Engine, to: &str, reason: &str, arguments: &[&str]) {
    let host = Host::on(engine);
    let ended = run_beside(&host, &[("allow", to)], &[], arguments);
    assert_eq!((ended.code, ended.cause("client")), (Some(1), "start-failed"), "{ended:#?}");
    let said = ended.ending("client")["reason"].as_str().expect("a reason");
    assert!(said.contains(to) && said.contains(reason), "{said}");
    assert_eq!(ended.of_type("job/running").filter(|event| event["job"] == "client").count(), 0, "it ran");
    assert_eq!(engine.leftovers(&host.owner()), [] as [String; 0]);
}

fn a_private_network_that_is_not_permitted_ends_the_job_before_it_runs(engine: &Engine) {
    ends_unstarted(engine, "10.254.78.5:5432", "--permit-network", &[]);
    // What is permitted has to hold all of what is asked for.
    ends_unstarted(engine, "10.254.0.0/16", "--permit-network", &["--permit-network", "10.254.78.0/24"]);
}

fn the_machine_is_refused_to_jobs_that_ask_for_it_also_where_its_network_is_permitted(engine: &Engine) {
    let machine = Machine::listening();
    for (to, address) in machine.destinations().iter().zip(&machine.addresses) {
        ends_unstarted(engine, to, "the machine", &["--permit-network", &format!("{address}/24")]);
    }
    ends_unstarted(engine, &format!("{METADATA}:80"), "the machine", &["--permit-network", "169.254.0.0/16"]);
}
