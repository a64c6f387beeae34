//! What machines are copied from: Debian's files, made once, and the toolchain.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::machine::{Folder, Network, script};
use crate::command::{output, within};
use crate::paths::Paths;
use crate::say::Step;

/// How long Debian's mirror may take.
const LIMIT: Duration = Duration::from_secs(1200);
/// The line of `machine.sh` above which it says how a base looks.
const END: &str = "# --- ";

/// The real machine's folders that a rehearsal needs.
pub struct Places {
    /// The script that makes machines.
    pub script: PathBuf,
    /// Where bases and machines are.
    pub cache: PathBuf,
    /// Rustup's home, with the toolchains.
    pub rustup: PathBuf,
    /// Cargo's home, with rustup itself.
    pub cargo: PathBuf,
}

impl Places {
    /// Finds them, and says what is missing.
    pub fn find(paths: &Paths) -> Result<Self> {
        let home = env::var_os("HOME").map(PathBuf::from).context("HOME is not set")?;
        let given = |name: &str, default: &str| {
            env::var_os(name).filter(|dir| !dir.is_empty()).map_or_else(|| home.join(default), PathBuf::from)
        };
        let places = Self {
            script: paths.root.join("host/xtask/src/rehearse/machine.sh"),
            cache: given("XDG_CACHE_HOME", ".cache").join("monkeyci-host/rehearsal"),
            rustup: given("RUSTUP_HOME", ".rustup"),
            cargo: given("CARGO_HOME", ".cargo"),
        };
        for needed in [places.rustup.join("toolchains"), places.cargo.join("bin/rustup")] {
            if !needed.exists() {
                bail!("a rehearsal lends its machine a toolchain from rustup, and {} is not there", needed.display());
            }
        }
        fs::create_dir_all(&places.cache).with_context(|| format!("cannot create {}", places.cache.display()))?;
        Ok(places)
    }

    /// Makes the root of a machine, and first the base, where there is none or a new one is wanted.
    pub fn fill(&self, step: &Step, folder: &Folder, anew: bool, log: &Path) -> Result<()> {
        let lock = self.cache.join("lock");
        let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
        lock.lock().context("cannot lock the bases")?;
        let base = self.cache.join(base_name(&fs::read_to_string(&self.script).context("cannot read machine.sh")?));
        if anew || !base.is_dir() {
            step.doing(&format!("making {} from Debian's packages; the log is {}", base.display(), log.display()));
            within(script(&self.script, "base").arg(&base), LIMIT, log)?;
        }
        output(script(&self.script, "root").arg(&base).arg(folder.root()).arg(&self.cargo)).map(|_| ())
    }

    /// Fails where there is less room than this.
    pub fn need_room(&self, gigabytes: u64) -> Result<()> {
        let text = output(script(&self.script, "room").arg(&self.cache))?;
        let free: u64 = text.trim().parse().with_context(|| format!("df printed an unexpected answer: {text}"))?;
        if free < gigabytes * 1_000_000_000 {
            bail!(
                "a rehearsal needs about {gigabytes} GB in {}, and {} GB are free there: make room, or name another \
                 place with XDG_CACHE_HOME",
                self.cache.display(),
                free / 1_000_000_000
            );
        }
        Ok(())
    }
}

fn base_name(script: &str) -> String {
    let text = script.split_once(END).map_or(script, |(text, _)| text);
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("debian-12-{:016x}", hasher.finish())
}

/// Which network a machine can have here.
pub fn network(step: &Step) -> Result<Network> {
    if Path::new("/dev/net/tun").exists() {
        return Ok(Network::Own);
    }
    if Path::new("/sys/class/net/docker0").exists() {
        bail!(
            "there is no /dev/net/tun, so the rehearsal cannot have a network of its own, and in this machine's its Docker \
             would change the rules of the Docker here: load the kernel module tun"
        );
    }
    step.note(
        "there is no /dev/net/tun: the rehearsal SHARES THIS MACHINE'S NETWORK, with its addresses, ports and rules",
    );
    Ok(Network::Shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_list_of_packages_makes_another_base_and_another_teardown_does_not() {
        let text = include_str!("machine.sh");
        assert!(
            text.split_once(END).is_some_and(|(above, below)| above.contains("PACKAGES=") && below.contains("leave()"))
        );
        assert_ne!(base_name(text), base_name(&text.replace("PACKAGES=(", "PACKAGES=(nodejs ")));
        assert_eq!(base_name(text), base_name(&text.replace("leave()", "leave ()")));
    }
}
