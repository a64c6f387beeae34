//! A secret that a job has, looked for wherever somebody else could see it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Host, files};
use monkeyci_tests::repository::Repository;
use serde_json::Value;

/// With the characters that encodings change.
const SECRET: &str = r#"t0p<s3cr3t>"k'&y"#;

/// What programs make of it: a name, the line that the job prints, and what of the line gives the secret away.
const ENCODINGS: [(&str, &str, &str); 15] = [
    ("as it is", SECRET, SECRET),
    ("base64", "dDBwPHMzY3IzdD4iaycmeQ==", "dDBwPHMzY3IzdD4iaycmeQ"),
    ("base64 after one byte", "LXQwcDxzM2NyM3Q+ImsnJnllbmQ=", "QwcDxzM2NyM3Q+ImsnJn"),
    ("base64 after two bytes", "LS10MHA8czNjcjN0PiJrJyZ5ZW5k", "0MHA8czNjcjN0PiJrJyZ5"),
    ("base64 for addresses", "LXQwcDxzM2NyM3Q-ImsnJnllbmQ", "QwcDxzM2NyM3Q-ImsnJn"),
    ("hexadecimal", "7430703c7333637233743e226b272679", "7430703c7333637233743e226b272679"),
    ("hexadecimal in capitals", "7430703C7333637233743E226B272679", "7430703C7333637233743E226B272679"),
    ("percent", "t0p%3Cs3cr3t%3E%22k%27%26y", "t0p%3Cs3cr3t%3E%22k%27%26y"),
    ("JSON", r#""t0p<s3cr3t>\"k'&y""#, r#"t0p<s3cr3t>\"k'&y"#),
    ("JSON in JSON", r#""\"t0p<s3cr3t>\\\"k'&y\"""#, r#"t0p<s3cr3t>\\\"k'&y"#),
    ("XML", "t0p&lt;s3cr3t&gt;&quot;k&#x27;&amp;y", "t0p&lt;s3cr3t&gt;&quot;k&#x27;&amp;y"),
    ("quoted for a shell", r#"'t0p<s3cr3t>"k'"'"'&y'"#, r#"t0p<s3cr3t>"k'"'"'&y"#),
    ("in colours", "t0p\u{1b}[31m<s3c\u{1b}[0mr3t>\"k'&y", "t0p\u{1b}[31m<s3c\u{1b}[0mr3t>\"k'&y"),
    ("with marks of no width", "t0p<s3\u{200b}cr3t>\"k'&y", "t0p<s3\u{200b}cr3t>\"k'&y"),
    (
        "UTF-16",
        "t\x000\x00p\x00<\x00s\x003\x00c\x00r\x003\x00t\x00>\x00\"\x00k\x00'\x00&\x00y\x00",
        "s\x003\x00c\x00r\x003\x00t",
    ),
];

/// The lines for `printf` of a shell, byte by byte: no encoding of the secret that anybody masks, or that this test looks for.
fn printed() -> String {
    let line = |line: &str| line.bytes().map(|byte| format!("\\0{byte:03o}")).collect::<String>() + "\n";
    ENCODINGS.iter().map(|(_, said, _)| line(said)).collect()
}

fn assert_hidden(place: &str, bytes: &[u8]) {
    for (name, _, needle) in ENCODINGS {
        let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(!found, "{place} has the secret, {name}: {}", String::from_utf8_lossy(bytes));
    }
    let seen = seen(bytes);
    assert!(!seen.contains(SECRET), "who looks at {place} sees the secret: {seen}");
}

/// What a terminal shows of it: no colours, no control characters, nothing without width.
fn seen(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
    let shown = first + &rest.map(|part| part.strip_prefix('m').unwrap_or(part)).collect::<String>();
    shown.chars().filter(|c| !c.is_control() && *c != '\u{200b}').collect()
}

/// What all processes of this machine say of themselves that are in no container: their arguments, and the environment of the
/// host's own.
fn assert_processes_hide_it(host: rustix::process::Pid) {
    let ours = fs::read_link("/proc/self/ns/pid").expect("a namespace");
    let mut seen_the_host = false;
    for entry in fs::read_dir("/proc").expect("processes").flatten() {
        let path = entry.path();
        // One that ends meanwhile has nothing more to say.
        if fs::read_link(path.join("ns/pid")).is_ok_and(|namespace| namespace == ours) {
            assert_hidden("a process's arguments", &fs::read(path.join("cmdline")).unwrap_or_default());
        }
        if entry.file_name().to_str() == Some(&host.as_raw_nonzero().to_string()) {
            assert_hidden("the host's environment", &fs::read(path.join("environ")).expect("an environment"));
            seen_the_host = true;
        }
    }
    assert!(seen_the_host);
}

fn assert_commands_hide_it(host: &Host) {
    let commands: [&[&str]; 12] = [
        &["logs", "latest"],
        &["logs", "latest", "--json"],
        &["logs", "latest", "use"],
        &["events"],
        &["events", "--json"],
        &["show"],
        &["show", "--json"],
        &["list"],
        &["list", "--json"],
        &["tests"],
        &["artifacts"],
        &["artifacts", "--json"],
    ];
    for arguments in commands {
        let output = host.command(arguments).stdin(Stdio::null()).output().expect("the host runs");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let place = arguments.join(" ");
        assert_hidden(&place, &output.stdout);
        assert_hidden(&place, &output.stderr);
    }
}

fn assert_kept_files_hide_it(home: &Path) {
    for file in files(home) {
        let place = file.display().to_string();
        let bytes = fs::read(&file).expect("readable");
        assert_hidden(&place, &bytes);
        if let Ok(unpacked) = zstd::decode_all(&*bytes) {
            assert_hidden(&place, &unpacked);
        }
    }
}

#[test]
fn a_secret_is_nowhere_for_others_to_see_in_any_encoding_while_its_job_runs_and_after() {
    let given = tempfile::tempdir().expect("a directory");
    let file = given.path().join("token");
    fs::write(&file, SECRET).expect("written");
    let code = Repository::default();
    code.write("said", &printed());
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let secret = format!("TOKEN={}", file.to_str().expect("text"));
    let dir = code.path().to_str().expect("text");
    let mut build = host.start("secrets-everywhere", &["--dir", dir, "--secret", &secret]);
    let said = |event: &Value| event["text"].as_str().is_some_and(|text| text.ends_with("all is said\n"));
    build.wait_for(|event: &Value| event["type"] == "log" && said(event));
    for (place, told) in engine.told_of(&host.owner()) {
        assert_hidden(&place, told.as_bytes());
    }
    assert_processes_hide_it(build.pid());
    engine.put(&host.owner(), "use", "go");
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("use")), (Some(1), "exited"), "{ended:#?}");
    // It did have the secret, and each line came, with something in it masked.
    let lines: Vec<_> = ended.log(Some("use")).lines().map(str::to_owned).collect();
    assert_eq!(lines[0], format!("{} bytes", SECRET.len()));
    for ((name, ..), line) in ENCODINGS.iter().zip(&lines[1..]) {
        assert!(line.contains("***"), "{name} is not masked: {line}");
    }
    assert_hidden("what the build printed", format!("{:?}", ended.events).as_bytes());
    assert_hidden("what the build said to people", ended.stderr.as_bytes());
    assert_commands_hide_it(&host);
    assert_kept_files_hide_it(host.home());
}
