//! `run --watch`: files are edited while it runs, and it says when it waits for the next one.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use monkeyci_tests::hang_guard;
use monkeyci_tests::host::{Host, Running};
use monkeyci_tests::place;
use monkeyci_tests::repository::Repository;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

/// Somebody who watches code, and a script.
struct Watching {
    running: Running,
    /// How much of what was said was looked at.
    looked: usize,
}

impl Watching {
    /// Parameters are in a file of the code: what is tried is changed by an edit.
    fn new(host: &Host, code: &Repository, script: &Path, cargo: Option<&Path>) -> Self {
        let mut command = host.command(&["run", "--watch", "--progress", "json"]);
        command.arg(script).arg("--dir").arg(code.path()).arg("--param-file").arg(code.path().join("params.env"));
        command.args(["--param", "image=none", "--param", "scratch-image=none"]);
        if let Some(cargo) = cargo {
            command.env("CARGO", cargo);
        }
        Self { running: Running::spawn(&mut command), looked: 0 }
    }

    /// Waits until something is said that holds this, and returns what was said until then.
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.running.wait_for(wanted);
        let said = self.running.events()[self.looked..].to_vec();
        self.looked = self.running.events().len();
        said
    }

    /// Waits until a round is over.
    fn round(&mut self) -> Vec<Value> {
        self.until(|event| is_note(event, "watching "))
    }

    /// Waits for the end of a round, in which one build runs; what the script said of the changes.
    fn told(&mut self) -> String {
        let said = self.round();
        let builds = said.iter().filter(|event| event["type"] == "build/ended").collect::<Vec<_>>();
        assert!(matches!(builds.as_slice(), [one] if one["status"] == "success"), "{said:#?}");
        let logs = said.iter().filter(|event| event["type"] == "log" && event["job"].is_null());
        let text: String = logs.filter_map(|event| event["text"].as_str()).collect();
        text.lines().take(3).collect::<Vec<_>>().join("; ")
    }

    /// Waits for the end of a round without a build; why there was none.
    fn refused(&mut self) -> String {
        let said = self.round();
        assert!(!said.iter().any(|event| event["type"] == "build/triggered"), "{said:#?}");
        said.iter().filter_map(|event| event["message"].as_str()).collect::<Vec<_>>().join("\n")
    }

    fn interrupt(mut self) {
        kill_process(self.running.pid(), Signal::INT).expect("signalled");
        self.running.wait_for_exit();
        let ended = self.running.end();
        assert_eq!(ended.code, Some(130), "{ended:#?}");
    }
}

fn is_note(event: &Value, begin: &str) -> bool {
    event["type"] == "note" && event["message"].as_str().is_some_and(|message| message.starts_with(begin))
}

#[test]
fn a_build_runs_again_when_files_change_and_is_told_what_changed_since_one_succeeded() {
    let (host, code) = (Host::default(), Repository::default());
    code.write(".gitignore", "ignored\n");
    code.write("params.env", "case=changes\n");
    code.write("ignored/tracked", "0");
    code.git(&["add", "--force", "ignored/tracked"]);
    let script = host.home().join("script.wasm");
    std::fs::copy(place::script("probe_script"), &script).expect("copied");
    let mut watching = Watching::new(&host, &code, &script, None);
    // Nothing has succeeded before: it is told what git says.
    assert_eq!(watching.told(), "added: .gitignore ignored/tracked params.env second; modified: ; removed: ");
    // What git tracks is part of the code, whatever ignores it.
    code.write("ignored/tracked", "other");
    assert_eq!(watching.told(), "added: ; modified: ignored/tracked; removed: ");
    code.write("ignored/file", "1");
    code.write("src/new.rs", "fn new() {}");
    assert_eq!(watching.told(), "added: src/new.rs; modified: ; removed: ");
    // In a directory that was not there at first.
    code.write("src/deep/other.rs", "const OTHER: u8 = 7;");
    assert_eq!(watching.told(), "added: src/deep/other.rs; modified: ; removed: ");

    code.write("params.env", "case=define-fails\n");
    assert!(watching.refused().contains("does not want to be built"));
    code.write("params.env", "case=faults\n");
    let faults = watching.refused();
    assert!(faults.contains("faults:\n"), "each in a line of its own: {faults}");
    std::fs::remove_file(code.path().join("first")).expect("removed");
    assert!(watching.refused().contains("changed: first"));
    code.write("params.env", "case=changes\n# again\n");
    assert_eq!(watching.told(), "added: ; modified: params.env; removed: first");

    // Another script may do otherwise with all that there is: it is told what git says, as the first one was.
    let bytes = std::fs::read(&script).expect("read");
    std::fs::write(&script, "no component").expect("written");
    assert!(watching.refused().contains("error: "));
    // With a custom section of its own.
    std::fs::write(&script, [&bytes[..], &[0, 2, 1, b'x']].concat()).expect("written");
    assert_eq!(
        watching.told(),
        "added: .gitignore ignored/tracked params.env second src/deep/other.rs src/new.rs; modified: ; removed: first"
    );

    // A build that files change under is stopped.
    code.write("params.env", "case=subscribe-outside\n");
    watching.until(|event| event["type"] == "log" && event["text"] == "listening\n");
    code.write("params.env", "case=changes\n# once more\n");
    let said = watching.round();
    let ended: Vec<_> =
        said.iter().filter(|event| event["type"] == "build/ended").map(|event| &event["status"]).collect();
    assert_eq!(ended, ["cancelled", "success"], "{said:#?}");
    watching.interrupt();
    assert_eq!(std::fs::read_dir(host.home().join("run")).expect("run").count(), 0);
}

#[test]
fn the_scripts_own_tests_run_when_its_crate_changes_and_no_job_when_they_fail() {
    let (host, code) = (Host::default(), Repository::default());
    code.write("params.env", "case=changes\n");
    code.write(".monkeyci/Cargo.toml", "[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\nmonkeyci-sdk = \"0.1\"\n");
    code.write(".monkeyci/test.sh", "true");
    // A cargo that makes the probe script of any crate, and whose tests do what a file in the crate says.
    let cargo = host.home().join("cargo.sh");
    let (script, made) = (code.path().join(".monkeyci").canonicalize().expect("there"), place::script("probe_script"));
    let manifest = script.join("Cargo.toml");
    let text = format!(
        "#!/bin/sh\ncase $1 in\n--version) echo 'host: here' ;;\ntest) . {}/test.sh ;;\nbuild) echo '{}' ;;\nesac\n",
        script.display(),
        serde_json::json!({ "reason": "compiler-artifact", "manifest_path": manifest, "filenames": [made] }),
    );
    std::fs::write(&cargo, text).expect("written");
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    let ran = host.home().join("ran");
    let times = || std::fs::read_to_string(&ran).unwrap_or_default().lines().count();
    code.write(".monkeyci/test.sh", &format!("echo ran >>{}", ran.display()));
    // They need not run again for a build that fails.
    code.write("params.env", "case=action-fails\n");
    let mut watching = Watching::new(&host, &code, &script, Some(&cargo));
    watching.round();
    code.write("first", "another");
    assert!(watching.round().iter().any(|event| event["type"] == "build/ended" && event["status"] == "failure"));
    assert_eq!(times(), 1);
    code.write("params.env", "case=changes\n");
    watching.told();
    assert_eq!(times(), 1);
    // Tests that would fail are not run for what is not the script's.
    code.write("first", "other");
    assert_eq!(watching.told(), "added: ; modified: first; removed: ");
    code.write(".monkeyci/test.sh", "exit 1");
    assert!(watching.refused().contains("the script's tests fail: no job is run"));
    code.write("first", "once more");
    assert!(watching.refused().contains("the script's tests fail"), "they still do");

    // Ctrl-C ends tests that do not end.
    let pid = host.home().join("pid");
    code.write(".monkeyci/test.sh", &format!("sleep 300 & echo $! >{0}.new; mv {0}.new {0}; wait", pid.display()));
    let pid = hang_guard::found("the tests", || std::fs::read_to_string(&pid).ok());
    watching.interrupt();
    let pid = Pid::from_raw(pid.trim().parse().expect("a number")).expect("not 0");
    hang_guard::until("the end of the tests", || test_kill_process(pid).is_err());
}
