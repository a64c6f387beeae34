//! Builds that run again, and builds of which only some jobs run.

use std::collections::BTreeSet;
use std::fs;

use monkeyci_tests::host::{Ended, Host, Running};
use serde_json::Value;

/// Runs an earlier build again.
fn rerun(host: &Host, arguments: &[&str]) -> Ended {
    let mut command = host.command(&["rerun", "--progress", "json", "--by", "ann"]);
    Running::spawn(command.args(arguments)).end()
}

fn id(ended: &Ended) -> String {
    ended.events[0]["build"].as_str().expect("an id").to_owned()
}

fn started(ended: &Ended) -> BTreeSet<&str> {
    ended.of_type("job/started").filter_map(|event| event["job"].as_str()).collect()
}

/// The jobs that are reused, and from where.
fn reused(ended: &Ended) -> Vec<(&str, &str)> {
    let ends = ended.of_type("job/ended").filter(|event| event["ending"]["cause"] == "reused");
    ends.filter_map(|event| Some((event["job"].as_str()?, event["ending"]["build"].as_str()?))).collect()
}

fn said(host: &Host, arguments: &[&str]) -> String {
    let said = host.command(arguments).output().expect("the host runs");
    String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
}

fn shown(host: &Host, build: &str) -> Value {
    let shown = host.command(&["show", build, "--json"]).output().expect("the host runs");
    serde_json::from_slice(&shown.stdout).expect("JSON")
}

/// A repository with a file, `a.txt`, that is committed.
fn committed() -> tempfile::TempDir {
    let code = tempfile::tempdir().expect("a directory");
    fs::write(code.path().join("a.txt"), "a").expect("written");
    let git = |arguments: &[&str]| {
        let done =
            std::process::Command::new("git").current_dir(code.path()).args(arguments).output().expect("git runs");
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "one"]);
    code
}

#[test]
fn of_31_jobs_the_one_that_failed_runs_again_with_what_needs_it() {
    let host = Host::default();
    let first = host.run("again", &[]);
    assert_eq!((first.code, first.of_type("job/started").count()), (Some(1), 32), "{first:#?}");
    let build = id(&first);

    // The same once more: it fails again.
    let second = rerun(&host, &["latest", "--failed"]);
    assert_eq!((second.code, started(&second)), (Some(1), ["fails"].into()), "{second:#?}");
    assert_eq!(reused(&second).len(), 31, "29 declared jobs, and two that one of them had submitted");
    assert!(reused(&second).iter().all(|(_, from)| *from == build));
    let told = second.of_type("build/rerun").next().expect("it says so");
    assert_eq!((&told["of"], &told["by"], &told["what"]), (&build.as_str().into(), &"ann".into(), &"failed".into()));
    let selection = &second.of_type("jobs/selected").next().expect("it says which")["selection"];
    assert_eq!(selection["again"], serde_json::json!([["fails", "it failed"], ["last", "it did not run"]]));

    // And of that one once more, with a parameter that lets it succeed: what it reused is reused from where it ran.
    let third = rerun(&host, &["--failed", "--param", "luck=yes"]);
    assert_eq!((third.code, started(&third)), (Some(0), ["fails", "last"].into()), "{third:#?}");
    assert!(reused(&third).iter().all(|(_, from)| *from == build));
    third.says("last", &["of first, 42"]);
    let warned = third.of_type("build/warned").next().expect("a warning")["message"].to_string();
    assert!(warned.contains("31 jobs was made of the parameters of the build"), "{warned}");

    // Whoever looks at it sees what ran, and what did not.
    let third = id(&third);
    let shown = shown(&host, &third);
    let job =
        |id: &str| shown["jobs"].as_array().expect("jobs").iter().find(|job| job["job"] == id).expect("a job").clone();
    assert_eq!((&job("first")["reused_from"], &job("last")["reused_from"]), (&build.as_str().into(), &Value::Null));
    assert_eq!(job("first")["results"]["outputs"]["number"], "42");
    assert_eq!((&job("part-1")["submitted_by"], &job("part-1")["status"]), (&"adds".into(), &"success".into()));
    assert_eq!(shown["rerun_of"], id(&second).as_str());
    let text = said(&host, &["show", &third]);
    assert!(text.contains(&format!("reused from {build}")) && text.contains("what did not succeed"), "{text}");
    let short = |build: &str| build.rsplit('/').next().expect("a part").to_owned();
    assert!(said(&host, &["list"]).contains(&format!("rerun of {}", short(&id(&second)))));
    let log = said(&host, &["logs", &third, "first"]);
    assert!(log.contains(&format!("reused from {build}; see `monkeyci-host logs {} first`", short(&build))), "{log}");
    // What was reused is its own: the build that it came from may go.
    let out = tempfile::tempdir().expect("a directory");
    fs::remove_dir_all(host.home().join("blobs/artifacts").join(&build)).expect("artifacts of the first build");
    let got = said(&host, &["artifacts", "get", "made", "--build", &third, "-o", out.path().to_str().expect("text")]);
    assert_eq!(fs::read_to_string(out.path().join("made")).expect(&got), "of first");
}

#[test]
fn a_failed_build_says_how_to_run_it_again_and_a_job_that_is_named_runs_alone_or_with_what_needs_it() {
    let host = Host::default();
    let first = host.run("again", &[]);
    let build = id(&first);
    let short = build.rsplit('/').next().expect("a part");
    assert!(said(&host, &["show"]).contains(&format!("monkeyci-host rerun {short} --failed")));

    let alone = rerun(&host, &[&build, "--job", "step-3"]);
    assert_eq!(
        (alone.code, started(&alone)),
        (Some(1), ["step-3"].into()),
        "a failure that is reused is one: {alone:#?}"
    );
    assert_eq!(alone.ending("fails")["build"], build.as_str());
    assert!(alone.ending("last")["reason"].as_str().expect("a reason").contains("left out"), "{alone:#?}");

    let from = rerun(&host, &[&build, "--from", "step-27", "--param", "luck=yes"]);
    assert_eq!(started(&from), ["step-27", "fails", "last"].into(), "{from:#?}");

    // The action that submitted a job runs again, and of what it submits only that job.
    let part = rerun(&host, &[&build, "--job", "part-2"]);
    assert_eq!(started(&part), ["adds", "part-2"].into(), "{part:#?}");
    assert_eq!(part.ending("part-1")["cause"], "reused");

    let all = rerun(&host, &[&build, "--all", "--param", "luck=yes"]);
    assert_eq!((all.code, started(&all).len(), reused(&all).len()), (Some(0), 33, 0), "{all:#?}");
    let none = rerun(&host, &["latest", "--failed"]);
    assert_eq!((none.code, none.events.len()), (Some(2), 0));
    assert!(none.stderr.contains("no job of the build") && none.stderr.contains("failed"), "{}", none.stderr);
    let unknown = rerun(&host, &[&build, "--job", "step-2z"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("there is no job \"step-2z\"; did you mean \"step-2\"?"), "{}", unknown.stderr);
}

#[test]
fn a_manual_job_holds_nothing_up_and_is_started_in_one_more_run() {
    let host = Host::default();
    let first = host.run("manual", &[]);
    assert_eq!((first.code, started(&first)), (Some(0), ["test", "look", "clean"].into()), "{first:#?}");
    assert_eq!((first.cause("deploy"), first.ending("smoke")["because"].as_str()), ("manual", Some("deploy")));
    first.says("look", &["deploy: Status::Blocked"]);
    let build = id(&first);
    let short = build.rsplit('/').next().expect("a part");
    let text = said(&host, &["show"]);
    assert!(text.contains(&format!("start it: monkeyci-host rerun {short} --from deploy")), "{text}");
    let none = rerun(&host, &["--failed"]);
    assert!(none.code == Some(2) && none.stderr.contains("no job of the build"), "{none:#?}");
    let second = rerun(&host, &["--from", "deploy"]);
    assert_eq!((second.code, started(&second)), (Some(0), ["deploy", "smoke", "clean"].into()), "{second:#?}");
    second.says("deploy", &["deployed"]);
    assert_eq!(second.cause("test"), "reused");
}

#[test]
fn a_build_runs_again_with_the_code_and_the_secrets_that_it_had_or_it_is_said_what_is_not_the_same() {
    let (host, code) = (Host::default(), committed());
    let token = tempfile::NamedTempFile::new().expect("a file");
    fs::write(token.path(), "sw0rdfish").expect("written");
    let token = format!("token={}", token.path().display());
    let dir = code.path().to_str().expect("text");
    let first = host.run("again", &["--dir", dir, "--secret", &token]);
    assert_eq!(first.code, Some(1), "{first:#?}");
    let refused = |arguments: &[&str]| {
        let ended = rerun(&host, &[&["--failed"], arguments].concat());
        assert_eq!((ended.code, ended.events.len()), (Some(2), 0), "{ended:#?}");
        ended.stderr
    };
    assert!(refused(&[]).contains("give it once more: --secret token=FILE"));
    let same = rerun(&host, &["--failed", "--secret", &token]);
    same.says("fails", &["with a secret"]);
    // What else stands in the environment is meant for other builds.
    let mut command = host.command(&["rerun", "--progress", "json", "--by", "ann", "--failed"]);
    let given = [("SECRET_token", "sw0rdfish"), ("SECRET_other", "0therw1se"), ("PARAM_luck", "yes")];
    command.envs(given.map(|(name, value)| (format!("MONKEYCI_{name}"), value)));
    let same = Running::spawn(&mut command).end();
    assert_eq!((same.code, same.of_type("build/warned").count()), (Some(1), 0), "{same:#?}");
    same.says("fails", &["with a secret"]);
    let shown = shown(&host, &id(&same));
    assert_eq!((&shown["secrets"], &shown["params"]["luck"]), (&serde_json::json!(["token"]), &Value::Null), "{shown}");

    fs::write(code.path().join("a.txt"), "b").expect("written");
    let changed = refused(&["--secret", &token]);
    assert!(
        changed.contains("the code has other changes that are not committed than it had when the build"),
        "{changed}"
    );
    let changed = rerun(&host, &["--failed", "--with-changes", "--secret", &token]);
    assert_eq!((started(&changed), reused(&changed).len()), (["fails"].into(), 31), "{changed:#?}");
    let warned = changed.of_type("build/warned").next().expect("a warning")["message"].to_string();
    assert!(warned.contains("was made of the code and the script of the build"), "{warned}");
}

#[test]
fn code_that_is_as_it_was_committed_is_the_same_whenever_its_files_were_written() {
    let (host, code) = (Host::default(), committed());
    let file = code.path().join("a.txt");
    let dir = code.path().to_str().expect("text");
    // There is no such engine: the workspace is packed for the container job, which then fails.
    let no_engine = ["--engine", "unix:///no/such/engine"];
    let first = host.run("hello", &[&["--dir", dir], &no_engine[..]].concat());
    assert_ne!(first.code, Some(0), "{first:#?}");
    let touched = fs::File::options().write(true).open(&file).expect("opened");
    touched.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000)).expect("set");
    let again = rerun(&host, &[&["--failed"], &no_engine[..]].concat());
    assert_eq!(again.of_type("build/rerun").count(), 1, "{again:#?}");
    fs::write(&file, "b").expect("written");
    let changed = rerun(&host, &[&["--failed"], &no_engine[..]].concat());
    assert_eq!((changed.code, changed.of_type("build/rerun").count()), (Some(2), 0), "{changed:#?}");
}

#[test]
fn a_job_whose_artifact_is_gone_runs_again_and_that_is_said() {
    let host = Host::default();
    let build = id(&host.run("again", &[]));
    fs::remove_dir_all(host.home().join("blobs/artifacts").join(&build)).expect("artifacts");
    let again = rerun(&host, &["--failed", "--param", "luck=yes"]);
    assert_eq!((again.code, started(&again)), (Some(0), ["fails", "first", "last"].into()), "{again:#?}");
    again.says("last", &["of first, 42"]);
    let warnings: Vec<String> = again.of_type("build/warned").map(|event| event["message"].to_string()).collect();
    assert!(warnings[0].contains("not in the store any more: first runs again to make it"), "{warnings:?}");
}

#[test]
fn only_what_is_asked_for_runs_and_the_rest_is_shown_as_left_out() {
    let host = Host::default();
    let only = host.run("again", &["--job", "last", "--job", "step-2", "--param", "luck=yes"]);
    let expected = ["first", "adds", "part-1", "part-2", "fails", "step-27", "step-2", "last"];
    assert_eq!((only.code, started(&only)), (Some(0), expected.into()), "{only:#?}");
    let reason = only.ending("step-1")["reason"].as_str().expect("a reason").to_owned();
    assert_eq!(reason, "left out: only what is named runs: last, step-2");
    assert!(said(&host, &["show"]).contains("did not run: left out: only what is named runs: last, step-2"));

    let until = host.run("again", &["--until", "fails"]);
    assert_eq!((until.code, started(&until).len()), (Some(1), 32), "{until:#?}");
    assert!(until.ending("last")["reason"].as_str().expect("a reason").contains("it comes after fails"), "{until:#?}");
    // What was left out stays so when the build runs again.
    let again = rerun(&host, &["--failed", "--param", "luck=yes"]);
    assert_eq!((again.code, started(&again)), (Some(0), ["fails"].into()), "{again:#?}");
    assert!(again.ending("last")["reason"].as_str().expect("a reason").contains("it comes after fails"), "{again:#?}");

    let unknown = host.run("again", &["--job", "frist"]);
    assert_eq!((unknown.code, started(&unknown).len()), (Some(2), 0), "{unknown:#?}");
    let refused = unknown.of_type("build/refused").next().expect("it says why");
    assert_eq!(refused["message"], "there is no job \"frist\"; did you mean \"first\"?");
    let list = said(&host, &["list"]);
    assert!(list.lines().any(|line| line.contains("refused") && line.contains("there is no job")), "{list}");
}
