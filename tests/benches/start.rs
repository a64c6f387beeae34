//! How long it takes to start: the whole process, and one instance. Ours and the baseline alternate in one run, so that
//! both see the same machine; what is printed are medians and their ratio.

use std::ffi::OsStr;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use monkeyci_api::{Body, BuildInfo, Client, Token};
use monkeyci_build::{BuildState, Event, EventBody, Input, JobSpec, check};
use monkeyci_script::{Limits, Runtime, RuntimeOptions};
use monkeyci_tests::place;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

fn main() {
    process();
    instantiation();
    graph();
}

/// A script that declares no job, in the fewest instructions.
const NO_OP: &str = r#"(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "define") (result i32) i32.const 0)
    (func (export "act") (param i32 i32) (result i32) i32.const 0)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $i (instantiate $m))
  (func (export "define") (result (result (error string)))
    (canon lift (core func $i "define") (memory (core memory $i "memory"))))
  (func (export "act") (param "job" string) (result (result (error string)))
    (canon lift (core func $i "act") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#;

/// The whole process: a no-op script from the compile cache, beside `node -e 0` and `/bin/true`.
fn process() {
    let home = tempfile::tempdir().expect("a directory");
    let script = home.path().join("no-op.wasm");
    std::fs::write(&script, wat::parse_str(NO_OP).expect("valid text")).expect("written");
    let code = home.path().join("code");
    std::fs::create_dir(&code).expect("a directory");

    let program = place::path(place::BENCH_HOST);
    let mut ours = Command::new(&program);
    ours.arg("run").arg(&script).arg("--dir").arg(&code).env("MONKEYCI_HOME", home.path().join("home"));
    let mut node = Command::new("node");
    node.args(["-e", "0"]);
    let mut nothing = Command::new("/bin/true");

    println!("whole process, no-op script from the compile cache (median of 60)");
    let mut commands = [&mut ours, &mut nothing, &mut node];
    let mut times = vec![Vec::new(); commands.len()];
    for round in 0..63 {
        for (command, times) in commands.iter_mut().zip(&mut times) {
            let took = time(command);
            // The first rounds compile the script and fill caches.
            if round >= 3 {
                times.push(took);
            }
        }
    }
    let medians: Vec<_> = times.into_iter().map(median).collect();
    row("monkeyci-host run", medians[0], None);
    row("/bin/true", medians[1], Some(medians[0]));
    row("node -e 0", medians[2], Some(medians[0]));
}

fn time(command: &mut Command) -> Duration {
    let name = command.get_program().to_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status();
    let took = start.elapsed();
    let succeeded = status.as_ref().is_ok_and(|status| status.success());
    assert!(succeeded, "{:?}: {status:?}; is it there? `cargo xtask bench` installs it", OsStr::new(&name));
    took
}

/// A graph of 10,000 jobs from the script's `define` to the first jobs that may start. The baseline is what nobody can do without:
/// reading as many jobs from JSON.
fn graph() {
    const JOBS: usize = 10_000;
    let bytes = std::fs::read(place::script("probe_script")).expect("the script");
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = tokio.enter();
    let runtime = Runtime::new(RuntimeOptions { cache_dir: None, limits: Limits::default() }).expect("a runtime");
    let script = runtime.load(&bytes).expect("a script");
    // Answers every question for a parameter: the case of the probe script that declares so many jobs.
    let answer = Arc::new(|request: http::Request<Body>| {
        let value = match request.uri().path().rsplit('/').next() {
            Some("case") => r#"{"value":"ten-thousand"}"#,
            _ => r#"{"value":null}"#,
        };
        async move { http::Response::builder().status(200).body(Body::from(value)).expect("valid") }.boxed()
    });
    let client = Client::in_process(answer, "o/r/b", Token::new(String::new())).expect("a client");
    let info = BuildInfo { id: "o/r/b".to_owned(), trigger: "cli".to_owned(), source: Default::default() };

    let mut times: [Vec<Duration>; 5] = Default::default();
    for round in 0..12 {
        let start = Instant::now();
        let defined = tokio.block_on(script.define(&client, info.clone())).expect("a definition");
        let defining = start.elapsed();
        let checked = check(&defined.jobs, &defined.params).expect("no faults");
        let checking = start.elapsed() - defining;
        let jobs = checked.graph.into_jobs();
        assert_eq!(jobs.len(), JOBS);
        let text = serde_json::to_string(&jobs).expect("JSON");
        let planned = Instant::now();
        let mut state = BuildState::new(NonZeroUsize::new(8).expect("not zero"));
        let bodies = [
            EventBody::BuildTriggered { build: "o/r/b".to_owned(), trigger: "cli".to_owned() },
            EventBody::BuildCheckedOut { source: Default::default() },
            EventBody::ScriptDefined { jobs, removed: Vec::new(), params: Vec::new() },
        ];
        let mut effects = Vec::new();
        for (seq, body) in (1..).zip(bodies) {
            effects = state.step(Input::Event(&Event { seq, time_ms: 0, body }));
        }
        let planning = planned.elapsed();
        assert_eq!(effects.len(), 8);
        let read = Instant::now();
        black_box(serde_json::from_str::<Vec<JobSpec>>(&text).expect("JSON"));
        let reading = read.elapsed();
        if round >= 2 {
            let all = [defining + checking + planning, defining, checking, planning, reading];
            times.iter_mut().zip(all).for_each(|(times, took)| times.push(took));
        }
    }
    let [all, defining, checking, planning, reading] = times.map(median);
    println!("a graph of {JOBS} jobs (median of 10)");
    row("define, check and plan", all, None);
    for (name, took) in [("  define", defining), ("  check", checking), ("  plan", planning)] {
        row(name, took, None);
    }
    row("reading it from JSON", reading, Some(all));
}

/// One instance of the quickstart script, made and dropped, beside plain wasmtime.
fn instantiation() {
    let bytes = std::fs::read(place::script("quickstart")).expect("the script");
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = tokio.enter();

    let runtime = Runtime::new(RuntimeOptions { cache_dir: None, limits: Limits::default() }).expect("a runtime");
    let script = runtime.load(&bytes).expect("a script");
    let silent =
        Arc::new(|_| async { http::Response::builder().status(204).body(Body::from("")).expect("valid") }.boxed());
    let client = Client::in_process(silent, "o/r/b", Token::new(String::new())).expect("a client");
    let info = BuildInfo { id: "o/r/b".to_owned(), trigger: "cli".to_owned(), source: Default::default() };
    let mut ours = || tokio.block_on(script.instantiate(&client, info.clone())).expect("an instance");

    let mut on_demand = plain(&bytes, InstanceAllocationStrategy::OnDemand);
    let mut pooled = plain(&bytes, InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::default()));

    println!("warm instantiation of the quickstart script, made and dropped (median of 5000)");
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..5_500 {
        for (times, run) in times.iter_mut().zip([&mut ours as &mut dyn FnMut(), &mut on_demand, &mut pooled]) {
            let start = Instant::now();
            run();
            if round >= 500 {
                times.push(start.elapsed());
            }
        }
    }
    let [ours, on_demand, pooled] = times.map(median);
    row("monkeyci-host", ours, None);
    row("plain wasmtime, default", on_demand, Some(ours));
    row("plain wasmtime, pooled", pooled, Some(ours));
}

struct Plain {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Plain {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The least that makes an instance with wasmtime: WASI, nothing behind our interfaces, no limits, no interruption.
fn plain(bytes: &[u8], strategy: InstanceAllocationStrategy) -> Box<dyn FnMut()> {
    let mut config = Config::new();
    config.allocation_strategy(strategy);
    let engine = Engine::new(&config).expect("an engine");
    let component = Component::new(&engine, bytes).expect("a component");
    let mut linker = Linker::<Plain>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).expect("linked");
    linker.define_unknown_imports_as_traps(&component).expect("linked");
    let pre = linker.instantiate_pre(&component).expect("linked");
    Box::new(move || {
        let state = Plain { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&engine, state);
        black_box(pre.instantiate(&mut store).expect("an instance"));
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// One line: a name, its time, and how many times ours is of it.
fn row(name: &str, time: Duration, ours: Option<Duration>) {
    let micros = time.as_secs_f64() * 1e6;
    let shown = if micros < 1000.0 { format!("{micros:.1} µs") } else { format!("{:.2} ms", micros / 1000.0) };
    match ours {
        Some(ours) => println!("  {name:<26} {shown:>10}   ours is {:.2} x", ours.as_secs_f64() / time.as_secs_f64()),
        None => println!("  {name:<26} {shown:>10}"),
    }
}
