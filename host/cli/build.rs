//! Packs the SDK's sources into the program: `monkeyci-host new` writes them beside a script, because no registry has them. And the
//! interpreters of other languages, as far as `cargo xtask languages` has built them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo names no OUT_DIR"))?);
    let mut files = Vec::new();
    for (dir, to) in [("guest-sdk/src", "rust/src"), ("wit", "wit")] {
        walk(&root.join(dir), Path::new(to), &mut files)?;
    }
    files.push((PathBuf::from("rust/GUIDE.md"), root.join("guest-sdk/GUIDE.md")));
    let manifest = out.join("sdk-manifest.toml");
    let read = |path: &str| {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
        fs::read_to_string(root.join(path))
    };
    fs::write(&manifest, standalone(&read("guest-sdk/Cargo.toml")?, &read("Cargo.toml")?))?;
    files.push((PathBuf::from("rust/Cargo.toml"), manifest.clone()));
    files.sort();
    let mut code = String::from("pub const FILES: &[(&str, &str)] = &[\n");
    for (to, from) in &files {
        // What is written here is always newer than the last build: named, each build would compile the program anew.
        if *from != manifest {
            println!("cargo::rerun-if-changed={}", from.display());
        }
        let _ = writeln!(code, "    ({to:?}, include_str!({from:?})),");
    }
    code.push_str("];\n");
    fs::write(out.join("sdk.rs"), code)?;
    interpreters(&out)
}

/// Packs the interpreters that are there, compressed.
fn interpreters(out: &Path) -> io::Result<()> {
    /// They are compressed once, and unpacked by each run.
    const LEVEL: i32 = 19;
    let dir = target_dir(out)?.join("languages");
    // One that is not there, or is newer than this run, would have the next build compile this crate anew.
    if !dir.exists() {
        fs::create_dir_all(&dir)?;
        fs::File::open(&dir)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1))?;
    }
    println!("cargo::rerun-if-changed={}", dir.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "wasm"));
    files.sort();
    let mut code = String::from("pub const INTERPRETERS: &[(&str, &[u8])] = &[\n");
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_stem().unwrap_or_default().display().to_string();
        let packed = out.join(format!("{name}.wasm.zst"));
        fs::write(&packed, zstd::encode_all(fs::File::open(file)?, LEVEL)?)?;
        let _ = writeln!(code, "    ({name:?}, include_bytes!({packed:?})),");
    }
    code.push_str("];\n");
    fs::write(out.join("interpreters.rs"), code)
}

/// Cargo's target folder, of which `OUT_DIR` is `[TARGET/]PROFILE/build/CRATE/out`.
fn target_dir(out: &Path) -> io::Result<PathBuf> {
    let above = out.ancestors().nth(4).ok_or_else(|| io::Error::other("OUT_DIR is in no target folder"))?;
    let is_of_a_target = env::var_os("TARGET").is_some_and(|target| above.file_name() == Some(&target));
    Ok(above.parent().filter(|_| is_of_a_target).unwrap_or(above).to_owned())
}

fn walk(dir: &Path, to: &Path, files: &mut Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", dir.display());
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => walk(&entry.path(), &to, files)?,
            false => files.push((to, entry.path())),
        }
    }
    Ok(())
}

/// A member's manifest, with what it takes from its workspace written out.
fn standalone(member: &str, workspace: &str) -> String {
    let value = |name: &str| {
        let start = format!("{name} = ");
        workspace.lines().find(|line| line.starts_with(&start)).map(str::to_owned)
    };
    let mut lines = Vec::new();
    for line in member.lines() {
        match line.strip_suffix(".workspace = true") {
            Some(name) => lines.extend(value(name)),
            // The lints of the workspace.
            None if line == "workspace = true" => {}
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}
