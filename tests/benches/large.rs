//! A large artifact through save and restore, beside `tar c | zstd | zstd -d | tar x` on the same data, in one run; a large
//! log; and how much memory host and sidecar take meanwhile.
//!
//! `MONKEYCI_BENCH_MEBIBYTES` says how large the artifact is; 2048 without it. The log is five times as large. An argument,
//! `artifact` or `log`, runs one of the two.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Ended, Host};
use monkeyci_tests::place;

fn main() {
    let mebibytes = std::env::var("MONKEYCI_BENCH_MEBIBYTES").ok().and_then(|text| text.parse().ok()).unwrap_or(2048);
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    if wanted("artifact") {
        artifact(mebibytes);
    }
    if wanted("log") {
        log(mebibytes * 5);
    }
}

/// One job that writes so much, shown to nobody.
fn log(mebibytes: u32) {
    let host = Host::on(&Engine::docker());
    let empty = host.home().join("empty");
    std::fs::create_dir(&empty).expect("a directory");
    let mut command = host.command(&["run", "--progress", "plain", "--param", "case=big-log"]);
    command
        .arg("--param")
        .arg(format!("mebibytes={mebibytes}"))
        .arg("--param")
        .arg(format!("image={}", place::image()));
    command.arg("--engine").arg(&Engine::docker().address).arg("--dir").arg(&empty).arg(place::script("probe_script"));
    let (peaks, start) = (Peaks::watch(), Instant::now());
    let status = command.stdout(Stdio::null()).status();
    let (took, peaks) = (start.elapsed(), peaks.stop());
    assert!(status.as_ref().is_ok_and(|status| status.success()), "the job is failed by its log: {status:?}");
    println!("a log of {mebibytes} MiB from one job");
    println!("  whole build                      {:>6.1} s", took.as_secs_f64());
    memory(peaks);
}

fn memory(peaks: BTreeMap<String, u64>) {
    for (name, kibibytes) in peaks {
        println!("  peak memory of {name:<24} {:>5.1} MiB", kibibytes as f64 / 1024.0);
    }
}

fn artifact(mebibytes: u32) {
    let host = Host::on(&Engine::docker());
    let peaks = Peaks::watch();
    let size = format!("mebibytes={mebibytes}");
    // One job after the other, so that the disk is nobody else's.
    let ended = host.run("big-artifact", &["--jobs", "1", "--param", &size]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let (save, restore) = (between(&ended, ("make", "made"), ("make", "job/ended")), restore(&ended));
    let ours = save + restore;
    let peaks = peaks.stop();
    drop(host);
    let theirs = tar_and_zstd(mebibytes);
    let speed = |time: Duration| f64::from(mebibytes) / time.as_secs_f64();
    println!("an artifact of {mebibytes} MiB, half of it random, saved and restored");
    println!("  tar c | zstd | zstd -d | tar x   {:>6.1} s   {:>5.0} MiB/s", theirs.as_secs_f64(), speed(theirs));
    println!(
        "  save and restore                 {:>6.1} s   {:>5.0} MiB/s   {:.0} % of the speed",
        ours.as_secs_f64(),
        speed(ours),
        100.0 * theirs.as_secs_f64() / ours.as_secs_f64()
    );
    println!("    of that, to save               {:>6.1} s", save.as_secs_f64());
    println!("    of that, to restore            {:>6.1} s", restore.as_secs_f64());
    memory(peaks);
}

/// From the restoring job's start to its command, less what jobs without artifact take for that, in the median.
fn restore(ended: &Ended) -> Duration {
    let started = |job: &str| between(ended, (job, "job/started"), (job, "job/running"));
    let mut bare = ["bare-1", "bare-2", "bare-3"].map(started);
    bare.sort();
    started("use").saturating_sub(bare[1])
}

/// The time between an event or a line of the log of a job, and another one.
fn between(ended: &Ended, from: (&str, &str), to: (&str, &str)) -> Duration {
    let time = |(job, what): (&str, &str)| {
        let is = |event: &&serde_json::Value| {
            let said = event["text"].as_str().is_some_and(|text| text.contains(what));
            event["job"] == job && (event["type"] == what || said)
        };
        let event = ended.events.iter().find(is).unwrap_or_else(|| panic!("no {what} of {job}: {ended:#?}"));
        event["time_ms"].as_u64().expect("a time")
    };
    Duration::from_millis(time(to) - time(from))
}

/// The baseline, on data of the same kind.
fn tar_and_zstd(mebibytes: u32) -> Duration {
    let dir = tempfile::tempdir().expect("a directory");
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    std::fs::create_dir_all(from.join("out")).expect("a directory");
    std::fs::create_dir(&to).expect("a directory");
    shell(&from, &format!("{}\nsync", monkeyci_tests::big::script(mebibytes)));
    let start = Instant::now();
    shell(&from, &format!("tar c out | zstd -q -T1 | zstd -q -d | tar x -C {}", to.display()));
    start.elapsed()
}

fn shell(dir: &Path, script: &str) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(dir).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{script}");
}

/// Watches how much memory the programs of ours take at most.
struct Peaks {
    done: Arc<AtomicBool>,
    seen: Arc<Mutex<BTreeMap<String, u64>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Peaks {
    fn watch() -> Self {
        let (done, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
        let (until, notes) = (done.clone(), seen.clone());
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for (name, peak) in ours() {
                    let mut notes = notes.lock().expect("a lock");
                    let known = notes.entry(name).or_insert(0);
                    *known = peak.max(*known);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { done, seen, thread }
    }

    fn stop(self) -> BTreeMap<String, u64> {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
        self.seen.lock().expect("a lock").clone()
    }
}

/// The peaks of our programs that run now, in KiB.
fn ours() -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let own = std::fs::canonicalize(place::host()).ok();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        // Processes come and go while they are looked at.
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (Some(name), Some(peak)) = (field("Name:"), field("VmHWM:")) else { continue };
        // Another host may run on this machine. Where ours is, its compiler counts too: it is the same program.
        let others = name == "monkeyci-host" && std::fs::read_link(entry.path().join("exe")).ok() != own;
        if name.starts_with("monkeyci") && !others {
            let peak = peak.trim_end_matches(" kB").parse().unwrap_or(0);
            found.push((name.to_owned(), peak));
        }
    }
    found
}
