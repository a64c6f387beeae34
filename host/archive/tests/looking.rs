//! Looking into archives, and making those of one file.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_archive::{ArchiveError, Limit, UnpackLimits, extract_file, list_files, pack, pack_file, unpack};
use tar::{EntryType, Header};
use tempfile::TempDir;

fn limits() -> UnpackLimits {
    UnpackLimits::default()
}

fn open(dir: &TempDir) -> Dir {
    Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap()
}

fn tree() -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let long = "x".repeat(200);
    fs::create_dir_all(dir.path().join("out").join(&long)).unwrap();
    fs::create_dir(dir.path().join("out/dir")).unwrap();
    fs::write(dir.path().join("out/a"), "first").unwrap();
    fs::write(dir.path().join("out/b"), vec![7; 3_000_000]).unwrap();
    fs::write(dir.path().join("out/empty"), "").unwrap();
    fs::write(dir.path().join("out").join(&long).join("deep"), "deep").unwrap();
    std::os::unix::fs::symlink("a", dir.path().join("out/link")).unwrap();
    let mut archive = Vec::new();
    pack(&open(&dir), Path::new("out"), &mut archive).unwrap();
    archive
}

/// A tar whose entries nobody checks, compressed.
fn forged(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (kind, name, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(content.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.extend(header.as_bytes());
        tar.extend(*content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.extend([0; 1024]);
    zstd::encode_all(&tar[..], 3).unwrap()
}

fn content(archive: &[u8], path: &str) -> Result<Vec<u8>, ArchiveError> {
    let mut file = extract_file(archive, Path::new(path), &limits())?;
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(ArchiveError::Read)?;
    assert_eq!(content.len() as u64, file.size());
    Ok(content)
}

#[test]
fn the_files_of_an_archive_are_listed_sorted_and_nothing_else() {
    let long = format!("out/{}/deep", "x".repeat(200));
    let expected = [("out/a", 5), ("out/b", 3_000_000), ("out/empty", 0), (&long, 4)];
    assert_eq!(list_files(&tree()[..], &limits()).unwrap(), expected.map(|(path, size)| (PathBuf::from(path), size)));
}

#[test]
fn a_file_comes_out_alone_and_whole() {
    let archive = tree();
    assert_eq!(content(&archive, "out/a").unwrap(), b"first");
    assert_eq!(content(&archive, "./out//b").unwrap(), vec![7; 3_000_000]);
    assert_eq!(content(&archive, "out/empty").unwrap(), b"");
    assert_eq!(content(&archive, &format!("out/{}/deep", "x".repeat(200))).unwrap(), b"deep");
}

#[test]
fn what_is_no_file_of_the_archive_is_said_to_be_none() {
    let archive = tree();
    for path in ["out", "out/dir", "out/link", "a", "out/a/b", ".", ""] {
        assert!(matches!(content(&archive, path), Err(ArchiveError::NoSuchFile { .. })), "{path}");
    }
    for path in ["../out/a", "/out/a", "out/../a"] {
        assert!(matches!(content(&archive, path), Err(ArchiveError::BadPath { .. })), "{path}");
    }
}

#[test]
fn no_more_of_an_archive_is_read_than_it_takes() {
    let noise: Vec<u8> = (0..4_000_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let archive = forged(&[(EntryType::Regular, "a", b"x"), (EntryType::Regular, "b", &noise)]);
    let mut rest = &archive[..];
    extract_file(&mut rest, Path::new("a"), &limits()).unwrap().read_to_end(&mut Vec::new()).unwrap();
    assert!(rest.len() > archive.len() / 2, "{} of {} are left", rest.len(), archive.len());
}

#[test]
fn a_hostile_archive_costs_no_more_than_the_limits_allow() {
    let bomb = forged(&[(EntryType::Regular, "bomb", &vec![0; 64 * 1024 * 1024])]);
    let few = UnpackLimits { max_bytes: 1024 * 1024, ..limits() };
    let error = list_files(&bomb[..], &few).unwrap_err();
    assert!(matches!(error, ArchiveError::Limit(Limit::Bytes(_))), "{error}");
    let mut file = extract_file(&bomb[..], Path::new("bomb"), &few).unwrap();
    assert!(file.read_to_end(&mut Vec::new()).is_err());

    let many: Vec<_> = (0..11).map(|_| (EntryType::Regular, "f", &b""[..])).collect();
    let few = UnpackLimits { max_entries: 10, ..limits() };
    assert!(matches!(list_files(&forged(&many)[..], &few), Err(ArchiveError::Limit(Limit::Entries(10)))));
    let found = extract_file(&forged(&many)[..], Path::new("g"), &few).map(|file| file.size());
    assert!(matches!(found, Err(ArchiveError::Limit(Limit::Entries(10)))), "{found:?}");
}

#[test]
fn a_list_that_would_fill_the_memory_is_refused() {
    let name = "d/".repeat(2_000);
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for number in 0..20_000 {
        let mut header = Header::new_gnu();
        header.set_size(0);
        tar.append_data(&mut header, format!("{name}{number}"), &b""[..]).unwrap();
    }
    let archive = tar.into_inner().unwrap().finish().unwrap();
    assert!(archive.len() < 1_000_000);
    assert!(matches!(list_files(&archive[..], &limits()), Err(ArchiveError::Limit(Limit::Listing(_)))));
}

#[test]
fn entries_that_lead_out_are_refused_here_too() {
    for name in ["../x", "/x", "a/../../x"] {
        let archive = forged(&[(EntryType::Regular, name, b"x"), (EntryType::Regular, "y", b"y")]);
        assert!(matches!(list_files(&archive[..], &limits()), Err(ArchiveError::Refused { .. })), "{name}");
        assert!(content(&archive, "y").is_err(), "{name}");
    }
}

#[test]
fn links_and_devices_are_no_files() {
    let kinds = [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo, EntryType::XHeader];
    for kind in kinds {
        let archive = forged(&[(kind, "x", b""), (EntryType::Regular, "y", b"y")]);
        assert_eq!(list_files(&archive[..], &limits()).unwrap(), [(PathBuf::from("y"), 1)], "{kind:?}");
        assert!(content(&archive, "x").is_err(), "{kind:?}");
    }
}

#[test]
fn of_a_file_that_comes_twice_list_and_content_are_of_the_same() {
    let archive = forged(&[(EntryType::Regular, "x", b"first"), (EntryType::Regular, "./x", b"2")]);
    assert_eq!(list_files(&archive[..], &limits()).unwrap(), [(PathBuf::from("x"), 5)]);
    assert_eq!(content(&archive, "x").unwrap(), b"first");
}

#[test]
fn an_archive_cut_inside_a_file_is_an_error_while_it_is_read() {
    let noise: Vec<u8> = (0..1_000_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let archive = forged(&[(EntryType::Regular, "x", &noise)]);
    assert!(content(&archive[..archive.len() / 2], "x").is_err());
    assert!(list_files(&archive[..archive.len() / 2], &limits()).is_err());
}

#[test]
fn a_file_from_elsewhere_makes_an_archive_of_one() {
    let (one, other, to) = (&mut Vec::new(), &mut Vec::new(), TempDir::new().unwrap());
    let packed = pack_file(Path::new("./report/index.html"), 5, &b"hello and more"[..], &mut *one).unwrap();
    assert_eq!((packed.files, packed.bytes), (1, 5));
    unpack(&one[..], &open(&to), &limits(), None).unwrap();
    let file = to.path().join("report/index.html");
    assert_eq!(fs::read(&file).unwrap(), b"hello");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions()) & 0o7777, 0o644);
    pack_file(Path::new("report/index.html"), 5, &b"hello"[..], &mut *other).unwrap();
    assert_eq!(one, other, "the same content gives the same archive");
}

#[test]
fn a_file_from_elsewhere_needs_a_name_and_all_of_its_bytes() {
    for path in ["", ".", "..", "/x", "a/../x"] {
        let error = pack_file(Path::new(path), 1, &b"x"[..], Vec::new()).unwrap_err();
        assert!(matches!(error, ArchiveError::BadPath { .. }), "{path}: {error}");
    }
    let error = pack_file(Path::new("x"), 2, &b"x"[..], Vec::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::Changed { .. }), "{error}");
}
