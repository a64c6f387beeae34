//! Images that are missing, and the sidecar's own.

use std::time::Duration;

use monkeyci_build::PullPolicy;
use monkeyci_engines::{DockerOptions, Engine, EngineError};

use crate::host::{Host, service};

const TEN_SECONDS: Duration = Duration::from_secs(10);

async fn not_found(host: &Host, image: &str) -> String {
    let mut pod = host.pod("", "");
    pod.image = image.to_owned();
    let told = std::sync::Mutex::new(Vec::new());
    let started = host.engine.start(&pod, &|text| told.lock().expect("a lock").push(text)).await;
    match started {
        Err(EngineError::ImageNotFound { image: named, reason }) if named == image => {
            host.remove(&pod).await;
            format!("{reason} (told: {:?})", told.lock().expect("a lock"))
        }
        other => panic!("{other:?}"),
    }
}

/// What is said of an image whose registry does not answer: that says nothing of the image.
async fn unavailable(engine: &dyn Engine, host: &Host, image: &str) -> String {
    let mut pod = host.pod("", "");
    pod.image = image.to_owned();
    let told = std::sync::Mutex::new(Vec::new());
    match engine.start(&pod, &|text| told.lock().expect("a lock").push(text)).await {
        Err(EngineError::RegistryUnavailable { image: named, reason }) if named == image => {
            host.remove(&pod).await;
            format!("{reason} (told: {:?})", told.lock().expect("a lock"))
        }
        other => panic!("{other:?}"),
    }
}

pub async fn an_image_of_a_registry_that_refuses_connections_may_be_there(host: &Host) {
    let reason = unavailable(host.engine.as_ref(), host, "localhost:1/none/such:1").await;
    assert!(reason.contains("refused"), "{reason}");
    assert!(reason.contains("pulling localhost:1/none/such:1"), "{reason}");

    // A service's image is looked for like the job's.
    let mut pod = host.pod("", "");
    let mut database = service("db", "true", Vec::new());
    database.image = "localhost:1/none/such:2".to_owned();
    pod.services.push(database);
    let started = host.start(&pod).await;
    assert!(
        matches!(&started, Err(EngineError::RegistryUnavailable { image, .. }) if image.ends_with(":2")),
        "{started:?}"
    );
}

pub async fn an_image_of_a_registry_that_is_silent_is_given_up_within_ten_seconds(host: &Host) {
    // Takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let engine = host.engine_that_waits(Duration::from_secs(2)).await;
    let reason = unavailable(engine.as_ref(), host, &format!("localhost:{port}/none/such:1")).await;
    assert!(reason.contains("did not answer within 2 s"), "{reason}");
    assert!(DockerOptions::default().pull_answer < TEN_SECONDS);
}

pub async fn an_image_that_is_no_reference_is_not_found(host: &Host) {
    for image in ["", "../containers/x", "No Such:1", "a?b", "upper/CASE:1"] {
        not_found(host, image).await;
    }
}

pub async fn a_sidecar_image_that_somebody_cleared_is_made_again(host: &Host) {
    // A program of its own: the image of the others is in use by other tests.
    let program = host.path("program");
    let mut bytes = std::fs::read(&host.program).expect("the probe");
    bytes.extend_from_slice(host.owner.as_bytes());
    std::fs::write(&program, bytes).expect("a file can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("a mode can be set");

    let mut image = String::new();
    for _ in 0..2 {
        let mut pod = host.pod("", "exists /run/monkeyci/config.json");
        pod.sidecar_program = program.clone();
        host.succeeds(&pod).await;
        image = host.outside.image_of(&format!("{}-sidecar", pod.key)).await;
        host.remove(&pod).await;
        host.outside.remove_image(&image).await;
    }
    assert!(image.contains("monkeyci/sidecar:"), "{image}");
}

pub async fn two_engines_make_the_sidecar_image_at_once(host: &Host) {
    let program = host.path("program");
    let mut bytes = std::fs::read(&host.program).expect("the probe");
    bytes.extend_from_slice(host.owner.as_bytes());
    std::fs::write(&program, bytes).expect("a file can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("a mode can be set");

    let other = host.another_engine().await;
    let [mut one, mut two] = [(); 2].map(|()| host.pod("", "exists /run/monkeyci/config.json"));
    one.sidecar_program = program.clone();
    two.sidecar_program = program.clone();
    let (first, second) = tokio::join!(host.start(&one), other.start(&two, &|_| {}));
    first.expect("the first starts");
    second.expect("the second starts");
    host.succeeds(&one).await;
    host.succeeds(&two).await;
    let images = [&one, &two].map(|pod| format!("{}-sidecar", pod.key));
    let image = host.outside.image_of(&images[0]).await;
    assert_eq!(image, host.outside.image_of(&images[1]).await);
    host.remove(&one).await;
    host.remove(&two).await;
    host.outside.remove_image(&image).await;
}

/// (The registry that the name means is this machine, where there is none.)
pub async fn an_image_that_is_there_is_pulled_where_the_job_says_so(host: &Host) {
    let mut pod = host.pod("", "");
    pod.pull = PullPolicy::Always;
    let told = std::sync::Mutex::new(Vec::new());
    let started = host.engine.start(&pod, &|text| told.lock().expect("a lock").push(text)).await;
    assert!(matches!(&started, Err(EngineError::RegistryUnavailable { .. })), "{started:?}");
    let told = told.lock().expect("a lock").clone();
    assert!(told.contains(&format!("pulling {}", pod.image)), "{told:?}");
}

pub async fn an_image_that_is_never_pulled_has_to_be_there(host: &Host) {
    let mut pod = host.pod("", "");
    pod.pull = PullPolicy::Never;
    host.succeeds(&pod).await;
    let mut pod = host.pod("", "");
    pod.pull = PullPolicy::Never;
    pod.image = "localhost:1/none/such:1".to_owned();
    match host.start(&pod).await {
        Err(EngineError::ImageNotFound { reason, .. }) => assert!(reason.contains("never pulled"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
