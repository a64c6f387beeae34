//! `define` runs in every instance, and is told the same each time.

use std::time::Duration;

use crate::hang_guard::HANGS;
use crate::support::{Guest, asking, client, declaring, info, runtime};
use monkeyci_script::{Action, Limits, Recording, ScriptError};

/// Asks for the parameter `answer`.
const ASK: &str = "(call $get (i32.const 16) (i32.const 6) (i32.const 64))";

#[tokio::test]
async fn a_parameter_is_asked_for_once_however_many_instances_there_are() {
    let runtime = runtime(Limits::default());
    let (client, asked) = client();
    let script = asking(ASK, "").load(&runtime);
    let defined = script.define(&client, info()).await.expect("define");
    for _ in 0..3 {
        script
            .act(&client, &defined.transcript, Action { job: "job", ..Action::default() }, HANGS, &Recording::default())
            .await
            .ended
            .expect("act");
    }
    assert_eq!(*asked.lock().expect("lock"), ["GET /v1/builds/org/repo/1/params/answer"]);
}

#[tokio::test]
async fn an_action_asks_anew() {
    let runtime = runtime(Limits::default());
    let (client, asked) = client();
    let script = asking(ASK, ASK).load(&runtime);
    let defined = script.define(&client, info()).await.expect("define");
    script
        .act(&client, &defined.transcript, Action { job: "job", ..Action::default() }, HANGS, &Recording::default())
        .await
        .ended
        .expect("act");
    assert_eq!(asked.lock().expect("lock").len(), 2);
}

#[tokio::test]
async fn another_call_than_the_first_time_is_named() {
    let runtime = runtime(Limits::default());
    let (client, _) = client();
    let quiet = Guest::default().load(&runtime).define(&client, info()).await.expect("define");
    let asks = asking(ASK, "").load(&runtime);
    let error = asks
        .act(&client, &quiet.transcript, Action { job: "job", ..Action::default() }, HANGS, &Recording::default())
        .await
        .ended
        .expect_err("another script");
    assert!(matches!(&error, ScriptError::Diverged(what) if what.contains("params.get")), "{error}");
}

#[tokio::test]
async fn a_call_that_is_left_out_is_named() {
    let runtime = runtime(Limits::default());
    let (client, _) = client();
    let asked = asking(ASK, "").load(&runtime).define(&client, info()).await.expect("define");
    let quiet = Guest::default().load(&runtime);
    let error = quiet
        .act(&client, &asked.transcript, Action { job: "job", ..Action::default() }, HANGS, &Recording::default())
        .await
        .ended
        .expect_err("another script");
    assert!(matches!(&error, ScriptError::Diverged(what) if what.contains("params.get")), "{error}");
}

#[tokio::test]
async fn other_jobs_than_the_first_time_are_refused() {
    let runtime = runtime(Limits::default());
    let (client, _) = client();
    let one = "(drop (call $action (i32.const 16) (i32.const 6)))";
    let first = declaring(one).load(&runtime).define(&client, info()).await.expect("define");
    assert_eq!(first.jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["answer"]);
    let other = declaring("(drop (call $action (i32.const 16) (i32.const 3)))").load(&runtime);
    let error = other
        .act(&client, &first.transcript, Action { job: "answer", ..Action::default() }, HANGS, &Recording::default())
        .await
        .ended
        .expect_err("another script");
    assert!(matches!(error, ScriptError::Diverged(_)), "{error}");
}

#[tokio::test]
async fn a_job_that_an_action_makes_changes_nothing_until_it_is_submitted() {
    let runtime = runtime(Limits::default());
    let (client, _) = client();
    let mut guest = declaring("");
    guest.act = "(drop (call $action (i32.const 16) (i32.const 6)))";
    let script = guest.load(&runtime);
    let defined = script.define(&client, info()).await.expect("define");
    script
        .act(&client, &defined.transcript, Action { job: "job", ..Action::default() }, HANGS, &Recording::default())
        .await
        .ended
        .expect("act");
}

#[tokio::test]
async fn an_action_ends_at_its_time_limit() {
    let runtime = runtime(Limits::default());
    let (client, _) = client();
    let script = Guest { act: "(loop (br 0))", ..Guest::default() }.load(&runtime);
    let defined = script.define(&client, info()).await.expect("define");
    let limit = Duration::from_millis(100);
    let error = script
        .act(&client, &defined.transcript, Action { job: "job", ..Action::default() }, limit, &Recording::default())
        .await
        .ended
        .expect_err("too slow");
    assert!(matches!(error, ScriptError::TimedOut(after) if after == limit), "{error}");
}
