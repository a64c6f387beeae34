//! From code that writes and blocks to a blob.

use std::io::{self, Write};

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use tokio::sync::mpsc;

use crate::blobs::{Blobs, Stored};

/// Stores what `write` writes as the blob `name`: whole, or not at all.
pub async fn written_by(
    blobs: &Blobs,
    name: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Result<Stored, io::Error> {
    let (sender, receiver) = mpsc::channel::<Bytes>(8);
    let writing = tokio::task::spawn_blocking(move || {
        let mut writer = io::BufWriter::with_capacity(256 * 1024, ChannelWriter(sender));
        write(&mut writer)?;
        writer.flush()
    });
    let chunks = futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let stored = blobs.put(name, chunks.map(Ok::<_, io::Error>).boxed()).await;
    let written = writing.await.map_err(io::Error::other).and_then(|written| written);
    match (stored, written) {
        (Ok(stored), Ok(())) => Ok(stored),
        // The writer then only sees that nobody listens any more.
        (Err(error), _) => Err(error),
        // The channel just ended, and a half archive stands: it must not.
        (Ok(_), Err(error)) => {
            let _ = blobs.remove(name).await;
            Err(error)
        }
    }
}

/// Hands what is written to an asynchronous reader.
struct ChannelWriter(mpsc::Sender<Bytes>);

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(chunk).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
