//! Engines on another machine, which don't see the files of this one: what a pod needs of them is handed over.
//!
//! Our program starts in containers with rights that the job in there is not to have. So it has to be out of the job's reach: it is in
//! a volume that containers have read-only, made once for each program. What is only read before anybody else's program runs, the
//! sidecar's configuration and the variables of a service, goes into the container itself before it starts, and goes with it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use monkeyci_api::paths;

use super::DockerEngine;
use super::container::{Container, NO_NETWORK};
use super::fault::{is_missing, is_taken, refused};
use super::raw;
use super::sidecar_image::{Archive, FileState};
use crate::{EngineError, Pod};

/// Where containers have the volume with our program, and the program.
const DIR: &str = "/monkeyci-program";
const PROGRAM: &str = "/monkeyci-program/monkeyci-sidecar";

/// How often it is looked whether another process has filled the volume, and the pause between. After that, it has died over it.
const LOOKS: u32 = 300;
const PAUSE: Duration = Duration::from_millis(100);

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
            let handed = self.upload(&container.name, "/", packed).await;
            handed.map_err(|error| refused(format!("put {target} into container {}", container.name), &error))?;
        }
        Ok(())
    }

    /// A command that begins with our program, for a container that runs.
    pub(super) fn command(&self, words: Vec<String>) -> Vec<String> {
        if self.is_elsewhere { placed(words, &[0]) } else { words }
    }

    async fn upload(&self, container: &str, dir: &str, packed: Vec<u8>) -> Result<(), Error> {
        let options = UploadToContainerOptionsBuilder::new().path(dir).build();
        let body = bollard::body_full(packed.into());
        raw::whole(&self.docker, self.docker.upload_to_container(container, Some(options), body)).await
    }

    /// The volume with a program; it is filled the first time, and stays, as the program's image does.
    async fn program_volume(&self, program: &Path) -> Result<String, EngineError> {
        let image = self.sidecar_image(program).await?;
        let unreadable = |error: io::Error| {
            EngineError::SidecarFailed(format!("its program {} can't be read: {error}", program.display()))
        };
        let cell = self.programs.cell(FileState::of(program).map_err(unreadable)?);
        let volume = cell.get_or_try_init(|| async {
            // The image's name has the digest of the program.
            let volume = format!("monkeyci-sidecar-{}", image.rsplit(':').next().unwrap_or_default());
            // A volume that is there may be half filled: another one says that it is whole.
            let whole = format!("{volume}-whole");
            let filler = format!("{volume}-filler");
            for _ in 0..LOOKS {
                if self.has_volume(&whole).await? {
                    return Ok(volume);
                }
                self.make_volume(&volume).await?;
                match self.create_filler(&filler, &image, &volume).await {
                    Ok(()) => {
                        let content = tokio::fs::read(program).await.map_err(unreadable)?;
                        let packed = packed("monkeyci-sidecar", &content, 0o555).map_err(unreadable)?;
                        let filled = self.upload(&filler, DIR, packed).await;
                        self.remove_filler(&filler).await?;
                        filled.map_err(|error| refused(format!("fill volume {volume}"), &error))?;
                        self.make_volume(&whole).await?;
                        return Ok(volume);
                    }
                    Err(error) if is_taken(&error) => tokio::time::sleep(PAUSE).await,
                    Err(error) => return Err(refused(format!("create container {filler}"), &error)),
                }
            }
            self.remove_filler(&filler).await?;
            Err(EngineError::SidecarFailed(format!(
                "somebody began to fill volume {volume} and did not end; what was left of that is removed: try again"
            )))
        });
        volume.await.cloned()
    }

    async fn has_volume(&self, name: &str) -> Result<bool, EngineError> {
        match raw::whole(&self.docker, self.docker.inspect_volume(name)).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(refused(format!("look up volume {name}"), &error)),
        }
    }

    async fn make_volume(&self, name: &str) -> Result<(), EngineError> {
        let body = VolumeCreateRequest { name: Some(name.to_owned()), ..VolumeCreateRequest::default() };
        let made = raw::whole(&self.docker, self.docker.create_volume(body)).await;
        made.map(drop).map_err(|error| refused(format!("create volume {name}"), &error))
    }

    /// Creates a container that never runs: a volume is filled through one.
    async fn create_filler(&self, name: &str, image: &str, volume: &str) -> Result<(), Error> {
        let options = CreateContainerOptions { name: Some(name.to_owned()), platform: String::new() };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            host_config: Some(HostConfig {
                network_mode: Some(NO_NETWORK.to_owned()),
                mounts: Some(vec![program_mount(volume, false)]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        raw::whole(&self.docker, self.docker.create_container(Some(options), body)).await.map(drop)
    }

    async fn remove_filler(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        match raw::whole(&self.docker, self.docker.remove_container(name, Some(options))).await {
            Err(error) if !is_missing(&error) => Err(refused(format!("remove container {name}"), &error)),
            _ => Ok(()),
        }
    }
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

fn program_mount(volume: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(DIR.to_owned()),
        read_only: Some(read_only),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

fn packed(path: &str, content: &[u8], mode: u32) -> io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.file(path, content, mode)?;
    archive.finish()
}

#[cfg(test)]
mod tests {
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
