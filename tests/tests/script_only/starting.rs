//! From nothing to a build: `new`, and scripts that are compiled first.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use monkeyci_tests::host::Host;
use monkeyci_tests::{place, toolchain};

/// A program that is called in another one's place.
fn program(dir: &Path, name: &str, lines: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    path.to_str().expect("text").to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn new(host: &Host, dir: &Path) -> Output {
    host.command(&["new", dir.to_str().expect("text")]).output().expect("the host runs")
}

#[test]
fn a_new_script_is_compiled_and_checked_without_a_registry_that_has_the_sdk() {
    let host = Host::default();
    // At the same place each time: what cargo makes of it is replaced, and does not pile up.
    let demo = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-script");
    match fs::remove_dir_all(&demo) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.expect("removed"),
    }
    let made = new(&host, &demo);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let again = new(&host, &demo);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("is there already"));
    // With what the samples are made of, which is there: this test asks no registry.
    let samples = place::script("probe_script").parent().expect("a folder").join("../..");
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample-scripts/Cargo.lock");
    fs::copy(lock, demo.join(".monkeyci/Cargo.lock")).expect("copied");
    let command = |arguments: &[&str]| {
        let mut command = host.command(arguments);
        command.current_dir(&demo).env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", &samples);
        command.output().expect("the host runs")
    };
    let checked = command(&["check"]);
    if toolchain::compiles_scripts() {
        assert!(checked.status.success(), "{}", text(&checked.stderr));
        let table = "test    container debian:12\nreport  action, needs test\n2 jobs, no faults\n";
        assert_eq!(text(&checked.stdout), table);
    } else {
        // Scripts are compiled with Debian's toolchain here.
        assert!(text(&checked.stderr).contains("`rustup target add wasm32-wasip2` installs it"));
    }
}

#[test]
fn a_script_that_can_not_be_compiled_says_whose_fault_that_is() {
    let (host, dir) = (Host::default(), tempfile::tempdir().expect("a directory"));
    let nowhere = host.command(&["check"]).current_dir(dir.path()).output().expect("the host runs");
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(text(&nowhere.stderr).contains("`monkeyci-host new` makes one"), "{}", text(&nowhere.stderr));
    new(&host, dir.path());
    let fails = program(dir.path(), "fails", "echo 'error: no such thing' >&2\nexit 101");
    let missing = program(dir.path(), "rustc", "echo \"$0-has-none\"");
    let there = program(dir.path(), "other-rustc", "dirname \"$0\"");
    let component = place::script("probe_script");
    let manifest = fs::canonicalize(dir.path().join(".monkeyci")).expect("a path").join("Cargo.toml");
    let artifact = serde_json::json!({
        "reason": "compiler-artifact", "manifest_path": manifest, "filenames": [component],
    });
    let makes = program(dir.path(), "makes", &format!("echo '{artifact}'"));
    let makes_none = program(dir.path(), "makes-none", "echo '{\"reason\": \"build-finished\"}'");
    for (cargo, rustc, code, says) in [
        (&fails, &missing, 4, "`rustup target add wasm32-wasip2` installs it"),
        (&fails, &there, 3, "can't be compiled"),
        (&makes_none, &there, 3, "crate-type = [\"cdylib\"]"),
        (&"no-cargo-here".to_owned(), &there, 4, "install Rust from https://rustup.rs"),
        (&makes, &there, 0, ""),
    ] {
        let mut command = host.command(&["check", "--param", "case=nothing", "--param", "image=none"]);
        command.args(["--param", "scratch-image=none"]).env("CARGO", cargo).env("RUSTC", rustc);
        let checked = command.current_dir(dir.path()).output().expect("the host runs");
        let said = text(&checked.stderr);
        assert!(checked.status.code() == Some(code) && said.contains(says), "{cargo}: {:?} {said}", checked.status);
        assert!(cargo != &fails || said.starts_with("error: no such thing\n"), "{said}");
    }
    let remote = host.command(&["run", "--git", "file:///nowhere"]).output().expect("the host runs");
    assert!(text(&remote.stderr).contains("name the script"), "{}", text(&remote.stderr));
}

#[test]
fn the_doctor_names_what_is_missing_and_exits_with_4() {
    let host = Host::cold();
    let command = ["doctor", "--json", "--engine", "unix:///no/such/engine"];
    let seen = host.command(&command).output().expect("the host runs");
    let findings: serde_json::Value = serde_json::from_slice(&seen.stdout).expect("JSON");
    let engine = findings.as_array().expect("a list").iter().find(|finding| finding["what"] == "engine");
    assert_eq!((seen.status.code(), &engine.expect("an engine")["state"]), (Some(4), &"missing".into()), "{findings}");
    assert_eq!(fs::read_dir(host.home()).expect("a home").count(), 0, "it only looks");
}
