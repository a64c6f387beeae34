//! Jobs that are held for somebody to look into them: `debug`, and breaks.

use monkeyci_tests::engine::Engine;
use monkeyci_tests::hang_guard;
use monkeyci_tests::host::{Host, Running, assert_nothing_left};

use crate::{said, shell};

/// Another command of the host's.
fn other(host: &Host, arguments: &[&str]) -> (Option<i32>, String, String) {
    said(&host.command(arguments).output().expect("the host runs"))
}

pub fn a_job_that_fails_is_held_as_it_is_until_a_person_lets_it_go_on(engine: &Engine) {
    let host = Host::on(engine);
    let mut build = host.start("exit-3", &["--break-on-failure"]);
    let held = build.wait_for(|event| event["type"] == "job/held").clone();
    assert_eq!((&held["held"]["at"], &held["held"]["ending"]["line"]["number"]), (&"failure".into(), &2.into()));
    assert!(held["limit_ms"].as_u64().is_some_and(|limit| limit > 0), "{held}");
    let id = build.build_id();
    for part in ["left", "found"] {
        // One after the other: nothing is removed when a program there ends.
        let script = if part == "left" { "pwd; echo found >left" } else { "pwd; cat left" };
        let (code, out, err) = said(&shell(&host, engine, &["fails"], script));
        let expected = if part == "left" { "/monkeyci/work\n" } else { "/monkeyci/work\nfound\n" };
        assert_eq!((code, out.as_str()), (Some(0), expected), "{err}");
    }
    let short = id.rsplit('/').next().expect("a part");
    let how = format!("let it go on: monkeyci-host debug {short} fails --continue");
    let (code, out, err) = other(&host, &["debug", "fails"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("is held: exited with code 3 at line 2: sh -c 'exit 3'") && out.contains(&how), "{out}");
    let (_, out, _) = other(&host, &["show"]);
    assert!(out.contains("held: exited with code 3 at line 2") && out.contains(&how), "{out}");
    let (code, out, err) = other(&host, &["debug", short, "fails", "--continue", "--by", "ann"]);
    assert_eq!((code, out), (Some(0), format!("fails of {id} goes on\n")), "{err}");
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("fails")), (Some(1), "exited"), "{ended:#?}");
    assert_eq!(ended.ending("fails")["line"]["number"], 2);
    assert_eq!(ended.of_type("job/continued").next().map(|event| event["by"] == "ann"), Some(true));
    for (arguments, why) in
        [(&["debug", "fails"][..], "is not held"), (&["debug", "fails", "--continue"], "not run any more")]
    {
        let (code, _, err) = other(&host, arguments);
        assert!(code == Some(2) && err.contains(why), "{err}");
    }
    assert_nothing_left(engine, &host);
}

pub fn a_job_that_is_held_outlives_its_host_and_goes_with_its_build(engine: &Engine) {
    let host = Host::on(engine);
    let breaks = ["--break", "fails:after=1", "--break-on-failure", "--break", "nobody:before=1"];
    let mut build = host.start("exit-3", &breaks);
    let warned = build.wait_for(|event| event["type"] == "build/warned").clone();
    assert!(warned["message"].as_str().is_some_and(|text| text.contains("\"nobody\"")), "{warned}");
    let held = build.wait_for(|event| event["type"] == "job/held").clone();
    assert_eq!((&held["held"]["at"], &held["held"]["line"]["number"]), (&"before".into(), &2.into()));
    let id = build.build_id();
    rustix::process::kill_process(build.pid(), rustix::process::Signal::KILL).expect("signalled");
    build.wait_for_exit();
    let mut resumed = host.command(&["resume", "--progress", "json", "--engine", &engine.address, &id]);
    let mut build = Running::spawn(&mut resumed);
    build.wait_for(|event| event["type"] == "build/resumed");
    // It is held for the host that goes on with it too, which may have to hear of it first: what was said need not have been on disk.
    hang_guard::until("the job to be let go on", || other(&host, &["debug", "fails", "--continue"]).0 == Some(0));
    // What fails then is held as the first one was asked to.
    let held = build.wait_for(|event| event["type"] == "job/held" && event["number"] == 2).clone();
    assert_eq!(held["held"]["at"], "failure");
    let (code, _, err) = other(&host, &["cancel", &id]);
    assert_eq!(code, Some(0), "{err}");
    let ended = build.end();
    assert_eq!(ended.cause("fails"), "cancelled", "{ended:#?}");
    assert_nothing_left(engine, &host);
}
