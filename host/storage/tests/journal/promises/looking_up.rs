//! Finding builds by what their journals tell, without reading them.

use monkeyci_build::{BuildStatus, EventBody, Source};
use monkeyci_storage::Journals;
use monkeyci_storage::journal::{Sought, outlines};

use crate::database::Database;
use crate::sample::{report, triggered, write};

fn checked_out(branch: Option<&str>, message: &str) -> EventBody {
    let source = Source { branch: branch.map(str::to_owned), message: Some(message.to_owned()), ..Source::default() };
    EventBody::BuildCheckedOut { source }
}

fn ended(status: BuildStatus) -> EventBody {
    EventBody::BuildEnded { status, jobs: Vec::new() }
}

/// The name of a branch that is longer than an index takes.
fn long(end: &str) -> String {
    // Not the same letter again and again: PostgreSQL makes such a text short.
    let letters: String = (0..6000_u64).map(|n| char::from(b'a' + (n.pow(3) / 7 % 26) as u8)).collect();
    format!("{letters}{end}")
}

async fn builds(host: &Journals) {
    let far = std::iter::once(triggered()).chain((0..30).map(|_| report("said first"))).collect::<Vec<_>>();
    for (build, bodies) in [
        ("o/r/1", vec![triggered(), checked_out(Some("main"), "one"), ended(BuildStatus::Success)]),
        ("o/r/2", vec![triggered(), checked_out(Some("main"), &"x".repeat(100_000)), ended(BuildStatus::Failure)]),
        ("o/r/3", vec![triggered(), checked_out(None, "none"), ended(BuildStatus::Failure)]),
        ("o/r/4", vec![triggered(), checked_out(Some(&long("a")), "long"), ended(BuildStatus::TimedOut)]),
        ("o/r/5", vec![triggered(), checked_out(Some(&long("b")), "long"), report("goes on")]),
        ("o/r/6", [far, vec![checked_out(Some("main"), "far in")]].concat()),
        ("o/r/7", vec![triggered(), report(r#"{"type":"build/checked-out","source":{"branch":"main"}}"#)]),
    ] {
        write(&mut host.begin(build), bodies).await.expect("written");
    }
    // In several writes, as a driver makes them.
    let mut journal = host.begin("o/r/8");
    for body in [triggered(), checked_out(Some("topic"), "m"), report("r"), ended(BuildStatus::Cancelled)] {
        write(&mut journal, vec![body]).await.expect("written");
    }
}

fn sought(branch: Option<&str>, statuses: &[Option<BuildStatus>]) -> Sought {
    Sought { branch: branch.map(str::to_owned), statuses: statuses.to_vec() }
}

async fn found(host: &Journals, of: &Sought, skip: usize, count: usize) -> Vec<String> {
    let found = outlines(host.database(), of, skip, count).await.expect("read");
    let last = |id: String| id.rsplit('/').next().expect("a part").to_owned();
    found.into_iter().map(|outline| last(outline.expect("readable").build)).collect()
}

async fn all_are_found(host: &Journals) {
    let (failure, success) = (Some(BuildStatus::Failure), Some(BuildStatus::Success));
    for (of, expected) in [
        (sought(None, &[]), &["8", "7", "6", "5", "4", "3", "2", "1"][..]),
        (sought(Some("main"), &[]), &["6", "2", "1"]),
        (sought(Some("topic"), &[]), &["8"]),
        (sought(Some("mai"), &[]), &[]),
        (sought(Some(&long("a")), &[]), &["4"]),
        (sought(Some(&long("b")), &[]), &["5"]),
        (sought(None, &[failure]), &["3", "2"]),
        (sought(None, &[failure, success]), &["3", "2", "1"]),
        (sought(None, &[None]), &["7", "6", "5"]),
        (sought(None, &[None, Some(BuildStatus::Cancelled)]), &["8", "7", "6", "5"]),
        (sought(Some("main"), &[None, success]), &["6", "1"]),
        (sought(Some("main"), &[Some(BuildStatus::TimedOut)]), &[]),
    ] {
        assert_eq!(found(host, &of, 0, 100).await, expected, "{of:?}");
    }
    assert_eq!(found(host, &sought(Some("main"), &[]), 1, 1).await, ["2"], "the second");
    let outlined = outlines(host.database(), &sought(Some("main"), &[]), 0, 1).await.expect("read");
    let source = outlined[0].as_ref().expect("readable").source.clone().expect("its code, as far in as it stands");
    assert_eq!(source.message.as_deref(), Some("far in"));
}

pub async fn builds_are_found_by_a_part_of_their_ids(database: &Database) {
    let host = database.host().await;
    for build in ["o/r/1a", "o/r/2b", "o/s/1a", "o/R/1%"] {
        write(&mut host.begin(build), vec![triggered()]).await.expect("written");
    }
    for (part, expected) in [
        ("1a", &["o/r/1a", "o/s/1a"][..]),
        ("o/r/", &["o/r/1a", "o/r/2b"]),
        ("2b", &["o/r/2b"]),
        ("%", &["o/R/1%"]),
        ("_", &[]),
        ("1\0", &[]),
        ("", &["o/r/1a", "o/r/2b", "o/s/1a", "o/R/1%"]),
    ] {
        assert_eq!(host.database().builds_with(part).await.expect("read"), expected, "{part:?}");
    }
}

pub async fn builds_are_found_by_their_branch_and_by_how_they_ended(database: &Database) {
    let host = database.host().await;
    builds(&host).await;
    all_are_found(&host).await;
}

pub async fn a_journal_without_an_index_gets_it_from_its_records(database: &Database) {
    let host = database.host().await;
    builds(&host).await;
    drop(host);
    let version = match database.is_sqlite() {
        true => "PRAGMA user_version = 2",
        false => "UPDATE monkeyci_layout SET version = 2",
    };
    let layout_2 = "DROP INDEX builds_branch; DROP INDEX builds_status; ALTER TABLE builds DROP COLUMN branch;
        ALTER TABLE builds DROP COLUMN code; ALTER TABLE builds DROP COLUMN status;";
    database.execute(&format!("{layout_2} {version}")).await;
    // A record that nobody can read any more is in nobody's way.
    database
        .execute("UPDATE records SET body = '{\"type\":\"build/checked-out\"' WHERE build = 3 AND number = 2")
        .await;
    let mended = "UPDATE records SET body = '{\"type\":\"build/checked-out\",\"source\":{\"message\":\"none\"}}' WHERE build = 3 AND number = 2";
    let host = database.host().await;
    database.execute(mended).await;
    all_are_found(&host).await;
    // It is kept up from there.
    write(&mut host.begin("o/r/9"), vec![triggered(), checked_out(Some("main"), "new")]).await.expect("written");
    assert_eq!(found(&host, &sought(Some("main"), &[]), 0, 1).await, ["9"]);
}

pub async fn a_build_whose_end_is_lost_is_not_found_among_those_that_ended(database: &Database) {
    let host = database.host().await;
    let build = "o/r/1";
    write(&mut host.begin(build), vec![triggered(), report("r"), ended(BuildStatus::Success)]).await.expect("written");
    database.execute("DELETE FROM records WHERE number = 3").await;
    assert_eq!(host.open_builds().await.expect("read"), [build]);
    let cut = host.history(build).await.expect("read").expect("there");
    let next = database.host().await;
    drop(next.take_over(build, &cut).await.expect("taken over"));
    let status = Some(BuildStatus::Success);
    assert_eq!(found(&next, &sought(None, &[status]), 0, 9).await, Vec::<String>::new());
    assert_eq!(found(&next, &sought(None, &[None]), 0, 9).await, ["1"]);
}
