//! Logs: shown while they arrive, and stored.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, LogDecoder, LogFrame};
use monkeyci_build::EventBody;

use super::Api;
use super::admission::{BuildPath, ItemPath, admit};
use crate::disk::DiskError;
use crate::logs::{LogWriter, MaskedLog};
use crate::running::BuildHandle;
use crate::serve::Refusal;

pub(crate) async fn write_define_log(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let (build, _) = admit(&api, &headers, &path, Action::WriteLog(None))?;
    write_log(api, build, None, body).await
}

pub(crate) async fn write_job_log(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::WriteLog(Some(path.item.clone())))?;
    write_log(api, build, Some(path.item), body).await
}

/// Takes a log in a task of its own: what has arrived is kept, also when the connection breaks and takes the handler along.
async fn write_log(
    api: Arc<Api>,
    build: Arc<BuildHandle>,
    job: Option<String>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let open = build.writing.token();
    let writing = tokio::spawn(async move {
        let _open = open;
        take_log(&api, &build, job.as_deref(), body).await
    });
    writing.await.map_err(|error| Refusal::store("the log", error))?
}

async fn take_log(api: &Api, build: &BuildHandle, job: Option<&str>, body: Body) -> Result<StatusCode, Refusal> {
    let mut stored = LogWriter::new(&api.blobs, &build.id, &build.logs, job, api.log_limits);
    let (mut decoder, mut chunks) = (LogDecoder::default(), body.into_data_stream());
    let mut masked = MaskedLog::new(&build.masking);
    let mut end = Ok(StatusCode::NO_CONTENT);
    'arriving: loop {
        let next = match stored.due() {
            None => chunks.next().await,
            Some(due) => match tokio::time::timeout_at(due, chunks.next()).await {
                Ok(next) => next,
                Err(_) => {
                    stored.write().await;
                    continue;
                }
            },
        };
        match next {
            Some(Ok(chunk)) => decoder.push(&chunk),
            Some(Err(error)) => {
                end = Err(Refusal::invalid(format!("the log broke off: {error}")));
                break;
            }
            None => break,
        }
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    for frame in masked.push(frame) {
                        keep(build, job, &mut stored, &frame).await;
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
        keep(build, job, &mut stored, &frame).await;
    }
    if let Err(error) = stored.finish().await {
        if let Some(limit) = DiskError::of(&error)
            && build.disk.is_said_first()
        {
            let message = format!("not all of the logs is kept: {limit}");
            // Over, if the build is: then nobody wants to know.
            let _ = build.record(EventBody::BuildWarned { message }).await;
        }
        return Err(Refusal::store("the log", error));
    }
    end
}

/// Shows a frame, and stores it.
async fn keep(build: &BuildHandle, job: Option<&str>, stored: &mut LogWriter<'_>, frame: &LogFrame) {
    build.observer.log(&build.id, job, frame);
    stored.push(frame).await;
}
