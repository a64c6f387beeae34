//! How container jobs run, and jobs made by a program.

use std::time::Duration;

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all};

pub fn jobs(case: &str, probe: &Probe) -> Case {
    let sh = |id: &str, lines: &[&str]| probe.sh(id, lines);
    match case {
        "job-options" => all((
            sh(
                "user",
                &[
                    "echo \"user $(id -u) group $(id -g)\"",
                    "touch written 2>/dev/null && echo can write || echo can not write",
                ],
            )
            .user("1000:1000"),
            sh("program", &["echo options: $-", "echo star: *"]).shell_program(["/bin/sh", "-f"]),
            sh("each", &["cd /; X=1", "echo \"X is ${X-unset}\"", "test \"$PWD\" != / && echo same directory"])
                .shell_each(),
            sh("each-fails", &["echo one", "exit 3", "echo never"]).shell_each().allow_failure(),
            sh("labels", &["true"]).label("team", "probe").label("tier", "1"),
        )),
        "architecture" => {
            let name = probe.build.param_or("architecture", "amd64")?;
            all(sh("machine", &["echo \"machine $(uname -m)\""]).architecture(name))
        }
        "retry" => all((
            sh("flaky", &["echo \"attempt $MONKEYCI_ATTEMPT\"", "test \"$MONKEYCI_ATTEMPT\" -ge 3"])
                .retry(5)
                .retry_on(RetryOn::ExitCode(1))
                .retry_delay(Duration::from_millis(100)),
            sh("other-exit-code", &["echo \"attempt $MONKEYCI_ATTEMPT\"", "exit 9"])
                .retry(5)
                .retry_on(RetryOn::ExitCode(1))
                .allow_failure(),
            sh("hopeless", &["echo \"attempt $MONKEYCI_ATTEMPT\"", "exit 1"]).retry(1).allow_failure(),
            sh("too-slow", &["echo \"attempt $MONKEYCI_ATTEMPT\"", "test \"$MONKEYCI_ATTEMPT\" = 2 || sleep 300"])
                .timeout(Duration::from_secs(2))
                .retry(1)
                .retry_on(RetryOn::Timeout),
        )),
        "matrix" => {
            let jobs = matrix()
                .axis("letter", ["a", "b"])
                .axis("number", ["1", "2"])
                .exclude(|c| &c["letter"] == "b" && &c["number"] == "1")
                .jobs(|c| sh(&c.id("m"), &[&format!("echo combination {} {}", &c["letter"], &c["number"])]));
            let count = jobs.len();
            let end = action("end", move |context| context.report(&format!("{count} combinations"))).needs_all(&jobs);
            all((jobs, end))
        }
        "hooks" => {
            let hooks = hooks()
                .change(Job::is_container, |job| {
                    job.map_container(|job| {
                        job.shell_first(["echo before $WHO"]).shell(["echo after"]).env("WHO", "lines")
                    })
                })
                .before(Job::is_action, |_| {
                    println!("before the action");
                    Ok(())
                })
                .after(
                    |job| job.id() == "fails",
                    |context, result| {
                        println!("after the action: {:?}", result.map_err(|error| error.to_string()));
                        context.warn("the hook has saved it")
                    },
                );
            let fails = action("fails", |_| bail!("no luck today"));
            hooks.apply((sh("lines", &["echo the line"]), fails)).map(Some)
        }
        _ => Ok(None),
    }
}
