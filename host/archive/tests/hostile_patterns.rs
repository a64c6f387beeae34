//! Patterns that come from strangers, in a process that may not take much memory.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Once;

use monkeyci_archive::{ArchiveError, Globs, PackedWorkspace, WorkspaceFiles, pack_workspace};
use rustix::process::{Resource, Rlimit, setrlimit};
use tempfile::TempDir;

/// From here on, the process of these tests gets 512 MiB and no more: an allocation beyond that ends it.
fn capped() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let most = Some(512 << 20);
        setrlimit(Resource::As, Rlimit { current: most, maximum: most }).unwrap();
    });
}

fn packed(root: &Path) -> Result<PackedWorkspace, ArchiveError> {
    pack_workspace(root, &WorkspaceFiles::of_working_tree([]), std::io::sink())
}

#[test]
fn a_list_of_ignored_files_that_is_a_device_or_a_pipe_is_neither_read_nor_waited_for() {
    capped();
    let root = TempDir::new().unwrap();
    for dir in ["device", "pipe", "link", "directory/.gitignore"] {
        fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    fs::write(root.path().join("patterns"), "file\n").unwrap();
    fs::write(root.path().join("link/file"), "").unwrap();
    symlink("/dev/zero", root.path().join("device/.gitignore")).unwrap();
    symlink("../patterns", root.path().join("link/.gitignore")).unwrap();
    let pipe = root.path().join("pipe/.gitignore");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    let PackedWorkspace { packed, unread } = packed(root.path()).unwrap();
    // Two links, and two files: git follows no such link either.
    assert_eq!((packed.files, packed.skipped), (4, 1));
    let expected: Vec<PathBuf> =
        ["device", "directory", "link", "pipe"].iter().map(|dir| root.path().join(dir).join(".gitignore")).collect();
    assert_eq!(unread, expected);
}

#[test]
fn a_list_of_ignored_files_has_a_limit_that_is_named() {
    capped();
    let root = TempDir::new().unwrap();
    let mut patterns = String::new();
    for number in 0..100_000 {
        writeln!(patterns, "some-{number}-[a-z]?*.log").unwrap();
    }
    let path = root.path().join(".gitignore");
    fs::write(&path, patterns).unwrap();
    match packed(root.path()) {
        Err(ArchiveError::TooManyPatterns { path: named, max }) => assert_eq!((named, max), (path, 128 << 10)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lists_of_ignored_files_have_a_limit_together() {
    capped();
    let root = TempDir::new().unwrap();
    let mut dir = root.path().to_owned();
    let patterns: String =
        (0..1000).map(|number| format!("some-{number}-?*[a-z]?*[a-z]?*[a-z]?*[a-z]?*[a-z]?*?*\n")).collect();
    for _ in 0..64 {
        fs::write(dir.join(".gitignore"), &patterns).unwrap();
        fs::write(dir.join("some-1-axaxaxaxaxaxaxx"), "").unwrap();
        dir.push("d");
        fs::create_dir(&dir).unwrap();
    }
    assert!(matches!(packed(root.path()), Err(ArchiveError::TooManyPatterns { .. })));
}

#[test]
fn patterns_that_take_turns_have_a_limit_too() {
    capped();
    let root = TempDir::new().unwrap();
    fs::write(root.path().join(".gitignore"), "a*b?c\n!a*b?c\n".repeat(5_000)).unwrap();
    assert!(matches!(packed(root.path()), Err(ArchiveError::TooManyPatterns { .. })));
}

#[test]
fn many_globs_with_many_wildcards_take_little_memory() {
    capped();
    let globs: Vec<String> = (0..500).map(|number| format!("{number}{}", "[a-z]?*".repeat(10))).collect();
    let ten: Vec<_> = (0..10).map(|_| Globs::new(&globs)).collect();
    let path = format!("17{}", "[a-z]xy".repeat(10));
    // Refusing them would do as well.
    for globs in ten.iter().flatten() {
        assert!(globs.matches(Path::new(&path)) && !globs.matches(Path::new("x")));
    }
}

#[test]
fn more_globs_than_an_automaton_holds_are_refused_in_few_words() {
    capped();
    let globs: Vec<String> = (0..1000).map(|number| format!("{number}{}", "?*".repeat(500))).collect();
    let error = Globs::new(&globs).unwrap_err().to_string();
    assert!(error.starts_with("the globs \"0?*?*") && error.len() < 500, "{error}");
}
