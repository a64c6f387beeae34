//! What launcher and sidecar say to each other, and logs.

use monkeyci_api::LogDecoder;
use monkeyci_sidecar::protocol::{Decoder, Frame, FromLauncher, ToLauncher, decode};

/// Frames, in pieces of any size.
pub fn frames(bytes: &[u8]) -> bool {
    let mut taken = false;
    let (whole, pieces) = (frames_of(bytes, bytes.len().max(1)), frames_of(bytes, 3));
    assert_eq!(whole, pieces, "the pieces in which it comes change nothing");
    for frame in whole {
        if let Frame::Control(json) = frame {
            taken |= decode::<FromLauncher>(&json).is_ok() || decode::<ToLauncher>(&json).is_ok();
        }
    }
    let mut log = LogDecoder::default();
    log.push(bytes);
    while let Ok(Some(_)) = log.next_frame() {}
    let _ = log.finish();
    taken
}

fn frames_of(bytes: &[u8], size: usize) -> Vec<Frame> {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for piece in bytes.chunks(size) {
        decoder.buffer().extend_from_slice(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}
