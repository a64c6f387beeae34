//! One job.

use monkeyci_sdk::prelude::*;

use crate::keys::{JOB, RETRY, meant};
use crate::parts::{cache, restored, saved, service, variable};
use crate::reader::{Map, Reader};
use crate::tree::{At, Kind, Node, Tree};

/// MonkeyCI stops a job after 20 minutes.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20 * 60);

/// Reads a job. None where it is too far from being one; why, is noted.
pub fn job(reader: Reader<'_>, id: &str, at: At, map: &Map<'_>) -> Option<ContainerJob> {
    if let Some(kind) = map.get("type") {
        let wanted = "`container`, since functions are not declared here,";
        reader.parsed(kind, wanted, |kind| (kind.trim_start_matches(':') == "container").then_some(()))?;
    }
    let Some(image) = map.get("image") else {
        reader.fault(at, format!("the job `{id}` has no `image`"));
        return None;
    };
    let job = container(id, reader.text(image)?).timeout(TIMEOUT);
    let job = command(reader, id, at, map, job)?;
    let job = place_in_the_graph(reader, id, map, job);
    let job = ending(reader, map, job);
    let job = surroundings(reader, map, job);
    Some(files(reader, map, job))
}

fn command(reader: Reader<'_>, id: &str, at: At, map: &Map<'_>, mut job: ContainerJob) -> Option<ContainerJob> {
    match (map.get("script"), map.get("argv")) {
        (Some(script), None) => {
            let lines = reader.items(script).iter().filter_map(|line| reader.command(line));
            job = job.shell(lines.collect::<Vec<String>>());
            // MonkeyCI runs each line in a shell of its own.
            if !reader.is(map, "one-shell") {
                job = job.shell_each();
            }
        }
        (None, Some(argv)) => {
            let words = reader.items(argv).iter().filter_map(|word| reader.command(word));
            job = job.argv(words.collect::<Vec<String>>());
        }
        (Some(_), Some(argv)) => {
            reader.fault(argv.at, "a job has either a `script` or `argv`");
            return None;
        }
        (None, None) => {
            reader.fault(at, format!("the job `{id}` has neither a `script` nor `argv`"));
            return None;
        }
    }
    if let Some(shell) = map.get("shell") {
        job = job.shell_program(reader.texts(shell));
    }
    if reader.is(map, "entrypoint") {
        job = job.entrypoint_of_image();
    }
    Some(job)
}

fn place_in_the_graph(reader: Reader<'_>, id: &str, map: &Map<'_>, mut job: ContainerJob) -> ContainerJob {
    for other in map.get("needs").map_or(&[][..], |needs| reader.items(needs)) {
        job = job.needs_all(others(reader, other));
    }
    for other in map.get("requires").map_or(&[][..], |needs| reader.items(needs)) {
        job = others(reader, other).into_iter().fold(job, |job, other| job.requires(other));
    }
    if let Some((text, met)) = map.get("if").and_then(|condition| reader.condition(condition)) {
        job = job.only_if(met, format!("not in this build: {text}"));
    }
    if let Some(when) = map.get("run-when").and_then(|when| {
        reader.parsed(when, "success, always or failure", |when| {
            Some(match when {
                "success" => RunWhen::Success,
                "always" => RunWhen::Always,
                "failure" => RunWhen::Failure,
                _ => return None,
            })
        })
    }) {
        job = job.run_when(when);
    }
    if let Some(priority) = map.get("priority").and_then(|it| reader.parsed(it, "a whole number", |it| it.parse().ok()))
    {
        job = job.priority(priority);
    }
    if let Some(group) = map.get("fail-fast").and_then(|group| reader.text(group)) {
        job = job.fail_fast(group);
    }
    if let Some(message) = map.get("approval").and_then(|message| reader.text(message)) {
        job = job.approval(message);
    } else if reader.is(map, "blocked") {
        job = job.approval(format!("run {id}?"));
    }
    if reader.is(map, "manual") { job.manual() } else { job }
}

/// The jobs that a name of one stands for.
fn others(reader: Reader<'_>, node: &Tree) -> Vec<String> {
    let Some(name) = reader.text(node) else { return Vec::new() };
    let jobs = &reader.context.jobs;
    if let Some(ids) = jobs.get(&name) {
        return ids.clone();
    }
    if jobs.values().flatten().all(|id| *id != name) {
        reader.fault(node.at, format!("there is no job `{name}`{}", meant(&name, jobs.keys().map(String::as_str))));
    }
    vec![name]
}

fn ending(reader: Reader<'_>, map: &Map<'_>, mut job: ContainerJob) -> ContainerJob {
    if let Some(limit) = map.get("timeout").and_then(|limit| reader.duration(limit)) {
        job = job.timeout(limit);
    }
    if reader.is(map, "allow-failure") {
        job = job.allow_failure();
    }
    for label in map.get("labels").map_or(&[][..], |labels| reader.names(labels)) {
        if let Some(value) = reader.text(&label.value) {
            job = job.label(&label.key, value);
        }
    }
    match map.get("retry") {
        Some(retry) => again(reader, retry, job),
        None => job,
    }
}

fn again(reader: Reader<'_>, node: &Node, mut job: ContainerJob) -> ContainerJob {
    let count = |node: &Node| reader.parsed(node, "a number of further runs", |count| count.parse().ok());
    if !matches!(node.kind, Kind::Map(_)) {
        return count(node).map_or(job.clone(), |count| job.retry(count));
    }
    let Some(map) = reader.map(node, &RETRY) else { return job };
    match map.get("count") {
        Some(it) => job = count(it).map_or(job.clone(), |count| job.retry(count)),
        None => reader.fault(node.at, "`retry` has no `count`"),
    }
    for cause in map.get("on").map_or(&[][..], |on| reader.items(on)) {
        let wanted = "failure, error, timeout, out-of-memory or exit-code=N";
        let cause = reader.parsed(cause, wanted, |cause| {
            Some(match cause {
                "failure" => RetryOn::Failure,
                "error" => RetryOn::Error,
                "timeout" => RetryOn::Timeout,
                "out-of-memory" => RetryOn::OutOfMemory,
                other => RetryOn::ExitCode(other.strip_prefix("exit-code=")?.parse().ok()?),
            })
        });
        job = cause.map_or(job.clone(), |cause| job.retry_on(cause));
    }
    if let Some(delay) = map.get("delay").and_then(|delay| reader.duration(delay)) {
        job = job.retry_delay(delay);
    }
    job
}

/// Where and with what it runs.
fn surroundings(reader: Reader<'_>, map: &Map<'_>, mut job: ContainerJob) -> ContainerJob {
    let text = |key: &str| map.get(key).and_then(|node| reader.text(node));
    if let Some(path) = text("work-dir") {
        job = job.work_dir(clean(&path));
    }
    if let Some(user) = text("user") {
        job = job.user(user);
    }
    if let Some(arch) = text("arch") {
        // As MonkeyCI names them.
        job = job.architecture(match arch.trim_start_matches(':') {
            "arm" => "arm64",
            "amd" => "amd64",
            other => other,
        });
    }
    let size =
        map.get("size").and_then(|size| reader.parsed(size, "a number of cores", |size| size.parse::<u32>().ok()));
    let cores = |cores: &str| cores.parse::<f64>().ok().filter(|cores| (0.001..4e6).contains(cores));
    let cpus = map.get("cpus").and_then(|cpus| reader.parsed(cpus, "a number of cores, `0.5` say,", cores));
    if let Some(cores) = cpus.or(size.map(f64::from)) {
        job = job.cpu((cores * 1000.0).round() as u32);
    }
    let memory = map.get("memory").and_then(|memory| reader.bytes(memory, 1 << 30));
    if let Some(bytes) = memory.or(size.map(|size| u64::from(size) << 31)) {
        job = job.memory(bytes);
    }
    if let Some(bytes) = map.get("shm-size").and_then(|size| reader.bytes(size, 1)) {
        job = job.shm_size(bytes);
    }
    if let Some(policy) = map.get("pull").and_then(|policy| {
        reader.parsed(policy, "missing, always or never", |policy| {
            Some(match policy {
                "missing" => PullPolicy::Missing,
                "always" => PullPolicy::Always,
                "never" => PullPolicy::Never,
                _ => return None,
            })
        })
    }) {
        job = job.pull(policy);
    }
    let network = |network: &str| ["internet", "none"].contains(&network).then(|| network == "none");
    if map.get("network").and_then(|it| reader.parsed(it, "internet or none", network)) == Some(true) {
        job = job.network_none();
    }
    for destination in map.get("network-allow").map(|all| reader.texts(all)).unwrap_or_default() {
        job = job.allow(destination);
    }
    if reader.is(map, "git") {
        job = job.with_git();
    }
    for entry in map.get("env").map_or(&[][..], |env| reader.names(env)) {
        job = variable(reader, entry, job);
    }
    job
}

/// What it reads, keeps and leaves, and what lives beside it.
fn files(reader: Reader<'_>, map: &Map<'_>, mut job: ContainerJob) -> ContainerJob {
    let items = |key: &str| map.get(key).map_or(&[][..], |node| reader.items(node));
    for node in items("save-artifacts") {
        job = saved(reader, node).map_or(job.clone(), |artifact| job.save(artifact));
    }
    for node in items("restore-artifacts") {
        job = restored(reader, node, job);
    }
    for node in items("caches") {
        job = cache(reader, node).map_or(job.clone(), |cache| job.keep(cache));
    }
    for glob in map.get("test-reports").map(|globs| reader.texts(globs)).unwrap_or_default() {
        job = job.test_report(glob);
    }
    match map.get("services").map(|node| (node, &node.kind)) {
        // By their names.
        Some((node, Kind::Map(_))) => {
            for entry in reader.names(node) {
                job = service(reader, &entry.value, Some(&entry.key)).map_or(job.clone(), |it| job.service(it));
            }
        }
        Some((node, _)) => {
            for node in reader.items(node) {
                job = service(reader, node, None).map_or(job.clone(), |it| job.service(it));
            }
        }
        None => {}
    }
    job
}

/// A path as the contract has it.
pub fn clean(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    if path.is_empty() { ".".to_owned() } else { path.to_owned() }
}

/// The entries of a job.
pub fn entries<'t>(reader: Reader<'_>, node: &'t Node) -> Option<Map<'t>> {
    reader.map(node, &JOB)
}
