//! What the job gets beside its workspace, and what it says of its result.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use monkeyci_api::{Hidden, SidecarPlan};
use monkeyci_build::Ending;
use rig::{Rig, argv, each, plan, shell};

fn with_env(mut plan: SidecarPlan, env: &[(&str, &str)]) -> SidecarPlan {
    plan.env = Hidden(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
    plan
}

fn with_file(mut plan: SidecarPlan, name: &str, content: &[u8]) -> SidecarPlan {
    plan.files = Hidden(BTreeMap::from([(name.to_owned(), content.to_vec())]));
    plan
}

#[test]
fn the_plans_variables_count_before_the_containers() {
    for command in [shell(&["echo $KEPT $CHANGED $NEW"]), each(&["printf \"$KEPT \"", "echo $CHANGED $NEW"])] {
        let mut rig = Rig::new();
        rig.env = vec![("KEPT".to_owned(), "kept".to_owned()), ("CHANGED".to_owned(), "old".to_owned())];
        let done = rig.run(with_env(plan(command), &[("CHANGED", "a\nb = c"), ("NEW", "ü")]));
        assert_eq!(done.ending(), &Ending::Succeeded);
        assert_eq!(rig.stdout(), "kept a b = c ü\n");
    }
}

#[test]
fn a_program_is_looked_for_in_the_path_of_the_plan() {
    let rig = Rig::new();
    let done = rig.run(with_env(plan(argv(&["echo"])), &[("PATH", "/nowhere")]));
    assert!(matches!(done.ending(), Ending::CommandNotFound { .. }), "{done:?}");
}

#[test]
fn secrets_are_nowhere_but_in_the_job() {
    let rig = Rig::new();
    let job =
        plan(shell(&["test \"$TOKEN\" = hunter2 && test \"$(cat $FILE)\" = hunter3", "echo ready; sleep 0.3; false"]));
    let running = rig.start(with_file(with_env(job, &[("TOKEN", "hunter2")]), "FILE", b"hunter3"));
    running.until_logged("ready");
    for process in [&running.launcher, &running.sidecar] {
        for file in ["environ", "cmdline"] {
            let content = fs::read(format!("/proc/{}/{file}", process.0.id())).unwrap();
            assert!(!String::from_utf8_lossy(&content).contains("hunter"));
        }
    }
    assert!(matches!(running.finish().ending(), Ending::Exited { .. }));
    for text in [rig.stderr("launcher"), rig.stderr("sidecar"), rig.host_lines()] {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn files_are_outside_the_workspace_and_their_users_alone() {
    let mut rig = Rig::new();
    let root = rustix::process::geteuid().is_root();
    if root {
        fs::set_permissions(rig.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        rig.wrapper = ["setpriv", "--reuid", "1234", "--regid", "5678", "--clear-groups"].map(str::to_owned).to_vec();
    }
    let job = plan(shell(&["echo $KEY", "cat $KEY", "stat -c '%a %s' $KEY ${KEY%/*}", "test -z \"$(ls -A)\""]));
    let done = rig.run(with_file(job, "KEY", b"bytes\n\0\xff"));
    assert_eq!(done.ending(), &Ending::Succeeded, "{}", rig.stderr_of_job());
    let out = rig.logged(monkeyci_api::LogStream::Stdout);
    let path = format!("{}\nbytes\n\0", rig.path("files/KEY").display());
    assert!(out.starts_with(path.as_bytes()), "{out:?}");
    assert!(String::from_utf8_lossy(&out).contains("400 8\n700 "), "{out:?}");
    let owner = fs::metadata(rig.path("files/KEY")).unwrap();
    assert!(!root || (owner.uid(), owner.gid()) == (1234, 5678));
}

#[test]
fn a_file_with_a_name_that_leads_elsewhere_is_the_sidecars_failure() {
    for name in ["../x", "/x", "..", "a/b", ""] {
        let rig = Rig::new();
        let done = rig.run(with_file(plan(shell(&["echo no"])), name, b"x"));
        let Ending::SidecarFailed { step, .. } = done.ending() else { panic!("{done:?}") };
        assert_eq!((step.as_str(), rig.stdout().as_str()), ("making the job's files", ""));
    }
}

#[test]
fn outputs_are_reported_also_when_the_job_failed() {
    for (last, ending) in [("true", true), ("exit 3", false)] {
        let rig = Rig::new();
        let done = rig.shell(&["echo version=1.2 >>$MONKEYCI_OUTPUTS", "echo b=ü >>$MONKEYCI_OUTPUTS", last]);
        assert_eq!(done.ending() == &Ending::Succeeded, ending);
        assert_eq!(rig.api.state().outputs.as_deref(), Some("version=1.2\nb=ü\n".as_bytes()));
    }
}

#[test]
fn a_job_of_any_user_can_write_outputs() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut rig = Rig::new();
    fs::set_permissions(rig.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    rig.wrapper = ["setpriv", "--reuid", "1234", "--regid", "5678", "--clear-groups"].map(str::to_owned).to_vec();
    assert_eq!(rig.shell(&["echo a=1 >>$MONKEYCI_OUTPUTS"]).ending(), &Ending::Succeeded, "{}", rig.stderr_of_job());
    assert_eq!(rig.api.state().outputs.as_deref(), Some(&b"a=1\n"[..]));
}

#[test]
fn a_job_that_exposes_nothing_reports_no_outputs() {
    for line in ["true", "rm $MONKEYCI_OUTPUTS"] {
        let rig = Rig::new();
        assert_eq!(rig.shell(&[line]).ending(), &Ending::Succeeded);
        assert_eq!(rig.host_lines(), "");
        assert!(rig.api.state().outputs.is_none());
        assert!(!rig.api.state().requests.iter().any(|request| request.contains("outputs")));
    }
}

/// The ending of a job that succeeded, where the host said this.
fn warned(lines: &str) -> Ending {
    Ending::Warned { message: lines.trim_end().to_owned() }
}

#[test]
fn whatever_a_job_puts_in_the_place_of_its_outputs_is_a_line_in_the_log_and_a_warning() {
    let replace = |with: &str| format!("rm $MONKEYCI_OUTPUTS && {with} $MONKEYCI_OUTPUTS");
    for (line, reason) in [
        (replace("ln -s /etc/passwd"), "not a regular file"),
        (replace("ln -s /dev/zero"), "not a regular file"),
        (replace("mkfifo"), "not a regular file"),
        (replace("mkdir"), "not a regular file"),
        ("head -c 1048577 /dev/zero >$MONKEYCI_OUTPUTS".to_owned(), "more than 1048576 bytes"),
        ("truncate -s 1T $MONKEYCI_OUTPUTS".to_owned(), "more than 1048576 bytes"),
    ] {
        let rig = Rig::new();
        let done = rig.shell(&[&line]);
        let said = rig.host_lines();
        assert_eq!(done.ending(), &warned(&said), "{}", rig.stderr_of_job());
        assert!(said.starts_with("the job's outputs are not reported: ") && said.contains(reason), "{line}: {said}");
        assert!(rig.api.state().outputs.is_none());
    }
}

#[test]
fn outputs_that_the_build_api_refuses_are_a_line_in_the_log_and_lost_ones_a_failure() {
    let rig = Rig::new();
    rig.api.state().refused = vec!["POST /jobs/test/outputs".to_owned()];
    assert_eq!(rig.shell(&["echo nonsense >$MONKEYCI_OUTPUTS"]).ending(), &Ending::Succeeded);
    assert_eq!(rig.host_lines(), "the job's outputs are not reported: this is not for me\n");

    let rig = Rig::new();
    rig.api.state().broken = vec!["POST /jobs/test/outputs".to_owned()];
    let done = rig.shell(&["echo a=1 >$MONKEYCI_OUTPUTS"]);
    let Ending::SidecarFailed { step, .. } = done.ending() else { panic!("{done:?}") };
    assert_eq!(step, "reporting the job's outputs");
}

fn with_reports(mut plan: SidecarPlan, globs: &[&str]) -> SidecarPlan {
    plan.test_reports = globs.iter().map(|glob| (*glob).to_owned()).collect();
    plan
}

#[test]
fn test_reports_that_match_are_reported_also_when_the_job_failed() {
    for last in ["true", "false"] {
        let rig = Rig::new();
        let lines = [
            "mkdir -p a/reports b/c/reports/deep other",
            "for f in a/reports/1 b/c/reports/2 b/c/reports/deep/3 other/4; do echo $f >$f.xml; done",
            "echo txt >a/reports/1.txt; mkdir a/reports/dir.xml; ln -s 1.xml a/reports/link.xml; mkfifo a/reports/p.xml",
            last,
        ];
        let done = rig.run(with_reports(plan(shell(&lines)), &["**/reports/*.xml", "other/?.xml"]));
        assert_eq!(done.ending() == &Ending::Succeeded, last == "true");
        let tests: Vec<_> = rig.api.state().tests.iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect();
        assert_eq!(tests, ["a/reports/1\n", "b/c/reports/2\n", "other/4\n"]);
        assert_eq!(rig.host_lines(), "reported the tests of 3 files\n");
    }
}

#[test]
fn a_test_report_that_does_not_count_is_a_line_in_the_log_and_a_warning() {
    let rig = Rig::new();
    let lines = ["head -c 16777217 /dev/zero >big.xml", "echo fine >a.xml"];
    let said = "the test report \"big.xml\" does not count: it is larger than 16777216 bytes, not counting what tests have \
                printed\n";
    assert_eq!(rig.run(with_reports(plan(shell(&lines)), &["*.xml"])).ending(), &warned(said));
    assert_eq!(rig.host_lines(), format!("{said}reported the tests of 1 file\n"));

    let rig = Rig::new();
    rig.api.state().refused = vec!["POST /jobs/test/test-reports".to_owned()];
    let said = "the test report \"a.xml\" does not count: this is not for me\n";
    assert_eq!(rig.run(with_reports(plan(shell(&["echo x >a.xml"])), &["a.xml"])).ending(), &warned(said));
    assert_eq!(rig.host_lines(), said);

    let rig = Rig::new();
    let said = "the tests are not reported: no file matches a/*.xml or b\n";
    assert_eq!(rig.run(with_reports(plan(shell(&["true"])), &["a/*.xml", "b"])).ending(), &warned(said));
    assert_eq!(rig.host_lines(), said);
    let rig = Rig::new();
    let Ending::Exited { code: 3, .. } = rig.run(with_reports(plan(shell(&["exit 3"])), &["b"])).ending().clone()
    else {
        panic!("a failure stays one");
    };
}

#[test]
fn a_test_report_that_is_large_by_what_tests_have_printed_is_reported_without_that() {
    let rig = Rig::new();
    let lines = [
        "printf '<testsuite><testcase><system-out><![CDATA[' >big.xml",
        "head -c 20000000 /dev/zero | tr '\\0' x >>big.xml",
        "printf ']]></system-out><failure/></testcase></testsuite>' >>big.xml",
    ];
    assert_eq!(rig.run(with_reports(plan(shell(&lines)), &["*.xml"])).ending(), &Ending::Succeeded);
    let tests: Vec<_> = rig.api.state().tests.iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect();
    assert_eq!(tests, ["<testsuite><testcase><system-out></system-out><failure/></testcase></testsuite>"]);
}

#[test]
fn of_too_many_test_reports_the_first_thousand_count() {
    let rig = Rig::new();
    let lines = ["i=1000; while test $i -le 2005; do echo $i >$i.xml; i=$((i+1)); done"];
    let Ending::Warned { message } = rig.run(with_reports(plan(shell(&lines)), &["*.xml"])).ending().clone() else {
        panic!("the others are missing");
    };
    assert!(message.contains("only the first 1000 count"), "{message}");
    assert_eq!(rig.api.state().tests.len(), 1000);
    assert!(rig.host_lines().contains("only the first 1000 count"), "{}", rig.host_lines());
}
