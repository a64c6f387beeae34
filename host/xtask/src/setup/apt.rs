//! Programs of the machine that are missing, and the Debian packages that have them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use monkeyci_testbed::programs::{For, Program, missing};

use super::{is_root, lock};
use crate::command::{find, program, shown, within};
use crate::paths::Paths;
use crate::say::Step;

/// How long apt may take: a slow mirror is no reason to stop, a dead one is.
pub const LIMIT: Duration = Duration::from_secs(1200);

/// Installs the programs that these need, and that are missing; or says what to do by hand. Says whether there were any.
pub fn ensure(step: &Step, paths: &Paths, needed: &[For]) -> Result<bool> {
    let look = || needed.iter().flat_map(|needed| missing(*needed)).collect::<Vec<&Program>>();
    if look().is_empty() {
        return Ok(false);
    }
    let _lock = lock(step, paths)?;
    let lacking = look();
    if lacking.is_empty() {
        // Another set-up has installed it.
        return Ok(true);
    }
    let what: Vec<String> = lacking.iter().map(|program| format!("{} ({})", program.name, program.why)).collect();
    let mut packages: Vec<&str> = lacking.iter().flat_map(|program| program.packages.split(' ')).collect();
    packages.dedup();
    install(step, paths, &what.join(", "), &packages)?;
    match look().as_slice() {
        [] => Ok(true),
        [first, ..] => bail!("{} was installed, and PATH has no {}", first.packages, first.name),
    }
}

/// Installs packages, or says what to do by hand. `what` needs them.
fn install(step: &Step, paths: &Paths, what: &str, packages: &[&str]) -> Result<()> {
    let by_hand = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if find("apt-get").is_none() {
        bail!(
            "missing: {what}. On Debian it is `{by_hand}`; this machine has no apt-get, so install their like by hand"
        );
    }
    if !is_root() {
        bail!(
            "missing: {what}. Installing packages needs root. By hand:\n    sudo apt-get update\n    sudo {by_hand}\n\
             then run this again"
        );
    }
    let install = || {
        // No removals: a package that would push out something of the user's is the user's decision.
        let mut command = program("apt-get");
        command.args(["install", "--yes", "--no-install-recommends", "--no-remove"]).args(packages);
        step.doing(&format!("as root: {}", shown(&command)));
        command.args(["-o", "DPkg::Lock::Timeout=300"]).env("DEBIAN_FRONTEND", "noninteractive");
        within(&mut command, LIMIT, &paths.log("apt-install")?)
    };
    with_lists(step, paths, install).with_context(|| format!("missing: {what}; by hand: {by_hand}"))
}

/// Fetches one package and unpacks it into a folder. Needs no root and leaves the system as it is.
pub fn unpack(step: &Step, paths: &Paths, package: &str, dir: &Path) -> Result<()> {
    unpack_all(step, paths, &[package], dir)
}

/// The packages that installing this one would install: itself, and of those that it depends on the ones that are missing.
pub fn closure(step: &Step, paths: &Paths, package: &str) -> Result<Vec<String>> {
    if find("apt-get").is_none() {
        bail!("the Debian package {package} is needed, and this machine has no apt-get");
    }
    let log = paths.log("apt-closure")?;
    let ask = || {
        fs::remove_file(&log).ok();
        let mut command = program("apt-get");
        command.args(["install", "--print-uris", "--quiet", "--yes", "--no-install-recommends", package]);
        within(&mut command, LIMIT, &log)
    };
    with_lists(step, paths, ask)?;
    let text = fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(names(&text))
}

/// The names in what `--print-uris` says: a line has URI, file, size and digest, and a file's name begins with the package's.
fn names(text: &str) -> Vec<String> {
    let uris = text.lines().filter(|line| line.starts_with('\''));
    uris.filter_map(|line| Some(line.split(' ').nth(1)?.split('_').next()?.to_owned())).collect()
}

/// Fetches packages and unpacks them into a folder, as [`unpack`] does.
pub fn unpack_all(step: &Step, paths: &Paths, packages: &[&str], dir: &Path) -> Result<()> {
    let package = packages.join(" ");
    if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        bail!("the Debian package {package} is needed, and this machine has no apt-get");
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    step.doing(&format!("apt-get download {package}"));
    let download = || {
        let mut command = program("apt-get");
        within(command.arg("download").args(packages).current_dir(dir), LIMIT, &paths.log("apt-download")?)
    };
    with_lists(step, paths, download)?;
    let archives: Vec<_> = fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    if archives.is_empty() {
        bail!("apt-get put no package into {}", dir.display());
    }
    for archive in archives {
        let mut command = program("dpkg-deb");
        within(command.arg("--extract").arg(&archive).arg(dir), Duration::from_secs(60), &paths.log("dpkg-deb")?)?;
        fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))?;
    }
    Ok(())
}

/// Does something that needs package lists, which a container image often comes without, and which may be too old.
fn with_lists(step: &Step, paths: &Paths, act: impl Fn() -> Result<()>) -> Result<()> {
    let has_lists = fs::read_dir("/var/lib/apt/lists").is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains("_Packages")))
    });
    if has_lists {
        match act() {
            Err(error) if !is_root() => return Err(error).context("is `sudo apt-get update` needed?"),
            // Old lists name versions that the mirror no longer has.
            Err(_) => {}
            done => return done,
        }
    }
    if is_root() {
        step.doing("as root: apt-get update");
        if let Err(error) = within(program("apt-get").arg("update"), LIMIT, &paths.log("apt-update")?) {
            // One source of several that fails does not matter, if the others have the package.
            step.note(&format!("{error:#}"));
        }
    }
    act()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_of_a_closure_are_read_from_what_apt_would_fetch() {
        let text = "Reading package lists...\nThe following NEW packages will be installed:\n  libpq5 postgresql-15\n\
            'http://deb.debian.org/debian/pool/main/p/postgresql-15/libpq5_15.14-0%2bdeb12u1_amd64.deb' \
            libpq5_15.14-0+deb12u1_amd64.deb 189000 SHA256:00\n\
            'http://deb.debian.org/x/postgresql-15_15.14-0%2bdeb12u1_amd64.deb' postgresql-15_15.14_amd64.deb 1 SHA256:01\n";
        assert_eq!(names(text), ["libpq5", "postgresql-15"]);
    }
}
