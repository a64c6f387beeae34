//! What happens in a build and what its jobs say, as it comes: server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::str;

use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, Stream};
use futures::{StreamExt, TryStreamExt};
use http::{StatusCode, header};
use monkeyci_api::LogStream;
use monkeyci_controller::{Build, LogPiece};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use super::Call;
use super::wire::{Events, LogPieceBody};
use crate::Server;
use crate::refusal::Refusal;
use crate::store::State;

pub(super) async fn events(server: &Server, call: &Call) -> Result<Response, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        after: Option<u64>,
    }
    let Wanted { after } = call.query()?;
    let seen = call.header("last-event-id")?.map(str::parse::<u64>).transpose();
    let seen = seen.map_err(|_| Refusal::invalid("the Last-Event-ID is none that an event of a build has"))?;
    let after = seen.or(after).unwrap_or(0);
    let accepts = call.header(header::ACCEPT.as_str())?.unwrap_or_default();
    if !accepts.contains("text/event-stream") {
        return page(server, call, after).await;
    }
    let row = call.build()?;
    let slot = slot(server)?;
    if row.state == State::Begun {
        let build = server.0.host.build(&row.build).await?;
        let mut rest = build.events(after).peekable();
        let goes_on = super::builds::ended(server, row).await?.is_none();
        if !goes_on && Pin::new(&mut rest).peek().await.is_none() {
            // Whoever has heard the end need not come again.
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    } else if !matches!(row.state, State::Pending | State::Waiting) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (server_of_stream, id) = (server.clone(), row.build.clone());
    let told = stream::once(async move {
        let build = server_of_stream.begun(&id).await?;
        Ok::<_, Refusal>(build.map(|build| build.events(after).map_err(Refusal::from)))
    });
    let told = told.try_filter_map(async |events| Ok(events)).try_flatten().map_ok(|event| {
        let sent = Sent::default().id(event.seq.to_string()).event(event.body.kind());
        sent.data(serde_json::to_string(&event).unwrap_or_default())
    });
    Ok(streamed(server, told, slot))
}

/// As many events as are read at once.
async fn page(server: &Server, call: &Call, after: u64) -> Result<Response, Refusal> {
    let row = call.build()?;
    if row.state != State::Begun {
        let is_over = !matches!(row.state, State::Pending | State::Waiting);
        return Ok(Json(Events { events: Vec::new(), next: after, is_over }).into_response());
    }
    // Before the events: what has ended by then is among them.
    let is_over = super::builds::ended(server, row).await?.is_some();
    let builds = server.0.host.builds();
    let (mut events, mut next) = (Vec::new(), after);
    while events.is_empty() {
        let read = builds.events_after(&row.build, next).await?;
        let Some(last) = read.last() else { break };
        next = last.seq;
        events.extend(read.into_iter().filter(|event| event.body.is_shown()));
    }
    let is_over = is_over && events.is_empty();
    Ok(Json(Events { events, next, is_over }).into_response())
}

pub(super) async fn logs(server: &Server, call: &Call) -> Result<Response, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        job: Option<String>,
    }
    let Wanted { job } = call.query()?;
    let slot = slot(server)?;
    let (server_of_stream, id) = (server.clone(), call.build()?.build.clone());
    let pieces = stream::once(async move {
        let build: Option<Build> = server_of_stream.begun(&id).await?;
        Ok::<_, Refusal>(build.map(|build| build.logs(job.as_deref()).map_err(Refusal::from)))
    });
    let pieces = pieces.try_filter_map(async |pieces| Ok(pieces)).try_flatten().map_ok(|piece| {
        let text = serde_json::to_string(&body(piece)).unwrap_or_default();
        Sent::default().event("log").data(text)
    });
    // Browsers connect again when a stream ends: the last piece tells them that this one has.
    let end = stream::once(async { Ok(Sent::default().event("end").data("{}")) });
    Ok(streamed(server, pieces.chain(end), slot))
}

fn body(piece: LogPiece) -> LogPieceBody {
    let LogPiece { job, frame, .. } = piece;
    let stream = match frame.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        LogStream::Host => "host",
        LogStream::Service => "service",
    };
    let base64 = str::from_utf8(&frame.bytes).is_err().then(|| STANDARD.encode(&frame.bytes));
    let text = String::from_utf8_lossy(&frame.bytes).into_owned();
    LogPieceBody { job, stream, time_ms: frame.time_ms, text, base64 }
}

pub(super) fn slot(server: &Server) -> Result<OwnedSemaphorePermit, Refusal> {
    let slot = server.0.streams.clone().try_acquire_owned();
    slot.map_err(|_| Refusal::busy("as many streams are open as there may be"))
}

/// A stream, until it ends, or the server closes. What goes wrong ends it after a last event that says so.
fn streamed(
    server: &Server,
    told: impl Stream<Item = Result<Sent, Refusal>> + Send + 'static,
    slot: OwnedSemaphorePermit,
) -> Response {
    let told = told.scan(false, |has_failed, told| {
        let next = (!*has_failed).then_some(told);
        *has_failed = next.as_ref().is_some_and(Result::is_err);
        std::future::ready(next)
    });
    let told = told.map(move |told| {
        let _slot = &slot;
        let said = |refusal: Refusal| Sent::default().event("problem").data(refusal.to_json());
        Ok::<_, Infallible>(told.unwrap_or_else(said))
    });
    let closing = server.0.starting.closing.clone().cancelled_owned();
    Sse::new(told.take_until(closing)).keep_alive(KeepAlive::default()).into_response()
}
