//! Damage: a journal is what was written, or a part of it from the beginning, or refused.

use monkeyci_storage::journal::JournalError;

use crate::database::Database;
use crate::sample::{BUILD, report, write, written};

pub async fn a_journal_that_is_cut_at_the_end_of_a_record_goes_on_from_there(database: &Database) {
    let host = database.host().await;
    let events = written(&host).await;
    database.execute("DELETE FROM records WHERE number > 4").await;
    let history = host.history(BUILD).await.expect("it is good").expect("it is there");
    assert_eq!((history.events.as_slice(), history.missing()), (&events[..4], 2));
    let next = database.host().await;
    let mut journal = next.take_over(BUILD, &history).await.expect("nobody else is there");
    let more = write(&mut journal, vec![report("again")]).await.expect("written");
    let history = host.history(BUILD).await.expect("it is good").expect("it is there");
    assert_eq!(history.events, [&events[..4], &more].concat());
    assert_eq!((history.missing(), history.head.epoch), (0, 2));
}

pub async fn whatever_else_is_not_as_it_was_written_is_refused_with_the_number_of_the_record(database: &Database) {
    let host = database.host().await;
    let zeros = if database.is_sqlite() { "zeroblob(32)" } else { "decode(repeat('00', 32), 'hex')" };
    let set = |what: String, number: u32| (format!("UPDATE records SET {what} WHERE number = {number}"), number);
    let damages = [
        set("body = replace(body, 'test', 'tast')".to_owned(), 3),
        set("body = body || ' '".to_owned(), 6),
        set("time_ms = time_ms + 1".to_owned(), 1),
        set("epoch = epoch + 1".to_owned(), 2),
        set("split = NOT split".to_owned(), 4),
        set("split = NOT split".to_owned(), 5),
        set(format!("checksum = {zeros}"), 3),
        set("number = 60".to_owned(), 6),
        ("DELETE FROM records WHERE number = 2".to_owned(), 2),
        ("UPDATE records SET number = 7 - number + 100; UPDATE records SET number = number - 100".to_owned(), 1),
        ("UPDATE contents SET text = replace(text, 'result', 'rasult')".to_owned(), 4),
        (format!("UPDATE contents SET digest = {zeros}"), 4),
        ("UPDATE builds SET last = 5".to_owned(), 5),
        (format!("UPDATE builds SET checksum = {zeros}"), 6),
        ("UPDATE builds SET epoch = 0".to_owned(), 6),
    ];
    for (damage, first) in damages {
        if damage.contains("contents SET digest") && !database.is_sqlite() {
            database.execute("ALTER TABLE content_uses DROP CONSTRAINT content_uses_digest_fkey").await;
        }
        written(&host).await;
        assert!(database.execute(&damage).await > 0, "{damage}");
        let refused = host.history(BUILD).await.expect_err(&damage);
        match &refused {
            JournalError::Damaged { number, .. } => assert_eq!(*number, u64::from(first), "{damage}: {refused}"),
            other => panic!("{damage}: {other:?}"),
        }
        host.database().remove(BUILD).await.expect("removed");
        database.execute("DELETE FROM contents").await;
    }
}

pub async fn a_newer_layout_is_refused_in_a_sentence(database: &Database) {
    drop(database.host().await);
    let newer = match database.is_sqlite() {
        true => "PRAGMA user_version = 4",
        false => "UPDATE monkeyci_layout SET version = 4",
    };
    database.execute(newer).await;
    let refused = database.open().await.expect_err("it is newer");
    assert!(matches!(refused, JournalError::Newer { layout: 4, .. }), "{refused:?}");
    assert!(refused.to_string().contains("use the version of monkeyci-host that wrote it"), "{refused}");
}
