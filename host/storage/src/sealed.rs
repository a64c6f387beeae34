//! Blobs that carry their own digest: what is written under a name that later builds write again, too, has no event that could
//! keep it.
//!
//! The seal is at the end of the blob, as a skippable frame of zstd (RFC 8878, 3.1.2). So blob and digest change in one step,
//! and the blob is still an archive that `zstd -d` takes.

use std::io;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetOptions, GetRange};

use crate::blobs::{BlobBytes, Blobs, Stored, bytes_of, hex};

/// A skippable frame of zstd, its length, and a word that says whose it is.
const HEAD: [u8; 12] = *b"\x5e\x2a\x4d\x18\x24\0\0\0mkci";
/// The head, and a SHA-256.
const SEAL: u64 = HEAD.len() as u64 + 32;

/// What was found under a name.
pub enum Sealed {
    /// The blob.
    Whole(Content),
    /// The blob has no seal at its end, so it was cut off, or is not ours.
    Broken,
}

/// A sealed blob's content, without the seal.
pub struct Content {
    /// Its SHA-256 when it was stored, in hexadecimal.
    pub digest: String,
    /// The bytes as they are now.
    pub bytes: BlobBytes,
}

/// Stores a stream with its seal: whole, or not at all.
pub async fn put<E: Into<io::Error>>(
    blobs: &Blobs,
    name: &Path,
    bytes: BoxStream<'_, Result<Bytes, E>>,
) -> Result<Stored, io::Error> {
    blobs.write(name, bytes, |digest| [&HEAD, digest].concat().into()).await
}

/// Opens a sealed blob; none if there is none.
pub async fn get(blobs: &Blobs, name: &Path) -> Result<Option<Sealed>, object_store::Error> {
    loop {
        let options = GetOptions { range: Some(GetRange::Suffix(SEAL)), ..GetOptions::default() };
        let Some(end) = blobs.get_with(name, options).await? else { return Ok(None) };
        let meta = end.meta.clone();
        let seal = end.bytes().await?;
        let Some(digest) = seal.strip_prefix(&HEAD).filter(|digest| digest.len() == 32).map(hex) else {
            return Ok(Some(Sealed::Broken));
        };
        let size = meta.size.saturating_sub(SEAL);
        if size == 0 {
            return Ok(Some(Sealed::Whole(Content { digest, bytes: futures::stream::empty().boxed() })));
        }
        let options =
            GetOptions { range: Some(GetRange::Bounded(0..size)), if_match: meta.e_tag, ..GetOptions::default() };
        match blobs.get_with(name, options).await {
            Ok(found) => {
                let content = |bytes: BlobBytes| Sealed::Whole(Content { digest, bytes });
                return Ok(found.map(|found| content(bytes_of(found))));
            }
            // Somebody has written it anew between the two.
            Err(object_store::Error::Precondition { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    async fn stored(content: &'static [u8]) -> (tempfile::TempDir, Blobs, Path, Stored) {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::local(dir.path()).expect("a store");
        let bytes = futures::stream::iter([Ok::<_, io::Error>(Bytes::from_static(content))]);
        let name = Path::from("blob");
        let stored = put(&blobs, &name, bytes.boxed()).await.expect("stored");
        (dir, blobs, name, stored)
    }

    async fn whole(blobs: &Blobs, name: &Path) -> (String, Vec<u8>) {
        let Some(Sealed::Whole(content)) = get(blobs, name).await.expect("a store") else { panic!("not whole") };
        let bytes: Vec<Bytes> = content.bytes.try_collect().await.expect("bytes");
        (content.digest, bytes.concat())
    }

    #[tokio::test]
    async fn a_blob_comes_back_with_the_digest_that_it_was_stored_with() {
        for content in [&b""[..], b"content"] {
            let (_dir, blobs, name, stored) = stored(content).await;
            assert_eq!(stored.size, content.len() as u64);
            assert_eq!(whole(&blobs, &name).await, (stored.digest, content.to_vec()));
        }
    }

    #[tokio::test]
    async fn the_digest_stays_when_the_content_is_changed() {
        let (dir, blobs, name, stored) = stored(b"content").await;
        let path = dir.path().join("blob");
        let mut bytes = std::fs::read(&path).expect("a file");
        bytes[0] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        assert_eq!(whole(&blobs, &name).await, (stored.digest, b"bontent".to_vec()));
    }

    #[tokio::test]
    async fn a_blob_that_was_cut_off_is_known_as_broken() {
        let (dir, blobs, name, _) = stored(b"content").await;
        for left in [50, 10] {
            let file = std::fs::File::options().write(true).open(dir.path().join("blob")).expect("a file");
            file.set_len(left).expect("cut");
            assert!(matches!(get(&blobs, &name).await.expect("a store"), Some(Sealed::Broken)));
        }
        assert!(get(&blobs, &Path::from("none")).await.expect("a store").is_none());
    }

    #[tokio::test]
    async fn zstd_still_takes_a_sealed_archive() {
        let from = tempfile::tempdir().expect("a directory");
        std::fs::write(from.path().join("file"), "x").expect("written");
        let mut archive = Vec::new();
        monkeyci_archive::pack_workspace(from.path(), &monkeyci_archive::WorkspaceFiles::all(), &mut archive)
            .expect("packed");
        let (dir, ..) = stored(archive.leak()).await;
        let sealed = std::fs::read(dir.path().join("blob")).expect("a file");
        let test = std::process::Command::new("zstd").arg("-tq").arg(dir.path().join("blob")).status();
        assert!(test.expect("zstd is there: run `cargo xtask test`, which installs it").success());
        assert_eq!(sealed[sealed.len() - SEAL as usize..][..HEAD.len()], HEAD);
    }
}
