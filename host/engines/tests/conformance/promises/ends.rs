//! How parts end, and how that is told.

use std::time::Duration;

use monkeyci_engines::{EngineError, Part};

use crate::hang_guard::HANGS;
use crate::host::Host;

pub async fn the_exit_code_comes_through_also_when_the_job_ended_before_the_wait(host: &Host) {
    let pod = host.pod("exit 3", "exit 4");
    host.start(&pod).await.expect("the pod starts");
    assert_eq!(host.job_exit(&pod).await.code, 3);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(host.job_exit(&pod).await.code, 3);
    assert_eq!(host.engine.wait(&pod.key, &Part::Sidecar).await.expect("its end").code, 4);
}

pub async fn a_killed_job_ends_with_137(host: &Host) {
    let pod = host.pod("sleep 60000", "sleep 60000");
    host.start(&pod).await.expect("the pod starts");
    let name = format!("{}-job", pod.key);
    let (exit, ()) = tokio::join!(host.job_exit(&pod), host.outside.kill(&name));
    assert_eq!(exit.code, 137);
    assert!(!exit.out_of_memory);
}

pub async fn a_killed_sidecar_ends_with_137_and_the_job_goes_on(host: &Host) {
    let pod = host.pod("on-term 7\nprint listening\nsleep 60000", "sleep 60000");
    host.start(&pod).await.expect("the pod starts");
    host.until_said(&pod, &Part::Job, "listening").await;
    host.outside.kill(&format!("{}-sidecar", pod.key)).await;
    assert_eq!(host.engine.wait(&pod.key, &Part::Sidecar).await.expect("its end").code, 137);
    host.engine.stop(&pod.key, HANGS).await.expect("the job can be stopped");
    assert_eq!(host.job_exit(&pod).await.code, 7, "it was there to hear that it is to end");
}

pub async fn a_job_that_eats_its_memory_is_killed_and_says_so(host: &Host) {
    let mut pod = host.pod("eat 256\nsleep 60000", "");
    pod.memory_bytes = Some(48 * 1024 * 1024);
    host.start(&pod).await.expect("the pod starts");
    let exit = host.job_exit(&pod).await;
    assert_eq!(exit.code, 137);
    // Podman does not tell it from a kill.
    if host.engine.describe().starts_with("docker") {
        assert!(exit.out_of_memory);
    }
}

pub async fn a_removed_container_is_no_such_part(host: &Host) {
    let pod = host.pod("sleep 60000", "");
    let never = host.engine.wait(&pod.key, &Part::Job).await;
    assert!(matches!(never, Err(EngineError::NoSuchPart(_))), "{never:?}");
    host.start(&pod).await.expect("the pod starts");
    let name = format!("{}-job", pod.key);
    let (removed, ()) = tokio::join!(host.engine.wait(&pod.key, &Part::Job), host.outside.remove(&name));
    // To remove is to kill first: who waits may see the one or the other.
    let killed = removed.as_ref().is_ok_and(|exit| exit.code == 137);
    assert!(killed || matches!(removed, Err(EngineError::NoSuchPart(_))), "{removed:?}");
    let after = host.engine.wait(&pod.key, &Part::Job).await;
    assert!(matches!(after, Err(EngineError::NoSuchPart(_))), "{after:?}");
    let lines = host.engine.last_lines(&pod.key, &Part::Job, 1).await;
    assert!(matches!(lines, Err(EngineError::NoSuchPart(_))), "{lines:?}");
    host.engine.stop(&pod.key, Duration::ZERO).await.expect("a container that is not there can be stopped");
}

pub async fn stop_lets_the_job_end_by_itself(host: &Host) {
    let pod = host.pod("on-term 7\nwrite /monkeyci/listening yes\nsleep 60000", "await /monkeyci/listening");
    host.start(&pod).await.expect("the pod starts");
    host.engine.wait(&pod.key, &Part::Sidecar).await.expect("the end of the sidecar");
    // Longer than anybody waits here.
    host.engine.stop(&pod.key, 2 * HANGS).await.expect("the job can be stopped");
    assert_eq!(host.job_exit(&pod).await.code, 7);
    host.engine.stop(&pod.key, Duration::from_secs(1)).await.expect("a stopped job can be stopped");
}

/// (A PID 1 without a handler for TERM does not notice it.)
pub async fn stop_kills_a_job_that_does_not_listen_after_the_grace(host: &Host) {
    let pod = host.pod("write /monkeyci/running yes\nsleep 60000", "await /monkeyci/running");
    host.start(&pod).await.expect("the pod starts");
    // A signal that comes before runc has become the container's program ends runc, with code 2.
    host.engine.wait(&pod.key, &Part::Sidecar).await.expect("the end of the sidecar");
    host.engine.stop(&pod.key, Duration::from_secs(1)).await.expect("the job can be stopped");
    assert_eq!(host.job_exit(&pod).await.code, 137);
}

pub async fn the_last_lines_are_kept(host: &Host) {
    let pod = host.pod("print one\nprint two\nprint three", "");
    host.start(&pod).await.expect("the pod starts");
    assert_eq!(host.job_exit(&pod).await.code, 0);
    let lines = host.engine.last_lines(&pod.key, &Part::Job, 2).await.expect("lines");
    assert_eq!(lines, "two\nthree\n");
}
