//! The files by which an engine and this host know each other over TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::EngineSettingsError;

/// Files in PEM by which an engine and this host know each other over TLS. No other authority is believed, the machine's least of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerTls {
    /// The certificate of the authority that vouches for the engine.
    pub ca: PathBuf,
    /// This host's certificate and its key, where the engine asks who comes.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl DockerTls {
    /// The files that the docker command has in a directory: `ca.pem`; and `cert.pem` and `key.pem`, if either is there.
    pub fn in_dir(dir: &Path) -> Self {
        let client = (dir.join("cert.pem"), dir.join("key.pem"));
        let asked = client.0.exists() || client.1.exists();
        Self { ca: dir.join("ca.pem"), client: asked.then_some(client) }
    }

    /// Reads the files.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, EngineSettingsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots.add(certificate).map_err(|error| unusable(&self.ca, error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&self.ca, error))?
            .with_root_certificates(roots);
        let config = match &self.client {
            None => config.with_no_client_auth(),
            Some((own, key)) => {
                let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
                // The two have to belong together.
                config.with_client_auth_cert(certificates(own)?, secret).map_err(|error| unusable(key, error))?
            }
        };
        Ok(Arc::new(config))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, EngineSettingsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| unusable(file, error))?;
    if read.is_empty() {
        return Err(unusable(file, "there is no certificate in it"));
    }
    Ok(read)
}

/// What can't be read of a key is not shown.
fn unusable(file: &Path, reason: impl std::fmt::Display) -> EngineSettingsError {
    let reason =
        format!("{reason}; TLS to an engine needs ca.pem, and cert.pem with key.pem where the engine asks who comes");
    EngineSettingsError::File { file: file.to_owned(), reason }
}
