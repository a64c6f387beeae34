//! Builds that wait for a person, and of which their host keeps nothing but what their journals do not have.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use monkeyci_host::{
    BoxError, Build, BuildRequest, BuildStatus, Clock, Event, EventBody, EventSink, GitAuth, Host, HostBuilder,
    Observer, OutsideEvent, ResumeError, ResumeRequest, Retention, Shutdown, SourceRequest, Standing, Sweep, Upkeep,
};
use monkeyci_tests::hang_guard::{self, HANGS};
use monkeyci_tests::repository::Repository;

use crate::upkeep::Littered;
use crate::{all, host, is_blocked, request, rest, until};

/// A host that parks builds at once.
fn parks(home: &Path) -> HostBuilder {
    host(home, "unix:///no/such/engine").park_after(Some(Duration::ZERO))
}

async fn parking(home: &Path) -> Host {
    parks(home).open().await.expect("a host")
}

/// A build that waits for an approval, and is parked.
async fn parked(host: &Host, request: BuildRequest) -> Build {
    let before = host.usage().parked;
    let build = host.submit(request).await.expect("taken");
    until(&build, is_blocked).await;
    until_parked(host, before + 1).await;
    build
}

async fn until_parked(host: &Host, count: usize) {
    hang_guard::until_async("a parked build", async || host.usage().parked == count).await;
    // Its driver winds up.
    let winds_up = async || std::fs::read_dir(run(host)).expect("a directory").count() == 0;
    hang_guard::until_async("its directory to go", winds_up).await;
}

fn run(host: &Host) -> std::path::PathBuf {
    host.builds().home().join("run")
}

fn with_secret() -> BuildRequest {
    request("resume-approval").secret("token", "hunter2-hunter2")
}

/// A time that passes when a test says so.
#[derive(Clone, Default)]
struct Stopped(Arc<AtomicU64>);

impl Clock for Stopped {
    fn day_ms(&self) -> u64 {
        1_700_000_000_000
    }

    fn since(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// Whoever waits for this looks at the clock each second.
const LIMIT: Option<Duration> = Some(Duration::from_secs(1));

/// All that it hears, as observer and as sink.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, u64)>>>);

impl Heard {
    fn hears(&self, build: &str, event: &Event) {
        self.0.lock().expect("no panic").push((build.to_owned(), event.seq));
    }

    fn all(&self, build: &Build) -> Vec<u64> {
        let heard = self.0.lock().expect("no panic");
        heard.iter().filter(|(of, _)| of == build.id()).map(|(_, seq)| *seq).collect()
    }
}

impl Observer for Heard {
    fn event(&self, build: &str, event: &Event) {
        self.hears(build, event);
    }
}

#[async_trait]
impl EventSink for Heard {
    fn name(&self) -> &str {
        "heard"
    }

    async fn deliver(&self, build: &str, events: &[Event]) -> Result<(), BoxError> {
        events.iter().for_each(|event| self.hears(build, event));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_waits_for_a_person_is_parked_and_whoever_watches_it_hears_each_event_once() {
    let home = tempfile::tempdir().expect("a directory");
    let (observer, sink) = (Heard::default(), Heard::default());
    let host = parks(home.path()).observer(Arc::new(observer.clone())).sink(sink.clone()).open().await.expect("a host");
    let build = host.submit(with_secret()).await.expect("taken");
    let events = tokio::spawn(build.events(0).try_collect::<Vec<_>>());
    let waiting = tokio::spawn({
        let build = build.clone();
        async move { build.wait().await }
    });
    until_parked(&host, 1).await;
    let usage = host.usage();
    assert_eq!((usage.instances, usage.memory, usage.builds), (0, 0, 0), "{usage:?}");
    assert_eq!(build.status().await.expect("a status"), Standing::Running);
    // Somebody who is too early is refused, and it is parked once more, again and again.
    for _ in 0..30 {
        let refused = build.approve("done", "ann").await.expect_err("it does not wait");
        assert!(refused.to_string().contains("\"done\""), "{refused}");
    }
    until_parked(&host, 1).await;
    build.approve("deploy", "ann").await.expect("approved");
    assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Success);
    assert_eq!(waiting.await.expect("no panic").expect("a report").status, BuildStatus::Success);
    let heard = tokio::time::timeout(HANGS, events).await.expect("it ends").expect("no panic").expect("events");
    assert_eq!(heard, rest(&build, 0).await);
    assert!(!heard.iter().any(|event| matches!(event.body, EventBody::BuildResumed { .. })));
    let numbers: Vec<_> = heard.iter().map(|event| event.seq).collect();
    let log: Vec<_> = build.logs(Some("deploy")).try_collect().await.expect("a log");
    let said: String = log.iter().map(|piece| String::from_utf8_lossy(&piece.frame.bytes).into_owned()).collect();
    assert!(said.contains("deployed, with a secret"), "{said}");
    host.shutdown(Shutdown::Drain, HANGS).await;
    assert_eq!((observer.all(&build), sink.all(&build)), (numbers.clone(), numbers));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_build_is_its_hosts_for_as_long_as_that_lives_and_others_reach_it_there() {
    let home = tempfile::tempdir().expect("a directory");
    let mine = parking(home.path()).await;
    let other = host(home.path(), "").engine(Arc::new(Littered::default())).open().await.expect("a host");
    let build = parked(&mine, with_secret()).await;
    let seen = other.build(build.id()).await.expect("known");
    // Whoever looks after the home finds nothing to do.
    assert_eq!(seen.status().await.expect("a status"), Standing::Running);
    assert_eq!((other.resumable().await.expect("looked").len(), other.left_behind().expect("looked")), (0, 0));
    let mut retention = Retention::default();
    (retention.keep_last, retention.older_than) = (Some(0), Some(Duration::ZERO));
    assert_eq!(other.clean(&retention, false).await.expect("cleaned"), []);
    other.collect_garbage(Sweep::default()).await.expect("swept");
    for host in [&mine, &other] {
        assert_eq!(host.upkeep(&Upkeep::default()).await.resumed, [] as [String; 0]);
        let mut resume = ResumeRequest::new(build.id(), "bob");
        resume.inputs = with_secret().inputs;
        let refused = host.resume(resume).await.expect_err("it has a host");
        assert!(matches!(refused, ResumeError::Runs { .. }), "{refused}");
    }
    assert_eq!(mine.usage().parked, 1);
    // All of its builds are reached by one socket, which is its user's alone.
    let mut hosts = std::fs::read_dir(home.path().join("hosts")).expect("hosts").flatten().map(|host| host.path());
    let names = |host: &Path| std::fs::read_dir(host.join("parked")).expect("a directory").count();
    let host = hosts.find(|host| names(host) == 1).expect("the one that has parked it");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(
        [mode(&host), mode(&host.join("control.sock")), mode(&home.path().join("hosts"))],
        [0o700, 0o600, 0o700]
    );
    // By the other one, each of what a person can do.
    let event = OutsideEvent { name: "outside/go".to_owned(), payload: "1".to_owned(), by: "bob".to_owned() };
    seen.publish(event).await.expect("published");
    until_parked(&mine, 1).await;
    let mut log = seen.logs(Some("done"));
    log.try_next().await.expect("a log").expect("a piece");
    assert_eq!(mine.usage().parked, 0, "somebody follows it");
    drop(log);
    until_parked(&mine, 1).await;
    seen.approve("deploy", "bob").await.expect("approved");
    assert_eq!(seen.wait().await.expect("a report").status, BuildStatus::Success);
    let stopped = parked(&mine, with_secret()).await;
    let rejected = parked(&mine, with_secret()).await;
    other.build(rejected.id()).await.expect("known").reject("deploy", "bob").await.expect("rejected");
    assert_eq!(rejected.wait().await.expect("a report").status, BuildStatus::Failure);
    other.build(stopped.id()).await.expect("known").cancel("bob").await.expect("stopped");
    assert_eq!(stopped.wait().await.expect("a report").status, BuildStatus::Cancelled);

    let lost = parked(&mine, with_secret()).await;
    let report = mine.shutdown(Shutdown::Leave, HANGS).await;
    assert_eq!((report.ended, report.left), (vec![], vec![lost.id().to_owned()]));
    assert!(lost.wait().await.is_err(), "this host has let go of it");
    assert_eq!(all(&other).await[0], (lost.id().to_owned(), Standing::Lost));
    let mut resume = ResumeRequest::new(lost.id(), "bob");
    resume.inputs = with_secret().inputs;
    let resumed = other.resume(resume).await.expect("its host is gone");
    resumed.approve("deploy", "bob").await.expect("approved");
    assert_eq!(resumed.wait().await.expect("a report").status, BuildStatus::Success);
    assert_eq!(other.left_behind().expect("looked"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_builds_end_by_cancel_kill_and_their_time_limit_and_stop_with_their_host() {
    let home = tempfile::tempdir().expect("a directory");
    let clock = Stopped::default();
    let mine = parks(home.path()).clock(clock.clone()).open().await.expect("a host");
    let stopped = parked(&mine, with_secret()).await;
    stopped.cancel("ann").await.expect("stopped");
    assert_eq!(stopped.wait().await.expect("a report").status, BuildStatus::Cancelled);
    let killed = parked(&mine, with_secret()).await;
    killed.kill();
    assert_eq!(killed.wait().await.expect("a report").status, BuildStatus::Cancelled);
    let mut limited = with_secret();
    limited.timeout = LIMIT;
    let limited = parked(&mine, limited).await;
    clock.0.store(60, Ordering::Relaxed);
    until(&limited, |body| matches!(body, EventBody::BuildTimedOut { .. })).await;
    let report = limited.wait().await.expect("a report");
    assert!(report.failure.is_some_and(|failure| failure.contains("time limit")));

    let last = parked(&mine, with_secret()).await;
    let report = mine.shutdown(Shutdown::Stop, HANGS).await;
    assert_eq!((report.ended, report.left), (vec![last.id().to_owned()], vec![]));
    assert_eq!(last.wait().await.expect("a report").status, BuildStatus::Cancelled);
    assert_eq!(std::fs::read_dir(home.path().join("hosts")).expect("a directory").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_build_whose_code_has_gone_stays_parked_with_the_reason_and_can_be_ended() {
    let (home, code) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let clock = Stopped::default();
    let mine = parks(home.path()).clock(clock.clone()).open().await.expect("a host");
    let of = |dir: &Path| {
        std::fs::create_dir_all(dir).expect("made");
        std::fs::write(dir.join("file"), "1").expect("written");
        let mut request = with_secret();
        request.source = SourceRequest::Dir(dir.to_owned());
        request
    };
    // What somebody does there meanwhile is no matter.
    let edited = parked(&mine, of(&code.path().join("edited"))).await;
    std::fs::write(code.path().join("edited/file"), "2").expect("written");
    edited.approve("deploy", "ann").await.expect("approved");
    assert_eq!(edited.wait().await.expect("a report").status, BuildStatus::Success);

    let gone = parked(&mine, of(&code.path().join("gone"))).await;
    let mut limited = of(&code.path().join("gone"));
    limited.timeout = LIMIT;
    let limited = parked(&mine, limited).await;
    std::fs::remove_dir_all(code.path().join("gone")).expect("removed");
    for _ in 0..2 {
        let refused = gone.approve("deploy", "ann").await.expect_err("there is no code").to_string();
        assert!(refused.contains("the code of the build") && refused.contains("gone"), "{refused}");
    }
    gone.cancel("ann").await.expect("stopped");
    assert_eq!(gone.wait().await.expect("a report").status, BuildStatus::Cancelled);
    clock.0.store(60, Ordering::Relaxed);
    assert_eq!(limited.wait().await.expect("a report").status, BuildStatus::Cancelled);
    let by = rest(&limited, 0).await.into_iter().find_map(|event| match event.body {
        EventBody::CancelRequested { by } => Some(by),
        _ => None,
    });
    assert!(by.expect("somebody").contains("it has reached its time limit and can't go on"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_build_of_a_repository_goes_on_with_its_commit_wherever_the_branch_is_then() {
    let (home, code) = (tempfile::tempdir().expect("a directory"), Repository::default());
    let mine = parking(home.path()).await;
    let of = |url: String| {
        let mut request = with_secret();
        request.source = SourceRequest::Git { url, reference: None, auth: GitAuth::default() };
        request
    };
    let build = parked(&mine, of(code.url())).await;
    let commit = async || build.record().await.expect("a record").source.and_then(|source| source.commit);
    let before = commit().await.expect("a commit");
    code.write("file", "2");
    code.commit("second");
    build.approve("deploy", "ann").await.expect("approved");
    assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Success);
    assert_eq!(commit().await, Some(before));
}

/// Has this test be the host that is killed, in this home.
const KILLED: &str = "MONKEYCI_TEST_KILLED_HOME";

#[test]
fn a_parked_build_is_gone_on_with_by_others_when_its_host_was_killed_and_not_before() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if let Some(home) = std::env::var_os(KILLED) {
        runtime.block_on(async {
            let mine = parking(Path::new(&home)).await;
            println!("BUILD={}", parked(&mine, with_secret()).await.id());
            std::future::pending::<()>().await;
        });
    }
    let home = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let name = "parked::a_parked_build_is_gone_on_with_by_others_when_its_host_was_killed_and_not_before";
    command.args(["--exact", name, "--nocapture"]).env(KILLED, home.path()).stdout(Stdio::piped());
    let mut killed = command.spawn().expect("it starts");
    let mut said = BufReader::new(killed.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let build = said.find_map(|line| Some(line.split_once("BUILD=")?.1.to_owned())).expect("a build");
    runtime.block_on(async {
        let other = parking(home.path()).await;
        let resume = || {
            let mut resume = ResumeRequest::new(&build, "bob");
            resume.inputs = with_secret().inputs;
            resume
        };
        let refused = other.resume(resume()).await.expect_err("it has a host");
        assert!(matches!(refused, ResumeError::Runs { .. }), "{refused}");
        assert_eq!(other.left_behind().expect("looked"), 0);
        killed.kill().expect("killed");
        killed.wait().expect("an end");
        assert_eq!(other.build(&build).await.expect("known").status().await.expect("a status"), Standing::Lost);
        assert_eq!(other.left_behind().expect("looked"), 1);
        let resumed = other.resume(resume()).await.expect("its host is dead");
        until_parked(&other, 1).await;
        assert_eq!(other.left_behind().expect("looked"), 0);
        resumed.approve("deploy", "bob").await.expect("approved");
        assert_eq!(resumed.wait().await.expect("a report").status, BuildStatus::Success);
        other.shutdown(Shutdown::Drain, HANGS).await;
    });
}
