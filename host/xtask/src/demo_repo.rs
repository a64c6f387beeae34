//! A git repository with some history, made from `sample-scripts/demo-project/`.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{output, program};
use crate::paths::Paths;
use crate::say;

const AUTHOR: &str = "Ada Example";
const ADDRESS: &str = "ada@example.org";
const TAG: &str = "v0.1.0";

/// Makes it, or makes it anew when its sources changed.
pub fn ensure(paths: &Paths) -> Result<PathBuf> {
    let step = say::step("sample repository");
    let sources = paths.samples().join("demo-project");
    let repository = paths.target.join("demo/repo");
    let files = read(&sources)?;
    let mark = repository.with_extension("made-from");
    let wanted = digest(&files);
    if repository.join(".git").is_dir() && fs::read_to_string(&mark).is_ok_and(|old| old == wanted) {
        step.already(&repository.display().to_string());
        return Ok(repository);
    }
    make(&repository, &files).with_context(|| format!("cannot make the repository {}", repository.display()))?;
    fs::write(&mark, wanted).with_context(|| format!("cannot write {}", mark.display()))?;
    step.done(&format!("made {} from {}", repository.display(), sources.display()));
    Ok(repository)
}

/// A file to be committed.
#[derive(Hash)]
struct Source {
    content: Vec<u8>,
    mode: u32,
}

type Sources = BTreeMap<PathBuf, Source>;

fn read(root: &Path) -> Result<Sources> {
    let mut files = Sources::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let what = || format!("cannot read {}", path.display());
            let content = fs::read(&path).with_context(what)?;
            let mode = fs::metadata(&path).with_context(what)?.permissions().mode() & 0o777;
            let name = path.strip_prefix(root).with_context(what)?.to_owned();
            files.insert(name, Source { content, mode });
        }
    }
    if files.is_empty() {
        bail!("{} is empty", root.display());
    }
    Ok(files)
}

/// Changes with the files, and with the way the repository is made.
fn digest(files: &Sources) -> String {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    (COMMITS.map(|(message, ..)| message), TAG).hash(&mut hasher);
    format!("{:016x}\n", hasher.finish())
}

/// One message, date, and what belongs into the commit, by the first part of a path.
type Commit = (&'static str, &'static str, fn(&Path) -> bool);

const COMMITS: [Commit; 3] = [
    ("Start the project", "2026-01-05T09:00:00+00:00", |path| path.components().count() == 1),
    ("Greet people", "2026-01-06T10:30:00+00:00", |path| path.components().count() > 1 && !path.starts_with("tests")),
    ("Test the greeting", "2026-01-07T16:45:00+00:00", |path| path.starts_with("tests")),
];

fn make(repository: &Path, files: &Sources) -> Result<()> {
    if repository.exists() {
        fs::remove_dir_all(repository)?;
    }
    fs::create_dir_all(repository)?;
    let git = |args: &[&str], date: &str| -> Result<()> {
        let mut command = git_in(repository, date);
        output(command.args(args))
            .map(|_| ())
            .context("git is needed to make the sample repository: by hand, `sudo apt-get install git`")
    };
    git(&["init", "--quiet", "--initial-branch=main"], COMMITS[0].1)?;
    for (message, date, belongs) in COMMITS {
        for (name, source) in files.iter().filter(|(name, _)| belongs(name)) {
            let path = repository.join(name);
            fs::create_dir_all(path.parent().unwrap_or(repository))?;
            fs::write(&path, &source.content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(source.mode))?;
        }
        git(&["add", "--all", "--force"], date)?;
        git(&["commit", "--quiet", "--allow-empty", "-m", message], date)?;
    }
    let release = "The first release";
    git(&["tag", "--annotate", TAG, "-m", release], COMMITS[2].1)
}

/// Git without the user's configuration, and with fixed people and dates, so that commits have the same ids everywhere.
fn git_in(repository: &Path, date: &str) -> Command {
    let mut command = program("git");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
        command.env_remove(name);
    }
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), AUTHOR)
            .env(format!("GIT_{role}_EMAIL"), ADDRESS)
            .env(format!("GIT_{role}_DATE"), date);
    }
    command
        .args(["-c", "core.autocrlf=false", "-c", "commit.gpgsign=false"])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(repository);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(name: &str) -> Paths {
        let base = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        let project = base.join("sample-scripts/demo-project");
        fs::create_dir_all(project.join("src")).expect("a folder");
        fs::create_dir_all(project.join("tests")).expect("a folder");
        fs::write(project.join("README.md"), "# Hello\n").expect("a file");
        fs::write(project.join("src/a.sh"), "echo a\n").expect("a file");
        fs::write(project.join("tests/a.sh"), "sh src/a.sh\n").expect("a file");
        Paths { target: base.join("target"), root: base }
    }

    fn ask(repository: &Path, args: &[&str]) -> String {
        output(git_in(repository, COMMITS[0].1).args(args)).expect("git")
    }

    #[test]
    fn the_repository_has_history_and_is_made_anew_only_when_sources_change() {
        let paths = paths("history");
        let first = ensure(&paths).expect("made");
        let head = ask(&first, &["rev-parse", "HEAD"]);
        let log = ask(&first, &["log", "--reverse", "--format=%s"]);
        let tagged = ask(&first, &["rev-parse", "v0.1.0^{commit}"]);
        let branch = ask(&first, &["symbolic-ref", "--short", "HEAD"]);
        let status = ask(&first, &["status", "--porcelain"]);

        fs::write(first.join(".git/mark"), "").expect("a mark");
        ensure(&paths).expect("there already");
        let kept = first.join(".git/mark").exists();

        fs::write(paths.samples().join("demo-project/src/a.sh"), "echo b\n").expect("a file");
        ensure(&paths).expect("made anew");
        let remade = !first.join(".git/mark").exists();
        let changed = ask(&first, &["rev-parse", "HEAD"]);
        fs::remove_dir_all(&paths.root).ok();

        assert_eq!(log, "Start the project\nGreet people\nTest the greeting\n");
        assert_eq!(tagged, head);
        assert_eq!(branch, "main\n");
        assert_eq!(status, "");
        assert!(kept && remade);
        assert_ne!(changed, head);
    }
}
