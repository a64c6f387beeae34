//! Jobs that somebody looks into.

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all};

pub fn jobs(case: &str, probe: &Probe) -> Case {
    match case {
        // A job with all that a shell in it has to find again: a user, a directory, variables, files, a service, another job's output; and
        // that leaves something in its workspace, and beside it.
        "inside" => {
            let web = service("web", &probe.image)
                .argv([
                    "sh",
                    "-c",
                    "mkdir -p /www; echo \"$KEY\" | rev >/www/key; echo served >/www/x; exec httpd -f -p 8080 -h /www",
                ])
                .secret_env("KEY", &probe.build.secret("key")?)
                .ready_port(8080)
                .ready_command(["test", "-s", "/www/x"]);
            let first = action("first", |context| context.output("word", "told"));
            let broken = container("broken", &probe.image)
                .shell([
                    "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/self/status >rights",
                    "echo made >made",
                    "echo beside >/tmp/beside",
                    "false",
                ])
                .user("1000:1000")
                .work_dir("sub")
                .env("GREETING", "hello")
                .output_env("WORD", "first", "word")
                .secret_env("TOKEN", &probe.build.secret("token")?)
                .secret_file("TOKEN_FILE", &probe.build.secret("token")?)
                .service(web);
            all((first, broken.needs("first")))
        }
        // One that fails, and one that keeps the build open.
        "inside-open" => all((
            container("broken", &probe.image).shell(["echo made >made", "false"]),
            container("later", &probe.image).shell(["true"]).approval("really?"),
        )),
        _ => Ok(None),
    }
}
