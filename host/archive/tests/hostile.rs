//! Hostile archives: nothing outside is written, and the error says what was wrong with which entry.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_archive::{ArchiveError, Limit, Links, Refusal, UnpackLimits, Unpacked, unpack};
use tar::{EntryType, Header};
use tempfile::TempDir;

/// An archive whose entries nobody checks.
#[derive(Default)]
struct Forged(Vec<u8>);

impl Forged {
    fn entry(mut self, kind: EntryType, name: &str, target: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o6755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(content.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, name, "", content.as_bytes())
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, b"")
    }

    fn directory(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, "", b"")
    }

    fn zstd(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        compress(&self.0)
    }
}

fn compress(tar: &[u8]) -> Vec<u8> {
    zstd::encode_all(tar, 3).unwrap()
}

/// A directory to unpack into, beside files that nobody may touch.
struct Target {
    around: TempDir,
    dir: Dir,
}

impl Target {
    fn new() -> Self {
        let around = TempDir::new().unwrap();
        fs::create_dir(around.path().join("dir")).unwrap();
        fs::write(around.path().join("victim"), "untouched").unwrap();
        let dir = Dir::open_ambient_dir(around.path().join("dir"), ambient_authority()).unwrap();
        Self { around, dir }
    }

    fn unpack(&self, archive: &[u8], limits: &UnpackLimits) -> Result<Unpacked, ArchiveError> {
        let result = unpack(archive, &self.dir, limits, None);
        let mut names: Vec<_> = fs::read_dir(self.around.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["dir", "victim"], "something was written outside");
        assert_eq!(fs::read(self.around.path().join("victim")).unwrap(), b"untouched");
        result
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.around.path().join("dir").join(name)
    }
}

fn refusal(archive: Vec<u8>, links: Links) -> Refusal {
    match Target::new().unpack(&archive, &UnpackLimits { links, ..UnpackLimits::default() }) {
        Err(ArchiveError::Refused { refusal, .. }) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn entries_that_are_not_allowed_are_refused_and_named() {
    let outside = |target: &str| Refusal::LinkOutside { target: target.into() };
    let special = |kind| Forged::default().entry(kind, "x", "", b"").zstd();
    let cases = [
        (Forged::default().file("../victim", "x").zstd(), Refusal::ParentDir),
        (Forged::default().file("a/../../victim", "x").zstd(), Refusal::ParentDir),
        (Forged::default().file("a/..", "x").zstd(), Refusal::ParentDir),
        (Forged::default().file("/tmp/victim", "x").zstd(), Refusal::Absolute),
        (Forged::default().directory("..").zstd(), Refusal::ParentDir),
        (Forged::default().file("", "x").zstd(), Refusal::NoName),
        (Forged::default().file(".", "x").zstd(), Refusal::NoName),
        (Forged::default().link("x", "").zstd(), Refusal::NoName),
        (Forged::default().link("x", "/etc").zstd(), outside("/etc")),
        (Forged::default().link("x", "../victim").zstd(), outside("../victim")),
        (Forged::default().link("a/x", "b/../../../victim").zstd(), outside("b/../../../victim")),
        (Forged::default().entry(EntryType::Link, "x", "../victim", b"").zstd(), Refusal::HardLink),
        (Forged::default().file("a", "").entry(EntryType::Link, "x", "a", b"").zstd(), Refusal::HardLink),
        (special(EntryType::Char), Refusal::Special),
        (special(EntryType::Block), Refusal::Special),
        (special(EntryType::Fifo), Refusal::Special),
        (special(EntryType::GNUSparse), Refusal::Unsupported { kind: 'S' }),
        (special(EntryType::XHeader), Refusal::Unsupported { kind: 'x' }),
        (special(EntryType::XGlobalHeader), Refusal::Unsupported { kind: 'g' }),
        (Forged::default().directory("a").file("a/b", "").file("a", "").zstd(), Refusal::Occupied),
        (Forged::default().directory("a").link("a", "b").zstd(), Refusal::Occupied),
        (Forged::default().file("a", "").file("a/b", "").zstd(), Refusal::Occupied),
        (Forged::default().link("l", "d").file("l/x", "").zstd(), Refusal::ThroughLink { link: "l".into() }),
        (
            Forged::default()
                .entry(EntryType::GNULongName, "L", "", b"a")
                .entry(EntryType::GNULongName, "L", "", b"b")
                .zstd(),
            Refusal::Unsupported { kind: 'L' },
        ),
        (
            Forged::default().entry(EntryType::GNULongName, "L", "", &[b'a'; 10_000]).file("x", "").zstd(),
            Refusal::TooLong { max: 4096 },
        ),
        (Forged::default().entry(EntryType::GNULongName, "L", "", b"a\0b").file("x", "").zstd(), Refusal::Nul),
    ];
    for (number, (archive, expected)) in cases.into_iter().enumerate() {
        assert_eq!(refusal(archive, Links::Inside), expected, "case {number}");
    }
}

#[test]
fn an_error_names_the_entry() {
    let archive = Forged::default().file("fine", "x").file("bad/../x", "x").zstd();
    let error = Target::new().unpack(&archive, &UnpackLimits::default()).unwrap_err();
    assert_eq!(error.to_string(), r#"the archive's entry "bad/../x" is refused: its name contains `..`"#);
}

#[test]
fn writing_through_a_link_of_the_archive_never_leaves_even_where_links_are_allowed() {
    let limits = UnpackLimits { links: Links::Any, ..UnpackLimits::default() };
    for target in ["..", "/", "../dir/..", "/tmp", "a/../.."] {
        let archive = Forged::default().directory("a").link("l", target).file("l/victim", "x").zstd();
        let error = Target::new().unpack(&archive, &limits).unwrap_err();
        assert!(matches!(error, ArchiveError::Entry { .. }), "{target}: {error}");
    }
}

#[test]
fn a_chain_of_links_can_not_climb_out() {
    let archive =
        Forged::default().directory("d").link("d/self", ".").link("d/self/up", "..").file("d/up/../victim", "x").zstd();
    assert_eq!(refusal(archive, Links::Inside), Refusal::ThroughLink { link: "d/self".into() });
    let limits = UnpackLimits { links: Links::Any, ..UnpackLimits::default() };
    let archive =
        Forged::default().directory("d").link("d/up", "..").link("d/up/up", "..").file("d/up/up/victim", "x").zstd();
    assert!(Target::new().unpack(&archive, &limits).is_err());
}

#[test]
fn a_link_in_an_entrys_place_is_replaced_and_not_written_through() {
    let target = Target::new();
    let archive = Forged::default().link("x", "kept").file("x", "new").zstd();
    target.unpack(&archive, &UnpackLimits::default()).unwrap();
    assert!(target.path("x").symlink_metadata().unwrap().is_file());
    assert!(!target.path("kept").exists());

    let target = Target::new();
    symlink("../victim", target.path("x")).unwrap();
    symlink("..", target.path("d")).unwrap();
    target.unpack(&Forged::default().file("x", "new").directory("d").zstd(), &UnpackLimits::default()).unwrap();
    assert_eq!(fs::read(target.path("x")).unwrap(), b"new");
    assert!(target.path("d").symlink_metadata().unwrap().is_dir());
}

#[test]
fn a_hard_link_in_an_entrys_place_is_replaced_and_not_written_through() {
    let target = Target::new();
    fs::hard_link(target.around.path().join("victim"), target.path("x")).unwrap();
    target.unpack(&Forged::default().file("x", "new").zstd(), &UnpackLimits::default()).unwrap();
    assert_eq!(fs::read(target.path("x")).unwrap(), b"new");
}

#[test]
fn of_a_file_that_comes_twice_the_last_one_counts() {
    let target = Target::new();
    target.unpack(&Forged::default().file("x", "first").file("x", "last").zstd(), &UnpackLimits::default()).unwrap();
    assert_eq!(fs::read(target.path("x")).unwrap(), b"last");
}

#[test]
fn setuid_bits_are_not_unpacked() {
    let target = Target::new();
    target.unpack(&Forged::default().file("x", "").directory("d").zstd(), &UnpackLimits::default()).unwrap();
    for name in ["x", "d"] {
        assert_eq!(target.path(name).metadata().unwrap().mode() & 0o7777, 0o755, "{name}");
    }
}

#[test]
fn more_entries_than_allowed_are_refused() {
    let limits = UnpackLimits { max_entries: 10, ..UnpackLimits::default() };
    let archive = |n| (0..n).fold(Forged::default(), |forged, i| forged.file(&format!("f{i}"), "")).zstd();
    assert_eq!(Target::new().unpack(&archive(10), &limits).unwrap().files, 10);
    let error = Target::new().unpack(&archive(11), &limits).unwrap_err();
    assert!(matches!(error, ArchiveError::Limit(Limit::Entries(10))), "{error}");
}

#[test]
fn more_bytes_than_allowed_are_refused_while_they_stream() {
    let limits = UnpackLimits { max_bytes: 1024 * 1024, ..UnpackLimits::default() };
    let target = Target::new();
    let bomb = Forged::default().entry(EntryType::Regular, "bomb", "", &vec![0; 64 * 1024 * 1024]).zstd();
    let error = target.unpack(&bomb, &limits).unwrap_err();
    assert!(matches!(error, ArchiveError::Limit(Limit::Bytes(_))), "{error}");
    assert!(target.path("bomb").metadata().unwrap().len() <= 1024 * 1024);
}

#[test]
fn bytes_after_the_end_of_the_tar_count_too() {
    let limits = UnpackLimits { max_bytes: 1024 * 1024, ..UnpackLimits::default() };
    let bomb = compress(&vec![0; 64 * 1024 * 1024]);
    let error = Target::new().unpack(&bomb, &limits).unwrap_err();
    assert!(matches!(error, ArchiveError::Limit(Limit::Bytes(_))), "{error}");
}

#[test]
fn an_archive_that_unpacks_to_far_more_than_its_size_is_refused() {
    let bomb = Forged::default().entry(EntryType::Regular, "bomb", "", &vec![0; 300 * 1024 * 1024]).zstd();
    let error = Target::new().unpack(&bomb, &UnpackLimits::default()).unwrap_err();
    assert!(matches!(error, ArchiveError::Limit(Limit::Ratio(1000))), "{error}");
}

#[test]
fn a_frame_that_wants_a_huge_window_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(1024), &mut encoder).unwrap();
    let error = Target::new().unpack(&encoder.finish().unwrap(), &UnpackLimits::default()).unwrap_err();
    assert!(matches!(error, ArchiveError::Read(_)), "{error}");
}

#[test]
fn garbage_is_refused() {
    let whole = Forged::default().file("x", "content").zstd();
    let mut trailing = whole.clone();
    trailing.extend(b"garbage");
    let mut unfinished = Forged::default().file("x", &"content".repeat(1000));
    unfinished.0.truncate(1024);
    let mut bad_checksum = Forged::default().file("x", "");
    bad_checksum.0[0] = b'y';
    let cases = [
        ("nothing", vec![]),
        ("text", b"hello".to_vec()),
        ("zstd of text", compress(&[b'x'; 4096])),
        ("trailing garbage", trailing),
        ("a tar that ends inside an entry", compress(&unfinished.0)),
        ("a header with a wrong checksum", bad_checksum.zstd()),
    ];
    for (what, archive) in cases {
        assert!(Target::new().unpack(&archive, &UnpackLimits::default()).is_err(), "{what}");
    }
    assert!(Target::new().unpack(&whole, &UnpackLimits::default()).is_ok());
}

#[test]
fn the_directory_itself_is_left_as_it_is() {
    let target = Target::new();
    let mode = |path: &Path| path.metadata().unwrap().mode();
    let before = mode(&target.path("."));
    target.unpack(&Forged::default().directory("./").file("./x", "").zstd(), &UnpackLimits::default()).unwrap();
    assert_eq!(mode(&target.path(".")), before);
    assert!(target.path("x").exists());
}

use std::io::Read as _;
