//! `host/SECURITY.md` promises nothing that no test shows.

mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// Rows of the page's tables in a section: what is promised, and the tests.
fn promises(page: &str) -> Vec<(String, Vec<String>)> {
    let (_, scope) = page.split_once("\n## In scope\n").expect("a section");
    let scope = scope.split("\n## ").next().unwrap_or_default();
    let rows = scope.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let cells = rows.map(|row| row.trim_matches('|').rsplit_once('|').expect("two cells"));
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    cells
        .filter(|(what, _)| what.trim() != "what")
        .map(|(what, tests)| (what.trim().to_owned(), names(tests)))
        .collect()
}

/// The functions of tests: those of files that are tests, and of others those behind `#[cfg(test)]`.
fn tests(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for dir in ["host", "tests", "guest-sdk"].map(|dir| root.join(dir)) {
        for file in tree::rust_files(&dir) {
            let path = dir.join(file);
            let text = fs::read_to_string(&path).expect("text");
            let whole = path.components().any(|part| {
                let part = part.as_os_str().to_string_lossy();
                part.trim_end_matches(".rs").ends_with("tests") || part == "properties.rs"
            });
            found.extend(functions(if whole { &text } else { behind_cfg_test(&text) }));
        }
    }
    found
}

fn behind_cfg_test(text: &str) -> &str {
    text.find("#[cfg(test)]").map_or("", |at| &text[at..])
}

fn functions(text: &str) -> impl Iterator<Item = String> {
    let heads = text.lines().filter_map(|line| line.split_once("fn ")).map(|(_, rest)| rest);
    heads.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned()).collect::<Vec<_>>().into_iter()
}

#[test]
fn every_line_in_scope_names_tests_that_are_there() {
    let root = root();
    let page = fs::read_to_string(root.join("host/SECURITY.md")).expect("the page");
    let (promises, tests) = (promises(&page), tests(&root));
    assert!(promises.len() > 40 && tests.len() > 500, "{} lines, {} tests", promises.len(), tests.len());
    let faults: Vec<String> = promises
        .iter()
        .flat_map(|(what, named)| {
            let none = named.is_empty().then(|| format!("{what:?} names no test"));
            let gone = named.iter().filter(|name| !tests.contains(*name));
            none.into_iter().chain(gone.map(move |name| format!("{what:?} names {name}, which is not there")))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_line_without_a_test_and_one_that_is_gone_are_found() {
    let page = "# A\n| x | y |\n\n## In scope\n\n| what | tests |\n| --- | --- |\n| one | `a`, `b` |\n| two | none |\n\n## Out of scope\n| three | |\n";
    let expected = vec![("one".to_owned(), vec!["a".to_owned(), "b".to_owned()]), ("two".to_owned(), vec![])];
    assert_eq!(promises(page), expected);
    let text = "fn not_this() {}\n#[cfg(test)]\nmod tests {\n    #[tokio::test]\n    async fn this_one() {}\n}\n";
    assert_eq!(functions(behind_cfg_test(text)).collect::<Vec<_>>(), ["this_one"]);
}
