//! Compiling in a child process: the same result, under limits, and nothing is left of it.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use monkeyci_script::{Compiler, Limits, LoadError, Runtime, RuntimeOptions};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};

use crate::compile_cache::entry;
use crate::hang_guard::found;
use crate::support::{Guest, client, info};

/// The example of a program that is its own compiler; cargo builds it with the tests.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    own.ancestors().nth(2).expect("a test stands in <profile>/deps").join("examples/own_compiler")
}

fn runtime(cache: Option<&Path>, limits: Limits) -> Runtime {
    let options = RuntimeOptions { cache_dir: cache.map(Path::to_owned), limits };
    Runtime::new(options).expect("a runtime").with_compiler(Compiler::Child(program()))
}

/// A component with one function of so many blocks: compiling it takes far more time than its size suggests.
fn expensive(blocks: usize) -> Vec<u8> {
    let block = "(block (br_if 0 (local.get $i)) (local.set $i (i32.add (local.get $i) (i32.const 1))))";
    Guest { define: &block.repeat(blocks), ..Guest::default() }.bytes()
}

/// Takes a minute to compile, so that there is time to look.
fn endless() -> Vec<u8> {
    expensive(100_000)
}

/// Limits by which a compiler can be told from all others of this machine.
fn marked() -> Limits {
    Limits { compile_memory_bytes: (2 << 30) + rand::random_range(0..1 << 30), ..Limits::default() }
}

/// The compiler that was given these limits, if it runs.
fn compiler(limits: &Limits) -> Option<Pid> {
    let marker = format!("\"compile_memory_bytes\":{},", limits.compile_memory_bytes);
    fs::read_dir("/proc").expect("/proc").find_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&line).contains(&marker).then(|| Pid::from_raw(pid))?
    })
}

#[tokio::test]
async fn a_child_makes_the_same_machine_code_as_this_process() {
    let (here, there) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let bytes = expensive(100);
    let options = RuntimeOptions { cache_dir: Some(here.path().to_owned()), limits: Limits::default() };
    Runtime::new(options).expect("a runtime").load(&bytes).expect("compiled here");
    let script = runtime(Some(there.path()), Limits::default()).load_in_background(bytes.into()).await;
    let code = |dir: &Path| {
        let mut file = fs::read(entry(dir)).expect("an entry");
        // Each cache has a key of its own.
        file.truncate(file.len() - 32);
        file
    };
    assert!(code(here.path()) == code(there.path()));
    let (client, _) = client();
    script.expect("compiled there").define(&client, info()).await.expect("it runs");
}

#[test]
fn broken_components_have_the_same_error_from_a_child() {
    let (here, there) = (crate::support::runtime(Limits::default()), runtime(None, Limits::default()));
    let whole = Guest::default().bytes();
    for (broken, place) in (8..whole.len()).step_by(29).map(|place| (&whole[..place], place)) {
        let error = there.load(broken).expect_err("broken");
        assert_eq!(error, here.load(broken).expect_err("broken"), "cut at {place}");
    }
    // What a script has to export is looked at before.
    let unknown = Guest { imports: "(core module (memory i64 1))", ..Guest::default() }.bytes();
    let error = there.load(&unknown).expect_err("memory64 is off");
    assert_eq!(error, here.load(&unknown).expect_err("memory64 is off"));
    assert!(matches!(&error, LoadError::Invalid(text) if text.contains("offset")), "{error}");
}

#[test]
fn a_component_that_takes_too_much_memory_to_compile_is_refused() {
    let limits = Limits { compile_memory_bytes: 96 << 20, ..Limits::default() };
    let runtime = runtime(None, limits);
    let error = runtime.load(&expensive(20_000)).expect_err("too large");
    assert_eq!(error, LoadError::CompileMemory { limit: 96 << 20 });
    assert!(error.is_script() && error.to_string().contains("96 MiB"), "{error}");
    runtime.load(&Guest::default().bytes()).expect("a usual script is compiled under the same limit");
}

#[test]
fn a_component_that_takes_too_long_to_compile_is_refused() {
    let limits = Limits { compile_time: Duration::from_millis(300), ..marked() };
    let error = runtime(None, limits.clone()).load(&endless()).expect_err("too slow");
    assert_eq!(error, LoadError::CompileTime(Duration::from_millis(300)));
    assert!(error.is_script() && error.to_string().contains("0.3 s"), "{error}");
    assert_eq!(compiler(&limits), None);
}

#[test]
fn a_compiler_that_is_killed_or_crashes_is_the_hosts_fault_and_its_signal_is_named() {
    let bytes = endless();
    for (signal, name) in [(Signal::KILL, "SIGKILL"), (Signal::ABORT, "SIGABRT")] {
        let limits = marked();
        let runtime = runtime(None, limits.clone());
        let error = std::thread::scope(|scope| {
            let loading = scope.spawn(|| runtime.load(&bytes).expect_err("no compiler"));
            let pid = found("a compiler", || compiler(&limits));
            kill_process(pid, signal).expect("killed");
            loading.join().expect("no panic")
        });
        assert!(!error.is_script() && error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_compiler_that_can_not_be_started_or_does_something_else_is_named() {
    let runtime = crate::support::runtime(Limits::default());
    for (program, says) in [
        ("/no/such/program", "/no/such/program can't be started"),
        ("/bin/false", "exit status: 1"),
        ("/bin/true", "`compile_if_child`"),
    ] {
        let runtime = runtime.clone().with_compiler(Compiler::Child(program.into()));
        let error = runtime.load(&Guest::default().bytes()).expect_err("no compiler");
        assert!(!error.is_script() && error.to_string().contains(says), "{error}");
    }
}

#[test]
fn the_compiler_gets_nothing_of_the_hosts() {
    // As a C library opens files: children inherit it.
    let file = File::open("/dev/null").expect("a file");
    fcntl_setfd(file.as_fd(), FdFlags::empty()).expect("set");
    let (limits, bytes) = (marked(), endless());
    let runtime = runtime(None, limits.clone());
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| runtime.load(&bytes).expect_err("killed below"));
        let pid = found("a compiler", || compiler(&limits));
        let proc = PathBuf::from(format!("/proc/{pid}"));
        found("three open files", || (fs::read_dir(proc.join("fd")).ok()?.count() == 3).then_some(()));
        let variables = fs::read_to_string(proc.join("environ")).expect("its variables");
        let names: Vec<_> = variables.split_terminator('\0').filter_map(|line| line.split('=').next()).collect();
        assert_eq!(names, ["RAYON_NUM_THREADS"]);
        kill_process(pid, Signal::KILL).expect("killed");
        loading.join().expect("no panic")
    });
}

#[tokio::test]
async fn the_compiler_ends_when_nobody_waits_for_the_script_any_more() {
    let limits = marked();
    let runtime = runtime(None, limits.clone());
    let loading = tokio::spawn(async move { runtime.load_in_background(endless().into()).await });
    tokio::task::spawn_blocking(move || {
        found("a compiler", || compiler(&limits));
        loading.abort();
        found("its end", || compiler(&limits).is_none().then_some(()));
    })
    .await
    .expect("no panic");
}

#[test]
fn a_host_that_is_killed_while_it_compiles_leaves_neither_compiler_nor_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let (script, cache) = (dir.path().join("script.wasm"), dir.path().join("cache"));
    fs::write(&script, endless()).expect("written");
    let mut host = Command::new(program());
    let mut host = host.arg(&script).arg(&cache).process_group(0).stderr(Stdio::null()).spawn().expect("a host");
    let child_of = |host: u32| {
        let children = fs::read_to_string(format!("/proc/{host}/task/{host}/children")).ok()?;
        children.split_whitespace().next().map(|pid| PathBuf::from(format!("/proc/{pid}")))
    };
    let compiler = found("a compiler", || child_of(host.id()));
    host.kill().expect("killed");
    host.wait().expect("an end");
    // A process that has ended and that nobody has asked for has no memory any more.
    let gone = || fs::read(compiler.join("maps")).map_or(true, |maps| maps.is_empty()).then_some(());
    found("its end", gone);
    let left: Vec<_> = fs::read_dir(&cache).expect("the cache").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["key"]);
}

#[test]
fn hosts_that_compile_the_same_script_at_once_both_succeed() {
    let dir = tempfile::tempdir().expect("a directory");
    let bytes = expensive(1_000);
    std::thread::scope(|scope| {
        let hosts = [(); 4].map(|()| scope.spawn(|| runtime(Some(dir.path()), Limits::default()).load(&bytes)));
        for host in hosts {
            host.join().expect("no panic").expect("a script");
        }
    });
    assert!(runtime(Some(dir.path()), Limits::default()).load(&bytes).expect("a script").cached());
}

#[test]
fn a_script_that_somebody_compiled_while_others_waited_for_their_turn_is_not_compiled_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = runtime(Some(dir.path()), Limits { compilations: 1, ..Limits::default() });
    let bytes = expensive(1_000);
    let began = std::sync::Barrier::new(4);
    let compiled = std::thread::scope(|scope| {
        let builds = [(); 4].map(|()| {
            scope.spawn(|| {
                began.wait();
                runtime.load(&bytes).expect("a script")
            })
        });
        builds.map(|build| build.join().expect("no panic")).iter().filter(|script| !script.cached()).count()
    });
    assert_eq!(compiled, 1);
}
