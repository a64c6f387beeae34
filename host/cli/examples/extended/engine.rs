//! An engine that runs nothing: to rehearse what a script does with the ends of its jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use monkeyci_host::Ending;
use monkeyci_host::engine::{
    Client, Engine, EngineError, LogFrame, LogStream, Part, PartExit, Pod, PodFound, PodState, SidecarConfig,
    SidecarReport,
};

/// Each container job ends at once: with the exit code that is said for it, or else well. What a job's sidecar would tell the host, this
/// tells it, by the same API.
pub struct Rehearsal {
    /// The exit codes of those that do not succeed, by their jobs.
    codes: BTreeMap<String, i32>,
    /// The pods that there are, by their keys.
    pods: Mutex<BTreeMap<String, Rehearsed>>,
}

struct Rehearsed {
    owner: String,
    build: String,
    code: i32,
}

impl Rehearsal {
    /// With these exit codes.
    pub fn of(codes: BTreeMap<String, i32>) -> Self {
        Self { codes, pods: Mutex::default() }
    }

    fn pods(&self) -> MutexGuard<'_, BTreeMap<String, Rehearsed>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::SidecarFailed(error.to_string())
}

/// Says what the sidecar of a pod would say whose command ended so.
async fn play(pod: &Pod, code: i32) -> Result<(), EngineError> {
    let config = std::fs::read(&pod.sidecar_config).map_err(failed)?;
    let SidecarConfig { api, ca, build, job, token, .. } = serde_json::from_slice(&config).map_err(failed)?;
    // Where the build API listens on a Unix socket, containers see it somewhere else than this machine does.
    let client = match &pod.api_dir {
        Some(dir) => Client::unix(&dir.join("api.sock"), &build, token),
        None => Client::connect(&api, ca.as_deref(), &build, token),
    };
    let client = client.map_err(failed)?;
    client.job_running(&job).await.map_err(failed)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let frame = LogFrame {
        stream: LogStream::Stdout,
        time_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        bytes: format!("rehearsed, in {}\n", pod.image).into(),
    };
    let mut frames = Default::default();
    frame.encode(&mut frames);
    client.send_log(Some(&job), frames.freeze().into()).await.map_err(failed)?;
    let ending = if code == 0 { Ending::Succeeded } else { Ending::Exited { code, line: None } };
    // The last word: with it, the token is over.
    client.job_result(&job, &SidecarReport::Ended(ending)).await.map_err(failed)
}

#[async_trait]
impl Engine for Rehearsal {
    fn describe(&self) -> String {
        "a rehearsal, in which nothing runs".to_owned()
    }

    fn not_enforced(&self) -> Vec<String> {
        vec!["jobs are rehearsed, and do nothing".to_owned()]
    }

    async fn answers(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn start(&self, pod: &Pod, progress: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError> {
        let code = self.codes.get(&pod.job).copied().unwrap_or(0);
        {
            let mut pods = self.pods();
            // Create or get: a host that goes on with a build may ask once more.
            if pods.contains_key(&pod.key) {
                return Ok(());
            }
            let rehearsed = Rehearsed { owner: pod.owner.clone(), build: pod.build.clone(), code };
            pods.insert(pod.key.clone(), rehearsed);
        }
        progress(format!("rehearsing {}", pod.job));
        play(pod, code).await
    }

    async fn wait(&self, key: &str, part: &Part) -> Result<PartExit, EngineError> {
        let code = match (self.pods().get(key), part) {
            (None, _) => return Err(EngineError::NoSuchPart(key.to_owned())),
            (Some(pod), Part::Job) => Some(i64::from(pod.code)),
            (Some(_), Part::Sidecar) => Some(0),
            // Services run until they are removed.
            (Some(_), Part::Service(_)) => None,
        };
        match code {
            Some(code) => Ok(PartExit { code, out_of_memory: false }),
            None => std::future::pending().await,
        }
    }

    async fn stop(&self, _key: &str, _grace: Duration) -> Result<(), EngineError> {
        Ok(())
    }

    async fn last_lines(&self, _key: &str, _part: &Part, _lines: usize) -> Result<String, EngineError> {
        Ok(String::new())
    }

    async fn remove(&self, key: &str) -> Result<(), EngineError> {
        self.pods().remove(key);
        Ok(())
    }

    async fn pods(&self, owner: &str) -> Result<Vec<PodFound>, EngineError> {
        let pods = self.pods();
        let own = pods.iter().filter(|(_, pod)| pod.owner == owner);
        let found = |(key, pod): (&String, &Rehearsed)| PodFound {
            key: key.clone(),
            build: pod.build.clone(),
            state: PodState::Over,
        };
        Ok(own.map(found).collect())
    }

    async fn sweep(&self, owner: &str, builds: &BTreeSet<String>, dry_run: bool) -> Result<Vec<String>, EngineError> {
        let mut pods = self.pods();
        let is_swept = |pod: &Rehearsed| pod.owner == owner && builds.contains(&pod.build);
        let swept = pods.iter().filter(|(_, pod)| is_swept(pod)).map(|(key, _)| key.clone()).collect();
        if !dry_run {
            pods.retain(|_, pod| !is_swept(pod));
        }
        Ok(swept)
    }
}
