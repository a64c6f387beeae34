//! Engines on another machine, which don't see the files of this one: what a pod needs of them is handed over.
//!
//! Our program starts in containers with rights that the job in there is not to have. So it has to be out of the job's reach: it is in
//! a volume that containers have read-only (`program_volume`). What is only read before anybody else's program runs, the
//! sidecar's configuration and the variables of a service, goes into the container itself before it starts, and goes with it.

use std::io;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;
use monkeyci_api::paths;

use super::DockerEngine;
use super::container::Container;
use super::fault::{is_missing, refused};
use super::program_volume::{PROGRAM, program_mount};
use super::raw;
use super::sidecar_image::Archive;
use crate::{EngineError, Pod};

impl DockerEngine {
    /// Refuses a pod whose sidecar would look for the build API on the wrong machine.
    pub(super) fn check_api(&self, pod: &Pod) -> Result<(), EngineError> {
        if !self.is_elsewhere || pod.api_dir.is_none() {
            return Ok(());
        }
        Err(EngineError::SidecarFailed(
            "the engine runs on another machine, where nobody reaches the socket of the build API on this one; name an address of this \
             machine that containers there reach, with --api-address IP or IP:PORT (a library: HostBuilder::tcp)"
                .to_owned(),
        ))
    }

    /// What the engine is told of a container: without files of this machine, where it does not see them.
    pub(super) async fn body_of(&self, container: &Container) -> Result<ContainerCreateBody, EngineError> {
        let body = container.body.clone();
        if !self.is_elsewhere {
            return Ok(body);
        }
        match files(&body).find(|(_, target)| is_program(target)) {
            Some((program, _)) => Ok(without_files(body, Some(self.program_volume(&program).await?))),
            None => Ok(without_files(body, None)),
        }
    }

    /// Hands a container the files that it is to read, before it starts.
    pub(super) async fn hand_files(&self, container: &Container) -> Result<(), EngineError> {
        if !self.is_elsewhere {
            return Ok(());
        }
        for (file, target) in files(&container.body).filter(|(_, target)| !is_program(target)) {
            let unreadable = |error: io::Error| container.failed(format!("{} can't be read: {error}", file.display()));
            let content = tokio::fs::read(&file).await.map_err(unreadable)?;
            let packed = packed(&target, &content, 0o400).map_err(unreadable)?;
            let handed = upload(&self.docker, &container.name, "/", packed.into()).await;
            handed.map_err(|error| refused(format!("put {target} into container {}", container.name), &error))?;
        }
        Ok(())
    }

    /// Hands a service's container that is started again the variables that are secrets.
    pub(super) async fn hand_env(&self, container: &str, env: &Path) -> Result<(), EngineError> {
        if !self.is_elsewhere {
            return Ok(());
        }
        let content = tokio::fs::read(env).await.map_err(|error| unreadable(env, &error))?;
        let packed = packed(paths::SERVICE_ENV, &content, 0o400).map_err(|error| unreadable(env, &error))?;
        let handed = upload(&self.docker, container, "/", packed.into()).await;
        handed.map_err(|error| refused(format!("put {} into container {container}", paths::SERVICE_ENV), &error))
    }

    /// Takes the secrets out of a service's container that has stopped, and may be started again. One that is not there has none.
    pub(super) async fn take_env_back(&self, container: &str) -> Result<(), EngineError> {
        if !self.is_elsewhere {
            return Ok(());
        }
        let none = Path::new(paths::SERVICE_ENV);
        let packed = packed(paths::SERVICE_ENV, b"{}", 0o400).map_err(|error| unreadable(none, &error))?;
        match upload(&self.docker, container, "/", packed.into()).await {
            Err(error) if !is_missing(&error) => {
                Err(refused(format!("put {} into container {container}", paths::SERVICE_ENV), &error))
            }
            _ => Ok(()),
        }
    }

    /// A command that begins with our program, for a container that runs.
    pub(super) fn command(&self, words: Vec<String>) -> Vec<String> {
        if self.is_elsewhere { placed(words, &[0]) } else { words }
    }
}

fn unreadable(file: &Path, error: &io::Error) -> EngineError {
    EngineError::SidecarFailed(format!("{} can't be read: {error}", file.display()))
}

/// Unpacks an archive in a container.
pub(super) async fn upload(docker: &Docker, container: &str, dir: &str, packed: Bytes) -> Result<(), Error> {
    let options = UploadToContainerOptionsBuilder::new().path(dir).build();
    raw::whole(docker, docker.upload_to_container(container, Some(options), bollard::body_full(packed))).await
}

/// The files of this machine in a container's description, and where they are to be.
fn files(body: &ContainerCreateBody) -> impl Iterator<Item = (PathBuf, String)> + use<> {
    let mounts = body.host_config.clone().and_then(|config| config.mounts).unwrap_or_default();
    mounts.into_iter().filter(is_file).filter_map(|mount| Some((mount.source?.into(), mount.target?)))
}

fn is_file(mount: &Mount) -> bool {
    mount.typ == Some(MountType::BIND)
}

fn is_program(target: &str) -> bool {
    [paths::GUARD, paths::LAUNCHER].contains(&target)
}

fn without_files(body: ContainerCreateBody, volume: Option<String>) -> ContainerCreateBody {
    let config = body.host_config.unwrap_or_default();
    let mounts = config.mounts.into_iter().flatten().filter(|mount| !is_file(mount));
    let mounts = mounts.chain(volume.map(|volume| program_mount(&volume, true))).collect();
    ContainerCreateBody {
        // The guard is the first word; what it becomes, after its orders, may be the launcher.
        entrypoint: body.entrypoint.map(|words| placed(words, &[0, 3])),
        host_config: Some(HostConfig { mounts: Some(mounts), ..config }),
        ..body
    }
}

/// Words of a command, of which those at these places may be our program.
fn placed(mut words: Vec<String>, places: &[usize]) -> Vec<String> {
    for place in places {
        if let Some(word) = words.get_mut(*place).filter(|word| is_program(word)) {
            PROGRAM.clone_into(word);
        }
    }
    words
}

/// An archive of one file.
pub(super) fn packed(path: &str, content: &[u8], mode: u32) -> io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.file(path, content, mode)?;
    archive.finish()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::container::bind;
    use super::*;

    #[test]
    fn a_container_elsewhere_mounts_nothing_of_this_machine_and_has_our_program_read_only() {
        let words = [paths::GUARD, "guard", "{}", paths::LAUNCHER, "launcher", paths::LAUNCHER].map(str::to_owned);
        let binds =
            [("/here/program", paths::LAUNCHER), ("/here/program", paths::GUARD), ("/here/env", paths::SERVICE_ENV)];
        let body = ContainerCreateBody {
            entrypoint: Some(words.to_vec()),
            host_config: Some(HostConfig {
                mounts: Some(binds.map(|(source, target)| bind(Path::new(source), target)).to_vec()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let read: Vec<_> = files(&body).filter(|(_, target)| !is_program(target)).collect();
        assert_eq!(read, [(PathBuf::from("/here/env"), paths::SERVICE_ENV.to_owned())]);
        let body = without_files(body, Some("volume".to_owned()));
        let mounts = body.host_config.and_then(|config| config.mounts).unwrap_or_default();
        assert_eq!(mounts, [program_mount("volume", true)]);
        // What a job says itself stays as it is.
        let words = body.entrypoint.unwrap_or_default();
        assert_eq!(words, [PROGRAM, "guard", "{}", PROGRAM, "launcher", paths::LAUNCHER]);
    }
}
