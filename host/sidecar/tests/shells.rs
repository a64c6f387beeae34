//! Shells: which one runs the lines, and one for each line.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use monkeyci_build::{Command, Ending, ShellCommand, ShellLine};
use rig::{Rig, argv, each, plan};
use rustix::process::Signal;

fn exited(code: i32, number: u32, text: &str) -> Ending {
    Ending::Exited { code, line: Some(ShellLine { number, text: text.to_owned() }) }
}

fn program(program: &[&str], lines: &[&str], each: bool) -> Command {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Command::Shell(ShellCommand { lines: own(lines), program: own(program), each })
}

#[test]
fn lines_run_in_the_shell_that_the_job_asks_for() {
    for each in [false, true] {
        let rig = Rig::new();
        let done = rig.run(plan(program(&["/bin/bash", "-f"], &["echo ${BASH_VERSION:+bash} *"], each)));
        assert_eq!(done.ending(), &Ending::Succeeded);
        assert_eq!(rig.stdout(), "bash *\n");
    }
}

#[test]
fn a_shell_that_is_not_there_is_named() {
    for each in [false, true] {
        let done = Rig::new().run(plan(program(&["/bin/nosuchshell"], &["true"], each)));
        let command = "/bin/nosuchshell".to_owned();
        assert_eq!(done.ending(), &Ending::CommandNotFound { command, image: "image:1".to_owned() });
    }
}

#[test]
fn a_shell_with_its_own_arguments_still_names_the_line_that_fails() {
    let rig = Rig::new();
    let done = rig.run(plan(program(&["bash", "-e", "-u"], &["echo one", "echo $nothing", "echo three"], false)));
    assert_eq!(done.ending(), &exited(1, 2, "echo $nothing"), "{}", rig.stderr_of_job());
}

#[test]
fn a_pipe_fails_with_any_of_its_commands_only_where_bash_is_asked_for_by_name() {
    for each in [false, true] {
        for bash in [&["bash"][..], &["/bin/bash", "-u"], &["/usr/bin/env", "bash"]] {
            let done = Rig::new().run(plan(program(bash, &["true", "false | true"], each)));
            assert_eq!(done.ending(), &exited(1, 2, "false | true"), "{bash:?}");
        }
        for other in [&[][..], &["/bin/sh", "-u"]] {
            let done = Rig::new().run(plan(program(other, &["true", "false | true"], each)));
            assert_eq!(done.ending(), &Ending::Succeeded, "{other:?}");
        }
    }
}

#[test]
fn each_line_in_its_own_shell_sees_nothing_of_the_one_before() {
    let rig = Rig::new();
    let lines = ["mkdir sub; cd sub; word=x; set -f", "basename \"$PWD\"; echo \"[$word]\"", "exit 0", "echo end"];
    let done = rig.run(plan(each(&lines)));
    assert_eq!(done.ending(), &Ending::Succeeded, "{}", rig.stderr_of_job());
    assert_eq!(rig.stdout(), "work\n[]\nend\n");
}

#[test]
fn the_first_shell_that_fails_ends_the_job_and_its_line_is_named() {
    for (line, code) in [("false", 1), ("exit 7", 7), ("nosuchprogram", 127), ("if true; then", 2)] {
        let rig = Rig::new();
        let done = rig.run(plan(each(&["echo before", line, "echo after"])));
        assert_eq!(done.ending(), &exited(code, 2, line));
        assert_eq!(rig.stdout(), "before\n");
    }
    let done = Rig::new().run(plan(each(&["true", "kill -SEGV $$", "true"])));
    let line = Some(ShellLine { number: 2, text: "kill -SEGV $$".to_owned() });
    assert_eq!(done.ending(), &Ending::Signalled { signal: 11, line });
}

#[test]
fn what_a_line_starts_in_the_background_runs_until_the_job_ends() {
    let rig = Rig::new();
    let lines = [
        "sleep 1000 & echo $! >pid",
        "kill -0 $(cat pid) && echo runs",
        "(while ! test -e go; do sleep 0.01; done; echo late) &",
        "touch go; sleep 0.2",
    ];
    let done = rig.run(plan(each(&lines)));
    assert_eq!(done.ending(), &Ending::Succeeded, "{}", rig.stderr_of_job());
    assert_eq!(rig.stdout(), "runs\nlate\n");
    assert!(!rig::runs(&rig.work("pid")));
}

#[test]
fn a_job_that_is_stopped_starts_no_further_line() {
    for (line, ending) in [
        ("trap 'exit 0' TERM; echo ready; while true; do sleep 0.02; done", None),
        ("trap 'exit 5' TERM; echo ready; while true; do sleep 0.02; done", Some(5)),
    ] {
        let rig = Rig::new();
        let running = rig.start(plan(each(&[line, "echo no"])));
        running.until_logged("ready");
        running.launcher.signal(Signal::TERM);
        let at = Some(ShellLine { number: 1, text: line.to_owned() });
        let expected = match ending {
            None => Ending::Signalled { signal: 15, line: at },
            Some(code) => Ending::Exited { code, line: at },
        };
        assert_eq!(running.finish().ending(), &expected);
        assert_eq!(rig.stdout(), "ready\n");
    }
}

#[test]
fn a_shell_that_a_line_removes_is_missed_by_the_next() {
    let rig = Rig::new();
    let shell = rig.path("shell");
    fs::copy("/bin/sh", &shell).unwrap();
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    let shell = shell.to_str().unwrap();
    let done = rig.run(plan(program(&[shell], &[&format!("echo one; rm {shell}"), "echo two"], true)));
    assert_eq!(done.ending(), &Ending::CommandNotFound { command: shell.to_owned(), image: "image:1".to_owned() });
    assert_eq!((rig.stdout().as_str(), done.launcher_code), ("one\n", Some(127)));
}

#[test]
fn no_lines_succeed() {
    for each in [false, true] {
        assert_eq!(Rig::new().run(plan(program(&[], &[], each))).ending(), &Ending::Succeeded);
    }
}

#[test]
fn an_entrypoint_runs_the_command() {
    let run = |command| {
        let mut rig = Rig::new();
        let entrypoint = rig.path("entrypoint");
        fs::write(&entrypoint, "#!/bin/sh\nshift\nexport SET_UP=yes\nexec \"$@\"\n").unwrap();
        fs::set_permissions(&entrypoint, fs::Permissions::from_mode(0o755)).unwrap();
        for word in [entrypoint.to_str().unwrap(), "-x"] {
            rig.launcher.extend(["--entrypoint".to_owned(), word.to_owned()]);
        }
        let done = rig.run(plan(command));
        (done.ending().clone(), rig.stdout())
    };
    let say = "echo $SET_UP";
    for each in [false, true] {
        let ended = run(program(&[], &[say, "false | true", "exit 3"], each));
        assert_eq!(ended, (exited(3, 3, "exit 3"), "yes\n".to_owned()));
        let bash = run(program(&["/bin/bash"], &[say, "false | true"], each));
        assert_eq!(bash, (exited(1, 2, "false | true"), "yes\n".to_owned()));
    }
    assert_eq!(run(argv(&["sh", "-c", say])), (Ending::Succeeded, "yes\n".to_owned()));
}

#[test]
fn an_entrypoint_that_is_not_there_is_named() {
    let mut rig = Rig::new();
    rig.launcher.extend(["--entrypoint", "/no/entrypoint"].map(str::to_owned));
    let command = "/no/entrypoint".to_owned();
    let ending = Ending::CommandNotFound { command, image: "image:1".to_owned() };
    assert_eq!(rig.run(plan(argv(&["true"]))).ending(), &ending);
}
