//! Secrets from files: one directory for each repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use monkeyci_host::{BoxError, BuildContext, Hidden, SecretSource};

/// The files below `secrets/ORG/REPO`, each a secret of that name.
pub struct SecretFiles {
    dir: PathBuf,
}

impl SecretFiles {
    /// Below this directory.
    pub fn below(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().join("secrets") }
    }
}

#[async_trait]
impl SecretSource for SecretFiles {
    async fn secrets(&self, build: &BuildContext) -> Result<BTreeMap<String, Hidden<Vec<u8>>>, BoxError> {
        // The id is `org/repo/build`, and its parts are names without slashes and dots in front.
        let repository = build.build.rsplit_once('/').map_or("", |(repository, _)| repository);
        let mut secrets = BTreeMap::new();
        let entries = match std::fs::read_dir(self.dir.join(repository)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(secrets),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|name| format!("{name:?} is no name of a secret"))?;
            secrets.insert(name, Hidden(std::fs::read(entry.path())?));
        }
        Ok(secrets)
    }

    fn describe(&self) -> String {
        self.dir.display().to_string()
    }
}
