//! How long a plan takes of a script with 300 jobs, how long it takes to tell two scripts apart over 50 events, and to replay 50 journals with
//! a script: whole processes, as a person waits for them, in a home that has the compiled script. The bars are 50 ms, and 1 s for both.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use monkeyci_tests::place;

/// How many events there are, and how many journals.
const EVENTS: usize = 50;
/// How often each command is run.
const ROUNDS: usize = 11;

fn main() {
    let home = tempfile::tempdir().expect("a directory");
    let code = home.path().join("code");
    std::fs::create_dir(&code).expect("a directory");
    let (script, code) = (place::script("probe_script"), code.to_string_lossy().into_owned());
    let script = script.to_string_lossy().into_owned();
    let events: Vec<String> = (0..EVENTS)
        .map(|event| {
            let path = home.path().join(format!("push-{event}.json"));
            std::fs::write(&path, format!(r#"{{"ref": "refs/heads/branch-{event}"}}"#)).expect("written");
            path.to_string_lossy().into_owned()
        })
        .collect();
    let plan = ["plan", &script, "--dir", &code, "--param", "case=three-hundred", "--param", "image=busybox:1"];
    let mut diff = [&plan[..], &["--diff", &script]].concat();
    diff.extend(events.iter().flat_map(|event| ["--event", event]));
    // Compiles the script.
    time(home.path(), &plan);
    let run = ["run", &script, "--dir", &code, "--param", "case=again", "--param", "luck=yes", "--progress", "json"];
    for _ in 0..EVENTS {
        time(home.path(), &run);
    }
    let replay = ["plan", &script, "--dir", &code, "--replay-last", &EVENTS.to_string()];
    println!("medians of {ROUNDS}, of whole processes");
    let assumed = [&plan[..], &["--assume", "success"]].concat();
    let jobs = [("300 jobs (bar 50 ms)", &plan[..]), ("the same, and all succeed", &assumed)];
    let events = format!("300 jobs, two scripts, {EVENTS} events (bar 1 s)");
    let journals = format!("{EVENTS} journals of 31 actions (bar 1 s)");
    for (name, arguments) in jobs.into_iter().chain([(events.as_str(), &diff[..]), (journals.as_str(), &replay[..])]) {
        let mut times: Vec<Duration> = (0..ROUNDS).map(|_| time(home.path(), arguments)).collect();
        times.sort();
        println!("  {name:<44} {:>8.1?}", times[ROUNDS / 2]);
    }
}

fn time(home: &std::path::Path, arguments: &[&str]) -> Duration {
    let mut command = Command::new(place::path(place::BENCH_HOST));
    command.args(arguments).env("MONKEYCI_HOME", home.join("home")).stdout(Stdio::null());
    let start = Instant::now();
    assert!(command.status().expect("the host runs").success());
    start.elapsed()
}
