use std::collections::BTreeMap;

use monkeyci_build::{
    BuildStatus, Ending, Event, EventBody, JobDraft, Results, ServiceDraft, ShellLine, Source, TestFailure,
    TestSummary, check,
};

use super::*;

fn record(bodies: Vec<EventBody>, live: bool) -> BuildRecord {
    let triggered = EventBody::BuildTriggered { build: "o/r/19c-1".to_owned(), trigger: "cli".to_owned() };
    let events: Vec<Event> = std::iter::once(triggered)
        .chain(bodies)
        .zip(0..)
        .map(|(body, seq)| Event { seq: seq + 1, time_ms: 1_000_000_000_000 + 1500 * seq, body })
        .collect();
    BuildRecord::of("o/r/19c-1", &events, live)
}

fn defined() -> EventBody {
    let needs = |id: &str, needs: &str| JobDraft { needs: vec![needs.to_owned()], ..JobDraft::action(id) };
    let deploy = JobDraft { approval: Some("go?".to_owned()), ..needs("deploy", "unit") };
    let (name, image) = ("db".to_owned(), Some("postgres:17".to_owned()));
    let services = vec![ServiceDraft { name, image: image.clone().unwrap_or_default(), ..ServiceDraft::default() }];
    let argv = Some(vec!["test".to_owned()]);
    let unit = JobDraft { image, argv, services, ..JobDraft::container("unit") };
    let drafts = [unit, deploy, JobDraft::action("lint")];
    let jobs = check(&drafts, &[]).expect("no faults").graph.jobs().to_vec();
    let removed = vec![("docs".to_owned(), "nothing of the docs has changed".to_owned())];
    EventBody::ScriptDefined { jobs, removed, params: Vec::new() }
}

fn checked_out() -> EventBody {
    let text = |text: &str| Some(text.to_owned());
    let source =
        Source { branch: text("main"), commit: text("4ca77fb0123456789"), message: text("first"), ..Source::default() };
    EventBody::BuildCheckedOut { source }
}

fn started(job: &str, attempt: u32) -> EventBody {
    EventBody::JobStarted { job: job.to_owned(), attempt }
}

fn ended(job: &str, ending: Ending) -> EventBody {
    EventBody::JobEnded { job: job.to_owned(), attempt: 0, ending }
}

#[test]
fn a_failed_build_is_shown_with_all_that_one_wants_to_know_of_it() {
    let line = Some(ShellLine { number: 2, text: "make test".to_owned() });
    let exited = Ending::Exited { code: 2, line };
    let failures = vec![TestFailure { name: "a: adds".to_owned(), message: "3 != 4".to_owned() }];
    let tests = TestSummary { total: 12, failed: 1, failures, ..TestSummary::default() };
    let outputs = BTreeMap::from([("version".to_owned(), "1.10\nforged".to_owned())]);
    let results = Results { tests: Some(tests), outputs, ..Results::default() };
    let saved = EventBody::ArtifactSaved {
        job: "unit".to_owned(),
        attempt: 0,
        id: "report".to_owned(),
        size: 2048,
        digest: "d".to_owned(),
    };
    let record = record(
        vec![
            checked_out(),
            defined(),
            EventBody::BuildWarned { message: "the submodule \"a\" is not there".to_owned() },
            started("unit", 1),
            EventBody::JobRetried { job: "unit".to_owned(), attempt: 1, ending: Ending::HostDied, delay_ms: 0 },
            started("unit", 2),
            EventBody::JobResults { job: "unit".to_owned(), attempt: 2, results: Box::new(results) },
            saved,
            ended("unit", exited),
            ended("deploy", Ending::Skipped { because: "unit".to_owned() }),
            started("lint", 1),
            ended("lint", Ending::Succeeded),
            EventBody::BuildEnded { status: BuildStatus::Failure, jobs: Vec::new() },
        ],
        false,
    );
    insta::assert_snapshot!(text(Style { colours: false }, &record, 1_000_000_300_000, &Hints::default()), @r#"
    build o/r/19c-1: failure after 19.5 s
      code   main at 4ca77fb012: first
      began  2001-09-09T01:46:40Z, 5 min ago; by cli

      unit    failure        4.5 s  exited with code 2 at line 2: make test
                                    attempt 1 after 1.5 s: its host died while it ran
                                    this was attempt 2
                                    beside it: db
                                    12 tests, 1 failed
                                    failed: a: adds: 3 != 4
                                    output version = 1.10 ⏎ forged
                                    artifact report, 2.0 KiB
      deploy  skipped               did not run: "unit" did not succeed
      lint    success        1.5 s
      docs    removed               nothing of the docs has changed

    warning: the submodule "a" is not there

      monkeyci-host logs 19c-1 unit
      monkeyci-host logs 19c-1 unit --service
      monkeyci-host tests 19c-1
      monkeyci-host rerun 19c-1 --failed
    "#);
}

#[test]
fn a_build_that_runs_says_what_waits_and_one_that_is_lost_how_to_go_on() {
    let blocked = EventBody::JobBlocked { job: "deploy".to_owned(), attempt: 1, message: "go?".to_owned(), runs: None };
    let bodies = || {
        vec![
            checked_out(),
            defined(),
            started("unit", 1),
            ended("unit", Ending::Succeeded),
            blocked.clone(),
            started("lint", 1),
        ]
    };
    let shown = |live| text(Style { colours: false }, &record(bodies(), live), 1_000_000_020_000, &Hints::default());
    insta::assert_snapshot!(format!("{}\n{}", shown(true), shown(false)), @r"
    build o/r/19c-1: running for 20.0 s
      code   main at 4ca77fb012: first
      began  2001-09-09T01:46:40Z, just now; by cli

      unit    success        1.5 s  beside it: db
      deploy  blocked               waits for approval: go?
                                    approve it: monkeyci-host approve 19c-1 deploy   (or add --reject)
      lint    running       11.0 s
      docs    removed               nothing of the docs has changed

    build o/r/19c-1: lost: its host has died
      code   main at 4ca77fb012: first
      began  2001-09-09T01:46:40Z, just now; by cli

      unit    success        1.5 s  beside it: db
      deploy  blocked               waits for approval: go?
      lint    ran
      docs    removed               nothing of the docs has changed

      monkeyci-host resume 19c-1
    ");
}
