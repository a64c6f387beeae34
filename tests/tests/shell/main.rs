//! `shell`: a program in the container of a job that runs, or of a failed one that was kept; `debug`; on every engine.

mod first_steps;
mod held;
mod leaving;
mod typist;

use std::io::{Read, Write};
use std::process::{Output, Stdio};

use monkeyci_tests::engine::Engine;
use monkeyci_tests::hang_guard;
use monkeyci_tests::host::{Ended, Host, assert_nothing_left, files};
use monkeyci_tests::on_each_engine;
use monkeyci_tests::repository::Repository;
use rustix::process::{Pid, Signal};

use held::{
    a_job_that_fails_is_held_as_it_is_until_a_person_lets_it_go_on,
    a_job_that_is_held_outlives_its_host_and_goes_with_its_build,
};
use leaving::{
    a_build_that_is_watched_is_ended_by_ctrl_c_and_leaves_nothing,
    a_shell_that_is_left_by_ctrl_c_exits_with_130_and_leaves_nothing_of_what_was_kept,
};
use typist::Typist;

on_each_engine! {
    a_shell_enters_a_job_that_runs_and_exits_as_its_last_command
    a_terminal_is_passed_on_with_its_size_its_keys_and_its_exit_code
    a_failed_job_is_entered_as_it_was_left_with_its_services_and_without_its_secrets
    what_is_kept_of_a_failed_job_stays_until_a_shell_in_it_ends
    what_is_kept_of_a_failed_job_outlives_its_host_and_stays_when_the_build_is_ended
    a_shell_that_is_left_by_ctrl_c_exits_with_130_and_leaves_nothing_of_what_was_kept
    a_build_that_is_watched_is_ended_by_ctrl_c_and_leaves_nothing
    a_job_that_fails_is_held_as_it_is_until_a_person_lets_it_go_on
    a_job_that_is_held_outlives_its_host_and_goes_with_its_build
}

/// `shell` with these arguments, which reads `input`.
fn shell(host: &Host, engine: &Engine, arguments: &[&str], input: &str) -> Output {
    let mut command = host.command(&["shell", "--engine", &engine.address]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the host starts");
    // One that reads nothing may have ended before.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("an end")
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn a_shell_enters_a_job_that_runs_and_exits_as_its_last_command(engine: &Engine) {
    let host = Host::on(engine);
    let mut build = host.start("sleeps", &[]);
    build.wait_until_running("sleeper");
    let script = "pwd; echo $MONKEYCI_JOB; echo to stderr >&2\nexit 7";
    let (code, out, err) = said(&shell(&host, engine, &["sleeper"], script));
    assert_eq!((code, err.as_str()), (Some(7), "to stderr\n"));
    assert_eq!(out, "/monkeyci/work\nsleeper\n");
    let input: String = (0..40_000).map(|number| format!("{number}\n")).collect();
    let (code, out, err) = said(&shell(&host, engine, &["sleeper", "--", "cat"], &input));
    assert!(code == Some(0) && out == input, "{} of {} bytes, {err}", out.len(), input.len());
    // Whatever it is, and how much.
    let command = ["latest", "sleeper", "--", "sh", "-c", "head -c 300000 /dev/zero; kill -TERM $$"];
    let output = shell(&host, engine, &command, "");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(143), 300_000));
    let (code, out, err) = said(&shell(&host, engine, &["sleeper", "--", "no-such-program"], ""));
    assert_eq!((code, out.as_str()), (Some(127), ""), "{err}");
    assert!(err.contains("can't run \"no-such-program\""), "{err}");
    for (wrong, word) in [("nobody", "its container jobs are sleeper, after"), ("after", "has not run")] {
        let (code, _, err) = said(&shell(&host, engine, &[wrong], ""));
        assert!(code == Some(2) && err.contains(word), "{err}");
    }
    // Somebody who has enough of it leaves it, also where nobody reads what it prints.
    for (command, held) in [("echo in; sleep 300", 3), ("echo in; exec cat /dev/zero", 60_000)] {
        let mut left = host.command(&["shell", "--engine", &engine.address, "sleeper", "--", "sh", "-c", command]);
        let mut left = left.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the host starts");
        let stdout = left.stdout.take().expect("piped");
        hang_guard::until("what it prints", || rustix::io::ioctl_fionread(&stdout).expect("a pipe") >= held);
        rustix::process::kill_process(Pid::from_child(&left), Signal::INT).expect("signalled");
        let (code, _, err) = said(&left.wait_with_output().expect("an end"));
        assert!(code == Some(130) && err.contains("monkeyci-host: stopping"), "{command}: {code:?} {err}");
    }
    // It goes with the job.
    let mut waits =
        host.command(&["shell", "--engine", &engine.address, "sleeper", "--", "sh", "-c", "echo in; sleep 300"]);
    let mut waits = waits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the host starts");
    let mut first = [0; 3];
    waits.stdout.as_mut().expect("piped").read_exact(&mut first).expect("a line");
    engine.kill(&host.owner(), "sleeper", "job");
    let (code, _, err) = said(&waits.wait_with_output().expect("an end"));
    assert_eq!(code, Some(137), "{err}");
    assert!(err.contains("the job has ended"), "{err}");
    build.end();
    let (code, _, err) = said(&shell(&host, engine, &["sleeper"], ""));
    assert_eq!(code, Some(2));
    assert!(err.contains("are gone: `run --keep-failed` keeps those of a job that fails"), "{err}");
    assert_nothing_left(engine, &host);
}

fn a_terminal_is_passed_on_with_its_size_its_keys_and_its_exit_code(engine: &Engine) {
    let host = Host::on(engine);
    let mut build = host.start("sleeps", &[]);
    build.wait_until_running("sleeper");
    let (mut typist, terminal) = Typist::at(&host.command(&["shell", "--engine", &engine.address, "sleeper"]));
    typist.sees(" # ");
    // What is typed is echoed by the terminal in the container, once; so each answer differs from what asks for it.
    typist.types("stty size; echo \"$TERM\" a\"\"n answer\r");
    let shown = typist.sees("xterm an answer");
    assert!(shown.contains("40 120"), "{shown:?}");
    let terminal = std::fs::File::open(terminal).expect("a terminal");
    let size = rustix::termios::Winsize { ws_row: 33, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&terminal, size).expect("resized");
    typist.types("until stty size | grep '^33 99'; do sleep 0.1; done\r");
    typist.sees("\n33 99");
    // Ctrl-C is the program's in there, and not the host's.
    typist.types("sh -c 'echo it r\"\"uns; sleep 300'\r");
    typist.sees("it runs\r\n");
    typist.types("\x03");
    typist.sees(" # ");
    typist.types("echo $((40 + 2))\r");
    typist.sees("\n42");
    if engine.address.contains("docker") {
        // Bytes that begin a frame where there are frames.
        typist.types("printf '\\001\\002\\000\\000\\000\\000\\000\\000'; echo whole $((1 + 1))\r");
        typist.sees("whole 2");
    }
    // Ctrl-D ends the shell, at its prompt: while a command runs it is that command's.
    typist.sees(" # ");
    typist.types("(exit 5)\r");
    typist.sees(" # ");
    typist.types("\x04");
    assert_eq!(typist.end(), Some(5));
    assert_eq!(build.events().last().map(|event| event["type"] == "build/ended"), Some(false), "the job runs on");
    rustix::process::kill_process(build.pid(), rustix::process::Signal::INT).expect("signalled");
    build.end();
    assert_nothing_left(engine, &host);
}

/// Runs a build whose job `broken` fails, and is kept.
fn broken(host: &Host, repository: &Repository) -> Ended {
    repository.write("sub/file", "");
    let secret = repository.path().join("../token");
    std::fs::write(&secret, "hunter22").expect("written");
    let token = format!("token={}", secret.display());
    let of_service = repository.path().join("../key");
    std::fs::write(&of_service, "s3sam3").expect("written");
    let key = format!("key={}", of_service.display());
    let dir = repository.path().to_str().expect("text");
    let ended = host.run("inside", &["--dir", dir, "--secret", &token, "--secret", &key, "--keep-failed"]);
    assert_eq!((ended.code, ended.cause("broken")), (Some(1), "exited"), "{ended:#?}");
    ended
}

/// The files of the host's home that the secret of the job's service stands in.
fn with_the_services_secret(host: &Host) -> Vec<std::path::PathBuf> {
    let has_it = |path: &std::path::PathBuf| {
        // A file may go meanwhile.
        std::fs::read(path).unwrap_or_default().windows(6).any(|bytes| bytes == b"s3sam3")
    };
    files(host.home()).into_iter().filter(has_it).collect()
}

fn a_failed_job_is_entered_as_it_was_left_with_its_services_and_without_its_secrets(engine: &Engine) {
    let (host, repository) = (Host::on(engine), Repository::default());
    broken(&host, &repository);
    let rights = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/self/status | diff rights - && echo same";
    let script = format!(
        "pwd; id -u; cat made /tmp/beside; echo $GREETING $WORD; {rights}; wget -q -O - http://web:8080/x
         wget -q -O - http://web:8080/key
         echo \"token: $TOKEN $TOKEN_FILE\"; ls /monkeyci/files; nc -w 1 198.18.0.1 22 </dev/null || echo fenced"
    );
    let (code, out, err) = said(&shell(&host, engine, &["--keep", "broken"], &script));
    let expected = "/monkeyci/work/sub\n1000\nmade\nbeside\nhello told\nsame\nserved\n\ntoken:  \nfenced\n";
    assert_eq!((code, out.as_str()), (Some(0), expected), "{err}");

    // Nor does a service's secret lie where the host keeps things, while nobody has given it again.
    assert_eq!(with_the_services_secret(&host), [] as [std::path::PathBuf; 0]);

    let secrets =
        "echo \"$TOKEN\" | rev; rev <$TOKEN_FILE; ls -l $TOKEN_FILE | cut -c 1-10; wget -q -O - http://web:8080/key";
    let (code, _, err) = said(&shell(&host, engine, &["--keep", "--with-secrets", "broken"], secrets));
    assert!(code == Some(2) && err.contains("needs --secret key=FILE --secret token=FILE"), "{err}");
    let key = format!("key={}", repository.path().join("../key").display());
    let wrong = repository.path().join("../wrong");
    std::fs::write(&wrong, "hunter23").expect("written");
    for (file, expected) in [("wrong", None), ("token", Some("22retnuh\n22retnuh-r--------\n3mas3s\n"))] {
        let token = format!("token={}", repository.path().join("..").join(file).display());
        let (code, out, err) = said(&shell(
            &host,
            engine,
            &["--keep", "--with-secrets", "--secret", &token, "--secret", &key, "broken"],
            secrets,
        ));
        match expected {
            Some(expected) => assert_eq!((code, out.as_str()), (Some(0), expected), "{err}"),
            None => assert!(code == Some(2) && err.contains("\"token\" is not what"), "{err}"),
        }
    }
    // And they are not left there.
    assert_eq!(with_the_services_secret(&host), [] as [std::path::PathBuf; 0]);
    let none = "ls /monkeyci/files; echo \"$TOKEN\"; wget -q -O - http://web:8080/key";
    let (_, out, err) = said(&shell(&host, engine, &["broken"], none));
    assert_eq!(out, "\n\n", "{err}");
    assert!(err.contains("removed the containers"), "{err}");
    assert_nothing_left(engine, &host);
}

fn what_is_kept_of_a_failed_job_stays_until_a_shell_in_it_ends(engine: &Engine) {
    let (host, repository) = (Host::on(engine), Repository::default());
    let ended = broken(&host, &repository);
    let build = ended.of_type("build/triggered").next().expect("a build")["build"].as_str().expect("text").to_owned();
    let kept = engine.leftovers(&host.owner());
    assert!(kept.iter().any(|name| name.contains("-shared")), "{kept:?}");
    assert_eq!(host.run("hello", &[]).code, Some(0));
    // Nor does whoever would like to go on with the build, and is refused.
    let (code, _, err) = said(&host.command(&["resume", &build]).output().expect("the host runs"));
    assert!(code == Some(2) && err.contains("is over"), "{err}");
    let gc = |arguments: &[&str]| {
        let mut command = host.command(&["gc", "--engine", &engine.address]);
        let (code, out, err) = said(&command.args(arguments).output().expect("the host runs"));
        assert_eq!(code, Some(0), "{err}");
        out
    };
    let named = gc(&[]);
    let (short, address) = (build.rsplit('/').next().expect("a part"), &engine.address);
    let looks =
        format!("kept: `monkeyci-host shell {short} broken --engine {address}` looks into a failed job of {build}");
    assert!(named.contains(&looks) && named.ends_with("0 removed\n"), "{named}");
    assert_eq!(engine.leftovers(&host.owner()), kept, "neither a build nor `gc` removes what is kept");

    // Nobody removes what somebody is in.
    let mut first =
        host.command(&["shell", "--engine", &engine.address, &build, "broken", "--", "sh", "-c", "echo in; cat"]);
    let mut first = first.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the host starts");
    first.stdout.as_mut().expect("piped").read_exact(&mut [0; 3]).expect("a line");
    assert!(gc(&["--kept"]).ends_with("0 removed\n"));
    let (code, out, err) = said(&shell(&host, engine, &[&build, "broken", "--", "cat", "made"], ""));
    assert_eq!((code, out.as_str()), (Some(0), "made\n"), "{err}");
    assert_eq!(engine.leftovers(&host.owner()), kept, "the last one removes it");
    drop(first.stdin.take());
    assert!(first.wait().expect("an end").success());
    assert_nothing_left(engine, &host);

    // Or `gc` does, where nobody is.
    broken(&host, &repository);
    assert_eq!(gc(&["--kept", "--dry-run"]), gc(&["--kept"]).replace("removed", "would be removed"));
    assert_nothing_left(engine, &host);
}

fn what_is_kept_of_a_failed_job_outlives_its_host_and_stays_when_the_build_is_ended(engine: &Engine) {
    let host = Host::on(engine);
    let mut build = host.start("inside-open", &["--keep-failed"]);
    build.wait_for(|event| event["type"] == "job/blocked");
    build.wait_for(|event| event["type"] == "job/ended" && event["job"] == "broken");
    let id = build.build_id();
    let kept = host.home().join("run").join(id.replace('/', "_")).join("jobs/broken-1/kept.json");
    hang_guard::until("the containers that are kept", || kept.exists());
    rustix::process::kill_process(build.pid(), rustix::process::Signal::KILL).expect("signalled");
    build.wait_for_exit();
    let kept = engine.leftovers(&host.owner());
    // Another build sweeps.
    assert_eq!(host.run("hello", &[]).code, Some(0));
    assert_eq!(engine.leftovers(&host.owner()), kept);
    let enter = |arguments: &[&str]| {
        let arguments = [arguments, &[&id, "broken", "--", "cat", "made"]].concat();
        let (code, out, err) = said(&shell(&host, engine, &arguments, ""));
        assert_eq!((code, out.as_str()), (Some(0), "made\n"), "{err}");
    };
    enter(&["--keep"]);
    let mut command = host.command(&["cancel", "--engine", &engine.address, &id]);
    let (code, out, err) = said(&command.output().expect("the host runs"));
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(engine.leftovers(&host.owner()), kept);
    enter(&[]);
    assert_nothing_left(engine, &host);
}

#[test]
fn a_failed_build_names_the_command_that_enters_what_was_kept() {
    let engine = Engine::docker();
    for keep in ["--keep-failed", "--keep"] {
        let (host, repository) = (Host::on(&engine), Repository::default());
        let mut command = host.command(&["run", "--progress", "plain", keep, "--engine", &engine.address]);
        command.arg(monkeyci_tests::place::script("probe_script")).arg("--dir").arg(repository.path());
        command.args(["--param", "case=exit-3", "--param", &format!("image={}", monkeyci_tests::place::image())]);
        let (code, out, err) = said(&command.output().expect("the host runs"));
        assert_eq!(code, Some(1), "{out}{err}");
        let line = out.lines().find_map(|line| line.trim().strip_prefix("monkeyci-host shell "));
        let line = line.unwrap_or_else(|| panic!("{out}"));
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words.len(), &words[1..]), (4, ["fails", "--engine", engine.address.as_str()].as_slice()));
        let mut command = host.command(&["shell"]);
        let (code, out, err) = said(&command.args(words).args(["--", "pwd"]).output().expect("the host runs"));
        assert_eq!((code, out.as_str()), (Some(0), "/monkeyci/work\n"), "{err}");
        if keep == "--keep" {
            // All was to be kept, and a shell changes nothing about that.
            assert!(!engine.leftovers(&host.owner()).is_empty());
            let mut command = host.command(&["gc", "--kept", "--engine", &engine.address]);
            assert!(command.output().expect("the host runs").status.success());
        }
        assert_nothing_left(&engine, &host);
    }
}
