//! A log on its way from a job to whoever reads it: without secrets.

use bytes::Bytes;
use monkeyci_api::{LogFrame, LogStream, MAX_LOG_FRAME};
use monkeyci_mask::MaskStream;

use crate::clock::now_ms;
use crate::logs::Masking;

/// Masks each stream of a log by itself: a secret may be cut by the border of two frames, and lines of another stream may
/// come between.
pub(crate) struct MaskedLog {
    streams: [(LogStream, MaskStream); 4],
}

impl MaskedLog {
    pub(crate) fn new(masking: &Masking) -> Self {
        Self {
            streams: [LogStream::Stdout, LogStream::Stderr, LogStream::Host, LogStream::Service]
                .map(|stream| (stream, masking.stream())),
        }
    }

    /// What of the frame, and of what was held back before, can be shown.
    pub(crate) fn push(&mut self, frame: LogFrame) -> Vec<LogFrame> {
        let Some((_, mask)) = self.streams.iter_mut().find(|(stream, _)| *stream == frame.stream) else {
            return Vec::new();
        };
        let mut bytes = Vec::with_capacity(frame.bytes.len());
        mask.push(&frame.bytes, &mut bytes);
        frames(frame.stream, frame.time_ms, bytes)
    }

    /// What was held back: the log has ended, so no secret can follow.
    pub(crate) fn finish(self) -> impl Iterator<Item = LogFrame> {
        let time_ms = now_ms();
        self.streams.into_iter().flat_map(move |(stream, mut mask)| {
            let mut bytes = Vec::new();
            mask.finish(&mut bytes);
            frames(stream, time_ms, bytes)
        })
    }
}

/// Frames of at most the allowed size.
fn frames(stream: LogStream, time_ms: u64, bytes: Vec<u8>) -> Vec<LogFrame> {
    let mut bytes = Bytes::from(bytes);
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let bytes = bytes.split_to(bytes.len().min(MAX_LOG_FRAME));
        frames.push(LogFrame { stream, time_ms, bytes });
    }
    frames
}
