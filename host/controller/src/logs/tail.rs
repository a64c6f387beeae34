//! The end of a log that is too long to be kept whole.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use monkeyci_api::{LOG_FRAME_HEADER, LOG_HELD};

/// How much its sender may be left to hold of what is in memory alone: of what goes on its way into the store it holds some too.
const LEFT_TO_SENDER: u64 = (LOG_HELD / 2) as u64;

/// What is known of a frame.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Its length, encoded.
    length: u32,
    /// The place in the log that it can be had again from.
    place: u64,
    /// How much had come of the log then, as frames.
    came: u64,
}

/// The last frames of a log, as many as fit. They are held encoded: a frame may carry one byte only, and an object for each would
/// take many times the room.
#[derive(Debug, Default)]
pub(crate) struct LogTail {
    limit: usize,
    frames: VecDeque<u8>,
    /// What is known of each frame.
    known: VecDeque<Known>,
    /// The first of those that the sender still holds.
    held: usize,
    /// Bytes of output in frames that did not fit.
    dropped: u64,
}

impl LogTail {
    /// Keeps at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Adds an encoded frame, which can be had again from a place of the log, and drops from the start what does not fit any more. `came` is
    /// how much had come of the log then, as frames.
    pub(crate) fn push(&mut self, frame: &[u8], (place, came): (u64, u64)) {
        if frame.len() > self.limit {
            return self.lose(frame.len());
        }
        if self.frames.capacity() == 0 {
            // Once, and exactly: a deque that grows doubles.
            self.frames.reserve_exact(self.limit);
        }
        while self.frames.len() + frame.len() > self.limit
            && let Some(Known { length, .. }) = self.known.pop_front()
        {
            self.held = self.held.saturating_sub(1);
            self.frames.drain(..length as usize);
            self.lose(length as usize);
        }
        self.frames.extend(frame);
        self.known.push_back(Known { length: frame.len() as u32, place, came });
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

    /// The place that the sender has to hold the log from, of which so much has come now: all that is here can be had again from there,
    /// unless that is more than it can hold. None when nothing of it needs to be had again.
    pub(crate) fn held_from(&mut self, came: u64) -> Option<u64> {
        while self.known.get(self.held).is_some_and(|known| came - known.came.min(came) > LEFT_TO_SENDER) {
            self.held += 1;
        }
        self.known.get(self.held).map(|known| known.place)
    }

    /// Whether a frame is in it.
    pub(crate) fn has_frames(&self) -> bool {
        !self.known.is_empty()
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
        (self.known, self.held) = (VecDeque::new(), 0);
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
            tail.push(&frame(text), (0, 0));
        }
        assert_eq!(tail.dropped(), 3 + 3 + 5);
        assert_eq!(texts(&mut tail), ["four", "five5"]);
    }

    #[test]
    fn a_frame_that_never_fits_is_only_counted() {
        let mut tail = LogTail::new(LOG_FRAME_HEADER + 2);
        tail.push(&frame("ab"), (0, 0));
        tail.push(&frame("abc"), (0, 0));
        assert_eq!((texts(&mut tail), tail.dropped()), (vec!["ab".to_owned()], 3));
    }

    #[test]
    fn a_sender_is_left_to_hold_no_more_than_it_can() {
        let (mut tail, half) = (LogTail::new(1 << 20), LOG_HELD as u64 / 2);
        assert_eq!(tail.held_from(0), None);
        // Masked, each is much shorter than it came.
        for number in 0..10 {
            tail.push(&frame("***"), (number, number * (half / 4)));
        }
        let held: Vec<_> = [9, 10, 13, 14].iter().map(|came| tail.held_from(came * (half / 4))).collect();
        assert_eq!(held, [Some(5), Some(6), Some(9), None]);
        tail.push(&frame("more"), (20, 20 * (half / 4)));
        assert_eq!(tail.held_from(20 * (half / 4)), Some(20));
    }
}
