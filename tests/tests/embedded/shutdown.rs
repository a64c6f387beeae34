//! The end of a host, and what becomes of its builds.

use std::time::Duration;

use futures::TryStreamExt;
use monkeyci_host::{BuildStatus, EventBody, LogStream, ResumeRequest, Shutdown, Standing, SubmitError, WaitError};
use monkeyci_tests::engine::Engine;
use monkeyci_tests::hang_guard::HANGS;

use crate::{go, host, host_without_engine, request, until, until_it_waits};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_drains_takes_nothing_new_and_lets_builds_end() {
    let home = tempfile::tempdir().expect("a directory");
    let host = host_without_engine(home.path()).await;
    let build = host.submit(request("resume-waiting")).await.expect("taken");
    until_it_waits(&build).await;
    let shutdown = tokio::spawn({
        let host = host.clone();
        async move { host.shutdown(Shutdown::Drain, HANGS).await }
    });
    while host.submit(request("resume")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(host.submit(request("resume")).await, Err(SubmitError::ShuttingDown)));
    go(&build).await;
    let report = shutdown.await.expect("no panic");
    assert!(report.ended.contains(&build.id().to_owned()) && report.left.is_empty(), "{report:?}");
    assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_stops_its_builds() {
    let home = tempfile::tempdir().expect("a directory");
    let host = host_without_engine(home.path()).await;
    let build = host.submit(request("resume-waiting")).await.expect("taken");
    until_it_waits(&build).await;
    let report = host.shutdown(Shutdown::Stop, HANGS).await;
    assert_eq!((report.ended, report.left), (vec![build.id().to_owned()], vec![]));
    assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_let_go_of_is_gone_on_with_by_the_next_host_and_its_streams_end() {
    let home = tempfile::tempdir().expect("a directory");
    let host = host_without_engine(home.path()).await;
    let build = host.submit(request("resume-approval")).await.expect("taken");
    until(&build, crate::is_blocked).await;
    let events = tokio::spawn(build.events(0).try_collect::<Vec<_>>());
    // One that does not end in time is let go of too.
    let report = host.shutdown(Shutdown::Drain, Duration::ZERO).await;
    assert_eq!((report.ended, report.left), (vec![], vec![build.id().to_owned()]));
    let heard = tokio::time::timeout(HANGS, events).await.expect("it ends").expect("no panic").expect("events");
    assert!(!heard.iter().any(|event| matches!(event.body, EventBody::BuildEnded { .. })));
    assert!(matches!(build.wait().await, Err(WaitError::Host(_))), "this host does not drive it any more");
    assert_eq!(build.status().await.expect("a status"), Standing::Lost);

    let next = host_without_engine(home.path()).await;
    let known = next.resumable().await.expect("known");
    assert_eq!((known.len(), known[0].build.as_str()), (1, build.id()));
    let resumed = next.resume(ResumeRequest::new(build.id(), "ann")).await.expect("it goes on");
    resumed.approve("deploy", "ann").await.expect("approved");
    assert_eq!(resumed.wait().await.expect("a report").status, BuildStatus::Success);
    let left = std::fs::read_dir(home.path().join("run")).expect("a directory").count();
    assert_eq!(left, 0, "what only a running build needs is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_was_taken_just_before_its_host_left_can_be_gone_on_with() {
    let home = tempfile::tempdir().expect("a directory");
    // As far as it comes meanwhile.
    for _ in 0..5 {
        let host = host_without_engine(home.path()).await;
        let build = host.submit(request("resume").param("version", "1")).await.expect("taken");
        let report = host.shutdown(Shutdown::Leave, HANGS).await;
        if report.left.is_empty() {
            continue;
        }
        let next = host_without_engine(home.path()).await;
        let mut request = ResumeRequest::new(build.id(), "ann");
        request.again = true;
        let resumed = next.resume(request).await.expect("it goes on");
        assert_eq!(resumed.wait().await.expect("a report").status, BuildStatus::Success);
    }
}

#[test]
fn a_container_that_runs_while_its_host_leaves_runs_on_and_no_word_of_it_is_lost_or_doubled() {
    let engine = Engine::docker();
    let home = tempfile::tempdir().expect("a directory");
    let owner = || std::fs::read_to_string(home.path().join("owner")).expect("an owner");
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    tokio.block_on(async {
        let first = host(home.path(), &engine.address).open().await.expect("a host");
        let build = first.submit(request("resume-pods").param("gate", "yes")).await.expect("taken");
        until(&build, |body| matches!(body, EventBody::JobRunning { job, .. } if job == "works")).await;
        let report = first.shutdown(Shutdown::Leave, HANGS).await;
        assert_eq!(report.left, [build.id()]);
        assert!(!tokio::task::block_in_place(|| engine.leftovers(&owner())).is_empty(), "its container is there");

        let next = host(home.path(), &engine.address).open().await.expect("a host");
        let resumed = next.resume(ResumeRequest::new(build.id(), "ann")).await.expect("it goes on");
        // It goes on when this is there.
        tokio::task::block_in_place(|| engine.put(&owner(), "works", "go"));
        let report = resumed.wait().await.expect("a report");
        assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
        let record = resumed.record().await.expect("a record");
        assert_eq!(record.job("works").expect("the job").attempts.len(), 1);
        let pieces: Vec<_> = resumed.logs(Some("works")).try_collect().await.expect("a log");
        let own = pieces.iter().filter(|piece| piece.frame.stream == LogStream::Stdout);
        let text: String = own.map(|piece| String::from_utf8_lossy(&piece.frame.bytes).into_owned()).collect();
        let numbers: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(numbers, (1..=1000).collect::<Vec<_>>());
    });
    assert_eq!(engine.leftovers(&owner()), [] as [String; 0]);
}
