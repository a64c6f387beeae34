//! Against real repositories.

use std::path::Path;

use git2::{IndexAddOption, RepositoryInitOptions, Signature};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

/// Enough lines for a similar file to be found again.
const TEXT: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n";

struct Place {
    dir: TempDir,
    repository: Repository,
}

impl Place {
    /// An empty repository with the main branch `main`.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut options = RepositoryInitOptions::new();
        let repository = Repository::init_opts(dir.path(), options.initial_head("main")).expect("a repository");
        Self { dir, repository }
    }

    /// A repository with a first commit on `main`.
    fn with_files() -> Self {
        let place = Self::new();
        place.write("kept", TEXT).write("changed", TEXT).write("gone", "a file that goes\n");
        place.write("old/name", &TEXT.replace("one", "another"));
        place.commit("first");
        place
    }

    fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("written");
        self
    }

    fn remove(&self, path: &str) -> &Self {
        std::fs::remove_file(self.dir.path().join(path)).expect("removed");
        self
    }

    /// Adds, changes, removes and renames a file.
    fn change(&self) -> &Self {
        self.write("new/file", "new\n").write("changed", "not what it was\n").remove("gone").remove("old/name");
        self.write("new/name", &format!("{}nine\n", TEXT.replace("one", "another")))
    }

    /// Commits all that is there.
    fn commit(&self, message: &str) -> Oid {
        let mut index = self.repository.index().expect("an index");
        index.add_all(["*"], IndexAddOption::DEFAULT, None).expect("added");
        index.update_all(["*"], None).expect("updated");
        index.write().expect("written");
        let tree = self.repository.find_tree(index.write_tree().expect("a tree")).expect("a tree");
        let ada = Signature::now("Ada", "ada@example.org").expect("a signature");
        let head = self.repository.head().ok().map(|head| head.peel_to_commit().expect("a commit"));
        let parents: Vec<_> = head.iter().collect();
        self.repository.commit(Some("HEAD"), &ada, &ada, message, &tree, &parents).expect("a commit")
    }

    fn branch(&self, name: &str) -> &Self {
        let head = self.repository.head().expect("a head").peel_to_commit().expect("a commit");
        self.repository.branch(name, &head, false).expect("a branch");
        self.repository.set_head(&format!("refs/heads/{name}")).expect("the head is set");
        self
    }

    /// Makes the branch the current one, and files and index those of the commit.
    fn check_out(&self, branch: &str, commit: Oid) -> &Self {
        self.repository.set_head(&format!("refs/heads/{branch}")).expect("the head is set");
        let commit = self.repository.find_object(commit, None).expect("a commit");
        self.repository.reset(&commit, git2::ResetType::Hard, None).expect("reset");
        self
    }

    fn head(&self) -> Option<Oid> {
        self.repository.head().ok().and_then(|head| head.target())
    }

    /// What the commit at the head changes.
    fn committed(&self) -> Option<Changes> {
        let commit = self.repository.find_commit(self.head().expect("a head")).expect("a commit");
        of_commit(&self.repository, &commit, Some("main")).ok()
    }

    /// What the working tree changes.
    fn working_tree(&self) -> Option<Changes> {
        of_working_tree(&self.repository, self.head(), Some("main")).ok()?.changes.ok()
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// What [`Place::change`] does, against `base`.
fn all_four(base: Oid) -> Changes {
    Changes {
        base: Some(base.to_string()),
        added: texts(&["new/file"]),
        modified: texts(&["changed"]),
        removed: texts(&["gone"]),
        renamed: vec![("old/name".to_owned(), "new/name".to_owned())],
    }
}

#[test]
fn a_branch_is_compared_with_where_it_left_the_main_branch() {
    let place = Place::with_files();
    let left = place.head().expect("a head");
    place.branch("topic").change().commit("the topic");
    place.write("later", "later\n").commit("more of it");
    let topic = place.head().expect("a head");
    // What the main branch got since is not the branch's doing.
    place.check_out("main", left).write("elsewhere", "of somebody else\n").commit("on main");
    place.check_out("topic", topic);

    let expected = Changes { added: texts(&["later", "new/file"]), ..all_four(left) };
    assert_eq!(place.committed(), Some(expected.clone()));
    assert_eq!(place.working_tree(), Some(expected));
}

#[test]
fn the_main_branch_is_compared_with_the_parent_of_its_commit() {
    let place = Place::with_files();
    let first = place.head().expect("a head");
    place.change().commit("second");
    assert_eq!(place.committed(), Some(all_four(first)));
    assert_eq!(place.working_tree(), Some(all_four(first)));
}

#[test]
fn the_remotes_main_branch_goes_before_the_local_one() {
    let place = Place::with_files();
    let first = place.head().expect("a head");
    place.repository.reference("refs/remotes/origin/main", first, false, "fetched").expect("a reference");
    place.change().commit("second");
    place.write("later", "later\n").commit("third, not pushed either");
    let expected = Changes { added: texts(&["later", "new/file"]), ..all_four(first) };
    assert_eq!(place.committed(), Some(expected));
}

#[test]
fn without_a_known_main_branch_a_commit_is_compared_with_its_parent() {
    let place = Place::with_files();
    let first = place.head();
    place.change().commit("second");
    for main in [None, Some("no-such-branch")] {
        let changes = of_working_tree(&place.repository, place.head(), main).ok().and_then(|found| found.changes.ok());
        assert_eq!(changes, first.map(all_four), "{main:?}");
    }
}

#[test]
fn every_file_of_a_first_commit_is_added() {
    let place = Place::with_files();
    let expected = Changes { added: texts(&["changed", "gone", "kept", "old/name"]), ..Changes::default() };
    assert_eq!(place.committed(), Some(expected.clone()));
    assert_eq!(place.working_tree(), Some(expected));
}

#[test]
fn every_file_is_added_before_there_is_a_commit_or_beside_the_main_branch() {
    let place = Place::new();
    place.write("file", "x");
    let expected = Some(Changes { added: texts(&["file"]), ..Changes::default() });
    assert_eq!(place.working_tree(), expected);
    let place = Place::with_files();
    place.repository.set_head("refs/heads/orphan").expect("the head is set");
    for path in ["kept", "changed", "gone", "old/name"] {
        place.remove(path);
    }
    place.write("file", "x").commit("a history of its own");
    assert_eq!(place.committed(), expected);
}

#[test]
fn a_working_tree_counts_with_what_is_not_committed_and_without_what_is_ignored() {
    let place = Place::with_files();
    let first = place.head().expect("a head");
    place.branch("topic").write(".gitignore", "target\n*.log\n").commit("ignore");
    place.change().write("target/huge", "x").write("a.log", "x");
    let expected = Changes { added: texts(&[".gitignore", "new/file"]), ..all_four(first) };
    assert_eq!(place.working_tree(), Some(expected.clone()));
    // The same when git has been told.
    let mut index = place.repository.index().expect("an index");
    index.add_all(["*"], IndexAddOption::DEFAULT, None).expect("added");
    index.update_all(["*"], None).expect("updated");
    index.write().expect("written");
    assert_eq!(place.working_tree(), Some(expected));
    // The commit alone is another matter.
    assert_eq!(place.committed().map(|changes| changes.added), Some(texts(&[".gitignore"])));
}

#[test]
fn a_touched_file_with_the_same_content_is_not_modified() {
    let place = Place::with_files();
    place.branch("topic").write("file", "x").commit("a file");
    place.write("kept", TEXT);
    assert_eq!(place.working_tree().map(|changes| changes.modified), Some(vec![]));
}

#[cfg(unix)]
#[test]
fn another_mode_or_type_is_a_modification_and_no_name_is_too_strange() {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::with_files();
    place.branch("topic").write("line\nbreak", "x").commit("a strange name");
    place.remove("kept");
    std::os::unix::fs::symlink("changed", place.dir.path().join("kept")).expect("a link");
    let changed = place.dir.path().join("changed");
    std::fs::set_permissions(changed, std::fs::Permissions::from_mode(0o755)).expect("executable");
    std::fs::write(place.dir.path().join(std::ffi::OsStr::from_bytes(b"not-\xff-text")), "x").expect("written");
    let changes = place.working_tree().expect("known");
    assert_eq!(changes.modified, ["changed", "kept"]);
    assert_eq!(changes.added, ["line\nbreak", "not-\u{fffd}-text"]);
}

#[test]
fn of_more_than_a_hundred_thousand_files_nothing_is_told() {
    let place = Place::with_files();
    let blob = place.repository.blob(b"x").expect("a blob");
    let ada = Signature::now("Ada", "ada@example.org").expect("a signature");
    for (count, known) in [(MOST_FILES, true), (MOST_FILES + 1, false)] {
        let mut tree = place.repository.treebuilder(None).expect("a tree");
        for n in 0..count {
            tree.insert(format!("{n:06}"), blob, 0o100_644).expect("inserted");
        }
        let tree = place.repository.find_tree(tree.write().expect("written")).expect("a tree");
        let commit = place.repository.commit(None, &ada, &ada, "many", &tree, &[]).expect("a commit");
        let commit = place.repository.find_commit(commit).expect("a commit");
        let changes = of_commit(&place.repository, &commit, Some("main")).ok();
        assert_eq!(changes.map(|changes| changes.added.len()), known.then_some(count));
    }
}

#[test]
fn a_history_that_was_cut_off_tells_nothing() {
    let place = Place::with_files();
    let second = place.change().commit("second");
    std::fs::write(place.repository.path().join("shallow"), format!("{second}\n")).expect("written");
    let repository = Repository::open(place.dir.path()).expect("a repository");
    assert!(repository.is_shallow());
    let found = of_working_tree(&repository, Some(second), Some("main")).expect("a part of it is known");
    assert!(matches!(found.changes, Err(Unknown::CutOff)) && !found.dirty);
}

#[test]
fn outside_of_a_working_tree_nothing_is_known_and_nothing_fails() {
    let dir = tempfile::tempdir().expect("a directory");
    let check_out = |dir: &Path| {
        let request = crate::SourceRequest::Dir(dir.to_owned());
        request.check_out(Path::new("/unused"), &CancellationToken::new()).expect("it is there").source
    };
    assert_eq!(check_out(dir.path()).changes, None);
    Repository::init_bare(dir.path()).expect("a repository");
    assert_eq!(check_out(dir.path()).changes, None);
}

#[test]
fn a_directory_inside_a_repository_is_told_of_all_the_repository() {
    let place = Place::with_files();
    place.branch("topic").write("new/file", "x");
    let request = crate::SourceRequest::Dir(place.dir.path().join("old"));
    let source = request.check_out(Path::new("/unused"), &CancellationToken::new()).expect("it is there").source;
    assert_eq!(source.main_branch.as_deref(), Some("main"));
    let added = source.changes.expect("known").added;
    assert!(added.contains(&"new/file".to_owned()), "{added:?}");
}

/// 10^8 paths of ten objects.
fn bomb(repository: &Repository) -> Oid {
    let mut id = repository.blob(b"x").expect("a blob");
    for level in 0..8 {
        let mut tree = repository.treebuilder(None).expect("a tree");
        for n in 0..10 {
            tree.insert(format!("{n}"), id, if level == 0 { 0o100_644 } else { 0o040_000 }).expect("inserted");
        }
        id = tree.write().expect("written");
    }
    id
}

#[test]
fn a_tree_with_a_hundred_million_paths_is_not_gone_through() {
    let place = Place::with_files();
    let first = place.repository.head().expect("a head").peel_to_commit().expect("a commit");
    let ada = Signature::now("Ada", "ada@example.org").expect("a signature");
    let tree = place.repository.find_tree(bomb(&place.repository)).expect("a tree");
    let bombed = place.repository.commit(None, &ada, &ada, "many", &tree, &[&first]).expect("a commit");
    let bombed = place.repository.find_commit(bombed).expect("a commit");
    assert!(matches!(of_commit(&place.repository, &bombed, Some("main")), Err(Unknown::TooMany)));
    // And they go away again.
    let tree = first.tree().expect("a tree");
    let after = place.repository.commit(None, &ada, &ada, "none", &tree, &[&bombed]).expect("a commit");
    let after = place.repository.find_commit(after).expect("a commit");
    assert!(matches!(of_commit(&place.repository, &after, None), Err(Unknown::TooMany)));
    let found = of_working_tree(&place.repository, Some(after.id()), None).expect("a part of it is known");
    assert!(matches!(found.changes, Err(Unknown::TooLarge)));
    assert!(matches!(of_working_tree(&place.repository, Some(bombed.id()), None), Err(Unknown::TooLarge)));
}
