//! What is known of a git server: where it sends us, whether it is the one that a login is for, and what is wrong with it.

use std::error::Error as StdError;
use std::io;

use reqwest::Url;
use rustls::CertificateError;

use super::{HttpError, REFS, SERVICE};
use crate::source::git_url;

/// Where a redirect leads.
pub(super) fn redirected(from: &Url, to: &str) -> Result<Url, HttpError> {
    let elsewhere = || HttpError::RedirectElsewhere { host: host(from), to: short(&git_url::shown(to)) };
    let mut url = from.join(to).map_err(|_| elsewhere())?;
    // What a server writes there is no login of ours.
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    match url.scheme() {
        _ if cleared.is_err() => Err(elsewhere()),
        "https" => Ok(url),
        "http" if from.scheme() == "http" => Ok(url),
        "http" => Err(HttpError::Downgrade { host: host(from), to: short(&git_url::shown(url.as_str())) }),
        _ => Err(elsewhere()),
    }
}

/// The repository whose list of branches and tags is at `url`.
pub(super) fn repository_of(url: &Url) -> Result<Url, HttpError> {
    let elsewhere = || HttpError::RedirectElsewhere { host: host(url), to: short(&git_url::shown(url.as_str())) };
    let mut repository = url.clone();
    repository.set_path(url.path().strip_suffix(REFS).ok_or_else(elsewhere)?);
    let pairs = url.query_pairs().filter(|(name, value)| (name.as_ref(), value.as_ref()) != SERVICE);
    let pairs: Vec<_> = pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    repository.set_query(None);
    if !pairs.is_empty() {
        repository.query_pairs_mut().extend_pairs(pairs);
    }
    Ok(repository)
}

/// Whether a login for one address may be sent to the other: to the same server, or to its HTTPS side.
pub(in crate::source) fn is_same_server(login_for: &Url, url: &Url) -> bool {
    let port = |url: &Url| url.port_or_known_default();
    let upgraded = login_for.scheme() == "http" && url.scheme() == "https" && port(login_for) == Some(80);
    let same = login_for.scheme() == url.scheme() && port(login_for) == port(url);
    login_for.host() == url.host() && (same || upgraded && port(url) == Some(443))
}

/// A server, for messages.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("the server");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What a server says, for messages.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// What is wrong with the server's certificate, if that is the reason.
pub(super) fn certificate_error(error: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        match error.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(reason)) => return Some(certificate_reason(reason)),
            Some(rustls::Error::NoCertificatesPresented) => return Some("it has shown none".to_owned()),
            _ => {}
        }
        // An I/O error gives the source of what it holds for its own.
        let held = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        next = held.map(|held| held as _).or_else(|| error.source());
    }
    None
}

fn certificate_reason(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "it was issued by nobody whom this machine trusts".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it is no longer valid".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        other => other.to_string(),
    }
}

/// The last cause of an error: the ones before name an address, or nothing.
pub(super) fn cause(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
