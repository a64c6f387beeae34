//! A plan in lines: one a job, and one that sums up. They are the same each time, for whoever posts them.

use monkeyci_build::{
    Branch, Command, ContainerSpec, Fate, JobKind, JobSpec, LateValue, NetworkMode, Permissions, Plan, PlannedJob,
    RunWhen,
};

use crate::text::harmless;

/// The lines of a plan.
pub fn plan(plan: &Plan) -> Vec<String> {
    let ids = plan.jobs.iter().map(|job| job.spec.id.as_str()).chain(plan.removed.iter().map(|(job, _)| job.as_str()));
    let width = ids.map(|id| id.chars().count()).max().unwrap_or(0);
    let order = plan.in_order();
    let waves = order.last().map_or(0, |(wave, _)| *wave);
    let digits = waves.to_string().len();
    let line = |mark: &str, id: &str, what: &str| harmless(&format!("{mark:>digits$}  {id:width$}  {what}"), false);
    let mut lines: Vec<String> =
        order.iter().map(|(wave, job)| line(&wave.to_string(), &job.spec.id, &what(job).join(" · "))).collect();
    for job in &plan.jobs {
        if let Fate::Never { reason, .. } = &job.fate {
            let mut parts = vec![format!("does not run: {reason}")];
            parts.extend(needs(job));
            lines.push(line("-", &job.spec.id, &parts.join(" · ")));
        }
    }
    for (job, reason) in &plan.removed {
        lines.push(line("-", job, &format!("removed: {reason}")));
    }
    lines.push(summary(plan, order.len(), waves));
    lines.extend(permissions(&plan.permissions));
    lines
}

fn summary(plan: &Plan, run: usize, waves: u32) -> String {
    let not = plan.jobs.len() - run + plan.removed.len();
    let open = plan.jobs.iter().filter(|job| job.open.is_some()).count();
    let mut parts = vec![match (run, waves) {
        (0, _) => "no job runs".to_owned(),
        (1, _) => "1 job runs".to_owned(),
        (run, 1) => format!("{run} jobs run at once"),
        (run, waves) => format!("{run} jobs run in {waves} waves"),
    }];
    if open > 0 {
        parts.push(format!("{open} open"));
    }
    if not > 0 {
        parts.push(format!("{not} {} not run", if not == 1 { "does" } else { "do" }));
    }
    format!("plan: {}", parts.join(", "))
}

fn permissions(asked: &Permissions) -> Option<String> {
    let Permissions { imports: _, secrets, networks, users } = asked;
    let kinds = [("secrets", secrets), ("networks", networks), ("users", users)];
    let kinds = kinds.iter().filter(|(_, names)| !names.is_empty());
    let kinds = kinds.map(|(kind, names)| format!("{kind} {}", names.iter().cloned().collect::<Vec<_>>().join(", ")));
    let kinds: Vec<String> = kinds.collect();
    (!kinds.is_empty()).then(|| harmless(&format!("asks for: {}", kinds.join("; ")), false))
}

/// What a job that runs does, and with what: one part after the other.
pub fn what(job: &PlannedJob) -> Vec<String> {
    let spec = &job.spec;
    let mut parts = vec![match &spec.kind {
        JobKind::Action => "action".to_owned(),
        JobKind::Container(container) if container.image.is_empty() => "container".to_owned(),
        JobKind::Container(container) => format!("container {}", container.image),
    }];
    parts.extend(job.open.clone());
    parts.extend(job.submitted_by.iter().map(|by| format!("submitted by {by}")));
    parts.extend(needs(job));
    parts.extend(conditions(spec));
    if let Some(container) = spec.container() {
        with(container, &mut parts);
    }
    if !spec.creates_artifacts.is_empty() {
        parts.push(format!("creates {}", spec.creates_artifacts.join(", ")));
    }
    parts
}

/// What it needs, with what hangs on that.
fn needs(job: &PlannedJob) -> Vec<String> {
    let branch = |need: &String| job.branches.iter().find(|branch| branch.need == *need);
    let plain: Vec<&str> = job.spec.needs.iter().filter(|need| branch(need).is_none()).map(String::as_str).collect();
    let mut parts = Vec::new();
    if !plain.is_empty() {
        parts.push(format!("after {}", plain.join(", ")));
    }
    let mut branches: Vec<&Branch> = job.branches.iter().collect();
    while let Some(first) = branches.first().copied() {
        let (alike, others): (Vec<&Branch>, Vec<&Branch>) =
            branches.into_iter().partition(|branch| (branch.success, branch.failure) == (first.success, first.failure));
        let needs: Vec<&str> = alike.iter().map(|branch| branch.need.as_str()).collect();
        parts.push(match needs.as_slice() {
            [_] => first.to_string(),
            all => format!("{}: all success → {}, one failure → {}", all.join(", "), first.success, first.failure),
        });
        branches = others;
    }
    parts
}

/// When it runs, and what its failure means.
fn conditions(spec: &JobSpec) -> Vec<String> {
    let mut parts = Vec::new();
    match spec.run_when {
        RunWhen::Success => {}
        RunWhen::Always => parts.push("always".to_owned()),
        RunWhen::Failure => parts.push("on a failure".to_owned()),
    }
    parts.extend(spec.approval.iter().map(|message| format!("after approval {message:?}")));
    if spec.allow_failure {
        parts.push("may fail".to_owned());
    }
    parts.extend(spec.fail_fast.iter().map(|group| format!("group {group}: one failure → the others stop")));
    parts.extend(spec.retry.iter().map(|retry| format!("retry {}", retry.count)));
    parts
}

/// What a container job is given.
fn with(container: &ContainerSpec, parts: &mut Vec<String>) {
    let mut list = |what: &str, names: Vec<String>| {
        if !names.is_empty() {
            parts.push(format!("{what} {}", names.join(", ")));
        }
    };
    list("env", container.env.keys().cloned().collect());
    let late = |of: fn(&str, &LateValue) -> Option<String>| -> Vec<String> {
        container.late_env.iter().filter_map(|(name, value)| of(name, value)).collect()
    };
    list(
        "secrets",
        late(|name, value| match value {
            LateValue::Secret(secret) if secret == name => Some(name.to_owned()),
            LateValue::Secret(secret) => Some(format!("{name} ({secret})")),
            LateValue::SecretFile(secret) => Some(format!("{name} (file of {secret})")),
            LateValue::ParamFile(_) | LateValue::Output { .. } => None,
        }),
    );
    list(
        "outputs",
        late(|name, value| match value {
            LateValue::Output { job, output } => Some(format!("{name} ({output} of {job})")),
            _ => None,
        }),
    );
    list("restores", container.restore_artifacts.iter().map(|restore| restore.id.clone()).collect());
    list("saves", container.save_artifacts.iter().map(|save| save.id.clone()).collect());
    list("caches", container.caches.iter().map(|cache| cache.id.clone()).collect());
    let services = container.services.iter().map(|service| format!("{} ({})", service.name, service.image));
    list("services", services.collect());
    list("user", container.user.iter().cloned().collect());
    if container.network == NetworkMode::None {
        parts.push("no network".to_owned());
    }
    let allowed: Vec<String> = container.network_allow.iter().map(ToString::to_string).collect();
    if !allowed.is_empty() {
        parts.push(format!("reaches {}", allowed.join(", ")));
    }
    if matches!(&container.command, Command::Argv(argv) if argv.is_empty()) {
        parts.push("the image's own command".to_owned());
    }
}
