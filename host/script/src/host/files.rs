//! `files`: contents in chunks.

use bytes::Bytes;
use futures::StreamExt;
use monkeyci_api::{ByteStream, Sized};
use wasmtime::component::Resource;

use super::refused;
use crate::bindings::monkeyci::script::files::{Host, HostReader};
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;

/// The most bytes that one call returns.
pub(crate) const CHUNK: usize = 1 << 20;

/// A content that a guest reads.
pub struct FileReader {
    size: u64,
    stream: ByteStream,
    left: Bytes,
}

impl From<Sized> for FileReader {
    fn from(content: Sized) -> Self {
        Self { size: content.size, stream: content.bytes, left: Bytes::new() }
    }
}

impl Host for State {}

impl HostReader for State {
    async fn size(&mut self, reader: Resource<FileReader>) -> wasmtime::Result<u64> {
        self.count_call()?;
        Ok(self.table.get(&reader)?.size)
    }

    async fn read(&mut self, reader: Resource<FileReader>, max: u32) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.count_call()?;
        if max == 0 {
            return self.fails(Error::Invalid("0 bytes can't be read".to_owned()));
        }
        let reader = self.table.get_mut(&reader)?;
        while reader.left.is_empty() {
            match reader.stream.next().await {
                Some(Ok(bytes)) => reader.left = bytes,
                Some(Err(error)) => return self.fails(refused(&error)),
                None => return Ok(Ok(Vec::new())),
            }
        }
        let length = reader.left.len().min(max as usize).min(CHUNK);
        Ok(Ok(reader.left.split_to(length).to_vec()))
    }

    async fn drop(&mut self, reader: Resource<FileReader>) -> wasmtime::Result<()> {
        self.table.delete(reader)?;
        Ok(())
    }
}
