//! Owning: one host may append.

use std::sync::Arc;

use monkeyci_storage::journal::{JournalError, Owner};

use crate::database::{Database, Watched};
use crate::sample::{BUILD, report, triggered, write, written};

pub async fn a_journal_is_begun_once(database: &Database) {
    let (first, second) = (database.host().await, database.host().await);
    let events = written(&first).await;
    let refused = write(&mut second.begin(BUILD), vec![triggered()]).await.expect_err("there is one");
    let JournalError::Fenced { by: Owner(1), owner: Owner(2), their_epoch: 1, .. } = &refused else {
        panic!("{refused:?}")
    };
    assert!(refused.to_string().contains("belongs to another host"), "{refused}");
    let again = write(&mut first.begin(BUILD), vec![triggered()]).await.expect_err("there is one");
    assert!(matches!(again, JournalError::UnexpectedNumber { number: 1, expected: 7, .. }), "{again:?}");
    assert_eq!(second.events(BUILD).await.expect("read"), events);
}

pub async fn an_owner_that_was_replaced_is_refused_and_nothing_of_it_is_kept(database: &Database) {
    let (first, second) = (database.host().await, database.host().await);
    let mut old = first.begin(BUILD);
    let mut events = write(&mut old, vec![triggered(), report("old")]).await.expect("written");
    let history = second.history(BUILD).await.expect("read").expect("it is there");
    assert_eq!((history.head.epoch, history.missing()), (1, 0));
    let mut new = second.take_over(BUILD, &history).await.expect("nobody else is there");
    // Before the new one has appended anything, and after.
    for _ in 0..2 {
        let mut stale = old.durable();
        let appended = old.append(5, report("I am still here"));
        let refused = match appended {
            Ok(event) => stale.wait(event.seq).await.expect_err("it is not the owner any more"),
            Err(refused) => refused,
        };
        assert!(matches!(refused, JournalError::Fenced { epoch: 1, their_epoch: 2, .. }), "{refused:?}");
        events.extend(write(&mut new, vec![report("new")]).await.expect("written"));
    }
    assert_eq!(first.events(BUILD).await.expect("read"), events);
    assert_eq!(second.history(BUILD).await.expect("read").expect("it is there").head.epoch, 2);
}

pub async fn two_owners_whose_appends_are_in_one_write_are_told_apart(database: &Database) {
    let (first, second) = (database.host().await, database.host().await);
    let mut old = first.begin(BUILD);
    write(&mut old, vec![triggered()]).await.expect("written");
    let history = second.history(BUILD).await.expect("read").expect("it is there");
    // One host is both: what they append goes through one writer, the stale one first.
    let watched = Arc::new(Watched::new(database.open().await.expect("a database")));
    watched.gate.forget_permits(usize::MAX);
    let host = database.host_with(watched.clone());
    let mut stale = host.take_over(BUILD, &history).await.expect("nobody else is there");
    let history = host.history(BUILD).await.expect("read").expect("it is there");
    let mut new = host.take_over(BUILD, &history).await.expect("nobody else is there");
    host.begin("o/r/2").append(1, triggered()).expect("queued");
    // What is queued while that is written goes into one write.
    while watched.committed().is_empty() {
        tokio::task::yield_now().await;
    }
    stale.append(1, report("stale")).expect("queued");
    new.append(1, report("new")).expect("queued");
    watched.gate.add_permits(100);
    new.durable().wait(2).await.expect("it is the owner");
    let refused = stale.durable().wait(2).await.expect_err("it is not");
    assert!(matches!(refused, JournalError::Fenced { epoch: 2, their_epoch: 3, .. }), "{refused:?}");
    assert_eq!(watched.committed().iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
    let events = host.events(BUILD).await.expect("read");
    assert_eq!(events.last().expect("two").body, report("new"));
}

pub async fn of_two_that_take_over_at_once_one_has_the_journal(database: &Database) {
    written(&database.host().await).await;
    let mut hosts = Vec::new();
    for _ in 0..8 {
        let host = database.host().await;
        let history = host.history(BUILD).await.expect("read").expect("it is there");
        hosts.push((host, history));
    }
    let tries = hosts.iter().map(|(host, history)| host.take_over(BUILD, history));
    let (taken, refused): (Vec<_>, Vec<_>) =
        futures::future::join_all(tries).await.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (1, 7));
    for refused in refused.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, JournalError::Fenced { their_epoch: 2, .. }), "{refused:?}");
    }
}

pub async fn who_read_less_than_there_is_does_not_take_over(database: &Database) {
    let (first, second) = (database.host().await, database.host().await);
    let mut journal = first.begin(BUILD);
    write(&mut journal, vec![triggered()]).await.expect("written");
    let history = second.history(BUILD).await.expect("read").expect("it is there");
    write(&mut journal, vec![report("more")]).await.expect("written");
    let refused = second.take_over(BUILD, &history).await.expect_err("its owner goes on");
    assert!(matches!(refused, JournalError::Fenced { their_epoch: 1, .. }), "{refused:?}");
    write(&mut journal, vec![report("and more")]).await.expect("it is the owner");
}

pub async fn an_append_that_does_not_follow_the_last_record_is_refused(database: &Database) {
    // What one host commits, made again in another order.
    let watched = Arc::new(Watched::new(database.open().await.expect("a database")));
    let host = database.host_with(watched.clone());
    let mut journal = host.begin(BUILD);
    for message in ["one", "two", "three"] {
        write(&mut journal, vec![report(message)]).await.expect("written");
    }
    let appends: Vec<_> = watched.committed().into_iter().flatten().collect();
    let again = database.open().await.expect("a database");
    assert!(again.remove(BUILD).await.expect("removed"));
    let unknown = again.commit(&appends[1..2]).await.expect("an answer").remove(0);
    assert!(matches!(unknown, Err(JournalError::Unknown { .. })), "{unknown:?}");
    again.commit(&appends[..1]).await.expect("an answer").remove(0).expect("it is the first");
    let gap = again.commit(&appends[2..3]).await.expect("an answer").remove(0);
    assert!(matches!(gap, Err(JournalError::UnexpectedNumber { number: 3, expected: 2, .. })), "{gap:?}");
    // The right number, behind another record.
    let mut other = appends[1].clone();
    other.checksum.0[0] ^= 1;
    let other = again.commit(&[other]).await.expect("an answer").remove(0);
    assert!(matches!(other, Err(JournalError::Damaged { number: 1, .. })), "{other:?}");
    assert_eq!(host.events(BUILD).await.expect("read").len(), 1);
}
