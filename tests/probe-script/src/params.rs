//! Parameters and secrets.

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all, refused};

pub fn jobs(case: &str, probe: &Probe) -> Case {
    let build = probe.build;
    match case {
        "params-declared" => {
            let workers = build.declare(param("workers").integer().default(4).description("how many at a time"))?;
            let ratio = build.declare(param("ratio").number().default(0.5))?;
            let fast = build.declare(param("fast").boolean().default(false))?;
            let profile = build.declare(param("profile").choice(["debug", "release"]).default("debug"))?;
            let note = build.declare(param("note").description("anything"))?;
            println!("declared: workers={workers} ratio={ratio} fast={fast} profile={profile} note={note:?}");
            println!("given: {}", build.params()?.join(" "));
            all(())
        }
        "fails-on-a-branch" => bail!("no luck on {}", build.branch().unwrap_or_default()),
        "asks-on-a-branch" => {
            if let Some(branch) = build.branch().filter(|branch| branch == "two") {
                println!("given: {}", build.param_or(&branch, "nothing")?);
            }
            all(action("does", |_| Ok(())))
        }
        // Three faults in one go: the value of `workers` (the test gives `many`), a default, and a job.
        "params-bad-kind" => {
            let workers = build.declare(param("workers").integer().default(4))?;
            let mode = build.declare(param("mode").choice(["a", "b"]).default("c"))?;
            println!("went on with workers={workers} mode={mode}");
            all(probe.sh("lonely", &["true"]).needs("nobody"))
        }
        "params-required" => {
            let version = build.declare(param("version").required().description("what to call it"))?;
            println!("version {version}");
            all(())
        }
        "params-two-ways" => {
            build.declare(param("workers").integer().default(4))?;
            build.declare(param("workers").default("four"))?;
            all(())
        }
        "param-file" => all(probe
            .sh("read", &["echo \"the notes: $(cat \"$NOTES\")\"", "echo 'end of the notes'"])
            .param_file("NOTES", "notes")),
        "secrets-env" => {
            let token = build.secret("TOKEN")?;
            println!("secrets: {} {token:?}", build.secret_names()?.join(" "));
            let service = service("beside", &probe.image)
                .argv(["sh", "-c", "mkdir /www; echo ${#TOKEN} >/www/x; exec httpd -f -p 8080 -h /www"])
                .secret_env("TOKEN", &token)
                .ready_port(8080);
            let lines = [
                "echo \"the token is <$TOKEN>\"",
                "echo \"in base64 it is <$(printf %s \"$TOKEN\" | base64)>\"",
                "echo \"its length is ${#TOKEN}\"",
                "echo \"its length in the service is $(wget -q -O - http://beside:8080/x)\"",
            ];
            all(probe.sh("use", &lines).secret_env("TOKEN", &token).service(service))
        }
        "secrets-everywhere" => {
            let token = build.secret("TOKEN")?;
            let service = service("beside", &probe.image)
                .argv(["sh", "-c", "echo \"the service has <$TOKEN>\"; exec httpd -f -p 8080"])
                .secret_env("TOKEN", &token)
                .ready_port(8080);
            let lines = [
                "echo \"${#TOKEN} bytes\"",
                "while read -r line; do printf '%b\\n' \"$line\"; done <said",
                "echo 'all is said'; until [ -e go ]; do sleep 0.1; done",
                "echo \"token=$TOKEN\" >>\"$MONKEYCI_OUTPUTS\"; echo \"$TOKEN is refused\" >&2; exit 9",
            ];
            let job = probe.sh("use", &lines).secret_env("TOKEN", &token).secret_file("TOKEN_FILE", &token);
            all(job.service(service))
        }
        "secrets-of-a-service" => {
            let token = build.secret("TOKEN")?;
            let service = service("beside", &probe.image).argv(["true"]).secret_env("TOKEN", &token);
            all(probe.sh("use", &["true"]).service(service))
        }
        "secrets-file" => {
            let lines = [
                "case $TOKEN_FILE in \"$PWD\"/*) echo 'it is in the workspace' >&2; exit 1;; esac",
                "echo \"its mode is $(stat -c %a \"$TOKEN_FILE\")\"",
                "echo \"its size is $(wc -c <\"$TOKEN_FILE\")\"",
                "echo \"the token is <$(cat \"$TOKEN_FILE\")>\"",
            ];
            let token = build.secret("TOKEN")?;
            let other =
                probe.sh("as-a-user", &["echo \"a user sees $(wc -c <\"$TOKEN_FILE\") bytes\""]).user("1000:1000");
            all((probe.sh("use", &lines).secret_file("TOKEN_FILE", &token), other.secret_file("TOKEN_FILE", &token)))
        }
        "secrets-missing" => {
            let nobody = build.secret("NOBODY_GAVE_THIS")?;
            all(probe.sh("use", &["true"]).secret_env("X", &nobody))
        }
        // One in a variable, one in a file and one in a service; and one of a job that is removed, which nobody misses.
        "secrets-all-missing" => {
            let secret = |name: &str| build.secret(name);
            let beside = service("beside", &probe.image).secret_env("C", &secret("THIRD")?);
            let use_it = probe.sh("use", &["true"]).secret_env("A", &secret("FIRST")?).service(beside);
            let publish = probe.sh("publish", &["true"]).secret_env("D", &secret("FOURTH")?);
            all((
                use_it,
                probe.sh("read", &["true"]).secret_file("B", &secret("SECOND")?),
                publish.only_if(false, "only tags are published"),
            ))
        }
        "secrets-of-removed" => {
            println!("there is one: {}", build.secret_if_there("NOBODY_GAVE_THIS")?.is_some());
            let publish = probe.sh("publish", &["true"]).secret_env("X", &build.secret("NOBODY_GAVE_THIS")?);
            all((
                action("test", |_| Ok(())),
                publish.only_if(build.tag_matches("v*"), "only tags are published"),
                action("last", |_| Ok(())).needs("publish"),
            ))
        }
        // The parameter `written` is the value of a secret, which the script can't know.
        "secrets-written" => {
            let written = build.param_or("written", "nothing")?;
            let clean = probe.sh("clean", &["true"]);
            let lines = probe.sh("lines", &[]).shell([format!("echo {written}")]);
            all((
                clean,
                lines,
                probe.sh("env", &["true"]).env("TOKEN", &written),
                action("label", |_| Ok(())).label("a", &written),
            ))
        }
        "secrets-output" => {
            let lines =
                ["echo \"image=registry/$TOKEN/app:1\" >>$MONKEYCI_OUTPUTS", "echo other=plain >>$MONKEYCI_OUTPUTS"];
            let make = probe.sh("make", &lines).secret_env("TOKEN", &build.secret("TOKEN")?);
            let take = probe.sh("take", &["echo \"other is $OTHER\""]).output_env("OTHER", "make", "other");
            all((make, take))
        }
        "secrets-reveal" => {
            refused("revealing in define", build.secret("TOKEN")?.reveal())?;
            all(action("reveal", |context| {
                let text = context.build().secret("TOKEN")?.reveal_text()?;
                println!("revealed {} bytes: <{text}>", text.len());
                Ok(())
            }))
        }
        // As the SDK asked once.
        #[cfg(target_arch = "wasm32")]
        "secrets-get" => {
            use monkeyci_sdk::__bindings::monkeyci::script::secrets;
            println!("there is one: {}", secrets::get("TOKEN").is_ok_and(|secret| secret.name() == "TOKEN"));
            match secrets::get("NOBODY_GAVE_THIS") {
                Ok(_) => bail!("there is another one"),
                Err(error) => println!("{error}"),
            }
            all(())
        }
        "secrets-leaked" => {
            let image = probe.image.clone();
            let leaks = action("leaks", move |context| {
                let token = context.build().secret("TOKEN")?.reveal_text()?;
                let job = container("sub", &image).shell(["true"]).env("TOKEN", &token);
                refused("a job with a secret in it", context.submit(job))?;
                refused("an event that is named like a secret", context.publish(&token, "1"))?;
                refused("an event with a secret for a number", context.publish("pin", r#"{"pin": 12345678}"#))?;
                context.output("token", &token)?;
                context.publish("token", format!("{token:?}"))?;
                context.report(&token)?;
                bail!("it is {token}")
            });
            let late = late_container("late", |job, context| {
                let token = context.build().secret("TOKEN")?.reveal_text()?;
                job.image("x").shell([format!("echo {token}")]);
                Ok(())
            });
            all((leaks, late))
        }
        "more-info" => {
            println!("base: {}", build.base_commit().unwrap_or_else(|| "-".to_owned()));
            println!(
                "by: {} {} {}",
                build.triggered_by("cli"),
                build.triggered_by("webhook"),
                build.triggered_by("cl")
            );
            println!("build: {}", build.build());
            all(())
        }
        _ => Ok(None),
    }
}
