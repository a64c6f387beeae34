//! Files of the shapes that people have: each is read, and what comes of it stands beside it. The scripts are compiled as parts of the
//! crate `tests/imported-script`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::model::Pipeline;
use super::{System, pipeline, writing, yaml};

mod cases;

const SYSTEMS: [(System, usize); 3] = [(System::GitHub, 4), (System::GitLab, 4), (System::Woodpecker, 2)];

/// The files, each with its system.
fn files() -> Vec<(System, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/imported-script/workflows");
    let of = |(system, number): (System, usize)| {
        let word = system.to_possible_value().expect("a word").get_name().to_owned();
        let folder = fs::read_dir(root.join(&word)).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = folder.filter(|path| path.extension().is_some_and(|end| end == "yml")).collect();
        files.sort();
        assert_eq!((files.len(), word), (number, system.word()));
        files.into_iter().map(move |file| (system, file))
    };
    SYSTEMS.into_iter().flat_map(of).collect()
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

fn read(system: System, text: &str) -> Pipeline {
    pipeline(text.as_bytes(), system).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn ten_files_of_the_shapes_that_people_have_become_these_scripts_and_these_lists() {
    let new = tempfile::Builder::new().prefix("imported").tempdir().expect("a directory").keep();
    let mut wrong = Vec::new();
    for (system, path) in files() {
        let found = read(system, &fs::read_to_string(&path).expect("text"));
        let list: String =
            found.missing.iter().map(|one| format!("{} {}: {}\n", one.place.line, one.place.path, one.why)).collect();
        for (end, made) in [("rs", writing::script(&found, system, &name(&path))), ("missing", list)] {
            let beside = path.with_extension(end);
            if fs::read_to_string(&beside).unwrap_or_default() != made {
                let to = new.join(system.word());
                fs::create_dir_all(&to).expect("a directory");
                fs::write(to.join(name(&beside)), made).expect("written");
                wrong.push(beside);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "what comes of these is another: {wrong:#?}; as it is now, it stands in {}",
        new.display()
    );
    fs::remove_dir(new).expect("removed");
}

#[test]
fn whatever_a_file_says_beyond_what_is_known_is_on_the_list() {
    for (system, path) in files() {
        let text = fs::read_to_string(&path).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        let mut tried = 0;
        for at in 0..lines.len() {
            // Before each key of a block, another one that nobody knows.
            let line = lines[at];
            let begin = line.len() - line.trim_start().len();
            let key = line.trim_start().split(':').next().unwrap_or_default();
            let is_key = line.contains(':') && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            if !is_key || in_text(&lines, at) {
                continue;
            }
            let mut more = lines.clone();
            let own = format!("{}zz-nobody-knows: zz-value", &line[..begin]);
            more.insert(at, &own);
            let more = more.join("\n");
            let Some(new) = place(&more) else { panic!("{}:{}: the key is nowhere", name(&path), at + 1) };
            let found = read(system, &more);
            let script = writing::script(&found, system, "x.yml");
            let listed = found.missing.iter().any(|one| {
                let below = new.strip_prefix(one.place.path.as_str());
                below.is_some_and(|rest| one.place.path.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
            });
            // A map of variables may have any.
            let translated = script.contains("zz-nobody-knows") || script.contains("zz_nobody_knows");
            assert!(listed || translated, "{}:{}: {own} is lost\n{:#?}", name(&path), at + 1, found.missing);
            tried += 1;
        }
        assert!(tried > 10, "{}: only {tried} keys", name(&path));
    }
}

/// Where the new key is.
fn place(text: &str) -> Option<String> {
    let (mut open, mut seen) = (yaml::read(text.as_bytes()).expect("YAML"), BTreeSet::new());
    while let Some(node) = open.pop() {
        let path = node.place().path;
        if path.ends_with("zz-nobody-knows") {
            return Some(path);
        }
        if seen.insert(std::rc::Rc::as_ptr(&node)) {
            open.extend(node.entries().iter().map(|entry| entry.value.clone()));
            if node.is_list() {
                open.extend(node.items());
            }
        }
    }
    None
}

/// Whether a line stands in a text of several lines.
fn in_text(lines: &[&str], at: usize) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(lines[at]);
    let above = lines[..at].iter().rev().find(|line| !line.trim().is_empty() && indent(line) < own);
    above.is_some_and(|line| line.trim_end().ends_with(['|', '>']) || line.trim_end().ends_with(">-"))
}
