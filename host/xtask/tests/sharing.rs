//! Builds of different parts share what they compile of others' crates.

use std::collections::BTreeSet;
use std::process::Command;

/// The crates of others that cargo compiles for a selection of ours, each with its features.
fn compiled_for(selection: &[&str]) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--offline", "--prefix", "none", "--format", "{p} [{f}]"]).args(selection);
    let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    let lines = lines.lines().map(|line| line.trim_end_matches(" (*)"));
    // Ours have a path.
    lines.filter(|line| !line.is_empty() && !line.contains("(/")).map(str::to_owned).collect()
}

#[test]
fn the_host_the_tests_and_the_benchmarks_ask_for_the_same_features() {
    let all = compiled_for(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(all.iter().any(|line| line.starts_with("wasmtime v")), "{all:?}");
    for selection in [
        &["--package", "monkeyci-host", "--edges", "normal,build"][..],
        &["--package", "monkeyci-host", "--edges", "normal,build,dev"],
        &["--package", "monkeyci-tests", "--edges", "normal,build,dev"],
        &["--workspace", "--edges", "normal,build"],
    ] {
        let otherwise: Vec<_> = compiled_for(selection).difference(&all).cloned().collect();
        let remedy = "name what they lack in the workspace's dependencies, or wasmtime may be compiled once for each";
        assert_eq!(otherwise, [] as [String; 0], "{selection:?} compiles these with other features: {remedy}");
    }
}
