//! Journals that come as a stream, and the build that is folded from one.

use std::num::NonZeroUsize;

use monkeyci_build::{BuildState, Input};
use monkeyci_storage::journal::{Digest, STREAM_LAYOUT, import};

/// The stream as it comes; and one that is sealed as it should be, with each line as the body of a record.
pub fn journal(bytes: &[u8]) -> bool {
    let _ = import(bytes);
    let (build, text) = ("o/r/b", String::from_utf8_lossy(bytes));
    let (mut stream, mut checksum) = (format!("monkeyci journal {STREAM_LAYOUT} {build}\n"), Digest::first(build));
    for (number, body) in text.lines().enumerate() {
        let record = format!("{} 1 {} whole {body}", number + 1, 1000 * number);
        checksum = checksum.then(&record);
        stream.push_str(&format!("{checksum} {record}\n"));
    }
    let Ok((_, events)) = import(stream.as_bytes()) else { return false };
    let mut state = BuildState::new(NonZeroUsize::MIN);
    for event in &events {
        drop(state.step(Input::Event(event)));
        drop(state.step(Input::Tick { now_ms: event.time_ms }));
    }
    drop(state.outstanding());
    !events.is_empty()
}
