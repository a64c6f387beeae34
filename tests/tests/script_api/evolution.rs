//! The contract only grows: what was built against an older version keeps running.

use std::path::Path;

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Host, Running};
use monkeyci_tests::place;

/// The probe script as it was built against version 0.1.0 of `wit/`, by the SDK of that time.
const FIRST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/script-0.1.0.wasm");

#[test]
fn a_component_built_against_the_first_version_of_the_contract_still_runs() {
    let engine = Engine::docker();
    for (case, code, says) in [
        ("hello", 0, Some(("hello", "hello from the job\n"))),
        ("artifact", 0, Some(("use", "payload\n"))),
        ("cache", 0, Some(("count", "1\n"))),
        ("service", 0, Some(("client", "served\n"))),
        ("events", 0, None),
        ("exit-3", 1, None),
        ("faults", 3, None),
    ] {
        let host = Host::on(&engine);
        let empty = host.home().join("empty");
        std::fs::create_dir_all(&empty).expect("a directory");
        let mut command = host.command(&["run", "--progress", "json", "--engine", &engine.address]);
        command.arg(Path::new(FIRST)).arg("--dir").arg(empty);
        command.args(["--param", &format!("case={case}"), "--param", &format!("image={}", place::image())]);
        let ended = Running::spawn(&mut command).end();
        assert_eq!(ended.code, Some(code), "{case}: {ended:#?}");
        if let Some((job, text)) = says {
            assert!(ended.log(Some(job)).contains(text), "{case}: {ended:#?}");
        }
    }
}
