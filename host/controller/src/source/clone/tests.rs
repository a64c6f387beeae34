//! Clones of repositories of this machine.

use git2::{ObjectType, Oid, Signature};
use tempfile::TempDir;

use super::*;

struct Place {
    dir: TempDir,
    repository: Repository,
}

impl Place {
    /// A repository whose main branch has one commit.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut options = git2::RepositoryInitOptions::new();
        let repository = Repository::init_opts(dir.path(), options.initial_head("main")).expect("a repository");
        let place = Self { dir, repository };
        place.commit("refs/heads/main", "first");
        place
    }

    /// A commit with a file that says `message`.
    fn commit(&self, name: &str, message: &str) -> Oid {
        let mut tree = self.repository.treebuilder(None).expect("a tree");
        let file = self.repository.blob(message.as_bytes()).expect("a file");
        tree.insert("file", file, 0o100_644).expect("inserted");
        self.commit_tree(name, message, tree.write().expect("written"))
    }

    fn commit_tree(&self, name: &str, message: &str, tree: Oid) -> Oid {
        let tree = self.repository.find_tree(tree).expect("a tree");
        let ada = Signature::now("Ada", "ada@example.org").expect("a signature");
        let parent = self.repository.find_reference(name).ok().map(|head| head.peel_to_commit().expect("a commit"));
        let parents: Vec<_> = parent.iter().collect();
        self.repository.commit(Some(name), &ada, &ada, message, &tree, &parents).expect("a commit")
    }

    fn cloned(&self, reference: Option<&str>, limits: &Limits) -> (TempDir, Result<Checkout, CheckoutError>) {
        let into = tempfile::tempdir().expect("a directory");
        let url = format!("file://{}", self.dir.path().display());
        let cloned = clone(
            &url,
            reference,
            &GitAuth::default(),
            &into.path().join("checkout"),
            limits,
            &CancellationToken::new(),
        );
        (into, cloned)
    }

    fn checkout(&self, reference: Option<&str>) -> Checkout {
        self.cloned(reference, &Limits::default()).1.expect("a checkout")
    }
}

#[test]
fn a_ref_that_no_clone_brings_is_fetched_by_its_name() {
    let place = Place::new();
    let commit = place.commit("refs/pull/7/head", "a pull request");
    let Source { commit: found, git_ref, branch, .. } = place.checkout(Some("refs/pull/7/head")).source;
    assert_eq!((found, git_ref.as_deref(), branch), (Some(commit.to_string()), Some("refs/pull/7/head"), None));
    // The commit that was looked at is built, also when the ref leads elsewhere by now; and no other one.
    let later = place.commit("refs/pull/7/head", "what nobody has looked at");
    let pinned = |commit: &str| place.cloned(Some(&format!("refs/pull/7/head@{commit}")), &Limits::default()).1;
    let Source { commit: found, git_ref, .. } = pinned(&commit.to_string()).expect("a checkout").source;
    assert_eq!((found, git_ref.as_deref()), (Some(commit.to_string()), Some("refs/pull/7/head")));
    assert!(matches!(pinned(&"a".repeat(40)), Err(CheckoutError::NoRef { .. })));
    assert!(pinned(&later.to_string()[..12]).is_err());
    let missing = place.cloned(Some("refs/pull/8/head"), &Limits::default()).1;
    assert!(matches!(missing, Err(CheckoutError::NoRef { .. } | CheckoutError::Clone { .. })), "{missing:?}");
}

#[test]
fn head_is_the_main_branch() {
    let place = Place::new();
    let main = place.commit("refs/heads/main", "second");
    let Source { commit, branch, git_ref, main_branch, .. } = place.checkout(Some("HEAD")).source;
    assert_eq!((commit, branch.as_deref()), (Some(main.to_string()), Some("main")));
    assert_eq!((git_ref.as_deref(), main_branch.as_deref()), (Some("refs/heads/main"), Some("main")));
}

#[test]
fn of_a_branch_and_a_tag_of_one_name_the_branch_is_built_and_that_is_said() {
    let place = Place::new();
    let (branch, tagged) = (place.commit("refs/heads/v1", "branch"), place.commit("refs/heads/other", "tag"));
    let object = place.repository.find_object(tagged, Some(ObjectType::Commit)).expect("a commit");
    place.repository.tag_lightweight("v1", &object, false).expect("a tag");
    let Checkout { source, warnings, .. } = place.checkout(Some("v1"));
    assert_eq!((source.commit, source.branch.as_deref(), source.tag), (Some(branch.to_string()), Some("v1"), None));
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("the branch is built; name the tag as refs/tags/v1"), "{warnings:?}");
    let Checkout { source, warnings, .. } = place.checkout(Some("refs/tags/v1"));
    assert_eq!((source.commit, source.tag.as_deref()), (Some(tagged.to_string()), Some("v1")));
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn a_commit_is_described_by_the_tag_before_it() {
    let place = Place::new();
    assert_eq!(place.checkout(None).source.describe, None);
    let head = place.repository.head().expect("a head").peel(ObjectType::Commit).expect("a commit");
    place.repository.tag_lightweight("v1.2", &head, false).expect("a tag");
    assert_eq!(place.checkout(None).source.describe.as_deref(), Some("v1.2"));
    let next = place.commit("refs/heads/main", "second").to_string();
    assert_eq!(place.checkout(None).source.describe, Some(format!("v1.2-1-g{}", &next[..7])));
}

#[test]
fn a_clone_receives_so_many_bytes_and_no_more() {
    let place = Place::new();
    let noise: String = (0..100_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    place.commit("refs/heads/main", &noise);
    let limits = Limits { received: 10_000, ..Limits::default() };
    let error = place.cloned(None, &limits).1.expect_err("too much");
    assert!(matches!(error, CheckoutError::TooMuchReceived { limit: 10_000, .. }), "{error}");
}

#[test]
fn a_clone_that_fails_or_is_stopped_leaves_nothing() {
    let place = Place::new();
    let into = tempfile::tempdir().expect("a directory");
    let url = format!("file://{}", place.dir.path().display());
    let request = |reference: &str| crate::SourceRequest::Git {
        url: url.clone(),
        reference: Some(reference.to_owned()),
        auth: GitAuth::default(),
    };
    let checkout = into.path().join("checkout");
    request("main").check_out(&checkout, &CancellationToken::new()).expect("a checkout");
    assert!(checkout.join("file").exists());
    std::fs::remove_dir_all(&checkout).expect("removed");
    request("none").check_out(&checkout, &CancellationToken::new()).expect_err("there is no such branch");
    assert!(!checkout.exists());
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let stopped = request("main").check_out(&checkout, &cancelled);
    assert!(matches!(stopped, Err(CheckoutError::Stopped)) && !checkout.exists());
}

#[test]
fn what_is_no_part_of_a_clone_is_said() {
    let place = Place::new();
    let commit = place.repository.head().expect("a head").target().expect("a commit");
    let mut tree = place.repository.treebuilder(None).expect("a tree");
    let attributes = place.repository.blob(b"*.bin filter=lfs\n").expect("a blob");
    let pointer = place.repository.blob(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n").expect("a blob");
    tree.insert(".gitattributes", attributes, 0o100_644).expect("inserted");
    tree.insert("big.bin", pointer, 0o100_644).expect("inserted");
    tree.insert("sub", commit, 0o160_000).expect("inserted");
    place.commit_tree("refs/heads/main", "second", tree.write().expect("written"));
    let warnings = place.checkout(None).warnings;
    assert!(warnings.iter().any(|warning| warning.contains(r#"1 file ("big.bin")"#)), "{warnings:?}");
    let missing = r#"the submodule "sub" is not there, its directory is empty: there is no .gitmodules"#;
    assert!(warnings.iter().any(|warning| warning == missing), "{warnings:?}");
}

#[test]
fn submodules_are_checked_out_and_one_that_can_not_be_had_is_named() {
    let (outer, inner, innermost) = (Place::new(), Place::new(), Place::new());
    let id = |place: &Place| place.repository.head().expect("a head").target().expect("a commit");
    let with = |place: &Place, modules: &str, links: &[(&str, Oid)]| {
        let mut tree = place.repository.treebuilder(None).expect("a tree");
        let modules = place.repository.blob(modules.as_bytes()).expect("a blob");
        tree.insert(".gitmodules", modules, 0o100_644).expect("inserted");
        for (name, commit) in links {
            tree.insert(name, *commit, 0o160_000).expect("inserted");
        }
        place.commit_tree("refs/heads/main", "with submodules", tree.write().expect("written"));
    };
    let section =
        |name: &str, path: &str, url: &str| format!("[submodule \"{name}\"]\n\tpath = {path}\n\turl = {url}\n");
    let url = |place: &Place| format!("file://{}", place.dir.path().display());
    with(&inner, &section("x", "deep", &url(&innermost)), &[("deep", id(&innermost))]);
    let modules = [
        section("a.b", "sub", &url(&inner)),
        section("gone", "gone", "file:///not/there"),
        section("odd", "odd", "ext::sh -c true"),
        section("lost", "lost", &url(&inner)),
    ];
    let links = [
        ("gone", id(&inner)),
        ("lost", Oid::from_str(&"1".repeat(40)).expect("an id")),
        ("odd", id(&inner)),
        ("sub", id(&inner)),
    ];
    with(&outer, &modules.concat(), &links);
    let (into, cloned) = outer.cloned(None, &Limits::default());
    let Checkout { warnings, files, dir, .. } = cloned.expect("a checkout");
    assert_eq!(std::fs::read_to_string(into.path().join("checkout/sub/deep/file")).expect("a file"), "first");
    let found = monkeyci_archive::walk_workspace(&dir, &files).expect("a walk");
    let found: Vec<_> = found.map(|entry| entry.expect("an entry").path.display().to_string()).collect();
    let expected = [".gitmodules", "gone", "lost", "odd", "sub", "sub/.gitmodules", "sub/deep", "sub/deep/file"];
    assert_eq!(found, expected);
    let said = |what: &str| warnings.iter().any(|warning| warning.contains(what));
    assert!(said(r#"the submodule "gone" is not there"#), "{warnings:?}");
    assert!(said(r#"the submodule "odd" is not there, its directory is empty: its address"#), "{warnings:?}");
    assert!(said(r#"the submodule "lost" is not there"#) && warnings.len() == 3, "{warnings:?}");
    let few = Limits { entries: 7, ..Limits::default() };
    assert!(matches!(outer.cloned(None, &few).1, Err(CheckoutError::TooManyEntries { limit: 7 })));
}

/// A section of a `.gitmodules`.
fn section(path: &str, of: &Place) -> String {
    format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = file://{}\n", of.dir.path().display())
}

#[test]
fn files_of_lfs_in_a_submodule_are_named_by_their_whole_path() {
    let (outer, inner) = (Place::new(), Place::new());
    let blob = |place: &Place, text: &str| place.repository.blob(text.as_bytes()).expect("a blob");
    let mut tree = inner.repository.treebuilder(None).expect("a tree");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    tree.insert(".gitattributes", blob(&inner, "*.bin filter=lfs\n"), 0o100_644).expect("inserted");
    tree.insert("big.bin", blob(&inner, pointer), 0o100_644).expect("inserted");
    let commit = inner.commit_tree("refs/heads/main", "with a pointer", tree.write().expect("written"));
    let mut tree = outer.repository.treebuilder(None).expect("a tree");
    tree.insert(".gitmodules", blob(&outer, &section("sub", &inner)), 0o100_644).expect("inserted");
    tree.insert("sub", commit, 0o160_000).expect("inserted");
    outer.commit_tree("refs/heads/main", "with a submodule", tree.write().expect("written"));
    let warnings = outer.checkout(None).warnings;
    let named = r#"1 file ("sub/big.bin") of the code lie in Git LFS"#;
    assert!(matches!(&warnings[..], [warning] if warning.starts_with(named)), "{warnings:?}");
}

#[test]
fn submodules_have_a_depth_and_a_number_and_those_beyond_are_named() {
    let (outer, inner) = (Place::new(), Place::new());
    let id = inner.repository.head().expect("a head").target().expect("a commit");
    let mut tree = outer.repository.treebuilder(None).expect("a tree");
    let modules = [section("one", &inner), section("two", &inner)].concat();
    let modules = outer.repository.blob(modules.as_bytes()).expect("a blob");
    tree.insert(".gitmodules", modules, 0o100_644).expect("inserted");
    for name in ["one", "two"] {
        tree.insert(name, id, 0o160_000).expect("inserted");
    }
    outer.commit_tree("refs/heads/main", "with submodules", tree.write().expect("written"));
    for (limits, missing) in [
        (Limits::default(), &[][..]),
        (Limits { submodules: 1, ..Limits::default() }, &["two"]),
        (Limits { depth: 0, ..Limits::default() }, &["one", "two"]),
    ] {
        let warnings = outer.cloned(None, &limits).1.expect("a checkout").warnings;
        let reason =
            format!("there are more than {} of them, or they lie deeper than {}", limits.submodules, limits.depth);
        let said = |name: &&str| format!("the submodule {name:?} is not there, its directory is empty: {reason}");
        assert_eq!(warnings, missing.iter().map(said).collect::<Vec<_>>());
    }
}
