//! How long it takes until an event is on disk, for one build and for many at once, beside a bare `fdatasync` of as many bytes at the
//! end of a file. They alternate in one run, so that all see the same disk; medians are compared.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use monkeyci_build::EventBody;
use monkeyci_storage::journal::Owner;
use monkeyci_storage::{BuildJournal, Journals};

/// How often each is done by one build.
const ROUNDS: usize = 200;
/// How many events SQLite's log of writes has seen after which it has been moved into the file: it grows no more.
const GROWN: usize = 800;
/// How many builds there are at once.
const BUILDS: usize = 64;
/// How many events each of them appends.
const EVENTS: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    runtime.block_on(async {
        let host = Journals::sqlite(&dir.path().join("journal.db"), Owner(1)).await.expect("a journal");
        let bare = one(&host, dir.path()).await;
        many(&host, bare).await;
    });
}

fn event() -> EventBody {
    EventBody::ScriptReport { job: Some("test".to_owned()), attempt: 1, message: "it goes on ".repeat(12) }
}

async fn append(journal: &mut BuildJournal) {
    let event = journal.append(1, event()).expect("queued");
    journal.durable().wait(event.seq).await.expect("written");
}

/// One build, and the bare disk: in a new home, whose files grow with each event, and in one whose log of writes is as long as it ever gets, and
/// is written from its beginning again. Returns what the bare disk takes.
async fn one(host: &Journals, dir: &Path) -> Duration {
    let mut file = File::create(dir.join("bare")).expect("a file");
    let text = serde_json::to_vec(&event()).expect("JSON");
    let mut journal = host.begin("o/r/one");
    println!("an event on disk, {} bytes (median of {ROUNDS})", text.len());
    beside(&mut journal, &mut file, &text, "in a new home").await;
    for _ in 0..GROWN {
        append(&mut journal).await;
    }
    beside(&mut journal, &mut file, &text, "later").await
}

/// One build's journal beside the bare disk.
async fn beside(journal: &mut BuildJournal, file: &mut File, text: &[u8], when: &str) -> Duration {
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS + 10 {
        let start = Instant::now();
        file.write_all(text).and_then(|()| file.sync_data()).expect("written");
        let synced = start.elapsed();
        append(journal).await;
        // The first ones make the files.
        if round >= 10 {
            bare.push(synced);
            ours.push(start.elapsed() - synced);
        }
    }
    let (bare, ours) = (median(bare), median(ours));
    println!("  a bare fdatasync     {bare:>10.2?}");
    println!("  one build's journal  {ours:>10.2?}  {:.2} x  {when}", ours.as_secs_f64() / bare.as_secs_f64());
    bare
}

/// Many builds, each of which waits for its event before the next one.
async fn many(host: &Journals, bare: Duration) {
    let start = Instant::now();
    let builds = (0..BUILDS).map(|build| {
        let mut journal = host.begin(&format!("o/r/{build}"));
        tokio::spawn(async move {
            for _ in 0..EVENTS {
                append(&mut journal).await;
            }
        })
    });
    futures::future::join_all(builds.collect::<Vec<_>>()).await.into_iter().for_each(|done| done.expect("done"));
    let events = (BUILDS * EVENTS) as f64 / start.elapsed().as_secs_f64();
    println!("{BUILDS} builds at once, each waits for each of its {EVENTS} events");
    println!("  {events:.0} events/s, {:.1} in the time of a bare fdatasync", events * bare.as_secs_f64());
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
