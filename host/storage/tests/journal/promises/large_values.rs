//! Large values: kept once, read in pages.

use monkeyci_build::EventBody;
use monkeyci_storage::journal::{JournalError, Page};

use crate::database::Database;
use crate::sample::{BUILD, report, results, triggered, write, written};

pub async fn a_large_value_stands_in_the_database_once(database: &Database) {
    let host = database.host().await;
    // The results are in two events of this build, and in another build.
    let events = written(&host).await;
    let results = results("result ");
    let again = vec![triggered(), EventBody::JobResults { job: "other".to_owned(), attempt: 1, results }];
    let other = write(&mut host.begin("o/r/2"), again).await.expect("written");
    assert_eq!(database.count("SELECT count(*) FROM contents").await, 1);
    assert!(database.count("SELECT CAST(max(length(body)) AS BIGINT) FROM records").await < 1000);
    assert_eq!(host.events(BUILD).await.expect("read"), events);
    assert_eq!(host.events("o/r/2").await.expect("read"), other);
}

pub async fn an_event_that_is_too_large_is_refused_and_the_journal_goes_on(database: &Database) {
    let host = database.host().await;
    let mut journal = host.begin(BUILD);
    write(&mut journal, vec![triggered()]).await.expect("written");
    let refused = journal.append(1, report("x".repeat(257 << 20))).expect_err("it is too large");
    let JournalError::TooLarge { number: 2, limit, .. } = &refused else { panic!("{refused:?}") };
    assert!(refused.to_string().contains(&limit.to_string()), "{refused}");
    write(&mut journal, vec![report("y".repeat(5 << 20))]).await.expect("written");
    let many = [report("a".to_owned()), report("x".repeat(257 << 20))].map(|body| (1, body));
    let refused = journal.append_all(many).expect_err("one of them is too large");
    assert!(matches!(refused, JournalError::TooLarge { number: 4, .. }), "{refused:?}");
    journal.append_all([(1, report("b".to_owned())), (2, report("c".to_owned()))]).expect("queued");
    journal.durable().wait(4).await.expect("written");
    assert_eq!(host.events(BUILD).await.expect("read").len(), 4, "and nothing of what was refused");
}

pub async fn a_page_ends_by_bytes_as_well_as_by_count(database: &Database) {
    let host = database.host().await;
    let mut journal = host.begin(BUILD);
    let bodies = (0..10).map(|number| report(format!("{number}").repeat(100_000))).collect();
    let events = write(&mut journal, bodies).await.expect("written");
    let page = async |after, count, bytes| {
        let page = host.events_after(BUILD, after, Page { count, bytes }).await.expect("read");
        page.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 3, u64::MAX).await, [1, 2, 3]);
    assert_eq!(page(3, 100, 350_000).await, [4, 5, 6], "three have 300,000 bytes and some");
    assert_eq!(page(3, 100, 1).await, [4], "one is read however large it is");
    assert_eq!(page(9, 100, u64::MAX).await, [10]);
    assert_eq!(page(10, 100, u64::MAX).await, [0; 0]);
    assert_eq!(host.events_after(BUILD, 9, Page::default()).await.expect("read"), events[9..]);
}

pub async fn a_removed_build_takes_along_what_no_other_refers_to(database: &Database) {
    let host = database.host().await;
    written(&host).await;
    let bodies = vec![
        EventBody::JobResults { job: "test".to_owned(), attempt: 1, results: results("result ") },
        report("of its own ".repeat(10_000)),
    ];
    let events = write(&mut host.begin("o/r/2"), bodies).await.expect("written");
    let contents = || database.count("SELECT count(*) FROM contents");
    assert_eq!(contents().await, 2);
    assert!(host.database().remove(BUILD).await.expect("removed"));
    assert!(!host.database().remove(BUILD).await.expect("an answer"), "it is removed");
    assert_eq!((host.builds().await.expect("read"), contents().await), (vec!["o/r/2".to_owned()], 2));
    assert_eq!(host.events("o/r/2").await.expect("read"), events);
    assert!(host.database().remove("o/r/2").await.expect("removed"));
    let rows = "SELECT (SELECT count(*) FROM contents) + (SELECT count(*) FROM content_uses) +
        (SELECT count(*) FROM records) + (SELECT count(*) FROM builds)";
    assert_eq!(database.count(rows).await, 0, "rows are left");
}
