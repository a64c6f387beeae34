//! A simulated host refuses what a real one refuses.

use monkeyci_sdk::prelude::*;
use monkeyci_sdk::testing::Simulation;

/// The faults of what a script declares.
fn faults<J: IntoJobs>(script: impl FnOnce(&'static Build) -> J) -> Vec<String> {
    Simulation::new().try_graph(script).err().unwrap_or_default()
}

/// That there is one fault, with this in it.
#[track_caller]
fn one_fault<J: IntoJobs>(part: &str, script: impl FnOnce(&'static Build) -> J) {
    let faults = faults(script);
    assert!(faults.len() == 1 && faults[0].contains(part), "{part:?} is not in {faults:?}");
}

fn job(id: &str) -> ContainerJob {
    container(id, "debian:12").shell(["true"])
}

#[test]
fn each_fault_of_a_graph_is_found() {
    one_fault("the id is not valid", |_| job("a b"));
    one_fault("the same id", |_| (job("a"), action("a", |_| Ok(()))));
    one_fault("there is no job \"b\"", |_| job("a").needs("b"));
    one_fault("there is no job \"x\"", |_| (job("a").needs("b").needs("c"), job("b").needs("x"), job("c").needs("b")));
    one_fault("needs itself", |_| job("a").needs("a"));
    one_fault("a needs b needs c needs a", |_| (job("a").needs("b"), job("b").requires("c"), job("c").needs("a")));
    one_fault("in a cycle", |_| {
        (
            job("a").save_artifact("x", "x").restore_artifact("y", "."),
            job("b").save_artifact("y", "y").restore_artifact("x", "."),
        )
    });
    one_fault("in a cycle", |_| (job("a").output_env("X", "b", "x"), job("b").needs("a")));
    one_fault("there is no image", |_| container("a", "").shell(["true"]));
    one_fault("there is no command", |_| container("a", "debian:12"));
    one_fault("another in shell", |_| job("a").argv(["true"]));
    one_fault("no job saves", |_| job("a").restore_artifact("x", "."));
    one_fault("saves itself", |_| job("a").save_artifact("x", "x").restore_artifact("x", "."));
    one_fault("by another job already", |_| (job("a").save_artifact("x", "x"), job("b").save_artifact("x", "x")));
    one_fault("there is no job \"b\", whose output", |_| job("a").output_env("X", "b", "x"));
    one_fault("has to be relative", |_| job("a").work_dir("../b"));
    one_fault("at most 10 times", |_| job("a").retry(11));
    one_fault("two caches \"c\"", |_| job("a").cache("c", "x").cache("c", "y"));
    one_fault("two services \"db\"", |_| job("a").service(service("db", "x")).service(service("db", "y")));
    one_fault("environment variable", |_| job("a").env("A=B", "1"));
    one_fault("its timeout is 0", |_| job("a").timeout(std::time::Duration::ZERO));
}

#[test]
fn what_leans_on_a_removed_job_is_a_fault_unless_it_only_needs_it() {
    let gone = || job("gone").save_artifact("x", "x").only_if(false, "no");
    one_fault("requires the job \"gone\"", |_| (gone(), job("a").requires("gone")));
    one_fault("of the job \"gone\", which is removed", |_| (gone(), job("a").restore_artifact("x", ".")));
    one_fault("reads an output of the job \"gone\"", |_| (gone(), job("a").output_env("X", "gone", "x")));
    assert_eq!(faults(|_| (gone(), job("a").needs("gone").restore_artifact_if_there("x", "."))), [""; 0]);
    assert_eq!(faults(|_| (gone(), job("a").requires("gone").only_if(false, "nor this"))), [""; 0]);
}

#[test]
fn a_secret_that_nobody_gave_is_a_fault_only_of_a_job_that_stays() {
    let with = |build: &Build, stays: bool| -> Result<(ContainerJob, ContainerJob)> {
        let (token, password) = (build.secret("TOKEN")?, build.secret("PASSWORD")?);
        let service = service("db", "postgres:17").secret_env("PASSWORD", &password);
        Ok((job("test"), job("publish").secret_env("TOKEN", &token).service(service).only_if(stays, "not today")))
    };
    assert_eq!(faults(|build| with(build, false)), [""; 0]);
    let missing = faults(|build| with(build, true));
    assert!(
        missing.len() == 2 && missing[0].contains("\"TOKEN\"") && missing[1].contains("\"PASSWORD\""),
        "{missing:?}"
    );
    one_fault("\"TOKEN\"", |build| build.secret("TOKEN").map(|token| job("a").secret_file("TOKEN", &token)));
}

#[test]
fn a_secret_that_may_be_missing_is_asked_for_as_such() {
    let script = |build: &Build| -> Result<ContainerJob> {
        let token = build.secret_if_there("TOKEN")?;
        Ok(match token {
            Some(token) => job("a").secret_env("TOKEN", &token),
            None => job("a").env("TOKEN", "none"),
        })
    };
    assert_eq!(Simulation::new().graph(script).job("a").env["TOKEN"], "none");
    assert_eq!(Simulation::new().secret("TOKEN", "x").graph(script).job("a").env["TOKEN"].to_string(), "secret TOKEN");
}

#[test]
fn a_script_that_fails_has_its_error_for_a_fault() {
    one_fault("the name of a secret is empty", |build| build.secret("").map(|_| ()));
    one_fault("no builds today", |_| -> Result<()> { bail!("no builds today") });
    one_fault("the handler \"a\" has the name", |_| (action("a", |_| Ok(())), handler("a", |_| Ok(()))));
}

#[test]
#[should_panic(expected = "the script declares no job \"biuld\", but build, test")]
fn asking_for_a_job_that_is_not_there_says_which_there_are() {
    Simulation::new().graph(|_| (job("build"), job("test"))).job("biuld");
}

#[test]
#[should_panic(expected = "there is no job \"b\"")]
fn a_faulty_graph_panics_with_its_faults() {
    Simulation::new().graph(|_| job("a").needs("b"));
}

#[test]
fn what_only_an_action_may_do_is_refused_elsewhere() {
    let context_calls: [fn(&Context) -> Result<()>; 12] = [
        |context| context.message("x"),
        |context| context.warn("x"),
        |context| context.skip("x"),
        |context| context.output("x", 1),
        |context| context.link("x", "https://example.com"),
        |context| context.coverage(1.0),
        |context| context.write_file("x", "x"),
        |context| context.append_file("x", "x"),
        |context| context.open_file("file").map(|_| ()),
        |context| context.artifacts().list().map(|_| ()),
        |context| context.wait("a").map(|_| ()),
        |context| context.submit(container("x", "debian:12").argv(["true"])).map(|_| ()),
    ];
    for (position, call) in context_calls.into_iter().enumerate() {
        let script = move |_: &Build| job("a").refine(move |_, context| call(context));
        let error = Simulation::new().file("file", "").refine(script, "a").result.expect_err("it was not refused");
        assert!(error.contains("only an action may"), "{position}: {error}");
    }
    let define =
        Simulation::new().secret("T", "x").allow_reveal("T").try_graph(|build| build.secret("T")?.reveal().map(|_| ()));
    assert!(define.is_err_and(|faults| faults[0].contains("only an action may reveal")));
}
