//! Every kind of bearer at every path.

use monkeyci_api::HoldQuery;
use monkeyci_build::{Held, ShellLine};

use super::*;

/// Makes every kind of call; tells the status of each (200 when it was answered).
pub(super) async fn every_call(client: &Client, job: &str) -> Vec<(&'static str, u16)> {
    fn status<T>(result: Result<T, ClientError>) -> u16 {
        match result {
            Ok(_) => 200,
            Err(error) => error.status().unwrap_or(0),
        }
    }
    let line = ShellLine { number: 1, text: "make".to_owned() };
    let held = || HoldQuery { number: 1, held: Held::Before { line: line.clone() }, wait_ms: 0 };
    vec![
        ("read build", status(client.build_info().await)),
        ("read param", status(client.param("a/b ?").await)),
        ("publish event", status(client.publish("name", "{}").await)),
        ("add report", status(client.report("message").await)),
        ("read job", status(client.job_outcome(job).await)),
        ("write log", status(client.send_log(Some(job), Body::from("")).await)),
        ("write define's log", status(client.send_log(None, Body::from("")).await)),
        ("read workspace", status(client.workspace().await)),
        ("read artifact in", missing_is_404(client.artifact("in").await)),
        ("read artifact out", missing_is_404(client.artifact("out").await)),
        ("save artifact in", status(client.save_artifact("in", Body::from("x")).await)),
        ("save artifact out", status(client.save_artifact("out", Body::from("x")).await)),
        ("read cache kept", missing_is_404(client.cache("kept").await)),
        ("save cache other", status(client.save_cache("other", Body::from("x")).await)),
        ("read plan", status(client.plan(job).await)),
        ("report running", status(client.job_running(job).await)),
        ("report held", status(client.job_held(job, &held()).await)),
        ("list params", status(client.params().await)),
        ("list secrets", status(client.secrets().await)),
        ("read secret", status(client.secret("token").await)),
        ("reveal secret", status(client.reveal("token").await)),
        ("read events", status(client.events(&EventQuery::default()).await)),
        ("submit jobs", status(client.submit(Vec::new()).await)),
        (
            "wait for jobs",
            status(client.wait_for_jobs(&WaitQuery { jobs: vec!["x".to_owned()], wait_ms: 0, forever: false }).await),
        ),
        ("read file", status(client.file("file").await)),
        ("read dir", status(client.dir(".").await)),
        ("find files", status(client.glob(vec!["*".to_owned()]).await)),
        ("write output", status(client.write_output("file", vec![1], false).await)),
        ("list artifacts", status(client.artifacts().await)),
        ("look into artifact", status(client.artifact_files("in").await)),
        ("create artifact made", status(client.create_artifact("made", "file", Body::from("x")).await)),
        ("create artifact out", status(client.create_artifact("out", "file", Body::from("x")).await)),
        ("save output", status(client.save_output("made", "file").await)),
        ("report outputs", status(client.report_outputs(job, b"a=b".to_vec()).await)),
        ("report tests", status(client.report_tests(job, None, Body::from("<testsuite/>")).await)),
        ("report result", status(client.job_result(job, &SidecarReport::Ended(Ending::Succeeded)).await)),
    ]
}

fn missing_is_404<T>(result: Result<Option<T>, ClientError>) -> u16 {
    match result {
        Ok(Some(_)) => 200,
        Ok(None) => 404,
        Err(error) => error.status().unwrap_or(0),
    }
}

#[tokio::test]
async fn a_script_may_read_and_tell_and_touch_no_archive_and_no_sidecars_path() {
    let rig = Rig::defining().await;
    let token = rig.token(Role::Script { job: None }, script_scopes());
    let expected = [
        // No files are there in this rig, and no job has been declared: allowed, but not there.
        ("read build", 404),
        ("read param", 200),
        ("publish event", 200),
        ("add report", 200),
        ("read job", 404),
        ("write log", 403),
        ("write define's log", 200),
        ("read workspace", 403),
        ("read artifact in", 403),
        ("read artifact out", 403),
        ("save artifact in", 403),
        ("save artifact out", 403),
        ("read cache kept", 403),
        ("save cache other", 403),
        ("read plan", 403),
        ("report running", 403),
        ("report held", 403),
        ("list params", 200),
        ("list secrets", 200),
        ("read secret", 200),
        ("reveal secret", 403),
        ("read events", 403),
        ("submit jobs", 403),
        ("wait for jobs", 403),
        ("read file", 404),
        ("read dir", 404),
        ("find files", 404),
        ("write output", 403),
        ("list artifacts", 403),
        ("look into artifact", 403),
        ("create artifact made", 403),
        ("create artifact out", 403),
        ("save output", 403),
        ("report outputs", 403),
        ("report tests", 403),
        ("report result", 403),
    ];
    assert_eq!(every_call(&rig.client(BUILD, token), "mine").await, expected);
}

#[tokio::test]
async fn an_action_may_do_more_but_reveal_no_secret_and_create_no_artifact_that_is_not_its_own() {
    let rig = Rig::new().await;
    let token = rig.token(Role::Script { job: Some("mine".to_owned()) }, action_scopes());
    let expected = [
        ("read build", 404),
        ("read param", 200),
        ("publish event", 200),
        ("add report", 200),
        ("read job", 200),
        ("write log", 200),
        ("write define's log", 403),
        ("read workspace", 403),
        ("read artifact in", 403),
        ("read artifact out", 403),
        ("save artifact in", 403),
        ("save artifact out", 403),
        ("read cache kept", 403),
        ("save cache other", 403),
        ("read plan", 403),
        ("report running", 403),
        ("report held", 403),
        ("list params", 200),
        ("list secrets", 200),
        ("read secret", 200),
        ("reveal secret", 403),
        ("read events", 200),
        ("submit jobs", 200),
        ("wait for jobs", 404),
        ("read file", 404),
        ("read dir", 404),
        ("find files", 404),
        ("write output", 404),
        ("list artifacts", 200),
        // It is there, and no archive.
        ("look into artifact", 400),
        ("create artifact made", 200),
        ("create artifact out", 403),
        ("save output", 404),
        ("report outputs", 403),
        ("report tests", 200),
        ("report result", 403),
    ];
    assert_eq!(every_call(&rig.client(BUILD, token), "mine").await, expected);
}

#[tokio::test]
async fn a_sidecar_may_do_what_its_own_job_needs_and_its_token_dies_with_its_report() {
    let rig = Rig::new().await;
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    let expected = [
        ("read build", 403),
        ("read param", 403),
        ("publish event", 403),
        ("add report", 403),
        ("read job", 403),
        ("write log", 200),
        ("write define's log", 403),
        ("read workspace", 200),
        ("read artifact in", 200),
        ("read artifact out", 403),
        ("save artifact in", 403),
        ("save artifact out", 200),
        ("read cache kept", 404),
        ("save cache other", 403),
        ("read plan", 200),
        ("report running", 200),
        ("report held", 200),
        ("list params", 403),
        ("list secrets", 403),
        ("read secret", 403),
        ("reveal secret", 403),
        ("read events", 403),
        ("submit jobs", 403),
        ("wait for jobs", 403),
        ("read file", 403),
        ("read dir", 403),
        ("find files", 403),
        ("write output", 403),
        ("list artifacts", 403),
        ("look into artifact", 403),
        ("create artifact made", 403),
        ("create artifact out", 403),
        ("save output", 403),
        ("report outputs", 200),
        ("report tests", 200),
        ("report result", 200),
    ];
    assert_eq!(every_call(&client, "mine").await, expected);
    assert!(every_call(&client, "mine").await.iter().all(|(_, status)| *status == 401));
}

#[tokio::test]
async fn a_sidecar_may_do_nothing_for_another_job() {
    let rig = Rig::new().await;
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    for (call, status) in every_call(&client, "another").await {
        let about_the_job =
            ["read job", "write log", "read plan", "report running", "report held", "report result"].contains(&call);
        assert!(!about_the_job || status == 403, "{call}: {status}");
    }
}
