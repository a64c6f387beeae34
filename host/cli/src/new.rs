//! `monkeyci-host new`: a script to begin with, and the SDK that it needs.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, anyhow};

use crate::Done;
use crate::args::NewArgs;
use crate::exit::Exit;
use crate::script::FOLDER;
use crate::text::print_line;

/// The SDK's sources, which are in the program.
mod sdk {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

/// What a new script is made of.
const FILES: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("new/manifest.toml")),
    ("src/lib.rs", include_str!("new/script.rs")),
    (".gitignore", "/target\n"),
];

/// Writes a new script beside the code of a directory.
pub fn new(args: &NewArgs) -> Done {
    let folder = args.dir.join(FOLDER);
    if folder.symlink_metadata().is_ok() {
        return Err((
            Exit::Usage,
            anyhow!("{} is there already: `monkeyci-host check` shows its jobs", folder.display()),
        ));
    }
    for (path, text) in FILES {
        write(&folder.join(path), text)?;
    }
    for (path, text) in sdk::FILES {
        write(&folder.join("sdk").join(path), text)?;
    }
    let dir = args.dir.display();
    print_line(&format!(
        "a script is in {}, the SDK beside it in sdk/, and its guide is sdk/rust/GUIDE.md",
        folder.display()
    ));
    let there = if args.dir == Path::new(".") { String::new() } else { format!("cd {dir} && ") };
    for (command, what) in [("check", "shows its jobs"), ("test", "runs its tests"), ("run", "runs the build")] {
        print_line(&format!("  {there}monkeyci-host {command}   {what}"));
    }
    Ok(Exit::Success)
}

fn write(path: &Path, text: &str) -> Result<(), (Exit, anyhow::Error)> {
    let written = || {
        DirBuilder::new().recursive(true).create(path.parent().unwrap_or(path))?;
        OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
    };
    let failed = || format!("{} can't be written", path.display());
    written().with_context(failed).map_err(|error| (Exit::Infrastructure, error))
}
