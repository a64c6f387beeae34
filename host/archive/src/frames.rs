//! The zstd frames of an archive.
//!
//! Whoever unpacks refuses what unpacks to more than a thousand times its size ([`UnpackLimits::max_ratio`]), and zstd makes less than
//! that of a gigabyte of zeros. What is packed can be unpacked, so such an archive is stretched: between two frames stands one that
//! decoders skip (RFC 8878, 3.1.2). A thousandth of what the archive unpacks to is not much to store.

use std::io::{self, Write};

use zstd::stream::write::Encoder;

use crate::UnpackLimits;
use crate::limits::RATIO_FREE_BYTES;

/// zstd's own default: about the speed of a disk, and a third of the size.
const LEVEL: i32 = 3;
/// How a frame begins that decoders skip.
const SKIPPED: [u8; 4] = 0x184D_2A50_u32.to_le_bytes();
/// A frame is skipped in pieces of at least so many bytes: each one ends the frame before, which costs some of what is compressed.
const LEAST: u64 = 64 << 10;

/// Compresses, and stays within the ratio.
pub(crate) struct Frames<W: Write> {
    /// None after a failure only.
    encoder: Option<Encoder<'static, Counted<W>>>,
    /// The bytes that came in.
    unpacked: u64,
    /// How many of them may come to one that goes out, with some room.
    ratio: u64,
}

impl<W: Write> Frames<W> {
    pub(crate) fn new(out: W, limits: &UnpackLimits) -> io::Result<Self> {
        let encoder = encoder(Counted { out, bytes: 0 })?;
        Ok(Self { encoder: Some(encoder), unpacked: 0, ratio: (limits.max_ratio / 2).max(1) })
    }

    /// How many bytes came in.
    pub(crate) fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// Writes what is compressed so far, and makes sure that `more` bytes may follow.
    pub(crate) fn hand_on(&mut self, more: u64) -> io::Result<()> {
        let mut encoder = self.encoder.take().ok_or_else(failed)?;
        encoder.flush()?;
        let next = self.unpacked.saturating_add(more.saturating_mul(2));
        let lacking = (next / self.ratio).saturating_sub(encoder.get_ref().bytes);
        if next > RATIO_FREE_BYTES && lacking > 0 {
            let mut out = encoder.finish()?;
            skipped(&mut out, lacking.max(LEAST))?;
            encoder = self::encoder(out)?;
        }
        self.encoder = Some(encoder);
        Ok(())
    }

    /// Ends the last frame.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.encoder.ok_or_else(failed)?.finish()?.flush()
    }
}

impl<W: Write> Write for Frames<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.encoder.as_mut().ok_or_else(failed)?.write(bytes)?;
        self.unpacked += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.as_mut().ok_or_else(failed)?.flush()
    }
}

fn encoder<W: Write>(out: Counted<W>) -> io::Result<Encoder<'static, Counted<W>>> {
    let mut encoder = Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

fn skipped(out: &mut impl Write, bytes: u64) -> io::Result<()> {
    let zeros = [0; 8 << 10];
    let length = u32::try_from(bytes).unwrap_or(u32::MAX);
    out.write_all(&SKIPPED)?;
    out.write_all(&length.to_le_bytes())?;
    let mut left = length as usize;
    while left > 0 {
        let piece = left.min(zeros.len());
        out.write_all(&zeros[..piece])?;
        left -= piece;
    }
    Ok(())
}

fn failed() -> io::Error {
    io::Error::other("the archive could not be written before")
}

struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
