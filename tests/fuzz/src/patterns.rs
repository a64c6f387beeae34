//! Files that say what git ignores, and globs of scripts.

use std::path::{Path, PathBuf};

use monkeyci_archive::{Globs, WorkspaceFiles, walk_workspace};

const FILES: [&str; 6] = ["a", "b.rs", "target/debug/app", "src/main.rs", "src/deep/er/x.txt", ".hidden/file"];

/// A `.gitignore` up to a line `--`, and globs, a line each.
pub fn patterns(bytes: &[u8]) -> bool {
    let end = bytes.windows(4).position(|four| four == b"\n--\n").unwrap_or(bytes.len());
    let (ignored, globs) = bytes.split_at(end);
    let globs = String::from_utf8_lossy(globs);
    let globs = Globs::new(globs.lines().skip(2));
    let Ok(dir) = tempfile::tempdir() else { return false };
    for file in FILES {
        let path = dir.path().join(file);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, "x"));
        if made.is_err() {
            return false;
        }
    }
    if std::fs::write(dir.path().join(".gitignore"), ignored).is_err() {
        return false;
    }
    let tracked = PathBuf::from("src/main.rs");
    let Ok(walk) = walk_workspace(dir.path(), &WorkspaceFiles::of_working_tree([tracked.clone()])) else {
        return false;
    };
    let mut found = Vec::new();
    for entry in walk {
        let entry = entry.expect("all of it can be read");
        if let Ok(globs) = &globs {
            let _ = globs.matches(&entry.path);
        }
        found.push(entry.path);
    }
    assert!(found.contains(&tracked), "what git tracks is there whatever ignores it");
    assert!(found.iter().all(|path| path.is_relative() && path != Path::new("")), "{found:?}");
    globs.is_ok()
}
