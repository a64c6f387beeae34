//! How long it takes until a build whose host has died has its container again: from the start of `resume` to the first words of the job
//! that ran on meanwhile. Whole processes and a real container, as a person waits for them. The bar is 1 s.

use std::time::{Duration, Instant};

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Host, Running};
use monkeyci_tests::place;
use rustix::process::{Signal, kill_process};

/// How often.
const ROUNDS: usize = 11;

fn main() {
    let engine = Engine::docker();
    let mut times: Vec<[Duration; 2]> = (0..ROUNDS).map(|_| round(&engine)).collect();
    println!("resume to re-attached (medians of {ROUNDS}; bar 1 s)");
    for (number, what) in ["the build goes on", "the job is heard again"].into_iter().enumerate() {
        times.sort_by_key(|times| times[number]);
        println!("  {what:<32} {:>8.1?}", times[ROUNDS / 2][number]);
    }
}

fn round(engine: &Engine) -> [Duration; 2] {
    let (host, program) = (Host::on(engine), place::path(place::BENCH_HOST));
    let code = tempfile::tempdir().expect("a directory");
    let mut start = host.command_of(&program, &["run", "--progress", "json", "--engine", &engine.address]);
    start.arg(place::script("probe_script")).arg("--dir").arg(code.path());
    for param in ["case=resume-pods", "gate=yes", &format!("image={}", place::image()), "scratch-image=none"] {
        start.args(["--param", param]);
    }
    let mut running = Running::spawn(&mut start);
    running.wait_for(|event| {
        event["type"] == "log"
            && event["job"] == "works"
            && event["text"].as_str().is_some_and(|text| text.contains("begins"))
    });
    let build = running.build_id();
    kill_process(running.pid(), Signal::KILL).expect("killed");
    running.end();
    // It has something to say when somebody listens again.
    engine.put(&host.owner(), "works", "go");
    let mut resume = host.command_of(&program, &["resume", &build, "--progress", "json", "--engine", &engine.address]);
    let begun = Instant::now();
    let mut resumed = Running::spawn(&mut resume);
    resumed.wait_for(|event| event["type"] == "build/resumed");
    let goes_on = begun.elapsed();
    resumed.wait_for(|event| event["type"] == "log" && event["job"] == "works");
    let attached = begun.elapsed();
    assert_eq!(resumed.end().code, Some(0));
    [goes_on, attached]
}
