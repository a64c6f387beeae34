//! Builds with containers.

use std::sync::{Arc, Mutex};

use monkeyci_host::{ApiOverTcp, BuildStatus, Ending, Event, EventBody, Observer};
use monkeyci_tests::engine::Engine;
use monkeyci_tests::hang_guard;

use crate::{host, is_blocked, request, rest, until};

/// Keeps what it hears.
#[derive(Default)]
struct Notes(Mutex<Vec<EventBody>>);

impl Observer for Notes {
    fn event(&self, _build: &str, event: &Event) {
        self.0.lock().expect("a lock").push(event.body.clone());
    }
}

#[test]
fn a_server_runs_builds_at_the_same_time_with_sidecars_over_tcp() {
    let engine = Engine::docker();
    let home = tempfile::tempdir().expect("a directory");
    let address = engine.gateway();
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    tokio.block_on(async {
        let notes = Arc::new(Notes::default());
        // Bound to the gateway alone: containers of this machine reach it, and nobody else.
        let tcp = ApiOverTcp {
            listen: format!("{address}:0").parse().expect("an address"),
            advertise: address,
            plain_network: true,
        };
        let host = host(home.path(), &engine.address).tcp(tcp).observer(notes.clone());
        let host = host.open().await.expect("a host");
        let mut builds = Vec::new();
        for case in ["artifact", "hello", "action-fails"] {
            builds.push(host.submit(request(case)).await.expect("taken"));
        }
        let artifact = builds[0].wait().await.expect("a report");
        assert_eq!(artifact.status, BuildStatus::Success, "{artifact:#?}");
        let hello = builds[1].wait().await.expect("a report");
        assert_eq!(hello.jobs[0].ending, Ending::Succeeded, "{hello:#?}");
        assert_eq!(builds[2].wait().await.expect("a report").status, BuildStatus::Failure);

        // What was heard is what stands in the journal, but for what only a host needs that goes on with the build.
        let events = rest(&builds[1], 0).await;
        let heard = notes.0.lock().expect("a lock").clone();
        assert!(events.iter().all(|event| heard.contains(&event.body)), "{events:#?}");
        assert!(matches!(events.last().expect("events").body, EventBody::BuildEnded { .. }));
    });
    let owner = std::fs::read_to_string(home.path().join("owner")).expect("an owner");
    assert_eq!(engine.leftovers(&owner), [] as [String; 0]);
}

#[test]
fn sidecars_on_a_network_reach_the_build_api_over_tls() {
    let engine = Engine::docker();
    let home = tempfile::tempdir().expect("a directory");
    let address = engine.gateway();
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    tokio.block_on(async {
        // Bound to the gateway alone: containers of this machine reach it, and nobody else.
        let listen = format!("{address}:0").parse().expect("an address");
        let tcp = ApiOverTcp { listen, advertise: address, plain_network: false };
        let host = host(home.path(), &engine.address).tcp(tcp).open().await.expect("a host");
        let build = host.submit(request("artifact")).await.expect("taken");
        let artifact = build.wait().await.expect("a report");
        assert_eq!(artifact.status, BuildStatus::Success, "{artifact:#?}");
    });
    // The authority that the sidecar was told of is this home's.
    let kept = std::fs::read_to_string(home.path().join("api-authority.pem")).expect("an authority");
    assert!(kept.starts_with("-----BEGIN CERTIFICATE-----"), "{kept}");
    let owner = std::fs::read_to_string(home.path().join("owner")).expect("an owner");
    assert_eq!(engine.leftovers(&owner), [] as [String; 0]);
}

#[test]
fn a_build_that_waits_for_approval_has_no_instance_of_its_script_and_no_container() {
    let engine = Engine::docker();
    let home = tempfile::tempdir().expect("a directory");
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    tokio.block_on(async {
        let host = host(home.path(), &engine.address).open().await.expect("a host");
        let build = host.submit(request("approval")).await.expect("taken");
        until(&build, is_blocked).await;
        until(&build, |body| matches!(body, EventBody::JobEnded { job, .. } if job == "meanwhile")).await;
        let owner = || std::fs::read_to_string(home.path().join("owner")).expect("an owner");
        // The containers of the jobs before are removed beside.
        tokio::task::block_in_place(|| {
            hang_guard::until("a build that waits and has nothing", || engine.leftovers(&owner()).is_empty());
        });
        assert_eq!(host.usage().instances, 0);
        build.approve("deploy", "ann").await.expect("approved");
        let report = build.wait().await.expect("a report");
        assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
    });
}
