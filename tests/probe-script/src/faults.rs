//! Jobs that something happens to from outside: they are stopped, or a part of them is killed, in a phase that lasts.

use std::time::Duration;

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(300);

pub fn jobs(case: &str, probe: &Probe) -> Case {
    let sh = |id: &str, lines: &[&str]| probe.sh(id, lines);
    let web = || {
        let serve = "mkdir /www; echo served >/www/x; exec httpd -f -p 8080 -h /www";
        service("web", &probe.image).argv(["sh", "-c", serve])
    };
    match case {
        "pulling" => {
            all(container("victim", probe.build.param_or("to-pull", "localhost:1/no/such/image:1")?).argv(["true"]))
        }
        // The engine waits for the ready command before it starts the job.
        "starting" => all(sh("victim", &["true"]).service(web().ready_command(["false"]).ready_timeout(LONG))),
        // The sidecar waits for the port before it lets the job begin.
        "restoring" => all(sh("victim", &["true"]).service(web().ready_port(9).ready_timeout(LONG))),
        "running" => all(sh("victim", &["echo begun", "sleep 300"]).service(web().ready_port(8080))),
        "sleeps-shortly" => all(sh("victim", &["echo begun", "sleep 2"])),
        // The job itself notices when its service is away.
        "serving" => {
            let client = "while wget -q -O /dev/null http://web:8080/x; do sleep 0.1; done; exit 7";
            all(sh("victim", &["echo begun", client]).service(web().ready_port(8080)))
        }
        // There is nothing in the file, so it takes no room and seconds to pack.
        "saving" => {
            let size = probe.build.param_or("size", "3G")?;
            let make = format!("truncate -s {size} big; echo begun");
            all(sh("victim", &[&make]).service(web().ready_port(8080)).save_artifact("big", "big"))
        }
        // When the small one is saved the other is on its way, for an hour.
        "saving-for-long" => {
            let make = ["echo begun", "echo x >small; truncate -s 4096G big"];
            all(sh("victim", &make).save_artifact("small", "small").save_artifact("big", "big"))
        }
        "stopped" => {
            let work = "mkdir -p logs kept half; tee logs/log >kept/file <<.\nwhat happened\n.";
            let stoppable = "trap 'echo stopped by TERM; exit 7' TERM; echo begun; sleep 300 & wait";
            let job = sh("victim", &[work, stoppable])
                .save(artifact("logs", "logs").always())
                .save_artifact("result", "half")
                .keep(cache("kept", "kept").save(SavePolicy::Always))
                .cache("half", "half");
            all(job.timeout(probe.limit()?))
        }
        // Nobody stops this one in time: it takes TERM for nothing, and long to save.
        "stubborn" => {
            let big = artifact("big", "big").always();
            all(sh("victim", &["trap '' TERM", "truncate -s 12G big", "echo begun; while :; do sleep 1; done"])
                .save(big))
        }
        // What a host without a fence can run, and what it can't.
        "unfenced" => all((
            sh("served", &["wget -q -O - http://web:8080/x"]).service(web().ready_port(8080)),
            sh("other-user", &["test $(id -u) = 1234"]).user("1234"),
            sh("cut-off", &["test \"$(ls /sys/class/net)\" = lo"]).network_none(),
            sh("listed", &["true"]).network_none().allow("1.1.1.1"),
            sh("alone", &["true"]).service(web().ready_port(8080)).network_none(),
        )),
        "ends-by-signal" => all(sh("victim", &["kill -SEGV $$"])),
        "unknown-user" => all(sh("victim", &["true"]).user("nosuchuser")),
        "not-executable" => all(container("victim", &probe.image).argv(["/etc/passwd"])),
        "child-out-of-memory" => {
            let hog = "tail -c 200000000 /dev/zero | sort >/dev/null; echo went on";
            all(sh("victim", &[hog, "exit 3"]).memory(32 << 20))
        }
        "one-artifact" => all(sh("victim", &["echo payload >file"]).save_artifact("thing", "file")),
        "fills-the-disk" => all(sh("victim", &["head -c 200000000 /dev/zero | cat >big"])),
        "waits-for-nobody" => all((
            sh("lazy", &["exit 1"]).save_artifact("thing", "file"),
            sh("victim", &["true"]).needs("lazy").always().restore_artifact("thing", "."),
        )),
        _ => Ok(None),
    }
}
