//! The workspace archive: what container jobs start from.

use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use tokio::sync::mpsc;

use crate::blobs::Blobs;

/// Packs the directory into the blob `name`: all files that git would not ignore.
pub(crate) async fn store(blobs: &Blobs, name: &Path, dir: PathBuf) -> Result<u64, io::Error> {
    let (sender, receiver) = mpsc::channel::<Bytes>(8);
    let packing = tokio::task::spawn_blocking(move || {
        let mut writer = io::BufWriter::with_capacity(256 * 1024, ChannelWriter(sender));
        monkeyci_archive::pack_workspace(&dir, &mut writer).map_err(io::Error::other)?;
        writer.flush()
    });
    let chunks = futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let stored = blobs.put(name, chunks.map(Ok::<_, io::Error>).boxed()).await;
    let packed = packing.await.map_err(io::Error::other).and_then(|packed| packed);
    match (stored, packed) {
        (Ok(stored), Ok(())) => Ok(stored.size),
        // The packer then only sees that nobody listens any more.
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
