//! The serialised form of what the journal keeps. Journals outlive the program: what fails here breaks old builds.

use monkeyci_build::{
    Command, ContainerSpec, Ending, Event, EventBody, Fault, FaultKind, GraphFaults, JobKind, JobSpec, Readiness,
    ServiceSpec, ShellLine,
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
        json_of(EventBody::JobEnded { job: "a".into(), ending }),
        json!({
            "seq": null, "time_ms": null, "type": "job/ended", "job": "a",
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
        readiness: vec![Readiness::Port(5432), Readiness::Command(vec!["pg_isready".into()])],
        ready_timeout_ms: 60_000,
    };
    let spec = ContainerSpec {
        image: "debian:12".into(),
        command: Command::Shell(vec!["true".into()]),
        env: [].into(),
        work_dir: String::new(),
        memory_bytes: Some(u64::MAX),
        cpu_millis: None,
        save_artifacts: vec![],
        restore_artifacts: vec![],
        caches: vec![],
        services: vec![service],
    };
    let action = JobSpec { id: "a".into(), needs: vec![], timeout_ms: 1, kind: JobKind::Action };
    let container =
        JobSpec { id: "b".into(), needs: vec!["a".into()], timeout_ms: 2, kind: JobKind::Container(Box::new(spec)) };
    assert_eq!(
        json_of(EventBody::ScriptDefined { jobs: vec![action, container] }),
        json!({
            "seq": null, "time_ms": null, "type": "script/defined", "jobs": [
                { "id": "a", "needs": [], "timeout_ms": 1, "kind": "action" },
                { "id": "b", "needs": ["a"], "timeout_ms": 2, "kind": { "container": {
                    "image": "debian:12", "command": { "shell": ["true"] }, "env": {}, "work_dir": "",
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
    let fault = |kind| Fault { job: "a".into(), field: "f".into(), kind };
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
