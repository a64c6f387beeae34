//! Archives: streamed, never held whole. What is read comes with the digest that it had when it was saved: of an artifact from
//! the journal, of a cache from its seal, of the workspace from the build that packed it.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use monkeyci_api::{Action, CACHE_HEADER, Claims, DIGEST_HEADER, Stored, checked};
use monkeyci_build::{CacheSpec, SavePolicy, SavedArtifact};
use monkeyci_storage::{CacheScope, hex, names, sealed};
use object_store::path::Path as BlobName;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::admission::{BuildPath, ItemPath, admit};
use crate::disk::{FILE, Taken};
use crate::running::{BuildHandle, PodWatch};
use crate::serve::Refusal;

pub(crate) async fn read_workspace(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::ReadWorkspace).await?;
    let (name, digest) = build.workspace_of(claims.role.job().unwrap_or_default());
    download(&api, &name, digest, "the workspace").await
}

pub(crate) async fn read_artifact(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReadArtifact(path.item.clone())).await?;
    let what = format!("artifact {:?}", path.item);
    // One that is only in the store is on its way there, or somebody else's: nobody knows what it should be.
    let saved = build.artifact(&path.item).ok_or_else(|| Refusal::not_found(format!("{what} is not there")))?;
    download(&api, &names::artifact(&build.id, &path.item, saved.attempt), Some(&saved.digest), &what).await
}

pub(crate) async fn read_cache(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::ReadCache(path.item.clone())).await?;
    let what = format!("cache {:?}", path.item);
    let (scope, cache) = cache_of(&build, &claims, &path.item)?;
    let found = scope.find(&api.blobs, &cache).await.map_err(|error| Refusal::store(&what, error))?;
    let found = found.ok_or_else(|| Refusal::not_found(format!("{what} is not there")))?;
    api.blobs.used(&found.name);
    let exact = if found.exact { "exact" } else { "other" };
    let kind = [
        (header::CONTENT_TYPE.as_str(), "application/octet-stream"),
        (CACHE_HEADER, exact),
        (DIGEST_HEADER, &found.content.digest),
    ];
    let (blobs, name) = (api.blobs.clone(), found.name);
    // The sidecar sees it too, and says so. But a cache that is broken must not break the next build as well.
    let bytes = checked(found.content.bytes, found.content.digest.clone(), move |_| {
        tracing::error!(%name, "a cache in the store is not what was saved, and is removed");
        tokio::spawn(async move {
            if let Err(error) = blobs.remove(&name).await {
                tracing::error!(%error, %name, "a broken cache can't be removed");
            }
        });
        None
    });
    Ok((kind, Body::from_stream(bytes)).into_response())
}

/// Where the build's caches are, and what the bearer's job says of this one.
fn cache_of<'a>(build: &'a BuildHandle, claims: &Claims, id: &str) -> Result<(CacheScope<'a>, CacheSpec), Refusal> {
    let job = claims.role.job().unwrap_or_default();
    let known = build.pod(job, |pod| pod.plan.caches.iter().find(|cache| cache.id == id).cloned()).flatten();
    let cache = known.ok_or_else(|| Refusal::not_found(format!("job {job:?} keeps no cache {id:?}")))?;
    let info = build.info.get().ok_or_else(|| Refusal::not_found("the code has not been checked out yet"))?;
    let scope = CacheScope::new(&build.id, &build.repository, &info.source);
    Ok((build.caches.get().into_iter().fold(scope, CacheScope::confined), cache))
}

pub(crate) async fn save_artifact(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Stored>, Refusal> {
    let ItemPath { build, item: id } = path;
    let (build, claims) = admit(&api, &headers, &build, Action::SaveArtifact(id.clone())).await?;
    let stopping = stopping(&build, &claims, always(&build, &claims, &id))?;
    let job = claims.role.job().unwrap_or_default();
    let Some(upload) = build.upload(&id, job, claims.attempt) else {
        return same_again(&build, &claims, &id, body).await;
    };
    let taken = Arc::new(build.disk.begin());
    taken.take(FILE)?;
    let bytes = counted(bytes_until(body, &stopping), taken.clone());
    let (blobs, name) = (api.blobs.clone(), upload.name());
    // In a task of its own: the upload is not over for as long as the store may still change what is there.
    let mut storing = tokio::spawn({
        let (blobs, name) = (blobs.clone(), name.clone());
        async move { (blobs.put(&name, bytes).await, upload) }
    });
    let stored = tokio::select! {
        biased;
        stored = &mut storing => stored,
        () = stopping.cancelled() => {
            tokio::spawn(async move {
                if let Ok((Ok(_), _upload)) = storing.await
                    && let Err(error) = blobs.remove(&name).await
                {
                    tracing::warn!(%error, %name, "an artifact of a job that was stopped could not be removed");
                }
            });
            return Err(being_stopped());
        }
    };
    let what = format!("artifact {id:?}");
    let (stored, upload) = stored.map_err(|error| Refusal::store(&what, error))?;
    let stored = stored.map_err(|error| not_stored(&stopping, &what, error))?;
    taken.keep();
    upload.saved(stored.clone()).await?;
    Ok(answer(stored))
}

pub(crate) async fn save_cache(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Stored>, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::SaveCache(path.item.clone())).await?;
    let (scope, cache) = cache_of(&build, &claims, &path.item)?;
    let stopping = stopping(&build, &claims, cache.save == SavePolicy::Always)?;
    let taken = Arc::new(build.disk.begin());
    taken.take(FILE)?;
    let bytes = counted(bytes_until(body, &stopping), taken.clone());
    let (blobs, name) = (api.blobs.clone(), scope.to_write(&cache));
    // A cache that is whole when its job is stopped is one of a job that went well.
    let storing = tokio::spawn(async move {
        let stored = sealed::put(&blobs, &name, bytes).await;
        if stored.is_ok() {
            taken.keep();
        }
        stored
    });
    let what = format!("cache {:?}", path.item);
    tokio::select! {
        biased;
        stored = storing => {
            let stored = stored.map_err(|error| Refusal::store(&what, error))?;
            stored.map(answer).map_err(|error| not_stored(&stopping, &what, error))
        }
        () = stopping.cancelled() => Err(being_stopped()),
    }
}

/// What is said of what was stored.
fn answer(monkeyci_storage::Stored { size, digest }: monkeyci_storage::Stored) -> Json<Stored> {
    Json(Stored { size, digest })
}

/// Whether the artifact is worth having also from a job that is being stopped.
fn always(build: &BuildHandle, claims: &Claims, id: &str) -> bool {
    let job = claims.role.job().unwrap_or_default();
    let marked =
        |pod: &mut PodWatch| pod.plan.save_artifacts.iter().any(|artifact| artifact.id == id && artifact.always);
    build.pod(job, marked).unwrap_or(false)
}

/// What ends an upload of the bearer's job, unless it is `always` worth having: that the job is being stopped. A job that
/// answers TERM by a good end looks like one that did its work. It ends at once, however slow its sender or the store is.
fn stopping(build: &BuildHandle, claims: &Claims, always: bool) -> Result<CancellationToken, Refusal> {
    let job = claims.role.job().unwrap_or_default();
    let stopping = build.pod(job, |pod| pod.stopping.clone()).filter(|_| !always).unwrap_or_default();
    if stopping.is_cancelled() { Err(being_stopped()) } else { Ok(stopping) }
}

fn being_stopped() -> Refusal {
    Refusal::conflict("the job is being stopped: what it leaves is not saved")
}

async fn download(api: &Api, name: &BlobName, digest: Option<&str>, what: &str) -> Result<Response, Refusal> {
    let found = api.blobs.get(name).await.map_err(|error| Refusal::store(what, error))?;
    let bytes = found.ok_or_else(|| Refusal::not_found(format!("{what} is not there")))?;
    let mut answer = ([(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(bytes)).into_response();
    if let Some(digest) = digest.and_then(|digest| HeaderValue::from_str(digest).ok()) {
        answer.headers_mut().insert(DIGEST_HEADER, digest);
    }
    Ok(answer)
}

/// A body until the job is being stopped: then it breaks off.
fn bytes_until(body: Body, stopping: &CancellationToken) -> BoxStream<'static, Result<Bytes, io::Error>> {
    let all = stream::try_unfold((bytes_of(body), stopping.clone()), |(mut bytes, stopping)| async move {
        tokio::select! {
            biased;
            // An error, not an end: half of an archive must not look like a whole one.
            () = stopping.cancelled() => Err(io::Error::other("the job is being stopped")),
            chunk = bytes.next() => Ok(chunk.transpose()?.map(|chunk| (chunk, (bytes, stopping)))),
        }
    });
    all.boxed()
}

/// The same, while the build may take more of the disk.
fn counted(
    bytes: BoxStream<'static, Result<Bytes, io::Error>>,
    taken: Arc<Taken>,
) -> BoxStream<'static, Result<Bytes, io::Error>> {
    let count = move |bytes: Bytes| {
        taken.take(bytes.len() as u64)?;
        Ok(bytes)
    };
    bytes.map(move |bytes| bytes.and_then(&count)).boxed()
}

fn not_stored(stopping: &CancellationToken, what: &str, error: io::Error) -> Refusal {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<BrokenOff>()) {
        _ if stopping.is_cancelled() => being_stopped(),
        Some(broken) => Refusal::invalid(broken),
        None => Refusal::store(what, error),
    }
}

/// What was sent has no end: its sender's doing, and not the store's.
#[derive(Debug, thiserror::Error)]
#[error("it broke off: {0}")]
struct BrokenOff(axum::Error);

fn bytes_of(body: Body) -> BoxStream<'static, Result<Bytes, io::Error>> {
    body.into_data_stream().map_err(|error| io::Error::other(BrokenOff(error))).boxed()
}

/// An artifact that is saved already comes again: its sender has not heard that it was. It may send the same again.
async fn same_again(build: &BuildHandle, claims: &Claims, id: &str, body: Body) -> Result<Json<Stored>, Refusal> {
    let saved = build.artifact(id).ok_or_else(|| Refusal::busy(format!("artifact {id:?} is being saved")))?;
    let conflict = || Refusal::conflict(format!("artifact {id:?} is saved already; an artifact never changes"));
    if claims.role.job() != Some(saved.job.as_str()) {
        return Err(conflict());
    }
    let (mut bytes, mut hash) = (bytes_of(body), Sha256::new());
    while let Some(chunk) = bytes.try_next().await.map_err(Refusal::invalid)? {
        hash.update(&chunk);
    }
    let SavedArtifact { size, digest, .. } = saved;
    if hex(&hash.finalize()) == digest { Ok(Json(Stored { size, digest })) } else { Err(conflict()) }
}
