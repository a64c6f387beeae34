//! What waits for the disk, and what does not.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use futures::FutureExt;
use monkeyci_storage::JournalError;
use monkeyci_storage::journal::{
    Append, Digest, Head, Journal, Page, Patience, Piece, Record as Stored, Sought, SqliteJournal, history,
};
use tokio::sync::Semaphore;

use super::*;

/// A database that writes when it may, and counts.
#[derive(Debug)]
struct Held {
    inner: SqliteJournal,
    /// A permit for each write.
    may: Semaphore,
    asked: AtomicUsize,
}

#[async_trait]
impl Journal for Held {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn commit(&self, appends: &[Append]) -> Result<Vec<Result<(), JournalError>>, JournalError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.may.acquire().await.expect("it is open").forget();
        self.inner.commit(appends).await
    }

    async fn take_over(&self, build: &str, seen: &Head, new: &Head) -> Result<bool, JournalError> {
        self.inner.take_over(build, seen, new).await
    }

    async fn head(&self, build: &str) -> Result<Option<Head>, JournalError> {
        self.inner.head(build).await
    }

    async fn records(&self, build: &str, after: u64, page: Page) -> Result<Vec<Stored>, JournalError> {
        self.inner.records(build, after, page).await
    }

    async fn pieces(&self, digests: &[Digest]) -> Result<Vec<Piece>, JournalError> {
        self.inner.pieces(digests).await
    }

    async fn builds(&self) -> Result<Vec<String>, JournalError> {
        self.inner.builds().await
    }

    async fn outlines(&self, of: &Sought, skip: usize, count: usize) -> Result<Vec<(String, Stored)>, JournalError> {
        self.inner.outlines(of, skip, count).await
    }

    async fn builds_with(&self, text: &str) -> Result<Vec<String>, JournalError> {
        self.inner.builds_with(text).await
    }

    async fn open_builds(&self) -> Result<Vec<String>, JournalError> {
        self.inner.open_builds().await
    }

    async fn remove(&self, build: &str) -> Result<bool, JournalError> {
        self.inner.remove(build).await
    }
}

/// Writes that may be made from the beginning, and journals that write only when somebody waits for it.
async fn held(writes: usize) -> (tempfile::TempDir, Arc<Held>, Journals) {
    let dir = tempfile::tempdir().expect("a directory");
    let inner = SqliteJournal::open(&dir.path().join("journal.db")).await.expect("a journal");
    let held = Arc::new(Held { inner, may: Semaphore::new(writes), asked: AtomicUsize::new(0) });
    let patience = Patience { linger: Duration::from_secs(3600), ..Patience::default() };
    let journals = Journals::new(held.clone(), Owner(1), patience);
    (dir, held, journals)
}

/// Keeps the kinds of events that it hears of.
#[derive(Default)]
struct Hears(Mutex<Vec<&'static str>>);

impl Hears {
    fn of_the_end(&self) -> bool {
        self.0.lock().expect("nobody panics").contains(&"build/ended")
    }
}

impl Observer for Hears {
    fn event(&self, _: &str, event: &Event) {
        let kind = if matches!(event.body, EventBody::BuildEnded { .. }) { "build/ended" } else { "another" };
        self.0.lock().expect("nobody panics").push(kind);
    }
}

fn by(observer: Arc<dyn Observer>, cancel: &Cancel) -> By {
    By { clock: MachineClock::new(), observer, cancel: cancel.clone() }
}

const SUCCEEDS: Attempt = |_, _| Box::pin(async { Ending::Succeeded });

#[tokio::test]
async fn a_build_that_does_nothing_outside_of_its_host_waits_for_one_write_and_its_end_is_said_after_it() {
    let (_dir, held, journals) = held(0).await;
    let hears = Arc::new(Hears::default());
    let told = by(hears.clone(), &Cancel::default());
    let (outcome, (), driven) = drive_on(&journals, told, JobDraft::action("test"), SUCCEEDS, async |live| {
        until_it_says(live, |body| matches!(body, EventBody::BuildEnded { .. })).await;
        // All has happened, and nothing is on disk.
        while held.asked.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!hears.of_the_end(), "a crash could take it back");
        held.may.add_permits(1);
    })
    .await;
    assert_eq!(driven.expect("a journal"), Driven::Over);
    assert_eq!((outcome.status, held.asked.load(Ordering::Relaxed)), (BuildStatus::Success, 1));
    assert!(hears.of_the_end());
    let kept = history(&*held, "o/r/1").await.expect("it is good").expect("it is there");
    assert!(matches!(kept.events.last().expect("events").body, EventBody::BuildEnded { .. }));
}

#[tokio::test]
async fn an_answer_to_a_person_and_the_start_of_a_pod_wait_for_the_disk_and_a_script_does_not() {
    let (_dir, held, journals) = held(0).await;
    let job = JobDraft { approval: Some("Deploy?".to_owned()), ..JobDraft::action("deploy") };
    let said = drive_on(&journals, by(Arc::new(Silent), &Cancel::default()), job, SUCCEEDS, async |live| {
        until_it_says(live, |body| matches!(body, EventBody::JobBlocked { .. })).await;
        // As a script's, which is answered at once.
        live.record(EventBody::BuildWarned { message: "look".to_owned() }).await.expect("the build goes on");
        assert_eq!(held.asked.load(Ordering::Relaxed), 0, "nobody outside waits");
        let warned = EventBody::BuildWarned { message: "a pod follows".to_owned() };
        let mut durable = std::pin::pin!(live.record_durably(warned));
        let decide =
            BuildCommand::Decide { job: "deploy".to_owned(), by: "ada".to_owned(), comment: None, approved: true };
        let mut answer = std::pin::pin!(live.command(decide));
        while held.asked.load(Ordering::Relaxed) == 0 {
            let answered = durable.as_mut().now_or_never().is_some() || answer.as_mut().now_or_never().is_some();
            assert!(!answered, "nothing is on disk");
            tokio::task::yield_now().await;
        }
        held.may.add_permits(100);
        durable.await.expect("it is on disk");
        answer.await.expect("it is on disk");
        let kept = history(&*held, "o/r/1").await.expect("it is good").expect("it is there");
        kept.events.iter().any(|event| matches!(event.body, EventBody::JobApproved { .. }))
    });
    let (outcome, on_disk, driven) = said.await;
    assert_eq!(driven.expect("a journal"), Driven::Over);
    assert_eq!((outcome.status, on_disk), (BuildStatus::Success, true));
}

#[tokio::test]
async fn a_driver_whose_journal_another_host_has_taken_over_ends_and_says_so() {
    let (_dir, held, journals) = held(1).await;
    let other = Journals::new(held.clone(), Owner(2), Patience::default());
    let job = JobDraft { approval: Some("Deploy?".to_owned()), ..JobDraft::action("deploy") };
    let (outcome, refused, driven) =
        drive_on(&journals, by(Arc::new(Silent), &Cancel::default()), job, SUCCEEDS, async |live| {
            until_it_says(live, |body| matches!(body, EventBody::JobBlocked { .. })).await;
            let warned = EventBody::BuildWarned { message: "look".to_owned() };
            live.record_durably(warned.clone()).await.expect("the build goes on");
            let history = other.history("o/r/1").await.expect("it is good").expect("it is there");
            other.take_over("o/r/1", &history).await.expect("nobody else wants it");
            held.may.add_permits(100);
            live.record_durably(warned).await
        })
        .await;
    assert!(matches!(refused, Err(Refused::Over(_))), "{refused:?}");
    assert_eq!(outcome.status, BuildStatus::Error);
    let Err(ControllerError::Journal(JournalError::Fenced { epoch: 1, their_epoch: 2, .. })) = driven else {
        panic!("{driven:?}")
    };
}

#[tokio::test]
async fn a_build_whose_disk_takes_nothing_ends_when_somebody_kills_it() {
    let (_dir, _held, journals) = held(0).await;
    let cancel = Cancel::default();
    let job = JobDraft::action("test");
    let (outcome, (), driven) = drive_on(&journals, by(Arc::new(Silent), &cancel), job, SUCCEEDS, async |live| {
        until_it_says(live, |body| matches!(body, EventBody::BuildEnded { .. })).await;
        cancel.force();
    })
    .await;
    assert_eq!(outcome.status, BuildStatus::Success);
    assert!(matches!(driven, Err(ControllerError::Unwritten { .. })), "{driven:?}");
}
