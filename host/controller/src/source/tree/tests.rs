//! Trees that somebody made to do harm, and some that are only unusual.

use std::os::unix::fs::PermissionsExt;

use cap_std::ambient_authority;
use tempfile::TempDir;

use super::*;

struct Place {
    dir: TempDir,
    repository: Repository,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let repository = Repository::init(dir.path()).expect("a repository");
        Self { dir, repository }
    }

    fn blob(&self, content: &[u8]) -> Oid {
        self.repository.blob(content).expect("a blob")
    }

    /// A tree as it is told, without a check.
    fn tree(&self, entries: &[(&str, &[u8], Oid)]) -> Oid {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend([mode.as_bytes(), b" ", name, b"\0", id.as_bytes()].concat());
        }
        self.repository.odb().expect("a database").write(ObjectType::Tree, &bytes).expect("written")
    }

    /// `levels` directories of ten directories each; in the last ones is a file.
    fn bomb(&self, levels: usize) -> Oid {
        let mut id = self.tree(&[("100644", b"f", self.blob(b""))]);
        for _ in 0..levels {
            let names: Vec<_> = (0..10).map(|n| format!("{n}").into_bytes()).collect();
            let entries: Vec<_> = names.iter().map(|name| ("40000", &name[..], id)).collect();
            id = self.tree(&entries);
        }
        id
    }

    fn check_out(&self, tree: Oid, limits: &Limits, cancelled: &CancellationToken) -> Result<Placed, CheckoutError> {
        let tree = self.repository.find_tree(tree).expect("a tree");
        let dir = Dir::open_ambient_dir(self.dir.path(), ambient_authority()).expect("a directory");
        check_out(&self.repository, &tree, &dir, &mut Budget::new(limits, cancelled))
    }

    fn checked_out(&self, tree: Oid) -> Result<Placed, CheckoutError> {
        self.check_out(tree, &Limits::default(), &CancellationToken::new())
    }

    /// What is there, but `.git`.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).expect("a directory").map(|entry| entry.expect("an entry"));
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name != ".git");
        names.sort();
        names
    }
}

#[test]
fn a_tree_of_a_few_objects_with_ten_billion_paths_is_refused_before_anything_is_written() {
    let place = Place::new();
    let error = place.checked_out(place.bomb(10)).expect_err("too many");
    assert!(matches!(error, CheckoutError::TooManyEntries { limit: 1_000_000 }), "{error}");
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_checkout_that_is_stopped_ends_wherever_it_is() {
    let place = Place::new();
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let limits = Limits { entries: u64::MAX, ..Limits::default() };
    assert!(matches!(place.check_out(place.bomb(10), &limits, &cancelled), Err(CheckoutError::Stopped)));
}

#[test]
fn the_bytes_of_a_checkout_and_of_a_file_have_limits() {
    let place = Place::new();
    let blob = place.blob(&[b'x'; 1000]);
    let tree = place.tree(&[("100644", b"a", blob), ("100644", b"b", blob), ("100644", b"c", blob)]);
    let live = CancellationToken::new();
    let error = place.check_out(tree, &Limits { bytes: 2999, ..Limits::default() }, &live).expect_err("too many");
    assert!(matches!(error, CheckoutError::TooManyBytes { limit: 2999 }), "{error}");
    let error = place.check_out(tree, &Limits { file: 999, ..Limits::default() }, &live).expect_err("too large");
    assert!(error.to_string().starts_with("\"a\" has 1000 bytes, and a file of a checkout may have 999"), "{error}");
    let attributes = place.tree(&[("100644", b".gitattributes", blob)]);
    let error = place.check_out(attributes, &Limits { attributes: 999, ..Limits::default() }, &live);
    assert!(matches!(error, Err(CheckoutError::TooManyAttributes { limit: 999 })));
    assert_eq!(place.names(), [""; 0]);
    place.check_out(tree, &Limits { bytes: 3000, file: 1000, ..Limits::default() }, &live).expect("just so");
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let place = Place::new();
    let (blob, link) = (place.blob(b"x"), place.blob(b".git"));
    let below = place.tree(&[("100644", b"config", blob)]);
    for entries in [
        &[("100644", &b".."[..], blob)][..],
        &[("40000", b".git", below)],
        &[("40000", b".GIT", below)],
        &[("100644", b"a/b", blob)],
        &[("120000", b"a", link), ("40000", b"a", below)],
        &[("40000", b"a", below), ("120000", b"a", link)],
        &[("100644", b"a", below)],
    ] {
        let error = place.checked_out(place.tree(entries)).expect_err("refused");
        assert!(matches!(error, CheckoutError::BadEntry { .. }), "{entries:?}: {error}");
    }
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_name_as_long_as_linux_takes_is_checked_out_and_so_are_modes_and_links() {
    let place = Place::new();
    let name = "n".repeat(255);
    let blob = place.blob(b"#!/bin/sh\n");
    let tree = place.tree(&[
        ("120000", b"link", place.blob(b"/not/there")),
        ("100755", name.as_bytes(), blob),
        ("100644", b"plain", blob),
    ]);
    place.checked_out(tree).expect("checked out");
    let mode = |name: &str| place.dir.path().join(name).metadata().expect("there").permissions().mode() & 0o100;
    assert_eq!((mode(&name), mode("plain")), (0o100, 0));
    let target = std::fs::read_link(place.dir.path().join("link")).expect("a link");
    assert_eq!(target, Path::new("/not/there"));
}

#[test]
fn attributes_say_how_lines_end_and_what_lies_in_lfs() {
    let place = Place::new();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n";
    let attributes = b"*.bat text eol=crlf\n*.bin filter=lfs\n*.id ident\n*.w working-tree-encoding=UTF-16\n";
    let text = place.blob(b"a\nb\n");
    let sub = place.tree(&[("100644", b"y.bin", place.blob(pointer))]);
    let tree = place.tree(&[
        ("100644", b".gitattributes", place.blob(attributes)),
        ("100644", b"a.bat", text),
        ("100644", b"a.id", place.blob(b"$Id$")),
        ("100644", b"a.sh", text),
        ("100644", b"a.w", text),
        ("100644", b"real.bin", place.blob(b"content")),
        ("40000", b"sub", sub),
        ("100644", b"z.txt", place.blob(pointer)),
    ]);
    let placed = place.checked_out(tree).expect("checked out");
    let read = |name: &str| std::fs::read_to_string(place.dir.path().join(name)).expect("a file");
    assert_eq!((read("a.bat"), read("a.sh")), ("a\r\nb\r\n".to_owned(), "a\nb\n".to_owned()));
    assert!(read("a.id").starts_with("$Id: "));
    assert_eq!(placed.lfs, [Path::new("sub/y.bin")]);
    assert_eq!(placed.encoded, [Path::new("a.w")]);
    assert_eq!(
        std::fs::metadata(place.dir.path().join(".gitattributes")).expect("there").len(),
        attributes.len() as u64
    );
}
