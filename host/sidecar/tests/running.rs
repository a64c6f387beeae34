//! Commands run as they should, and end as they did.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use monkeyci_api::LogStream;
use monkeyci_build::{Command, Ending, ShellLine};
use rig::{Rig, argv, each, plan, runs, shell};
use rustix::process::Signal;

fn exited(code: i32, number: u32, text: &str) -> Ending {
    Ending::Exited { code, line: Some(ShellLine { number, text: text.to_owned() }) }
}

#[test]
fn a_command_that_exits_with_0_succeeds() {
    let rig = Rig::new();
    let done = rig.shell(&["echo hello", "echo world >&2"]);
    assert_eq!(done.ending(), &Ending::Succeeded);
    assert_eq!((done.sidecar_code, done.launcher_code), (Some(0), Some(0)));
    assert_eq!((rig.stdout(), rig.stderr_of_job()), ("hello\n".to_owned(), "world\n".to_owned()));
    assert_eq!(rig.host_lines(), "");
    assert!(rig.api.state().running);
}

#[test]
fn the_exit_code_and_the_failing_line_are_reported() {
    let rig = Rig::new();
    let done = rig.shell(&["echo one", "echo two; exit 3", "echo three"]);
    assert_eq!(done.ending(), &exited(3, 2, "echo two; exit 3"));
    assert_eq!(done.launcher_code, Some(3));
    assert_eq!(rig.stdout(), "one\ntwo\n");
}

#[test]
fn the_first_line_that_fails_ends_the_job() {
    for (line, code) in
        [("false", 1), ("true && false", 1), ("false && true", 1), ("true | (exit 4)", 4), ("nosuchprogram", 127)]
    {
        let rig = Rig::new();
        let done = rig.shell(&["echo before", line, "echo after"]);
        assert_eq!(done.ending(), &exited(code, 2, line));
        assert_eq!(rig.stdout(), "before\n");
    }
}

#[test]
fn a_command_that_fails_inside_a_line_ends_the_job() {
    let lines =
        ["echo first\nfalse\necho after", "false; true", "if true; then\n  false\n  echo after\nfi", "(false; true)"];
    for kind in [shell as fn(&[&str]) -> Command, each] {
        for line in lines {
            let rig = Rig::new();
            let done = rig.run(plan(kind(&["echo before", line, "echo after"])));
            assert_eq!(done.ending(), &exited(1, 2, line));
            assert!(!rig.stdout().contains("after"), "{line:?}: {}", rig.stdout());
        }
    }
}

#[test]
fn a_failure_that_a_line_looks_at_is_none() {
    let rig = Rig::new();
    let lines = [
        "false || true",
        "if false; then echo no; fi",
        "! false",
        "false && echo no; true",
        "# nothing",
        "",
        "echo end",
    ];
    assert_eq!(rig.shell(&lines).ending(), &Ending::Succeeded, "{}", rig.stderr_of_job());
    assert_eq!(rig.stdout(), "end\n");
}

#[test]
fn a_line_that_sets_plus_e_has_the_status_of_its_last_command() {
    for kind in [shell as fn(&[&str]) -> Command, each] {
        let rig = Rig::new();
        let done = rig.run(plan(kind(&["set +e; false; true", "set +e\ntrue\nfalse", "echo no"])));
        assert_eq!(done.ending(), &exited(1, 2, "set +e\ntrue\nfalse"));
        let done = Rig::new().run(plan(kind(&["set +e; false; true", "false; true"])));
        assert_eq!(done.ending(), &exited(1, 2, "false; true"), "it counts for its own line");
    }
}

#[test]
fn directory_variables_and_functions_carry_over_from_line_to_line() {
    let rig = Rig::new();
    let done = rig.shell(&[
        "mkdir sub && cd sub",
        "word=it\\'s; greet() { echo \"$1 $word\"; }",
        "greet \"$(basename \"$PWD\")\"",
        "cat <<END\n$word here\nEND",
        "for i in 1 2; do\n  echo $i\ndone",
        "exec 9>lock; echo x >&9",
    ]);
    assert_eq!(done.ending(), &Ending::Succeeded, "{}", rig.stderr_of_job());
    assert_eq!(rig.stdout(), "sub it's\nit's here\n1\n2\n");
}

#[test]
fn exit_0_ends_the_job_with_success() {
    let rig = Rig::new();
    let done = rig.shell(&["echo one", "exit 0", "echo two"]);
    assert_eq!(done.ending(), &Ending::Succeeded);
    assert_eq!(rig.stdout(), "one\n");
}

#[test]
fn a_syntax_error_is_its_own_lines() {
    for line in ["if true; then", "echo 'unclosed", "fi", "( echo"] {
        let rig = Rig::new();
        let done = rig.shell(&["echo one", line, "echo three"]);
        assert_eq!(done.ending(), &exited(2, 2, line), "{}", rig.stderr_of_job());
        assert_eq!(rig.stdout(), "one\n");
    }
}

#[test]
fn a_signal_is_reported_apart_from_a_code() {
    let rig = Rig::new();
    let done = rig.shell(&["true", "kill -SEGV $$"]);
    let line = Some(ShellLine { number: 2, text: "kill -SEGV $$".to_owned() });
    assert_eq!(done.ending(), &Ending::Signalled { signal: 11, line });
    assert_eq!(done.launcher_code, Some(128 + 11));
    let done = Rig::new().shell(&["exit 139"]);
    assert_eq!(done.ending(), &exited(139, 1, "exit 139"));
}

#[test]
fn a_long_line_is_shortened_in_the_report() {
    let line = format!("# {}\nfalse", "é".repeat(1000));
    let done = Rig::new().shell(&[&line]);
    let Ending::Exited { line: Some(line), .. } = done.ending() else { panic!("{done:?}") };
    assert_eq!(line.text.chars().count(), 257);
    assert!(line.text.ends_with('…'));
}

#[test]
fn a_program_runs_without_a_shell() {
    let rig = Rig::new();
    let done = rig.run(plan(argv(&["printf", "%s|", "$HOME", "a b", ";"])));
    assert_eq!(done.ending(), &Ending::Succeeded);
    assert_eq!(rig.stdout(), "$HOME|a b|;|");
    let done = Rig::new().run(plan(argv(&["false"])));
    assert_eq!(done.ending(), &Ending::Exited { code: 1, line: None });
}

#[test]
fn a_program_that_is_not_there_is_named() {
    for program in ["nosuchprogram", "/no/such/program", "./nosuchprogram", ""] {
        let rig = Rig::new();
        let done = rig.run(plan(argv(&[program, "argument"])));
        let expected = Ending::CommandNotFound { command: program.to_owned(), image: "image:1".to_owned() };
        assert_eq!(done.ending(), &expected);
        assert_eq!((done.sidecar_code, done.launcher_code), (Some(0), Some(127)));
    }
}

#[test]
fn a_program_that_can_not_run_is_named_with_the_reason() {
    let rig = Rig::new();
    fs::write(rig.path("data"), "no program").unwrap();
    fs::write(rig.path("script"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(rig.path("script"), fs::Permissions::from_mode(0o755)).unwrap();
    for (program, expected) in [
        (rig.path("data"), "Permission denied"),
        (rig.path(""), "Permission denied"),
        (rig.path("script"), "interpreter"),
        ("/bin/echo\0".into(), "NUL"),
    ] {
        let program = program.to_str().unwrap();
        let done = rig.run(plan(argv(&[program])));
        match done.ending() {
            Ending::NotExecutable { command, reason, .. } if command == program => {
                assert!(reason.contains(expected), "{reason}");
            }
            other => panic!("{program}: {other:?}"),
        }
        assert_eq!(done.launcher_code, Some(126));
    }
}

#[test]
fn lines_that_are_too_long_for_the_system_are_said_to_be() {
    let line = format!(": {}", "x".repeat(200_000));
    let done = Rig::new().shell(&[&line]);
    assert!(matches!(done.ending(), Ending::NotExecutable { reason, .. } if reason.contains("128 KiB")), "{done:?}");
}

#[test]
fn the_working_directory_is_below_the_workspace() {
    let rig = Rig::new();
    let from = tempfile::tempdir().unwrap();
    fs::create_dir_all(from.path().join("a/b")).unwrap();
    let mut tar = Vec::new();
    monkeyci_archive::pack_workspace(from.path(), &monkeyci_archive::WorkspaceFiles::all(), &mut tar).unwrap();
    rig.api.state().workspace = Some(tar);
    let mut plan = plan(shell(&["pwd"]));
    plan.work_dir = "a/b".to_owned();
    assert_eq!(rig.run(plan).ending(), &Ending::Succeeded);
    assert_eq!(rig.stdout().trim_end(), rig.work("a/b").to_str().unwrap());
}

#[test]
fn a_working_directory_that_is_missing_is_said_to_be() {
    let rig = Rig::new();
    let mut plan = plan(shell(&["echo no"]));
    plan.work_dir = "missing".to_owned();
    let done = rig.run(plan);
    let Ending::StartFailed { reason, .. } = done.ending() else { panic!("{done:?}") };
    assert!(reason.starts_with("its working directory \"missing\" can't be entered: No such file"), "{reason}");
}

#[test]
fn a_working_directory_outside_the_workspace_is_refused() {
    let rig = Rig::new();
    let mut plan = plan(shell(&["echo no"]));
    plan.work_dir = "../elsewhere".to_owned();
    let done = rig.run(plan);
    assert!(matches!(done.ending(), Ending::SidecarFailed { .. }), "{done:?}");
    assert_eq!((done.sidecar_code, done.launcher_code), (Some(1), Some(125)));
}

#[test]
fn standard_input_is_empty() {
    let rig = Rig::new();
    assert_eq!(rig.shell(&["wc -c"]).ending(), &Ending::Succeeded);
    assert_eq!(rig.stdout().trim(), "0");
}

#[test]
fn ten_megabytes_on_both_streams_arrive_whole_and_apart() {
    let rig = Rig::new();
    let done =
        rig.shell(&["head -c 10000000 /dev/zero | tr '\\0' o & head -c 10000000 /dev/zero | tr '\\0' e >&2; wait"]);
    assert_eq!(done.ending(), &Ending::Succeeded);
    for (stream, byte) in [(LogStream::Stdout, b'o'), (LogStream::Stderr, b'e')] {
        let logged = rig.logged(stream);
        assert_eq!(logged.len(), 10_000_000);
        assert!(logged.iter().all(|b| *b == byte));
    }
    let log = rig.log();
    assert!(log.windows(2).all(|pair| pair[0].time_ms <= pair[1].time_ms), "times go back");
}

#[test]
fn output_that_is_not_text_arrives_as_it_is() {
    let rig = Rig::new();
    let done = rig.shell(&["printf '\\377\\000\\376'", "printf 'no newline'"]);
    assert_eq!(done.ending(), &Ending::Succeeded);
    assert_eq!(rig.logged(LogStream::Stdout), b"\xff\0\xfeno newline");
}

#[test]
fn output_arrives_while_the_job_runs() {
    let rig = Rig::new();
    let running = rig.start(plan(shell(&["echo ready", "while ! test -e go; do sleep 0.02; done"])));
    running.until_logged("ready");
    fs::write(rig.work("go"), "").unwrap();
    assert_eq!(running.finish().ending(), &Ending::Succeeded);
}

#[test]
fn a_background_process_that_holds_the_output_open_delays_nothing_and_is_killed() {
    let rig = Rig::new();
    let done = rig.shell(&[
        "sleep 1000 & echo $! >one",
        "setsid sh -c 'echo $$ >two; trap \"\" TERM HUP; sleep 1000' & while ! test -s two; do sleep 0.01; done",
        "echo done",
    ]);
    assert_eq!(done.ending(), &Ending::Succeeded);
    assert_eq!(rig.stdout(), "done\n");
    assert!(!runs(&rig.work("one")) && !runs(&rig.work("two")));
}

#[test]
fn what_a_background_process_wrote_before_the_end_is_logged() {
    let rig = Rig::new();
    let done = rig.shell(&[
        "(head -c 60000 /dev/zero; touch written; sleep 1000) &",
        "while ! test -e written; do sleep 0.01; done",
    ]);
    assert_eq!(done.ending(), &Ending::Succeeded);
    assert_eq!(rig.logged(LogStream::Stdout).len(), 60000);
}

#[test]
fn term_is_passed_on_to_the_job() {
    let rig = Rig::new();
    let lines = ["trap 'echo caught; exit 5' TERM", "echo ready", "while true; do sleep 0.02; done"];
    let running = rig.start(plan(shell(&lines)));
    running.until_logged("ready");
    running.launcher.signal(Signal::TERM);
    assert_eq!(running.finish().ending(), &exited(5, 3, lines[2]));
    assert_eq!(rig.stdout(), "ready\ncaught\n");
}

/// A program of the job's that has to clean up when it is stopped: not before a file is there, and only once.
const TOOL: &str = "#!/bin/sh
clean_up() { echo told; while ! test -e go; do sleep 0.02; done; echo cleaned; exit 0; }
trap clean_up TERM
echo ready
while true; do sleep 0.02; done
";

fn write_tool(rig: &Rig) -> String {
    let tool = rig.path("tool.sh");
    fs::write(&tool, TOOL).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    tool.display().to_string()
}

#[test]
fn a_tool_whose_shell_dies_of_term_has_the_time_to_clean_up() {
    for (line, in_the_group) in [("TOOL; true", true), ("setsid TOOL & wait", false)] {
        for kind in [shell as fn(&[&str]) -> Command, each] {
            let rig = Rig::new();
            let line = format!("echo $$ >main; {}", line.replace("TOOL", &write_tool(&rig)));
            let running = rig.start(plan(kind(&[&line, "echo no"])));
            running.until_logged("ready");
            running.launcher.signal(Signal::TERM);
            running.until_logged("told");
            rig::until("the shell to die", || !runs(&rig.work("main")));
            fs::write(rig.work("go"), "").unwrap();
            let done = running.finish();
            assert!(matches!(done.ending(), Ending::Signalled { signal: 15, .. }), "{done:?}");
            assert_eq!(rig.stdout(), "ready\ntold\ncleaned\n", "in the group: {in_the_group}");
        }
    }
}

#[test]
fn what_does_not_end_when_a_job_is_stopped_is_killed_in_the_end() {
    let mut rig = Rig::new();
    rig.launcher.extend(["--stop-limit", "0"].map(str::to_owned));
    let running =
        rig.start(plan(shell(&["setsid sh -c 'trap \"\" TERM; echo $$ >stubborn; echo ready; sleep 1000' & wait"])));
    running.until_logged("ready");
    running.launcher.signal(Signal::TERM);
    assert!(matches!(running.finish().ending(), Ending::Signalled { signal: 15, .. }));
    assert!(!runs(&rig.work("stubborn")));
}

#[test]
fn a_job_that_does_not_care_for_term_dies_of_it() {
    let rig = Rig::new();
    let running = rig.start(plan(argv(&["sh", "-c", "echo ready; sleep 1000; true"])));
    running.until_logged("ready");
    running.launcher.signal(Signal::TERM);
    assert_eq!(running.finish().ending(), &Ending::Signalled { signal: 15, line: None });
}

#[test]
fn the_job_has_the_containers_environment() {
    let mut rig = Rig::new();
    rig.env = (0..10).map(|i| (format!("BIG{i}"), "x".repeat(100_000))).collect();
    let done = rig.shell(&["echo ${#BIG0} ${#BIG9}", "env | grep -c MONKEYCI || true"]);
    assert_eq!(done.ending(), &Ending::Succeeded);
    let given = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n");
    let given = given.lines().filter(|line| line.contains("MONKEYCI")).count();
    assert_eq!(rig.stdout(), format!("100000 100000\n{}\n", given + 1), "nothing is added but the file for outputs");
}

#[test]
fn a_job_starts_with_no_signal_blocked_and_none_ignored_whatever_the_launcher_was_started_with() {
    let mut rig = Rig::new();
    rig.wrapper = ["sh", "-c", "trap '' INT QUIT USR1 PIPE; exec \"$@\"", "sh"].map(str::to_owned).to_vec();
    let done = rig.run(plan(argv(&["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])));
    assert_eq!(done.ending(), &Ending::Succeeded);
    let masks: Vec<_> = rig.stdout().lines().map(|line| u64::from_str_radix(&line[8..], 16).unwrap()).collect();
    assert_eq!(masks[0], 0, "blocked");
    // Above 31 are the C library's own; whoever runs this test may ignore those.
    assert_eq!(masks[1] & 0x7fff_ffff, 0, "ignored");
}

#[test]
fn a_job_that_failed_after_the_kernel_killed_for_memory_ran_out_of_memory() {
    for (line, expected) in [
        ("sh -c 'kill -9 $$'", Ending::OutOfMemory { limit_bytes: Some(1 << 20) }),
        ("sh -c 'kill -9 $$' || true", Ending::Succeeded),
    ] {
        let rig = Rig::new();
        fs::create_dir(rig.path("cgroup")).unwrap();
        let events = rig.path("cgroup/memory.events");
        fs::write(&events, "oom 1\noom_kill 1\n").unwrap();
        let count = format!("printf 'oom 2\\noom_kill 2\\n' >{}", events.display());
        let mut plan = plan(shell(&[&count, line]));
        plan.memory_bytes = Some(1 << 20);
        assert_eq!(rig.run(plan).ending(), &expected);
    }
}

#[test]
fn a_kill_for_memory_before_the_job_does_not_count() {
    let rig = Rig::new();
    fs::create_dir(rig.path("cgroup")).unwrap();
    fs::write(rig.path("cgroup/memory.events"), "oom_kill 1\n").unwrap();
    assert_eq!(rig.shell(&["exit 1"]).ending(), &exited(1, 1, "exit 1"));
}
