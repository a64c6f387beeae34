//! Artifacts and caches.

use std::io::{Read, Write};
use std::time::Duration;

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all, refused};

pub fn jobs(case: &str, probe: &Probe) -> Case {
    let sh = |id: &str, lines: &[&str]| probe.sh(id, lines);
    match case {
        "action-artifact" => {
            let make = action("make", make).creates_artifact("made").creates_artifact("tree");
            let use_it = sh(
                "use",
                &["cat made/hello.txt", "cat tree/a.txt tree/sub/b.txt", "mkdir box", "echo boxed >box/file"],
            )
            .restore_artifact("made", ".")
            .restore_artifact("tree", ".")
            .save_artifact("box", "box");
            all((make, use_it, action("read", read).needs("use")))
        }
        "looked-at" => {
            println!("two jobs to look at");
            let fails = action("fails", |_| {
                println!("first");
                println!("second");
                bail!("no luck today")
            });
            all((
                action("make", make).creates_artifact("made").creates_artifact("tree"),
                fails.retry(1).retry_delay(Duration::from_millis(300)),
                action("after", |_| Ok(())).needs("fails"),
                action("gone", |_| Ok(())).only_if(false, "nobody wants it"),
            ))
        }
        "action-artifact-missing" => all(action("lazy", |_| Ok(())).creates_artifact("never")),
        "artifact-globs" => {
            let make = sh("make", &["mkdir -p out/sub", "touch out/a.jar out/b.txt out/sub/c.jar out/sub/d.txt"])
                .save(artifact("jars", "out").files(["*.jar", "**/c.*"]));
            let use_it = sh("use", &["echo \"restored: $(find out -type f | sort | tr '\\n' ' ')\""]);
            all((make, use_it.restore_artifact("jars", ".")))
        }
        "artifact-always" => {
            let fails = sh("fails", &["mkdir logs", "echo 'what happened' >logs/log", "exit 4"])
                .save(artifact("logs", "logs").always())
                .save_artifact("result", "logs");
            let look = action("look", |context| {
                let ids: Vec<String> = context.artifacts().list()?.iter().map(|it| it.id()).collect();
                println!("artifacts: {}", ids.join(" "));
                Ok(())
            });
            all((fails, look.needs("fails").always()))
        }
        "artifact-if-there" => {
            let make = sh("make", &["echo payload >file"]).save_artifact("thing", "file");
            let with = sh("with", &["cat file"]).needs(&make).restore_artifact_if_there("thing", ".");
            let without = sh("without", &["echo went on"]).restore_artifact_if_there("later", ".");
            let later = sh("later", &["echo later >file"]).needs(&without).save_artifact("later", "file");
            all((make, with, without, later))
        }
        "artifact-conditions" => {
            let make = sh("make", &["echo log >log"])
                .save(artifact("report", "report").if_there())
                .save(artifact("core", "log").on_failure())
                .save(artifact("trace", "trace").always());
            let fails = sh("fails", &["echo log >log", "exit 4"]).save(artifact("crash", "log").on_failure());
            let look = action("look", |context| {
                let ids: Vec<String> = context.artifacts().list()?.iter().map(|it| it.id()).collect();
                println!("artifacts: {}", ids.join(" "));
                Ok(())
            });
            all((make, fails.allow_failure(), look.needs_all(["make", "fails"])))
        }
        "artifact-as" => {
            let make =
                sh("make", &["mkdir -p cli/target/docs", "echo app >cli/target/app", "echo doc >cli/target/docs/d"])
                    .save_artifact("app", "cli/target/app")
                    .save_artifact("docs", "cli/target/docs");
            let notes = action("notes", |context| {
                context.write_file("notes/a", "note\n")?;
                context.artifacts().save("notes", "notes").map(drop)
            });
            let use_it = sh("use", &["cat target/app docs/d all/notes/a", "find . -type f | sort"])
                .work_dir("cli")
                .restore_artifact_as("app", "target/app")
                .restore_artifact_as("docs", "docs")
                .restore_artifact_as_if_there("notes", "all/notes")
                .needs(&notes);
            all((make, notes.creates_artifact("notes"), use_it))
        }
        "artifact-unsaved" => all(sh("use", &["true"]).restore_artifact("nobodys", ".")),
        "cycle-through-artifacts" => all((
            sh("hen", &["true"]).save_artifact("hen", "hen").restore_artifact("egg", "."),
            sh("egg", &["true"]).save_artifact("egg", "egg").restore_artifact("hen", "."),
        )),
        "big-artifact" => {
            // In bytes: not every `head` knows the same units.
            let half = probe.build.param_or("mebibytes", "16")?.parse::<u64>()? << 19;
            let make = [
                "mkdir out".to_owned(),
                format!("head -c {half} /dev/urandom >out/random"),
                format!("yes 'a line of text that is like all the others' | head -c {half} >out/text"),
                "sync".to_owned(),
                "echo made".to_owned(),
            ];
            // What a job takes without an artifact, for comparison.
            let bare = ["bare-1", "bare-2", "bare-3"].map(|id| sh(id, &["true"]));
            let make = sh("make", &[]).shell(make).needs_all(&bare).save_artifact("big", "out");
            // Removing what the first job left takes the disk for a while.
            let settle = sh("settle", &["sync", "sleep 3"]).needs(&make);
            let uses = sh("use", &["ls -l out"]).needs(&settle).restore_artifact("big", ".");
            all((bare, make, settle, uses))
        }
        "big-log" => {
            let size = probe.build.param_or("mebibytes", "16")?.parse::<u64>()? << 20;
            all(sh("talk", &[]).shell([format!("yes 'a line of text that is like all the others' | head -c {size}")]))
        }
        "cache-unchanged" => {
            let lines = ["mkdir -p kept/sub", "test -f kept/sub/file || echo made >kept/sub/file", "cat kept/sub/file"];
            all(sh("use", &lines).keep(cache("kept", "kept").save(SavePolicy::Always)))
        }
        "cache-keys" => {
            let key = probe.build.param_or("key", "one")?;
            let policy = match probe.build.param_or("save", "success")?.as_str() {
                "always" => SavePolicy::Always,
                "miss" => SavePolicy::Miss,
                _ => SavePolicy::Success,
            };
            let kept = cache("kept", "kept").key(format!("k-{key}")).fallback("nothing-").fallback("k-").save(policy);
            let count = sh(
                "count",
                &["mkdir -p kept", "echo \"found: $(cat kept/file 2>/dev/null)\"", "echo -n \"$KEY \" >>kept/file"],
            )
            .env("KEY", key)
            .shell((probe.build.param_or("fail", "no")? == "yes").then_some("exit 5"));
            all(count.keep(kept))
        }
        "stored" => {
            let junit = "<testsuite name=\"s\" tests=\"1\"><testcase name=\"good\"/></testsuite>";
            let report = format!("echo '{junit}' >report.xml");
            let make = sh(
                "make",
                &["cat kept/file || echo nothing kept", "mkdir -p kept out", "echo kept >kept/file", &report],
            )
            .shell([probe.build.param_or("meanwhile", "true")?, "echo payload >out/file".to_owned()])
            .cache("kept", "kept")
            .save_artifact("thing", "out")
            .test_report("report.xml");
            let use_it = sh("use", &["cat out/file"]).restore_artifact("thing", ".");
            let read = action("read", |context| {
                let mut text = String::new();
                context.artifacts().open("thing", "out/file")?.read_to_string(&mut text)?;
                print!("read: {text}");
                Ok(())
            });
            all((make, use_it, read.needs("make")))
        }
        _ => Ok(None),
    }
}

fn make(context: &Context) -> Result<()> {
    let artifacts = context.artifacts();
    let mut made = artifacts.create("made", "made/hello.txt")?;
    write!(made, "hello ")?;
    writeln!(made, "from an action")?;
    let made = made.finish()?;
    println!("made {} of {} with a digest of {} digits", made.id(), made.job(), made.digest().len());
    context.write_file("tree/a.txt", "a\n")?;
    context.write_file("tree/sub/b.txt", "b")?;
    context.append_file("tree/sub/b.txt", " and more\n")?;
    artifacts.save("tree", "tree")?;
    refused("an artifact that was not declared", artifacts.create("undeclared", "x"))?;
    refused("an artifact that is there", artifacts.save("made", "tree"))?;
    refused("a file out of the output area", context.write_file("../x", "x"))?;
    let _unfinished = artifacts.create("undeclared", "x");
    Ok(())
}

fn read(context: &Context) -> Result<()> {
    let artifacts = context.artifacts();
    for artifact in artifacts.list()? {
        println!("{} of {}: {}", artifact.id(), artifact.job(), artifacts.file_names(&artifact.id())?.join(" "));
        ensure!(artifact.size() > 0, "an artifact without a size");
    }
    let mut text = String::new();
    artifacts.open("box", "box/file")?.read_to_string(&mut text)?;
    print!("in the box: {text}");
    let mut hello = artifacts.open("made", "made/hello.txt")?;
    println!("size {}", hello.size());
    text.clear();
    hello.read_to_string(&mut text)?;
    print!("read: {text}");
    refused("a file that is not in an artifact", artifacts.open("made", "nothing"))?;
    refused("an artifact that is not there", artifacts.file_names("nobodys"))
}
