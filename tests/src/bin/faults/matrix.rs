//! Phase by victim: one is killed with SIGKILL, or the build is cancelled; the job has to come to a typed end soon.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use monkeyci_tests::dockerd::{Dockerd, children};
use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Host, Running};
use monkeyci_tests::registry::Registry;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Options;

/// The longest time from a cause to the typed end.
const BAR: Duration = Duration::from_secs(10);
/// How long the daemon is away.
const AWAY: Duration = Duration::from_secs(2);

/// What ends a job without anybody's death: an interrupt of its host.
const CANCEL: &str = "cancel";

/// Who can be killed in which phase: where it is there.
const PLAN: [(&str, &[&str]); 5] = [
    ("pulling", &["dockerd", "host", CANCEL]),
    ("starting", &["sidecar", "service", "dockerd", "host", CANCEL]),
    ("restoring", &["launcher", "sidecar", "service", "dockerd", "host", CANCEL]),
    ("running", &["job", "launcher", "sidecar", "service", "dockerd", "host", CANCEL]),
    ("saving", &["launcher", "sidecar", "service", "dockerd", "host", CANCEL]),
];

/// What came of one run.
struct Outcome {
    ending: String,
    took: Duration,
    hung: bool,
    left: Vec<String>,
}

/// Runs the matrix over and over, prints the table, and says whether all came to a typed end in time and left nothing.
pub fn run(options: &Options) -> bool {
    let wanted = |filter: &Option<String>, name: &str| filter.as_ref().is_none_or(|filter| filter == name);
    let cells: Vec<(&str, &str)> = PLAN
        .iter()
        .filter(|(phase, _)| wanted(&options.phase, phase))
        .flat_map(|(phase, victims)| victims.iter().map(move |victim| (*phase, *victim)))
        .filter(|(_, victim)| wanted(&options.victim, victim))
        .collect();
    if cells.is_empty() || options.runs == 0 {
        return true;
    }
    let machine = Engine::docker();
    let mut dockerd = cells.iter().any(|(_, victim)| *victim == "dockerd").then(Dockerd::start);
    let mut table: BTreeMap<(&str, &str), Vec<Outcome>> = BTreeMap::new();
    for (number, &(phase, victim)) in cells.iter().cycle().take(options.runs).enumerate() {
        let outcome = match (victim, &mut dockerd) {
            ("dockerd", Some(dockerd)) => kill_daemon(phase, dockerd),
            ("host", _) => kill_host(phase, &machine),
            (CANCEL, _) => cancel(phase, &machine),
            _ => kill_part(phase, victim, &machine),
        };
        let verdict = if outcome.hung { "HANGS" } else { &outcome.ending };
        eprintln!("{:>4} {phase:9} {victim:9} {verdict} after {:.1} s", number + 1, outcome.took.as_secs_f32());
        if !outcome.left.is_empty() {
            eprintln!("     left: {:?}", outcome.left);
        }
        table.entry((phase, victim)).or_default().push(outcome);
    }
    print(&cells, &table)
}

fn print(cells: &[(&str, &str)], table: &BTreeMap<(&str, &str), Vec<Outcome>>) -> bool {
    println!("| phase | victim | runs | ending | typed end after, median | longest | hangs | left |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let (mut runs, mut hangs, mut late, mut left) = (0, 0, 0, 0);
    for cell in cells {
        let Some(outcomes) = table.get(cell) else { continue };
        let mut endings: BTreeMap<&str, usize> = BTreeMap::new();
        outcomes.iter().for_each(|outcome| *endings.entry(&outcome.ending).or_default() += 1);
        let endings: Vec<String> = endings.iter().map(|(ending, count)| format!("{ending} × {count}")).collect();
        let mut times: Vec<Duration> = outcomes.iter().map(|outcome| outcome.took).collect();
        times.sort_unstable();
        let (median, longest) = (times[times.len() / 2].as_secs_f32(), times[times.len() - 1].as_secs_f32());
        let hung = outcomes.iter().filter(|outcome| outcome.hung).count();
        let leaves = outcomes.iter().filter(|outcome| !outcome.left.is_empty()).count();
        let (phase, victim, count) = (cell.0, cell.1, outcomes.len());
        println!(
            "| {phase} | {victim} | {count} | {} | {median:.1} s | {longest:.1} s | {hung} | {leaves} |",
            endings.join(", ")
        );
        runs += count;
        hangs += hung;
        late += times.iter().filter(|time| **time > BAR).count();
        left += leaves;
    }
    println!("\n{runs} runs, {hangs} hangs, {late} later than {} s, {left} with leftovers", BAR.as_secs());
    hangs == 0 && late == 0 && left == 0
}

/// Starts a build, and waits until its job is in the phase.
fn begin(phase: &str, victim: &str, host: &Host, engine: &Engine, registry: &Registry) -> Running {
    let case = match (phase, victim) {
        ("running", "service") => "serving",
        ("saving", CANCEL) => "saving-for-long",
        _ => phase,
    };
    let image = format!("to-pull={}", registry.image());
    let mut build = host.start(case, &["--param", &image]);
    match phase {
        "pulling" => registry.wait_until_asked(),
        "starting" => {
            engine.wait_for_pid(&host.owner_soon(), "victim", "sidecar");
        }
        "restoring" => {
            engine.wait_for_pid(&host.owner_soon(), "victim", "job");
            std::thread::sleep(Duration::from_millis(200));
        }
        _ => {
            let begun = |event: &Value| {
                event["type"] == "log" && event["text"].as_str().is_some_and(|text| text.ends_with("begun\n"))
            };
            match case {
                "serving" => build.wait_until_running("victim"),
                "saving-for-long" => {
                    build.wait_for(|event| event["type"] == "artifact/saved");
                }
                _ => {
                    build.wait_for(begun);
                }
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    build
}

/// Kills a process of the pod.
fn kill_part(phase: &str, victim: &str, engine: &Engine) -> Outcome {
    let (host, registry) = (Host::on(engine), Registry::silent());
    let mut build = begin(phase, victim, &host, engine, &registry);
    let part = match victim {
        "job" | "launcher" => "job",
        "service" => "svc-web",
        other => other,
    };
    let pid = engine.wait_for_pid(&host.owner(), "victim", part);
    let pid = if victim == "job" { first_child(pid) } else { pid };
    kill_process(pid, Signal::KILL).expect("killed");
    finish(&mut build, Instant::now(), engine, &host)
}

/// Cancels the build.
fn cancel(phase: &str, engine: &Engine) -> Outcome {
    let (host, registry) = (Host::on(engine), Registry::silent());
    let mut build = begin(phase, CANCEL, &host, engine, &registry);
    kill_process(build.pid(), Signal::INT).expect("signalled");
    finish(&mut build, Instant::now(), engine, &host)
}

/// The job's process: its launcher's child.
fn first_child(launcher: Pid) -> Pid {
    children(launcher).into_iter().next().expect("the job runs")
}

/// Waits for the job's end, and for the build's.
fn finish(build: &mut Running, cause: Instant, engine: &Engine, host: &Host) -> Outcome {
    let ended = build.wait_or(|event| event["type"] == "job/ended");
    let took = cause.elapsed();
    let cause = ended.map(|event| event["ending"]["cause"].as_str().unwrap_or("?").to_owned());
    let over = build.wait_or(|event| event["type"] == "build/ended").is_some();
    build.wait_for_exit();
    let (ending, hung) = (cause.clone().unwrap_or_default(), cause.is_none() || !over);
    Outcome { ending, took, hung, left: leftovers(engine, host) }
}

fn leftovers(engine: &Engine, host: &Host) -> Vec<String> {
    let mut left = engine.leftovers(&host.owner());
    let dirs = std::fs::read_dir(host.home().join("run")).into_iter().flatten().flatten();
    left.extend(dirs.map(|dir| dir.path().display().to_string()));
    left
}

/// Kills the daemon, and starts it again after a while. The time counts from when it answers again; from its death for a job
/// that ended before.
fn kill_daemon(phase: &str, dockerd: &mut Dockerd) -> Outcome {
    // Inside: the daemon does not see the machine's own addresses.
    let (host, registry) = (Host::on(&dockerd.engine()), dockerd.in_network(Registry::silent));
    let mut build = begin(phase, "dockerd", &host, &dockerd.engine(), &registry);
    dockerd.kill();
    let killed = now_ms();
    std::thread::sleep(AWAY);
    dockerd.run();
    let back = now_ms();
    let mut outcome = finish(&mut build, Instant::now(), &dockerd.engine(), &host);
    if let Some(ended) = build.events().iter().find(|event| event["type"] == "job/ended") {
        let ended = ended["time_ms"].as_u64().unwrap_or(u64::MAX);
        outcome.took = Duration::from_millis(ended.saturating_sub(if ended < back { killed } else { back }));
    }
    outcome
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// Kills the host. Its job's end is that the next one has removed it.
fn kill_host(phase: &str, engine: &Engine) -> Outcome {
    let (host, registry) = (Host::on(engine), Registry::silent());
    let mut build = begin(phase, "host", &host, engine, &registry);
    kill_process(build.pid(), Signal::KILL).expect("killed");
    let cause = Instant::now();
    build.wait_for_exit();
    let output = host.command(&["gc", "--engine", &engine.address]).output().expect("the host runs");
    let took = cause.elapsed();
    let ending = if output.status.success() { "removed by the next host" } else { "not removed" };
    Outcome { ending: ending.to_owned(), took, hung: false, left: leftovers(engine, &host) }
}
