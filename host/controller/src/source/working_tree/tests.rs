//! Directories of this machine.

use std::os::unix::fs::symlink;

use git2::{IndexAddOption, RepositoryInitOptions, Signature};
use tempfile::TempDir;

use super::*;

/// A repository with the committed file `file`.
fn place() -> (TempDir, Repository) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = RepositoryInitOptions::new();
    let repository = Repository::init_opts(dir.path(), options.initial_head("main")).expect("a repository");
    std::fs::write(dir.path().join("file"), "x").expect("written");
    commit(&repository);
    (dir, repository)
}

fn commit(repository: &Repository) {
    let mut index = repository.index().expect("an index");
    index.add_all(["*"], IndexAddOption::DEFAULT, None).expect("added");
    index.write().expect("written");
    let tree = repository.find_tree(index.write_tree().expect("a tree")).expect("a tree");
    let ada = Signature::now("Ada", "ada@example.org").expect("a signature");
    let head = repository.head().ok().map(|head| head.peel_to_commit().expect("a commit"));
    let parents: Vec<_> = head.iter().collect();
    repository.commit(Some("HEAD"), &ada, &ada, "a commit", &tree, &parents).expect("a commit");
}

fn built(dir: &Path) -> Checkout {
    working_tree(dir, &Limits::default(), &CancellationToken::new()).expect("a checkout")
}

fn files(checkout: &Checkout) -> Vec<String> {
    let walk = walk_workspace(&checkout.dir, &checkout.files).expect("a walk").map(|entry| entry.expect("an entry"));
    let files = walk.filter(|entry| !entry.kind.is_dir());
    files.map(|entry| entry.path.to_string_lossy().into_owned()).collect()
}

#[test]
fn the_configuration_of_a_repository_does_not_say_where_its_working_tree_is() {
    let (dir, repository) = place();
    let elsewhere = tempfile::tempdir().expect("a directory");
    std::fs::write(elsewhere.path().join("secret"), "x").expect("written");
    let path = elsewhere.path().to_str().expect("text");
    repository.config().and_then(|mut config| config.set_str("core.worktree", path)).expect("configured");
    let Checkout { source, warnings, .. } = built(dir.path());
    let changes = source.changes.expect("known");
    assert_eq!((changes.added, changes.removed, source.dirty), (vec!["file".to_owned()], vec![], false));
    assert!(matches!(&warnings[..], [warning] if warning.contains("core.worktree")), "{warnings:?}");
}

#[test]
fn a_file_that_git_tracks_is_part_of_the_workspace_whatever_ignores_it() {
    let (dir, repository) = place();
    std::fs::create_dir_all(dir.path().join("app/dist")).expect("a directory");
    for (path, text) in [(".gitignore", "dist/\n"), ("app/dist/a.js", "a"), ("app/dist/b.js", "b"), ("app/new", "")] {
        std::fs::write(dir.path().join(path), text).expect("written");
    }
    let mut index = repository.index().expect("an index");
    index.add_path(Path::new("app/dist/a.js")).and_then(|()| index.write()).expect("added");
    assert_eq!(files(&built(dir.path())), [".gitignore", "app/dist/a.js", "app/new", "file"]);
    assert_eq!(files(&built(&dir.path().join("app"))), ["dist/a.js", "new"]);
}

#[test]
fn a_directory_with_uncommitted_changes_is_called_so() {
    let (dir, repository) = place();
    let head = repository.head().expect("a head").peel(git2::ObjectType::Commit).expect("a commit");
    repository.tag_lightweight("v1", &head, false).expect("a tag");
    let source = built(dir.path()).source;
    assert_eq!((source.dirty, source.describe.as_deref()), (false, Some("v1")));
    std::fs::write(dir.path().join("new"), "x").expect("written");
    let source = built(dir.path()).source;
    assert_eq!((source.dirty, source.describe.as_deref()), (true, Some("v1-dirty")));
}

#[test]
fn no_file_with_patterns_or_attributes_is_waited_for() {
    for name in [".gitignore", ".gitattributes"] {
        let (dir, _repository) = place();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("a pipe");
        symlink(&pipe, dir.path().join(name)).expect("a link");
        let Checkout { source, warnings, .. } = built(dir.path());
        assert_eq!(source.changes, None, "{name}");
        let said = format!("{name:?} is no regular file");
        assert!(matches!(&warnings[..], [warning] if warning.contains(&said)), "{warnings:?}");
    }
}

#[test]
fn submodules_and_files_of_lfs_that_are_missing_are_named() {
    let (dir, repository) = place();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    for (path, text) in [(".gitattributes", "*.bin filter=lfs\n"), ("big.bin", pointer), ("small.bin", "content")] {
        std::fs::write(dir.path().join(path), text).expect("written");
    }
    let mut index = repository.index().expect("an index");
    let mut entry = index.get_path(Path::new("file"), 0).expect("an entry");
    (entry.mode, entry.path) = (0o160_000, b"sub".to_vec());
    index.add(&entry).and_then(|()| index.write()).expect("added");
    std::fs::create_dir(dir.path().join("sub")).expect("a directory");
    let warnings = built(dir.path()).warnings;
    assert!(warnings.iter().any(|warning| warning.contains(r#"1 submodule ("sub")"#)), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains(r#"1 file ("big.bin")"#)), "{warnings:?}");
}

#[test]
fn pointers_of_lfs_are_named_wherever_attributes_come_in_a_walk_and_in_submodules_too() {
    let (dir, repository) = place();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    let at = |path: &str| dir.path().join(path);
    for place in ["(a)", "sub"] {
        std::fs::create_dir(at(place)).expect("a directory");
    }
    // Sorted before any `.gitattributes`.
    std::fs::write(at("(a)/first.bin"), pointer).expect("written");
    let sub = Repository::init(at("sub")).expect("a repository");
    for (path, text) in [("sub/.gitattributes", "*.bin filter=lfs\n"), ("sub/big.bin", pointer)] {
        std::fs::write(at(path), text).expect("written");
    }
    commit(&sub);
    let mut index = repository.index().expect("an index");
    let mut entry = index.get_path(Path::new("file"), 0).expect("an entry");
    (entry.mode, entry.path) = (0o160_000, b"sub".to_vec());
    index.add(&entry).and_then(|()| index.write()).expect("added");
    let warnings = built(dir.path()).warnings;
    let named = r#"2 files ("(a)/first.bin", "sub/big.bin") of the code lie in Git LFS"#;
    assert!(warnings.iter().any(|warning| warning.starts_with(named)), "{warnings:?}");
    assert!(!warnings.iter().any(|warning| warning.contains("submodule")), "{warnings:?}");
}

#[test]
fn where_nobody_knows_what_is_not_committed_that_is_said() {
    let (dir, repository) = place();
    let tree = repository.head().and_then(|head| head.peel_to_tree()).expect("a tree").id().to_string();
    std::fs::remove_file(repository.path().join("objects").join(&tree[..2]).join(&tree[2..])).expect("removed");
    std::fs::write(dir.path().join("new"), "x").expect("written");
    let Checkout { source, warnings, .. } = built(dir.path());
    assert_eq!((source.dirty, source.changes), (false, None));
    let said = "nor is it known whether there are changes that are not committed";
    assert!(matches!(&warnings[..], [warning] if warning.ends_with(said)), "{warnings:?}");
}

#[test]
fn a_repository_of_somebody_else_is_refused_with_the_remedy() {
    use super::super::auth::GitAuth;
    use super::super::clone::clone;

    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (dir, repository) = place();
    for path in [dir.path(), repository.path()] {
        std::os::unix::fs::chown(path, Some(4711), None).expect("root may");
    }
    let limits = Limits::default();
    let remedy = format!("`git config --global --add safe.directory {}`", dir.path().display());
    let tree = working_tree(dir.path(), &limits, &CancellationToken::new());
    for url in [dir.path().display().to_string(), format!("file://{}", dir.path().display())] {
        let into = tempfile::tempdir().expect("a directory");
        let live = CancellationToken::new();
        let cloned = clone(&url, None, &GitAuth::default(), &into.path().join("checkout"), &limits, &live);
        let error = cloned.expect_err("it belongs to somebody else").to_string();
        assert!(error.contains(&remedy), "{url}: {error}");
    }
    let error = tree.expect_err("it belongs to somebody else").to_string();
    assert!(error.contains(&remedy), "{error}");
}
