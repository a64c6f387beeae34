//! The compile cache: found again, and never trusted blindly.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::support::Guest;
use monkeyci_script::{Limits, Runtime, RuntimeOptions};

fn runtime(dir: &Path) -> Runtime {
    let options = RuntimeOptions { cache_dir: Some(dir.to_owned()), limits: Limits::default() };
    Runtime::new(options).expect("a runtime")
}

pub fn entry(dir: &Path) -> PathBuf {
    let mut files = fs::read_dir(dir).expect("the cache").map(|entry| entry.expect("an entry").path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "cwasm")).expect("a compiled script")
}

#[test]
fn a_script_is_compiled_once_for_all_processes_of_a_home() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = dir.path().join("compiled");
    let bytes = Guest::default().bytes();
    assert!(!runtime(&cache).load(&bytes).expect("a script").cached());
    assert!(runtime(&cache).load(&bytes).expect("a script").cached());
    assert_eq!(fs::metadata(&cache).expect("the cache").permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(cache.join("key")).expect("the key").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_key_that_a_power_cut_has_emptied_is_replaced_and_the_script_compiled_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let bytes = Guest::default().bytes();
    for emptied in [&b""[..], &[7; 10], &[0; 64]] {
        runtime(dir.path()).load(&bytes).expect("a script");
        fs::write(dir.path().join("key"), emptied).expect("written");
        assert!(!runtime(dir.path()).load(&bytes).expect("a script").cached(), "{emptied:?}");
        assert!(runtime(dir.path()).load(&bytes).expect("a script").cached(), "{emptied:?}");
    }
}

#[test]
fn a_changed_file_is_thrown_away_and_the_script_compiled_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let bytes = Guest::default().bytes();
    runtime(dir.path()).load(&bytes).expect("a script");
    let path = entry(dir.path());
    let whole = fs::read(&path).expect("the file");
    for (what, broken) in [("flipped", flip(&whole)), ("cut", whole[..whole.len() / 2].to_vec()), ("empty", Vec::new())]
    {
        fs::write(&path, broken).expect("written");
        assert!(!runtime(dir.path()).load(&bytes).expect("a script").cached(), "{what}");
    }
}

#[test]
fn a_file_of_another_home_is_not_trusted() {
    let (mine, theirs) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let bytes = Guest::default().bytes();
    runtime(theirs.path()).load(&bytes).expect("a script");
    let runtime = runtime(mine.path());
    let path = entry(theirs.path());
    fs::copy(&path, mine.path().join(path.file_name().expect("a name"))).expect("copied");
    assert!(!runtime.load(&bytes).expect("a script").cached());
}

#[test]
fn what_is_no_file_of_its_users_own_is_not_used_and_not_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let bytes = Guest::default().bytes();
    runtime(dir.path()).load(&bytes).expect("a script");
    let path = entry(dir.path());
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("a link");
    assert!(!runtime(dir.path()).load(&bytes).expect("a script").cached(), "a link");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("set");
    assert!(!runtime(dir.path()).load(&bytes).expect("a script").cached(), "others can write to it");
    fs::remove_file(&path).expect("removed");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("a named pipe");
    assert!(!runtime(dir.path()).load(&bytes).expect("a script").cached(), "a named pipe");
    assert!(runtime(dir.path()).load(&bytes).expect("a script").cached(), "it is replaced");
}

fn flip(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

#[test]
fn what_a_killed_host_left_half_written_is_removed_one_day_and_not_what_is_written_now() {
    let dir = tempfile::tempdir().expect("a directory");
    let (left, written) = (dir.path().join(".tmpleft"), dir.path().join(".tmpwritten"));
    fs::write(&written, "half").expect("written");
    let file = fs::File::create(&left).expect("a file");
    file.set_modified(SystemTime::now() - Duration::from_secs(2 * 60 * 60)).expect("set");
    runtime(dir.path()).load(&Guest::default().bytes()).expect("a script");
    assert!(!left.exists() && written.exists());
}
