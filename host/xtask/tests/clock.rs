//! No test judges by the clock: a slow or busy machine must not make one fail, nor a quick one.
//!
//! A test waits for an event, counts, or gets its limits from outside. Figures belong into benchmarks. A clock is looked at by the
//! guards against tests that hang alone, which are files of their own.

use std::fs;
use std::path::{Path, PathBuf};

/// The files that may look at a clock, by their name.
const GUARD: &str = "hang_guard.rs";

/// Programs that measure: benchmarks, with the guest that takes the time of its calls for one; the fault runs, which print how long an end takes;
/// and the guest that hands on what its clocks show, to be shown the same in a replay.
const MEASURES: [&str; 4] =
    ["benches", "tests/probe-script/src/timed.rs", "tests/src/bin/faults", "tests/probe-script/src/tricks.rs"];

/// What looks at a clock. Whoever has no `Instant` can't compare what has passed since.
const CLOCKS: [&str; 2] = ["Instant", "elapsed()"];

/// The lines of a file's tests that look at a clock, with their numbers. Of a file of the product, that is the module of its tests.
fn looks_at_a_clock(path: &Path, text: &str) -> Vec<(usize, String)> {
    if path.file_name().is_some_and(|name| name == GUARD) || MEASURES.iter().any(|part| contains(path, part)) {
        return Vec::new();
    }
    let is_test = path.components().any(|part| ["tests", "tests.rs"].iter().any(|name| part.as_os_str() == *name));
    let tests =
        |line: &&(usize, &str)| is_test || text.lines().take(line.0).any(|line| line.starts_with("mod tests {"));
    let lines: Vec<(usize, &str)> = text.lines().enumerate().collect();
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let found = lines.iter().filter(tests).map(|(at, line)| (at + 1, code(line)));
    found.filter(|(_, line)| CLOCKS.iter().any(|clock| line.contains(clock))).collect()
}

fn contains(path: &Path, part: &str) -> bool {
    let (path, part) = (path.components().collect::<Vec<_>>(), Path::new(part).components().collect::<Vec<_>>());
    path.windows(part.len()).any(|window| window == part)
}

/// All Rust files below a directory, without what was built.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry")) {
        let (path, name) = (entry.path(), entry.file_name());
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() && name != "target" && name != ".git" => files.extend(self::files(&path)),
            kind if kind.is_file() && path.extension().is_some_and(|it| it == "rs") => files.push(path),
            _ => {}
        }
    }
    files
}

#[test]
fn no_test_looks_at_a_clock() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository");
    let files = files(&root);
    assert!(files.len() > 100, "these are not all sources: {files:?}");
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let path = file.strip_prefix(&root).expect("below it");
        // (This file names what it looks for.)
        if !path.ends_with("xtask/tests/clock.rs") {
            let lines = looks_at_a_clock(path, &text);
            found.extend(lines.into_iter().map(|(at, line)| format!("{}:{at}: {}", path.display(), line.trim())));
        }
    }
    assert!(
        found.is_empty(),
        "these tests judge by the clock, so a slow machine makes them fail. Wait for an event with the harness's {GUARD}, count, \
         give the limit from outside, or measure in a benchmark:\n{}",
        found.join("\n")
    );
}

#[test]
fn what_judges_by_the_clock_is_caught_in_tests_and_nowhere_else() {
    let text = "use std::time::{Duration, Instant};\nfn f() {\n    let start = now();\n    assert!(start.elapsed() < LIMIT);\n}\n";
    let lines = |path: &str, text: &str| -> Vec<usize> {
        looks_at_a_clock(Path::new(path), text).into_iter().map(|(at, _)| at).collect()
    };
    for test in [
        "tests/tests/faults/kills.rs",
        "host/build/tests/scale.rs",
        "host/api/src/client/tests.rs",
        "tests/src/host.rs",
    ] {
        assert_eq!(lines(test, text), [1, 4], "{test}");
    }
    for other in
        ["host/api/src/client.rs", "tests/tests/hang_guard.rs", "tests/benches/job.rs", "tests/src/bin/faults/main.rs"]
    {
        assert_eq!(lines(other, text), [0; 0], "{other}");
    }
    let with_tests = "use std::time::Instant;\n\n#[cfg(test)]\nmod tests {\n    use std::time::Instant; // here\n    // Instant\n}\n";
    assert_eq!(lines("host/api/src/client.rs", with_tests), [5]);
}
