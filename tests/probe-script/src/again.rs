//! Builds that run again, whole or in part.

use std::io::Read;

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all};

pub fn jobs(case: &str, probe: &Probe) -> Case {
    match case {
        // 31 jobs of which one fails, unless somebody is lucky, and what needs it.
        "again" => {
            let lucky = probe.build.param_or("luck", "no")? == "yes";
            let secret = probe.build.secret_if_there("token")?;
            let first = action("first", |context| {
                println!("first ran");
                context.write_file("made", "of first")?;
                context.artifacts().save("made", "made")?;
                context.output("number", 42)
            });
            let adds = action("adds", |context| {
                let parts = ["part-1", "part-2"].map(|part| action_call(part, "part", "of adds"));
                context.submit(parts).map(drop)
            });
            let part = handler("part", |context| {
                println!("a part {}", context.argument().unwrap_or_default());
                context.output("of", "adds")
            });
            let fails = action("fails", move |_| {
                println!("with {} secret", if secret.is_some() { "a" } else { "no" });
                ensure!(lucky, "no luck");
                Ok(())
            });
            let last = action("last", |context| {
                let number = context.look_up("first")?.output("number").context("an output")?.to_owned();
                let mut made = String::new();
                context.artifacts().open("made", "made")?.read_to_string(&mut made)?;
                let part = context.wait("part-1")?;
                ensure!(part.succeeded() && part.duration().is_some(), "a part did not succeed");
                println!("{made}, {number}");
                Ok(())
            });
            let steps = (1..=27).map(|step| action(format!("step-{step}"), |_| Ok(())).needs("first").into());
            let mut jobs: Vec<Job> = steps.collect();
            let others = (
                part,
                first.creates_artifact("made"),
                adds.needs("first"),
                fails.needs("first"),
                last.needs("fails").needs("adds").needs("step-27"),
            );
            jobs.extend(others.into_jobs()?);
            Ok(Some(jobs))
        }
        // What a container makes is given to another one, in a build in which it does not run.
        "again-pods" => {
            let lucky = probe.build.param_or("luck", "no")?;
            let suite = "<testsuite><testcase name=\\\"adds\\\"/></testsuite>";
            let lines =
                ["echo payload >made", "echo number=42 >>\"$MONKEYCI_OUTPUTS\"", &format!("echo \"{suite}\" >r.xml")];
            let make = probe.sh("make", &lines).save_artifact("made", "made").test_report("r.xml");
            let fails = probe.sh("fails", &["test \"$LUCK\" = yes"]).env("LUCK", lucky);
            let last = probe.sh("last", &["cat made", "echo \"$NUMBER\"", "ls"]);
            let last = last.restore_artifact("made", ".").output_env("NUMBER", "make", "number").needs("fails");
            all((make, fails, last))
        }
        // A job that somebody starts later, with what needs it; and what is not held up by that.
        "manual" => {
            let deploy = action("deploy", |_| {
                println!("deployed");
                Ok(())
            });
            let look = action("look", |context| {
                let deploy = context.wait("deploy")?;
                println!("deploy: {:?}", deploy.status());
                Ok(())
            });
            all((
                action("test", |_| Ok(())),
                deploy.needs("test").manual(),
                action("smoke", |_| Ok(())).needs("deploy"),
                action("clean", |_| Ok(())).needs("deploy").always(),
                look.needs("test"),
            ))
        }
        _ => Ok(None),
    }
}
