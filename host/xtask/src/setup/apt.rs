//! Debian packages.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::is_root;
use crate::command::{find, program, shown, within};
use crate::paths::Paths;
use crate::say::Step;

/// How long apt may take: a slow mirror is no reason to stop, a dead one is.
const LIMIT: Duration = Duration::from_secs(1200);

/// What is to be installed.
pub struct Request<'a> {
    /// What needs it, for messages.
    pub what: &'a str,
    /// The packages.
    pub packages: &'a [&'a str],
    /// Read the package lists anew, although there are some.
    pub update: bool,
}

/// Installs packages, or says what to do by hand.
pub fn install(step: &Step, paths: &Paths, request: &Request) -> Result<()> {
    let packages = request.packages.join(" ");
    if find("apt-get").is_none() {
        bail!(
            "{} needs the Debian packages {packages}, and this machine has no apt-get: install their like by hand",
            request.what
        );
    }
    if !is_root() {
        bail!(
            "{} needs packages, and installing them needs root. By hand:\n    sudo apt-get update\n    \
             sudo apt-get install --no-install-recommends {packages}\nthen run this again",
            request.what
        );
    }
    let mut updated = request.update || !has_lists();
    if updated {
        update(step, paths)?;
    }
    loop {
        // No removals: a package that would push out something of the user's is the user's decision.
        let mut command = program("apt-get");
        command.args(["install", "--yes", "--no-install-recommends", "--no-remove"]).args(request.packages);
        step.doing(&format!("as root: {}", shown(&command)));
        command.args(["-o", "DPkg::Lock::Timeout=300"]).env("DEBIAN_FRONTEND", "noninteractive");
        match within(&mut command, LIMIT, &paths.log("apt-install")?) {
            Ok(()) => return Ok(()),
            // Old lists name versions that the mirror no longer has.
            Err(_) if !updated => update(step, paths)?,
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot install what {} needs; by hand: apt-get install {packages}", request.what)
                });
            }
        }
        updated = true;
    }
}

/// Fetches one package and unpacks it into a folder. Needs no root and leaves the system as it is.
pub fn unpack(step: &Step, paths: &Paths, package: &str, dir: &Path) -> Result<()> {
    if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        bail!("the Debian package {package} is needed, and this machine has no apt-get");
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    if !has_lists() && is_root() {
        update(step, paths)?;
    }
    step.doing(&format!("apt-get download {package}"));
    let download = || {
        let mut command = program("apt-get");
        command.args(["download", package]).current_dir(dir);
        within(&mut command, LIMIT, &paths.log("apt-download")?)
    };
    if let Err(error) = download() {
        if !is_root() {
            return Err(error).context("is `sudo apt-get update` needed?");
        }
        update(step, paths)?;
        download()?;
    }
    let archive = fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get put no package into {}", dir.display()))?;
    let mut command = program("dpkg-deb");
    command.arg("--extract").arg(&archive).arg(dir);
    within(&mut command, Duration::from_secs(60), &paths.log("dpkg-deb")?)
}

fn update(step: &Step, paths: &Paths) -> Result<()> {
    step.doing("as root: apt-get update");
    let mut command = program("apt-get");
    command.arg("update");
    if let Err(error) = within(&mut command, LIMIT, &paths.log("apt-update")?) {
        // One source of several that fails does not matter, if the others have the package.
        step.note(&format!("{error:#}"));
    }
    Ok(())
}

/// Whether package lists are there. Container images are often shipped without.
fn has_lists() -> bool {
    fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries.filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}
