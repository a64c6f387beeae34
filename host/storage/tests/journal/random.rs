//! Journals that are cut or changed anywhere: what is read is what was written, or a part of it from the beginning, or nothing.
//!
//! A sample of each is tried; `MONKEYCI_JOURNAL_MUTATIONS=100000` tries so many, and then cuts files at every byte.

use std::fs;
use std::path::Path;

use monkeyci_build::Event;
use monkeyci_storage::Journals;
use monkeyci_storage::journal::{Owner, SqliteJournal, export, history, import};
use sqlx::{Connection, SqliteConnection};

use crate::database::try_with;
use crate::sample::{BUILD, report, write, written};

/// How many changes are tried, if somebody says how many.
fn asked() -> Option<u64> {
    std::env::var("MONKEYCI_JOURNAL_MUTATIONS").ok().map(|text| text.parse().expect("a number"))
}

/// xorshift: the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    /// Changes some bytes: bits, whole bytes, pieces that go or come twice, or trade places.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.below(256) as u8,
                2 => drop(bytes.drain(at..(at + 1 + self.below(300)).min(bytes.len()))),
                3 => {
                    let piece = bytes[at..(at + 1 + self.below(300)).min(bytes.len())].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                4 => {
                    let to = self.below(bytes.len());
                    bytes.swap(at, to);
                }
                _ => bytes.truncate(at.max(1)),
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
    }
}

/// A stream of events, small and large, and where its records end.
fn stream() -> (Vec<u8>, Vec<Event>) {
    let mut whole = (Vec::new(), Vec::new());
    try_with("sqlite", async |database| {
        let host = database.host().await;
        whole.1 = written(&host).await;
        export(host.database(), BUILD, &mut whole.0).await.expect("written");
    });
    whole
}

#[test]
fn a_stream_that_is_cut_at_any_byte_goes_on_from_its_last_whole_record_or_is_refused() {
    let (stream, events) = stream();
    let (mut good, mut refused) = (0, 0);
    // All bytes around the ends of lines; within the large value, some.
    let is_near = |at: &usize| {
        let near = &stream[at.saturating_sub(700)..(at + 700).min(stream.len())];
        at.is_multiple_of(97) || near.contains(&b'\n')
    };
    for at in (0..=stream.len()).filter(is_near) {
        match import(&stream[..at]) {
            Ok((build, read)) => {
                assert_eq!(build, BUILD);
                assert!(read == events[..read.len()], "cut at {at}");
                assert!(stream[..at].ends_with(b"\n"), "cut at {at}: the last record is not whole");
                good += 1;
            }
            Err(_) => {
                assert!(!stream[..at].ends_with(b"\n"), "cut at {at}: all records are whole");
                refused += 1;
            }
        }
    }
    // A head, a large value and six records end somewhere.
    assert_eq!(good, 8);
    assert!(refused > 2000, "{refused}");
}

#[test]
fn a_stream_that_is_changed_anywhere_is_read_as_it_was_written_or_refused() {
    let (stream, events) = stream();
    let (mut random, mut whole, mut refused) = (Random(42), 0_u64, 0_u64);
    let cases = asked().unwrap_or(3000);
    for case in 0..cases {
        let mut changed = stream.clone();
        random.change(&mut changed);
        match import(&*changed) {
            Ok((build, read)) if build == BUILD => {
                assert!(events.starts_with(&read), "case {case}: these are other events");
                whole += 1;
            }
            // The build's name was changed, and it is another build's stream now: an empty one, or it would be refused.
            Ok((_, read)) => assert!(read.is_empty(), "case {case}: another build's"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > cases / 2 && refused + whole <= cases, "{refused} of {cases} are refused");
}

/// The files of a database, and what is in it.
struct Files {
    files: Vec<(String, Vec<u8>)>,
    events: Vec<Event>,
}

/// With what was written in the file, or in its log.
async fn files(in_file: bool) -> Files {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let host = Journals::sqlite(&path, Owner(1)).await.expect("a database");
    let mut journal = host.begin(BUILD);
    let mut events = Vec::new();
    for number in 0..30 {
        let text = format!("{number} ").repeat(if number == 7 { 20_000 } else { 50 });
        events.extend(write(&mut journal, vec![report(text)]).await.expect("written"));
    }
    if in_file {
        let url = format!("sqlite://{}", path.display());
        let mut connection = SqliteConnection::connect(&url).await.expect("a connection");
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.expect("moved");
    }
    let read = |name: &str| (name.to_owned(), fs::read(dir.path().join(name)).unwrap_or_default());
    Files { files: vec![read("journal.db"), read("journal.db-wal")], events }
}

impl Files {
    /// Opens these files and reads the journal: what was written, a part of it from the beginning, or an error.
    async fn check(&self, dir: &Path, changed: usize, bytes: &[u8], what: &str) -> bool {
        // A directory of its own: the connection of an earlier check may remove its files later.
        let dir = tempfile::tempdir_in(dir).expect("a directory");
        let dir = dir.path();
        for (number, (name, whole)) in self.files.iter().enumerate() {
            let bytes = if number == changed { bytes } else { whole };
            fs::write(dir.join(name), bytes).expect("written");
        }
        let read = async {
            let journal = SqliteJournal::open(&dir.join("journal.db")).await?;
            history(&journal, BUILD).await
        };
        match read.await {
            Ok(history) => {
                let events = history.map(|history| history.events).unwrap_or_default();
                assert!(self.events.starts_with(&events), "{what}: these are other events");
                true
            }
            Err(_) => false,
        }
    }
}

#[test]
fn a_database_whose_files_are_cut_or_changed_anywhere_is_read_as_it_was_written_or_refused() {
    try_with("sqlite", async |_| {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut random, mut read, mut tried) = (Random(7), 0_u64, 0_u64);
        for in_file in [true, false] {
            let files = files(in_file).await;
            let changed = usize::from(!in_file);
            let whole = &files.files[changed].1;
            assert!(whole.len() > 50_000, "there is nothing in it");
            assert!(files.check(dir.path(), changed, whole, "unchanged").await, "it is whole");
            let step = asked().map_or(whole.len() / 60, |_| 1);
            for at in (0..whole.len()).step_by(step) {
                tried += 1;
                read += u64::from(files.check(dir.path(), changed, &whole[..at], &format!("cut at {at}")).await);
            }
            for case in 0..asked().unwrap_or(120) {
                let mut bytes = whole.clone();
                random.change(&mut bytes);
                tried += 1;
                read += u64::from(files.check(dir.path(), changed, &bytes, &format!("case {case}")).await);
            }
        }
        assert!(0 < read && read < tried, "{read} of {tried} were read");
    });
}
