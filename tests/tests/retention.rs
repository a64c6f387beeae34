//! Builds and caches that are not to be kept any more.

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::Host;

fn gc(host: &Host, engine: &Engine, arguments: &[&str]) -> Vec<String> {
    let output = host.command(&["gc", "--engine", &engine.address]).args(arguments).output().expect("the host runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// A line of something with its bytes: what it is, and how many there are.
fn with_bytes(line: &str) -> (&str, u64) {
    let (name, bytes) = line.rsplit_once(" (").expect("bytes");
    (name, bytes.strip_suffix(" bytes)").expect("bytes").parse().expect("a number"))
}

/// What was removed, and the last line, without bytes: all that had bytes are added up in it.
fn said(lines: &[String]) -> Vec<&str> {
    let (last, removed) = lines.split_last().expect("lines");
    let (done, all) = last.strip_suffix(" bytes").and_then(|last| last.rsplit_once(", ")).unwrap_or((last, "0"));
    let each = removed.iter().filter(|line| line.ends_with(" bytes)")).map(|line| with_bytes(line).1);
    assert_eq!(each.sum::<u64>(), all.parse::<u64>().expect("a number"), "{lines:?}");
    let names = removed.iter().map(|line| if line.ends_with(" bytes)") { with_bytes(line).0 } else { line });
    names.chain([done]).collect()
}

fn builds(host: &Host) -> Vec<String> {
    let run = |_| {
        let ended = host.run("resume", &["--param", "version=1"]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        ended.events[0]["build"].as_str().expect("an id").to_owned()
    };
    (0..3).map(run).collect()
}

#[test]
fn old_builds_are_removed_with_all_that_is_of_them_and_the_last_ones_stay() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let builds = builds(&host);
    assert_eq!(gc(&host, &engine, &[]), ["0 removed"], "without a word everything is kept");
    assert_eq!(gc(&host, &engine, &["--older-than", "1h"]), ["0 removed"]);
    let first = format!("build {}", builds[0]);
    let would = gc(&host, &engine, &["--keep-last", "2", "--dry-run"]);
    assert_eq!(said(&would), [&first, "1 would be removed"]);
    // Its log and its artifact.
    assert!(with_bytes(&would[0]).1 > 0, "{would:?}");
    assert_eq!(said(&gc(&host, &engine, &["--keep-last", "2"])), [&first, "1 removed"]);
    let log = |build: &str| host.command(&["logs", build]).output().expect("the host runs");
    assert!(String::from_utf8_lossy(&log(&builds[0]).stderr).contains("knows no build"));
    assert!(String::from_utf8_lossy(&log(&builds[1]).stdout).contains("first ran"));
    let of = |build: &str| {
        let kinds = ["artifacts", "logs"].map(|kind| host.home().join("blobs").join(kind).join(build).exists());
        assert_eq!(kinds[0], kinds[1]);
        kinds[0]
    };
    assert_eq!([of(&builds[0]), of(&builds[1]), of(&builds[2])], [false, true, true]);
    let rest = gc(&host, &engine, &["--older-than", "0s"]);
    assert_eq!(said(&rest), [&*format!("build {}", builds[1]), &*format!("build {}", builds[2]), "2 removed"]);
}

#[test]
fn a_build_that_runs_is_kept_however_old_and_one_whose_host_has_died_is_not() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let mut running = host.start("resume-waiting", &[]);
    running.wait_for(|event| event["type"] == "job/waiting");
    assert_eq!(gc(&host, &engine, &["--older-than", "0s"]), ["0 removed"]);
    let build = running.build_id();
    rustix::process::kill_process(running.pid(), rustix::process::Signal::KILL).expect("killed");
    running.end();
    // First what it needed to go on is cleared away, for nothing of it waits; then it is as old as any other.
    let cleared = gc(&host, &engine, &["--older-than", "0s"]);
    // That there are others is no reason: somebody may want to go on with it.
    let kept = gc(&host, &engine, &["--keep-last", "0"]);
    let removed = gc(&host, &engine, &["--older-than", "0s"]);
    let line = format!("build {build}");
    assert!(!said(&cleared).contains(&&*line) && !said(&kept).contains(&&*line), "{cleared:?}, {kept:?}");
    assert!(said(&removed).contains(&&*line), "{removed:?}");
}

#[test]
fn caches_go_until_the_others_have_the_size_that_they_may() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    for key in ["one", "two"] {
        assert_eq!(host.run("cache-keys", &["--param", &format!("key={key}")]).code, Some(0));
    }
    let removed = gc(&host, &engine, &["--cache-size", "1T"]);
    assert_eq!(removed, ["0 removed"]);
    let all = gc(&host, &engine, &["--cache-size", "0", "--dry-run"]);
    assert_eq!(all.len(), 3, "{all:?}");
    // The first is used once more, and is the last to go.
    assert_eq!(host.run("cache-keys", &["--param", "key=one"]).code, Some(0));
    let size = with_bytes(&all[0]).1;
    let removed = gc(&host, &engine, &["--cache-size", &(size + size / 2).to_string()]);
    assert_eq!(removed[0], all[1]);
    assert_eq!(said(&removed)[1..], ["1 removed"]);
}
