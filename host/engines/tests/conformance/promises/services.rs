//! Services.

use std::time::Duration;

use monkeyci_build::Readiness;
use monkeyci_engines::{EngineError, Part};

use crate::host::{Host, ready_command, service};

/// A server that takes connections on its port, more than one.
const SERVER: &str = "echo serving; exec httpd -f -p 5432 -h /srv";

pub async fn a_service_is_reached_by_its_name_and_probed_by_its_address(host: &Host) {
    let mut pod =
        host.pod("connect db:5432\nconnect cache:5432\nunknown nobody:5432", "connect $db:5432\nconnect $cache:5432");
    pod.services.push(service("db", SERVER, vec![Readiness::Port(5432)]));
    pod.services.push(service("cache", SERVER, Vec::new()));
    host.succeeds(&pod).await;
    assert_eq!(host.engine.last_lines(&pod.key, &Part::Service("db".to_owned()), 5).await.expect("lines"), "serving\n");
    host.remove(&pod).await;
}

pub async fn a_service_is_not_reached_from_another_pod(host: &Host) {
    let mut one = host.pod(
        "connect db:5432\nawait /monkeyci/services\nsh cat /monkeyci/services\nsleep 60000",
        "services /monkeyci/services",
    );
    one.services.push(service("db", SERVER, Vec::new()));
    host.start(&one).await.expect("the pod starts");
    host.engine.wait(&one.key, &Part::Sidecar).await.expect("the end of the sidecar");
    let address = loop {
        let lines = host.engine.last_lines(&one.key, &Part::Job, 1).await.expect("lines");
        if let Some(address) = lines.trim().strip_prefix("db=") {
            break address.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };

    let mut two = host.pod(&format!("unknown db:5432\nconnect own:5432\nrefused {address}:5432"), "");
    two.services.push(service("own", SERVER, Vec::new()));
    host.succeeds(&two).await;
}

pub async fn the_job_starts_when_the_ready_command_has_succeeded(host: &Host) {
    // The service is ready when the sidecar has called it, which has looked by then that the job has not begun.
    let job = "write /monkeyci/begun yes\nexists /monkeyci/called\nconnect db:5432";
    let sidecar = "sleep 500\nabsent /monkeyci/begun\nwrite /monkeyci/called yes\nconnect $db:5433";
    let mut pod = host.pod(job, sidecar);
    let readiness = vec![Readiness::Port(5432), ready_command(["/bin/test", "-e", "/tmp/ready"])];
    pod.services.push(service("db", &format!("busybox nc -l -p 5433; touch /tmp/ready; {SERVER}"), readiness));
    host.succeeds(&pod).await;
}

pub async fn a_service_that_is_never_ready_is_reported_with_its_last_lines(host: &Host) {
    let mut pod = host.pod("", "");
    let readiness = vec![ready_command(["/bin/sh", "-c", "echo not now; exit 4"])];
    let mut database = service("db", "echo starting up; sleep 60", readiness);
    database.ready_timeout_ms = 5000;
    pod.services.push(database);
    match host.start(&pod).await {
        Err(EngineError::ServiceNotReady { service, reason, last_lines }) => {
            assert_eq!(service, "db");
            assert_eq!(
                reason,
                "not ready within 5 s; `/bin/sh -c echo not now; exit 4` last said: exit code 4: not now"
            );
            assert_eq!(last_lines, "starting up\n");
        }
        other => panic!("{other:?}"),
    }
    host.remove(&pod).await;
}

pub async fn a_service_that_crashes_is_reported_at_once(host: &Host) {
    for pause in ["0", "0.5"] {
        let mut pod = host.pod("", "");
        let crash = format!("echo bad configuration >&2; sleep {pause}; exit 3");
        pod.services.push(service("db", &crash, vec![ready_command(["/bin/false"])]));
        match host.start(&pod).await {
            Err(EngineError::ServiceNotReady { service, reason, last_lines }) => {
                assert_eq!(service, "db");
                assert_eq!(reason, "it ended with exit code 3");
                assert_eq!(last_lines, "bad configuration\n");
            }
            other => panic!("{other:?}"),
        }
    }
}

pub async fn a_sidecar_that_fails_while_services_get_ready_ends_the_start(host: &Host) {
    let mut pod = host.pod("", "exit 7");
    pod.services.push(service("db", SERVER, vec![ready_command(["/bin/false"])]));
    match host.start(&pod).await {
        Err(EngineError::SidecarFailed(reason)) => assert!(reason.contains("exit code 7"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

pub async fn a_ready_command_that_does_not_exist_is_reported_at_once(host: &Host) {
    let mut pod = host.pod("", "");
    pod.services.push(service("db", SERVER, vec![ready_command(["pg_isready", "-q"])]));
    match host.start(&pod).await {
        Err(EngineError::ServiceNotReady { service, reason, .. }) => {
            assert_eq!(service, "db");
            assert!(reason.starts_with("`pg_isready -q` can't run: "), "{reason}");
            assert!(reason.contains("\"pg_isready\""), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

pub async fn a_services_secrets_are_among_its_variables_and_not_in_its_configuration(host: &Host) {
    let mut pod = host.pod("connect db:5432\nsleep 60000", "");
    let file = host.path("variables");
    std::fs::write(&file, r#"{"PASSWORD": "hunter2 is secret", "HOME": "/elsewhere"}"#).expect("a file");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    pod.service_env.insert("db".to_owned(), file);
    // Written in two, since the command is a part of the configuration.
    let check = r#"test "$PASSWORD $HOME" = "hunter""2 is secret /elsewhere""#;
    // A ready command has them too: it may have to log in.
    let ready = ready_command(["/bin/sh", "-c", check]);
    pod.services.push(service("db", &format!("{check} && {SERVER}"), vec![ready]));
    host.start(&pod).await.expect("the pod starts");
    for part in ["svc-db", "job", "sidecar"] {
        let configuration = host.outside.configuration(&format!("{}-{part}", pod.key)).await;
        assert!(!configuration.contains("hunter2"), "{configuration}");
    }
    host.remove(&pod).await;
}
