//! The sidecar's image: nothing but our own static program, loaded from memory and never pulled.
//!
//! Its name has the digest of the program, so that a new program is a new image. The image is the same to the last byte
//! whoever makes it: two processes that load it at once end with one image.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bollard::query_parameters::ImportImageOptions;
use futures::StreamExt as _;
use monkeyci_api::paths;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::DockerEngine;
use super::fault::{is_gone, is_missing, refused, said};
use super::raw;
use crate::EngineError;

/// Label of a sidecar's image: the digest of its program.
const LABEL_SIDECAR: &str = "monkeyci.sidecar";

/// The images that are known to be there, by what their program's file looked like.
#[derive(Debug, Default)]
pub(super) struct SidecarImages(Mutex<HashMap<FileState, Arc<OnceCell<String>>>>);

impl SidecarImages {
    fn cell(&self, file: FileState) -> Arc<OnceCell<String>> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(file).or_default())
    }

    /// Forgets what is known: somebody removed an image.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A file and what changes when its content does; cheaper than to read it for each job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FileState {
    path: PathBuf,
    inode: (u64, u64),
    length: u64,
    modified: (i64, i64),
}

impl FileState {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = std::fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            inode: (meta.dev(), meta.ino()),
            length: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })
    }
}

impl DockerEngine {
    /// Makes sure that the image of `program` is there, and names it.
    pub(super) async fn sidecar_image(&self, program: &Path) -> Result<String, EngineError> {
        let unreadable = |error: io::Error| {
            EngineError::SidecarFailed(format!("its program {} can't be read: {error}", program.display()))
        };
        let cell = self.sidecar_images.cell(FileState::of(program).map_err(unreadable)?);
        let name = cell.get_or_try_init(|| async {
            let path = program.to_owned();
            let image = tokio::task::spawn_blocking(move || std::fs::read(path).map(SidecarImage::of))
                .await
                .map_err(io::Error::other)
                .and_then(|read| read)
                .map_err(unreadable)?;
            if is_dynamic(&image.program) {
                return Err(EngineError::SidecarFailed(format!(
                    "its program {} needs a C library, and images of jobs may have none: build it in the repository, which \
                     links it statically",
                    program.display()
                )));
            }
            match raw::whole(&self.docker, self.docker.inspect_image(&image.name)).await {
                Ok(_) => {}
                Err(error) if is_missing(&error) => self.load(&image).await?,
                Err(error) => return Err(refused(format!("look up image {}", image.name), &error)),
            }
            Ok(image.name)
        });
        name.await.cloned()
    }

    async fn load(&self, image: &SidecarImage) -> Result<(), EngineError> {
        let archive = image.archive().map_err(|error| {
            EngineError::SidecarFailed(format!("its image {} can't be packed: {error}", image.name))
        })?;
        let options = ImportImageOptions { quiet: true, ..ImportImageOptions::default() };
        let mut words = pin!(self.docker.import_image(options, bollard::body_full(archive.into()), None));
        let loaded = async {
            while let Some(word) = words.next().await {
                word?;
            }
            Ok(())
        };
        raw::whole(&self.docker, loaded).await.map_err(|error| {
            if is_gone(&error) {
                return refused(format!("load image {}", image.name), &error);
            }
            EngineError::SidecarFailed(format!("its image {} can't be loaded: {}", image.name, said(&error)))
        })
    }
}

/// A program and the image that it makes.
struct SidecarImage {
    program: Vec<u8>,
    digest: String,
    name: String,
}

impl SidecarImage {
    fn of(program: Vec<u8>) -> Self {
        let digest = hex_sha256(&program);
        let name = format!("localhost/monkeyci/sidecar:{}", &digest[..16]);
        Self { program, digest, name }
    }

    /// The image as `docker save` writes one.
    fn archive(&self) -> io::Result<Vec<u8>> {
        let layer = layer(&self.program)?;
        let config = json!({
            "architecture": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": { "Entrypoint": [paths::SIDECAR], "Labels": { LABEL_SIDECAR: &self.digest } },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex_sha256(&layer))] },
            "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "monkeyci-host" }],
        })
        .to_string();
        let config_name = format!("{}.json", hex_sha256(config.as_bytes()));
        let manifest =
            json!([{ "Config": &config_name, "RepoTags": [&self.name], "Layers": ["layer.tar"] }]).to_string();
        let mut archive = Archive::default();
        archive.file("layer.tar", &layer, 0o644)?;
        archive.file(&config_name, config.as_bytes(), 0o644)?;
        archive.file("manifest.json", manifest.as_bytes(), 0o644)?;
        archive.finish()
    }
}

/// The only layer: the program, and empty directories for what is mounted.
fn layer(program: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.directory("tmp", 0o1777)?;
    archive.directory("run", 0o755)?;
    for mount_point in
        [Some(Path::new(paths::SHARED)), Path::new(paths::SIDECAR_CONFIG).parent(), Some(Path::new(paths::API_DIR))]
    {
        if let Some(path) = mount_point.and_then(Path::to_str) {
            archive.directory(path, 0o755)?;
        }
    }
    archive.file(paths::SIDECAR, program, 0o755)?;
    archive.finish()
}

/// A tar archive that depends on its content alone: no times, no owners.
pub(super) struct Archive(tar::Builder<Vec<u8>>);

impl Default for Archive {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Archive {
    pub(super) fn file(&mut self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        self.entry(path, content, mode, tar::EntryType::Regular)
    }

    fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.entry(&format!("{path}/"), &[], mode, tar::EntryType::Directory)
    }

    fn entry(&mut self, path: &str, content: &[u8], mode: u32, kind: tar::EntryType) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path.trim_start_matches('/'), content)
    }

    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        self.0.into_inner()
    }
}

/// Whether a program of 64-bit ELF asks for a dynamic loader. What is no such program is not dynamic either.
fn is_dynamic(program: &[u8]) -> bool {
    let number = |at: usize, size: usize| {
        let field = program.get(at..at.saturating_add(size)).unwrap_or_default();
        field.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
    };
    // The table of segments: where it is, how long an entry is, and how many there are. PT_INTERP is 3.
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    (0..count).any(|index| number(table.saturating_add(size * index), 4) == 3)
}

/// The digest of bytes, in hexadecimal digits.
pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_named_after_its_program() {
        let image = SidecarImage::of(b"program".to_vec());
        assert_eq!(image.name, format!("localhost/monkeyci/sidecar:{}", &hex_sha256(b"program")[..16]));
        assert_ne!(image.name, SidecarImage::of(b"another".to_vec()).name);
    }

    #[test]
    fn a_program_that_needs_a_loader_is_told_from_others() {
        let own = std::fs::read(std::env::current_exe().expect("a path of one's own")).expect("bytes");
        assert!(is_dynamic(&own), "tests are linked dynamically");
        assert!(!is_dynamic(b"#!/bin/sh\n") && !is_dynamic(&own[..0x36]));
    }

    #[test]
    fn the_image_is_the_same_whoever_makes_it() {
        let [one, two] = [(); 2].map(|()| SidecarImage::of(b"program".to_vec()).archive().expect("an archive"));
        assert_eq!(one, two);
    }

    #[test]
    fn the_image_holds_the_program_and_nothing_else() {
        let layer = layer(b"program").expect("a layer");
        let mut archive = tar::Archive::new(layer.as_slice());
        let entries: Vec<_> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let path = entry.path().expect("a path").display().to_string();
                (path, entry.header().mode().expect("a mode"))
            })
            .collect();
        assert_eq!(
            entries,
            [
                ("tmp/".to_owned(), 0o1777),
                ("run/".to_owned(), 0o755),
                ("monkeyci/".to_owned(), 0o755),
                ("run/monkeyci/".to_owned(), 0o755),
                ("run/monkeyci-api/".to_owned(), 0o755),
                ("monkeyci-sidecar".to_owned(), 0o755),
            ]
        );
    }
}
