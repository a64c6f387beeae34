//! Jobs as they will run, from drafts without fault.

use std::collections::HashSet;

use super::{DEFAULT_READY_TIMEOUT_MS, words};
use crate::{
    ArtifactOption, CacheOption, CacheSpec, Command, ContainerSpec, DEFAULT_JOB_TIMEOUT_MS, JobDraft, JobKind, JobSpec,
    Readiness, Retry, SaveArtifact, ServiceDraft, ServiceSpec, ShellCommand,
};

/// The job as it will run, with these needs.
pub(super) fn job_spec(draft: &JobDraft, needs: Vec<String>, removed_needs: Vec<String>) -> JobSpec {
    let kind = if draft.container { JobKind::Container(Box::new(container_spec(draft))) } else { JobKind::Action };
    let retry = draft.retry.map(|count| Retry {
        count,
        on: draft.retry_on.iter().filter_map(|word| words::retry_on(word)).collect(),
        delay_ms: draft.retry_delay_ms.unwrap_or_default(),
    });
    JobSpec {
        id: draft.id.clone(),
        needs,
        removed_needs,
        timeout_ms: draft.timeout_ms.unwrap_or(DEFAULT_JOB_TIMEOUT_MS),
        run_when: draft.run_when.as_deref().and_then(words::run_when).unwrap_or_default(),
        allow_failure: draft.allow_failure,
        retry,
        priority: draft.priority,
        fail_fast: draft.fail_fast.clone(),
        approval: draft.approval.clone(),
        manual: draft.manual,
        late: draft.late,
        labels: draft.labels.iter().cloned().collect(),
        calls: draft.calls.clone(),
        creates_artifacts: distinct(&draft.creates_artifacts).cloned().collect(),
        kind,
    }
}

/// The names without repetition, in the order in which each came first.
pub(super) fn distinct(names: &[String]) -> impl Iterator<Item = &String> {
    let mut seen = HashSet::with_capacity(names.len());
    names.iter().filter(move |name| seen.insert(*name))
}

fn container_spec(draft: &JobDraft) -> ContainerSpec {
    ContainerSpec {
        // A late job may have neither image nor command yet.
        image: draft.image.clone().unwrap_or_default(),
        command: match &draft.argv {
            Some(argv) => Command::Argv(argv.clone()),
            None => Command::Shell(ShellCommand {
                lines: draft.shell.clone().unwrap_or_default(),
                program: draft.shell_program.clone().unwrap_or_default(),
                each: draft.shell_each,
            }),
        },
        env: draft.env.iter().cloned().collect(),
        late_env: draft.late_env.iter().cloned().collect(),
        user: draft.user.clone(),
        architecture: draft.architecture.clone(),
        work_dir: draft.work_dir.clone().unwrap_or_default(),
        network: draft.network.as_deref().and_then(words::network).unwrap_or_default(),
        network_allow: draft.network_allow.iter().filter_map(|text| text.parse().ok()).collect(),
        memory_bytes: draft.memory_bytes,
        cpu_millis: draft.cpu_millis,
        shm_bytes: draft.shm_bytes,
        pull: draft.pull.as_deref().and_then(words::pull).unwrap_or_default(),
        entrypoint_of_image: draft.entrypoint_of_image,
        with_git: draft.with_git,
        save_artifacts: save_artifacts(draft),
        restore_artifacts: draft.restore_artifacts.clone(),
        caches: caches(draft),
        test_reports: draft.test_reports.clone(),
        services: draft.services.iter().map(service_spec).collect(),
    }
}

fn save_artifacts(draft: &JobDraft) -> Vec<SaveArtifact> {
    let mut saves = draft.save_artifacts.clone();
    let at = super::fields::positions(saves.iter().map(|save| save.id.clone()));
    for (id, option) in &draft.artifact_options {
        let Some(save) = at.get(id).and_then(|at| saves.get_mut(*at)) else { continue };
        match option {
            ArtifactOption::Files(globs) => save.files.extend(globs.iter().cloned()),
            ArtifactOption::Always => save.always = true,
            ArtifactOption::OnFailure => save.on_failure = true,
            ArtifactOption::IfThere => save.if_there = true,
        }
    }
    saves
}

fn caches(draft: &JobDraft) -> Vec<CacheSpec> {
    let cache =
        |(id, path): &(String, String)| CacheSpec { id: id.clone(), path: path.clone(), ..CacheSpec::default() };
    let mut caches: Vec<CacheSpec> = draft.caches.iter().map(cache).collect();
    let at = super::fields::positions(caches.iter().map(|cache| cache.id.clone()));
    for (id, option) in &draft.cache_options {
        let Some(cache) = at.get(id).and_then(|at| caches.get_mut(*at)) else { continue };
        match option {
            CacheOption::Key(key) => cache.key.clone_from(key),
            CacheOption::Path(path) => cache.more_paths.push(path.clone()),
            CacheOption::Fallback(prefix) => cache.fallbacks.push(prefix.clone()),
            CacheOption::Save(policy) => cache.save = words::save_policy(policy).unwrap_or_default(),
        }
    }
    caches
}

fn service_spec(draft: &ServiceDraft) -> ServiceSpec {
    let port = draft.ready_port.map(Readiness::Port);
    let command = draft.ready_command.clone().map(Readiness::Command);
    ServiceSpec {
        name: draft.name.clone(),
        image: draft.image.clone(),
        argv: draft.argv.clone(),
        env: draft.env.iter().cloned().collect(),
        secret_env: draft.secret_env.iter().cloned().collect(),
        readiness: port.into_iter().chain(command).collect(),
        ready_timeout_ms: draft.ready_timeout_ms.unwrap_or(DEFAULT_READY_TIMEOUT_MS),
    }
}
