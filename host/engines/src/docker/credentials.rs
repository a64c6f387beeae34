//! Logins at registries, from a file as `docker login` and `podman login` write it
//! ([format](https://docs.docker.com/reference/cli/docker/login/#credential-stores)).

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

/// How long a program that keeps logins may take; some ask a person.
pub(super) const HELPER: Duration = Duration::from_secs(30);
/// What a program that keeps logins calls a name that is none: the secret is a token.
const TOKEN: &str = "<token>";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    auths: HashMap<String, Entry>,
    /// The program that keeps all logins.
    creds_store: Option<String>,
    /// The programs that keep those of some registries.
    cred_helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// `name:password` in base64.
    auth: String,
    identitytoken: Option<String>,
}

/// What a program that keeps logins answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    username: String,
    secret: String,
}

/// The login for an image's registry; none if the file has none.
///
/// # Errors
/// Why the file, or the program that it names, can't be used.
pub(super) async fn login(file: &Path, image: &str) -> Result<Option<DockerCredentials>, String> {
    let unusable = |reason: String| format!("the registry logins in {} can't be used: {reason}", file.display());
    let text = tokio::fs::read(file).await.map_err(|error| unusable(error.to_string()))?;
    // The text of a login is no part of an error: it is a secret.
    let place = |error: serde_json::Error| unusable(format!("line {} is not as it should be", error.line()));
    let known: File = serde_json::from_slice(&text).map_err(place)?;
    let helper = best(known.cred_helpers.keys(), image).and_then(|key| Some((key, known.cred_helpers.get(key)?)));
    if let Some((server, helper)) = helper {
        return ask(helper, server).await.map_err(unusable);
    }
    let found = best(known.auths.keys(), image).and_then(|key| Some((key, known.auths.get(key)?)));
    match (found, &known.creds_store) {
        (Some((server, entry)), _) if !entry.auth.is_empty() || entry.identitytoken.is_some() => {
            entry.credentials(server).map(Some).map_err(unusable)
        }
        // Those that a program keeps stand in the file without their words.
        (Some((server, _)), Some(store)) => ask(store, server).await.map_err(unusable),
        _ => Ok(None),
    }
}

impl Entry {
    fn credentials(&self, server: &str) -> Result<DockerCredentials, String> {
        let wrong = || format!("the login for {server} is not name and password in base64");
        let text = STANDARD.decode(self.auth.trim_end_matches('\0')).map_err(|_| wrong())?;
        let text = String::from_utf8(text).map_err(|_| wrong())?;
        let (name, password) = match text.split_once(':') {
            Some((name, password)) => (name.to_owned(), password.trim_end_matches('\0').to_owned()),
            None if self.identitytoken.is_some() => (String::new(), String::new()),
            None => return Err(wrong()),
        };
        Ok(DockerCredentials {
            username: Some(name),
            password: Some(password),
            identitytoken: self.identitytoken.clone(),
            serveraddress: Some(server.to_owned()),
            ..DockerCredentials::default()
        })
    }
}

/// Of the registries that a file has logins for, the one that says most about an image.
fn best<'a>(servers: impl Iterator<Item = &'a String>, image: &str) -> Option<&'a str> {
    let place = place(image);
    let fits = |server: &&String| {
        let known = normal(server);
        place == known || place.strip_prefix(&known).is_some_and(|rest| rest.starts_with('/'))
    };
    servers.filter(fits).max_by_key(|server| normal(server).len()).map(String::as_str)
}

/// Registry and path of an image: a reference without a registry is Docker Hub's.
fn place(image: &str) -> String {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => normal(image),
        _ => format!("docker.io/{image}"),
    }
}

/// A registry as it stands in a reference: files have it with scheme and version of the protocol, too.
fn normal(server: &str) -> String {
    let server = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    let server = server.trim_end_matches('/');
    let server = server.strip_suffix("/v1").or_else(|| server.strip_suffix("/v2")).unwrap_or(server);
    match server.split_once('/') {
        Some((host, path)) => format!("{}/{path}", hub(host)),
        None => hub(server).to_owned(),
    }
}

/// Docker Hub has several names.
fn hub(host: &str) -> &str {
    if ["index.docker.io", "registry-1.docker.io"].contains(&host) { "docker.io" } else { host }
}

/// Asks a program that keeps logins, `docker-credential-…`.
async fn ask(helper: &str, server: &str) -> Result<Option<DockerCredentials>, String> {
    let program = format!("docker-credential-{helper}");
    if helper.is_empty() || !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(format!("{program:?} is no name of a program"));
    }
    let run = async {
        let mut child = tokio::process::Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(server.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let answer = tokio::time::timeout(HELPER, run).await.unwrap_or_else(|_| Err(late()));
    let answer = answer.map_err(|error| format!("{program}: {error}"))?;
    if !answer.status.success() {
        // It says so in words of its own when it has none.
        return Ok(None);
    }
    let kept: Kept = serde_json::from_slice(&answer.stdout)
        .map_err(|_| format!("{program} did not answer with a name and a secret"))?;
    let server = Some(server.to_owned());
    Ok(Some(if kept.username == TOKEN {
        DockerCredentials { identitytoken: Some(kept.secret), serveraddress: server, ..DockerCredentials::default() }
    } else {
        let (username, password) = (Some(kept.username), Some(kept.secret));
        DockerCredentials { username, password, serveraddress: server, ..DockerCredentials::default() }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "auths": {
            "https://index.docker.io/v1/": { "auth": "aHViOm9uZQ==" },
            "registry.test:5000": { "auth": "YW5uOnR3bzp3aXRoOmNvbG9ucw==" },
            "registry.test:5000/team": { "auth": "dGVhbTp0aHJlZQ==" },
            "kept.test": {},
            "broken.test": { "auth": "!" }
        },
        "credHelpers": { "helped.test": "../sh" },
        "HttpHeaders": { "ignored": "yes" }
    }"#;

    async fn of(image: &str) -> Result<Option<(String, String)>, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("config.json");
        std::fs::write(&file, FILE).expect("written");
        let found = login(&file, image).await?;
        Ok(found.map(|found| (found.username.unwrap_or_default(), found.password.unwrap_or_default())))
    }

    #[tokio::test]
    async fn the_login_is_that_of_the_registry_and_the_longest_path() {
        let login = |name: &str, password: &str| Ok(Some((name.to_owned(), password.to_owned())));
        for image in ["debian:12", "library/debian", "docker.io/library/debian", "index.docker.io/a/b:1"] {
            assert_eq!(of(image).await, login("hub", "one"), "{image}");
        }
        assert_eq!(of("registry.test:5000/other/tool:1").await, login("ann", "two:with:colons"));
        assert_eq!(of("registry.test:5000/teams/tool:1").await, login("ann", "two:with:colons"));
        assert_eq!(of("registry.test:5000/team/tool:1").await, login("team", "three"));
        for image in ["registry.test/tool:1", "elsewhere.test/index.docker.io/x", "kept.test/tool:1"] {
            assert_eq!(of(image).await, Ok(None), "{image}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_logins_is_said_without_them() {
        let error = of("broken.test/tool:1").await.expect_err("no base64");
        assert!(error.contains("config.json") && error.contains("broken.test") && !error.contains('!'), "{error}");
        let error = of("helped.test/tool:1").await.expect_err("no program");
        assert!(error.contains("is no name of a program"), "{error}");
        let error = login(Path::new("/nowhere/config.json"), "debian:12").await.expect_err("no file");
        assert!(error.contains("/nowhere/config.json can't be used: No such file"), "{error}");
    }
}
