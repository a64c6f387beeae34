use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Ended, Host, run_limited};

use crate::{run, says};

#[test]
fn user_shell_and_labels_are_as_the_script_says() {
    let ended = run("job-options", &[], 0);
    says(&ended, "user", &["user 1000 group 1000", "can write"]);
    says(&ended, "program", &["star: *"]);
    says(&ended, "each", &["X is unset", "same directory"]);
    says(&ended, "each-fails", &["one"]);
    assert!(!ended.log(Some("each-fails")).contains("never"));
    let defined = ended.of_type("script/defined").next().expect("a definition")["jobs"].clone();
    let labels = defined.as_array().expect("jobs").iter().find(|job| job["id"] == "labels").expect("the job");
    assert_eq!(labels["labels"], serde_json::json!({ "team": "probe", "tier": "1" }));
}

#[test]
fn a_job_can_not_open_what_its_launcher_has_open_whoever_it_is() {
    let ended = run("privacy", &[], 0);
    for job in ["root", "user", "each"] {
        assert_eq!(ended.log(Some(job)), "scores 500 0\n", "{job}");
    }
}

#[test]
fn a_job_that_is_not_ready_in_time_says_what_it_waited_for() {
    let limited = |limit| run("never-ready", &["--param", &format!("limit-ms={limit}")], 0);
    let waits = |ended: &Ended, job| ended.ending(job)["ending"]["during"] == "waiting for service db";
    let ended = run_limited(limited, |ended| ["port", "command"].iter().all(|job| waits(ended, job)));
    for job in ["port", "command"] {
        let ending = &ended.ending(job)["ending"];
        assert_eq!(
            (&ending["cause"], &ending["during"]),
            (&"timed-out".into(), &"waiting for service db".into()),
            "{job}"
        );
    }
}

#[test]
fn what_a_service_writes_is_a_stream_of_its_own_and_its_death_is_said_at_once_and_in_the_result() {
    let host = Host::on(&Engine::docker());
    let ended = host.run("service-ends", &[]);
    assert_eq!(
        (ended.code, ended.cause("fails"), ended.cause("goes-on")),
        (Some(1), "exited", "succeeded"),
        "{ended:#?}"
    );
    assert!(ended.log_of("fails", "service").starts_with("web: the service has begun\n"), "{ended:#?}");
    let dead = "service \"web\" has ended with exit code 5; its last lines: the service has begun\nout of luck";
    for job in ["fails", "goes-on"] {
        assert!(ended.log_of(job, "host").contains(dead), "{job}: {ended:#?}");
    }
    let at = |stream: &str, text: &str| {
        let said = |line: &serde_json::Value| line["text"].as_str().is_some_and(|said| said.contains(text));
        let mut lines = ended.of_type("log").filter(|line| line["job"] == "goes-on").enumerate();
        lines.find(|(_, line)| line["stream"] == stream && said(line)).expect("it is said").0
    };
    assert!(at("host", "has ended with exit code 5") < at("stdout", "went on"), "at once: {ended:#?}");
    let results: Vec<_> =
        ended.of_type("job/results").map(|event| (&event["job"], &event["results"]["warning"])).collect();
    assert_eq!(results, [(&"fails".into(), &dead.into())]);

    let logs = |arguments: &[&str]| {
        let build =
            ended.of_type("build/triggered").next().expect("a build")["build"].as_str().expect("an id").to_owned();
        let output = host.command(&["logs"]).arg(build).arg("fails").args(arguments).output().expect("the host runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(logs(&["--service"]), "web: the service has begun\nweb: out of luck\n");
    assert!(!logs(&[]).contains("web: out of luck"));
}

#[test]
fn an_architecture_that_the_engine_has_not_is_a_typed_end() {
    let known = run("architecture", &[], 0);
    assert!(known.log(Some("machine")).starts_with("machine "), "{known:#?}");
    let unknown = run("architecture", &["--param", "architecture=no-such-machine"], 1);
    assert_eq!(unknown.cause("machine"), "no-such-architecture");
}

#[test]
fn a_job_runs_again_after_the_failures_it_names_and_no_others() {
    let docker = Engine::docker();
    let limited = |limit| Host::on(&docker).run("retry", &["--param", &format!("limit-ms={limit}")]);
    let ended = run_limited(limited, |ended| {
        ended.log(Some("too-slow")).contains("attempt 1\n") && ended.cause("too-slow") == "succeeded"
    });
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    says(&ended, "flaky", &["attempt 1", "attempt 2", "attempt 3"]);
    assert_eq!(ended.log(Some("other-exit-code")), "attempt 1\n");
    says(&ended, "hopeless", &["attempt 1", "attempt 2"]);
    says(&ended, "too-slow", &["attempt 1", "attempt 2"]);
    let mut retried: Vec<_> = ended.of_type("job/retried").map(|event| event["job"].as_str().expect("a job")).collect();
    retried.sort_unstable();
    assert_eq!(retried, ["flaky", "flaky", "hopeless", "too-slow"]);
}

#[test]
fn a_matrix_makes_a_job_of_each_combination_that_is_not_excluded() {
    let ended = run("matrix", &[], 0);
    for (job, line) in [("m-a-1", "combination a 1"), ("m-a-2", "combination a 2"), ("m-b-2", "combination b 2")] {
        says(&ended, job, &[line]);
    }
    assert_eq!(ended.of_type("script/report").next().expect("a report")["message"], "3 combinations");
}

#[test]
fn hooks_change_containers_and_wrap_actions() {
    let ended = run("hooks", &[], 0);
    says(&ended, "lines", &["before lines", "the line", "after"]);
    says(&ended, "fails", &["before the action", r#"after the action: Err("no luck today")"#]);
    assert_eq!(ended.cause("fails"), "warned");
}

#[test]
fn hooks_reach_the_jobs_that_an_action_submits() {
    let ended = run("hooks-of-submitted", &[], 0);
    says(&ended, "late", &["our rules", "rules: yes"]);
    let submitted = ended.of_type("jobs/submitted").next().expect("a job was submitted");
    assert_eq!(submitted["jobs"][0]["labels"]["team"], "build");
}

#[test]
fn a_script_is_checked_with_its_parameters_and_removed_jobs_without_running_anything() {
    let host = Host::default();
    let script = monkeyci_tests::place::script("probe_script");
    let mut command = host.command(&["check"]);
    let output = command.arg(script).args(["--param", "case=removed"]).output().expect("the host runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("removed: nobody wants it"), "{text}");
}
