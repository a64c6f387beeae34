//! What a hostile build does to 199 others that run in the same process: once for each budget that it uses up. All of the others have to
//! succeed; and what their scripts' calls take is compared with what they take when all 200 are honest. The bar is 3 times that, or 5 ms where
//! that is more, for 99 of 100 calls.

#[path = "../../host/cli/examples/extended/engine.rs"]
mod engine;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use monkeyci_host::{BuildRequest, BuildStatus, Compiler, Host, SourceRequest};
use monkeyci_tests::{place, warm};

/// How many builds there are at once.
const BUILDS: usize = 200;
/// What is allowed at least.
const FLOOR: Duration = Duration::from_millis(5);

/// Which budget is used up, and by what, in the words of `tests/call-script`.
const HOSTILE: [(&str, &str); 12] = [
    (
        "memory",
        "x 20 action a#\nact a1\nx 240 allocate 1\nsleep 2000\nact a2\nx 240 allocate 1\nsleep 2000\nact a3\nx 240 allocate 1",
    ),
    ("handles", "action a\nact a\nx 200000 action b#"),
    ("calls of an instance", "action a\nact a\nx 3000000 param-names"),
    (
        "calls of the build, from many actions",
        "x 16 action a#\nact a1\nx 100000 stat file\nact a2\nx 100000 stat file\nact a3\nx 100000 stat file\nact a4\nx 100000 stat file",
    ),
    ("recorded bytes", "action a\nact a\nx 20000 get-param large"),
    ("events", "action a\nact a\nx 300 publish a 60000*1"),
    ("results", "action a\nact a\nx 1000 output a# 60000*b"),
    ("disk", "action a\nact a\nx 20000 append-file a 1000000*a"),
    ("output of a script", "action a\nact a\nx 100000 print 3000*line"),
    ("jobs", "action a\nact a\nx 10000 action b#\nsubmit"),
    ("files that are searched", "action a\nact a\nx 500 glob 3000*[a-z]?*"),
    ("time", "action a\ntimeout 5000\nact a\nloop"),
];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (home, code) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        std::fs::write(code.path().join("file"), "content").expect("written");
        warm::fill(home.path());
        let host = Host::builder(home.path()).compiler(Compiler::InProcess).sidecar_program(place::sidecar());
        let host = host.engine(Arc::new(engine::Rehearsal::of(BTreeMap::new()))).open().await.expect("a host");
        let crowd = Crowd { host, code: code.path(), honest: script("probe_script"), hostile: script("call_script") };
        // Whatever is made once is made.
        crowd.run(None).await;
        let quiet = crowd.run(None).await;
        let most = FLOOR.max(quiet * 3);
        println!("{BUILDS} builds at once, each with a container job of an engine that runs nothing and an action of 200 calls");
        println!("  99 of 100 calls take at most, with all of them honest {quiet:>10.2?}   (so the bar is {most:.2?})");
        let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
        for (budget, program) in HOSTILE.iter().filter(|(budget, _)| only.as_ref().is_none_or(|only| budget.contains(only))) {
            let beside = crowd.run(Some(program)).await;
            let ratio = beside.as_secs_f64() / quiet.as_secs_f64();
            println!("  with one that uses up: {budget:<40} {beside:>10.2?}   {ratio:.2} x");
        }
    });
}

fn script(name: &str) -> Bytes {
    std::fs::read(place::script(name)).expect("the script").into()
}

struct Crowd<'a> {
    host: Host,
    code: &'a Path,
    honest: Bytes,
    hostile: Bytes,
}

impl Crowd<'_> {
    /// Runs all builds at once, one of them hostile; what 99 of 100 calls of the others take at most.
    async fn run(&self, hostile: Option<&str>) -> Duration {
        let large = "v".repeat(60_000);
        let (request, host) =
            (|script: &Bytes| BuildRequest::new(script.clone(), SourceRequest::Dir(self.code.to_owned())), &self.host);
        let hostile = hostile.map(|program| request(&self.hostile).param("program", program).param("large", &large));
        let hostile = match hostile {
            Some(request) => Some(host.start(request).await.expect("begun")),
            None => None,
        };
        let honest = (0..BUILDS - 1).map(|_| async {
            let request = request(&self.honest)
                .param("case", "timed-calls")
                .param("image", "none")
                .param("scratch-image", "none");
            let report = host.start(request).await.expect("begun").wait().await.expect("a report");
            assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
            let calls = report.jobs.iter().find(|job| job.job == "calls").expect("the action");
            let took =
                calls.results.as_ref().and_then(|results| results.outputs.get("took")).expect("times").to_string();
            took.trim_matches('"').split(' ').map(|micros| micros.parse().expect("a time")).collect::<Vec<u64>>()
        });
        let mut times = join_all(honest).await.concat();
        if let Some(hostile) = hostile {
            // Some of them go on for minutes.
            let _ = hostile.cancel("bench").await;
            hostile.wait().await.expect("a report");
        }
        times.sort_unstable();
        Duration::from_micros(times[times.len() * 99 / 100])
    }
}
