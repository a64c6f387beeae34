//! Contents in chunks, as the standard library's readers and writers.

use std::io::{self, Read, Write};

use crate::error::Told;
use crate::host::{artifacts, files};
use crate::{Artifact, HostError, Result};

/// The most bytes that go over in one call.
const CHUNK: usize = 1 << 20;

/// Reads a file of the workspace or of an artifact, from its start to its end. Each `read` is a call of the host: put a
/// [`BufReader`](std::io::BufReader) round it to read in small steps.
#[derive(Debug)]
pub struct FileReader {
    inner: files::Reader,
}

impl FileReader {
    pub(crate) fn new(inner: files::Reader) -> Self {
        Self { inner }
    }

    /// The size of the whole content in bytes.
    pub fn size(&self) -> u64 {
        self.inner.size()
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let most = u32::try_from(buffer.len().min(CHUNK)).unwrap_or(u32::MAX);
        let bytes = self.inner.read(most).map_err(failed)?;
        let there =
            buffer.get_mut(..bytes.len()).ok_or_else(|| io::Error::other("the host gave more than was asked for"))?;
        there.copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

/// Writes an artifact with one file in it. Dropping it unfinished leaves nothing.
#[derive(Debug)]
pub struct ArtifactWriter {
    inner: artifacts::Writer,
}

impl ArtifactWriter {
    pub(crate) fn new(inner: artifacts::Writer) -> Self {
        Self { inner }
    }

    /// Saves the artifact.
    ///
    /// # Errors
    /// When the host can't save it.
    pub fn finish(self) -> Result<Artifact> {
        Ok(Artifact::new(self.inner.finish().told()?))
    }
}

impl Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(CHUNK)];
        if !part.is_empty() {
            self.inner.write(part).map_err(failed)?;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(error: crate::host::types::Error) -> io::Error {
    io::Error::other(HostError::from(error))
}
