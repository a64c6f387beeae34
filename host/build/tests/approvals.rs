//! What a person knows who approves a job.

mod told_build;

use monkeyci_build::{Command, ContainerSpec, Effect, EventBody, JobKind, JobSpec, ShellCommand};
use told_build::{Build, spec};

/// A container job as an old journal has it.
fn container(image: &str, lines: &[&str]) -> ContainerSpec {
    let json = serde_json::json!({
        "image": image, "command": { "shell": { "lines": lines } }, "env": {}, "work_dir": "", "memory_bytes": null,
        "cpu_millis": null, "save_artifacts": [], "restore_artifacts": [], "caches": [], "services": [],
    });
    serde_json::from_value(json).expect("a job of an old journal can be read")
}

#[test]
fn who_approves_a_late_job_is_shown_what_the_script_has_made_of_it() {
    let kind = |lines: &[&str]| JobKind::Container(Box::new(container("debian:12", lines)));
    let declared =
        JobSpec { late: true, approval: Some("Deploy?".into()), kind: kind(&["true"]), ..spec("deploy", &[]) };
    let (mut build, effects) = Build::of_specs(1, vec![declared.clone()]);
    assert_eq!(effects, [Effect::Refine { job: "deploy".into() }], "there is nothing to approve yet");
    let refined = JobSpec { kind: kind(&["make", "rm -rf /srv/old"]), ..declared };
    let ask = build.tell(EventBody::JobRefined { job: Box::new(refined), attempt: 1 });
    let [Effect::Record(EventBody::JobBlocked { message, runs, .. })] = ask.as_slice() else { panic!("{ask:?}") };
    assert_eq!((message.as_str(), runs.as_deref()), ("Deploy?", Some("in debian:12: make\nrm -rf /srv/old")));
}

#[test]
fn of_a_command_that_is_too_long_to_read_the_beginning_is_shown() {
    let long = "x".repeat(10_000);
    let command = Command::Shell(ShellCommand { lines: vec![long], ..ShellCommand::default() });
    let container = ContainerSpec { command, ..container("debian:12", &[]) };
    let job = JobSpec { kind: JobKind::Container(Box::new(container)), ..spec("a", &[]) };
    let runs = job.runs().expect("a container job");
    assert!(runs.ends_with("x …") && runs.len() < 5000, "{} bytes", runs.len());
}
