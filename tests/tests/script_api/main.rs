//! The script API, feature by feature: each case of the probe script shows one of them from outside.

mod approval;
mod artifacts;
mod blobs;
mod events;
mod everywhere;
mod evolution;
mod following;
mod late;
mod network;
mod options;
mod params;
mod results;
mod scheduling;
mod secrets;
mod workspace;

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Ended, Host, Running};

/// Runs a case with real containers to its end, which has to have this exit code.
fn run(case: &str, arguments: &[&str], code: i32) -> Ended {
    let ended = Host::on(&Engine::docker()).run(case, arguments);
    assert_eq!(ended.code, Some(code), "{case}: {ended:#?}");
    ended
}

/// The faults of a build whose script declared something wrong, in the words that people read.
fn faults(case: &str, arguments: &[&str]) -> String {
    let ended = Host::default().run(case, arguments);
    assert_eq!(ended.code, Some(3), "{case}: {ended:#?}");
    assert_eq!(ended.of_type("job/started").count(), 0, "{case}: a job has started");
    let failed = ended.of_type("build/failed").next().expect("a failure");
    format!("{} {}", failed["message"], failed["faults"])
}

/// A build that will listen to an event from outside, and its id.
fn listener(host: &Host) -> (Running, String) {
    let mut running = host.start("subscribe-outside", &[]);
    let build =
        running.wait_for(|event| event["type"] == "build/triggered")["build"].as_str().expect("an id").to_owned();
    (running, build)
}

/// Waits until it listens.
fn wait_until_listening(running: &mut Running) {
    running
        .wait_for(|event| event["type"] == "log" && event["text"].as_str().is_some_and(|it| it.contains("listening")));
}

fn says(ended: &Ended, job: &str, lines: &[&str]) {
    ended.says(job, lines);
}
