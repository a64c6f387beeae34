//! A git repository with some history, made from `sample-scripts/demo-project/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{output, program};
use crate::paths::Paths;
use crate::say;

const TAG: &str = "v0.1.0";

/// Message, date, and which files of the project belong into the commit.
const COMMITS: [(&str, &str, &[&str]); 3] = [
    ("Start the project", "2026-01-05T09:00:00+00:00", &[":(glob)*"]),
    ("Greet people", "2026-01-06T10:30:00+00:00", &[".", ":(exclude)tests"]),
    ("Test the greeting", "2026-01-07T16:45:00+00:00", &["."]),
];

/// Makes it, or makes it anew when the project has changed.
pub fn ensure(paths: &Paths) -> Result<PathBuf> {
    let step = say::step("sample repository");
    let project = paths.samples().join("demo-project");
    let repository = paths.target.join("demo/repo");
    let (index, made) = (repository.join(".git/index"), repository.join(".git/made"));
    if made.is_file() {
        // What would change if the project were checked in now; by an index of its own, which knows the project's files.
        let mut status = git(&repository, &project, COMMITS[2].1);
        status.env("GIT_INDEX_FILE", &made).args(["status", "--porcelain", "--ignored"]);
        if output(&mut status).is_ok_and(|changes| changes.is_empty()) {
            step.already(&repository.display().to_string());
            return Ok(repository);
        }
    }
    let run = |date: &str, args: &[&str]| output(git(&repository, &project, date).args(args));
    let make = || -> Result<()> {
        if repository.exists() {
            fs::remove_dir_all(&repository)?;
        }
        fs::create_dir_all(&repository)?;
        run("", &["init", "--quiet", "--initial-branch=main"])?;
        for (message, date, files) in COMMITS {
            run(date, &[&["add", "--all", "--force", "--"], files].concat())?;
            run(date, &["commit", "--quiet", "-m", message])?;
        }
        run(COMMITS[2].1, &["tag", "--annotate", TAG, "-m", "The first release"])?;
        fs::copy(&index, &made)?;
        output(git(&repository, &repository, "").args(["reset", "--quiet", "--hard"])).map(drop)
    };
    make().with_context(|| format!("cannot make the repository {}", repository.display()))?;
    step.done(&format!("made {} from {}", repository.display(), project.display()));
    Ok(repository)
}

/// Git on these files, without the user's configuration, and with fixed people and dates, so that commits have the same ids
/// everywhere.
fn git(repository: &Path, files: &Path, date: &str) -> Command {
    let mut command = program("git");
    command.env_remove("GIT_INDEX_FILE").env_remove("GIT_OBJECT_DIRECTORY");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Ada Example")
            .env(format!("GIT_{role}_EMAIL"), "ada@example.org")
            .env(format!("GIT_{role}_DATE"), date);
    }
    command
        .args(["-c", "core.autocrlf=false", "-c", "commit.gpgsign=false"])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_DIR", repository.join(".git"))
        .env("GIT_WORK_TREE", files)
        .current_dir(files);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_has_history_and_is_made_anew_only_when_the_project_changes() {
        let base = std::env::temp_dir().join(format!("xtask-{}-history", std::process::id()));
        let paths = Paths { target: base.join("target"), root: base };
        let project = paths.samples().join("demo-project");
        for (name, text) in [("README.md", "# Hello\n"), ("src/a.sh", "echo a\n"), ("tests/a.sh", "sh src/a.sh\n")] {
            fs::create_dir_all(project.join(name).parent().expect("a folder")).expect("a folder");
            fs::write(project.join(name), text).expect("a file");
        }
        let repository = ensure(&paths).expect("made");
        let ask = |args: &[&str]| output(git(&repository, &repository, "").args(args)).expect("git");
        let log = "Start the project\n\nREADME.md\nGreet people\n\nsrc/a.sh\nTest the greeting\n\ntests/a.sh\n";
        assert_eq!(ask(&["log", "--reverse", "--format=%s", "--name-only"]), log);
        let head = ask(&["rev-parse", "main"]);
        assert_eq!(ask(&["rev-parse", "v0.1.0^{commit}"]), head);
        assert_eq!(ask(&["status", "--porcelain"]), "");
        assert_eq!(fs::read_to_string(repository.join("src/a.sh")).expect("a file"), "echo a\n");

        let mark = repository.join(".git/mark");
        fs::write(&mark, "").expect("a mark");
        ensure(&paths).expect("there already");
        assert!(mark.exists(), "kept");
        fs::write(project.join("src/b.sh"), "echo b\n").expect("a file");
        ensure(&paths).expect("made anew");
        assert!(!mark.exists() && ask(&["rev-parse", "main"]) != head, "made anew");
        fs::remove_dir_all(&paths.root).ok();
    }
}
