//! The volume with our program, on an engine that runs on another machine: made once for each program, and kept.

use std::io;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptionsBuilder};
use bytes::Bytes;
use futures::future::try_join;

use super::DockerEngine;
use super::container::NO_NETWORK;
use super::elsewhere::{packed, upload};
use super::fault::{is_missing, is_taken, refused};
use super::raw;
use crate::EngineError;

/// Where containers have the volume with our program, and the program.
const DIR: &str = "/monkeyci-program";
pub(super) const PROGRAM: &str = "/monkeyci-program/monkeyci-sidecar";

/// The pause between two looks whether somebody else has filled the volume.
const PAUSE: Duration = Duration::from_millis(100);

impl DockerEngine {
    /// The volume with a program; it is filled where it is not there. It is looked for each time: somebody may have cleared it away.
    pub(super) async fn program_volume(&self, program: &Path) -> Result<String, EngineError> {
        let volume = ProgramVolume::of(self.docker.clone(), &self.sidecar_image(program).await?);
        if volume.is_whole().await? {
            return Ok(volume.name);
        }
        let unreadable = |error: io::Error| {
            EngineError::SidecarFailed(format!("its program {} can't be read: {error}", program.display()))
        };
        let content = tokio::fs::read(program).await.map_err(unreadable)?;
        let packed = Bytes::from(packed("monkeyci-sidecar", &content, 0o555).map_err(unreadable)?);
        // Whoever fills it sends one request after the other: who takes longer than one may take has died over it.
        let looks = self.options.request.as_millis().div_ceil(PAUSE.as_millis()).max(1);
        for _ in 0..2 {
            for _ in 0..looks {
                let image = self.sidecar_image(program).await?;
                // A task of its own, which goes on when nobody waits for it any more: what was begun is not left behind.
                let filling = tokio::spawn(volume.clone().fill(image, packed.clone()));
                let filled = filling.await.unwrap_or_else(|error| Err(volume.failed(&error.to_string())));
                match filled? {
                    Filled::Now => return Ok(volume.name),
                    Filled::WithoutImage => self.sidecar_images.forget(),
                    Filled::ByAnother => tokio::time::sleep(PAUSE).await,
                }
                if volume.is_whole().await? {
                    return Ok(volume.name);
                }
            }
            volume.remove_filler().await?;
        }
        Err(volume.failed("others began to fill it again and again, and none of them ended"))
    }
}

/// What came of filling it.
enum Filled {
    Now,
    /// Somebody else is at it.
    ByAnother,
    /// Somebody has cleared the image away that the container for it is made of.
    WithoutImage,
}

/// The names of the volume and of what it takes to fill it, and where they are.
#[derive(Clone)]
struct ProgramVolume {
    docker: Docker,
    name: String,
    /// A volume that is there may be half filled: another one says that it is whole.
    whole: String,
    /// The container that it is filled through. It never runs, and whoever has it is the one who fills.
    filler: String,
}

impl ProgramVolume {
    /// Of the program that the sidecar's image has; the image's name has its digest.
    fn of(docker: Docker, image: &str) -> Self {
        let name = format!("monkeyci-sidecar-{}", image.rsplit(':').next().unwrap_or_default());
        Self { docker, whole: format!("{name}-whole"), filler: format!("{name}-filler"), name }
    }

    fn failed(&self, reason: &str) -> EngineError {
        EngineError::SidecarFailed(format!("volume {} can't be filled with its program: {reason}", self.name))
    }

    async fn is_whole(&self) -> Result<bool, EngineError> {
        let (volume, whole) = try_join(self.has(&self.name), self.has(&self.whole)).await?;
        Ok(volume && whole)
    }

    async fn fill(self, image: String, packed: Bytes) -> Result<Filled, EngineError> {
        self.make(&self.name).await?;
        match self.create_filler(image).await {
            Ok(()) => {}
            Err(error) if is_taken(&error) => return Ok(Filled::ByAnother),
            Err(error) if is_missing(&error) => return Ok(Filled::WithoutImage),
            Err(error) => return Err(refused(format!("create container {}", self.filler), &error)),
        }
        let filled = upload(&self.docker, &self.filler, DIR, packed).await;
        let removed = self.remove_filler().await;
        filled.map_err(|error| refused(format!("fill volume {}", self.name), &error))?;
        removed?;
        self.make(&self.whole).await?;
        Ok(Filled::Now)
    }

    async fn has(&self, volume: &str) -> Result<bool, EngineError> {
        match raw::whole(&self.docker, self.docker.inspect_volume(volume)).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(refused(format!("look up volume {volume}"), &error)),
        }
    }

    async fn make(&self, volume: &str) -> Result<(), EngineError> {
        let body = VolumeCreateRequest { name: Some(volume.to_owned()), ..VolumeCreateRequest::default() };
        let made = raw::whole(&self.docker, self.docker.create_volume(body)).await;
        made.map(drop).map_err(|error| refused(format!("create volume {volume}"), &error))
    }

    async fn create_filler(&self, image: String) -> Result<(), Error> {
        let options = CreateContainerOptions { name: Some(self.filler.clone()), platform: String::new() };
        let body = ContainerCreateBody {
            image: Some(image),
            host_config: Some(HostConfig {
                network_mode: Some(NO_NETWORK.to_owned()),
                mounts: Some(vec![program_mount(&self.name, false)]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        raw::whole(&self.docker, self.docker.create_container(Some(options), body)).await.map(drop)
    }

    async fn remove_filler(&self) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        match raw::whole(&self.docker, self.docker.remove_container(&self.filler, Some(options))).await {
            Err(error) if !is_missing(&error) => Err(refused(format!("remove container {}", self.filler), &error)),
            _ => Ok(()),
        }
    }
}

/// The volume in a container.
pub(super) fn program_mount(volume: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(DIR.to_owned()),
        read_only: Some(read_only),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}
