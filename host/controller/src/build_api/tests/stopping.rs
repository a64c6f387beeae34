//! What a job that is being stopped may still save.

use bytes::Bytes;
use monkeyci_api::{Body, BuildInfo};
use monkeyci_build::{CacheSpec, SaveArtifact, SavePolicy, Source};

use monkeyci_storage::Blobs;
use object_store::aws::AmazonS3Builder;
use tokio::net::TcpListener;

use super::{BUILD, Rig, sidecar, sidecar_scopes};
use crate::hang_guard;

#[tokio::test]
async fn a_job_that_is_being_stopped_saves_what_it_always_saves_and_nothing_else() {
    let rig = Rig::new().await;
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    let build = rig.api.build(BUILD).expect("a build");
    let info = BuildInfo { id: BUILD.to_owned(), trigger: "test".to_owned(), source: Source::default() };
    build.info.set(info).expect("nothing was checked out before");
    let plan = |always: bool, save| {
        build.pod("mine", |pod| {
            pod.stopping.cancel();
            pod.plan.save_artifacts = vec![SaveArtifact { id: "out".to_owned(), always, ..SaveArtifact::default() }];
            pod.plan.caches = vec![CacheSpec { id: "kept".to_owned(), save, ..CacheSpec::default() }];
        });
    };
    plan(false, SavePolicy::Success);
    let artifact = client.save_artifact("out", Body::from("half")).await.expect_err("half made");
    let cache = client.save_cache("kept", Body::from("half")).await.expect_err("half made");
    assert_eq!((artifact.status(), cache.status()), (Some(409), Some(409)));
    plan(true, SavePolicy::Always);
    client.save_artifact("out", Body::from("logs")).await.expect("it is always saved");
    client.save_cache("kept", Body::from("logs")).await.expect("it is always saved");
}

#[tokio::test]
async fn what_is_on_its_way_when_a_job_is_stopped_is_refused_and_not_kept() {
    let rig = Rig::new().await;
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    let build = rig.api.build(BUILD).expect("a build");
    let endless = futures::stream::pending::<Result<Bytes, std::io::Error>>();
    let upload = client.save_artifact("out", Body::wrap_stream(endless));
    let stop = async {
        tokio::task::yield_now().await;
        build.pod("mine", |pod| pod.stopping.cancel());
    };
    let (refused, ()) = tokio::join!(upload, stop);
    assert_eq!(refused.expect_err("half made").status(), Some(409));
    assert!(build.artifact("out").is_none());
    hang_guard::until("its id to be free again", || build.upload("out", "mine", 1).is_some()).await;
}

#[tokio::test]
async fn a_job_that_is_being_stopped_does_not_wait_for_a_store_that_hangs() {
    // It takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let store = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(format!("http://{address}"))
        .with_allow_http(true)
        .with_access_key_id("key")
        .with_secret_access_key("secret");
    for cache in [false, true] {
        let mut rig = Rig::new().await;
        let store = store.clone().build().expect("a store");
        std::sync::Arc::get_mut(&mut rig.api).expect("nobody else has it").blobs =
            Blobs::new(std::sync::Arc::new(store));
        let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
        let build = rig.api.build(BUILD).expect("a build");
        let info = BuildInfo { id: BUILD.to_owned(), trigger: "test".to_owned(), source: Source::default() };
        build.info.set(info).expect("nothing was checked out before");
        build.pod("mine", |pod| {
            pod.plan.caches = vec![CacheSpec { id: "kept".to_owned(), ..CacheSpec::default() }];
        });
        let upload = async {
            if cache {
                client.save_cache("kept", Body::from("whole")).await
            } else {
                client.save_artifact("out", Body::from("whole")).await
            }
        };
        let stop = async {
            let held = silent.accept().await.expect("the store is asked");
            build.pod("mine", |pod| pod.stopping.cancel());
            held
        };
        let (refused, _held) = hang_guard::ends("the upload", async { tokio::join!(upload, stop) }).await;
        assert_eq!(refused.expect_err("the job is stopped").status(), Some(409));
        assert!(build.artifact("out").is_none());
    }
}
