//! Builds that go on after their host has died.

use std::io::{Read, Write};
use std::time::{Duration, SystemTime};

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all};

const LONG: Duration = Duration::from_secs(60);

pub fn jobs(case: &str, probe: &Probe) -> Case {
    match case {
        // Every kind of thing that a build goes on from: values, results, files, jobs that came later, and a job that fails.
        "resume" => {
            let files = probe.build.workspace().glob(["*.txt"])?.len();
            let version = probe.build.param_or("version", "none")?;
            let first = action("first", move |context| {
                println!("first ran");
                context.write_file("made", "of first")?;
                context.artifacts().save("made", "made")?;
                context.output("files", files)
            });
            let adds = action("adds", |context| context.submit(action_call("added", "say", "added ran")).map(drop));
            let say = handler("say", |context| {
                println!("{}", context.argument().unwrap_or_default());
                Ok(())
            });
            let fails = action("fails", |_| bail!("no luck")).allow_failure();
            let last = action("last", move |context| {
                let files = context.look_up("first")?.output("files").context("an output")?.to_owned();
                let mut made = String::new();
                context.artifacts().open("made", "made")?.read_to_string(&mut made)?;
                println!("version {version}, {files} files, {made}");
                Ok(())
            });
            all((
                say,
                first.creates_artifact("made"),
                adds.needs("first"),
                fails.needs("first"),
                last.needs("adds").needs("fails"),
            ))
        }
        // One job is over, one waits for a word from outside, one for both.
        "resume-waiting" => {
            let waits = action("waits", |context| {
                println!("waits");
                context.wait_for_event("outside/go", LONG)?.context("nobody said anything")?;
                Ok(())
            });
            all((
                action("done", |_| {
                    println!("done ran");
                    Ok(())
                }),
                waits.needs("done"),
                action("after", |_| Ok(())).needs("waits"),
            ))
        }
        // An action that does all that an action can do, between two others. What it prints holds what it was told.
        "resume-acting" => {
            let secret = probe.build.secret_if_there("token")?;
            let acts = action("acts", move |context| acts(context, secret.as_ref()));
            let says = handler("says", |context| {
                let said = context.argument().unwrap_or_default();
                println!("{said}");
                context.output("said", said)
            });
            let last = action("last", |context| {
                let mut made = String::new();
                context.artifacts().open("made", "part")?.read_to_string(&mut made)?;
                let mut written = String::new();
                context.artifacts().open("written", "list")?.read_to_string(&mut written)?;
                let acts = context.look_up("acts")?;
                ensure!(acts.output("made") == Some(made.clone()), "{made:?} is not {:?}", acts.output("made"));
                println!("{} bytes written", written.len());
                Ok(())
            });
            all((
                says,
                action("first", |_| Ok(())),
                acts.creates_artifact("made").creates_artifact("written").needs("first"),
                last.needs("acts"),
            ))
        }
        // It works, until somebody stops its host, and goes on when it is asked to.
        "resume-working" => all((
            action("works", |context| {
                println!("begins");
                context.publish("works/begins", "1")?;
                let mut rounds = 0_u64;
                while context.workspace().glob(["go"])?.is_empty() {
                    rounds += 1;
                    std::thread::sleep(Duration::from_millis(5));
                    if rounds.is_multiple_of(20) {
                        context.publish("works/round", rounds.to_string())?;
                    }
                }
                println!("goes on");
                context.publish("works/ends", "1")
            }),
            action("after", |_| Ok(())).needs("works"),
        )),
        // Many that wait: each for a job that it has submitted.
        "resume-many" => {
            let says = handler("says", |context| {
                std::thread::sleep(Duration::from_millis(10));
                context.output("said", context.argument().unwrap_or_default())
            });
            let count: usize = probe.build.param_or("count", "10")?.parse().context("a number")?;
            let waits = (0..count).map(|number| {
                action(format!("waits-{number}"), move |context| {
                    let child = format!("child-{number}");
                    context.submit(action_call(&child, "says", number.to_string()))?;
                    let outcome = context.wait(&child)?;
                    ensure!(outcome.output("said") == Some(number.to_string()), "it said something else");
                    Ok(())
                })
            });
            all((says, waits.collect::<Vec<_>>()))
        }
        // Nothing runs while a person is asked.
        "resume-approval" => {
            let secret = probe.build.secret_if_there("token")?;
            let done = action("done", |_| {
                println!("done ran");
                Ok(())
            });
            let deploy = action("deploy", move |_| {
                println!("deployed, {} secret", if secret.is_some() { "with a" } else { "without" });
                Ok(())
            });
            all((done, deploy.needs("done").approval("really?")))
        }
        // All that a container job hands on, and a service that talks. Of `works` somebody may want that it waits.
        "resume-pods" => {
            let gate = match probe.build.param_or("gate", "no")?.as_str() {
                "yes" => "while ! test -e go; do sleep 0.05; done",
                _ => "sleep 0.3",
            };
            let talks = service("talks", &probe.image)
                .argv(["sh", "-c", "seq 1 300; touch /tmp/up; exec sleep 3600"])
                .ready_command(["test", "-e", "/tmp/up"]);
            let first =
                probe.sh("first", &["seq 1 300", "mkdir out; seq 1 1000 >out/list"]).save_artifact("list", "out");
            let works = ["seq 1 500", "echo begins", gate, "seq 501 1000; cat out/list | wc -l >made"];
            let works = probe.sh("works", &works).service(talks).restore_artifact("list", ".");
            let outputs = "echo said=word >>$MONKEYCI_OUTPUTS";
            let beside = probe.sh("beside", &["seq 1 200", "sleep 0.2", "seq 201 400", outputs]);
            let fails = probe.sh("fails", &["echo no luck", "exit 3"]).allow_failure();
            let last = probe.sh("last", &["cat made"]).restore_artifact("made", ".");
            all((
                first,
                works.save_artifact("made", "made").needs("first"),
                beside.needs("first"),
                fails.needs("first"),
                last.needs("works").needs("beside").needs("fails"),
            ))
        }
        _ => Ok(None),
    }
}

fn acts(context: &Context, secret: Option<&Secret>) -> Result<()> {
    println!("acts begins");
    context.publish("acts/began", r#"{"n":1}"#)?;
    context.report("it has begun")?;
    context.submit(action_call("one", "says", "the first"))?;
    let one = context.wait("one")?;
    println!("one said {:?}", one.output("said"));
    std::thread::sleep(Duration::from_millis(5));
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("a time")?.as_nanos();
    println!("slept until {time}");
    context.publish("acts/time", time.to_string())?;
    context.write_file("part", "made at ")?;
    context.append_file("part", time.to_string())?;
    let large = context.workspace().read_file("large.txt")?;
    let mut reader = context.open_file("large.txt")?;
    let mut read = Vec::new();
    reader.read_to_end(&mut read)?;
    ensure!(read == large, "a file is read in two ways");
    let mut writer = context.artifacts().create("written", "list")?;
    for number in 0..3 {
        writer.write_all(format!("{number} of {time}\n").as_bytes())?;
        context.report(format!("{number} is written"))?;
    }
    writer.write_all(&large)?;
    println!("written: {} bytes more than was read", writer.finish()?.size().min(1));
    context.artifacts().save("made", "part")?;
    let told = context.subscribe().named("acts/time").from_start().next(LONG)?.context("an event")?;
    ensure!(told.payload() == time.to_string(), "the event says {}", told.payload());
    let more = context.submit((action_call("two", "says", "2"), action_call("three", "says", "3").needs("two")))?;
    let said: Vec<_> = context.wait_all(more)?.iter().map(|job| job.output("said")).collect();
    println!("they said {said:?}");
    context.test_report(r#"<testsuite><testcase name="a"/></testsuite>"#)?;
    if let Some(secret) = secret {
        println!("the secret is {}", secret.reveal_text()?);
        context.write_file("secret", secret.reveal()?)?;
        context.log(Level::Info, secret.reveal_text()?.len().to_string());
    }
    context.output("made", format!("made at {time}"))?;
    println!("acts ends");
    Ok(())
}
