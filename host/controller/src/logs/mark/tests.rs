//! A log whose writers die, one after the other, is stored as one that nobody disturbed.

use std::collections::VecDeque;
use std::time::Duration;

use monkeyci_api::{Hidden, LogFrame};
use proptest::prelude::*;

use super::*;
use crate::inputs::Inputs;
use crate::logs::followers::OpenLogs;
use crate::logs::{Destination, LogIntake, LogLimits, Masking};
use crate::observer::Silent;

const BUILD: &str = "org/repo/1";
const JOB: &str = "job";

/// Pieces of output that begin, hold and end a secret, of several streams.
fn frames() -> impl Strategy<Value = Vec<(usize, &'static str)>> {
    let piece = prop::sample::select(vec!["sw0rd", "fish", "sw0rdfish", "s", "a line\n", "\n", "fi", "sh", "x"]);
    prop::collection::vec((0_usize..3, piece), 1..60)
}

/// What happens after each frame: whether the part is written, and whether the host dies; and how much of what is kept the sender hears.
fn accidents() -> impl Strategy<Value = Vec<(bool, bool, bool)>> {
    prop::collection::vec((prop::bool::weighted(0.3), prop::bool::weighted(0.15), any::<bool>()), 60)
}

fn masking() -> Masking {
    let mut inputs = Inputs::default();
    inputs.secrets.insert("key".to_owned(), Hidden(b"sw0rdfish".to_vec()));
    Masking::new(&inputs).expect("masks")
}

/// What is in the store, each stream by itself.
async fn stored(blobs: &Blobs, parts: u32) -> [String; 4] {
    let mut texts = [const { String::new() }; 4];
    for part in 0..parts {
        let Some(bytes) = blobs.get(&names::log(BUILD, Some(JOB), part)).await.expect("the store") else { continue };
        let mut decoder = LogDecoder::default();
        for piece in bytes.try_collect::<Vec<Bytes>>().await.expect("bytes") {
            decoder.push(&piece);
        }
        while let Some(frame) = decoder.next_frame().expect("frames") {
            let stream = STREAMS.iter().position(|stream| *stream == frame.stream).expect("a stream");
            texts[stream].push_str(std::str::from_utf8(&frame.bytes).expect("text"));
        }
    }
    texts
}

/// Sends the frames to one host after the other; returns what is stored in the end.
async fn send(frames: &[(usize, &str)], accidents: &[(bool, bool, bool)], limits: LogLimits) -> [String; 4] {
    let dir = tempfile::tempdir().expect("a directory");
    let (blobs, masking) = (Blobs::local(dir.path()).expect("a store"), masking());
    let source = Source { attempt: 1, service: None };
    let mut accidents = accidents.iter();
    // What the sender holds: frames with the place before each.
    let mut held: VecDeque<(u64, LogFrame)> = VecDeque::new();
    let mut end = 0;
    for (stream, text) in frames {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        held.push_back((end, LogFrame { stream: STREAMS[*stream], time_ms: 1, bytes }));
        end += text.len() as u64;
    }
    let mut parts = 0;
    loop {
        let logs = OpenLogs::default();
        logs.go_on([(Some(JOB.to_owned()), parts)].into());
        let from = held.front().map_or(end, |(place, _)| *place);
        let to = Destination {
            blobs: &blobs,
            limits,
            masking: &masking,
            observer: &Silent,
            logs: &logs,
            build: BUILD,
            job: Some(JOB),
        };
        let mut log = LogIntake::go_on(to, source.clone(), from).await.expect("the store");
        let settled = log.settled();
        let mut died = false;
        for (_, frame) in held.clone() {
            log.push(frame).await;
            let (written, dies, heard) = accidents.next().copied().unwrap_or_default();
            if written {
                log.write().await;
            }
            if heard {
                let kept = *settled.borrow();
                while held.front().is_some_and(|(place, frame)| place + frame.bytes.len() as u64 <= kept) {
                    held.pop_front();
                }
            }
            if dies {
                died = true;
                break;
            }
        }
        if !died {
            log.finish().await.expect("stored");
            assert_eq!(*settled.borrow(), end, "all is kept");
        }
        parts = logs.parts(JOB).0;
        if !died {
            return stored(&blobs, parts).await;
        }
    }
}

/// What of a log is stored when nobody dies.
fn undisturbed(frames: &[(usize, &str)]) -> [String; 4] {
    std::array::from_fn(|stream| {
        let of = frames.iter().filter(|(of, _)| *of == stream);
        let whole: String = of.map(|(_, text)| *text).collect();
        let masking = masking();
        String::from_utf8(masking.bytes(whole.as_bytes())).expect("text")
    })
}

fn limits(head: usize, tail: usize) -> LogLimits {
    LogLimits { head, tail, written_every: Duration::from_secs(3600) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_byte_of_a_log_is_lost_or_doubled_and_no_secret_shown_whatever_hosts_die(
        frames in frames(),
        accidents in accidents(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let stored = runtime.block_on(send(&frames, &accidents, limits(1 << 20, 1 << 20)));
        prop_assert_eq!(stored, undisturbed(&frames));
    }

    #[test]
    fn the_end_of_a_long_log_that_was_in_memory_alone_comes_again(frames in frames(), accidents in accidents()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        // Three frames of the start are kept, and all of the end.
        let stored = runtime.block_on(send(&frames, &accidents, limits(60, 1 << 20)));
        prop_assert_eq!(stored, undisturbed(&frames));
    }
}
