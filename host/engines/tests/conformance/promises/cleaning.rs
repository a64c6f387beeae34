//! Removing pods and sweeping builds.

use std::collections::BTreeSet;
use std::time::Duration;

use monkeyci_engines::{Part, Pod, PodFound, PodState};

use crate::host::{Host, ready_command, service};

pub async fn remove_leaves_nothing(host: &Host) {
    let mut pod = host.pod("sleep 60000", "sleep 60000");
    pod.services.push(service("db", "sleep 60", Vec::new()));
    pod.services.push(service("cache", "exit 1", Vec::new()));
    host.start(&pod).await.expect("the pod starts");
    let names = ["job", "net", "shared", "sidecar", "svc-cache", "svc-db"].map(|part| format!("{}-{part}", pod.key));
    assert_eq!(host.left().await, names);
    host.remove(&pod).await;
    assert_eq!(host.left().await, Vec::<String>::new());
    host.remove(&pod).await;
}

pub async fn remove_of_what_was_never_made_is_no_error(host: &Host) {
    host.engine.remove(&format!("{}-never", host.owner)).await.expect("nothing can be removed");
    let error = host.engine.remove("../x").await.expect_err("no key").to_string();
    assert!(error.contains("use pod key \"../x\""), "{error}");
}

/// The daemon carries out what it was asked before the future was dropped; at any moment.
pub async fn remove_after_a_dropped_start_leaves_nothing(host: &Host) {
    for delay in [0, 1, 3, 10, 25, 45, 70, 90, 130, 180, 230, 290, 350] {
        let mut pod = host.pod("sleep 60000", "sleep 60000");
        pod.services.push(service("db", "sleep 60", vec![ready_command(["/bin/true"])]));
        let started = tokio::time::timeout(Duration::from_millis(delay), host.start(&pod)).await;
        drop(started);
        host.remove(&pod).await;
        assert_eq!(host.left().await, Vec::<String>::new(), "dropped after {delay} ms");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(host.left().await, Vec::<String>::new(), "after a while");
}

pub async fn sweep_removes_dead_builds_and_nothing_else(host: &Host) {
    let foreign = format!("{}-foreign", host.owner);
    host.outside.plant(&foreign).await;
    let [mut dead, mut live, mut other] = ["", "sleep 60000", ""].map(|sidecar| host.pod("sleep 60000", sidecar));
    dead.build = "test/repo/dead".to_owned();
    live.build = "test/repo/live".to_owned();
    other.owner = format!("{}-other", host.owner);
    other.build = "test/repo/dead".to_owned();
    let (a, b, c) = tokio::join!(host.start(&dead), host.start(&live), host.start(&other));
    for started in [a, b, c] {
        started.expect("the pod starts");
    }

    // Only of a pod whose sidecar runs somebody may still hear something.
    host.engine.wait(&dead.key, &Part::Sidecar).await.expect("it has ended");
    let found = |pod: &Pod, state| PodFound { key: pod.key.clone(), build: pod.build.clone(), state };
    let mut expected = [found(&dead, PodState::Over), found(&live, PodState::Alive)];
    expected.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(host.engine.pods(&host.owner).await.expect("a list"), expected);
    let gone = BTreeSet::from(["test/repo/dead".to_owned()]);
    let parts = ["job", "net", "shared", "sidecar"].map(|part| format!("{}-{part}", dead.key));
    let all = host.left().await;
    assert_eq!(host.engine.sweep(&host.owner, &gone, true).await.expect("a dry run"), parts);
    assert_eq!(host.left().await, all, "a dry run removes nothing");
    assert_eq!(host.engine.sweep(&host.owner, &gone, false).await.expect("a sweep"), parts);
    assert_eq!(host.engine.sweep(&host.owner, &gone, false).await.expect("a sweep"), Vec::<String>::new());
    assert_eq!(host.left().await.len(), 4, "the live build's");

    for pod in [&live, &other] {
        let running = tokio::time::timeout(Duration::from_millis(200), host.engine.wait(&pod.key, &Part::Job)).await;
        assert!(running.is_err(), "{running:?}");
    }
    host.remove(&other).await;
    assert!(host.outside.uproot(&foreign).await, "what is not ours is still there");
}
