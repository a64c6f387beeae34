//! The end of a log that is too long to be kept whole.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use monkeyci_api::LOG_FRAME_HEADER;

/// The last frames of a log, as many as fit. They are held encoded: a frame may carry one byte only, and an object for each would
/// take many times the room.
#[derive(Debug, Default)]
pub(crate) struct LogTail {
    limit: usize,
    frames: VecDeque<u8>,
    /// The length of each frame, encoded, and the place in the log that it can be had again from.
    known: VecDeque<(u32, u64)>,
    /// Bytes of output in frames that did not fit.
    dropped: u64,
}

impl LogTail {
    /// Keeps at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Adds an encoded frame, which can be had again from a place of the log, and drops from the start what does not fit any more.
    pub(crate) fn push(&mut self, frame: &[u8], place: u64) {
        if frame.len() > self.limit {
            return self.lose(frame.len());
        }
        if self.frames.capacity() == 0 {
            // Once, and exactly: a deque that grows doubles.
            self.frames.reserve_exact(self.limit);
        }
        while self.frames.len() + frame.len() > self.limit
            && let Some((length, _)) = self.known.pop_front()
        {
            self.frames.drain(..length as usize);
            self.lose(length as usize);
        }
        self.frames.extend(frame);
        self.known.push_back((frame.len() as u32, place));
    }

    /// Counts an encoded frame as dropped.
    fn lose(&mut self, length: usize) {
        self.dropped += length.saturating_sub(LOG_FRAME_HEADER) as u64;
    }

    /// Counts bytes of output that are lost for another reason.
    pub(crate) fn add_dropped(&mut self, bytes: u64) {
        self.dropped += bytes;
    }

    /// Bytes of output that are not there.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The place that all of it can be had again from; none when nothing is in it.
    pub(crate) fn place(&self) -> Option<u64> {
        self.known.front().map(|(_, place)| *place)
    }

    /// Whether nothing has been added, or counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.dropped == 0
    }

    /// Adds the frames to `out`.
    pub(crate) fn copy_to(&self, out: &mut BytesMut) {
        let (first, second) = self.frames.as_slices();
        out.extend_from_slice(first);
        out.extend_from_slice(second);
    }

    /// The frames; none are left.
    pub(crate) fn take(&mut self) -> Bytes {
        self.known = VecDeque::new();
        // In place: nothing is copied but what stands wrong in the ring.
        Vec::from(std::mem::take(&mut self.frames)).into()
    }
}

#[cfg(test)]
mod tests {
    use monkeyci_api::{LogDecoder, LogFrame, LogStream};

    use super::*;

    fn frame(text: &str) -> BytesMut {
        let mut encoded = BytesMut::new();
        LogFrame { stream: LogStream::Stdout, time_ms: 1, bytes: Bytes::copy_from_slice(text.as_bytes()) }
            .encode(&mut encoded);
        encoded
    }

    fn texts(tail: &mut LogTail) -> Vec<String> {
        let mut decoder = LogDecoder::default();
        decoder.push(&tail.take());
        let frames = std::iter::from_fn(|| decoder.next_frame().expect("frames"));
        frames.map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect()
    }

    #[test]
    fn the_last_frames_are_kept_whole_and_the_rest_is_counted() {
        let mut tail = LogTail::new(2 * (LOG_FRAME_HEADER + 5));
        for text in ["one", "two", "three", "four", "five5"] {
            tail.push(&frame(text), 0);
        }
        assert_eq!(tail.dropped(), 3 + 3 + 5);
        assert_eq!(texts(&mut tail), ["four", "five5"]);
    }

    #[test]
    fn a_frame_that_never_fits_is_only_counted() {
        let mut tail = LogTail::new(LOG_FRAME_HEADER + 2);
        tail.push(&frame("ab"), 0);
        tail.push(&frame("abc"), 0);
        assert_eq!((texts(&mut tail), tail.dropped()), (vec!["ab".to_owned()], 3));
    }
}
