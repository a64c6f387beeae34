use monkeyci_tests::host::Host;

use crate::{faults, run, says};

#[test]
fn a_failure_that_is_allowed_is_a_warning() {
    let ended = run("allow-failure", &[], 0);
    assert_eq!(ended.cause("shaky"), "tolerated");
    says(&ended, "after", &["went on"]);
    says(&ended, "say-how", &["shaky: Status::Warning"]);
}

#[test]
fn conditions_on_what_a_job_needs_decide_whether_it_runs() {
    let ended = run("run-when", &[], 1);
    says(
        &ended,
        "say-how",
        &[
            "good: Status::Success",
            "bad: Status::Failure",
            "needs-bad: Status::Skipped",
            "on-failure: Status::Success",
            "on-failure-of-good: Status::Skipped",
        ],
    );
    says(&ended, "always", &["always"]);
}

#[test]
fn jobs_of_a_higher_priority_start_first() {
    let ended = run("priority", &["--jobs", "1"], 0);
    let order: Vec<_> = ended.of_type("job/ended").map(|event| event["job"].as_str().expect("a job")).collect();
    assert_eq!(order, ["high", "middle", "low"]);
}

#[test]
fn a_failure_stops_the_others_of_its_group_and_nobody_else() {
    let ended = run("fail-fast", &["--jobs", "4"], 1);
    assert_eq!((ended.cause("long"), ended.cause("later")), ("failed-fast", "failed-fast"));
    says(&ended, "slow", &["slow is not in the group"]);
}

#[test]
fn a_removed_job_hands_its_needs_on() {
    let ended = run("removed", &[], 0);
    let position = |wanted: &str, job: &str| {
        let found = ended.events.iter().position(|event| event["type"] == wanted && event["job"] == job);
        found.unwrap_or_else(|| panic!("no {wanted} of {job}: {ended:#?}"))
    };
    assert!(position("job/ended", "first") < position("job/started", "last"), "{ended:#?}");
    assert_eq!(ended.of_type("script/defined").next().expect("it")["removed"][0][0], "middle");
}

#[test]
fn what_undoes_a_removed_job_does_not_run_when_something_else_fails() {
    let ended = run("undo", &[], 1);
    let removed = &ended.of_type("script/defined").next().expect("it")["removed"];
    assert_eq!(removed[1], serde_json::json!(["undo", "it runs on a failure of \"deploy\", which is removed"]));
    says(&ended, "tell", &["the tests failed"]);
    says(&ended, "say-how", &["test: Status::Failure"]);
}

#[test]
fn a_build_without_a_job_to_run_says_so_and_why() {
    for (case, reason) in [
        ("nothing", "the script declares none"),
        (
            "all-removed",
            "a condition of the script removes each: \"publish\" (only tags are published), \"undo\" (it runs on a failure of \
             \"publish\", which is removed)",
        ),
    ] {
        let message = format!("the build has no job to run: {reason}");
        let ended = Host::default().run(case, &[]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(ended.of_type("build/warned").next().expect("a warning")["message"], message.as_str());
        let host = Host::default();
        let script = monkeyci_tests::place::script("probe_script");
        let output = host.command(&["check"]).arg(script).args(["--param", &format!("case={case}")]).output();
        let text = String::from_utf8_lossy(&output.expect("the host runs").stdout).into_owned();
        assert!(text.trim_end().ends_with(&message), "{text}");
    }
}

#[test]
fn a_name_that_no_image_can_have_is_a_fault() {
    let found = faults("images", &[]);
    for part in ["Debian:12 foo", "it has a space in it", "Postgres", "its name has capitals"] {
        assert!(found.contains(part), "{part} is missing in {found}");
    }
}

#[test]
fn what_must_have_a_removed_job_is_a_fault() {
    let found = faults("requires-removed", &[]);
    for part in ["requires", "restores", "reads", "gone"] {
        assert!(found.contains(part), "{part} is missing in {found}");
    }
}
