//! Databases of layout 1, which the versions before this one wrote.

use std::path::Path;

use monkeyci_build::{Event, EventBody};
use monkeyci_storage::journal::{Journal, JournalError, SqliteJournal, history};
use sqlx::{Connection, SqliteConnection};

use crate::database::try_with;
use crate::sample::{BUILD, bodies, triggered};

/// What they made it with.
const LAYOUT_1: &str = "CREATE TABLE IF NOT EXISTS events (
    build TEXT NOT NULL, seq INTEGER NOT NULL, time_ms INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (build, seq)) WITHOUT ROWID;
    PRAGMA user_version = 1";

async fn connect(path: &Path) -> SqliteConnection {
    let url = format!("sqlite://{}?mode=rwc", path.display());
    SqliteConnection::connect(&url).await.expect("a connection")
}

async fn insert(connection: &mut SqliteConnection, build: &str, seq: i64, time_ms: i64, body: &str) {
    sqlx::query("INSERT INTO events (build, seq, time_ms, body) VALUES (?, ?, ?, ?)")
        .bind(build)
        .bind(seq)
        .bind(time_ms)
        .bind(body)
        .execute(connection)
        .await
        .expect("written");
}

/// A database of layout 1 with two builds.
async fn layout_1(path: &Path) -> SqliteConnection {
    let mut connection = connect(path).await;
    sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut connection).await.expect("in WAL mode");
    sqlx::raw_sql(LAYOUT_1).execute(&mut connection).await.expect("layout 1");
    for (seq, body) in (1..).zip(bodies()) {
        let body = serde_json::to_string(&body).expect("JSON");
        insert(&mut connection, BUILD, seq, 1000 + seq, &body).await;
    }
    let body = serde_json::to_string(&triggered()).expect("JSON");
    insert(&mut connection, "a/b/old", 1, 7, &body).await;
    connection
}

#[test]
fn a_journal_of_layout_1_is_brought_to_this_layout_whole() {
    try_with("sqlite", async |_| {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.db");
        layout_1(&path).await.close().await.expect("closed");
        // Two processes at once.
        let (first, second) = tokio::join!(SqliteJournal::open(&path), SqliteJournal::open(&path));
        let expected: Vec<Event> =
            (1..).zip(bodies()).map(|(seq, body)| Event { seq, time_ms: 1000 + seq, body }).collect();
        for journal in [first.expect("migrated"), second.expect("migrated")] {
            let migrated = history(&journal, BUILD).await.expect("it is good").expect("it is there");
            assert_eq!((migrated.events.as_slice(), migrated.head.epoch), (&*expected, 1));
            assert_eq!(journal.builds().await.expect("read"), ["a/b/old", BUILD], "the oldest first");
        }
        let mut connection = connect(&path).await;
        let old: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'events'")
            .fetch_one(&mut connection)
            .await
            .expect("a number");
        assert_eq!(old, 0, "the events are there twice");
    });
}

#[test]
fn a_journal_of_layout_1_that_can_not_be_read_whole_is_left_as_it_is_with_the_reason() {
    for (fault, reason) in [
        ("UPDATE events SET body = '{' WHERE seq = 3", "event 3 of o/r/1: it can't be read"),
        (
            "UPDATE events SET body = '{\"type\":\"job/teleported\"}' WHERE seq = 2",
            "event 2 of o/r/1: it can't be read",
        ),
        ("DELETE FROM events WHERE seq = 2", "event 3 of o/r/1: event 2 is missing before it"),
        ("UPDATE events SET seq = 0 WHERE seq = 6", "event 1 of o/r/1: there are events before the first"),
        ("UPDATE events SET time_ms = -1 WHERE seq = 1 AND build = 'a/b/old'", "its time is before 1970"),
        ("DROP TABLE events", "no such table: events"),
    ] {
        try_with("sqlite", async |_| {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("journal.db");
            let mut connection = layout_1(&path).await;
            sqlx::raw_sql(fault).execute(&mut connection).await.expect("done");
            let schema = "SELECT group_concat(name || coalesce(sql, '')) FROM sqlite_schema";
            let before: Option<String> = sqlx::query_scalar(schema).fetch_one(&mut connection).await.expect("a schema");
            let refused = SqliteJournal::open(&path).await.expect_err(fault);
            assert!(matches!(refused, JournalError::Migration { .. }), "{refused:?}");
            assert!(refused.to_string().contains(reason), "{fault}: {refused}");
            let after: Option<String> = sqlx::query_scalar(schema).fetch_one(&mut connection).await.expect("a schema");
            assert_eq!(before, after, "{fault}: it is not as it was");
        });
    }
}

#[test]
fn an_event_that_was_written_before_events_named_attempts_is_migrated_with_its_words() {
    try_with("sqlite", async |_| {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.db");
        let mut connection = connect(&path).await;
        sqlx::raw_sql(LAYOUT_1).execute(&mut connection).await.expect("layout 1");
        let old = r#"{"type":"artifact/saved","job":"a","id":"b","size":1,"digest":"d"}"#;
        insert(&mut connection, BUILD, 1, 1, old).await;
        let journal = SqliteJournal::open(&path).await.expect("migrated");
        let migrated = history(&journal, BUILD).await.expect("it is good").expect("it is there");
        // 0: the one that counts when the event is read.
        let EventBody::ArtifactSaved { attempt: 0, .. } = migrated.events[0].body else { panic!("{migrated:?}") };
    });
}
