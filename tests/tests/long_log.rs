//! A log that is much longer than what is kept of it.

use std::process::Stdio;
use std::time::Duration;

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::Host;
use monkeyci_tests::place;

/// Three times what is kept of a log.
const MEBIBYTES: u64 = 128;

#[test]
fn a_long_log_takes_little_memory_of_the_host_and_is_kept_at_both_ends() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let mut command = host.command(&["run", "--progress", "plain", "--engine", &engine.address, "--dir"]);
    command.arg(host.home()).arg(place::script("probe_script"));
    for param in ["case=big-log".to_owned(), format!("mebibytes={MEBIBYTES}"), format!("image={}", place::image())] {
        command.args(["--param", &param]);
    }
    // What an allocator holds back for each of its threads differs from run to run; what the host holds does not.
    command.env("MALLOC_ARENA_MAX", "1");
    let mut build = command.stdout(Stdio::null()).spawn().expect("the host starts");
    let (mut most, status) = (0, format!("/proc/{}/status", build.id()));
    let end = loop {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        // What is its own: pages of its program are not, and a program that is not optimised has many.
        let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
        most = most.max(own.trim().trim_end_matches(" kB").parse().unwrap_or(0));
        if let Some(end) = build.try_wait().expect("a process") {
            break end;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(end.success(), "{end}");
    assert!((1..48 << 10).contains(&most), "{most} KiB");

    let build = std::fs::read_dir(host.home().join("blobs/logs/local")).expect("logs").next().expect("a directory");
    let build = std::fs::read_dir(build.expect("a directory").path()).expect("logs").next().expect("a build");
    let build = build.expect("a build").file_name().into_string().expect("text");
    let log = host.command(&["logs", &build, "talk"]).output().expect("the host runs");
    assert!(log.status.success(), "{:?}", log.status);
    assert!((30 << 20..50 << 20).contains(&log.stdout.len()), "{} bytes", log.stdout.len());
    let middle = String::from_utf8_lossy(&log.stdout[30 << 20..34 << 20]).into_owned();
    assert!(middle.contains("of this log are left out: the first 32.0 MiB and the last 8.0 MiB of a log are kept"));
    let line: &[u8] = b"a line of text that is like all the others";
    assert!(log.stdout.starts_with(line), "the start is there");
}
