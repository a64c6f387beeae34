//! The cases, without a host: their graphs, and what their actions do.

use monkeyci_sdk::prelude::*;
use monkeyci_sdk::testing::{Acted, Graph, Simulation, ended};

use crate::script;

fn case(name: &str) -> Simulation {
    let files = Simulation::new().file("hello.txt", "hello\n").file("sub/other.txt", "other\n");
    files.param("case", name).secret("TOKEN", "s3cret")
}

fn graph(name: &str) -> Graph {
    case(name).graph(script)
}

fn faults(name: &str) -> Vec<String> {
    case(name).try_graph(script).err().unwrap_or_default()
}

fn act(name: &str, job: &str) -> Acted {
    let acted = case(name).act(script, job);
    assert_eq!(acted.result, Ok(()), "{name} {job}");
    acted
}

#[test]
fn these_cases_have_a_graph_without_fault() {
    let cases = [
        "params-declared",
        "param-file",
        "secrets-env",
        "secrets-everywhere",
        "secrets-file",
        "secrets-reveal",
        "more-info",
        "subscribe",
        "subscribe-outside",
        "subscribe-never",
        "action-artifact",
        "action-artifact-missing",
        "artifact-globs",
        "artifact-always",
        "artifact-if-there",
        "artifact-conditions",
        "artifact-as",
        "hooks-of-submitted",
        "undo",
        "all-removed",
        "cache-keys",
        "workspace-read",
        "job-options",
        "architecture",
        "retry",
        "matrix",
        "hooks",
        "allow-failure",
        "run-when",
        "priority",
        "fail-fast",
        "approval",
        "removed",
        "outputs",
        "outputs-missing",
        "results",
        "junit",
        "refine",
        "refine-skip",
        "refine-fails",
        "submit",
        "action-call",
        "network",
        "stored",
    ];
    for name in cases {
        assert_eq!(faults(name), [""; 0], "{name}");
    }
}

#[test]
fn these_cases_have_faults() {
    assert_eq!(faults("cycle-through-artifacts").len(), 1);
    assert_eq!(faults("artifact-unsaved").len(), 1);
    assert_eq!(faults("requires-removed").len(), 3);
    assert_eq!(graph("undo").needs("tell"), ["test"]);
    assert_eq!(graph("all-removed").ids(), [""; 0]);
    assert_eq!(faults("params-required").len(), 1);
    assert_eq!(faults("params-two-ways").len(), 1);
    assert_eq!(faults("secrets-missing").len(), 1);
    let bad = case("params-bad-kind").param("workers", "many").try_graph(script).err().unwrap_or_default();
    assert_eq!(bad.len(), 3, "{bad:?}");
}

#[test]
fn actions_do_what_the_end_to_end_tests_expect() {
    let made = act("action-artifact", "make");
    assert_eq!(made.artifact_text("made", "made/hello.txt"), "hello from an action\n");
    assert_eq!(made.artifact_text("tree", "tree/sub/b.txt"), "b and more\n");
    assert!(case("action-artifact-missing").act(script, "lazy").result.is_err());
    act("subscribe-never", "listener");
    act("workspace-read", "again");
    act("results", "warns");
    assert_eq!(act("results", "skips").skipped.as_deref(), Some("there is nothing to do"));
    assert_eq!(act("junit", "own").test_reports.len(), 1);
    assert_eq!(act("outputs", "act").outputs["number"], "42");
    assert_eq!(act("hooks", "fails").warning.as_deref(), Some("the hook has saved it"));
    let revealed = case("secrets-reveal").allow_reveal("TOKEN").act(script, "reveal");
    assert_eq!(revealed.result, Ok(()));
    assert!(case("secrets-reveal").act(script, "reveal").result.is_err());
}

#[test]
fn listeners_hear_what_is_said() {
    let said = case("subscribe").event("speaker", "probe/ready", "{}").host_event("job/ended", "speaker", "{}");
    assert_eq!(said.act(script, "listener").result, Ok(()));
    assert!(case("subscribe").act(script, "listener").result.is_err());
    let outside = case("subscribe-outside").outside_event("outside/go", "{}");
    assert_eq!(outside.act(script, "listener").result, Ok(()));
}

#[test]
fn an_action_submits_jobs_and_calls() {
    let acted = act("submit", "fan-out");
    assert_eq!(acted.submitted_ids(), ["sub-1", "sub-2", "sub-3", "greet-ann"]);
    let greeted = case("submit").argument("Ann").act(script, "greet");
    assert_eq!(greeted.outputs["greeted"], "Ann");
}

#[test]
fn late_jobs_are_completed_or_skipped() {
    let plan = ended(Status::Success).output("image", "busybox:2").output("word", "late");
    let late = case("refine").outcome("plan", plan).refine(script, "late");
    assert_eq!(late.job.image.as_deref(), Some("busybox:2"));
    assert_eq!(late.job.env["WORD"], "late");
    let more = case("refine").refine(script, "more").job;
    assert_eq!(more.shell.unwrap_or_default().len(), 3);
    assert_eq!(case("refine-skip").refine(script, "maybe").job.skipped.as_deref(), Some("there is nothing to do"));
    assert!(case("refine-fails").refine(script, "fails").result.is_err());
}

#[test]
fn a_matrix_leaves_out_what_is_excluded() {
    assert_eq!(graph("matrix").ids(), ["m-a-1", "m-a-2", "m-b-2", "end"]);
}
