//! The serialised form of what the journal keeps. Journals outlive the program: what fails here breaks old builds.

use monkeyci_build::{
    Command, ContainerSpec, Ending, Event, EventBody, Fault, FaultKind, GraphFaults, JobKind, JobSpec, NeedCause,
    Place, Readiness, RunWhen, ServiceSpec, ShellCommand, ShellLine,
};
use serde_json::{Value, json};

/// The event's JSON, which gives the same event again.
fn json_of(body: EventBody) -> Value {
    let event = Event { seq: 7, time_ms: 1_700_000_000_000, body };
    let text = serde_json::to_string(&event).expect("events are JSON");
    assert_eq!(serde_json::from_str::<Event>(&text).expect("JSON is events"), event);
    let mut value: Value = serde_json::from_str(&text).expect("JSON is JSON");
    assert_eq!(value["seq"].take(), json!(7));
    assert_eq!(value["time_ms"].take(), json!(1_700_000_000_000_u64));
    value
}

#[test]
fn an_ending_keeps_its_form() {
    let ending = Ending::Exited { code: 3, line: Some(ShellLine { number: 2, text: "make".into() }) };
    assert_eq!(ending.to_string(), "exited with code 3 at line 2: make");
    assert_eq!(
        json_of(EventBody::JobEnded { job: "a".into(), attempt: 1, ending }),
        json!({
            "seq": null, "time_ms": null, "type": "job/ended", "job": "a", "attempt": 1,
            "ending": { "cause": "exited", "code": 3, "line": { "number": 2, "text": "make" } },
        })
    );
}

#[test]
fn a_graph_keeps_its_form() {
    let service = ServiceSpec {
        name: "db".into(),
        image: "postgres:17".into(),
        argv: None,
        env: [("A".into(), "1".into())].into(),
        secret_env: [].into(),
        readiness: vec![Readiness::Port(5432), Readiness::Command(vec!["pg_isready".into()])],
        ready_timeout_ms: 60_000,
    };
    let spec = ContainerSpec {
        image: "debian:12".into(),
        command: Command::Shell(ShellCommand { lines: vec!["true".into()], ..ShellCommand::default() }),
        env: [].into(),
        late_env: [].into(),
        user: None,
        architecture: None,
        network: Default::default(),
        network_allow: vec![],
        test_reports: vec![],
        work_dir: String::new(),
        memory_bytes: Some(u64::MAX),
        cpu_millis: None,
        shm_bytes: None,
        pull: Default::default(),
        entrypoint_of_image: false,
        with_git: false,
        save_artifacts: vec![],
        restore_artifacts: vec![],
        caches: vec![],
        services: vec![service],
    };
    let job = |id: &str, needs: &[&str], timeout_ms, kind| JobSpec {
        id: id.into(),
        needs: needs.iter().map(ToString::to_string).collect(),
        removed_needs: vec![],
        timeout_ms,
        run_when: RunWhen::Success,
        allow_failure: false,
        retry: None,
        priority: 0,
        fail_fast: None,
        approval: None,
        manual: false,
        late: false,
        labels: [].into(),
        calls: None,
        creates_artifacts: vec![],
        kind,
    };
    let action = job("a", &[], 1, JobKind::Action);
    let container = job("b", &["a"], 2, JobKind::Container(Box::new(spec)));
    assert_eq!(
        json_of(EventBody::ScriptDefined { jobs: vec![action, container], removed: vec![], params: vec![] }),
        json!({
            "seq": null, "time_ms": null, "type": "script/defined", "jobs": [
                { "id": "a", "needs": [], "timeout_ms": 1, "kind": "action" },
                { "id": "b", "needs": ["a"], "timeout_ms": 2, "kind": { "container": {
                    "image": "debian:12", "command": { "shell": { "lines": ["true"] } }, "env": {}, "work_dir": "",
                    "memory_bytes": u64::MAX, "cpu_millis": null,
                    "save_artifacts": [], "restore_artifacts": [], "caches": [],
                    "services": [{
                        "name": "db", "image": "postgres:17", "argv": null, "env": { "A": "1" },
                        "readiness": [{ "port": 5432 }, { "command": ["pg_isready"] }], "ready_timeout_ms": 60_000,
                    }],
                } } },
            ],
        })
    );
}

#[test]
fn faults_keep_their_form_and_are_left_out_where_there_are_none() {
    let failed = |faults| EventBody::BuildFailed { script: true, message: "broken".into(), faults };
    assert_eq!(
        json_of(failed(GraphFaults::default())),
        json!({
            "seq": null, "time_ms": null, "type": "build/failed", "script": true, "message": "broken",
        })
    );
    let fault = |kind| Fault { place: Place::Job("a".into()), field: "f".into(), kind };
    let faults = vec![fault(FaultKind::Zero), fault(FaultKind::MemoryTooSmall { bytes: 1 })];
    assert_eq!(
        json_of(failed(GraphFaults(faults))),
        json!({
            "seq": null, "time_ms": null, "type": "build/failed", "script": true, "message": "broken", "faults": [
                { "job": "a", "field": "f", "kind": "zero" },
                { "job": "a", "field": "f", "kind": "memory-too-small", "bytes": 1 },
            ],
        })
    );
}

#[test]
fn shell_lines_of_a_journal_from_when_all_shells_were_alike_can_be_read() {
    let old: Command = serde_json::from_value(json!({ "shell": ["make", "make test"] })).expect("it can be read");
    let lines = vec!["make".into(), "make test".into()];
    assert_eq!(old, Command::Shell(ShellCommand { lines, program: vec![], each: false }));
    let new =
        Command::Shell(ShellCommand { lines: vec!["make".into()], program: vec!["/bin/bash".into()], each: true });
    let text = serde_json::to_string(&new).expect("commands are JSON");
    assert_eq!(serde_json::from_str::<Command>(&text).expect("JSON is commands"), new);
}

#[test]
fn a_fault_of_a_parameter_stands_under_another_key_than_one_of_a_job() {
    let kind = FaultKind::UnfitValue { problem: "\"x\" is not a number".into() };
    let fault = Fault { place: Place::Parameter("workers".into()), field: "default".into(), kind };
    assert_eq!(fault.to_string(), r#"parameter "workers", default: "x" is not a number"#);
    let value = serde_json::to_value(&fault).expect("faults are JSON");
    assert_eq!(
        value,
        json!({ "parameter": "workers", "field": "default", "kind": "unfit-value", "problem": "\"x\" is not a number" })
    );
    assert_eq!(serde_json::from_value::<Fault>(value).expect("JSON is faults"), fault);
}

#[test]
fn a_cycle_from_when_every_need_was_said_can_be_read() {
    let old = json!({ "job": "a", "field": "needs", "kind": "cycle", "path": ["a", "b"] });
    let fault: Fault = serde_json::from_value(old.clone()).expect("it can be read");
    assert_eq!(serde_json::to_value(&fault).expect("faults are JSON"), old);
    let kind = FaultKind::Cycle {
        path: vec!["a".into(), "b".into()],
        causes: vec![NeedCause::RestoresArtifact, NeedCause::ReadsOutput],
    };
    assert_eq!(
        kind.to_string(),
        r#"the needs go in a cycle: "a" restores an artifact of "b" reads an output of "a"; take one of these needs away"#
    );
}

#[test]
fn what_happens_to_a_job_keeps_its_form() {
    let retried = EventBody::JobRetried { job: "a".into(), attempt: 1, ending: Ending::Succeeded, delay_ms: 5 };
    for (body, json) in [
        (
            retried,
            json!({ "type": "job/retried", "job": "a", "attempt": 1, "ending": { "cause": "succeeded" }, "delay_ms": 5 }),
        ),
        (
            EventBody::JobWaiting { job: "a".into(), attempt: 1, jobs: vec![], rest: false },
            json!({ "type": "job/waiting", "job": "a", "attempt": 1 }),
        ),
        (
            EventBody::JobBlocked { job: "a".into(), attempt: 1, message: "Deploy?".into(), runs: None },
            json!({ "type": "job/blocked", "job": "a", "attempt": 1, "message": "Deploy?" }),
        ),
        (
            EventBody::JobApproved { job: "a".into(), attempt: 1, by: "ada".into(), comment: None },
            json!({ "type": "job/approved", "job": "a", "attempt": 1, "by": "ada" }),
        ),
        (
            EventBody::JobResults { job: "a".into(), attempt: 1, results: Box::default() },
            json!({ "type": "job/results", "job": "a", "attempt": 1, "results": {} }),
        ),
        (
            EventBody::JobsSubmitted { by: "a".into(), attempt: 1, jobs: vec![] },
            json!({ "type": "jobs/submitted", "by": "a", "attempt": 1, "jobs": [] }),
        ),
    ] {
        let mut value = json_of(body);
        value.as_object_mut().expect("an object").retain(|key, _| key != "seq" && key != "time_ms");
        assert_eq!(value, json);
    }
}

#[test]
fn endings_within_endings_and_with_two_names_keep_their_form() {
    let failed = Ending::FailedFast { group: "shards".into(), because: "b".into() };
    let tolerated = Ending::Tolerated { ending: Box::new(Ending::TimedOut { after_ms: 5, during: None }) };
    for (ending, json) in [
        (failed, json!({ "cause": "failed-fast", "group": "shards", "because": "b" })),
        (tolerated, json!({ "cause": "tolerated", "ending": { "cause": "timed-out", "after_ms": 5 } })),
    ] {
        assert_eq!(serde_json::to_value(&ending).expect("endings are JSON"), json);
        assert_eq!(serde_json::from_value::<Ending>(json).expect("JSON is endings"), ending);
    }
}
