//! What is wrong with a graph.

use std::collections::BTreeMap;

use super::{DeclaredJob, Value};
use crate::RunWhen;

/// The secrets of a build.
pub(crate) type Secrets = BTreeMap<String, Vec<u8>>;

/// What is wrong with the jobs `new`, which come to the jobs that are `there` already, in a build with these secrets.
pub(crate) fn problems(there: &[DeclaredJob], new: &[DeclaredJob], secrets: &Secrets) -> Vec<String> {
    let all: Vec<&DeclaredJob> = there.iter().chain(new).collect();
    let graph = Known::new(&all);
    let mut faults = Vec::new();
    for (position, job) in new.iter().enumerate() {
        let earlier = there.iter().chain(&new[..position]);
        let mut add = |what: String| faults.push(format!("job {:?}: {what}", job.id));
        fields(job, &mut add);
        for secret in missing(job, secrets) {
            add(format!(
                "nobody gave the build a secret {secret:?}, which it is to be given; `Simulation::secret` gives one in a test"
            ));
        }
        if earlier.clone().any(|other| other.id == job.id) {
            add("a job that was declared earlier has the same id".to_owned());
        }
        for id in earlier.flat_map(saved).filter(|id| saved(job).any(|own| own == *id)) {
            add(format!("the artifact {id:?} is saved by another job already"));
        }
        graph.check(job, &mut add);
    }
    faults.extend(graph.cycle(new).map(|path| format!("the needs go in a cycle: {}", path.join(" needs "))));
    faults
}

/// The secrets that a job is to be given, and that nobody gave. A job that is removed needs none.
fn missing<'a>(job: &'a DeclaredJob, secrets: &Secrets) -> Vec<&'a str> {
    let services = job.services.iter().flat_map(|service| service.env.values());
    let named = job.env.values().chain(services).filter_map(|value| match value {
        Value::Secret(name) | Value::SecretFile(name) => Some(name.as_str()),
        Value::Text(_) | Value::ParamFile(_) | Value::Output { .. } => None,
    });
    named.filter(|name| job.removed.is_none() && !secrets.contains_key(*name)).collect()
}

/// Removes the jobs that run on a failure of nothing but removed jobs.
pub(super) fn remove_without_causes(jobs: &mut [DeclaredJob]) {
    let removed_need = |jobs: &[DeclaredJob], job: &DeclaredJob| {
        let removed = |id: &String| jobs.iter().any(|other| other.id == *id && other.removed.is_some());
        let more = !job.requires.is_empty()
            || job.restores.iter().any(|it| !it.if_there)
            || job.env.values().any(|value| matches!(value, Value::Output { .. }));
        (!more && job.needs.iter().all(removed)).then(|| job.needs.first().cloned()).flatten()
    };
    let next = |jobs: &[DeclaredJob]| {
        let mut waiting = jobs.iter().enumerate().filter(|(_, job)| job.removed.is_none() && runs_on_failure(job));
        waiting.find_map(|(position, job)| Some((position, removed_need(jobs, job)?)))
    };
    while let Some((position, need)) = next(jobs) {
        jobs[position].removed = Some(format!("it runs on a failure of {need:?}, which is removed"));
    }
}

fn runs_on_failure(job: &DeclaredJob) -> bool {
    job.run_when.as_deref() == Some(RunWhen::Failure.name())
}

/// Refuses a late job that has not been completed.
pub(super) fn complete(job: &DeclaredJob) -> Result<(), String> {
    let mut faults = Vec::new();
    if job.skipped.is_none() {
        fields(&DeclaredJob { late: false, ..job.clone() }, &mut |what| faults.push(what));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// The ids of the artifacts that a job saves or creates.
fn saved(job: &DeclaredJob) -> impl Iterator<Item = &str> {
    job.saves.iter().map(|it| it.id.as_str()).chain(job.creates_artifacts.iter().map(String::as_str))
}

/// What can be said of a job by looking at nothing but the job.
fn fields(job: &DeclaredJob, add: &mut impl FnMut(String)) {
    let id_char = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    if job.id.len() > 64
        || !job.id.starts_with(|first: char| first.is_ascii_alphanumeric())
        || !job.id.chars().all(id_char)
    {
        add("the id is not valid; use 1 to 64 of a-z A-Z 0-9 . _ - and begin with a letter or a digit".to_owned());
    }
    if job.retry > 10 {
        add(format!("it runs again at most 10 times, not {}", job.retry));
    }
    if job.timeout.is_some_and(|limit| limit.is_zero()) {
        add("its timeout is 0".to_owned());
    }
    if !job.container {
        return;
    }
    if job.image.as_ref().is_none_or(|image| image.trim().is_empty()) && !job.late {
        add("there is no image".to_owned());
    }
    match (&job.argv, &job.shell) {
        (None, None) if !job.late => add("there is no command; give it argv or shell".to_owned()),
        (Some(_), Some(_)) => add("there is a command in argv and another in shell".to_owned()),
        _ => {}
    }
    for (what, twice) in [
        ("caches", twice(job.caches.iter().map(|it| &it.id))),
        ("services", twice(job.services.iter().map(|it| &it.name))),
    ] {
        if let Some(name) = twice {
            add(format!("it has two {what} {name:?}"));
        }
    }
    for name in job.env.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
        add(format!("{name:?} can't be the name of an environment variable"));
    }
    let paths = job.saves.iter().map(|it| &it.path).chain(job.restores.iter().map(|it| &it.path));
    let paths = paths.chain(job.caches.iter().map(|it| &it.path)).chain(&job.work_dir);
    for path in
        paths.filter(|path| path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == ".."))
    {
        add(format!("the path {path:?} has to be relative, and without \"..\""));
    }
}

/// The first name that is there twice.
fn twice<'a>(mut names: impl Iterator<Item = &'a String> + Clone) -> Option<&'a String> {
    let all = names.clone();
    names.find(|name| all.clone().filter(|other| other == name).count() > 1)
}

/// All jobs, and who saves what.
pub(super) struct Known<'a> {
    jobs: BTreeMap<&'a str, &'a DeclaredJob>,
    savers: BTreeMap<&'a str, &'a DeclaredJob>,
}

impl<'a> Known<'a> {
    pub(super) fn new(all: &[&'a DeclaredJob]) -> Self {
        let jobs = all.iter().map(|job| (job.id.as_str(), *job)).collect();
        let savers = all.iter().flat_map(|job| saved(job).map(|id| (id, *job))).collect();
        Self { jobs, savers }
    }

    /// Checks what a job says of others.
    fn check(&self, job: &DeclaredJob, add: &mut impl FnMut(String)) {
        for id in job.needs.iter().chain(&job.requires) {
            match self.jobs.contains_key(id.as_str()) {
                _ if *id == job.id => add("it needs itself".to_owned()),
                true => {}
                false => add(format!("there is no job {id:?}, which it needs")),
            }
        }
        if job.removed.is_some() {
            return;
        }
        let removed = |id: &str| self.jobs.get(id).is_some_and(|job| job.removed.is_some());
        for id in job.requires.iter().filter(|id| removed(id)) {
            add(format!("it requires the job {id:?}, which is removed"));
        }
        for restored in job.restores.iter().filter(|it| !it.if_there) {
            let id = &restored.id;
            match self.savers.get(id.as_str()) {
                None => add(format!("no job saves the artifact {id:?}, which it restores")),
                Some(saver) if saver.id == job.id => {
                    add(format!("it restores the artifact {id:?}, which it saves itself"))
                }
                Some(saver) if saver.removed.is_some() => {
                    add(format!("it restores the artifact {id:?} of the job {:?}, which is removed", saver.id));
                }
                Some(_) => {}
            }
        }
        for (name, value) in &job.env {
            if let Value::Output { job: from, .. } = value {
                if !self.jobs.contains_key(from.as_str()) {
                    add(format!("there is no job {from:?}, whose output is to be in {name}"));
                } else if removed(from) {
                    add(format!("it reads an output of the job {from:?}, which is removed"));
                }
            }
        }
    }

    /// All jobs that a job needs, for one reason or another; instead of removed ones, what these needed. One that runs on a
    /// failure takes nothing instead.
    pub(super) fn needs(&self, job: &DeclaredJob) -> Vec<String> {
        let mut needs = Vec::new();
        let mut seen = Vec::new();
        let mut open: Vec<&str> = self.named(job).rev().collect();
        while let Some(id) = open.pop() {
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            match self.jobs.get(id) {
                Some(removed) if removed.removed.is_some() && runs_on_failure(job) => {}
                Some(removed) if removed.removed.is_some() => open.extend(self.named(removed).rev()),
                Some(_) => needs.push(id.to_owned()),
                None => {}
            }
        }
        needs
    }

    /// The jobs that a job names.
    fn named<'b>(&'b self, job: &'b DeclaredJob) -> impl DoubleEndedIterator<Item = &'b str> {
        let outputs = job.env.values().filter_map(|value| match value {
            Value::Output { job, .. } => Some(job.as_str()),
            _ => None,
        });
        let restored = job.restores.iter().filter(|it| !it.if_there);
        let savers = restored.filter_map(|it| self.savers.get(it.id.as_str()).map(|saver| saver.id.as_str()));
        job.needs.iter().chain(&job.requires).map(String::as_str).chain(savers).chain(outputs)
    }

    /// A cycle of needs, if there is one: without the jobs that nothing in `among` leads to.
    fn cycle(&self, among: &[DeclaredJob]) -> Option<Vec<String>> {
        let mut done = Vec::new();
        among.iter().find_map(|job| self.walk(&job.id, &mut Vec::new(), &mut done))
    }

    fn walk(&self, id: &str, path: &mut Vec<String>, done: &mut Vec<String>) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|earlier| earlier == id) {
            let cycle = path[start..].iter().chain([&path[start]]);
            return (path.len() > start + 1).then(|| cycle.cloned().collect());
        }
        if done.iter().any(|earlier| earlier == id) {
            return None;
        }
        let job = self.jobs.get(id)?;
        path.push(id.to_owned());
        let found = self.named(job).find_map(|need| self.walk(need, path, done));
        path.pop();
        done.push(id.to_owned());
        found
    }
}
