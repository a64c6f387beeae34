//! Scripts for simulations: a sound one, and some with a bug that shows in few builds.

use std::collections::HashMap;
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
        // What must not hang on the time does: what runs at night only.
        "sim-clock" => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
            let nightly = (now % 86_400 < 6 * 3600).then(|| sh("nightly", &["make nightly"]));
            all((sh("test", &["make test"]), nightly))
        }
        // One after the other, in whatever order the map has them.
        "sim-map" => {
            let steps: HashMap<&str, &str> =
                [("lint", "make lint"), ("unit", "make unit"), ("docs", "make docs")].into();
            let mut chain: Vec<ContainerJob> = Vec::new();
            for (id, line) in &steps {
                let step = sh(id, &[line]);
                chain.push(match chain.last() {
                    Some(before) => step.needs(before),
                    None => step,
                });
            }
            all(chain)
        }
        // It takes it that branches are called KIND/NAME.
        "sim-branch" => {
            let preview = probe.build.branch().map(|branch| {
                let (_, name) = branch.split_once('/').expect("branches are called KIND/NAME");
                sh("preview", &[&format!("make preview NAME={name}")])
            });
            all((sh("test", &["make test"]), preview))
        }
        // Whoever asks for no target gets no package, and the release goes out all the same.
        "sim-param" => {
            let targets =
                probe.build.declare(param("targets").default("linux,mac").description("what to package for"))?;
            let packages: Vec<_> = targets
                .split(',')
                .filter(|target| !target.trim().is_empty())
                .enumerate()
                .map(|(number, _)| sh(&format!("package-{number}"), &["make package"]))
                .collect();
            assert_always(!packages.is_empty(), "something is packaged");
            all((sh("release", &["make release"]).needs_all(&packages), packages))
        }
        // It gives a secret to whoever asks for a build.
        "sim-fork" => all(sh("deploy", &["make deploy"]).secret_env("TOKEN", &probe.build.secret("TOKEN")?)),
        // What it says that happens sometimes can't.
        "sim-never" => all((
            sh("test", &["make test"]),
            action("tell", |context| {
                let status = context.look_up("test")?.status();
                assert_sometimes(status == Status::Failure, "the test fails");
                assert_sometimes(status == Status::Blocked, "the test waits for a person");
                Ok(())
            })
            .needs("test")
            .always(),
        )),
        // Several wait for the same, and say in which order they woke.
        "sim-together" => {
            let waiter = |number: usize| {
                action(format!("waiter-{number}"), move |context| {
                    context.wait("slow")?;
                    context.publish("woken", number.to_string())
                })
                .always()
                .timeout(Duration::from_secs(3 * 24 * 3600))
            };
            all((sh("slow", &["make"]), (0..6).map(waiter).collect::<Vec<_>>()))
        }
        // Twenty jobs, four of them actions: for the benchmark.
        "sim-twenty" => {
            let wave = |wave: usize, needs: &[String]| {
                let job = |number: usize| sh(&format!("job-{wave}-{number}"), &["make"]).needs_all(needs);
                (0..4).map(job).collect::<Vec<_>>()
            };
            let (mut jobs, mut needs): (Vec<Job>, Vec<String>) = (Vec::new(), Vec::new());
            for number in 0..4 {
                let containers = wave(number, &needs);
                let id = format!("action-{number}");
                let waits: Vec<String> = (0..4).map(|job| format!("job-{number}-{job}")).collect();
                let looked = waits.clone();
                let tell = action(&id, move |context| {
                    let ended =
                        looked.iter().map(|job| Ok(context.look_up(job)?.succeeded())).collect::<Result<Vec<_>>>()?;
                    context.output("succeeded", ended.iter().filter(|ended| **ended).count())
                });
                jobs.push(tell.needs_all(&waits).always().into());
                jobs.extend(containers.into_iter().map(Job::from));
                needs = vec![id];
            }
            all(jobs)
        }
        _ => Ok(None),
    }
}
