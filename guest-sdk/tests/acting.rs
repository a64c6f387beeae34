//! What actions do, and what they get to see.

use std::io::{Read, Write};
use std::time::Duration;

use monkeyci_sdk::prelude::*;
use monkeyci_sdk::testing::{Acted, Simulation, ended};

/// Runs a closure as the action `a`, beside a container job `b`.
fn act(simulation: &Simulation, run: impl Fn(&Context) -> Result<()> + Clone + 'static) -> Acted {
    simulation.act(
        move |_: &Build| (action("a", run).creates_artifact("made"), container("b", "debian:12").argv(["true"])),
        "a",
    )
}

/// Runs a closure as an action that creates what it has to.
fn act_well(simulation: &Simulation, run: impl Fn(&Context) -> Result<()> + Clone + 'static) -> Acted {
    let acted = act(simulation, move |context| {
        run(context)?;
        context.artifacts().create("made", "file")?.finish().map(|_| ())
    });
    assert_eq!(acted.result, Ok(()));
    acted
}

#[test]
fn what_an_action_says_is_recorded() {
    let acted = act_well(&Simulation::new(), |context| {
        context.publish("said", r#"{"n": 1}"#)?;
        context.report("all is well")?;
        context.log(Level::Warn, "nearly");
        context.message("first")?;
        context.message("last")?;
        context.warn("odd")?;
        context.output("size", 42)?;
        context.link("site", "https://example.com")?;
        context.test_report("<testsuite/>")?;
        context.coverage(99.5)
    });
    assert_eq!(acted.events, [("said".to_owned(), r#"{"n": 1}"#.to_owned())]);
    assert_eq!(acted.reports, ["all is well"]);
    assert_eq!(acted.log, [(Level::Warn, "nearly".to_owned())]);
    assert_eq!((acted.message.as_deref(), acted.warning.as_deref()), (Some("last"), Some("odd")));
    assert_eq!(acted.outputs["size"], "42");
    assert_eq!(acted.links, [("site".to_owned(), "https://example.com".to_owned())]);
    assert_eq!((acted.test_reports.len(), acted.coverage), (1, Some(99.5)));
}

#[test]
fn what_is_of_the_wrong_form_is_refused() {
    act_well(&Simulation::new(), |context| {
        let refused = [
            context.publish("", "{}"),
            context.publish("name", "{"),
            context.publish("name", format!("\"{}\"", "x".repeat(70_000))),
            context.report("x".repeat(70_000)),
            context.output("a b", 1),
            context.link("file", "file:///etc/passwd"),
            context.coverage(f64::NAN),
            context.test_report("no XML"),
            context.write_file("../x", ""),
            context.artifacts().create("undeclared", "x").map(|_| ()),
            context.artifacts().save("made", "nothing").map(|_| ()),
            context.artifacts().open("made", "x").map(|_| ()),
            context.look_up("nobody").map(|_| ()),
            context.wait("nobody").map(|_| ()),
            context.wait("b").map(|_| ()),
        ];
        for (position, result) in refused.into_iter().enumerate() {
            ensure!(result.is_err_and(|error| error.is::<HostError>()), "{position} was not refused");
        }
        Ok(())
    });
}

#[test]
fn an_action_that_does_not_create_what_it_declares_fails() {
    let acted = act(&Simulation::new(), |_| Ok(()));
    assert!(acted.result.is_err_and(|error| error.contains("\"made\"")));
    assert_eq!(act(&Simulation::new(), |context| context.skip("nothing to do")).result, Ok(()));
}

#[test]
fn files_go_through_in_chunks_of_any_size() {
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let simulation = Simulation::new().file("large", &large).artifact("old", "b", "old/file", "content");
    let expected = large.clone();
    let acted = act(&simulation, move |context| {
        let mut file = context.open_file("large")?;
        ensure!(file.size() == 3_000_000, "its size is {}", file.size());
        let mut read = Vec::new();
        file.read_to_end(&mut read)?;
        ensure!(read == expected, "other bytes");
        let mut made = context.artifacts().create("made", "large")?;
        made.write_all(&read)?;
        let made = made.finish()?;
        ensure!(made.id() == "made" && made.job() == "a" && made.size() == 3_000_000, "{made:?}");
        let listed: Vec<String> = context.artifacts().list()?.iter().map(|artifact| artifact.id()).collect();
        ensure!(listed == ["made", "old"], "{listed:?}");
        ensure!(context.artifacts().file_names("old")? == ["old/file"], "other names");
        let mut text = String::new();
        context.artifacts().open("old", "old/file")?.read_to_string(&mut text)?;
        ensure!(text == "content", "{text}");
        ensure!(context.artifacts().create("made", "again").is_err(), "it can be made twice");
        Ok(())
    });
    assert_eq!(acted.result, Ok(()));
    assert_eq!(acted.artifacts["made"]["large"], large);
}

#[test]
fn a_directory_of_the_output_area_becomes_an_artifact() {
    let acted = act(&Simulation::new(), |context| {
        context.write_file("out/a", "a")?;
        context.append_file("out/b/c", "c")?;
        context.append_file("out/b/c", "c")?;
        context.write_file("other", "x")?;
        context.artifacts().save("made", "out")?;
        Ok(())
    });
    assert_eq!(acted.result, Ok(()));
    assert_eq!(acted.artifacts["made"].keys().collect::<Vec<_>>(), ["out/a", "out/b/c"]);
    assert_eq!(acted.artifact_text("made", "out/b/c"), "cc");
    assert_eq!(acted.files.len(), 3);
}

#[test]
fn the_workspace_is_what_the_simulation_gives() {
    let simulation = Simulation::new().file("a.txt", "a").file("sub/b.txt", "b").executable("sub/run", "#!");
    act_well(&simulation, |context| {
        let workspace = context.workspace();
        ensure!(workspace.read_dir(".")? == ["a.txt", "sub/"], "{:?}", workspace.read_dir("."));
        ensure!(workspace.read_dir("sub")? == ["b.txt", "run"], "{:?}", workspace.read_dir("sub"));
        ensure!(workspace.glob(["**/*.txt"])? == ["a.txt", "sub/b.txt"], "other files");
        ensure!(workspace.read_to_string("sub/b.txt")? == "b", "other text");
        ensure!(workspace.stat("sub/run")?.is_some_and(|it| it.executable && it.size == 2), "it can't be executed");
        ensure!(workspace.exists("sub")? && !workspace.exists("none")?, "it is there, or not");
        let digest = workspace.hash_files(["*.txt"])?;
        ensure!(digest.len() == 64 && digest != workspace.hash_files(["**/*.txt"])?, "{digest}");
        ensure!(workspace.hash_files(["none"]).is_err() && workspace.read_dir("none").is_err(), "there is none");
        ensure!(workspace.read_file("../x").is_err() && workspace.stat("/x").is_err(), "it leads out");
        Ok(())
    });
}

#[test]
fn a_subscription_gets_the_events_it_asks_for_in_order() {
    let simulation = Simulation::new()
        .host_event("job/started", "b", "{}")
        .event("b", "ready", "1")
        .event("c", "ready", "2")
        .outside_event("go", "3");
    act_well(&simulation, |context| {
        let second = Duration::from_secs(1);
        let all = context.subscribe().from_start();
        let mut seqs = Vec::new();
        while let Some(event) = all.next(second)? {
            seqs.push(event.seq());
        }
        ensure!(seqs == [1, 2, 3, 4], "{seqs:?}");
        let of_c =
            context.subscribe().named("ready").named("steady").of_job("c").next(second)?.context("nothing of c")?;
        ensure!(of_c.payload() == "2" && of_c.job().as_deref() == Some("c"), "{of_c:?}");
        let outside = context.wait_for_event("go", second)?.context("nothing from outside")?;
        ensure!(outside.kind() == "build/event" && outside.job().is_none(), "{outside:?}");
        context.publish("own", "4")?;
        ensure!(context.wait_for_event("own", second)?.is_some(), "its own event is lost");
        ensure!(context.subscribe().named("own").next(second)?.is_none(), "it was published before");
        Ok(())
    });
}

#[test]
fn an_outcome_is_what_the_simulation_says() {
    let failed = ended(Status::Failure).message("it broke").exit_code(3).output("k", "v").tests(5, ["one"]);
    let simulation = Simulation::new().outcome("b", failed.link("log", "https://example.com").coverage(12.5));
    act_well(&simulation, |context| {
        let b = context.wait("b")?;
        ensure!(b.job() == "b" && b.status() == Status::Failure && !b.succeeded(), "{b:?}");
        ensure!(
            (b.message().as_deref(), b.exit_code(), b.coverage()) == (Some("it broke"), Some(3), Some(12.5)),
            "{b:?}"
        );
        ensure!(b.output("k").as_deref() == Some("v") && b.outputs().len() == 1 && b.links().len() == 1, "{b:?}");
        ensure!(b.tests().is_some_and(|tests| (tests.total, tests.failed) == (5, 1)), "{b:?}");
        ensure!(b.duration() == Some(Duration::from_secs(1)), "{b:?}");
        ensure!(context.look_up("a")?.status() == Status::Running, "it does not run");
        Ok(())
    });
}

#[test]
fn submitted_jobs_are_recorded_and_waited_for() {
    let simulation = Simulation::new().outcome("two", Status::Failure);
    let acted = act_well(&simulation, |context| {
        let job = |id: &str| container(id, "debian:12").argv(["true"]);
        let jobs = context.submit(vec![
            Job::from(job("one")),
            job("two").needs("one").into(),
            action_call("three", "a", "x").into(),
        ])?;
        let outcomes = context.wait_all(&jobs)?;
        let statuses: Vec<Status> = outcomes.iter().map(|outcome| outcome.status()).collect();
        ensure!(statuses == [Status::Success, Status::Failure, Status::Success], "{statuses:?}");
        ensure!(context.wait_any(&jobs[1..])?.job() == "two", "another one is over");
        ensure!(context.wait_within("b", Duration::from_secs(1))?.is_none(), "b is over");
        for wrong in [job("b"), job("x y"), job("four").needs("nobody"), job("four").refine(|_, _| Ok(()))] {
            ensure!(context.submit(wrong).is_err(), "it was taken");
        }
        ensure!(context.submit((action("four", |_| Ok(())), handler("five", |_| Ok(())))).is_err(), "it was taken");
        Ok(())
    });
    assert_eq!(acted.submitted_ids(), ["one", "two", "three"]);
    assert_eq!(acted.submitted[1].needs, ["one"]);
}

#[test]
fn a_handler_finds_its_argument() {
    let script = |_: &Build| handler("greet", |context| context.output("whom", context.argument().unwrap_or_default()));
    assert_eq!(Simulation::new().argument("Ann").act(script, "greet").outputs["whom"], "Ann");
    let calls = move |build: &Build| (script(build), action_call("greet-bob", "greet", "Bob"));
    assert_eq!(Simulation::new().act(calls, "greet-bob").outputs["whom"], "Bob");
    assert!(Simulation::new().act(script, "nobody").result.is_err());
}

#[test]
fn a_secret_is_revealed_where_that_is_allowed_and_never_shown() {
    let script = |build: &Build| -> Result<ActionJob> {
        let token = build.secret("TOKEN")?;
        assert_eq!(format!("{token:?}"), "Secret { name: \"TOKEN\", .. }");
        Ok(action("a", move |_| {
            ensure!(token.reveal_text()? == "s3cret", "another secret");
            Ok(())
        }))
    };
    let simulation = Simulation::new().secret("TOKEN", "s3cret");
    assert!(simulation.act(script, "a").result.is_err_and(|error| error.contains("may not be revealed")));
    assert_eq!(simulation.clone().allow_reveal("TOKEN").act(script, "a").result, Ok(()));
    let binary = simulation.secret("TOKEN", [0xff, 0xfe]).allow_reveal("TOKEN").act(script, "a");
    assert_eq!(binary.result, Err("the secret \"TOKEN\" is not UTF-8".to_owned()));
}
