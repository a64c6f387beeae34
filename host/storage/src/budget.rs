//! What journals and blobs may take.

use monkeyci_limits::{Area, Limit, Per};

use crate::blob_store::{FIRST_ANSWER, SILENCE};
use crate::blobs::{PART, PARTS_UNDER_WAY};
use crate::journal::{BATCH_BYTES, BATCH_RECORDS, CONNECTIONS, DEPTH, LIMIT, WHOLE_LIMIT};

/// The limits of this crate.
pub fn limits() -> Area {
    let limits = vec![
        Limit::bytes("an event, and each piece of it", Per::Call, LIMIT, "a graph of 100,000 jobs is below it"),
        Limit::bytes("an event with all that it refers to", Per::Call, WHOLE_LIMIT, "it is read into memory whole"),
        Limit::count("nesting of an event", Per::Call, DEPTH as u64, "twice what a JSON reader takes at once"),
        Limit::bytes("one write of the journal, about", Per::Host, BATCH_BYTES, "larger ones make other builds wait"),
        Limit::count(
            "records in one write of the journal",
            Per::Host,
            BATCH_RECORDS as u64,
            "larger ones make other builds wait",
        ),
        Limit::count(
            "connections to PostgreSQL",
            Per::Host,
            u64::from(CONNECTIONS),
            "one writes, and some read meanwhile",
        ),
        Limit::bytes(
            "an upload to a bucket, in memory",
            Per::Call,
            PART as u64 * (1 + PARTS_UNDER_WAY as u64),
            "one part fills while others are under way",
        ),
        Limit::time(
            "the store's first answer",
            Per::Host,
            FIRST_ANSWER,
            "a store that says nothing for so long is not there",
        ),
        Limit::time("silence of the store", Per::Call, SILENCE, "a connection that brings nothing for so long is dead"),
    ];
    Area { name: "journal and blobs", limits }
}
