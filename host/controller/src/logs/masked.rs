//! A log on its way from a job to whoever reads it: without secrets.

use bytes::Bytes;
use monkeyci_api::{LOG_FRAME_HEADER, LogFrame, MAX_LOG_FRAME};
use monkeyci_mask::MaskStream;

use super::mark::{Place, STREAMS};
use crate::clock::now_ms;
use crate::logs::Masking;

/// After so many bytes in which some stream always held back what may be the beginning of a secret, the log is cut there all the same:
/// a job must not wait for ever because its output looks so.
pub(crate) const LONGEST_HELD: u64 = 4 << 20;

/// Masks each stream of a log by itself: a secret may be cut by the border of two frames, and lines of another stream may
/// come between.
pub(crate) struct MaskedLog {
    streams: [MaskStream; 4],
    /// How many bytes have come, from the log's beginning.
    end: u64,
    /// How much has come here, as frames; and how much when the place was reached.
    came: [u64; 2],
    place: Place,
    /// How many bytes of each stream were kept before, and come again.
    again: [u64; 4],
    /// What comes next of each stream may be the rest of a secret: it is dropped up to the end of its line.
    torn: [bool; 4],
    /// How many bytes were dropped so.
    left_out: u64,
}

impl MaskedLog {
    pub(crate) fn new(masking: &Masking) -> Self {
        Self::going_on(masking, Place::default(), 0)
    }

    /// Goes on at a place with what is sent from `from` on, which may begin before it.
    pub(crate) fn going_on(masking: &Masking, place: Place, from: u64) -> Self {
        Self {
            streams: STREAMS.map(|_| masking.stream()),
            end: from,
            came: [0; 2],
            again: place.kept,
            torn: [place.torn; 4],
            place: Place { at: place.at, ..Place::default() },
            left_out: 0,
        }
    }

    /// What of the frame, and of what was held back before, can be shown.
    pub(crate) fn push(&mut self, frame: LogFrame) -> Vec<LogFrame> {
        let Some(number) = STREAMS.iter().position(|stream| *stream == frame.stream) else { return Vec::new() };
        let length = frame.bytes.len() as u64;
        self.end += length;
        self.came[0] += length + LOG_FRAME_HEADER as u64;
        if self.end <= self.place.at {
            // It is kept already.
            self.came[1] = self.came[0];
            return Vec::new();
        }
        let mut rest = &frame.bytes[..];
        if self.torn[number] {
            let line = rest.iter().position(|byte| *byte == b'\n');
            self.torn[number] = line.is_none();
            rest = line.map_or(&[][..], |line| &rest[line + 1..]);
            self.left_out += length - rest.len() as u64;
        }
        let mut bytes = Vec::with_capacity(rest.len());
        self.streams[number].push(rest, &mut bytes);
        self.place.kept[number] += bytes.len() as u64;
        let known = self.again[number].min(bytes.len() as u64);
        self.again[number] -= known;
        bytes.drain(..usize::try_from(known).unwrap_or(usize::MAX));
        self.rest();
        frames(&frame, bytes)
    }

    /// Looks whether every stream is at rest.
    fn rest(&mut self) {
        let rests = self.streams.iter().all(MaskStream::is_at_rest) && self.again == [0; 4];
        let torn = self.came[0] - self.came[1] > LONGEST_HELD;
        if rests || torn {
            self.came[1] = self.came[0];
            self.place = Place { at: self.end, kept: [0; 4], torn: !rests };
        }
    }

    /// How far it has come.
    pub(crate) fn place(&self) -> Place {
        // What came before counts as kept until it has come again.
        let kept = std::array::from_fn(|number| self.place.kept[number] + self.again[number]);
        Place { kept, ..self.place }
    }

    /// How much has come here, as frames.
    pub(crate) fn came(&self) -> u64 {
        self.came[0]
    }

    /// How many bytes were dropped since this was asked last.
    pub(crate) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// What was held back: the log has ended, so no secret can follow.
    pub(crate) fn finish(&mut self) -> Vec<LogFrame> {
        let time_ms = now_ms();
        let mut last = Vec::new();
        for (stream, mask) in STREAMS.into_iter().zip(&mut self.streams) {
            let mut bytes = Vec::new();
            mask.finish(&mut bytes);
            last.extend(frames(&LogFrame { stream, time_ms, bytes: Bytes::new() }, bytes));
        }
        self.place = Place { at: self.end, ..Place::default() };
        self.again = [0; 4];
        last
    }
}

/// Frames of at most the allowed size, of the stream and the time of one.
fn frames(of: &LogFrame, bytes: Vec<u8>) -> Vec<LogFrame> {
    let mut bytes = Bytes::from(bytes);
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let bytes = bytes.split_to(bytes.len().min(MAX_LOG_FRAME));
        frames.push(LogFrame { bytes, ..*of });
    }
    frames
}
