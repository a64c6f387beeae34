//! The writer of a database: one task, which puts the appends of all builds into as few durable writes as it can.
//!
//! An append is written when somebody waits for it, or after a moment. So a build that does nothing outside of its host costs one
//! write, at its end. While a write is under way, appends queue; all that are there then go into the next one. A disk that is full
//! and a database that is busy stop nobody: the write is made again until it can be.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::{Append, Journal, JournalError, Obstacle};
use crate::watched::Watched;

/// What goes into one transaction, about: larger ones make others wait.
pub(crate) const BATCH_BYTES: u64 = 8 << 20;
pub(crate) const BATCH_RECORDS: usize = 4096;

/// How long the writer waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For more to write, while nobody waits for what is there. A host that is killed loses what it did in that time, of which
    /// nobody outside knows.
    pub linger: Duration,
    /// Before it makes a write again that could not be made, the first time. It doubles from one time to the next.
    pub first: Duration,
    /// The same, at most.
    pub most: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (linger, first) = (Duration::from_millis(50), Duration::from_millis(100));
        Self { linger, first, most: Duration::from_secs(2) }
    }
}

/// Why the writer waits. Builds wait with it before they do anything outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What is in the way.
    pub obstacle: Obstacle,
    /// What the database said, and which it is.
    pub message: String,
}

/// How far one build's journal has got.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// The last record on disk.
    pub(super) durable: u64,
    /// Why no more will follow.
    pub(super) failed: Option<JournalError>,
}

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Request {
    Append(Queued),
    /// Somebody waits for what was queued before this.
    Flush,
}

/// An append, and who hears what came of it.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) append: Append,
    pub(super) progress: Arc<Watched<Progress>>,
}

/// Writes what is queued, until nobody queues any more.
pub(super) async fn write(
    journal: Arc<dyn Journal>,
    mut queue: mpsc::UnboundedReceiver<Request>,
    patience: Patience,
    waiting: watch::Sender<Option<Waiting>>,
) {
    while let Some(first) = queue.recv().await {
        // Somebody waits for what is written already.
        let Request::Append(first) = first else { continue };
        let batch = gather(first, &mut queue, patience.linger).await;
        let mut batches = VecDeque::from([batch]);
        while let Some(batch) = batches.pop_front() {
            let (appends, told): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|queued| (queued.append, queued.progress)).unzip();
            let mut delay = patience.first;
            let written = loop {
                match journal.commit(&appends).await {
                    Err(error @ JournalError::Blocked { obstacle, .. }) => {
                        if queue.is_closed() && queue.is_empty() {
                            break Err(error);
                        }
                        announce(&waiting, obstacle, &error);
                        tokio::time::sleep(delay).await;
                        delay = (delay * 2).min(patience.most);
                    }
                    other => break other,
                }
            };
            if waiting.send_replace(None).is_some() {
                tracing::info!("the journal {} is written again", journal.name());
            }
            match written {
                Ok(verdicts) => {
                    let all = appends.iter().zip(&told).zip(verdicts);
                    all.for_each(|((append, progress), verdict)| tell(append, progress, verdict));
                }
                // One of them can't be written, and the others need not suffer for it.
                Err(_) if appends.len() > 1 => {
                    let queued = appends.into_iter().zip(told).map(|(append, progress)| Queued { append, progress });
                    batches.extend(queued.map(|queued| vec![queued]));
                }
                Err(error) => {
                    appends.iter().zip(&told).for_each(|(append, progress)| tell(append, progress, Err(error.clone())));
                }
            }
        }
    }
}

/// What goes into the next write, beside the first of it.
async fn gather(first: Queued, queue: &mut mpsc::UnboundedReceiver<Request>, linger: Duration) -> Vec<Queued> {
    let mut batch: Vec<Queued> = Vec::new();
    let (mut bytes, mut records) = (0, 0);
    let (mut next, mut flush, until) = (Some(Request::Append(first)), false, Instant::now() + linger);
    while let Some(request) = next {
        match request {
            Request::Append(queued) => {
                bytes += size(&queued.append);
                records += queued.append.records.len();
                add(&mut batch, queued);
            }
            // Those whom the last write woke have something to append too: let them.
            Request::Flush if !flush => {
                flush = true;
                tokio::task::yield_now().await;
            }
            Request::Flush => {}
        }
        next = match bytes < BATCH_BYTES && records < BATCH_RECORDS {
            true if flush => queue.try_recv().ok(),
            true => timeout_at(until, queue.recv()).await.ok().flatten(),
            false => None,
        };
    }
    batch
}

fn size(append: &Append) -> u64 {
    let records = append.records.iter().map(|record| record.body.len() as u64 + 256);
    records.chain(append.pieces.iter().map(|piece| piece.text.len() as u64)).sum()
}

/// Adds an append to a batch: to what the same build appends before it, where it follows that.
fn add(batch: &mut Vec<Queued>, queued: Queued) {
    if queued.progress.look(|progress| progress.failed.is_some()) {
        return;
    }
    let before = batch.iter_mut().find(|before| before.append.head() == queued.append.before());
    match before {
        Some(before) if before.append.build == queued.append.build => {
            before.append.records.extend(queued.append.records);
            before.append.pieces.extend(queued.append.pieces);
            before.append.index.then(queued.append.index);
        }
        _ => batch.push(queued),
    }
}

fn tell(append: &Append, progress: &Watched<Progress>, verdict: Result<(), JournalError>) {
    let last = append.head().last;
    progress.change(|progress| match verdict {
        Ok(()) => progress.durable = last,
        Err(error) => progress.failed = Some(error),
    });
}

fn announce(waiting: &watch::Sender<Option<Waiting>>, obstacle: Obstacle, error: &JournalError) {
    let now = Some(Waiting { obstacle, message: error.to_string() });
    let news = waiting.send_if_modified(|waiting| {
        let news = *waiting != now;
        *waiting = now;
        news
    });
    if news {
        tracing::warn!("{error}; builds wait until it can be written");
    }
}
