//! What the services of a job write: in the job's log, as a stream of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::join_all;
use monkeyci_api::LogFrame;
use monkeyci_build::ServiceSpec;
use monkeyci_engines::{Engine, Part};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::jobs::{JobContext, Services};
use crate::logs::followers::service_frame;
use crate::logs::{LogIntake, Source};
use crate::running::BuildHandle;

/// A line longer than this is cut into several.
pub(super) const LONGEST: usize = 8 * 1024;

/// Follows the output of a pod's services, once it has started and until they end. When it is dropped, no more is read, and what was
/// read is stored.
pub(in crate::jobs) struct ServiceLogs {
    /// Tells whether each output came to its end.
    task: JoinHandle<bool>,
    /// Cancelled when nobody wants to hear more of it.
    over: CancellationToken,
}

impl ServiceLogs {
    /// None for a pod without services.
    pub(super) fn follow(
        context: &JobContext,
        engine: &Arc<dyn Engine>,
        of: (&str, &str, u32),
        specs: &[ServiceSpec],
        started: CancellationToken,
    ) -> Option<Self> {
        Self::read(context, engine, of, specs, Some(started))
    }

    /// Takes what the services of a pod have written so far, and that alone, of a pod that nobody has followed to its end.
    pub(in crate::jobs) fn catch_up(
        context: &JobContext,
        engine: &Arc<dyn Engine>,
        of: (&str, &str, u32),
        specs: &[ServiceSpec],
    ) -> Option<Self> {
        Self::read(context, engine, of, specs, None)
    }

    fn read(
        context: &JobContext,
        engine: &Arc<dyn Engine>,
        (key, job, attempt): (&str, &str, u32),
        specs: &[ServiceSpec],
        started: Option<CancellationToken>,
    ) -> Option<Self> {
        if specs.is_empty() {
            return None;
        }
        let (services, live, engine) = (context.services.clone(), context.live.clone(), engine.clone());
        let (key, job) = (key.to_owned(), job.to_owned());
        let names: Vec<String> = specs.iter().map(|service| service.name.clone()).collect();
        let over = CancellationToken::new();
        let told = over.clone();
        let task = tokio::spawn(async move {
            if let Some(started) = &started {
                tokio::select! {
                    () = started.cancelled() => {}
                    () = told.cancelled() => return false,
                }
            }
            let follow = started.is_some();
            let logs = names
                .iter()
                .map(|name| one(&services, &live, engine.as_ref(), (&key, &job, attempt), (name, follow), &told));
            join_all(logs).await.into_iter().all(|ended| ended)
        });
        Some(Self { task, over })
    }

    /// Waits until all is stored that they have written. Services that do not end within `patience` are not listened to any more.
    /// Returns whether all of it has come: an engine may also break off.
    pub(in crate::jobs) async fn finish(mut self, patience: Duration) -> bool {
        if let Ok(ended) = tokio::time::timeout(patience, &mut self.task).await {
            return ended.unwrap_or(false);
        }
        self.over.cancel();
        (&mut self.task).await.unwrap_or(false)
    }
}

impl Drop for ServiceLogs {
    fn drop(&mut self) {
        // Not aborted: what its log has taken in would be lost, with whatever it was just about to write.
        self.over.cancel();
    }
}

/// Takes in what a service writes, into the log of its job. Returns whether that came to its end.
async fn one(
    services: &Services,
    live: &BuildHandle,
    engine: &dyn Engine,
    (key, job, attempt): (&str, &str, u32),
    (name, follow): (&str, bool),
    over: &CancellationToken,
) -> bool {
    let _open = live.writing.token();
    let to = live.log_of(Some(job), &services.blobs, services.log_limits);
    let source = Source { attempt, service: Some(name.to_owned()) };
    // Where nobody knows what is there: better twice than never.
    let mut log = LogIntake::go_on(to, source, 0).await.unwrap_or_else(|_| LogIntake::new(to));
    let mut output = engine.output(key, &Part::Service(name.to_owned()), follow);
    let mut open = BytesMut::new();
    let ended = loop {
        let due = log.due();
        let next = tokio::select! {
            biased;
            // First: a service that writes without a pause is read no longer either.
            () = over.cancelled() => break false,
            next = output.next() => next,
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                log.write().await;
                continue;
            }
        };
        let chunk = match next {
            Some(Ok(chunk)) => chunk,
            // Why it broke off is seen by whoever watches the pod.
            Some(Err(_)) => break false,
            None => break true,
        };
        open.extend_from_slice(&chunk);
        while let Some(line) = take_line(&mut open) {
            log.push(line_of(name, &line)).await;
        }
    };
    // Half a line that has no end yet is read again, as a whole, by whoever asks for the rest.
    if ended && !open.is_empty() {
        log.push(line_of(name, &open)).await;
    }
    // The log says itself what it lacks.
    let _ = live.stored_log(Some(job), log.finish().await).await;
    ended
}

/// A line, with the service's name in front. Places count such lines: an engine gives all of a service's output again to who asks again.
fn line_of(name: &str, line: &[u8]) -> LogFrame {
    service_frame([name.as_bytes(), b": ", line, b"\n"].concat().into())
}

/// The first line of what has come, without its end. What it is depends on nothing but the bytes: whoever asks an engine for them again
/// gets the same lines.
fn take_line(open: &mut BytesMut) -> Option<Bytes> {
    match open.iter().take(LONGEST).position(|byte| *byte == b'\n') {
        Some(end) => {
            let mut line = open.split_to(end + 1);
            line.truncate(end);
            Some(line.freeze())
        }
        None => (open.len() >= LONGEST).then(|| open.split_to(LONGEST).freeze()),
    }
}
