//! Looking at directories: globs, fingerprints, and very many files.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_archive::{
    ArchiveError, Fingerprints, Globs, Packed, UnpackLimits, find, list_files, pack, pack_all, pack_matching, unpack,
};
use tempfile::TempDir;

fn tree(files: &[&str]) -> (TempDir, Dir) {
    let root = TempDir::new().unwrap();
    for path in files {
        let at = root.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, path).unwrap();
    }
    let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).unwrap();
    (root, dir)
}

fn globs(globs: &[&str]) -> Globs {
    Globs::new(globs).unwrap()
}

fn matching(dir: &Dir, path: &str, wanted: &[&str]) -> Result<(Packed, Vec<u8>), ArchiveError> {
    let mut archive = Vec::new();
    Ok((pack_matching(dir, Path::new(path), &globs(wanted), &mut archive)?, archive))
}

fn names(archive: &[u8]) -> Vec<String> {
    let files = list_files(archive, &UnpackLimits::default()).unwrap();
    files.into_iter().map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
}

#[test]
fn only_files_that_match_are_packed_at_their_places() {
    let (_root, dir) = tree(&["out/a.jar", "out/a.txt", "out/lib/b.jar", "out/lib/deep/c.jar", "other/a.jar"]);
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("out", &["*.jar"], &["out/a.jar"]),
        ("out", &["**/*.jar"], &["out/a.jar", "out/lib/b.jar", "out/lib/deep/c.jar"]),
        ("out", &["lib/*", "*.txt"], &["out/a.txt", "out/lib/b.jar"]),
        (".", &["*/a.jar"], &["other/a.jar", "out/a.jar"]),
        ("./out/", &["./a.jar"], &["out/a.jar"]),
    ];
    for (path, wanted, expected) in cases {
        let (packed, archive) = matching(&dir, path, wanted).unwrap();
        assert_eq!(names(&archive), expected, "{path} {wanted:?}");
        assert_eq!(packed.files, expected.len() as u64);
    }
}

#[test]
fn directories_are_packed_only_on_the_way_to_a_file_and_keep_their_modes() {
    let (root, dir) = tree(&["out/full/file", "out/none/other", "out/link/x"]);
    fs::create_dir(root.path().join("out/empty")).unwrap();
    symlink("../full/file", root.path().join("out/link/file")).unwrap();
    fs::set_permissions(root.path().join("out/full"), fs::Permissions::from_mode(0o750)).unwrap();
    let (_, archive) = matching(&dir, "out", &["**/file"]).unwrap();
    let (to, into) = tree(&[]);
    unpack(&archive[..], &into, &UnpackLimits::default(), None).unwrap();
    let mut there: Vec<_> = fs::read_dir(to.path().join("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    there.sort();
    assert_eq!(there, ["full", "link"]);
    assert_eq!(fs::read_link(to.path().join("out/link/file")).unwrap(), Path::new("../full/file"));
    assert!(!to.path().join("out/link/x").exists());
    assert_eq!(to.path().join("out/full").metadata().unwrap().permissions().mode() & 0o777, 0o750);
}

#[test]
fn without_a_match_nothing_is_written_and_the_error_says_so() {
    let (_root, dir) = tree(&["out/a/b.txt"]);
    let mut archive = Vec::new();
    let error = pack_matching(&dir, Path::new("out"), &globs(&["*.jar", "a"]), &mut archive).unwrap_err();
    assert_eq!(error.to_string(), r#"no file below "out" matches "*.jar" or "a""#);
    assert!(archive.is_empty());
    let error = matching(&dir, "missing", &["*"]).unwrap_err();
    assert!(matches!(error, ArchiveError::Missing { .. }), "{error}");
}

#[test]
fn a_file_is_packed_as_it_is_whatever_the_globs() {
    let (_root, dir) = tree(&["out/a.txt"]);
    assert_eq!(names(&matching(&dir, "out/a.txt", &["*.jar"]).unwrap().1), ["out/a.txt"]);
}

#[test]
fn files_are_found_sorted_and_links_are_not_followed() {
    let (root, dir) = tree(&["b/x.xml", "a/x.xml", "a/y.txt", "c/deep/x.xml"]);
    symlink("../a", root.path().join("b/link")).unwrap();
    symlink("x.xml", root.path().join("a/z.xml")).unwrap();
    let found = find(&dir, &globs(&["*/x.xml", "b/link/*", "a/z.xml"]), 10).unwrap();
    let paths: Vec<_> = found.iter().map(|found| found.path.clone()).collect();
    assert_eq!(paths, ["a/x.xml", "b/x.xml"].map(PathBuf::from));
    assert_eq!(found[0].read(&dir, 7).unwrap().unwrap(), b"a/x.xml");
    assert_eq!(found[0].read(&dir, 6).unwrap(), None, "larger than asked for");
    assert_eq!(find(&dir, &globs(&["**"]), 2).unwrap().len(), 2);
}

#[test]
fn a_pipe_in_the_place_of_a_found_file_is_not_waited_for() {
    let (root, dir) = tree(&["x"]);
    let found = find(&dir, &globs(&["x"]), 1).unwrap().remove(0);
    fs::remove_file(root.path().join("x")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, root.path().join("x"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_eq!(found.read(&dir, 10).unwrap(), None);
}

#[test]
fn a_fingerprint_changes_with_anything_and_stays_with_nothing() {
    let (root, dir) = tree(&["t/a", "t/d/b", "other"]);
    symlink("a", root.path().join("t/link")).unwrap();
    let fingerprints = Fingerprints::default();
    let take = || fingerprints.take(&dir, Path::new("t")).unwrap();
    let at = |path: &str| root.path().join(path);
    let mut last = take();
    assert_eq!(take(), last);
    fs::read(at("t/a")).unwrap();
    fs::write(at("other"), "changed").unwrap();
    assert_eq!(take(), last, "reading, and what is elsewhere, are no changes");
    let changes: [&dyn Fn(); 7] = [
        &|| fs::write(at("t/a"), "x").unwrap(),
        &|| fs::set_permissions(at("t/d/b"), fs::Permissions::from_mode(0o600)).unwrap(),
        &|| fs::write(at("t/new"), "").unwrap(),
        &|| fs::remove_file(at("t/new")).unwrap(),
        &|| fs::rename(at("t/d/b"), at("t/d/c")).unwrap(),
        &|| fs::remove_file(at("t/link")).and_then(|()| symlink("b", at("t/link"))).unwrap(),
        &|| {
            // Another content of the same size, with the same times.
            let times = fs::metadata(at("t/a")).unwrap();
            fs::write(at("t/a"), "y").unwrap();
            let file = fs::File::options().write(true).open(at("t/a")).unwrap();
            file.set_modified(times.modified().unwrap()).unwrap();
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        // (The clock of files is coarse.)
        std::thread::sleep(Duration::from_millis(20));
        change();
        assert_ne!(take(), last, "change {number}");
        last = take();
    }
    assert!(fingerprints.take(&dir, Path::new("missing")).is_err());
}

#[test]
fn a_hundred_thousand_files_are_no_more_trouble_than_one() {
    // In memory where possible: this is about our own work, not about a disk's. (The benchmark `many_files` tells how long it takes.)
    let memory = || {
        let root = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).unwrap();
        (root, dir)
    };
    let (root, dir) = memory();
    for number in 0..100_000 {
        let path = root.path().join(format!("t/{:03}/{:03}", number / 1000, number % 1000));
        if number % 1000 == 0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, b"x").unwrap();
    }
    let mut archive = Vec::new();
    assert_eq!(pack(&dir, Path::new("t"), &mut archive).unwrap().files, 100_000);
    assert_eq!(matching(&dir, "t", &["**/*5", "0*/**"]).unwrap().0.files, 100_000);
    let fingerprints = Fingerprints::default();
    let before = fingerprints.take(&dir, Path::new("t")).unwrap();
    assert_eq!(find(&dir, &globs(&["**/*7"]), usize::MAX).unwrap().len(), 10_000);
    assert_eq!(list_files(&archive[..], &UnpackLimits::default()).unwrap().len(), 100_000);
    let (_to, into) = memory();
    assert_eq!(unpack(&archive[..], &into, &UnpackLimits::default(), None).unwrap().files, 100_000);
    assert_eq!(fingerprints.take(&dir, Path::new("t")).unwrap(), before);
}

#[test]
fn several_paths_are_packed_as_one_and_each_file_once() {
    let (_root, dir) = tree(&["a/x", "a/b/y", "a-b/z", "c", "d/no"]);
    let several = |paths: &[&str]| {
        let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
        let mut archive = Vec::new();
        let packed = pack_all(&dir, &paths, &mut archive);
        packed.map(|packed| (packed.files, names(&archive)))
    };
    let expected = ["a/b/y", "a/x", "a-b/z", "c"].map(str::to_owned).to_vec();
    assert_eq!(several(&["c", "a/b", "./a", "a-b", "missing", "a/x"]).unwrap(), (4, expected));
    assert_eq!(several(&["d", ".", "a"]).unwrap().0, 5);
    let Err(ArchiveError::Missing { path }) = several(&["gone", "missing"]) else { panic!("nothing is there") };
    assert_eq!(path, Path::new("gone"));
}
