//! The job can't look into its launcher, nor speak in its place: in a PID namespace as a container has it, as a user without any
//! rights and as root without the right to debug. Needs to be root itself.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::env;
use std::ffi::{c_int, c_long};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Command as Process;

use monkeyci_build::{Command, Ending};
use rig::{Rig, argv, each, plan, shell};

unsafe extern "C" {
    fn ptrace(request: c_int, ...) -> c_long;
    fn syscall(number: c_long, ...) -> c_long;
}

const PTRACE_SEIZE: c_int = 0x4206;
const SYS_PIDFD_OPEN: c_long = 434;
const SYS_PIDFD_GETFD: c_long = 438;

/// Says to the test inside of the job that it is there.
const INSIDE: &str = "PRIVACY_TEST_INSIDE";

/// Rigs whose launcher is PID 1, once with each user.
fn rigs() -> Vec<Rig> {
    let namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let users = [
        &["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"][..],
        // What root of a container has, as far as it may matter here.
        &["setpriv", "--bounding-set=-all,+chown,+dac_override,+fowner,+kill,+setgid,+setuid", "--inh-caps=-all"],
    ];
    let rig = |user: &&[&str]| {
        let wrapper: Vec<_> = namespace.iter().chain(*user).map(|word| (*word).to_owned()).collect();
        let allowed = Process::new(&wrapper[0]).args(&wrapper[1..]).arg("true").status();
        assert!(allowed.is_ok_and(|status| status.success()), "{user:?} is not possible here: it takes root");
        let mut rig = Rig::new();
        fs::set_permissions(rig.path(""), Permissions::from_mode(0o755)).unwrap();
        // Where this user finds it.
        let program = rig.path("program");
        fs::copy(rig::PROGRAM, &program).unwrap();
        rig.launcher = vec![program.to_str().unwrap().to_owned()];
        rig.wrapper = wrapper;
        rig
    };
    users.iter().map(rig).collect()
}

fn refused(what: &str, result: io::Result<()>) {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(1 | 13)) => {}
        other => panic!("{what}: {other:?}"),
    }
}

fn done(result: c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What a hostile job tries with its launcher.
fn attack() {
    // SAFETY: the calls take numbers only.
    unsafe {
        refused("ptrace", done(ptrace(PTRACE_SEIZE, 1 as c_long, 0 as c_long, 0 as c_long)));
        let pidfd = syscall(SYS_PIDFD_OPEN, 1 as c_long, 0 as c_long);
        assert!(pidfd >= 0, "{}", io::Error::last_os_error());
        for fd in 0..20 as c_long {
            refused("pidfd_getfd", done(syscall(SYS_PIDFD_GETFD, pidfd, fd, 0 as c_long)));
        }
    }
    for file in ["environ", "mem", "auxv"] {
        refused(file, File::open(format!("/proc/1/{file}")).map(drop));
    }
    for fd in 0..20 {
        // As root the links can be seen, but not followed.
        refused(
            "fd",
            File::options().write(true).open(format!("/proc/1/fd/{fd}")).map(drop).map_err(|error| {
                if error.kind() == io::ErrorKind::NotFound { io::Error::from_raw_os_error(1) } else { error }
            }),
        );
    }
    for link in ["exe", "cwd", "root", "fd/1", "fd/2"] {
        refused(link, fs::read_link(format!("/proc/1/{link}")).map(drop));
    }
}

#[test]
fn a_job_can_not_look_into_its_launcher() {
    if env::var_os(INSIDE).is_some() {
        return attack();
    }
    for mut rig in rigs() {
        let own = rig.path("attacker");
        fs::copy(env::current_exe().unwrap(), &own).unwrap();
        rig.env = vec![(INSIDE.to_owned(), "1".to_owned())];
        let attack = argv(&[own.to_str().unwrap(), "--exact", "a_job_can_not_look_into_its_launcher", "--nocapture"]);
        let done = rig.run(plan(attack));
        assert_eq!(done.ending(), &Ending::Succeeded, "{}{}", rig.stdout(), rig.stderr_of_job());
        assert!(rig.stdout().contains("1 passed"), "{}", rig.stdout());
    }
}

#[test]
fn a_job_is_more_likely_to_be_killed_for_memory_than_its_launcher() {
    let count = |text: &str| -> Vec<i32> { text.lines().map(|line| line.trim().parse().unwrap()).collect() };
    let own = count(&fs::read_to_string("/proc/self/oom_score_adj").unwrap())[0];
    // The launcher has its job's score while it starts it, and its own again when the job may run already.
    let launcher = format!(
        "i=0; while test $(cat /proc/1/oom_score_adj) != {own} && test $i -lt 6000; do i=$((i + 1)); sleep 0.01; done; \
         cat /proc/1/oom_score_adj"
    );
    let lines = ["cat /proc/self/oom_score_adj", "(sh -c 'cat /proc/self/oom_score_adj')", &launcher];
    for kind in [shell as fn(&[&str]) -> Command, each] {
        for rig in rigs() {
            assert_eq!(rig.run(plan(kind(&lines))).ending(), &Ending::Succeeded, "{}", rig.stderr_of_job());
            assert_eq!(count(&rig.stdout()), [own + 500, own + 500, own]);
        }
    }
}

#[test]
fn a_launcher_that_nobody_looks_into_still_says_why_nothing_was_run() {
    for mut rig in rigs() {
        rig.services = "db=127.0.0.1".to_owned();
        let mut plan = plan(shell(&["true"]));
        plan.work_dir = "../elsewhere".to_owned();
        assert_eq!(rig.run(plan).launcher_code, Some(125));
        assert!(rig.stderr("launcher").contains("nothing was run: "), "{}", rig.stderr("launcher"));
    }
}

#[test]
fn a_job_may_be_debugged_and_dump_its_core() {
    for rig in rigs() {
        // The mode of what belongs to the process says whether the kernel lets its user look into it.
        let done =
            rig.shell(&["test -r /proc/self/mem", "sh -c 'test \"$(stat -c %u /proc/self/mem)\" = \"$(id -u)\"'"]);
        assert_eq!(done.ending(), &Ending::Succeeded, "{}", rig.stderr_of_job());
    }
}
