//! The host as a library, with sidecars that reach the build API over TCP.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use monkeyci_host::{
    ApiOverTcp, BlobStore, BuildRequest, BuildStatus, Cancel, Compiler, Controller, ControllerOptions, Decision,
    DiskLimits, DockerOptions, Ending, EngineChoice, Event, EventBody, Inputs, Limits, LogLimits, Observer,
    RunningBuild, SourceRequest,
};
use monkeyci_tests::engine::Engine;
use monkeyci_tests::place;

/// Keeps what it hears.
#[derive(Default)]
struct Notes(Mutex<Vec<EventBody>>);

impl Observer for Notes {
    fn event(&self, _build: &str, event: &Event) {
        self.0.lock().expect("a lock").push(event.body.clone());
    }
}

fn request(case: &str) -> BuildRequest {
    let params = [("case", case.to_owned()), ("image", place::image())];
    BuildRequest {
        script: std::fs::read(place::script("probe_script")).expect("the script").into(),
        source: SourceRequest::Dir(std::env::temp_dir().join("monkeyci-embedded-empty")),
        inputs: Inputs {
            params: params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..Inputs::default()
        },
        trigger: "api".to_owned(),
        max_running: NonZeroUsize::new(2).expect("not zero"),
        timeout: None,
        keep: false,
        keep_failed: false,
    }
}

#[test]
fn a_server_runs_builds_at_the_same_time_with_sidecars_over_tcp() {
    let engine = Engine::docker();
    std::fs::create_dir_all(std::env::temp_dir().join("monkeyci-embedded-empty")).expect("a directory");
    let home = tempfile::tempdir().expect("a directory");
    let address = engine.gateway();
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    tokio.block_on(async {
        let controller = Controller::open(ControllerOptions {
            home: home.path().to_owned(),
            blobs: BlobStore::Local,
            disk: DiskLimits::default(),
            log_limits: LogLimits::default(),
            engine: EngineChoice::Docker(DockerOptions {
                socket: Some(engine.address.clone()),
                ..DockerOptions::default()
            }),
            limits: Limits::default(),
            // A test's `main` is not ours, so it can't be its own compiler.
            compiler: Compiler::InProcess,
            sidecar_program: place::sidecar(),
            patience: monkeyci_host::PATIENCE,
            // Bound to the gateway alone: containers of this machine reach it, and nobody else.
            tcp: Some(ApiOverTcp {
                listen: format!("{address}:0").parse().expect("an address"),
                advertise: address,
                plain_network: true,
            }),
        });
        let controller = Arc::new(controller.await.expect("a controller"));
        let notes = Arc::new(Notes::default());
        let builds = ["artifact", "hello", "action-fails"].map(|case| {
            let (controller, notes) = (controller.clone(), notes.clone());
            tokio::spawn(async move { controller.run(request(case), notes, Cancel::default()).await })
        });
        let [artifact, hello, fails] = builds;
        let artifact = artifact.await.expect("no panic").expect("a report");
        assert_eq!(artifact.status, BuildStatus::Success, "{artifact:#?}");
        let hello = hello.await.expect("no panic").expect("a report");
        assert_eq!(hello.jobs[0].ending, Ending::Succeeded, "{hello:#?}");
        assert_eq!(fails.await.expect("no panic").expect("a report").status, BuildStatus::Failure);

        // What was heard is what stands in the journal, but for what only a host needs that goes on with the build.
        assert_eq!(controller.journals().builds().await.expect("the journal").len(), 3);
        let events = controller.journals().events(&hello.build).await.expect("the journal");
        let heard = notes.0.lock().expect("a lock").clone();
        assert!(events.iter().all(|event| heard.contains(&event.body) == event.body.is_shown()), "{events:#?}");
        assert!(matches!(events.last().expect("events").body, EventBody::BuildEnded { .. }));
    });
    let owner = std::fs::read_to_string(home.path().join("owner")).expect("an owner");
    assert_eq!(engine.leftovers(&owner), [] as [String; 0]);
}

#[test]
fn a_build_that_waits_for_approval_has_no_instance_of_its_script_and_no_container() {
    let engine = Engine::docker();
    std::fs::create_dir_all(std::env::temp_dir().join("monkeyci-embedded-empty")).expect("a directory");
    let home = tempfile::tempdir().expect("a directory");
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    tokio.block_on(async {
        let docker = DockerOptions { socket: Some(engine.address.clone()), ..DockerOptions::default() };
        let controller = Controller::open(ControllerOptions {
            home: home.path().to_owned(),
            engine: EngineChoice::Docker(docker),
            limits: Limits::default(),
            compiler: Compiler::InProcess,
            sidecar_program: place::sidecar(),
            patience: monkeyci_host::PATIENCE,
            blobs: BlobStore::Local,
            disk: DiskLimits::default(),
            log_limits: LogLimits::default(),
            tcp: None,
        });
        let controller = Arc::new(controller.await.expect("a controller"));
        let notes = Arc::new(Notes::default());
        let build = {
            let (controller, notes) = (controller.clone(), notes.clone());
            tokio::spawn(async move { controller.run(request("approval"), notes, Cancel::default()).await })
        };
        let heard = |wanted: &dyn Fn(&EventBody) -> bool| notes.0.lock().expect("a lock").iter().any(wanted);
        let ended = |wanted: &str| heard(&|body| matches!(body, EventBody::JobEnded { job, .. } if job == wanted));
        let owner = || std::fs::read_to_string(home.path().join("owner")).expect("an owner");
        let waiting = async {
            while !heard(&|body| matches!(body, EventBody::JobBlocked { .. })) || !ended("meanwhile") {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            // The containers of the jobs before are removed beside.
            while !tokio::task::block_in_place(|| engine.leftovers(&owner())).is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(monkeyci_tests::hang_guard::HANGS, waiting).await.expect("it waits, and has nothing");
        assert_eq!(controller.runtime().live_instances(), 0);

        let id = notes.0.lock().expect("a lock").iter().find_map(|body| match body {
            EventBody::BuildTriggered { build, .. } => Some(build.clone()),
            _ => None,
        });
        let running = RunningBuild::find(home.path(), &id.expect("an id")).expect("it runs");
        let decision = Decision { job: "deploy".to_owned(), by: "ann".to_owned(), comment: None, approved: true };
        running.decide(&decision).await.expect("approved");
        let report = build.await.expect("no panic").expect("a report");
        assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
    });
}
