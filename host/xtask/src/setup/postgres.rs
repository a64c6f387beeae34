//! PostgreSQL's server programs, for the tests of the journal: the machine's, or unpacked from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{apt, lock};
use crate::command::find;
use crate::paths::Paths;
use crate::say::Step;

/// The Debian package that depends on the release's PostgreSQL.
const PACKAGE: &str = "postgresql";

/// The folder with `initdb` and `postgres`.
pub fn ensure(step: &Step, paths: &Paths) -> Result<PathBuf> {
    let unpacked = paths.target.join("xtask/postgresql");
    let look = || in_path().or_else(|| below(Path::new("/"))).or_else(|| below(&unpacked));
    if let Some(found) = look() {
        step.already(&found.display().to_string());
        return Ok(found);
    }
    let _lock = lock(step, paths)?;
    if let Some(found) = look() {
        step.already(&found.display().to_string());
        return Ok(found);
    }
    // Not installed: Debian's package would make a database and start a server.
    let unpack = || {
        let all = apt::closure(step, paths, PACKAGE)?;
        let wanted: Vec<&str> = all.iter().map(String::as_str).filter(|name| is_wanted(name)).collect();
        // In another folder first: one that is half unpacked must not be found.
        let partial = unpacked.with_extension("partial");
        fs::remove_dir_all(&partial).or_else(|error| if partial.exists() { Err(error) } else { Ok(()) })?;
        apt::unpack_all(step, paths, &wanted, &partial)?;
        fs::remove_dir_all(&unpacked).or_else(|error| if unpacked.exists() { Err(error) } else { Ok(()) })?;
        fs::rename(&partial, &unpacked).with_context(|| format!("cannot rename {}", partial.display()))
    };
    unpack().context("a PostgreSQL is needed for the tests; Debian's package postgresql has it")?;
    let found = look().with_context(|| format!("{} has no PostgreSQL", unpacked.display()))?;
    step.done(&format!("unpacked into {}", unpacked.display()));
    Ok(found)
}

/// The server, and the libraries that it needs. It needs no compiler: that is large, and for queries that are larger than ours.
fn is_wanted(package: &str) -> bool {
    let server = package.strip_prefix("postgresql-").is_some_and(|version| version.parse::<u32>().is_ok());
    server || package.starts_with("lib") && !package.starts_with("libllvm") && !package.ends_with("-perl")
}

/// Where `PATH` has both.
fn in_path() -> Option<PathBuf> {
    let postgres = fs::canonicalize(find("postgres")?).ok()?;
    let dir = postgres.parent()?;
    dir.join("initdb").is_file().then(|| dir.to_owned())
}

/// Where Debian's packages have both, the newest version first.
fn below(root: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(root.join("usr/lib/postgresql")).ok()?;
    let mut dirs: Vec<PathBuf> = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
    dirs.retain(|dir| ["initdb", "postgres"].iter().all(|name| dir.join(name).is_file()));
    // The directory of a version has its number as name.
    let version = |dir: &PathBuf| dir.parent()?.file_name()?.to_str()?.split('.').next()?.parse::<u32>().ok();
    dirs.into_iter().max_by_key(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_packages_the_server_and_its_libraries_are_wanted() {
        for package in ["postgresql-15", "libpq5", "libicu72"] {
            assert!(is_wanted(package), "{package}");
        }
        for package in
            ["postgresql", "postgresql-common", "postgresql-client-15", "libllvm14", "libjson-perl", "tzdata"]
        {
            assert!(!is_wanted(package), "{package}");
        }
    }
}
