//! The values that a job was given when it began, given again.

use monkeyci_build::{BuildState, ContainerSpec, Event, LateValue, Requested};

use super::{ShellError, ShellRequest, requested};
use crate::home::Home;
use crate::inputs::Inputs;
use crate::jobs::{LateValues, late_values};
use crate::running::Digests;

/// The job's late values: with its secrets, or without them and without the parameters that one stands in.
pub(super) fn late(
    home: &Home,
    (build, request): (&str, &ShellRequest),
    events: &[Event],
    state: &BuildState,
    spec: &ContainerSpec,
) -> Result<LateValues, ShellError> {
    let requested = requested(events);
    let mut spec = spec.clone();
    let hidden = |value: &LateValue| match value {
        LateValue::Secret(_) | LateValue::SecretFile(_) => true,
        LateValue::ParamFile(param) => requested.is_some_and(|known| known.secret_params.contains_key(param)),
        LateValue::Output { .. } => false,
    };
    let mut inputs = Inputs::default();
    if request.with_secrets {
        inputs = request.inputs.clone();
        if let Some(requested) = requested {
            check(home, (build, request), requested, spec.late_env.values())?;
        }
    } else {
        spec.late_env.retain(|_, value| !hidden(value));
    }
    if let Some(requested) = requested {
        inputs.params.extend(requested.params.clone());
    }
    late_values(&spec, &inputs, state)
        .map_err(|ending| ShellError::Values { job: request.job.clone(), reason: ending.to_string() })
}

/// Whether what the job needs was given again, and is what the build began with.
fn check<'a>(
    home: &Home,
    (build, request): (&str, &ShellRequest),
    requested: &Requested,
    values: impl Iterator<Item = &'a LateValue>,
) -> Result<(), ShellError> {
    let key = home.digest_key()?;
    let digests = Digests { key: &key, build };
    let (mut missing, mut different) = (Vec::new(), Vec::new());
    for value in values {
        let (option, what, name, known, given) = match value {
            LateValue::Secret(name) | LateValue::SecretFile(name) => {
                let given = request.inputs.secrets.get(name).map(|secret| secret.0.as_slice());
                ("--secret", "secret", name, requested.secrets.get(name), given)
            }
            LateValue::ParamFile(name) => match requested.secret_params.get(name) {
                Some(known) => {
                    ("--param", "param", name, Some(known), request.inputs.params.get(name).map(String::as_bytes))
                }
                None => continue,
            },
            LateValue::Output { .. } => continue,
        };
        match given {
            None if option == "--secret" => missing.push(format!("--secret {name}=FILE")),
            None => missing.push(format!("--param {name}=VALUE")),
            Some(given) if known != Some(&digests.of(what, name, given)) => different.push(name.clone()),
            Some(_) => {}
        }
    }
    match (missing.is_empty(), different.into_iter().next()) {
        (false, _) => Err(ShellError::Missing { job: request.job.clone(), options: missing }),
        (true, Some(name)) => Err(ShellError::Different { build: build.to_owned(), name }),
        (true, None) => Ok(()),
    }
}
