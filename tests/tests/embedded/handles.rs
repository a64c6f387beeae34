//! Handles of builds, that this host drives or another one.

use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use monkeyci_build::{Event as Fact, EventBody as Body};
use monkeyci_host::{
    BuildStatus, CancelError, EventBody, EventsError, LogPieces, ResumeError, Standing, SubmitError, WaitError,
};
use monkeyci_storage::Journals;
use monkeyci_storage::journal::Owner;
use monkeyci_tests::hang_guard::HANGS;

use crate::{all, go, host_without_engine, is_blocked, request, rest, until, until_it_waits};

/// What the journal of a home has of a build, read by somebody else.
async fn on_disk(home: &Path, build: &str) -> Vec<Fact> {
    let journals = Journals::sqlite(&home.join("journal.db"), Owner(7)).await.expect("a journal");
    journals.events(build).await.expect("events")
}

/// What a log says, to its end.
async fn text(pieces: LogPieces) -> String {
    let pieces: Vec<_> = tokio::time::timeout(HANGS, pieces.try_collect()).await.expect("an end").expect("a log");
    pieces.iter().map(|piece| String::from_utf8_lossy(&piece.frame.bytes).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_submitted_is_on_disk_and_the_same_key_gives_the_same_build_also_after_a_restart() {
    let home = tempfile::tempdir().expect("a directory");
    let host = host_without_engine(home.path()).await;
    let keyed = |key: &str| request("resume-waiting").key(key);
    let (one, two) = tokio::join!(host.submit(keyed("a")), host.submit(keyed("a")));
    let (one, two) = (one.expect("taken"), two.expect("taken"));
    assert_eq!(one.id(), two.id());
    let written = on_disk(home.path(), one.id()).await;
    assert!(matches!(written[1].body, Body::BuildRequested { .. }), "{written:#?}");
    let other = host.submit(keyed("b")).await.expect("taken");
    assert_ne!(other.id(), one.id());

    // Another host of the home knows it, while it runs and when it is over.
    let restarted = host_without_engine(home.path()).await;
    assert_eq!(restarted.submit(keyed("a")).await.expect("known").id(), one.id());
    until_it_waits(&one).await;
    go(&one).await;
    assert_eq!(two.wait().await.expect("a report").status, BuildStatus::Success);
    let again = restarted.submit(keyed("a")).await.expect("known");
    assert_eq!((again.id(), again.status().await.expect("a status")), (one.id(), Standing::Success));
    assert_eq!(again.wait().await.expect("a report").status, BuildStatus::Success);
    let written = on_disk(home.path(), one.id()).await;
    assert_eq!(written.iter().filter(|event| matches!(event.body, Body::BuildTriggered { .. })).count(), 1);
    other.cancel("ann").await.expect("stopped");
    assert_eq!(other.wait().await.expect("a report").status, BuildStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_from_the_past_to_the_present_and_each_comes_once_whoever_drives_the_build() {
    let home = tempfile::tempdir().expect("a directory");
    let (host, elsewhere) = (host_without_engine(home.path()).await, host_without_engine(home.path()).await);
    let build = host.submit(request("resume-waiting")).await.expect("taken");
    let seen = elsewhere.build(build.id()).await.expect("known");
    // Before it goes on: what these hear later is of the present.
    until_it_waits(&build).await;
    let early: Vec<_> = (0..4).map(|after| build.events(after)).chain([seen.events(0), seen.events(3)]).collect();
    let early: Vec<_> = early.into_iter().map(|events| tokio::spawn(events.try_collect::<Vec<_>>())).collect();
    until_it_waits(&seen).await;
    go(&seen).await;
    let report = seen.wait().await.expect("a report");
    let all = rest(&build, 0).await;
    let numbers = |events: &[monkeyci_host::Event]| events.iter().map(|event| event.seq).collect::<Vec<_>>();
    assert!(numbers(&all).is_sorted_by(|a, b| a < b) && all.iter().all(|event| event.body.is_shown()), "{all:#?}");
    for (after, events) in [0, 1, 2, 3, 0, 3].into_iter().zip(early) {
        let events = tokio::time::timeout(HANGS, events).await.expect("it ends").expect("no panic").expect("events");
        assert_eq!(events, all.iter().filter(|event| event.seq > after).cloned().collect::<Vec<_>>(), "{after}");
    }
    for event in &all {
        let later = rest(&seen, event.seq).await;
        assert_eq!(numbers(&later), numbers(&all).split_off(all.iter().position(|it| it == event).expect("it") + 1));
    }
    // Both tell of the same end.
    let own = build.wait().await.expect("a report");
    assert_eq!((report.status, report.build.as_str()), (own.status, own.build.as_str()));
    assert_eq!(format!("{:?}", report.jobs), format!("{:?}", own.jobs));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_handle_of_another_hosts_build_reads_its_log_decides_and_stops() {
    let home = tempfile::tempdir().expect("a directory");
    let (host, elsewhere) = (host_without_engine(home.path()).await, host_without_engine(home.path()).await);
    let build = host.submit(request("resume-approval")).await.expect("taken");
    until(&build, is_blocked).await;
    let seen = elsewhere.build(build.id()).await.expect("known");
    assert_eq!(seen.status().await.expect("a status"), Standing::Running);
    let (live, far) = (build.logs(None), seen.logs(Some("done")));
    let reading = tokio::spawn(async move { tokio::join!(text(live), text(far)) });
    let refused = seen.approve("done", "ann").await.expect_err("it does not wait");
    assert!(refused.to_string().contains("done"), "{refused}");
    seen.approve("deploy", "ann").await.expect("approved");
    assert_eq!(seen.wait().await.expect("a report").status, BuildStatus::Success);
    let (live, far) = reading.await.expect("no panic");
    assert!(live.contains("done ran") && far.contains("done ran"), "{live} {far}");
    // And from the store, when all is over.
    assert_eq!(text(seen.logs(Some("done"))).await, far);
    let over = seen.cancel("ann").await.expect_err("it is over");
    assert!(matches!(over, CancelError::Resume(ResumeError::Over { .. })), "{over}");

    let build = host.submit(request("resume-approval")).await.expect("taken");
    until(&build, is_blocked).await;
    elsewhere.build(build.id()).await.expect("known").reject("deploy", "bob").await.expect("rejected");
    assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Failure);
    assert!(elsewhere.build("o/r/nobody").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_over_is_so_for_everybody_before_all_of_it_is_cleared_away() {
    let home = tempfile::tempdir().expect("a directory");
    let (host, elsewhere) = (host_without_engine(home.path()).await, host_without_engine(home.path()).await);
    let build = host.submit(request("resume-approval")).await.expect("taken");
    until(&build, is_blocked).await;
    // The host waits for whoever hears a log and has not come to its end.
    let mut slow = build.logs(None);
    slow.next().await.expect("a piece").expect("a log");
    let seen = elsewhere.build(build.id()).await.expect("known");
    seen.approve("deploy", "ann").await.expect("approved");
    seen.wait().await.expect("a report");
    for known in [&seen, &build] {
        let over = known.cancel("ann").await.expect_err("it is over");
        assert!(matches!(over, CancelError::Resume(ResumeError::Over { .. })), "{over}");
    }
    assert!(text(seen.logs(Some("done"))).await.contains("done ran"));
    drop(slow);
    build.wait().await.expect("a report");
    assert!(text(seen.logs(Some("done"))).await.contains("done ran"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_the_code_and_can_not_be_is_refused_before_anything_is_kept() {
    let home = tempfile::tempdir().expect("a directory");
    let host = host_without_engine(home.path()).await;
    let mut request = request("resume");
    request.given.branch = Some("a b".to_owned());
    let refused = host.start(request).await.expect_err("no branch is called so");
    assert!(matches!(refused, SubmitError::Given { .. }), "{refused}");
    assert_eq!(all(&host).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_two_homes_in_one_process_do_not_know_of_each_other_and_each_runs_builds_at_once() {
    let homes = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let hosts = [host_without_engine(homes[0].path()).await, host_without_engine(homes[1].path()).await];
    let mut builds = Vec::new();
    for host in hosts.iter().cycle().take(4) {
        builds.push(host.submit(request("resume-waiting").key("same")).await.expect("taken"));
        builds.push(host.submit(request("resume-waiting")).await.expect("taken"));
    }
    // The same key is another build in another home, and the same one in the same home.
    assert_eq!(builds[0].id(), builds[4].id());
    for build in &builds {
        until_it_waits(build).await;
    }
    assert!(hosts[1].build(builds[1].id()).await.is_err() && hosts[0].build(builds[3].id()).await.is_err());
    go(&builds[0]).await;
    assert_eq!(builds[4].wait().await.expect("a report").status, BuildStatus::Success);
    assert_eq!(builds[2].status().await.expect("a status"), Standing::Running);
    for build in [1, 2, 3, 5, 7].map(|at| &builds[at]) {
        go(build).await;
        assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Success);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_to_a_build_that_has_lost_its_host_hears_that_and_is_not_left_to_wait() {
    let home = tempfile::tempdir().expect("a directory");
    {
        // A host that has died: what it wrote is there, and nobody holds the build's lock.
        let journals = Journals::sqlite(&home.path().join("journal.db"), Owner(1)).await.expect("a journal");
        let mut journal = journals.begin("o/r/1");
        let body = EventBody::BuildTriggered { build: "o/r/1".to_owned(), trigger: "test".to_owned() };
        journal.append(1, body).expect("queued");
        journal.durable().wait(1).await.expect("written");
    }
    let host = host_without_engine(home.path()).await;
    let build = host.build("o/r/1").await.expect("known");
    assert_eq!(build.status().await.expect("a status"), Standing::Lost);
    let heard: Vec<_> = tokio::time::timeout(HANGS, build.events(0).collect::<Vec<_>>()).await.expect("it ends");
    assert!(matches!(heard[..], [Ok(_), Err(EventsError::Lost { .. })]), "{heard:?}");
    assert!(matches!(build.wait().await, Err(WaitError::Events(EventsError::Lost { .. }))));
}

/// Embedders hand all of this to tasks of their own.
#[test]
fn what_embedders_wait_for_can_be_waited_for_in_any_task() {
    fn sendable<T: Send>(_: impl Fn(Arc<(monkeyci_host::Host, monkeyci_host::Build)>) -> T) {}
    sendable(|it| async move { it.0.submit(request("x")).await.is_ok() });
    sendable(|it| async move { it.0.resume(Default::default()).await.is_ok() });
    sendable(|it| async move { it.0.resumable().await.is_ok() });
    sendable(|it| async move { it.0.shutdown(monkeyci_host::Shutdown::Stop, HANGS).await });
    sendable(|it| async move { it.1.wait().await.is_ok() });
    sendable(|it| async move { it.1.cancel("ann").await.is_ok() });
    sendable(|it| async move { it.1.approve("job", "ann").await.is_ok() });
    sendable(|it| async move { it.1.status().await.is_ok() });
}
