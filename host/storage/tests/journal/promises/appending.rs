//! Appending: in order, durable, together.

use std::sync::Arc;

use monkeyci_build::{BuildStatus, Ending, EventBody, JobSummary, Source};
use monkeyci_storage::journal::{JournalError, Obstacle, Sought, outlines};

use crate::database::{Database, Watched};
use crate::sample::{BUILD, bodies, output, report, results, triggered, write, written};

pub async fn what_is_appended_comes_back_in_order_and_after_it_is_opened_again(database: &Database) {
    let host = database.host().await;
    assert_eq!(host.events(BUILD).await.expect("read"), [], "there is no such build");
    let events = written(&host).await;
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(events.iter().map(|event| event.body.clone()).collect::<Vec<_>>(), bodies());
    write(&mut host.begin("a/b/2"), vec![triggered()]).await.expect("written");
    drop(host);
    let host = database.host().await;
    assert_eq!(host.events(BUILD).await.expect("read"), events);
    assert_eq!(host.builds().await.expect("read"), [BUILD, "a/b/2"], "the oldest first");
}

pub async fn builds_that_are_not_over_are_listed_whatever_their_events_say(database: &Database) {
    let host = database.host().await;
    let ended = || EventBody::BuildEnded { status: BuildStatus::Success, jobs: Vec::new() };
    let says = |text: &str| EventBody::BuildWarned { message: text.to_owned() };
    for (build, bodies) in [
        ("o/r/open", vec![triggered()]),
        ("o/r/over", vec![triggered(), ended()]),
        ("o/r/tricky", vec![triggered(), says(r#""type":"build/ended""#)]),
        ("o/r/named", vec![triggered(), output("type", "build/ended")]),
        ("o/r/long", vec![triggered(), says(&"x".repeat(1 << 20)), ended()]),
    ] {
        write(&mut host.begin(build), bodies).await.expect("written");
    }
    assert_eq!(host.open_builds().await.expect("read"), ["o/r/open", "o/r/tricky", "o/r/named"]);
}

pub async fn builds_are_outlined_from_the_newest_on_by_a_few_records_of_each(database: &Database) {
    let host = database.host().await;
    let source = Source { branch: Some("main".to_owned()), ..Source::default() };
    let checked_out = || EventBody::BuildCheckedOut { source: source.clone() };
    let large =
        JobSummary { job: "a".to_owned(), ending: Ending::Succeeded, duration_ms: None, results: Some(results("r")) };
    let ended = EventBody::BuildEnded { status: BuildStatus::Failure, jobs: vec![large] };
    for (build, bodies) in [
        ("o/r/1", vec![triggered()]),
        ("o/r/2", vec![triggered(), checked_out()]),
        ("o/r/3", vec![triggered(), report("first"), checked_out(), report("more"), ended.clone()]),
        ("o/r/4", vec![triggered(), output("type", "build/ended")]),
    ] {
        write(&mut host.begin(build), bodies).await.expect("written");
    }
    let outlined = async |skip, count| {
        let found = outlines(host.database(), &Sought::default(), skip, count).await.expect("read");
        found.into_iter().map(|outline| outline.expect("readable")).collect::<Vec<_>>()
    };
    let all = outlined(0, 10).await;
    let told: Vec<_> = all.iter().map(|it| (it.build.as_str(), it.events, it.source.is_some(), it.status)).collect();
    let failed = Some(BuildStatus::Failure);
    let expected =
        [("o/r/4", 2, false, None), ("o/r/3", 5, true, failed), ("o/r/2", 2, true, None), ("o/r/1", 1, false, None)];
    assert_eq!(told, expected);
    assert_eq!((all[1].begun_ms, all[1].last_ms), (1000, 1004));
    assert_eq!(all[1].last_event(host.database()).await.expect("whole").body, ended);
    assert_eq!(outlined(1, 2).await, all[1..3]);
    assert_eq!(outlined(4, 2).await, []);
}

pub async fn appends_that_queue_while_a_write_is_under_way_go_into_the_next_one(database: &Database) {
    let watched = Arc::new(Watched::new(database.open().await.expect("a database")));
    watched.gate.forget_permits(usize::MAX);
    let host = database.host_with(watched.clone());
    let mut first = host.begin(BUILD);
    first.append(1, triggered()).expect("queued");
    // The first write is under way now, and does not end before it may.
    while watched.committed().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut journals: Vec<_> = (0..64).map(|build| host.begin(&format!("o/r/{}", build + 2))).collect();
    for _ in 0..3 {
        for journal in &mut journals {
            journal.append(1, triggered()).expect("queued");
        }
    }
    first.append(1, report("more")).expect("queued");
    watched.gate.add_permits(2);
    for journal in journals.iter().chain([&first]) {
        journal.durable().wait(journal.last()).await.expect("written");
    }
    let commits = watched.committed();
    assert_eq!(commits.iter().map(Vec::len).collect::<Vec<_>>(), [1, 65], "builds per write");
    assert_eq!(commits[1].iter().map(|append| append.records.len()).sum::<usize>(), 64 * 3 + 1);
    assert_eq!(database.count("SELECT count(*) FROM records").await, 64 * 3 + 2);
}

pub async fn a_build_that_can_not_be_written_disturbs_no_other(database: &Database) {
    let watched = Arc::new(Watched::new(database.open().await.expect("a database")));
    watched.gate.forget_permits(usize::MAX);
    let host = database.host_with(watched.clone());
    let (mut good, mut bad) = (host.begin(BUILD), host.begin("o/r/bad"));
    write_queued(&mut good);
    write_queued(&mut bad);
    watched.gate.add_permits(100);
    good.durable().wait(1).await.expect("written");
    bad.durable().wait(1).await.expect("written");
    // What nobody but the database can know is wrong with it.
    database.execute("DELETE FROM records WHERE build = (SELECT id FROM builds WHERE build = 'o/r/bad')").await;
    let row = "INSERT INTO records (build, number, epoch, time_ms, split, size, checksum, body)
        SELECT id, 2, 1, 1, false, 1, checksum, 'x' FROM builds WHERE build = 'o/r/bad'";
    database.execute(row).await;
    watched.gate.forget_permits(usize::MAX);
    write_queued(&mut good);
    write_queued(&mut bad);
    watched.gate.add_permits(100);
    good.durable().wait(2).await.expect("it is as good as any");
    let refused = bad.durable().wait(2).await.expect_err("there is such a record");
    assert!(matches!(refused, JournalError::Database { .. }), "{refused:?}");
    assert!(bad.append(1, report("more")).is_err(), "nothing can follow");
}

fn write_queued(journal: &mut monkeyci_storage::BuildJournal) {
    journal.append(1, triggered()).expect("queued");
}

pub async fn a_full_disk_and_a_busy_database_are_waited_for_and_said(database: &Database) {
    let blocked = |obstacle| JournalError::Blocked {
        journal: "of a test".to_owned(),
        obstacle,
        source: Arc::new(std::io::Error::other("no room")),
    };
    let watched = Watched::new(database.open().await.expect("a database")).before(move |number, _| match number {
        1..=3 => Some(blocked(Obstacle::Full)),
        4..=6 => Some(blocked(Obstacle::Busy)),
        _ => None,
    });
    let watched = Arc::new(watched);
    watched.gate.forget_permits(usize::MAX);
    let host = database.host_with(watched.clone());
    let mut waiting = host.waiting();
    let mut journal = host.begin(BUILD);
    journal.append(1, triggered()).expect("queued");
    for (permits, expected) in [(3, Some(Obstacle::Full)), (3, Some(Obstacle::Busy)), (1, None)] {
        watched.gate.add_permits(permits);
        let is_so = |waiting: &Option<monkeyci_storage::journal::Waiting>| {
            waiting.as_ref().map(|waiting| waiting.obstacle) == expected
        };
        let said = waiting.wait_for(is_so).await.expect("the writer goes on").clone();
        assert!(said.is_none_or(|said| said.message.contains("of a test")), "it names what can't be written");
    }
    journal.durable().wait(1).await.expect("written");
    assert_eq!(host.events(BUILD).await.expect("read").len(), 1);
}

pub async fn an_append_whose_answer_was_lost_is_written_once(database: &Database) {
    let lost = || JournalError::Blocked {
        journal: "of a test".to_owned(),
        obstacle: Obstacle::Away,
        source: Arc::new(std::io::Error::other("cut off")),
    };
    let watched = Watched::new(database.open().await.expect("a database"));
    let host = database.host_with(Arc::new(watched.after(move |number, _| (!number.is_multiple_of(2)).then(lost))));
    let events = written(&host).await;
    let mut journal = host.begin("o/r/2");
    for _ in 0..3 {
        write(&mut journal, vec![triggered()]).await.expect("written");
    }
    assert_eq!(host.events(BUILD).await.expect("read"), events);
    assert_eq!(host.events("o/r/2").await.expect("read").len(), 3);
}
