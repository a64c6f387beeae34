//! A host inside of a process that may take only so much memory.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use monkeyci_host::{
    Build, BuildReport, BuildRequest, BuildStatus, Compiler, DiskLimits, DockerOptions, EventBody, Host, HostBuilder,
    Limits, OutsideError, OutsideEvent, SourceRequest, Status,
};
use monkeyci_tests::hang_guard::HANGS;
use monkeyci_tests::place;
use tempfile::TempDir;
use tokio::sync::watch;

/// Says that a process is the one with the cap.
const CAPPED: &str = "MONKEYCI_TEST_CAPPED";

/// Runs a test, which is called `name`, in a process of its own that gets no more than so many MiB of memory.
pub fn under_cap(name: &str, mebibytes: u64, test: impl AsyncFnOnce()) {
    if std::env::var_os(CAPPED).is_some() {
        std::thread::spawn(move || watch(mebibytes));
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        return tokio.block_on(test());
    }
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args([name, "--exact", "--nocapture"]);
    let ended = command.env(CAPPED, "1").output().expect("it starts");
    let shown = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{} (signal {:?})\n{shown}", ended.status, ended.status.signal());
    let said = String::from_utf8_lossy(&ended.stdout);
    print!("{said}");
    assert!(said.contains("1 passed"), "there is no test {name:?}");
}

/// Ends this process when it has more memory than it may have. A limit of the kernel's would be one of addresses, of which the pool of
/// instances reserves far more than it uses.
fn watch(mebibytes: u64) {
    loop {
        let has = resident(true);
        if has > mebibytes {
            eprintln!("the host has taken {has} MiB, and may have {mebibytes}");
            std::process::abort();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The most memory that this process has had at a time, in MiB; what it has now with `now`.
pub fn resident(now: bool) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(if now { "VmRSS:" } else { "VmHWM:" }));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.trim().parse::<u64>().ok());
    kib.expect("a size") >> 10
}

/// Keeps what it hears.
#[derive(Default)]
pub struct Notes(watch::Sender<Vec<EventBody>>);

impl Notes {
    /// Hears of all that happens in a build.
    async fn listen(&self, build: Build) {
        let mut events = build.events(0);
        while let Some(event) = events.try_next().await.expect("events") {
            self.0.send_modify(|heard| heard.push(event.body));
        }
    }

    /// Waits until so many events are so.
    pub async fn wait_for(&self, count: usize, wanted: impl Fn(&EventBody) -> bool) {
        let mut heard = self.0.subscribe();
        let waiting = heard.wait_for(|heard| heard.iter().filter(|body| wanted(body)).count() >= count);
        let _ = tokio::time::timeout(HANGS, waiting).await.expect("it happens");
    }
}

/// A corpus, of cases with their names and what each is told, has so many, and no two are told the same.
pub fn assert_no_two_alike<'a>(rows: impl IntoIterator<Item = (&'a str, &'a str)>, least: usize) {
    let (names, told): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    for alike in [&names, &told] {
        let distinct: BTreeSet<&str> = alike.iter().copied().collect();
        assert_eq!(distinct.len(), alike.len());
        assert!(!distinct.contains("") && distinct.len() >= least, "{} of {least}", distinct.len());
    }
}

/// What is said of a build's end.
pub fn said(report: &BuildReport) -> String {
    let failure = report.failure.iter().cloned();
    let endings = report.jobs.iter().map(|job| job.ending.to_string()).filter(|ending| ending != "succeeded");
    failure.chain(endings).chain(report.warnings.iter().cloned()).collect::<Vec<_>>().join(" | ")
}

/// A host, and code to build.
pub struct Bench {
    pub host: Host,
    pub home: TempDir,
    code: TempDir,
    calls: Bytes,
    /// How many jobs of a build run at a time.
    at_a_time: NonZeroUsize,
}

/// A build that runs.
pub struct Running {
    pub notes: Arc<Notes>,
    build: watch::Receiver<Option<Build>>,
    ended: tokio::task::JoinHandle<BuildReport>,
}

impl Running {
    /// The build, once it has begun.
    pub async fn build(&self) -> Build {
        self.build.clone().wait_for(Option::is_some).await.expect("it begins").clone().expect("a build")
    }

    pub async fn end(self) -> BuildReport {
        tokio::time::timeout(HANGS, self.ended).await.expect("it ends").expect("no panic")
    }
}

impl Bench {
    pub async fn open(limits: Limits) -> Self {
        Self::with(limits, DiskLimits::default()).await
    }

    /// One where builds may take so much of the disk.
    pub async fn with(limits: Limits, disk: DiskLimits) -> Self {
        // Nobody has a container job.
        let home = tempfile::tempdir().expect("a directory");
        let host = Host::builder(home.path().join("home")).limits(limits).sidecar_program("/no/such/program");
        Self::of(home, host, "unix:///no/such/engine", disk, 2).await
    }

    /// One whose builds have containers, of this engine.
    pub async fn on(engine: &str, disk: DiskLimits) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let host = Host::builder(home.path().join("home")).sidecar_program(place::sidecar());
        Self::of(home, host, engine, disk, 4).await
    }

    async fn of(home: TempDir, host: HostBuilder, engine: &str, disk: DiskLimits, at_a_time: usize) -> Self {
        let docker = DockerOptions { socket: Some(engine.to_owned()), ..DockerOptions::default() };
        // A test's `main` is not ours, so it can't be its own compiler.
        let host = host.disk(disk).docker(docker).compiler(Compiler::InProcess).open().await.expect("a host");
        let calls = std::fs::read(place::script("call_script")).expect("the script").into();
        let at_a_time = NonZeroUsize::new(at_a_time).expect("not zero");
        Self { host, home, code: tempfile::tempdir().expect("a directory"), calls, at_a_time }
    }

    /// The code that is built.
    pub fn code(&self) -> &Path {
        self.code.path()
    }

    /// Starts a build of a program for `call_script`.
    pub fn start(&self, program: &str) -> Running {
        self.start_script(self.calls.clone(), &[("program", program)])
    }

    /// Starts a build of a program, of other code.
    pub fn start_source(&self, source: SourceRequest, program: &str) -> Running {
        self.start_build(source, self.calls.clone(), &[("program", program)])
    }

    /// Starts a build of any script.
    pub fn start_script(&self, script: Bytes, params: &[(&str, &str)]) -> Running {
        self.start_build(SourceRequest::Dir(self.code().to_owned()), script, params)
    }

    fn start_build(&self, source: SourceRequest, script: Bytes, params: &[(&str, &str)]) -> Running {
        let mut request = BuildRequest::new(script, source).trigger("test");
        for (name, value) in params {
            request = request.param(*name, *value);
        }
        request.max_running = self.at_a_time;
        let (host, notes, begun) = (self.host.clone(), Arc::new(Notes::default()), watch::Sender::new(None));
        let (heard, build) = (notes.clone(), begun.subscribe());
        let ended = tokio::spawn(async move {
            let build = host.start(request).await.expect("it begins");
            begun.send_replace(Some(build.clone()));
            let (report, ()) = tokio::join!(build.wait(), heard.listen(build.clone()));
            report.expect("a report")
        });
        Running { notes, build, ended }
    }

    /// Publishes an event to a build.
    pub async fn publish(&self, running: &Running, name: &str) {
        self.published(running, name).await.expect("published");
    }

    /// The same for a build that may be over.
    pub async fn publish_unless_over(&self, running: &Running, name: &str) {
        let published = self.published(running, name).await;
        assert!(matches!(published, Ok(()) | Err(OutsideError::NotRunning { .. })), "{published:?}");
    }

    async fn published(&self, running: &Running, name: &str) -> Result<(), OutsideError> {
        let build = running.build().await;
        let event = OutsideEvent { name: name.to_owned(), payload: "1".to_owned(), by: "test".to_owned() };
        build.publish(event).await
    }

    /// A small honest build beside all others: its result is right.
    pub async fn neighbour_is_well(&self) {
        let program = "action works\ncreates-artifact kept\nact works\nwrite-file a 100*a\nsave kept a\noutput answer 42\nprint done";
        let report = self.start(program).end().await;
        assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
        let results = report.jobs[0].results.as_ref().expect("results");
        assert_eq!((report.jobs[0].ending.status(), results.outputs.len()), (Status::Success, 1), "{report:#?}");
    }
}
