//! A compile cache that has the scripts of the tests: each home begins with a copy of it, and hundreds of them compile nothing.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};

use crate::place;

/// The scripts that most builds of the tests are of.
const SCRIPTS: [&str; 3] = ["probe_script", "guide_script", "imported_script"];

/// Gives a new home the compiled scripts.
pub fn fill(home: &Path) {
    static WARM: OnceLock<PathBuf> = OnceLock::new();
    let warm = WARM.get_or_init(warmed);
    let to = home.join("compiled");
    private_dir(&to);
    for entry in fs::read_dir(warm).expect("compiled scripts").map(|entry| entry.expect("an entry")) {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// The compiled scripts of this host, compiled now if no test has done so before.
fn warmed() -> PathBuf {
    let home = place::host().with_file_name("warm-home");
    let lock = File::create(home.with_extension("lock")).expect("a lock");
    flock(&lock, FlockOperation::LockExclusive).expect("locked");
    let scripts = SCRIPTS.map(place::script);
    let is_of: String = scripts.iter().chain([&place::host()]).map(|path| stamp(path)).collect();
    let marker = home.join("is-of");
    if fs::read_to_string(&marker).is_ok_and(|before| before == is_of) {
        return home.join("compiled");
    }
    // Compiled code of another host or script is of no use any more.
    if let Err(error) = fs::remove_dir_all(&home) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
    }
    private_dir(&home);
    // Whatever stands in it, its interpreter is compiled.
    let [in_yaml, in_typescript] = ["build.yaml", "build.js"].map(|name| home.join(name));
    fs::write(&in_yaml, "").expect("written");
    fs::write(&in_typescript, "").expect("written");
    for script in scripts.into_iter().chain([in_yaml, in_typescript]) {
        let mut check = Command::new(place::host());
        check.arg("check").arg(script).arg("--dir").arg(&home).env("MONKEYCI_HOME", &home);
        // Without the name of a case it is a check that fails, of a script that is compiled.
        check.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("the host runs");
    }
    fs::write(marker, is_of).expect("written");
    home.join("compiled")
}

fn stamp(path: &Path) -> String {
    let of = fs::metadata(path).expect("a file");
    format!("{} {}.{} {}\n", path.display(), of.mtime(), of.mtime_nsec(), of.size())
}

fn private_dir(path: &Path) {
    DirBuilder::new().mode(0o700).create(path).expect("a directory");
}
