//! `artifacts`: the build's artifacts, for actions.

use std::io;

use bytes::Bytes;
use monkeyci_api::{ArtifactInfo, Body, ClientError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wasmtime::component::Resource;

use super::{FileReader, refused};
use crate::bindings::monkeyci::script::artifacts::{Host, HostArtifact, HostWriter};
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;

/// How many chunks may wait for the build API.
pub(crate) const QUEUE: usize = 4;

/// An artifact that a guest writes: the request that takes its bytes. A writer that is dropped breaks the request off, so
/// nothing is saved.
pub struct ArtifactWriter(Option<Upload>);

struct Upload {
    chunks: mpsc::Sender<Option<Bytes>>,
    request: JoinHandle<Result<ArtifactInfo, ClientError>>,
}

impl Upload {
    /// How the request ended.
    async fn end(self) -> Result<ArtifactInfo, Error> {
        drop(self.chunks);
        match self.request.await {
            Ok(ended) => ended.map_err(|error| refused(&error)),
            Err(_) => Err(Error::Unavailable("the upload broke off".to_owned())),
        }
    }
}

impl Host for State {
    async fn list(&mut self) -> wasmtime::Result<Result<Vec<Resource<ArtifactInfo>>, Error>> {
        self.count_call()?;
        if let Err(error) = self.only_an_action() {
            return self.fails(error);
        }
        match self.client.artifacts().await {
            Ok(all) => Ok(Ok(all.into_iter().map(|info| self.table.push(info)).collect::<Result<_, _>>()?)),
            Err(error) => self.fails(refused(&error)),
        }
    }

    async fn file_names(&mut self, id: String) -> wasmtime::Result<Result<Vec<String>, Error>> {
        self.count_call()?;
        if let Err(error) = self.only_an_action() {
            return self.fails(error);
        }
        let answer = self.client.artifact_files(&id).await;
        self.answer(answer)
    }

    async fn open(&mut self, id: String, path: String) -> wasmtime::Result<Result<Resource<FileReader>, Error>> {
        self.count_call()?;
        if let Err(error) = self.only_an_action() {
            return self.fails(error);
        }
        match self.client.artifact_file(&id, &path).await {
            Ok(content) => Ok(Ok(self.table.push(content.into())?)),
            Err(error) => self.fails(refused(&error)),
        }
    }

    async fn create(&mut self, id: String, path: String) -> wasmtime::Result<Result<Resource<ArtifactWriter>, Error>> {
        self.count_call()?;
        // Said at once, and not when all has been written.
        if let Err(error) = self.only_an_action().and_then(|()| self.may_create(&id)) {
            return self.fails(error);
        }
        let (chunks, receiver) = mpsc::channel::<Option<Bytes>>(QUEUE);
        // The end of the channel alone is no end of the content: the guest may have trapped.
        let body = futures::stream::unfold(Some(receiver), async |receiver| {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Some(bytes)) => Some((Ok(bytes), Some(receiver))),
                Some(None) => None,
                None => Some((Err(io::Error::other("the script did not finish the artifact")), None)),
            }
        });
        let (client, body) = (self.client.clone(), Body::wrap_stream(body));
        let request = tokio::spawn(async move { client.create_artifact(&id, &path, body).await });
        Ok(Ok(self.table.push(ArtifactWriter(Some(Upload { chunks, request })))?))
    }

    async fn save(&mut self, id: String, path: String) -> wasmtime::Result<Result<Resource<ArtifactInfo>, Error>> {
        self.count_call()?;
        if let Err(error) = self.only_an_action().and_then(|()| self.may_create(&id)) {
            return self.fails(error);
        }
        match self.client.save_output(&id, &path).await {
            Ok(info) => Ok(Ok(self.table.push(info)?)),
            Err(error) => self.fails(refused(&error)),
        }
    }
}

impl State {
    fn may_create(&self, id: &str) -> Result<(), Error> {
        if self.creates.iter().any(|own| own == id) {
            return Ok(());
        }
        Err(Error::Denied(format!("the job has not declared that it creates the artifact {id:?}")))
    }
}

impl HostWriter for State {
    async fn write(&mut self, writer: Resource<ArtifactWriter>, bytes: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        let slot = &mut self.table.get_mut(&writer)?.0;
        let Some(upload) = slot else { return self.fails(finished()) };
        if bytes.is_empty() || upload.chunks.send(Some(bytes.into())).await.is_ok() {
            return Ok(Ok(()));
        }
        // The request has ended before its time, and knows why.
        let Some(upload) = slot.take() else { return self.fails(finished()) };
        match upload.end().await {
            Ok(_) => Ok(Ok(())),
            Err(error) => self.fails(error),
        }
    }

    async fn finish(
        &mut self,
        writer: Resource<ArtifactWriter>,
    ) -> wasmtime::Result<Result<Resource<ArtifactInfo>, Error>> {
        self.count_call()?;
        let Some(upload) = self.table.get_mut(&writer)?.0.take() else { return self.fails(finished()) };
        // One that can't be told that this is the end has ended already.
        let _ = upload.chunks.send(None).await;
        match upload.end().await {
            Ok(info) => Ok(Ok(self.table.push(info)?)),
            Err(error) => self.fails(error),
        }
    }

    async fn drop(&mut self, writer: Resource<ArtifactWriter>) -> wasmtime::Result<()> {
        self.table.delete(writer)?;
        Ok(())
    }
}

fn finished() -> Error {
    Error::Conflict("the artifact is finished, or failed before".to_owned())
}

impl HostArtifact for State {
    async fn id(&mut self, artifact: Resource<ArtifactInfo>) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.table.get(&artifact)?.id.clone())
    }

    async fn job(&mut self, artifact: Resource<ArtifactInfo>) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.table.get(&artifact)?.job.clone())
    }

    async fn size(&mut self, artifact: Resource<ArtifactInfo>) -> wasmtime::Result<u64> {
        self.count_call()?;
        Ok(self.table.get(&artifact)?.size)
    }

    async fn digest(&mut self, artifact: Resource<ArtifactInfo>) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.table.get(&artifact)?.digest.clone())
    }

    async fn drop(&mut self, artifact: Resource<ArtifactInfo>) -> wasmtime::Result<()> {
        self.table.delete(artifact)?;
        Ok(())
    }
}
