//! A workspace is packed as git would see it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_archive::{UnpackLimits, WorkspaceFiles, pack_workspace, pack_workspace_with_git, unpack, walk_workspace};
use tempfile::TempDir;

fn tree(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (path, content) in files {
        let at = root.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, content).unwrap();
    }
    root
}

/// The files that come out when `root`, where git tracks nothing yet, is packed and unpacked.
fn packed(root: &Path) -> Vec<String> {
    packed_of(root, &WorkspaceFiles::of_working_tree([]))
}

fn packed_of(root: &Path, files: &WorkspaceFiles) -> Vec<String> {
    let mut archive = Vec::new();
    pack_workspace(root, files, &mut archive).unwrap();
    let to = TempDir::new().unwrap();
    let dir = Dir::open_ambient_dir(to.path(), ambient_authority()).unwrap();
    unpack(&archive[..], &dir, &UnpackLimits::default(), None).unwrap();
    let mut files = Vec::new();
    let mut pending = vec![to.path().to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                files.push(path.strip_prefix(to.path()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

#[test]
fn what_git_ignores_stays_out() {
    let root = tree(&[
        (".git/info/exclude", "private\n"),
        (".git/HEAD", "ref: refs/heads/main\n"),
        (".gitignore", "target/\n*.log\n!keep.log\n"),
        (".hidden/file", ""),
        ("a.log", ""),
        ("keep.log", ""),
        ("private", ""),
        ("src/.gitignore", "generated.rs\n"),
        ("src/generated.rs", ""),
        ("src/main.rs", ""),
        ("target/debug/app", ""),
        ("vendor/sub/.git/HEAD", ""),
        ("vendor/sub/file", ""),
    ]);
    let expected = [".gitignore", ".hidden/file", "keep.log", "src/.gitignore", "src/main.rs", "vendor/sub/file"];
    assert_eq!(packed(root.path()), expected);
}

#[test]
fn tracked_files_are_packed_whatever_ignores_them() {
    let files = [
        (".gitignore", "dist/\n*.log\n"),
        ("dist/a.js", ""),
        ("dist/b.js", ""),
        ("dist/deep/.gitignore", "!c.js\n"),
        ("dist/deep/c.js", ""),
        ("dist/deep/d.js", ""),
        ("dist/other/e.js", ""),
        ("kept.log", ""),
        ("left.log", ""),
        ("new", ""),
    ];
    let root = tree(&files);
    let tracked = ["dist/a.js", "dist/deep/d.js", "kept.log", "gone.log"].map(Into::into);
    let expected = [".gitignore", "dist/a.js", "dist/deep/d.js", "kept.log", "new"];
    assert_eq!(packed_of(root.path(), &WorkspaceFiles::of_working_tree(tracked)), expected);
}

#[test]
fn a_workspace_with_git_has_the_directory_that_it_is_given_as_its_git() {
    let root = tree(&[(".git/HEAD", "the wrong one"), ("file", "")]);
    let git = tree(&[("HEAD", "ref: refs/heads/main\n"), ("refs/heads/main", ""), (".git/odd", "")]);
    let mut archive = Vec::new();
    pack_workspace_with_git(root.path(), &WorkspaceFiles::all(), git.path(), &mut archive).unwrap();
    let to = TempDir::new().unwrap();
    let dir = Dir::open_ambient_dir(to.path(), ambient_authority()).unwrap();
    unpack(&archive[..], &dir, &UnpackLimits::default(), None).unwrap();
    assert_eq!(fs::read_to_string(to.path().join(".git/HEAD")).unwrap(), "ref: refs/heads/main\n");
    assert!(to.path().join("file").exists() && to.path().join(".git/refs/heads/main").exists());
}

#[test]
fn nothing_of_a_checkout_is_ignored() {
    let root =
        tree(&[(".git/HEAD", ""), (".gitignore", "dist/\n"), ("dist/a.js", ""), ("sub/.git", ""), ("sub/x", "")]);
    assert_eq!(packed_of(root.path(), &WorkspaceFiles::all()), [".gitignore", "dist/a.js", "sub/x"]);
}

#[test]
fn gitignore_counts_without_a_repository_too() {
    let root = tree(&[(".gitignore", "out\n"), ("out/x", ""), ("in", "")]);
    assert_eq!(packed(root.path()), [".gitignore", "in"]);
}

#[test]
fn whoever_walks_may_pass_over_a_directory() {
    let root = tree(&[("a/x", ""), ("b/.gitignore", "x\n"), ("b/deep/y", ""), ("c/x", "")]);
    for files in [WorkspaceFiles::of_working_tree([]), WorkspaceFiles::all()] {
        let mut walk = walk_workspace(root.path(), &files).unwrap();
        let mut seen = Vec::new();
        while let Some(entry) = walk.next() {
            let path = entry.unwrap().path;
            if path == Path::new("b") {
                // Twice does no more than once.
                walk.pass_over();
                walk.pass_over();
            }
            seen.push(path);
        }
        let all = ["a", "a/x", "b", "c", "c/x"];
        assert_eq!(seen, all.map(Path::new));
    }
}

#[test]
fn other_ignore_files_do_not_count() {
    let root = tree(&[(".ignore", "in\n"), ("in", "")]);
    assert_eq!(packed(root.path()), [".ignore", "in"]);
}

#[test]
fn patterns_above_the_root_count_inside_a_repository_only() {
    let files = [(".gitignore", "out\n"), ("sub/out/x", ""), ("sub/in", "")];
    let root = tree(&files);
    assert_eq!(packed(&root.path().join("sub")), ["in", "out/x"]);
    fs::create_dir(root.path().join(".git")).unwrap();
    assert_eq!(packed(&root.path().join("sub")), ["in"]);
    fs::create_dir_all(root.path().join("sub/.git")).unwrap();
    assert_eq!(packed(&root.path().join("sub")), ["in", "out/x"]);
}

#[test]
fn patterns_above_the_repository_do_not_count() {
    let root = tree(&[(".gitignore", "out\n"), ("repo/.git/HEAD", ""), ("repo/sub/out/x", ""), ("repo/sub/in", "")]);
    assert_eq!(packed(&root.path().join("repo/sub")), ["in", "out/x"]);
    assert_eq!(packed(&root.path().join("repo")), ["sub/in", "sub/out/x"]);
}

#[test]
fn links_are_packed_as_links() {
    let root = tree(&[("dir/file", "x")]);
    std::os::unix::fs::symlink("dir/file", root.path().join("link")).unwrap();
    std::os::unix::fs::symlink(".", root.path().join("dir/loop")).unwrap();
    let mut archive = Vec::new();
    pack_workspace(root.path(), &WorkspaceFiles::all(), &mut archive).unwrap();
    let to = TempDir::new().unwrap();
    let dir = Dir::open_ambient_dir(to.path(), ambient_authority()).unwrap();
    unpack(&archive[..], &dir, &UnpackLimits::default(), None).unwrap();
    assert_eq!(fs::read_link(to.path().join("link")).unwrap(), Path::new("dir/file"));
    assert_eq!(fs::read_link(to.path().join("dir/loop")).unwrap(), Path::new("."));
}

#[test]
fn a_root_that_is_not_there_is_an_error() {
    assert!(pack_workspace(Path::new("/nowhere/at/all"), &WorkspaceFiles::all(), Vec::new()).is_err());
}
