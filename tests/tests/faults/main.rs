//! What goes wrong with container jobs, in real containers: each cause has an ending of its own, and a job that is stopped
//! leaves what it always saves.

mod daemon;
mod endings;
mod hung;
mod kills;
mod stopping;
mod unfenced;

use monkeyci_tests::host::{Running, assert_nothing_left, run};
use serde_json::Value;

/// Waits until the job's commands have said that they are where the test wants them.
fn wait_until_begun(build: &mut Running) {
    build.wait_for(|event: &Value| {
        event["type"] == "log" && event["text"].as_str().is_some_and(|text| text.ends_with("begun\n"))
    });
}
