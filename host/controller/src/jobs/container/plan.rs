//! What a container job's sidecar has to do, and what its containers are told: with all that is not known before the job
//! starts.

use std::collections::BTreeMap;

use monkeyci_api::{Hidden, ServiceProbe, SidecarPlan};
use monkeyci_build::{BuildState, ContainerSpec, Ending, JobSpec, LateValue, Readiness, Source};

use crate::inputs::Inputs;
use crate::jobs::JobContext;

/// The job's variables that nobody needs to hide: what every job is told, and what the script says, which counts before
/// that.
pub(super) fn env(context: &JobContext, job: &JobSpec, spec: &ContainerSpec, attempt: u32) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("CI".to_owned(), "true".to_owned()),
        ("MONKEYCI_BUILD".to_owned(), context.live.id.clone()),
        ("MONKEYCI_JOB".to_owned(), job.id.clone()),
        ("MONKEYCI_ATTEMPT".to_owned(), attempt.to_string()),
    ]);
    let repo = context.live.id.rsplit_once('/').map(|(repo, _)| repo.to_owned());
    env.extend(repo.map(|repo| ("MONKEYCI_REPO".to_owned(), repo)));
    if let Some(info) = context.live.info.get() {
        env.extend(of_code(&info.source));
    }
    env.extend(spec.env.clone());
    env
}

/// What is known of the code that is built. What there is not has no variable.
fn of_code(source: &Source) -> impl Iterator<Item = (String, String)> {
    let Source { commit, branch, tag, git_ref, .. } = source;
    let known = [("COMMIT", commit), ("BRANCH", branch), ("TAG", tag), ("REF", git_ref)];
    known.into_iter().filter_map(|(name, value)| Some((format!("MONKEYCI_{name}"), value.clone()?)))
}

/// The variables of services that are secrets, by service. They are handed over in files, and are not among those that the engine
/// knows.
///
/// # Errors
/// Says which value that a service should be given is not there.
pub(crate) fn secret_env(
    inputs: &Inputs,
    spec: &ContainerSpec,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, Ending> {
    let mut all = BTreeMap::new();
    for service in spec.services.iter().filter(|service| !service.secret_env.is_empty()) {
        let mut env = BTreeMap::new();
        for (name, secret) in &service.secret_env {
            let value = secret_text(inputs, secret).map_err(|reason| Ending::ValueMissing {
                name: name.clone(),
                reason: format!("{reason} (for the service {:?})", service.name),
            })?;
            env.insert(name.clone(), value);
        }
        all.insert(service.name.clone(), env);
    }
    Ok(all)
}

/// The sidecar's plan.
///
/// # Errors
/// Says which value that the job should be given is not there.
pub(super) fn plan(context: &JobContext, job: &str, spec: &ContainerSpec) -> Result<SidecarPlan, Ending> {
    let LateValues { env, files } = late_values(spec, &context.live.inputs, &context.live.state())?;
    let services = spec.services.iter().map(|service| ServiceProbe {
        name: service.name.clone(),
        ports: service
            .readiness
            .iter()
            .filter_map(|readiness| match readiness {
                Readiness::Port(port) => Some(*port),
                Readiness::Command(_) => None,
            })
            .collect(),
        timeout_ms: service.ready_timeout_ms,
    });
    Ok(SidecarPlan {
        image: spec.image.clone(),
        command: spec.command.clone(),
        work_dir: spec.work_dir.clone(),
        memory_bytes: spec.memory_bytes,
        env: Hidden(env),
        files: Hidden(files),
        restore_artifacts: spec.restore_artifacts.clone(),
        save_artifacts: spec.save_artifacts.clone(),
        caches: spec.caches.clone(),
        test_reports: spec.test_reports.clone(),
        services: services.filter(|service| !service.ports.is_empty()).collect(),
        breaks: context.request.breaks.of(job),
    })
}

/// What is known only when a job begins.
pub(crate) struct LateValues {
    /// Variables.
    pub(crate) env: BTreeMap<String, String>,
    /// Files, by the variables that name them.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// The values that a job is given when it begins, in a build that is so far.
///
/// # Errors
/// Says which of them is not there.
pub(crate) fn late_values(spec: &ContainerSpec, inputs: &Inputs, state: &BuildState) -> Result<LateValues, Ending> {
    let (mut env, mut files) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in &spec.late_env {
        let found = match value {
            LateValue::Secret(secret) => secret_text(inputs, secret).map(|value| drop(env.insert(name.clone(), value))),
            LateValue::SecretFile(secret) => {
                secret_bytes(inputs, secret).map(|bytes| drop(files.insert(name.clone(), bytes.to_vec())))
            }
            LateValue::ParamFile(param) => {
                parameter(inputs, state, param).map(|value| drop(files.insert(name.clone(), value.into_bytes())))
            }
            LateValue::Output { job, output } => {
                exposed(state, job, output).map(|value| drop(env.insert(name.clone(), value)))
            }
        };
        found.map_err(|reason| Ending::ValueMissing { name: name.clone(), reason })?;
    }
    Ok(LateValues { env, files })
}

fn secret_bytes<'a>(inputs: &'a Inputs, name: &str) -> Result<&'a [u8], String> {
    let found = inputs.secrets.get(name).map(|secret| secret.0.as_slice());
    found.ok_or_else(|| format!("there is no secret {name:?}{}", inputs.looked_for_secret()))
}

fn secret_text(inputs: &Inputs, name: &str) -> Result<String, String> {
    let bytes = secret_bytes(inputs, name)?.to_vec();
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(format!("the secret {name:?} is no text, so it can't be a variable; use it as a file")),
    }
}

/// The value of a parameter: what was given, or the default that the script declared.
fn parameter(inputs: &Inputs, state: &BuildState, name: &str) -> Result<String, String> {
    let default = || state.params().iter().find(|param| param.name == name)?.default.clone();
    let found = inputs.params.get(name).cloned().or_else(default);
    found.ok_or_else(|| format!("there is no parameter {name:?}{}", inputs.looked_for_param()))
}

fn exposed(state: &BuildState, job: &str, output: &str) -> Result<String, String> {
    let results = state.job(job).and_then(|job| job.results.as_deref());
    let found = results.and_then(|results| results.outputs.get(output));
    found.cloned().ok_or_else(|| format!("the job {job:?} has exposed no output {output:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_told_what_is_known_of_its_code() {
        let text = |text: &str| Some(text.to_owned());
        let source = Source { commit: text("c0"), tag: text("v1"), git_ref: text("refs/tags/v1"), ..Source::default() };
        let told: BTreeMap<_, _> = of_code(&source).collect();
        let expected = [("MONKEYCI_COMMIT", "c0"), ("MONKEYCI_REF", "refs/tags/v1"), ("MONKEYCI_TAG", "v1")];
        assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
