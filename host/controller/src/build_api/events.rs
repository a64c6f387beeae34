//! Reading the build's events.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::HeaderMap;
use monkeyci_api::{Action, EventPage, EventQuery};
use monkeyci_build::{Event, EventBody};
use tokio::time::{Instant, timeout_at};

use super::admission::{BuildPath, admit};
use super::{Api, LONGEST_WAIT};
use crate::serve::{Refusal, parse};

/// The most events of one answer.
const PAGE: usize = 100;
pub(crate) async fn read_events(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<EventPage>, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::ReadEvents)?;
    let query: EventQuery = parse(&body)?;
    let mut last = build.last_seq();
    let mut after = query.after.unwrap_or_else(|| *last.borrow());
    let end = Instant::now() + Duration::from_millis(query.wait_ms).min(LONGEST_WAIT);
    loop {
        last.mark_unchanged();
        let (events, seen) = build.events_after(after, PAGE, |event| wanted(&query, event));
        if !events.is_empty() {
            let events = events.iter().map(|event| Event::clone(event)).collect();
            return Ok(Json(EventPage { events, seen }));
        }
        after = seen;
        // Whoever is to publish the event may need the place to do so.
        if query.wait_ms > 0
            && let Some(own) = claims.role.job()
            && build.starts_waiting(own)
        {
            build.record(EventBody::JobWaiting { job: own.to_owned() }).await.map_err(Refusal::build_over)?;
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
    any(&query.kinds, Some(event.body.kind()))
        && any(&query.names, event.body.published().map(|(name, _)| name))
        && any(&query.jobs, event.body.job())
}
