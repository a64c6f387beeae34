//! What the services of a job write: in the job's log, as a stream of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use futures::future::join_all;
use monkeyci_engines::{Engine, Part};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::jobs::{JobContext, Services};
use crate::logs::followers::service_frame;
use crate::logs::{LogWriter, MaskedLog};
use crate::running::BuildHandle;

/// A line longer than this is cut into several.
pub(super) const LONGEST: usize = 8 * 1024;

/// Follows the output of a pod's services, once it has started and until they end. Stops when it is dropped.
pub(super) struct ServiceLogs {
    task: JoinHandle<()>,
    /// Cancelled when nobody wants to hear more of it.
    over: CancellationToken,
}

impl ServiceLogs {
    /// None for a pod without services.
    pub(super) fn follow(
        context: &JobContext,
        engine: &Arc<dyn Engine>,
        pod: &monkeyci_engines::Pod,
        started: CancellationToken,
    ) -> Option<Self> {
        if pod.services.is_empty() {
            return None;
        }
        let (services, live, engine) = (context.services.clone(), context.live.clone(), engine.clone());
        let (key, job) = (pod.key.clone(), pod.job.clone());
        let names: Vec<String> = pod.services.iter().map(|service| service.name.clone()).collect();
        let over = CancellationToken::new();
        let told = over.clone();
        let task = tokio::spawn(async move {
            started.cancelled().await;
            let logs = names.iter().map(|name| one(&services, &live, engine.as_ref(), &key, &job, name, &told));
            join_all(logs).await;
        });
        Some(Self { task, over })
    }

    /// Waits until all is stored that they have written. Services that do not end within `patience` are not listened to any more.
    pub(super) async fn finish(mut self, patience: Duration) {
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

async fn one(
    services: &Services,
    live: &BuildHandle,
    engine: &dyn Engine,
    key: &str,
    job: &str,
    name: &str,
    over: &CancellationToken,
) {
    let _open = live.writing.token();
    let mut stored = LogWriter::new(&services.blobs, &live.id, &live.logs, Some(job), services.log_limits);
    let mut masked = MaskedLog::new(&live.masking);
    let mut output = engine.output(key, &Part::Service(name.to_owned()));
    let mut open = BytesMut::new();
    loop {
        let due = stored.due();
        let next = tokio::select! {
            biased;
            next = output.next() => next,
            () = over.cancelled() => None,
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                stored.write().await;
                continue;
            }
        };
        // Why it broke off, if it did, is seen by whoever watches the pod.
        let Some(Ok(chunk)) = next else { break };
        open.extend_from_slice(&chunk);
        while let Some(line) = take_line(&mut open) {
            keep(live, job, name, &mut masked, &mut stored, &line).await;
        }
    }
    if !open.is_empty() {
        keep(live, job, name, &mut masked, &mut stored, &open).await;
    }
    for frame in masked.finish() {
        live.observer.log(&live.id, Some(job), &frame);
        stored.push(&frame).await;
    }
    if let Err(error) = stored.finish().await {
        tracing::warn!(%error, build = live.id, job, service = name, "the output of a service could not be stored");
    }
}

/// The first line of what has come, without its end.
fn take_line(open: &mut BytesMut) -> Option<Bytes> {
    match open.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let mut line = open.split_to(end + 1);
            line.truncate(end);
            Some(line.freeze())
        }
        None => (open.len() >= LONGEST).then(|| open.split().freeze()),
    }
}

async fn keep(
    live: &BuildHandle,
    job: &str,
    name: &str,
    masked: &mut MaskedLog,
    stored: &mut LogWriter<'_>,
    line: &[u8],
) {
    let mut bytes = BytesMut::with_capacity(name.len() + line.len() + 3);
    bytes.put_slice(name.as_bytes());
    bytes.put_slice(b": ");
    bytes.put_slice(line);
    bytes.put_u8(b'\n');
    for frame in masked.push(service_frame(bytes.freeze())) {
        live.observer.log(&live.id, Some(job), &frame);
        stored.push(&frame).await;
    }
}
