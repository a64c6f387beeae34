//! Scripts in files that an interpreter evaluates: found where authors keep them, and pinned with what stands in them.

use std::fs;
use std::path::Path;
use std::process::Output;

use monkeyci_tests::host::{Host, Running};
use serde_json::Value;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command in a directory, with no program in reach.
fn said(host: &Host, dir: &Path, arguments: &[&str]) -> Output {
    host.command(arguments).current_dir(dir).env("PATH", "").output().expect("the host runs")
}

/// Writes a file of the script.
fn write(dir: &Path, name: &str, content: &str) {
    fs::create_dir_all(dir.join(".monkeyci")).expect("a directory");
    fs::write(dir.join(".monkeyci").join(name), content).expect("written");
}

/// A script of one job, which no build has: no engine is needed.
fn left_out(job: &str) -> String {
    format!("jobs:\n  {job}:\n    image: debian:12\n    if: tag == 'none'\n    script: make\n")
}

#[test]
fn a_new_script_in_yaml_is_checked_tested_and_planned_with_no_program_in_reach() {
    let (host, dir) = (Host::default(), tempfile::tempdir().expect("a directory"));
    let made = said(&host, dir.path(), &["new", "--lang", "yaml"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let next: Vec<_> = text(&made.stdout).lines().skip(1).map(str::to_owned).collect();
    assert_eq!(
        next,
        ["  monkeyci-host check   shows its jobs", "  monkeyci-host run   runs the build"],
        "it has no tests"
    );
    // Below the code there is no script, and the one above is named.
    fs::create_dir_all(dir.path().join(".git"))
        .and_then(|()| fs::create_dir_all(dir.path().join("a/b")))
        .expect("made");
    let below = said(&host, &dir.path().join("a/b"), &["check"]);
    assert!(below.status.code() == Some(2) && text(&below.stderr).contains("name it with `--dir ../..`"), "{below:?}");
    fs::remove_dir(dir.path().join(".git")).expect("removed");
    let again = said(&host, dir.path(), &["new", "--lang", "yaml"]);
    assert!(again.status.code() == Some(2) && text(&again.stderr).contains("is there already"), "{again:?}");
    let table = "parameter image  text, debian:12 by default\ntest    container debian:12\nreport  container debian:12, needs test\n2 jobs, no faults\n";
    for (arguments, says) in [
        (&["check"][..], table),
        (&["check", ".monkeyci/build.yaml", "--param", "image=busybox:1"], "test    container busybox:1\n"),
        (&["test"], "has no tests of its own; `monkeyci-host check` looks at its jobs"),
        (&["plan"], "report"),
    ] {
        let said = said(&host, dir.path(), arguments);
        assert_eq!(said.status.code(), Some(0), "{arguments:?}: {}", text(&said.stderr));
        assert!(text(&said.stdout).contains(says), "{arguments:?}: {}", text(&said.stdout));
    }
    let schema = said(&host, dir.path(), &["schema"]);
    let written = fs::read(dir.path().join(".monkeyci/build.schema.json")).expect("a schema");
    assert!(schema.status.success() && schema.stdout == written);
}

#[test]
fn a_mistake_in_a_file_is_a_bad_script_with_its_line_and_files_that_are_not_one_script_are_named() {
    let (host, dir) = (Host::default(), tempfile::tempdir().expect("a directory"));
    write(dir.path(), "build.yaml", "image: debian:12\nscrpt: make\n");
    let wrong = said(&host, dir.path(), &["run"]);
    let says = ".monkeyci/build.yaml:2:1: there is no key `scrpt` in a job; did you mean `script`?\n";
    assert_eq!(wrong.status.code(), Some(3), "{wrong:?}");
    assert!(text(&wrong.stdout).contains(says), "{}", text(&wrong.stdout));
    assert!(text(&wrong.stdout).contains("2 | scrpt: make\n"), "{}", text(&wrong.stdout));

    // As MonkeyCI has it, files in YAML, JSON and TOML are one script.
    write(dir.path(), "build.yaml", "id: a\nimage: debian:12\nscript: make\n");
    write(
        dir.path(),
        "build.json",
        "[{\"id\": \"b\", \"image\": \"debian:12\", \"script\": \"make\", \"needs\": \"a\"}]",
    );
    let both = said(&host, dir.path(), &["check"]);
    assert!(text(&both.stdout).contains("b  container debian:12, needs a\n2 jobs, no faults"), "{both:?}");

    write(dir.path(), "build.json", "{}");
    write(dir.path(), "build.ts", "");
    write(dir.path(), "ci.wasm", "");
    let several = said(&host, dir.path(), &["check"]);
    let says = "has several scripts: build.yaml + build.json, build.ts, ci.wasm; keep one of them, or name one";
    assert!(several.status.code() == Some(2) && text(&several.stderr).contains(says), "{}", text(&several.stderr));
    let one = said(&host, dir.path(), &["check", ".monkeyci/build.json"]);
    assert!(one.status.code() == Some(3) && text(&one.stderr).contains("the script has no `jobs`"), "{one:?}");
}

/// Runs the script of a directory to its end: the build, and what loaded the script.
fn run(host: &Host, dir: &Path) -> (String, Value) {
    let mut command = host.command(&["run", "--progress", "json", "--engine", "unix:///no/such/engine"]);
    let ended = Running::spawn(command.current_dir(dir)).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let loaded = ended.of_type("script/loaded").next().expect("it was loaded").clone();
    (ended.events[0]["build"].as_str().expect("an id").to_owned(), loaded)
}

#[test]
fn a_build_is_pinned_to_the_sources_of_its_script_and_an_edit_compiles_nothing() {
    let (host, dir) = (Host::default(), tempfile::tempdir().expect("a directory"));
    write(dir.path(), "build.yaml", &left_out("one"));
    let ((build, first), (_, same)) = (run(&host, dir.path()), run(&host, dir.path()));
    assert_eq!((&first["digest"], &first["cached"]), (&same["digest"], &Value::from(true)), "{first}");
    write(dir.path(), "build.yaml", &left_out("other"));
    let (_, edited) = run(&host, dir.path());
    assert_ne!(first["digest"], edited["digest"], "the sources are a part of the script");
    assert_eq!(edited["cached"], Value::from(true), "what is compiled is the interpreter");

    let replay = |arguments: &[&str]| {
        let said = said(&host, dir.path(), &[&["replay", &build, "--json"], arguments].concat());
        let told: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        (said.status.code(), told["class"].as_str().map(str::to_owned), told["same_script"].as_bool())
    };
    // As it was, whatever the file says now.
    assert_eq!(replay(&[]), (Some(0), Some("same".to_owned()), Some(true)));
    assert_eq!(replay(&["--script", ".monkeyci"]), (Some(3), Some("divergent".to_owned()), Some(false)));
}
