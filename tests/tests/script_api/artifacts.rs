use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::Host;
use monkeyci_tests::repository::Repository;

use crate::{faults, run, says};

#[test]
fn actions_create_list_and_read_artifacts_that_containers_restore_and_save() {
    let ended = run("action-artifact", &[], 0);
    says(&ended, "use", &["hello from an action", "a", "b and more"]);
    says(
        &ended,
        "read",
        &["box of use: box/file", "made of make: made/hello.txt", "in the box: boxed", "read: hello from an action"],
    );
    let missing = Host::default().run("action-artifact-missing", &[]);
    assert_eq!((missing.code, missing.cause("lazy")), (Some(1), "artifact-missing"));
}

#[test]
fn globs_choose_the_files_of_an_artifact() {
    let ended = run("artifact-globs", &[], 0);
    says(&ended, "use", &["restored: out/a.jar out/sub/c.jar "]);
}

#[test]
fn an_artifact_saved_always_is_there_after_a_failure_and_others_are_not() {
    let ended = run("artifact-always", &[], 1);
    assert_eq!(ended.ending("fails")["code"], 4);
    says(&ended, "look", &["artifacts: logs"]);
}

#[test]
fn a_restore_implies_the_need_unless_it_is_only_if_there() {
    let ended = run("artifact-if-there", &[], 0);
    says(&ended, "with", &["payload"]);
    says(&ended, "without", &["went on"]);
}

#[test]
fn an_artifact_is_saved_on_a_failure_or_if_it_is_there_and_one_that_is_always_saved_and_not_there_is_a_warning() {
    let ended = run("artifact-conditions", &[], 0);
    says(&ended, "look", &["artifacts: crash"]);
    assert_eq!(ended.cause("make"), "warned", "{ended:#?}");
    let message = "artifact trace is not saved: there is nothing at \"trace\"";
    assert_eq!(ended.ending("make")["message"], message);
}

#[test]
fn an_artifact_gets_the_path_that_a_job_gives_it_wherever_it_was_saved_from() {
    let ended = run("artifact-as", &[], 0);
    says(&ended, "use", &["app", "doc", "note", "./all/notes/a", "./docs/d", "./target/app"]);
}

#[test]
fn an_artifact_that_nobody_saves_and_a_circle_through_artifacts_are_faults() {
    assert!(faults("artifact-unsaved", &[]).contains("nobodys"));
    let circle = faults("cycle-through-artifacts", &[]);
    assert!(circle.contains("hen") && circle.contains("egg"), "{circle}");
}

#[test]
fn caches_have_keys_fall_back_and_are_saved_by_their_policy() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let found = |arguments: &[&str], says: &str| {
        let ended = host.run("cache-keys", arguments);
        let log = ended.log(Some("count"));
        assert!(log.contains(says), "{arguments:?} does not say {says:?}: {log}");
    };
    found(&["--param", "key=one"], "found: \n");
    found(&["--param", "key=one"], "found: one \n");
    // Nothing under this key: the newest that begins like it is taken, and it is saved under its own.
    found(&["--param", "key=two"], "found: one one \n");
    found(&["--param", "key=two", "--param", "save=miss"], "found: one one two \n");
    // There was something under the key, so `miss` has not saved it.
    found(&["--param", "key=two", "--param", "fail=yes"], "found: one one two \n");
    // Nor was it saved after a failure; with `always` it is.
    found(&["--param", "key=two", "--param", "fail=yes", "--param", "save=always"], "found: one one two \n");
    found(&["--param", "key=two"], "found: one one two two \n");
}

#[test]
fn a_branch_reads_the_caches_of_the_main_branch_and_never_the_other_way() {
    let engine = Engine::docker();
    let (host, repository) = (Host::on(&engine), Repository::default());
    let on = |branch: &str, key: &str| {
        repository.git(&["checkout", "--quiet", "-B", branch]);
        let key = format!("key={key}");
        let dir = repository.path().to_str().expect("text");
        host.run("cache-keys", &["--dir", dir, "--param", &key]).log(Some("count"))
    };
    assert!(on("topic", "x").contains("found: \n"));
    assert!(on("main", "y").contains("found: \n"), "main reads a branch's cache");
    assert!(on("other", "y").contains("found: y \n"));
    assert!(on("topic", "x").contains("found: x \n"));
}

#[test]
fn a_cache_in_which_nothing_changed_is_not_saved_again() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let sidecar = |ended: &monkeyci_tests::host::Ended| -> String {
        let lines = ended.of_type("log").filter(|line| line["stream"] == "host");
        lines.filter_map(|line| line["text"].as_str()).collect()
    };
    let first = sidecar(&host.run("cache-unchanged", &[]));
    assert!(first.contains("saved cache kept"), "{first}");
    let second = sidecar(&host.run("cache-unchanged", &[]));
    assert!(second.contains("restored cache kept") && second.contains("unchanged"), "{second}");
    assert!(!second.contains("saved cache"), "{second}");
}
