//! Actions that ran when their host died.

use super::prefixes::home_with;
use super::*;

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
    // What its user's file says since is about other builds.
    let config = host.home().join("config/monkeyci-host");
    std::fs::create_dir_all(&config).expect("a directory");
    let text =
        "param-file = \"new.env\"\nsecret-file = \"new.env\"\nreveal = [\"new\"]\n[secret]\ntoken = \"new.env\"\n";
    std::fs::write(config.join("monkeyci-host.toml"), text).expect("written");
    std::fs::write(config.join("new.env"), "new=hunter22\n").expect("written");
    let running = resume(&host, last, &[]);
    let_it_go(&host, &build);
    let ended = running.end();
    assert_eq!((ended.code, ended.cause("waits"), ended.cause("after")), (Some(0), "succeeded", "succeeded"));
    assert_eq!(ended.of_type("build/resumed").next().expect("an event")["by"], "ann");
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
