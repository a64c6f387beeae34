//! What goes wrong with container jobs, in real containers: each cause has an ending of its own, and a job that is stopped
//! leaves what it always saves.

mod daemon;
mod endings;
mod hung;
mod kills;
mod stopping;
mod unfenced;

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Ended, Host, Running};
use serde_json::Value;

/// Runs a case to its end, and looks that nothing is left of it.
fn run(engine: &Engine, case: &str, arguments: &[&str]) -> Ended {
    let host = Host::on(engine);
    let ended = host.run(case, arguments);
    assert_nothing_left(engine, &host);
    ended
}

fn assert_nothing_left(engine: &Engine, host: &Host) {
    assert_eq!(engine.leftovers(&host.owner()), [] as [String; 0]);
    assert_eq!(std::fs::read_dir(host.home().join("run")).expect("run").count(), 0, "a build's directory is left");
}

/// Waits until the job's commands have said that they are where the test wants them.
fn wait_until_begun(build: &mut Running) {
    build.wait_for(|event: &Value| event["type"] == "log" && event["text"] == "begun\n");
}
