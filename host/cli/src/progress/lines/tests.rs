//! The words for events.

use bytes::Bytes;
use monkeyci_build::{BuildStatus, JobSummary, ShellLine};

use super::*;

const PLAIN: Style = Style { colours: false };

fn frame(stream: LogStream, text: &str) -> LogFrame {
    LogFrame { stream, time_ms: 0, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

#[test]
fn output_is_shown_by_the_line_and_streams_do_not_mix() {
    let mut cutter = LineCutter::default();
    assert_eq!(cutter.push(Some("a"), &frame(LogStream::Stdout, "one\ntw")), ["one"]);
    assert_eq!(cutter.push(Some("a"), &frame(LogStream::Stderr, "error\n")), ["error"]);
    assert_eq!(cutter.push(Some("b"), &frame(LogStream::Stdout, "other\n")), ["other"]);
    assert_eq!(cutter.push(Some("a"), &frame(LogStream::Stdout, "o\r\n50%\r100%\n\nrest")), ["two", "50%", "100%", ""]);
    assert_eq!(cutter.finish(Some("a")), ["rest"]);
    assert_eq!(cutter.finish(Some("a")), [] as [String; 0]);
}

#[test]
fn a_job_that_is_held_is_said_to_be_with_its_line_and_its_time_limit() {
    let line = Some(ShellLine { number: 2, text: "make test".to_owned() });
    let held = Box::new(monkeyci_build::Held::Failure { ending: Ending::Exited { code: 2, line } });
    let body = EventBody::JobHeld { job: "unit".to_owned(), attempt: 1, number: 1, held, limit_ms: 3_600_000 };
    let said = PLAIN.event(&Event { seq: 1, time_ms: 0, body }).map(|line| PLAIN.prefixed(&line));
    let expected = "[unit] held: exited with code 2 at line 2: make test; its containers stay as they are until it is let go on, or its time \
                    limit of 1 h 0 min is over";
    assert_eq!(said.as_deref(), Some(expected));
}

#[test]
fn an_endless_line_is_shown_in_pieces() {
    let mut cutter = LineCutter::default();
    let lines = cutter.push(None, &frame(LogStream::Stdout, &"x".repeat(3 * LONGEST + 1)));
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LONGEST; 3]);
    assert_eq!(cutter.finish(None), ["x"]);
}

#[test]
fn a_summary_says_how_each_job_ended_and_why() {
    let line = Some(ShellLine { number: 2, text: "make \x1b[2Jtest".to_owned() });
    let job = |job: &str, ending, duration_ms| JobSummary { job: job.to_owned(), ending, duration_ms, results: None };
    let mut report = BuildReport::new("org/repo/1".to_owned(), BuildStatus::Failure);
    report.jobs = vec![
        job("prepare", Ending::Succeeded, Some(12)),
        job("test", Ending::Exited { code: 2, line }, Some(61_500)),
        job("package", Ending::Skipped { because: "test".to_owned() }, None),
    ];
    report.reports = vec!["two lines\nof a report".to_owned()];
    report.warnings = vec!["the submodule \"a\" is not there\n[test] forged".to_owned()];
    report.duration_ms = 62_000;
    insta::assert_snapshot!(PLAIN.summary(&report), @r#"

      prepare  success       12 ms
      test     failure    1 min 1 s  exited with code 2 at line 2: make test
      package  skipped              "test" did not succeed
      report: two lines
      report: of a report
      warning: the submodule "a" is not there ⏎ [test] forged
    build failed after 1 min 2 s (3 jobs)
    "#);
}

#[test]
fn nothing_that_a_job_says_is_lost_because_it_has_several_lines() {
    let (message, warning) = (Some("all good\n3 files".to_owned()), Some("service \"db\" has ended".to_owned()));
    let results = Results { message, warning, ..Results::default() };
    let ending = Ending::RefineFailed { message: "the graph has 1 fault:\njob \"a\", image: none".to_owned() };
    let job = JobSummary { job: "a".to_owned(), ending, duration_ms: None, results: Some(Box::new(results)) };
    let mut report = BuildReport::new("org/repo/1".to_owned(), BuildStatus::Failure);
    report.jobs = vec![job];
    report.duration_ms = 1;
    let summary = PLAIN.summary(&report);
    for line in
        ["the graph has 1 fault:", "job \"a\", image: none", "all good", "3 files", "warning: service \"db\" has ended"]
    {
        assert!(summary.lines().any(|shown| shown.ends_with(line)), "{line:?} is missing:\n{summary}");
    }
}

#[test]
fn what_is_built_is_named_and_so_is_what_is_not_committed() {
    let text = |text: &str| Some(text.to_owned());
    let (commit, message) = (text("4ca77fb0123456789"), text("first\nmore"));
    let main = Source { branch: text("main"), commit, message, ..Source::default() };
    assert_eq!(checked_out(&main), "checked out main at 4ca77fb012: first");
    let dirty = Source { dirty: true, ..main.clone() };
    assert_eq!(checked_out(&dirty), "checked out main at 4ca77fb012, with changes that are not committed: first");
    let other = Source { branch: None, git_ref: text("refs/pull/7/head"), ..main };
    assert_eq!(checked_out(&other), "checked out refs/pull/7/head at 4ca77fb012: first");
}

#[test]
fn removed_jobs_are_named_with_the_reason() {
    let removed = vec![("manual".to_owned(), "the manual\ndid not change".to_owned())];
    let body = EventBody::ScriptDefined { jobs: Vec::new(), removed, params: Vec::new() };
    let line = PLAIN.event(&Event { seq: 3, time_ms: 0, body }).expect("a line");
    assert_eq!(line.text, "0 action jobs, 0 container jobs\n[manual] removed: the manual \u{23ce} did not change");
}

#[test]
fn what_a_stranger_says_is_no_further_line_of_ours() {
    let forged = "no luck\n[deploy] success\r\n[deploy] done".to_owned();
    let (job, attempt) = ("a".to_owned(), 1);
    let ending = Ending::ActionFailed { message: forged.clone() };
    for body in [
        EventBody::JobEnded { job: job.clone(), attempt, ending: ending.clone() },
        EventBody::JobRetried { job: job.clone(), attempt, ending, delay_ms: 0 },
        EventBody::JobBlocked { job: job.clone(), attempt, message: forged.clone(), runs: None },
        EventBody::JobApproved { job, attempt, by: forged.clone(), comment: Some(forged.clone()) },
        EventBody::BuildWarned { message: forged.clone() },
        EventBody::ScriptEvent { job: None, attempt: 0, name: forged.clone(), payload: forged.clone() },
        EventBody::OutsideEvent { by: forged.clone(), name: forged.clone(), payload: forged.clone() },
    ] {
        let line = PLAIN.event(&Event { seq: 3, time_ms: 0, body }).expect("a line");
        assert!(!line.text.contains(['\n', '\r']) && line.text.contains("no luck"), "{line:?}");
    }
}

#[test]
fn a_long_payload_is_shown_by_its_beginning() {
    let payload = format!("\"{}\"", "x".repeat(60_000));
    let body = EventBody::ScriptEvent { job: None, attempt: 0, name: "big".to_owned(), payload };
    let line = PLAIN.event(&Event { seq: 3, time_ms: 0, body }).expect("a line");
    assert!(line.text.len() < 300 && line.text.ends_with("xxx… (60002 bytes)"), "{}", line.text);
}

#[test]
fn a_broken_script_is_told_from_a_failed_job() {
    let mut report = BuildReport::new("org/repo/1".to_owned(), BuildStatus::BadScript);
    report.failure = Some("this is not WebAssembly".to_owned());
    report.duration_ms = 7;
    insta::assert_snapshot!(PLAIN.summary(&report), @r"

    error: this is not WebAssembly
    build failed: the script is broken after 7 ms
    ");
}
