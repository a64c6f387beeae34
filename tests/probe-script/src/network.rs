//! What jobs reach.

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all};

/// Says of each destination in `$TO` whether it is reached, or why not. `gateway` is the way out of the pod's network.
const TRY: &str = r#"gateway=$(ip route | sed -n 's/^default via \([^ ]*\).*/\1/p')
for to in $TO; do
    host=${to%:*}
    test "$host" = gateway && host=${gateway:-127.0.0.2}
    if said=$(nc -w 5 "$host" "${to##*:}" </dev/null 2>&1 >/dev/null); then echo "$to: reached"; else echo "$to: ${said##*: }"; fi
done"#;

pub fn jobs(case: &str, probe: &Probe) -> Case {
    let sh = |id: &str, lines: &[&str]| probe.sh(id, lines);
    match case {
        "network" => {
            let words = |name: &str| probe.build.param_or(name, "");
            let none = words("mode")? == "none";
            let limit = |job: ContainerJob| if none { job.network_none() } else { job };
            // Networks that somebody puts beside the pod's own: the job goes on when it is in all of them.
            let wait = r#"for start in $AWAIT; do until ip -4 addr | grep -q "inet $start"; do sleep 0.1; done; done"#;
            let web = service("web", &probe.image).argv(["httpd", "-f", "-p", "8080", "-h", "/"]).ready_port(8080);
            let job = sh("client", &[wait, TRY, "echo payload >file"])
                .env("AWAIT", words("await")?)
                .env("TO", words("to")?)
                .service(web)
                .save_artifact("file", "file");
            let job = words("allow")?.split_whitespace().fold(limit(job), ContainerJob::allow);
            let alone = sh("alone", &["cat file", "httpd -p 8080 -h /", TRY])
                .env("TO", format!("127.0.0.1:8080 {}", words("alone")?))
                .restore_artifact("file", ".");
            all((job, limit(alone)))
        }
        _ => Ok(None),
    }
}
