//! The standard library of scripts: target `wasm32-wasip2`.
//!
//! Rustup has it ready-made. Where rustup's server cannot be reached, `guest-toolchain.sh` installs what Debian has to
//! build it; that script says what and why.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::{apt, is_root, lock};
use crate::command::{find, path_with, program, shown, within};
use crate::paths::Paths;
use crate::say::Step;
use crate::toolchain::{Toolchain, cargo};

/// The target of scripts.
const TARGET: &str = "wasm32-wasip2";
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);
/// Debian's toolchain; the source of its library, as cargo looks for it; and what `guest-toolchain.sh` does last.
const DEBIAN: [&str; 4] = [
    "/usr/bin/rustc",
    "/usr/bin/cargo",
    "/usr/lib/rustlib/src/rust/library/std/Cargo.toml",
    "/usr/lib/rustlib/wasm32-wasip2/lib/self-contained/libc.a",
];

/// How scripts are built.
#[derive(Debug)]
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
                let [debians_rustc, debians_cargo, ..] = DEBIAN;
                let mut command = program(debians_cargo);
                let first = [linkers.clone(), linkers.join("gcc-ld"), PathBuf::from("/usr/bin")];
                command.env("PATH", path_with(&first)?).env("RUSTC", debians_rustc).env("RUSTC_BOOTSTRAP", "1");
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
        command.args(["build", "--release", "--target", TARGET]);
        command.current_dir(workspace).env("CARGO_TARGET_DIR", target_dir);
        if let Self::Debian { .. } = self {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        Ok(command)
    }
}

/// Finds a toolchain for scripts, or installs one.
pub fn ensure(step: &Step, paths: &Paths, toolchain: &Toolchain) -> Result<GuestToolchain> {
    let choice = env::var("MONKEYCI_GUEST_TOOLCHAIN").unwrap_or_default();
    if !["", "rustup", "debian"].contains(&choice.as_str()) {
        bail!("MONKEYCI_GUEST_TOOLCHAIN is {choice}, not rustup or debian");
    }
    if let Some(found) = look(toolchain, &choice) {
        step.already(&format!("{TARGET}, by {found:?}"));
        return Ok(found);
    }
    let _lock = lock(step, paths)?;
    // Another set-up may have done it meanwhile: then these have nothing to do.
    let added = match choice.as_str() {
        "debian" => Err(anyhow!("MONKEYCI_GUEST_TOOLCHAIN=debian")),
        _ => add_with_rustup(step, paths, toolchain),
    };
    if let Err(error) = added {
        if choice == "rustup" {
            return Err(error);
        }
        step.note(&format!("{error:#}; going on with Debian's packages"));
        let by_hand = format!("the target {TARGET} is needed to build scripts. By hand: `rustup target add {TARGET}`");
        install_debian(step, paths, toolchain).context(by_hand)?;
    }
    let found = look(toolchain, &choice).context("wasm32-wasip2 was installed, but not where this toolchain looks")?;
    step.done(&format!("{TARGET}, by {found:?}"));
    Ok(found)
}

/// What is there already. Only looks at files, so that it takes no time.
fn look(toolchain: &Toolchain, choice: &str) -> Option<GuestToolchain> {
    if choice != "debian" && has_library(&toolchain.sysroot) {
        return Some(GuestToolchain::Rustup);
    }
    let complete = DEBIAN.iter().all(|file| Path::new(file).exists()) && lacking_linker(toolchain).is_none();
    (choice != "rustup" && complete).then(|| GuestToolchain::Debian { linkers: toolchain.linkers() })
}

fn has_library(sysroot: &Path) -> bool {
    let is_std = |name: String| name.starts_with("libstd-") && name.ends_with(".rlib");
    let dir = fs::read_dir(sysroot.join("lib/rustlib").join(TARGET).join("lib"));
    dir.is_ok_and(|entries| entries.flatten().any(|entry| is_std(entry.file_name().display().to_string())))
}

fn add_with_rustup(step: &Step, paths: &Paths, toolchain: &Toolchain) -> Result<()> {
    if find("rustup").is_none() {
        bail!("there is no rustup");
    }
    let mut command = program("rustup");
    command.args(["target", "add", TARGET]);
    step.doing(&shown(&command));
    within(&mut command, RUSTUP_LIMIT, &paths.log("rustup-target")?)?;
    match has_library(&toolchain.sysroot) {
        true => Ok(()),
        false => bail!("rustup has added the target, but not to {}", toolchain.sysroot.display()),
    }
}

/// A linker that this machine's toolchain does not bring.
fn lacking_linker(toolchain: &Toolchain) -> Option<PathBuf> {
    let linkers = ["rust-lld", "wasm-component-ld", "gcc-ld/wasm-ld"].map(|file| toolchain.linkers().join(file));
    linkers.into_iter().find(|file| !file.is_file())
}

fn install_debian(step: &Step, paths: &Paths, toolchain: &Toolchain) -> Result<()> {
    if let Some(lacking) = lacking_linker(toolchain) {
        bail!("{} is missing: Debian's packages need a toolchain from rustup for its linkers", lacking.display());
    }
    let script = paths.root.join("host/xtask/guest-toolchain.sh");
    if !is_root() {
        bail!("Debian's packages need root. By hand:\n    sudo sh {}\nthen run this again", script.display());
    }
    step.doing(&format!("as root: sh {}", script.display()));
    within(program("sh").arg(&script), apt::LIMIT, &paths.log("guest-toolchain")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_build_uses_its_own_programs_and_this_toolchains_linkers() {
        let paths = Paths { root: PathBuf::from("/repo"), target: PathBuf::from("/t") };
        let guest = GuestToolchain::Debian { linkers: PathBuf::from("/tc/bin") };
        let command = guest.build(&paths, &paths.samples(), &paths.samples_target()).expect("a command");
        assert_eq!(command.get_program(), "/usr/bin/cargo");
        assert!(shown(&command).ends_with(" --target wasm32-wasip2 -Zbuild-std=std,panic_abort"), "{command:?}");
        let set = |name: &str| command.get_envs().find(|(key, _)| *key == name).map(|(_, value)| value);
        assert_eq!(set("RUSTC"), Some(Some("/usr/bin/rustc".as_ref())));
        assert_eq!((set("RUSTUP_TOOLCHAIN"), set("RUSTFLAGS")), (Some(None), Some(None)), "they are removed");
        let path = set("PATH").flatten().expect("a PATH").display().to_string();
        assert!(path.starts_with("/tc/bin:/tc/bin/gcc-ld:/usr/bin:"), "{path}");
    }
}
