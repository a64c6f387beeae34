use monkeyci_tests::host::Host;

use crate::{run, says};

#[test]
fn refine_completes_a_job_with_the_results_of_earlier_ones() {
    let ended = run("refine", &[], 0);
    says(&ended, "late", &["better late than never"]);
    says(&ended, "more", &["refined first: in refine", "declared", "refined last"]);
}

#[test]
fn refine_skips_a_job_and_those_that_do_not_need_its_results_go_on() {
    let ended = run("refine-skip", &[], 0);
    assert_eq!((ended.cause("maybe"), ended.cause("maybe-not")), ("not-needed", "not-needed"));
    says(&ended, "after", &["went on"]);
    assert_eq!(ended.cause("restores"), "skipped");
}

#[test]
fn a_job_that_could_not_be_completed_fails_and_says_why() {
    let ended = Host::default().run("refine-fails", &[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for (job, why) in [("fails", "no plan for this"), ("incomplete", "image")] {
        assert_eq!(ended.cause(job), "refine-failed");
        assert!(ended.ending(job)["message"].as_str().is_some_and(|message| message.contains(why)), "{ended:#?}");
    }
}

#[test]
fn actions_that_wait_leave_room_for_those_that_they_wait_for() {
    // More than may run at a time in a process.
    let ended = run("many-waiters", &["--jobs", "1"], 0);
    let succeeded = |job: String| ended.cause(&job) == "succeeded";
    assert!((0..70).all(|n| succeeded(format!("waits-{n}")) && succeeded(format!("child-{n}"))), "{ended:#?}");
}

#[test]
fn actions_that_say_more_of_their_results_than_can_be_kept_are_told_so() {
    let ended = run("many-results", &[], 1);
    for job in ["says-0", "says-3"] {
        let message = ended.ending(job)["message"].as_str().expect("a message").to_owned();
        assert!(message.contains("hand large values on as artifacts"), "{message}");
    }
}

#[test]
fn an_action_submits_jobs_and_waits_for_any_and_for_all_of_them() {
    let ended = run("submit", &["--jobs", "1"], 1);
    says(&ended, "sub-1", &["submitted 1"]);
    says(&ended, "greet-ann", &["hello, Ann"]);
    says(
        &ended,
        "fan-out",
        &[
            "first over: sub-1",
            "sub-1: Status::Success None",
            "sub-2: Status::Failure None",
            "sub-3: Status::Skipped None",
            r#"greet-ann: Status::Success Some("Ann")"#,
        ],
    );
    says(&ended, "after", &["after the fan"]);
}

#[test]
fn an_action_job_calls_a_handler_with_an_argument() {
    let ended = Host::default().run("action-call", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    says(&ended, "two", &["doubled: 2"]);
    says(&ended, "four", &["doubled: 4"]);
}

#[test]
fn actions_that_would_wait_for_each_other_for_ever_are_told_so() {
    let ended = Host::default().run("wait-for-each-other", &["--jobs", "1"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let circle = r#""second" would wait for "first", which waits for "second": none of them could ever end"#;
    assert!(ended.log(Some("second")).contains(circle), "{ended:#?}");
    assert!(ended.log(Some("third")).contains(r#""third" would wait for "fourth", which needs "third""#), "{ended:#?}");
    says(&ended, "first", &["second: true"]);
}

#[test]
fn an_action_that_asks_for_a_removed_job_is_told_why_it_was_removed() {
    let ended = Host::default().run("wait-for-removed", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let why = r#"the job "manual" was removed by a condition of the script: the manual did not change"#;
    assert_eq!(ended.log(Some("waits")).matches(why).count(), 2, "{ended:#?}");
}
