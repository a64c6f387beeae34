//! Logs of a build that runs, read from outside by several at once.

use std::process::{Child, Stdio};

use monkeyci_tests::host::Host;

use crate::{listener, wait_until_listening};

#[test]
fn any_number_of_readers_follow_a_build_and_each_gets_all_of_it() {
    let host = Host::default();
    let (mut running, build) = listener(&host);
    let follow = |arguments: &[&str]| -> Child {
        let mut command = host.command(&["logs", "--follow", &build]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the host starts")
    };
    let early = follow(&[]);
    wait_until_listening(&mut running);
    let late = [follow(&[]), follow(&["listener"]), follow(&["--json"])];
    let [all, one, json] = late;
    // Whenever they are there they get all of it. Mostly that is before the next line now.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut publish = host.command(&["publish", &build, "outside/go", "1", "--by", "ann"]);
    assert!(publish.output().expect("the host runs").status.success());
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let said = ended.log(Some("listener"));
    assert!(said.contains("listening") && said.contains("heard build/event"), "{said}");

    let text = |reader: Child| {
        let output = reader.wait_with_output().expect("an end");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let lines: String = said.lines().map(|line| format!("[listener] {line}\n")).collect();
    for reader in [early, all] {
        let text = text(reader);
        let of_listener: String =
            text.lines().filter(|line| line.starts_with("[listener]")).map(|line| format!("{line}\n")).collect();
        assert_eq!(of_listener, lines, "{text}");
    }
    assert_eq!(text(one), said);
    let json = text(json);
    let values = json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let texts =
        values.filter(|line| line["job"] == "listener").filter_map(|line| Some(line["text"].as_str()?.to_owned()));
    assert_eq!(texts.collect::<String>(), said);

    // Of a build that is over it is what is stored.
    assert_eq!(text(follow(&["listener"])), said);
}

#[test]
fn following_a_build_whose_host_was_killed_says_so_after_what_was_stored() {
    let host = Host::default();
    let (mut running, build) = listener(&host);
    wait_until_listening(&mut running);
    let mut command = host.command(&["logs", "--follow", &build]);
    let reader = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the host starts");
    // Time to connect; if it takes longer, the end is the same.
    std::thread::sleep(std::time::Duration::from_millis(300));
    rustix::process::kill_process(running.pid(), rustix::process::Signal::KILL).expect("killed");
    running.end();
    for output in [reader.wait_with_output(), host.command(&["logs", "--follow", &build]).output()] {
        let output = output.expect("an end");
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(&build), "{stderr}");
    }
}
