//! Builds without containers: no engine is looked for, and every end has its exit code.

mod again;
mod code;
mod config;
mod homes;
mod importing;
mod languages;
mod looking;
mod planning;
mod replaying;
mod reporting;
mod simulating;
mod starting;
mod terminal;
mod typescript;
mod watching;

use std::process::Stdio;

use monkeyci_tests::host::Host;
use monkeyci_tests::place;

#[test]
fn a_script_without_jobs_succeeds_and_leaves_only_the_journal() {
    let host = Host::default();
    let ended = host.run("nothing", &["--engine", "unix:///no/such/engine"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let types: Vec<_> = ended.events.iter().map(|event| event["type"].as_str().unwrap_or_default()).collect();
    // It asks for three parameters that it has not declared and was given, and warns that there is nothing to run.
    let all = [
        "build/triggered",
        "build/checked-out",
        "script/loaded",
        "script/asked",
        "script/asked",
        "script/asked",
        "build/warned",
        "script/defined",
        "build/ended",
    ];
    assert_eq!(types, all);
    // The second and the ninth are for the host that would go on with the build.
    let seqs: Vec<_> = ended.events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(seqs, [1, 3, 4, 5, 6, 7, 8, 10, 11]);
    assert_eq!(std::fs::read_dir(host.home().join("run")).expect("run").count(), 0);
}

#[test]
fn broken_scripts_exit_with_3_and_say_why() {
    let host = Host::default();
    for (case, says) in [
        ("define-fails", "does not want to be built"),
        ("define-panics", "something is wrong with the script"),
        ("define-allocates", "memory limit"),
        ("define-loops", "did not come to an end"),
        ("no-such-case", "no case"),
    ] {
        let ended = host.run(case, &[]);
        assert_eq!(ended.code, Some(3), "{case}: {ended:#?}");
        assert!(ended.failure().contains(says), "{case}: {}", ended.failure());
        assert_eq!(ended.of_type("job/started").count(), 0, "{case}");
    }
}

#[test]
fn a_script_that_ends_its_program_is_told_with_its_exit_status() {
    let ended = Host::default().run("action-exits", &[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let message = ended.ending("exits")["message"].as_str().expect("a message");
    assert!(message.contains("ended itself with exit status 3"), "{message}");
    assert_eq!(ended.log(Some("exits")), "before the end");
}

#[test]
fn what_is_printed_without_an_end_of_the_line_is_in_the_log() {
    let ended = Host::default().run("prints-no-newline", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.log(None), "define ends without a newline");
    assert_eq!(ended.log(Some("prints")), "so does an action");
    assert!(ended.log(Some("panics")).starts_with("and one that panics"), "{ended:#?}");
}

#[test]
fn a_long_error_is_shortened_in_the_journal_and_whole_in_the_log() {
    let ended = Host::default().run("long-errors", &[]);
    let message = ended.ending("fails")["message"].as_str().expect("a message");
    assert!(message.len() < 5000 && message.contains("which the log has"), "{}", message.len());
    assert!(ended.log_of("fails", "host").ends_with("[deploy] success\nend of it\n"));
}

#[test]
fn one_handle_of_a_job_is_submitted_once() {
    let ended = Host::default().run("submit-twice", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.log(Some("twice")).contains("twice"), "{ended:#?}");
}

#[test]
fn a_check_that_is_interrupted_exits_with_130_and_leaves_nothing() {
    let (host, temporary) = (Host::default(), tempfile::tempdir().expect("a directory"));
    let mut command = host.command(&["check", "--param", "case=define-loops"]);
    command.arg(place::script("probe_script")).arg("--dir").arg(host.home()).env("TMPDIR", temporary.path());
    let mut check = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the host starts");
    let entries = || std::fs::read_dir(temporary.path()).expect("a directory").count();
    monkeyci_tests::hang_guard::until("files of a check", || {
        assert!(check.try_wait().expect("a process").is_none(), "it ended before it could be interrupted");
        entries() > 0
    });
    rustix::process::kill_process(rustix::process::Pid::from_child(&check), rustix::process::Signal::INT)
        .expect("interrupted");
    assert_eq!(check.wait().expect("an end").code(), Some(130));
    assert_eq!(entries(), 0);
}

#[test]
fn a_build_whose_output_nobody_reads_ends_when_it_is_stopped() {
    let host = Host::default();
    let empty = host.home().join("empty");
    std::fs::create_dir_all(&empty).expect("a directory");
    let mut command = host.command(&["run", "--progress", "plain", "--param", "case=action-prints"]);
    command.arg(place::script("probe_script")).arg("--dir").arg(empty);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the host starts");
    let mut stdout = child.stdout.take().expect("piped");
    let waiting = || rustix::io::ioctl_fionread(&stdout).expect("a pipe");
    monkeyci_tests::hang_guard::until("a full pipe", || waiting() > 60_000);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .expect("interrupted");
    // The build has come to its end when its directory has gone.
    let running = || std::fs::read_dir(host.home().join("run")).expect("run").count();
    monkeyci_tests::hang_guard::until("the end of the build", || running() == 0);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).expect("readable");
    assert_eq!(child.wait().expect("an end").code(), Some(130), "{}", &rest[rest.len().saturating_sub(2000)..]);
}

#[test]
fn files_that_are_no_scripts_exit_with_3_and_missing_ones_with_2() {
    let host = Host::default();
    let file = host.home().join("script.wasm");
    std::fs::write(&file, "#!/bin/sh\n").expect("written");
    let run = |arguments: &[&str]| {
        let output = host.command(arguments).output().expect("the host runs");
        (
            output.status.code(),
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        )
    };
    let file = file.to_str().expect("text");
    for command in ["run", "check", "inspect"] {
        let (code, text) = run(&[command, file]);
        assert_eq!(code, Some(3), "{command}: {text}");
        assert!(text.contains("not WebAssembly"), "{command}: {text}");
        let (code, text) = run(&[command, "/no/such/file.wasm"]);
        assert_eq!(code, Some(2), "{command}: {text}");
        assert!(text.contains("/no/such/file.wasm"), "{command}: {text}");
    }
    let script = place::script("probe_script");
    let script = script.to_str().expect("text");
    for wrong in [
        &["run", script, "--param", "x"][..],
        &["run", script, "--engine", "x"],
        &["run", script, "--registry-auth", "/no/such/config.json"],
        &["run", script, "--dir", "/none"],
        &["fly"],
    ] {
        let (code, text) = run(wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {text}");
    }
}

#[test]
fn all_faults_of_a_graph_are_in_one_report_and_nothing_was_started() {
    let ended = Host::default().run("faults", &[]);
    assert_eq!(ended.code, Some(3));
    let faults = ended.of_type("build/failed").next().expect("a failure")["faults"].clone();
    let mut found: Vec<_> = faults
        .as_array()
        .expect("a list")
        .iter()
        .map(|fault| {
            format!("{}: {}", fault["job"].as_str().unwrap_or_default(), fault["kind"].as_str().unwrap_or_default())
        })
        .collect();
    found.sort();
    let jobs: Vec<_> = found.iter().map(|fault| fault.split(':').next().unwrap_or_default()).collect();
    assert_eq!(jobs, ["a", "empty", "escapes", "restores", "twice", "twice"], "{found:?}");
    assert_eq!(ended.of_type("job/started").count(), 0);
}

#[test]
fn a_failed_action_exits_with_1_and_skips_what_needs_it() {
    let ended = Host::default().run("action-fails", &[]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.ending("fails")["message"], "no luck today");
    assert_eq!(ended.ending("after")["because"], "fails");
    assert_eq!(ended.of_type("job/started").count(), 1);
}

#[test]
fn a_panic_is_in_the_log_and_in_the_result() {
    let ended = Host::default().run("action-panics", &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.log(Some("panics")).contains("an action went wrong"), "{ended:#?}");
    let message = ended.ending("panics")["message"].as_str().expect("a message");
    assert!(message.contains("an action went wrong"), "{message}");
}

#[test]
fn an_action_that_loops_for_ever_ends_at_its_time_limit() {
    let ended = Host::default().run("action-loops", &[]);
    assert_eq!((ended.code, ended.cause("spins")), (Some(1), "timed-out"));
}

#[test]
fn a_script_sees_no_files_no_variables_and_no_network() {
    let ended = Host::default().run("isolation", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[test]
fn clock_random_numbers_and_hash_order_are_the_same_in_every_instance() {
    let ended = Host::default().run("same-in-every-instance", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[test]
fn events_reports_and_outcomes_go_through_the_build_api() {
    let ended = Host::default().run("events", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let said: Vec<_> = ended.of_type("script/event").map(|event| (&event["name"], &event["payload"])).collect();
    assert_eq!(said, [(&"probe/said".into(), &r#"{"n": 1}"#.into())]);
    assert_eq!(ended.of_type("script/report").next().expect("a report")["message"], "said it");
    let warned =
        ended.of_type("log").any(|line| line["stream"] == "host" && line["text"] == "[warn] a word of warning\n");
    assert!(warned, "{ended:#?}");
}

/// Runs a case of the probe script on a terminal of its own; returns what the terminal saw.
fn on_a_terminal(case: &str, variables: &[(&str, &str)]) -> String {
    let host = Host::default();
    let script = place::script("probe_script");
    let line = format!("{} run {} --dir / --param case={case}", place::host().display(), script.display());
    // script(1), of util-linux, runs a command on a pseudo terminal.
    let mut terminal = std::process::Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_remove("CI").env_remove("NO_COLOR");
    terminal.env("TERM", "xterm").env("MONKEYCI_HOME", host.home()).envs(variables.iter().copied());
    let output = terminal.stdin(std::process::Stdio::null()).output().expect("script runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    text
}

#[test]
fn what_a_script_says_can_not_change_the_terminal() {
    let host = Host::default();
    let script = place::script("probe_script");
    for command in ["run", "check"] {
        let arguments = ["--dir", "/", "--param", "case=define-says-escapes"];
        let output = host.command(&[command]).arg(&script).args(arguments).output().expect("the host runs");
        assert_eq!(output.status.code(), Some(3));
        let text = [output.stdout, output.stderr].concat();
        assert!(!text.contains(&b'\x1b'), "{command}: {}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn a_terminal_gets_colours_unless_it_wants_none() {
    let text = on_a_terminal("events", &[]);
    assert!(text.contains("\x1b[32msuccess\x1b[0m") && text.contains("report: said it"), "{text}");
    let text = on_a_terminal("events", &[("NO_COLOR", "1")]);
    assert!(!text.contains("\x1b[32m") && text.contains("report: said it"), "{text}");
}

#[test]
fn check_prints_the_graph_and_runs_nothing() {
    let host = Host::default();
    let script = place::script("quickstart");
    let output = host.command(&["check", "--json"]).arg(script).output().expect("the host runs");
    assert_eq!(output.status.code(), Some(0));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let ids: Vec<_> = answer["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].clone()).collect();
    assert_eq!(ids, ["prepare", "unit-test", "integration-test", "package", "report"]);
    assert_eq!(std::fs::read_dir(host.home().join("run")).expect("run").count(), 0);
}

#[test]
fn inspect_lists_the_permissions_of_a_script() {
    let output = Host::default().command(&["inspect", "--json"]).arg(place::script("quickstart")).output();
    let output = output.expect("the host runs");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let imports: Vec<_> = found["imports"].as_array().expect("imports").iter().filter_map(|it| it.as_str()).collect();
    for interface in ["build-info", "events", "jobs", "params"] {
        assert!(imports.contains(&format!("monkeyci:script/{interface}@0.1.1").as_str()), "{imports:?}");
    }
    // What it does not use, it does not ask for; and a mere type is no permission.
    let others = ["sockets", "http", "artifacts", "workspace", "results"];
    assert!(!imports.iter().any(|import| others.iter().any(|other| import.contains(other))), "{imports:?}");
    assert!(!imports.contains(&"job"), "{imports:?}");
    let producers = found["producers"].as_array().expect("producers");
    assert!(producers.iter().any(|it| it["field"] == "language" && it["name"] == "Rust"), "{producers:?}");
}

#[test]
fn a_home_that_cannot_be_used_exits_with_4_and_names_it() {
    let host = Host::default();
    let file = host.home().join("file");
    std::fs::write(&file, "").expect("written");
    let output = host.command(&["run"]).arg(place::script("quickstart")).arg("--home").arg(&file).output();
    let output = output.expect("the host runs");
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(file.to_str().expect("text")) && text.contains("name another home with --home"), "{text}");
}

#[test]
fn nothing_of_a_home_is_within_reach_of_others_also_where_it_was_there_before() {
    let host = Host::default();
    let set = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    };
    set(host.home());
    assert_eq!(host.run("action-exits", &[]).code, Some(1));
    let files = monkeyci_tests::host::files(host.home());
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let below = file.ancestors().take_while(|path| *path != host.home());
        let mode = |path: &std::path::Path| std::os::unix::fs::MetadataExt::mode(&path.metadata().expect("there"));
        assert!(below.map(mode).any(|mode| mode & 0o077 == 0), "{} is open to others", file.display());
    }
}

#[test]
fn a_directory_without_a_script_has_no_tests_to_run() {
    let host = Host::default();
    for dir in [host.home().to_str().expect("text"), "/no/such/directory"] {
        let output = host.command(&["test", dir]).output().expect("the host runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(dir), "{output:?}");
    }
}

#[test]
fn what_follows_two_dashes_reaches_the_tests_of_a_script() {
    let host = Host::default();
    let dir = host.home().join("script");
    std::fs::create_dir(&dir).expect("a directory");
    let manifest = "[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\nmonkeyci-sdk = \"0.1\"\n";
    std::fs::write(dir.join("Cargo.toml"), manifest).expect("written");
    // In cargo's place, so that nothing is compiled: it says what it was called with.
    let cargo = dir.join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\n[ \"$1\" = --version ] && echo 'host: here' || echo \"called: $*\"\n")
        .expect("written");
    std::fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    let called = |arguments: &[&str]| {
        let mut command = host.command(&["test", dir.to_str().expect("text")]);
        let output = command.args(arguments).env("CARGO", &cargo).output().expect("the host runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for arguments in [&["--", "--nocapture"][..], &["one", "--", "--nocapture"], &["one", "--release"]] {
        let called = called(arguments);
        assert!(called.contains(&format!("--target here {}\n", arguments.join(" "))), "{arguments:?}: {called}");
    }
}
