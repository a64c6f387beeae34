//! The standard library of scripts: target `wasm32-wasip2`.
//!
//! Rustup has it ready-made. Where rustup's server cannot be reached, Debian has what it takes to build it: a second
//! toolchain with its library's source, and a libc for WASI. The linkers come from the toolchain of this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{apt, is_root, lock};
use crate::command::{find, output, path_with, program, shown, within};
use crate::paths::Paths;
use crate::say::Step;
use crate::toolchain::{Toolchain, cargo};

/// The target of scripts.
const TARGET: &str = "wasm32-wasip2";
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc"];
/// The first version of Debian's toolchain that can build this repository, as `rust-version` in Cargo.toml.
const OLDEST: (u32, u32) = (1, 95);
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
/// The source of the library, as cargo looks for it.
const SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
/// Where Debian has WASI's libc, and where rustc looks for it.
const LIBC_FROM: &str = "/usr/lib/wasm32-wasi";
const LIBC_TO: &str = "/usr/lib/rustlib/wasm32-wasip2/lib/self-contained";
const LIBC_FILES: [&str; 3] = ["crt1-command.o", "crt1-reactor.o", "libc.a"];

/// How scripts are built.
#[derive(Clone, Debug, PartialEq)]
pub enum GuestToolchain {
    /// With this machine's toolchain, which has the target.
    Rustup,
    /// With Debian's toolchain, which builds the library too.
    Debian {
        /// The folder of this machine's toolchain with `wasm-component-ld` and others.
        linkers: PathBuf,
    },
}

impl GuestToolchain {
    /// `cargo build` for the target, in a folder with a script's workspace.
    pub fn build(&self, paths: &Paths, workspace: &Path, target_dir: &Path) -> Result<Command> {
        let mut command = match self {
            Self::Rustup => cargo(paths),
            Self::Debian { linkers } => {
                let mut command = program(CARGO);
                let first = [linkers.clone(), linkers.join("gcc-ld"), PathBuf::from("/usr/bin")];
                command.env("PATH", path_with(&first)?).env("RUSTC", RUSTC).env("RUSTC_BOOTSTRAP", "1");
                for name in ["RUSTUP_TOOLCHAIN", "RUSTDOC", "CARGO_BUILD_RUSTC"] {
                    command.env_remove(name);
                }
                command
            }
        };
        // Flags and targets that are meant for this machine's programs.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        command
            .args(["build", "--release", "--target", TARGET])
            .current_dir(workspace)
            .env("CARGO_TARGET_DIR", target_dir);
        if let Self::Debian { .. } = self {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        Ok(command)
    }
}

/// What the user asks for in the environment.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    Any,
    Rustup,
    Debian,
}

impl Choice {
    fn from_env() -> Result<Self> {
        match env::var("MONKEYCI_GUEST_TOOLCHAIN").as_deref() {
            Err(_) | Ok("") => Ok(Self::Any),
            Ok("rustup") => Ok(Self::Rustup),
            Ok("debian") => Ok(Self::Debian),
            Ok(other) => bail!("MONKEYCI_GUEST_TOOLCHAIN is {other}, not rustup or debian"),
        }
    }
}

/// Finds a toolchain for scripts, or installs one.
pub fn ensure(step: &Step, paths: &Paths, toolchain: &Toolchain) -> Result<GuestToolchain> {
    let choice = Choice::from_env()?;
    if let Some(found) = look(toolchain, choice) {
        step.already(match found {
            GuestToolchain::Rustup => "the toolchain has wasm32-wasip2",
            GuestToolchain::Debian { .. } => "Debian's toolchain builds wasm32-wasip2",
        });
        return Ok(found);
    }
    let _lock = lock(step, paths)?;
    if let Some(found) = look(toolchain, choice) {
        step.already("another set-up has installed it");
        return Ok(found);
    }
    if choice != Choice::Debian {
        match add_with_rustup(step, paths, toolchain) {
            Ok(()) => {
                step.done("rustup has installed wasm32-wasip2");
                return Ok(GuestToolchain::Rustup);
            }
            Err(error) if choice == Choice::Rustup => return Err(error),
            Err(error) => step.note(&format!("{error:#}; going on with Debian's packages")),
        }
    }
    let found = install_debian(step, paths, toolchain)
        .context("the target wasm32-wasip2 is needed to build scripts. By hand: `rustup target add wasm32-wasip2`")?;
    step.done("Debian's toolchain will build wasm32-wasip2");
    Ok(found)
}

/// What is there already. Only looks at files, so that it takes no time.
fn look(toolchain: &Toolchain, choice: Choice) -> Option<GuestToolchain> {
    if choice != Choice::Debian && has_library(&toolchain.sysroot) {
        return Some(GuestToolchain::Rustup);
    }
    // The files of libc are copied last, so with them everything is there.
    let libc = LIBC_FILES.map(|file| Path::new(LIBC_TO).join(file));
    let complete =
        [RUSTC, CARGO, SOURCE].iter().all(|file| Path::new(file).exists()) && libc.iter().all(|file| file.is_file());
    if choice != Choice::Rustup && complete && lacking_linkers(toolchain).is_none() {
        return Some(GuestToolchain::Debian { linkers: toolchain.linkers() });
    }
    None
}

fn has_library(sysroot: &Path) -> bool {
    let dir = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    fs::read_dir(dir).is_ok_and(|entries| {
        entries.filter_map(Result::ok).any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    })
}

fn add_with_rustup(step: &Step, paths: &Paths, toolchain: &Toolchain) -> Result<()> {
    if find("rustup").is_none() {
        bail!("there is no rustup");
    }
    let mut command = program("rustup");
    command.args(["target", "add", TARGET]);
    step.doing(&shown(&command));
    within(&mut command, RUSTUP_LIMIT, &paths.log("rustup-target")?)?;
    if !has_library(&toolchain.sysroot) {
        bail!("rustup has added the target, but not to {}", toolchain.sysroot.display());
    }
    Ok(())
}

/// A linker that this machine's toolchain does not bring.
fn lacking_linkers(toolchain: &Toolchain) -> Option<PathBuf> {
    ["rust-lld", "wasm-component-ld", "gcc-ld/wasm-ld"]
        .map(|file| toolchain.linkers().join(file))
        .into_iter()
        .find(|file| !file.is_file())
}

fn install_debian(step: &Step, paths: &Paths, toolchain: &Toolchain) -> Result<GuestToolchain> {
    if let Some(lacking) = lacking_linkers(toolchain) {
        bail!("{} is missing: Debian's packages need a toolchain from rustup for its linkers", lacking.display());
    }
    let present = |file: &&str| Path::new(file).exists();
    let libc = Path::new(LIBC_FROM).join(LIBC_FILES[0]);
    let mut request = apt::Request { what: "building scripts", packages: &PACKAGES, update: false };
    if ![RUSTC, CARGO, SOURCE].iter().all(present) || !libc.is_file() {
        apt::install(step, paths, &request)?;
    }
    if let Err(too_old) = check_version() {
        step.note(&format!("{too_old:#}"));
        request.update = true;
        apt::install(step, paths, &request)?;
        check_version()?;
    }
    if is_root() {
        step.doing(&format!("as root: copying WASI's libc to {LIBC_TO}"));
    }
    copy_libc().with_context(|| {
        format!(
            "cannot copy WASI's libc. By hand:\n    sudo mkdir -p {LIBC_TO}\n    \
             sudo cp {LIBC_FROM}/{{{}}} {LIBC_TO}",
            LIBC_FILES.join(",")
        )
    })?;
    Ok(GuestToolchain::Debian { linkers: toolchain.linkers() })
}

fn copy_libc() -> Result<()> {
    fs::create_dir_all(LIBC_TO)?;
    for file in LIBC_FILES {
        let to = Path::new(LIBC_TO).join(file);
        // By way of another name, so that a file with the right name is whole.
        let partial = to.with_extension("part");
        fs::copy(Path::new(LIBC_FROM).join(file), &partial)?;
        fs::rename(&partial, &to)?;
    }
    Ok(())
}

fn check_version() -> Result<()> {
    let mut command = program(RUSTC);
    command.arg("--version").env_remove("RUSTUP_TOOLCHAIN");
    let text = output(&mut command)?;
    match version(&text) {
        Some(version) if version >= OLDEST => Ok(()),
        _ => bail!("{RUSTC} is `{}`, but scripts need {}.{} or later", text.trim(), OLDEST.0, OLDEST.1),
    }
}

/// Reads `rustc 1.96.0 (...)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("rustc ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_rustc_is_read_and_compared_as_numbers() {
        assert_eq!(version("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert_eq!(version("cargo 1.96.0"), None);
        assert!(version("rustc 1.100.0-nightly") >= Some(OLDEST));
        assert!(version("rustc 1.63.0") < Some(OLDEST));
    }

    #[test]
    fn debians_build_uses_its_own_programs_and_this_toolchains_linkers() {
        let paths = Paths { root: PathBuf::from("/repo"), target: PathBuf::from("/t") };
        let guest = GuestToolchain::Debian { linkers: PathBuf::from("/tc/bin") };
        let command =
            guest.build(&paths, Path::new("/repo/sample-scripts"), Path::new("/t/samples")).expect("a command");
        assert_eq!(
            shown(&command),
            "/usr/bin/cargo build --release --target wasm32-wasip2 -Zbuild-std=std,panic_abort"
        );
        let set = |name: &str| {
            command
                .get_envs()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.map(|value| value.display().to_string()))
        };
        assert_eq!(set("RUSTC"), Some(Some("/usr/bin/rustc".to_owned())));
        assert_eq!(set("RUSTUP_TOOLCHAIN"), Some(None), "it is removed");
        assert_eq!(set("RUSTFLAGS"), Some(None), "it is removed");
        let path = set("PATH").flatten().expect("a PATH");
        assert!(path.starts_with("/tc/bin:/tc/bin/gcc-ld:/usr/bin:"), "{path}");
    }
}
