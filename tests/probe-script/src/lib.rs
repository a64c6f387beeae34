//! The script that the end-to-end tests run: the parameter `case` says what it does.

use std::collections::HashMap;
use std::time::Duration;

use monkeyci_sdk::prelude::*;

mod again;
mod artifacts;
mod events;
mod faults;
mod inside;
mod late;
mod network;
mod options;
mod params;
mod probe;
mod results;
mod resume;
mod scheduling;
mod simulated;
#[cfg(test)]
mod tests;
mod timed;
mod tricks;
mod workspace;

use probe::Probe;

fn script(build: &Build) -> Result<Vec<Job>> {
    let image = build.param_or("image", "busybox:1.37")?;
    let scratch = build.param_or("scratch-image", "scratch")?;
    let sh = |id: &str, lines: &[&str]| container(id, &image).shell(lines.iter().copied());
    let case = build.param_or("case", "nothing")?;
    Ok(match case.as_str() {
        "nothing" => vec![],
        "hello" => vec![sh("hello", &["echo hello from the job", "echo to stderr >&2"]).into()],
        "define-fails" => bail!("this script does not want to be built"),
        "define-says-escapes" => bail!("\x1b]0;a title\x07 \x1b[2Jand an empty screen"),
        "define-panics" => panic!("something is wrong with the script"),
        "define-loops" => loop {
            std::hint::black_box(());
        },
        "define-allocates" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        "faults" => vec![
            action("twice", |_| Ok(())).into(),
            action("twice", |_| Ok(())).needs("nobody").into(),
            sh("a", &["true"]).needs("b").into(),
            sh("b", &["true"]).needs("a").into(),
            container("empty", &image).into(),
            sh("restores", &["true"]).restore_artifact("unsaved", ".").into(),
            sh("escapes", &["true"]).work_dir("../..").into(),
        ],
        "action-fails" => {
            vec![action("fails", |_| bail!("no luck today")).into(), sh("after", &["true"]).needs("fails").into()]
        }
        "action-exits" => vec![
            action("exits", |_| {
                print!("before the end");
                std::process::exit(3)
            })
            .into(),
        ],
        "prints-no-newline" => {
            print!("define ends without a newline");
            vec![
                action("prints", |_| {
                    print!("so does an action");
                    Ok(())
                })
                .into(),
                action("panics", |_| {
                    print!("and one that panics");
                    panic!("too late")
                })
                .allow_failure()
                .into(),
            ]
        }
        "long-errors" => {
            let fails = |id| action(id, |_| bail!("{}[deploy] success\nend of it", "why not\n".repeat(200_000)));
            vec![fails("fails").into()]
        }
        #[cfg(target_arch = "wasm32")]
        "submit-twice" => {
            let twice = action("twice", |_| {
                use monkeyci_sdk::__bindings::monkeyci::script::jobs;
                let job = jobs::Job::container("late");
                job.image("busybox:1");
                job.argv(&["true".to_owned()]);
                match jobs::submit(&[&job, &job]) {
                    Ok(()) => bail!("a job was submitted twice"),
                    Err(error) => println!("refused: {error}"),
                }
                Ok(())
            });
            vec![twice.into()]
        }
        "action-panics" => vec![action("panics", |_| panic!("an action went wrong")).into()],
        "action-loops" => {
            let spin = action("spins", |_| {
                loop {
                    std::hint::black_box(());
                }
            });
            vec![spin.timeout(Duration::from_millis(300)).into()]
        }
        "action-prints" => vec![
            action("prints", |_| {
                let line = "x".repeat(1000);
                loop {
                    println!("{line}");
                }
            })
            .into(),
        ],
        "isolation" => isolation(),
        "same-in-every-instance" => same_in_every_instance(),
        "build-info" => {
            let told =
                [build.branch(), build.tag(), build.commit(), build.message(), build.author(), build.main_branch()];
            let told: Vec<_> = told.iter().map(|value| value.as_deref().unwrap_or("-")).collect();
            println!("told: {} {}", build.trigger(), told.join(" "));
            vec![]
        }
        "changes" => changes(build),
        "no-shell" => vec![container("no-shell", scratch).argv(["/echo", "no shell was needed"]).into()],
        "no-shell-lines" => vec![container("no-shell", scratch).shell(["echo hello"]).into()],
        "image-missing" => {
            let lost = container("lost", "localhost:1/no/such/image:1").argv(["true"]);
            vec![lost.retry(1).retry_on(RetryOn::Error).into()]
        }
        "command-missing" => vec![container("lost", &image).argv(["no-such-command"]).into()],
        "exit-3" => vec![sh("fails", &["echo before", "sh -c 'exit 3'", "echo never"]).into()],
        "out-of-memory" => {
            let hog = "tail -c 200000000 /dev/zero | sort >/dev/null";
            let blow = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}";
            vec![sh("hog", &[hog, blow]).memory(32 << 20).into()]
        }
        "sleeps" => {
            vec![sh("sleeper", &["echo sleeping", "sleep 300"]).into(), sh("after", &["true"]).needs("sleeper").into()]
        }
        "sleeps-limited" => vec![sh("sleeper", &["sleep 300"]).timeout(Duration::from_secs(2)).into()],
        "workspace" => vec![sh("look", &["find . -type f | sort", "echo made >made-by-the-job"]).into()],
        "artifact" => {
            let make = sh("make", &["mkdir -p out", "echo payload >out/file"]).save_artifact("thing", "out");
            let use_it = sh("use", &["cat out/file"]).needs(&make).restore_artifact("thing", ".");
            vec![make.into(), use_it.into()]
        }
        "artifact-missing" => vec![sh("make", &["true"]).save_artifact("thing", "not/there").into()],
        "cache" => {
            vec![sh("count", &["mkdir -p kept", "echo x >>kept/file", "wc -l <kept/file"]).cache("kept", "kept").into()]
        }
        "env" => vec![
            sh("env", &["echo \"greeting: $GREETING\"", "pwd"]).env("GREETING", "hello you").work_dir("sub").into(),
        ],
        "service" => {
            let web = service("web", &image)
                .argv(["sh", "-c", "sleep 0.5; mkdir /www; echo served >/www/x; exec httpd -f -p 8080 -h /www"])
                .ready_port(8080)
                .ready_command(["test", "-s", "/www/x"]);
            vec![sh("client", &["wget -q -O - http://web:8080/x"]).service(web).into()]
        }
        "service-never-ready" => {
            let mute = service("mute", &image).argv(["sh", "-c", "echo I do nothing; sleep 300"]).ready_port(9);
            vec![sh("client", &["true"]).service(mute.ready_timeout(Duration::from_secs(2))).into()]
        }
        "service-dies" => {
            let dead = service("dead", &image).argv(["sh", "-c", "echo goodbye; exit 7"]).ready_port(9);
            vec![sh("client", &["true"]).service(dead).into()]
        }
        "background" => vec![sh("leaves", &["sleep 300 &", "echo done"]).into()],
        "events" => {
            let say = action("say", |context| {
                context.publish("probe/said", r#"{"n": 1}"#)?;
                ensure!(context.publish("", "{}").is_err(), "an event without a name was taken");
                ensure!(context.publish("bad", "{").is_err(), "a payload that is not JSON was taken");
                context.log(Level::Warn, "a word of warning");
                context.report("said it")
            });
            let look = action("look", |context| {
                let said = context.look_up("say")?;
                ensure!(said.status() == Status::Success && said.duration().is_some(), "say has not ended well");
                ensure!(context.look_up("look")?.status() == Status::Running, "look does not run");
                ensure!(context.look_up("nobody").is_err(), "there is no such job");
                Ok(())
            });
            vec![say.into(), look.needs("say").into()]
        }
        "one-line" => vec![sh("line", &["true"]).into()],
        "twenty-lines" => vec![sh("lines", &["true"; 20]).into()],
        "three-hundred" => layers(300, &sh),
        "ten-thousand" => layers(10_000, &sh),
        "wide" => (0..8).map(|n| sh(&format!("job-{n}"), &["echo hello"]).into()).collect(),
        other => api(other, &Probe { build, image: image.clone() })?,
    })
}

/// Jobs in layers of 100, each needing five of the layer before.
fn layers(jobs: usize, sh: &dyn Fn(&str, &[&str]) -> ContainerJob) -> Vec<Job> {
    let job = |n: usize| {
        let job = sh(&format!("job-{n}"), &["make"]).env("N", n.to_string()).label("layer", (n / 100).to_string());
        let above = n / 100 * 100;
        let needs = (0..5).filter_map(|k| above.checked_sub(100).map(|layer| layer + (n + k * 7) % 100));
        needs.fold(job, |job, need| job.needs(format!("job-{need}"))).into()
    };
    (0..jobs).map(job).collect()
}

/// The cases of the rest of the API, by subject.
fn api(case: &str, probe: &Probe) -> Result<Vec<Job>> {
    let subjects = [
        params::jobs,
        events::jobs,
        artifacts::jobs,
        workspace::jobs,
        options::jobs,
        scheduling::jobs,
        results::jobs,
        faults::jobs,
        inside::jobs,
        late::jobs,
        network::jobs,
        again::jobs,
        timed::jobs,
        resume::jobs,
        tricks::jobs,
        simulated::jobs,
    ];
    for jobs in subjects {
        if let Some(jobs) = jobs(case, probe)? {
            return Ok(jobs);
        }
    }
    bail!("there is no case {case:?}")
}

/// Prints which files changed, and what the predicates say to some globs.
fn changes(build: &Build) -> Vec<Job> {
    match build.changes() {
        Some(changes) => {
            for (kind, list) in
                [("added", &changes.added), ("modified", &changes.modified), ("removed", &changes.removed)]
            {
                println!("{kind}: {}", list.join(" "));
            }
            println!("renamed: {:?}", changes.renamed);
        }
        None => println!("not known"),
    }
    for glob in ["*", "src/**", "**/*.rs", "doc/**"] {
        let told = [build.touched(glob), build.added(glob), build.modified(glob), build.removed(glob)];
        println!("{glob}: {told:?}");
    }
    println!("main: {} {} {}", build.on_main_branch(), build.branch_matches("to?ic"), build.tag_matches("v*"));
    vec![]
}

/// What a script must not be able to do.
fn isolation() -> Vec<Job> {
    vec![
        action("isolated", |_| {
            ensure!(std::env::vars().next().is_none(), "it sees environment variables");
            ensure!(std::env::args().next().is_none(), "it sees arguments");
            for path in ["/", ".", "/etc/passwd", "..", "/proc/self/environ"] {
                ensure!(std::fs::metadata(path).is_err(), "it sees {path}");
            }
            ensure!(std::fs::write("file", "x").is_err(), "it can write a file");
            ensure!(std::net::TcpListener::bind("127.0.0.1:0").is_err(), "it can listen");
            ensure!(std::net::TcpStream::connect("127.0.0.1:1").is_err(), "it can connect");
            ensure!(std::net::UdpSocket::bind("127.0.0.1:0").is_err(), "it can use UDP");
            Ok(())
        })
        .into(),
    ]
}

/// Random numbers, hash order and the clock are the same in every run of `define`, or the jobs would differ.
fn same_in_every_instance() -> Vec<Job> {
    let map: HashMap<u32, u32> = (0..50).map(|n| (n, n)).collect();
    let order: Vec<String> = map.keys().map(ToString::to_string).collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let id = format!("j{}-{}", now.as_nanos(), order.join("_"));
    vec![action(id.chars().take(60).collect::<String>(), |_| Ok(())).into()]
}

monkeyci_sdk::script!(script);
