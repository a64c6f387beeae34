//! Tells the host of a job.

use std::time::Duration;

use crate::host::jobs;
use crate::job::Run;
use crate::job::common::{Common, Ending};
use crate::job::container::{Container, Restore, Variable};
use crate::{Job, Refine, RunWhen, Service};

/// Declares `job` to the host, all but its closures. None for a handler, which is no job.
pub(crate) fn declare(job: &Job) -> Option<jobs::Job> {
    match job {
        Job::Action(action) => {
            let id = &action.common.id;
            let host = match &action.run {
                Run::Handler(_) => return None,
                Run::Closure(_) => jobs::Job::action(id),
                Run::Call { handler, argument } => {
                    let host = jobs::Job::action(id);
                    host.calls(handler, argument);
                    host
                }
            };
            common(&host, &action.common);
            action.creates_artifacts.iter().for_each(|id| host.creates_artifact(id));
            Some(host)
        }
        Job::Container(job) => {
            let host = jobs::Job::container(&job.common.id);
            common(&host, &job.common);
            container(&host, &job.container);
            Some(host)
        }
    }
}

/// Tells the host what a refining closure has said of its job.
pub(crate) fn complete(host: &jobs::Job, refined: &Refine) {
    ending(host, &refined.ending);
    container(host, &refined.container);
    if let Some(reason) = &refined.skip {
        host.skip(reason);
    }
}

fn common(host: &jobs::Job, job: &Common) {
    job.needs.iter().for_each(|id| host.needs(id));
    job.requires.iter().for_each(|id| host.requires(id));
    if let Some(reason) = &job.removed {
        host.remove(reason);
    }
    if job.run_when != RunWhen::Success {
        host.run_when(job.run_when.name());
    }
    if let Some(priority) = job.priority {
        host.priority(priority);
    }
    if let Some(group) = &job.fail_fast {
        host.fail_fast(group);
    }
    if let Some(message) = &job.approval {
        host.approval(message);
    }
    if job.manual {
        host.manual();
    }
    if job.refine.is_some() {
        host.late();
    }
    ending(host, &job.ending);
}

fn ending(host: &jobs::Job, job: &Ending) {
    if job.allow_failure {
        host.allow_failure();
    }
    if let Some(count) = job.retry {
        host.retry(count);
    }
    job.retry_on.iter().for_each(|cause| host.retry_on(&cause.name()));
    if let Some(delay) = job.retry_delay {
        host.retry_delay(millis(delay));
    }
    if let Some(limit) = job.timeout {
        host.timeout(millis(limit));
    }
    job.labels.iter().for_each(|(name, value)| host.label(name, value));
}

fn container(host: &jobs::Job, job: &Container) {
    command(host, job);
    job.variables.iter().for_each(|one| variable(host, one));
    job.test_reports.iter().for_each(|glob| host.test_report(glob));
    if let Some(path) = &job.work_dir {
        host.work_dir(path);
    }
    if let Some(bytes) = job.memory {
        host.memory(bytes);
    }
    if let Some(millicores) = job.cpu {
        host.cpu(millicores);
    }
    if let Some(bytes) = job.shm {
        host.shm_size(bytes);
    }
    if let Some(policy) = job.pull {
        host.pull(policy.name());
    }
    if job.entrypoint_of_image {
        host.entrypoint_of_image();
    }
    if job.with_git {
        host.with_git();
    }
    stored(host, job);
    job.services.iter().for_each(|one| host.service(service(one)));
}

fn command(host: &jobs::Job, job: &Container) {
    if let Some(image) = &job.image {
        host.image(image);
    }
    if let Some(argv) = &job.argv {
        host.argv(argv);
    }
    if let Some(lines) = &job.shell {
        host.shell(lines);
    }
    if let Some(argv) = &job.shell_program {
        host.shell_program(argv);
    }
    if job.shell_each {
        host.shell_each();
    }
    if let Some(user) = &job.user {
        host.user(user);
    }
    if let Some(name) = &job.architecture {
        host.architecture(name);
    }
    if job.network_none {
        host.network("none");
    }
    job.allow.iter().for_each(|destination| host.network_allow(destination));
}

fn variable(host: &jobs::Job, variable: &Variable) {
    match variable {
        Variable::Value { name, value } => host.env(name, value),
        Variable::Secret { name, secret } => host.secret_env(name, secret.handle()),
        Variable::SecretFile { name, secret } => host.secret_file(name, secret.handle()),
        Variable::ParamFile { name, param } => host.param_file(name, param),
        Variable::Output { name, job, output } => host.output_env(name, job, output),
    }
}

fn stored(host: &jobs::Job, job: &Container) {
    for artifact in &job.save {
        host.save_artifact(&artifact.id, &artifact.path);
        if !artifact.files.is_empty() {
            host.artifact_files(&artifact.id, &artifact.files);
        }
        if artifact.always {
            host.artifact_always(&artifact.id);
        }
        if artifact.on_failure {
            host.artifact_on_failure(&artifact.id);
        }
        if artifact.if_there {
            host.artifact_if_there(&artifact.id);
        }
    }
    for Restore { id, path, at_path, if_there } in &job.restore {
        match (at_path, if_there) {
            (false, false) => host.restore_artifact(id, path),
            (false, true) => host.restore_artifact_if_there(id, path),
            (true, false) => host.restore_artifact_as(id, path),
            (true, true) => host.restore_artifact_as_if_there(id, path),
        }
    }
    for cache in &job.caches {
        host.cache(&cache.id, &cache.path);
        cache.more_paths.iter().for_each(|path| host.cache_path(&cache.id, path));
        if let Some(key) = &cache.key {
            host.cache_key(&cache.id, key);
        }
        cache.fallbacks.iter().for_each(|prefix| host.cache_fallback(&cache.id, prefix));
        if let Some(policy) = cache.save {
            host.cache_save(&cache.id, policy.name());
        }
    }
}

fn service(service: &Service) -> jobs::Service {
    let host = jobs::Service::new(&service.name, &service.image);
    if let Some(argv) = &service.argv {
        host.argv(argv);
    }
    service.env.iter().for_each(|(name, value)| host.env(name, value));
    service.secret_env.iter().for_each(|(name, secret)| host.secret_env(name, secret.handle()));
    if let Some(port) = service.ready_port {
        host.ready_port(port);
    }
    if let Some(argv) = &service.ready_command {
        host.ready_command(argv);
    }
    if let Some(limit) = service.ready_timeout {
        host.ready_timeout(millis(limit));
    }
    host
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
