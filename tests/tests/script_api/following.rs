//! Logs of a build that runs, read from outside by several at once.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};

use monkeyci_tests::host::Host;

use crate::{listener, wait_until_listening};

/// One that follows a log, and what it has printed.
struct Reader {
    child: Child,
    stdout: BufReader<ChildStdout>,
    text: String,
}

impl Reader {
    fn start(host: &Host, arguments: &[&str]) -> Self {
        Self::of(host, "logs", arguments)
    }

    fn of(host: &Host, command: &str, arguments: &[&str]) -> Self {
        let mut command = host.command(&[command, "--follow"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the host starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, stdout, text: String::new() }
    }

    /// Waits until it follows: it has printed that the job listens.
    fn wait_until_it_follows(&mut self) {
        while !self.text.contains("listening") {
            assert_ne!(self.stdout.read_line(&mut self.text).expect("text"), 0, "it ended: {:?}", self.text);
        }
    }

    /// Its exit code, and all that it has printed on both streams.
    fn end(mut self) -> (Option<i32>, String, String) {
        self.stdout.read_to_string(&mut self.text).expect("text");
        let output = self.child.wait_with_output().expect("an end");
        (output.status.code(), self.text, String::from_utf8(output.stderr).expect("text"))
    }

    /// What it has printed, of one that ended well.
    fn text(self) -> String {
        let (code, text, stderr) = self.end();
        assert_eq!(code, Some(0), "{stderr}");
        text
    }
}

#[test]
fn any_number_of_readers_follow_a_build_and_each_gets_all_of_it() {
    let host = Host::default();
    let (mut running, build) = listener(&host);
    let follow = |arguments: &[&str]| Reader::start(&host, &[&[build.as_str()], arguments].concat());
    let mut early = follow(&[]);
    wait_until_listening(&mut running);
    let events = Reader::of(&host, "events", &["latest", "--json"]);
    let [mut all, mut one, mut json] = [follow(&[]), follow(&["listener"]), follow(&["--json"])];
    for reader in [&mut early, &mut all, &mut one, &mut json] {
        reader.wait_until_it_follows();
    }
    let mut publish = host.command(&["publish", &build, "outside/go", "1", "--by", "ann"]);
    assert!(publish.output().expect("the host runs").status.success());
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let said = ended.log(Some("listener"));
    assert!(said.contains("listening") && said.contains("heard build/event"), "{said}");

    let lines: String = said.lines().map(|line| format!("[listener] {line}\n")).collect();
    for reader in [early, all] {
        let text = reader.text();
        let of_listener: String =
            text.lines().filter(|line| line.starts_with("[listener]")).map(|line| format!("{line}\n")).collect();
        assert_eq!(of_listener, lines, "{text}");
    }
    assert_eq!(one.text(), said);
    let json = json.text();
    let values = json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let texts =
        values.filter(|line| line["job"] == "listener").filter_map(|line| Some(line["text"].as_str()?.to_owned()));
    assert_eq!(texts.collect::<String>(), said);

    // The events come too, up to the last one; some of them are only for hosts.
    let events: Vec<serde_json::Value> =
        events.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of_run: Vec<_> = ended.events.iter().filter(|event| event["seq"].is_u64()).cloned().collect();
    assert_eq!(events, of_run);

    // Of a build that is over it is what is stored.
    assert_eq!(follow(&["listener"]).text(), said);
}

#[test]
fn who_follows_a_build_for_a_reader_that_has_gone_does_not_wait_for_its_end() {
    let host = Host::default();
    let (mut running, build) = listener(&host);
    wait_until_listening(&mut running);
    for command in ["logs", "events"] {
        let mut reader = Reader::of(&host, command, &[&build]);
        assert_ne!(reader.stdout.read_line(&mut reader.text).expect("text"), 0, "{command}");
        let Reader { child, stdout, .. } = reader;
        // As `head -1` does it.
        drop(stdout);
        let output = child.wait_with_output().expect("an end");
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(0), ""),
            "{command}"
        );
    }
    let mut publish = host.command(&["publish", &build, "outside/go", "1", "--by", "ann"]);
    assert!(publish.output().expect("the host runs").status.success(), "the build goes on");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn following_a_build_whose_host_was_killed_says_so_after_what_was_stored() {
    let host = Host::default();
    let (mut running, build) = listener(&host);
    wait_until_listening(&mut running);
    let mut reader = Reader::start(&host, &[&build]);
    reader.wait_until_it_follows();
    rustix::process::kill_process(running.pid(), rustix::process::Signal::KILL).expect("killed");
    running.end();
    for reader in [reader, Reader::start(&host, &[&build]), Reader::of(&host, "events", &[&build])] {
        let (code, _, stderr) = reader.end();
        assert_eq!(code, Some(4), "{stderr}");
        assert!(stderr.contains(&build), "{stderr}");
    }
}
