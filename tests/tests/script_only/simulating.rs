//! Simulations: what they find, that they repeat, and what the host bears in them.

use std::path::PathBuf;
use std::process::Output;

use monkeyci_build::{Event, EventBody};
use monkeyci_host::simulation::{Fault, Rule, Run, Simulation};
use monkeyci_host::{BuildRequest, SourceRequest};
use monkeyci_tests::host::Host;
use monkeyci_tests::place;
use serde_json::Value;

/// A case of the probe script, on code that has no file.
struct Case {
    simulation: Simulation,
    _host: Host,
}

impl Case {
    fn of(case: &str) -> Self {
        Self::with_request("probe_script", |request| {
            let request = request.param("case", case).param("image", "some:image").param("scratch-image", "scratch");
            if case == "sim-fork" { request.secret("TOKEN", "a secret") } else { request }
        })
    }

    /// A sample, of which all has to be right whatever happens.
    fn sample(script: &str) -> Self {
        let case = Self::with_request(script, |request| request.secret("PUBLISH_TOKEN", "a secret"));
        std::fs::write(empty(&case._host).join("Cargo.lock"), "version = 4\n").expect("written");
        case
    }

    fn with_request(script: &str, asked: impl FnOnce(BuildRequest) -> BuildRequest) -> Self {
        let host = Host::default();
        let request = BuildRequest::new(std::fs::read(place::script(script)).expect("a script"), code(&host));
        let simulation = Simulation::cached(asked(request), &host.home().join("compiled")).expect("a simulation");
        Self { simulation, _host: host }
    }

    fn run(&self, seed: u64) -> Run {
        self.simulation.run(seed).expect("a run")
    }

    fn with(&self, seed: u64, faults: &[&str]) -> Run {
        let faults: Vec<Fault> = faults.iter().map(|fault| fault.parse().expect("a fault")).collect();
        self.simulation.run_with(seed, &faults).expect("a run")
    }

    /// The first seed that breaks a rule, made short.
    fn finds(&self, seeds: u64, rule: Rule) -> Run {
        let found = (0..seeds).map(|seed| self.run(seed)).find(|run| !run.broken.is_empty());
        let found = found.unwrap_or_else(|| panic!("none of {seeds} seeds breaks {rule}"));
        assert!(found.broken.iter().any(|broken| broken.rule == rule), "{:?}", found.broken);
        let shrunk = self.simulation.shrink(&found).expect("runs");
        assert!(shrunk.broken.iter().any(|broken| broken.rule == rule), "{:?}", shrunk.broken);
        assert!(shrunk.faults.len() <= found.faults.len(), "{:?} {:?}", shrunk.faults, found.faults);
        shrunk
    }
}

fn code(host: &Host) -> SourceRequest {
    SourceRequest::Dir(empty(host))
}

fn empty(host: &Host) -> PathBuf {
    let dir = host.home().join("code");
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

fn said(run: &Run) -> String {
    format!("seed {}: {:?} with {:?}\n{}", run.seed, run.broken, run.faults, run.trace())
}

#[test]
fn a_seed_gives_the_same_run_each_time_to_the_byte() {
    // Several actions that wait for the same, events, artifacts, retries without end, hosts that die meanwhile.
    let cases =
        ["sim-sound", "sim-together", "sim-order", "sim-artifact", "sim-retries", "sim-time", "sim-map"].map(Case::of);
    let samples = ["release", "quickstart"].map(Case::sample);
    for case in cases.iter().chain(&samples) {
        for seed in 0..seeds(8) {
            let (first, second) = (case.run(seed), case.run(seed));
            assert_eq!(first.trace(), second.trace(), "seed {seed}");
            assert_eq!((first.faults, first.broken), (second.faults, second.broken), "seed {seed}");
        }
    }
}

/// How many seeds are tried: so many, and many more where somebody has the time for them.
fn seeds(few: u64) -> u64 {
    std::env::var("MONKEYCI_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(few)
}

#[test]
fn actions_that_wait_for_the_same_job_wake_in_the_same_order_each_time() {
    let case = Case::of("sim-together");
    let woken = || {
        let run = case.with(5, &[]);
        let woken = |event: &Event| match &event.body {
            EventBody::ScriptEvent { payload, .. } => Some(payload.clone()),
            _ => None,
        };
        let woken: Vec<String> = run.events.iter().filter_map(woken).collect();
        assert_eq!(woken.len(), 6, "{}", said(&run));
        woken
    };
    let first = woken();
    for _ in 0..5 {
        assert_eq!(woken(), first);
    }
}

#[test]
fn seeds_differ_in_what_goes_wrong_and_in_how_builds_end() {
    let case = Case::of("sim-sound");
    let runs: Vec<Run> = (0..40).map(|seed| case.run(seed)).collect();
    let mut traces: Vec<String> = runs.iter().map(Run::digest).collect();
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), runs.len(), "two seeds are one run");
    assert!(runs.iter().any(|run| run.lives > 1), "no host is ever killed");
    assert!(runs.iter().any(|run| run.faults.is_empty()), "something goes wrong each time");
    let mut ends: Vec<String> = runs.iter().map(|run| format!("{:?}", run.status)).collect();
    ends.sort();
    ends.dedup();
    assert!(ends.len() > 1, "all builds end as {ends:?}");
}

#[test]
fn a_script_that_bears_all_that_can_happen_breaks_no_rule_and_nor_does_the_host() {
    let case = Case::of("sim-sound");
    for seed in 0..seeds(60) {
        let run = case.run(seed);
        assert!(run.broken.is_empty(), "{}", said(&run));
    }
}

#[test]
fn a_host_that_is_killed_at_any_record_is_followed_by_one_that_comes_to_the_end() {
    for case in [Case::of("sim-sound"), Case::sample("release"), Case::sample("quickstart")] {
        let calm = case.with(3, &[]);
        assert!(calm.broken.is_empty() && calm.lives == 1, "{}", said(&calm));
        for record in 1..calm.events.len() as u64 {
            for kill in ["kill", "lose"] {
                let run = case.with(3, &[&format!("{kill}={record}")]);
                assert!(run.broken.is_empty() && run.lives == 2, "{}", said(&run));
                assert_eq!(run.status, calm.status, "{}", said(&run));
            }
        }
    }
}

#[test]
fn each_fault_alone_is_borne_by_the_host() {
    let case = Case::of("sim-sound");
    let of_jobs = ["exit=2", "oom", "killed", "lost", "sidecar-dies", "hangs", "not-started", "no-image"];
    let more = ["engine-away=5", "engine-away=100", "twice", "late=5", "late=390", "not-saved"];
    for fault in of_jobs.iter().chain(&more) {
        for job in ["unit/1", "part-1", "*"] {
            let run = case.with(1, &[&format!("{job}:{fault}")]);
            assert!(run.broken.is_empty() && !run.faults.is_empty(), "{}", said(&run));
        }
    }
    for fault in ["full=5:30", "cancel=1000", "cancel=30000", "reject=deploy"] {
        let run = case.with(1, &[fault]);
        assert!(run.broken.is_empty() && run.faults.len() == 1, "{}", said(&run));
    }
}

#[test]
fn an_order_that_is_rare_is_found_and_no_fault_is_needed_for_it() {
    let shrunk = Case::of("sim-order").finds(400, Rule::NoTrap);
    assert_eq!(shrunk.faults, [], "{}", said(&shrunk));
    assert!(shrunk.broken[0].how.contains("three jobs were done before one"), "{}", said(&shrunk));
}

#[test]
fn an_artifact_that_is_missing_after_a_retry_is_found_with_the_one_fault_that_it_takes() {
    let shrunk = Case::of("sim-artifact").finds(400, Rule::ArtifactsThere);
    assert_eq!(shrunk.faults.len(), 1, "{}", said(&shrunk));
    assert_eq!(shrunk.broken[0].job.as_deref(), Some("package"), "{}", said(&shrunk));
}

#[test]
fn retries_without_an_end_are_found() {
    let shrunk = Case::of("sim-retries").finds(400, Rule::ActionInTime);
    assert!(shrunk.faults.len() <= 5, "{}", said(&shrunk));
}

#[test]
fn a_branch_name_that_a_script_is_not_ready_for_is_found() {
    let shrunk = Case::of("sim-branch").finds(50, Rule::Defines);
    assert!(matches!(shrunk.faults[..], [Fault::Branch(_)]), "{}", said(&shrunk));
}

#[test]
fn what_a_script_forgets_where_a_parameter_is_empty_is_found_by_what_its_author_says_of_it() {
    let shrunk = Case::of("sim-param").finds(100, Rule::Always);
    assert!(matches!(&shrunk.faults[..], [Fault::Param { name, .. }] if name == "targets"), "{}", said(&shrunk));
    assert!(shrunk.broken[0].how.contains("something is packaged"), "{}", said(&shrunk));
}

#[test]
fn a_secret_that_is_given_to_a_job_of_a_fork_is_found() {
    let shrunk = Case::of("sim-fork").finds(50, Rule::Defines);
    assert_eq!(shrunk.faults, [Fault::Fork], "{}", said(&shrunk));
}

#[test]
fn jobs_that_hang_on_the_time_are_found() {
    let shrunk = Case::of("sim-clock").finds(100, Rule::SameAtAnyTime);
    assert!(matches!(shrunk.faults[..], [Fault::Clock { .. }]), "{}", said(&shrunk));
    assert_eq!(shrunk.broken[0].job.as_deref(), Some("nightly"), "{}", said(&shrunk));
    assert!(shrunk.broken[0].how.contains("with a clock that is "), "{}", said(&shrunk));
}

#[test]
fn jobs_that_hang_on_the_order_in_a_map_are_found() {
    let shrunk = Case::of("sim-map").finds(100, Rule::SameInAnyOrder);
    assert!(matches!(shrunk.faults[..], [Fault::Random { .. }]), "{}", said(&shrunk));
}

#[test]
fn what_is_to_be_so_sometimes_is_told_with_whether_it_was() {
    let case = Case::of("sim-never");
    let run = case.with(0, &["test:exit=1"]);
    assert!(run.broken.is_empty(), "{}", said(&run));
    let sometimes: Vec<(&str, bool)> = run.sometimes.iter().map(|(what, is_so)| (what.as_str(), *is_so)).collect();
    assert_eq!(sometimes, [("the test fails", true), ("the test waits for a person", false)]);
}

/// Runs the command on a case of the probe script.
fn sim(case: &str, arguments: &[&str]) -> Output {
    let host = Host::default();
    let mut command = host.command(&["sim"]);
    command
        .arg(place::script("probe_script"))
        .arg("--dir")
        .arg(empty(&host))
        .args(["--param", &format!("case={case}")]);
    command.args(["--param", "image=some:image", "--param", "scratch-image=scratch"]).args(arguments);
    command.output().expect("the host runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_command_prints_a_seed_that_fails_with_the_command_that_repeats_it_and_exits_with_3() {
    let found = sim("sim-artifact", &["--seeds", "400"]);
    let out = text(&found.stdout);
    assert_eq!(found.status.code(), Some(3), "{out}{}", text(&found.stderr));
    assert!(out.contains("breaks artifacts-there: package: "), "{out}");
    assert!(!out.contains("was another one"), "{out}");
    let again = out.lines().find_map(|line| line.trim().strip_prefix("again: monkeyci-host sim ")).expect("a command");
    let seed = again.find("--seed ").expect("a seed");
    let words: Vec<&str> = again[seed..].split(' ').map(|word| word.trim_matches('\'')).collect();
    let json = sim("sim-artifact", &[words, vec!["--json"]].concat());
    assert_eq!(json.status.code(), Some(3), "{}", text(&json.stderr));
    let answer: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((&answer["ok"], &answer["seeds"]), (&Value::Bool(false), &Value::from(1)));
    let failed = &answer["failed"][0];
    assert_eq!((&failed["broken"][0]["rule"], &failed["repeats"]), (&"artifacts-there".into(), &Value::Bool(true)));
}

#[test]
fn a_seed_that_was_saved_is_run_again_from_its_file_by_the_command_and_by_a_test() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("found.seed");
    let file = path.to_str().expect("text");
    let found = sim("sim-param", &["--seeds", "100", "--save", file]);
    assert_eq!(found.status.code(), Some(3), "{}", text(&found.stderr));
    let saved = std::fs::read_to_string(&path).expect("saved");
    assert!(
        saved.contains("# breaks always: something is packaged") && saved.contains("fault param=targets="),
        "{saved}"
    );
    let again = sim("sim-param", &["--seed-file", file, "--json"]);
    let answer: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!((again.status.code(), &answer["failed"][0]["broken"][0]["rule"]), (Some(3), &"always".into()));
    let run = Case::of("sim-param").simulation.run_file(&saved.parse().expect("a seed")).expect("a run");
    assert_eq!(run.broken[0].rule, Rule::Always, "{}", said(&run));

    std::fs::write(&path, "monkeyci seed 1\nfault jump\n").expect("written");
    let refused = sim("sim-param", &["--seed-file", file]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("line 2"), "{}", text(&refused.stderr));
}

#[test]
fn the_command_fails_where_no_seed_comes_to_what_is_to_be_so_sometimes() {
    let tried = sim("sim-never", &["--seeds", "40"]);
    let out = text(&tried.stdout);
    assert_eq!(tried.status.code(), Some(3), "{out}{}", text(&tried.stderr));
    assert!(out.starts_with("in none of 40 seeds: the test waits for a person\nsim: 40 seeds, 0 failed"), "{out}");
}

#[test]
fn the_bug_in_the_guide_is_found_as_it_says() {
    let host = Host::default();
    let mut command = host.command(&["sim"]);
    command
        .arg(place::script("guide_script"))
        .arg("--dir")
        .arg(empty(&host))
        .args(["--param", "example=simulate-a-build"]);
    let found = command.output().expect("the host runs");
    let out = text(&found.stdout);
    assert_eq!(found.status.code(), Some(3), "{out}{}", text(&found.stderr));
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk/GUIDE.md")).expect("text");
    for line in out.lines().take(2) {
        assert!(guide.contains(line), "the guide does not have {line:?}");
    }
}

#[test]
fn the_command_says_of_a_sound_script_what_it_was_tried_with_and_exits_with_0() {
    let tried = sim("sim-sound", &["--seeds", "20"]);
    let out = text(&tried.stdout);
    assert_eq!(tried.status.code(), Some(0), "{out}{}", text(&tried.stderr));
    assert!(out.starts_with("sim: 20 seeds, 0 failed; builds: "), "{out}");
    let wrong = sim("sim-sound", &["--fault", "unit/1:explodes"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("sidecar-dies"), "{}", text(&wrong.stderr));
}
