//! Logs: shown while they arrive, and stored.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, LOG_FROM_HEADER, LogDecoder, Role};
use monkeyci_build::Status;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::admission::{BuildPath, ItemPath, admit};
use crate::logs::{LogIntake, Source};
use crate::running::BuildHandle;
use crate::serve::Refusal;

pub(crate) async fn write_define_log(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let (build, _) = admit(&api, &headers, &path, Action::WriteLog(None)).await?;
    write_log(api, build, None, body).await
}

pub(crate) async fn write_job_log(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::WriteLog(Some(path.item.clone()))).await?;
    match headers.get(LOG_FROM_HEADER) {
        None => {
            // What completes a late job and what runs it are two logs of one attempt.
            let runs = build.state().job(&path.item).is_some_and(|job| job.status == Status::Running);
            let part = (!runs).then(|| COMPLETING.to_owned());
            let of_script = matches!(claims.role, Role::Script { .. });
            let source = of_script.then_some(Source { attempt: claims.attempt, service: part });
            Ok(write_log(api, build, Some((path.item, source)), body).await?.into_response())
        }
        Some(from) => {
            let from = from.to_str().ok().and_then(|from| from.parse().ok());
            let from = from.ok_or_else(|| Refusal::invalid(format!("{LOG_FROM_HEADER} is a number of bytes")))?;
            stream_log(api, build, path.item, claims.attempt, from, body).await
        }
    }
}

/// What no service is called: the log of the function that completes a late job.
const COMPLETING: &str = "(completing)";

/// Takes a log in a task of its own: what has arrived is kept, also when the connection breaks and takes the handler along.
async fn write_log(
    api: Arc<Api>,
    build: Arc<BuildHandle>,
    job: Option<(String, Option<Source>)>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let open = build.writing.token();
    let writing = tokio::spawn(async move {
        let _open = open;
        let (job, source) = job.unzip();
        let to = build.log_of(job.as_deref(), &api.blobs, api.log_limits);
        // An action whose host has died prints all again in another process.
        let mut log = match source.flatten() {
            Some(source) => {
                let log = LogIntake::go_on(to, source, 0).await;
                log.map_err(|error| Refusal::store("the log", error))?
            }
            None => LogIntake::new(to),
        };
        let came = take(&mut log, body, &CancellationToken::new()).await;
        let stored = build.stored_log(job.as_deref(), log.finish().await).await;
        stored.map_err(|error| Refusal::store("the log", error)).and(came)
    });
    writing.await.map_err(|error| Refusal::store("the log", error))??;
    Ok(StatusCode::NO_CONTENT)
}

/// The same of a sidecar, which hears up to where its log is kept while it comes, and goes on from there when the connection breaks.
async fn stream_log(
    api: Arc<Api>,
    build: Arc<BuildHandle>,
    job: String,
    attempt: u32,
    from: u64,
    body: Body,
) -> Result<Response, Refusal> {
    // Whoever comes again comes in the place of who came before: its connection is broken, whether this side knows or not.
    let turn = build.pod(&job, |pod| pod.log.next());
    let (gone, lock) = turn.ok_or_else(|| Refusal::not_found(format!("job {job:?} does not run now")))?;
    let turn = lock.lock_owned().await;
    let (told, kept) = oneshot::channel();
    let open = build.writing.token();
    tokio::spawn(async move {
        let (_open, _turn) = (open, turn);
        let source = Source { attempt, service: None };
        let log = LogIntake::go_on(build.log_of(Some(&job), &api.blobs, api.log_limits), source, from).await;
        let mut log = match log {
            Ok(log) => log,
            Err(error) => return drop(told.send(Err(Refusal::store("the log", error)))),
        };
        let _ = told.send(Ok(log.settled()));
        let stored = match take(&mut log, body, &gone).await {
            Ok(()) => log.finish().await,
            Err(_) => log.stop().await,
        };
        // The log says itself what it lacks.
        let _ = build.stored_log(Some(&job), stored).await;
    });
    let mut kept = kept.await.map_err(|error| Refusal::store("the log", error))??;
    // The answer begins at once: by it the sidecar knows that the host is there.
    kept.mark_changed();
    let places = stream::unfold(kept, async |mut kept| {
        kept.changed().await.ok()?;
        let place: u64 = *kept.borrow_and_update();
        Some((Ok::<_, Infallible>(Bytes::copy_from_slice(&place.to_be_bytes())), kept))
    });
    Ok(Body::from_stream(places).into_response())
}

/// Takes in what comes of a log, to its end, or until somebody else takes the rest.
///
/// # Errors
/// When it breaks off, or is no log.
async fn take(log: &mut LogIntake<'_>, body: Body, gone: &CancellationToken) -> Result<(), Refusal> {
    let (mut decoder, mut chunks) = (LogDecoder::default(), body.into_data_stream());
    loop {
        let due = log.due();
        let next = tokio::select! {
            biased;
            next = chunks.next() => next,
            () = gone.cancelled() => return Err(Refusal::conflict("the log goes on elsewhere")),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                log.write().await;
                continue;
            }
        };
        match next {
            Some(Ok(chunk)) => decoder.push(&chunk),
            Some(Err(error)) => return Err(Refusal::invalid(format!("the log broke off: {error}"))),
            None => return decoder.finish().map_err(Refusal::invalid),
        }
        while let Some(frame) = decoder.next_frame().map_err(Refusal::invalid)? {
            log.push(frame).await;
        }
    }
}
