//! What a host does beside its builds, for as long as it lives.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use monkeyci_host::engine::{Part, PartExit, Pod, PodFound, PodState};
use monkeyci_host::{BuildStatus, Clock, Engine, EngineError, HostBuilder, Retention, Shutdown, Standing, Upkeep};
use monkeyci_tests::hang_guard::{self, HANGS};

use crate::{all, host, is_blocked, request, until};

const DAY: u64 = 24 * 60 * 60 * 1000;

/// A time of day that a test sets.
#[derive(Clone, Default)]
struct Day(Arc<AtomicU64>);

impl Clock for Day {
    fn day_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn since(&self) -> Duration {
        Duration::ZERO
    }
}

fn without_engine(home: &Path) -> HostBuilder {
    host(home, "unix:///no/such/engine")
}

fn retention(older_than_days: u64, keep_last: usize) -> Retention {
    let mut retention = Retention::default();
    retention.older_than = Some(Duration::from_millis(older_than_days * DAY));
    retention.keep_last = Some(keep_last);
    retention
}

#[tokio::test(flavor = "multi_thread")]
async fn old_builds_go_by_age_and_number_and_none_that_runs_or_may_be_gone_on_with() {
    let (home, day) = (tempfile::tempdir().expect("a directory"), Day::default());
    // No earlier than the files that it makes.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    day.0.store(u64::try_from(now).expect("some time yet"), Ordering::Relaxed);
    let host = without_engine(home.path()).clock(day.clone()).open().await.expect("a host");
    let left = {
        let other = without_engine(home.path()).clock(day.clone()).open().await.expect("a host");
        let left = other.submit(request("resume-approval")).await.expect("taken");
        until(&left, is_blocked).await;
        other.shutdown(Shutdown::Leave, HANGS).await;
        left.id().to_owned()
    };
    let waits = host.submit(request("resume-approval")).await.expect("taken");
    until(&waits, is_blocked).await;
    let mut over = Vec::new();
    for _ in 0..3 {
        let build = host.submit(request("resume").param("version", "1")).await.expect("taken");
        assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Success);
        over.push(build.id().to_owned());
        day.0.fetch_add(10 * DAY, Ordering::Relaxed);
    }
    let broken = home.path().join("blobs/artifacts/broken#1");
    std::fs::write(&broken, "half an artifact").expect("written");

    // They are 30, 20 and 10 days old.
    let names = |removed: &[monkeyci_host::Removed]| removed.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    let upload = "unfinished upload artifacts/broken#1".to_owned();
    let would = host.clean(&retention(15, 2), true).await.expect("looked");
    assert_eq!(names(&would), [format!("build {}", over[0]), upload.clone()]);
    assert!(would.iter().all(|removed| removed.bytes > 0), "{would:?}");
    assert_eq!((all(&host).await.len(), broken.exists()), (5, true), "nothing is gone yet");
    assert_eq!(host.clean(&retention(15, 2), false).await.expect("cleaned"), would);
    assert!(!broken.exists());
    let mut last = Retention::default();
    last.keep_last = Some(0);
    let removed = host.clean(&last, false).await.expect("cleaned");
    assert_eq!(names(&removed)[..2], [format!("build {}", over[1]), format!("build {}", over[2])]);
    let standing = [(waits.id().to_owned(), Standing::Running), (left.clone(), Standing::Lost)];
    assert_eq!(all(&host).await, standing);
    for kind in ["artifacts", "logs"] {
        assert!(!home.path().join("blobs").join(kind).join(&over[2]).exists());
    }
    // What is left is as good as before.
    let next = without_engine(home.path()).open().await.expect("a host");
    let resumed = next.resume(monkeyci_host::ResumeRequest::new(left, "ann")).await.expect("it goes on");
    for build in [resumed, waits] {
        build.approve("deploy", "ann").await.expect("approved");
        assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Success);
    }
}

/// Has a pod that a panic has left.
#[derive(Default)]
pub(crate) struct Littered {
    cleared: AtomicBool,
}

fn never<T>() -> Result<T, EngineError> {
    Err(EngineError::Gone("nobody has a container job".to_owned()))
}

#[async_trait]
impl Engine for Littered {
    fn describe(&self) -> String {
        "littered".to_owned()
    }

    async fn answers(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn start(&self, _: &Pod, _: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError> {
        never()
    }

    async fn wait(&self, _: &str, _: &Part) -> Result<PartExit, EngineError> {
        never()
    }

    async fn stop(&self, _: &str, _: Duration) -> Result<(), EngineError> {
        never()
    }

    async fn last_lines(&self, _: &str, _: &Part, _: usize) -> Result<String, EngineError> {
        never()
    }

    async fn remove(&self, _: &str) -> Result<(), EngineError> {
        never()
    }

    async fn pods(&self, _: &str) -> Result<Vec<PodFound>, EngineError> {
        let pod = PodFound { key: "mci-left".to_owned(), build: "o/r/over".to_owned(), state: PodState::Over };
        Ok(if self.cleared.load(Ordering::Relaxed) { Vec::new() } else { vec![pod] })
    }

    async fn sweep(&self, _: &str, builds: &BTreeSet<String>, dry_run: bool) -> Result<Vec<String>, EngineError> {
        assert!(!dry_run);
        self.cleared.fetch_or(builds.contains("o/r/over"), Ordering::Relaxed);
        Ok(builds.iter().cloned().collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_lives_long_goes_on_with_lost_builds_and_clears_away_again_and_again() {
    let home = tempfile::tempdir().expect("a directory");
    let littered = Arc::new(Littered::default());
    let mut upkeep = Upkeep::default();
    (upkeep.every, upkeep.retention.keep_last) = (Duration::from_millis(20), Some(1));
    let host = host(home.path(), "").engine(littered.clone()).upkeep(upkeep).open().await.expect("a host");
    let is_swept = async || littered.cleared.load(Ordering::Relaxed);
    hang_guard::until_async("the sweep", is_swept).await;

    // What comes later is found as well: a build that loses its host, one that is more than there may be, and a pod once more.
    let other = without_engine(home.path()).open().await.expect("a host");
    let lost = other.submit(request("resume-approval")).await.expect("taken");
    until(&lost, is_blocked).await;
    other.shutdown(Shutdown::Leave, HANGS).await;
    let resumed = host.build(lost.id()).await.expect("known");
    hang_guard::until_async("a build that goes on", async || resumed.approve("deploy", "ann").await.is_ok()).await;
    assert_eq!(resumed.wait().await.expect("a report").status, BuildStatus::Success);
    littered.cleared.store(false, Ordering::Relaxed);
    let newer = host.submit(request("resume").param("version", "1")).await.expect("taken");
    newer.wait().await.expect("a report");
    let only_newer = [(newer.id().to_owned(), Standing::Success)];
    hang_guard::until_async("the older one to go", async || all(&host).await == only_newer).await;
    hang_guard::until_async("the next sweep", is_swept).await;
    host.shutdown(Shutdown::Drain, HANGS).await;
}
