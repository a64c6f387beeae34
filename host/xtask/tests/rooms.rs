//! Arrows point one way: no crate and no room uses what `host/ARCHITECTURE.md` does not let it use.

mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Who may use whom.
type Table = BTreeMap<String, BTreeSet<String>>;

/// Who uses whom, and where: what is used, and the file that does.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

fn host() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder").to_owned()
}

/// The table of the map whose first column has this head.
fn table(map: &str, head: &str) -> Table {
    let cells =
        |line: &str| -> Vec<String> { line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect() };
    let mut lines = map.lines().skip_while(|line| cells(line)[0] != head);
    let heads = cells(lines.next().unwrap_or_else(|| panic!("the map has no table of each {head}")));
    assert_eq!(heads.last().map(String::as_str), Some("may use"));
    let rows = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells);
    rows.map(|row| {
        let may = row.last().expect("a cell").split(',').map(str::trim).filter(|used| *used != "–");
        (row[0].clone(), may.map(str::to_owned).collect())
    })
    .collect()
}

/// What is wrong: a use that the table does not allow, somebody who is not on it or not there, a cycle in it.
fn faults(table: &Table, uses: &Uses) -> Vec<String> {
    let mut faults = Vec::new();
    for (user, used) in uses {
        let Some(may) = table.get(user) else {
            faults.push(format!("{user} is not on the map"));
            continue;
        };
        for (used, file) in used.iter().filter(|(used, _)| !may.contains(*used)) {
            faults.push(format!("{user} may not use {used}, and {file} does"));
        }
    }
    faults.extend(table.keys().filter(|known| !uses.contains_key(*known)).map(|gone| format!("there is no {gone}")));
    // Whoever uses only what is done is done; those that are left use each other.
    let mut left: BTreeMap<_, _> = table.iter().collect();
    while let Some(done) = left.iter().find(|(_, may)| may.iter().all(|used| !left.contains_key(used))) {
        let done = *done.0;
        left.remove(done);
    }
    if !left.is_empty() {
        faults.push(format!("the map has a cycle among {:?}", left.keys().collect::<Vec<_>>()));
    }
    faults
}

/// The rooms that a file names, but for those in its tests and comments.
fn rooms_in(source: &str) -> BTreeSet<String> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for after in code.join("\n").split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            found.insert(word(after));
            continue;
        };
        // Rooms stand at the start of each part of a group; what is in groups inside of it belongs to them.
        let (mut depth, mut part) = (0, String::new());
        for c in group.chars() {
            match c {
                '}' if depth == 0 => break,
                ',' if depth == 0 => _ = found.insert(word(std::mem::take(&mut part).trim())),
                _ => {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    part.push(c);
                }
            }
        }
        found.insert(word(part.trim()));
    }
    found.retain(|room| !room.is_empty());
    found
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").ends_with("tests"))
}

/// The source files below a folder, but for tests; as paths inside of it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = tree::rust_files(dir);
    found.retain(|file| !is_test(file));
    found
}

/// What the rooms below a folder use of each other.
fn rooms(source: &Path) -> Uses {
    let mut uses = Uses::new();
    for file in files(source) {
        let first = file.components().next().expect("a name").as_os_str().to_string_lossy();
        let room = first.trim_end_matches(".rs").to_owned();
        if room == "lib" {
            continue;
        }
        let used = uses.entry(room.clone()).or_default();
        let text = fs::read_to_string(source.join(&file)).expect("text");
        for other in rooms_in(&text).into_iter().filter(|other| *other != room) {
            used.insert(other, file.display().to_string());
        }
    }
    uses
}

/// What the crates of the host use of each other.
fn crates(host: &Path) -> Uses {
    let entries = fs::read_dir(host).expect("a folder").map(|entry| entry.expect("an entry").path().join("Cargo.toml"));
    let manifests = entries.filter(|manifest| manifest.is_file());
    manifests
        .map(|manifest| {
            let name = manifest.parent().and_then(Path::file_name).expect("a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&manifest).expect("text");
            let place = format!("host/{name}/Cargo.toml");
            (name, dependencies(&text).into_iter().map(|used| (used, place.clone())).collect())
        })
        .collect()
}

/// Those of our crates that a manifest names as dependencies, but for tests.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let (mut found, mut counts) = (BTreeSet::new(), false);
    for line in manifest.lines() {
        if line.starts_with('[') {
            counts = line.ends_with("dependencies]") && !line.contains("dev-dependencies");
        }
        if let Some(rest) = line.strip_prefix("monkeyci-").filter(|_| counts) {
            found.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect());
        }
    }
    found
}

fn map() -> String {
    fs::read_to_string(host().join("ARCHITECTURE.md")).expect("the map")
}

#[test]
fn no_room_of_the_controller_uses_one_that_the_map_does_not_let_it_use() {
    let faults = faults(&table(&map(), "room"), &rooms(&host().join("controller/src")));
    assert!(faults.is_empty(), "see host/ARCHITECTURE.md:\n{}", faults.join("\n"));
}

#[test]
fn no_crate_uses_one_that_the_map_does_not_let_it_use() {
    let faults = faults(&table(&map(), "crate"), &crates(&host()));
    assert!(faults.is_empty(), "see host/ARCHITECTURE.md:\n{}", faults.join("\n"));
}

#[test]
fn every_way_to_name_a_forbidden_room_is_found() {
    let map = table(&map(), "room");
    for line in [
        "use crate::jobs::JobContext;",
        "use crate::jobs;",
        "use crate::{clock, jobs};",
        "use crate::{\n    clock::now_ms,\n    jobs::{self, JobContext},\n};",
        "fn f(context: &crate::jobs::JobContext) {}",
    ] {
        let mut uses: Uses = map.keys().map(|room| (room.clone(), BTreeMap::new())).collect();
        let used = rooms_in(line).into_iter().map(|room| (room, "driver.rs".to_owned())).collect();
        uses.insert("running".to_owned(), used);
        assert_eq!(faults(&map, &uses), ["running may not use jobs, and driver.rs does"], "{line}");
    }
    for fine in ["// use crate::jobs;", "#[cfg(test)]\nmod tests {\n    use crate::jobs;\n}"] {
        assert_eq!(rooms_in(fine), BTreeSet::new(), "{fine}");
    }
}

#[test]
fn a_room_that_is_not_on_the_map_one_that_is_gone_and_a_cycle_are_found() {
    let map = table("| room | may use |\n| --- | --- |\n| a | b |\n| b | a |\n| c | – |\n", "room");
    let uses = Uses::from([("a".to_owned(), BTreeMap::new()), ("d".to_owned(), BTreeMap::new())]);
    let found = ["d is not on the map", "there is no b", "there is no c", "the map has a cycle among [\"a\", \"b\"]"];
    assert_eq!(faults(&map, &uses), found);
}

#[test]
fn a_forbidden_dependency_is_found_and_one_for_tests_is_none() {
    let manifest = "[dependencies]\nserde = \"1\"\nmonkeyci-api.workspace = true\n\
                    [target.'cfg(unix)'.dependencies]\nmonkeyci-script = { path = \"x\" }\n\
                    [dev-dependencies]\nmonkeyci-archive.workspace = true\n";
    assert_eq!(dependencies(manifest), BTreeSet::from(["api".to_owned(), "script".to_owned()]));
}
