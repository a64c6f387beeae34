//! Ctrl-C, where somebody looks into a job, or watches.

use std::io::Read;
use std::process::Stdio;

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Host, assert_nothing_left};
use monkeyci_tests::repository::Repository;
use rustix::process::{Pid, Signal, kill_process};

use crate::{broken, said};

pub fn a_shell_that_is_left_by_ctrl_c_exits_with_130_and_leaves_nothing_of_what_was_kept(engine: &Engine) {
    let (host, repository) = (Host::on(engine), Repository::default());
    broken(&host, &repository);
    let mut left =
        host.command(&["shell", "--engine", &engine.address, "broken", "--", "sh", "-c", "echo in; sleep 300"]);
    let mut left = left.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the host starts");
    left.stdout.as_mut().expect("piped").read_exact(&mut [0; 3]).expect("a line");
    kill_process(Pid::from_child(&left), Signal::INT).expect("signalled");
    let (code, _, err) = said(&left.wait_with_output().expect("an end"));
    assert!(code == Some(130) && err.contains("removed the containers of the job"), "{code:?} {err}");
    assert_nothing_left(engine, &host);
}

pub fn a_build_that_is_watched_is_ended_by_ctrl_c_and_leaves_nothing(engine: &Engine) {
    let (host, repository) = (Host::on(engine), Repository::default());
    let mut watching = host.start("sleeps", &["--watch", "--dir", repository.path().to_str().expect("text")]);
    watching.wait_until_running("sleeper");
    kill_process(watching.pid(), Signal::INT).expect("signalled");
    let ended = watching.end();
    assert_eq!((ended.code, ended.cause("sleeper")), (Some(130), "cancelled"), "{ended:#?}");
    assert_eq!(ended.of_type("build/ended").next().map(|event| event["status"] == "cancelled"), Some(true));
    assert_nothing_left(engine, &host);
}
