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
        "privacy" => {
            let lines = [
                "for fd in 0 1 2 3 4 5 6 7 8 9; do (: >/proc/1/fd/$fd) 2>/dev/null && echo \"opened $fd\"; done; true",
                "for file in environ mem auxv; do head -c 1 /proc/1/$file 2>/dev/null | grep -q . && echo \"read $file\"; done; true",
                "for device in console tty0 kmsg; do ! test -e /dev/$device || echo \"there is $device\"; done",
                "echo \"scores $(cat /proc/self/oom_score_adj) $(cat /proc/1/oom_score_adj)\"",
            ];
            all((
                sh("root", &lines),
                sh("user", &lines).user("1000:1000"),
                sh("each", &lines).shell_each().user("1000"),
            ))
        }
        // The service ends when its job says so.
        "service-ends" => {
            let serve = "mkdir /www; echo served >/www/x; httpd -p 8080 -h /www";
            let end = "nc -l -p 9090 >/dev/null; echo out of luck; exit 5";
            let web = || {
                let lines = format!("echo the service has begun; {serve}; {end}");
                service("web", &probe.image).argv(("sh", "-c", lines)).ready_port(8080)
            };
            let until = "echo end | nc web 9090; while wget -q -O /dev/null http://web:8080/x; do sleep 0.2; done";
            all((
                sh("fails", &[until, "exit 7"]).service(web()),
                // The engine says that a service has ended while its job runs.
                sh("goes-on", &[until, "sleep 10", "echo went on"]).service(web()),
            ))
        }
        "never-ready" => {
            let service =
                || service("db", &probe.image).argv(["sleep", "300"]).ready_timeout(Duration::from_secs(3600));
            let limit = probe.limit()?;
            let job = |id: &str| sh(id, &["true"]).timeout(limit).allow_failure();
            let command = job("command").service(service().ready_command(["false"]));
            all((job("port").service(service().ready_port(5432)), command))
        }
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
                .timeout(probe.limit()?)
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
            let end = action("end", move |context| context.report(format!("{count} combinations"))).needs_all(&jobs);
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
        "hooks-of-submitted" => {
            let rules = hooks().change(Job::is_container, |job| {
                job.map_container(|job| job.shell_first(["echo our rules"]).env("RULES", "yes")).label("team", "build")
            });
            let image = probe.image.clone();
            let plan = action("plan", move |context| {
                let late = container("late", &image).shell(["echo \"rules: $RULES\""]);
                let late = context.submit(late)?;
                ensure!(context.wait(&late[0])?.succeeded(), "the late job has failed");
                Ok(())
            });
            rules.apply(plan).map(Some)
        }
        _ => Ok(None),
    }
}
