//! What is said of jobs, services and parameters.

use crate::calls::Machine;
use crate::words::Given;

/// Says something of the last job, service or parameter; a call that is none of these does nothing.
pub fn set(machine: &mut Machine, call: &str, given: &Given) {
    let text = |at| given.text(at);
    if let Some(job) = machine.jobs.last() {
        match call {
            "needs" => job.needs(text(0)),
            "requires" => job.requires(text(0)),
            "remove" => job.remove(text(0)),
            "run-when" => job.run_when(text(0)),
            "allow-failure" => job.allow_failure(),
            "retry" => job.retry(given.number(0)),
            "retry-on" => job.retry_on(text(0)),
            "retry-delay" => job.retry_delay(given.number(0)),
            "priority" => job.priority(given.number(0)),
            "fail-fast" => job.fail_fast(text(0)),
            "approval" => job.approval(text(0)),
            "manual" => job.manual(),
            "late" => job.late(),
            "skip" => job.skip(text(0)),
            "label" => job.label(text(0), text(1)),
            "calls" => job.calls(text(0), text(1)),
            "creates-artifact" => job.creates_artifact(text(0)),
            "timeout" => job.timeout(given.number(0)),
            "image" => job.image(text(0)),
            "argv" => job.argv(given.rest(0)),
            "shell" => job.shell(given.rest(0)),
            "shell-program" => job.shell_program(given.rest(0)),
            "shell-each" => job.shell_each(),
            "user" => job.user(text(0)),
            "architecture" => job.architecture(text(0)),
            "network" => job.network(text(0)),
            "network-allow" => job.network_allow(text(0)),
            "env" => job.env(text(0), text(1)),
            "param-file" => job.param_file(text(0), text(1)),
            "output-env" => job.output_env(text(0), text(1), text(2)),
            "test-report" => job.test_report(text(0)),
            "work-dir" => job.work_dir(text(0)),
            "memory" => job.memory(given.number(0)),
            "cpu" => job.cpu(given.number(0)),
            "shm-size" => job.shm_size(given.number(0)),
            "pull" => job.pull(text(0)),
            "entrypoint-of-image" => job.entrypoint_of_image(),
            "with-git" => job.with_git(),
            "save-artifact" => job.save_artifact(text(0), text(1)),
            "only-files" => job.artifact_files(text(0), given.rest(1)),
            "artifact-always" => job.artifact_always(text(0)),
            "artifact-on-failure" => job.artifact_on_failure(text(0)),
            "artifact-if-there" => job.artifact_if_there(text(0)),
            "restore-artifact" => job.restore_artifact(text(0), text(1)),
            "restore-artifact-as" => job.restore_artifact_as(text(0), text(1)),
            "restore-artifact-if-there" => job.restore_artifact_if_there(text(0), text(1)),
            "restore-artifact-as-if-there" => job.restore_artifact_as_if_there(text(0), text(1)),
            "cache" => job.cache(text(0), text(1)),
            "cache-key" => job.cache_key(text(0), text(1)),
            "cache-fallback" => job.cache_fallback(text(0), text(1)),
            "cache-save" => job.cache_save(text(0), text(1)),
            "cache-path" => job.cache_path(text(0), text(1)),
            _ => {}
        }
        if let Some(secret) = machine.secrets.last() {
            match call {
                "secret-env" => job.secret_env(text(0), secret),
                "secret-file" => job.secret_file(text(0), secret),
                _ => {}
            }
        }
        if call == "with-service"
            && let Some(service) = machine.services.pop()
        {
            machine.jobs[machine.jobs.len() - 1].service(service);
            return;
        }
    }
    if let Some(service) = machine.services.last() {
        match call {
            "service-argv" => service.argv(given.rest(0)),
            "service-env" => service.env(text(0), text(1)),
            "ready-port" => service.ready_port(given.number(0)),
            "ready-command" => service.ready_command(given.rest(0)),
            "ready-timeout" => service.ready_timeout(given.number(0)),
            _ => {}
        }
    }
    if let Some(param) = machine.params.last() {
        match call {
            "kind" => param.kind(text(0)),
            "choices" => param.choices(given.rest(0)),
            "default" => param.default(text(0)),
            "required" => param.required(),
            "description" => param.description(text(0)),
            _ => {}
        }
    }
}
