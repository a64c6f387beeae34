//! Scripts in other languages than Rust: files that an interpreter evaluates, which is a component in this program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use monkeyci_archive::{Content, read_small};
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
    /// The ends of names of what else its scripts read: of files in the folder of the script and below. A script is one file if there
    /// are none.
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

/// What the file of a script is called, but for its end.
const STEM: &str = "build";

/// A script in one of these languages.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    language: &'static Language,
}

impl Source {
    /// The script that this file is, by its name.
    pub fn of(path: &Path) -> Option<Self> {
        let end = path.extension()?.to_str()?;
        let language = LANGUAGES.iter().find(|language| language.ends.contains(&end))?;
        Some(Self { path: path.to_owned(), language })
    }

    /// The scripts in a folder.
    pub fn all_in(dir: &Path) -> Vec<Self> {
        let ends = LANGUAGES.iter().flat_map(|language| language.ends);
        let paths = ends.map(|end| dir.join(format!("{STEM}.{end}")));
        paths.filter(|path| path.is_file()).filter_map(|path| Self::of(&path)).collect()
    }

    /// The bytes of the script: the interpreter with the files behind it.
    pub fn script(&self) -> Result<Vec<u8>, Failed> {
        let files = self.files().map_err(|error| (Exit::Usage, error))?;
        let interpreter = self.language.interpreter()?;
        Ok(with_sources(&interpreter, files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))))
    }

    /// The files that belong to the script, by their paths in its folder.
    fn files(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let mut files = Files::default();
        if !self.language.reads.is_empty() {
            let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            files.walk(dir, "", self.language.reads, 0)?;
        }
        let end = self.path.extension().unwrap_or_default().display();
        files.add(&self.path, format!("{STEM}.{end}"))?;
        Ok(files.found)
    }
}

impl Language {
    /// The names that a script may have.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.ends.iter().map(|end| format!("{STEM}.{end}"))
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

/// The files of a script.
#[derive(Default)]
struct Files {
    found: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

impl Files {
    /// Adds the files of a folder, and of those below, whose names have one of these ends.
    fn walk(&mut self, dir: &Path, prefix: &str, ends: &[&str], depth: usize) -> anyhow::Result<()> {
        anyhow::ensure!(depth <= MAX_DEPTH, "{}: more than {MAX_DEPTH} folders stand in each other", dir.display());
        let failed = || format!("{} can't be read", dir.display());
        for entry in fs::read_dir(dir).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            // No module has a name that can't be written in a script.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let (path, inside) = (entry.path(), format!("{prefix}{name}"));
            let kind = entry.file_type().with_context(failed)?;
            if kind.is_dir() && name != ".git" {
                self.walk(&path, &format!("{inside}/"), ends, depth + 1)?;
            } else if kind.is_file() && name.rsplit_once('.').is_some_and(|(_, end)| ends.contains(&end)) {
                self.add(&path, inside)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, inside: String) -> anyhow::Result<()> {
        let failed = || format!("the script {} can't be read", path.display());
        let bytes = match read_small(path, LARGEST).with_context(failed)? {
            Content::Bytes(bytes) => bytes,
            Content::Missing => return Err(anyhow!("it is not there").context(failed())),
            Content::NotAFile => return Err(anyhow!("it is no regular file").context(failed())),
            Content::TooLarge => return Err(anyhow!("it has more than {} MiB", LARGEST >> 20).context(failed())),
        };
        self.bytes += bytes.len() as u64;
        let remedy = "bundle what the script needs of them into one file";
        anyhow::ensure!(
            self.bytes <= LARGEST_FOLDER,
            "the files of the script, up to {}, have more than {} MiB; {remedy}",
            path.display(),
            LARGEST_FOLDER >> 20
        );
        self.found.insert(inside, bytes);
        anyhow::ensure!(
            self.found.len() <= MOST_FILES,
            "the script has more than {MOST_FILES} files, {} among them; {remedy}",
            path.display()
        );
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
        let dir = folder(&[("build.yml", ""), ("build.mjs", ""), ("other.yaml", ""), ("build.toml/x", "")]);
        let names: Vec<_> = Source::all_in(dir.path()).iter().map(|source| source.path.clone()).collect();
        assert_eq!(names, ["build.yml", "build.mjs"].map(|name| dir.path().join(name)));
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
    fn what_is_too_large_or_no_file_is_an_error_that_names_it() {
        let dir = folder(&[("build.yaml", "")]);
        fs::write(dir.path().join("build.yaml"), vec![b' '; (4 << 20) + 1]).expect("written");
        let error = Source::of(&dir.path().join("build.yaml")).expect("a script").files().expect_err("too large");
        assert!(format!("{error:#}").contains("build.yaml can't be read: it has more than 4 MiB"), "{error:#}");
        let error = Source::of(&dir.path().join("none.yaml")).expect("a script").files().expect_err("it is not there");
        assert!(format!("{error:#}").contains("none.yaml can't be read: it is not there"), "{error:#}");
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
