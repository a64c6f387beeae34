use std::process::Command;

use monkeyci_tests::host::Host;

use crate::{listener, run, says, wait_until_listening};

#[test]
fn an_action_waits_for_the_event_of_another_job_and_misses_none() {
    let ended = run("subscribe", &[], 0);
    says(
        &ended,
        "listener",
        &[
            r#"heard Some("probe/ready") script/event {"n":1} from Some("speaker")"#,
            r#"saw the end of Some("speaker")"#,
            "heard itself: [1,2]",
        ],
    );
}

#[test]
fn an_action_that_waits_for_an_event_leaves_its_place_to_the_job_that_publishes_it() {
    let ended = Host::default().run("subscribe-first", &["--jobs", "1"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    says(&ended, "listener", &["heard it"]);
}

#[test]
fn an_action_waits_for_an_event_from_outside() {
    let host = Host::default();
    let (mut running, build) = listener(&host);
    wait_until_listening(&mut running);
    let publish = |arguments: &[&str]| {
        let mut command: Command = host.command(&["publish", &build]);
        command.args(arguments).output().expect("the host runs")
    };
    let wrong = publish(&["outside/go", "{"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("not JSON"), "{wrong:?}");
    assert!(publish(&["outside/go", r#"{"to": "all"}"#, "--by", "ann"]).status.success());
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    says(&ended, "listener", &[r#"heard build/event None {"to": "all"}"#]);
    assert_eq!(ended.of_type("build/event").next().expect("an event")["by"], "ann");
    let over = publish(&["outside/go"]);
    assert_eq!(over.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&over.stderr).contains("does not run any more"), "{over:?}");
}

#[test]
fn who_publishes_the_event_that_a_build_ends_with_is_told_that_it_was_taken() {
    for _ in 0..10 {
        let host = Host::default();
        let (mut running, build) = listener(&host);
        wait_until_listening(&mut running);
        let published = host.command(&["publish", &build, "outside/go"]).output().expect("the host runs");
        assert!(published.status.success(), "{published:?}");
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn what_a_person_publishes_is_masked_inside_of_strings_and_refused_where_it_can_not_be() {
    let host = Host::default();
    let secrets = host.home().join("secrets.env");
    std::fs::write(&secrets, "PIN=12345678\n").expect("written");
    let mut running = host.start("subscribe-outside", &["--secret-file", secrets.to_str().expect("text")]);
    wait_until_listening(&mut running);
    let build = running.build_id();
    let publish = |payload: &str| host.command(&["publish", &build, "outside/go", payload]).output().expect("it runs");
    let refused = publish(r#"{"pin": 12345678}"#);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains(r#"the secret "PIN""#) && !said.contains("12345678"), "{said}");
    assert!(publish(r#"{"pin": "it is 12345678", "n": 1.10}"#).status.success());
    let ended = running.end();
    assert_eq!(ended.of_type("build/event").next().expect("an event")["payload"], r#"{"pin": "it is ***", "n": 1.10}"#);
    says(&ended, "listener", &[r#"heard build/event None {"pin": "it is ***", "n": 1.10}"#]);
}

#[test]
fn waiting_for_an_event_ends_at_its_timeout() {
    let ended = Host::default().run("subscribe-never", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    says(&ended, "listener", &["heard nothing"]);
}
