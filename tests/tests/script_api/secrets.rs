use std::path::Path;

use monkeyci_tests::host::{Ended, Host, files};

use crate::{run, says};

/// With characters that encodings change.
const TOKEN: &str = "t0p<s3cr3t>!ä";

fn token() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    std::fs::write(&file, TOKEN).expect("written");
    let option = format!("TOKEN={}", file.to_str().expect("text"));
    (dir, option)
}

/// Nothing that the host shows or keeps holds the secret.
fn assert_hidden(ended: &Ended) {
    let shown = format!("{:?} {}", ended.events, ended.stderr);
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

fn assert_not_kept(home: &Path) {
    for file in files(home) {
        let bytes = std::fs::read(&file).expect("readable");
        let found = bytes.windows(6).any(|window| window == b"s3cr3t");
        assert!(!found, "{} holds the secret", file.display());
    }
}

#[test]
fn a_secret_is_in_the_environment_of_job_and_service_and_masked_in_every_encoding_of_the_log() {
    let (_dir, token) = token();
    let engine = monkeyci_tests::engine::Engine::docker();
    let host = Host::on(&engine);
    let ended = host.run("secrets-env", &["--secret", &token]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let length = format!("its length is {}", TOKEN.len());
    says(&ended, "use", &["the token is <***>", "in base64 it is <***>", &length]);
    assert!(ended.log(Some("use")).contains("its length in the service is"), "{ended:#?}");
    assert_hidden(&ended);
    assert_not_kept(host.home());
}

#[test]
fn a_secret_is_a_file_outside_the_workspace_that_only_the_jobs_user_reads() {
    let (_dir, token) = token();
    let ended = run("secrets-file", &["--secret", &token], 0);
    let size = format!("its size is {}", TOKEN.len());
    says(&ended, "use", &["its mode is 400", &size, "the token is <***>"]);
    says(&ended, "as-a-user", &[&format!("a user sees {} bytes", TOKEN.len())]);
    assert_hidden(&ended);
}

#[test]
fn revealing_a_secret_is_denied_unless_it_is_allowed_by_name() {
    let (_dir, token) = token();
    let denied = Host::default().run("secrets-reveal", &["--secret", &token]);
    assert_eq!((denied.code, denied.cause("reveal")), (Some(1), "action-failed"), "{denied:#?}");
    let why = denied.ending("reveal")["message"].as_str().unwrap_or_default();
    assert!(why.contains("denied") && why.contains("--reveal TOKEN"), "{denied:#?}");
    let allowed = Host::default().run("secrets-reveal", &["--secret", &token, "--reveal", "TOKEN"]);
    assert_eq!(allowed.code, Some(0), "{allowed:#?}");
    says(&allowed, "reveal", &[&format!("revealed {} bytes: <***>", TOKEN.len())]);
    assert_hidden(&allowed);
}

#[test]
fn a_secret_that_a_service_can_not_be_given_is_told_of_the_job_and_is_no_failure_of_the_engine() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    std::fs::write(&file, b"no \xff text").expect("written");
    let option = format!("TOKEN={}", file.to_str().expect("text"));
    let ended = Host::default().run("secrets-of-a-service", &["--secret", &option]);
    assert_eq!((ended.code, ended.cause("use")), (Some(1), "value-missing"), "{ended:#?}");
    let why = ended.ending("use")["reason"].as_str().unwrap_or_default();
    assert!(why.contains("is no text") && why.contains(r#"the service "beside""#), "{why}");
}

#[test]
fn a_missing_secret_says_where_it_was_looked_for() {
    let ended = Host::default().run("secrets-missing", &["--secret-file", "/dev/null"]);
    assert_eq!(ended.code, Some(3));
    let why = ended.failure();
    assert!(why.contains("/dev/null") && why.contains("MONKEYCI_SECRET_"), "{why}");
    let faults = &ended.of_type("build/failed").next().expect("it failed")["faults"];
    assert_eq!((&faults[0]["job"], &faults[0]["secret"]), (&"use".into(), &"NOBODY_GAVE_THIS".into()), "{faults}");
}

#[test]
fn a_script_of_an_older_sdk_is_told_when_it_asks_that_a_secret_is_missing() {
    let (_dir, token) = token();
    let ended = Host::default().run("secrets-get", &["--secret", &token]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let log = ended.log(None);
    assert!(log.contains("there is one: true") && log.contains("NOBODY_GAVE_THIS"), "{log}");
    assert!(log.contains("MONKEYCI_SECRET_"), "where it was looked for: {log}");
}

#[test]
fn all_missing_secrets_are_told_at_once_but_those_of_removed_jobs() {
    let ended = Host::default().run("secrets-all-missing", &[]);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let faults = &ended.of_type("build/failed").next().expect("it failed")["faults"];
    let faults = faults.as_array().expect("a list");
    let told: Vec<_> = faults.iter().map(|fault| fault["secret"].as_str().expect("a secret")).collect();
    assert_eq!(told, ["FIRST", "THIRD", "SECOND"]);
    let host = Host::default();
    let script = monkeyci_tests::place::script("probe_script");
    let mut command = host.command(&["check", "--param", "case=secrets-all-missing"]);
    let output = command.arg(script).output().expect("the host runs");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(["FIRST", "SECOND", "THIRD"].iter().all(|name| said.contains(name)) && !said.contains("FOURTH"), "{said}");
}

#[test]
fn a_secret_of_a_removed_job_need_not_be_there() {
    let ended = Host::default().run("secrets-of-removed", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.log(None).contains("there is one: false"), "{ended:#?}");
    assert_eq!((ended.cause("test"), ended.cause("last")), ("succeeded", "succeeded"));
}

#[test]
fn a_declared_job_with_a_secret_in_it_is_refused_with_the_field_and_the_secret() {
    let (_dir, token) = token();
    let written = format!("written=so: {TOKEN}");
    let ended = Host::default().run("secrets-written", &["--secret", &token, "--param", &written]);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let faults = &ended.of_type("build/failed").next().expect("it failed")["faults"];
    let faults = faults.as_array().expect("a list").iter();
    let told: Vec<_> =
        faults.map(|it| [&it["job"], &it["field"], &it["secret"]].map(|it| it.as_str().expect("text"))).collect();
    assert_eq!(told, [["lines", "shell", "TOKEN"], ["env", "env(TOKEN)", "TOKEN"], ["label", "label(a)", "TOKEN"]]);
    assert_hidden(&ended);
}

#[test]
fn an_output_with_a_secret_in_it_is_not_recorded_and_its_job_warns() {
    let (_dir, token) = token();
    let ended = run("secrets-output", &["--secret", &token], 0);
    let message = ended.ending("make")["message"].as_str().expect("a warning");
    assert!(message.contains("image") && message.contains("TOKEN"), "{message}");
    says(&ended, "take", &["other is plain"]);
    assert_hidden(&ended);
}

#[test]
fn secrets_that_are_words_of_the_hosts_own_forbid_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("secrets.env");
    std::fs::write(&file, "A=image\nB=shell\nC=null\nD=true\n").expect("written");
    let file = file.to_str().expect("text");
    let ended = Host::default().run("secrets-of-removed", &["--secret-file", file]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[test]
fn a_revealed_secret_is_in_nothing_that_the_build_says_or_keeps() {
    let (_dir, token) = token();
    let host = Host::default();
    let pins = host.home().join("pins.env");
    std::fs::write(&pins, "PIN=12345678\n").expect("written");
    let pins = pins.to_str().expect("text");
    let ended = host.run("secrets-leaked", &["--secret", &token, "--reveal", "TOKEN", "--secret-file", pins]);
    std::fs::remove_file(pins).expect("removed");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let log = ended.log(Some("leaks"));
    for refused in
        ["a job with a secret in it", "an event that is named like a secret", "an event with a secret for a number"]
    {
        assert!(log.contains(&format!("{refused} was refused")), "{refused}: {ended:#?}");
    }
    assert!(log.contains(r#"the payload of the event has the value of the secret "PIN" in it"#), "{log}");
    assert_eq!(ended.ending("leaks")["message"], "it is ***");
    let late = ended.ending("late");
    assert!(late["message"].as_str().is_some_and(|why| why.contains("secret-env")), "{late}");
    assert_eq!(ended.of_type("script/report").next().expect("a report")["message"], "***");
    assert_hidden(&ended);
    assert_not_kept(host.home());
}
