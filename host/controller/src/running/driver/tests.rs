//! A driver with a journal, and jobs that are a few lines of a test.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use monkeyci_build::{BuildCommand, BuildState, CommandError, Event, JobDraft, JobSpec, Source, check};
use monkeyci_storage::journal::Owner;
use monkeyci_storage::{Journals, Stored};

use super::*;
use crate::clock::{Clock, MachineClock};
use crate::inputs::Inputs;
use crate::logs::Masking;
use crate::observer::{Observer, Silent};
use crate::running::{Digests, Refused, Task};
use crate::source::SourceRequest;

mod durable;

/// What an attempt of a job does.
type Attempt = fn(Arc<BuildHandle>, u32) -> futures::future::BoxFuture<'static, Ending>;

/// A build of which all is made up but its driver.
struct Play {
    live: Arc<BuildHandle>,
    jobs: Vec<JobSpec>,
    attempt: Attempt,
}

impl Play {
    fn says(self: Arc<Self>, body: EventBody) -> Task {
        Box::pin(async move { self.live.record(body).await.expect("the build goes on") })
    }
}

impl Effects for Play {
    fn check_out(self: Arc<Self>) -> Task {
        self.says(EventBody::BuildCheckedOut { source: Source::default() })
    }

    fn define(self: Arc<Self>) -> Task {
        let jobs = self.jobs.clone();
        self.says(EventBody::ScriptDefined { jobs, removed: Vec::new(), params: Vec::new() })
    }

    fn refine(self: Arc<Self>, job: String, attempt: u32) -> Task {
        self.says(EventBody::JobEnded { job, attempt, ending: Ending::Succeeded })
    }

    fn run(self: Arc<Self>, job: String, attempt: u32, _: watch::Receiver<Option<StopReason>>) -> Task {
        Box::pin(async move {
            self.live.record(EventBody::JobStarted { job: job.clone(), attempt }).await.expect("the build goes on");
            let ending = (self.attempt)(self.live.clone(), attempt).await;
            self.live.record(EventBody::JobEnded { job, attempt, ending }).await.expect("the build goes on");
        })
    }

    fn go_on(self: Arc<Self>, job: String, attempt: u32, stop: watch::Receiver<Option<StopReason>>) -> Task {
        self.run(job, attempt, stop)
    }
}

/// Drives a build with one job, and has `meanwhile` done to it. Returns what came of both, and the journal.
async fn drive<T>(
    job: JobDraft,
    attempt: Attempt,
    meanwhile: impl AsyncFnOnce(&Arc<BuildHandle>) -> T,
) -> (Outcome, T, Vec<Event>) {
    drive_by(MachineClock::new(), job, attempt, meanwhile).await
}

/// The same by another clock.
async fn drive_by<T>(
    clock: Arc<dyn Clock>,
    job: JobDraft,
    attempt: Attempt,
    meanwhile: impl AsyncFnOnce(&Arc<BuildHandle>) -> T,
) -> (Outcome, T, Vec<Event>) {
    let dir = tempfile::tempdir().expect("a directory");
    let journals = Journals::sqlite(&dir.path().join("journal.db"), Owner(1)).await.expect("a journal");
    let by = By { clock, observer: Arc::new(Silent), cancel: Cancel::default() };
    let (outcome, done, driven) = drive_on(&journals, by, job, attempt, meanwhile).await;
    assert_eq!(driven.expect("a journal"), Driven::Over);
    (outcome, done, journals.events("o/r/1").await.expect("a journal"))
}

/// Who watches a build, and stops it.
struct By {
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    cancel: Cancel,
}

/// The same with these journals, which need not work.
async fn drive_on<T>(
    journals: &Journals,
    by: By,
    job: JobDraft,
    attempt: Attempt,
    meanwhile: impl AsyncFnOnce(&Arc<BuildHandle>) -> T,
) -> (Outcome, T, Result<Driven, ControllerError>) {
    let request = BuildRequest {
        script: Default::default(),
        source: SourceRequest::Dir("/".into()),
        inputs: Inputs::default(),
        trigger: "test".to_owned(),
        max_running: NonZeroUsize::MIN,
        timeout: Some(Duration::from_secs(3600)),
        keep: false,
        keep_failed: false,
        breaks: Default::default(),
        select: None,
        given: Default::default(),
        key: None,
        digest: Default::default(),
    };
    let masking = masking_of(&request);
    let state = BuildState::new(request.max_running);
    let inputs = Inputs::default();
    let (live, inbox) = BuildHandle::new("o/r/1", &request.source, inputs, masking, by.observer, state);
    let jobs = check(&[job], &[]).expect("no faults").graph.into_jobs();
    let play = Arc::new(Play { live: live.clone(), jobs, attempt });
    let time = SteadyTime::begin(by.clock);
    let begin = Begin::New(Box::new(request.requested(&masking_of(&request), &Digests { key: "", build: "o/r/1" })));
    let mut driver = Driver::new(live.clone(), journals.begin("o/r/1"), play, &request, time);
    driver.last_write = Duration::from_millis(1);
    let ((outcome, driven), done) = tokio::join!(driver.drive(inbox, begin, &by.cancel), meanwhile(&live));
    (outcome, done, driven)
}

fn masking_of(request: &BuildRequest) -> Masking {
    Masking::new(&request.inputs).expect("nothing to mask")
}

/// Waits until something has happened.
async fn until_it_says(live: &BuildHandle, wanted: impl Fn(&EventBody) -> bool) {
    let mut last = live.last_seq();
    while live.events_after(0, (1, usize::MAX), |event| wanted(&event.body)).0.is_empty() {
        last.changed().await.expect("the build goes on");
    }
}

#[tokio::test]
async fn of_two_who_decide_of_a_job_at_once_one_is_told_that_the_other_was_first() {
    let job = JobDraft { approval: Some("Deploy?".to_owned()), ..JobDraft::action("deploy") };
    let decide = |by: &str, approved| BuildCommand::Decide {
        job: "deploy".to_owned(),
        by: by.to_owned(),
        comment: None,
        approved,
    };
    let (outcome, said, events) = drive(
        job,
        |_, _| Box::pin(async { Ending::Succeeded }),
        async |live| {
            until_it_says(live, |body| matches!(body, EventBody::JobBlocked { .. })).await;
            tokio::join!(live.command(decide("ada", true)), live.command(decide("bob", false)))
        },
    )
    .await;
    let (first, second) = said;
    first.expect("she was first");
    assert!(matches!(second, Err(Refused::Command(CommandError::NotBlocked { .. }))), "{second:?}");
    assert_eq!(outcome.status, BuildStatus::Success);
    let rejected = |event: &Event| matches!(&event.body, EventBody::JobEnded { ending: Ending::Rejected { .. }, .. });
    assert!(!events.iter().any(rejected), "the journal holds both: {events:?}");
}

#[tokio::test]
async fn an_attempt_saves_its_artifact_again_and_what_an_earlier_one_saved_is_not_taken_for_it() {
    async fn save(live: &Arc<BuildHandle>, attempt: u32) {
        let upload = live.upload("report", "test", attempt).expect("nobody has saved it");
        upload.saved(Stored { size: 1, digest: format!("digest-{attempt}") }).await.expect("recorded");
        assert!(live.upload("report", "test", attempt).is_none(), "an artifact never changes");
    }
    let job = JobDraft { retry: Some(1), ..JobDraft::action("test") };
    let attempt: Attempt = |live, attempt| {
        Box::pin(async move {
            assert_eq!(live.artifact("report"), None, "it is the other attempt's");
            save(&live, attempt).await;
            match attempt {
                1 => Ending::ActionFailed { message: "once more".to_owned() },
                _ => Ending::Succeeded,
            }
        })
    };
    let (outcome, saved, _) = drive(job, attempt, async |live| {
        until_it_says(live, |body| matches!(body, EventBody::BuildEnded { .. })).await;
        live.artifact("report").expect("saved")
    })
    .await;
    assert_eq!((outcome.status, saved.attempt, saved.digest.as_str()), (BuildStatus::Success, 2, "digest-2"));
}

#[tokio::test]
async fn an_upload_that_outlives_its_attempt_is_refused_and_in_nobodys_way() {
    let job = JobDraft { retry: Some(1), ..JobDraft::action("test") };
    let attempt: Attempt = |live, attempt| {
        Box::pin(async move {
            let its_turn = |body: &EventBody| body.published().is_some_and(|(name, _)| *name == attempt.to_string());
            until_it_says(&live, its_turn).await;
            if attempt == 1 { Ending::ActionFailed { message: "once more".to_owned() } } else { Ending::Succeeded }
        })
    };
    let (outcome, refused, events) = drive(job, attempt, async |live| {
        let end = async |attempt: u32| {
            let (by, name, payload) = ("test".to_owned(), attempt.to_string(), "{}".to_owned());
            live.record(EventBody::OutsideEvent { by, name, payload }).await.expect("the build goes on");
        };
        until_it_says(live, |body| matches!(body, EventBody::JobStarted { .. })).await;
        let late = live.upload("report", "test", 1).expect("nobody has saved it");
        end(1).await;
        until_it_says(live, |body| matches!(body, EventBody::JobRetried { .. })).await;
        assert!(live.upload("report", "test", 2).is_some(), "it is in the way of the second attempt");
        let refused = late.saved(Stored { size: 1, digest: "late".to_owned() }).await;
        end(2).await;
        refused
    })
    .await;
    assert!(matches!(refused, Err(Refused::Command(CommandError::AttemptOver { attempt: 1, .. }))), "{refused:?}");
    assert_eq!(outcome.status, BuildStatus::Success);
    assert!(!events.iter().any(|event| matches!(event.body, EventBody::ArtifactSaved { .. })), "{events:?}");
}

/// A clock that somebody sets a day forward each time that it is looked at.
struct Hasty(Arc<MachineClock>, AtomicU64);

impl Clock for Hasty {
    fn day_ms(&self) -> u64 {
        self.1.fetch_add(24 * 3600 * 1000, Ordering::SeqCst)
    }

    fn since(&self) -> Duration {
        self.0.since()
    }
}

#[tokio::test]
async fn a_step_of_the_clock_ends_no_job_and_no_build() {
    let clock = Arc::new(Hasty(MachineClock::new(), AtomicU64::new(1_000_000_000_000)));
    let job = JobDraft { timeout_ms: Some(3_600_000), ..JobDraft::action("test") };
    let attempt: Attempt = |live, _| {
        Box::pin(async move {
            until_it_says(&live, |body| matches!(body, EventBody::OutsideEvent { .. })).await;
            Ending::Succeeded
        })
    };
    let (outcome, _, events) = drive_by(clock, job, attempt, async |live| {
        until_it_says(live, |body| matches!(body, EventBody::JobStarted { .. })).await;
        let (by, name, payload) = ("test".to_owned(), "go".to_owned(), "{}".to_owned());
        live.record(EventBody::OutsideEvent { by, name, payload }).await.expect("the build goes on");
    })
    .await;
    assert_eq!(outcome.status, BuildStatus::Success, "{events:?}");
    let times: Vec<u64> = events.iter().map(|event| event.time_ms).collect();
    assert!(times.is_sorted() && times.iter().all(|time| time / 3_600_000 == times[0] / 3_600_000), "{times:?}");
}
