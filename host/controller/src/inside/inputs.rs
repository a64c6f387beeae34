//! The values that a job was given when it began, given again.

use std::collections::BTreeSet;

use monkeyci_build::{BuildState, ContainerSpec, Event, LateValue, Requested};

use super::{ShellError, ShellRequest};
use crate::home::Home;
use crate::inputs::Inputs;
use crate::jobs::{LateValues, late_values};
use crate::running::{Digests, Needed};

/// The job's late values: with its secrets, or without them and without the parameters that one stands in.
pub(super) fn late(
    home: &Home,
    (build, request): (&str, &ShellRequest),
    events: &[Event],
    state: &BuildState,
    spec: &ContainerSpec,
) -> Result<LateValues, ShellError> {
    let requested = Requested::of(events);
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
    let (mut secrets, mut params) = (BTreeSet::new(), BTreeSet::new());
    for value in values {
        match value {
            LateValue::Secret(name) | LateValue::SecretFile(name) => drop(secrets.insert(name)),
            LateValue::ParamFile(name) if requested.secret_params.contains_key(name) => drop(params.insert(name)),
            LateValue::ParamFile(_) | LateValue::Output { .. } => {}
        }
    }
    let Inputs { secrets: given_secrets, params: given_params, .. } = &request.inputs;
    let secrets_needed = secrets.iter().filter(|name| !given_secrets.contains_key(**name));
    let params_needed = params.iter().filter(|name| !given_params.contains_key(**name));
    let needs = Needed {
        secrets: secrets_needed.map(|name| (*name).clone()).collect(),
        params: params_needed.map(|name| (*name).clone()).collect(),
    };
    if !needs.is_empty() {
        return Err(ShellError::Missing { job: request.job.clone(), needs });
    }
    let key = home.digest_key()?;
    let digests = Digests { key: &key, build };
    let other_secret = secrets
        .into_iter()
        .find(|name| requested.secrets.get(*name) != Some(&digests.of("secret", name, &given_secrets[*name].0)));
    let other_param = params.into_iter().find(|name| {
        requested.secret_params.get(*name) != Some(&digests.of("param", name, given_params[*name].as_bytes()))
    });
    match other_secret.or(other_param) {
        Some(name) => Err(ShellError::Different { build: build.to_owned(), name: name.clone() }),
        None => Ok(()),
    }
}
