//! What an archive may cost whoever unpacks it, counted while it streams.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::Limit;

/// How much an archive may unpack to before its ratio counts. Honest trees hold sparse files, logs and zeroed databases
/// that shrink ten-thousandfold; they are harmless while they are small.
pub(crate) const RATIO_FREE_BYTES: u64 = 256 * 1024 * 1024;

/// Limits for whoever reads an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// The most bytes that the archive may unpack to, tar headers included. 64 GiB unless said.
    pub max_bytes: u64,
    /// The most entries. 2 million unless said.
    pub max_entries: u64,
    /// The longest name or link target, in bytes. 4096 unless said: Linux takes no longer path.
    pub max_path_len: usize,
    /// The largest ratio of unpacked to packed bytes, once 256 MiB have been unpacked. 1000 unless said.
    pub max_ratio: u64,
    /// Which symbolic links are allowed. [`Links::Inside`] unless said.
    pub links: Links,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024 * 1024 * 1024,
            max_entries: 2_000_000,
            max_path_len: 4096,
            max_ratio: 1000,
            links: Links::Inside,
        }
    }
}

/// Which symbolic links an archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Relative links that stay inside the directory; no entry may lead through a link. For directories that programs
    /// will read which don't guard against links.
    Inside,
    /// Any link, as it is; entries may lead through links, but never out of the directory. For directories that only a
    /// sandbox reads: a Python environment's link to `/usr/bin/python3` means something in the job's container.
    Any,
}

/// Counts what flows in and out of the decompressor, and remembers the limit that was reached: the errors of the layers
/// above don't keep it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    packed: AtomicU64,
    unpacked: AtomicU64,
    reached: OnceLock<Limit>,
}

impl Meter {
    pub(crate) fn reached(&self) -> Option<Limit> {
        self.reached.get().copied()
    }

    fn check(&self, limits: &UnpackLimits) -> io::Result<()> {
        let unpacked = self.unpacked.load(Ordering::Relaxed);
        let limit = if unpacked > limits.max_bytes {
            Limit::Bytes(limits.max_bytes)
        } else if unpacked > RATIO_FREE_BYTES
            && unpacked / self.packed.load(Ordering::Relaxed).max(1) > limits.max_ratio
        {
            Limit::Ratio(limits.max_ratio)
        } else {
            return Ok(());
        };
        let _ = self.reached.set(limit); // the first counts
        Err(io::Error::other(limit))
    }
}

/// Counts the archive's bytes as they come in.
pub(crate) struct PackedSide<R> {
    pub(crate) inner: R,
    pub(crate) meter: Arc<Meter>,
}

impl<R: Read> Read for PackedSide<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.meter.packed.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Counts the bytes that come out of the decompressor, and stops at a limit.
pub(crate) struct UnpackedSide<R> {
    pub(crate) inner: R,
    pub(crate) meter: Arc<Meter>,
    pub(crate) limits: UnpackLimits,
}

impl<R: Read> Read for UnpackedSide<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.meter.unpacked.fetch_add(n as u64, Ordering::Relaxed);
        self.meter.check(&self.limits)?;
        Ok(n)
    }
}
