//! Whatever dies, the other side ends at once and nothing is left behind.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use bytes::BytesMut;
use monkeyci_api::{LogFrame, LogStream, ServiceProbe, SidecarReport};
use monkeyci_build::{Ending, RestoreArtifact};
use monkeyci_sidecar::protocol::{Decoder, Frame, FromLauncher, ProcessEnd, ToLauncher, decode, encode};
use rig::{Guard, Rig, plan, runs, shell, until};
use rustix::process::Signal;

/// It would outlive every test.
const STUBBORN: [&str; 4] = [
    "trap '' TERM HUP INT",
    "setsid sh -c 'echo $$ >child; sleep 1000' &",
    "while ! test -s child; do sleep 0.01; done",
    "echo $$ >main; echo ready; sleep 1000; true",
];

#[test]
fn when_the_sidecar_dies_the_job_dies_with_it() {
    let rig = Rig::new();
    let mut running = rig.start(plan(shell(&STUBBORN)));
    running.until_logged("ready");
    running.sidecar.signal(Signal::KILL);
    assert_eq!(running.launcher.wait(), Some(125));
    assert!(!runs(&rig.work("main")) && !runs(&rig.work("child")));
    assert!(rig.stderr("launcher").contains("the sidecar went away"), "{}", rig.stderr("launcher"));
}

#[test]
fn when_the_sidecar_dies_a_job_that_floods_its_output_dies_too() {
    let rig = Rig::new();
    let mut running = rig.start(plan(shell(&["echo $$ >main; echo ready; yes"])));
    running.until_logged("ready");
    running.sidecar.signal(Signal::KILL);
    assert_eq!(running.launcher.wait(), Some(125));
    assert!(!runs(&rig.work("main")));
}

#[test]
fn when_the_launcher_dies_the_sidecar_says_so() {
    let rig = Rig::new();
    let mut running = rig.start(plan(shell(&["echo $$ >main; echo ready; exec sleep 1000"])));
    running.until_logged("ready");
    running.launcher.signal(Signal::KILL);
    assert_eq!(running.sidecar.wait(), Some(0));
    assert_eq!(rig.api.state().result, Some(SidecarReport::LauncherGone { during: None }));
    assert_eq!(rig.stdout(), "ready\n");
    // In a container it would have died with its launcher.
    rig::kill(&rig.work("main"));
}

#[test]
fn when_the_launcher_dies_before_the_command_the_sidecar_says_so() {
    let mut rig = Rig::new();
    rig.services = "db=127.0.0.1".to_owned();
    let mut plan = plan(shell(&["true"]));
    plan.services = vec![ServiceProbe { name: "db".to_owned(), ports: vec![1], timeout_ms: 60_000 }];
    let path = "last".to_owned();
    plan.restore_artifacts =
        vec![RestoreArtifact { id: path.clone(), path, if_there: true, ..RestoreArtifact::default() }];
    let mut running = rig.start(plan);
    until("the last of it", || rig.host_lines().contains("artifact last is not there"));
    running.launcher.signal(Signal::KILL);
    assert_eq!(running.sidecar.wait(), Some(0));
    let during = Some("waiting for service db".to_owned());
    assert_eq!(rig.api.state().result, Some(SidecarReport::LauncherGone { during }));
}

#[test]
fn when_the_build_api_is_gone_everything_ends() {
    let mut rig = Rig::new();
    rig.api.state().plan = Some(plan(shell(&["touch started; while ! test -e go; do sleep 0.02; done"])));
    let (mut launcher, mut sidecar) = (Guard(rig.launcher()), Guard(rig.sidecar()));
    until("the job to start", || rig.work("started").exists());
    rig.api.stop();
    fs::write(rig.work("go"), "").unwrap();
    assert_eq!(sidecar.wait(), Some(i32::from(monkeyci_api::WAITED_IN_VAIN)));
    let said = rig.stderr("sidecar");
    assert!(said.contains("the host was away for 10 s, and no other one went on with the build"), "{said}");
    launcher.wait();
}

#[test]
fn a_log_that_fails_does_not_fail_the_job() {
    let rig = Rig::new();
    rig.api.state().log_refused = true;
    let done = rig.shell(&["head -c 5000000 /dev/zero"]);
    assert_eq!(done.ending(), &Ending::Succeeded);
    assert!(rig.stderr("sidecar").contains("a part of the log is lost"), "{}", rig.stderr("sidecar"));
}

#[test]
fn the_sidecar_dies_of_term() {
    let rig = Rig::new();
    let mut running = rig.start(plan(shell(&["echo ready; sleep 1000"])));
    running.until_logged("ready");
    running.sidecar.signal(Signal::TERM);
    assert_eq!(running.sidecar.wait(), Some(143));
    assert_eq!(running.launcher.wait(), Some(125));
}

#[test]
fn a_sidecar_of_another_version_fails_and_says_why() {
    let rig = Rig::new();
    let config = fs::read_to_string(rig.path("config.json")).unwrap();
    fs::write(rig.path("config.json"), config.replace(monkeyci_api::API_VERSION, "0.0.0")).unwrap();
    let mut sidecar = Guard(rig.sidecar());
    assert_eq!(sidecar.wait(), Some(1));
    assert!(rig.stderr("sidecar").contains("the host is of version 0.0.0"), "{}", rig.stderr("sidecar"));
}

#[test]
fn only_the_first_who_comes_is_the_launcher() {
    let rig = Rig::new();
    let running = rig.start(plan(shell(&["echo ready", "while ! test -e go; do sleep 0.02; done"])));
    running.until_logged("ready");
    assert_eq!(fs::metadata(rig.path("l.sock")).unwrap().mode() & 0o777, 0o666);
    let error = UnixStream::connect(rig.path("l.sock")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    fs::write(rig.work("go"), "").unwrap();
    assert_eq!(running.finish().ending(), &Ending::Succeeded);
}

#[test]
fn output_in_the_hosts_name_is_taken_from_nobody() {
    let rig = Rig::new();
    rig.api.state().plan = Some(plan(shell(&["true"])));
    let mut sidecar = Guard(rig.sidecar());
    until("the socket", || rig.path("l.sock").exists());
    let mut launcher = UnixStream::connect(rig.path("l.sock")).unwrap();
    let mut bytes = BytesMut::new();
    let version = monkeyci_api::API_VERSION.to_owned();
    encode(&FromLauncher::Hello { version, uid: 0, gid: 0 }, &mut bytes).unwrap();
    launcher.write_all(&bytes).unwrap();
    until("the command", || rig.api.state().running);
    bytes.clear();
    let forged = bytes::Bytes::from_static(b"saved the artifact\n");
    LogFrame { stream: LogStream::Host, time_ms: 1, bytes: forged }.encode(&mut bytes);
    encode(&FromLauncher::Exited { end: ProcessEnd::Code(0), line: None, oom_kills: 0 }, &mut bytes).unwrap();
    launcher.write_all(&bytes).unwrap();
    assert_eq!(sidecar.wait(), Some(1));
    let report = rig.api.state().result.take();
    let Some(SidecarReport::Ended(Ending::SidecarFailed { step, reason })) = report else { panic!("{report:?}") };
    assert_eq!((step.as_str(), reason.as_str()), ("listening to the launcher", "it sent output in the host's name"));
    assert_eq!(rig.host_lines(), "");
}

#[test]
fn a_launcher_of_another_version_is_refused() {
    let rig = Rig::new();
    rig.api.state().plan = Some(plan(shell(&["true"])));
    let mut sidecar = Guard(rig.sidecar());
    until("the socket", || rig.path("l.sock").exists());
    let mut launcher = UnixStream::connect(rig.path("l.sock")).unwrap();
    let mut hello = BytesMut::new();
    encode(&FromLauncher::Hello { version: "0.0.0".to_owned(), uid: 0, gid: 0 }, &mut hello).unwrap();
    launcher.write_all(&hello).unwrap();
    let mut answer = Decoder::default();
    let mut bytes = Vec::new();
    launcher.read_to_end(&mut bytes).unwrap();
    answer.buffer().extend_from_slice(&bytes);
    let Some(Frame::Control(json)) = answer.next_frame().unwrap() else { panic!("{bytes:?}") };
    let ToLauncher::Refuse { reason } = decode(&json).unwrap() else { panic!("{json:?}") };
    assert!(reason.starts_with("the launcher is of version 0.0.0, the sidecar of version"), "{reason}");
    assert_eq!(sidecar.wait(), Some(1));
    let report = rig.api.state().result.take();
    let Some(SidecarReport::Ended(Ending::SidecarFailed { step, .. })) = report else { panic!("{report:?}") };
    assert_eq!(step, "waiting for the launcher");
}
