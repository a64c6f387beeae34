//! What a script says of its jobs is what a host hears.

use std::time::Duration;

use monkeyci_sdk::prelude::*;
use monkeyci_sdk::testing::Simulation;

#[test]
fn everything_that_can_be_said_of_a_container_job_reaches_the_host() {
    let graph = Simulation::new().secret("TOKEN", "x").graph(|build| -> Result<_> {
        let token = build.secret("TOKEN")?;
        let database = service("db", "postgres:17")
            .argv(["postgres", "-N", "9"])
            .env("USER", "me")
            .secret_env("PASSWORD", &token)
            .ready_port(5432)
            .ready_command(["pg_isready"])
            .ready_timeout(Duration::from_secs(9));
        let first = container("first", "debian:12")
            .argv(["make", "first"])
            .save(artifact("jars", "target").files(["*.jar", "*.pom"]).always())
            .save(("docs", "doc"));
        let second = container("second", "rust:1")
            .needs(&first)
            .requires("first")
            .always()
            .allow_failure()
            .retry(3)
            .retry_on(RetryOn::Timeout)
            .retry_on(RetryOn::ExitCode(75))
            .retry_delay(Duration::from_secs(5))
            .priority(-2)
            .fail_fast("tests")
            .approval("go on?")
            .manual()
            .label("team", "core")
            .timeout(Duration::from_secs(60))
            .shell(["one", "two"])
            .shell_first(["zero"])
            .shell_program(["/bin/bash", "-e"])
            .shell_each()
            .user("1000:1000")
            .architecture("arm64")
            .network_none()
            .allow("10.1.2.3:5432")
            .allow("db.example.org")
            .env("A", "1")
            .secret_env("B", &token)
            .secret_file("C", &token)
            .param_file("D", "notes")
            .output_env("E", "first", "version")
            .test_report("reports/*.xml")
            .work_dir("sub")
            .memory(1 << 30)
            .cpu(1500)
            .shm_size(1 << 28)
            .pull(PullPolicy::Always)
            .entrypoint_of_image()
            .with_git()
            .restore_artifact("jars", ".")
            .restore_artifact_if_there("docs", "in")
            .restore_artifact_as("jars", "lib")
            .restore_artifact_as_if_there("docs", "book")
            .save_artifact("out", "out")
            .save(artifact("core", "core").on_failure())
            .save(artifact("cover", "cover").if_there())
            .cache("plain", "c")
            .keep(cache("keyed", "k").key("k-1").fallback("k-").fallback("").save(SavePolicy::Always))
            .keep(cache("several", "a").and("b").and("c").save(SavePolicy::Never))
            .service(database);
        Ok((first, second))
    });
    assert_eq!(graph.to_string(), include_str!("declaring.txt"));
    assert_eq!(graph.needs("second"), ["first"]);
}

#[test]
fn everything_that_can_be_said_of_an_action_job_reaches_the_host() {
    let graph = Simulation::new().graph(|_| {
        let gone = action("gone", |_| Ok(())).only_if(false, "no time").only_if(false, "no money");
        let notes = action("notes", |_| Ok(()))
            .creates_artifact("notes")
            .run_when(RunWhen::Failure)
            .needs_all(["gone", "call"]);
        let late = action("late", |_| Ok(())).refine(|_, _| Ok(())).needs_all(["gone", "notes"]);
        (gone, notes, late, handler("greet", |_| Ok(())), action_call("call", "greet", "you"))
    });
    assert_eq!(graph.ids(), ["notes", "late", "call"]);
    assert_eq!(graph.removed(), [("gone", "no time")]);
    assert_eq!(graph.job("notes").creates_artifacts, ["notes"]);
    assert_eq!(graph.job("notes").run_when.as_deref(), Some("failure"));
    assert!(graph.job("late").late);
    assert_eq!(graph.needs("late"), ["notes"]);
    assert_eq!(graph.job("call").calls, Some(("greet".to_owned(), "you".to_owned())));
}

#[test]
fn a_refined_job_keeps_what_was_declared_but_for_what_is_set() {
    let script = |_: &Build| {
        container("job", "debian:12").shell(["declared"]).env("A", "1").env("B", "1").refine(|job, context| {
            ensure!(job.id() == "job", "another job");
            job.image("debian:13").shell(["added"]).env("B", "2").allow_failure().label("late", "yes");
            if context.look_up("job")?.status() == Status::Pending {
                job.timeout(Duration::from_secs(1));
            }
            Ok(())
        })
    };
    let refined = Simulation::new().refine(script, "job");
    assert_eq!(refined.result, Ok(()));
    let job = refined.job;
    assert_eq!(job.image.as_deref(), Some("debian:13"));
    assert_eq!(job.shell.as_deref(), Some(&["declared".to_owned(), "added".to_owned()][..]));
    assert!(job.env["A"] == "1" && job.env["B"] == "2" && job.allow_failure && job.labels["late"] == "yes");
    assert_eq!(job.timeout, Some(Duration::from_secs(1)));
}

#[test]
fn a_refining_closure_may_skip_its_job_or_fail() {
    let script = |_: &Build| {
        let skips = container("skips", "debian:12").argv(["true"]).refine(|job, _| {
            job.skip("nothing to do");
            Ok(())
        });
        (skips, late_container("fails", |_, _| bail!("no plan")), action("plain", |_| Ok(())))
    };
    let simulation = Simulation::new();
    assert_eq!(simulation.refine(script, "skips").job.skipped.as_deref(), Some("nothing to do"));
    assert_eq!(simulation.refine(script, "fails").result, Err("no plan".to_owned()));
    let incomplete = |_: &Build| {
        late_container("late", |job, _| {
            job.argv(["true"]);
            Ok(())
        })
    };
    assert_eq!(simulation.refine(incomplete, "late").result, Err("there is no image".to_owned()));
    let none = simulation.refine(script, "plain").result.expect_err("it has no closure");
    assert!(none.contains("no closure"), "{none}");
}

#[test]
fn hooks_change_jobs_and_surround_actions() {
    let script = |_: &Build| {
        let rules = hooks()
            .change(Job::is_container, |job| job.map_container(|job| job.shell_first(["set -x"])).label("ruled", "yes"))
            .before(|job| job.id() != "plain", |context| context.publish("before", "1"))
            .after(Job::is_action, |context, result| {
                context.publish("after", if result.is_ok() { "true" } else { "false" })?;
                result
            })
            .and(hooks().change(Job::is_handler, |job| job.label("never", "seen")));
        let stops = hooks().before(|job| job.id() == "stopped", |_| bail!("not today"));
        let jobs = (
            container("test", "debian:12").shell(["make test"]),
            container("argv", "debian:12").argv(["make"]),
            action("fails", |_| bail!("no luck")),
            action("plain", |_| Ok(())),
            action("stopped", |_| panic!("it was called")),
            handler("called", |_| Ok(())),
        );
        rules.apply(stops.apply(jobs))
    };
    let simulation = Simulation::new();
    let graph = simulation.graph(script);
    assert_eq!(graph.job("test").shell.as_deref(), Some(&["set -x".to_owned(), "make test".to_owned()][..]));
    assert_eq!((graph.job("argv").shell.as_ref(), graph.job("argv").labels["ruled"].as_str()), (None, "yes"));

    let event = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fails = simulation.act(script, "fails");
    assert_eq!(fails.result, Err("no luck".to_owned()));
    assert_eq!(fails.events, [event("before", "1"), event("after", "false")]);
    assert_eq!(simulation.act(script, "plain").events, [event("after", "true")]);
    assert_eq!(simulation.act(script, "stopped").result, Err("not today".to_owned()));
    assert_eq!(simulation.act(script, "called").events, [event("before", "1")]);
}

#[test]
fn hooks_reach_the_jobs_that_an_action_submits_each_once_and_in_their_order() {
    let line = |line: &'static str| {
        hooks().change(Job::is_container, move |job| job.map_container(|job| job.shell_first([line])))
    };
    let script = move |_: &Build| {
        let plan = action("plan", |context| context.submit(container("late", "debian:12").shell(["make"])).map(drop));
        let free = action("free", |context| context.submit(container("late", "debian:12").shell(["make"])).map(drop));
        let ruled = line("second").apply(line("first").apply(plan))?;
        Ok::<_, anyhow::Error>((ruled, free))
    };
    let submitted = |job: &str| {
        let acted = Simulation::new().act(script, job);
        assert_eq!(acted.result, Ok(()));
        acted.submitted[0].shell.clone().expect("lines")
    };
    assert_eq!(submitted("plan"), ["second", "first", "make"]);
    assert_eq!(submitted("free"), ["make"], "no hook was applied to it");
}

#[test]
fn a_job_that_runs_on_a_failure_inherits_no_needs() {
    let job = |id: &str| container(id, "debian:12").argv(["true"]);
    let graph = Simulation::new().graph(|_| {
        (
            job("test"),
            job("deploy").needs("test").only_if(false, "no tag"),
            job("undo").needs("deploy").on_failure(),
            job("tell").needs_all(["deploy", "test"]).on_failure(),
            job("last").needs_all(["deploy", "undo"]).always(),
        )
    });
    let reason = "it runs on a failure of \"deploy\", which is removed";
    assert_eq!(graph.removed(), [("deploy", "no tag"), ("undo", reason)]);
    assert_eq!((graph.needs("tell"), graph.needs("last")), (vec!["test".to_owned()], vec!["test".to_owned()]));
}
