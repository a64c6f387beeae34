//! What the containers of a pod share: a network of their own, and a volume.

use bollard::errors::Error;
use bollard::models::VolumeCreateRequest;
use serde_json::{Value, json};

use super::DockerEngine;
use super::connect::Dialect;
use super::fault::{is_gone, is_taken, refused};
use super::names::{Names, labels};
use super::raw;
use crate::{EngineError, LABEL_POD, Pod};

impl DockerEngine {
    /// Creates the pod's private network, or gets the one that is there.
    pub(super) async fn create_network(&self, pod: &Pod, names: &Names) -> Result<(), EngineError> {
        let name = names.network();
        let labels = labels(pod);
        let created = match &self.dialect {
            // Docker before 25 happily makes a second network of the same name unless told to check.
            Dialect::Docker => {
                let body = json!({ "Name": &name, "Driver": "bridge", "CheckDuplicate": true, "Labels": labels });
                self.post_network(names.key(), "/networks/create".to_owned(), body).await
            }
            // Podman's bridges reach each other unless they are isolated, and only its own API can ask for that.
            Dialect::Podman { own_api } => {
                let body = json!({
                    "name": &name, "driver": "bridge", "dns_enabled": true, "options": { "isolate": "true" }, "labels": &labels,
                });
                match self.post_network(names.key(), format!("{own_api}/networks/create"), body).await {
                    Err(error) if !is_taken(&error) && !is_gone(&error) => {
                        tracing::warn!(network = name, %error, "Podman can't isolate networks: pods can reach each other");
                        let body = json!({ "Name": &name, "Driver": "bridge", "Labels": labels });
                        self.post_network(names.key(), "/networks/create".to_owned(), body).await
                    }
                    other => other,
                }
            }
        };
        match created {
            Ok(()) => Ok(()),
            Err(error) if is_taken(&error) => self.own_network(names).await,
            Err(error) => Err(refused(format!("create network {name}"), &error)),
        }
    }

    async fn post_network(&self, key: &str, address: String, body: Value) -> Result<(), Error> {
        let docker = self.docker.clone();
        self.in_flight.run(key, async move { raw::post(&docker, address, &body).await }).await
    }

    /// The network that has our name is ours, and not somebody else's.
    async fn own_network(&self, names: &Names) -> Result<(), EngineError> {
        let name = names.network();
        let network = raw::whole(&self.docker, self.docker.inspect_network(&name, None))
            .await
            .map_err(|error| refused(format!("inspect network {name}"), &error))?;
        match network.labels.as_ref().and_then(|labels| labels.get(LABEL_POD)) {
            Some(key) if key == names.key() => Ok(()),
            _ => Err(not_ours(format!("use network {name}"))),
        }
    }

    /// Creates the pod's volume, or gets the one that is there.
    pub(super) async fn create_volume(&self, pod: &Pod, names: &Names) -> Result<(), EngineError> {
        let name = names.volume();
        let docker = self.docker.clone();
        let body = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(labels(pod)),
            ..VolumeCreateRequest::default()
        };
        let request = async move { raw::whole(&docker, docker.create_volume(body)).await };
        let volume = self
            .in_flight
            .run(names.key(), request)
            .await
            .map_err(|error| refused(format!("create volume {name}"), &error))?;
        // Creating a volume that is there answers with it.
        match volume.labels.get(LABEL_POD) {
            Some(key) if key == names.key() => Ok(()),
            _ => Err(not_ours(format!("use volume {name}"))),
        }
    }
}

/// Somebody else's object has the name that ours would have.
pub(super) fn not_ours(what: String) -> EngineError {
    EngineError::Refused { what, reason: format!("it was made by somebody else: it lacks our label {LABEL_POD}") }
}
