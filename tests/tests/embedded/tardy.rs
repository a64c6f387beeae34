//! An engine that tells late what services have written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use monkeyci_host::BuildStatus;
use monkeyci_host::engine::{Engine, EngineError, Part, PartExit, Pod, PodFound, PodService};
use tokio::sync::watch;

use crate::examples::engine::Rehearsal;
use crate::examples::log;
use crate::{host, request};

/// What has become of a pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pods {
    Run,
    Rest,
    Gone,
}

/// What a service has written comes to those who follow it when its container has stopped, and to nobody once it is removed.
struct Tardy {
    jobs: Rehearsal,
    pods: watch::Sender<Pods>,
    /// Whether it stops containers without removing them.
    can_rest: bool,
}

#[async_trait]
impl Engine for Tardy {
    fn describe(&self) -> String {
        "tardy".to_owned()
    }

    async fn answers(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn start(&self, pod: &Pod, progress: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError> {
        self.jobs.start(pod, progress).await
    }

    async fn wait(&self, key: &str, part: &Part) -> Result<PartExit, EngineError> {
        self.jobs.wait(key, part).await
    }

    async fn stop(&self, _: &str, _: Duration) -> Result<(), EngineError> {
        Ok(())
    }

    async fn last_lines(&self, _: &str, _: &Part, _: usize) -> Result<String, EngineError> {
        Ok(String::new())
    }

    fn output(&self, _: &str, _: &Part, follow: bool) -> BoxStream<'static, Result<Bytes, EngineError>> {
        let mut pods = self.pods.subscribe();
        let said = async move {
            let now = if follow {
                *pods.wait_for(|pods| *pods != Pods::Run).await.expect("the engine lives")
            } else {
                *pods.borrow()
            };
            match now {
                Pods::Gone => Err(EngineError::NoSuchPart("web".to_owned())),
                _ => Ok(Bytes::from_static(b"its last words\n")),
            }
        };
        stream::once(said).boxed()
    }

    async fn rest(&self, _: &str, _: &[PodService], _: Duration) -> Result<(), EngineError> {
        if !self.can_rest {
            return Err(EngineError::Unable { engine: self.describe(), what: "leave containers" });
        }
        self.pods.send_replace(Pods::Rest);
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), EngineError> {
        self.pods.send_replace(Pods::Gone);
        self.jobs.remove(key).await
    }

    async fn pods(&self, owner: &str) -> Result<Vec<PodFound>, EngineError> {
        self.jobs.pods(owner).await
    }

    async fn sweep(&self, owner: &str, builds: &BTreeSet<String>, dry_run: bool) -> Result<Vec<String>, EngineError> {
        self.jobs.sweep(owner, builds, dry_run).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_has_written_is_in_the_log_however_late_an_engine_tells_it() {
    for can_rest in [true, false] {
        let home = tempfile::tempdir().expect("a directory");
        let jobs = Rehearsal::of(BTreeMap::new());
        let tardy = Tardy { jobs, pods: watch::Sender::new(Pods::Run), can_rest };
        let host = host(home.path(), "").engine(Arc::new(tardy)).open().await.expect("a host");
        let build = host.submit(request("service")).await.expect("taken");
        assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Success);
        assert!(log(&build, "client").await.contains("web: its last words\n"), "{can_rest}");
    }
}
