//! Create-or-get, and many at once.

use std::time::Duration;

use futures::future::join_all;

use crate::host::{Host, ready_command, service};

pub async fn a_second_start_starts_nothing_again(host: &Host) {
    let mut pod = host.pod("await /monkeyci/go\nexit 6", "await /monkeyci/go");
    pod.services.push(service("db", "sleep 60", vec![ready_command(["/bin/true"])]));
    let names = ["job", "sidecar", "svc-db"].map(|part| format!("{}-{part}", pod.key));
    let identities = || async { join_all(names.iter().map(|name| host.outside.identity(name))).await };

    host.start(&pod).await.expect("the pod starts");
    let first = identities().await;
    host.start(&pod).await.expect("a running pod can be started");
    // Another controller, which knows nothing of the first.
    host.another_engine().await.start(&pod, &|_| {}).await.expect("a running pod can be started by another engine");
    assert_eq!(identities().await, first);

    // What has ended stays ended.
    host.outside.kill(&names[0]).await;
    assert_eq!(host.job_exit(&pod).await.code, 137);
    host.start(&pod).await.expect("an ended pod can be started");
    assert_eq!(identities().await, first);
    assert_eq!(host.job_exit(&pod).await.code, 137);
    host.remove(&pod).await;
}

pub async fn a_start_that_was_dropped_is_finished_by_the_next(host: &Host) {
    for delay in [5, 60, 120, 240] {
        let mut pod = host.pod("append /monkeyci/count x\ncontains /monkeyci/count x", "");
        pod.services.push(service("db", "sleep 60", Vec::new()));
        let started = tokio::time::timeout(Duration::from_millis(delay), host.start(&pod)).await;
        drop(started);
        host.succeeds(&pod).await;
        host.remove(&pod).await;
    }
}

pub async fn ten_pods_at_once(host: &Host) {
    let pods: Vec<_> = (0..10)
        .map(|number| host.pod(&format!("await /monkeyci/go\nexit {number}"), "write /monkeyci/go now"))
        .collect();
    let ends = join_all(pods.iter().map(|pod| async move {
        host.start(pod).await.expect("the pod starts");
        let code = host.job_exit(pod).await.code;
        host.remove(pod).await;
        code
    }));
    assert_eq!(ends.await, (0..10).collect::<Vec<_>>());
    assert_eq!(host.left().await, Vec::<String>::new());
}
