//! Steps and services of Woodpecker.

use super::{predefined, when};
use crate::import::condition::Cond;
use crate::import::model::{Command, Job, Missing, MissingList, Part, Policy, Service, Text, Value};
use crate::import::yaml::{Node, Tree};
use crate::import::{names, variables};

/// A step.
pub struct Step {
    pub name: String,
    pub job: Job,
    /// What it waits for, where it says so.
    pub depends_on: Option<Vec<(Tree, String)>>,
    /// It goes on beside the steps after it.
    pub detached: Option<Service>,
    /// It has commands that may leave files.
    pub works: bool,
}

fn text(node: &Node, job: &Job, missing: &mut MissingList) -> Text {
    variables::text(node, job, predefined, missing)
}

/// Reads a step.
pub fn read(name: &str, node: &Tree, mut job: Job, missing: &mut MissingList) -> Step {
    if name != job.id {
        job.title = Some(Text::from(name));
    }
    let axes: Vec<String> = job.matrix.iter().flat_map(|matrix| matrix.axes.clone()).collect();
    for axis in axes.iter().filter(|axis| *axis != super::ROW) {
        job.set(axis, Value::Text(Part::Axis(axis.clone()).into()));
    }
    let (mut depends_on, mut detached, mut plugin) = (None, false, None);
    // Variables first: others name them.
    for key in ["environment", "secrets"] {
        if let Some(node) = node.get(key) {
            environment(node, key == "secrets", &mut job, missing);
        }
    }
    for entry in node.entries() {
        let value = &entry.value;
        match entry.key.as_str() {
            "environment" | "secrets" | "commands" | "name" => {}
            "image" => job.image = text(value, &job, missing),
            "depends_on" => {
                let items = value.items().into_iter();
                depends_on = Some(
                    items.filter_map(|item| item.text().map(str::to_owned).map(|name| (item.clone(), name))).collect(),
                );
            }
            "when" => {
                let found = when::read(value, &axes, missing);
                if found.cond != Cond::True {
                    job.only_if.push((found.cond, "`when` of the step says so".to_owned()));
                }
                job.policies.extend(found.policy.map(|policy| (Cond::True, policy)));
            }
            "failure" if value.peek() == Some("ignore") => {
                value.cover();
                job.policies.push((Cond::True, Policy::AllowFailure));
            }
            "directory" => job.work_dir = Some(text(value, &job, missing)),
            "pull" if value.peek() == Some("true") => {
                value.cover();
                job.pull_always = true;
            }
            "pull" | "detach" if value.peek() == Some("false") => value.cover(),
            "ports" if node.get("detach").and_then(|detach| detach.peek()) == Some("true") => {}
            "detach" => detached = value.text() == Some("true"),
            "settings" => plugin = Some(value.clone()),
            "privileged" => missing.push(Missing::of(value, "jobs have no rights on the machine")),
            "volumes" => missing.push(Missing::of(value, "jobs see no files of the machine")),
            "entrypoint" => {
                missing.push(Missing::of(value, "the image's entrypoint is not run, and no other one either"))
            }
            "group" => missing
                .push(Missing::of(value, "steps wait for what they `depends_on`; without a word, for the one before")),
            _ => missing.push(Missing::of(value, "steps have no such option")),
        }
    }
    for line in node.get("commands").map(|node| node.items()).unwrap_or_default() {
        let Some(command) = line.text() else {
            missing.push(Missing::of(&line, "this line is left out: it is no text"));
            continue;
        };
        // There, two of them are one for the shell.
        let text = Text::from(command.trim_end().replace("$$", "$").as_str());
        job.commands.push(Command { line: line.place().line, title: None, text, when: Cond::True });
    }
    if let Some(settings) = &plugin {
        let why = "the step is a plugin: it has only an image and these settings; say with commands what it does";
        missing.push(Missing::of(settings, why));
    }
    let works = !job.commands.is_empty();
    let service = detached.then(|| {
        let mut service = service(name, node, &job, missing);
        let lines: Vec<&str> = job.commands.iter().filter_map(|command| command.text.literal()).collect();
        if !lines.is_empty() {
            service.argv = ["/bin/sh", "-ec", &lines.join("\n")].map(Text::from).to_vec();
        }
        service
    });
    if !works && service.is_none() {
        let line = node.place().line;
        let text = Text::from("echo 'nothing of this step could be translated' >&2; exit 1");
        job.commands.push(Command { line, title: None, text, when: Cond::True });
        if plugin.is_none() {
            let why = "the step has no commands in this file: it fails until it has some";
            missing.push(Missing { place: node.place(), why: why.to_owned() });
        }
    }
    variables::used(&mut job, predefined, node, missing);
    if job.image.is_empty() {
        job.image = Text::from("debian:12");
        missing.push(Missing { place: node.place(), why: "the step names no image: it is `debian:12`".to_owned() });
    }
    Step { name: name.to_owned(), job, depends_on, detached: service, works }
}

/// Variables: a map, or a list of `NAME=value`; and of old files, a list of secrets.
fn environment(node: &Tree, secrets: bool, job: &mut Job, missing: &mut MissingList) {
    for entry in node.entries() {
        if let Some(secret) = entry.value.get("from_secret").and_then(|secret| secret.text()) {
            job.set(&entry.key, Value::Secret(secret.to_owned()));
        } else {
            let value = text(&entry.value, job, missing);
            job.set(&entry.key, Value::Text(value));
            if entry.value.is_nothing() {
                entry.value.cover();
            }
        }
    }
    for item in if node.is_list() { node.items() } else { Vec::new() } {
        let source = item.get("source").and_then(|source| source.text()).map(str::to_owned);
        match (source.or_else(|| item.text().map(str::to_owned)), secrets) {
            (Some(name), true) => {
                let target = item.get("target").and_then(|target| target.text()).unwrap_or(&name).to_ascii_uppercase();
                job.set(&target, Value::Secret(name));
            }
            (Some(pair), false) if pair.contains('=') => {
                let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
                job.set(name, Value::Text(Text::from(value)));
            }
            _ => missing.push(Missing::of(&item, "this is no variable")),
        }
    }
}

/// A service beside a step.
pub fn service(name: &str, node: &Tree, job: &Job, missing: &mut MissingList) -> Service {
    let mut own = Job { matrix: job.matrix.clone(), ..Job::default() };
    if let Some(node) = node.get("environment") {
        environment(node, false, &mut own, missing);
    }
    let image = node.get("image").map(|image| text(image, job, missing)).unwrap_or_default();
    let ports = node.get("ports").map(|node| node.items()).unwrap_or_default();
    let number =
        |port: &Tree| port.text().and_then(|port| port.split(['/', ':']).next().and_then(|port| port.parse().ok()));
    let port = ports.iter().filter_map(number).next().or_else(|| variables::port(&image.literals()));
    let argv =
        node.get("commands").filter(|_| node.get("detach").is_none()).map(|node| node.items()).unwrap_or_default();
    let lines: Vec<String> = argv.iter().filter_map(|line| line.text().map(str::to_owned)).collect();
    let argv = match lines.is_empty() {
        true => Vec::new(),
        false => ["/bin/sh", "-ec", &lines.join("\n")].map(Text::from).to_vec(),
    };
    let name = names::host(name);
    if port.is_none() {
        let why = format!("nobody waits until `{name}` is ready; say `.ready_port(…)` or `.ready_command(…)`");
        missing.push(Missing { place: node.place(), why });
    }
    Service { name, image, argv, env: own.env, port, ready: Vec::new() }
}
