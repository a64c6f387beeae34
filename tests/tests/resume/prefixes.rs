//! Builds that go on from every place of their journals.

use std::path::Path;

use super::*;

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
pub(super) async fn home_with(events: &[Event], build: &str, whole: &Path) -> Host {
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
