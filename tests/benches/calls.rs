//! What a call to the host takes, that was authorised: by a script, with all that is recorded of it; and by a sidecar, over the Unix socket. The
//! bars are 5 µs and 100 µs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use monkeyci_host::engine::{Client, Engine, EngineError, Part, PartExit, Pod, PodFound, SidecarConfig, SidecarReport};
use monkeyci_host::{BuildRequest, BuildStatus, Compiler, Ending, Host, SourceRequest};
use monkeyci_tests::{place, warm};

/// How many calls an action makes: fewer than a build may make at once.
const CALLS: u32 = 40_000;
/// How many requests are made over the socket.
const REQUESTS: u32 = 5_000;
/// How often.
const ROUNDS: usize = 9;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let home = tempfile::tempdir().expect("a directory");
        warm::fill(home.path());
        let engine = Arc::new(Caller::default());
        let host = Host::builder(home.path()).compiler(Compiler::InProcess).sidecar_program(place::sidecar());
        let host = host.engine(engine.clone()).open().await.expect("a host");
        script(&host, home.path()).await;
        socket(&host, home.path(), &engine).await;
    });
}

/// A script that asks for a parameter so often: what it takes beyond one that does not, for each call.
async fn script(host: &Host, code: &Path) {
    let (asks, idle): (Vec<u8>, Vec<u8>) = (asking(CALLS), asking(0));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    // The first round compiles.
    for round in 0..=ROUNDS {
        for (script, times) in [(&asks, &mut with), (&idle, &mut without)] {
            let request = BuildRequest::new(script.clone(), SourceRequest::Dir(code.to_owned())).param("answer", "7");
            let begun = Instant::now();
            let report = host.start(request).await.expect("begun").wait().await.expect("a report");
            let took = begun.elapsed();
            assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
            if round > 0 {
                times.push(took);
            }
        }
    }
    let call = median(with).saturating_sub(median(without)) / CALLS;
    println!("a script's call, in process, of {CALLS} that one action makes (median of {ROUNDS} builds)");
    println!("  params.get, recorded     {call:>10.2?}   (bar 5 µs)");
}

/// A component with one action, which asks for the parameter `answer` so often.
fn asking(calls: u32) -> Vec<u8> {
    let text = format!(
        r#"(component
          (import "monkeyci:script/types@0.1.0" (instance $types
            (type $e (variant (case "denied" string) (case "not-found" string) (case "invalid" string)
              (case "conflict" string) (case "quota" string) (case "unavailable" string) (case "other" string)))
            (export "error" (type $error (eq $e)))))
          (alias export $types "error" (type $error))
          (import "monkeyci:script/params@0.1.0" (instance $params
            (alias outer 1 $error (type $outer))
            (export "error" (type $error (eq $outer)))
            (export "get" (func (param "name" string) (result (result (option string) (error $error)))))))
          (import "monkeyci:script/jobs@0.1.0" (instance $jobs
            (export "job" (type $job (sub resource)))
            (export "[static]job.action" (func (param "id" string) (result (own $job))))))
          (core module $memory (memory (export "memory") 2)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536))
          (core instance $memory (instantiate $memory))
          (core func $action (canon lower (func $jobs "[static]job.action") (memory (core memory $memory "memory"))))
          (core func $get (canon lower (func $params "get")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
          (core module $main
            (import "memory" "memory" (memory 2))
            (import "jobs" "action" (func $action (param i32 i32) (result i32)))
            (import "params" "get" (func $get (param i32 i32 i32)))
            (data (i32.const 16) "answer")
            (func (export "define") (result i32) (drop (call $action (i32.const 16) (i32.const 6))) i32.const 0)
            (func (export "act") (param i32 i32) (result i32) (local $left i32)
              (local.set $left (i32.const {calls}))
              (block $done (loop $again
                (br_if $done (i32.eqz (local.get $left)))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (call $get (i32.const 16) (i32.const 6) (i32.const 64))
                (br $again)))
              i32.const 0))
          (core instance $main (instantiate $main
            (with "memory" (instance $memory))
            (with "jobs" (instance (export "action" (func $action))))
            (with "params" (instance (export "get" (func $get))))))
          (func (export "define") (result (result (error string)))
            (canon lift (core func $main "define") (memory (core memory $memory "memory"))))
          (func (export "act") (param "job" string) (result (result (error string)))
            (canon lift (core func $main "act") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc")))))"#
    );
    wat::parse_str(text).expect("valid text")
}

/// A sidecar that asks for its plan again and again.
async fn socket(host: &Host, code: &Path, engine: &Caller) {
    let script = std::fs::read(place::script("probe_script")).expect("the script");
    for _ in 0..ROUNDS {
        let request = BuildRequest::new(script.clone(), SourceRequest::Dir(code.to_owned()));
        let request = request.param("case", "hello").param("image", "none").param("scratch-image", "none");
        let report = host.start(request).await.expect("begun").wait().await.expect("a report");
        assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
    }
    let times = std::mem::take(&mut *engine.0.lock().expect("a lock"));
    println!("a sidecar's request over the Unix socket, one after the other (median of {ROUNDS} times {REQUESTS})");
    println!("  its plan                 {:>10.2?}   (bar 100 µs)", median(times) / REQUESTS);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// An engine whose jobs do nothing but call: what that took.
#[derive(Default)]
struct Caller(Mutex<Vec<Duration>>);

impl Caller {
    async fn play(&self, pod: &Pod) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let SidecarConfig { api, ca, build, job, token, .. } =
            serde_json::from_slice(&std::fs::read(&pod.sidecar_config)?)?;
        let client = match &pod.api_dir {
            Some(dir) => Client::unix(&dir.join("api.sock"), &build, token)?,
            None => Client::connect(&api, ca.as_deref(), &build, token)?,
        };
        client.job_running(&job).await?;
        let begun = Instant::now();
        for _ in 0..REQUESTS {
            client.plan(&job).await?;
        }
        self.0.lock().expect("a lock").push(begun.elapsed());
        Ok(client.job_result(&job, &SidecarReport::Ended(Ending::Succeeded)).await?)
    }
}

#[async_trait]
impl Engine for Caller {
    fn describe(&self) -> String {
        "an engine that calls".to_owned()
    }

    fn not_enforced(&self) -> Vec<String> {
        Vec::new()
    }

    async fn answers(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn start(&self, pod: &Pod, _progress: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError> {
        self.play(pod).await.map_err(|error| EngineError::SidecarFailed(error.to_string()))
    }

    async fn wait(&self, _key: &str, _part: &Part) -> Result<PartExit, EngineError> {
        Ok(PartExit { code: 0, out_of_memory: false })
    }

    async fn stop(&self, _key: &str, _grace: Duration) -> Result<(), EngineError> {
        Ok(())
    }

    async fn last_lines(&self, _key: &str, _part: &Part, _lines: usize) -> Result<String, EngineError> {
        Ok(String::new())
    }

    async fn remove(&self, _key: &str) -> Result<(), EngineError> {
        Ok(())
    }

    async fn pods(&self, _owner: &str) -> Result<Vec<PodFound>, EngineError> {
        Ok(Vec::new())
    }

    async fn sweep(&self, _: &str, _: &BTreeSet<String>, _: bool) -> Result<Vec<String>, EngineError> {
        Ok(Vec::new())
    }
}
