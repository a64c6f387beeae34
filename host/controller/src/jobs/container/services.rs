//! What the services of a job write: in the job's log, as a stream of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
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
use crate::logs::{LogWriter, Mark, MaskedLog, Source};
use crate::running::BuildHandle;

/// A line longer than this is cut into several.
pub(super) const LONGEST: usize = 8 * 1024;

/// Follows the output of a pod's services, once it has started and until they end. Stops when it is dropped.
pub(super) struct ServiceLogs {
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
    pub(super) fn catch_up(
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

/// A service's output on its way into the log of its job.
struct Service<'a> {
    live: &'a BuildHandle,
    job: &'a str,
    name: &'a str,
    masked: MaskedLog,
    stored: LogWriter<'a>,
}

async fn one(
    services: &Services,
    live: &BuildHandle,
    engine: &dyn Engine,
    (key, job, attempt): (&str, &str, u32),
    (name, follow): (&str, bool),
    (over, mut flushes): (&CancellationToken, mpsc::Receiver<oneshot::Sender<()>>),
) {
    let _open = live.writing.token();
    let source = Source { attempt, service: Some(name.to_owned()) };
    let (parts, others) = live.logs.parts(job);
    let mark = match others {
        true => Mark::find(&services.blobs, &live.id, job, parts, &source).await,
        false => Ok(None),
    };
    // Where it can't be read, nobody knows what is there: better twice than never.
    let mark = mark.unwrap_or_default();
    let place = mark.as_ref().map_or_else(Default::default, |mark| mark.place);
    let stored = LogWriter::new(&services.blobs, &live.id, &live.logs, Some(job), services.log_limits);
    let stored = stored.going_on(source, mark.as_ref(), 0);
    let mut service = Service { live, job, name, masked: MaskedLog::going_on(&live.masking, place, 0), stored };
    let mut output = engine.output(key, &Part::Service(name.to_owned()), follow);
    let mut open = BytesMut::new();
    loop {
        let due = service.stored.due();
        let next = tokio::select! {
            biased;
            next = output.next() => next,
            Some(done) = flushes.recv() => {
                service.stored.write().await;
                let _ = done.send(());
                continue;
            }
            () = over.cancelled() => None,
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                service.stored.write().await;
                continue;
            }
        };
        // Why it broke off, if it did, is seen by whoever watches the pod.
        let Some(Ok(chunk)) = next else { break };
        open.extend_from_slice(&chunk);
        while let Some(line) = take_line(&mut open) {
            service.keep(&line).await;
        }
    }
    if !open.is_empty() {
        service.keep(&open).await;
    }
    let last = service.masked.finish();
    service.show(last).await;
    if let Err(error) = service.stored.finish().await {
        tracing::warn!(%error, build = live.id, job, service = name, "the output of a service could not be stored");
    }
}

impl Service<'_> {
    /// A line, with the service's name in front. Places count such lines: an engine gives all of a service's output again to who asks
    /// again.
    async fn keep(&mut self, line: &[u8]) {
        let mut bytes = BytesMut::with_capacity(self.name.len() + line.len() + 3);
        bytes.put_slice(self.name.as_bytes());
        bytes.put_slice(b": ");
        bytes.put_slice(line);
        bytes.put_u8(b'\n');
        let frames = self.masked.push(service_frame(bytes.freeze()));
        self.show(frames).await;
    }

    async fn show(&mut self, frames: Vec<LogFrame>) {
        for frame in frames {
            self.live.observer.log(&self.live.id, Some(self.job), &frame);
            self.stored.push(&frame);
        }
        self.stored.reached(self.masked.place(), self.masked.came(), self.masked.take_left_out()).await;
    }
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
