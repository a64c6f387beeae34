//! `plan`: what a build would do, told without an engine, and what tells two scripts apart.

use std::path::{Path, PathBuf};
use std::process::Output;

use monkeyci_tests::host::{Host, files};
use monkeyci_tests::place;
use serde_json::Value;

/// A directory of code that the samples can be planned for, below a host's home.
fn code(host: &Host) -> PathBuf {
    let code = host.home().join("code");
    std::fs::create_dir_all(&code).expect("a directory");
    std::fs::write(code.join("Cargo.lock"), "version = 4\n").expect("written");
    std::fs::write(code.join("token"), "s3cret").expect("written");
    code
}

fn plan(host: &Host, script: &str, arguments: &[&str]) -> Output {
    let code = code(host);
    let mut command = host.command(&["plan"]);
    command.arg(place::script(script)).arg("--dir").arg(&code);
    command.args(["--secret", &format!("PUBLISH_TOKEN={}", code.join("token").display())]);
    command.args(arguments).output().expect("the host runs")
}

/// The plan of a case of the probe script.
fn probe(host: &Host, case: &str, arguments: &[&str]) -> Output {
    let case = format!("case={case}");
    plan(host, "probe_script", &[&["--param", &case, "--param", "image=busybox:1"], arguments].concat())
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim_end().to_owned()).collect()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The line of a job.
fn of<'a>(lines: &'a [String], job: &str) -> &'a str {
    let found = lines.iter().find(|line| line.split_whitespace().nth(1) == Some(job));
    found.unwrap_or_else(|| panic!("no line of {job}: {lines:#?}"))
}

fn written(host: &Host, name: &str, text: &str) -> String {
    let path = host.home().join(name);
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("text").to_owned()
}

#[test]
fn a_plan_tells_of_each_job_of_a_sample_whether_it_runs_when_and_with_what() {
    let host = Host::default();
    let topic = plan(&host, "release", &["--branch", "topic"]);
    assert_eq!(topic.status.code(), Some(0), "{}", errors(&topic));
    let test = |wave: u32, id: &str, image: &str| {
        let group = "group tests: one failure → the others stop";
        format!("{wave}  {id:<17}  container rust:{image} · {group} · retry 2 · env RUSTC_BOOTSTRAP · caches crates")
    };
    let tests = [
        test(1, "test-1.93-default", "1.93"),
        test(1, "test-1.94-default", "1.94"),
        test(1, "test-1.94-all", "1.94"),
        test(1, "test-1.95-default", "1.95"),
        test(1, "test-1.95-all", "1.95"),
    ];
    let all = "test-1.93-default, test-1.94-default, test-1.94-all, test-1.95-default, test-1.95-all";
    let removed = "removed: only the main branch and version tags are";
    let rest = [
        format!("2  {:<17}  action · after {all} · always", "summary"),
        format!("-  {:<17}  {removed} released", "package"),
        format!("-  {:<17}  {removed} released", "notes"),
        format!("-  {:<17}  {removed} published, and not in a dry run", "publish"),
        "plan: 6 jobs run in 2 waves, 3 do not run".to_owned(),
        "asks for: networks internet".to_owned(),
    ];
    assert_eq!(lines(&topic), [&tests[..], &rest].concat());

    let main = lines(&plan(&host, "release", &["--tag", "v1.2.0"]));
    assert_eq!(
        of(&main, "package"),
        format!(
            "2  {:<17}  container rust:1.95 · {all}: all success → runs, one failure → skipped · saves dist · caches crates",
            "package"
        )
    );
    assert_eq!(
        of(&main, "publish"),
        format!(
            "4  {:<17}  container rust:1.95 · decided when package has ended: it asks about its output \"version\" · package, notes: all \
             success → runs, one failure → skipped · after approval \"publish this release for everybody?\" · secrets PUBLISH_TOKEN · \
             outputs VERSION (version of package) · restores dist, notes",
            "publish"
        )
    );
    assert_eq!(main.last().map(String::as_str), Some("asks for: secrets PUBLISH_TOKEN; networks internet"));
    assert_eq!(lines(&plan(&host, "release", &["--tag", "v1.2.0"])), main, "it is the same each time");
}

#[test]
fn with_an_assumption_late_jobs_are_completed_or_skipped_as_they_would_be() {
    let host = Host::default();
    let with = |version: &str| {
        let text = format!(r#"{{"package": {{"outputs": {{"version": "{version}"}}}}}}"#);
        let assumed = written(&host, "assumed.json", &text);
        let told = plan(&host, "release", &["--tag", "v1.2.0", "--assume", &assumed]);
        assert_eq!(told.status.code(), Some(0), "{}", errors(&told));
        lines(&told)
    };
    std::fs::write(code(&host).join("published-versions"), "1.1.0\n").expect("written");
    let fresh = with("1.2.0");
    assert!(of(&fresh, "publish").contains(" · env CHANNEL · "), "{fresh:#?}");
    assert!(!of(&fresh, "publish").contains("decided"), "{fresh:#?}");
    assert!(of(&with("1.1.0"), "publish").contains("does not run: 1.1.0 is published already"));

    let failed = written(&host, "failed.json", r#"{"test-1.95-all": {"status": "failure"}, "pakage": {}}"#);
    let failed = plan(&host, "release", &["--tag", "v1.2.0", "--assume", &failed]);
    let told = lines(&failed);
    assert!(
        of(&told, "package").contains("does not run: test-1.95-all does not succeed, as it is assumed"),
        "{told:#?}"
    );
    assert!(of(&told, "publish").contains("does not run: package does not run"), "{told:#?}");
    assert!(errors(&failed).contains("did you mean \"package\"?"), "{}", errors(&failed));

    // What an action says is known: it is asked. One that looks at what nobody knows is open.
    let refined = lines(&probe(&host, "refine", &["--assume", "success"]));
    assert!(of(&refined, "late").starts_with("2  late  container busybox:1 · plan success →"), "{refined:#?}");
    assert!(of(&refined, "late").ends_with(" · env WORD"), "{refined:#?}");
    let nothing = lines(&probe(&host, "refine", &[]));
    assert!(of(&nothing, "late").contains("decided when plan has ended: it asks about its output"), "{nothing:#?}");
}

#[test]
fn the_results_of_the_last_build_are_assumed_with_what_its_actions_submitted_and_nothing_runs() {
    let host = Host::default();
    let code = code(&host).to_str().expect("text").to_owned();
    let none = probe(&host, "again", &["--assume", "last"]);
    assert_eq!(none.status.code(), Some(2), "{}", errors(&none));
    assert!(errors(&none).contains("there is no build of this repository"), "{}", errors(&none));

    let success = lines(&probe(&host, "again", &["--assume", "success"]));
    assert!(of(&success, "part-1").starts_with("3  part-1   action · submitted by adds"), "{success:#?}");
    assert!(of(&success, "fails").contains("asked now, it fails: no luck"), "{success:#?}");

    let ended = host.run("again", &["--dir", &code]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let before = files(&host.home().join("blobs"));
    let last = probe(&host, "again", &["--assume", "last"]);
    assert_eq!(last.status.code(), Some(0), "{}", errors(&last));
    let told = lines(&last);
    assert!(of(&told, "last").contains("does not run: fails does not succeed, as it is assumed"), "{told:#?}");
    assert!(of(&told, "part-2").starts_with("3  part-2   action · submitted by adds"), "{told:#?}");
    let build = ended.events[0]["build"].as_str().expect("a build");
    assert_eq!(told.last().map(String::as_str), Some(format!("results: those of the last build, {build}").as_str()));
    // A plan stands in no journal, and in no store.
    assert_eq!(files(&host.home().join("blobs")), before);
    let list = host.command(&["list", "--json"]).output().expect("the host runs");
    assert_eq!(lines(&list).iter().filter(|line| line.contains("\"build\"")).count(), 1, "{list:?}");
}

#[test]
fn two_scripts_are_told_apart_over_events_and_the_exit_code_says_so() {
    let host = Host::default();
    let event =
        |name: &str| written(&host, name.rsplit('/').next().expect("a part"), &format!(r#"{{"ref": "{name}"}}"#));
    let (main, topic) = (event("refs/tags/v1"), event("refs/heads/topic"));
    let script = |name: &str| place::script(name).to_str().expect("text").to_owned();
    let release = script("release");
    let same = plan(&host, "release", &["--diff", &release, "--event", &main, "--event", &topic]);
    assert_eq!(same.status.code(), Some(0), "{}", errors(&same));
    let all = [
        format!("{main}:"),
        "plan: the same: 9 jobs".to_owned(),
        format!("{topic}:"),
        "plan: the same: 6 jobs".to_owned(),
        "plan: 2 events: 2 same, 0 differ".to_owned(),
    ];
    assert_eq!(lines(&same), all);

    let other = plan(&host, "quickstart", &["--diff", &release, "--branch", "topic"]);
    assert_eq!(other.status.code(), Some(3), "{}", errors(&other));
    let told = lines(&other);
    assert!(told[0].starts_with("+ prepare            action"), "{told:#?}");
    assert!(told.iter().any(|line| line == "- summary            not declared any more"), "{told:#?}");
    let summary = told.last().expect("a line");
    assert!(summary.starts_with("plan: 5 new, 0 changed, 6 gone, 0 same; permissions: "), "{summary}");
    let json = plan(&host, "quickstart", &["--diff", &release, "--branch", "topic", "--json"]);
    assert_eq!(json.status.code(), Some(3));
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((&json["same"], &json["events"][0]["told"]["plans"]["same"]), (&false.into(), &0.into()), "{json}");

    // An error that only one of them has is a difference too.
    let fails = plan(&host, "probe_script", &["--diff", &release, "--param", "case=define-fails"]);
    assert_eq!(fails.status.code(), Some(3), "{}", errors(&fails));
    assert!(of(&lines(&fails), "the").starts_with("! the "), "{:?}", lines(&fails));
}

#[test]
fn the_last_builds_are_replayed_with_a_script_and_one_that_goes_another_way_is_told() {
    let host = Host::default();
    let code = code(&host).to_str().expect("text").to_owned();
    let none = plan(&host, "probe_script", &["--replay-last", "3"]);
    assert_eq!(none.status.code(), Some(2), "{}", errors(&none));
    for _ in 0..2 {
        let ended = host.run("action-fails", &["--dir", &code]);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
    }
    let same = plan(&host, "probe_script", &["--replay-last", "5"]);
    assert_eq!(same.status.code(), Some(0), "{}", errors(&same));
    assert_eq!(lines(&same), ["replays of 2: 2 same, 0 cosmetic, 0 divergent"]);
    let other = plan(&host, "quickstart", &["--replay-last", "1"]);
    assert_eq!(other.status.code(), Some(3), "{}", errors(&other));
    let told = lines(&other);
    assert!(told[0].starts_with("! local/code/") && told[0].contains("divergent: "), "{told:#?}");
    assert_eq!(told[1..], ["replays of 1: 0 same, 0 cosmetic, 1 divergent"]);
    let json = plan(&host, "quickstart", &["--replay-last", "1", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["counts"]["divergent"], 1, "{json}");
}

#[test]
fn what_a_replay_of_the_last_builds_has_no_use_for_is_refused_and_not_ignored() {
    let host = Host::default();
    for option in [
        ["--job", "a"],
        ["--until", "a"],
        ["--trigger", "api"],
        ["--branch", "main"],
        ["--tag", "v1"],
        ["--changed", "a"],
        ["--param", "a=b"],
        ["--param-file", "a"],
        ["--reveal", "PUBLISH_TOKEN"],
        ["--event", "a"],
        ["--assume", "success"],
        ["--diff", "a"],
    ] {
        let refused = plan(&host, "release", &[&["--replay-last", "1"], &option[..]].concat());
        assert_eq!(refused.status.code(), Some(2), "{option:?}: {}", errors(&refused));
        assert!(errors(&refused).contains("cannot be used with"), "{option:?}: {}", errors(&refused));
    }
}

#[test]
fn of_several_events_all_that_have_no_plan_are_told() {
    let host = Host::default();
    let event = |name: &str| written(&host, name, &format!(r#"{{"ref": "refs/heads/{name}"}}"#));
    let (one, two) = (event("one.json"), event("two.json"));
    let both = ["--event", &one, "--event", &two];
    let fails = probe(&host, "fails-on-a-branch", &both);
    assert_eq!(fails.status.code(), Some(3), "{}", errors(&fails));
    let told = errors(&fails);
    let of =
        |event: &str| told.lines().any(|line| line.contains(event) && line.contains(&format!("no luck on {event}")));
    assert!(of("one.json") && of("two.json"), "{told}");

    let no_job = plan(&host, "release", &[&both[..], &["--job", "pakage"]].concat());
    assert_eq!(no_job.status.code(), Some(2), "{}", errors(&no_job));
    let told = errors(&no_job);
    assert!(told.contains(&format!("{one}, {two}: ")), "what is the same is told together: {told}");
}

#[test]
fn a_parameter_that_no_event_has_a_use_for_is_a_warning_once() {
    let host = Host::default();
    let event = |name: &str| written(&host, name, &format!(r#"{{"ref": "refs/heads/{name}"}}"#));
    let (one, two) = (event("one"), event("two"));
    let both = ["--event", &one, "--event", &two, "--param", "imagee=x"];
    let planned = probe(&host, "wide", &both);
    assert_eq!(planned.status.code(), Some(0), "{}", errors(&planned));
    assert_eq!(errors(&planned).matches("neither declares nor asks for the parameter \"imagee\"").count(), 1);
    // One that the script asks for in one event is used.
    let asked = probe(&host, "asks-on-a-branch", &[&both[..], &["--param", "two=x"]].concat());
    assert_eq!(asked.status.code(), Some(0), "{}", errors(&asked));
    let told = errors(&asked);
    assert!(told.contains("the parameter \"imagee\"") && !told.contains("the parameter \"two\""), "{told}");
}

#[test]
fn the_results_of_a_build_with_a_long_journal_are_assumed_to_its_end() {
    let host = Host::default();
    let code = code(&host).to_str().expect("text").to_owned();
    let ended = host.run("resume-many", &["--dir", &code, "--param", "count=200"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.events.len() > 1000, "that is no more than one page: {}", ended.events.len());
    let last = probe(&host, "resume-many", &["--assume", "last", "--param", "count=200"]);
    assert_eq!(last.status.code(), Some(0), "{}", errors(&last));
    let told = lines(&last);
    for number in 0..200 {
        let waits = of(&told, &format!("waits-{number}")).to_owned();
        assert!(!waits.contains("known when it runs"), "{waits}");
        let child = of(&told, &format!("child-{number}")).to_owned();
        assert!(child.contains(&format!("submitted by waits-{number}")), "{child}");
    }
}

#[test]
fn what_is_asked_for_and_is_not_there_is_refused_with_its_exit_code() {
    let host = Host::default();
    let run = |arguments: &[&str]| {
        let output = plan(&host, "release", arguments);
        (output.status.code(), errors(&output))
    };
    let broken = written(&host, "broken.json", "{");
    for (arguments, says) in [
        (&["--job", "pakage", "--tag", "v1.2.0"][..], "did you mean \"package\"?"),
        (&["--assume", "/no/such/file"], "what is assumed (/no/such/file) can't be used"),
        (&["--assume", &broken], "can't be used"),
        (&["--diff", "/no/such/script.wasm"], "/no/such/script.wasm"),
        (&["--event", &broken], "no JSON of a forge's event"),
    ] {
        let (code, text) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
    let failed = probe(&host, "define-fails", &[]);
    assert_eq!(failed.status.code(), Some(3));
    assert!(errors(&failed).contains("does not want to be built"), "{}", errors(&failed));
    let json = probe(&host, "define-fails", &["--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["ok"], false);
    let json: Value = serde_json::from_slice(&plan(&host, "release", &["--json"]).stdout).expect("JSON");
    assert_eq!(
        (&json["ok"], &json["plans"][0]["plan"]["jobs"][0]["fate"]["wave"]),
        (&true.into(), &1.into()),
        "{json}"
    );
    let two = host.command(&["check"]).arg(Path::new("x.wasm")).args(["--event", "a", "--event", "b"]).output();
    let two = two.expect("the host runs");
    assert_eq!(two.status.code(), Some(2));
    assert!(errors(&two).contains("`plan` takes several"), "{}", errors(&two));
}
