//! Jobs that are completed late, and jobs that actions submit.

use std::time::Duration;

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all, refused};

pub fn jobs(case: &str, probe: &Probe) -> Case {
    let sh = |id: &str, lines: &[&str]| probe.sh(id, lines);
    match case {
        "refine" => {
            let image = probe.image.clone();
            let plan = action("plan", move |context| {
                context.output("image", &image)?;
                context.output("word", "late")
            });
            let late = late_container("late", |job, context| {
                let plan = context.look_up("plan")?;
                job.image(plan.output("image").context("no image")?).shell(["echo \"better $WORD than never\""]);
                job.env("WORD", plan.output("word").unwrap_or_default()).label("late", "yes");
                Ok(())
            });
            let more = sh("more", &["echo declared"]).refine(|job, _| {
                job.shell_first(["echo \"refined first: $SET\""]).shell(["echo refined last"]).env("SET", "in refine");
                Ok(())
            });
            all((plan, late.needs("plan"), more.needs("plan")))
        }
        "refine-skip" => all((
            sh("maybe", &["echo never"]).save_artifact("thing", "thing").refine(|job, _| {
                job.skip("there is nothing to do");
                Ok(())
            }),
            action("maybe-not", |_| bail!("never")).refine(|job, _| {
                job.skip("nor here");
                Ok(())
            }),
            sh("after", &["echo went on"]).needs("maybe").needs("maybe-not"),
            sh("restores", &["echo never"]).restore_artifact("thing", "."),
        )),
        "refine-fails" => all((
            sh("fails", &["echo never"]).refine(|_, _| bail!("no plan for this")),
            // Still without an image when its turn has come.
            late_container("incomplete", |job, _| {
                job.shell(["echo never"]);
                Ok(())
            }),
        )),
        "submit" => {
            let image = probe.image.clone();
            let greet = handler("greet", |context| {
                let whom = context.argument().context("no argument")?;
                println!("hello, {whom}");
                context.output("greeted", whom)
            });
            let fan_out = action("fan-out", move |context| fan_out(context, &image));
            all((greet, fan_out, sh("after", &["echo after the fan"]).needs("fan-out")))
        }
        "wait-for-each-other" => {
            let first = action("first", |context| {
                context.wait("second").map(|second| println!("second: {}", second.succeeded()))
            });
            let second = action("second", |context| {
                context.wait_any_within(["first"], Duration::from_millis(300))?;
                refused("a circle", context.wait("first"))
            });
            let third = action("third", |context| refused("waiting for who needs it", context.wait("fourth")));
            all((first, second, third, action("fourth", |_| Ok(())).needs("third")))
        }
        "many-waiters" => {
            let waiter = |n: u32| {
                action(format!("waits-{n}"), move |context| {
                    let child = context.submit(action_call(format!("child-{n}"), "double", "1"))?;
                    context.wait(&child[0]).map(drop)
                })
            };
            all((handler("double", double), (0..70).map(waiter).map(Job::from).collect::<Vec<_>>()))
        }
        "many-results" => all((0..4)
            .map(|n| {
                action(format!("says-{n}"), |context| {
                    let value = "x".repeat(64 << 10);
                    for name in 0..1000 {
                        context.output(&name.to_string(), &value)?;
                    }
                    Ok(())
                })
            })
            .map(Job::from)
            .collect::<Vec<_>>()),
        "wait-for-removed" => all((
            action("waits", |context| {
                refused("waiting", context.wait("manual"))?;
                refused("a look", context.look_up("manual"))
            }),
            sh("manual", &["echo never"]).only_if(false, "the manual did not change"),
        )),
        "action-call" => all((
            handler("double", double),
            action_call("two", "double", "1"),
            action_call("four", "double", "2").needs("two"),
        )),
        _ => Ok(None),
    }
}

fn double(context: &Context) -> Result<()> {
    let number: u32 = context.argument().context("no argument")?.parse()?;
    println!("doubled: {}", number * 2);
    Ok(())
}

fn fan_out(context: &Context, image: &str) -> Result<()> {
    let first = container("sub-1", image).shell(["echo submitted 1"]);
    let second = container("sub-2", image).shell(["echo submitted 2", "exit 3"]).needs(&first);
    let third = container("sub-3", image).shell(["echo never"]).needs("sub-2");
    let jobs = context.submit((first, second, third, action_call("greet-ann", "greet", "Ann")))?;
    println!("submitted {}", jobs.iter().map(|job| job.as_str()).collect::<Vec<_>>().join(" "));
    println!("first over: {}", context.wait_any(&jobs[..2])?.job());
    for outcome in context.wait_all(&jobs)? {
        println!("{}: {:?} {:?}", outcome.job(), outcome.status(), outcome.output("greeted"));
    }
    ensure!(context.wait_within("after", Duration::from_millis(200))?.is_none(), "after is over before its time");
    refused("a job that is there", context.submit(container("after", image).shell(["true"])))?;
    refused("a job that needs nobody", context.submit(container("sub-4", image).shell(["true"]).needs("nobody")))?;
    refused("a closure", context.submit(action("closure", |_| Ok(()))))?;
    refused("waiting for nobody", context.wait("nobody"))
}
