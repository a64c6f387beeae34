//! `workspace`: the code that is built, and the action's output area.

use futures::TryStreamExt;
use monkeyci_api::{Client, ClientError, FileStat, Problem};
use wasmtime::component::Resource;

use super::files::Content;
use super::{Does, FileReader};
use crate::bindings::monkeyci::script::types::Error;
use crate::bindings::monkeyci::script::workspace::{Host, HostMetadata};
use crate::sources::Source;
use crate::store::State;

/// The largest file that is read at once.
pub(crate) const WHOLE: u64 = 4 << 20;

impl Host for State {
    async fn read_file(&mut self, path: String) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        if let Some(source) = self.source(&path)? {
            return match source {
                Source::File(content) if content.len() as u64 > WHOLE => {
                    self.fails(Error::Quota(too_large(&path, content.len() as u64)))
                }
                Source::File(content) => Ok(Ok(content.into())),
                other => self.no_source(&path, &other, "file"),
            };
        }
        let client = self.client.clone();
        let request = format!("workspace.read-file({path:?})");
        self.told_bytes(Does::Nothing, request, async move || whole(&client, &path).await).await
    }

    async fn open(&mut self, path: String) -> wasmtime::Result<Result<Resource<FileReader>, Error>> {
        self.count_call()?;
        if let Err(error) = self.only_an_action() {
            return self.fails(error);
        }
        let content = match self.sources.as_ref().and_then(|sources| sources.at(&path)) {
            Some(Source::File(content)) => Content::Script(path, content),
            Some(other) => return self.no_source(&path, &other, "file"),
            None => Content::Workspace(path),
        };
        self.open_content(content).await
    }

    async fn read_dir(&mut self, path: String) -> wasmtime::Result<Result<Vec<String>, Error>> {
        if let Some(source) = self.source(&path)? {
            return match source {
                Source::Folder(names) => Ok(Ok(names)),
                other => self.no_source(&path, &other, "directory"),
            };
        }
        let client = self.client.clone();
        self.told(format!("workspace.read-dir({path:?})"), async move || client.dir(&path).await).await
    }

    async fn glob(&mut self, patterns: Vec<String>) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let client = self.client.clone();
        self.told(format!("workspace.glob({patterns:?})"), async move || client.glob(patterns).await).await
    }

    async fn stat(&mut self, path: String) -> wasmtime::Result<Result<Option<Resource<FileStat>>, Error>> {
        if let Some(source) = self.source(&path)? {
            let (kind, size) = match source {
                Source::File(content) => ("file", content.len() as u64),
                Source::Folder(_) => ("directory", 0),
                Source::Nothing => return Ok(Ok(None)),
            };
            let stat = FileStat { kind: Some(kind.to_owned()), size, executable: false };
            return Ok(Ok(Some(self.table.push(stat)?)));
        }
        let client = self.client.clone();
        match self.told(format!("workspace.stat({path:?})"), async move || client.stat(&path).await).await? {
            Ok(FileStat { kind: None, .. }) => Ok(Ok(None)),
            Ok(stat) => Ok(Ok(Some(self.table.push(stat)?))),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn hash_files(&mut self, patterns: Vec<String>) -> wasmtime::Result<Result<String, Error>> {
        let client = self.client.clone();
        self.told(format!("workspace.hash-files({patterns:?})"), async move || client.hash_files(patterns).await).await
    }

    async fn write_file(&mut self, path: String, contents: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        self.write(path, contents, false).await
    }

    async fn append_file(&mut self, path: String, contents: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        self.write(path, contents, true).await
    }
}

impl State {
    /// What the script's own sources have at a path; `None` where it is not theirs, and what is called counts itself.
    fn source(&mut self, path: &str) -> wasmtime::Result<Option<Source>> {
        let source = self.sources.as_ref().and_then(|sources| sources.at(path));
        if source.is_some() {
            self.count_call()?;
        }
        Ok(source)
    }

    /// The error for a path of the sources where something else is than was wanted.
    fn no_source<T>(&mut self, path: &str, found: &Source, wanted: &str) -> wasmtime::Result<Result<T, Error>> {
        self.fails(match found {
            Source::Nothing => Error::NotFound(format!("the script's sources have no {path:?}")),
            Source::File(_) | Source::Folder(_) => Error::Invalid(format!("{path:?} is no {wanted}")),
        })
    }

    async fn write(&mut self, path: String, contents: Vec<u8>, append: bool) -> wasmtime::Result<Result<(), Error>> {
        if let Err(error) = self.only_an_action() {
            self.count_call()?;
            return self.fails(error);
        }
        let function = if append { "append-file" } else { "write-file" };
        let request = format!("workspace.{function}({path:?}, {})", self.tape.digest(&contents));
        let client = self.client.clone();
        let write = async move || client.write_output(&path, contents, append).await;
        self.told_of(Does::Files, request, write).await
    }
}

fn too_large(path: &str, size: u64) -> String {
    format!("{path:?} has {size} bytes, and at most {WHOLE} are read at once; open it instead")
}

async fn whole(client: &Client, path: &str) -> Result<Vec<u8>, ClientError> {
    let content = client.file(path).await?;
    if content.size > WHOLE {
        return Err(ClientError::Refused(Problem {
            status: 413,
            title: "too large".to_owned(),
            detail: too_large(path, content.size),
        }));
    }
    let mut bytes = Vec::with_capacity(content.size as usize);
    let mut stream = content.bytes;
    while let Some(chunk) = stream.try_next().await? {
        // The file may grow while it is read.
        let room = (WHOLE as usize).saturating_sub(bytes.len());
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(bytes)
}

impl HostMetadata for State {
    async fn kind(&mut self, metadata: Resource<FileStat>) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.table.get(&metadata)?.kind.clone().unwrap_or_default())
    }

    async fn size(&mut self, metadata: Resource<FileStat>) -> wasmtime::Result<u64> {
        self.count_call()?;
        Ok(self.table.get(&metadata)?.size)
    }

    async fn executable(&mut self, metadata: Resource<FileStat>) -> wasmtime::Result<bool> {
        self.count_call()?;
        Ok(self.table.get(&metadata)?.executable)
    }

    async fn drop(&mut self, metadata: Resource<FileStat>) -> wasmtime::Result<()> {
        self.table.delete(metadata)?;
        Ok(())
    }
}
