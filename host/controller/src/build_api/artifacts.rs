//! Artifacts for actions: looking into them, and making them.

use std::io::{self, Read, Seek};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::HeaderMap;
use monkeyci_api::{Action, ArtifactInfo, Artifacts, Claims, Names, SIZE_HEADER, checked};
use monkeyci_archive::{ArchiveError, ArchivedFile, UnpackLimits, extract_file, list_files, pack, pack_file};
use monkeyci_storage::{names, written_by};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::Api;
use super::admission::{BuildPath, ItemPath, admit};
use super::files::{inside, output_area};
use super::readers;
use crate::disk::{FILE, Taken};
use crate::running::BuildHandle;
use crate::serve::Refusal;

/// The build, the artifact and the file in a request's path.
#[derive(Debug, Deserialize)]
pub(crate) struct FileInArtifact {
    #[serde(flatten)]
    build: BuildPath,
    id: String,
    path: String,
}

pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
) -> Result<Json<Artifacts>, Refusal> {
    let (build, _) = admit(&api, &headers, &path, Action::ListArtifacts).await?;
    Ok(Json(Artifacts { artifacts: build.artifacts() }))
}

pub(crate) async fn file_names(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Json<Names>, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ListArtifactFiles(path.item.clone())).await?;
    let mut archive = archive(&api, &build, &path.item).await?;
    let list = move || {
        let files = list_files(&mut archive, &UnpackLimits::default())?;
        io::copy(&mut archive, &mut io::sink()).map_err(ArchiveError::Read)?;
        Ok(files)
    };
    let files = tokio::task::spawn_blocking(list).await;
    let files =
        files.map_err(|error| Refusal::store("an artifact", error))?.map_err(|error| unreadable(&path.item, error))?;
    Ok(Json(Names { names: files.into_iter().map(|(path, _)| path.to_string_lossy().into_owned()).collect() }))
}

pub(crate) async fn read_file(
    State(api): State<Arc<Api>>,
    Path(path): Path<FileInArtifact>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let FileInArtifact { build, id, path } = path;
    let (build, _) = admit(&api, &headers, &build, Action::ReadArtifactFile(id.clone(), path.clone())).await?;
    let wanted = inside(&path)?;
    let open = api.readers.open(&build.id, readers::ARTIFACT)?;
    let archive = archive(&api, &build, &id).await?;
    let file = tokio::task::spawn_blocking(move || extract_file(archive, &wanted, &UnpackLimits::default())).await;
    let file = file.map_err(|error| Refusal::store("an artifact", error))?.map_err(|error| unreadable(&id, error))?;
    let size = file.size();
    // A thread for each piece that is asked for, and none while nobody asks: a reader may lie open for as long as its action runs.
    let stream = futures::stream::try_unfold((file, open), async |(file, open)| {
        let read = tokio::task::spawn_blocking(move || next_piece(file)).await;
        let read = read.map_err(io::Error::other)??;
        Ok::<_, io::Error>(read.map(|(piece, file)| (piece, (file, open))))
    });
    Ok(([(SIZE_HEADER, size.to_string())], Body::from_stream(stream)).into_response())
}

/// Reads on in a file of an archive; none at its end.
fn next_piece<R: Read>(mut file: ArchivedFile<R>) -> io::Result<Option<(Bytes, ArchivedFile<R>)>> {
    let mut piece = vec![0; 128 * 1024];
    let read = file.read(&mut piece)?;
    if read == 0 {
        // Only at its end it is known whether the archive is the one that was saved.
        io::copy(&mut file.into_reader(), &mut io::sink())?;
        return Ok(None);
    }
    piece.truncate(read);
    Ok(Some((Bytes::from(piece), file)))
}

pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    Path(path): Path<FileInArtifact>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ArtifactInfo>, Refusal> {
    let FileInArtifact { build, id, path } = path;
    let (build, claims) = admit(&api, &headers, &build, Action::CreateArtifact(id.clone(), path.clone())).await?;
    let wanted = inside(&path)?;
    let spooled = build.disk.begin();
    let (file, size) = spool(body, &spooled).await?;
    save(&api, &build, &claims, id, move |out| pack_file(&wanted, size, file, out).map(drop)).await
}

pub(crate) async fn save_output(
    State(api): State<Arc<Api>>,
    Path(path): Path<FileInArtifact>,
    headers: HeaderMap,
) -> Result<Json<ArtifactInfo>, Refusal> {
    let FileInArtifact { build, id, path } = path;
    let (build, claims) = admit(&api, &headers, &build, Action::SaveOutput(id.clone(), path.clone())).await?;
    let wanted = inside(&path)?;
    let job = claims.role.job().unwrap_or_default();
    let dirs = build.dirs.get().ok_or_else(|| Refusal::not_found("the code has not been checked out yet"))?;
    let area = output_area(dirs, job, claims.attempt).map_err(|error| Refusal::store("the output area", error))?;
    if area.symlink_metadata(&wanted).is_err() {
        return Err(Refusal::not_found(format!("the output area has no {path:?}")));
    }
    save(&api, &build, &claims, id, move |out| pack(&area, &wanted, out).map(drop)).await
}

/// Keeps a body in a file, since an archive says the size of a file before its content.
async fn spool(body: Body, taken: &Taken) -> Result<(std::fs::File, u64), Refusal> {
    let failed = |error: io::Error| Refusal::store("a file for an artifact", error);
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await;
    let mut file = tokio::fs::File::from_std(file.map_err(|error| Refusal::store("a file", error))?.map_err(failed)?);
    let (mut chunks, mut size) = (body.into_data_stream(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Refusal::invalid(format!("the artifact broke off: {error}")))?;
        size += chunk.len() as u64;
        taken.take(chunk.len() as u64)?;
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    let mut file = file.into_std().await;
    file.rewind().map_err(failed)?;
    Ok((file, size))
}

/// Packs an artifact into the store: whole, or not at all.
async fn save(
    api: &Api,
    build: &Arc<BuildHandle>,
    claims: &Claims,
    id: String,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), ArchiveError> + Send + 'static,
) -> Result<Json<ArtifactInfo>, Refusal> {
    if let Some(saved) = build.was_saved(&id, claims.role.job().unwrap_or_default(), claims.attempt) {
        return Ok(Json(saved));
    }
    let upload = build
        .upload(&id, claims.role.job().unwrap_or_default(), claims.attempt)
        .ok_or_else(|| Refusal::conflict(format!("artifact {id:?} is saved already; an artifact never changes")))?;
    let what = format!("artifact {id:?}");
    let taken = Arc::new(build.disk.begin());
    taken.take(FILE)?;
    let counted = taken.clone();
    let count = move |out: &mut dyn io::Write| write(&mut Counted { out, taken: counted }).map_err(io::Error::other);
    let stored = written_by(&api.blobs, &upload.name(), count).await;
    let stored = stored.map_err(|error| Refusal::store(&what, error))?;
    taken.keep();
    Ok(Json(upload.saved(stored).await?))
}

/// Counts what is written.
struct Counted<'a> {
    out: &'a mut dyn io::Write,
    taken: Arc<Taken>,
}

impl io::Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.taken.take(bytes.len() as u64)?;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// An artifact's archive, for code that reads and blocks.
async fn archive(
    api: &Api,
    build: &BuildHandle,
    id: &str,
) -> Result<SyncIoBridge<StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>>, Refusal> {
    let what = format!("artifact {id:?}");
    let missing = || Refusal::not_found(format!("{what} has not been saved"));
    let saved = build.artifact(id).ok_or_else(missing)?;
    let found = api.blobs.get(&names::artifact(&build.id, id, saved.attempt)).await;
    let bytes = found.map_err(|error| Refusal::store(&what, error))?.ok_or_else(missing)?;
    let bytes = checked(bytes.map_err(io::Error::other).boxed(), saved.digest, move |_| {
        tracing::error!("{what} in the store is not what was saved");
        Some(io::Error::other("the store has changed it since it was saved"))
    });
    Ok(SyncIoBridge::new(StreamReader::new(bytes)))
}

fn unreadable(id: &str, error: ArchiveError) -> Refusal {
    match error {
        ArchiveError::NoSuchFile { path } => Refusal::not_found(format!("artifact {id:?} has no file {path:?}")),
        error => Refusal::invalid(format!("artifact {id:?} can't be read: {error}")),
    }
}
