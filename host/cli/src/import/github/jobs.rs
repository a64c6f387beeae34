//! Jobs of a workflow.

use std::collections::{BTreeMap, BTreeSet};

use super::expression::{Expr, of_if, parse, part, unwrapped};
use super::starts::Starts;
use super::text::Scope;
use super::{matrix, steps};
use crate::import::condition::Cond;
use crate::import::model::{Job, Matrix, Missing, MissingList, Policy, Service, Text};
use crate::import::names;
use crate::import::yaml::{Entry, Node, Tree};

/// By job and output: what a step of that job calls it.
pub type Outputs = BTreeMap<(String, String), String>;

/// A workflow, of which jobs are read.
pub struct Workflow<'a> {
    pub root: &'a Tree,
    pub ids: &'a BTreeMap<String, String>,
    pub outputs: &'a Outputs,
    pub starts: &'a Starts,
}

/// The outputs of jobs that a step's commands write. All others are listed.
pub fn outputs(jobs: &Tree, missing: &mut MissingList) -> Outputs {
    let mut all = Outputs::new();
    for job in jobs.entries() {
        let steps = job.value.get("steps").map(|node| node.items()).unwrap_or_default();
        let runs = |id: &str| {
            let step = steps.iter().find(|step| step.get("id").and_then(|known| known.peek()) == Some(id));
            step.is_some_and(|step| step.get("run").is_some())
        };
        let is_matrix = job.value.get("strategy").is_some_and(|strategy| strategy.get("matrix").is_some());
        for output in job.value.get("outputs").map(|outputs| outputs.entries()).unwrap_or_default() {
            if is_matrix {
                missing.push(Missing::of(
                    &output.value,
                    "each job of a matrix has outputs of its own; take it from the one that is meant, with `.output_env(…)`",
                ));
                continue;
            }
            let name = output.value.peek().map(|text| parse(unwrapped(text)));
            match name {
                Some(Ok(Expr::Name(name)))
                    if name.len() == 4 && name[0] == "steps" && name[2] == "outputs" && runs(&name[1]) =>
                {
                    output.value.cover();
                    all.insert((job.key.clone(), output.key.clone()), name[3].clone());
                }
                _ => missing.push(Missing::of(
                    &output.value,
                    "only what a step writes to `$GITHUB_OUTPUT` is an output here; write it to `$MONKEYCI_OUTPUTS`",
                )),
            }
        }
    }
    all
}

impl Workflow<'_> {
    /// Reads a job; `None` if nothing of it can be a job here.
    pub fn job(&self, entry: &Entry, missing: &mut MissingList) -> Option<Job> {
        let (node, id) = (&entry.value, self.ids.get(&entry.key)?.clone());
        if node.get("uses").is_some() {
            missing.push(Missing::of(
                node,
                "it runs another workflow; import that one, and share what both have in a crate",
            ));
            return None;
        }
        if !node.is_map() {
            missing.push(Missing::of(node, "it is no job"));
            return None;
        }
        let mut job = Job { id: id.clone(), place: node.place(), shell_each: true, ..Job::default() };
        if let Some(strategy) = node.get("strategy") {
            self.strategy(strategy, &mut job, missing);
        }
        let mut scope = Scope {
            job: &mut job,
            missing,
            ids: self.ids,
            outputs: self.outputs,
            defaults: &self.starts.defaults,
            exported: BTreeSet::new(),
            alone: false,
        };
        let title = node.get("name").map(|name| scope.text(name));
        scope.job.title = title;
        self.needs(node, &mut scope);
        for env in [self.root.get("env"), node.get("env")].into_iter().flatten() {
            set(env, &mut scope);
        }
        if let Some(container) = node.get("container") {
            in_container(container, &mut scope);
        } else {
            scope.job.shell = Some("/bin/bash".to_owned());
        }
        for entry in node.get("services").map(|services| services.entries()).unwrap_or_default() {
            service(entry, node.get("container").is_none(), &mut scope);
        }
        condition(node, &mut scope);
        if let Some(minutes) = node.get("timeout-minutes") {
            match minutes.text().and_then(|text| text.parse::<u64>().ok()).and_then(|minutes| minutes.checked_mul(60)) {
                Some(seconds) => scope.job.timeout_s = Some(seconds),
                None => scope.miss(minutes, "this is no number of minutes; say `.timeout(…)`"),
            }
        }
        if let Some(allowed) = node.get("continue-on-error") {
            match allowed.text() {
                Some("true") => scope.job.policies.push((Cond::True, Policy::AllowFailure)),
                Some("false") => {}
                _ => scope
                    .miss(allowed, "whether the job may fail is not known here; say `.allow_failure()` where it may"),
            }
        }
        super::without(node, scope.missing);
        let defaults = [node.get("defaults"), self.root.get("defaults")];
        let run = defaults.into_iter().flatten().filter_map(|defaults| defaults.get("run")).collect::<Vec<_>>();
        steps::read(node, &run, &mut scope);
        runs_on(node, &mut scope);
        if scope.job.commands.is_empty() {
            let line = node.place().line;
            let command = "echo 'no step of this job could be translated' >&2; exit 1";
            let nothing =
                crate::import::model::Command { line, title: None, text: Text::from(command), when: Cond::True };
            scope.job.commands.push(nothing);
        }
        Some(job)
    }

    fn strategy(&self, strategy: &Tree, job: &mut Job, missing: &mut MissingList) {
        job.matrix = strategy.get("matrix").and_then(|matrix| matrix::read(&job.id, matrix, missing));
        let fail_fast = strategy.get("fail-fast").and_then(|value| value.text());
        job.fail_fast = job.matrix.is_some() && fail_fast != Some("false");
        if let Some(parallel) = strategy.get("max-parallel") {
            missing.push(Missing::of(
                parallel,
                "how many jobs run at a time is said of all, by `monkeyci-host run --jobs N`",
            ));
        }
    }

    fn needs(&self, node: &Tree, scope: &mut Scope<'_>) {
        for need in node.get("needs").map(|node| node.items()).unwrap_or_default() {
            let other = need.text().unwrap_or_default().to_owned();
            let jobs = self.root.get("jobs");
            let is_job =
                jobs.and_then(|jobs| jobs.get(&other)).is_some_and(|job| job.is_map() && job.get("uses").is_none());
            match self.ids.get(&other).filter(|_| is_job) {
                Some(id) => scope.job.needs.push(id.clone()),
                None => scope.miss(&need, "the job that it needs is not translated"),
            }
        }
    }
}

/// Sets variables.
fn set(env: &Tree, scope: &mut Scope<'_>) {
    if !env.is_map() {
        scope.miss(env, "these variables are not known before the build; write them down");
    }
    for entry in env.entries() {
        let value = scope.value(&entry.value);
        entry.value.cover();
        scope.job.set(&entry.key, value);
    }
}

fn in_container(container: &Tree, scope: &mut Scope<'_>) {
    if container.peek().is_some() {
        scope.job.image = scope.text(container);
        return;
    }
    if let Some(image) = container.get("image") {
        scope.job.image = scope.text(image);
    }
    if let Some(env) = container.get("env") {
        set(env, scope);
    }
}

fn service(entry: &Entry, by_localhost: bool, scope: &mut Scope<'_>) {
    let node = &entry.value;
    let mut service = Service { name: names::host(&entry.key), ..Service::default() };
    // Its image alone, as `container` may be too.
    let image = if node.peek().is_some() { Some(node) } else { node.get("image") };
    let Some(image) = image else {
        scope.miss(node, "the service is left out: it names no image");
        return;
    };
    service.image = scope.text(image);
    for variable in node.get("env").map(|env| env.entries()).unwrap_or_default() {
        let value = scope.value(&variable.value);
        variable.value.cover();
        if matches!(value, crate::import::model::Value::Output { .. }) {
            scope.miss(&variable.value, "a service has no outputs of jobs");
        }
        service.env.push((variable.key.clone(), value));
    }
    for port in node.get("ports").map(|node| node.items()).unwrap_or_default() {
        let number = port
            .peek()
            .and_then(|text| text.split('/').next()?.rsplit(':').next())
            .and_then(|text| text.parse::<u16>().ok());
        match number.filter(|_| service.port.is_none()) {
            Some(number) => {
                port.cover();
                service.port = Some(number);
            }
            None => scope.miss(&port, "a job waits for one port of a service; all are there without being named"),
        }
    }
    if let Some(options) = node.get("options") {
        health(options, &mut service, scope);
    }
    if by_localhost && service.port.is_some() {
        let why = format!("the job reaches this service as `{}`, and not as `localhost`", service.name);
        scope.missing.push(Missing { place: node.place(), why });
    }
    scope.job.services.push(service);
}

/// Of the options of a service, the command that says whether it is ready.
fn health(options: &Tree, service: &mut Service, scope: &mut Scope<'_>) {
    let text = options.text().unwrap_or_default().to_owned();
    let (mut words, mut left) = (words(&text).into_iter(), Vec::new());
    while let Some(word) = words.next() {
        let value = word.strip_prefix("--health-cmd=").map(str::to_owned);
        match value.or_else(|| (word == "--health-cmd").then(|| words.next()).flatten()) {
            Some(command) if command.contains(' ') => {
                service.ready = ["/bin/sh", "-c"].map(str::to_owned).into_iter().chain([command]).collect();
            }
            Some(command) => service.ready = vec![command],
            None => left.push(word),
        }
    }
    if !left.is_empty() {
        scope.miss(
            options,
            format!("of these options, only `--health-cmd` is translated, and not `{}`", left.join(" ")),
        );
    }
}

/// Words as a shell has them.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            (_, c) => word.push(c),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    words
}

/// The `if:` of a job.
fn condition(node: &Tree, scope: &mut Scope<'_>) {
    let Some(condition) = node.get("if") else { return };
    // A job's condition is asked before there are rows.
    match of_if(condition.text().unwrap_or_default(), &|name| part(name, &|_| false, scope.defaults)) {
        Ok(found) => {
            if found.cond != Cond::True {
                let reason = condition.peek().map(unwrapped).unwrap_or_default().to_owned();
                scope.job.only_if.push((found.cond, format!("only if {reason}")));
            }
            scope.job.policies.extend(found.when.map(|policy| (Cond::True, policy)));
        }
        Err(wrong) => scope.miss(
            condition,
            format!("the job runs without this condition: {wrong}; say it with `.only_if(…)`, or late with `refine`"),
        ),
    }
}

/// What machines a job runs on: an image here.
fn runs_on(node: &Tree, scope: &mut Scope<'_>) {
    let Some(runs_on) = node.get("runs-on") else {
        if scope.job.image.is_empty() {
            scope.job.image = Text::from(UBUNTU);
        }
        return;
    };
    let text = runs_on.peek().unwrap_or_default().to_owned();
    let axis = match parse(unwrapped(&text)) {
        Ok(Expr::Name(name)) if name.len() == 2 && name[0] == "matrix" && text.contains("${{") => Some(name[1].clone()),
        _ => None,
    };
    if let Some(axis) = axis.filter(|axis| scope.job.has_axis(axis)) {
        runs_on.cover();
        by_axis(runs_on, &axis, scope);
        return;
    }
    let named = scope.job.image.is_empty();
    match image_of(&text) {
        Some(image) => {
            runs_on.cover();
            if named {
                scope.job.image = Text::from(image);
                scope.missing.push(Missing { place: runs_on.place(), why: bare(image) });
            }
        }
        None => {
            if named {
                scope.job.image = Text::from(UBUNTU);
            }
            scope.miss(runs_on, "jobs run in containers of Linux, on the machine of the host; name an image that has what this one needs");
        }
    }
}

const UBUNTU: &str = "ubuntu:24.04";

fn bare(image: &str) -> String {
    format!(
        "the machine became the image `{image}`, which has few of GitHub's tools; name one that has what the job needs"
    )
}

/// The image that comes nearest to a machine of GitHub.
fn image_of(machine: &str) -> Option<&'static str> {
    match machine {
        "ubuntu-latest" | "ubuntu-24.04" => Some(UBUNTU),
        "ubuntu-22.04" => Some("ubuntu:22.04"),
        "ubuntu-20.04" => Some("ubuntu:20.04"),
        _ => None,
    }
}

/// Machines that an axis names: rows of other systems go, and the images of the others are an axis, if no step has named one.
fn by_axis(runs_on: &Node, axis: &str, scope: &mut Scope<'_>) {
    let Some(Matrix { axes, rows }) = &mut scope.job.matrix else { return };
    let Some(at) = axes.iter().position(|known| known == axis) else { return };
    let mut gone = Vec::new();
    rows.retain(|(_, values)| {
        let stays = image_of(&values[at]).is_some();
        if !stays && !gone.contains(&values[at]) {
            gone.push(values[at].clone());
        }
        stays
    });
    let mut whys = Vec::new();
    if !gone.is_empty() {
        whys.push(format!("jobs run in containers of Linux: those for {} are left out", gone.join(", ")));
    }
    if rows.is_empty() {
        scope.job.matrix = None;
        scope.job.fail_fast = false;
        scope.job.image = Text::from(UBUNTU);
    } else if scope.job.image.is_empty() {
        axes.push("image".to_owned());
        for (_, values) in rows.iter_mut() {
            let image = image_of(&values[at]).unwrap_or(UBUNTU);
            values.push(image.to_owned());
        }
        scope.job.image = crate::import::model::Part::Axis("image".to_owned()).into();
        whys.push(bare("ubuntu"));
    }
    scope.missing.extend(whys.into_iter().map(|why| Missing { place: runs_on.place(), why }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_words_as_a_shell_has_them() {
        let all = words("--health-cmd \"pg_isready -U a\" --health-interval 10s\n  --x=''");
        assert_eq!(all, ["--health-cmd", "pg_isready -U a", "--health-interval", "10s", "--x="]);
    }
}
