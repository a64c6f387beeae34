//! Scripts for simulations: a sound one, and some with a bug that shows in few builds.

use std::io::Write;
use std::time::Duration;

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all};

pub fn jobs(case: &str, probe: &Probe) -> Case {
    let sh = |id: &str, lines: &[&str]| probe.sh(id, lines);
    let image = probe.image.clone();
    match case {
        // It bears all that can happen: whatever fails, fails by itself.
        "sim-sound" => all((
            sh("build", &["make"]).save_artifact("app", "app").retry(2).retry_on(RetryOn::Error),
            sh("unit", &["make test"]).needs("build").restore_artifact("app", ".").retry(1),
            sh("docs", &["make docs"]).timeout(Duration::from_secs(1200)),
            action("collect", move |context| {
                let more = (0..2).map(|n| container(format!("part-{n}"), &image).shell(["make part"]));
                let parts = context.submit(more.collect::<Vec<_>>())?;
                let ended = context.wait_all(&parts)?.iter().filter(|part| part.succeeded()).count();
                context.output("parts", ended)
            })
            .needs("build")
            .timeout(Duration::from_secs(3 * 24 * 3600)),
            sh("deploy", &["make deploy"]).needs_all(["unit", "docs", "collect"]).approval("really deploy?"),
            action("tell", |context| context.report(format!("deploy: {:?}", context.look_up("deploy")?.status())))
                .needs("deploy")
                .always(),
        )),
        // It takes it that what has more to do ends later.
        "sim-order" => all((
            sh("one", &["make one"]),
            sh("two", &["make two"]).needs("one"),
            sh("three", &["make three"]).needs("two"),
            sh("alone", &["make alone"]),
            action("first", |context| {
                let first = context.wait_any(["alone", "three"])?;
                assert_eq!(first.job(), "alone", "three jobs were done before one");
                Ok(())
            }),
        )),
        // What it has made in an attempt that failed, it takes for made.
        "sim-artifact" => all((
            action("package", move |context| {
                let made = context.subscribe().named("packaged").from_start().next(Duration::ZERO)?;
                if made.is_none() {
                    let mut package = context.artifacts().create("package", "package.txt")?;
                    writeln!(package, "packed")?;
                    package.finish()?;
                    context.publish("packaged", "true")?;
                }
                let number = if made.is_none() { 1 } else { 2 };
                let upload = context.submit(container(format!("upload-{number}"), &image).shell(["make upload"]))?;
                ensure!(context.wait(&upload[0])?.succeeded(), "the upload failed");
                Ok(())
            })
            .creates_artifact("package")
            .retry(1)
            .timeout(Duration::from_secs(24 * 3600)),
            sh("install", &["make install"]).restore_artifact("package", "."),
        )),
        // It tries until it succeeds.
        "sim-retries" => all(action("deploy", move |context| {
            for number in 1.. {
                let tried = context.submit(container(format!("try-{number}"), &image).shell(["make deploy"]))?;
                if context.wait(&tried[0])?.succeeded() {
                    break;
                }
            }
            Ok(())
        })),
        // It sees the time: the same in each run of a seed.
        "sim-time" => all(action("stamp", |context| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
            context.output("stamp", now)
        })),
        _ => Ok(None),
    }
}
