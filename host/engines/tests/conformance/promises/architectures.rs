//! Images for a processor architecture.

use monkeyci_engines::EngineError;

use crate::host::Host;
use crate::outside::IMAGE;

async fn refused(host: &Host, architecture: &str) -> String {
    let mut pod = host.pod("", "");
    pod.architecture = Some(architecture.to_owned());
    let started = host.start(&pod).await;
    host.remove(&pod).await;
    match started {
        Err(EngineError::NoSuchArchitecture { image, architecture: named, reason }) => {
            assert_eq!((image.as_str(), named.as_str()), (IMAGE, architecture));
            reason
        }
        other => panic!("{other:?}"),
    }
}

pub async fn a_job_runs_for_the_architecture_that_it_asks_for(host: &Host) {
    let own = match std::env::consts::ARCH {
        "x86_64" => ["x86_64", "amd64"],
        "aarch64" => ["aarch64", "arm64"],
        other => [other, other],
    };
    for architecture in own {
        let mut pod = host.pod("sh test -x /bin/busybox", "");
        pod.architecture = Some(architecture.to_owned());
        host.succeeds(&pod).await;
        host.remove(&pod).await;
    }
}

/// (The registry that would know is this machine, where there is none.)
pub async fn an_architecture_that_the_image_does_not_have_is_named(host: &Host) {
    let mut pod = host.pod("", "");
    pod.architecture = Some("s390x".to_owned());
    let started = host.start(&pod).await;
    host.remove(&pod).await;
    let Err(EngineError::RegistryUnavailable { reason, .. }) = started else { panic!("{started:?}") };
    assert!(reason.contains("the engine has it for ") && reason.contains("can't pull it"), "{reason}");
}

pub async fn an_architecture_that_does_not_exist_is_named_at_once(host: &Host) {
    let reason = refused(host, "z80").await;
    assert!(reason.contains("arm64"), "{reason}");
}
