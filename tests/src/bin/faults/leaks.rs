//! Many jobs, some of them killed at random; then one start, after which nothing may be left.

use std::time::{Duration, Instant};

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::Host;
use rustix::process::{Signal, kill_process};

/// How many builds run at a time.
const AT_ONCE: usize = 4;

/// Runs so many jobs, one a build; returns whether nothing is left in the end and nothing foreign was touched.
pub fn run(jobs: usize) -> bool {
    let engine = Engine::docker();
    let foreign = engine.make_foreign("mci-faults-foreign");
    let host = Host::on(&engine);
    // Once, so that it has an owner.
    let first = host.run("hello", &[]);
    assert_eq!(first.code, Some(0), "{first:#?}");
    let began = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let kills: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let engine = Engine::docker();
                    let mut kills = 0;
                    loop {
                        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if number >= jobs {
                            return kills;
                        }
                        kills += usize::from(one(number, jobs, &engine, &host));
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
    });
    let ran = began.elapsed().as_secs_f32();
    let before = engine.leftovers(&host.owner()).len() + dirs(&host).len();
    let start = Instant::now();
    let last = host.run("hello", &[]);
    let sweep = start.elapsed().as_secs_f32();
    let mut left = engine.leftovers(&host.owner());
    left.extend(dirs(&host));
    let missing = engine.missing(&foreign);
    println!(
        "\n{jobs} jobs in {ran:.0} s, {kills} kills; {before} objects left before the next start, which took {sweep:.1} s; {} \
         left after it; {} of {} foreign ones missing",
        left.len(),
        missing.len(),
        foreign.len()
    );
    left.iter().chain(&missing).for_each(|name| println!("  {name}"));
    engine.remove_foreign("mci-faults-foreign");
    last.code == Some(0) && left.is_empty() && missing.is_empty()
}

/// Runs one job, and kills a part of it if it is its turn. Returns whether somebody was killed.
fn one(number: usize, jobs: usize, engine: &Engine, host: &Host) -> bool {
    // Every tenth, at a moment that differs from run to run; and the last hosts, whose leavings no other build clears away.
    let is_last = number + AT_ONCE >= jobs;
    if !number.is_multiple_of(10) && !is_last {
        host.start("hello", &[]).wait_for_exit();
        return false;
    }
    let mut build = host.start("sleeps-shortly", &[]);
    let moment = Duration::from_millis(u64::from(std::process::id()).wrapping_mul(7919 * (number as u64 + 1)) % 900);
    build.wait_for(|event| event["type"] == "job/started");
    let id = build.build_id();
    std::thread::sleep(moment);
    let killed = match number / 10 % 3 {
        _ if is_last => kill_process(build.pid(), Signal::KILL).is_ok(),
        0 => kill_process(build.pid(), Signal::KILL).is_ok(),
        1 => kill_soon(engine, &id, "sidecar"),
        _ => kill_soon(engine, &id, "job"),
    };
    build.wait_for_exit();
    killed
}

/// Kills a part of a pod as soon as it runs.
fn kill_soon(engine: &Engine, build: &str, part: &str) -> bool {
    (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        engine.kill_now(build, part)
    })
}

/// Directories and files of builds that are over.
fn dirs(host: &Host) -> Vec<String> {
    let home = host.home();
    let mut dirs = vec![home.join("run"), home.join("blobs/workspaces")];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        let is_run = dir == home.join("run");
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() && !is_run {
                true => dirs.push(path),
                false => files.push(path.display().to_string()),
            }
        }
    }
    files
}
