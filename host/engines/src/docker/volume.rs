//! The volume that the containers of a pod share.

use bollard::models::VolumeCreateRequest;

use super::DockerEngine;
use super::fault::refused;
use super::names::{Names, labels};
use super::raw;
use crate::{EngineError, LABEL_POD, Pod};

impl DockerEngine {
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
