//! Builds and caches that are not to be kept any more.

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::Host;

fn gc(host: &Host, engine: &Engine, arguments: &[&str]) -> Vec<String> {
    let output = host.command(&["gc", "--engine", &engine.address]).args(arguments).output().expect("the host runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
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
    assert_eq!(gc(&host, &engine, &["--keep-last", "2", "--dry-run"]), [&first, "1 would be removed"]);
    assert_eq!(gc(&host, &engine, &["--keep-last", "2"]), [&first, "1 removed"]);
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
    assert_eq!(rest, [format!("build {}", builds[1]), format!("build {}", builds[2]), "2 removed".to_owned()]);
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
    let [cleared, removed] = [(); 2].map(|()| gc(&host, &engine, &["--older-than", "0s"]));
    let line = format!("build {build}");
    assert!(!cleared.contains(&line) && removed.contains(&line), "{cleared:?}, {removed:?}");
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
    let size: u64 = all[0]
        .rsplit_once('(')
        .and_then(|(_, size)| size.strip_suffix(" bytes)"))
        .expect("a size")
        .parse()
        .expect("a number");
    let removed = gc(&host, &engine, &["--cache-size", &(size + size / 2).to_string()]);
    assert_eq!(removed, [&all[1], "1 removed"]);
}
