//! A git repository with a little history, made with the git program.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A repository: `main` with two commits, the tag `v1` on the first, the branch `topic` beside.
pub struct Repository {
    dir: TempDir,
}

impl Default for Repository {
    fn default() -> Self {
        let repository = Self { dir: tempfile::tempdir().expect("a directory") };
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository.write("first", "1");
        repository.commit("the first commit");
        repository.git(&["tag", "v1"]);
        repository.git(&["checkout", "--quiet", "-b", "topic"]);
        repository.write("on-topic", "t");
        repository.commit("on topic");
        repository.git(&["checkout", "--quiet", "main"]);
        repository.write("second", "2");
        repository.commit("the second commit");
        repository
    }
}

impl Repository {
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("below the repository")).expect("a directory");
        std::fs::write(&path, text).expect("written");
        path
    }

    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Runs git; returns what it printed.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.path(), arguments)
    }
}

/// Runs git in a directory; returns what it printed.
pub fn git(dir: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").args(identity).args(arguments).current_dir(dir).output().expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
