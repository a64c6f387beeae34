//! Scripts that are not in the compile cache are compiled by a process of its own: how each end of it looks from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use monkeyci_tests::hang_guard;
use monkeyci_tests::host::{Host, Running};
use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};

/// A script with `functions` functions of `lines` lines each that do nothing.
fn script(host: &Host, functions: usize, lines: usize, line: &str) -> PathBuf {
    let function = format!("(func (result i32) (local $i i32) {} local.get $i)", line.repeat(lines));
    let text = format!(
        r#"(component
          (core module $m
            (memory (export "memory") 1)
            (func (export "define") (result i32) i32.const 0)
            (func (export "act") (param i32 i32) (result i32) i32.const 0)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
            {})
          (core instance $i (instantiate $m))
          (func (export "define") (result (result (error string)))
            (canon lift (core func $i "define") (memory (core memory $i "memory"))))
          (func (export "act") (param "job" string) (result (result (error string)))
            (canon lift (core func $i "act") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#,
        function.repeat(functions)
    );
    let path = host.home().join("script.wasm");
    fs::write(&path, wat::parse_str(text).expect("valid text")).expect("written");
    path
}

/// Compiling it takes a minute.
fn endless(host: &Host) -> PathBuf {
    script(host, 1, 100_000, "(block (br_if 0 (local.get $i)) (local.set $i (i32.add (local.get $i) (i32.const 1))))")
}

/// Compiling it takes more than a GiB, with a single thread too.
fn huge(host: &Host) -> PathBuf {
    script(host, 1, 300_000, "(local.set $i (i32.add (local.get $i) (i32.load (local.get $i))))")
}

fn run(host: &Host, script: &Path) -> Command {
    let code = host.home().join("code");
    fs::create_dir_all(&code).expect("a directory");
    let mut command = host.command(&["run", "--progress", "json", "--dir"]);
    command.arg(code).arg(script);
    command
}

/// The process that the host has started, which is in a group of its own: until then, it is not yet the compiler.
fn compiler(host: Pid) -> Pid {
    hang_guard::found("a compiler", || {
        // Children are listed with the thread that started them.
        let threads = fs::read_dir(format!("/proc/{host}/task")).expect("the host runs").flatten();
        let mut children = threads.flat_map(|thread| fs::read_to_string(thread.path().join("children")));
        let pid = children.find_map(|pids| Pid::from_raw(pids.split_whitespace().next()?.parse().ok()?));
        pid.filter(|pid| getpgid(Some(*pid)).is_ok_and(|group| group == *pid))
    })
}

/// Asserts that the compiler ends, and that nothing but the key is in the compile cache.
fn nothing_is_left(host: &Host, compiler: Pid) {
    // A process that has ended and that nobody has asked for has no memory any more.
    let maps = || fs::read(format!("/proc/{compiler}/maps")).unwrap_or_default();
    hang_guard::until("the compiler's end", || maps().is_empty());
    let cache = fs::read_dir(host.home().join("compiled")).expect("the compile cache");
    let left: Vec<_> = cache.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["key"]);
}

#[test]
fn a_broken_component_exits_with_3_and_its_place_is_named() {
    let host = Host::cold();
    let path = script(&host, 1, 1, "");
    let mut bytes = fs::read(&path).expect("the script");
    bytes.truncate(bytes.len() - 5);
    fs::write(&path, bytes).expect("written");
    let ended = Running::spawn(&mut run(&host, &path)).end();
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(ended.failure().contains("broken") && ended.failure().contains("offset"), "{}", ended.failure());
}

#[test]
fn a_component_that_is_too_expensive_to_compile_exits_with_3() {
    let host = Host::cold();
    let ended = Running::spawn(&mut run(&host, &huge(&host))).end();
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(ended.failure().contains("more than 1024 MiB of memory"), "{}", ended.failure());
}

#[test]
fn a_compiler_that_is_killed_exits_with_4() {
    let host = Host::cold();
    let build = Running::spawn(&mut run(&host, &endless(&host)));
    kill_process(compiler(build.pid()), Signal::KILL).expect("killed");
    let ended = build.end();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(ended.failure().contains("SIGKILL"), "{}", ended.failure());
}

#[test]
fn ctrl_c_ends_a_build_that_compiles_and_leaves_nothing() {
    let host = Host::cold();
    let mut command = run(&host, &endless(&host));
    // As a shell does it: the signal goes to the whole group.
    let build = Running::spawn(std::os::unix::process::CommandExt::process_group(&mut command, 0));
    let compiler = compiler(build.pid());
    kill_process_group(build.pid(), Signal::INT).expect("signalled");
    let ended = build.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert_eq!(ended.of_type("script/loaded").count(), 0, "the compiler was waited for");
    nothing_is_left(&host, compiler);
    assert_eq!(fs::read_dir(host.home().join("run")).expect("run").count(), 0);
}

#[test]
fn a_host_that_is_killed_while_it_compiles_leaves_no_compiler() {
    let host = Host::cold();
    let mut command = host.command(&["check"]);
    let command = command.arg(endless(&host)).arg("--dir").arg(host.home()).stdout(Stdio::null());
    let mut check: Child = command.stderr(Stdio::null()).spawn().expect("the host starts");
    let compiler = compiler(Pid::from_child(&check));
    check.kill().expect("killed");
    check.wait().expect("an end");
    nothing_is_left(&host, compiler);
}

#[test]
fn a_cache_that_can_not_be_written_costs_time_and_no_build() {
    let host = Host::cold();
    let path = script(&host, 1, 1, "");
    assert_eq!(Running::spawn(&mut run(&host, &path)).end().code, Some(0));
    let cache = host.home().join("compiled");
    let entry = fs::read_dir(&cache).expect("the cache").flatten().map(|entry| entry.path());
    let entry = entry.into_iter().find(|path| path.extension().is_some_and(|it| it == "cwasm")).expect("an entry");
    // A directory in its place: no file can take the name, whoever tries.
    fs::remove_file(&entry).expect("removed");
    fs::create_dir(&entry).expect("a directory");
    fs::write(entry.join("full"), "").expect("written");
    let ended = Running::spawn(&mut run(&host, &path)).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("can't be written"), "{}", ended.stderr);
}
