use std::num::NonZeroUsize;
use std::time::Duration;

use futures::future::BoxFuture;
use monkeyci_api::LogStream;
use monkeyci_build::BuildState;

use super::*;
use crate::control::{NotReached, OfBuild};
use crate::inputs::Inputs;
use crate::logs::Masking;
use crate::logs::{LogLimits, LogWriter, Place};
use crate::observer::Silent;
use crate::source::SourceRequest;

struct Rig {
    inside: Inside,
    host: Arc<dyn Driving>,
    _dir: tempfile::TempDir,
}

/// A process with one build.
struct Only(Inside);

impl Driving for Only {
    fn reach<'a>(&'a self, build: &'a str) -> BoxFuture<'a, Result<Inside, NotReached>> {
        let found = if build == self.0.live.id { Ok(self.0.clone()) } else { Err(NotReached::NotHere) };
        Box::pin(std::future::ready(found))
    }

    fn cancel<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Err(NotReached::NotHere.into())))
    }
}

/// One who follows.
struct Reader {
    body: axum::body::BodyDataStream,
    decoder: Decoder,
}

fn frame(text: &str) -> LogFrame {
    LogFrame { stream: LogStream::Stdout, time_ms: 1, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::local(dir.path()).expect("a store");
        let (source, inputs) = (SourceRequest::Dir("/".into()), Inputs::default());
        let masking = Masking::new(&inputs).expect("masks");
        let state = BuildState::new(NonZeroUsize::MIN);
        let (live, _) = BuildHandle::new("org/repo/1", &source, inputs, masking, Arc::new(Silent), state);
        let inside = Inside { live, blobs, _driven: Arc::new(()) };
        Self { host: Arc::new(Only(inside.clone())), inside, _dir: dir }
    }

    fn writer(&self, job: Option<&'static str>, limits: LogLimits) -> LogWriter<'_> {
        let live = &self.inside.live;
        LogWriter::new(&self.inside.blobs, &live.id, &live.logs, job, limits)
    }

    async fn reader(&self, job: Option<&str>) -> Reader {
        let what = Wanted { job: job.map(str::to_owned) };
        let wanted = serde_json::to_vec(&OfBuild { build: &self.inside.live.id, what }).expect("JSON");
        let body = logs(State(self.host.clone()), wanted.into()).await.expect("an answer");
        Reader { body: body.into_data_stream(), decoder: Decoder::default() }
    }
}

impl Reader {
    /// All that comes until the build is over, each log by itself.
    async fn rest(mut self) -> BTreeMap<Option<String>, String> {
        let mut texts = BTreeMap::<_, String>::new();
        while let Some(bytes) = self.body.next().await {
            self.decoder.push(&bytes.expect("bytes")).expect("pieces");
        }
        for (job, frame) in self.decoder.ready {
            texts.entry(job).or_default().push_str(&String::from_utf8_lossy(&frame.bytes));
        }
        texts
    }
}

#[tokio::test]
async fn whoever_begins_to_follow_at_any_time_sees_every_frame_once() {
    let rig = Rig::new();
    let mut readers = vec![rig.reader(None).await];
    let mut said = String::new();
    // The second attempt goes on with the parts of the first.
    for attempt in 0..2 {
        let mut log = rig.writer(Some("job"), LogLimits::default());
        readers.push(rig.reader(None).await);
        for number in 0..70 {
            // More than two parts, a few of them written before they are full.
            let text = format!("{attempt}-{number}:{}\n", "x".repeat(120_000));
            log.push(&frame(&text));
            log.reached(Place::default(), 0, 0).await;
            said.push_str(&text);
            if number % 8 == 0 {
                readers.push(rig.reader(Some("job")).await);
            }
            if number % 10 == 0 {
                log.write().await;
                readers.push(rig.reader(None).await);
            }
            // Nobody here is slower than the job.
            for reader in &mut readers {
                while let Ok(Some(bytes)) = tokio::time::timeout(Duration::ZERO, reader.body.next()).await {
                    reader.decoder.push(&bytes.expect("bytes")).expect("pieces");
                }
            }
        }
        readers.push(rig.reader(None).await);
        log.finish().await.expect("stored");
        readers.push(rig.reader(None).await);
    }
    rig.inside.live.logs.close();
    readers.push(rig.reader(None).await);
    for (index, reader) in readers.into_iter().enumerate() {
        let texts = reader.rest().await;
        assert!(texts[&Some("job".to_owned())] == said, "reader {index}");
    }
}

#[tokio::test]
async fn whoever_begins_late_with_a_long_log_is_told_what_is_left_out() {
    let rig = Rig::new();
    let mut log = rig.writer(None, LogLimits { head: 100, tail: 100, ..LogLimits::default() });
    for number in 0..100 {
        log.push(&frame(&format!("line {number}\n")));
    }
    let reader = rig.reader(None).await;
    log.push(&frame("the last\n"));
    log.finish().await.expect("stored");
    rig.inside.live.logs.close();
    let text = reader.rest().await.remove(&None).expect("the log of define");
    let (start, end) = text.split_once("\n--- ").expect("a word on what is missing");
    assert_eq!(start, "line 0\nline 1\nline 2\nline 3\nline 4\n");
    assert!(end.contains("bytes of this log are left out here ---\nline 9"), "{end}");
    assert!(end.ends_with("line 98\nline 99\nthe last\n"), "{end}");
}

#[tokio::test]
async fn a_slow_reader_holds_nobody_up_and_learns_how_much_it_missed() {
    let rig = Rig::new();
    let mut reader = rig.reader(None).await;
    let mut log = rig.writer(Some("job"), LogLimits { head: 1000, tail: 1000, ..LogLimits::default() });
    let text = "x".repeat(60_000);
    for _ in 0..200 {
        log.push(&frame(&text));
        log.reached(Place::default(), 0, 0).await;
    }
    let first = reader.body.next().await.expect("more").expect("bytes");
    reader.decoder.push(&first).expect("pieces");
    log.push(&frame("the last\n"));
    log.finish().await.expect("stored");
    rig.inside.live.logs.close();
    let text = reader.rest().await.remove(&Some("job".to_owned())).expect("a log");
    assert!(text.len() < 5 << 20, "{}", text.len());
    let (_, end) = text.split_once("\n--- ").expect("a word on what is missing");
    assert!(end.contains("bytes are left out here: this reader is slower than the build ---"), "{end}");
    assert!(end.ends_with("the last\n"), "{end}");
}

#[tokio::test]
async fn whoever_wants_one_log_gets_no_other() {
    let rig = Rig::new();
    let mut one = rig.writer(Some("one"), LogLimits::default());
    one.push(&frame("one"));
    let reader = rig.reader(Some("two")).await;
    let mut two = rig.writer(Some("two"), LogLimits::default());
    two.push(&frame("two"));
    one.push(&frame("more"));
    rig.inside.live.logs.close();
    assert_eq!(reader.rest().await, BTreeMap::from([(Some("two".to_owned()), "two".to_owned())]));
}

#[test]
fn pieces_are_understood_however_they_are_cut() {
    let mut bytes = BytesMut::new();
    for (job, text) in [(None, "define"), (Some("a"), "one"), (Some("b"), "two"), (Some("a"), "three")] {
        let mut frames = BytesMut::new();
        frame(text).encode(&mut frames);
        // A frame in two pieces.
        for frames in [frames.split_to(5), frames] {
            bytes.extend_from_slice(&encode(&Piece { job: job.map(Arc::from), frames: frames.freeze() }));
        }
    }
    for size in 1..bytes.len() {
        let mut decoder = Decoder::default();
        for chunk in bytes.chunks(size) {
            decoder.push(chunk).expect("pieces");
        }
        let texts: Vec<_> = decoder.ready.iter().map(|(job, frame)| (job.as_deref(), &frame.bytes[..])).collect();
        let all: [(Option<&str>, &[u8]); 4] =
            [(None, b"define"), (Some("a"), b"one"), (Some("b"), b"two"), (Some("a"), b"three")];
        assert_eq!(texts, all, "{size}");
    }
}
