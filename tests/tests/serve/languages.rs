//! Repositories whose scripts are files that an interpreter evaluates.

use monkeyci_tests::host::Host;
use monkeyci_tests::repository::Repository;
use serde_json::{Value, json};

use crate::served::Served;

#[test]
fn a_repository_whose_script_is_a_file_is_built_with_the_file_of_its_commit() {
    let (host, repository) = (Host::default(), Repository::default());
    let script = |job: &str| format!("jobs:\n  {job}: {{image: debian:12, script: make, if: tag == 'none'}}\n");
    std::fs::create_dir(repository.path().join(".monkeyci")).expect("made");
    repository.write(".monkeyci/build.yaml", &script("first"));
    repository.commit("a script");
    let first = repository.git(&["rev-parse", "main"]);
    repository.write(".monkeyci/build.yaml", &script("second"));
    repository.commit("another script");
    repository.write(".monkeyci/build.yaml", "imgae: debian:12\n");
    repository.commit("a mistake");

    let served = Served::first(&host);
    let new = json!({ "name": "app", "url": repository.url(), "script_path": ".monkeyci" });
    assert_eq!(served.call("POST /api/v1/repositories", &new).0, 201);
    let before = repository.git(&["rev-parse", "main~1"]);
    for (commit, status, says) in [
        (&first, "success", "\"first\""),
        (&before, "success", "\"second\""),
        (&repository.git(&["rev-parse", "main"]), "bad-script", "did you mean `image`?"),
    ] {
        let build = served.trigger("app", &json!({ "commit": commit }));
        let all = served.to_the_end(&build, Vec::new());
        let ended = all.iter().find(|event| event["type"] == "build/ended").expect("an end");
        assert_eq!(ended["status"], status, "{all:#?}");
        assert!(Value::from(all.clone()).to_string().contains(says), "{says}: {all:#?}");
    }
}
