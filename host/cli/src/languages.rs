//! Scripts in other languages than Rust: files that an interpreter evaluates, which is a component in this program.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_script::with_sources;

use crate::exit::Exit;

/// The interpreters that were there when this program was built.
mod packed {
    include!(concat!(env!("OUT_DIR"), "/interpreters.rs"));
}

type Failed = (Exit, anyhow::Error);

/// The largest file of a script, in bytes: more an interpreter does not read at once.
const LARGEST: u64 = 4 << 20;
/// The most bytes that the files of a script's folder may have together.
const LARGEST_FOLDER: u64 = 16 << 20;
/// The most files that a script's folder may have.
const MOST_FILES: usize = 5000;
/// How deep folders may stand in a script's folder.
const MAX_DEPTH: usize = 32;

/// A language of scripts. Another one is one more of [`LANGUAGES`], and one in `host/xtask/src/languages.rs`.
#[derive(Debug, PartialEq, Eq)]
pub struct Language {
    /// The name of the interpreter, for `cargo xtask languages`.
    pub name: &'static str,
    /// What people call it.
    called: &'static str,
    /// The ends of names of its files; a script is `build` with one of them.
    ends: &'static [&'static str],
    /// The ends of names of what else its scripts read: of files in the folder of the script and below. Where there are none, several files
    /// are one script.
    reads: &'static [&'static str],
}

/// All of them.
pub const LANGUAGES: [Language; 2] = [
    Language { name: "yaml", called: "YAML, JSON and TOML", ends: &["yaml", "yml", "json", "toml"], reads: &[] },
    Language {
        name: "typescript",
        called: "TypeScript and JavaScript",
        ends: &["ts", "js", "mjs"],
        reads: &["ts", "mts", "js", "mjs", "cjs", "json"],
    },
];

/// The names of the languages whose interpreters are in this program.
pub fn built_in() -> Vec<&'static str> {
    packed::INTERPRETERS.iter().map(|(name, _)| *name).collect()
}

/// What the file of a script is called, but for its end.
const STEM: &str = "build";

/// A script in one of these languages.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Further files, with which it is one script.
    more: Vec<PathBuf>,
    language: &'static Language,
}

impl Source {
    /// The script that this file is, by its name.
    pub fn of(path: &Path) -> Option<Self> {
        let language = of_name(path.file_name()?.to_str()?)?;
        Some(Self { path: path.to_owned(), more: Vec::new(), language })
    }

    /// The scripts in a folder. Several files of a language that has no other way to be divided are one.
    pub fn all_in(dir: &Path) -> Vec<Self> {
        let paths = names().map(|name| dir.join(name));
        let mut all: Vec<Self> = Vec::new();
        for source in paths.filter(|path| path.is_file()).filter_map(|path| Self::of(&path)) {
            match all.last_mut().filter(|last| last.language == source.language && source.language.reads.is_empty()) {
                Some(last) => last.more.push(source.path),
                None => all.push(source),
            }
        }
        all
    }

    /// The names of its files.
    pub fn names(&self) -> String {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
        std::iter::once(&self.path).chain(&self.more).map(name).collect::<Vec<_>>().join(" + ")
    }

    /// The bytes of the script: the interpreter with the files behind it.
    pub fn script(&self) -> Result<Vec<u8>, Failed> {
        let files = self.files().map_err(|error| (Exit::Usage, error))?;
        self.language.script(&files)
    }

    fn files(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let mut files = Files::default();
        for path in std::iter::once(&self.path).chain(&self.more) {
            let failed = || format!("the script {} can't be read", path.display());
            // Whoever links it here means the file that it is, with what stands beside that.
            let whole = fs::canonicalize(path).with_context(failed)?;
            let (dir, name) = whole.parent().zip(whole.file_name()).with_context(failed)?;
            let dir = Dir::open_ambient_dir(dir, ambient_authority()).with_context(failed)?;
            let name = name.to_str().with_context(failed)?;
            // The name that it was called by says what it is in.
            let called = path.file_name().and_then(|name| name.to_str()).unwrap_or(name);
            files.take(&dir, name, called, self.language).with_context(failed)?;
        }
        Ok(files.found)
    }
}

/// The script at a path of code that a stranger has written: of a file, or of what is in a folder. `None` where it is in none of these
/// languages. No link leads out of the code.
pub fn in_repository(code: &Path, path: &str) -> Option<anyhow::Result<Vec<u8>>> {
    found_in_repository(code, path).transpose()
}

fn found_in_repository(code: &Path, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let code = Dir::open_ambient_dir(code, ambient_authority())?;
    let path = path.trim_end_matches('/');
    let is_folder = code.metadata(path).is_ok_and(|found| found.is_dir());
    let (folder, name) = match path.rsplit_once('/') {
        _ if is_folder => (path, None),
        Some((folder, name)) => (folder, Some(name)),
        None => (".", Some(path)),
    };
    let there = |dir: &Dir, name: &str| dir.metadata(name).is_ok_and(|found| found.is_file());
    let dir = match name {
        Some(name) if of_name(name).is_none() => return Ok(None),
        _ => code.open_dir(folder)?,
    };
    let found: Vec<String> = match name {
        Some(name) => vec![name.to_owned()],
        None => names().filter(|name| there(&dir, name)).collect(),
    };
    let languages: Vec<&Language> = found.iter().filter_map(|name| of_name(name)).collect();
    let Some(language) = languages.first() else { return Ok(None) };
    let is_one = found.len() == 1 || language.reads.is_empty() && languages.iter().all(|other| other == language);
    anyhow::ensure!(is_one, "there are several scripts: {}; keep one of them, or name one", found.join(", "));
    let mut files = Files::default();
    for name in &found {
        files.take(&dir, name, name, language)?;
    }
    language.script(&files.found).map(Some).map_err(|(_, error)| error)
}

/// The names that a script may have.
pub fn names() -> impl Iterator<Item = String> {
    LANGUAGES.iter().flat_map(|language| language.ends).map(|end| format!("{STEM}.{end}"))
}

fn of_name(name: &str) -> Option<&'static Language> {
    let (_, end) = name.rsplit_once('.')?;
    LANGUAGES.iter().find(|language| language.ends.contains(&end))
}

impl Language {
    /// A script of these files.
    fn script(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, Failed> {
        let interpreter = self.interpreter()?;
        Ok(with_sources(&interpreter, files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))))
    }

    /// The component that evaluates it.
    fn interpreter(&self) -> Result<Vec<u8>, Failed> {
        let packed = packed::INTERPRETERS.iter().find(|(name, _)| *name == self.name);
        let infrastructure = |error| (Exit::Infrastructure, error);
        let (_, bytes) = packed.ok_or_else(|| {
            infrastructure(anyhow!(
                "this program was built without the interpreter of {}: `cargo xtask languages {}` builds it, and the \
                 monkeyci-host that is built after that has it",
                self.called,
                self.name
            ))
        })?;
        let unpacked = zstd::decode_all(*bytes).context("the interpreter in this program is broken");
        unpacked.map_err(infrastructure)
    }
}

/// The files of a script, by their paths in its folder.
#[derive(Default)]
struct Files {
    found: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

impl Files {
    /// Adds the script that is the file `name` of a folder, with what it may read. It gets the name that its interpreter looks for, with the
    /// end that it is called by.
    fn take(&mut self, dir: &Dir, name: &str, called: &str, language: &Language) -> anyhow::Result<()> {
        if !language.reads.is_empty() {
            self.walk(dir, "", language.reads, 0)?;
        }
        let end = called.rsplit_once('.').map_or(called, |(_, end)| end);
        self.add(dir, name, format!("{STEM}.{end}"))
    }

    /// Adds the files of a folder, and of those below, whose names have one of these ends. Links are passed over.
    fn walk(&mut self, dir: &Dir, prefix: &str, ends: &[&str], depth: usize) -> anyhow::Result<()> {
        anyhow::ensure!(depth <= MAX_DEPTH, "{prefix}: more than {MAX_DEPTH} folders stand in each other");
        let failed = || format!("the folder {prefix:?} can't be read");
        for entry in dir.entries().with_context(failed)? {
            let entry = entry.with_context(failed)?;
            // No module has a name that can't be written in a script.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().with_context(failed)?;
            if kind.is_dir() && name != ".git" {
                let below = entry.open_dir().with_context(failed)?;
                self.walk(&below, &format!("{prefix}{name}/"), ends, depth + 1)?;
            } else if kind.is_file() && name.rsplit_once('.').is_some_and(|(_, end)| ends.contains(&end)) {
                self.add(dir, &name, format!("{prefix}{name}"))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, dir: &Dir, name: &str, inside: String) -> anyhow::Result<()> {
        let failed = || format!("{inside} can't be read");
        // Before it is opened: a pipe would be waited for.
        anyhow::ensure!(dir.metadata(name).with_context(failed)?.is_file(), "{name} is no regular file");
        let mut bytes = Vec::new();
        let file = dir.open(name).with_context(failed)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).with_context(failed)?;
        anyhow::ensure!(bytes.len() as u64 <= LARGEST, "{name} has more than {} MiB", LARGEST >> 20);
        self.bytes += bytes.len() as u64;
        let remedy = "bundle what the script needs of them into one file";
        let limit = LARGEST_FOLDER >> 20;
        anyhow::ensure!(self.bytes <= LARGEST_FOLDER, "the files up to {inside} have more than {limit} MiB; {remedy}");
        self.found.insert(inside, bytes);
        anyhow::ensure!(self.found.len() <= MOST_FILES, "there are more than {MOST_FILES} files; {remedy}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("written");
        }
        dir
    }

    #[test]
    fn a_script_is_known_by_its_name() {
        let language = |name: &str| Source::of(Path::new(name)).map(|source| source.language.name);
        for (name, expected) in [
            ("build.yaml", Some("yaml")),
            ("ci/other.json", Some("yaml")),
            ("build.ts", Some("typescript")),
            ("build.wasm", None),
            ("build", None),
        ] {
            assert_eq!(language(name), expected, "{name}");
        }
        let dir = folder(&[
            ("build.yml", ""),
            ("build.mjs", ""),
            ("other.yaml", ""),
            ("build.toml/x", ""),
            ("build.json", ""),
        ]);
        let names: Vec<String> = Source::all_in(dir.path()).iter().map(Source::names).collect();
        assert_eq!(names, ["build.yml + build.json", "build.mjs"]);
        let files = Source::all_in(dir.path()).remove(0).files().expect("files");
        assert_eq!(files.into_keys().collect::<Vec<_>>(), ["build.json", "build.yml"]);
    }

    #[test]
    fn a_script_of_one_file_has_the_name_that_its_interpreter_looks_for() {
        let dir = folder(&[("pipeline.yml", "a"), ("other.yml", "b")]);
        let files = Source::of(&dir.path().join("pipeline.yml")).expect("a script").files().expect("files");
        assert_eq!(files, BTreeMap::from([("build.yml".to_owned(), b"a".to_vec())]));
    }

    #[test]
    fn a_script_with_modules_has_those_of_its_folder() {
        let dir = folder(&[
            ("build.ts", "b"),
            ("lib/make.ts", "m"),
            ("node_modules/x/index.js", "x"),
            ("node_modules/x/package.json", "p"),
            ("node_modules/x/logo.png", "no"),
            (".git/hooks/x.js", "no"),
        ]);
        let files = Source::of(&dir.path().join("build.ts")).expect("a script").files().expect("files");
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["build.ts", "lib/make.ts", "node_modules/x/index.js", "node_modules/x/package.json"]);
    }

    #[test]
    fn a_script_of_a_stranger_is_found_by_file_or_folder_and_no_link_leads_out_of_the_code() {
        let outside = folder(&[("secret.yaml", "s"), ("code/.monkeyci/build.yaml", "y"), ("code/ci/other.json", "{}")]);
        let code = outside.path().join("code");
        std::os::unix::fs::symlink("../../secret.yaml", code.join("ci/build.yaml")).expect("linked");
        let found = |path: &str| match found_in_repository(&code, path) {
            Ok(found) => Ok(found.is_some()),
            Err(error) => Err(format!("{error:#}")),
        };
        let has_interpreter = !built_in().is_empty();
        for path in [".monkeyci/build.yaml", ".monkeyci", ".monkeyci/", "ci/other.json"] {
            match found(path) {
                Ok(found) => assert!(found && has_interpreter, "{path}"),
                Err(error) => assert!(error.contains("without the interpreter") && !has_interpreter, "{path}: {error}"),
            }
        }
        for path in ["ci", "ci/none.wasm", "."] {
            assert_eq!(found(path), Ok(false), "{path}");
        }
        for path in ["ci/build.yaml", "../secret.yaml", "none/build.yaml"] {
            assert!(found(path).is_err(), "{path}");
        }
        fs::write(code.join(".monkeyci/build.js"), "").expect("written");
        let several = found(".monkeyci").expect_err("there are two");
        assert!(several.contains("several scripts: build.yaml, build.js"), "{several}");
    }

    #[test]
    fn what_is_too_large_or_no_file_is_an_error_that_names_it() {
        let dir = folder(&[("build.yaml", "")]);
        fs::write(dir.path().join("build.yaml"), vec![b' '; (4 << 20) + 1]).expect("written");
        let error = Source::of(&dir.path().join("build.yaml")).expect("a script").files().expect_err("too large");
        assert!(
            format!("{error:#}").ends_with("build.yaml can't be read: build.yaml has more than 4 MiB"),
            "{error:#}"
        );
        let error = Source::of(&dir.path().join("none.yaml")).expect("a script").files().expect_err("it is not there");
        assert!(format!("{error:#}").contains("none.yaml can't be read: No such file"), "{error:#}");
    }

    #[test]
    fn an_interpreter_that_is_not_there_is_missed_with_the_command_that_builds_it() {
        let cobol = Language { name: "cobol", called: "COBOL", ends: &["cob"], reads: &[] };
        let (exit, error) = cobol.interpreter().expect_err("nobody has built it");
        assert_eq!(exit, Exit::Infrastructure);
        assert!(error.to_string().contains("`cargo xtask languages cobol` builds it"), "{error}");
    }

    #[test]
    fn the_interpreters_that_were_there_are_components() {
        for (name, _) in packed::INTERPRETERS {
            let language = LANGUAGES.iter().find(|language| language.name == *name).expect("a known language");
            let bytes = language.interpreter().map_err(|(_, error)| error).expect("it is whole");
            assert!(bytes.starts_with(b"\0asm\x0d\0\x01\0"), "{name}");
        }
    }
}
