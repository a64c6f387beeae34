//! Images that the engine does not have yet.

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::run;
use monkeyci_tests::place;
use monkeyci_tests::registry::Registry;

#[test]
fn an_image_that_a_registry_has_is_pulled_once_and_the_job_runs_in_it() {
    let registry = Registry::serving(&Engine::docker().save_image(&place::image()));

    let engine = Engine::docker();
    let pull = format!("to-pull={}", registry.image());
    let first = run(&engine, "pulling", &["--param", &pull]);
    let pulls = |ended: &monkeyci_tests::host::Ended| ended.of_type("progress").count();
    assert_eq!((first.code, first.cause("victim")), (Some(0), "succeeded"), "{first:#?}");
    assert_eq!(pulls(&first), 1, "{first:#?}");
    let second = run(&engine, "pulling", &["--param", &pull]);
    assert_eq!((second.code, pulls(&second)), (Some(0), 0), "{second:#?}");
    engine.remove_image(&registry.image());
}

#[test]
fn an_image_behind_a_login_is_pulled_with_it_and_denied_without() {
    let engine = Engine::docker();
    let registry = Registry::serving_to(&engine.save_image(&place::image()), Some("YW5uOnMzY3IzdA=="));
    let pull = format!("to-pull={}", registry.image());
    let denied = run(&engine, "pulling", &["--param", &pull]);
    assert_eq!((denied.code, denied.cause("victim")), (Some(1), "pull-denied"), "{denied:#?}");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config.json");
    let registry_name = registry.image().split('/').next().expect("a registry").to_owned();
    std::fs::write(&file, format!(r#"{{"auths": {{"{registry_name}": {{"auth": "YW5uOnMzY3IzdA=="}}}}}}"#))
        .expect("written");
    let login = ["--registry-auth", file.to_str().expect("text")];
    let pulled = run(&engine, "pulling", &[&["--param", &pull][..], &login].concat());
    assert_eq!((pulled.code, pulled.cause("victim")), (Some(0), "succeeded"), "{pulled:#?}");
    assert!(!format!("{pulled:?}").contains("s3cr3t"));
    engine.remove_image(&registry.image());
}
