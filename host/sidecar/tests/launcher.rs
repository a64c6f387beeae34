//! The launcher alone, against a sidecar that is this test.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use bytes::BytesMut;
use monkeyci_api::{API_VERSION, Hidden};
use monkeyci_build::JobBreaks;
use monkeyci_sidecar::protocol::{Decoder, Failure, Frame, FromLauncher, ProcessEnd, ToLauncher, decode, encode};
use rig::{Guard, Rig, argv, shell};
use rustix::process::Signal;

struct Sidecar {
    stream: UnixStream,
    inbox: Decoder,
}

impl Sidecar {
    /// Listens as a sidecar does, and takes the launcher's connection.
    fn meet(socket: &Path) -> Self {
        let unfinished = socket.with_extension("new");
        let listener = UnixListener::bind(&unfinished).unwrap();
        fs::rename(unfinished, socket).unwrap();
        let mut sidecar = Self { stream: listener.accept().unwrap().0, inbox: Decoder::default() };
        let FromLauncher::Hello { version, uid, gid } = sidecar.hear() else { panic!("no Hello") };
        assert_eq!(version, API_VERSION);
        assert_eq!((uid, gid), (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()));
        sidecar
    }

    fn say(&mut self, message: &ToLauncher) {
        let mut bytes = BytesMut::new();
        encode(message, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next control message; output before it is passed over.
    fn hear(&mut self) -> FromLauncher {
        loop {
            match self.inbox.next_frame().unwrap() {
                Some(Frame::Control(json)) => return decode(&json).unwrap(),
                Some(Frame::Output(_)) => {}
                None => {
                    let mut chunk = [0; 4096];
                    let n = self.stream.read(&mut chunk).unwrap();
                    assert!(n > 0, "the launcher has gone");
                    self.inbox.buffer().extend_from_slice(&chunk[..n]);
                }
            }
        }
    }
}

fn go(command: monkeyci_build::Command) -> ToLauncher {
    ToLauncher::Go { command, work_dir: "/".to_owned(), env: Hidden::default(), breaks: JobBreaks::default() }
}

#[test]
fn the_launcher_waits_for_the_socket_and_then_loses_no_time() {
    let rig = Rig::new();
    let mut launcher = Guard(rig.launcher());
    rig::until_it_waits_for_the_socket(&launcher.0);
    // Other files in the volume don't confuse it, nor does a socket on which nobody listens.
    let other = || fs::write(rig.path("other"), "").unwrap();
    let unheard = || drop(UnixListener::bind(rig.path("l.sock")).unwrap());
    for appear in [&other as &dyn Fn(), &unheard] {
        let before = rig::idle(launcher.0.id());
        appear();
        rig::until("the launcher to have looked at it", || rig::idle(launcher.0.id()) > before);
    }
    let mut sidecar = Sidecar::meet(&rig.path("l.sock"));
    sidecar.say(&go(argv(&["true"])));
    assert_eq!(sidecar.hear(), FromLauncher::Exited { end: ProcessEnd::Code(0), line: None, oom_kills: 0 });
    sidecar.say(&ToLauncher::Bye);
    assert_eq!(launcher.wait(), Some(0));
}

#[test]
fn the_launcher_stays_until_bye() {
    let rig = Rig::new();
    let mut launcher = Guard(rig.launcher());
    let mut sidecar = Sidecar::meet(&rig.path("l.sock"));
    sidecar.say(&go(shell(&["exit 7"])));
    assert_eq!(sidecar.hear(), FromLauncher::Exited { end: ProcessEnd::Code(7), line: Some(1), oom_kills: 0 });
    rig::until("the launcher to have nothing more to do", || rig::idle(launcher.0.id()).is_some());
    assert!(launcher.0.try_wait().unwrap().is_none());
    sidecar.say(&ToLauncher::Bye);
    assert_eq!(launcher.wait(), Some(7));
}

#[test]
fn term_ends_a_launcher_whose_job_does_not_run() {
    let rig = Rig::new();
    let mut waiting = Guard(rig.launcher());
    rig::until_it_waits_for_the_socket(&waiting.0);
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.wait(), Some(143));

    let mut connected = Guard(rig.launcher());
    let _sidecar = Sidecar::meet(&rig.path("l.sock"));
    connected.signal(Signal::TERM);
    assert_eq!(connected.wait(), Some(143));
    fs::remove_file(rig.path("l.sock")).unwrap();

    let mut done = Guard(rig.launcher());
    let mut sidecar = Sidecar::meet(&rig.path("l.sock"));
    sidecar.say(&go(shell(&["exit 7"])));
    sidecar.hear();
    done.signal(Signal::TERM);
    assert_eq!(done.wait(), Some(7));
}

#[test]
fn a_refusal_is_printed() {
    let rig = Rig::new();
    let mut launcher = Guard(rig.launcher());
    Sidecar::meet(&rig.path("l.sock")).say(&ToLauncher::Refuse { reason: "no luck".to_owned() });
    assert_eq!(launcher.wait(), Some(125));
    assert_eq!(rig.stderr("launcher"), "monkeyci launcher: nothing was run: no luck\n");
}

#[test]
fn a_sidecar_that_talks_nonsense_ends_the_job() {
    for nonsense in [&b"\0\0\0\0\x02{}"[..], b"\0\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n", b"\0\0\0\0\x05\"bye\""] {
        let rig = Rig::new();
        let mut launcher = Guard(rig.launcher());
        let mut sidecar = Sidecar::meet(&rig.path("l.sock"));
        sidecar.say(&go(shell(&["sleep 1000"])));
        sidecar.stream.write_all(nonsense).unwrap();
        assert_eq!(launcher.wait(), Some(125), "{nonsense:?}");
        assert!(rig.stderr("launcher").contains("the sidecar sent"), "{}", rig.stderr("launcher"));
    }
}

#[test]
fn a_slow_sidecar_delays_no_signal() {
    let rig = Rig::new();
    let mut launcher = Guard(rig.launcher());
    let mut sidecar = Sidecar::meet(&rig.path("l.sock"));
    let file = rig.path("caught");
    let lines = [format!("trap 'touch {}; exit 9' TERM", file.display()), "yes & wait".to_owned()];
    sidecar.say(&go(shell(&[&lines[0], &lines[1]])));
    // Nobody reads the output: pipe and socket fill up, until nothing more can be written.
    rig::until("the job to be stuck", || {
        let of_the_shell = rig::children(launcher.0.id()).into_iter().flat_map(rig::children);
        of_the_shell.into_iter().any(|process| rig::status(process, "Name") == "yes" && rig::idle(process).is_some())
    });
    launcher.signal(Signal::TERM);
    rig::until("the signal to arrive", || file.exists());
    assert_eq!(sidecar.hear(), FromLauncher::Exited { end: ProcessEnd::Code(9), line: Some(2), oom_kills: 0 });
    sidecar.say(&ToLauncher::Bye);
    assert_eq!(launcher.wait(), Some(9));
}

#[test]
fn a_missing_working_directory_is_not_a_missing_command() {
    let rig = Rig::new();
    let mut launcher = Guard(rig.launcher());
    let mut sidecar = Sidecar::meet(&rig.path("l.sock"));
    sidecar.say(&ToLauncher::Go {
        command: argv(&["nosuchprogram"]),
        work_dir: "/no/such/directory".to_owned(),
        env: Hidden::default(),
        breaks: JobBreaks::default(),
    });
    let said = sidecar.hear();
    assert!(matches!(said, FromLauncher::Failed(Failure::BadWorkDir { .. })), "{said:?}");
    sidecar.say(&ToLauncher::Bye);
    assert_eq!(launcher.wait(), Some(125));
}

#[test]
fn without_the_volume_the_launcher_says_so() {
    let mut launcher = std::process::Command::new(rig::PROGRAM);
    let output = launcher.args(["launcher", "--socket", "/no/such/volume/l.sock"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is the shared volume mounted?"), "{said}");
}

#[test]
fn a_wrong_command_line_is_said_to_be() {
    for (arguments, code) in
        [(&["--nonsense"][..], 2), (&[], 2), (&["launcher", "--nonsense", "x"], 125), (&["sidecar", "--config"], 1)]
    {
        let output = std::process::Command::new(rig::PROGRAM).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Usage:"), "{arguments:?}");
    }
    let output = std::process::Command::new(rig::PROGRAM).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("monkeyci-sidecar {API_VERSION}\n"));
}
