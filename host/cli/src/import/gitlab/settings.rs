//! What a job of GitLab CI runs in, and for how long.

use super::job::{Layers, text};
use crate::import::condition::Cond;
use crate::import::model::{Job, Missing, MissingList, Policy, Service, Text, Value};
use crate::import::names;
use crate::import::variables::port;
use crate::import::yaml::Tree;

/// What jobs of this host do not have.
pub const WITHOUT: [(&str, &str); 12] = [
    ("tags", "jobs run in containers, on the machine of the host"),
    ("environment", "the host has no environments; a job that a person has to agree to says `.approval(…)`"),
    ("coverage", "a job says its coverage itself, with `monkeyci.coverage=81.5` in `$MONKEYCI_OUTPUTS`"),
    ("resource_group", "builds of this host do not wait for each other"),
    ("interruptible", "builds of this host do not stop each other"),
    ("release", "the host makes no releases; say it with commands, or with an action"),
    ("id_tokens", "jobs get no token of GitLab; give one as a secret to the job that needs it"),
    ("secrets", "secrets are given to the build, with --secret, and to jobs with `.secret_env(…)`"),
    ("inherit", "the job has what `default` and the top say, all of it"),
    ("pages", "the host has no pages; the files are an artifact"),
    ("hooks", "jobs have no hooks of their machine"),
    ("identity", "jobs get no token of a cloud; give one as a secret"),
];

const DEFAULT_IMAGE: &str = "debian:12";

/// The image of a job.
pub fn image(node: Option<&Tree>, job_node: &Tree, job: &mut Job, missing: &mut MissingList) {
    let Some(node) = node else {
        job.image = Text::from(DEFAULT_IMAGE);
        let why = format!("the job names no image, and the runner's own is not known here: it is `{DEFAULT_IMAGE}`");
        missing.push(Missing { place: job_node.place(), why });
        return;
    };
    if node.peek().is_some() {
        job.image = text(node, job, missing);
        return;
    }
    for entry in node.entries() {
        match entry.key.as_str() {
            "name" => job.image = text(&entry.value, job, missing),
            // Without a word, no entrypoint is run.
            "entrypoint" if entry.value.items().iter().all(|word| word.peek().unwrap_or_default().is_empty()) => {
                entry.value.cover()
            }
            "pull_policy" if entry.value.items().first().and_then(|policy| policy.peek()) == Some("always") => {
                entry.value.cover();
                job.pull_always = true;
            }
            "pull_policy" if entry.value.items().first().and_then(|policy| policy.peek()) == Some("if-not-present") => {
                entry.value.cover()
            }
            "docker" if entry.value.get("user").is_some() => {
                job.user = entry.value.get("user").map(|user| text(user, job, missing));
            }
            _ => missing.push(Missing::of(&entry.value, "the image's entrypoint is not run, and no other one either")),
        }
    }
}

/// A service beside a job.
pub fn service(node: &Tree, job: &mut Job, missing: &mut MissingList) {
    let mut service = Service::default();
    // Services see the variables of their job.
    let plain = |value: &Value| !matches!(value, Value::Output { .. });
    service.env = job.env.iter().filter(|(name, value)| plain(value) && !name.starts_with("CI_")).cloned().collect();
    if node.peek().is_some() {
        service.image = text(node, job, missing);
    }
    for entry in node.entries() {
        match entry.key.as_str() {
            "name" => service.image = text(&entry.value, job, missing),
            "alias" => {
                let aliases =
                    entry.value.text().unwrap_or_default().split([',', ' ']).map(str::to_owned).collect::<Vec<_>>();
                service.name = names::host(aliases.first().map(String::as_str).unwrap_or_default());
                if aliases.len() > 1 {
                    missing.push(Missing::of(&entry.value, "a service has one name: the first"));
                }
            }
            "command" => service.argv = entry.value.items().iter().map(|word| text(word, job, missing)).collect(),
            "variables" => {
                for variable in entry.value.entries() {
                    let value = Value::Text(text(&variable.value, job, missing));
                    service.env.retain(|(name, _)| *name != variable.key);
                    service.env.push((variable.key.clone(), value));
                }
            }
            _ => missing.push(Missing::of(&entry.value, "services have no such option")),
        }
    }
    let image = service.image.literals();
    if service.name.is_empty() {
        service.name = names::of_image(&image);
    }
    if image.starts_with("docker:") {
        missing.push(Missing::of(
            node,
            "the service is left out: jobs get no container engine; make images with a program that needs none",
        ));
        return;
    }
    service.port = port(&image);
    if service.port.is_none() {
        let why =
            format!("nobody waits until `{}` is ready; say `.ready_port(…)` or `.ready_command(…)`", service.name);
        missing.push(Missing { place: node.place(), why });
    }
    if job.services.iter().any(|other| other.name == service.name) {
        missing.push(Missing::of(node, format!("the service is left out: another one is called `{}`", service.name)));
        return;
    }
    job.services.push(service);
}

/// Whether the job may fail, if it says so; said for all of its rules.
pub fn allow_failure(layers: &Layers, job: &mut Job, missing: &mut MissingList) -> Option<bool> {
    let node = layers.get("allow_failure")?;
    match node.text() {
        Some("true") => {
            job.policies.push((Cond::True, Policy::AllowFailure));
            Some(true)
        }
        Some("false") => Some(false),
        _ => {
            let why = "a job may fail with any exit code, or with none; say `.allow_failure()` if it may";
            missing.push(Missing::of(node, why));
            None
        }
    }
}

/// How long the job may take, and how often it is tried.
pub fn limits(layers: &Layers, job: &mut Job, missing: &mut MissingList) {
    if let Some(node) = layers.get("timeout") {
        let text = node.text().unwrap_or_default();
        let seconds = text.parse::<u64>().ok();
        let parsed = || humantime::parse_duration(&text.replace(" and ", " ")).ok().map(|time| time.as_secs());
        match seconds.or_else(parsed) {
            Some(seconds) => job.timeout_s = Some(seconds),
            None => missing.push(Missing::of(node, "this is no time; say `.timeout(…)`")),
        }
    }
    let Some(retry) = layers.get("retry") else { return };
    let max =
        retry.text().map(str::to_owned).or_else(|| retry.get("max").and_then(|max| max.text().map(str::to_owned)));
    match max.as_deref().unwrap_or("2").parse::<u32>() {
        Ok(0) => return,
        Ok(count) => job.retry = Some(count),
        Err(_) => {
            missing.push(Missing::of(retry, "this is no number; say `.retry(…)`"));
            return;
        }
    }
    let mut causes = Vec::new();
    for item in retry.get("when").map(|node| node.items()).unwrap_or_default() {
        causes.push(match item.text().unwrap_or_default() {
            "always" => return,
            "script_failure" => "Failure".to_owned(),
            "job_execution_timeout" => "Timeout".to_owned(),
            _ => "Error".to_owned(),
        });
    }
    for item in retry.get("exit_codes").map(|node| node.items()).unwrap_or_default() {
        match item.text().and_then(|code| code.parse::<i32>().ok()) {
            Some(code) => causes.push(format!("ExitCode({code})")),
            None => missing.push(Missing::of(&item, "this is no exit code")),
        }
    }
    causes.dedup();
    job.retry_on = causes;
}
