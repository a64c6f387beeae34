//! Builds that go on after their host has died.

use std::io::Read;
use std::time::Duration;

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
