//! How long it takes to look at builds in a home that has ten thousand of them, of a hundred jobs each: whole processes, as a person
//! waits for them. The bar is 50 ms.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use monkeyci_build::{BuildStatus, Ending, EventBody, JobDraft, JobSummary, Source, check};
use monkeyci_storage::Journals;
use monkeyci_storage::journal::Owner;
use monkeyci_tests::place;

/// How many builds there are.
const BUILDS: usize = 10_000;
/// How many jobs each of them has.
const JOBS: usize = 100;
/// The one that is of another branch, and succeeded.
const RARE: usize = 17;
/// So many builds are written at once.
const AT_ONCE: usize = 100;
/// How often each command is run.
const ROUNDS: usize = 21;

fn main() {
    let home = tempfile::tempdir().expect("a directory");
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let host = Journals::sqlite(&home.path().join("journal.db"), Owner(1)).await.expect("a journal");
        let events = events("main", BuildStatus::Failure);
        // One of many that somebody looks for.
        let rare = self::events("rare", BuildStatus::Success);
        for first in (0..BUILDS).step_by(AT_ONCE) {
            let mut journals: Vec<_> = (first..first + AT_ONCE).map(|build| host.begin(&id(build))).collect();
            for (journal, build) in journals.iter_mut().zip(first..) {
                let triggered = EventBody::BuildTriggered { build: id(build), trigger: "bench".to_owned() };
                let events = if build == RARE { &rare } else { &events };
                for (body, number) in std::iter::once(triggered).chain(events.iter().cloned()).zip(0..) {
                    journal.append(1_000_000_000_000 + build as u64 * 60_000 + number, body).expect("queued");
                }
            }
            for journal in &journals {
                journal.durable().wait(journal.last()).await.expect("written");
            }
        }
    });
    println!(
        "a home with {BUILDS} builds of {JOBS} jobs, made in {:.0?} (medians of {ROUNDS}; bar 50 ms)",
        begun.elapsed()
    );
    let one = id(BUILDS / 2);
    let end = one.rsplit('/').next().expect("a part");
    for arguments in [
        &["list"][..],
        &["show", "latest"],
        &["show", &one],
        &["show", end],
        &["list", "--branch", "main"],
        &["list", "--branch", "rare"],
        &["list", "--branch", "none"],
        &["list", "--status", "failure"],
        &["list", "--status", "success"],
        &["list", "--status", "running"],
    ] {
        let mut times: Vec<Duration> = (0..ROUNDS).map(|_| time(home.path(), arguments)).collect();
        times.sort();
        println!("  {:<32} {:>8.1?}", arguments.join(" "), times[ROUNDS / 2]);
    }
}

fn id(build: usize) -> String {
    format!("bench/repo/{:x}-{:04x}", 0x19c_0000_0000_u64 + build as u64 * 60_000, build % 0xffff)
}

/// What happens in each build after its beginning.
fn events(branch: &str, status: BuildStatus) -> Vec<EventBody> {
    let ids: Vec<String> = (0..JOBS).map(|job| format!("job-{job}")).collect();
    let drafts: Vec<JobDraft> = ids.iter().map(JobDraft::action).collect();
    let jobs = check(&drafts, &[]).expect("no faults").graph.jobs().to_vec();
    let text = |text: &str| Some(text.to_owned());
    let source = Source { branch: text(branch), commit: text("4ca77fb0123456789"), ..Source::default() };
    let mut events = vec![
        EventBody::BuildCheckedOut { source },
        EventBody::ScriptDefined { jobs, removed: Vec::new(), params: Vec::new() },
    ];
    for job in &ids {
        events.push(EventBody::JobStarted { job: job.clone(), attempt: 1 });
        events.push(EventBody::JobEnded { job: job.clone(), attempt: 1, ending: ending(job) });
    }
    let summary =
        |job: &String| JobSummary { job: job.clone(), ending: ending(job), duration_ms: Some(7), results: None };
    events.push(EventBody::BuildEnded { status, jobs: ids.iter().map(summary).collect() });
    events
}

fn ending(job: &str) -> Ending {
    if job.ends_with('7') { Ending::Exited { code: 1, line: None } } else { Ending::Succeeded }
}

fn time(home: &std::path::Path, arguments: &[&str]) -> Duration {
    let mut command = Command::new(place::path(place::BENCH_HOST));
    command.args(arguments).env("MONKEYCI_HOME", home).stdout(Stdio::null());
    let start = Instant::now();
    assert!(command.status().expect("the host runs").success());
    start.elapsed()
}
