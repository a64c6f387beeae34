//! Whatever calls itself a limit is among those that `monkeyci-host limits` prints: the crate's `budget.rs` (or what has the same
//! part) names the constant itself, so that what is printed is what is enforced.

mod tree;

use std::fs;
use std::path::{Path, PathBuf};

/// Limits of reading a file of the system that somebody comes from.
const IMPORTED: &str =
    "a file of whoever imports it on their own machine; what is beyond is refused, or on the list of what is missing";

/// Limits of the files of a script.
const SCRIPT: &str = "files of whoever runs builds on their own machine; what is beyond is refused";

/// Limits that nobody else's resources depend on: the file, the constant, and what it is.
const OTHERS: &[(&str, &str, &str)] = &[
    ("api/src/log.rs", "LOG_HELD", "printed by sidecars, which hold it"),
    ("script/src/host/submit.rs", "NAMED", "how many names a record shows"),
    ("controller/src/logs/tail.rs", "LEFT_TO_SENDER", "half of what sidecars hold, which they print"),
    ("archive/src/glob.rs", "SHOWN", "how much of a pattern a message shows"),
    ("build/src/check.rs", "LONGEST", "how much of a hostile text a message shows"),
    ("build/src/check.rs", "NAMED", "how many names a message shows"),
    ("build/src/check/image.rs", "MAX_NAME", "a rule of names of images"),
    ("build/src/check/image.rs", "MAX_TAG", "a rule of names of images"),
    ("build/src/check/removed.rs", "MOST", "printed, as MAX_REPLACED"),
    ("build/src/param.rs", "SHOWN", "how many values a message shows"),
    ("build/src/spec.rs", "SHOWN", "how much of a command a message shows"),
    ("controller/src/simulation/run.rs", "AT_A_TIME", "of simulated builds: a seed is the same on every machine"),
    ("controller/src/simulation/event.rs", "LOOKED_AT", "of simulated builds: a seed is the same on every machine"),
    ("controller/src/tokens.rs", "KNOWN", "checked tokens that are remembered; what is beyond is checked anew"),
    ("server/src/keys.rs", "KEY", "how long a key is"),
    ("server/src/policy.rs", "LARGEST", "a file of whoever runs the server"),
    ("server/src/keys.rs", "KEY_FILE", "a file of whoever runs the server"),
    ("script/src/runtime.rs", "SIMULATED_SLICES", "of simulations, which have no other use for the machine's time"),
    ("storage/src/journal/postgres.rs", "ROWS", "how many rows one statement takes"),
    ("storage/src/journal/sqlite.rs", "ROWS", "how many rows one statement takes"),
    ("cli/src/languages.rs", "LARGEST", SCRIPT),
    ("cli/src/languages.rs", "LARGEST_FOLDER", SCRIPT),
    ("cli/src/languages.rs", "MAX_DEPTH", SCRIPT),
    ("cli/src/languages.rs", "MOST_FILES", SCRIPT),
    ("cli/src/test.rs", "MANIFEST", "a file of whoever runs tests on their own machine"),
    (
        "cli/src/config/file.rs",
        "LARGEST",
        "a file of whoever runs builds on their own machine; what is beyond is refused",
    ),
    ("server/src/keys.rs", "KEY", "how many bytes a key has"),
    ("server/src/keys.rs", "KEY_FILE", "a file of whoever runs the server; what is beyond is no key"),
    ("server/src/policy.rs", "LARGEST", "a file of whoever runs the server; what is beyond is refused"),
    ("cli/src/import/github/expression.rs", "MAX_DEPTH", IMPORTED),
    ("cli/src/import/github/matrix.rs", "MAX_ROWS", IMPORTED),
    ("cli/src/import/gitlab/expression.rs", "MAX_DEPTH", IMPORTED),
    ("cli/src/import/gitlab/job.rs", "MAX_ROWS", IMPORTED),
    ("cli/src/import/gitlab/mod.rs", "MAX_DEPTH", IMPORTED),
    ("cli/src/import/gitlab/mod.rs", "MAX_REPEATED", IMPORTED),
    ("cli/src/import/names.rs", "MAX_ID", IMPORTED),
    ("cli/src/import/variables.rs", "MAX_DEPTH", IMPORTED),
    ("cli/src/import/variables.rs", "MAX_NAMES", IMPORTED),
    ("cli/src/import/variables.rs", "MAX_TEXT", IMPORTED),
    ("cli/src/import/woodpecker/mod.rs", "MAX_ROWS", IMPORTED),
    ("cli/src/import/mod.rs", "MAX_JOBS", IMPORTED),
    ("cli/src/import/yaml.rs", "MAX_BYTES", IMPORTED),
    ("cli/src/import/yaml.rs", "MAX_DEPTH", IMPORTED),
    ("cli/src/import/yaml.rs", "MAX_NODES", IMPORTED),
    ("cli/src/import/writing/mod.rs", "WIDTH", "where a comment's line is broken"),
    ("cli/src/reports/summary.rs", "BYTES", "how much a page of GitHub's shows"),
    ("cli/src/reports/summary.rs", "CELL", "how much of a text a page of GitHub's shows"),
    ("engines/src/docker/ssh.rs", "SAID", "how much of what ssh says a message shows"),
    ("cli/src/watch.rs", "NAMED", "how many files a message names"),
    ("cli/src/watch/files.rs", "LOOKS", "how often the files of whoever edits are looked at for one edit"),
    ("cli/src/watch/files.rs", "LONGEST", "how long an edit may go on before whoever edits sees what comes of it"),
    ("cli/src/progress/lines.rs", "LONGEST", "how a line is cut to be shown"),
    ("cli/src/plan/diff.rs", "LONGEST", "how much of a value is shown"),
    ("cli/src/progress/lines.rs", "SHOWN", "how many lines are shown"),
    ("cli/src/progress/lines.rs", "SHOWN_REMOVED", "how many lines are shown"),
    ("controller/src/replay/running.rs", "SHORT", "how much of an answer is shown"),
    ("controller/src/hang_guard.rs", "HANGS", "for tests"),
    ("controller/src/control/client.rs", "NAMED", "how many builds a message names"),
    ("controller/src/host/shutdown.rs", "BROUGHT_BACK", "how many parked builds are stopped at once"),
    ("controller/src/running/driver/park.rs", "AGAIN_AT_MOST", "a pause between two tries"),
    (
        "mask/src/filter.rs",
        "MAX_INDEX_BITS",
        "the size of a table, by that of the secrets' encodings, which have a limit",
    ),
    ("script/src/error.rs", "NAMED", "how many names a message shows"),
    ("sidecar/src/sidecar/job.rs", "LINE_TEXT_LIMIT", "how much of a line a message shows"),
    ("sidecar/src/sidecar/services.rs", "LONGEST_PAUSE", "a pause between two attempts"),
    ("controller/src/source/attributes.rs", "LONGEST_POINTER", "what git-lfs itself says that a pointer is"),
];

fn host() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder").to_owned()
}

/// The source files of the host's crates, as paths below it.
fn files(host: &Path) -> Vec<PathBuf> {
    let mut found = tree::rust_files(host);
    found.retain(|file| {
        let mut parts =
            file.components().map(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned());
        let is_product = !file.starts_with("xtask") && !file.starts_with("testbed");
        is_product
            && file.components().any(|part| part.as_os_str() == "src")
            && !parts.any(|part| part.ends_with("tests"))
    });
    found
}

/// The constants of a source that call themselves a limit, by their name or by what is said of them.
fn limits(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut said = String::new();
    let mut found = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            said.push_str(words);
            continue;
        }
        if line.starts_with("//") {
            continue;
        }
        let (said, head) = (std::mem::take(&mut said), line.split(['=', ';']).next().unwrap_or_default());
        let Some((_, rest)) = head.split_once("const ") else { continue };
        let Some((name, kind)) = rest.split_once(':') else { continue };
        let is_amount = ["usize", "u64", "u32", "u16", "i64", "Duration"].contains(&kind.trim());
        let by_name = ["MAX", "MOST", "LIMIT", "LONGEST", "LARGEST"].iter().any(|word| name.contains(word));
        let by_words = ["The most", "The longest", "The largest", "How many", "How much"];
        if is_amount && (by_name || by_words.iter().any(|words| said.trim_start().starts_with(words))) {
            found.push(name.to_owned());
        }
    }
    found
}

/// What a crate prints of its limits.
fn printed(host: &Path, name: &str) -> String {
    let says = |file: &&PathBuf| {
        let is_budget = file.ends_with("budget.rs") || file.ends_with("limits.rs") || file.ends_with("progress/mod.rs");
        file.starts_with(name) && is_budget
    };
    let files = files(host);
    files.iter().filter(says).map(|file| fs::read_to_string(host.join(file)).expect("text")).collect()
}

fn names(text: &str, constant: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == constant)
}

#[test]
fn whatever_calls_itself_a_limit_is_printed() {
    let host = host();
    let mut missing = Vec::new();
    let mut seen = 0;
    for file in files(&host) {
        let shown = file.to_string_lossy().into_owned();
        let name = shown.split('/').next().expect("a crate").to_owned();
        let printed = printed(&host, &name);
        for constant in limits(&fs::read_to_string(host.join(&file)).expect("text")) {
            seen += 1;
            let is_other = OTHERS.iter().any(|(file, other, _)| *file == shown && *other == constant);
            if !is_other && !names(&printed, &constant) {
                missing.push(format!("host/{shown}: {constant}"));
            }
        }
    }
    assert!(seen > 60, "these are not all: {seen}");
    assert!(
        missing.is_empty(),
        "these are limits that `monkeyci-host limits` does not print; describe them in their crate's budget.rs, or say in {} why not:\n{}",
        file!(),
        missing.join("\n")
    );
}

#[test]
fn a_limit_is_known_by_its_name_or_by_its_words() {
    let source = "/// The most bytes\n/// of a thing.\npub(crate) const SIZE: usize = 3;\nconst MAX_DEPTH: u64 = 1;\n/// A port.\nconst DNS: u16 = 53;\n\
                  /// The longest name.\nconst NAME: &str = \"x\";\n#[cfg(test)]\nmod tests {\n    const MOST: usize = 2;\n}\n";
    assert_eq!(limits(source), ["SIZE", "MAX_DEPTH"]);
    assert!(names("Limit::bytes(\"x\", Per::Call, SIZE as u64)", "SIZE") && !names("OVERSIZE", "SIZE"));
}
