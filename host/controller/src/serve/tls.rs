//! Who vouches for the build API where it is served with TLS: an authority of the home's own.
//!
//! Sidecars are told its certificate with their configuration and believe nobody else, so no name has to be anybody's in the world,
//! and no certificate has to be bought. The authority is kept in the home. What it vouches for is made anew at each start: sidecars that
//! outlive this process know the next one by the same authority.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::error::ControllerError;
use crate::home::Home;

/// Where the key begins in what is kept: after the certificate.
const KEY: &str = "-----BEGIN PRIVATE KEY-----";

/// An authority, and what it vouches for.
#[derive(Clone)]
pub(super) struct Authority {
    certificate: String,
    server: Arc<ServerConfig>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// The home's authority, which vouches for `advertise`; the first time, it is made.
    ///
    /// # Errors
    /// When it can't be read or made, or `advertise` is no name.
    pub(super) fn of_home(home: &Home, advertise: &str) -> Result<Self, ControllerError> {
        let (path, kept) = home.api_authority(|| make().map_err(io::Error::other))?;
        Self::vouching(&kept, advertise).map_err(|reason| {
            let reason = match reason {
                Unfit::Name => "it is neither a host name nor an address".to_owned(),
                Unfit::Kept(reason) => format!(
                    "its authority, which {} keeps, can't be used: {reason}; remove the file, and another one is made (containers \
                     that were told of this one find no host any more)",
                    path.display()
                ),
            };
            ControllerError::Tls { advertise: advertise.to_owned(), reason }
        })
    }

    /// The one that is kept as [`make`] makes it.
    pub(super) fn vouching(kept: &str, advertise: &str) -> Result<Self, Unfit> {
        let name = advertise.trim_start_matches('[').trim_end_matches(']');
        if ServerName::try_from(name).is_err() || (name != advertise && name.parse::<IpAddr>().is_err()) {
            return Err(Unfit::Name);
        }
        let key_at = kept.find(KEY).ok_or_else(|| Unfit::Kept("there is no key in it".to_owned()))?;
        let (certificate, key) = kept.split_at(key_at);
        let unfit = |error: &dyn std::fmt::Display| Unfit::Kept(error.to_string());
        // Sidecars get it as it is: what they could not read is no authority to anybody.
        let known = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| unfit(&error))?;
        RootCertStore::empty().add(known).map_err(|error| unfit(&error))?;
        let authority = Issuer::new(authority_params(), KeyPair::from_pem(key).map_err(|error| unfit(&error))?);
        let mut params = CertificateParams::new([name.to_owned()]).map_err(|_| Unfit::Name)?;
        params.distinguished_name = called("monkeyci build API");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let own = KeyPair::generate().map_err(|error| unfit(&error))?;
        let shown = params.signed_by(&own, &authority).map_err(|error| unfit(&error))?;
        // Both ends are of one build of the host: nothing older than TLS 1.3 has to be understood.
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|config| {
                let own = PrivatePkcs8KeyDer::from(own.serialize_der());
                config.with_no_client_auth().with_single_cert(vec![shown.der().clone()], own.into())
            });
        let server = Arc::new(config.map_err(|error| unfit(&error))?);
        Ok(Self { certificate: certificate.to_owned(), server })
    }

    /// The authority's certificate, in PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What serves with what it vouches for.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.server.clone().into()
    }
}

/// Why there is no authority.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// What it was to vouch for is no name.
    Name,
    /// What is kept of it is of no use.
    Kept(String),
}

/// Makes an authority: its certificate and its key, in PEM. It lives as long as its home.
pub(super) fn make() -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = authority_params().self_signed(&key)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called("monkeyci build API's authority");
    // It vouches for servers, and for no further authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}
