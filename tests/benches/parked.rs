//! What builds cost that wait for an approval: many in one process, by default 2,000; `-- --builds 100000` for as many as the bar is of.
//!
//! For 100,000: at most 1 GB resident in all, no instance, and 50 ms from an approval until the approved job has started. All of it is
//! measured in this process, scripts and journal included.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use monkeyci_host::{Build, BuildRequest, BuildStatus, Compiler, EventBody, Host, Shutdown, SourceRequest};
use monkeyci_tests::{place, warm};

/// How many builds are begun at once.
const AT_ONCE: usize = 16;
/// How many of them are approved, one after the other.
const APPROVED: usize = 101;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let given = args.iter().position(|arg| arg == "--builds").and_then(|at| args.get(at + 1));
    let builds: usize = given.map_or(2_000, |count| count.parse().expect("a number after --builds"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(builds));
}

async fn measure(builds: usize) {
    let (home, code) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    warm::fill(home.path());
    let host = Host::builder(home.path()).compiler(Compiler::InProcess).sidecar_program(place::sidecar());
    let host = host.park_after(Some(Duration::ZERO)).open().await.expect("a host");
    let request = request(code.path());
    // What all builds share is there before the first is counted.
    parked(&host, &request, 200).await;
    let (before, begun) = (resident(), Instant::now());
    let made = parked(&host, &request, builds).await;
    let (took, grown, all) = (begun.elapsed(), resident().saturating_sub(before), resident());
    let usage = host.usage();
    println!("{builds} builds that wait for an approval, in one process, begun in {took:.0?}");
    println!("  resident         {:>8.1} MiB in all (bar for 100,000: 1 GB)", mib(all));
    println!("  for each of them {:>8.2} KiB", grown as f64 / 1024.0 / builds as f64);
    println!("  instances {}, driven {}, parked {}", usage.instances, usage.builds, usage.parked);
    let mut times = Vec::new();
    for build in made.iter().take(APPROVED) {
        times.push(approve(build).await);
    }
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "  from an approval until the job has started: median {:.1?}, p99 {:.1?}, worst {:.1?} (bar 50 ms)",
        at(50),
        at(99),
        at(100)
    );
    host.shutdown(Shutdown::Leave, Duration::from_secs(60)).await;
}

/// Builds that are parked.
async fn parked(host: &Host, request: &BuildRequest, count: usize) -> Vec<Build> {
    let wanted = host.usage().parked + count;
    let builds = stream::iter(0..count).map(|_| async {
        let build = host.submit(request.clone()).await.expect("taken");
        let mut events = build.events(0);
        while let Some(event) = events.try_next().await.expect("events") {
            if matches!(event.body, EventBody::JobBlocked { .. }) {
                return build;
            }
        }
        panic!("it does not wait");
    });
    let builds = builds.buffer_unordered(AT_ONCE).collect().await;
    while host.usage().parked < wanted {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    builds
}

/// How long it takes from an approval until the job has started.
async fn approve(build: &Build) -> Duration {
    let mut events = build.events(0);
    let begun = Instant::now();
    build.approve("deploy", "bench").await.expect("approved");
    let mut started = None;
    while let Some(event) = events.try_next().await.expect("events") {
        if matches!(&event.body, EventBody::JobStarted { job, .. } if job == "deploy") {
            started = Some(begun.elapsed());
        }
    }
    assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Success);
    started.expect("it has started")
}

fn request(code: &Path) -> BuildRequest {
    let script = std::fs::read(place::script("probe_script")).expect("the script");
    let request = BuildRequest::new(script, SourceRequest::Dir(code.to_owned()));
    request.param("case", "resume-approval").param("image", "none").param("scratch-image", "none")
}

/// The bytes of this process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("a kernel with /proc");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("numbers");
    pages * rustix::param::page_size()
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
