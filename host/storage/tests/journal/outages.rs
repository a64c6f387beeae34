//! Disks that are full, databases that are locked, servers that are gone: builds wait, and go on.

use std::fs;
use std::sync::Arc;

use monkeyci_storage::journal::{Journal, Obstacle, PostgresJournal, SqliteJournal};
use monkeyci_storage::{BuildJournal, Journals};
use monkeyci_testbed::daemons::{Postgres, SmallDisk};
use monkeyci_testbed::handed;
use sqlx::{Connection, SqliteConnection};

use crate::database::try_with;
use crate::sample::{BUILD, report, triggered, write};

/// Appends an event while something is in the way, sees it said, takes it out of the way, and sees the event written.
async fn goes_on_after(host: &Journals, journal: &mut BuildJournal, wanted: Obstacle, mend: impl AsyncFnOnce()) {
    let event = journal.append(1, report("in spite of all ".repeat(10_000))).expect("queued");
    let mut waiting = host.waiting();
    let said = |waiting: &Option<monkeyci_storage::journal::Waiting>| waiting.is_some();
    let waits = tokio::select! {
        waits = waiting.wait_for(said) => waits.expect("the writer goes on").clone().expect("it waits"),
        done = async { journal.durable().wait(event.seq).await } => panic!("it does not wait: {done:?}"),
    };
    assert_eq!(waits.obstacle, wanted, "{}", waits.message);
    mend().await;
    journal.durable().wait(event.seq).await.expect("it goes on");
    let events = host.events(BUILD).await.expect("read");
    assert_eq!((events.len() as u64, events.last()), (event.seq, Some(&event)));
}

#[test]
fn a_build_waits_while_the_disk_is_full_and_goes_on_when_there_is_room() {
    try_with("sqlite", async |database| {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("disk");
        let _disk = SmallDisk::at(&at, 4 << 20);
        let journal = SqliteJournal::open(&at.join("journal.db")).await.expect("a database");
        let host = database.host_with(Arc::new(journal));
        let mut journal = host.begin(BUILD);
        write(&mut journal, vec![triggered()]).await.expect("written");
        let filler = at.join("filler");
        let mut room = 4 << 20;
        while room > 0 {
            let all = [fs::read(&filler).unwrap_or_default(), vec![0; room]].concat();
            if fs::write(&filler, all).is_err() {
                room /= 2;
            }
        }
        goes_on_after(&host, &mut journal, Obstacle::Full, async || fs::remove_file(&filler).expect("removed")).await;
    });
}

#[test]
fn a_build_waits_while_another_process_has_locked_the_database() {
    try_with("sqlite", async |database| {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.db");
        let host = database.host_with(Arc::new(SqliteJournal::open(&path).await.expect("a database")));
        let mut journal = host.begin(BUILD);
        write(&mut journal, vec![triggered()]).await.expect("written");
        let url = format!("sqlite://{}", path.display());
        let mut other = SqliteConnection::connect(&url).await.expect("a connection");
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.expect("locked");
        let unlock = async || {
            sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("unlocked");
        };
        goes_on_after(&host, &mut journal, Obstacle::Busy, unlock).await;
    });
}

#[test]
fn a_build_waits_while_postgresql_is_gone_and_goes_on_when_it_is_back() {
    try_with("sqlite", async |database| {
        let mut server = Postgres::start(&handed::path(handed::POSTGRES)).expect("a server");
        let journal: Arc<dyn Journal> =
            Arc::new(PostgresJournal::open(&server.url("public")).await.expect("a database"));
        let host = database.host_with(journal);
        let mut journal = host.begin(BUILD);
        write(&mut journal, vec![triggered()]).await.expect("written");
        for _ in 0..2 {
            server.kill();
            goes_on_after(&host, &mut journal, Obstacle::Away, async || server.run().expect("a server")).await;
        }
    });
}
