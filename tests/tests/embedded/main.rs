//! The host as a library.

mod containers;
mod examples;
mod handles;
mod parked;
mod shutdown;
mod tardy;
mod upkeep;

use std::num::NonZeroUsize;
use std::path::Path;

use futures::TryStreamExt;
use monkeyci_host::{
    Build, BuildRequest, Compiler, DockerOptions, Event, EventBody, Host, HostBuilder, OutsideEvent, SourceRequest,
    Standing, Wanted,
};
use monkeyci_tests::hang_guard::HANGS;
use monkeyci_tests::{place, warm};

/// A case of the probe script, on an empty directory.
fn request(case: &str) -> BuildRequest {
    let empty = std::env::temp_dir().join("monkeyci-embedded-empty");
    std::fs::create_dir_all(&empty).expect("a directory");
    let script = std::fs::read(place::script("probe_script")).expect("the script");
    let mut request = BuildRequest::new(script, SourceRequest::Dir(empty));
    request.max_running = NonZeroUsize::new(2).expect("not zero");
    request.param("case", case).param("image", place::image())
}

/// A host that is set up for tests, on this engine.
fn host(home: &Path, engine: &str) -> HostBuilder {
    if !home.join("compiled").exists() {
        warm::fill(home);
    }
    let docker = DockerOptions { socket: Some(engine.to_owned()), ..DockerOptions::default() };
    // A test's `main` is not ours, so it can't be its own compiler.
    Host::builder(home).docker(docker).compiler(Compiler::InProcess).sidecar_program(place::sidecar())
}

/// The same for builds without containers.
async fn host_without_engine(home: &Path) -> Host {
    host(home, "unix:///no/such/engine").open().await.expect("a host")
}

/// Waits for the first event of a build that is so.
async fn until(build: &Build, wanted: impl Fn(&EventBody) -> bool) -> Event {
    let mut events = build.events(0);
    let waiting = async {
        while let Some(event) = events.try_next().await.expect("events") {
            if wanted(&event.body) {
                return event;
            }
        }
        panic!("it never happened");
    };
    tokio::time::timeout(HANGS, waiting).await.expect("it happens")
}

fn is_blocked(body: &EventBody) -> bool {
    matches!(body, EventBody::JobBlocked { .. })
}

/// All events of a build after a place.
async fn rest(build: &Build, after: u64) -> Vec<Event> {
    let events = build.events(after).try_collect();
    tokio::time::timeout(HANGS, events).await.expect("it ends").expect("events")
}

/// Lets a build go on that waits for it.
async fn go(build: &Build) {
    let event = OutsideEvent { name: "outside/go".to_owned(), payload: "1".to_owned(), by: "ann".to_owned() };
    build.publish(event).await.expect("published");
}

/// Its action waits until it is told to go on.
async fn until_it_waits(build: &Build) {
    until(build, |body| matches!(body, EventBody::JobWaiting { .. })).await;
}

/// The builds that a home has, and how they stand, the newest first.
async fn all(host: &Host) -> Vec<(String, Standing)> {
    let wanted = Wanted { branch: None, standing: Vec::new(), limit: 100 };
    let listed = host.builds().list(&wanted).await.expect("a list");
    listed.into_iter().map(|listed| (listed.build, listed.status)).collect()
}
