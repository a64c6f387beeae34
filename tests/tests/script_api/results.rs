use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Host, files};

use crate::{run, says};

#[test]
fn outputs_of_containers_and_actions_are_read_by_later_jobs() {
    let ended = run("outputs", &[], 0);
    says(&ended, "use", &["version 1.2.3 number 42", "lines 2"]);
    says(&ended, "look", &[r#"make: [("title", "a = b"), ("version", "1.2.3")]"#, r#"act: Some("42") None"#]);
    let missing = run("outputs-missing", &[], 1);
    assert_eq!(missing.cause("use"), "value-missing");
}

#[test]
fn an_action_warns_skips_links_and_tells_its_coverage() {
    let ended = run("results", &[], 0);
    assert_eq!((ended.cause("warns"), ended.cause("skips")), ("warned", "not-needed"));
    says(&ended, "after-skips", &["after the skip"]);
    let results =
        ended.of_type("job/results").find(|event| event["job"] == "warns").expect("results")["results"].clone();
    assert_eq!(results["coverage"], 81.5);
    assert_eq!(results["links"][0][1], "https://example.com/1");
    assert_eq!(results["message"], "all is well, nearly");
    assert!(ended.log(Some("look")).contains(r#"[("reached", "here")]"#), "{ended:#?}");
}

#[test]
fn test_reports_are_counted_summarised_and_kept() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let report = host.home().join("all.xml");
    let ended = host.run("junit", &["--junit", report.to_str().expect("text")]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    // No tests are not tests that passed.
    assert_eq!(ended.ending("no-report")["message"], "the tests are not reported: no file matches reports/*.xml");
    let broken = ended.ending("cut-off")["message"].as_str().expect("a warning");
    assert!(broken.starts_with("the test report \"cut.xml\" does not count: "), "{broken}");
    let all = ended.of_type("build/ended").next().expect("an end")["jobs"].clone();
    for job in ["tests", "own"] {
        let summary = all.as_array().expect("jobs").iter().find(|summary| summary["job"] == job).expect("the job");
        let tests = &summary["results"]["tests"];
        assert_eq!(
            (&tests["total"], &tests["failed"], &tests["skipped"]),
            (&4.into(), &2.into(), &1.into()),
            "{tests}"
        );
        assert_eq!(tests["failures"][0]["message"], "1 is not 2");
    }
    let report = std::fs::read_to_string(report).expect("a report");
    for job in ["tests", "own"] {
        let suite = format!("<testsuite name=\"{job}\" tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\">");
        assert!(report.contains(&suite), "{report}");
    }
    let kept = files(&host.home().join("blobs/test-reports"));
    assert_eq!(kept.iter().filter(|path| path.extension().is_some_and(|it| it == "xml")).count(), 2);
    let told = host.command(&["tests", "--json"]).output().expect("the host runs");
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let failed = told["failed"].as_array().expect("a list").iter().map(|test| test["job"].as_str().expect("a job"));
    let failed: Vec<&str> = failed.collect();
    assert_eq!((failed, &told["total"]), (vec!["own", "own", "tests", "tests"], &8.into()), "{told}");
    assert_eq!(told["failed"][0]["message"], "1 is not 2");
}

#[test]
fn a_job_whose_outputs_are_not_of_the_right_form_ends_as_a_warning_that_says_so() {
    let ended = run("outputs-broken", &[], 0);
    let ending = ended.ending("make");
    assert!(
        ending["message"].as_str().is_some_and(|why| why.contains("line 2 is not of the form name=value")),
        "{ended:#?}"
    );
}

#[test]
fn a_container_job_tells_values_of_several_lines_coverage_and_links() {
    let ended = run("outputs-told", &[], 0);
    says(&ended, "look", &[r#"Some("one\ntwo") Some(81.5) [("site", "https://example.com/1")]"#]);
}
