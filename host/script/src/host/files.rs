//! `files`: contents in chunks.

use bytes::Bytes;
use futures::StreamExt;
use monkeyci_api::{ByteStream, Client, ClientError, Sized};
use wasmtime::component::Resource;

use super::{failure, guest_error};
use crate::bindings::monkeyci::script::files::{Host, HostReader};
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;
use crate::tape::{Answer, Records, Told};

/// The most bytes that one call returns.
pub(crate) const CHUNK: usize = 1 << 20;

/// A content that a guest reads.
pub struct FileReader {
    content: Content,
    size: u64,
    /// How much of it has been read.
    at: u64,
    /// None until it is read here: another process has opened it.
    stream: Option<ByteStream>,
    left: Bytes,
}

/// Which content.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Workspace(String),
    /// Of the script's own sources.
    Script(String, Bytes),
    Artifact(String, String),
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Workspace(path) => write!(f, "workspace, {path:?}"),
            Self::Script(path, _) => write!(f, "script, {path:?}"),
            Self::Artifact(id, path) => write!(f, "artifact {id:?}, {path:?}"),
        }
    }
}

impl Content {
    async fn open(&self, client: &Client) -> Result<Sized, ClientError> {
        match self {
            Self::Workspace(path) => client.file(path).await,
            Self::Script(_, content) => {
                let (size, content) = (content.len() as u64, content.clone());
                Ok(Sized { size, bytes: futures::stream::once(async { Ok(content) }).boxed() })
            }
            Self::Artifact(id, path) => client.artifact_file(id, path).await,
        }
    }
}

impl FileReader {
    /// The next bytes, of which there is no end before `most`, or as many as have come.
    async fn next(&mut self, client: &Client, most: usize) -> Result<Bytes, ClientError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let mut stream = self.content.open(client).await?.bytes;
                let mut before = self.at;
                while before > 0 {
                    let Some(mut bytes) = stream.next().await.transpose()? else { break };
                    let known = usize::try_from(before).unwrap_or(usize::MAX).min(bytes.len());
                    before -= known as u64;
                    self.left = bytes.split_off(known);
                }
                none.insert(stream)
            }
        };
        while self.left.is_empty() {
            match stream.next().await {
                Some(bytes) => self.left = bytes?,
                None => return Ok(Bytes::new()),
            }
        }
        let bytes = self.left.split_to(self.left.len().min(most));
        self.at += bytes.len() as u64;
        Ok(bytes)
    }

    /// Exactly so many bytes, or all that there are.
    async fn exactly(&mut self, client: &Client, count: u64) -> Result<Vec<u8>, ClientError> {
        let mut all = Vec::new();
        while (all.len() as u64) < count {
            let most = usize::try_from(count - all.len() as u64).unwrap_or(usize::MAX);
            match self.next(client, most).await? {
                bytes if bytes.is_empty() => break,
                bytes => all.extend_from_slice(&bytes),
            }
        }
        Ok(all)
    }
}

impl State {
    pub(super) async fn open_content(
        &mut self,
        content: Content,
    ) -> wasmtime::Result<Result<Resource<FileReader>, Error>> {
        let request = self.tape.named(format!("open({content})"));
        let (answer, stream) = match self.recorded(&request)? {
            Some(answer) => (answer, None),
            None => {
                let opened = content.open(&self.client).await;
                let (answer, stream): (Answer, _) = match opened {
                    Ok(Sized { size, bytes }) => (Ok(serde_json::to_vec(&size)?), Some(bytes)),
                    Err(error) => (Err(failure(&error)), None),
                };
                self.record(request, &answer, Records::Whole)?;
                (answer, stream)
            }
        };
        match answer {
            Ok(size) => {
                let size = serde_json::from_slice(&size)?;
                let reader = FileReader { content, size, at: 0, stream, left: Bytes::new() };
                Ok(Ok(self.table.push(reader)?))
            }
            Err(failure) => self.fails(guest_error(failure)),
        }
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
        let client = self.client.clone();
        let content = self.table.get_mut(&reader)?;
        let request = format!("read({}, from {}, at most {max} bytes)", content.content, content.at);
        let request = self.tape.named(request);
        let answer = match self.tape.next(&request)? {
            Told::Whole(answer) => {
                content.at += answer.as_ref().map_or(0, |bytes| bytes.len() as u64);
                // What was opened here is behind now.
                content.stream = None;
                content.left = Bytes::new();
                answer
            }
            Told::Again(same) => {
                let answer = match self.tape.replayed(&same)? {
                    Some(answer) => {
                        content.at += answer.as_ref().map_or(0, |bytes| bytes.len() as u64);
                        answer
                    }
                    None => content.exactly(&client, same.bytes).await.map_err(|error| failure(&error)),
                };
                self.tape.same(same, &answer)?;
                answer
            }
            Told::Live => {
                let read = content.next(&client, (max as usize).min(CHUNK)).await;
                let answer = read.map(Vec::from).map_err(|error| failure(&error));
                self.record(request, &answer, Records::Small)?;
                answer
            }
        };
        match answer {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(failure) => self.fails(guest_error(failure)),
        }
    }

    async fn drop(&mut self, reader: Resource<FileReader>) -> wasmtime::Result<()> {
        self.table.delete(reader)?;
        Ok(())
    }
}
