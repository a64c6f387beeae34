//! Reading the build's events.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::HeaderMap;
use monkeyci_api::{Action, EventPage, EventQuery};
use monkeyci_build::{BuildCommand, Event, WaitFor};
use tokio::time::{Instant, timeout_at};

use super::admission::{BuildPath, admit};
use super::{Api, LONGEST_WAIT};
use crate::serve::{Refusal, parse};

/// The most events of one answer.
pub(crate) const PAGE: usize = 100;
/// No more events are put into an answer that has so many bytes: 1 MiB.
pub(crate) const PAGE_BYTES: usize = 1 << 20;

pub(crate) async fn read_events(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<EventPage>, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::ReadEvents).await?;
    let query: EventQuery = parse(&body)?;
    let mut last = build.last_seq();
    let mut after = query.after.unwrap_or_else(|| last.get());
    let end = Instant::now() + Duration::from_millis(query.wait_ms).min(LONGEST_WAIT);
    let mut told = false;
    loop {
        last.has_seen();
        let (events, seen) = build.events_after(after, (PAGE, PAGE_BYTES), |event| wanted(&query, event));
        if !events.is_empty() {
            let events = events.iter().map(|event| Event::clone(event)).collect();
            return Ok(Json(EventPage { events, seen }));
        }
        after = seen;
        // Whoever is to publish the event may need the slot to do so.
        if query.wait_ms > 0
            && !std::mem::replace(&mut told, true)
            && let Some(own) = claims.role.job()
        {
            let (job, attempt, what) = (own.to_owned(), claims.attempt, WaitFor::ForATime);
            build.command(BuildCommand::Wait { job, attempt, what }).await?;
        }
        if !matches!(timeout_at(end, last.changed()).await, Ok(Ok(()))) {
            return Ok(Json(EventPage { events: Vec::new(), seen }));
        }
    }
}

fn wanted(query: &EventQuery, event: &Event) -> bool {
    let any = |list: &[String], value: Option<&str>| {
        list.is_empty() || value.is_some_and(|value| list.iter().any(|wanted| wanted == value))
    };
    event.body.is_shown()
        && any(&query.kinds, Some(event.body.kind()))
        && any(&query.names, event.body.published().map(|(name, _)| name))
        && any(&query.jobs, event.body.job())
}
