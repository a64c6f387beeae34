//! Every command, where the home is not as it should be: a sentence that says what to do, and the exit code of its kind.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use monkeyci_storage::journal::LAYOUT;
use monkeyci_tests::hang_guard;
use monkeyci_tests::host::Host;
use monkeyci_tests::place;
use rustix::process::{Pid, Signal, kill_process};

use crate::looking::database;

/// What a command does with a home.
#[derive(Clone, Copy, PartialEq)]
enum Uses {
    /// It needs one that is there.
    One,
    /// It makes one where none is.
    Makes,
    /// It makes one where none is, and runs until somebody stops it.
    Serves,
    /// None.
    None,
}

/// All commands, and how to call those that use a home.
const COMMANDS: [(&str, Uses, &[&str]); 35] = [
    ("new", Uses::None, &[]),
    ("import", Uses::None, &[]),
    ("run", Uses::Makes, &[]),
    ("check", Uses::Makes, &[]),
    ("plan", Uses::Makes, &[]),
    ("sim", Uses::None, &[]),
    ("test", Uses::None, &[]),
    ("list", Uses::One, &[]),
    ("show", Uses::One, &[]),
    ("logs", Uses::One, &[]),
    ("events", Uses::One, &[]),
    ("artifacts", Uses::One, &[]),
    ("tests", Uses::One, &[]),
    ("shell", Uses::One, &["latest", "job"]),
    ("debug", Uses::One, &["latest", "job", "--continue"]),
    ("approve", Uses::One, &["latest", "job"]),
    ("publish", Uses::One, &["latest", "event"]),
    ("cancel", Uses::One, &["latest"]),
    ("resume", Uses::One, &[]),
    ("rerun", Uses::One, &["--failed"]),
    ("export", Uses::One, &["latest"]),
    ("replay", Uses::One, &["latest"]),
    ("inspect", Uses::None, &[]),
    ("schema", Uses::None, &[]),
    ("limits", Uses::None, &[]),
    ("gc", Uses::One, &[]),
    ("doctor", Uses::None, &[]),
    ("completions", Uses::None, &[]),
    ("man", Uses::None, &[]),
    ("version", Uses::None, &[]),
    ("config", Uses::None, &[]),
    ("help", Uses::None, &[]),
    ("secret", Uses::None, &[]),
    ("param", Uses::None, &[]),
    ("serve", Uses::Serves, &["--listen", "127.0.0.1:0"]),
];

/// Calls of all commands that use a home, for this one.
fn calls<'a>(host: &'a Host, home: &'a Path) -> impl Iterator<Item = (&'static str, Uses, Command)> + 'a {
    COMMANDS.iter().filter(|(_, uses, _)| *uses != Uses::None).map(move |(name, uses, more)| {
        let mut command = host.command(&[name]);
        command.args(*more).arg("--home").arg(home);
        if *name == "export" {
            // What it writes goes with the test.
            command.current_dir(host.home());
        }
        if *uses == Uses::Makes {
            command.arg(place::script("probe_script")).arg("--dir").arg(code(host));
            command.args(["--param", "case=nothing", "--param", "image=none", "--param", "scratch-image=none"]);
        }
        (*name, *uses, command)
    })
}

/// Code that has no file.
fn code(host: &Host) -> std::path::PathBuf {
    let code = host.home().join("code");
    fs::create_dir_all(&code).expect("made");
    code
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().expect("the host runs");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn no_command_is_missing_here() {
    let help = Host::cold().command(&["--help"]).output().expect("the host runs").stdout;
    let help = String::from_utf8(help).expect("text");
    let (_, commands) = help.split_once("Commands:\n").expect("commands");
    let (commands, _) = commands.split_once("\n\n").expect("an end");
    let known =
        commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|word| !word.is_empty()));
    let (mut known, mut here): (Vec<_>, Vec<_>) = (known.collect(), COMMANDS.map(|(name, ..)| name).to_vec());
    known.sort_unstable();
    here.sort_unstable();
    assert_eq!(known, here);
}

#[test]
fn a_home_that_is_not_there_is_made_by_what_runs_scripts_and_by_nothing_else() {
    let host = Host::cold();
    for (name, uses, mut command) in
        calls(&host, &host.home().join("gone")).filter(|(_, uses, _)| *uses != Uses::Serves)
    {
        let (code, err) = said(&mut command);
        if uses == Uses::Makes {
            assert_eq!(code, Some(0), "{name}: {err}");
            fs::remove_dir_all(host.home().join("gone")).expect("it is made");
            continue;
        }
        assert!(code == Some(2) && err.contains("there is no home of monkeyci-host at"), "{name}: {code:?} {err}");
        assert!(!host.home().join("gone").exists(), "{name}");
    }
}

#[test]
fn a_home_of_another_user_is_refused_by_every_command() {
    if !rustix::process::geteuid().is_root() {
        return; // Nobody else can make one.
    }
    let host = Host::cold();
    let home = host.home().join("theirs");
    fs::create_dir(&home).expect("made");
    std::os::unix::fs::chown(&home, Some(4711), None).expect("root may");
    for (name, _, mut command) in calls(&host, &home) {
        let (code, err) = said(&mut command);
        assert!(code == Some(4) && err.contains("belongs to the user 4711"), "{name}: {code:?} {err}");
        assert_eq!(fs::read_dir(&home).expect("read").count(), 0, "{name}");
    }
}

#[test]
fn a_newer_journal_is_refused_by_every_command_and_left_as_it_was() {
    let host = Host::cold();
    let home = host.home().join("newer");
    fs::create_dir(&home).expect("made");
    let journal = database(99);
    fs::write(home.join("journal.db"), &journal).expect("written");
    for (name, _, mut command) in calls(&host, &home) {
        let (code, err) = said(&mut command);
        let why =
            format!("has layout 99, and this version knows {LAYOUT}: use the version of monkeyci-host that wrote it");
        assert!(code == Some(4) && err.contains(&why), "{name}: {code:?} {err}");
        assert!(fs::read(home.join("journal.db")).expect("read") == journal, "{name}");
    }
}

#[test]
fn on_a_full_disk_every_command_does_its_work_or_says_that_there_is_no_room() {
    let host = Host::default();
    let small = host.small_home();
    let home = small.path.clone();
    let mut first = calls(&host, &home).find(|(name, ..)| *name == "run").expect("a run").2;
    assert_eq!(said(&mut first).0, Some(0));
    small.fill();
    for (name, _, mut command) in calls(&host, &home).filter(|(_, uses, _)| *uses != Uses::Serves) {
        let (code, err) = said(&mut command);
        // The build has no such job, and does not run: those that need more of it say so, and no more.
        let is_said = match code {
            Some(0 | 2) => true,
            Some(4) => err.contains("No space left on device") || err.contains("is full"),
            _ => false,
        };
        assert!(is_said, "{name}: {code:?} {err}");
    }
}

#[test]
fn a_server_makes_a_home_serves_also_on_a_full_disk_or_says_why_not_and_is_ended_by_ctrl_c() {
    let host = Host::default();
    let small = host.small_home();
    for (home, is_full) in [(host.home().join("gone"), false), (small.path.clone(), true)] {
        if is_full {
            small.fill();
        }
        let mut command = calls(&host, &home).find(|(name, ..)| *name == "serve").expect("it is a command").2;
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the host starts");
        let stdout = child.stdout.take().expect("piped");
        let has_ended = hang_guard::found("a word of the server's", || {
            let has_ended = child.try_wait().expect("a process").is_some();
            (has_ended || rustix::io::ioctl_fionread(&stdout).expect("a pipe") > 0).then_some(has_ended)
        });
        if !has_ended {
            kill_process(Pid::from_child(&child), Signal::INT).expect("signalled");
        }
        let ended = child.wait_with_output().expect("an end");
        let (out, err) = (std::io::read_to_string(stdout).expect("text"), String::from_utf8_lossy(&ended.stderr));
        match ended.status.code() {
            Some(0) => assert!(out.starts_with("listening on ") && out.contains("shutting down"), "{out}{err}"),
            Some(4) if is_full => assert!(err.contains("No space left on device") || err.contains("is full"), "{err}"),
            code => panic!("{is_full}: {code:?} {out}{err}"),
        }
        assert!(is_full || home.join("journal.db").exists(), "it is made");
    }
}

#[test]
fn what_prints_for_nobody_who_reads_is_ended_by_ctrl_c() {
    let host = Host::default();
    let code = host.home().join("code");
    fs::create_dir(&code).expect("made");
    let mut build = host.start("action-prints", &["--dir", code.to_str().expect("text")]);
    let mut printed = 0;
    while printed < 1 << 20 {
        let event = build.wait_for(|event| event["type"] == "log");
        printed += event["text"].as_str().map_or(0, str::len);
    }
    kill_process(build.pid(), Signal::INT).expect("signalled");
    assert_eq!(build.end().code, Some(130));
    let mut command = host.command(&["logs"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the host starts");
    let stdout = child.stdout.take().expect("piped");
    hang_guard::until("a full pipe", || rustix::io::ioctl_fionread(&stdout).expect("a pipe") > 60_000);
    kill_process(Pid::from_child(&child), Signal::INT).expect("signalled");
    let ended = hang_guard::found_or(|| child.try_wait().expect("a process").map(Some), || None);
    if ended.is_none() {
        // It would keep its pipe, and the test.
        child.kill().expect("killed");
    }
    assert_eq!(ended.map(|ended| ended.code()), Some(Some(130)));
}

#[test]
fn what_follows_a_build_is_ended_by_ctrl_c_with_130_and_a_word() {
    let host = Host::default();
    let mut build = host.start("resume-approval", &[]);
    build.wait_for(|event| event["type"] == "job/blocked");
    for follow in ["events", "logs"] {
        let mut command = host.command(&[follow, "--follow"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the host starts");
        let pid = Pid::from_child(&child);
        let takes = || fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        // From then on it minds signals.
        hang_guard::until("a handler for SIGINT", || {
            let status = takes();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 2 != 0)
        });
        kill_process(pid, Signal::INT).expect("signalled");
        let mut err = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().expect("piped"), &mut err).expect("text");
        assert_eq!(child.wait().expect("an end").code(), Some(130), "{follow}: {err}");
        assert!(err.contains("stopped before its end"), "{follow}: {err}");
    }
    kill_process(build.pid(), Signal::INT).expect("signalled");
    assert_eq!(build.end().code, Some(130));
}
