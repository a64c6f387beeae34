//! `artifacts`: the build's artifacts, for actions.

use std::io;

use bytes::Bytes;
use monkeyci_api::{ArtifactInfo, Body, ClientError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wasmtime::component::Resource;

use super::files::Content;
use super::{Does, FileReader, failure, guest_error};
use crate::bindings::monkeyci::script::artifacts::{Host, HostArtifact, HostWriter};
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;
use crate::tape::{Answer, Records, Told};

/// How many chunks may wait for the build API.
pub(crate) const QUEUE: usize = 4;

/// An artifact that a guest writes: the request that takes its bytes. A writer that is dropped breaks the request off, so
/// nothing is saved.
pub struct ArtifactWriter {
    /// Which of the action's writers it is.
    number: u64,
    /// Neither finished nor failed.
    open: bool,
    /// None where another process has brought it to its end.
    upload: Option<Upload>,
}

struct Upload {
    chunks: mpsc::Sender<Option<Bytes>>,
    request: JoinHandle<Result<ArtifactInfo, ClientError>>,
}

impl Upload {
    /// How the request ended.
    async fn end(self) -> Answer {
        drop(self.chunks);
        let ended = self.request.await.unwrap_or_else(|error| Err(ClientError::Unreachable(error.to_string())));
        let info = ended.map_err(|error| failure(&error))?;
        serde_json::to_vec(&info).map_err(|error| (0, error.to_string()))
    }
}

impl Host for State {
    async fn list(&mut self) -> wasmtime::Result<Result<Vec<Resource<ArtifactInfo>>, Error>> {
        if let Err(error) = self.only_an_action() {
            self.count_call()?;
            return self.fails(error);
        }
        let client = self.client.clone();
        match self.told_of(Does::Changes, "artifacts.list".to_owned(), async move || client.artifacts().await).await? {
            Ok(all) => Ok(Ok(all.into_iter().map(|info| self.table.push(info)).collect::<Result<_, _>>()?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn file_names(&mut self, id: String) -> wasmtime::Result<Result<Vec<String>, Error>> {
        if let Err(error) = self.only_an_action() {
            self.count_call()?;
            return self.fails(error);
        }
        let (client, request) = (self.client.clone(), format!("artifacts.file-names({id:?})"));
        self.told(request, async move || client.artifact_files(&id).await).await
    }

    async fn open(&mut self, id: String, path: String) -> wasmtime::Result<Result<Resource<FileReader>, Error>> {
        self.count_call()?;
        if let Err(error) = self.only_an_action() {
            return self.fails(error);
        }
        self.open_content(Content::Artifact(id, path)).await
    }

    async fn create(&mut self, id: String, path: String) -> wasmtime::Result<Result<Resource<ArtifactWriter>, Error>> {
        self.count_call()?;
        // Said at once, and not when all has been written.
        if let Err(error) = self.only_an_action().and_then(|()| self.may_create(&id)) {
            return self.fails(error);
        }
        self.writers += 1;
        let number = self.writers;
        let request = self.tape.named(format!("artifacts.create({id:?}, {path:?})"));
        let is_told = self.recorded(&request)?.is_some();
        if !is_told {
            self.record(request, &Ok(Vec::new()), Records::Whole)?;
        }
        // What is saved, or has failed, is so; what was not finished is written once more.
        let writes = write(number);
        let ends = |request: &str, fails| request == finish(number) || (fails && request.starts_with(&writes));
        let is_over = self.tape.replaying().is_some() || (is_told && self.tape.comes(ends));
        let upload = (!is_over).then(|| {
            self.open_writers += 1;
            self.upload(id, path)
        });
        Ok(Ok(self.table.push(ArtifactWriter { number, open: true, upload })?))
    }

    async fn save(&mut self, id: String, path: String) -> wasmtime::Result<Result<Resource<ArtifactInfo>, Error>> {
        if let Err(error) = self.only_an_action().and_then(|()| self.may_create(&id)) {
            self.count_call()?;
            return self.fails(error);
        }
        let (client, request) = (self.client.clone(), format!("artifacts.save({id:?}, {path:?})"));
        let save = async move || client.save_output(&id, &path).await;
        match self.told_of(Does::Effect, request, save).await? {
            Ok(info) => Ok(Ok(self.table.push(info)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl State {
    /// Begins the request that takes an artifact's bytes.
    fn upload(&self, id: String, path: String) -> Upload {
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
        Upload { chunks, request }
    }
}

/// How the request begins that a writer writes.
fn write(number: u64) -> String {
    format!("writer.write({number}, ")
}

/// That a writer finishes.
fn finish(number: u64) -> String {
    format!("writer.finish({number})")
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
        let digest = self.tape.digest(&bytes);
        let ArtifactWriter { number, open, upload } = self.table.get_mut(&writer)?;
        if !*open {
            return self.fails(finished());
        }
        let request = format!("{}{digest})", write(*number));
        let told = match self.tape.next(&request)? {
            Told::Whole(answer) => Some(answer),
            Told::Again(_) | Told::Live => None,
        };
        let is_taken = match upload {
            Some(upload) => bytes.is_empty() || upload.chunks.send(Some(bytes.into())).await.is_ok(),
            None => true,
        };
        let is_told = told.is_some();
        let answer = match (told, is_taken) {
            (Some(answer), _) => answer,
            (None, true) => Ok(Vec::new()),
            (None, false) => match upload.take() {
                // The request has ended before its time, and knows why.
                Some(upload) => {
                    self.open_writers -= 1;
                    upload.end().await.map(|_| Vec::new())
                }
                None => Ok(Vec::new()),
            },
        };
        if !is_told {
            self.record(request, &answer, Records::Whole)?;
        }
        match answer {
            Ok(_) => Ok(Ok(())),
            Err(failure) => {
                self.table.get_mut(&writer)?.open = false;
                self.fails(guest_error(failure))
            }
        }
    }

    async fn finish(
        &mut self,
        writer: Resource<ArtifactWriter>,
    ) -> wasmtime::Result<Result<Resource<ArtifactInfo>, Error>> {
        self.count_call()?;
        let ArtifactWriter { number, open, upload } = self.table.get_mut(&writer)?;
        if !std::mem::replace(open, false) {
            return self.fails(finished());
        }
        let (number, upload) = (*number, upload.take());
        self.open_writers -= u32::from(upload.is_some());
        let answer = match (self.recorded(&finish(number))?, upload) {
            (Some(answer), _) => answer,
            (None, None) => return self.fails(finished()),
            (None, Some(upload)) => {
                self.keep().await?;
                // One that can't be told that this is the end has ended already.
                let _ = upload.chunks.send(None).await;
                let answer = upload.end().await;
                self.record(finish(number), &answer, Records::Whole)?;
                answer
            }
        };
        match answer {
            Ok(info) => Ok(Ok(self.table.push(serde_json::from_slice::<ArtifactInfo>(&info)?)?)),
            Err(failure) => self.fails(guest_error(failure)),
        }
    }

    async fn drop(&mut self, writer: Resource<ArtifactWriter>) -> wasmtime::Result<()> {
        let writer = self.table.delete(writer)?;
        self.open_writers -= u32::from(writer.upload.is_some());
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
