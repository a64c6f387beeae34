//! Logs: shown while they arrive, and stored.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, LOG_FROM_HEADER, LogDecoder, LogFrame};
use monkeyci_build::EventBody;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::admission::{BuildPath, ItemPath, admit};
use crate::disk::DiskError;
use crate::logs::{LogWriter, Mark, MaskedLog, Source};
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
) -> Result<Response, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::WriteLog(Some(path.item.clone())))?;
    match headers.get(LOG_FROM_HEADER) {
        None => Ok(write_log(api, build, Some(path.item), body).await?.into_response()),
        Some(from) => {
            let from = from.to_str().ok().and_then(|from| from.parse().ok());
            let from = from.ok_or_else(|| Refusal::invalid(format!("{LOG_FROM_HEADER} is a number of bytes")))?;
            stream_log(api, build, path.item, claims.attempt, from, body).await
        }
    }
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
        let stored = LogWriter::new(&api.blobs, &build.id, &build.logs, job.as_deref(), api.log_limits);
        let mut taking = Taking { build: &build, job: job.as_deref(), masked: MaskedLog::new(&build.masking), stored };
        let came = taking.take(body, &CancellationToken::new()).await;
        taking.finish().await?;
        came
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
    let source = Source { attempt, service: None };
    let (parts, others) = build.logs.parts(&job);
    let mark = match from > 0 || others {
        true => Mark::find(&api.blobs, &build.id, &job, parts, &source).await,
        false => Ok(None),
    };
    let mark = mark.map_err(|error| Refusal::store("the log", error))?;
    let (told, kept) = oneshot::channel();
    let open = build.writing.token();
    tokio::spawn(async move {
        let (_open, _turn) = (open, turn);
        let stored = LogWriter::new(&api.blobs, &build.id, &build.logs, Some(&job), api.log_limits);
        let stored = stored.going_on(source, mark.as_ref(), from);
        let _ = told.send(stored.settled());
        let place = mark.map_or_else(Default::default, |mark| mark.place);
        let masked = MaskedLog::going_on(&build.masking, place, from);
        let mut taking = Taking { build: &build, job: Some(&job), masked, stored };
        let ended = match taking.take(body, &gone).await {
            Ok(()) => taking.finish().await,
            // What is held back comes again.
            Err(_) => taking.stop().await,
        };
        if let Err(refusal) = ended {
            tracing::warn!(?refusal, build = build.id, job, "a part of a log is lost");
        }
    });
    let mut kept = kept.await.map_err(|error| Refusal::store("the log", error))?;
    // The answer begins at once: by it the sidecar knows that the host is there.
    kept.mark_changed();
    let places = stream::unfold(kept, async |mut kept| {
        kept.changed().await.ok()?;
        let place: u64 = *kept.borrow_and_update();
        Some((Ok::<_, Infallible>(Bytes::copy_from_slice(&place.to_be_bytes())), kept))
    });
    Ok(Body::from_stream(places).into_response())
}

/// A log that arrives.
struct Taking<'a> {
    build: &'a BuildHandle,
    job: Option<&'a str>,
    masked: MaskedLog,
    stored: LogWriter<'a>,
}

impl Taking<'_> {
    /// Takes what comes, to its end, or until somebody else takes the rest.
    ///
    /// # Errors
    /// When it breaks off, or is no log.
    async fn take(&mut self, body: Body, gone: &CancellationToken) -> Result<(), Refusal> {
        let (mut decoder, mut chunks) = (LogDecoder::default(), body.into_data_stream());
        loop {
            let due = self.stored.due();
            let next = tokio::select! {
                biased;
                next = chunks.next() => next,
                () = gone.cancelled() => return Err(Refusal::conflict("the log goes on elsewhere")),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.stored.write().await;
                    continue;
                }
            };
            match next {
                Some(Ok(chunk)) => decoder.push(&chunk),
                Some(Err(error)) => return Err(Refusal::invalid(format!("the log broke off: {error}"))),
                None => return decoder.finish().map_err(Refusal::invalid),
            }
            while let Some(frame) = decoder.next_frame().map_err(Refusal::invalid)? {
                let frames = self.masked.push(frame);
                self.keep(frames).await;
            }
        }
    }

    /// Shows frames, and stores them.
    async fn keep(&mut self, frames: Vec<LogFrame>) {
        for frame in frames {
            self.build.observer.log(&self.build.id, self.job, &frame);
            self.stored.push(&frame);
        }
        self.stored.reached(self.masked.place(), self.masked.came(), self.masked.take_left_out()).await;
    }

    /// The log is whole.
    async fn finish(mut self) -> Result<(), Refusal> {
        let last = self.masked.finish();
        self.keep(last).await;
        self.stop().await
    }

    /// Nothing more of it comes here.
    async fn stop(self) -> Result<(), Refusal> {
        let Self { build, stored, .. } = self;
        let Err(error) = stored.finish().await else { return Ok(()) };
        if let Some(limit) = DiskError::of(&error)
            && build.disk.is_said_first()
        {
            let message = format!("not all of the logs is kept: {limit}");
            // Over, if the build is: then nobody wants to know.
            let _ = build.record(EventBody::BuildWarned { message }).await;
        }
        Err(Refusal::store("the log", error))
    }
}
