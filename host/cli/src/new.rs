//! `monkeyci-host new`: a script to begin with, and the SDK that it needs.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::Done;
use crate::args::{NewArgs, NewLanguage, SchemaArgs};
use crate::exit::Exit;
use crate::script::FOLDER;
use crate::text::{print_line, print_text, quoted};

/// The SDK's sources, which are in the program.
mod sdk {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

/// What a script's crate has beside its source.
const FILES: [(&str, &str); 2] = [("Cargo.toml", include_str!("new/manifest.toml")), (".gitignore", "/target\n")];

/// The JSON Schema of scripts in YAML, JSON and TOML.
const SCHEMA: &str = include_str!("../../../guest-sdk/yaml/schema.json");

/// What a script in YAML consists of; an editor finds the schema by the first line of the script.
const YAML: [(&str, &str); 2] = [("build.yaml", include_str!("new/build.yaml")), ("build.schema.json", SCHEMA)];

/// The types of what scripts in TypeScript and JavaScript import.
const TYPES: (&str, &str) = ("monkeyci.d.ts", include_str!("../../../guest-sdk/typescript/index.d.ts"));

/// What editors are told of the folder.
const TSCONFIG: (&str, &str) = ("tsconfig.json", include_str!("new/tsconfig.json"));

const TS: [(&str, &str); 3] = [("build.ts", include_str!("new/build.ts")), TYPES, TSCONFIG];
const JS: [(&str, &str); 3] = [("build.js", include_str!("new/build.js")), TYPES, TSCONFIG];

/// Prints the JSON Schema of scripts in YAML, JSON and TOML.
pub fn schema(_: &SchemaArgs) -> Done {
    print_text(SCHEMA);
    Ok(Exit::Success)
}

/// Writes a new script beside the code of a directory.
pub fn new(args: &NewArgs) -> Done {
    let (files, beside): (&[(&str, &str)], _) = match args.lang {
        NewLanguage::Rust => return new_crate(args),
        NewLanguage::Yaml => (&YAML, "the schema"),
        NewLanguage::Ts => (&TS, "its types"),
        NewLanguage::Js => (&JS, "its types"),
    };
    let folder = new_folder(&args.dir)?;
    for (path, text) in files {
        write(&folder.join(path), text)?;
    }
    print_line(&format!("a script is in {}, and {beside} beside it, by which editors complete it", folder.display()));
    print_text(&next(&args.dir, &[CHECK, RUN]));
    Ok(Exit::Success)
}

fn new_crate(args: &NewArgs) -> Done {
    let folder = write_crate(&args.dir, include_str!("new/script.rs"))?;
    print_line(&format!(
        "a script is in {}, the SDK beside it in sdk/, and its guide is sdk/rust/GUIDE.md",
        folder.display()
    ));
    print_text(&next(&args.dir, &[CHECK, TEST, RUN]));
    Ok(Exit::Success)
}

/// Writes the crate of a script beside the code of a directory, with the SDK, and says where it is.
pub fn write_crate(dir: &Path, script: &str) -> Result<PathBuf, (Exit, anyhow::Error)> {
    let folder = new_folder(dir)?;
    for (path, text) in FILES.into_iter().chain([("src/lib.rs", script)]) {
        write(&folder.join(path), text)?;
    }
    for (path, text) in sdk::FILES {
        write(&folder.join("sdk").join(path), text)?;
    }
    Ok(folder)
}

/// The folder of the script of a directory, where there is none.
fn new_folder(dir: &Path) -> Result<PathBuf, (Exit, anyhow::Error)> {
    let folder = dir.join(FOLDER);
    match folder.symlink_metadata().is_ok() {
        true => {
            Err((Exit::Usage, anyhow!("{} is there already: `monkeyci-host check` shows its jobs", folder.display())))
        }
        false => Ok(folder),
    }
}

/// A command to go on with, and what it does.
type Next = (&'static str, &'static str);
/// To begin with.
pub const CHECK: Next = ("check", "shows its jobs");
/// For a crate: files that an interpreter evaluates have no tests.
pub const TEST: Next = ("test", "runs its tests");
/// What it is all about.
pub const RUN: Next = ("run", "runs the build");

/// What to do with a script beside the code of a directory.
pub fn next(dir: &Path, commands: &[Next]) -> String {
    let there = match dir == Path::new(".") {
        true => String::new(),
        false => format!("cd {} && ", quoted(&dir.display().to_string())),
    };
    commands.iter().map(|(command, what)| format!("  {there}monkeyci-host {command}   {what}\n")).collect()
}

fn write(path: &Path, text: &str) -> Result<(), (Exit, anyhow::Error)> {
    let written = || {
        DirBuilder::new().recursive(true).create(path.parent().unwrap_or(path))?;
        OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
    };
    let failed = || format!("{} can't be written", path.display());
    written().with_context(failed).map_err(|error| (Exit::Infrastructure, error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_build_script_has_cargo_watch_nothing_that_it_writes_itself() {
        let out = env!("OUT_DIR");
        // Cargo keeps there what a build script has said.
        let said = std::fs::read_to_string(Path::new(out).with_file_name("output")).expect("what it said");
        assert!(said.contains("guest-sdk/GUIDE.md"), "{said}");
        assert!(!said.contains(out), "each build would compile the program anew:\n{said}");
    }
}
