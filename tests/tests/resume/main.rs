//! Builds whose host is killed, and that another one goes on with.

mod actions;
mod pods;
mod prefixes;
mod together;

use monkeyci_build::{Event, EventBody};
use monkeyci_storage::Journals;
use monkeyci_storage::journal::Owner;
use monkeyci_tests::engine::Engine;
use monkeyci_tests::hang_guard;
use monkeyci_tests::host::{Ended, Host, Running};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

/// Kills a host when its build has come so far.
fn kill(mut build: Running, at: impl Fn(&Value) -> bool) -> (String, Ended) {
    if !build.events().iter().any(&at) {
        build.wait_for(at);
    }
    let id = build.build_id();
    // It may just have ended.
    let _ = kill_process(build.pid(), Signal::KILL);
    (id, build.end())
}

/// Waits until that is said, and is on disk too: a moment later.
fn until_on_disk(host: &Host, build: &mut Running, kind: &str, job: &str) {
    build.wait_for(|event| is(event, kind, job));
    let wanted = format!("\"type\":\"{kind}\",\"job\":\"{job}\"");
    let written = || {
        let read = |name: &str| std::fs::read(host.home().join(name)).unwrap_or_default();
        let all = [read("journal.db"), read("journal.db-wal")].concat();
        all.windows(wanted.len()).any(|bytes| bytes == wanted.as_bytes())
    };
    hang_guard::until("an event that is on disk", written);
}

/// Kills a host when that is on disk.
fn kill_durably(host: &Host, mut build: Running, kind: &str, job: &str) -> String {
    until_on_disk(host, &mut build, kind, job);
    kill(build, |_| true).0
}

fn is(event: &Value, kind: &str, job: &str) -> bool {
    event["type"] == kind && event["job"] == job
}

/// Whether a job says these words. They may come with others: what is written at about the same time is one piece.
fn says(event: &Value, job: &str, words: &str) -> bool {
    event["type"] == "log" && event["job"] == job && event["text"].as_str().is_some_and(|text| text.contains(words))
}

/// Says what the action of the case `resume-waiting` waits for, when somebody goes on with its build.
fn let_it_go(host: &Host, build: &str) {
    let mut command = host.command(&["publish", build, "outside/go"]);
    hang_guard::until("somebody goes on with the build", || command.output().expect("the host runs").status.success());
}

fn resume(host: &Host, build: &str, arguments: &[&str]) -> Running {
    let mut command = host.command(&["resume", build, "--progress", "json", "--by", "ann"]);
    Running::spawn(command.args(arguments))
}

/// What `resume` says instead of going on.
fn refused(host: &Host, build: &str, arguments: &[&str]) -> String {
    let ended = resume(host, build, arguments).end();
    assert_eq!((ended.code, ended.of_type("build/resumed").count()), (Some(2), 0), "{ended:#?}");
    ended.stderr
}

fn list(host: &Host) -> String {
    let listed = host.command(&["resume"]).output().expect("the host runs");
    assert!(listed.status.success(), "{listed:?}");
    String::from_utf8(listed.stdout).expect("text")
}

/// How jobs ended, by the last event of the build.
fn ends(ended: &Ended) -> Vec<(String, String)> {
    let last = ended.of_type("build/ended").next().unwrap_or_else(|| panic!("it did not end: {ended:#?}"));
    let jobs = last["jobs"].as_array().expect("jobs");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    jobs.iter().map(|job| (text(&job["job"]), text(&job["ending"]["cause"]))).collect()
}

/// The log of a job as the store has it, over all hosts.
fn log(host: &Host, build: &str, job: &str) -> String {
    let log = host.command(&["logs", build, job]).output().expect("the host runs");
    String::from_utf8(log.stdout).expect("text")
}

fn code() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["a.txt", "b.txt"] {
        std::fs::write(dir.path().join(name), name).expect("written");
    }
    dir
}

#[test]
fn a_build_that_is_not_over_is_not_run_again_and_one_that_was_cancelled_is() {
    let host = Host::default();
    let rerun = || Running::spawn(&mut host.command(&["rerun", "--failed", "--progress", "json"]));
    let mut running = host.start("resume-waiting", &[]);
    until_on_disk(&host, &mut running, "job/waiting", "waits");
    let ended = rerun().end();
    assert!(ended.code == Some(2) && ended.stderr.contains("still runs: wait for its end"), "{ended:#?}");
    let (build, _) = kill(running, |_| true);
    let ended = rerun().end();
    assert!(ended.code == Some(2) && ended.stderr.contains("its containers may still run"), "{ended:#?}");
    let cancelled = host.command(&["cancel", &build]).output().expect("the host runs");
    assert!(cancelled.status.success(), "{cancelled:?}");
    let mut again = rerun();
    again.wait_for(|event| is(event, "job/waiting", "waits"));
    let said = host.command(&["publish", &again.build_id(), "outside/go"]).output().expect("the host runs");
    assert!(said.status.success(), "{said:?}");
    let ended = again.end();
    assert_eq!((ended.code, ended.cause("done"), ended.cause("after")), (Some(0), "reused", "succeeded"), "{ended:#?}");
}

#[test]
fn a_build_that_waits_for_a_person_goes_on_with_its_secrets_and_without_them_it_says_which() {
    let host = Host::default();
    let (secret, other) = (tempfile::NamedTempFile::new().expect("a file"), tempfile::NamedTempFile::new());
    let other = other.expect("a file");
    std::fs::write(secret.path(), "sw0rdfish").expect("written");
    std::fs::write(other.path(), "sardine-7").expect("written");
    let given = |file: &tempfile::NamedTempFile| format!("token={}", file.path().display());
    let start = host.start("resume-approval", &["--secret", &given(&secret)]);
    let build = kill_durably(&host, start, "job/blocked", "deploy");
    let listed = list(&host);
    assert!(listed.contains("deploy waits for approval") && listed.contains("needs --secret token=FILE"), "{listed}");
    assert!(refused(&host, &build, &[]).contains("needs what no journal has: --secret token=FILE"));
    let different = refused(&host, &build, &["--secret", &given(&other)]);
    assert!(different.contains("the secret \"token\" is not what"), "{different}");

    let mut running = resume(&host, &build, &["--secret", &given(&secret)]);
    running.wait_for(|event| event["type"] == "build/resumed");
    for wrong in [["approve", &build, "deplo"], ["debug", &build, "deplo"]] {
        let refused = host.command(&wrong).output().expect("the host runs");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && said.contains("did you mean \"deploy\"?"), "{wrong:?}: {said}");
    }
    let approved = host.command(&["approve", &build, "deploy"]).output().expect("the host runs");
    assert!(approved.status.success(), "{approved:?}");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.says("deploy", &["deployed, with a secret"]);
    assert_eq!(ended.of_type("job/started").count(), 1, "{ended:#?}");
    let journal = std::fs::read(host.home().join("journal.db")).expect("a journal");
    let wal = std::fs::read(host.home().join("journal.db-wal")).unwrap_or_default();
    let secret = b"sw0rdfish";
    assert!(![journal, wal].concat().windows(secret.len()).any(|bytes| bytes == secret));
    assert!(refused(&host, &build, &["--secret", &given(&other)]).contains("is over"));
}

#[test]
fn of_many_hosts_in_one_home_one_is_killed_and_the_others_do_not_notice() {
    let (host, code) = (Host::default(), code());
    let arguments = ["--dir", code.path().to_str().expect("text"), "--param", "version=1"];
    let victim = host.start("resume-waiting", &[]);
    let others: Vec<_> = (0..19).map(|_| host.start("resume", &arguments)).collect();
    let build = kill_durably(&host, victim, "job/waiting", "waits");
    for other in others {
        let ended = other.end();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        ended.says("last", &["version 1, 2 files, of first"]);
    }
    let listed = list(&host);
    assert!(listed.starts_with(&build) && listed.lines().count() == 1, "{listed}");
    // Two go on with it at once: one has it.
    let both: Vec<_> = (0..2).map(|_| resume(&host, &build, &[])).collect();
    let_it_go(&host, &build);
    let mut both: Vec<_> = both.into_iter().map(Running::end).collect();
    both.sort_by_key(|ended| ended.of_type("build/resumed").count());
    assert_eq!(both[1].of_type("build/resumed").count(), 1, "{both:#?}");
    assert!(["runs in another process", "is over"].iter().any(|why| both[0].stderr.contains(why)), "{both:#?}");
}

#[test]
fn what_can_not_be_resumed_is_refused_with_the_reason() {
    let (host, code) = (Host::default(), code());
    let arguments = ["--dir", code.path().to_str().expect("text"), "--param", "version=1"];
    let mut running = host.start("resume-waiting", &arguments);
    until_on_disk(&host, &mut running, "job/waiting", "waits");
    for id in ["o/r/nobody", "..", "../..", ""] {
        assert!(refused(&host, id, &[]).contains("knows no build"), "{id:?}");
    }
    let build = running.build_id();
    assert!(refused(&host, &build, &[]).contains("runs in another process"));
    kill(running, |_| true);
    let other = refused(&host, &build, &["--param", "version=2"]);
    assert!(other.contains("the parameter \"version\" is not what"), "{other}");
    let script = std::fs::read_dir(host.home().join("blobs/scripts")).expect("scripts").next().expect("a script");
    let script = script.expect("a script").path();
    let bytes = std::fs::read(&script).expect("a script");
    std::fs::remove_file(&script).expect("removed");
    assert!(refused(&host, &build, &[]).contains("the store does not have its script"));
    std::fs::write(&script, bytes).expect("written");
    // A home that refused knows the build as before.
    let running = resume(&host, &build, &[]);
    let_it_go(&host, &build);
    let ended = running.end();
    assert_eq!(ended.cause("waits"), "succeeded", "{ended:#?}");
}
