//! Archives and logs: streamed, never held whole.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use monkeyci_api::{Action, ArtifactInfo, CACHE_HEADER, Claims, LogDecoder, LogFrame, Stored};
use monkeyci_build::{CacheSpec, EventBody, SavePolicy};
use object_store::buffered::BufWriter;
use object_store::path::Path as BlobName;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::Api;
use super::admit::{BuildPath, ItemPath, admit};
use super::problem::Refusal;
use crate::blobs::names;
use crate::cache_scope::CacheScope;
use crate::live::{LiveBuild, PodWatch};
use crate::masked_log::MaskedLog;

pub(crate) async fn read_workspace(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (build, _) = admit(&api, &headers, &path, Action::ReadWorkspace)?;
    download(&api, &names::workspace(&build.id), "the workspace").await
}

pub(crate) async fn read_artifact(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReadArtifact(path.item.clone()))?;
    download(&api, &names::artifact(&build.id, &path.item), &format!("artifact {:?}", path.item)).await
}

pub(crate) async fn read_cache(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::ReadCache(path.item.clone()))?;
    let what = format!("cache {:?}", path.item);
    let (scope, cache) = cache_of(&build, &claims, &path.item)?;
    let found = scope.find(&api.blobs, &cache).await.map_err(|error| Refusal::store(&what, error))?;
    let found = found.ok_or_else(|| Refusal::not_found(format!("{what} is not there")))?;
    let exact = if found.exact { "exact" } else { "other" };
    let kind = [(header::CONTENT_TYPE.as_str(), "application/octet-stream"), (CACHE_HEADER, exact)];
    Ok((kind, Body::from_stream(found.bytes)).into_response())
}

/// Where the build's caches are, and what the bearer's job says of this one.
fn cache_of<'a>(build: &'a LiveBuild, claims: &Claims, id: &str) -> Result<(CacheScope<'a>, CacheSpec), Refusal> {
    let job = claims.role.job().unwrap_or_default();
    let known = build.pod(job, |pod| pod.plan.caches.iter().find(|cache| cache.id == id).cloned()).flatten();
    let cache = known.ok_or_else(|| Refusal::not_found(format!("job {job:?} keeps no cache {id:?}")))?;
    let info = build.info.get().ok_or_else(|| Refusal::not_found("the code has not been checked out yet"))?;
    Ok((CacheScope::new(&build.id, &build.repository, &info.source), cache))
}

pub(crate) async fn save_artifact(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Stored>, Refusal> {
    let ItemPath { build, item: id } = path;
    let (build, claims) = admit(&api, &headers, &build, Action::SaveArtifact(id.clone()))?;
    let stopping = stopping(&build, &claims, always(&build, &claims, &id))?;
    if !build.take_artifact(&id) {
        return Err(Refusal::conflict(format!("artifact {id:?} is saved already; an artifact never changes")));
    }
    let stored = upload(&api, &names::artifact(&build.id, &id), body, &format!("artifact {id:?}"), stopping).await;
    let stored = stored.inspect_err(|_| build.release_artifact(&id))?;
    let job = claims.role.job().unwrap_or_default().to_owned();
    let (size, digest) = (stored.size, stored.digest.clone());
    let info = ArtifactInfo { id: id.clone(), job: job.clone(), size, digest: digest.clone() };
    build.record(EventBody::ArtifactSaved { job, id, size, digest }).await.map_err(Refusal::build_over)?;
    build.artifact_saved(info);
    Ok(Json(stored))
}

pub(crate) async fn save_cache(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Stored>, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::SaveCache(path.item.clone()))?;
    let (scope, cache) = cache_of(&build, &claims, &path.item)?;
    let stopping = stopping(&build, &claims, cache.save == SavePolicy::Always)?;
    upload(&api, &scope.to_write(&cache), body, &format!("cache {:?}", path.item), stopping).await.map(Json)
}

pub(crate) async fn write_define_log(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let (build, _) = admit(&api, &headers, &path, Action::WriteLog(None))?;
    write_log(&api, &build, None, body).await
}

pub(crate) async fn write_job_log(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::WriteLog(Some(path.item.clone())))?;
    write_log(&api, &build, Some(&path.item), body).await
}

/// Whether the artifact is worth having also from a job that is being stopped.
fn always(build: &LiveBuild, claims: &Claims, id: &str) -> bool {
    let job = claims.role.job().unwrap_or_default();
    let marked =
        |pod: &mut PodWatch| pod.plan.save_artifacts.iter().any(|artifact| artifact.id == id && artifact.always);
    build.pod(job, marked).unwrap_or(false)
}

/// What ends an upload of the bearer's job, unless it is `always` worth having: that the job is being stopped. A job that
/// answers TERM by a good end looks like one that did its work.
fn stopping(build: &LiveBuild, claims: &Claims, always: bool) -> Result<CancellationToken, Refusal> {
    let job = claims.role.job().unwrap_or_default();
    let stopping = build.pod(job, |pod| pod.stopping.clone()).filter(|_| !always).unwrap_or_default();
    if stopping.is_cancelled() { Err(being_stopped()) } else { Ok(stopping) }
}

fn being_stopped() -> Refusal {
    Refusal::conflict("the job is being stopped: what it leaves is not saved")
}

async fn download(api: &Api, name: &BlobName, what: &str) -> Result<Response, Refusal> {
    let found = api.blobs.get(name).await.map_err(|error| Refusal::store(what, error))?;
    let bytes = found.ok_or_else(|| Refusal::not_found(format!("{what} is not there")))?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(bytes)).into_response())
}

async fn upload(
    api: &Api,
    name: &BlobName,
    body: Body,
    what: &str,
    stopping: CancellationToken,
) -> Result<Stored, Refusal> {
    let bytes = body.into_data_stream().map_err(io::Error::other);
    let bytes = stream::try_unfold((bytes, stopping.clone()), |(mut bytes, stopping)| async move {
        tokio::select! {
            // An error, not an end: half of an archive must not look like a whole one.
            () = stopping.cancelled() => Err(io::Error::other("the job is being stopped")),
            chunk = bytes.next() => Ok(chunk.transpose()?.map(|chunk| (chunk, (bytes, stopping)))),
        }
    });
    match api.blobs.put(name, bytes.boxed()).await {
        Err(_) if stopping.is_cancelled() => Err(being_stopped()),
        stored => stored.map_err(|error| Refusal::store(what, error)),
    }
}

/// Stores a log while it arrives, and shows each frame to whoever watches. What has arrived stays, also when the sender
/// dies in the middle.
async fn write_log(api: &Api, build: &LiveBuild, job: Option<&str>, body: Body) -> Result<StatusCode, Refusal> {
    let failed = |error: io::Error| Refusal::store("the log", error);
    let _open = build.open_logs.token();
    let part = build.next_log_part(job);
    let mut writer = api.blobs.writer(&names::log(&build.id, job, part));
    let (mut decoder, mut chunks) = (LogDecoder::default(), body.into_data_stream());
    let mut masked = MaskedLog::new(&build.masking);
    let mut end = Ok(StatusCode::NO_CONTENT);
    'arriving: while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => decoder.push(&chunk),
            Err(error) => {
                end = Err(Refusal::invalid(format!("the log broke off: {error}")));
                break;
            }
        }
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    for frame in masked.push(frame) {
                        keep(build, job, &mut writer, &frame).await.map_err(failed)?;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    end = Err(Refusal::invalid(error));
                    break 'arriving;
                }
            }
        }
    }
    for frame in masked.finish() {
        keep(build, job, &mut writer, &frame).await.map_err(failed)?;
    }
    writer.shutdown().await.map_err(failed)?;
    end
}

/// Shows a frame, and stores it.
async fn keep(build: &LiveBuild, job: Option<&str>, writer: &mut BufWriter, frame: &LogFrame) -> io::Result<()> {
    build.observer.log(&build.id, job, frame);
    let mut encoded = BytesMut::new();
    frame.encode(&mut encoded);
    writer.write_all(&encoded).await
}
