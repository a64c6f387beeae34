//! Requests in our own words, through bollard's connection.
//!
//! bollard's types are those of the newest Docker. Podman has container states that they don't know ("stopped"), and one
//! such container makes the list of all unreadable; other requests have fields, or addresses, that they lack. So what a
//! container is like is read here, with only what we need of it; and a request without a type is made as another one and
//! given its true address and body on the way out.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::NetworkConnectRequest;
use bollard::{BollardRequest, Docker};
use futures::StreamExt as _;
use monkeyci_api::GuardOrders;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::fault::is_gone;
use crate::PodState;

/// The most that an answer may have: a machine with ten thousand containers lists them in less.
pub(super) const MOST_BYTES: usize = 64 * 1024 * 1024;

/// How often a list is asked for, and with which pause.
const LOOKS: u32 = 6;
const AGAIN: Duration = Duration::from_millis(20);

/// What we need to know of a container.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    #[serde(default)]
    pub(super) state: State,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    network_settings: NetworkSettings,
    #[serde(default)]
    host_config: HostConfig,
    /// What follows the program that it began as.
    #[serde(default)]
    args: Vec<String>,
}

/// How a container is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct State {
    status: String,
    pub(super) running: bool,
    pub(super) exit_code: i64,
    #[serde(rename = "OOMKilled")]
    pub(super) oom_killed: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    labels: Option<HashMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    networks: Option<HashMap<String, Option<Endpoint>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    #[serde(rename = "IPAddress")]
    ip_address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    memory: i64,
}

impl Inspected {
    /// It was killed, and it may have been for its memory.
    pub(super) fn may_have_run_out_of_memory(&self) -> bool {
        self.state.exit_code == 137 && self.host_config.memory > 0
    }

    /// It was created and never started.
    pub(super) fn waits_for_start(&self) -> bool {
        ["created", "configured", "initialized"].contains(&self.state.status.as_str())
    }

    /// Somebody is removing it.
    pub(super) fn is_going(&self) -> bool {
        ["removing", "dead"].contains(&self.state.status.as_str())
    }

    /// The orders of the guard that it began as.
    pub(super) fn guard_orders(&self) -> Option<GuardOrders> {
        let [role, orders, ..] = self.args.as_slice() else { return None };
        if role == "guard" { serde_json::from_str(orders).ok() } else { None }
    }

    pub(super) fn label(&self, label: &str) -> Option<&str> {
        self.config.labels.as_ref()?.get(label).map(String::as_str)
    }

    /// Its address in a network; none when it does not run.
    pub(super) fn address(&self, network: &str) -> Option<&str> {
        let endpoint = self.network_settings.networks.as_ref()?.get(network)?.as_ref()?;
        Some(endpoint.ip_address.as_str()).filter(|address| !address.is_empty())
    }
}

/// A container in a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    id: String,
    names: Option<Vec<String>>,
    pub(super) labels: Option<HashMap<String, String>>,
    #[serde(default)]
    state: String,
}

impl Listed {
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.names.iter().flatten().any(|called| called.trim_start_matches('/') == name)
    }

    /// How far a pod has come of which this is the sidecar.
    pub(super) fn pod_state(&self) -> PodState {
        match self.state.to_ascii_lowercase().as_str() {
            "running" | "paused" | "restarting" | "stopping" => PodState::Alive,
            // Podman knows some more words for one that was made and never started.
            "created" | "configured" | "initialized" => PodState::Unfinished,
            _ => PodState::Over,
        }
    }

    pub(super) fn into_name(self) -> String {
        let name = self.names.into_iter().flatten().next();
        name.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or(self.id)
    }
}

/// Inspects a container.
pub(super) async fn inspect_container(docker: &Docker, name: &str) -> Result<Inspected, Error> {
    get(docker, format!("/containers/{name}/json")).await
}

/// Lists the containers that have a label, running or not.
pub(super) async fn list_containers(docker: &Docker, label: &str) -> Result<Vec<Listed>, Error> {
    let filters = percent_encoded(&json!({ "label": [label] }).to_string());
    get(docker, format!("/containers/json?all=true&filters={filters}")).await
}

/// Waits until a container of Podman has ended, by its own API: the one that it shares with Docker asks itself without a
/// pause and takes more than a whole core for each wait (seen with 4.3.1).
pub(super) async fn wait_podman(docker: &Docker, own_api: &str, name: &str) -> Result<(), Error> {
    // The answer begins when the container ends, however late.
    let docker = docker.clone().with_timeout(Duration::MAX);
    post(&docker, format!("{own_api}/containers/{name}/wait?interval=25ms"), &json!({})).await
}

/// Bounds a request to the end of its answer: the connection's own limit is for the start of one.
pub(super) async fn whole<T>(docker: &Docker, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(docker.timeout(), request).await.unwrap_or(Err(Error::RequestTimeoutError))
}

/// Asks for a list, and again when that fails for no known reason: Podman fails to list what is removed, and networks when a container ends, at
/// the same moment.
pub(super) async fn listed<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> Result<T, Error> {
    for _ in 1..LOOKS {
        match ask().await {
            Err(error) if !is_gone(&error) => tokio::time::sleep(AGAIN).await,
            answer => return answer,
        }
    }
    ask().await
}

/// Gets what is at an address.
async fn get<T: DeserializeOwned>(docker: &Docker, address: String) -> Result<T, Error> {
    let request = async {
        // This one answers with the bytes as they are.
        let docker = docker.clone().with_request_modifier(redirected("/containers/x/export", address, None));
        let mut chunks = pin!(docker.export_container("x"));
        let mut answer = Vec::new();
        while let Some(chunk) = chunks.next().await {
            answer.extend_from_slice(&chunk?);
            if answer.len() > MOST_BYTES {
                return Err(Error::JsonDataError { message: format!("more than {MOST_BYTES} bytes"), column: 0 });
            }
        }
        serde_json::from_slice(&answer).map_err(Error::from)
    };
    whole(docker, request).await
}

/// Posts a body to an address; the answer is read and dropped.
pub(super) async fn post(docker: &Docker, address: String, body: &Value) -> Result<(), Error> {
    // This one takes no interest in its answer.
    let modifier = redirected("/networks/x/connect", address, Some(body.to_string()));
    docker.clone().with_request_modifier(modifier).connect_network("x", NetworkConnectRequest::default()).await
}

/// Sends a request to another address, with another body.
fn redirected(
    from: &'static str,
    to: String,
    body: Option<String>,
) -> impl Fn(BollardRequest) -> BollardRequest + Send + Sync + 'static {
    move |mut request| {
        match request.uri().to_string().replacen(from, &to, 1).parse() {
            Ok(address) => *request.uri_mut() = address,
            // The engine then answers that there is no "x".
            Err(error) => tracing::error!(address = to, %error, "no address for a request"),
        }
        if let Some(body) = &body {
            *request.body_mut() = bollard::body_full(body.clone().into());
        }
        request
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_docker_does_not_have_is_read() {
        let answer = r#"{"State":{"Status":"stopped","Running":false,"ExitCode":3},"Config":{"Labels":null}}"#;
        let found: Inspected = serde_json::from_str(answer).expect("an answer of Podman");
        assert_eq!(found.state.exit_code, 3);
        assert!(!found.waits_for_start());
        assert_eq!(found.label("x"), None);
    }

    #[test]
    fn the_address_of_a_container_that_does_not_run_is_none() {
        let answer = r#"{"NetworkSettings":{"Networks":{"a":{"IPAddress":"10.0.0.2"},"b":{"IPAddress":""},"c":null}}}"#;
        let found: Inspected = serde_json::from_str(answer).expect("an answer");
        assert_eq!(["a", "b", "c", "d"].map(|network| found.address(network)), [Some("10.0.0.2"), None, None, None]);
    }

    #[test]
    fn a_filter_survives_the_way_into_an_address() {
        assert_eq!(percent_encoded(r#"{"a":"é&"}"#), "%7B%22a%22%3A%22%C3%A9%26%22%7D");
    }
}
