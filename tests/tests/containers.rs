//! Builds with container jobs, on every engine: real containers, real sidecars, real services.

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Ended, Host, assert_nothing_left, run};
use monkeyci_tests::on_each_engine;
use monkeyci_tests::place;
use monkeyci_tests::registry::Registry;
use monkeyci_tests::repository::Repository;
use rustix::process::{Signal, kill_process};
use serde_json::Value;

on_each_engine! {
    the_quickstart_succeeds_with_all_of_its_five_jobs
    output_arrives_on_its_own_stream
    an_image_without_a_shell_runs_by_argv
    shell_lines_in_an_image_without_a_shell_say_so
    a_registry_that_can_t_be_reached_is_no_fault_of_the_job_which_may_run_again
    a_missing_command_is_named
    the_first_line_that_fails_ends_the_job_and_is_named
    a_job_that_runs_out_of_memory_says_so
    a_job_killed_from_outside_ends_the_build
    a_sidecar_killed_from_outside_ends_the_build
    a_job_ends_at_its_time_limit
    the_workspace_is_the_working_tree_without_ignored_files
    an_artifact_goes_from_one_job_to_another
    an_artifact_that_is_not_there_fails_the_job
    a_cache_is_kept_from_build_to_build
    environment_and_working_directory_are_set
    a_job_waits_for_its_service
    a_service_that_is_never_ready_is_named_with_its_last_lines
    a_service_that_dies_is_named_with_its_last_lines
    a_process_left_behind_does_not_hold_the_job_up
    no_more_jobs_run_at_a_time_than_allowed
    an_interrupt_cancels_the_build_and_leaves_nothing
    what_a_killed_host_left_stays_while_it_waits_and_is_removed_by_the_next_one_after_that
    kept_containers_stay_until_somebody_removes_them
    what_a_container_made_is_given_to_one_that_runs_again_in_another_build
    this_repository_passes_its_own_check
}

fn the_quickstart_succeeds_with_all_of_its_five_jobs(engine: &Engine) {
    let host = Host::on(engine);
    let repository = Repository::default();
    repository.write("src/greeting.sh", "echo hello");
    repository.write("tests/greeting_test.sh", "sh src/greeting.sh");
    repository.write("version", "1");
    repository.commit("the project");
    let mut command = host.command(&["run", "--progress", "json", "--engine", &engine.address]);
    command.arg(place::script("quickstart")).args(["--git", &repository.url(), "--ref", "main"]);
    command.args(["--param", &format!("image={}", place::image())]);
    let ended = monkeyci_tests::host::Running::spawn(&mut command).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for job in ["prepare", "unit-test", "integration-test", "package", "report"] {
        assert_eq!(ended.cause(job), "succeeded", "{ended:#?}");
    }
    assert!(ended.log(Some("integration-test")).contains("hello from the service"));
    assert_eq!(ended.of_type("artifact/saved").next().expect("an artifact")["id"], "greeting");
    assert_eq!(ended.of_type("script/report").count(), 1);
    assert_nothing_left(engine, &host);
}

fn output_arrives_on_its_own_stream(engine: &Engine) {
    let ended = run(engine, "hello", &[]);
    assert_eq!((ended.code, ended.cause("hello")), (Some(0), "succeeded"));
    let of = |stream: &str| -> String {
        ended.of_type("log").filter(|line| line["stream"] == stream).filter_map(|line| line["text"].as_str()).collect()
    };
    assert_eq!((of("stdout"), of("stderr")), ("hello from the job\n".to_owned(), "to stderr\n".to_owned()));
}

fn an_image_without_a_shell_runs_by_argv(engine: &Engine) {
    let ended = run(engine, "no-shell", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.log(Some("no-shell")), "no shell was needed\n");
}

fn shell_lines_in_an_image_without_a_shell_say_so(engine: &Engine) {
    let ended = run(engine, "no-shell-lines", &[]);
    assert_eq!((ended.code, ended.cause("no-shell")), (Some(1), "command-not-found"));
    assert_eq!(ended.ending("no-shell")["command"], "/bin/sh");
}

/// Podman asks registries over TLS only, which this one does not speak.
#[test]
fn a_missing_image_is_named() {
    let registry = Registry::answering("404 Not Found");
    let ended = run(&Engine::docker(), "pulling", &["--param", &format!("to-pull={}", registry.image())]);
    assert_eq!((ended.code, ended.cause("victim")), (Some(1), "image-not-found"), "{ended:#?}");
    assert_eq!(ended.ending("victim")["image"], registry.image().as_str());
}

fn a_registry_that_can_t_be_reached_is_no_fault_of_the_job_which_may_run_again(engine: &Engine) {
    let ended = run(engine, "image-missing", &[]);
    assert_eq!((ended.code, ended.cause("lost")), (Some(4), "engine-failed"), "{ended:#?}");
    let reason = ended.ending("lost")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("localhost:1/no/such/image:1") && reason.contains("refused"), "{reason}");
    assert_eq!(ended.of_type("job/retried").count(), 1, "it runs again on errors of the host");
}

fn a_missing_command_is_named(engine: &Engine) {
    let ended = run(engine, "command-missing", &[]);
    assert_eq!((ended.code, ended.cause("lost")), (Some(1), "command-not-found"), "{ended:#?}");
    assert_eq!(ended.ending("lost")["command"], "no-such-command");
}

fn the_first_line_that_fails_ends_the_job_and_is_named(engine: &Engine) {
    let ended = run(engine, "exit-3", &[]);
    assert_eq!((ended.code, ended.cause("fails")), (Some(1), "exited"));
    let ending = ended.ending("fails");
    assert_eq!((&ending["code"], &ending["line"]["number"]), (&3.into(), &2.into()), "{ending}");
    assert_eq!(ended.log(Some("fails")), "before\n");
}

fn a_job_that_runs_out_of_memory_says_so(engine: &Engine) {
    let ended = run(engine, "out-of-memory", &[]);
    assert_eq!((ended.code, ended.cause("hog")), (Some(1), "out-of-memory"), "{ended:#?}");
    assert_eq!(ended.ending("hog")["limit_bytes"], 32 << 20);
}

/// Kills a container of the job `sleeper` once its command runs; another job waits for it.
fn killed(engine: &Engine, part: &str) -> Ended {
    let host = Host::on(engine);
    let mut build = host.start("sleeps", &[]);
    build.wait_until_running("sleeper");
    engine.kill(&host.owner(), "sleeper", part);
    let ended = build.end();
    assert_eq!(ended.cause("after"), "skipped");
    assert_nothing_left(engine, &host);
    ended
}

fn a_job_killed_from_outside_ends_the_build(engine: &Engine) {
    let ended = killed(engine, "job");
    assert_eq!((ended.code, ended.cause("sleeper")), (Some(1), "killed"), "{ended:#?}");
    assert_eq!(ended.ending("sleeper")["code"], 137);
}

fn a_sidecar_killed_from_outside_ends_the_build(engine: &Engine) {
    let ended = killed(engine, "sidecar");
    assert_eq!((ended.code, ended.cause("sleeper")), (Some(4), "sidecar-failed"), "{ended:#?}");
}

fn a_job_ends_at_its_time_limit(engine: &Engine) {
    let ended = run(engine, "sleeps-limited", &[]);
    assert_eq!((ended.code, ended.cause("sleeper")), (Some(1), "timed-out"));
}

fn the_workspace_is_the_working_tree_without_ignored_files(engine: &Engine) {
    let repository = Repository::default();
    repository.write(".gitignore", "ignored\n/build/\n");
    repository.write("ignored", "x");
    repository.write("build/output", "x");
    repository.write("deep/.hidden", "uncommitted");
    let ended = run(engine, "workspace", &["--dir", repository.path().to_str().expect("text")]);
    assert_eq!(ended.log(Some("look")), "./.gitignore\n./deep/.hidden\n./first\n./second\n");
    assert!(!repository.path().join("made-by-the-job").exists(), "the job wrote into the working tree");
}

fn an_artifact_goes_from_one_job_to_another(engine: &Engine) {
    let ended = run(engine, "artifact", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.log(Some("use")), "payload\n");
}

fn an_artifact_that_is_not_there_fails_the_job(engine: &Engine) {
    let ended = run(engine, "artifact-missing", &[]);
    assert_eq!((ended.code, ended.cause("make")), (Some(1), "artifact-missing"));
    assert_eq!(ended.of_type("artifact/saved").count(), 0);
}

fn a_cache_is_kept_from_build_to_build(engine: &Engine) {
    let host = Host::on(engine);
    for count in ["1\n", "2\n", "3\n"] {
        assert_eq!(host.run("cache", &[]).log(Some("count")), count);
    }
    assert_nothing_left(engine, &host);
}

fn environment_and_working_directory_are_set(engine: &Engine) {
    let repository = Repository::default();
    repository.write("sub/file", "");
    let ended = run(engine, "env", &["--git", &repository.url()]);
    // Not committed, so not in the clone: the directory is missing, and the job says so.
    assert_eq!((ended.code, ended.cause("env")), (Some(1), "start-failed"), "{ended:#?}");
    repository.commit("a directory");
    let ended = run(engine, "env", &["--git", &repository.url()]);
    assert_eq!(ended.log(Some("env")), "greeting: hello you\n/monkeyci/work/sub\n");
}

fn a_job_waits_for_its_service(engine: &Engine) {
    let ended = run(engine, "service", &[]);
    assert_eq!((ended.code, ended.log(Some("client")).as_str()), (Some(0), "served\n"), "{ended:#?}");
}

fn a_service_that_is_never_ready_is_named_with_its_last_lines(engine: &Engine) {
    let ended = run(engine, "service-never-ready", &[]);
    assert_eq!((ended.code, ended.cause("client")), (Some(1), "service-not-ready"), "{ended:#?}");
    let ending = ended.ending("client");
    assert_eq!((&ending["service"], &ending["last_lines"]), (&"mute".into(), &"I do nothing".into()), "{ending}");
    assert_eq!(ended.of_type("job/running").count(), 0);
}

fn a_service_that_dies_is_named_with_its_last_lines(engine: &Engine) {
    let ended = run(engine, "service-dies", &[]);
    assert_eq!((ended.code, ended.cause("client")), (Some(1), "service-not-ready"), "{ended:#?}");
    assert_eq!(ended.ending("client")["last_lines"], "goodbye", "{ended:#?}");
}

fn a_process_left_behind_does_not_hold_the_job_up(engine: &Engine) {
    let ended = run(engine, "background", &[]);
    assert_eq!((ended.code, ended.log(Some("leaves")).as_str()), (Some(0), "done\n"));
}

fn no_more_jobs_run_at_a_time_than_allowed(engine: &Engine) {
    let ended = run(engine, "wide", &["--jobs", "3"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let (mut running, mut most) = (0, 0);
    for event in &ended.events {
        match event["type"].as_str() {
            Some("job/started") => running += 1,
            Some("job/ended") => running -= 1,
            _ => {}
        }
        most = most.max(running);
    }
    assert_eq!(most, 3);
}

fn an_interrupt_cancels_the_build_and_leaves_nothing(engine: &Engine) {
    let host = Host::on(engine);
    for early in [true, false] {
        let mut build = host.start("sleeps", &[]);
        if early {
            build.wait_for(|event: &Value| event["type"] == "job/started");
        } else {
            // Its output is there while it runs.
            build.wait_for(|event: &Value| {
                event["type"] == "log" && event["text"].as_str().is_some_and(|text| text.ends_with("sleeping\n"))
            });
        }
        kill_process(build.pid(), Signal::INT).expect("signalled");
        let ended = build.end();
        assert_eq!(ended.code, Some(130), "{ended:#?}");
        assert_eq!((ended.cause("sleeper"), ended.cause("after")), ("cancelled", "cancelled"));
        assert_eq!(ended.of_type("build/ended").next().expect("an end")["status"], "cancelled");
        assert_nothing_left(engine, &host);
    }
}

fn what_a_killed_host_left_stays_while_it_waits_and_is_removed_by_the_next_one_after_that(engine: &Engine) {
    let host = Host::on(engine);
    let mut build = host.start("sleeps", &[]);
    build.wait_until_running("sleeper");
    kill_process(build.pid(), Signal::KILL).expect("killed");
    build.end();
    let left = engine.leftovers(&host.owner());
    assert!(!left.is_empty(), "a killed host can't clear away");
    assert_eq!(host.run("hello", &[]).code, Some(0));
    assert_eq!(engine.leftovers(&host.owner()), left, "somebody may go on with the build");
    // As if it had waited in vain.
    engine.kill(&host.owner(), "sleeper", "sidecar");
    assert_eq!(host.run("hello", &[]).code, Some(0));
    assert_nothing_left(engine, &host);
}

fn kept_containers_stay_until_somebody_removes_them(engine: &Engine) {
    let host = Host::on(engine);
    assert_eq!(host.run("exit-3", &["--keep"]).code, Some(1));
    let kept = engine.leftovers(&host.owner());
    assert!(kept.iter().any(|name| name.contains("-job")), "{kept:?}");
    // Neither another build nor its sweep touches them, nor does anybody who only asks.
    assert_eq!(host.run("hello", &[]).code, Some(0));
    let gc = |arguments: &[&str]| {
        let mut command = host.command(&["gc", "--engine", &engine.address]);
        let output = command.args(arguments).output().expect("the host runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(gc(&[]), "0 removed\n");
    let named = gc(&["--kept", "--dry-run"]);
    assert!(named.contains("-job"), "{named}");
    assert_eq!(engine.leftovers(&host.owner()), kept);
    assert_eq!(gc(&["--kept"]), named.replace("would be removed", "removed"));
    assert_nothing_left(engine, &host);
}

fn what_a_container_made_is_given_to_one_that_runs_again_in_another_build(engine: &Engine) {
    let (host, repository) = (Host::on(engine), Repository::default());
    let first = host.run("again-pods", &["--git", &repository.url(), "--ref", "topic"]);
    assert_eq!((first.code, first.cause("make"), first.cause("last")), (Some(1), "succeeded", "skipped"), "{first:#?}");
    // What it was of is what it is of, whatever has come meanwhile.
    repository.git(&["checkout", "--quiet", "topic"]);
    repository.write("later", "l");
    repository.commit("later");
    let mut command = host.command(&["rerun", "--failed", "--progress", "json", "--engine", &engine.address]);
    let again = monkeyci_tests::host::Running::spawn(command.args(["--param", "luck=yes"])).end();
    assert_eq!((again.code, again.cause("make"), again.cause("last")), (Some(0), "reused", "succeeded"), "{again:#?}");
    again.says("last", &["payload", "42", "first", "made", "on-topic"]);
    assert!(!again.log(Some("last")).contains("later"), "{again:#?}");
    let source = |ended: &Ended| ended.of_type("build/checked-out").next().expect("the code")["source"].clone();
    assert_eq!((source(&again), &source(&again)["branch"]), (source(&first), &"topic".into()));
    let build = again.events[0]["build"].as_str().expect("an id");
    let tests = host.command(&["tests", build, "--json"]).output().expect("the host runs");
    let tests: Value = serde_json::from_slice(&tests.stdout).expect("JSON");
    assert_eq!((&tests["total"], &tests["build"]), (&1.into(), &build.into()), "{tests}");
    assert_nothing_left(engine, &host);
}

fn this_repository_passes_its_own_check(engine: &Engine) {
    let host = Host::on(engine);
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let mut command = host.command(&["run", "--progress", "json", "--engine", &engine.address]);
    command.arg(place::script("self_check")).arg("--dir").arg(repository);
    command.args(["--param", &format!("image={}", place::image())]);
    let ended = monkeyci_tests::host::Running::spawn(&mut command).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_nothing_left(engine, &host);
}
