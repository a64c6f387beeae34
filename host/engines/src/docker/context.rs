//! Which engine the docker command would speak with: variables, contexts, and in which order they count
//! ([contexts](https://docs.docker.com/engine/manage-resources/contexts/),
//! [variables](https://docs.docker.com/reference/cli/docker/#environment-variables)).

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::certificates::DockerTls;
use super::endpoint::Candidate;
use super::sidecar_image::hex_sha256;
use crate::EngineSettingsError;

/// The context that is none: variables and the usual socket count.
const DEFAULT: &str = "default";

/// Looks a variable up; one that is empty is not there.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    current_context: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    #[serde(default)]
    endpoints: HashMap<String, Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// The engine that the docker command would speak with, if any is named.
pub(super) fn of_docker(variable: Variables<'_>) -> Result<Option<Candidate>, EngineSettingsError> {
    match of_variables(variable)? {
        None => of_configuration(variable),
        named => Ok(named),
    }
}

/// The engine that DOCKER_HOST or else DOCKER_CONTEXT names.
pub(super) fn of_variables(variable: Variables<'_>) -> Result<Option<Candidate>, EngineSettingsError> {
    if let Some(address) = variable("DOCKER_HOST") {
        return Candidate::of(address, "DOCKER_HOST", variable).map(Some);
    }
    match variable("DOCKER_CONTEXT") {
        Some(name) => context(&name, "DOCKER_CONTEXT", variable),
        None => Ok(None),
    }
}

/// The engine that the docker command's configuration names, where no variable does.
pub(super) fn of_configuration(variable: Variables<'_>) -> Result<Option<Candidate>, EngineSettingsError> {
    // Whoever names the default context wants none of these.
    if variable("DOCKER_CONTEXT").is_some() {
        return Ok(None);
    }
    let Some(dir) = directory(variable) else { return Ok(None) };
    let file = dir.join("config.json");
    let Some(Config { current_context: name }) = read(&file)? else { return Ok(None) };
    if name.is_empty() { Ok(None) } else { context(&name, &format!("currentContext in {}", file.display()), variable) }
}

/// The files for an engine at a TCP address that the variables ask TLS for.
pub(super) fn tls(variable: Variables<'_>) -> Result<Option<DockerTls>, EngineSettingsError> {
    if variable("DOCKER_TLS_VERIFY").is_some() {
        let dir = variable("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| directory(variable));
        let dir = dir.ok_or_else(|| EngineSettingsError::Unverified {
            origin: "DOCKER_TLS_VERIFY".to_owned(),
            remedy: "set DOCKER_CERT_PATH to the directory with ca.pem, cert.pem and key.pem".to_owned(),
        })?;
        return Ok(Some(DockerTls::in_dir(&dir)));
    }
    if variable("DOCKER_TLS").is_some() {
        return Err(EngineSettingsError::Unverified {
            origin: "DOCKER_TLS".to_owned(),
            remedy: "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the directory with ca.pem".to_owned(),
        });
    }
    Ok(None)
}

fn context(name: &str, origin: &str, variable: Variables<'_>) -> Result<Option<Candidate>, EngineSettingsError> {
    if name == DEFAULT {
        return Ok(None);
    }
    let Some(dir) = directory(variable) else {
        // Never those of the working directory, which may be anybody's.
        let file = PathBuf::from("~/.docker/contexts");
        return Err(EngineSettingsError::NoContext { name: name.to_owned(), origin: origin.to_owned(), file });
    };
    let contexts = dir.join("contexts");
    let id = hex_sha256(name.as_bytes());
    let file = contexts.join("meta").join(&id).join("meta.json");
    let Some(meta) = read::<Meta>(&file)? else {
        return Err(EngineSettingsError::NoContext { name: name.to_owned(), origin: origin.to_owned(), file });
    };
    let Some(Endpoint { host, skip_tls_verify }) =
        meta.endpoints.get("docker").filter(|docker| !docker.host.is_empty())
    else {
        let reason = format!("the context {name:?} does not say where its engine is (Endpoints.docker.Host)");
        return Err(EngineSettingsError::File { file, reason });
    };
    let certificates = contexts.join("tls").join(&id).join("docker");
    let tls = certificates.is_dir().then(|| DockerTls::in_dir(&certificates));
    if *skip_tls_verify && !host.starts_with("unix:") && !host.starts_with("ssh:") {
        return Err(EngineSettingsError::Unverified {
            origin: format!("the docker context {name:?}"),
            remedy: "make it anew with `docker context create --docker host=…,ca=…,cert=…,key=…`".to_owned(),
        });
    }
    let origin = format!("the docker context {name:?}, by {origin}");
    Ok(Some(Candidate { address: host.clone(), origin, tls }))
}

/// Where the docker command keeps its configuration.
fn directory(variable: Variables<'_>) -> Option<PathBuf> {
    let given = variable("DOCKER_CONFIG").map(PathBuf::from);
    given.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".docker")))
}

/// Reads a file, if it is there. Its text is no part of an error: logins stand there too.
fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, EngineSettingsError> {
    let unusable = |reason: String| EngineSettingsError::File { file: file.to_owned(), reason };
    match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| unusable(format!("line {} is not as the docker command writes it", error.line()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
