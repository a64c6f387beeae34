//! Tests of the script, with `cargo test` and without a host.

use monkeyci_sdk::prelude::*;
use monkeyci_sdk::testing::{Simulation, ended};

use crate::script;

fn project() -> Simulation {
    Simulation::new()
        .file("Cargo.lock", "version = 4")
        .file("CHANGELOG.md", "# Changes\n\n## 1.2.0\n- faster\n\n## 1.1.0\n- slower\n")
        .secret("PUBLISH_TOKEN", "s3cret")
}

fn packaged(version: &str) -> Simulation {
    project().branch("main").outcome("package", ended(Status::Success).output("version", version))
}

#[test]
fn a_topic_branch_is_tested_and_nothing_else() {
    let graph = project().branch("topic").graph(script);
    assert_eq!(
        graph.ids(),
        ["test-1.93-default", "test-1.94-default", "test-1.94-all", "test-1.95-default", "test-1.95-all", "summary"]
    );
    assert_eq!(graph.removed().len(), 3);
}

#[test]
fn the_main_branch_and_version_tags_are_published_after_approval() {
    for simulation in [project().branch("main"), project().tag("v1.2.0")] {
        let graph = simulation.graph(script);
        assert_eq!(graph.removed(), []);
        assert!(graph.job("publish").approval.is_some());
        assert_eq!(graph.job("publish").env["PUBLISH_TOKEN"].to_string(), "secret PUBLISH_TOKEN");
        assert_eq!(graph.needs("publish"), ["package", "notes"]);
    }
    assert_eq!(project().tag("nightly").graph(script).removed().len(), 3);
}

#[test]
fn a_topic_branch_needs_no_secret_and_a_release_does() {
    let without = Simulation::new().file("Cargo.lock", "");
    assert!(without.clone().branch("topic").try_graph(script).is_ok());
    let faults = without.branch("main").try_graph(script).err().unwrap_or_default();
    assert!(faults[0].contains("PUBLISH_TOKEN"), "{faults:?}");
}

#[test]
fn parameters_choose_the_version_and_a_dry_run() {
    let graph = project().branch("main").param("rust", "1.95").param("dry-run", "true").graph(script);
    assert_eq!(graph.ids(), ["test-1.95-default", "test-1.95-all", "package", "notes", "summary"]);
    assert!(project().param("rust", "1.2").try_graph(script).is_err());
}

#[test]
fn another_lock_file_has_another_cache() {
    let key = |simulation: Simulation| simulation.graph(script).job("test-1.95-all").caches[0].key.clone();
    assert_eq!(key(project()), key(project().branch("topic")));
    assert_ne!(key(project()), key(project().file("Cargo.lock", "version = 5")));
}

#[test]
fn the_notes_are_the_top_of_the_change_log() {
    let notes = packaged("1.2.0").act(script, "notes");
    assert_eq!(notes.result, Ok(()));
    assert_eq!(notes.artifact_text("notes", "notes/NOTES.md"), "# 1.2.0\n- faster\n\n");
    assert_eq!(notes.warning, None);
    let empty = packaged("1.2.0").file("CHANGELOG.md", "# Changes\n").act(script, "notes");
    assert!(empty.warning.is_some());
}

#[test]
fn a_published_version_is_skipped_and_an_early_one_goes_to_the_testers() {
    let again = packaged("1.2.0").file("published-versions", "1.1.0\n1.2.0\n").refine(script, "publish");
    assert_eq!(again.job.skipped.as_deref(), Some("1.2.0 is published already"));
    let early = packaged("0.9.0").refine(script, "publish");
    assert_eq!(early.job.skipped, None);
    assert_eq!(early.job.env["CHANNEL"], "testing");
}

#[test]
fn the_summary_counts_tests() {
    let simulation = packaged("1.2.0")
        .outcome("test-1.95-all", ended(Status::Failure).tests(10, ["it_works"]))
        .outcome("test-1.95-default", ended(Status::Success).tests(8, [""; 0]));
    assert_eq!(simulation.act(script, "summary").reports, ["18 tests, 1 failed; 1.2.0 is packaged, not published"]);
}
