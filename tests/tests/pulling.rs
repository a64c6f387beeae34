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
