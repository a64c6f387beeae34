//! When jobs run.

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all};

pub fn jobs(case: &str, probe: &Probe) -> Case {
    let sh = |id: &str, lines: &[&str]| probe.sh(id, lines);
    match case {
        "allow-failure" => all((
            sh("shaky", &["echo shaking", "exit 7"]).allow_failure(),
            sh("after", &["echo went on"]).needs("shaky"),
            say_how(&["shaky"]).needs("after"),
        )),
        "run-when" => all((
            sh("good", &["true"]),
            sh("bad", &["false"]),
            sh("needs-bad", &["echo never"]).needs("bad"),
            sh("on-failure", &["echo on failure"]).needs("good").needs("bad").on_failure(),
            sh("on-failure-of-good", &["echo never"]).needs("good").on_failure(),
            sh("always", &["echo always"]).needs("bad").needs("needs-bad").run_when(RunWhen::Always),
            say_how(&["good", "bad", "needs-bad", "on-failure", "on-failure-of-good"])
                .needs("always")
                .needs("on-failure")
                .needs("on-failure-of-good")
                .always(),
        )),
        // With `--jobs 1`: the order of the ends is high, middle, low.
        "priority" => all((
            sh("low", &["echo low"]).priority(-1),
            sh("middle", &["echo middle"]),
            sh("high", &["echo high"]).priority(10),
        )),
        "fail-fast" => all((
            sh("fails", &["sleep 2", "exit 1"]).fail_fast("group"),
            sh("long", &["sleep 300"]).fail_fast("group"),
            sh("slow", &["sleep 4", "echo slow is not in the group"]),
            sh("later", &["echo never"]).needs("slow").fail_fast("group"),
            say_how(&["fails", "long", "slow", "later"]).needs_all(["fails", "long", "slow", "later"]).always(),
        )),
        "approval" => all((
            sh("build", &["echo built"]),
            sh("deploy", &["echo deployed"]).needs("build").approval("really deploy?"),
            sh("meanwhile", &["echo meanwhile"]).needs("build"),
            sh("after", &["echo after the deployment"]).needs("deploy"),
        )),
        "removed" => all((
            sh("first", &["sleep 1", "echo first"]),
            sh("middle", &["echo never"]).needs("first").only_if(false, "nobody wants it"),
            sh("last", &["echo last"]).needs("middle"),
            action("look", |context| {
                println!("first: {:?}", context.look_up("first")?.status());
                println!(
                    "middle: {:?}",
                    context.look_up("middle").map(|outcome| outcome.status()).map_err(|e| e.to_string())
                );
                Ok(())
            })
            .needs("last"),
        )),
        "undo" => all((
            sh("test", &["exit 1"]),
            sh("deploy", &["echo never"]).needs("test").only_if(false, "nobody deploys a branch"),
            sh("undo", &["echo rolled back"]).needs("deploy").on_failure(),
            sh("tell", &["echo the tests failed"]).needs_all(["test", "deploy"]).on_failure(),
            say_how(&["test"]).needs_all(["test", "deploy", "tell"]).always(),
        )),
        "all-removed" => all((
            sh("publish", &["true"]).only_if(false, "only tags are published"),
            sh("undo", &["true"]).needs("publish").on_failure(),
        )),
        "images" => all((
            container("spaces", "Debian:12 foo").shell(["true"]),
            probe.sh("beside", &["true"]).service(service("db", "Postgres")),
        )),
        "requires-removed" => all((
            sh("gone", &["true"]).save_artifact("thing", "thing").only_if(false, "nobody wants it"),
            sh("requires", &["true"]).requires("gone"),
            sh("restores", &["true"]).restore_artifact("thing", "."),
            sh("reads", &["true"]).output_env("X", "gone", "x"),
        )),
        _ => Ok(None),
    }
}

/// An action that prints how these jobs stand.
fn say_how(ids: &[&'static str]) -> ActionJob {
    let ids = ids.to_vec();
    action("say-how", move |context| {
        for id in ids {
            println!("{id}: {:?}", context.look_up(id)?.status());
        }
        Ok(())
    })
}
