//! Builds whose host is killed, and that another one goes on with.

use std::collections::BTreeMap;
use std::path::Path;

use monkeyci_build::{Event, EventBody};
use monkeyci_storage::Journals;
use monkeyci_storage::journal::Owner;
use monkeyci_tests::engine::Engine;
use monkeyci_tests::hang_guard;
use monkeyci_tests::host::{Ended, Host, Running};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

/// Kills a host when its build has come so far.
fn kill(mut build: Running, at: impl Fn(&Value) -> bool) -> (String, Ended) {
    if !build.events().iter().any(&at) {
        build.wait_for(at);
    }
    let id = build.build_id();
    // It may just have ended.
    let _ = kill_process(build.pid(), Signal::KILL);
    (id, build.end())
}

/// Waits until that is said, and is on disk too: a moment later.
fn until_on_disk(host: &Host, build: &mut Running, kind: &str, job: &str) {
    build.wait_for(|event| is(event, kind, job));
    let wanted = format!("\"type\":\"{kind}\",\"job\":\"{job}\"");
    let written = || {
        let read = |name: &str| std::fs::read(host.home().join(name)).unwrap_or_default();
        let all = [read("journal.db"), read("journal.db-wal")].concat();
        all.windows(wanted.len()).any(|bytes| bytes == wanted.as_bytes())
    };
    hang_guard::until("an event that is on disk", written);
}

/// Kills a host when that is on disk.
fn kill_durably(host: &Host, mut build: Running, kind: &str, job: &str) -> String {
    until_on_disk(host, &mut build, kind, job);
    kill(build, |_| true).0
}

fn is(event: &Value, kind: &str, job: &str) -> bool {
    event["type"] == kind && event["job"] == job
}

/// Whether a job says these words. They may come with others: what is written at about the same time is one piece.
fn says(event: &Value, job: &str, words: &str) -> bool {
    event["type"] == "log" && event["job"] == job && event["text"].as_str().is_some_and(|text| text.contains(words))
}

/// Says what the action of the case `resume-waiting` waits for, when somebody goes on with its build.
fn let_it_go(host: &Host, build: &str) {
    let mut command = host.command(&["publish", build, "outside/go"]);
    hang_guard::until("somebody goes on with the build", || command.output().expect("the host runs").status.success());
}

fn resume(host: &Host, build: &str, arguments: &[&str]) -> Running {
    let mut command = host.command(&["resume", build, "--progress", "json", "--by", "ann"]);
    Running::spawn(command.args(arguments))
}

/// What `resume` says instead of going on.
fn refused(host: &Host, build: &str, arguments: &[&str]) -> String {
    let ended = resume(host, build, arguments).end();
    assert_eq!((ended.code, ended.of_type("build/resumed").count()), (Some(2), 0), "{ended:#?}");
    ended.stderr
}

fn list(host: &Host) -> String {
    let listed = host.command(&["resume"]).output().expect("the host runs");
    assert!(listed.status.success(), "{listed:?}");
    String::from_utf8(listed.stdout).expect("text")
}

/// How jobs ended, by the last event of the build.
fn ends(ended: &Ended) -> Vec<(String, String)> {
    let last = ended.of_type("build/ended").next().unwrap_or_else(|| panic!("it did not end: {ended:#?}"));
    let jobs = last["jobs"].as_array().expect("jobs");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    jobs.iter().map(|job| (text(&job["job"]), text(&job["ending"]["cause"]))).collect()
}

/// The log of a job as the store has it, over all hosts.
fn log(host: &Host, build: &str, job: &str) -> String {
    let log = host.command(&["logs", build, job]).output().expect("the host runs");
    String::from_utf8(log.stdout).expect("text")
}

fn code() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["a.txt", "b.txt"] {
        std::fs::write(dir.path().join(name), name).expect("written");
    }
    dir
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory").map(|entry| entry.expect("an entry")) {
        let to = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).expect("copied")),
        }
    }
}

/// A home that has the first `length` events of a build's journal, as a crash would leave it.
async fn home_with(events: &[Event], build: &str, whole: &Path) -> Host {
    home_with_builds(&[(build, events)], whole).await
}

/// The same with several builds.
async fn home_with_builds(builds: &[(&str, &[Event])], whole: &Path) -> Host {
    let host = Host::default();
    let journals = Journals::sqlite(&host.home().join("journal.db"), Owner(1)).await.expect("a journal");
    for (build, events) in builds {
        let mut journal = journals.begin(build);
        for event in *events {
            journal.append(event.time_ms, event.body.clone()).expect("queued");
        }
        journal.durable().wait(journal.last()).await.expect("written");
    }
    copy(&whole.join("blobs"), &host.home().join("blobs"));
    // Of the logs nothing had been stored: what an action prints comes once more.
    std::fs::remove_dir_all(host.home().join("blobs/logs")).expect("logs");
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_goes_on_from_every_prefix_of_its_journal_to_the_same_end() {
    let (host, code) = (Host::default(), code());
    let arguments = ["--dir", code.path().to_str().expect("text"), "--param", "version=1.10", "--jobs", "1"];
    let whole = host.run("resume", &arguments);
    assert_eq!(whole.code, Some(0), "{whole:#?}");
    whole.says("last", &["version 1.10, 2 files, of first"]);
    let build = whole.events[0]["build"].as_str().expect("an id");
    let journals = Journals::sqlite(&host.home().join("journal.db"), Owner(2)).await.expect("a journal");
    let events = journals.events(build).await.expect("events");
    for length in 1..events.len() {
        let home = home_with(&events[..length], build, host.home()).await;
        if !events[..length].iter().any(|event| matches!(event.body, EventBody::BuildRequested { .. })) {
            assert!(refused(&home, build, &[]).contains("does not say what it was asked to be"));
            continue;
        }
        let ended = resume(&home, build, &["--again"]).end();
        assert_eq!((ended.code, ends(&ended)), (Some(0), ends(&whole)), "after {length} events: {ended:#?}");
        let over = |event: &Event| match &event.body {
            EventBody::JobEnded { job, .. } => Some(job.clone()),
            _ => None,
        };
        let over: Vec<_> = events[..length].iter().filter_map(over).collect();
        let again = ended.of_type("job/started").find(|event| over.iter().any(|job| event["job"] == **job));
        assert_eq!(again, None, "{over:?} were over");
        if !over.contains(&"last".to_owned()) {
            ended.says("last", &["version 1.10, 2 files, of first"]);
        }
        // Whoever comes later finds a build that is over.
        assert!(refused(&home, build, &[]).contains("is over"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_whose_host_dies_goes_on_with_what_it_reuses_from_wherever_it_was() {
    let host = Host::default();
    let first = host.run("again", &["--jobs", "1"]);
    let first = first.events[0]["build"].as_str().expect("an id").to_owned();
    let mut command = host.command(&["rerun", &first, "--failed", "--progress", "json", "--param", "luck=yes"]);
    let whole = Running::spawn(&mut command).end();
    assert_eq!(whole.code, Some(0), "{whole:#?}");
    let second = whole.events[0]["build"].as_str().expect("an id");
    let journals = Journals::sqlite(&host.home().join("journal.db"), Owner(2)).await.expect("a journal");
    let (before, events) =
        (journals.events(&first).await.expect("events"), journals.events(second).await.expect("events"));
    let at = |kind: &str| events.iter().position(|event| event.body.kind() == kind).expect("it happened") + 1;
    let (asked, selected, defined) = (at("build/requested"), at("jobs/selected"), at("script/defined"));
    for length in [asked, asked + 1, selected, defined, defined + 1, (defined + events.len()) / 2, events.len() - 2] {
        // Once its jobs are known, nobody needs the earlier build.
        let builds = [(&*first, &before[..]), (second, &events[..length])];
        let home = home_with_builds(&builds[usize::from(length >= defined)..], host.home()).await;
        let ended = resume(&home, second, &["--again"]).end();
        assert_eq!((ended.code, ends(&ended)), (Some(0), ends(&whole)), "after {length} events: {ended:#?}");
        let run: Vec<_> = ended.of_type("job/started").map(|event| event["job"].clone()).collect();
        assert!(run.iter().all(|job| ["fails", "last"].iter().any(|known| *job == **known)), "{run:?}");
    }
}

#[test]
fn a_build_that_is_not_over_is_not_run_again_and_one_that_was_cancelled_is() {
    let host = Host::default();
    let rerun = || Running::spawn(&mut host.command(&["rerun", "--failed", "--progress", "json"]));
    let mut running = host.start("resume-waiting", &[]);
    until_on_disk(&host, &mut running, "job/waiting", "waits");
    let ended = rerun().end();
    assert!(ended.code == Some(2) && ended.stderr.contains("still runs: wait for its end"), "{ended:#?}");
    let (build, _) = kill(running, |_| true);
    let ended = rerun().end();
    assert!(ended.code == Some(2) && ended.stderr.contains("its containers may still run"), "{ended:#?}");
    let cancelled = host.command(&["cancel", &build]).output().expect("the host runs");
    assert!(cancelled.status.success(), "{cancelled:?}");
    let mut again = rerun();
    again.wait_for(|event| is(event, "job/waiting", "waits"));
    let said = host.command(&["publish", &again.build_id(), "outside/go"]).output().expect("the host runs");
    assert!(said.status.success(), "{said:?}");
    let ended = again.end();
    assert_eq!((ended.code, ended.cause("done"), ended.cause("after")), (Some(0), "reused", "succeeded"), "{ended:#?}");
}

/// What those who watch a build see of its journal, each job's by itself, without times and values that differ from run to run.
fn shown(events: &[Event]) -> Vec<(String, String)> {
    let shown = events.iter().filter(|event| event.body.is_shown());
    // Whether an action has to wait depends on how fast the others are.
    let left_out = |body: &EventBody| matches!(body, EventBody::BuildResumed { .. } | EventBody::JobWaiting { .. });
    let shown = shown.filter(|event| !left_out(&event.body));
    let told = |event: &Event| {
        let name = event.body.published().map(|(name, _)| name).unwrap_or_default();
        let (kind, job) = (event.body.kind(), event.body.job().unwrap_or_default());
        match &event.body {
            EventBody::ScriptReport { message, .. } => (job.to_owned(), format!("{kind} {message}")),
            EventBody::JobsSubmitted { jobs, .. } => (job.to_owned(), format!("{kind} {} jobs", jobs.len())),
            EventBody::ArtifactSaved { id, .. } => (job.to_owned(), format!("{kind} {id}")),
            EventBody::JobEnded { ending, .. } => (job.to_owned(), format!("{kind} {ending}")),
            _ => (job.to_owned(), format!("{kind} {name}")),
        }
    };
    let mut shown: Vec<_> = shown.map(told).collect();
    shown.sort_by(|one, other| one.0.cmp(&other.0));
    shown
}

/// Code with a file that is read in pieces, none of which is recorded.
fn large_code() -> tempfile::TempDir {
    let dir = code();
    let line = "a line of some length, so that there are not too many of them\n";
    std::fs::write(dir.path().join("large.txt"), line.repeat(3000)).expect("written");
    dir
}

async fn journal(host: &Host, build: &str) -> Vec<Event> {
    let journals = Journals::sqlite(&host.home().join("journal.db"), Owner(3)).await.expect("a journal");
    journals.events(build).await.expect("events")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_goes_on_from_wherever_its_host_died_and_has_each_effect_once() {
    let (host, code, secret) = (Host::default(), large_code(), tempfile::NamedTempFile::new().expect("a file"));
    std::fs::write(secret.path(), "sw0rdfish").expect("written");
    let secret = format!("token={}", secret.path().display());
    let dir = code.path().to_str().expect("text");
    let whole = host.run("resume-acting", &["--dir", dir, "--jobs", "1", "--secret", &secret, "--reveal", "token"]);
    assert_eq!(whole.code, Some(0), "{whole:#?}");
    let build = whole.events[0]["build"].as_str().expect("an id");
    let events = journal(&host, build).await;
    let of_acts = |event: &Event| event.body.job() == Some("acts");
    let begins = events.iter().position(of_acts).expect("it begins");
    let ends = events.iter().rposition(of_acts).expect("it ends");
    assert!(events[begins..ends].iter().filter(|event| event.body.kind() == "job/told").count() > 10, "{events:#?}");
    let text = serde_json::to_string(&events).expect("JSON");
    assert!(!text.contains("sw0rdfish"), "a secret stands in the journal");
    for length in begins + 1..=ends {
        let home = home_with(&events[..length], build, host.home()).await;
        std::fs::copy(host.home().join("digest-key"), home.home().join("digest-key")).expect("copied");
        let ended = resume(&home, build, &["--secret", &secret]).end();
        assert_eq!(ended.code, Some(0), "after {length} events: {ended:#?}");
        let again = journal(&home, build).await;
        assert_eq!(shown(&again), shown(&events), "after {length} events");
        let began: Vec<_> = log(&home, build, "acts").lines().map(without_numbers).collect();
        let first: Vec<_> = log(&host, build, "acts").lines().map(without_numbers).collect();
        assert_eq!(began, first, "after {length} events");
    }
}

/// A line of a log without what differs from run to run.
fn without_numbers(line: &str) -> String {
    line.chars().filter(|char| !char.is_ascii_digit()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_ran_when_its_host_died_goes_on_while_it_waits_and_while_it_works() {
    let host = Host::default();
    let build = kill_durably(&host, host.start("resume-waiting", &[]), "job/waiting", "waits");
    let listed = list(&host);
    assert!(listed.starts_with(&format!("{build}: 1 of 3 jobs are over; waits ran when its host died")), "{listed}");
    let last = build.rsplit('/').next().expect("a part");
    let running = resume(&host, last, &[]);
    let_it_go(&host, &build);
    let ended = running.end();
    assert_eq!((ended.code, ended.cause("waits"), ended.cause("after")), (Some(0), "succeeded", "succeeded"));
    // Nothing of it happens twice, and no attempt is made again.
    assert_eq!(ended.of_type("job/started").filter(|event| event["job"] == "waits").count(), 0, "{ended:#?}");
    assert_eq!(ended.of_type("job/waiting").count(), 0, "{ended:#?}");
    assert_eq!(log(&host, &build, "waits"), "waits\n");
    assert_eq!(log(&host, &build, "done"), "done ran\n");
    assert_eq!(list(&host), "no build of this home has lost its host\n");

    let (host, code) = (Host::default(), code());
    let dir = code.path().to_str().expect("text");
    let mut build = host.start("resume-working", &["--dir", dir]);
    build.wait_for(|event| event["type"] == "script/event" && event["payload"] == "40");
    let (build, _) = kill(build, |_| true);
    std::fs::write(code.path().join("go"), "").expect("written");
    let ended = resume(&host, &build, &[]).end();
    assert_eq!((ended.code, ended.cause("works"), ended.cause("after")), (Some(0), "succeeded", "succeeded"));
    assert_eq!(log(&host, &build, "works"), "begins\ngoes on\n");
    let events = journal(&host, &build).await;
    let published = |event: &Event| event.body.published().map(|(name, payload)| format!("{name} {payload}"));
    let mut published: Vec<String> = events.iter().filter_map(published).collect();
    let rounds = published.len() - 2;
    let last = published.pop();
    assert_eq!((published.remove(0).as_str(), last.as_deref()), ("works/begins 1", Some("works/ends 1")));
    // Those that were told before and those that came later, each once and in their order.
    let expected: Vec<_> = (1..=rounds).map(|round| format!("works/round {}", 20 * round)).collect();
    assert_eq!(published, expected);
}

#[test]
fn an_action_whose_calls_nobody_kept_has_failed_or_runs_again() {
    for (arguments, ends) in [(&[][..], (Some(4), "host-died")), (&["--again"][..], (Some(0), "succeeded"))] {
        let host = Host::default();
        let build = kill_durably(&host, host.start("resume-waiting", &[]), "job/waiting", "waits");
        tokio::runtime::Runtime::new().expect("a runtime").block_on(forget_actions(&host, &build));
        let mut running = resume(&host, &build, arguments);
        running.wait_for(|event| event["type"] == "build/resumed");
        if !arguments.is_empty() {
            running.wait_for(|event| is(event, "job/waiting", "waits") && event["attempt"] == 2);
            let said = host.command(&["publish", &build, "outside/go"]).output().expect("the host runs");
            assert!(said.status.success(), "{said:?}");
        }
        let ended = running.end();
        assert_eq!((ended.code, ended.cause("waits")), ends, "{ended:#?}");
    }
}

/// Makes a home's journal of a build one of an older host, which did not keep what actions were told.
async fn forget_actions(host: &Host, build: &str) {
    let mut events = journal(host, build).await;
    for event in &mut events {
        if let EventBody::BuildRequested { request } = &mut event.body {
            request.tells_actions = false;
        }
    }
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(host.home().join(name));
    }
    let journals = Journals::sqlite(&host.home().join("journal.db"), Owner(4)).await.expect("a journal");
    let mut older = journals.begin(build);
    for event in events {
        older.append(event.time_ms, event.body).expect("queued");
    }
    older.durable().wait(older.last()).await.expect("written");
}

#[test]
fn hundreds_of_actions_that_wait_for_jobs_of_their_own_hold_nobody_up() {
    let host = Host::default();
    let many = host.start("resume-many", &["--param", "count=300", "--jobs", "4"]);
    // Another build of the same home, whose `define` and actions are done meanwhile.
    let code = code();
    let other = host.run("resume", &["--dir", code.path().to_str().expect("text"), "--param", "version=1"]);
    assert_eq!(other.code, Some(0), "{other:#?}");
    let ended = many.end();
    assert_eq!(ended.code, Some(0), "{:#?}", ends(&ended).iter().find(|(_, cause)| cause != "succeeded"));
    assert_eq!(ends(&ended).len(), 600);
}

#[test]
fn a_build_that_waits_for_a_person_goes_on_with_its_secrets_and_without_them_it_says_which() {
    let host = Host::default();
    let (secret, other) = (tempfile::NamedTempFile::new().expect("a file"), tempfile::NamedTempFile::new());
    let other = other.expect("a file");
    std::fs::write(secret.path(), "sw0rdfish").expect("written");
    std::fs::write(other.path(), "sardine-7").expect("written");
    let given = |file: &tempfile::NamedTempFile| format!("token={}", file.path().display());
    let start = host.start("resume-approval", &["--secret", &given(&secret)]);
    let build = kill_durably(&host, start, "job/blocked", "deploy");
    let listed = list(&host);
    assert!(listed.contains("deploy waits for approval") && listed.contains("needs --secret token=FILE"), "{listed}");
    assert!(refused(&host, &build, &[]).contains("needs what no journal has: --secret token=FILE"));
    let different = refused(&host, &build, &["--secret", &given(&other)]);
    assert!(different.contains("the secret \"token\" is not what"), "{different}");

    let mut running = resume(&host, &build, &["--secret", &given(&secret)]);
    running.wait_for(|event| event["type"] == "build/resumed");
    let approved = host.command(&["approve", &build, "deploy"]).output().expect("the host runs");
    assert!(approved.status.success(), "{approved:?}");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.says("deploy", &["deployed, with a secret"]);
    assert_eq!(ended.of_type("job/started").count(), 1, "{ended:#?}");
    let journal = std::fs::read(host.home().join("journal.db")).expect("a journal");
    let wal = std::fs::read(host.home().join("journal.db-wal")).unwrap_or_default();
    let secret = b"sw0rdfish";
    assert!(![journal, wal].concat().windows(secret.len()).any(|bytes| bytes == secret));
    assert!(refused(&host, &build, &["--secret", &given(&other)]).contains("is over"));
}

#[test]
fn a_build_whose_host_has_died_is_cancelled_and_what_it_has_left_is_removed() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let build = kill_durably(&host, host.start("resume-pods", &["--param", "gate=yes"]), "job/running", "works");
    assert!(!engine.leftovers(&host.owner()).is_empty(), "a killed host can't clear away");
    let cancel = || host.command(&["cancel", &build, "--engine", &engine.address]).output().expect("the host runs");
    let cancelled = cancel();
    assert!(cancelled.status.success(), "{cancelled:?}");
    let said = String::from_utf8_lossy(&cancelled.stdout).into_owned();
    assert_eq!(said, format!("{build} had lost its host, and is cancelled\n"));
    assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
    assert_eq!(list(&host), "no build of this home has lost its host\n");
    assert!(String::from_utf8_lossy(&cancel().stderr).contains("does not run any more"));
}

#[test]
fn of_many_hosts_in_one_home_one_is_killed_and_the_others_do_not_notice() {
    let (host, code) = (Host::default(), code());
    let arguments = ["--dir", code.path().to_str().expect("text"), "--param", "version=1"];
    let victim = host.start("resume-waiting", &[]);
    let others: Vec<_> = (0..19).map(|_| host.start("resume", &arguments)).collect();
    let build = kill_durably(&host, victim, "job/waiting", "waits");
    for other in others {
        let ended = other.end();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        ended.says("last", &["version 1, 2 files, of first"]);
    }
    let listed = list(&host);
    assert!(listed.starts_with(&build) && listed.lines().count() == 1, "{listed}");
    // Two go on with it at once: one has it.
    let both: Vec<_> = (0..2).map(|_| resume(&host, &build, &[])).collect();
    let_it_go(&host, &build);
    let mut both: Vec<_> = both.into_iter().map(Running::end).collect();
    both.sort_by_key(|ended| ended.of_type("build/resumed").count());
    assert_eq!(both[1].of_type("build/resumed").count(), 1, "{both:#?}");
    assert!(["runs in another process", "is over"].iter().any(|why| both[0].stderr.contains(why)), "{both:#?}");
}

#[test]
fn what_can_not_be_resumed_is_refused_with_the_reason() {
    let (host, code) = (Host::default(), code());
    for id in ["o/r/nobody", "..", "../..", ""] {
        assert!(refused(&host, id, &[]).contains("knows no build"), "{id:?}");
    }
    let arguments = ["--dir", code.path().to_str().expect("text"), "--param", "version=1"];
    let mut running = host.start("resume-waiting", &arguments);
    until_on_disk(&host, &mut running, "job/waiting", "waits");
    let build = running.build_id();
    assert!(refused(&host, &build, &[]).contains("runs in another process"));
    kill(running, |_| true);
    let other = refused(&host, &build, &["--param", "version=2"]);
    assert!(other.contains("the parameter \"version\" is not what"), "{other}");
    let script = std::fs::read_dir(host.home().join("blobs/scripts")).expect("scripts").next().expect("a script");
    let script = script.expect("a script").path();
    let bytes = std::fs::read(&script).expect("a script");
    std::fs::remove_file(&script).expect("removed");
    assert!(refused(&host, &build, &[]).contains("the store does not have its script"));
    std::fs::write(&script, bytes).expect("written");
    // A home that refused knows the build as before.
    let running = resume(&host, &build, &[]);
    let_it_go(&host, &build);
    let ended = running.end();
    assert_eq!(ended.cause("waits"), "succeeded", "{ended:#?}");
}

/// What is wrong with the lines of a job's log that are numbers, and those of its service with it: they count from one up to these.
fn miscounted(host: &Host, build: &str, job: &str, own: u32, of_service: u32) -> Option<String> {
    let log = |arguments: &[&str], last: u32| {
        let log = host.command(&["logs", build, job]).args(arguments).output().expect("the host runs");
        let text = String::from_utf8(log.stdout).expect("text");
        // Words of the host stand there too.
        let said: Vec<u32> = text.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        let wrong = said.iter().zip(1..).position(|(said, expected)| *said != expected);
        let right = wrong.is_none() && said.len() == last as usize;
        (!right).then(|| format!("{job} {arguments:?}: {} numbers of {last}, wrong at {wrong:?}", said.len()))
    };
    log(&["--stream", "stdout"], own).or_else(|| log(&["--service"], of_service))
}

#[test]
fn a_container_runs_on_without_its_host_and_the_next_one_finds_it() {
    for engine in [Engine::docker(), Engine::podman()] {
        let (host, code) = (Host::on(&engine), code());
        let dir = code.path().to_str().expect("text");
        let (build, _) = kill(host.start("resume-pods", &["--dir", dir, "--param", "gate=yes"]), |event| {
            says(event, "works", "begins")
        });
        let pid = engine.wait_for_pid(&host.owner(), "works", "job");
        let on = ["--engine", &engine.address];
        // What it needs stays, whoever clears away.
        let gc = host.command(&["gc", on[0], on[1]]).output().expect("the host runs");
        let left = format!("{build} is left: its containers wait for another host");
        assert!(String::from_utf8_lossy(&gc.stdout).contains(&left), "{gc:?}");
        std::fs::write(code.path().join("stay"), "").expect("written");
        let changed = refused(&host, &build, &on);
        assert!(changed.contains("files in the code's directory are not what they were"), "{changed}");
        std::fs::remove_file(code.path().join("stay")).expect("removed");

        let mut running = resume(&host, &build, &on);
        running.wait_for(|event| event["type"] == "build/resumed");
        assert_eq!(engine.wait_for_pid(&host.owner(), "works", "job"), pid);
        engine.put(&host.owner(), "works", "go");
        let ended = running.end();
        assert_eq!((ended.code, ended.cause("last")), (Some(0), "succeeded"), "{ended:#?}");
        assert_eq!(ended.of_type("job/started").filter(|event| event["job"] == "works").count(), 0, "{ended:#?}");
        ended.says("last", &["1000"]);
        assert_eq!(miscounted(&host, &build, "works", 1000, 300), None);
        assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
    }
}

#[test]
fn a_container_that_can_not_find_the_next_host_is_lost_at_once_and_its_log_says_so() {
    let engine = Engine::docker();
    for missing in ["jobs/works-1/config.json", "api"] {
        let host = Host::on(&engine);
        let start = host.start("resume-pods", &["--param", "gate=yes"]);
        // What the journal does not say to run is begun anew, with all that it needs.
        let build = kill_durably(&host, start, "job/running", "works");
        // What a build needs to go on is not old.
        let gc =
            host.command(&["gc", "--older-than", "0s", "--engine", &engine.address]).output().expect("the host runs");
        assert!(String::from_utf8_lossy(&gc.stdout).ends_with("0 removed\n"), "{gc:?}");
        let path = host.home().join("run").join(build.replace('/', "_")).join(missing);
        match path.is_dir() {
            true => std::fs::remove_dir_all(&path).expect("removed"),
            false => std::fs::write(&path, "{").expect("written"),
        }
        let ended = resume(&host, &build, &["--engine", &engine.address]).end();
        assert_eq!((ended.code, ended.cause("works")), (Some(4), "host-died"), "{missing}: {ended:#?}");
        assert!(log(&host, &build, "works").contains("what it said last may be missing here"));
        assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
    }
}

#[test]
fn a_build_whose_containers_have_waited_in_vain_goes_on_without_them() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let arguments = ["--param", "gate=yes", "--wait-for-host", "10s"];
    let build = kill_durably(&host, host.start("resume-pods", &arguments), "job/running", "works");
    let [job, sidecar] = ["job", "sidecar"].map(|part| engine.wait_for_pid(&host.owner(), "works", part));
    for process in [job, sidecar] {
        hang_guard::until("the pod to end by itself", || rustix::process::test_kill_process(process).is_err());
    }
    let ended = resume(&host, &build, &["--engine", &engine.address]).end();
    assert_eq!(
        (ended.code, ended.cause("works"), ended.cause("last")),
        (Some(4), "host-died", "skipped"),
        "{ended:#?}"
    );
    assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
}

/// What of a journal is the same each time, by job.
async fn story(host: &Host, build: &str) -> BTreeMap<Option<String>, Vec<Value>> {
    let journals = Journals::sqlite(&host.home().join("journal.db"), Owner(3)).await.expect("a journal");
    let mut story = BTreeMap::<_, Vec<_>>::new();
    for event in journals.events(build).await.expect("events") {
        let mut told = serde_json::to_value(&event.body).expect("JSON");
        let body = told.as_object_mut().expect("an object");
        // An archive has the times of its files.
        for own in ["build", "size", "digest", "request", "told", "jobs", "cached"] {
            body.remove(own);
        }
        if !matches!(event.body, EventBody::BuildResumed { .. }) {
            story.entry(event.body.job().map(str::to_owned)).or_default().push(told);
        }
    }
    story
}

/// How many hosts are killed, one after the other: as many as there are events, in a soak.
fn kills() -> usize {
    std::env::var("MONKEYCI_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(4)
}

#[test]
fn a_build_that_is_killed_anywhere_ends_as_if_nothing_had_happened() {
    let (engine, code) = (Engine::docker(), code());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let story = |host: &Host, build: &str| runtime.block_on(story(host, build));
    let arguments = ["--dir", code.path().to_str().expect("text"), "--jobs", "3"];
    let whole = Host::on(&engine);
    let ended = whole.run("resume-pods", &arguments);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let events = ended.events.iter().filter_map(|event| event["seq"].as_u64()).max().expect("events") as usize;
    let expected = story(&whole, ended.events[0]["build"].as_str().expect("an id"));
    let points = kills().min(events);
    // Each run of the tests takes others.
    let seed = usize::try_from(std::process::id()).expect("a number");
    for point in 0..points {
        let point = 1 + (point * events / points + seed % events.div_ceil(points)) % events;
        let host = Host::on(&engine);
        let mut running = host.start("resume-pods", &arguments);
        running.wait_for(|event| event["seq"].as_u64().is_some_and(|seq| seq >= point as u64));
        let (build, _) = kill(running, |_| true);
        let mut ended = resume(&host, &build, &["--engine", &engine.address]).end();
        if ["does not say what it was asked to be", "knows no build"].iter().any(|why| ended.stderr.contains(why)) {
            // Nothing of it had been done, or written down.
            ended = host.run("resume-pods", &arguments);
        }
        if ended.stderr.contains("is over") {
            // All that was to be done is: but nobody has cleared away yet.
            let gc = host.command(&["gc", "--engine", &engine.address]).output().expect("the host runs");
            assert!(gc.status.success(), "{gc:?}");
        } else {
            assert_eq!(ended.code, Some(0), "killed after event {point}: {ended:#?}");
        }
        let build = ended.events.iter().find_map(|event| event["build"].as_str()).unwrap_or(&build).to_owned();
        let story = story(&host, &build);
        for (job, expected) in &expected {
            let told = story.get(job).map(Vec::as_slice).unwrap_or_default();
            assert!(told == expected, "killed after event {point}, {job:?}: {told:#?} in place of {expected:#?}");
        }
        assert_eq!(story.len(), expected.len(), "{:?}", story.keys());
        for (job, own, of_service) in [("first", 300, 0), ("works", 1000, 300), ("beside", 400, 0)] {
            assert_eq!(miscounted(&host, &build, job, own, of_service), None, "killed after event {point}");
        }
        assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
    }
}
