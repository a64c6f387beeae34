//! A pod of an engine that does what no real one can be made to do. Leases are short here, and whoever waits for last words waits
//! for ever.

use std::collections::BTreeSet;
use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use async_trait::async_trait;
use monkeyci_build::BuildState;
use monkeyci_engines::PodFound;

use super::*;
use crate::hang_guard;
use crate::inputs::Inputs;
use crate::logs::Masking;
use crate::observer::Silent;
use crate::source::SourceRequest;

/// Who waits for last words hangs: so it is seen.
const PATIENCE: Patience = Patience {
    lease: Duration::from_millis(500),
    steady: Duration::from_millis(500),
    last_words: Duration::from_secs(3600),
    agreement: Duration::from_secs(3600),
};

/// An engine that starts what it is asked to, and then does this.
#[derive(Default)]
struct Double {
    /// How the job's container ends at once; it runs for ever when none.
    job: Option<PartExit>,
    /// What its containers' output ends with.
    words: &'static str,
    /// Whether it hangs: no request is ever answered.
    hangs: bool,
    /// After what time it breaks the first wait for each of the two containers off.
    breaks_off: Option<Duration>,
    waits: AtomicU32,
}

impl Double {
    async fn answer<T>(&self, answer: T) -> Result<T, EngineError> {
        if self.hangs { pending().await } else { Ok(answer) }
    }
}

#[async_trait]
impl Engine for Double {
    fn describe(&self) -> String {
        "double".to_owned()
    }

    async fn answers(&self) -> Result<(), EngineError> {
        self.answer(()).await
    }

    async fn start(&self, _: &Pod, _: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError> {
        self.answer(()).await
    }

    async fn wait(&self, _: &str, part: &Part) -> Result<PartExit, EngineError> {
        let earlier = self.waits.fetch_add(1, Ordering::SeqCst);
        if let Some(after) = self.breaks_off.filter(|_| earlier < 2) {
            tokio::time::sleep(after).await;
            return Err(EngineError::Gone("connection refused".to_owned()));
        }
        match (part, self.job) {
            (Part::Job, Some(exit)) => self.answer(exit).await,
            _ => pending().await,
        }
    }

    async fn stop(&self, _: &str, _: Duration) -> Result<(), EngineError> {
        self.answer(()).await
    }

    async fn last_lines(&self, _: &str, _: &Part, _: usize) -> Result<String, EngineError> {
        self.answer(self.words.to_owned()).await
    }

    async fn remove(&self, _: &str) -> Result<(), EngineError> {
        self.answer(()).await
    }

    async fn pods(&self, _: &str) -> Result<Vec<PodFound>, EngineError> {
        self.answer(Vec::new()).await
    }

    async fn sweep(&self, _: &str, _: &BTreeSet<String>, _: bool) -> Result<Vec<String>, EngineError> {
        self.answer(Vec::new()).await
    }
}

fn pod() -> Pod {
    Pod {
        key: "key".to_owned(),
        owner: "owner".to_owned(),
        build: "org/repo/1".to_owned(),
        job: "job".to_owned(),
        image: "image".to_owned(),
        architecture: None,
        user: None,
        env: Default::default(),
        memory_bytes: None,
        cpu_millis: None,
        shm_bytes: None,
        pull: Default::default(),
        entrypoint_of_image: false,
        network: Default::default(),
        network_allow: Vec::new(),
        services: Vec::new(),
        service_env: Default::default(),
        sidecar_program: "/".into(),
        guard_program: "/".into(),
        sidecar_config: "/".into(),
        api_dir: None,
    }
}

/// What becomes of a job whose sidecar says that it runs, if it does, and reports when the engine was asked so often how it and
/// its job ended.
async fn ending(engine: Double, runs: bool, reports_after: u32) -> Ending {
    let masking = Masking::new(&Inputs::default()).expect("nothing to mask");
    let (source, state) = (SourceRequest::Dir("/".into()), BuildState::new(NonZeroUsize::MIN));
    let (live, _inbox) = BuildHandle::new("org/repo/1", &source, Inputs::default(), masking, Arc::new(Silent), state);
    let ((says_running, running), (reports, report)) = (oneshot::channel(), oneshot::channel());
    if runs {
        says_running.send(()).expect("somebody listens");
    }
    let (force, pod) = (CancellationToken::new(), pod());
    let watch = Watch::new(&live, &force, &engine, &pod, PATIENCE);
    let mut drive = std::pin::pin!(watch.drive(running, report));
    let asked = async {
        while engine.waits.load(Ordering::SeqCst) < reports_after {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let driven = async {
        tokio::select! {
            ending = &mut drive => return ending,
            () = asked => {}
        }
        reports.send(SidecarReport::Ended(Ending::Succeeded)).expect("somebody listens");
        drive.await
    };
    hang_guard::ends("the job", driven).await
}

#[tokio::test]
async fn a_sidecar_that_dies_while_it_says_that_the_job_runs_is_no_fault_of_the_host() {
    let masking = Masking::new(&Inputs::default()).expect("nothing to mask");
    let (source, state) = (SourceRequest::Dir("/".into()), BuildState::new(NonZeroUsize::MIN));
    let (live, _inbox) = BuildHandle::new("org/repo/1", &source, Inputs::default(), masking, Arc::new(Silent), state);
    let ((says_running, running), (reports, report)) = (oneshot::channel(), oneshot::channel());
    let engine = Double { job: Some(PartExit { code: 0, out_of_memory: false }), ..Double::default() };
    let (force, pod) = (CancellationToken::new(), pod());
    let watch = Watch::new(&live, &force, &engine, &pod, PATIENCE);
    drop(says_running);
    let reported = async {
        while engine.waits.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Once more round the loop, after the end of the job's container.
        tokio::task::yield_now().await;
        reports.send(SidecarReport::Ended(Ending::Succeeded)).expect("somebody listens");
    };
    let both = async { tokio::join!(watch.drive(running, report), reported).0 };
    assert_eq!(hang_guard::ends("the job", both).await, Ending::Succeeded);
}

/// No report: the sidecar never has anything to say.
const NOTHING: u32 = u32::MAX;

#[tokio::test]
async fn a_guard_that_fails_is_told_without_waiting_for_anybodys_last_words() {
    let words = "monkeyci guard: unable to find user \"nosuchuser\"\n";
    let job = Some(PartExit { code: 125, out_of_memory: false });
    let ending = ending(Double { job, words, ..Double::default() }, false, NOTHING).await;
    assert_eq!(ending, Ending::StartFailed { image: "image".to_owned(), reason: words.trim_end().to_owned() });
}

#[tokio::test]
async fn an_engine_that_goes_after_a_long_time_has_a_whole_lease_to_come_back() {
    let breaks_off = Some(2 * PATIENCE.lease);
    let job = Some(PartExit { code: 0, out_of_memory: false });
    let ending = ending(Double { breaks_off, job, ..Double::default() }, true, 4).await;
    assert_eq!(ending, Ending::Succeeded);
}

#[tokio::test]
async fn an_engine_that_hangs_is_gone_when_its_lease_is_over() {
    for runs in [false, true] {
        let ending = ending(Double { hangs: true, ..Double::default() }, runs, NOTHING).await;
        assert!(matches!(&ending, Ending::EngineGone { reason } if reason.contains("hangs")), "{ending}");
    }
}

#[tokio::test]
async fn what_was_reported_counts_also_where_the_engine_does_not_live_to_agree() {
    let ending = ending(Double { hangs: true, ..Double::default() }, true, 0).await;
    assert_eq!(ending, Ending::Succeeded);
}

#[tokio::test]
async fn a_job_that_is_said_to_have_succeeded_and_whose_container_failed_is_an_error() {
    let job = Some(PartExit { code: 1, out_of_memory: false });
    let ending = ending(Double { job, ..Double::default() }, true, 1).await;
    assert_eq!(ending, Ending::Disputed { reported: Box::new(Ending::Succeeded), code: 1 });
    assert!(ending.to_string().contains("the report says that it succeeded, but its container exited with code 1"));
}
