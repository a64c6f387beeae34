//! Looking at builds: `list`, `show`, `events`, `artifacts`, `tests` and `logs`, from the home of a build that failed.

use std::fs;
use std::path::Path;
use std::process::Output;

use monkeyci_storage::journal::LAYOUT;
use monkeyci_tests::host::Host;
use monkeyci_tests::place;
use serde_json::Value;

/// What a command prints, and says beside that.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn said(host: &Host, arguments: &[&str]) -> Said {
    let Output { status, stdout, stderr } = host.command(arguments).output().expect("the host runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

fn json(host: &Host, arguments: &[&str]) -> Value {
    let said = said(host, arguments);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {} {}", said.out, said.err))
}

/// Runs the build, as a person would.
fn failed(host: &Host) -> (Said, String) {
    failed_in(host, host.home())
}

fn failed_in(host: &Host, home: &Path) -> (Said, String) {
    let home = home.to_str().expect("text");
    let (script, dir) = (place::script("probe_script"), tempfile::tempdir().expect("a directory"));
    let (script, dir) = (script.to_str().expect("text"), dir.path().to_str().expect("text"));
    let arguments = ["run", script, "--home", home, "--dir", dir, "--progress", "plain", "--param", "case=looked-at"];
    let params = ["--param", "image=none", "--param", "scratch-image=none"];
    let ran = said(host, &[&arguments[..], &params].concat());
    let build = json(host, &["list", "--home", home, "--json"])[0]["build"].as_str().expect("an id").to_owned();
    (ran, build)
}

#[test]
fn of_a_build_that_failed_one_learns_why_and_what_came_of_it() {
    let host = Host::default();
    let (ran, build) = failed(&host);
    let short = build.rsplit('/').next().expect("a part").to_owned();
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    let (_, end) = ran.out.split_once("fails: no luck today; its last lines:\n").expect("the last lines");
    assert!(end.starts_with("  | first\n  | second\n"), "{end}");
    let [logs, show, rerun] =
        [format!("logs {short} fails"), format!("show {short}"), format!("rerun {short} --failed")];
    let home = host.home().display();
    let next = [logs, rerun, show].map(|next| format!("  monkeyci-host {next} --home {home}\n")).concat();
    let next = format!("tried more than once: fails 2 times\n{next}");
    assert!(end.ends_with(&next), "{end}");

    let listed = json(&host, &["list", "--status", "failure", "--json"]);
    assert_eq!(
        (&listed[0]["failed"][0]["job"], &listed[0]["status"]),
        (&"fails".into(), &"failure".into()),
        "{listed}"
    );
    assert!(said(&host, &["list"]).out.contains("fails: no luck today"));
    assert_eq!(said(&host, &["list", "--branch", "none"]).out, "no build is like that\n");

    let shown = said(&host, &["show"]).out;
    for line in ["attempt 1 after ", "did not run: \"fails\" did not succeed", "artifact made, ", "nobody wants it"] {
        assert!(shown.contains(line), "{line:?} is missing:\n{shown}");
    }
    // By a beginning, an end, and the whole id.
    for name in [&short[..short.len() - 2], &build[3..], &build] {
        assert_eq!(json(&host, &["show", name, "--json"])["build"], *build);
    }
    let events = said(&host, &["events", "--follow", "--json"]).out;
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        (&events[0]["type"], &events[events.len() - 1]["type"]),
        (&"build/triggered".into(), &"build/ended".into())
    );

    let out = host.home().join("out");
    let get = |id| said(&host, &["artifacts", "get", id, "--build", &short, "-o", out.to_str().expect("text")]);
    let (first, again, none) = (get("made"), get("made"), get("maid"));
    assert_eq!((first.code, again.code, none.code), (Some(0), Some(2), Some(2)), "{}", first.err);
    assert!(out.join("hello.txt").exists() || out.join("made/hello.txt").exists(), "{}", first.out);
    assert!(
        again.err.contains("is there already, and an artifact replaces nothing; name another directory with -o"),
        "{}",
        again.err
    );
    assert!(none.err.contains("it has made, tree"), "{}", none.err);
    assert_eq!(json(&host, &["artifacts", "--json"])[0]["id"], "made");
    assert!(said(&host, &["tests"]).out.contains("has handed a test report in"));
}

#[test]
fn logs_say_why_a_job_has_none_and_give_those_parts_that_are_asked_for() {
    let host = Host::default();
    let (_, build) = failed(&host);
    let logs = |arguments: &[&str]| said(&host, &[&["logs", &build], arguments].concat());
    let all = logs(&[]);
    assert!(
        all.out.starts_with("[define] two jobs to look at\n") && all.out.contains("[fails] first\n"),
        "{}",
        all.out
    );
    let attempts = ["1", "2"].map(|attempt| format!("[fails] (attempt {attempt})\n[fails] first\n[fails] second\n"));
    assert!(all.out.contains(&attempts.concat()), "{}", all.out);
    assert_eq!(all.err, "after did not run: \"fails\" did not succeed\n");
    assert_eq!(logs(&["define"]).out, "two jobs to look at\n");
    let seconds = "second\nsecond\n";
    assert_eq!(logs(&["fails", "--grep", "^sec.nd"]).out, seconds);
    assert_eq!(logs(&["--failed", "--grep", "second"]).out, seconds.replace("second", "[fails] second"));
    assert_eq!(logs(&["fails", "--attempt", "2", "--stream", "stdout"]).out, "first\nsecond\n");
    for (job, why) in [("after", "after did not run: \"fails\" did"), ("gone", "gone was removed: nobody wants it")] {
        let none = logs(&[job]);
        assert_eq!((none.code, none.out.as_str()), (Some(0), ""), "{}", none.err);
        assert!(none.err.starts_with(why), "{}", none.err);
    }
    for (wrong, why) in [
        (&["fail"][..], "did you mean \"fails\"?"),
        (&["fails", "--attempt", "3"], "it was tried 2 times"),
        (&["--grep", "("], "no regular expression"),
    ] {
        let refused = logs(wrong);
        assert!(refused.code == Some(2) && refused.err.contains(why), "{}", refused.err);
    }
    // Where `shell JOB` is enough, `logs JOB` names a build.
    let job = said(&host, &["logs", "fails"]);
    assert!(job.code == Some(2) && job.err.contains("monkeyci-host logs latest fails"), "{}", job.err);
}

/// All that looks into a home.
const COMMANDS: [&[&str]; 8] = [
    &["list"],
    &["show"],
    &["events"],
    &["artifacts"],
    &["artifacts", "get", "app"],
    &["tests"],
    &["logs"],
    &["approve", "latest", "job"],
];

/// An SQLite database without a table, of this layout: one page.
pub fn database(layout: u32) -> Vec<u8> {
    let mut page = vec![0; 4096];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    // The size of a page, and fixed numbers, the write-ahead log among them; the layout; an empty page of the schema.
    page[16..24].copy_from_slice(&[16, 0, 2, 2, 0, 64, 32, 32]);
    page[28..32].copy_from_slice(&1_u32.to_be_bytes());
    page[44..48].copy_from_slice(&4_u32.to_be_bytes());
    page[56..60].copy_from_slice(&1_u32.to_be_bytes());
    page[60..64].copy_from_slice(&layout.to_be_bytes());
    page[100] = 13;
    page[105..107].copy_from_slice(&4096_u16.to_be_bytes());
    page
}

#[test]
fn a_journal_that_is_newer_or_none_exits_with_4_and_says_what_to_do() {
    let newer =
        format!("has layout 99, and this version knows {LAYOUT}: use the version of monkeyci-host that wrote it");
    for (bytes, why) in [
        (database(99), newer.as_str()),
        (b"this is no database, and it is long enough to be told from an empty one".repeat(9), "not a database"),
    ] {
        let host = Host::cold();
        fs::write(host.home().join("journal.db"), &bytes).expect("written");
        for command in COMMANDS {
            let said = said(&host, command);
            assert!(said.code == Some(4) && said.err.contains(why), "{command:?}: {:?} {}", said.code, said.err);
        }
        assert!(fs::read(host.home().join("journal.db")).expect("read") == bytes, "it is left as it was");
    }
}

#[test]
fn whoever_looks_into_a_home_that_is_not_there_or_not_theirs_is_told_what_to_do() {
    let host = Host::cold();
    let gone = host.home().join("gone");
    let home = gone.to_str().expect("text");
    for command in COMMANDS {
        let said = said(&host, &[command, &["--home", home]].concat());
        assert_eq!(said.code, Some(2), "{command:?}: {}", said.err);
        assert!(said.err.contains("there is no home of monkeyci-host at"), "{command:?}: {}", said.err);
    }
    assert!(!gone.exists());
    if rustix::process::geteuid().is_root() {
        fs::create_dir(&gone).expect("made");
        std::os::unix::fs::chown(&gone, Some(4711), None).expect("root may");
        for command in COMMANDS {
            let said = said(&host, &[command, &["--home", home]].concat());
            assert_eq!(said.code, Some(4), "{command:?}: {}", said.err);
            assert!(said.err.contains("belongs to the user 4711"), "{command:?}: {}", said.err);
        }
    }
}

#[test]
fn builds_can_be_looked_at_while_the_disk_is_full() {
    let host = Host::default();
    let small = host.small_home();
    let home = small.path.clone();
    let (ran, _) = failed_in(&host, &home);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    small.fill();
    let text = home.to_str().expect("text");
    for command in [&["list"][..], &["show"], &["events"], &["artifacts"], &["tests"], &["logs"]] {
        let said = said(&host, &[command, &["--home", text]].concat());
        assert!(said.code == Some(0) && !said.out.is_empty(), "{command:?}: {}", said.err);
    }
    let out = home.join("out");
    let get = ["artifacts", "get", "made", "--home", text, "-o", out.to_str().expect("text")];
    let refused = said(&host, &get);
    let why = "No space left on device (os error 28); see to that, or name another directory with -o";
    assert!(refused.code == Some(4) && refused.err.contains(why), "{:?} {}", refused.code, refused.err);
}
