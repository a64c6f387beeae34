//! What is packed comes back as it was.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_archive::{
    ArchiveError, Links, Packed, UnpackLimits, Unpacked, list_files, pack, pack_all, unpack, unpack_as,
};
use proptest::prelude::*;
use tempfile::TempDir;

#[derive(Clone, Debug, PartialEq)]
enum Node {
    File { content: Vec<u8>, mode: u32, mtime: u64 },
    Directory { mode: u32, mtime: u64 },
    Link { target: PathBuf, mtime: u64 },
}

type Tree = BTreeMap<PathBuf, Node>;

fn name() -> impl Strategy<Value = PathBuf> {
    prop_oneof![
        8 => "[a-d]{1,2}".prop_map(PathBuf::from),
        1 => "[é.ü -]{1,3}x".prop_map(PathBuf::from),
        1 => "[a-z]{90,120}".prop_map(PathBuf::from),
        1 => Just(PathBuf::from(std::ffi::OsStr::from_bytes(b"\xff\xfe"))),
    ]
}

fn path() -> impl Strategy<Value = PathBuf> {
    prop::collection::vec(name(), 1..5).prop_map(|names| names.iter().collect())
}

fn node() -> impl Strategy<Value = Node> {
    let times = 0..2_000_000_000u64;
    prop_oneof![
        4 => (prop::collection::vec(any::<u8>(), 0..2000), 0u32..0o1000, times.clone())
            .prop_map(|(content, mode, mtime)| Node::File { content, mode: mode | 0o400, mtime }),
        1 => (0u32..0o1000, times.clone()).prop_map(|(mode, mtime)| Node::Directory { mode: mode | 0o700, mtime }),
        1 => (path(), times).prop_map(|(target, mtime)| Node::Link { target, mtime }),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    prop::collection::btree_map(path(), node(), 0..24).prop_map(|wanted| {
        // Only directories have children, and every parent is there.
        let mut tree = Tree::new();
        for (path, node) in wanted {
            let parents: Vec<_> =
                path.ancestors().skip(1).filter(|p| *p != Path::new("")).map(Path::to_owned).collect();
            if parents.iter().all(|p| matches!(tree.get(p), None | Some(Node::Directory { .. }))) {
                for parent in parents {
                    tree.entry(parent).or_insert(Node::Directory { mode: 0o755, mtime: 7 });
                }
                tree.entry(path).or_insert(node);
            }
        }
        tree
    })
}

fn write(root: &Path, tree: &Tree) {
    for (path, node) in tree {
        let at = root.join(path);
        match node {
            Node::File { content, mode, .. } => {
                fs::write(&at, content).unwrap();
                fs::set_permissions(&at, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Node::Directory { .. } => fs::create_dir(&at).unwrap(),
            Node::Link { target, .. } => symlink(target, &at).unwrap(),
        }
    }
    for (path, node) in tree.iter().rev() {
        let at = root.join(path);
        match node {
            Node::File { mtime, .. } | Node::Directory { mtime, .. } => {
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(*mtime);
                // A file may be read-only; root does not care, others open it for reading.
                fs::File::open(&at).unwrap().set_modified(time).unwrap();
                if let Node::Directory { mode, .. } = node {
                    fs::set_permissions(&at, fs::Permissions::from_mode(*mode)).unwrap();
                }
            }
            Node::Link { mtime, .. } => {
                let time = rustix::fs::Timespec { tv_sec: *mtime as i64, tv_nsec: 0 };
                let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(rustix::fs::CWD, &at, &times, flags).unwrap();
            }
        }
    }
}

fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let at = entry.unwrap().path();
            let metadata = at.symlink_metadata().unwrap();
            let (mode, mtime) = (metadata.mode() & 0o7777, metadata.mtime() as u64);
            let node = if metadata.is_dir() {
                pending.push(at.clone());
                Node::Directory { mode, mtime }
            } else if metadata.is_symlink() {
                Node::Link { target: fs::read_link(&at).unwrap(), mtime }
            } else {
                Node::File { content: fs::read(&at).unwrap(), mode, mtime }
            };
            tree.insert(at.strip_prefix(root).unwrap().to_owned(), node);
        }
    }
    tree
}

fn open(dir: &TempDir) -> Dir {
    Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap()
}

fn packed(dir: &TempDir, path: &str) -> Vec<u8> {
    let mut archive = Vec::new();
    pack(&open(dir), Path::new(path), &mut archive).unwrap();
    archive
}

fn any_link() -> UnpackLimits {
    UnpackLimits { links: Links::Any, ..UnpackLimits::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_tree_comes_back_as_it_was(tree in tree()) {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        write(from.path(), &tree);
        let done = unpack(&packed(&from, ".")[..], &open(&to), &any_link(), None).unwrap();
        prop_assert_eq!(read(to.path()), tree.clone());
        let files = tree.values().filter(|node| !matches!(node, Node::Directory { .. })).count();
        prop_assert_eq!(done.files, files as u64);
    }

    #[test]
    fn equal_trees_give_equal_archives(tree in tree()) {
        let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        write(one.path(), &tree);
        write(other.path(), &tree);
        prop_assert_eq!(packed(&one, "."), packed(&other, "."));
    }

    #[test]
    fn unpacking_twice_is_the_same_as_once(tree in tree()) {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        write(from.path(), &tree);
        let archive = packed(&from, ".");
        unpack(&archive[..], &open(&to), &any_link(), None).unwrap();
        unpack(&archive[..], &open(&to), &any_link(), None).unwrap();
        prop_assert_eq!(read(to.path()), tree);
    }

    #[test]
    fn an_archive_cut_anywhere_is_refused(tree in tree(), at in 0.0..1.0f64) {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        write(from.path(), &tree);
        let archive = packed(&from, ".");
        let cut = &archive[..(archive.len() as f64 * at) as usize];
        prop_assert!(unpack(cut, &open(&to), &any_link(), None).is_err());
    }

    #[test]
    fn a_flipped_bit_is_noticed_or_without_effect(tree in tree(), at in 0.0..1.0f64, bit in 0..8u8) {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        write(from.path(), &tree);
        let mut archive = packed(&from, ".");
        let at = (archive.len() as f64 * at) as usize;
        archive[at] ^= 1u8 << bit;
        // Some bits of a zstd frame mean nothing.
        prop_assert!(unpack(&archive[..], &open(&to), &any_link(), None).is_err() || read(to.path()) == tree);
    }
}

#[test]
fn an_artifact_comes_back_where_it_was_saved_from() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::create_dir_all(from.path().join("target/out/deep")).unwrap();
    fs::write(from.path().join("target/out/deep/app"), "app").unwrap();
    fs::write(from.path().join("target/other"), "other").unwrap();
    for path in ["target/out", "./target//out/"] {
        unpack(&packed(&from, path)[..], &open(&to), &UnpackLimits::default(), None).unwrap();
        assert_eq!(fs::read(to.path().join("target/out/deep/app")).unwrap(), b"app");
        assert!(!to.path().join("target/other").exists());
    }
}

#[test]
fn a_single_file_can_be_packed() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::create_dir(from.path().join("out")).unwrap();
    fs::write(from.path().join("out/app.jar"), "jar").unwrap();
    unpack(&packed(&from, "out/app.jar")[..], &open(&to), &UnpackLimits::default(), None).unwrap();
    assert_eq!(fs::read(to.path().join("out/app.jar")).unwrap(), b"jar");
}

#[test]
fn the_packed_path_may_be_a_link_that_stays_inside() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::create_dir_all(from.path().join("build/v2")).unwrap();
    fs::write(from.path().join("build/v2/app"), "app").unwrap();
    symlink("build/v2", from.path().join("dist")).unwrap();
    unpack(&packed(&from, "dist")[..], &open(&to), &UnpackLimits::default(), None).unwrap();
    assert_eq!(fs::read(to.path().join("dist/app")).unwrap(), b"app");
}

#[test]
fn packing_never_leaves_the_directory() {
    let (outside, from) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("secret"), "secret").unwrap();
    symlink(outside.path(), from.path().join("out")).unwrap();
    for path in ["out", "out/secret"] {
        let error = pack(&open(&from), Path::new(path), Vec::new()).unwrap_err();
        assert!(matches!(error, ArchiveError::Entry { .. }), "{path}: {error}");
    }
    for path in ["..", "a/../..", "/etc"] {
        let error = pack(&open(&from), Path::new(path), Vec::new()).unwrap_err();
        assert!(matches!(error, ArchiveError::BadPath { .. }), "{path}: {error}");
    }
}

#[test]
fn packing_what_is_not_there_says_so() {
    let from = TempDir::new().unwrap();
    fs::write(from.path().join("file"), "").unwrap();
    for path in ["missing", "missing/deep", "file/below"] {
        let error = pack(&open(&from), Path::new(path), Vec::new()).unwrap_err();
        assert!(matches!(error, ArchiveError::Missing { .. }), "{path}: {error}");
        assert_eq!(error.to_string(), format!("there is nothing at {path:?}"));
    }
}

#[test]
fn sockets_and_pipes_are_skipped_and_counted() {
    let from = TempDir::new().unwrap();
    fs::write(from.path().join("file"), "12345").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.path().join("socket")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, from.path().join("pipe"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let packed = pack(&open(&from), Path::new("."), Vec::new()).unwrap();
    assert_eq!(packed, Packed { files: 1, bytes: 5, skipped: 2 });
    let error = pack(&open(&from), Path::new("pipe"), Vec::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::NotPackable { .. }), "{error}");
}

#[test]
fn setuid_bits_are_not_packed() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(from.path().join("tool"), "").unwrap();
    fs::set_permissions(from.path().join("tool"), fs::Permissions::from_mode(0o6755)).unwrap();
    unpack(&packed(&from, ".")[..], &open(&to), &UnpackLimits::default(), None).unwrap();
    assert_eq!(to.path().join("tool").metadata().unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn all_that_is_created_gets_the_owner_when_we_are_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::create_dir_all(from.path().join("a/b/c")).unwrap();
    fs::write(from.path().join("a/b/c/file"), "").unwrap();
    symlink("file", from.path().join("a/b/c/link")).unwrap();
    unpack(&packed(&from, "a/b")[..], &open(&to), &UnpackLimits::default(), Some((1234, 5678))).unwrap();
    for path in ["a", "a/b", "a/b/c", "a/b/c/file", "a/b/c/link"] {
        let metadata = to.path().join(path).symlink_metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 5678), "{path}");
    }
}

#[test]
fn what_was_packed_may_get_a_path_of_its_own_wherever_it_was_packed_from() {
    let from = tempfile::tempdir().unwrap();
    fs::create_dir_all(from.path().join("cli/target/dist/sub")).unwrap();
    fs::write(from.path().join("cli/target/dist/a"), "a").unwrap();
    fs::write(from.path().join("cli/target/dist/sub/b"), "b").unwrap();
    let cases = [
        ("cli/target/dist/a", "out/app", &["out/app"][..]),
        ("cli/target/dist", "out", &["out/a", "out/sub/b"]),
        ("cli/target/dist", ".", &["a", "sub/b"]),
        ("cli", "target", &["target/target/dist/a", "target/target/dist/sub/b"]),
        (".", "x/y", &["x/y/cli/target/dist/a", "x/y/cli/target/dist/sub/b"]),
    ];
    for (path, to, files) in cases {
        let into = tempfile::tempdir().unwrap();
        let archive = packed(&from, path);
        unpack_as(&archive[..], &open(&into), Path::new(to), &UnpackLimits::default(), None).unwrap();
        let there = read(into.path());
        let there = there.iter().filter(|(_, node)| matches!(node, Node::File { .. })).map(|(path, _)| path);
        assert_eq!(there.collect::<Vec<_>>(), files, "{path} as {to}");
    }
}

#[test]
fn a_file_needs_a_path_and_several_files_have_no_common_one() {
    let from = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::write(from.path().join(name), name).unwrap();
    }
    let into = tempfile::tempdir().unwrap();
    let unpack = |archive: &[u8], to: &str| {
        unpack_as(archive, &open(&into), Path::new(to), &UnpackLimits::default(), None).unwrap_err().to_string()
    };
    assert!(unpack(&packed(&from, "a"), ".").starts_with("\".\" is not a path below"));
    let mut several = Vec::new();
    pack_all(&open(&from), &["a".into(), "b".into()], &mut several).unwrap();
    assert_eq!(unpack(&several, "out"), r#"the archive holds "a" and "b", and not one file or directory"#);
    assert!(unpack(&packed(&from, "a"), "../out").contains("without `..`"));
}

#[test]
fn a_name_as_long_as_linux_takes_comes_back_and_so_does_a_long_path() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = "n".repeat(255);
    let path = Path::new(&name).join(&name).join(&name);
    fs::create_dir_all(from.path().join(path.parent().unwrap())).unwrap();
    fs::write(from.path().join(&path), "x").unwrap();
    symlink(&path, from.path().join("link")).unwrap();
    let mut workspace = Vec::new();
    monkeyci_archive::pack_workspace(from.path(), &monkeyci_archive::WorkspaceFiles::all(), &mut workspace).unwrap();
    for archive in [packed(&from, "."), workspace] {
        let into = tempfile::tempdir_in(to.path()).unwrap();
        unpack(&archive[..], &open(&into), &UnpackLimits::default(), None).unwrap();
        assert_eq!(read(into.path()), read(from.path()));
    }
}

#[test]
fn what_shrinks_ten_thousandfold_comes_back_too() {
    let from = tempfile::tempdir().unwrap();
    // Sparse, so that it takes no place here.
    fs::File::create(from.path().join("zeros")).unwrap().set_len(1 << 30).unwrap();
    fs::write(from.path().join("after"), "x").unwrap();
    let archive = packed(&from, ".");
    assert!(archive.len() < 4 << 20, "{}", archive.len());
    let into = tempfile::tempdir().unwrap();
    let done = unpack(&archive[..], &open(&into), &UnpackLimits::default(), None).unwrap();
    assert_eq!(done, Unpacked { files: 2, bytes: (1 << 30) + 1 });
    assert_eq!(fs::metadata(into.path().join("zeros")).unwrap().len(), 1 << 30);
    assert_eq!(list_files(&archive[..], &UnpackLimits::default()).unwrap().len(), 2);
}
