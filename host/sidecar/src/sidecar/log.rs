//! Sends the job's log to the build API as it comes.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures::stream;
use monkeyci_api::{Body, Client, ClientError, LogFrame, LogStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// Frames that may wait for the build API, at most 64 KiB each. When it is slower than the job, the job waits.
pub(super) const QUEUE: usize = 16;
const RETRIES: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// The log of one job: one request that lasts as long as the job.
pub(super) struct Log {
    queue: mpsc::Sender<Bytes>,
    upload: JoinHandle<Result<(), ClientError>>,
}

impl Log {
    pub(super) fn open(client: Client, job: String) -> Self {
        let (queue, frames) = mpsc::channel(QUEUE);
        Self { queue, upload: tokio::spawn(upload(client, job, frames)) }
    }

    /// Adds a piece of the job's output.
    pub(super) async fn send(&self, frame: LogFrame) {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        // A log that can't be sent is no reason to end the job.
        let _ = self.queue.send(bytes.freeze()).await;
    }

    /// Adds a line of the host's own.
    pub(super) async fn say(&self, line: String) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let bytes = Bytes::from(line + "\n");
        self.send(LogFrame { stream: LogStream::Host, time_ms: time.as_millis() as u64, bytes }).await;
    }

    /// Ends the log and waits until all of it is stored.
    pub(super) async fn finish(self) -> Result<(), ClientError> {
        drop(self.queue);
        self.upload.await.unwrap_or_else(|error| Err(ClientError::Unreachable(error.to_string())))
    }
}

async fn upload(client: Client, job: String, frames: mpsc::Receiver<Bytes>) -> Result<(), ClientError> {
    let frames = Arc::new(Mutex::new(frames));
    let mut lost = None;
    let mut attempt = 0;
    loop {
        // The receiver is shared, so that it outlives a request that fails; what the request had taken is lost.
        let body = stream::unfold(Arc::clone(&frames), |frames| async move {
            let frame = frames.lock().await.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(frame), frames))
        });
        attempt += 1;
        match client.send_log(Some(&job), Body::wrap_stream(body)).await {
            Ok(()) => return lost.map_or(Ok(()), Err),
            Err(error @ ClientError::Unreachable(_)) if attempt <= RETRIES => {
                lost = Some(error);
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(error) => {
                // Nobody must wait for a queue that nobody empties.
                while frames.lock().await.recv().await.is_some() {}
                return Err(error);
            }
        }
    }
}
