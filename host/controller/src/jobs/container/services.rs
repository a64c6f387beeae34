//! What the services of a job write: in the job's log, as a stream of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::join_all;
use monkeyci_api::LogFrame;
use monkeyci_build::ServiceSpec;
use monkeyci_engines::{Engine, Part};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::jobs::{JobContext, Services};
use crate::logs::followers::service_frame;
use crate::logs::{LogIntake, Source};
use crate::running::BuildHandle;

/// A line longer than this is cut into several.
pub(super) const LONGEST: usize = 8 * 1024;

/// Follows the output of a pod's services, once it has started and until they end. Stops when it is dropped.
pub(in crate::jobs) struct ServiceLogs {
    task: JoinHandle<()>,
    /// Cancelled when nobody wants to hear more of it.
    over: CancellationToken,
    /// For each service: has stored what has come, and is told when it is.
    flush: Vec<mpsc::Sender<oneshot::Sender<()>>>,
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
        let (flush, flushes): (Vec<_>, Vec<_>) = names.iter().map(|_| mpsc::channel(1)).unzip();
        let task = tokio::spawn(async move {
            if let Some(started) = &started {
                started.cancelled().await;
            }
            let follow = started.is_some();
            let logs = names.iter().zip(flushes).map(|(name, flushes)| {
                one(&services, &live, engine.as_ref(), (&key, &job, attempt), (name, follow), (&told, flushes))
            });
            join_all(logs).await;
        });
        Some(Self { task, over, flush })
    }

    /// Has stored what they have written so far: what is in a container that is about to be removed is nowhere else.
    pub(super) async fn store(&self) {
        let stored = self.flush.iter().map(async |flush| {
            let (done, stored) = oneshot::channel();
            // One that has ended has stored all.
            if flush.send(done).await.is_ok() {
                let _ = stored.await;
            }
        });
        join_all(stored).await;
    }

    /// Waits until all is stored that they have written. Services that do not end within `patience` are not listened to any more.
    pub(in crate::jobs) async fn finish(mut self, patience: Duration) {
        if tokio::time::timeout(patience, &mut self.task).await.is_err() {
            self.over.cancel();
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for ServiceLogs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes in what a service writes, into the log of its job.
async fn one(
    services: &Services,
    live: &BuildHandle,
    engine: &dyn Engine,
    (key, job, attempt): (&str, &str, u32),
    (name, follow): (&str, bool),
    (over, mut flushes): (&CancellationToken, mpsc::Receiver<oneshot::Sender<()>>),
) {
    let _open = live.writing.token();
    let to = live.log_of(Some(job), &services.blobs, services.log_limits);
    let source = Source { attempt, service: Some(name.to_owned()) };
    // Where nobody knows what is there: better twice than never.
    let mut log = LogIntake::go_on(to, source, 0).await.unwrap_or_else(|_| LogIntake::new(to));
    let mut output = engine.output(key, &Part::Service(name.to_owned()), follow);
    let mut open = BytesMut::new();
    loop {
        let due = log.due();
        let next = tokio::select! {
            biased;
            next = output.next() => next,
            Some(done) = flushes.recv() => {
                log.write().await;
                let _ = done.send(());
                continue;
            }
            () = over.cancelled() => None,
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                log.write().await;
                continue;
            }
        };
        // Why it broke off, if it did, is seen by whoever watches the pod.
        let Some(Ok(chunk)) = next else { break };
        open.extend_from_slice(&chunk);
        while let Some(line) = take_line(&mut open) {
            log.push(line_of(name, &line)).await;
        }
    }
    if !open.is_empty() {
        log.push(line_of(name, &open)).await;
    }
    // The log says itself what it lacks.
    let _ = live.stored_log(Some(job), log.finish().await).await;
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
