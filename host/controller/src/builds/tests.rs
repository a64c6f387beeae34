use std::collections::BTreeMap;

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_archive::pack;
use monkeyci_build::{BuildStatus, Ending, JobDraft, JobSummary, Results, Source, Status, check};
use monkeyci_storage::journal::Owner;
use monkeyci_storage::{BlobStore, Blobs, Journals, Stored, names};

use super::*;

/// A home to look into.
struct Rig {
    dir: tempfile::TempDir,
    journals: Journals,
    time: u64,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Home::open(dir.path()).expect("a home");
        let journals = Journals::sqlite(&dir.path().join("journal.db"), Owner(1)).await.expect("a journal");
        Self { dir, journals, time: 1000 }
    }

    /// A build in which these happened, a second apart.
    async fn build(&mut self, id: &str, bodies: Vec<EventBody>) {
        let mut journal = self.journals.begin(id);
        let triggered = EventBody::BuildTriggered { build: id.to_owned(), trigger: "test".to_owned() };
        for body in std::iter::once(triggered).chain(bodies) {
            journal.append(self.time, body).expect("queued");
            self.time += 1000;
        }
        journal.durable().wait(journal.last()).await.expect("written");
    }

    async fn open(&self) -> Builds {
        Builds::open(self.dir.path()).await.expect("a home")
    }

    fn blobs(&self) -> Blobs {
        Blobs::local(&self.dir.path().join("blobs")).expect("a store")
    }

    async fn report(&self, build: &str, attempt: u32, cases: &str) {
        let xml = format!("<testsuite>{cases}</testsuite>");
        let name = names::test_report(build, "unit", attempt, "0f");
        self.blobs().put_whole(&name, Bytes::from(xml).into()).await.expect("stored");
    }
}

fn checked_out(branch: &str, commit: &str) -> EventBody {
    let source = Source { branch: Some(branch.to_owned()), commit: Some(commit.to_owned()), ..Source::default() };
    EventBody::BuildCheckedOut { source }
}

fn defined(jobs: &[&str]) -> EventBody {
    let drafts: Vec<_> = jobs.iter().map(|id| JobDraft::action(*id)).collect();
    let jobs = check(&drafts, &[]).expect("no faults").graph.jobs().to_vec();
    EventBody::ScriptDefined { jobs, removed: vec![("docs".to_owned(), "no docs".to_owned())], params: Vec::new() }
}

fn started(job: &str, attempt: u32) -> EventBody {
    EventBody::JobStarted { job: job.to_owned(), attempt }
}

fn exited(code: i32) -> Ending {
    Ending::Exited { code, line: None }
}

fn ended(job: &str, attempt: u32, ending: Ending) -> EventBody {
    EventBody::JobEnded { job: job.to_owned(), attempt, ending }
}

fn over(status: BuildStatus, jobs: &[(&str, Ending)]) -> EventBody {
    let summary = |(job, ending): &(&str, Ending)| JobSummary {
        job: (*job).to_owned(),
        ending: ending.clone(),
        duration_ms: Some(1),
        results: None,
    };
    EventBody::BuildEnded { status, jobs: jobs.iter().map(summary).collect() }
}

fn wanted() -> Wanted {
    Wanted { branch: None, standing: Vec::new(), limit: 20 }
}

#[tokio::test]
async fn builds_are_listed_the_newest_first_with_what_failed_and_by_branch_and_status() {
    let mut rig = Rig::new().await;
    let failed =
        [("unit", exited(1)), ("lint", Ending::Succeeded), ("rest", Ending::Skipped { because: "unit".to_owned() })];
    rig.build("o/r/1", vec![checked_out("main", "c1"), over(BuildStatus::Success, &[("unit", Ending::Succeeded)])])
        .await;
    rig.build("o/r/2", vec![checked_out("topic", "c2"), over(BuildStatus::Failure, &failed)]).await;
    rig.build(
        "o/r/3",
        vec![
            EventBody::BuildFailed { script: true, message: "no jobs".to_owned(), faults: Default::default() },
            over(BuildStatus::BadScript, &[]),
        ],
    )
    .await;
    rig.build("o/r/4", vec![checked_out("main", "c4"), defined(&["unit"])]).await;
    let running = vec![checked_out("main", "c5"), defined(&["a", "b"]), started("a", 1), ended("a", 1, exited(3))];
    rig.build("o/r/5", running).await;
    let home = Home::open(rig.dir.path()).expect("a home");
    let _runs = home.build_dir("o/r/5", "host").expect("a directory");
    let builds = rig.open().await;
    let list = async |wanted: Wanted| builds.list(&wanted).await.expect("a list");
    let lines: Vec<_> = list(wanted())
        .await
        .iter()
        .map(|line| {
            let failed: Vec<_> = line.failed.iter().map(|job| format!("{}: {}", job.job, job.why)).collect();
            format!(
                "{} {:?} {} {} [{}] {}",
                line.build,
                line.status,
                line.branch.as_deref().unwrap_or("-"),
                line.last_ms - line.began_ms,
                failed.join(", "),
                line.reason.as_deref().unwrap_or("-")
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "o/r/5 Running main 4000 [a: exited with code 3] -",
            "o/r/4 Lost main 2000 [] -",
            "o/r/3 BadScript - 2000 [] no jobs",
            "o/r/2 Failure topic 2000 [unit: exited with code 1] -",
            "o/r/1 Success main 2000 [] -",
        ]
    );
    let ids = async |wanted| list(wanted).await.into_iter().map(|line| line.build).collect::<Vec<_>>();
    assert_eq!(ids(Wanted { limit: 2, ..wanted() }).await, ["o/r/5", "o/r/4"]);
    assert_eq!(ids(Wanted { branch: Some("main".to_owned()), ..wanted() }).await, ["o/r/5", "o/r/4", "o/r/1"]);
    let standing = vec![Standing::Failure, Standing::Lost];
    assert_eq!(ids(Wanted { standing, ..wanted() }).await, ["o/r/4", "o/r/2"]);
}

#[tokio::test]
async fn latest_is_the_newest_build_and_of_several_that_are_meant_the_one_that_runs() {
    let mut rig = Rig::new().await;
    assert!(matches!(rig.open().await.find("latest").await, Err(BuildsError::NoBuilds { .. })));
    rig.build("o/r/1a-1", Vec::new()).await;
    rig.build("o/s/1a-1", Vec::new()).await;
    let builds = rig.open().await;
    assert_eq!(builds.find("latest").await.expect("found"), "o/s/1a-1");
    assert_eq!(builds.find("r/1a-1").await.expect("found"), "o/r/1a-1");
    assert!(matches!(builds.find_running("1a").await, Err(BuildsError::Ambiguous { found, .. }) if found.len() == 2));
    assert!(matches!(builds.find("2").await, Err(BuildsError::NoBuild { .. })));
    let home = Home::open(rig.dir.path()).expect("a home");
    let _runs = home.build_dir("o/r/1a-1", "host").expect("a directory");
    assert_eq!(builds.find_running("1a").await.expect("found"), "o/r/1a-1");
    // Of this one nothing is on disk yet.
    let _begins = home.build_dir("o/r/0", "host").expect("a directory");
    assert_eq!(builds.find("latest").await.expect("found"), "o/r/0");
    assert_eq!(builds.record("o/r/0").await.expect("nothing yet").status, Standing::Running);
}

#[tokio::test]
async fn a_build_is_told_of_with_every_attempt_and_what_came_of_it() {
    let mut rig = Rig::new().await;
    let results = Results { outputs: BTreeMap::from([("v".to_owned(), "1".to_owned())]), ..Results::default() };
    let saved = |attempt| EventBody::ArtifactSaved {
        job: "unit".to_owned(),
        attempt,
        id: "app".to_owned(),
        size: 3,
        digest: "d".to_owned(),
    };
    rig.build(
        "o/r/1",
        vec![
            checked_out("main", "c1"),
            defined(&["unit", "rest"]),
            started("unit", 1),
            saved(1),
            EventBody::JobRetried { job: "unit".to_owned(), attempt: 1, ending: exited(7), delay_ms: 0 },
            started("unit", 2),
            EventBody::JobResults { job: "unit".to_owned(), attempt: 2, results: Box::new(results.clone()) },
            saved(2),
            ended("unit", 2, exited(1)),
            ended("rest", 1, Ending::Skipped { because: "unit".to_owned() }),
            over(BuildStatus::Failure, &[]),
        ],
    )
    .await;
    let record = rig.open().await.record("o/r/1").await.expect("a record");
    assert_eq!((record.status, record.trigger.as_str(), record.took_ms()), (Standing::Failure, "test", 11_000));
    assert_eq!(record.removed, [RemovedJob { job: "docs".to_owned(), reason: "no docs".to_owned() }]);
    let unit = record.job("unit").expect("a job");
    let attempts: Vec<_> = unit
        .attempts
        .iter()
        .map(|it| (it.attempt, it.ended_ms.map(|ended| ended - it.started_ms), it.why.as_deref()))
        .collect();
    assert_eq!(attempts, [(1, Some(2000), Some("exited with code 7")), (2, Some(3000), Some("exited with code 1"))]);
    assert_eq!((unit.status, unit.results.clone(), unit.artifacts.len()), (Status::Failure, results, 1));
    assert_eq!(unit.artifacts[0].attempt, 2, "the one of the last attempt");
    let rest = record.job("rest").expect("a job");
    assert_eq!(
        (rest.status, rest.attempts.len(), rest.why.as_deref()),
        (Status::Skipped, 0, Some("\"unit\" did not succeed"))
    );
}

#[tokio::test]
async fn an_artifact_is_unpacked_whole_and_nothing_that_is_there_is_replaced() {
    let mut rig = Rig::new().await;
    let from = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(from.path().join("out")).expect("made");
    std::fs::write(from.path().join("out/app"), "bytes").expect("written");
    let mut archive = Vec::new();
    let dir = Dir::open_ambient_dir(from.path(), ambient_authority()).expect("a directory");
    pack(&dir, Path::new("out"), &mut archive).expect("packed");
    let name = names::artifact("o/r/1", "app", 1);
    let blobs = rig.blobs();
    let put = async |bytes: Vec<u8>| -> Stored {
        let bytes = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
        blobs.put(&name, Box::pin(bytes)).await.expect("stored")
    };
    let Stored { size, digest } = put(archive.clone()).await;
    let saved = EventBody::ArtifactSaved { job: "unit".to_owned(), attempt: 1, id: "app".to_owned(), size, digest };
    let bodies = vec![checked_out("main", "c"), defined(&["unit"]), started("unit", 1), saved];
    rig.build("o/r/1", bodies).await;
    let builds = rig.open().await;
    let to = tempfile::tempdir().expect("a directory");
    let into = to.path().join("new");
    let get = async |id: &str| builds.unpack_artifact(&BlobStore::Local, "o/r/1", id, &into).await;
    let (artifact, unpacked) = get("app").await.expect("unpacked");
    assert_eq!((artifact.job.as_str(), unpacked.files, unpacked.bytes), ("unit", 1, 5));
    assert_eq!(std::fs::read_to_string(into.join("out/app")).expect("read"), "bytes");
    let again = get("app").await.expect_err("it is there").to_string();
    assert!(again.contains("new/out is there already, and an artifact replaces nothing"), "{again}");
    let file = into.join("out/app");
    let unwritten = builds.unpack_artifact(&BlobStore::Local, "o/r/1", "app", &file).await;
    assert!(matches!(unwritten, Err(BuildsError::Unwritten { path, .. }) if path == file), "a file is no directory");
    std::fs::remove_dir_all(into.join("out")).expect("removed");
    let nothing = || std::fs::read_dir(&into).expect("a directory").count() == 0;
    for bytes in [archive[..archive.len() - 9].to_vec(), [archive, vec![0; 9]].concat()] {
        put(bytes).await;
        assert!(matches!(get("app").await, Err(BuildsError::ArtifactLost { .. })));
        assert!(nothing(), "a part was left");
    }
    assert!(get("ap").await.expect_err("none").to_string().contains("no artifact \"ap\"; it has app"));
}

#[tokio::test]
async fn tests_are_told_by_name_and_so_are_those_that_pass_and_fail_of_the_same_code() {
    let mut rig = Rig::new().await;
    let case = |name: &str, seconds: &str, inside: &str| {
        format!("<testcase name='{name}' time='{seconds}'>{inside}</testcase>")
    };
    for (build, commit, shaky) in [("o/r/1", "c1", "<failure message='no'/>"), ("o/r/2", "c1", ""), ("o/r/3", "c3", "")]
    {
        rig.build(build, vec![checked_out("main", commit)]).await;
        let broken = if build == "o/r/3" { "<failure message='broke'/>" } else { "" };
        let cases = [
            case("shaky", "0.5", shaky),
            case("slow", "2", ""),
            case("broken", "0.1", broken),
            case("no", "0", "<skipped/>"),
        ];
        rig.report(build, 1, &cases.concat()).await;
    }
    rig.build("o/other/1", vec![checked_out("main", "c1")]).await;
    let tests = rig.open().await.tests(&BlobStore::Local, "o/r/3", 2, 10).await.expect("reports");
    assert_eq!((tests.total, tests.skipped, tests.looked_at), (4, 1, 3));
    let failed: Vec<_> = tests.failed.iter().map(|test| (test.name.as_str(), test.message.as_deref())).collect();
    assert_eq!(failed, [("broken", Some("broke"))]);
    let slowest: Vec<_> = tests.slowest.iter().map(|test| (test.name.as_str(), test.took_ms)).collect();
    assert_eq!(slowest, [("slow", 2000), ("shaky", 500)]);
    let flaky = FlakyTest { job: "unit".to_owned(), name: "shaky".to_owned(), failed: 1, ran: 3 };
    assert_eq!(tests.flaky, [flaky], "what is broken is not flaky");
}

#[tokio::test]
async fn tests_beyond_what_memory_holds_are_counted_and_a_later_attempt_takes_the_place_of_an_earlier_one() {
    let mut rig = Rig::new().await;
    rig.build("o/r/1", vec![checked_out("main", "c1")]).await;
    let cases = |names: &[&str]| names.iter().map(|name| format!("<testcase name='{name}'/>")).collect::<String>();
    rig.report("o/r/1", 1, &cases(&["a", "b", "c"])).await;
    rig.report("o/r/1", 2, &cases(&["d", "e", "f", "g"])).await;
    let most = 3 * (size_of::<TestCase>() + "unit".len() + "a".len());
    let tests = rig.open().await.test_cases_within(&BlobStore::Local, "o/r/1", most).await.expect("reports");
    let names: Vec<_> = tests.cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!((names, tests.left_out["unit"]), (vec!["d", "e", "f"], 1));
}

#[tokio::test]
async fn a_home_that_is_not_there_or_not_ours_is_said_to_be_so_and_stays_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    assert!(matches!(Builds::open(&home).await, Err(BuildsError::NoHome { .. })));
    assert!(!home.exists());
    std::fs::create_dir(&home).expect("made");
    assert!(matches!(Builds::open(&home).await, Err(BuildsError::NoHome { .. })), "nobody has run there");
    assert_eq!(std::fs::read_dir(&home).expect("a directory").count(), 0);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&home, Some(4711), None).expect("root may");
        let refused = Builds::open(&home).await.expect_err("it is not ours").to_string();
        assert!(refused.contains("belongs to the user 4711"), "{refused}");
    }
}

#[test]
fn a_status_is_called_in_json_what_it_is_called_elsewhere() {
    for standing in Standing::ALL {
        assert_eq!(serde_json::to_value(standing).expect("JSON"), standing.as_str());
    }
}
