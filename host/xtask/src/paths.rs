//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository and the folder that everything is built in.
pub struct Paths {
    /// The root of the repository.
    pub root: PathBuf,
    /// Cargo's target folder; nothing is written outside it, but what needs root.
    pub target: PathBuf,
}

impl Paths {
    /// Reads them from the environment that `cargo run` gives this program.
    ///
    /// Not from `env!("CARGO_MANIFEST_DIR")`: in a target folder that several clones share, the binary may have been
    /// built from another clone.
    pub fn from_env() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .context("CARGO_MANIFEST_DIR is not set: call this program as `cargo xtask`")?;
        let root = Path::new(&manifest)
            .ancestors()
            .nth(2)
            .filter(|root| root.join("host/xtask").is_dir())
            .with_context(|| format!("{} is not host/xtask of a clone", manifest.display()))?
            .to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
            // Cargo too takes a relative one from the current folder.
            Some(dir) => env::current_dir().context("no current folder")?.join(PathBuf::from(dir)),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The workspace of the sample scripts.
    pub fn samples(&self) -> PathBuf {
        self.root.join("sample-scripts")
    }

    /// The target folder of the sample scripts. Another one than the workspace's, because another toolchain may build them.
    pub fn samples_target(&self) -> PathBuf {
        self.target.join("samples")
    }

    /// Where the samples' components are after a build.
    pub fn components(&self) -> PathBuf {
        self.samples_target().join("wasm32-wasip2/release")
    }

    /// Where the interpreters are after `cargo xtask languages`; the build of the host looks there.
    pub fn languages(&self) -> PathBuf {
        self.target.join("languages")
    }

    /// The log of a program that this one runs. Creates the folder.
    pub fn log(&self, name: &str) -> Result<PathBuf> {
        let dir = self.target.join("xtask/logs");
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir.join(format!("{name}.log")))
    }
}
