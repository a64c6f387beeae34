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
fn what_must_have_a_removed_job_is_a_fault() {
    let found = faults("requires-removed", &[]);
    for part in ["requires", "restores", "reads", "gone"] {
        assert!(found.contains(part), "{part} is missing in {found}");
    }
}
