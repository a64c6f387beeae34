//! Pods that can't start.

use std::os::unix::fs::PermissionsExt as _;

use monkeyci_engines::{EngineError, Part};

use crate::host::Host;
use crate::outside::IMAGE;

pub async fn a_job_that_cannot_start_says_why(host: &Host) {
    let mut pod = host.pod("", "");
    // The sidecar's image makes its program executable; guard and launcher are the file as it is.
    let program = host.path("program");
    std::fs::copy(&host.program, &program).expect("a file can be copied");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o644)).expect("a mode can be set");
    pod.sidecar_program.clone_from(&program);
    pod.guard_program = program;
    match host.start(&pod).await {
        Err(EngineError::StartFailed { image, reason }) => {
            assert_eq!(image, IMAGE);
            assert!(reason.contains("/monkeyci-guard"), "{reason}");
            assert!(reason.to_lowercase().contains("permission denied"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    // What was made and never ran has not succeeded.
    let waited = host.engine.wait(&pod.key, &Part::Job).await;
    assert!(waited.as_ref().is_err_and(|error| error.to_string().contains("never started")), "{waited:?}");
    host.remove(&pod).await;
}

pub async fn a_sidecar_that_cannot_start_says_why(host: &Host) {
    let mut pod = host.pod("sleep 60000", "");
    pod.sidecar_config = host.path("nowhere");
    let started = host.start(&pod).await;
    assert!(matches!(&started, Err(EngineError::SidecarFailed(reason)) if reason.contains("nowhere")), "{started:?}");
    let mut pod = host.pod("sleep 60000", "");
    pod.sidecar_program = host.path("no-program");
    let started = host.start(&pod).await;
    assert!(
        matches!(&started, Err(EngineError::SidecarFailed(reason)) if reason.contains("no-program")),
        "{started:?}"
    );
}
